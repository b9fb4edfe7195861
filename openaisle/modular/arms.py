"""Hands of followed people: what bodies tell and hands that show, of all cameras, fused with where they were before.

A hand that shows in a picture is a ray with a guess of how far; several pictures show elbows, and other people's hands.
So every place at which a hand may be is held against all views, and the best pair of places wins. One person at a time;
hands are far and near, metres, world frame. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

REACH_SPEED = 1.2  # m/s: how far a hand moves unforeseen
VIEW_SHARE = 0.7  # views err together
LEAST_SD_M, MOST_SD_M = 0.03, 0.5
VIEW_HANDS = 5  # sightings of a view that are looked at, the surest
PAIRED = 14  # surest sightings of all views whose rays are crossed
BELIEF, TOLD, ANYWHERE = 0.25, 0.3, 0.45  # of a hand: where it was, where bodies tell it, anywhere within reach
VOLUME_M3 = 2.0
CHANCE = 2.2  # a score's square times this is the chance that a hand is there (docs/modular.md)
TRUSTED = 0.8  # of a view's sightings at their best: the rest says nothing
NEAR_M = 0.15  # farther, a place is another one
APART_M, APART_COST = 0.2, 20.0  # two hands are seldom in one place: what shows one must not speak for both
ROUNDS = 2  # of moving a place to what speaks for it
Float = NDArray[np.float64]
EYE = np.eye(3)


@dataclass(frozen=True)
class Hands:
    """A person's hands."""

    place: Float  # [2, 3]
    spread: Float  # [2, 3, 3]


@dataclass(frozen=True)
class Sighting:
    """What one camera says of a person's hands."""

    told: Float  # [2, 3] far and near, by the body
    sd: Float  # [2]
    seen: Float  # [K, 3] hands that show, surest first
    spread: Float  # [K, 3, 3]
    score: Float  # [K]


@dataclass(frozen=True)
class Places:
    """G Gaussians, each with the view it is of and its weight among that view's."""

    mean: Float  # [G, 3]
    information: Float  # [G, 3, 3]
    log_ratio: Float  # [G] of its peak to chance, weighted
    view: NDArray[np.int64]  # [G]

    def ratios(self, points: Float) -> Float:
        """Weighted ratio to chance [N, G] of points [N, 3]."""
        error = points[:, None] - self.mean[None]
        far = np.einsum("ngi,gij,ngj->ng", error, self.information, error)
        return np.asarray(np.exp(self.log_ratio[None] - 0.5 * far))


def move(hands: Hands, shift_m: Float, dt_s: float) -> Hands:
    """Hands move with their body (shift [2]), and by themselves."""
    place = hands.place + np.append(shift_m, 0.0)
    spread = hands.spread + EYE * (REACH_SPEED * dt_s) ** 2
    over = np.maximum(np.trace(spread, axis1=1, axis2=2) / 3 / MOST_SD_M**2, 1.0)
    return Hands(place, spread / over[:, None, None])


def fuse(before: Hands, sightings: list[Sighting]) -> Hands:
    """Hands after a slot's sightings; without any, as before."""
    if not sightings:
        return before
    weight = np.array([1.0 / (s.sd**2 + LEAST_SD_M**2) for s in sightings])  # [C, 2]
    told = np.einsum("ch,chi->hi", weight, np.array([s.told for s in sightings])) / weight.sum(0)[:, None]
    before = ordered(before, told)
    spread = EYE[None] / weight.mean(0)[:, None, None]  # what several cameras guess of a hidden hand they guess alike
    beliefs = [
        places(np.stack([before.place[h], told[h]]), np.stack([before.spread[h], spread[h]]), np.array([BELIEF, TOLD]))
        for h in range(2)
    ]
    views = seen_by_all(sightings)
    points = np.concatenate([before.place, told, views.mean, crossings(views)])
    scores = np.stack([score(points, belief, views) for belief in beliefs])
    gap = np.linalg.norm(points[:, None] - points[None], axis=-1)
    pair = scores[0][:, None] + scores[1][None] - APART_COST * np.exp(-((gap / APART_M) ** 2))
    best = np.unravel_index(int(np.argmax(pair)), pair.shape)
    found = [settle(points[i], belief, views) for i, belief in zip(best, beliefs, strict=True)]
    doubt = [astray(points, scores[h], place) for h, (place, _) in enumerate(found)]
    return Hands(
        np.stack([place for place, _ in found]),
        np.stack([spread + EYE * more for (_, spread), more in zip(found, doubt, strict=True)]),
    )


