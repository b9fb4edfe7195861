"""Walking: distances are true, ways avoid furniture, discs never overlap."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from openaisle.sim.walking import Doorway, Ground, rect_distance, settle, steer, wall_distance
from tests.sim.tiny import tiny_store

GROUND = Ground(tiny_store())
FLOOR = GROUND.floor


def test_distance_to_a_turned_rectangle() -> None:
    turned = np.array([1.0, 1.0, np.cos(np.pi / 2), np.sin(np.pi / 2), 2.0, 0.5])  # covers x 0.5..1, y 1..3
    assert np.isclose(rect_distance(1.3, 2.0, turned), 0.3)
    assert np.isclose(rect_distance(1.3, 3.4, turned), 0.5)
    assert np.isclose(rect_distance(0.75, 2.0, turned), -0.25)


def test_distance_to_walls_is_negative_outside() -> None:
    assert np.isclose(wall_distance(1.0, 0.4, FLOOR), 0.4)
    assert np.isclose(wall_distance(1.0, -0.4, FLOOR), -0.4)


def test_the_way_leads_round_the_table() -> None:
    goal = np.array([1.6, 1.3])
    field = GROUND.field(goal, 0.24)
    at = np.array([1.6, 2.5])  # the table lies between
    straight = float(np.hypot(*(goal - at)))
    assert GROUND.distance(field, at) > straight + 0.5
    walked = 0.0
    for _ in range(200):
        step = np.array(GROUND.next_point(field, at, look_m=0.1)) - at
        size = float(np.hypot(*step))
        if np.hypot(*(goal - at)) < 0.1:
            break
        at = at + step / size * 0.05
        walked += 0.05
        assert GROUND.clearance(at[0], at[1]) > 0.2
    assert np.hypot(*(goal - at)) < 0.1
    assert walked < 4.0


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.floats(0.3, 4.7), st.floats(0.3, 3.7)), min_size=1, max_size=6),
    st.floats(-0.1, 0.1), st.floats(-0.1, 0.1),
)  # fmt: skip
def test_a_free_disc_stays_free(places: list[tuple[float, float]], dx: float, dy: float) -> None:
    discs = np.array([(x, y, 0.0, 0.0, 0.22) for x, y in places])
    me = np.array([3.0, 2.6, 0.0, 0.0, 0.22])
    free = GROUND.clearance(3.0, 2.6) >= 0.22 and all(np.hypot(*(d[:2] - me[:2])) >= 0.44 for d in discs)
    x, y = settle(3.0 + dx, 2.6 + dy, me, discs, GROUND.rects, FLOOR, True)
    if free:
        assert GROUND.clearance(x, y) >= 0.22
        assert all(np.hypot(d[0] - x, d[1] - y) >= 0.44 for d in discs)


def test_two_who_meet_head_on_pass_each_other() -> None:
    ground = GROUND
    people = np.array([[2.7, 1.0, 0.0, 0.0, 0.22], [2.75, 2.9, 0.0, 0.0, 0.22]])
    goals = np.array([[2.7, 2.9], [2.75, 1.0]])
    for _ in range(200):
        for n in (0, 1):
            gap = goals[n] - people[n, :2]
            want = gap / (np.hypot(*gap) + 1e-9) * min(1.2, 2 * np.hypot(*gap))
            velocity = np.array(steer(people[n], want, people[[1 - n]], ground.rects, FLOOR, True))
            x, y = people[n, :2] + 0.05 * velocity
            people[n, :2] = settle(x, y, people[n], people[[1 - n]], ground.rects, FLOOR, True)
            people[n, 2:4] = velocity
        assert np.hypot(*(people[0, :2] - people[1, :2])) >= 0.44
    assert np.abs(people[:, :2] - goals).max() < 0.15


def test_a_doorway_knows_inside_from_outside() -> None:
    door = Doorway(tiny_store().spec.gates[0], GROUND)
    assert door.depth(door.inside) > 0 > door.depth(door.outside)
    inside, outside = (wall_distance(float(p[0]), float(p[1]), FLOOR) for p in (door.inside, door.outside))
    assert inside > 0 > outside
