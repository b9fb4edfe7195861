"""Shading of triangles: mip-mapped textures, sky and lamp light, camera exposure; still pictures are baked with it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from openaisle.sim.render.eye import SKY_FLAT, SKY_UP, Eye
from openaisle.sim.render.jit import kernel
from openaisle.sim.render.meshes import LEVELS, Atlas, Meshes
from openaisle.sim.render.raster import NOTHING, Canvas, Objects
from openaisle.sim.render.shadow import ShadowMap, lit_share
from openaisle.sim.world import FLOOR_ID

FOOT_M = 0.6  # reach of the dark rim around a fixture's foot


class Models(NamedTuple):
    """Shared by all cameras: templates, textures, and fixtures' feet."""

    meshes: Meshes
    atlas: Atlas
    footprint: NDArray[np.float32]  # [F, 6] corner x y, cos sin of yaw, width, depth


@kernel
def floor_shade(footprint: NDArray[np.float32], x: float, y: float) -> float:
    """Darkening of the floor near the foot of fixtures, by world position."""
    shade = 1.0
    for f in range(len(footprint)):
        dx, dy = x - footprint[f, 0], y - footprint[f, 1]
        c, s = footprint[f, 2], footprint[f, 3]
        lx, ly = c * dx + s * dy, c * dy - s * dx
        gap_x = max(max(-lx, lx - footprint[f, 4]), 0.0)
        gap_y = max(max(-ly, ly - footprint[f, 5]), 0.0)
        gap2 = gap_x * gap_x + gap_y * gap_y
        if gap2 < FOOT_M * FOOT_M:
            near = 1.0 - np.sqrt(gap2) / FOOT_M
            shade *= 1.0 - 0.45 * near * near
    return shade


@kernel
def shade_window(
    models: Models, objects: Objects, eye: Eye, canvas: Canvas, shadows: ShadowMap, window: NDArray[np.int32]
) -> None:
    """Colour all triangle pixels of a window."""
    meshes, atlas, look, m = models.meshes, models.atlas, eye.look, eye.look.world
    vertex, normal, uv, lights, triangle = meshes.vertex, meshes.normal, meshes.uv, meshes.light, meshes.triangle
    grid_x, grid_y, out, code, triangles = eye.rays.x, eye.rays.y, canvas.rgb, canvas.object, canvas.triangle
    matrices, up, to_lamp, gain = objects.matrix, look.up, look.lamp, look.gain
    focal2 = eye.rays.lens[0] * eye.rays.lens[1]
    soft, height, from_camera = shadows.window[2] > 0.0, shadows.height, shadows.map_from_camera
    for v in range(window[2], window[3] + 1):
        for u in range(window[0], window[1] + 1):
            o, t = code[v, u], triangles[v, u]
            if o <= NOTHING:
                continue
            first = meshes.vertex_start[objects.template[o]]
            i, j, k = first + triangle[t, 0], first + triangle[t, 1], first + triangle[t, 2]
            matrix = matrices[o]
            a, b, c = moved(matrix, vertex[i]), moved(matrix, vertex[j]), moved(matrix, vertex[k])
            x, y, depth = float(grid_x[v, u]), float(grid_y[v, u]), float(canvas.depth[v, u])
            w0, w1, w2 = weights(a, b, c, x, y)
            nx, ny, nz = turned_normal(
                matrix,
                w0 * normal[i, 0] + w1 * normal[j, 0] + w2 * normal[k, 0],
                w0 * normal[i, 1] + w1 * normal[j, 1] + w2 * normal[k, 1],
                w0 * normal[i, 2] + w1 * normal[j, 2] + w2 * normal[k, 2],
            )
            texture = meshes.texture[t]
            if texture < 0:
                texture = objects.texture[o]
            texels = abs((uv[j, 0] - uv[i, 0]) * (uv[k, 1] - uv[i, 1]) - (uv[j, 1] - uv[i, 1]) * (uv[k, 0] - uv[i, 0]))
            texels *= atlas.rows[texture, 0] * atlas.columns[texture, 0]
            pixels = area_share(a, b, c) * focal2 / (depth * depth)
            level = min(int(0.5 * np.log2(max(texels / max(pixels, 1e-9), 1.0)) + 0.5), LEVELS - 1)
            tu, tv = w0 * uv[i, 0] + w1 * uv[j, 0] + w2 * uv[k, 0], w0 * uv[i, 1] + w1 * uv[j, 1] + w2 * uv[k, 1]
            size = atlas.rows[texture, level], atlas.columns[texture, level]
            red, green, blue = sample(atlas.texel, atlas.start[texture, level], size, tu, tv)
            lamp = look.strength[1] * max(nx * to_lamp[0] + ny * to_lamp[1] + nz * to_lamp[2], 0.0)
            if soft and lamp > 0.0:
                lamp *= lit_share(height, from_camera, grid_x[v, u], grid_y[v, u], canvas.depth[v, u])
            bright = look.strength[0] * (SKY_FLAT + SKY_UP * (nx * up[0] + ny * up[1] + nz * up[2])) + lamp
            bright *= (w0 * lights[i] + w1 * lights[j] + w2 * lights[k]) * objects.light[o] * look.vignette[v, u]
            if objects.id[o] == FLOOR_ID:
                px = depth * (m[0, 0] * x + m[0, 1] * y + m[0, 2]) + m[0, 3]
                py = depth * (m[1, 0] * x + m[1, 1] * y + m[1, 2]) + m[1, 3]
                bright *= floor_shade(models.footprint, px, py)
            out[v, u, 0] = np.uint8(min(255.0, red * bright * gain[0] + 0.5))
            out[v, u, 1] = np.uint8(min(255.0, green * bright * gain[1] + 0.5))
            out[v, u, 2] = np.uint8(min(255.0, blue * bright * gain[2] + 0.5))