def ordered(hands: Hands, told: Float) -> Hands:
    """Far and near as the bodies tell them now: who reaches with the other hand has the same hands."""
    same, changed = (float(((hands.place[list(o)] - told) ** 2).sum()) for o in ((0, 1), (1, 0)))
    return hands if same <= changed else Hands(hands.place[::-1], hands.spread[::-1])


def places(mean: Float, spread: Float, weight: Float, view: NDArray[np.int64] | None = None) -> Places:
    """Gaussians [G] with weights, as ratios to a hand's being anywhere."""
    wide = spread + EYE * LEAST_SD_M**2
    peak = -0.5 * np.log(np.linalg.det(wide) * (2 * np.pi) ** 3)
    number = np.zeros(len(mean), dtype=np.int64) if view is None else view
    information = np.asarray(np.linalg.inv(wide), dtype=np.float64)
    return Places(mean, information, np.log(weight) + peak + np.log(VOLUME_M3), number)


def seen_by_all(sightings: list[Sighting]) -> Places:
    """All views' sightings; what a view is sure of weighs TRUSTED at most."""
    sure = [np.minimum(CHANCE * s.score[:VIEW_HANDS] ** 2, 1.0) for s in sightings]
    return places(
        np.concatenate([s.seen[:VIEW_HANDS] for s in sightings]).reshape(-1, 3),
        np.concatenate([s.spread[:VIEW_HANDS] for s in sightings]).reshape(-1, 3, 3),
        np.concatenate([TRUSTED * s / max(1.0, float(s.sum())) for s in sure]),
        np.repeat(np.arange(len(sightings)), [len(s) for s in sure]),
    )  # fmt: skip


def crossings(views: Places) -> Float:
    """Where two views' sightings agree best [N, 3], of the surest ones."""
    top = np.argsort(-views.log_ratio, kind="stable")[:PAIRED]
    a, b = np.triu_indices(len(top), 1)
    a, b = top[a], top[b]
    other = views.view[a] != views.view[b]
    a, b = a[other], b[other]
    one, two = views.information[a], views.information[b]
    vector = np.einsum("nij,nj->ni", one, views.mean[a]) + np.einsum("nij,nj->ni", two, views.mean[b])
    return np.asarray(np.linalg.solve(one + two, vector[..., None])[..., 0])


def score(points: Float, belief: Places, views: Places) -> Float:
    """Log-ratios to chance [N] that a hand is at points [N, 3]: by belief, and by every view that shows any."""
    total = np.log(ANYWHERE + belief.ratios(points).sum(1))
    said = views.ratios(points)
    for view in np.unique(views.view):
        total += VIEW_SHARE * np.log(1 - TRUSTED + said[:, views.view == view].sum(1))
    return np.asarray(total)


def astray(points: Float, scores: Float, place: Float) -> float:
    """Variance by being elsewhere: at the best of the points [N, 3] that lie off the place."""
    away = np.linalg.norm(points - place, axis=1)
    off = away > NEAR_M
    if not off.any() or off.all():
        return 0.0
    there = int(np.flatnonzero(off)[np.argmax(scores[off])])
    share = 1.0 / (1.0 + np.exp(np.clip(scores[~off].max() - scores[there], -30, 30)))
    return float(share * away[there] ** 2 / 3)


def settle(point: Float, belief: Places, views: Places) -> tuple[Float, Float]:
    """The mean and covariance of all that speaks for a place, each as much as it does."""
    spread = EYE * MOST_SD_M**2
    for _ in range(ROUNDS):
        mine, said = belief.ratios(point[None])[0], views.ratios(point[None])[0]
        weight = [mine / (ANYWHERE + mine.sum())]
        for view in np.unique(views.view):
            own = said[views.view == view]
            weight.append(VIEW_SHARE * own / (1 - TRUSTED + own.sum()))
        each = np.concatenate(weight)
        information = np.concatenate([belief.information, views.information])
        mean = np.concatenate([belief.mean, views.mean])
        spread = np.linalg.inv(np.einsum("g,gij->ij", each, information) + EYE / MOST_SD_M**2)
        vector = np.einsum("g,gij,gj->i", each, information, mean) + point / MOST_SD_M**2
        point = spread @ vector
    return point, spread
