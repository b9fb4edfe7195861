"""Ticks cut out of journey records, with noise on the tracks, corrupted baskets, and the events as targets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from openaisle.tokens.journey import (
    FRAME_HZ,
    FRAMES,
    KINDS,
    Candidate,
    RecentEvent,
    TickFeatures,
    TrackWindow,
    tick_features,
    without_scales,
)
from openaisle.tokens.padding import pad_ticks
from openaisle.tokens.scales import HISTORY, HISTORY_S, RATE_HZ, scale_window
from openaisle.training.journeys import JourneyRecord
from openaisle.training.tracks import Noise, borrow_errors, confuse, followed, real_tracks, true_tracks, turned, varied

TAKE, RETURN, HAND_OVER = KINDS.index("take"), KINDS.index("return"), KINDS.index("hand_over")
MAX_EVENTS = 6  # per tick
MAX_QUANTITY = 6
RECENT_S = 3.0
RECOVER_S = 0.8  # what was missed this long before a tick can still be seen in its window
Float32 = NDArray[np.float32]


@dataclass(frozen=True)
class Target:
    """Events of a tick as rows of its features; product_ok [X, C] marks every candidate that names the product."""

    rows: NDArray[np.int64]  # [X, 6] kind, lane, shopper, product, quantity - 1, receiver
    product_ok: NDArray[np.bool_]  # [X, lanes + baskets]


def first_frame(tick_s: float) -> int:
    """First video frame of a tick's window: the last of FRAMES ends at most 1.5 s after the tick's start."""
    return int(np.ceil((tick_s - 1.0) * FRAME_HZ - 1e-6))


def people_in(record: JourneyRecord, frame: int) -> NDArray[np.int64]:
    """Rows of people present in the middle of the window that starts at `frame`."""
    middle = record.present[:, max(0, frame + FRAMES // 3) : frame + FRAMES]
    return np.flatnonzero(middle.any(1)) if middle.size else np.zeros(0, dtype=np.int64)


def history(record: JourneyRecord, tick_s: float) -> Float32:
    """Scale rows [C, HISTORY] around a tick, edges repeated."""
    first = round((tick_s - HISTORY_S) * RATE_HZ)
    index = np.clip(np.arange(first, first + HISTORY), 0, record.grams.shape[1] - 1)
    return record.grams[:, index]


@dataclass(frozen=True)
class Story:
    """A record's events as the decoder is told them at a tick: rows as JourneyRecord.events."""

    written: NDArray[np.int64]  # before the tick, as far as they were written
    wanted: NDArray[np.int64]  # to be written in this tick, in order


def story_at(record: JourneyRecord, tick_s: float, noise: Noise, rng: np.random.Generator) -> Story:
    """Events around a tick with the mistakes of a decoder that reads its own writing.

    An event near the border counts as written or not by a jittered time; some just before the tick were missed or
    only partly written, and are wanted now. Equal events of one tick become one with the sum of their units.
    """
    events = record.events.copy()
    events[:, 0] += np.rint(rng.normal(0, noise.jitter_s * 1000, len(events))).astype(np.int64)
    events = events[np.argsort(events[:, 0], kind="stable")]
    now, end = tick_s * 1000, tick_s * 1000 + 1000
    written = events[events[:, 0] < now].copy()
    wanted = list(events[(events[:, 0] >= now) & (events[:, 0] < end)])
    keep = np.ones(len(written), dtype=bool)
    for i in np.flatnonzero(written[:, 0] > now - RECOVER_S * 1000):
        chance = rng.random()
        if chance < noise.missed:
            keep[i] = False
            wanted.insert(0, events[i])
        elif written[i, 5] > 1 and chance < noise.missed + noise.partial:
            rest = written[i].copy()
            rest[5] = int(rng.integers(1, written[i, 5]))
            written[i, 5] -= rest[5]
            wanted.insert(0, rest)
    return Story(written[keep], merged(wanted))


def merged(rows: list[NDArray[np.int64]]) -> NDArray[np.int64]:
    """Equal events (kind, person, lane, product, receiver) as one, at the place of the first, units added."""
    out: dict[tuple[int, ...], NDArray[np.int64]] = {}
    for row in rows:
        key = (int(row[1]), int(row[2]), int(row[3]), int(row[4]), int(row[6]))
        if key in out:
            out[key][5] += row[5]
        else:
            out[key] = row.copy()
    return np.array(list(out.values()), dtype=np.int64).reshape(-1, 7)


