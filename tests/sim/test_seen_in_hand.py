"""Engine and renderer together: what a hand has taken is what a camera sees in it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from openaisle.messages import EventKind
from openaisle.sim.engine import Simulation
from openaisle.sim.render import Renderer
from openaisle.sim.scenario import load_scenario
from openaisle.sim.world import ITEM_ID, PERSON_ID, PERSON_STRIDE, Part
from openaisle.store.schema import CameraSpec
from openaisle.store.store import Store
from tests.sim.tiny import tiny_store

LATER_STEPS = 9  # by then the hand is out of the lane and the unit has turned in it


def _with_cameras(store: Store, spots: list[tuple[float, float, float]]) -> Store:
    """Two cameras above and to both sides of every spot, close to it."""
    cameras = [
        CameraSpec(
            id=f"c{n}{side}", width_px=160, height_px=160, fx_px=300, fy_px=300, cx_px=80, cy_px=80,
            position_m=(x + 0.6 * dx, y + 0.6 * dy, z + 0.7), look_at_m=(x, y, z),
        )
        for n, (x, y, z) in enumerate(spots) for side, (dx, dy) in enumerate(((1, 1), (-1, 1), (1, -1), (-1, -1)))
    ]  # fmt: skip
    return replace(store, spec=store.spec.model_copy(update={"cameras": tuple(cameras)}))


def test_the_unit_in_the_hand_is_the_one_taken() -> None:
    scenario = load_scenario("solo").model_copy(update={"duration_s": 40.0, "picks": (4, 4), "inspect": 1.0})
    scenario = scenario.model_copy(update={"carriers": scenario.carriers.model_copy(update={"basket": 0.0})})
    store = tiny_store()
    spots: dict[int, tuple[tuple[float, float, float], tuple[int, ...], int]] = {}
    takes: list[tuple[int, str, int]] = []
    for step, snapshot in enumerate(Simulation(store, scenario, 4).steps()):
        takes += [(step, e.shopper, 0 if e.hand == "left" else 1) for e in snapshot.events if e.kind == EventKind.TAKE]
        for at, shopper, hand in takes:
            person = next((p for p in snapshot.people if p.shopper == shopper), None)
            if step == at + LATER_STEPS and person is not None and person.held[hand]:
                x, y, z = (float(v) for v in person.hands_m[hand])
                spots[step] = (x, y, z), person.held[hand], person.number * PERSON_STRIDE + PERSON_ID
    assert len(spots) >= 3
    seen = _with_cameras(store, [place for place, _, _ in spots.values()])
    sim = Simulation(seen, scenario, 4)
    renderer = Renderer(seen, sim.items.product)
    for step, snapshot in enumerate(sim.steps()):
        if step not in spots:
            continue
        number = list(spots).index(step)
        _, held, person_id = spots[step]
        pixels, hand_pixels = 0, 0
        for side in range(4):
            ids = renderer.render(4 * number + side, snapshot).ids
            pixels = max(pixels, int(np.isin(ids, [ITEM_ID + item for item in held]).sum()))
            hand_pixels += int(np.isin(ids, [person_id + Part.LEFT_HAND, person_id + Part.RIGHT_HAND]).sum())
        assert pixels > 10, "a camera close by sees the unit"
        assert hand_pixels > 20
