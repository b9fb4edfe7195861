"""Changed patches of one picture back on a sparse canvas: where nothing changed there is nothing.

What a convolutional detector looks at: the smallest rectangle of patches that holds all changed ones, one patch wider
on each side, so that cost follows activity. N patches of one camera, a canvas of H×W patches of 16 pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from openaisle.tokens.rays import PATCH_PX, RAY_FEATURES

PICTURE_CHANNELS, PLACE_CHANNELS = 6, RAY_FEATURES + 1
HALF_PATCH_PX = PATCH_PX / 2
MARGIN = 1  # patches around the changed ones
Float32 = NDArray[np.float32]
UInt8 = NDArray[np.uint8]


@dataclass(frozen=True)
class Canvas:
    """One picture's changed patches."""

    picture: Float32  # [6, 16 H, 16 W] colours less grey, and twice their difference to the background; else 0
    places: Float32  # [RAY_FEATURES + 1, H, W] each changed patch's ray and a one; else 0
    corner: tuple[int, int]  # row and column of its first patch in the picture


def bounds(cells: NDArray[np.int64]) -> tuple[int, int, int, int]:
    """First row, first column, rows and columns of the canvas around cells [N, 2]."""
    first, last = cells.min(0) - MARGIN, cells.max(0) + MARGIN
    return int(first[0]), int(first[1]), int(last[0] - first[0] + 1), int(last[1] - first[1] + 1)


def canvas(
    patches: tuple[NDArray[np.int64], UInt8, UInt8, Float32], box: tuple[int, int, int, int] | None = None
) -> Canvas:
    """Cells [N, 2], pixels and background [N, 768] and rays [N, R] on a canvas; those outside of `box` are left out."""
    cells, pixels, background, rays = patches
    top, left, rows, cols = box or bounds(cells)
    row, col = cells[:, 0] - top, cells[:, 1] - left
    inside = (row >= 0) & (row < rows) & (col >= 0) & (col < cols)
    row, col = row[inside], col[inside]
    now = pixels[inside].reshape(-1, PATCH_PX, PATCH_PX, 3).astype(np.float32) / np.float32(255.0)
    before = background[inside].reshape(-1, PATCH_PX, PATCH_PX, 3).astype(np.float32) / np.float32(255.0)
    grid = np.zeros((rows, cols, PATCH_PX, PATCH_PX, PICTURE_CHANNELS), dtype=np.float32)
    grid[row, col] = np.concatenate([now - np.float32(0.5), (now - before) * np.float32(2.0)], axis=-1)
    places = np.zeros((PLACE_CHANNELS, rows, cols), dtype=np.float32)
    places[:-1, row, col] = rays[inside].T
    places[-1, row, col] = 1.0
    picture = grid.transpose(4, 0, 2, 1, 3).reshape(PICTURE_CHANNELS, rows * PATCH_PX, cols * PATCH_PX)
    return Canvas(np.ascontiguousarray(picture), places, (top, left))


def rays_at(pixels: Float32, cells: NDArray[np.int64], rays: Float32) -> tuple[Float32, Float32, NDArray[np.int64]]:
    """Unit rays [K, 3] in the camera's horizontal frame through pixels [K, 2] (u, v), the angle of a pixel [K] in
    radians, and the changed patch [K] that told it: the nearest of the picture's N.

    A patch tells the ray of its middle and how that turns to the right and down (tokens/rays.py).
    """
    middle = cells[:, ::-1] * PATCH_PX + (PATCH_PX - 1) / 2
    gap = pixels[:, None] - middle[None]
    near = np.abs(gap).max(-1).argmin(1)
    step = gap[np.arange(len(pixels)), near] / HALF_PATCH_PX
    ahead, right, down = rays[near, 0:3], rays[near, 9:12] / 10.0, rays[near, 12:15] / 10.0
    ray = ahead + step[:, :1] * right + step[:, 1:] * down
    ray /= np.linalg.norm(ray, axis=1, keepdims=True)
    angle = np.linalg.norm(right, axis=1) / HALF_PATCH_PX
    return ray.astype(np.float32), angle.astype(np.float32), near
