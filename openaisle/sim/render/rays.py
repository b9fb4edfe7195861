"""Exact rays of a distorted camera: a grid of ideal image points, one a pixel, and bounds from rays back to pixels.

Everything is drawn with these rays, so ids and depth agree with Camera.unproject at every pixel centre and lens
distortion costs nothing per frame. Camera frame: ray of pixel (u, v) is (x[v, u], y[v, u], 1), so that the ray
parameter of a hit is its depth along the camera's z axis.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from openaisle.sim.render.jit import kernel
from openaisle.store.geometry import Camera

BINS = 2048
NEAR_M = 0.02
SMALL_PX = 48.0  # boxes up to this size are bounded through the forward distortion, larger ones by table


class Rays(NamedTuple):
    """Rays of one camera and tables that bound where a range of x or y may appear."""

    x: NDArray[np.float32]  # [H, W]
    y: NDArray[np.float32]  # [H, W]
    column_range: NDArray[np.int32]  # [2, BINS] first and last column that can hold an x of this bin
    row_range: NDArray[np.int32]  # [2, BINS]
    limits: NDArray[np.float64]  # x0 x1 y0 y1 of the whole picture, then the largest safe radius squared
    lens: NDArray[np.float64]  # fx fy cx cy k1 k2 p1 p2 k3
    camera: NDArray[np.float64]  # [4, 4] camera_from_world


def camera_rays(camera: Camera, factor: int = 1) -> Rays:
    """Rays at the pixel centres of a camera; factor 2 splits every pixel into 2x2 (centres at +-0.25 pixel)."""
    width, height = camera.width_px * factor, camera.height_px * factor
    fx, fy = camera.fx_px * factor, camera.fy_px * factor
    cx, cy = ((c + 0.5) * factor - 0.5 for c in (camera.cx_px, camera.cy_px))
    u, v = np.meshgrid(np.arange(width, dtype=np.float64), np.arange(height, dtype=np.float64))
    target = np.stack([(u - cx) / fx, (v - cy) / fy], axis=-1)
    ideal = undistort(camera, target)
    x, y = ideal[..., 0], ideal[..., 1]
    radius2 = float((x * x + y * y).max()) * 1.05
    limits = np.array([x.min(), x.max(), y.min(), y.max(), radius2])
    columns = bin_ranges(x.min(axis=0), x.max(axis=0), limits[0], limits[1])
    rows = bin_ranges(y.min(axis=1), y.max(axis=1), limits[2], limits[3])
    lens = np.array([fx, fy, cx, cy, *camera.distortion])
    pose = np.ascontiguousarray(camera.camera_from_world, np.float64)
    return Rays(
        np.ascontiguousarray(x, np.float32), np.ascontiguousarray(y, np.float32), columns, rows, limits, lens, pose
    )


def undistort(camera: Camera, target: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ideal image points [..., 2] of distorted ones, by the same fixed-point rule as Camera.unproject."""
    if not any(camera.distortion):
        return target
    ideal = target.copy()
    for _ in range(20):
        ideal = ideal + (target - camera.distort(ideal))
    return ideal


def bin_ranges(low: NDArray[np.float64], high: NDArray[np.float64], start: float, stop: float) -> NDArray[np.int32]:
    """First and last index whose range low..high meets each bin of start..stop, int32 [2, BINS]."""
    edges = np.linspace(start, stop, BINS + 1)
    first = np.searchsorted(np.maximum.accumulate(high), edges[:-1], side="left")
    last = np.searchsorted(np.minimum.accumulate(low[::-1])[::-1], edges[1:], side="right") - 1
    return np.stack([np.clip(first - 1, 0, len(low) - 1), np.clip(last + 1, 0, len(low) - 1)]).astype(np.int32)


@kernel
def bounds(rays: Rays, x0: float, x1: float, y0: float, y1: float) -> tuple[int, int, int, int]:
    """Pixel box (u0, u1, v0, v1), inclusive, that holds all rays with x in x0..x1 and y in y0..y1; u0 > u1: none."""
    limits, lens = rays.limits, rays.lens
    if x1 < limits[0] or x0 > limits[1] or y1 < limits[2] or y0 > limits[3]:
        return 0, -1, 0, -1
    far_x, far_y = max(abs(x0), abs(x1)), max(abs(y0), abs(y1))
    small = (x1 - x0) * lens[0] < SMALL_PX and (y1 - y0) * lens[1] < SMALL_PX
    if small and far_x * far_x + far_y * far_y < limits[4]:
        low_u, high_u, low_v, high_v = 1e9, -1e9, 1e9, -1e9
        for corner in range(4):
            x = x0 if corner & 1 else x1
            y = y0 if corner & 2 else y1
            r2 = x * x + y * y
            radial = 1.0 + r2 * (lens[4] + r2 * (lens[5] + r2 * lens[8]))
            u = (x * radial + 2.0 * lens[6] * x * y + lens[7] * (r2 + 2.0 * x * x)) * lens[0] + lens[2]
            v = (y * radial + lens[6] * (r2 + 2.0 * y * y) + 2.0 * lens[7] * x * y) * lens[1] + lens[3]
            low_u, high_u = min(low_u, u), max(high_u, u)
            low_v, high_v = min(low_v, v), max(high_v, v)
        height, width = rays.x.shape
        # 0.75 px more: the sides of the box bend by less than half a pixel between its corners
        return (
            max(0, int(np.ceil(low_u - 0.75))), min(width - 1, int(np.floor(high_u + 0.75))),
            max(0, int(np.ceil(low_v - 0.75))), min(height - 1, int(np.floor(high_v + 0.75))),
        )  # fmt: skip
    to_x, to_y = BINS / (limits[1] - limits[0]), BINS / (limits[3] - limits[2])
    bx0 = min(max(int((max(x0, limits[0]) - limits[0]) * to_x), 0), BINS - 1)
    bx1 = min(max(int((min(x1, limits[1]) - limits[0]) * to_x), 0), BINS - 1)
    by0 = min(max(int((max(y0, limits[2]) - limits[2]) * to_y), 0), BINS - 1)
    by1 = min(max(int((min(y1, limits[3]) - limits[2]) * to_y), 0), BINS - 1)
    return rays.column_range[0, bx0], rays.column_range[1, bx1], rays.row_range[0, by0], rays.row_range[1, by1]
