"""A predictor with no network behind it: it sees nothing unless told to, and writes what a scale's step spells out."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from openaisle.messages import NANOSECONDS, GateEvent, ScaleBatch, VideoFrame
from openaisle.predictor import (
    Arrays,
    Float32,
    GraphPredictor,
    ShelfLook,
    ShelfWindows,
    TickView,
    UInt8,
    VisualTokens,
    WrittenEvent,
    vote_shapes,
)
from openaisle.store.store import Store
from openaisle.tokens.body import BODY_CELLS
from openaisle.tokens.journey import KINDS
from openaisle.tokens.shelf import SHELF_CHANGES
from openaisle.tokens.tick import Sensed
from tests.tokens.corner import HEIGHT_PX, LANES, WIDTH_PX, E

START = 1_700_000_000 * NANOSECONDS
HAND_OVER_GRAMS = 1000.0  # a step that stands for a hand-over of a can of beans from the first to the second shopper


class Scripted(GraphPredictor):
    """Stateless, so that a pure pipeline stays pure. `taker` is the row of the shopper who takes and returns."""

    def __init__(
        self, taker: int = 0, person_at: tuple[float, float] | None = None, hand_m: Float32 | None = None
    ) -> None:
        super().__init__("scripted", (16, E))
        self.taker, self.person_at, self.hand_m = taker, person_at, hand_m
        self.views: list[TickView] = []

    def call(self, graph: str, feed: Arrays) -> list[NDArray[np.generic]]:
        raise AssertionError(f"{graph}: there is no network")

    def embed_catalogue(self, pictures: NDArray[np.uint8]) -> Float32:
        return np.zeros((len(pictures), E), dtype=np.float32)

    def look(self, slots: list[VisualTokens]) -> list[Arrays]:
        return [self._votes(len(slot.camera)) for slot in slots]

    def _votes(self, count: int) -> Arrays:
        votes: Arrays = {n: np.zeros((count, *shape), np.float32) for n, shape in vote_shapes(self.widths[0]).items()}
        if self.person_at is not None:
            votes["person"] = np.ones(count, np.float32)
            votes["floor_mean"] = np.tile(np.array(self.person_at, np.float32), (count, 1))
        return votes

    def place(self, floor_m: Float32, spread_m: float) -> Arrays:
        fresh = super().place(floor_m, spread_m)
        if self.hand_m is not None:
            fresh["hands"] = np.tile(self.hand_m.astype(np.float32), (len(floor_m), 2, 1))
        return fresh

    def remember(self, votes: Arrays, memory: Arrays, dt_s: float) -> tuple[Arrays, Float32]:
        """Everybody stays; the first shopper claims all tokens."""
        tokens, people = len(votes["person"]), len(memory["floor"])
        attention = np.zeros((tokens, people + 1), np.float32)
        attention[:, 0] = 1.0
        mass = np.full(people, tokens, np.float32)
        return {**memory, "mass": mass}, attention

    def heatmaps(self, now: UInt8, before: UInt8, features: Float32) -> Float32:
        """Every place is as likely as any other."""
        return np.full((len(now), 2, BODY_CELLS**2 + 1), -np.log(BODY_CELLS**2 + 1), dtype=np.float32)

    def actor(self, frames: UInt8, area: UInt8, features: Float32) -> Float32 | None:
        """No picture tells who it was."""
        return None

    def glance(self, now: UInt8, before: UInt8, features: Float32) -> dict[str, Float32]:
        """No window shows anything."""
        return glanced(len(features))

    def embed_shelves(self, pictures: NDArray[np.uint8]) -> Float32:
        return np.zeros((len(pictures), E), dtype=np.float32)

    def look_at_shelf(self, windows: ShelfWindows, vectors: Float32) -> ShelfLook:
        """Every product is as likely as any other, and so is every change."""
        named = np.full((2, len(vectors)), -np.log(max(len(vectors), 1)), dtype=np.float32)
        units = np.full(SHELF_CHANGES, -np.log(SHELF_CHANGES), dtype=np.float32)
        return ShelfLook(named, np.zeros(2, dtype=np.float32), units)

    def write(self, view: TickView) -> list[WrittenEvent]:
        self.views.append(view)
        events = []
        for row, lane in enumerate(view.features.lane.tolist()):
            if view.table.scale[lane] < 0:
                continue
            delta = view.window.delta_grams[view.table.scale[lane]]
            step = float(np.median(delta[41:46]) - np.median(delta[15:20]))  # within the tick's second
            product = int(view.features.lane_product[row])
            if abs(abs(step) - HAND_OVER_GRAMS) < 20:
                events.append(WrittenEvent(KINDS.index("hand_over"), -1, 0, 1, 1, 1, 0.8))
            elif abs(step) > 100:
                kind = KINDS.index("take" if step < 0 else "return")
                units = round(abs(step) / float(view.table.unit_grams[product]))
                events.append(WrittenEvent(kind, lane, self.taker, product, units, -1, 0.95))
        return events


def glanced(windows: int) -> dict[str, Float32]:
    """What so many windows around hands say that show neither a hand nor an item."""
    f32 = np.float32
    logits = {name: np.full(windows, -20.0, f32) for name in ("seen", "item", "holds")}
    place = {"offset": np.zeros((windows, 2), f32), "log_sd": np.zeros(windows, f32)}
    return {**place, **logits, "product": np.tile(np.eye(1, E, dtype=f32), (windows, 1))}


def shopping(
    steps: list[tuple[float, int, float]], gates: list[tuple[float, str, str]], length_s: float
) -> list[Sensed]:
    """A stream: (second, scale, grams) steps of the two scales, and (second, kind, visit) passages."""
    sent: list[Sensed] = [GateEvent("door", START + round(at * 1e9), kind, visit) for at, kind, visit in gates]
    for scale in range(2):
        level = np.full(round(length_s * 20), 8000.0, np.float32)
        for at, which, grams in steps:
            if which == scale:
                level[round(at * 20) :] += grams
        level += np.random.Generator(np.random.PCG64(scale)).normal(0, 0.3, len(level)).astype(np.float32)
        sent += [
            ScaleBatch(f"w{scale + 1}", START + i * 50_000_000, 20.0, level[i : i + 10])
            for i in range(0, len(level), 10)
        ]
    return sorted(sent, key=lambda message: message.time_ns)


def films(length_s: float, box_from_s: float = 1e9) -> Iterator[VideoFrame]:
    """Both cameras at 5 Hz on a grey room; from some second on something large flickers about in it."""
    for i in range(round(length_s * 5)):
        for camera in ("a", "b"):
            picture = np.full((HEIGHT_PX, WIDTH_PX, 3), 90, np.uint8)
            if i / 5 >= box_from_s:
                x = 16 * (i % 3)
                picture[32:96, x : x + 64] = 220
            yield VideoFrame(camera, START + i * 200_000_000, picture)


def with_film(sent: list[Sensed], film: Iterator[VideoFrame]) -> list[Sensed]:
    """Both in one time-ordered stream."""
    return sorted([*sent, *film], key=lambda message: message.time_ns)


def lane_row(store: Store, number: int) -> int:
    """Index of one of the corner's lanes."""
    return store.lane_index[LANES[number]]
