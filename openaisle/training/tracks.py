"""Tracks of a tick's window for training: noised truth, with errors borrowed from real tracks; real tracks, varied.

In: a journey record, people and a frame. Out: a TrackWindow as the memory would hold it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from openaisle.tokens.journey import ACTIVITIES, FRAMES, LaneTable, TrackWindow, by_reach
from openaisle.training.journeys import JourneyRecord

STRETCHED_M = 0.38  # hands at rest hang nearer to the body's axis
CROWDED_M = 1.0  # somebody else so near hides hands, and has hands of his own there
REACH_M = 0.95  # of an arm from the body's axis
TRIES = 40  # random windows looked at before giving up
CONFUSED_SD_M = (0.13, 0.39)  # what the volume claims of a hand that is somebody else's (5% and 95%, dev/LOG.md)
CONFUSED_FRAMES = 3.0  # mean
Float32 = NDArray[np.float32]


@dataclass(frozen=True)
class Noise:
    """How far training tracks are from the truth (drawn anew for each tick)."""

    hand_m: float = 0.08  # median over ticks; doubled or halved at one sigma
    floor_m: float = 0.04
    lost: float = 0.12  # share of hand frames that are mere guesses
    corrupt: float = 0.06  # share of basket entries and recent events that are wrong
    jitter_s: float = 0.06  # of events, so that one at a tick's border is sometimes told as already written
    missed: float = 0.08  # share of events just before the tick that were not written and must be now
    partial: float = 0.12  # share of several units just before the tick of which too few were written
    no_scales: float = 0.08  # share of ticks without scales
    slow_scales: float = 0.15  # share of ticks whose scales send at half the rate
    borrowed: float = 0.75  # share of noised ticks whose errors are those of real tracks, where there are any
    noised_share: float = 0.1  # share of ticks with noised truth although the record has real tracks
    no_looks: float = 0.25  # share of ticks without held / activity / product evidence
    look_bias: float = 5.0  # of what a hand shows against the catalogue's vector: the same over a tick (median)
    look_noise: float = 0.8  # and anew in every frame
    idle_looks: float = 0.15  # share of empty hands that seem to show something
    confused: float = (
        0.12  # share of noised people beside somebody in whose place a hand of his is believed for a while
    )
    dropped: float = 0.15  # share of real windows without what is held, without activities, without products (each)


def true_tracks(
    record: JourneyRecord, frame: int, people: NDArray[np.int64], noise: Noise, rng: np.random.Generator
) -> TrackWindow:
    """Noised tracks of a record's people over one window."""
    index = np.clip(np.arange(frame, frame + FRAMES), 0, record.floor.shape[1] - 1)
    s = len(people)
    floor, hands = record.floor[people][:, index], record.hands[people][:, index]
    valid = record.present[people][:, index].astype(np.float32)
    scale = np.exp(rng.normal(0, 0.7, (s, 1, 1))).astype(np.float32)
    hand_sd = np.broadcast_to(noise.hand_m * scale, (s, FRAMES, 2)).copy()
    hand_sd[rng.random((s, FRAMES, 2)) < noise.lost] *= 4.0
    walk = correlated(rng, (s, FRAMES, 2, 3))
    hands = hands + walk * hand_sd[..., None]
    floor_sd = np.broadcast_to(noise.floor_m * scale[..., 0], (s, FRAMES)).copy()
    floor = floor + correlated(rng, (s, FRAMES, 2)) * floor_sd[..., None]
    valid *= rng.random((s, FRAMES)) > 0.02
    looks = float(rng.random() > noise.no_looks)
    holding = (record.held[people][:, index] >= 0).astype(np.float32)
    flipped = np.where(rng.random(holding.shape) < 0.2, rng.random(holding.shape), 0.1 + 0.8 * holding) * looks
    one_hot = np.eye(ACTIVITIES, dtype=np.float32)[record.activity[people][:, index]]
    share = rng.uniform(0.1, 0.6)
    soft = share * one_hot + (1 - share) * rng.dirichlet(np.full(ACTIVITIES, 0.5), (s, FRAMES)) if s else one_hot
    told_sd = hand_sd * np.exp(rng.normal(0, 0.3, hand_sd.shape))
    shown = shown_products(record, record.held[people][:, index], noise, rng) * looks
    f32 = np.float32
    return TrackWindow(
        floor.astype(f32), floor_sd.astype(f32), hands.astype(f32), told_sd.astype(f32), flipped.astype(f32),
        (soft * looks).astype(f32), shown.astype(f32), valid.astype(f32),
    )  # fmt: skip


