"""Event splitting: rests that came and went are pushes, those that stayed are levels between two events."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from openaisle.tokens.journey import lane_table
from openaisle.tokens.scales import RATE_HZ
from openaisle.weighing.associate import Hands
from openaisle.weighing.identify import Scene
from openaisle.weighing.interactions import Interaction, Rest
from openaisle.weighing.learnt import Learnt
from openaisle.weighing.levels import (
    EXCHANGE,
    MOST_RESTS,
    MOST_UNSTEADY,
    PUSHED_COST,
    PUSHED_G,
    divided,
    exchanged,
    passing,
    shortened,
)
from openaisle.weighing.split import Part, split, step_of
from openaisle.weighing.witness import NEAR, Look, Told
from tests.tokens.corner import corner_store
from tests.weighing.test_associate import TABLE, hands, in_lane

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


def shown(look: Look, scale: int, sample: int) -> Look:
    """The same look whenever one is taken."""
    return look


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


def leaning(levels: Sequence[float]) -> list[tuple[str, int, int, int]]:
    return run(found([5000, *levels, 4671]))


def test_a_hand_that_leans_on_is_one_surprise_and_not_one_a_second() -> None:
    assert leaning([4960, 4955, 4949, 4953, 4946]) == [("take", COLA, 1, 0)]


def said(units: int, people: dict[str, float], product: int = COLA, sure: float = 0.9) -> Told:
    return Told("t", 0, 0, 15, "take", product, units, people, sure)


def test_who_takes_is_told_by_hands_and_witness_together() -> None:
    both = hands(in_lane(0), in_lane(0))
    for liked, share in (("v0", 0), ("v1", 1)):
        told = said(1, {"v0": 0.2, "v1": 0.2, liked: 0.8})
        assert run(found([5000, 4671]), who=replace(both, told=(told,))) == [("take", COLA, 1, share)]
    far = hands(in_lane(0), in_lane(0, 0.5))
    doubtful = said(1, {"v0": 0.4, "v1": 0.6})
    assert run(found([5000, 4671]), who=replace(far, told=(doubtful,))) == [("take", COLA, 1, 0)]


def test_two_who_were_told_of_get_one_each() -> None:
    told = said(1, {"v0": 0.9, "v1": 0.1}), said(1, {"v0": 0.05, "v1": 0.95})
    apart = replace(hands(in_lane(0), in_lane(0, 0.1)), told=told)
    assert run(found([5000, 4342]), who=apart) == [("take", COLA, 1, 0), ("take", COLA, 1, 1)]


def test_the_witness_decides_between_goods_of_one_mass() -> None:
    one_scale = replace(SCENE, lanes={0: (0, 1)}, learnt=Learnt((330.0, 330.0, 50.0)))
    between = hands((in_lane(0) + in_lane(1)) / 2)
    for product in (COLA, BEANS):
        told = replace(said(1, {"v0": 1.0}, product), lane=product)
        assert run(found([5000, 4671]), one_scale, replace(between, told=(told,))) == [("take", product, 1, 0)]


def test_a_witness_of_what_the_scale_denies_is_not_believed() -> None:
    told = replace(ALONE, told=(said(3, {"v0": 1.0}),))
    assert run(found([5000, 4671]), who=told) == [("take", COLA, 1, 0)]
    assert run(found([5000, 5000.5]), who=told) == []


LIGHT = replace(SCENE, learnt=Learnt((10.0, 420.0, 50.0)))


def test_a_few_grams_without_a_hand_or_a_witness_are_noise() -> None:
    noisy = found([-343, -354], noise=4.4)
    assert run(noisy, LIGHT, hands(in_lane(0, 0.8))) == []
    told = replace(hands(in_lane(0, 0.8)), told=(said(1, {"v0": 0.9}),))
    assert run(noisy, LIGHT, told) == [("take", COLA, 1, 0)]


def test_what_is_heavy_and_fits_was_taken_though_no_hand_was_seen() -> None:
    away = hands(in_lane(0, 0.8))
    assert run(found([5000, 4671]), SCENE, away) == [("take", COLA, 1, 0)]
    costs = []
    for somebody in (12.0, -12.0):
        look = Look(np.zeros(1), {0: 0.0}, somebody)
        seen = replace(away, looks=partial(shown, look))
        costs.append(split(found([5000, 4671]), SCENE, seen, TABLE)[0].explanation.cost)
    assert costs[0] + 2 < costs[1]  # pictures that show nobody speak against it
    (near,) = split(found([5000, 4671]), SCENE, ALONE, TABLE)
    (deaf,) = split(found([5000, 4671]), SCENE, replace(ALONE, heard=False), TABLE)
    assert deaf.explanation.cost < near.explanation.cost  # silence tells nothing where nobody ever writes


def test_a_return_and_a_take_of_two_people_that_were_told_are_both() -> None:
    """Between them the scale never came to rest: one unit less is what it shows."""
    back = Told("r", 0, 0, 13, "return", COLA, 1, {"v0": 0.95, "v1": 0.05}, 0.9)
    taken = replace(said(2, {"v0": 0.05, "v1": 0.95}), sample=17)
    scene = replace(SCENE, baskets={"v0": {COLA: 1}})
    both = replace(hands(in_lane(0), in_lane(0)), told=(back, taken))
    assert sorted(run(found([5000, 4671]), scene, both)) == [("return", COLA, 1, 0), ("take", COLA, 2, 1)]
    assert run(found([5000, 4671]), scene, replace(both, told=(replace(back, people={"v1": 1.0}), taken))) == [
        ("take", COLA, 1, 1)
    ]


def test_what_was_written_belongs_to_the_nearest_step_or_to_none() -> None:
    one = found([5000, 4671, 4342])  # steps at the samples 15 and 35
    for sample, step in ((0, 0), (14, 0), (22, 0), (34, 1), (48, 1), (39 + NEAR, 1), (41 + NEAR, -1)):
        assert step_of(replace(said(1, {}), sample=sample), one) == step
    assert step_of(replace(said(1, {}), scale=1), one) == -1


def test_two_takes_told_apart_in_time_keep_their_own_people() -> None:
    """The scale never rested between them, and one hand was nearer all the time."""
    told = said(1, {"v0": 0.99, "v1": 0.01}), replace(said(1, {"v0": 0.01, "v1": 0.99}), sample=20)
    apart = replace(hands(in_lane(0), in_lane(0, 0.12)), told=told)
    assert run(found([5000, 4342]), who=apart) == [("take", COLA, 1, 0), ("take", COLA, 1, 1)]


def test_two_who_were_told_of_at_once_are_two_although_one_of_them_has_the_nearer_hands() -> None:
    told = said(1, {"v0": 0.55, "v1": 0.45}), said(1, {"v0": 0.45, "v1": 0.55})
    close = replace(hands(in_lane(0), in_lane(0, 0.1)), told=told)
    assert run(found([5000, 4342]), who=close) == [("take", COLA, 1, 0), ("take", COLA, 1, 1)]


def one_by_one(*samples: int) -> Interaction:
    """Units of cola that leave at samples between two rests."""
    end = 60
    at = np.full(end, 5000.0, np.float32)
    for sample in samples:
        at[sample:] -= 330.0
    rests = [Rest(0, 10, at[None, 0]), Rest(50, end, at[None, -1])]
    return Interaction((0,), np.array([0.5], np.float32), tuple(rests), ((samples[0],),), at[None], 0)


def in_turn(*spans: tuple[int, int]) -> Hands:
    """Each person's hand is in the lane from one sample to another, and half a metre away otherwise."""
    near, far = (hands(in_lane(0, away)).hands_m[0, 0] for away in (0.0, 0.5))
    at = np.array([[near if a <= 4 * t < b else far for a, b in spans] for t in range(20)])
    return replace(hands(*(in_lane(0) for _ in spans)), hands_m=at, sd_m=np.full(at.shape[:-1], 0.05))


