"""Who is who after a close pass: exchanged shoppers are put back, others left alone, galleries stay clean."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from openaisle.identity import (
    ALONE_M,
    APART_M,
    BODY_M,
    LEAST_SLOTS,
    MOST_A_SLOT,
    NOISE,
    Identities,
    confirm,
    known_looks,
    log_odds,
)
from openaisle.pipeline import find_lost, set_up
from openaisle.predictor import Arrays, Float32, floats
from openaisle.reconcile import slots_of
from openaisle.state import Shopper, State
from openaisle.tokens.tick import Tick
from openaisle.tracking import (
    TWO_BODIES_M,
    TWO_BODIES_SLOTS,
    UNCLAIMED_SLOTS,
    Births,
    Found,
    find_doubled,
    find_unclaimed,
    two_bodies,
)
from openaisle.writing import track_window
from tests.pipeline.scripted import Scripted
from tests.tokens.corner import corner_store

A = 16
TOKENS = 12  # of each shopper
ANN, BOB = 3, 8  # shopper numbers
RED, BLUE = np.eye(A, dtype=np.float32)[:2]
APART = np.array([[1.0, 1.0], [3.0, 1.0]], np.float32)
NEAR = np.array([[1.0, 1.0], [1.5, 1.0]], np.float32)


def alike(cosine: float) -> tuple[Float32, Float32]:
    """Two unit vectors so alike."""
    other = cosine * RED + np.sqrt(1 - cosine**2) * BLUE
    return RED, np.asarray(other, dtype=np.float32)


def slot(floor: Float32, looks: tuple[Float32, Float32], noise: float = 0.0, seed: int = 0) -> tuple[Arrays, ...]:
    """Memory, votes and attention of a slot in which the rows' tokens look so."""
    rng = np.random.Generator(np.random.PCG64(seed))
    memory = Scripted().place(floor, 0.1)
    memory["appearance"] = np.zeros((2, A), np.float32)
    appearance = np.repeat(np.stack(looks), TOKENS, axis=0) + rng.normal(0, noise, (2 * TOKENS, A))
    votes: Arrays = {"person": np.ones(2 * TOKENS, np.float32), "appearance": appearance.astype(np.float32)}
    attention = np.zeros((2 * TOKENS, 3), np.float32)
    attention[:TOKENS, 0] = attention[TOKENS:, 1] = 1.0
    return memory, votes, {"attention": attention}


def after(
    known: Identities, floor: Float32, looks: tuple[Float32, Float32], slots: int, noise: float = 0.0
) -> tuple[Identities, int, Arrays]:
    """So many slots of that; how many exchanges were undone, and the last memory."""
    undone, memory = 0, Scripted().place(floor, 0.1)
    for i in range(slots):
        memory, votes, told = slot(floor, looks, noise, i)
        known, new = confirm(known, [ANN, BOB], memory, votes, floats(told["attention"]))
        if not np.array_equal(new["floor"], memory["floor"]):
            undone += 1
            looks = (looks[1], looks[0])
        memory = new
    return known, undone, memory


def acquainted(looks: tuple[Float32, Float32] = (RED, BLUE)) -> Identities:
    return after(Identities(), APART, looks, 10)[0]


def test_galleries_learn_from_those_who_stand_alone() -> None:
    known = acquainted()
    assert known.gallery[ANN][0] == pytest.approx(RED, abs=1e-5)
    assert known.gallery[BOB][0] == pytest.approx(BLUE, abs=1e-5)
    assert not known.doubts
    closer = after(known, np.array([[1.0, 1.0], [1.0 + ALONE_M - 0.05, 1.0]], np.float32), (BLUE, RED), 10)[0]
    assert closer.gallery[ANN][0] == pytest.approx(RED, abs=1e-5)  # near one another they teach nothing


