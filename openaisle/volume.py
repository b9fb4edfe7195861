"""Hands in the volume: heat maps of all views of a body are fused at points in space, and the best two points win.

In: the memory, a slot's pictures and backgrounds, a predictor's heat maps. Out: the memory with hands wherever the
views agree, however far from where they were believed. A body's two hands are chosen together: they cannot both be
the one that shows. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from openaisle.predictor import Arrays, Float32, Predictor, floats
from openaisle.store.geometry import Camera
from openaisle.tokens.body import BODY_CELLS, BODY_PX, aim_bodies
from openaisle.tokens.glance import cut_windows

MAX_VIEWS = 5  # of a body, the nearest cameras
BEST_CELLS = 8  # of each map whose rays are searched
STEP_M = 0.05  # between points on a ray
RADIUS_M, LOW_M, HIGH_M = 1.0, 0.02, 2.15  # where hands can be around a body's axis
ARM_M, SHOULDER_M = 1.1, 1.3  # no farther from a shoulder that may lean forward
SURE = 0.85  # of a view: the rest says nothing
VIEW_SHARE = 0.6  # views err together
OUTSIDE = 0.1  # share of hands outside a window by chance
VOLUME_M3 = 4.0
BELIEF = ((0.25, 0.12), (0.35, 0.35))  # weight and deviation of where the memory believes a hand
APART_M, APART_COST = 0.2, 20.0  # two hands are in one place once in twenty instants
ORDER_M = 0.05  # the far hand reaches as far as the near one, give or take
FINALISTS, BOX_M = 80, 0.08
FINE_M = np.stack(np.meshgrid(*[np.arange(-0.12, 0.121, 0.03)] * 3), axis=-1).reshape(-1, 3).astype(np.float32)
TELLS = 1.0  # log-ratio below which a view says nothing of a place
NEAR_M, ASTRAY_M, LEAST_SD_M = 0.15, 0.4, 0.02


@dataclass(frozen=True)
class Picture:
    """One camera's frame of a slot and what the picture looks like without people."""

    camera: Camera
    rgb: NDArray[np.uint8]
    background: NDArray[np.uint8]


@dataclass(frozen=True)
class View:
    """One camera's window around one body: log-ratios to chance of both hands' places."""

    camera: Camera
    centre_px: Float32  # [2]
    side_px: float
    log_ratio: Float32  # [2, 40, 40]
    outside: Float32  # [2]


def find_hands(memory: Arrays, pictures: Sequence[Picture], predictor: Predictor) -> Arrays:
    """The memory [Q rows] with hands where all views together place them."""
    views = look_at_bodies(floats(memory["floor"]), pictures, predictor)
    if not any(views):
        return memory
    hands, variance = floats(memory["hands"]).copy(), floats(memory["hand_variance"]).copy()
    for row, seen in enumerate(views):
        if any(view.log_ratio.max() > TELLS for view in seen):
            hands[row], sd = place_hands(floats(memory["floor"])[row], hands[row], seen)
            variance[row] = np.eye(3, dtype=np.float32) * sd[:, None, None] ** 2
    return {**memory, "hands": hands, "hand_variance": variance}


def look_at_bodies(floor_m: Float32, pictures: Sequence[Picture], predictor: Predictor) -> list[list[View]]:
    """Views of each body [Q], at most MAX_VIEWS."""
    aims = [aim_bodies(picture.camera, floor_m) for picture in pictures]
    sides = [(-float(side), p, w) for p, a in enumerate(aims) for w, side in enumerate(a.side_px)]
    chosen: list[tuple[int, int]] = []
    for body in range(len(floor_m)):
        mine = sorted(entry for entry in sides if aims[entry[1]].row[entry[2]] == body)
        chosen += [(p, w) for _, p, w in mine[:MAX_VIEWS]]
    chosen.sort()
    out: list[list[View]] = [[] for _ in floor_m]
    if not chosen:
        return out
    parts: tuple[list[NDArray[np.uint8]], list[NDArray[np.uint8]], list[Float32]] = ([], [], [])
    for p, picture in enumerate(pictures):
        rows = [w for q, w in chosen if q == p]
        if rows:
            cut = (aims[p].centre_px[rows], aims[p].side_px[rows], BODY_PX)
            parts[0].append(cut_windows(picture.rgb, *cut))
            parts[1].append(cut_windows(picture.background, *cut))
            parts[2].append(aims[p].features[rows])
    now, before, features = np.concatenate(parts[0]), np.concatenate(parts[1]), np.concatenate(parts[2])
    heat = predictor.heatmaps(now, before, features)  # [W, 2, 1601] log-probabilities
    chance = np.log(1.0 / BODY_CELLS**2)
    for (p, w), log_p in zip(chosen, heat, strict=True):
        cells = softened(log_p[:, :-1].reshape(2, BODY_CELLS, BODY_CELLS))
        outside = np.log((SURE * np.exp(log_p[:, -1]) + (1 - SURE) * OUTSIDE) / OUTSIDE)
        at = aims[p]
        view = View(pictures[p].camera, at.centre_px[w], float(at.side_px[w]), cells - np.float32(chance), outside)
        out[int(at.row[w])].append(view)
    return out


