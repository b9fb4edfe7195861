"""Multi-camera tracking on the ground plane: Kalman filter, Hungarian assignment per camera in two stages, looks.

In the manner of ByteTrack: in each camera the detections with high scores choose among all people first, then those
with low scores among those left. All cameras of a slot show one instant: their detections are one measurement of the
filter. Q people, D detections; pure.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from lap import lapjv
from numpy.typing import NDArray

HIGH_SCORE = 0.4  # of a detection that may choose first
GATE, LOW_GATE = 16.0, 9.0  # squared Mahalanobis distance plus what looks add, of the first and the second stage
LOOKS_WEIGHT = 8.0  # of one less the cosine of looks
STRANGERS = 0.5  # cosine below which looks cannot speak for anybody, of one less
ACCELERATION = 2.5  # m/s²: people start, stop and turn
FIRST_SPEED = 0.7  # deviation of a velocity that nobody has seen, m/s
CALM = 0.95  # share of its speed that a track keeps per slot
CAMERA_SHARE = 0.6  # views err together
TAILS_DOF = 4.0  # a view that contradicts the others counts little
LEAST_SD_M = 0.03  # of any measurement
ROUNDS = 3  # of weighing views anew
MOST_SD_M = 2.0  # of somebody whom nobody has seen for long
Float = NDArray[np.float64]


@dataclass(frozen=True)
class Motion:
    """People on the floor: constant velocity with noise."""

    state: Float  # [Q, 4] x, y, and their velocities
    spread: Float  # [Q, 4, 4] covariance


@dataclass(frozen=True)
class Sights:
    """A slot's detections, as far as tracking reads them."""

    camera: NDArray[np.int64]  # [D]
    score: Float  # [D]
    floor: Float  # [D, 2]
    spread: Float  # [D, 2, 2]
    looks: Float  # [D, A] unit vectors


def begin(floor_m: Float, spread: Float) -> Motion:
    """People at floor points [Q, 2] with covariances [Q, 2, 2], of whose velocities nothing is known."""
    state = np.concatenate([floor_m, np.zeros_like(floor_m)], axis=1)
    whole = np.zeros((len(floor_m), 4, 4))
    whole[:, :2, :2] = spread
    whole[:, [2, 3], [2, 3]] = FIRST_SPEED**2
    return Motion(state, whole)


def predict(motion: Motion, dt_s: float) -> Motion:
    """One step ahead."""
    step = np.eye(4)
    step[[0, 1], [2, 3]] = dt_s
    step[[2, 3], [2, 3]] = CALM
    gain = np.array([[dt_s**2 / 2, 0], [0, dt_s**2 / 2], [dt_s, 0], [0, dt_s]])
    noise = gain @ gain.T * ACCELERATION**2
    spread = step @ motion.spread @ step.T + noise
    over = np.maximum(spread[:, [0, 1], [0, 1]].max(1, initial=0.0) / MOST_SD_M**2, 1.0)
    return Motion(motion.state @ step.T, spread / over[:, None, None])


def associate(motion: Motion, seen: Sights, looks: Float) -> NDArray[np.int64]:
    """Whose each detection is [D], -1 = nobody's; looks [Q, A] as they are known, shorter where little is known."""
    owner = np.full(len(seen.camera), -1, dtype=np.int64)
    if not len(motion.state) or not len(owner):
        return owner
    table = costs(motion, seen) + unlike(seen.looks, looks)
    for camera in np.unique(seen.camera):
        here = seen.camera == camera
        free = np.ones(len(motion.state), dtype=np.bool_)
        for stage, gate in ((seen.score >= HIGH_SCORE, GATE), (seen.score < HIGH_SCORE, LOW_GATE)):
            rows, columns = np.flatnonzero(here & stage), np.flatnonzero(free)
            for row, column in assign(table[np.ix_(rows, columns)], gate):
                owner[rows[row]] = columns[column]
                free[columns[column]] = False
    return owner


def costs(motion: Motion, seen: Sights) -> Float:
    """Squared Mahalanobis distances [D, Q]."""
    error = seen.floor[:, None] - motion.state[None, :, :2]
    spread = seen.spread[:, None] + motion.spread[None, :, :2, :2] + np.eye(2) * LEAST_SD_M**2
    return np.asarray((error[..., None, :] @ np.linalg.inv(spread) @ error[..., :, None])[..., 0, 0], dtype=np.float64)


def unlike(seen: Float, known: Float) -> Float:
    """What looks add to the cost [D, Q]: nothing where nothing is known, less than nothing for one who looks so."""
    return np.asarray(LOOKS_WEIGHT * (STRANGERS * np.linalg.norm(known, axis=1)[None] - seen @ known.T))


def assign(table: Float, most: float) -> list[tuple[int, int]]:
    """Pairs (row, column) of the cheapest assignment in which no pair costs more than `most`."""
    if not table.size:
        return []
    lift = min(0.0, float(table.min()))  # the solver wants costs from zero up
    _, columns, _ = lapjv(np.ascontiguousarray(table - lift), extend_cost=True, cost_limit=most - lift)
    pairs = [(row, int(column)) for row, column in enumerate(columns.tolist()) if column >= 0]
    return [(row, column) for row, column in pairs if table[row, column] <= most]


def correct(motion: Motion, seen: Sights, owner: NDArray[np.int64]) -> Motion:
    """The filter after its measurements: all of a person's at once; those that contradict the rest weigh less."""
    state, spread = motion.state.copy(), motion.spread.copy()
    for person in np.unique(owner[owner >= 0]):
        rows = np.flatnonzero(owner == person)
        measured = np.linalg.inv(seen.spread[rows] + np.eye(2) * LEAST_SD_M**2) * CAMERA_SHARE
        prior = np.linalg.inv(motion.spread[person])
        mean = motion.state[person]
        weight = np.ones(len(rows))
        for _ in range(ROUNDS):
            information, vector = prior.copy(), prior @ motion.state[person]
            information[:2, :2] += np.einsum("n,nij->ij", weight, measured)
            vector[:2] += np.einsum("n,nij,nj->i", weight, measured, seen.floor[rows])
            covariance = np.linalg.inv(information)
            mean = covariance @ vector
            error = seen.floor[rows] - mean[:2]
            far = np.einsum("ni,nij,nj->n", error, measured, error)
            weight = (TAILS_DOF + 2) / (TAILS_DOF + far)
        state[person], spread[person] = mean, covariance
    return Motion(state, spread)


def follow(motion: Motion, seen: Sights, looks: Float, dt_s: float) -> tuple[Motion, NDArray[np.int64]]:
    """One slot: predict, associate, correct; and associate anew from there, as a fast walker's prediction is late."""
    ahead = predict(motion, dt_s)
    owner = associate(ahead, seen, looks)
    owner = associate(correct(ahead, seen, owner), seen, looks)
    return correct(ahead, seen, owner), owner
