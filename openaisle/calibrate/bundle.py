"""Bundle adjustment: poses of cameras (and whatever else is unknown) that explain all that was seen, by least squares.

A pose is refined as a small turn and move on top of where it began, so that no rotation is ever near a singularity.
SciPy's soft_l1 loss lets what is wrong by far pull no more than what is wrong a little.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import cv2
import numpy as np

from openaisle.errors import MissingExtraError
from openaisle.store.geometry import Camera, Float, look_at, rigid
from openaisle.store.schema import CameraSpec

STEPS = 200  # evaluations of the Jacobian at most; 10 are usual
RODRIGUES_DEG = 0.01  # a pose that look_at_m cannot say this well is written as rotation_rodrigues
VIEW_M = (0.5, 10.0)  # how far the point of look_at_m may be
DIGITS = 4  # of metres: a tenth of a millimetre
Residuals = Callable[[Float], Float]


@dataclass(frozen=True)
class Adjusted:
    """The best parameters, their standard deviations, and how large the residuals are (all whitened)."""

    x: Float
    sigma: Float
    residuals: Float


def adjust(residuals: Residuals, start: Float, sparsity: Float | None = None) -> Adjusted:
    """Minimise whitened residuals from `start`; raises MissingExtraError without SciPy."""
    try:
        from scipy.optimize import least_squares
    except ImportError as error:
        raise MissingExtraError("scipy", "calibrate") from error
    done = least_squares(residuals, start, loss="soft_l1", x_scale="jac", max_nfev=STEPS, jac_sparsity=sparsity)
    jacobian = done.jac.toarray() if sparsity is not None else np.asarray(done.jac)
    covariance = np.linalg.pinv(jacobian.T @ jacobian)
    return Adjusted(np.asarray(done.x), np.sqrt(np.abs(np.diag(covariance))), np.asarray(residuals(done.x)))


def nudged(pose: Float, turn_move: Float) -> Float:
    """A pose turned about its own origin by a rotation vector in its frame [0:3], and moved in the world [3:6]."""
    turn = np.asarray(cv2.Rodrigues(np.asarray(turn_move[:3], np.float64))[0])
    return rigid(pose[:3, :3] @ turn, pose[:3, 3] + turn_move[3:6])


def moved_camera(camera: Camera, turn_move: Float) -> Camera:
    """The camera with its pose nudged."""
    return replace(camera, world_from_camera=nudged(camera.world_from_camera, turn_move))


def between(one: Float, other: Float) -> tuple[float, float]:
    """How far apart two poses are: metres, degrees."""
    turn = np.asarray(cv2.Rodrigues(one[:3, :3].T @ other[:3, :3])[0])
    return float(np.linalg.norm(one[:3, 3] - other[:3, 3])), float(np.degrees(np.linalg.norm(turn)))


def _rotation_vector(rotation: Float) -> Float:
    """Not by OpenCV, whose signs are wrong within 1e-5 of half a turn: a camera that looks straight down."""
    try:
        from scipy.spatial.transform import Rotation
    except ImportError as error:
        raise MissingExtraError("scipy", "calibrate") from error
    return np.asarray(Rotation.from_matrix(rotation).as_rotvec())


def pose_fields(spec: CameraSpec, world_from_camera: Float) -> dict[str, float | list[float] | None]:
    """A pose in the fields of store.yaml, as a point to look at where that is how the camera is described.

    None stands for a field that has to go. What a rounded point and roll cannot say exactly enough (a camera that
    looks almost straight down may flip) becomes a rotation vector.
    """
    position = np.round(world_from_camera[:3, 3], DIGITS)
    fields: dict[str, float | list[float] | None] = {"position_m": position.tolist()}
    vector = _rotation_vector(world_from_camera[:3, :3])
    turned = {"look_at_m": None, "roll_deg": None, "rotation_rodrigues": np.round(vector, 6).tolist()}
    if spec.look_at_m is None:
        return fields | turned
    forward = world_from_camera[:3, 2]
    reach = position[2] / -forward[2] if forward[2] < -1e-3 else 3.0  # where it sees the floor
    target = np.round(position + forward * np.clip(reach, *VIEW_M), DIGITS)
    level = look_at(position, target)[:3, :3].T @ world_from_camera[:3, :3]
    roll = round(float(np.degrees(np.arctan2(level[1, 0], level[0, 0]))), 3)
    said = look_at(position, target, np.deg2rad(roll))
    if between(said, rigid(world_from_camera[:3, :3], position))[1] > RODRIGUES_DEG:
        return fields | turned
    return fields | {"look_at_m": target.tolist(), "roll_deg": roll if roll else None}