def softened(log_p: Float32) -> Float32:
    """Log-probabilities [2, 40, 40] of cells, a little blurred and never sure: (1 2 1) twice, mixed with chance."""
    p = np.exp(log_p.astype(np.float64))
    padded = np.pad(p, ((0, 0), (1, 1), (1, 1)), mode="edge")
    rows = 0.25 * padded[:, :-2] + 0.5 * padded[:, 1:-1] + 0.25 * padded[:, 2:]
    p = 0.25 * rows[:, :, :-2] + 0.5 * rows[:, :, 1:-1] + 0.25 * rows[:, :, 2:]
    return np.log(SURE * p + (1 - SURE) / BODY_CELLS**2).astype(np.float32)


def place_hands(floor_m: Float32, believed_m: Float32, views: Sequence[View]) -> tuple[Float32, Float32]:
    """Far and near hand [2, 3] of one body and how far off they may be [2]; believed [2, 3]."""
    points = np.concatenate([believed_m, *(along_rays(view, floor_m) for view in views)]).astype(np.float32)
    score = score_points(points, floor_m, believed_m, views)
    best = [finalists(points, s) for s in score]
    reach = np.linalg.norm(points[:, :2] - floor_m, axis=1)
    a, b = best
    gap = np.linalg.norm(points[a][:, None] - points[b][None], axis=-1)
    turned = np.maximum(reach[b][None] - reach[a][:, None] - ORDER_M, 0) / ORDER_M
    pair = score[0, a][:, None] + score[1, b][None] - APART_COST * np.exp(-((gap / APART_M) ** 2)) - turned.clip(0, 3)
    i, j = np.unravel_index(int(np.argmax(pair)), pair.shape)
    winners = points[[a[i], b[j]]]
    fine = (winners[:, None] + FINE_M).reshape(-1, 3)
    fine_score = score_points(fine, floor_m, believed_m, views).reshape(2, 2, -1)[[0, 1], [0, 1]]
    out = [around(points, score[h], fine.reshape(2, -1, 3)[h], fine_score[h]) for h in range(2)]
    return np.stack([mean for mean, _ in out]).astype(np.float32), np.array([sd for _, sd in out], dtype=np.float32)


def finalists(points: Float32, score: Float32) -> NDArray[np.int64]:
    """The best point of each of the best boxes of BOX_M: the likeliest place must not fill the list alone."""
    order = np.argsort(-score, kind="stable")
    box = np.floor(points[order] / BOX_M).astype(np.int64) @ np.array([1, 1 << 12, 1 << 24])
    _, first = np.unique(box, return_index=True)
    return np.asarray(order[np.sort(first)[:FINALISTS]], dtype=np.int64)


def score_points(points: Float32, floor_m: Float32, believed_m: Float32, views: Sequence[View]) -> Float32:
    """Log-ratios to chance [2, N] that the far and the near hand are at points [N, 3], by belief and all views."""
    score = np.repeat(log_belief(points, floor_m, believed_m)[None], 2, axis=0)
    for view in views:
        score += VIEW_SHARE * log_ratios(view, points)
    return score