def test_units_that_left_one_by_one_are_counted_when_they_left() -> None:
    found = one_by_one(20, 34, 35)
    assert found.passed(0, (0, 1), 3) == [20, 34, 35]
    noisy = replace(found, samples=found.samples + np.where(np.arange(60) == 25, 400.0, 0.0).astype(np.float32))
    assert noisy.passed(0, (0, 1), 3) == [
        26,
        34,
        35,
    ]  # a hand pressed: the unit has gone when the scale says so for good
    assert replace(found, samples=np.zeros((0, 0), np.float32)).passed(0, (0, 1), 3) == []


def test_units_that_left_one_by_one_are_each_whose_hand_was_there() -> None:
    two = one_by_one(18, 40)
    assert run(two, who=in_turn((0, 28), (32, 60))) == [("take", COLA, 1, 0), ("take", COLA, 1, 1)]
    assert run(two, who=in_turn((32, 60), (0, 28))) == [("take", COLA, 1, 1), ("take", COLA, 1, 0)]
    assert run(two, who=in_turn((0, 60), (0, 0))) == [("take", COLA, 2, 0)]
    together = one_by_one(30, 32)
    assert run(together, who=in_turn((0, 60), (0, 0))) == [("take", COLA, 2, 0)]
    three = one_by_one(16, 36, 42)
    assert run(three, who=in_turn((0, 26), (30, 60))) == [("take", COLA, 1, 0), ("take", COLA, 2, 1)]


