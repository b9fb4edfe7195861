"""Errors of real tracks for people of other journeys: of somebody who did the same, as far out and in as much company.

A few tracked simulations are soon known by heart, and errors do not depend on what is bought. What they do depend on:
a stretched hand is cut short along the arm; beside somebody hands are hidden, or taken for the other one's; who takes
something looks like it for a while, and so, sometimes, does the one who stands beside.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from openaisle.tokens.journey import FRAME_HZ, FRAMES, TrackWindow
from openaisle.training.journeys import JourneyRecord

STRETCHED_M = 0.38  # hands at rest hang nearer to the body's axis
CROWDED_M = 1.0  # somebody else so near hides hands, and has hands of his own there
TRIES, RECORDS = 20, 4  # windows of a record that are looked at, and records, before giving up
MIDDLE = FRAMES // 2
Float32 = NDArray[np.float32]


@dataclass(frozen=True)
class Doing:
    """What somebody does in a window: the kind of an event in it (0 = none) and its frame; else the activity."""

    event: int
    frame: int
    activity: int
    stretched: bool
    crowded: bool


def doings(record: JourneyRecord, people: NDArray[np.int64], frame: int) -> list[Doing]:
    """What each of the people does in the window that begins at a frame (its edges repeated beyond the record)."""
    index = np.clip(np.arange(frame, frame + FRAMES), 0, record.floor.shape[1] - 1)
    floor, hands = record.floor[people][:, index], record.hands[people][:, index]
    company = crowded(floor)
    out = []
    for row, person in enumerate(people):
        at = event_frames(record, int(person)) - frame
        inside = np.flatnonzero((at >= 0) & (at < FRAMES))
        event, when = 0, 0
        if len(inside):
            nearest = inside[np.abs(at[inside] - MIDDLE).argmin()]
            event, when = int(events_of(record, int(person))[nearest, 1]), int(at[nearest])
        stretched = bool(away_from(floor[row], hands[row])[:, 0].max() > STRETCHED_M)
        out.append(Doing(event, when, int(record.activity[person, index[MIDDLE]]), stretched, bool(company[row])))
    return out


def events_of(record: JourneyRecord, person: int) -> NDArray[np.int64]:
    """A person's events, as JourneyRecord.events."""
    mine: NDArray[np.int64] = record.events[record.events[:, 2] == person]
    return mine


def event_frames(record: JourneyRecord, person: int) -> NDArray[np.int64]:
    """The video frames of a person's events."""
    return np.rint(events_of(record, person)[:, 0] * FRAME_HZ / 1000).astype(np.int64)


def borrow_errors(
    tracks: TrackWindow,
    truth: tuple[Float32, Float32],
    wanted: Sequence[Doing],
    library: Sequence[JourneyRecord],
    rng: np.random.Generator,
) -> TrackWindow:
    """Tracks of a window with real tracks' errors of place, and what those believed of activities and holding.

    truth: floor [S, F, 2], hands [S, F, 2, 3]; wanted: what each of the S does. Errors are turned with the arm. Whoever
    finds nobody alike in a few records of the library keeps what they have.
    """
    floor, hands = truth
    for row, doing in enumerate(wanted):
        for _ in range(RECORDS):
            source = library[int(rng.integers(len(library)))]
            found = find_window(source, doing, rng)
            if found is not None:
                break
        else:
            continue
        person, span = found
        told = source.tracked
        assert told is not None
        turn = heading(floor[row], hands[row]) - heading(source.floor[person, span], source.hands[person, span])
        c, s = np.cos(turn), np.sin(turn)
        spin = np.stack([np.stack([c, -s], -1), np.stack([s, c], -1)], -2).astype(np.float32)  # [F, 2, 2]
        shift = np.einsum("fij,fj->fi", spin, told.floor_m[person, span] - source.floor[person, span])
        moved = told.hands_m[person, span] - source.hands[person, span]
        tracks.floor_m[row] = floor[row] + shift
        tracks.hands_m[row, ..., :2] = hands[row, ..., :2] + np.einsum("fij,fhj->fhi", spin, moved[..., :2])
        tracks.hands_m[row, ..., 2] = hands[row, ..., 2] + moved[..., 2]
        tracks.floor_sd_m[row], tracks.hand_sd_m[row] = told.floor_sd_m[person, span], told.hand_sd_m[person, span]
        tracks.activity[row] = told.activity[person, span]
        if doing.event:  # else who holds what is another story
            tracks.held[row] = told.held[person, span]
    return tracks


