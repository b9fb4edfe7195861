"""The storm's day: a store and a predictor without cameras and network, so that playing it again and again is cheap.

People have no bodies here: who came in by a gate stays there, and what leaves a shelf is shared out among them by
its scale's number. The receipts are of no use to anybody; they are the same whenever the same stream is played.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from openaisle.edge.rule import FIRST, LAST, strongest_step
from openaisle.predictor import Arrays, Float32, GraphPredictor, TickView, WrittenEvent, vote_shapes
from openaisle.sim.stores import open_store
from openaisle.store.load import load_store
from openaisle.store.schema import GateSpec
from openaisle.store.store import Store
from openaisle.tokens.journey import KINDS
from openaisle.tracking import gate_middle

LIGHT = "light"  # the model's name; every other one is loaded as `aisle serve` loads it
WIDTHS = 16, 16  # of vectors that nobody looks at
SIDE = "storm-side"  # a gate for those who come in by the API: they have their own, and nothing counts as theirs
MIN_SHARE, MIN_GRAMS = 0.5, 6.0  # of a unit, and at least: smaller steps are noise
CONFIDENCE = 0.95


class LightPredictor(GraphPredictor):
    """Sees nothing; writes a take or return for a scale's step. Pure, as a network is."""

    settles = False

    def __init__(self, side_m: Float32) -> None:
        super().__init__(LIGHT, WIDTHS)
        self._side_m = side_m

    def call(self, graph: str, feed: Arrays) -> list[NDArray[np.generic]]:
        """There is no network."""
        raise AssertionError(f"{graph}: the storm's shop has no cameras")

    def embed_catalogue(self, pictures: NDArray[np.uint8]) -> Float32:
        """Zeros [products, 16]."""
        return np.zeros((len(pictures), WIDTHS[1]), dtype=np.float32)

    def embed_shelves(self, pictures: NDArray[np.uint8]) -> Float32:
        """Zeros [products, 16]."""
        return np.zeros((len(pictures), WIDTHS[1]), dtype=np.float32)

    def remember(self, votes: Arrays, memory: Arrays, dt_s: float) -> tuple[Arrays, Float32]:
        """Everybody stays where they are."""
        tokens, people = len(votes["person"]), len(memory["floor"])
        return memory, np.eye(1, people + 1, people, dtype=np.float32).repeat(tokens, 0)

    def write(self, view: TickView) -> list[WrittenEvent]:
        """One event per scale whose level steps within the tick."""
        at_m = view.tracks.floor_m[:, -1].reshape(-1, 2)
        people = np.flatnonzero(np.linalg.norm(at_m - self._side_m, axis=-1) > 0.1).tolist()
        events = []
        for scale in sorted({int(s) for s in view.table.scale[view.features.lane] if s >= 0}) if people else ():
            step, sample = strongest_step(view.window.delta_grams[scale])
            lane = int(np.flatnonzero(view.table.scale == scale)[0])
            product = int(view.table.product[lane])
            unit = float(view.table.unit_grams[product]) if product >= 0 else 0.0
            if unit <= 0 or not FIRST <= sample < LAST or abs(step) < max(MIN_SHARE * unit, MIN_GRAMS):
                continue
            kind, units = KINDS.index("take" if step < 0 else "return"), max(1, round(abs(step) / unit))
            events.append(WrittenEvent(kind, lane, people[scale % len(people)], product, units, -1, CONFIDENCE))
        return events

    def _no_votes(self, name: str) -> Float32:
        return np.zeros((0, *vote_shapes(WIDTHS[0])[name]), dtype=np.float32)


def storm_store(kind: str, seed: int, *, cameras: bool) -> Store:
    """A generated store with a gate more, for those who come by the API; without cameras where nobody looks."""
    store = open_store(kind, seed)
    gates, floor = store.spec.gates, store.spec.floor_m
    taken = {gate_middle(store, gate.id).tobytes() for gate in gates}
    edges = zip(floor, (*floor[1:], floor[0]), strict=True)
    far = max(edges, key=lambda edge: min(np.linalg.norm(np.mean(edge, axis=0) - np.array(g.a_m)) for g in gates))
    middle, way = np.mean(far, axis=0), np.subtract(far[1], far[0]) / np.linalg.norm(np.subtract(far[1], far[0]))
    (ax, ay), (bx, by) = (middle - 0.4 * way).round(3).tolist(), (middle + 0.4 * way).round(3).tolist()
    side = GateSpec(id=SIDE, kind="both", a_m=(ax, ay), b_m=(bx, by))
    spec = store.spec.model_copy(update={"gates": (*gates, side)})
    spec = spec if cameras else spec.model_copy(update={"cameras": ()})
    assert gate_middle(replace(store, spec=spec), SIDE).tobytes() not in taken, "a gate of its own"
    return replace(store, spec=spec)


def without_side(store: Store) -> Store:
    """The same without the gate of those who come by the API: simulated shoppers would use it, too."""
    gates = tuple(gate for gate in store.spec.gates if gate.id != SIDE)
    return replace(store, spec=store.spec.model_copy(update={"gates": gates}))


def light_predictor(store_folder: str) -> LightPredictor:
    """The predictor for a store that `storm_store` made."""
    return LightPredictor(gate_middle(load_store(store_folder), SIDE))
