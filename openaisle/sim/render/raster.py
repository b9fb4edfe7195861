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


class Objects(NamedTuple):
    """Placed templates. matrix is camera_from_object with the scale multiplied in, set for each camera."""

    template: NDArray[np.int32]  # [O]
    texture: NDArray[np.int32]  # [O] texture of OBJECT_TEXTURE triangles
    light: NDArray[np.float32]  # [O] ambient light of the place it stands in
    id: NDArray[np.int32]  # [O] instance id of its pixels
    matrix: NDArray[np.float32]  # [O, 3, 4]
    shown: NDArray[np.bool_]  # [O]


class Target(NamedTuple):
    """What a ray hit: depth along z (inf: nothing), object and triangle index (-1: nothing)."""

    depth: NDArray[np.float32]  # [H, W]
    object: NDArray[np.int32]  # [H, W]
    triangle: NDArray[np.int32]  # [H, W]


@kernel
def draw_object(meshes: Meshes, objects: Objects, index: int, rays: Rays, target: Target, window: NDArray[np.int32], scratch: NDArray[np.float64]) -> None:
    """Rasterise one object inside window (u0, u1, v0, v1 inclusive); scratch float64 [vertices of a template, 3]."""
    template = objects.template[index]
    view = objects.matrix[index]
    first = meshes.vertex_start[template]
    for i in range(meshes.vertex_start[template + 1] - first):
        px, py, pz = meshes.vertex[first + i, 0], meshes.vertex[first + i, 1], meshes.vertex[first + i, 2]
        for row in range(3):
            scratch[i, row] = view[row, 0] * px + view[row, 1] * py + view[row, 2] * pz + view[row, 3]
    for t in range(meshes.triangle_start[template], meshes.triangle_start[template + 1]):
        a, b, c = meshes.triangle[t, 0], meshes.triangle[t, 1], meshes.triangle[t, 2]
        draw_triangle(scratch[a], scratch[b], scratch[c], index, t, rays, target, window)


@kernel
def draw_triangle(a: NDArray[np.float64], b: NDArray[np.float64], c: NDArray[np.float64], index: int, t: int, rays: Rays, target: Target, window: NDArray[np.int32]) -> None:
    """Rasterise a triangle given in camera coordinates; faces seen from behind are skipped."""
    if a[2] <= NEAR_M and b[2] <= NEAR_M and c[2] <= NEAR_M:
        return
    # normals of the planes through the eye and each side
    ax, ay, az = b[1] * c[2] - b[2] * c[1], b[2] * c[0] - b[0] * c[2], b[0] * c[1] - b[1] * c[0]
    volume = a[0] * ax + a[1] * ay + a[2] * az
    if volume >= 0.0:
        return
    bx, by, bz = c[1] * a[2] - c[2] * a[1], c[2] * a[0] - c[0] * a[2], c[0] * a[1] - c[1] * a[0]
    cx, cy, cz = a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]
    x0, x1, y0, y1 = triangle_extent(a, b, c)
    u0, u1, v0, v1 = bounds(rays, x0, x1, y0, y1)
    u0, u1, v0, v1 = max(u0, window[0]), min(u1, window[1]), max(v0, window[2]), min(v1, window[3])
    scale = -1.0 / volume  # makes the edge functions barycentric weights over depth
    e0x, e0y, e0z = np.float32(ax * scale), np.float32(ay * scale), np.float32(az * scale)
    e1x, e1y, e1z = np.float32(bx * scale), np.float32(by * scale), np.float32(bz * scale)
    e2x, e2y, e2z = np.float32(cx * scale), np.float32(cy * scale), np.float32(cz * scale)
    zero, one = np.float32(0.0), np.float32(1.0)
    for v in range(v0, v1 + 1):
        for u in range(u0, u1 + 1):
            x, y = rays.x[v, u], rays.y[v, u]
            w0 = e0x * x + e0y * y + e0z
            w1 = e1x * x + e1y * y + e1z
            w2 = e2x * x + e2y * y + e2z
            if w0 <= zero and w1 <= zero and w2 <= zero:
                total = w0 + w1 + w2
                if total < zero:
                    depth = -one / total
                    if depth < target.depth[v, u]:
                        target.depth[v, u] = depth
                        target.object[v, u] = index
                        target.triangle[v, u] = t


@kernel
def triangle_extent(a: NDArray[np.float64], b: NDArray[np.float64], c: NDArray[np.float64]) -> tuple[float, float, float, float]:
    """Range of x/z and y/z over the part of a triangle in front of the near plane."""
    x0, x1, y0, y1 = 1e30, -1e30, 1e30, -1e30
    for side in range(3):
        p = a if side == 0 else (b if side == 1 else c)
        q = b if side == 0 else (c if side == 1 else a)
        if p[2] > NEAR_M:
            x, y = p[0] / p[2], p[1] / p[2]
            x0, x1, y0, y1 = min(x0, x), max(x1, x), min(y0, y), max(y1, y)
        if (p[2] > NEAR_M) != (q[2] > NEAR_M):
            s = (NEAR_M - p[2]) / (q[2] - p[2])
            x, y = (p[0] + s * (q[0] - p[0])) / NEAR_M, (p[1] + s * (q[1] - p[1])) / NEAR_M
            x0, x1, y0, y1 = min(x0, x), max(x1, x), min(y0, y), max(y1, y)
    return x0, x1, y0, y1


@kernel
def object_box(meshes: Meshes, objects: Objects, index: int, rays: Rays, corners: NDArray[np.float32]) -> tuple[int, int, int, int]:
    """Pixel box (u0, u1, v0, v1) that holds an object; corners float32 [K, 2, 3] are the boxes of the templates."""
    view = objects.matrix[index]
    low, high = corners[objects.template[index], 0], corners[objects.template[index], 1]
    x0, x1, y0, y1 = 1e30, -1e30, 1e30, -1e30
    behind = 0
    for corner in range(8):
        px = high[0] if corner & 1 else low[0]
        py = high[1] if corner & 2 else low[1]
        pz = high[2] if corner & 4 else low[2]
        z = view[2, 0] * px + view[2, 1] * py + view[2, 2] * pz + view[2, 3]
        if z <= NEAR_M:
            behind += 1
            continue
        x = (view[0, 0] * px + view[0, 1] * py + view[0, 2] * pz + view[0, 3]) / z
        y = (view[1, 0] * px + view[1, 1] * py + view[1, 2] * pz + view[1, 3]) / z
        x0, x1, y0, y1 = min(x0, x), max(x1, x), min(y0, y), max(y1, y)
    if behind == 8:
        return 0, -1, 0, -1
    if behind > 0:
        return 0, rays.x.shape[1] - 1, 0, rays.x.shape[0] - 1
    return bounds(rays, x0, x1, y0, y1)


@kernel
def draw_window(meshes: Meshes, objects: Objects, boxes: NDArray[np.int32], rays: Rays, target: Target, window: NDArray[np.int32], scratch: NDArray[np.float64]) -> None:
    """Clear a window and draw every shown object that meets it; boxes int32 [O, 4] from object_box."""
    for v in range(window[2], window[3] + 1):
        for u in range(window[0], window[1] + 1):
            target.depth[v, u] = np.inf
            target.object[v, u] = -1
            target.triangle[v, u] = -1
    for o in range(len(objects.template)):
        if (
            objects.shown[o] and boxes[o, 0] <= window[1] and boxes[o, 1] >= window[0]
            and boxes[o, 2] <= window[3] and boxes[o, 3] >= window[2]
        ):  # fmt: skip
            draw_object(meshes, objects, o, rays, target, window, scratch)