def borrow_errors(
    tracks: TrackWindow, truth: tuple[Float32, Float32], library: Sequence[JourneyRecord], rng: np.random.Generator
) -> TrackWindow:
    """Tracks of a window whose errors are those that real tracks make; truth: floor [S, F, 2], hands [S, F, 2, 3].

    A few tracked simulations are soon known by heart, and errors do not depend on what is bought. Each person gets the
    errors of somebody who reaches as far and has as much company, turned with the arm: stretched hands are cut short
    along it, and those beside somebody are hidden more often.
    """
    floor, hands = truth
    company = crowded(floor)
    for row in range(len(floor)):
        source = library[int(rng.integers(len(library)))]
        assert source.tracked is not None
        reaching = bool(away_from(floor[row], hands[row])[:, 0].max() > STRETCHED_M)
        found = find_window(source, (reaching, bool(company[row])), rng)
        if found is None:
            continue
        person, span = found
        told = source.tracked
        turn = heading(floor[row], hands[row]) - heading(source.floor[person, span], source.hands[person, span])
        c, s = np.cos(turn), np.sin(turn)
        spin = np.stack([np.stack([c, -s], -1), np.stack([s, c], -1)], -2).astype(np.float32)  # [F, 2, 2]
        shift = np.einsum("fij,fj->fi", spin, told.floor_m[person, span] - source.floor[person, span])
        moved = told.hands_m[person, span] - source.hands[person, span]
        tracks.floor_m[row] = floor[row] + shift
        tracks.hands_m[row, ..., :2] = hands[row, ..., :2] + np.einsum("fij,fhj->fhi", spin, moved[..., :2])
        tracks.hands_m[row, ..., 2] = hands[row, ..., 2] + moved[..., 2]
        tracks.floor_sd_m[row], tracks.hand_sd_m[row] = told.floor_sd_m[person, span], told.hand_sd_m[person, span]
    return tracks


def away_from(floor: Float32, hands: Float32) -> Float32:
    """Distance [F, 2] of hands [F, 2, 3] from the body's axis [F, 2]."""
    return np.asarray(np.linalg.norm(hands[..., :2] - floor[:, None], axis=-1), dtype=np.float32)


def heading(floor: Float32, hands: Float32) -> Float32:
    """Angle [F] of the farther hand as seen from the body."""
    arm = hands[:, 0, :2] - floor
    return np.asarray(np.arctan2(arm[:, 1], arm[:, 0]), dtype=np.float32)


def find_window(source: JourneyRecord, wanted: tuple[bool, bool], rng: np.random.Generator) -> tuple[int, slice] | None:
    """A person and a span of FRAMES tracked throughout, as wanted (stretched, crowded); None if none is found."""
    assert source.tracked is not None
    people, frames = source.present.shape
    for _ in range(TRIES):
        person, first = int(rng.integers(people)), int(rng.integers(max(1, frames - FRAMES)))
        span = slice(first, first + FRAMES)
        whole = (source.tracked.valid[person, span] > 0).all() and source.present[person, span].all()
        if whole and frames >= first + FRAMES:
            here = np.flatnonzero(source.present[:, span].all(1))
            near = bool(crowded(source.floor[here, span])[here == person][0])
            reach = away_from(source.floor[person, span], source.hands[person, span])[:, 0].max()
            if (bool(reach > STRETCHED_M), near) == wanted:
                return person, span
    return None