def find_window(source: JourneyRecord, wanted: Doing, rng: np.random.Generator) -> tuple[int, slice] | None:
    """A person and a span of FRAMES, tracked throughout, in which the same is done; None if none is found."""
    frames = source.present.shape[1]
    for person, first in candidates(source, wanted, rng):
        span = slice(first, first + FRAMES)
        if first < 0 or first + FRAMES > frames or not tracked_throughout(source, person, span):
            continue
        here = np.flatnonzero(source.present[:, span].all(1))
        near = bool(crowded(source.floor[here, span])[here == person][0])
        if near == wanted.crowded and (wanted.event or does_the_same(source, person, span, wanted)):
            return person, span
    return None


def candidates(source: JourneyRecord, wanted: Doing, rng: np.random.Generator) -> list[tuple[int, int]]:
    """People and first frames to look at: with such an event at such a frame, or any."""
    if not wanted.event:
        people, frames = source.present.shape
        first = rng.integers(max(1, frames - FRAMES), size=TRIES)
        return list(zip(rng.integers(people, size=TRIES).tolist(), first.tolist(), strict=True))
    alike = source.events[source.events[:, 1] == wanted.event]
    chosen = alike[rng.permutation(len(alike))[:TRIES]]
    first = np.rint(chosen[:, 0] * FRAME_HZ / 1000).astype(np.int64) - wanted.frame
    return list(zip(chosen[:, 2].tolist(), first.tolist(), strict=True))


def tracked_throughout(source: JourneyRecord, person: int, span: slice) -> bool:
    """Whether somebody was there and followed in every frame."""
    assert source.tracked is not None
    return bool((source.tracked.valid[person, span] > 0).all() and source.present[person, span].all())


def does_the_same(source: JourneyRecord, person: int, span: slice, wanted: Doing) -> bool:
    """Whether somebody without an event in the span is as wanted in activity and reach."""
    at = event_frames(source, person)
    if ((at >= span.start) & (at < span.stop)).any():
        return False
    reach = away_from(source.floor[person, span], source.hands[person, span])[:, 0].max()
    return bool(reach > STRETCHED_M) == wanted.stretched and (
        int(source.activity[person, span.start + MIDDLE]) == wanted.activity
    )


def crowded(floor: Float32) -> NDArray[np.bool_]:
    """Whether each of the people [S, F, 2] has somebody beside them in the middle of a window."""
    middle = floor[:, floor.shape[1] // 2]
    away = np.linalg.norm(middle[:, None] - middle[None], axis=-1) + np.where(np.eye(len(middle)), np.inf, 0.0)
    return np.asarray(away.min(1, initial=np.inf) < CROWDED_M, dtype=np.bool_)


def away_from(floor: Float32, hands: Float32) -> Float32:
    """Distance [F, 2] of hands [F, 2, 3] from the body's axis [F, 2]."""
    return np.asarray(np.linalg.norm(hands[..., :2] - floor[:, None], axis=-1), dtype=np.float32)


def heading(floor: Float32, hands: Float32) -> Float32:
    """Angle [F] of the farther hand as seen from the body."""
    arm = hands[:, 0, :2] - floor
    return np.asarray(np.arctan2(arm[:, 1], arm[:, 0]), dtype=np.float32)
