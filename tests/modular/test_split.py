"""Event splitting: rests that came and went are pushes, those that stayed are levels between two events."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from openaisle.modular.associate import Hands
from openaisle.modular.identify import Scene
from openaisle.modular.interactions import Interaction, Rest
from openaisle.modular.learnt import Learnt
from openaisle.modular.split import MOST_RESTS, Part, shortened, split
from openaisle.tokens.journey import lane_table
from openaisle.tokens.scales import RATE_HZ
from tests.modular.test_associate import TABLE, hands, in_lane
from tests.tokens.corner import corner_store

COLA, BEANS, CRISPS = range(3)
SCENE = Scene({0: (0,), 1: (1,)}, (COLA, BEANS, CRISPS), {0: (1,), 1: (0,)}, Learnt((330.0, 420.0, 50.0)))
ALONE = hands(in_lane(0))


def found(levels: Sequence[float], scale: int = 0, noise: float = 0.5) -> Interaction:
    """An interaction of one scale that rests at each level for half a second, half a second apart."""
    rests = [Rest(20 * i, 20 * i + 10, np.array([grams], np.float32)) for i, grams in enumerate(levels)]
    instants = tuple((20 * i + 15,) for i in range(len(levels) - 1))
    return Interaction((scale,), np.array([noise], np.float32), tuple(rests), instants)


def events(parts: Sequence[Part]) -> list[tuple[str, int, int, int]]:
    return [(e.move.kind, e.move.product, e.move.units, e.person) for part in parts for e in part.events]


def run(one: Interaction, scene: Scene = SCENE, who: Hands = ALONE) -> list[tuple[str, int, int, int]]:
    return events(split(one, scene, who, TABLE))


def test_two_takes_in_a_row_are_two_events_at_their_own_times() -> None:
    parts = split(found([5000, 4672, 4345]), SCENE, ALONE, TABLE)
    assert events(parts) == [("take", COLA, 1, 0)] * 2
    assert [event.sample for part in parts for event in part.events] == [15, 35]


def test_a_hand_that_rests_on_the_shelf_is_no_event() -> None:
    assert run(found([5000, 5160, 5001])) == []
    assert run(found([5000, 5160, 4672])) == [("take", COLA, 1, 0)]
    assert run(found([5000, 4960, 4672])) == [("take", COLA, 1, 0)]


def test_what_was_taken_can_come_back_in_the_same_interaction() -> None:
    parts = split(found([5000, 4671, 4671, 5000]), SCENE, ALONE, TABLE)
    net = [event.move.signed for part in parts for event in part.events]
    assert sum(net) == 0
    if net:  # the same person, who has it now
        assert [event.move.owners for part in parts for event in part.events][-1] == ("v0",)


def test_two_hands_in_one_lane_that_take_two_units_at_once_take_one_each() -> None:
    both = hands(in_lane(0), in_lane(0))
    assert run(found([5000, 4340]), who=both) == [("take", COLA, 1, 0), ("take", COLA, 1, 1)]
    assert run(found([5000, 4340]), who=hands(in_lane(0), in_lane(0, 0.5))) == [("take", COLA, 2, 0)]
    assert run(found([5000, 4340]), who=hands(in_lane(0, 0.5), in_lane(0))) == [("take", COLA, 2, 1)]


def test_the_hand_tells_the_lane_where_two_on_one_scale_hold_goods_of_one_mass() -> None:
    one_scale = replace(SCENE, lanes={0: (0, 1)}, learnt=Learnt((330.0, 330.0, 50.0)))
    assert run(found([5000, 4670]), one_scale, hands(in_lane(0))) == [("take", COLA, 1, 0)]
    assert run(found([5000, 4670]), one_scale, hands(in_lane(1))) == [("take", BEANS, 1, 0)]


def test_a_return_goes_to_who_has_it_although_another_hand_is_nearer() -> None:
    scene = replace(SCENE, baskets={"v1": {COLA: 1}})
    assert run(found([5000, 5329]), scene, hands(in_lane(0), in_lane(0, 0.1))) == [("return", COLA, 1, 1)]


def test_with_nobody_in_the_shop_nobody_is_charged() -> None:
    assert run(found([5000, 4672]), who=hands()) == []


def test_many_rests_are_shortened_without_losing_the_ends() -> None:
    one = found([5000.0, *(5000.0 + (i % 3 == 0) for i in range(1, 30)), 4671.0])
    short = shortened(one)
    assert len(short.rests) == MOST_RESTS
    assert (short.rests[0], short.rests[-1]) == (one.rests[0], one.rests[-1])
    assert len(short.instants) == MOST_RESTS - 1
    assert run(one) == [("take", COLA, 1, 0)]


def test_the_table_is_the_corners() -> None:
    assert lane_table(corner_store()).product.tolist() == [COLA, BEANS, CRISPS]
    assert RATE_HZ == 20