def test_pictures_tell_units_apart_that_hands_do_not() -> None:
    def looks(scale: int, sample: int) -> Look:
        first = float(np.log(0.999 if sample < 30 else 0.001))
        return Look(np.array([first, np.log(1 - np.exp(first))]), {0: 0.0})

    both = in_turn((0, 60), (0, 60))
    assert run(one_by_one(18, 40), who=replace(both, looks=looks)) == [("take", COLA, 1, 0), ("take", COLA, 1, 1)]
    backwards = replace(both, looks=lambda scale, sample: looks(scale, 60 - sample))
    assert run(one_by_one(18, 40), who=backwards) == [("take", COLA, 1, 1), ("take", COLA, 1, 0)]


def test_two_grasps_speak_for_two_people_where_two_are_near() -> None:
    def doubtful(scale: int, sample: int) -> Look:
        return Look(np.log([0.6, 0.4]), {0: 0.0})

    both = replace(in_turn((0, 60), (0, 60)), looks=doubtful)
    apart, at_once = one_by_one(20, 35, 36), one_by_one(34, 35, 36)
    assert sorted(run(apart, who=both)) == [("take", COLA, 1, 1), ("take", COLA, 2, 0)]
    assert run(at_once, who=both) == [("take", COLA, 3, 0)]
    sure = replace(both, looks=lambda scale, sample: Look(np.array([0.0, -9.0]), {0: 0.0}))
    assert run(apart, who=sure) == [("take", COLA, 3, 0)]  # one is seen to have done both
    alone = replace(both, visits=("v0", "v0"))  # two of a group
    assert [units for _, _, units, _ in run(apart, who=alone)] == [3]
    assert run(apart, who=in_turn((30, 60), (0, 0))) == []  # at the first grasp nobody's hand is seen
    group = replace(in_turn((0, 28), (0, 0), (32, 60)), visits=("v0", "v0", "v1"))
    assert run(one_by_one(18, 40), who=group) == [("take", COLA, 1, 0), ("take", COLA, 1, 2)]


def test_pictures_tell_the_lane_where_two_on_one_scale_hold_goods_of_one_mass() -> None:
    one_scale = replace(SCENE, lanes={0: (0, 1)}, learnt=Learnt((330.0, 330.0, 50.0)))
    between = hands(in_lane(0))
    between = replace(between, hands_m=(between.hands_m + hands(in_lane(1)).hands_m) / 2)
    for lane, product in ((0, COLA), (1, BEANS)):
        seen = Look(np.zeros(1), {lane: -0.02, 1 - lane: -4.0})

        def looks(scale: int, sample: int, seen: Look = seen) -> Look:
            return seen

        assert run(found([5000, 4670]), one_scale, replace(between, looks=looks)) == [("take", product, 1, 0)]