@kernel
def moved(m: NDArray[np.float32], p: NDArray[np.float32]) -> tuple[float, float, float]:
    """Vertex in the camera frame, in double precision (thin triangles far away need it)."""
    x, y, z = float(p[0]), float(p[1]), float(p[2])
    return (
        m[0, 0] * x + m[0, 1] * y + m[0, 2] * z + m[0, 3],
        m[1, 0] * x + m[1, 1] * y + m[1, 2] * z + m[1, 3],
        m[2, 0] * x + m[2, 1] * y + m[2, 2] * z + m[2, 3],
    )


Point = tuple[float, float, float]


@kernel
def weights(a: Point, b: Point, c: Point, x: float, y: float) -> Point:
    """Barycentric weights of the point where ray (x, y, 1) meets the plane of a triangle."""
    w0 = (b[1] * c[2] - b[2] * c[1]) * x + (b[2] * c[0] - b[0] * c[2]) * y + (b[0] * c[1] - b[1] * c[0])
    w1 = (c[1] * a[2] - c[2] * a[1]) * x + (c[2] * a[0] - c[0] * a[2]) * y + (c[0] * a[1] - c[1] * a[0])
    w2 = (a[1] * b[2] - a[2] * b[1]) * x + (a[2] * b[0] - a[0] * b[2]) * y + (a[0] * b[1] - a[1] * b[0])
    total = w0 + w1 + w2
    return w0 / total, w1 / total, w2 / total


@kernel
def turned_normal(m: NDArray[np.float32], n0: float, n1: float, n2: float) -> Point:
    """Object normal to unit normal in the camera frame; the scale inside the matrix is divided out twice."""
    n0 /= m[0, 0] * m[0, 0] + m[1, 0] * m[1, 0] + m[2, 0] * m[2, 0] + 1e-12
    n1 /= m[0, 1] * m[0, 1] + m[1, 1] * m[1, 1] + m[2, 1] * m[2, 1] + 1e-12
    n2 /= m[0, 2] * m[0, 2] + m[1, 2] * m[1, 2] + m[2, 2] * m[2, 2] + 1e-12
    x = m[0, 0] * n0 + m[0, 1] * n1 + m[0, 2] * n2
    y = m[1, 0] * n0 + m[1, 1] * n1 + m[1, 2] * n2
    z = m[2, 0] * n0 + m[2, 1] * n1 + m[2, 2] * n2
    length = np.sqrt(x * x + y * y + z * z) + 1e-12
    return x / length, y / length, z / length


@kernel
def area_share(a: Point, b: Point, c: Point) -> float:
    """Twice the triangle's area, shrunk for its tilt to the view, for the choice of a mip level.

    Only half of the foreshortening counts: a compromise between the short and the long side of a tilted texel.
    """
    nx = (b[1] - a[1]) * (c[2] - a[2]) - (b[2] - a[2]) * (c[1] - a[1])
    ny = (b[2] - a[2]) * (c[0] - a[0]) - (b[0] - a[0]) * (c[2] - a[2])
    nz = (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
    area = np.sqrt(nx * nx + ny * ny + nz * nz)
    distance = np.sqrt(a[0] * a[0] + a[1] * a[1] + a[2] * a[2])
    tilt = abs(a[0] * nx + a[1] * ny + a[2] * nz) / (area * distance + 1e-12)
    return float(area * np.sqrt(max(tilt, 0.05)))


@kernel
def sample(texel: NDArray[np.uint8], start: int, size: tuple[int, int], tu: float, tv: float) -> Point:
    """Bilinear texel of the level at `start` with size (rows, columns), repeating in both directions; rgb 0-255."""
    rows, columns = size
    x, y = (tu - np.floor(tu)) * columns - 0.5, (tv - np.floor(tv)) * rows - 0.5
    left, top = int(np.floor(x)), int(np.floor(y))
    fx, fy = x - left, y - top
    c0, c1 = left if left >= 0 else columns - 1, left + 1 if left + 1 < columns else 0
    r0, r1 = top if top >= 0 else rows - 1, top + 1 if top + 1 < rows else 0
    p00, p01, p10, p11 = (
        start + r0 * columns + c0,
        start + r0 * columns + c1,
        start + r1 * columns + c0,
        start + r1 * columns + c1,
    )
    w00, w01, w10, w11 = (1.0 - fx) * (1.0 - fy), fx * (1.0 - fy), (1.0 - fx) * fy, fx * fy
    return (
        texel[p00, 0] * w00 + texel[p01, 0] * w01 + texel[p10, 0] * w10 + texel[p11, 0] * w11,
        texel[p00, 1] * w00 + texel[p01, 1] * w01 + texel[p10, 1] * w10 + texel[p11, 1] * w11,
        texel[p00, 2] * w00 + texel[p01, 2] * w01 + texel[p10, 2] * w10 + texel[p11, 2] * w11,
    )
