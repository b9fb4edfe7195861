"""Who is who after a close pass: exchanged shoppers are put back, others left alone, galleries stay clean."""

from __future__ import annotations

import numpy as np
import pytest

from openaisle.identity import ALONE_M, LEAST_SLOTS, NOISE, Identities, confirm, known_looks
from openaisle.predictor import Arrays, Float32, floats
from openaisle.tracking import UNCLAIMED_SLOTS, Births, Found, find_unclaimed
from tests.pipeline.scripted import Scripted

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
