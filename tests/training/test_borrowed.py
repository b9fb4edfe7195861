"""Errors of real tracks on other people's journeys: as large, turned with the arm, from somebody who reaches as far."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from openaisle.tokens.journey import FRAMES, TrackWindow
from openaisle.training.journeys import JourneyRecord
from openaisle.training.tracks import borrow_errors, find_window
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
    unit = arm / np.linalg.norm(arm, axis=-1, keepdims=True)
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


def test_errors_turn_with_the_arm() -> None:
    source = tracked(stretched(made_up_record(), (0.0, 1.0)))
    target = stretched(made_up_record(), (1.0, 0.0))
    floor, hands = target.floor[:, :FRAMES], target.hands[:, :FRAMES]
    borrowed = borrow_errors(window(floor, hands), (floor, hands), [source], np.random.default_rng(0))
    error = borrowed.hands_m[..., 0, :] - hands[..., 0, :]
    assert np.allclose(error[..., 0], -CUT_M, atol=1e-3)
    assert np.allclose(error[..., 1], 0.03, atol=1e-3)
    assert np.allclose(borrowed.floor_m, floor, atol=1e-3)
    assert np.allclose(borrowed.hand_sd_m, 0.07)


def test_only_windows_that_reach_as_far_with_as_much_company_and_are_tracked_are_taken() -> None:
    source = tracked(stretched(made_up_record(), (0.0, 1.0)))  # two people half a metre apart
    rng = np.random.default_rng(0)
    assert find_window(source, (True, True), rng) is not None
    assert find_window(source, (False, True), rng) is None
    assert find_window(source, (True, False), rng) is None
    assert find_window(
        replace(source, floor=source.floor * np.array([[[4.0, 1.0]], [[1.0, 1.0]]], np.float32)), (True, False), rng
    )
    assert source.tracked is not None
    source.tracked.valid[:] = 0.0
    assert find_window(source, (True, True), rng) is None


def test_without_a_window_to_borrow_tracks_stay() -> None:
    source = tracked(stretched(made_up_record(), (0.0, 1.0)))
    resting = made_up_record()
    floor, hands = resting.floor[:, 50:53].repeat(4, 1), resting.hands[:, 50:53].repeat(4, 1)
    before = window(floor, hands)
    after = borrow_errors(window(floor, hands), (floor, hands), [source], np.random.default_rng(0))
    assert np.array_equal(before.hands_m, after.hands_m)
