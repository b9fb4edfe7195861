"""Levels: which rests of an interaction may have been true levels, and what speaks against those that were none.

A hand that presses makes rests that come and go; under one that does not keep still, or on a noisy scale, levels lie
between rests, and are looked for where something was told. Of many rests the clearest are kept.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from openaisle.tokens.scales import RATE_HZ
from openaisle.weighing.identify import NOISES, READING_G, Scene
from openaisle.weighing.interactions import REST, REST_G, REST_NOISES, Interaction, Rest
from openaisle.weighing.witness import NEAR, Told

MOST_RESTS = 9
OWN_LEVEL = 3.0  # deviations of a reading: a rest that differs by more from those beside it is no part of one of them
EXCHANGE = 4 * RATE_HZ  # samples between two events of one scale that undo each other, at most
RINGING = 2  # samples after a step, and before the next, that show no level
PUSHED_COST, PUSHED_G = 1.5, 60.0  # of a rest that only came and went, by scale; its usual size
LEANING_G = 8.0  # by which a hand that leans on goes on changing it
UNSTEADY, BRIEF, MOST_UNSTEADY = 0.3, 8, 6.0  # log-odds for each sample more that no hand keeps still (dev/LOG.md)
SHOWN_NOISES = 4.0  # of what a hand presses: from as much on, and fully from twice as much, its trembling shows
HIDDEN_NOISES = 8.0  # a step of less may lie within what counts as rest
LOST_G, LOST_NOISES = 15.0, 6.0  # less than this is no product that went unseen
LEAST_G, LEAST_NOISES = 3.0, 1.5  # a scale that changed less has no moves of its own
Float = NDArray[np.float64]


def shortened(found: Interaction) -> Interaction:
    """An interaction with its clearest rests only, first and last included: levels of their own, then the longest."""
    while len(found.rests) > MOST_RESTS:
        rests, steps = list(found.rests), list(found.instants)
        size = [np.abs(b.grams - a.grams) for a, b in itertools.pairwise(rests)]  # [K] of each step
        clear = [float((grams / np.hypot(READING_G, found.noise)).max()) for grams in size]
        steady = [(min(clear[i - 1], clear[i], OWN_LEVEL), rests[i].end - rests[i].begin, i)
                  for i in range(1, len(rests) - 1)]  # fmt: skip
        *_, i = min(steady)
        larger = size[i - 1] >= size[i]
        joined = tuple(a if first else b for a, b, first in zip(steps[i - 1], steps[i], larger.tolist(), strict=True))
        found = replace(
            found, rests=tuple(rests[:i] + rests[i + 1 :]), instants=(*steps[: i - 1], joined, *steps[i + 1 :])
        )  # fmt: skip
    return found


def divided(found: Interaction, said: Sequence[Told], scene: Scene) -> Interaction:
    """An interaction with rests divided where something was told that the scale is too noisy to show as a step."""
    rests, steps = list(found.rests), list(found.instants)
    for told in sorted(said, key=lambda t: t.sample):
        if told.scale not in found.scales or not len(found.samples):
            continue
        row = found.scales.index(told.scale)
        grams = scene.learnt.mass(told.product)[0] * told.units
        if not 0 < grams < HIDDEN_NOISES * float(found.noise[row]):
            continue
        i = next((i for i, rest in enumerate(rests) if rest.begin + REST < told.sample < rest.end - REST), -1)
        at = steepest_within(found, rests[i], row, told.sample) if i >= 0 else -1
        if at >= 0:
            parts = [Rest(rests[i].begin, at, rests[i].grams), Rest(at, rests[i].end, rests[i].grams)]
            rests[i : i + 1] = [replace(part, grams=level_of(found, part)) for part in parts]
            steps.insert(i, (at,) * len(found.scales))
    return replace(found, rests=tuple(rests), instants=tuple(steps))


def steepest_within(found: Interaction, rest: Rest, row: int, sample: int) -> int:
    """Where within a rest, near a sample, two levels fit best; -1 where too little is on record."""
    first, last = max(rest.begin, found.begin), rest.end
    begin, end = max(first + REST, sample - RATE_HZ), min(last - REST, sample + RATE_HZ)
    part = found.samples[row, first - found.begin : last - found.begin].astype(np.float64)
    places = np.arange(begin, end) - first
    if not len(places) or len(part) < last - first:
        return -1
    total = np.cumsum(part)
    left = total[places - 1] / places
    right = (total[-1] - total[places - 1]) / (len(part) - places)
    gain = (left - right) ** 2 * places * (len(part) - places)
    return int(first + places[int(np.argmax(gain))])


def level_of(found: Interaction, rest: Rest) -> NDArray[np.float32]:
    """Median grams [K] of a rest."""
    part = found.samples[:, max(0, rest.begin - found.begin) : rest.end - found.begin]
    return np.median(part, axis=1).astype(np.float32) if part.shape[1] else rest.grams


def exchanged(found: Interaction, said: Sequence[Told]) -> Interaction:
    """An interaction with a rest wherever something came and went, or went and came, under a hand that kept no rest.

    Where just that was told, one after the other; otherwise it was a hand that pressed.
    """
    for scale in dict.fromkeys(t.scale for t in said if t.scale in found.scales and len(found.samples)):
        told = sorted((t for t in said if t.scale == scale), key=lambda t: t.sample)
        for one, other in itertools.pairwise(told):
            if one.kind != other.kind and other.sample - one.sample <= EXCHANGE:
                found = meanwhile(found, found.scales.index(scale), (one, other))
    return found


def meanwhile(found: Interaction, row: int, pair: tuple[Told, Told]) -> Interaction:
    """With a rest between two events that undo each other, where a scale was far from its level between them."""
    rests, steps = list(found.rests), list(found.instants)
    one, other = pair
    i = max((k for k, rest in enumerate(rests) if rest.begin <= one.sample), default=0)
    within = rests[i].end > other.sample  # one rest from before it to after it, or two at the same level
    if not within and not (i + 1 < len(rests) and rests[i + 1].end > other.sample and no_step(found, row, i)):
        return found
    span = (rests[i].begin, rests[i].end) if within else (rests[i].end - RINGING, rests[i + 1].begin + RINGING)
    begin, end = max(one.sample - NEAR, found.begin, span[0]), min(other.sample + NEAR, span[1])
    if begin >= end:
        return found
    base, noise = float(rests[i].grams[row]), float(found.noise[row])
    part = found.samples[row, begin - found.begin : end - found.begin].astype(np.float64)
    away = (part - base) * (1.0 if one.kind == "return" else -1.0) > max(LOST_G, LOST_NOISES * noise)
    first, last = longest_run(away)
    if last - first < REST + 2 * RINGING:
        return found
    first, last = begin + first, begin + last
    level = wavering(found, row, first + RINGING, last - RINGING)
    changed = [(first,) * len(found.scales), (last,) * len(found.scales)]
    if within:
        rests[i : i + 1] = [replace(rests[i], end=first), level, replace(rests[i], begin=last)]
        steps[i:i] = changed
    else:
        rests[i + 1 : i + 1] = [level]
        steps[i : i + 1] = changed
    return replace(found, rests=tuple(rests), instants=tuple(steps))


def wavering(found: Interaction, row: int, begin: int, end: int) -> Rest:
    """A level that hands do not leave alone: where a scale was quiet, or all of it, and what it wavers."""
    part = found.samples[row, begin - found.begin : end - found.begin]
    spread = np.ptp(np.lib.stride_tricks.sliding_window_view(part, REST), axis=1)
    first, last = longest_run(spread <= max(REST_NOISES * float(found.noise[row]), REST_G))
    if last > first:
        begin, end = begin + first, begin + last + REST - 1
    samples = found.samples[:, begin - found.begin : end - found.begin]
    grams = np.median(samples, axis=1).astype(np.float32)
    loose = (1.5 * np.median(np.abs(samples - grams[:, None]), axis=1)).astype(np.float32)
    if last > first:
        loose[row] = 0.0
    return Rest(begin, end, grams, loose)


def no_step(found: Interaction, row: int, first: int) -> bool:
    """Whether a scale is at one level in a rest and in the next."""
    change = float(found.rests[first + 1].grams[row] - found.rests[first].grams[row])
    return abs(change) <= max(LEAST_G, LEAST_NOISES * float(found.noise[row]))


def longest_run(true: NDArray[np.bool_]) -> tuple[int, int]:
    """First and last + 1 of the longest run that is true; (0, 0) where none is."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], true, [False]]).astype(np.int8))).reshape(-1, 2)
    return max(((int(a), int(b)) for a, b in edges), key=lambda run: run[1] - run[0], default=(0, 0))


