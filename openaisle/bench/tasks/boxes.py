"""Boxes around people in pictures: projected bodies as multi-view data sets draw them, and blobs of changed patches."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from openaisle.recording.multiview import HEAD_M, LEAST_PX, OVER_HEAD_M, RADIUS_M
from openaisle.store.geometry import Camera
from openaisle.tokens.rays import PATCH_PX

Box = tuple[float, float, float, float]  # left, top, width, height in pixels
NEAREST_M = 0.2  # a body that reaches nearer to the camera has no box
RING = 12


def body_box(camera: Camera, floor_m: NDArray[np.floating], head_z_m: float) -> Box | None:
    """The box of the upright cylinder (radius 25 cm, to the top of the head) around a body, clipped to the picture.

    In raw pixels, with the lens's distortion. None where it is not in view, or less than 4 pixels of it.
    """
    top = (head_z_m if np.isfinite(head_z_m) else HEAD_M) + OVER_HEAD_M
    angles = np.linspace(0, 2 * np.pi, RING, endpoint=False)
    ring = np.stack([np.cos(angles), np.sin(angles)], axis=1) * RADIUS_M + np.asarray(floor_m, dtype=np.float64)
    points = np.concatenate([np.column_stack([ring, np.full(RING, z)]) for z in (0.0, top)])
    pixels, depth = camera.project(points)
    local = points @ camera.camera_from_world[:3, :3].T + camera.camera_from_world[:3, 3]
    ideal = np.hypot(local[:, 0], local[:, 1]) / np.maximum(depth, 1e-6)
    shown = (depth > NEAREST_M) & (ideal < camera.fold_radius)
    if not shown.all():  # partly behind the camera, or where its distortion folds back
        return None
    low = np.clip(pixels.min(0), 0, [camera.width_px, camera.height_px])
    high = np.clip(pixels.max(0), 0, [camera.width_px, camera.height_px])
    width, height = (high - low).tolist()
    return (float(low[0]), float(low[1]), width, height) if min(width, height) >= LEAST_PX else None


def blobs(cells: NDArray[np.integer]) -> list[tuple[Box, int]]:
    """Boxes of connected (8 neighbours) patches [N, 2] of row and column, each with its number of patches."""
    if not len(cells):
        return []
    rows, columns = (cells.max(0) + 1).tolist()
    grid = np.zeros((rows, columns), dtype=np.uint8)
    grid[cells[:, 0], cells[:, 1]] = 1
    return [
        ((left * PATCH_PX, top * PATCH_PX, width * PATCH_PX, height * PATCH_PX), count)
        for left, top, width, height, count in components(grid)
    ]


def components(grid: NDArray[np.uint8]) -> list[tuple[int, int, int, int, int]]:
    """Left, top, width, height and size of every connected region (8 neighbours) of a mask [rows, columns]."""
    _, _, stats, _ = cv2.connectedComponentsWithStats(grid, connectivity=8)
    return [(int(a), int(b), int(c), int(d), int(n)) for a, b, c, d, n in stats[1:]]