def candidates_at(
    record: JourneyRecord,
    tick_s: float,
    people: NDArray[np.int64],
    story: Story,
    corrupt: tuple[float, np.random.Generator],
) -> tuple[Candidate, ...]:
    """Baskets before a tick (every member of a group may return a group's item) and items known to be misplaced."""
    baskets: dict[tuple[int, int], tuple[int, float]] = {}
    lying: dict[tuple[int, int], tuple[int, float]] = {}
    share, rng = corrupt
    for ms, kind, person, lane, product, quantity, receiver in story.written:
        if rng.random() < share:
            continue
        age, visit = tick_s - ms / 1000, int(record.visit[person])
        sign = 1 if kind == TAKE else -1
        _add(baskets, (visit, int(product)), sign * int(quantity), age)
        if kind == HAND_OVER:
            _add(baskets, (int(record.visit[receiver]), int(product)), int(quantity), age)
        elif record.table.product[lane] != product:
            _add(lying, (int(lane), int(product)), -sign * int(quantity), age)
    out = [
        Candidate(product, quantity, age, shopper=row)
        for (visit, product), (quantity, age) in baskets.items()
        for row, person in enumerate(people)
        if quantity > 0 and record.visit[person] == visit
    ]
    out += [
        Candidate(product, quantity, age, lane=lane)
        for (lane, product), (quantity, age) in lying.items()
        if quantity > 0
    ]
    return tuple(out)


def _add(table: dict[tuple[int, int], tuple[int, float]], key: tuple[int, int], quantity: int, age_s: float) -> None:
    table[key] = (table.get(key, (0, 0.0))[0] + quantity, age_s)


def recent_at(tick_s: float, people: NDArray[np.int64], story: Story) -> tuple[RecentEvent, ...]:
    """Events of the last ticks, as the decoder has written them."""
    row = {int(person): i for i, person in enumerate(people)}
    out = []
    for ms, kind, person, lane, product, quantity, _ in story.written:
        age = tick_s - ms / 1000
        if 0 < age <= RECENT_S:
            out.append(
                RecentEvent(
                    int(kind), row.get(int(person), -1), int(lane), int(product), int(quantity), float(np.ceil(age))
                )
            )
    return tuple(out)


def targets_at(story: Story, people: NDArray[np.int64], features: TickFeatures) -> Target:
    """The tick's events as indices into its features; events in lanes nobody looks at are left out."""
    lane_row = {int(lane): i for i, lane in enumerate(features.lane)}
    person_row = {int(person): i for i, person in enumerate(people)}
    rows, allowed = [], []
    lanes = len(features.lane)
    for _, kind, person, lane, product, quantity, receiver in story.wanted[:MAX_EVENTS]:
        if int(person) not in person_row or (kind != HAND_OVER and int(lane) not in lane_row):
            continue
        if kind == HAND_OVER and int(receiver) not in person_row:
            continue
        shopper, at = person_row[int(person)], lane_row.get(int(lane), 0)
        own = np.concatenate([features.lane_product == product, features.basket_product == product])
        order = np.concatenate(
            [np.where(np.arange(lanes) == at, 0, 2), np.where(features.basket_shopper == shopper, 1, 3)]
        )
        if kind != TAKE and (own[lanes:] & (features.basket_shopper == shopper)).any():
            own[lanes:] &= features.basket_shopper == shopper
        best = int(np.argmin(np.where(own, order, 9))) if own.any() else 0
        rows.append((kind, at, shopper, best, min(quantity, MAX_QUANTITY) - 1, person_row.get(int(receiver), 0)))
        allowed.append(own)
    return Target(
        np.array(rows, dtype=np.int64).reshape(-1, 6),
        np.array(allowed, dtype=bool).reshape(len(rows), lanes + len(features.baskets)),
    )


