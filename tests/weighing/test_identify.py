"""Products and counts: a change in grams names what moved, by masses, planogram, baskets and what lies astray."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from openaisle.weighing.identify import Explanation, Law, Scene, candidates, explain
from openaisle.weighing.learnt import BATCH, Learnt

COLA, BEANS, TEA, SOAP, GUM = range(5)
MASSES = (330.0, 420.0, 110.0, 112.0, 15.0)
LANES = {0: (0,), 1: (1,), 2: (2, 3)}  # scale → lanes; two lanes share scale 2
SCENE = Scene(LANES, (COLA, BEANS, TEA, GUM), {0: (1,), 1: (0, 2), 2: (1,)}, Learnt(MASSES))


def told(change: dict[int, float], scene: Scene = SCENE, noise: float = 0.5) -> Explanation:
    """What explains a change in grams by scale, whoever it was."""
    scales = tuple(sorted(change))
    grams = np.array([change[s] for s in scales])
    law = Law(scales, grams, np.full(len(scales), noise), scene)
    return explain(law, {s: list(candidates(s, change[s], scene)) for s in scales})


def moves(found: Explanation) -> list[tuple[str, int, int, int]]:
    return sorted((move.kind, move.lane, move.product, move.units) for move in found.moves)


def test_the_lanes_own_product_is_taken_and_counted() -> None:
    assert moves(told({0: -322.0})) == [("take", 0, COLA, 1)]
    assert moves(told({0: -970.0})) == [("take", 0, COLA, 3)]
    assert moves(told({1: -1_640.0})) == [("take", 1, BEANS, 4)]


def test_nothing_and_what_no_product_weighs_are_no_moves() -> None:
    assert moves(told({0: 1.0})) == []
    assert moves(told({0: 2_917.0})) == []


def test_a_return_is_of_what_somebody_near_by_has() -> None:
    scene = replace(SCENE, baskets={"ann": {COLA: 1}, "bob": {BEANS: 2}})
    assert moves(told({0: 325.0}, scene)) == [("return", 0, COLA, 1)]
    astray = told({0: 415.0}, scene)
    assert moves(astray) == [("return", 0, BEANS, 1)]
    assert astray.moves[0].owners == ("bob",)


def test_what_lies_astray_is_taken_from_where_it_lies() -> None:
    """112 g out of the cola's lane may be soap or tea: the planogram as it has been learnt knows."""
    unknown = told({0: -110.5})
    learnt = replace(SCENE, learnt=Learnt(MASSES).moved(0, SOAP, 1))
    known = told({0: -110.5}, learnt)
    assert moves(known) == [("take", 0, SOAP, 1)]
    assert known.cost < unknown.cost
    assert known.confidence > unknown.confidence


def test_neighbours_that_feel_a_part_of_it_have_no_moves_of_their_own() -> None:
    assert moves(told({0: -40.0, 1: -1_610.0})) == [("take", 1, BEANS, 4)]
    both = told({0: -330.0, 1: -415.0})
    assert moves(both) == [("take", 0, COLA, 1), ("take", 1, BEANS, 1)]


def test_two_products_of_one_scale_are_told_apart_and_together() -> None:
    assert moves(told({2: -108.0})) == [("take", 2, TEA, 1)]
    assert moves(told({2: -15.5})) == [("take", 3, GUM, 1)]
    assert moves(told({2: -126.0})) == [("take", 2, TEA, 1), ("take", 3, GUM, 1)]


def test_confidence_falls_where_two_products_weigh_alike() -> None:
    """A stranger of the same mass costs more than the lane's own, but not everything."""
    alike = Learnt((330.0, 420.0, 110.0, 112.0, 15.0, 331.0, 329.0))
    assert told({0: -330.0}, replace(SCENE, learnt=alike)).confidence < told({0: -330.0}).confidence


def test_a_batch_that_is_heavier_than_the_catalogue_says_is_learnt() -> None:
    learnt = Learnt(MASSES)
    for _ in range(6):
        learnt = learnt.weighed(COLA, 1.04 * MASSES[COLA], 1, 3.0)
    mass, sd = learnt.mass(COLA)
    assert abs(mass - 1.04 * MASSES[COLA]) < 3
    assert sd < BATCH * MASSES[COLA]
    assert learnt.mass(BEANS) == (MASSES[BEANS], BATCH * MASSES[BEANS])
    assert learnt.weighed(GUM, 15.0, 0, 3.0) == learnt


def test_what_lies_astray_is_forgotten_once_it_is_gone() -> None:
    learnt = Learnt(MASSES).moved(0, SOAP, 2).moved(0, SOAP, -1)
    assert learnt.lying == {(0, SOAP): 1}
    assert learnt.moved(0, SOAP, -1).lying == {}
    assert learnt.moved(1, TEA, -1).lying == {(0, SOAP): 1}
