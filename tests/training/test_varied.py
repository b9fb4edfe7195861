"""How training tracks are varied: hands taken for somebody else's, shops turned, real windows with parts left out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from openaisle.tokens.journey import FRAMES, TrackWindow, by_reach, tick_features
from openaisle.tokens.scales import scale_window
from openaisle.training.journeys import JourneyRecord
from openaisle.training.ticks import history, sample_tick
from openaisle.training.tracks import CROWDED_M, Noise, confuse, crowded, real_tracks, turned, varied
from tests.training.scenes import made_up_record
from tests.training.test_borrowed import stretched, window

RNG = np.random.default_rng


def pair(gap_m: float, reach_m: float = 0.5) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Two people side by side: floor [2, F, 2] and hands [2, F, 2, 3], the second one's far hand stretched out."""
    floor = np.zeros((2, FRAMES, 2), np.float32)
    floor[1, :, 0] = gap_m
    hands = np.concatenate([floor[:, :, None].repeat(2, 2), np.full((2, FRAMES, 2, 1), 0.8, np.float32)], -1)
    hands[1, :, 0, 1] += reach_m
    return floor, hands


def test_a_hand_is_taken_for_the_one_beside() -> None:
    floor, hands = pair(0.5)
    out = confuse(window(floor, hands), (floor, hands), 1.0, RNG(1))
    moved = np.linalg.norm(out.hands_m - hands, axis=-1).max(-1) > 0.15  # [2, F]
    assert moved.any()
    for row, frame in np.argwhere(moved):
        others = hands[1 - row, frame]
        to_others = np.linalg.norm(out.hands_m[row, frame][:, None] - others[None], axis=-1).min()
        assert to_others < 0.25
        assert out.hand_sd_m[row, frame].max() > 0.12  # and the volume is not sure of it
    assert (by_reach(out.floor_m, out.hands_m)[..., 0] == 0).all()


def test_nobody_is_confused_with_who_stands_far_away_or_never() -> None:
    for floor, hands in (pair(CROWDED_M + 0.1), pair(0.5)[:1] + pair(0.5)[1:]):
        share = 1.0 if floor[1, 0, 0] > CROWDED_M else 0.0
        out = confuse(window(floor, hands), (floor, hands), share, RNG(1))
        assert np.array_equal(out.hands_m, hands)


def test_company_is_somebody_within_a_metre() -> None:
    assert crowded(pair(0.9)[0]).tolist() == [True, True]
    assert crowded(pair(1.1)[0]).tolist() == [False, False]
    assert crowded(pair(0.9)[0][:1]).tolist() == [False]


def test_a_turned_shop_tells_the_same_of_hands_and_lanes() -> None:
    record = made_up_record()
    frames = slice(25, 25 + FRAMES)
    tracks = window(record.floor[:, frames], record.hands[:, frames])
    scales = scale_window(history(record, 6.0))
    vectors = np.eye(len(record.table.unit_grams), 32, dtype=np.float32)
    straight = tick_features(record.table, scales, tracks, (), (), vectors)
    table, spun = turned(record.table, tracks, 1.1)
    after = tick_features(table, scales, spun, (), (), vectors)
    assert np.allclose(straight.pairs, after.pairs, atol=1e-4)
    assert np.allclose(straight.lanes, after.lanes, atol=1e-4)
    assert straight.lane.tolist() == after.lane.tolist()
    assert np.linalg.norm(spun.floor_m - tracks.floor_m, axis=-1).min() > 0.5


def seen(record: JourneyRecord) -> TrackWindow:
    full = window(record.floor, record.hands)
    return replace(
        full, held=np.ones_like(full.held), activity=np.ones_like(full.activity), product=np.ones_like(full.product)
    )


def test_real_windows_lose_parts_and_jitter_a_little() -> None:
    record = made_up_record()
    tracks = real_tracks(replace(record, tracked=seen(record)), 10, np.array([0, 1]))
    left = np.array([
        [part.any() for part in (out.held, out.activity, out.product)]
        for out in (varied(tracks, 0.3, RNG(seed)) for seed in range(300))
    ])  # fmt: skip
    assert np.allclose(left.mean(0), 0.7, atol=0.09)
    assert abs(np.corrcoef(left.T)[0, 1]) < 0.2
    off = np.linalg.norm(varied(tracks, 0.0, RNG(1)).hands_m - tracks.hands_m, axis=-1)
    assert 0 < off.mean() < 0.03  # a tenth of the deviation that is claimed


def test_ticks_are_drawn_from_shops_turned_any_way() -> None:
    record = stretched(made_up_record(), (0.0, 1.0))
    noise = Noise(hand_m=1e-6, floor_m=1e-6, lost=0.0, borrowed=0.0, confused=0.0, no_scales=0.0)
    rng, angles = RNG(3), []
    for _ in range(80):
        tick = sample_tick(record, noise, rng)
        if tick is not None:
            far = tick[0].shoppers[0][:2]  # of the first frame, seen from the body
            angles.append(np.arctan2(far[1], far[0]))
    assert len(angles) > 40
    assert np.histogram(angles, 4, (-np.pi, np.pi))[0].min() > 4
