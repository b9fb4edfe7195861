"""From a sharp picture to a camera's: dirty tiles, 2x2 downsampling, lens blur and sensor noise."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from openaisle.sim.render.jit import kernel
from openaisle.sim.render.raster import NOTHING, Canvas

TILE = 16  # pixels; pictures are patched tile by tile
NOISE_LENGTH = 1 << 20
NOISE_UNIT = 32  # table values a standard deviation


def noise_table(seed: int) -> NDArray[np.int8]:
    """Gaussian noise, int8 [NOISE_LENGTH], sd NOISE_UNIT."""
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, 5])))
    return np.clip(np.rint(rng.standard_normal(NOISE_LENGTH, np.float32) * NOISE_UNIT), -127, 127).astype(np.int8)


def noise_key(seed: int, camera_index: int, time_ns: int) -> int:
    """A number below 2**62 that differs between pictures (mixed as in SplitMix64)."""
    mixed = (seed * 0x9E3779B97F4A7C15 + camera_index * 0xBF58476D1CE4E5B9 + time_ns * 0x94D049BB133111EB) & (2**64 - 1)
    mixed ^= mixed >> 31
    return (mixed * 0xD6E8FEB86659FD93 & (2**64 - 1)) >> 2


@kernel
def mark(tiles: NDArray[np.bool_], boxes: NDArray[np.int32]) -> None:
    """Mark the tiles that pixel boxes [n, 4], widened by the reach of the blur, touch."""
    for b in range(len(boxes)):
        u0, u1, v0, v1 = boxes[b, 0], boxes[b, 1], boxes[b, 2], boxes[b, 3]
        if u0 > u1 or v0 > v1:
            continue
        for row in range(max(0, (v0 - 2) // TILE), min(tiles.shape[0] - 1, (v1 + 2) // TILE) + 1):
            for column in range(max(0, (u0 - 2) // TILE), min(tiles.shape[1] - 1, (u1 + 2) // TILE) + 1):
                tiles[row, column] = True


@kernel
def restore(tiles: NDArray[np.bool_], still: Canvas, work: Canvas, tile: int) -> None:
    """Copy the still picture into the working canvas at dirty tiles and a pixel around them, runs of tiles at once."""
    height, width = still.depth.shape
    from_depth, to_depth, code = still.depth, work.depth, work.object
    from_rgb, to_rgb = still.rgb.reshape(height, 3 * width), work.rgb.reshape(height, 3 * width)
    for row in range(tiles.shape[0]):
        column = 0
        while column < tiles.shape[1]:
            if not tiles[row, column]:
                column += 1
                continue
            first = column
            while column < tiles.shape[1] and tiles[row, column]:
                column += 1
            u0, u1 = max(0, first * tile - 1), min(width, column * tile + 1)
            for v in range(max(0, row * tile - 1), min(height, row * tile + tile + 1)):
                for u in range(u0, u1):
                    to_depth[v, u] = from_depth[v, u]
                for u in range(u0, u1):
                    code[v, u] = NOTHING
                for i in range(3 * u0, 3 * u1):
                    to_rgb[v, i] = from_rgb[v, i]


@kernel
def blur(sharp: NDArray[np.uint8], out: NDArray[np.uint8], side: int, box: tuple[int, int, int, int]) -> None:
    """3x3 blur of a pixel box (u0, u1, v0, v1 inclusive), weights side, 256 - 2 side, side over 256; edges repeat."""
    height, width = sharp.shape[:2]
    u0, u1, v0, v1 = box
    left, right = max(u0 - 1, 0), min(u1 + 1, width - 1)
    count = 3 * (u1 - u0 + 1)
    column = np.empty(count + 6, np.int32)  # vertically blurred row, one pixel more on either side
    outer, inner = np.int32(side), np.int32(256 - 2 * side)
    flat, flat_out = sharp.reshape(height, 3 * width), out.reshape(height, 3 * width)
    start = 3 * (left - u0 + 1)  # 0, or 3 at the picture's left edge
    for v in range(v0, v1 + 1):
        above, here, below = flat[max(v - 1, 0)], flat[v], flat[min(v + 1, height - 1)]
        for i in range(3 * (right - left + 1)):
            k = 3 * left + i
            column[start + i] = outer * (np.int32(above[k]) + np.int32(below[k])) + inner * np.int32(here[k])
        if start == 3:
            column[0], column[1], column[2] = column[3], column[4], column[5]
        if right == u1:
            column[count + 3], column[count + 4], column[count + 5] = (
                column[count],
                column[count + 1],
                column[count + 2],
            )
        target = flat_out[v, 3 * u0 : 3 * u0 + count]
        for i in range(count):
            total = outer * (column[i] + column[i + 6]) + inner * column[i + 3]
            target[i] = np.uint8((total + np.int32(32768)) >> np.int32(16))


@kernel
def blur_boxes(boxes: NDArray[np.int32], sharp: NDArray[np.uint8], out: NDArray[np.uint8], side: int) -> None:
    """Blur pixel boxes [n, 4] and the pixel around them that they reach."""
    height, width = sharp.shape[:2]
    for b in range(len(boxes)):
        u0, u1 = max(int(boxes[b, 0]) - 1, 0), min(int(boxes[b, 1]) + 1, width - 1)
        v0, v1 = max(int(boxes[b, 2]) - 1, 0), min(int(boxes[b, 3]) + 1, height - 1)
        blur(sharp, out, side, (u0, u1, v0, v1))


@kernel
def blur_tiles(tiles: NDArray[np.bool_], sharp: NDArray[np.uint8], out: NDArray[np.uint8], side: int) -> None:
    """Blur all dirty tiles, runs of them at once."""
    height, width = sharp.shape[:2]
    for row in range(tiles.shape[0]):
        v0, v1 = row * TILE, min(height, row * TILE + TILE) - 1
        column = 0
        while column < tiles.shape[1]:
            if not tiles[row, column]:
                column += 1
                continue
            first = column
            while column < tiles.shape[1] and tiles[row, column]:
                column += 1
            blur(sharp, out, side, (first * TILE, min(width, column * TILE) - 1, v0, v1))


@kernel
def downsample(fine: NDArray[np.uint8], out: NDArray[np.uint8], box: tuple[int, int, int, int]) -> None:
    """Mean of 2x2 pixels over a box of out (u0, u1, v0, v1 inclusive)."""
    u0, u1, v0, v1 = box
    for v in range(v0, v1 + 1):
        for u in range(u0, u1 + 1):
            for k in range(3):
                upper = np.int32(fine[2 * v, 2 * u, k]) + np.int32(fine[2 * v, 2 * u + 1, k])
                lower = np.int32(fine[2 * v + 1, 2 * u, k]) + np.int32(fine[2 * v + 1, 2 * u + 1, k])
                out[v, u, k] = np.uint8((upper + lower + np.int32(2)) >> np.int32(2))


@kernel
def downsample_boxes(boxes: NDArray[np.int32], fine: NDArray[np.uint8], out: NDArray[np.uint8]) -> None:
    """Downsample pixel boxes [n, 4] of out."""
    for b in range(len(boxes)):
        downsample(fine, out, (int(boxes[b, 0]), int(boxes[b, 1]), int(boxes[b, 2]), int(boxes[b, 3])))


@kernel
def downsample_tiles(tiles: NDArray[np.bool_], fine: NDArray[np.uint8], out: NDArray[np.uint8]) -> None:
    """Downsample all dirty tiles."""
    height, width = out.shape[:2]
    for row in range(tiles.shape[0]):
        for column in range(tiles.shape[1]):
            if tiles[row, column]:
                u1, v1 = min(width, column * TILE + TILE) - 1, min(height, row * TILE + TILE) - 1
                downsample(fine, out, (column * TILE, u1, row * TILE, v1))


@kernel
def add_noise(picture: NDArray[np.uint8], table: NDArray[np.int8], strength: NDArray[np.int32], key: int) -> None:
    """Add read noise (strength[0]) and shot noise (strength[1], grows with the signal), in 1/256 of a grey level.

    Every row takes another stretch of the table, chosen by key.
    """
    height, width = picture.shape[:2]
    flat = picture.reshape(height, width * 3)
    read, shot = np.int32(strength[0]), np.int32(strength[1])
    state = np.uint64(key)
    for v in range(height):
        state = state * np.uint64(6364136223846793005) + np.uint64(1442695040888963407)
        offset = int((state >> np.uint64(33)) % np.uint64(NOISE_LENGTH - 3 * width))
        row = flat[v]
        stretch = table[offset : offset + 3 * width]
        for i in range(3 * width):
            value = np.int32(row[i])
            amount = np.int32(stretch[i]) * (read + ((value * shot) >> np.int32(8)))
            value += (amount + np.int32(4096)) >> np.int32(13)
            row[i] = np.uint8(min(max(value, np.int32(0)), np.int32(255)))