def crowded(floor: Float32) -> NDArray[np.bool_]:
    """Whether each of the people [S, F, 2] has somebody beside them in the middle of a window."""
    middle = floor[:, floor.shape[1] // 2]
    away = np.linalg.norm(middle[:, None] - middle[None], axis=-1) + np.where(np.eye(len(middle)), np.inf, 0.0)
    return np.asarray(away.min(1, initial=np.inf) < CROWDED_M, dtype=np.bool_)


def confuse(tracks: TrackWindow, truth: tuple[Float32, Float32], share: float, rng: np.random.Generator) -> TrackWindow:
    """Tracks in which a hand is now and then believed where somebody else's is.

    truth: floor [S, F, 2], hands [S, F, 2, 3]. It is what heat maps do to a hand that nobody sees:
    the one that shows, of whoever stands beside, is taken for it.
    """
    floor, hands = truth
    frames = floor.shape[1]
    for row in np.flatnonzero(crowded(floor) & (rng.random(len(floor)) < share)):
        first = int(rng.integers(frames))
        away = np.linalg.norm(hands[:, first, :, :2] - floor[row, first], axis=-1)
        away[row] = np.inf
        theirs = np.argwhere(away < REACH_M)
        if not len(theirs):
            continue
        other, side = theirs[int(rng.integers(len(theirs)))]
        span = slice(first, first + int(rng.geometric(1 / CONFUSED_FRAMES)))
        tracks.hands_m[row, span, 0] = hands[other, span, side] + rng.normal(0, 0.05, 3)
        tracks.hand_sd_m[row, span, 0] = np.exp(rng.uniform(*np.log(CONFUSED_SD_M)))
        order = by_reach(tracks.floor_m[row, span], tracks.hands_m[row, span])
        tracks.hands_m[row, span] = np.take_along_axis(tracks.hands_m[row, span], order[..., None], 1)
        tracks.hand_sd_m[row, span] = np.take_along_axis(tracks.hand_sd_m[row, span], order, 1)
    return tracks


def varied(tracks: TrackWindow, share: float, rng: np.random.Generator) -> TrackWindow:
    """Real tracks with hands a little elsewhere, and now and then without what is held, activities or products.

    A few hundred real windows around events would be known by heart: who took what, from how somebody stood.
    """
    s = len(tracks.floor_m)
    hands = tracks.hands_m + 0.1 * tracks.hand_sd_m[..., None] * correlated(rng, (s, FRAMES, 2, 3))
    keep = (rng.random(3) >= share).astype(np.float32)
    return replace(
        tracks, hands_m=np.asarray(hands, dtype=np.float32), held=tracks.held * keep[0],
        activity=tracks.activity * keep[1], product=tracks.product * keep[2],
    )  # fmt: skip


def turned(table: LaneTable, tracks: TrackWindow, angle: float) -> tuple[LaneTable, TrackWindow]:
    """A shop and the people in it, turned about the vertical axis by an angle in radians."""
    c, s = np.cos(angle), np.sin(angle)
    spin = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]], dtype=np.float32)
    return (
        replace(table, rotation=table.rotation @ spin.T),
        replace(tracks, floor_m=tracks.floor_m @ spin[:2, :2].T, hands_m=tracks.hands_m @ spin.T),
    )


def shown_products(record: JourneyRecord, held: NDArray[np.int32], noise: Noise, rng: np.random.Generator) -> Float32:
    """What hands [S, FRAMES, 2] would show a glance: catalogue vectors [.., E], weakened, noised, now and then."""
    s, width = len(held), record.embeddings.shape[1] if record.embeddings is not None else 32
    if record.embeddings is None or not s:
        return np.zeros((s, FRAMES, 2, width), dtype=np.float32)
    products = len(record.embeddings)
    idle = rng.random((s, 1, 2)) < noise.idle_looks
    guess = np.where(idle, rng.integers(0, products, (s, 1, 2)), -1)
    shown = np.where(held >= 0, held, np.broadcast_to(guess, held.shape))
    # one bias per product and hand: the light, the angle and the blur stay for a tick
    sigma = noise.look_bias * np.exp(rng.normal(0, 0.6, (s, 2, 1, 1)))
    bias = rng.standard_normal((s, 2, products, width), dtype=np.float32) * sigma / np.sqrt(width)
    hand = np.arange(2)[None, None, :]
    vector = record.embeddings[shown] + bias[np.arange(s)[:, None, None], hand, shown]
    vector = vector + rng.standard_normal(vector.shape, dtype=np.float32) * noise.look_noise / np.sqrt(width)
    vector /= np.maximum(np.linalg.norm(vector, axis=-1, keepdims=True), 1e-6)
    often = rng.uniform(0.15, 0.95, (s, 1, 2))
    sure = np.where(held >= 0, rng.uniform(0.4, 1.0, held.shape), rng.uniform(0.05, 0.3, held.shape))
    sure = sure * (rng.random(held.shape) < often) * (shown >= 0)
    return np.asarray(vector * sure[..., None], dtype=np.float32)


def real_tracks(record: JourneyRecord, frame: int, people: NDArray[np.int64]) -> TrackWindow:
    """The vision half's own tracks of a record's people over one window."""
    assert record.tracked is not None
    index = np.arange(frame, frame + FRAMES)
    inside = (index >= 0) & (index < record.floor.shape[1])
    index = index.clip(0, record.floor.shape[1] - 1)
    window = TrackWindow(**{name: values[people][:, index].copy() for name, values in vars(record.tracked).items()})
    window.valid[:, ~inside] = 0.0
    return window


def followed(record: JourneyRecord, frame: int, people: NDArray[np.int64]) -> NDArray[np.int64]:
    """Those of the people whom the memory follows somewhere in the window."""
    assert record.tracked is not None
    return people[record.tracked.valid[people, max(0, frame) : frame + FRAMES].any(1)]


def correlated(rng: np.random.Generator, shape: tuple[int, ...]) -> Float32:
    """Unit Gaussian noise, correlated by 0.5 to 0.95 between neighbours along axis 1: a tracker's errors last."""
    white = rng.standard_normal(shape, dtype=np.float32)
    share = np.float32(rng.uniform(0.5, 0.95))
    for i in range(1, shape[1]):
        white[:, i] = share * white[:, i - 1] + np.sqrt(1 - share**2) * white[:, i]
    return white
