"""Shadows of people: a soft blob on the floor in every quality, a shadow map of the main light in the fine one."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from openaisle.sim.render.eye import Eye, Look
from openaisle.sim.render.jit import kernel
from openaisle.sim.render.raster import NOTHING, Canvas
from openaisle.sim.render.rays import NEAR_M, Rays, bounds
from openaisle.sim.world import FLOOR_ID

BLOB_M = 0.42  # radius of the contact shadow
BLOB_DARK = np.float32(0.55)
MAP_SIZE = 512
BIAS_M = np.float32(0.03)
STILL_LAMP = np.float32(0.38)  # share of the light on still surfaces that a person's shadow takes away
ZERO, ONE, LAST = np.float32(0.0), np.float32(1.0), np.float32(MAP_SIZE - 1)


class ShadowMap(NamedTuple):
    """Height of the highest capsule towards the lamp over a plane across the light."""

    height: NDArray[np.float32]  # [MAP_SIZE, MAP_SIZE], -inf: nothing
    axes: NDArray[np.float64]  # [3, 3] world axes: across, across, towards the lamp
    window: NDArray[np.float64]  # [3] low corner (2) and texels per metre (0: no map)
    map_from_camera: NDArray[np.float32]  # [3, 4] to column, row, height; set by `aim`


@kernel
def blob_boxes(floor: NDArray[np.float64], rays: Rays) -> NDArray[np.int32]:
    """Pixel boxes [P, 4] of the contact shadows under floor points [P, 2]."""
    m = rays.camera
    boxes = np.empty((len(floor), 4), np.int32)
    for p in range(len(floor)):
        x0, x1, y0, y1 = 1e30, -1e30, 1e30, -1e30
        nearest = 1e30
        for corner in range(4):
            px = floor[p, 0] + (BLOB_M if corner & 1 else -BLOB_M)
            py = floor[p, 1] + (BLOB_M if corner & 2 else -BLOB_M)
            z = m[2, 0] * px + m[2, 1] * py + m[2, 3]
            nearest = min(nearest, z)
            safe = max(z, NEAR_M)
            x, y = (m[0, 0] * px + m[0, 1] * py + m[0, 3]) / safe, (m[1, 0] * px + m[1, 1] * py + m[1, 3]) / safe
            x0, x1, y0, y1 = min(x0, x), max(x1, x), min(y0, y), max(y1, y)
        boxes[p, 0], boxes[p, 1], boxes[p, 2], boxes[p, 3] = 0, -1, 0, -1
        if nearest > NEAR_M:
            boxes[p, 0], boxes[p, 1], boxes[p, 2], boxes[p, 3] = bounds(rays, x0, x1, y0, y1)
    return boxes


@kernel
def blob(eye: Eye, ids: NDArray[np.int32], canvas: Canvas, floor: NDArray[np.float64], box: NDArray[np.int32]) -> None:
    """Darken the floor around a floor point [2] where nothing moving hides it.

    ids int32 of the still picture, at the canvas' size or half of it.
    """
    rays, look = eye.rays, eye.look
    factor = canvas.depth.shape[0] // ids.shape[0]
    m = look.world
    depth, code, rgb, grid_x, grid_y = canvas.depth, canvas.object, canvas.rgb, rays.x, rays.y
    ox, oy = m[0, 3] - np.float32(floor[0]), m[1, 3] - np.float32(floor[1])
    scale = np.float32(1.0 / (BLOB_M * BLOB_M))
    for v in range(box[2], box[3] + 1):
        for u in range(box[0], box[1] + 1):
            if code[v, u] != NOTHING or ids[v // factor, u // factor] != FLOOR_ID:
                continue
            d, x, y = depth[v, u], grid_x[v, u], grid_y[v, u]
            px = ox + d * (m[0, 0] * x + m[0, 1] * y + m[0, 2])
            py = oy + d * (m[1, 0] * x + m[1, 1] * y + m[1, 2])
            inside = ONE - (px * px + py * py) * scale
            if inside > ZERO:
                keep = ONE - BLOB_DARK * inside * inside
                rgb[v, u, 0] = np.uint8(np.float32(rgb[v, u, 0]) * keep)
                rgb[v, u, 1] = np.uint8(np.float32(rgb[v, u, 1]) * keep)
                rgb[v, u, 2] = np.uint8(np.float32(rgb[v, u, 2]) * keep)


def new_map(lamp: NDArray[np.float64]) -> ShadowMap:
    """An empty map for a light direction [3]."""
    across = np.cross(lamp, [1.0, 0.0, 0.0])
    across /= np.linalg.norm(across)
    axes = np.stack([across, np.cross(lamp, across), lamp])
    return ShadowMap(
        np.full((MAP_SIZE, MAP_SIZE), -np.inf, np.float32), axes, np.zeros(3), np.zeros((3, 4), np.float32)
    )


@kernel
def cast(world: NDArray[np.float32], shadows: ShadowMap) -> None:
    """Draw all capsules [C, 7] into the map."""
    axes, window = shadows.axes, shadows.window
    low0 = low1 = 1e30
    high0 = high1 = -1e30
    ends = np.empty((len(world), 2, 3))
    for c in range(len(world)):
        w = world[c]
        for end in range(2):
            for k in range(3):
                ends[c, end, k] = axes[k, 0] * w[3 * end] + axes[k, 1] * w[3 * end + 1] + axes[k, 2] * w[3 * end + 2]
            low0, high0 = min(low0, ends[c, end, 0] - w[6]), max(high0, ends[c, end, 0] + w[6])
            low1, high1 = min(low1, ends[c, end, 1] - w[6]), max(high1, ends[c, end, 1] + w[6])
    shadows.height[:] = -np.inf
    if len(world) == 0:
        return
    window[0], window[1] = low0, low1
    window[2] = (MAP_SIZE - 1) / max(high0 - low0, high1 - low1, 1.0)
    for c in range(len(ends)):
        cast_capsule(ends[c], world[c, 6], shadows)


@kernel
def cast_capsule(ends: NDArray[np.float64], radius: float, shadows: ShadowMap) -> None:
    """Draw one capsule, ends [2, 3] in light axes, into the map."""
    height, low0, low1, scale = shadows.height, shadows.window[0], shadows.window[1], shadows.window[2]
    ax, ay = np.float32((ends[0, 0] - low0) * scale), np.float32((ends[0, 1] - low1) * scale)
    bx, by = np.float32((ends[1, 0] - low0) * scale) - ax, np.float32((ends[1, 1] - low1) * scale) - ay
    r = np.float32(radius * scale)
    length2 = max(bx * bx + by * by, np.float32(1e-9))
    az, bz = np.float32(ends[0, 2]), np.float32(ends[1, 2] - ends[0, 2])
    metres = np.float32(1.0 / scale)
    for row in range(max(0, int(min(ay, ay + by) - r)), min(MAP_SIZE - 1, int(max(ay, ay + by) + r) + 1) + 1):
        for column in range(max(0, int(min(ax, ax + bx) - r)), min(MAP_SIZE - 1, int(max(ax, ax + bx) + r) + 1) + 1):
            px, py = np.float32(column) - ax, np.float32(row) - ay
            s = min(max((px * bx + py * by) / length2, ZERO), ONE)
            gx, gy = px - s * bx, py - s * by
            rest = r * r - gx * gx - gy * gy
            if rest > ZERO:
                top = az + s * bz + np.sqrt(rest) * metres
                if top > height[row, column]:
                    height[row, column] = top


@kernel
def aim(shadows: ShadowMap, look: Look) -> None:
    """Set map_from_camera for a camera."""
    m, scale = look.world, shadows.window[2]
    for row in range(3):
        for column in range(4):
            total = 0.0
            for k in range(3):
                total += shadows.axes[row, k] * m[k, column]
            if row < 2:
                if column == 3:
                    total -= shadows.window[row]
                total *= scale
            shadows.map_from_camera[row, column] = total


@kernel
def lit_share(
    height: NDArray[np.float32], m: NDArray[np.float32], x: np.float32, y: np.float32, depth: np.float32
) -> np.float32:
    """Share of the lamp's light at the point on ray (x, y) at this depth, from 2x2 texels; m = map_from_camera."""
    column = depth * (m[0, 0] * x + m[0, 1] * y + m[0, 2]) + m[0, 3]
    row = depth * (m[1, 0] * x + m[1, 1] * y + m[1, 2]) + m[1, 3]
    if not (column >= ZERO and row >= ZERO and column < LAST and row < LAST):
        return ONE
    level = depth * (m[2, 0] * x + m[2, 1] * y + m[2, 2]) + m[2, 3] + BIAS_M
    c, r = int(column), int(row)
    fc, fr = column - np.float32(c), row - np.float32(r)
    dark = ZERO
    if height[r, c] > level:
        dark += (ONE - fc) * (ONE - fr)
    if height[r, c + 1] > level:
        dark += fc * (ONE - fr)
    if height[r + 1, c] > level:
        dark += (ONE - fc) * fr
    if height[r + 1, c + 1] > level:
        dark += fc * fr
    return ONE - dark


