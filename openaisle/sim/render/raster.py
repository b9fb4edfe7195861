"""Visibility-buffer rasteriser: for every ray the nearest triangle, by homogeneous edge functions on exact rays.

Edge functions are evaluated on the ray grid instead of a flat image plane, so lens distortion is exact and triangles
that reach behind the camera need no clipping (only a bound on where to look).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from openaisle.sim.render.jit import kernel
from openaisle.sim.render.meshes import Meshes
from openaisle.sim.render.rays import NEAR_M, Rays, bounds

ZERO, ONE = np.float32(0.0), np.float32(1.0)
NOTHING = -1  # Canvas.object where no ray hit


class Objects(NamedTuple):
    """Placed templates as one camera sees them."""

    template: NDArray[np.int32]  # [O]
    texture: NDArray[np.int32]  # [O] texture of OBJECT_TEXTURE triangles
    light: NDArray[np.float32]  # [O] ambient light of the place it stands in
    id: NDArray[np.int32]  # [O] instance id of its pixels
    scale: NDArray[np.float32]  # [O, 3] of the template
    pose: NDArray[np.float32]  # [O, 3, 4] world_from_object without the scale, as placed
    matrix: NDArray[np.float32]  # [O, 3, 4] camera_from_object with the scale multiplied in
    shown: NDArray[np.bool_]  # [O]
    box: NDArray[np.int32]  # [O, 4] pixel box u0 u1 v0 v1, inclusive; u0 > u1: out of view


class Canvas(NamedTuple):
    """What each ray hit, and its colour."""

    depth: NDArray[np.float32]  # [H, W] along the camera's z axis, inf: nothing
    object: NDArray[np.int32]  # [H, W] index, NOTHING, or a capsule's code (people.py)
    triangle: NDArray[np.int32]  # [H, W]
    rgb: NDArray[np.uint8]  # [H, W, 3]


class Window(NamedTuple):
    """A pixel box u0 u1 v0 v1, inclusive, and the range x0 x1 y0 y1 of its rays."""

    box: NDArray[np.int32]  # [4]
    span: NDArray[np.float64]  # [4]


@kernel
def window_of(rays: Rays, box: NDArray[np.int32]) -> Window:
    """Window of a pixel box that is not empty."""
    span = np.array([1e30, -1e30, 1e30, -1e30])
    grid_x, grid_y = rays.x, rays.y
    for v in range(box[2], box[3] + 1):
        for u in range(box[0], box[1] + 1):
            x, y = grid_x[v, u], grid_y[v, u]
            span[0], span[1] = min(span[0], x), max(span[1], x)
            span[2], span[3] = min(span[2], y), max(span[3], y)
    return Window(box, span)


@kernel
def whole(rays: Rays) -> Window:
    """Window of the whole picture."""
    height, width = rays.x.shape
    return Window(np.array([0, width - 1, 0, height - 1], np.int32), rays.limits[:4])


def new_canvas(height: int, width: int) -> Canvas:
    """An empty canvas."""
    return Canvas(
        np.full((height, width), np.inf, np.float32),
        np.full((height, width), NOTHING, np.int32),
        np.full((height, width), NOTHING, np.int32),
        np.zeros((height, width, 3), np.uint8),
    )


@kernel
def draw_object(meshes: Meshes, objects: Objects, index: int, rays: Rays, canvas: Canvas, window: Window) -> None:
    """Rasterise one object inside a window; faces seen from behind are skipped."""
    template, matrix = objects.template[index], objects.matrix[index]
    first, count = meshes.vertex_start[template], meshes.vertex_start[template + 1] - meshes.vertex_start[template]
    work, vertex, triangle = meshes.work, meshes.vertex, meshes.triangle
    for i in range(count):
        px, py, pz = vertex[first + i, 0], vertex[first + i, 1], vertex[first + i, 2]
        for row in range(3):
            work[i, row] = matrix[row, 0] * px + matrix[row, 1] * py + matrix[row, 2] * pz + matrix[row, 3]
    # tuples of arrays are costly to touch in a loop: take the arrays out first
    grid_x, grid_y, out_depth, out_object, out_triangle = rays.x, rays.y, canvas.depth, canvas.object, canvas.triangle
    box, span = window.box, window.span
    for t in range(meshes.triangle_start[template], meshes.triangle_start[template + 1]):
        a, b, c = triangle[t, 0], triangle[t, 1], triangle[t, 2]
        a0, a1, a2 = work[a, 0], work[a, 1], work[a, 2]
        b0, b1, b2 = work[b, 0], work[b, 1], work[b, 2]
        c0, c1, c2 = work[c, 0], work[c, 1], work[c, 2]
        if a2 <= NEAR_M and b2 <= NEAR_M and c2 <= NEAR_M:
            continue
        # normals of the planes through the eye and each side
        px, py, pz = b1 * c2 - b2 * c1, b2 * c0 - b0 * c2, b0 * c1 - b1 * c0
        volume = a0 * px + a1 * py + a2 * pz
        if volume >= 0.0:
            continue
        qx, qy, qz = c1 * a2 - c2 * a1, c2 * a0 - c0 * a2, c0 * a1 - c1 * a0
        rx, ry, rz = a1 * b2 - a2 * b1, a2 * b0 - a0 * b2, a0 * b1 - a1 * b0
        x0, x1, y0, y1 = extent(work, a, b, c)
        if x1 < span[0] or x0 > span[1] or y1 < span[2] or y0 > span[3]:
            continue
        u0, u1, v0, v1 = bounds(rays, x0, x1, y0, y1)
        u0, u1, v0, v1 = max(u0, box[0]), min(u1, box[1]), max(v0, box[2]), min(v1, box[3])
        scale = -1.0 / volume  # makes the edge functions barycentric weights over depth
        e0x, e0y, e0z = np.float32(px * scale), np.float32(py * scale), np.float32(pz * scale)
        e1x, e1y, e1z = np.float32(qx * scale), np.float32(qy * scale), np.float32(qz * scale)
        e2x, e2y, e2z = np.float32(rx * scale), np.float32(ry * scale), np.float32(rz * scale)
        for v in range(v0, v1 + 1):
            for u in range(u0, u1 + 1):
                x, y = grid_x[v, u], grid_y[v, u]
                w0 = e0x * x + e0y * y + e0z
                w1 = e1x * x + e1y * y + e1z
                w2 = e2x * x + e2y * y + e2z
                if w0 <= ZERO and w1 <= ZERO and w2 <= ZERO and w0 + w1 + w2 < ZERO:
                    depth = -ONE / (w0 + w1 + w2)
                    if depth < out_depth[v, u]:
                        out_depth[v, u], out_object[v, u], out_triangle[v, u] = depth, index, t


@kernel
def extent(work: NDArray[np.float64], a: int, b: int, c: int) -> tuple[float, float, float, float]:
    """Range of x/z and y/z over the part of a triangle in front of the near plane."""
    x0, x1, y0, y1 = 1e30, -1e30, 1e30, -1e30
    for side in range(3):
        p = a if side == 0 else (b if side == 1 else c)
        q = b if side == 0 else (c if side == 1 else a)
        pz, qz = work[p, 2], work[q, 2]
        if pz > NEAR_M:
            x, y = work[p, 0] / pz, work[p, 1] / pz
            x0, x1, y0, y1 = min(x0, x), max(x1, x), min(y0, y), max(y1, y)
        if (pz > NEAR_M) != (qz > NEAR_M):
            s = (NEAR_M - pz) / (qz - pz)
            x = (work[p, 0] + s * (work[q, 0] - work[p, 0])) / NEAR_M
            y = (work[p, 1] + s * (work[q, 1] - work[p, 1])) / NEAR_M
            x0, x1, y0, y1 = min(x0, x), max(x1, x), min(y0, y), max(y1, y)
    return x0, x1, y0, y1


@kernel
def place_object(meshes: Meshes, objects: Objects, o: int, rays: Rays, pose: NDArray[np.float32]) -> None:
    """Put an object at a world pose [4, 4]: record it, set its matrix and pixel box."""
    matrix, camera = objects.matrix[o], rays.camera
    for row in range(3):
        for column in range(4):
            objects.pose[o, row, column] = pose[row, column]
            total = (
                camera[row, 0] * pose[0, column] + camera[row, 1] * pose[1, column] + camera[row, 2] * pose[2, column]
            )
            matrix[row, column] = total * objects.scale[o, column] if column < 3 else total + camera[row, 3]
    low, high = meshes.corners[objects.template[o], 0], meshes.corners[objects.template[o], 1]
    x0, x1, y0, y1 = 1e30, -1e30, 1e30, -1e30
    behind = 0
    for corner in range(8):
        px = high[0] if corner & 1 else low[0]
        py = high[1] if corner & 2 else low[1]
        pz = high[2] if corner & 4 else low[2]
        z = matrix[2, 0] * px + matrix[2, 1] * py + matrix[2, 2] * pz + matrix[2, 3]
        if z <= NEAR_M:
            behind += 1
            continue
        x = (matrix[0, 0] * px + matrix[0, 1] * py + matrix[0, 2] * pz + matrix[0, 3]) / z
        y = (matrix[1, 0] * px + matrix[1, 1] * py + matrix[1, 2] * pz + matrix[1, 3]) / z
        x0, x1, y0, y1 = min(x0, x), max(x1, x), min(y0, y), max(y1, y)
    box = objects.box[o]
    box[0], box[1], box[2], box[3] = 0, -1, 0, -1
    if behind == 0:
        box[0], box[1], box[2], box[3] = bounds(rays, x0, x1, y0, y1)
    elif behind < 8:
        box[1], box[3] = rays.x.shape[1] - 1, rays.x.shape[0] - 1


@kernel
def draw_window(meshes: Meshes, objects: Objects, rays: Rays, canvas: Canvas, box: NDArray[np.int32]) -> None:
    """Clear a pixel box to black and draw every shown object that meets it."""
    depth, code, triangle, rgb = canvas.depth, canvas.object, canvas.triangle, canvas.rgb
    for v in range(box[2], box[3] + 1):
        for u in range(box[0], box[1] + 1):
            depth[v, u], code[v, u], triangle[v, u] = np.inf, NOTHING, NOTHING
            rgb[v, u, 0], rgb[v, u, 1], rgb[v, u, 2] = 0, 0, 0
    window, boxes, shown = window_of(rays, box), objects.box, objects.shown
    for o in range(len(shown)):
        if (
            shown[o]
            and boxes[o, 0] <= box[1]
            and boxes[o, 1] >= box[0]
            and boxes[o, 2] <= box[3]
            and boxes[o, 3] >= box[2]
        ):
            draw_object(meshes, objects, o, rays, canvas, window)