def along_rays(view: View, floor_m: Float32) -> Float32:
    """Points [N, 3] on the rays of the likeliest cells, where they pass the cylinder in which hands can be."""
    best = np.unique(np.concatenate([highest(ratios, BEST_CELLS) for ratios in view.log_ratio.reshape(2, -1)]))
    cells = np.stack([best % BODY_CELLS, best // BODY_CELLS], axis=1) + 0.5
    pixel = view.centre_px + (cells * (2.0 / BODY_CELLS) - 1.0) * view.side_px / 2
    origin, direction = view.camera.unproject(pixel)
    away = floor_m - origin[:2]
    flat = np.linalg.norm(direction[:, :2], axis=1).clip(1e-3)
    middle = (direction[:, :2] @ away) / flat**2  # distance along the ray at which it passes the axis
    half = RADIUS_M / flat
    steps = np.arange(-RADIUS_M, RADIUS_M, STEP_M)
    # steep rays stay in the cylinder for long: there height bounds them
    fall = np.minimum(direction[:, 2], -1e-3)
    top, bottom = (HIGH_M - origin[2]) / fall, (LOW_M - origin[2]) / fall
    first = np.maximum(np.maximum(middle - half, np.maximum(top, 0.2)), 0.2)
    last = np.minimum(middle + half, bottom)
    count = len(steps)
    t = first[:, None] + (last - first).clip(0)[:, None] * (np.arange(count) + 0.5)[None] / count
    points = origin + t[..., None] * direction[:, None]
    inside = np.repeat((last > first)[:, None], count, axis=1)
    return np.asarray(points[inside], dtype=np.float32)


def highest(values: Float32, count: int) -> NDArray[np.int64]:
    """Where the highest values are, as a stable sort would have them, in no order; a tenth of its time."""
    least = np.partition(values, -count)[-count]
    above, level = np.flatnonzero(values > least), np.flatnonzero(values == least)
    return np.concatenate([above, level[: count - len(above)]])


def log_ratios(view: View, points: Float32) -> Float32:
    """Log-ratios to chance [2, N] of points [N, 3] in one view."""
    pixel, depth = view.camera.project(points)
    column, row = (((pixel[:, i] - view.centre_px[i]) / view.side_px + 0.5) * BODY_CELLS for i in range(2))
    inside = (column >= 0) & (column < BODY_CELLS) & (row >= 0) & (row < BODY_CELLS) & (depth > 0.05)
    at = np.where(inside, row, 0).astype(np.int64) * BODY_CELLS + np.where(inside, column, 0).astype(np.int64)
    told = np.where(inside, view.log_ratio.reshape(2, -1)[:, at], view.outside[:, None])
    return np.asarray(told, dtype=np.float32)


def log_belief(points: Float32, floor_m: Float32, believed_m: Float32) -> Float32:
    """Log-ratio to chance [N] that a hand is at points: near where either was believed, and no farther than an arm."""
    axes = np.ascontiguousarray(points.T)  # sums over three columns cost more than all else here
    square = [sum((axes[i] - hand[i]) ** 2 for i in range(3)) for hand in believed_m]  # [N] to either hand
    density = np.full(len(points), 1.0 - sum(weight for weight, _ in BELIEF))
    for weight, sd in BELIEF:
        near = sum(np.exp(-0.5 * one / sd**2) for one in square) / len(square)
        density += weight * VOLUME_M3 / (2 * np.pi * sd**2) ** 1.5 * near
    shoulder = (*floor_m.tolist(), SHOULDER_M)
    arm = np.sqrt(sum((axes[i] - shoulder[i]) ** 2 for i in range(3)))
    return np.asarray(np.log(density) - 10.0 * np.maximum(arm - ARM_M, 0), dtype=np.float32)


def around(points: Float32, score: Float32, fine: Float32, fine_score: Float32) -> tuple[Float32, float]:
    """A hand's mean over the grid around its winner [N, 3], and its deviation per axis: there, and by being elsewhere.

    Elsewhere are the points of the first search that lie off the grid and score as high.
    """
    share = np.exp(fine_score - fine_score.max())
    share /= share.sum()
    mean = share @ fine
    local = float((share @ ((fine - mean) ** 2)).mean())
    off = np.linalg.norm(points - mean, axis=1) > NEAR_M
    here, there = fine_score.max(), score[off].max(initial=-np.inf)
    astray = 1.0 / (1.0 + np.exp(np.clip(here - there, -30, 30)))
    return mean, float(np.sqrt(local + LEAST_SD_M**2 + astray * ASTRAY_M**2))
