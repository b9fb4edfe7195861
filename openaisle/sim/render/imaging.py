"""From a sharp picture to a camera's: dirty tiles, blur, contact shadows, downsampling and sensor noise."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from openaisle.sim.render.jit import kernel
from openaisle.sim.render.raster import Target
from openaisle.sim.render.rays import Rays
from openaisle.sim.render.shade import Look

TILE = 16
NOISE_LENGTH = 1 << 20
NOISE_UNIT = 32  # table values a standard deviation


def noise_table(seed: int) -> NDArray[np.int8]:
    """Gaussian noise, int8 [NOISE_LENGTH], sd NOISE_UNIT."""
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, 5])))
    return np.clip(np.rint(rng.standard_normal(NOISE_LENGTH, np.float32) * NOISE_UNIT), -127, 127).astype(np.int8)


@kernel
def mark(tiles: NDArray[np.bool_], u0: int, u1: int, v0: int, v1: int) -> None:
    """Mark the tiles that a pixel box, widened by the reach of the blur, touches."""
    if u0 > u1 or v0 > v1:
        return
    for row in range(max(0, (v0 - 2) // TILE), min(tiles.shape[0] - 1, (v1 + 2) // TILE) + 1):
        for column in range(max(0, (u0 - 2) // TILE), min(tiles.shape[1] - 1, (u1 + 2) // TILE) + 1):
            tiles[row, column] = True


@kernel
def mark_boxes(tiles: NDArray[np.bool_], boxes: NDArray[np.int32]) -> None:
    """Mark the tiles of all boxes [n, 4]."""
    for b in range(len(boxes)):
        mark(tiles, boxes[b, 0], boxes[b, 1], boxes[b, 2], boxes[b, 3])


@kernel
def restore_tiles(tiles: NDArray[np.bool_], depth: NDArray[np.float32], rgb: NDArray[np.uint8], target: Target, out: NDArray[np.uint8]) -> None:
    """Copy the static layer into the working buffers at dirty tiles and one pixel around them."""
    height, width = depth.shape
    for row in range(tiles.shape[0]):
        for column in range(tiles.shape[1]):
            if not tiles[row, column]:
                continue
            for v in range(max(0, row * TILE - 1), min(height, row * TILE + TILE + 1)):
                for u in range(max(0, column * TILE - 1), min(width, column * TILE + TILE + 1)):
                    target.depth[v, u] = depth[v, u]
                    target.object[v, u] = -1
                    out[v, u, 0], out[v, u, 1], out[v, u, 2] = rgb[v, u, 0], rgb[v, u, 1], rgb[v, u, 2]


@kernel
def blob_shadow(rays: Rays, look: Look, depth: NDArray[np.float32], ids: NDArray[np.int32], rgb: NDArray[np.uint8], disc: NDArray[np.float64]) -> None:
    """Darken the floor around (x, y) with radius r: disc = x y r, then its pixel box u0 u1 v0 v1."""
    x, y, r = disc[0], disc[1], disc[2]
    for v in range(int(disc[5]), int(disc[6]) + 1):
        for u in range(int(disc[3]), int(disc[4]) + 1):
            if ids[v, u] != 1:
                continue
            d, rx, ry = depth[v, u], rays.x[v, u], rays.y[v, u]
            px = look.origin[0] + d * (look.world[0, 0] * rx + look.world[0, 1] * ry + look.world[0, 2]) - x
            py = look.origin[1] + d * (look.world[1, 0] * rx + look.world[1, 1] * ry + look.world[1, 2]) - y
            gap2 = (px * px + py * py) / (r * r)
            if gap2 < 1.0:
                keep = 1.0 - 0.55 * (1.0 - gap2) * (1.0 - gap2)
                rgb[v, u, 0] = np.uint8(rgb[v, u, 0] * keep)
                rgb[v, u, 1] = np.uint8(rgb[v, u, 1] * keep)
                rgb[v, u, 2] = np.uint8(rgb[v, u, 2] * keep)


@kernel
def blur_box(sharp: NDArray[np.uint8], out: NDArray[np.uint8], side: int, u0: int, u1: int, v0: int, v1: int) -> None:
    """3x3 blur of a pixel box (inclusive), separable weights side, 256 - 2 side, side over 256; edges repeat."""
    height, width = sharp.shape[:2]
    middle = 256 - 2 * side
    for v in range(v0, v1 + 1):
        above, below = max(v - 1, 0), min(v + 1, height - 1)
        for u in range(u0, u1 + 1):
            left, right = max(u - 1, 0), min(u + 1, width - 1)
            for k in range(3):
                l = side * (sharp[above, left, k] + sharp[below, left, k]) + middle * sharp[v, left, k]
                m = side * (sharp[above, u, k] + sharp[below, u, k]) + middle * sharp[v, u, k]
                r = side * (sharp[above, right, k] + sharp[below, right, k]) + middle * sharp[v, right, k]
                out[v, u, k] = np.uint8((side * (l + r) + middle * m + 32768) >> 16)


@kernel
def blur_tiles(tiles: NDArray[np.bool_], sharp: NDArray[np.uint8], out: NDArray[np.uint8], side: int) -> None:
    """Blur all dirty tiles."""
    height, width = sharp.shape[:2]
    for row in range(tiles.shape[0]):
        for column in range(tiles.shape[1]):
            if tiles[row, column]:
                u1, v1 = min(width, column * TILE + TILE) - 1, min(height, row * TILE + TILE) - 1
                blur_box(sharp, out, side, column * TILE, u1, row * TILE, v1)


@kernel
def add_noise(picture: NDArray[np.uint8], table: NDArray[np.int8], strength: NDArray[np.int32], key: int) -> None:
    """Add read noise (strength[0]) and shot noise (strength[1], grows with the signal), units of 1/256 sd.

    Every row takes another stretch of the table, chosen by key.
    """
    height, width = picture.shape[:2]
    flat = picture.reshape(height, width * 3)
    read, shot = strength[0], strength[1]
    state = np.uint64(key)
    for v in range(height):
        state = state * np.uint64(6364136223846793005) + np.uint64(1442695040888963407)
        offset = int((state >> np.uint64(33)) % np.uint64(NOISE_LENGTH - 3 * width))
        row = flat[v]
        stretch = table[offset : offset + 3 * width]
        for i in range(3 * width):
            value = np.int32(row[i])
            noise = (np.int32(stretch[i]) * (read + ((value * shot) >> 8)) + 4096) >> 13
            row[i] = np.uint8(min(max(value + noise, np.int32(0)), np.int32(255)))