def test_an_event_knows_what_else_it_may_have_been() -> None:
    """Products of about the same mass, other lanes of the scale; what is shared by two people is not in doubt."""
    alike = replace(SCENE, lanes={0: (0, 1)}, learnt=Learnt((330.0, 334.0, 50.0)))
    (part,) = split(found([5000, 4670]), alike, hands(in_lane(0)), TABLE)
    (event,) = part.events
    ways = {(way.lane, way.product, way.units): way.cost for way in event.ways}
    assert (0, COLA, 1) not in ways
    assert min(ways[0, BEANS, 1], ways[1, BEANS, 1]) > 0  # a stranger; nobody's hand was there
    assert not any(product == CRISPS for _, product, _ in ways)
    both = hands(in_lane(0), in_lane(0))
    (part,) = split(found([5000, 4340]), SCENE, both, TABLE)
    assert [event.ways for event in part.events] == [(), ()]


def test_of_a_noisy_scale_a_small_step_counts_if_something_was_told_of_it() -> None:
    noisy = found([5000, 4987], noise=10.0)
    tea = replace(SCENE, learnt=Learnt((13.0, 420.0, 50.0)))
    said = Told("e", 0, 0, 15, "take", COLA, 1, {"v0": 1.0}, 0.6)
    assert run(noisy, tea, replace(ALONE, told=(said,))) == [("take", COLA, 1, 0)]
    assert run(noisy, tea) == []


def test_a_step_that_a_noisy_scale_does_not_show_is_looked_for_where_something_was_told() -> None:
    """Units of 32 g on a scale with 8 g of noise: what passes for one rest holds two levels."""
    rng = np.random.Generator(np.random.PCG64(4))
    true = np.repeat([5000.0, 4968.0, 4936.0, 4904.0], 40)
    samples = (true + rng.normal(0, 8.0, len(true))).astype(np.float32)[None]
    spans = [(0, 40), (40, 120), (120, 160)]
    rests = tuple(Rest(a, b, np.median(samples[:, a:b], axis=1).astype(np.float32)) for a, b in spans)
    noisy = Interaction((0,), np.array([8.0], np.float32), rests, ((40,), (120,)), samples, 0)
    tea = replace(SCENE, learnt=Learnt((32.0, 420.0, 50.0)))
    said = tuple(Told(f"e{at}", 0, 0, at + 3, "take", COLA, 1, {"v0": 1.0}, 0.9) for at in (40, 80, 120))
    told = split(noisy, tea, replace(ALONE, told=said), TABLE)
    assert sum(-event.move.signed for part in told for event in part.events) == 3
    alone = split(noisy, tea, replace(ALONE, told=said[:1]), TABLE)
    assert len([event for part in alone for event in part.events]) <= 2
    level = Learnt((400.0, 420.0, 50.0))
    assert divided(noisy, said, replace(SCENE, learnt=level)) == noisy  # such a step would have shown
    assert len(divided(noisy, said, tea).rests) == 4
    assert divided(replace(noisy, samples=np.zeros((0, 0), np.float32)), said, tea).rests == rests


def test_the_decoders_word_is_no_word_against_a_stranger() -> None:
    """It cannot name what lies where it does not belong."""
    alike = replace(SCENE, learnt=Learnt((330.0, 331.0, 660.0)))
    said = Told("e", 0, 0, 15, "take", COLA, 1, {"v0": 1.0}, 0.9)
    costs = []
    for who in (ALONE, replace(ALONE, told=(said,))):
        (part,) = split(found([5000, 4650]), alike, who, TABLE)
        (event,) = part.events
        assert event.move.product == COLA
        costs.append({(way.lane, way.product, way.units): way.cost for way in event.ways})
    silent, told = costs
    assert abs(told[0, BEANS, 1] - silent[0, BEANS, 1]) < 0.1


