"""Errors of real tracks on other people's journeys: as large, turned with the arm, from somebody who reaches as far."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from openaisle.tokens.journey import FRAMES, TrackWindow
from openaisle.training.borrowing import Doing, borrow_errors, doings, find_window
from openaisle.training.journeys import JourneyRecord
from tests.training.scenes import made_up_record

CUT_M = 0.12  # the made-up tracker cuts every arm short by so much


def stretched(record: JourneyRecord, along: tuple[float, float]) -> JourneyRecord:
    """Everybody's far hand half a metre from the body all the time."""
    hands = record.hands.copy()
    hands[..., 0, :2] = record.floor + 0.5 * np.array(along, np.float32)
    return replace(record, hands=hands)


def tracked(record: JourneyRecord) -> JourneyRecord:
    """A record whose tracks cut the far arm short and are 3 cm off beside it."""
    hands = record.hands.copy()
    arm = hands[..., 0, :2] - record.floor
    unit = arm / np.maximum(np.linalg.norm(arm, axis=-1, keepdims=True), 1e-6)
    hands[..., 0, :2] -= CUT_M * unit
    hands[..., 0, :2] += 0.03 * np.stack([-unit[..., 1], unit[..., 0]], axis=-1)
    return replace(record, tracked=window(record.floor, hands))


def window(floor: NDArray[np.float32], hands: NDArray[np.float32]) -> TrackWindow:
    shape = floor.shape[:2]
    f32 = np.float32
    return TrackWindow(
        floor.copy(), np.full(shape, 0.02, f32), hands.copy(), np.full((*shape, 2), 0.07, f32),
        np.zeros((*shape, 2), f32), np.zeros((*shape, 8), f32), np.zeros((*shape, 2, 32), f32), np.ones(shape, f32),
    )  # fmt: skip


def doing(event: int = 0, frame: int = 0, *, far: bool = True, company: bool = True) -> Doing:
    return Doing(event, frame, 0, far, company)


def test_errors_turn_with_the_arm() -> None:
    source = tracked(stretched(made_up_record(), (0.0, 1.0)))
    target = stretched(made_up_record(), (1.0, 0.0))
    floor, hands = target.floor[:, :FRAMES], target.hands[:, :FRAMES]
    wanted = doings(target, np.array([0, 1]), 0)
    borrowed = borrow_errors(window(floor, hands), (floor, hands), wanted, [source], np.random.default_rng(0))
    error = borrowed.hands_m[..., 0, :] - hands[..., 0, :]
    assert np.allclose(error[..., 0], -CUT_M, atol=1e-3)
    assert np.allclose(error[..., 1], 0.03, atol=1e-3)
    assert np.allclose(borrowed.floor_m, floor, atol=1e-3)
    assert np.allclose(borrowed.hand_sd_m, 0.07)


def test_what_somebody_does_is_their_event_or_else_their_activity() -> None:
    record = made_up_record()  # person 0 takes at 6 s, person 1 at 11 s; they stand half a metre apart
    first, second = doings(record, np.array([0, 1]), 25)
    assert (first.event, first.frame, first.crowded) == (1, 5, True)
    assert second == Doing(0, 0, 0, False, True)
    assert doings(record, np.array([1]), 25)[0].crowded is False  # nobody else is asked about
    assert doings(record, np.array([0]), 76)[0].event == 2  # it goes back at 16 s


def test_windows_are_of_those_who_do_the_same_at_the_same_time() -> None:
    source = tracked(made_up_record())
    rng = np.random.default_rng(0)
    for event, frame in ((1, 3), (2, 8)):
        for _ in range(20):
            person, span = find_window(source, doing(event, frame), rng) or (-1, slice(0))
            at = [(row[0] / 200, row[1]) for row in source.events if row[2] == person]
            assert (span.start + frame, event) in at
    assert find_window(source, doing(3, 5), rng) is None  # nobody hands anything over
    for _ in range(20):
        person, span = find_window(source, doing(far=False), rng) or (-1, slice(0))
        assert person >= 0
        assert not any(span.start <= row[0] / 200 < span.stop for row in source.events if row[2] == person)


def test_only_windows_that_reach_as_far_with_as_much_company_and_are_tracked_are_taken() -> None:
    source = tracked(stretched(made_up_record(), (0.0, 1.0)))  # two people half a metre apart
    rng = np.random.default_rng(0)
    assert find_window(source, doing(), rng) is not None
    assert find_window(source, doing(far=False), rng) is None
    assert find_window(source, doing(company=False), rng) is None
    apart = replace(source, floor=source.floor + np.array([[[4.0, 0.0]], [[0.0, 0.0]]], np.float32))
    assert find_window(apart, doing(company=True), rng) is None
    assert source.tracked is not None
    source.tracked.valid[:] = 0.0
    assert find_window(source, doing(), rng) is None
    assert find_window(source, doing(1, 5), rng) is None


def test_beliefs_are_borrowed_with_the_errors_and_held_things_with_an_event_only() -> None:
    source = tracked(made_up_record())
    assert source.tracked is not None
    source.tracked.activity[..., 5], source.tracked.held[:] = 1.0, 0.7
    record = made_up_record()
    frames = slice(25, 25 + FRAMES)  # person 0 takes in it
    floor, hands = record.floor[:, frames], record.hands[:, frames]
    wanted = doings(record, np.array([0, 1]), 25)
    out = borrow_errors(window(floor, hands), (floor, hands), wanted, [source], np.random.default_rng(0))
    assert (out.activity[..., 5] == 1.0).all()
    assert np.allclose(out.held[0], 0.7)
    assert not out.held[1].any()


def test_without_a_window_to_borrow_tracks_stay() -> None:
    source = tracked(stretched(made_up_record(), (0.0, 1.0)))
    resting = made_up_record()
    floor, hands = resting.floor[:, 50:53].repeat(4, 1), resting.hands[:, 50:53].repeat(4, 1)
    before = window(floor, hands)
    wanted = [doing(far=False), doing(far=False)]
    after = borrow_errors(window(floor, hands), (floor, hands), wanted, [source], np.random.default_rng(0))
    assert np.array_equal(before.hands_m, after.hands_m)