def sample_tick(
    record: JourneyRecord, noise: Noise, rng: np.random.Generator, library: Sequence[JourneyRecord] = ()
) -> tuple[TickFeatures, Target] | None:
    """A random tick of a record, most of them near an event; None when nobody is there or nothing happens.

    library: tracked records whose errors may be borrowed.
    """
    length_s = record.floor.shape[1] / FRAME_HZ
    if len(record.events) and rng.random() < 0.7:
        chosen = rng.choice(len(record.events), p=rarity(record))
        tick_s = record.events[chosen, 0] / 1000 - rng.uniform(-1.5, 2.0)
    else:
        tick_s = rng.uniform(0, length_s)
    tick_s = float(np.clip(round(tick_s * RATE_HZ) / RATE_HZ, 0, length_s))
    frame = first_frame(tick_s)
    people = people_in(record, frame)
    if not len(people):
        return None
    real = record.tracked is not None and rng.random() > noise.noised_share
    if real:
        people = followed(record, frame, people)
        if not len(people):
            return None
    tracks = real_tracks(record, frame, people) if real else true_tracks(record, frame, people, noise, rng)
    if real:
        tracks = varied(tracks, noise.dropped, rng)
    else:
        index = np.clip(np.arange(frame, frame + FRAMES), 0, record.floor.shape[1] - 1)
        truth = (record.floor[people][:, index], record.hands[people][:, index])
        if len(library) and rng.random() < noise.borrowed:
            tracks = borrow_errors(tracks, truth, library, rng)
        tracks = confuse(tracks, truth, noise.confused, rng)
    table, tracks = turned(record.table, tracks, rng.uniform(0, 2 * np.pi))
    return tick_at(replace(record, table=table), tick_s, (people, tracks), noise, rng)


def rarity(record: JourneyRecord) -> NDArray[np.float64]:
    """How often to draw each event: several units, wrong lanes, lanes without a scale and hand-overs more often."""
    kind, lane, product, quantity = record.events[:, 1], record.events[:, 3], record.events[:, 4], record.events[:, 5]
    at_lane = kind != HAND_OVER
    weight = 1.0 + 1.5 * (quantity > 1) + 0.5 * (kind == RETURN) + 1.0 * ~at_lane
    weight += at_lane * (2.0 * (record.table.product[lane] != product) + 1.0 * (record.table.scale[lane] < 0))
    share: NDArray[np.float64] = weight / weight.sum()
    return share


def tick_at(
    record: JourneyRecord,
    tick_s: float,
    who: tuple[NDArray[np.int64], TrackWindow],
    noise: Noise,
    rng: np.random.Generator,
) -> tuple[TickFeatures, Target] | None:
    """One tick's features and targets for given people and tracks."""
    people, tracks = who
    bare = rng.random() < noise.no_scales
    table = without_scales(record.table) if bare else record.table
    rows = history(record, tick_s)[: 0 if bare else None].copy()
    if rng.random() < noise.slow_scales:
        rows[:, 1::2] = np.nan
    window = scale_window(rows)
    embeddings = record.embeddings
    if embeddings is None:
        embeddings = np.zeros((len(table.unit_grams), tracks.product.shape[-1]), dtype=np.float32)
    story = story_at(record, tick_s, noise, rng)
    baskets = candidates_at(record, tick_s, people, story, (noise.corrupt, rng))
    features = tick_features(table, window, tracks, baskets, recent_at(tick_s, people, story), embeddings)
    target = targets_at(story, people, features)
    if not len(features.lane) and not len(target.rows) and rng.random() > 0.05:
        return None
    return features, target


def collate(ticks: Sequence[tuple[TickFeatures, Target]]) -> dict[str, NDArray[np.generic]]:
    """Padded inputs plus targets: target [B, X, 6], target_mask [B, X], product_ok [B, X, C]."""
    arrays = pad_ticks([features for features, _ in ticks])
    b, longest = len(ticks), max(1, *(len(target.rows) for _, target in ticks))
    lanes, baskets = arrays["lanes"].shape[1], arrays["baskets"].shape[1]
    rows, mask = np.zeros((b, longest, 6), np.int64), np.zeros((b, longest), bool)
    allowed = np.zeros((b, longest, lanes + baskets), bool)
    for i, (features, target) in enumerate(ticks):
        x, own = len(target.rows), len(features.lane)
        rows[i, :x], mask[i, :x] = target.rows, True
        rows[i, :x, 3] += np.where(target.rows[:, 3] >= own, lanes - own, 0)  # candidates start after the padded lanes
        allowed[i, :x, :own] = target.product_ok[:, :own]
        allowed[i, :x, lanes : lanes + len(features.baskets)] = target.product_ok[:, own:]
    return {**arrays, "target": rows, "target_mask": mask, "product_ok": allowed}