def timed(*spans: tuple[int, int, float]) -> Interaction:
    """An interaction of one scale with rests (begin, end, grams)."""
    rests = tuple(Rest(begin, end, np.array([grams], np.float32)) for begin, end, grams in spans)
    return Interaction((0,), np.array([0.5], np.float32), rests, tuple((rest.end + 1,) for rest in rests[:-1]))


def test_a_level_that_stays_for_a_second_was_no_hand() -> None:
    """Somebody puts a unit back and another one takes it: no hand presses as much and keeps so still."""
    scene = replace(SCENE, baskets={"v0": {COLA: 1}})
    both = hands(in_lane(0), in_lane(0))
    brief = timed((0, 20, 5000), (24, 31, 5328), (35, 60, 5000))
    long = timed((0, 20, 5000), (24, 44, 5328), (48, 73, 5000))
    assert run(brief, scene, both) == []
    moves = [move.kind for part in split(long, scene, both, TABLE) for move in part.explanation.moves]
    assert moves == ["return", "take"]


def test_a_step_is_made_once() -> None:
    """Taken, back, and taken again: had it gone at the first step only, the level before could not have come again."""
    again = timed((0, 20, 5000), (24, 44, 4671), (48, 68, 5001), (72, 92, 4670))
    assert [kind for kind, *_ in run(again)] == ["take", "return", "take"]
    again = found([5000, 4671, 5001, 4670])
    assert passing(again, 0, 3) > passing(found([5000, 4671, 4671, 4670]), 0, 3) + PUSHED_COST + np.log(PUSHED_G)


def test_of_many_rests_those_with_levels_of_their_own_are_kept_and_steps_stay_where_they_were() -> None:
    """Two scales: a unit goes from one, later from the other, and the rest between them is the shortest of all."""
    spans = [(10 * i, 10 * i + 8, 5000.0 + 2 * (i % 2), 3000.0) for i in range(12)]
    spans += [(124, 130, 4671.0, 3000.0), (140, 160, 4671.0, 2580.0)]
    rests = tuple(Rest(a, b, np.array(grams, np.float32)) for a, b, *grams in spans)
    instants = tuple((rest.end + 1, rest.end + 1) for rest in rests[:-1])
    one = shortened(Interaction((0, 1), np.array([1.0, 1.0], np.float32), rests, instants))
    assert len(one.rests) == MOST_RESTS
    assert rests[-2] in one.rests
    assert one.instants[-2:] == instants[-2:]
    joined = shortened(replace(one, rests=one.rests[:2] * 3 + one.rests[-3:] * 2, instants=one.instants[:1] * 11))
    assert len(joined.rests) == MOST_RESTS


def test_a_step_of_two_scales_that_loses_its_rest_keeps_both_instants() -> None:
    levels = [(5000.0, 3000.0), *((4671.0 - 20 * i, 3000.0) for i in range(9)), (4491.0, 2580.0)]
    rests = tuple(Rest(20 * i, 20 * i + (6 if i == 9 else 12), np.array(g, np.float32)) for i, g in enumerate(levels))
    one = Interaction((0, 1), np.ones(2, np.float32), rests, tuple((rest.end + 1,) * 2 for rest in rests[:-1]))
    short = shortened(one)
    assert rests[9] not in short.rests
    assert short.instants[-1] == (one.instants[8][0], one.instants[9][1])


def exchange(told: Sequence[Told], level: float, wobble: float) -> list[tuple[str, int, int, int]]:
    """What is found where a scale rises for a second, wavers, and falls back."""
    rng = np.random.Generator(np.random.PCG64(2))
    grams = np.repeat([5000.0, level, 5000.0], [40, 24, 60])
    grams[42:62] += rng.normal(0, wobble, 20)
    samples = grams.astype(np.float32)[None]
    calm = np.array([5000], np.float32)
    for rests in ((Rest(0, 124, calm), Rest(124, 130, calm)), (Rest(0, 40, calm), Rest(64, 124, calm))):
        one = Interaction((0,), np.array([0.5], np.float32), rests, ((100,),), samples, 0)
        scene = replace(SCENE, baskets={"v0": {COLA: 1}})
        who = replace(hands(in_lane(0), in_lane(0)), told=tuple(told))
        out = run(one, scene, who)
    return out