def passing(found: Interaction, first: int, last: int) -> float:
    """Minus the log density of the rests that only came and went, between two that were true levels.

    Each shows the level before the step still, or the one after it already, or a hand that presses; one that leans on
    costs no second surprise. Hands do not keep still: the longer a rest, the less it was one.
    """
    if last - first < 2:
        return 0.0
    levels = np.array([rest.grams for rest in found.rests], dtype=np.float64)  # [R, K]
    true = levels[[first, last]]
    still = np.stack([np.zeros(levels.shape[1]), np.full(levels.shape[1], np.inf)])  # [before or after the step, K]
    pressed = np.full_like(still, np.inf)
    for middle in range(first + 1, last):
        still, pressed = np.minimum.accumulate(still), np.minimum.accumulate(pressed)  # the step may have been just now
        away = np.abs(levels[middle] - true)
        reading = np.hypot(READING_G, NOISES * noise_of(found, middle))
        steady = found.rests[middle].loose is None
        long = found.rests[middle].end - found.rests[middle].begin if steady else 0
        shown = np.clip(away / (SHOWN_NOISES * found.noise) - 1.0, 0.0, 1.0)  # a hand's trembling beside the noise
        kept = shown * np.clip(UNSTEADY * (long - BRIEF), 0.0, MOST_UNSTEADY)
        moved = np.abs(levels[middle] - levels[middle - 1])
        begins = np.minimum(still, pressed) + PUSHED_COST + np.log(PUSHED_G) + away / (2 * PUSHED_G) + kept
        leans = pressed + np.log(2 * LEANING_G) + moved / LEANING_G
        still = np.minimum(still, pressed) + (away / reading) ** 2 / 2 + np.log(reading)
        pressed = np.minimum(begins, leans)
    return float(np.minimum(still, pressed).min(0).sum())


def noise_of(found: Interaction, *rests: int) -> Float:
    """Each scale's noise [K], with what it wavers beside it in rests."""
    wavers = [found.rests[i].loose for i in rests]
    variances = [(waver.astype(np.float64) / NOISES) ** 2 for waver in wavers if waver is not None]
    return np.sqrt(found.noise.astype(np.float64) ** 2 + sum(variances))