def test_shoppers_who_changed_places_are_put_back() -> None:
    known, undone, memory = after(acquainted(), NEAR, (BLUE, RED), 8)
    assert undone == 1
    assert known.gallery[ANN][0] == pytest.approx(RED, abs=1e-5)
    memory, votes, told = slot(NEAR, (BLUE, RED))
    memory["velocity"] = np.array([[1.0, 0.0], [0.0, 2.0]], np.float32)
    known = acquainted()
    for _ in range(8):
        known, put = confirm(known, [ANN, BOB], memory, votes, floats(told["attention"]))
        if not np.array_equal(put["floor"], memory["floor"]):
            break
    assert put["floor"] == pytest.approx(NEAR[::-1])
    assert put["velocity"] == pytest.approx(np.array([[0.0, 2.0], [1.0, 0.0]]))
    assert floats(put["appearance"]) == pytest.approx(np.stack([RED, BLUE]), abs=1e-5)
    assert memory["floor"] == pytest.approx(NEAR)  # what was given is not touched


def test_they_are_put_back_after_they_have_parted_too() -> None:
    known = after(acquainted(), NEAR, (RED, BLUE), 1)[0]  # a doubt begins
    assert after(known, APART, (BLUE, RED), 9)[1] == 1


def test_who_is_who_all_along_stays() -> None:
    known, undone, _ = after(acquainted(), NEAR, (RED, BLUE), 40, noise=0.3)
    assert undone == 0
    assert all(odds <= 0 for odds in known.doubts.values())


def test_those_who_were_never_close_are_not_doubted() -> None:
    assert after(acquainted(), APART, (BLUE, RED), 30)[1] == 0


def test_twins_are_left_alone_and_look_alikes_take_longer() -> None:
    assert after(acquainted((RED, RED)), NEAR, (RED, RED), 60, noise=0.4)[1] == 0
    pair = alike(0.97)
    known = acquainted(pair)
    steps = [after(known, NEAR, (pair[1], pair[0]), slots)[1] for slots in (5, 40)]
    assert steps == [0, 1]
    assert after(acquainted(), NEAR, (BLUE, RED), 6)[1] == 1


def test_a_single_slot_decides_nothing_however_clear() -> None:
    assert after(acquainted(), NEAR, (BLUE, RED), 4)[1] == 0
    assert (2.0 / NOISE**2) > 100.0  # without a limit one slot would


def test_mixed_tokens_and_unknown_looks_decide_nothing() -> None:
    merged = np.array([[1.0, 1.0], [1.2, 1.0]], np.float32)
    assert after(acquainted(), merged, (BLUE, RED), 30)[1] == 0
    fresh = after(Identities(), APART, (RED, BLUE), LEAST_SLOTS - 1)[0]
    assert after(fresh, NEAR, (BLUE, RED), 30)[1] == 0


def test_who_has_left_is_forgotten() -> None:
    known = after(acquainted(), NEAR, (RED, BLUE), 1)[0]
    memory, votes, told = slot(NEAR, (RED, BLUE))
    one = {name: values[:1] for name, values in memory.items()}
    known, _ = confirm(known, [ANN], one, votes, floats(told["attention"])[:, [0, 2]])
    assert set(known.gallery) == {ANN}
    assert not known.doubts


def test_nobody_is_nobody() -> None:
    memory = Scripted().place(np.zeros((0, 2), np.float32), 0.1)
    votes: Arrays = {"person": np.zeros(0, np.float32), "appearance": np.zeros((0, A), np.float32)}
    known, same = confirm(Identities(), [], memory, votes, np.zeros((0, 1), np.float32))
    assert same["floor"].shape == (0, 2)
    assert known_looks(known, [], memory).shape == (0, 16)


def test_of_two_in_one_body_the_one_that_looks_so_is_sent_to_the_body_nobody_has() -> None:
    """Both queries are with Bob; Ann's tokens belong to nobody."""
    known = acquainted()
    memory, _, _ = slot(np.array([[3.0, 1.0], [3.1, 1.0]], np.float32), (BLUE, BLUE))
    memory["mass"] = np.full(2, 6.0, np.float32)
    votes: Arrays = {
        "person": np.ones(TOKENS, np.float32), "appearance": np.tile(RED, (TOKENS, 1)),
        "floor_mean": np.tile(APART[:1], (TOKENS, 1)),
    }  # fmt: skip
    attention = np.tile(np.array([[0.0, 0.0, 1.0]], np.float32), (TOKENS, 1))
    births, found = Births(), None
    for _ in range(UNCLAIMED_SLOTS):
        births, found = find_unclaimed(births, votes, attention, memory, known_looks(known, [ANN, BOB], memory))
    assert isinstance(found, Found)
    assert found.query == 0
    assert found.floor_m == pytest.approx(APART[0], abs=1e-3)
    apart = {**memory, "floor": np.array([[3.0, 1.0], [5.0, 1.0]], np.float32)}
    births, found = Births(), None
    for _ in range(UNCLAIMED_SLOTS):
        births, found = find_unclaimed(births, votes, attention, apart, known_looks(known, [ANN, BOB], apart))
    assert found is not None
    assert found.query == -1  # each has a body: somebody new