def test_what_came_and_went_under_a_restless_hand_is_believed_if_it_was_told() -> None:
    back = Told("r", 0, 0, 41, "return", COLA, 1, {"v0": 0.95, "v1": 0.05}, 0.9)
    taken = Told("t", 0, 0, 66, "take", COLA, 1, {"v0": 0.05, "v1": 0.95}, 0.9)
    both = [("return", COLA, 1, 0), ("take", COLA, 1, 1)]
    assert exchange((back, taken), 5330.0, 15.0) == both
    assert exchange((back, taken), 5330.0, 0.2) == both
    assert exchange((back, taken), 5375.0, 40.0) == both  # a hand presses on it meanwhile
    assert exchange((back, replace(back, event_id="s", sample=66)), 5330.0, 15.0) == []
    assert exchange((), 5330.0, 15.0) == []
    assert exchange((back,), 5330.0, 15.0) == []
    assert exchange((back, replace(taken, sample=66 + EXCHANGE)), 5330.0, 15.0) == []
    assert exchange((back, taken), 5002.0, 1.0) == []


def test_how_long_a_level_stays_says_little_where_the_noise_hides_trembling() -> None:
    spans = ((0, 20, 5000), (24, 54, 5040), (58, 83, 5000))
    quiet, noisy = timed(*spans), replace(timed(*spans), noise=np.array([12.0], np.float32))
    brief = timed(*spans[:1], (24, 30, 5040), *spans[2:])
    assert passing(quiet, 0, 2) > passing(brief, 0, 2) + MOST_UNSTEADY - 0.1
    assert passing(noisy, 0, 2) == passing(replace(brief, noise=noisy.noise), 0, 2)


def test_an_exchange_of_two_is_not_one_who_takes_and_puts_back_within_a_second() -> None:
    """The scale shows one unit taken and put back at once, the witness is undecided about the second."""
    scene = replace(SCENE, baskets={"v1": {COLA: 1}})
    taken = Told("t", 0, 0, 21, "take", COLA, 1, {"v0": 0.95, "v1": 0.05}, 0.95)
    back = Told("r", 0, 0, 41, "return", COLA, 1, {"v0": 0.6, "v1": 0.4}, 0.95)
    two = replace(hands(in_lane(0), in_lane(0)), told=(taken, back))
    soon = timed((0, 20, 5000), (22, 40, 4671), (42, 70, 5000))
    later = timed((0, 20, 5000), (22, 70, 4671), (72, 90, 5000))
    assert run(soon, scene, two) == [("take", COLA, 1, 0), ("return", COLA, 1, 1)]
    late = replace(two, told=(taken, replace(back, sample=71)))
    assert run(later, scene, late) == [("take", COLA, 1, 0), ("return", COLA, 1, 0)]


def test_levels_are_looked_for_between_rests_and_nowhere_else() -> None:
    """What was told before anything was on record, or lies on another level, moves no rest."""
    base = np.repeat([5330.0, 5000.0, 5330.0, 5000.0], [40, 30, 30, 30]).astype(np.float32)
    levels = [Rest(0, 40, np.array([5330], np.float32)), Rest(41, 130, np.array([5000], np.float32))]
    one = Interaction((0,), np.array([0.5], np.float32), tuple(levels), ((40,),), base[None], 0)
    back = Told("r", 0, 0, 45, "return", COLA, 1, {"v0": 1.0}, 0.9)
    taken = replace(back, event_id="t", kind="take")
    (before, first, level, last) = exchanged(one, (back, replace(taken, sample=101))).rests
    assert before == levels[0]
    assert (first.begin, last.end) == (41, 130)
    assert first.end <= level.begin < level.end <= last.begin
    assert level.grams.tolist() == [5330]
    for early in (-200, -60):
        gone = (replace(back, sample=early), replace(taken, sample=early + 20))
        assert exchanged(one, gone) == one