@kernel
def shadow_boxes(world: NDArray[np.float32], lamp: NDArray[np.float64], rays: Rays) -> NDArray[np.int32]:
    """Pixel boxes [C, 4] that hold each capsule [C, 7] and its shadow down to the floor."""
    m = rays.camera
    boxes = np.empty((len(world), 4), np.int32)
    for c in range(len(world)):
        w = world[c]
        r = w[6] * 1.5  # a sphere's shadow on the floor is stretched by the tilt of the light
        x0, x1, y0, y1 = 1e30, -1e30, 1e30, -1e30
        nearest = 1e30
        for point in range(4):
            k = 3 * (point & 1)
            px, py, pz = float(w[k]), float(w[k + 1]), float(w[k + 2])
            if point >= 2:
                fall = pz / lamp[2]
                px, py, pz = px - fall * lamp[0], py - fall * lamp[1], 0.0
            z = m[2, 0] * px + m[2, 1] * py + m[2, 2] * pz + m[2, 3]
            nearest = min(nearest, z - r)
            safe = max(z - r, NEAR_M)
            x, y = (
                m[0, 0] * px + m[0, 1] * py + m[0, 2] * pz + m[0, 3],
                m[1, 0] * px + m[1, 1] * py + m[1, 2] * pz + m[1, 3],
            )
            # a bound on both sides of the sphere, a little too wide
            x0, x1 = min(x0, (x - r) / (z + r if x > r else safe)), max(x1, (x + r) / (safe if x + r > 0 else z + r))
            y0, y1 = min(y0, (y - r) / (z + r if y > r else safe)), max(y1, (y + r) / (safe if y + r > 0 else z + r))
        box = boxes[c]
        box[0], box[1], box[2], box[3] = 0, -1, 0, -1  # too near: the capsule's own box has to do
        if nearest > NEAR_M:
            box[0], box[1], box[2], box[3] = bounds(rays, x0, x1, y0, y1)
    return boxes


@kernel
def darken(eye: Eye, canvas: Canvas, shadows: ShadowMap, window: NDArray[np.int32]) -> None:
    """Darken the still pixels of a window that lie in somebody's shadow."""
    grid_x, grid_y, depth, code, rgb = eye.rays.x, eye.rays.y, canvas.depth, canvas.object, canvas.rgb
    height, m = shadows.height, shadows.map_from_camera
    for v in range(window[2], window[3] + 1):
        for u in range(window[0], window[1] + 1):
            if code[v, u] == NOTHING:
                lit = lit_share(height, m, grid_x[v, u], grid_y[v, u], depth[v, u])
                if lit < ONE:
                    keep = ONE - STILL_LAMP * (ONE - lit)
                    rgb[v, u, 0] = np.uint8(np.float32(rgb[v, u, 0]) * keep)
                    rgb[v, u, 1] = np.uint8(np.float32(rgb[v, u, 1]) * keep)
                    rgb[v, u, 2] = np.uint8(np.float32(rgb[v, u, 2]) * keep)
