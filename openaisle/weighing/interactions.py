"""Interactions: scales side by side that are moved, from the level before to the level after, with every rest between.

In: samples of all scales, tick by tick. Out: for each group of scales that has come to rest, its levels over time, as
rests: spans in which none of them moves. A step between two rests happened at the instant of the steepest change.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from openaisle.tokens.scales import RATE_HZ, fill_gaps
from openaisle.weighing.goods import Goods, clusters

SETTLED = RATE_HZ  # samples of quiet that end an interaction
REST = 6  # samples: a hand that goes on at once leaves hardly more
LONGEST = 16 * RATE_HZ  # of an interaction: then what has come to rest so far is explained
KEPT = 45 * RATE_HZ  # samples that are remembered
RANGE_NOISES, RANGE_G = 6.0, 4.0  # range of the samples of a second at rest
REST_NOISES, REST_G = 4.0, 3.0  # and of a short one
CHANGED_NOISES, CHANGED_G = 1.6, 3.0  # a level that differs so much has a reason
MOST_MISSING = 0.8
LEAST_NOISE_G = 0.3
Float32 = NDArray[np.float32]


@dataclass(frozen=True)
class Rest:
    """A span of samples (end exclusive) in which a group's scales stay at their levels in grams [K].

    loose: by how much [K] more than by noise they waver meanwhile; None = not at all.
    """

    begin: int
    end: int
    grams: Float32
    loose: Float32 | None = None


@dataclass(frozen=True)
class Interaction:
    """A group's scales (ascending) with its rests: the first is the level before, the last the one after."""

    scales: tuple[int, ...]
    noise: Float32  # [K] a sample's deviation
    rests: tuple[Rest, ...]
    instants: tuple[tuple[int, ...], ...]  # by step between neighbouring rests, by scale: sample of its steepest change
    samples: Float32 = field(default_factory=lambda: np.zeros((0, 0), dtype=np.float32))  # [K, T] grams all along
    begin: int = 0  # number of the first sample

    def passed(self, row: int, span: tuple[int, int], units: int) -> list[int]:
        """When each of several equal units left or came, between two rests: samples, one for each unit.

        A unit has gone once the scale stays on the far side of the middle of its step.
        """
        one, other = self.rests[span[0]], self.rests[span[1]]
        first, last = one.end - self.begin, other.begin - self.begin + 1
        part = self.samples[row, max(0, first) : max(0, last)] if len(self.samples) else np.zeros(0, np.float32)
        if not len(part):
            return []
        share = (part - one.grams[row]) / (other.grams[row] - one.grams[row])
        steps = (np.arange(units) + 0.5) / units
        before = share[None] < steps[:, None]  # [units, T]
        gone = np.where(before.any(1), part.size - np.argmax(before[:, ::-1], axis=1), 0)
        return [self.begin + max(0, first) + int(at) for at in gone.tolist()]


@dataclass(frozen=True)
class Watch:
    """What is remembered of all scales: samples up to now, and the level from which each is to be explained."""

    samples: Float32 = field(default_factory=lambda: np.zeros((0, 0), dtype=np.float32))  # [C, T], no gaps
    end: int = 0  # number of samples since the beginning, kept or not
    level: Mapping[int, tuple[int, float]] = field(default_factory=dict)  # scale → (sample, grams)
    noise: Float32 = field(default_factory=lambda: np.zeros(0, dtype=np.float32))  # [C]
    open: frozenset[int] = frozenset()

    def part(self, scales: Sequence[int], begin: int, end: int) -> Float32:
        """Samples [K, end - begin], as far as they are kept."""
        first = self.end - self.samples.shape[1]
        return self.samples[list(scales), max(0, begin - first) : max(0, end - first)]


def watch(
    known: Watch, grams: Float32, history: Float32, goods: Goods, *, heard: bool = True
) -> tuple[Watch, list[Interaction]]:
    """After a tick's samples [C, n] (history: those of the last seconds, with gaps): the interactions that are over.

    heard: somebody writes of what they see, and is waited for: before the quiet there must be as long at its level.
    """
    if not len(grams):
        return replace(known, end=known.end + RATE_HZ), []
    now = extended(known, grams)
    now = replace(now, level={s: at for s, at in now.level.items() if s in goods.places})  # what is mute begins anew
    last, before = now.samples[:, -SETTLED:], now.samples[:, -2 * SETTLED : -SETTLED]
    spread, level = np.ptp(last, axis=1), last.mean(1)
    missing = np.isnan(history[:, -2 * SETTLED :]).mean(1)
    gap = np.isnan(history[:, -SETTLED:]).all(1)  # the last reading is held on to meanwhile, which is no rest
    least = np.maximum(CHANGED_G, CHANGED_NOISES * now.noise)
    moved = np.abs(before.mean(1) - level) > least if heard and before.shape[1] else np.zeros_like(gap)
    moving = (gap | moved | (spread > np.maximum(RANGE_NOISES * now.noise, RANGE_G))) & (missing < MOST_MISSING)
    changed = {s for s, (_, old) in now.level.items() if abs(float(level[s]) - old) > least[s]}
    busy = set(np.flatnonzero(moving).tolist())
    opened = {s for s in now.open | busy | changed if s in now.level and missing[s] < MOST_MISSING}
    done: list[Interaction] = []
    levels, still = dict(now.level), set[int]()
    for group in groups(now, opened, busy, goods):
        found = over(now, tuple(sorted(group)), bool(group & busy))
        if found is None:
            still |= group
            continue
        done.append(found)
        last_rest = found.rests[-1]
        for i, scale in enumerate(found.scales):
            levels[scale] = (last_rest.end, float(last_rest.grams[i]))
        if group & busy:
            still |= group
    beside = {other for s in still for other in goods.beside.get(s, ())}
    for scale in sorted(s for s in goods.places if s >= 0):
        if scale not in still and scale not in busy and (scale not in beside or scale not in levels):
            levels[scale] = (now.end, float(level[scale]))
    return replace(now, level=levels, open=frozenset(still)), done


