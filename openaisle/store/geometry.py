"""Frames and cameras: rigid transforms that read like their multiplication, and a pinhole camera with distortion.

World: metres, x right, y into the shop, z up, floor at z = 0. Camera axes follow OpenCV (x right, y down,
z forward). `world_from_camera` maps camera coordinates to world coordinates.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

Float = NDArray[np.float64]


def rigid(rotation_33: ArrayLike, translation_3: ArrayLike) -> Float:
    """4×4 rigid transform from a rotation matrix and a translation in metres."""
    transform = np.eye(4)
    transform[:3, :3] = rotation_33
    transform[:3, 3] = translation_3
    return transform


def yaw_transform(x_m: float, y_m: float, z_m: float, yaw_rad: float) -> Float:
    """4×4 transform that turns about z by `yaw_rad`, then moves to (x, y, z)."""
    c, s = np.cos(yaw_rad), np.sin(yaw_rad)
    return rigid([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]], [x_m, y_m, z_m])


def invert(transform: Float) -> Float:
    """Inverse of a rigid 4×4 transform."""
    rotation = transform[:3, :3].T
    return rigid(rotation, -rotation @ transform[:3, 3])


def apply(transform: Float, points: ArrayLike) -> Float:
    """Transform points [..., 3] by a 4×4 rigid transform."""
    return np.asarray(points, dtype=np.float64) @ transform[:3, :3].T + transform[:3, 3]


def look_at(position_m: ArrayLike, target_m: ArrayLike, roll_rad: float = 0.0) -> Float:
    """world_from_camera [4, 4] for a camera at `position_m` looking at `target_m`; roll about its own axis."""
    position = np.asarray(position_m, dtype=np.float64)
    forward = np.asarray(target_m, dtype=np.float64) - position
    forward /= np.linalg.norm(forward)
    # Straight down has no "up": take world y as the top of the picture.
    up = np.array([0.0, 0.0, 1.0]) if abs(forward[2]) < 0.999 else np.array([0.0, 1.0, 0.0])
    right = np.cross(forward, up)
    right /= np.linalg.norm(right)
    down = np.cross(forward, right)
    c, s = np.cos(roll_rad), np.sin(roll_rad)
    axes = np.stack([right * c + down * s, down * c - right * s, forward], axis=1)
    return rigid(axes, position)


@dataclass(frozen=True)
class Camera:
    """A calibrated camera. Pixel (u, v) has its origin at the centre of the top-left pixel (OpenCV)."""

    id: str
    width_px: int
    height_px: int
    fps: float
    fx_px: float
    fy_px: float
    cx_px: float
    cy_px: float
    distortion: tuple[float, float, float, float, float]  # k1 k2 p1 p2 k3 (OpenCV)
    world_from_camera: Float

    @cached_property
    def matrix(self) -> Float:
        """3×3 intrinsic matrix K."""
        return np.array([[self.fx_px, 0, self.cx_px], [0, self.fy_px, self.cy_px], [0, 0, 1.0]])

    @cached_property
    def camera_from_world(self) -> Float:
        """4×4 inverse of world_from_camera."""
        return invert(self.world_from_camera)

    def distort(self, xy: Float) -> Float:
        """Ideal normalised image points [..., 2] to distorted ones (Brown-Conrady, as in OpenCV)."""
        k1, k2, p1, p2, k3 = self.distortion
        x, y = xy[..., 0], xy[..., 1]
        r2 = x * x + y * y
        radial = 1 + r2 * (k1 + r2 * (k2 + r2 * k3))
        return np.stack(
            [
                x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x),
                y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y,
            ],
            axis=-1,
        )

    def project(self, points_m: ArrayLike) -> tuple[Float, Float]:
        """World points [..., 3] to pixels [..., 2] and depths [...] in metres (depth <= 0: behind the camera)."""
        local = apply(self.camera_from_world, points_m)
        depth = local[..., 2]
        safe = np.where(np.abs(depth) < 1e-9, 1e-9, depth)
        xy = self.distort(local[..., :2] / safe[..., None])
        return xy * [self.fx_px, self.fy_px] + [self.cx_px, self.cy_px], depth

    def unproject(self, pixels: ArrayLike) -> tuple[Float, Float]:
        """Pixels [..., 2] to rays: origin [3] and unit directions [..., 3] in the world frame."""
        target = (np.asarray(pixels, dtype=np.float64) - [self.cx_px, self.cy_px]) / [self.fx_px, self.fy_px]
        xy = target.copy()
        for _ in range(20):  # fixed-point inversion, as OpenCV's undistortPoints, to ~1e-9
            xy = xy + (target - self.distort(xy))
        local = np.concatenate([xy, np.ones_like(xy[..., :1])], axis=-1)
        direction = local @ self.world_from_camera[:3, :3].T
        return self.world_from_camera[:3, 3].copy(), direction / np.linalg.norm(direction, axis=-1, keepdims=True)