def test_somebody_before_one_of_two_is_no_exchange() -> None:
    """Ann looks like herself, and where Bob stands a third shows, who looks more like Ann: they stay who they are."""
    third = (RED * 1.3 + np.eye(A, dtype=np.float32)[2] * 0.4).astype(np.float32)
    assert log_odds((RED, third), (RED, BLUE)) == 0.0
    assert log_odds((BLUE, RED), (RED, BLUE)) == MOST_A_SLOT
    assert log_odds((RED, BLUE), (RED, BLUE)) == -MOST_A_SLOT
    mixed = (0.6 * RED + 0.4 * BLUE).astype(np.float32)
    assert log_odds((mixed, BLUE), (RED, BLUE)) < 0  # one says little, the other one says they stay
    known, undone, _ = after(acquainted(), NEAR, (RED, third), 30)
    assert undone == 0
    assert max(known.doubts.values()) <= 0


@pytest.mark.parametrize("whose", [0, 1])
def test_of_two_in_one_body_the_one_that_does_not_look_so_is_a_ghost(whose: int) -> None:
    one = np.array([[3.0, 1.0], [3.0 + 0.9 * BODY_M, 1.0]], np.float32)
    looks = (RED, BLUE)[whose]
    known = acquainted()
    assert known.ghosts == frozenset()
    known = after(known, one, (looks, looks), 1, NOISE)[0]
    assert known.ghosts == frozenset()  # a single slot decides nothing
    known = after(known, one, (looks, looks), 4, NOISE)[0]
    assert known.ghosts == {(BOB, ANN)[whose]}
    moving = np.array([[3.0, 1.0], [3.0 + 0.9 * APART_M, 1.0]], np.float32)
    assert after(known, moving, (looks, looks), 1)[0].ghosts == known.ghosts  # half out of it
    assert after(known, APART, (RED, BLUE), 1)[0].ghosts == frozenset()


def test_near_is_not_in_one_body_and_who_is_not_known_is_no_ghost() -> None:
    near = np.array([[3.0, 1.0], [3.0 + 1.1 * BODY_M, 1.0]], np.float32)
    one = np.array([[3.0, 1.0], [3.0, 1.0]], np.float32)
    assert after(acquainted(), near, (BLUE, BLUE), 10)[0].ghosts == frozenset()
    assert after(Identities(), one, (BLUE, BLUE), 10)[0].ghosts == frozenset()
    assert after(acquainted(alike(0.99)), one, (RED, RED), 4)[0].ghosts == frozenset()


def doubled(apart_m: float, seed: int = 0, first: Float32 = RED) -> tuple[Arrays, Float32]:
    """Votes for two bodies so far apart, all of which Bob's query (1) has; Ann is in the body of a third (0 and 2)."""
    rng = np.random.Generator(np.random.PCG64(seed))
    middles = np.array([[5.0, 2.0], [5.0, 2.0 + apart_m]])
    place = np.repeat(middles, TOKENS, axis=0) + rng.normal(0, 0.08, (2 * TOKENS, 2))
    looks = np.repeat(np.stack([first, BLUE]), TOKENS, axis=0)
    votes: Arrays = {
        "person": np.ones(2 * TOKENS, np.float32),
        "floor_mean": place.astype(np.float32),
        "appearance": looks,
    }
    attention = np.zeros((2 * TOKENS, 4), np.float32)
    attention[:, 1] = 1.0
    return votes, attention


