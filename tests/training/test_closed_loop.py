"""Tracks of closed-loop records belong to whose body they follow, whatever name the tracker gave them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from openaisle.tokens.journey import TrackWindow
from openaisle.training import closed_loop, journeys
from openaisle.training.closed_loop import LOST_M, rightful, tracked_record
from openaisle.training.frames import ShardSpec
from openaisle.training.journeys import JourneyRecord
from tests.pipeline.scripted import Scripted
from tests.training.scenes import made_up_record
from tests.training.test_borrowed import window
from tests.training.test_glance import SCENARIO, SEED, small_shop

FRAMES = 40


def pair() -> tuple[JourneyRecord, TrackWindow]:
    """Two people two metres apart, and perfect tracks of both."""
    one = made_up_record()
    floor = np.stack([one.floor[0, :FRAMES], one.floor[0, :FRAMES] + np.float32(2.0)])
    hands = np.stack([one.hands[0, :FRAMES], one.hands[0, :FRAMES] + np.float32(2.0)])
    record = replace(one, floor=floor, hands=hands, present=np.ones((2, FRAMES), bool))
    return record, window(floor, hands)


def exchanged(tracks: TrackWindow, frames: slice) -> TrackWindow:
    """Both tracks in each other's places for a while."""
    moved = {name: values.copy() for name, values in vars(tracks).items()}
    for values in moved.values():
        values[:, frames] = values[::-1, frames]
    return TrackWindow(**moved)


def test_right_tracks_stay() -> None:
    record, tracks = pair()
    for name, values in vars(rightful(record, tracks)).items():
        assert np.array_equal(values, getattr(tracks, name)), name


def test_exchanged_tracks_are_given_back_for_as_long_as_they_were_exchanged() -> None:
    record, tracks = pair()
    tracks.hand_sd_m[1] = 0.3  # all that is told of a track goes with it
    mended = rightful(record, exchanged(tracks, slice(10, 25)))
    for name, values in vars(mended).items():
        assert np.array_equal(values, getattr(tracks, name)), name


def test_a_track_that_follows_nobody_is_not_valid() -> None:
    record, tracks = pair()
    tracks.floor_m[1, 5:9] += np.float32(LOST_M)
    record.present[0, 20:] = False
    valid = rightful(record, tracks).valid
    assert valid[1].tolist() == [0.0 if 5 <= f < 9 else 1.0 for f in range(FRAMES)]
    assert valid[0].tolist() == [1.0 if f < 20 else 0.0 for f in range(FRAMES)]


def test_of_two_tracks_at_one_body_the_nearer_one_is_its() -> None:
    record, tracks = pair()
    tracks.floor_m[:] = record.floor[1] + np.float32(0.1)
    tracks.floor_m[1] += np.float32(0.1)
    tracks.hand_sd_m[0] = 0.3
    mended = rightful(record, tracks)
    assert (mended.hand_sd_m[1] == np.float32(0.3)).all()
    assert not mended.valid[0].any()
    assert mended.valid[1].all()


def test_one_track_is_not_two_peoples() -> None:
    record, tracks = pair()
    record.floor[1] = record.floor[0] + np.float32(0.2)
    tracks.floor_m[0] = record.floor[0]
    tracks.floor_m[1] = record.floor[0] + np.float32(9.0)
    mended = rightful(record, tracks)
    assert mended.valid[0].all()
    assert not mended.valid[1].any()


def test_a_followed_simulation_holds_the_trackers_tracks_as_they_belong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(closed_loop, "open_store", lambda text, seed: small_shop())
    monkeypatch.setattr(journeys, "open_store", lambda text, seed: small_shop())
    for module in (closed_loop, journeys):
        monkeypatch.setattr(module, "load_scenario", lambda name: SCENARIO)
    given: list[TrackWindow] = []

    def noted(record: JourneyRecord, tracks: TrackWindow) -> TrackWindow:
        given.append(tracks)
        return replace(tracks, valid=tracks.valid * 0.5)

    monkeypatch.setattr(closed_loop, "rightful", noted)
    record = tracked_record(ShardSpec("tiny", "solo", SEED), Scripted())
    (tracks,) = given
    assert record.tracked is not None
    assert np.array_equal(record.tracked.valid, tracks.valid * 0.5)
    assert tracks.valid.shape == record.present.shape
    inside = record.present[0]
    assert (tracks.valid[0][inside] > 0).mean() > 0.9
    assert (tracks.valid[0][~inside] > 0).sum() <= 2  # a frame at the door, before and after


def test_nobody_has_no_tracks() -> None:
    record, tracks = pair()
    record.present[:] = False
    assert not rightful(record, tracks).valid.any()