def groups(now: Watch, opened: set[int], busy: set[int], goods: Goods) -> Iterator[set[int]]:
    """Open scales side by side; those that are at rest go without neighbours that never come to rest."""
    for group in clusters(opened, goods):
        begin = min(now.level[s][0] for s in group)
        restless = group & busy
        if restless and group - restless and now.end - begin >= LONGEST:
            yield restless
            yield from clusters(group - restless, goods)
        else:
            yield group


def extended(known: Watch, grams: Float32) -> Watch:
    """The samples with a tick's more."""
    filled = fill_gaps(np.concatenate([known.samples[:, -1:], grams], axis=1) if known.end else grams)[0]
    samples = np.concatenate([known.samples, filled[:, -grams.shape[1] :]], axis=1) if known.end else filled
    samples = samples[:, -KEPT:]
    return replace(known, samples=samples, end=known.end + grams.shape[1], noise=quiet_noise(samples))


def quiet_noise(rows: Float32) -> Float32:
    """A sample's deviation [C] where half seconds are quietest."""
    parts = rows[:, -(rows.shape[1] // 10) * 10 :].reshape(len(rows), -1, 10)
    spread = np.sort(parts.std(-1), axis=1)
    return np.asarray(np.maximum(spread[:, spread.shape[1] // 4], LEAST_NOISE_G), dtype=np.float32)


def over(now: Watch, scales: tuple[int, ...], busy: bool) -> Interaction | None:
    """A group's interaction if it is over, or has gone on for so long that its first part is told."""
    begin = min(now.level[s][0] for s in scales)
    if busy and now.end - begin < LONGEST:
        return None
    part, noise = now.part(scales, begin, now.end), now.noise[list(scales)]
    begin = now.end - part.shape[1]
    for row, scale in enumerate(scales):  # what one of them has told already is not told again with its neighbours
        known, grams = now.level[scale]
        part[row, : max(0, known - begin)] = grams
    before = Rest(begin, begin, np.array([now.level[s][1] for s in scales], dtype=np.float32))
    rests = [before, *resting(part, noise, begin)]
    if len(rests) > 1 and same(before, rests[1], noise):  # its level is known from a whole second
        rests[:2] = [replace(before, end=rests[1].end)]
    if busy:
        rests = [rest for rest in rests if rest.end < now.end - REST]
        if len(rests) < 2:
            return None
    else:  # the last second is quiet: all of it tells the level, and not its last few samples
        last = Rest(now.end - SETTLED, now.end, np.median(part[:, -SETTLED:], axis=1).astype(np.float32))
        rests = [rests[0], *(rest for rest in rests[1:] if rest.begin < last.begin)]
        if len(rests) > 1 and same(rests[-1], last, noise):
            rests[-1] = replace(rests[-1], end=last.end)
        else:
            rests.append(last)
    steps = tuple(steepest(part, a.end - begin, b.begin - begin, begin) for a, b in itertools.pairwise(rests))
    return Interaction(scales, noise, tuple(rests), steps, part, begin)


def resting(part: Float32, noise: Float32, begin: int) -> list[Rest]:
    """Spans [K, T] in which no scale moves; the first sample has the number `begin`."""
    if part.shape[1] < REST:
        return []
    around = np.lib.stride_tricks.sliding_window_view(part, REST, axis=1)  # [K, T - REST + 1, REST]
    quiet = (np.ptp(around, axis=2) <= np.maximum(REST_NOISES * noise, REST_G)[:, None]).all(0)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], quiet, [False]]).astype(np.int8)))
    out = []
    for first, last in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        span = slice(first, last + REST - 1)
        out.append(Rest(begin + span.start, begin + span.stop, np.median(part[:, span], axis=1).astype(np.float32)))
    return merged(out, noise)


def merged(rests: list[Rest], noise: Float32) -> list[Rest]:
    """Rests that follow each other at the same levels, as one."""
    out: list[Rest] = []
    for rest in rests:
        if out and same(out[-1], rest, noise):
            longer = max(out[-1], rest, key=lambda one: one.end - one.begin)
            out[-1] = Rest(out[-1].begin, rest.end, longer.grams)
        else:
            out.append(rest)
    return out


def same(one: Rest, other: Rest, noise: Float32) -> bool:
    """Whether two rests are at the same levels."""
    return bool((np.abs(one.grams - other.grams) <= np.maximum(1.2 * noise, 1.5)).all())


def steepest(part: Float32, begin: int, end: int, offset: int) -> tuple[int, ...]:
    """For each scale the sample between two rests at which its level changes most, in the direction of the step."""
    first, last = max(0, begin - 3), min(part.shape[1], max(end, begin + 1) + 3)
    span = part[:, first:last]
    if span.shape[1] < 4:
        return (offset + first,) * len(part)
    net = span[:, -1] - span[:, 0]
    change = (span[:, 2:] - span[:, :-2]) * np.where(net < 0, -1.0, 1.0)[:, None]
    return tuple((offset + first + 1 + np.argmax(change, axis=1)).tolist())