def test_a_ghost_is_where_another_query_follows_two_bodies() -> None:
    known = np.stack([RED, BLUE, np.eye(A, dtype=np.float32)[2]])
    births, found = Births(), None
    for seed in range(TWO_BODIES_SLOTS):
        assert found is None
        births, found = find_doubled(births, *doubled(0.6, seed), [0], known)
    assert found is not None
    assert found.query == 0
    assert found.floor_m == pytest.approx([5.0, 2.0], abs=0.1)  # the one that looks like Ann
    births, found = Births(), None
    for _ in range(TWO_BODIES_SLOTS):
        births, found = find_doubled(births, *doubled(0.6), [0], known[[1, 0, 2]])
    assert found is not None
    assert found.floor_m == pytest.approx([5.0, 2.6], abs=0.1)


def test_a_run_sends_a_ghost_to_its_own_body() -> None:
    """Ann's query is in the body of a third; Bob's follows Bob and Ann."""
    third = np.eye(A, dtype=np.float32)[2]
    predictor = Scripted()
    setup, state = set_up(corner_store(), predictor)
    memory = predictor.place(np.array([[1.0, 1.0], [5.0, 2.3], [1.0, 1.0]], np.float32), 0.1)
    memory["mass"] = np.full(3, 20.0, np.float32)
    shoppers = (Shopper(ANN, "ann", 0), Shopper(BOB, "bob", 0), Shopper(9, "third", 0))
    gallery = {ANN: (RED, 10.0), BOB: (BLUE, 10.0), 9: (third, 10.0)}
    quiet = Tick(0, 0, ((),) * 5, np.zeros((0, 20), np.float32), ())
    for sharing, moved in (({(ANN, 9): -20.0}, True), ({(ANN, 9): -2.0}, False)):
        after = replace(state, memory=dict(memory), shoppers=shoppers, identities=Identities(gallery, {}, sharing))
        for seed in range(TWO_BODIES_SLOTS):
            after = find_lost(after, *doubled(0.6, seed), quiet, predictor, setup)
        floor = floats(after.memory["floor"])
        assert floor[0] == pytest.approx([5.0, 2.0] if moved else [1.0, 1.0], abs=0.1)
        assert np.array_equal(floor[1:], memory["floor"][1:])


def test_without_a_ghost_or_with_one_body_nobody_is_moved() -> None:
    known = np.stack([RED, BLUE, np.eye(A, dtype=np.float32)[2]])
    for ghosts, apart in (([], 0.6), ([0], 0.8 * TWO_BODIES_M), ([0], 0.0), ([1], 0.6)):
        births = Births()
        for seed in range(5):
            births, found = find_doubled(births, *doubled(apart, seed), ghosts, known)
            assert found is None
    births = find_doubled(Births(), *doubled(0.6), [0], known)[0]
    births = find_doubled(births, *doubled(0.0), [0], known)[0]  # not twice in a row
    assert find_doubled(births, *doubled(0.6), [0], known)[1] is None


def test_two_bodies_have_tokens_enough_each() -> None:
    votes, attention = doubled(0.6)
    place = floats(votes["floor_mean"])
    both = two_bodies(place, attention[:, 1])
    assert both is not None
    assert sorted(both[0][:, 1].tolist()) == pytest.approx([2.0, 2.6], abs=0.1)
    assert both[1][:TOKENS].all() != both[1][TOKENS:].all()
    few = attention[:, 1].copy()
    few[4:TOKENS] = 0.0  # an arm
    assert two_bodies(place, few) is None
    assert two_bodies(place, 0.5 * attention[:, 1]) is None  # too few of both
    assert two_bodies(place[:0], few[:0]) is None


def test_nothing_is_known_of_a_ghosts_hands() -> None:
    fresh = Scripted().place(APART, 0.1)
    memory = {**fresh, "product": np.zeros((2, 2, 4), np.float32), "held": np.zeros((2, 2), np.float32)}
    rows = {**memory, "number": np.array([ANN, BOB]), "ghost": np.array([False, True])}
    shoppers = (Shopper(ANN, "ann", 0), Shopper(BOB, "bob", 0))
    state = State((), memory, shoppers, window=(rows,) * 5)
    assert [set(slot.hands) for slot in slots_of(state)] == [{ANN}] * 5
    assert [set(slot.heads) for slot in slots_of(state)] == [{ANN}] * 5
    window = track_window(state)
    assert window.valid[0, -5:].all()
    assert not window.valid[1].any()
