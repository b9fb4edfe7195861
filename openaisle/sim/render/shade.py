"""Shading of triangles: mip-mapped textures, sky and lamp light, camera exposure; still pictures are baked with it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from openaisle.sim.render.jit import kernel
from openaisle.sim.render.meshes import LEVELS, Atlas, Meshes
from openaisle.sim.render.raster import NOTHING, Canvas, Objects
from openaisle.sim.render.rays import Rays
from openaisle.sim.world import FLOOR_ID

ZERO = np.float32(0.0)
SKY_FLAT, SKY_UP = np.float32(0.78), np.float32(0.22)  # light bounced off the floor keeps undersides from going black
FOOT_M = 0.6  # reach of the dark rim around a fixture's foot


class Look(NamedTuple):
    """Light in the camera frame, and what the camera makes of it."""

    up: NDArray[np.float32]  # [3] world z in the camera frame
    lamp: NDArray[np.float32]  # [3] unit vector towards the main light, camera frame
    strength: NDArray[np.float32]  # [2] ambient light, lamp light
    gain: NDArray[np.float32]  # [3] exposure times white balance
    vignette: NDArray[np.float32]  # [H, W]
    world: NDArray[np.float32]  # [3, 4] world_from_camera


class Models(NamedTuple):
    """Shared by all cameras: templates, textures, and fixtures' feet."""

    meshes: Meshes
    atlas: Atlas
    footprint: NDArray[np.float32]  # [F, 6] corner x y, cos sin of yaw, width, depth


class Eye(NamedTuple):
    """One camera at one resolution."""

    rays: Rays
    look: Look


@kernel
def brightness(look: Look, nx: np.float32, ny: np.float32, nz: np.float32) -> tuple[np.float32, np.float32]:
    """Sky light and lamp light on a surface with this unit normal (camera frame)."""
    up = nx * look.up[0] + ny * look.up[1] + nz * look.up[2]
    lamp = nx * look.lamp[0] + ny * look.lamp[1] + nz * look.lamp[2]
    return look.strength[0] * (SKY_FLAT + SKY_UP * up), look.strength[1] * max(ZERO, lamp)


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
def shade_window(models: Models, objects: Objects, eye: Eye, canvas: Canvas, window: NDArray[np.int32]) -> None:
    """Colour all pixels of a window; rays that hit nothing become black."""
    for v in range(window[2], window[3] + 1):
        for u in range(window[0], window[1] + 1):
            if canvas.object[v, u] == NOTHING:
                canvas.rgb[v, u, 0], canvas.rgb[v, u, 1], canvas.rgb[v, u, 2] = 0, 0, 0
            else:
                shade_pixel(models, objects, eye, canvas, v, u, 1.0)


