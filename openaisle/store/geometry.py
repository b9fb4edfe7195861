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
        return np.stack(self._bend(xy[..., 0], xy[..., 1]), axis=-1)

    def _bend(self, x: Float, y: Float) -> tuple[Float, Float]:
        """`distort` by components: half the time where they lie side by side."""
        k1, k2, p1, p2, k3 = self.distortion
        r2 = x * x + y * y
        radial = 1 + r2 * (k1 + r2 * (k2 + r2 * k3))
        return (
            x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x),
            y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y,
        )

    def project(self, points_m: ArrayLike) -> tuple[Float, Float]:
        """World points [..., 3] to pixels [..., 2] and depths [...] in metres (depth <= 0: behind the camera)."""
        local = apply(self.camera_from_world, points_m)
        depth = local[..., 2]
        safe = np.where(np.abs(depth) < 1e-9, 1e-9, depth)
        x, y = self._bend(local[..., 0] / safe, local[..., 1] / safe)
        return np.stack([x * self.fx_px + self.cx_px, y * self.fy_px + self.cy_px], axis=-1), depth

    def unproject(self, pixels: ArrayLike) -> tuple[Float, Float]:
        """Pixels [..., 2] to rays: origin [3] and unit directions [..., 3] in the world frame."""
        target = (np.asarray(pixels, dtype=np.float64) - [self.cx_px, self.cy_px]) / [self.fx_px, self.fy_px]
        xy = self._undistort(target)
        local = np.concatenate([xy, np.ones_like(xy[..., :1])], axis=-1)
        direction = local @ self.world_from_camera[:3, :3].T
        return self.world_from_camera[:3, 3].copy(), direction / np.linalg.norm(direction, axis=-1, keepdims=True)

    def sees(self, points_m: ArrayLike, margin_px: float | Float = 0.0) -> NDArray[np.bool_]:
        """bool [...]: the world point [..., 3] lies in front of the camera and inside its picture, less a margin [...].

        Points so far out that the distortion polynomial folds back over itself are not seen, although
        `project` may put them inside the picture.
        """
        local = apply(self.camera_from_world, points_m)
        ahead = local[..., 2] > 1e-6
        depth = np.where(ahead, local[..., 2], 1.0)
        x, y = local[..., 0] / depth, local[..., 1] / depth
        bent = self._bend(x, y)
        u, v, low = bent[0] * self.fx_px + self.cx_px, bent[1] * self.fy_px + self.cy_px, margin_px - 0.5
        wide, high = self.width_px - 0.5 - margin_px, self.height_px - 0.5 - margin_px
        inside = (u >= low) & (u <= wide) & (v >= low) & (v <= high)
        return np.asarray(ahead & inside & (np.hypot(x, y) < self.fold_radius))

    @cached_property
    def fold_radius(self) -> float:
        """Ideal radius beyond which the radial distortion turns back (infinite for a well-behaved lens)."""
        k1, k2, _, _, k3 = self.distortion
        roots = np.roots([7 * k3, 5 * k2, 3 * k1, 1.0])  # derivative of r (1 + k1 r² + k2 r⁴ + k3 r⁶), in r²
        real = roots.real[(np.abs(roots.imag) < 1e-9) & (roots.real > 0)]
        return float(np.sqrt(real.min())) if len(real) else float("inf")

    def _undistort(self, target: Float) -> Float:
        """Inverse of `distort` by Newton's method; fixed-point iteration does not converge for wide lenses."""
        k1, k2, p1, p2, k3 = self.distortion
        aim = target[..., 0].copy(), target[..., 1].copy()
        x, y = aim
        for _ in range(30):
            r2 = x * x + y * y
            radial = 1 + r2 * (k1 + r2 * (k2 + r2 * k3))
            slope = 2 * (k1 + r2 * (2 * k2 + 3 * r2 * k3))  # d radial / dx = slope * x
            a = radial + slope * x * x + 2 * p1 * y + 6 * p2 * x
            b = slope * x * y + 2 * p1 * x + 2 * p2 * y
            d = radial + slope * y * y + 6 * p1 * y + 2 * p2 * x
            determinant = a * d - b * b
            determinant = np.where(np.abs(determinant) < 1e-3, 1e-3, determinant)
            bent = self._bend(x, y)
            off = bent[0] - aim[0], bent[1] - aim[1]
            moved_x = np.clip((d * off[0] - b * off[1]) / determinant, -0.5, 0.5)
            moved_y = np.clip((a * off[1] - b * off[0]) / determinant, -0.5, 0.5)
            x, y = x - moved_x, y - moved_y
            if max(np.abs(moved_x).max(initial=0.0), np.abs(moved_y).max(initial=0.0)) < 1e-12:
                break  # the next step would be its square
        return np.stack([x, y], axis=-1)