@kernel
def shade_pixel(models: Models, objects: Objects, eye: Eye, canvas: Canvas, v: int, u: int, lit: float) -> None:
    """Colour one triangle pixel; lit is the share of the lamp that reaches it."""
    o, t = canvas.object[v, u], canvas.triangle[v, u]
    meshes, atlas, look = models.meshes, models.atlas, eye.look
    matrix = objects.matrix[o]
    first = meshes.vertex_start[objects.template[o]]
    i0, i1, i2 = first + meshes.triangle[t, 0], first + meshes.triangle[t, 1], first + meshes.triangle[t, 2]
    a, b, c = moved(matrix, meshes.vertex[i0]), moved(matrix, meshes.vertex[i1]), moved(matrix, meshes.vertex[i2])
    x, y = float(eye.rays.x[v, u]), float(eye.rays.y[v, u])
    w0, w1, w2 = weights(a, b, c, x, y)
    light = w0 * meshes.light[i0] + w1 * meshes.light[i1] + w2 * meshes.light[i2]
    n0 = w0 * meshes.normal[i0, 0] + w1 * meshes.normal[i1, 0] + w2 * meshes.normal[i2, 0]
    n1 = w0 * meshes.normal[i0, 1] + w1 * meshes.normal[i1, 1] + w2 * meshes.normal[i2, 1]
    n2 = w0 * meshes.normal[i0, 2] + w1 * meshes.normal[i1, 2] + w2 * meshes.normal[i2, 2]
    nx, ny, nz = turned_normal(matrix, n0, n1, n2)
    tu = w0 * meshes.uv[i0, 0] + w1 * meshes.uv[i1, 0] + w2 * meshes.uv[i2, 0]
    tv = w0 * meshes.uv[i0, 1] + w1 * meshes.uv[i1, 1] + w2 * meshes.uv[i2, 1]
    texture = meshes.texture[t]
    if texture < 0:
        texture = objects.texture[o]
    depth = float(canvas.depth[v, u])
    ux, uy = meshes.uv[i1, 0] - meshes.uv[i0, 0], meshes.uv[i1, 1] - meshes.uv[i0, 1]
    vx, vy = meshes.uv[i2, 0] - meshes.uv[i0, 0], meshes.uv[i2, 1] - meshes.uv[i0, 1]
    texels = abs(ux * vy - uy * vx) * atlas.rows[texture, 0] * atlas.columns[texture, 0]
    pixels = area_share(a, b, c) * eye.rays.lens[0] * eye.rays.lens[1] / (depth * depth)
    level = min(int(0.5 * np.log2(max(texels / max(pixels, 1e-9), 1.0)) + 0.5), LEVELS - 1)
    red, green, blue = sample(atlas, texture, level, tu, tv)
    sky, lamp = brightness(look, np.float32(nx), np.float32(ny), np.float32(nz))
    bright = (sky + lamp * lit) * light * objects.light[o]
    if objects.id[o] == FLOOR_ID:
        m = look.world
        px = depth * (m[0, 0] * x + m[0, 1] * y + m[0, 2]) + m[0, 3]
        py = depth * (m[1, 0] * x + m[1, 1] * y + m[1, 2]) + m[1, 3]
        bright *= floor_shade(models.footprint, px, py)
    bright *= look.vignette[v, u]
    canvas.rgb[v, u, 0] = np.uint8(min(255.0, red * bright * look.gain[0] + 0.5))
    canvas.rgb[v, u, 1] = np.uint8(min(255.0, green * bright * look.gain[1] + 0.5))
    canvas.rgb[v, u, 2] = np.uint8(min(255.0, blue * bright * look.gain[2] + 0.5))


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
    return area * np.sqrt(max(tilt, 0.05))


@kernel
def sample(atlas: Atlas, texture: int, level: int, tu: float, tv: float) -> Point:
    """Bilinear texel, repeating in both directions; rgb 0-255."""
    rows, columns = atlas.rows[texture, level], atlas.columns[texture, level]
    start = atlas.start[texture, level]
    x, y = (tu - np.floor(tu)) * columns - 0.5, (tv - np.floor(tv)) * rows - 0.5
    left, top = int(np.floor(x)), int(np.floor(y))
    fx, fy = x - left, y - top
    c0, c1 = left % columns, (left + 1) % columns
    r0, r1 = start + (top % rows) * columns, start + ((top + 1) % rows) * columns
    w00, w01, w10, w11 = (1.0 - fx) * (1.0 - fy), fx * (1.0 - fy), (1.0 - fx) * fy, fx * fy
    texel = atlas.texel
    return (
        texel[r0 + c0, 0] * w00 + texel[r0 + c1, 0] * w01 + texel[r1 + c0, 0] * w10 + texel[r1 + c1, 0] * w11,
        texel[r0 + c0, 1] * w00 + texel[r0 + c1, 1] * w01 + texel[r1 + c0, 1] * w10 + texel[r1 + c1, 1] * w11,
        texel[r0 + c0, 2] * w00 + texel[r0 + c1, 2] * w01 + texel[r1 + c0, 2] * w10 + texel[r1 + c1, 2] * w11,
    )
