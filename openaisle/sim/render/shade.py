"""Shading of triangles: mip-mapped textures, sky and lamp light, camera exposure; static pictures are baked with it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from openaisle.sim.render.jit import kernel
from openaisle.sim.render.meshes import LEVELS, Atlas, Meshes
from openaisle.sim.render.raster import Objects, Target
from openaisle.sim.render.rays import Rays


class Look(NamedTuple):
    """Light in the camera frame, and what the camera makes of it."""

    up: NDArray[np.float32]  # [3] world z in the camera frame
    lamp: NDArray[np.float32]  # [3] unit vector towards the main light, camera frame
    ambient: float
    lamp_strength: float
    gain: NDArray[np.float32]  # [3] exposure times white balance
    vignette: NDArray[np.float32]  # [H, W]
    footprint: NDArray[np.float32]  # [F, 6] fixtures on the floor: corner x y, cos sin of yaw, width, depth
    origin: NDArray[np.float32]  # [3] camera centre in the world
    world: NDArray[np.float32]  # [3, 3] world_from_camera rotation


@kernel
def brightness(look: Look, nx: float, ny: float, nz: float, open_sky: float) -> float:
    """Light on a surface with this normal (camera frame)."""
    up = nx * look.up[0] + ny * look.up[1] + nz * look.up[2]
    lamp = nx * look.lamp[0] + ny * look.lamp[1] + nz * look.lamp[2]
    # light bounced off the floor keeps faces that look down from going black
    return open_sky * (look.ambient * (0.78 + 0.22 * up) + look.lamp_strength * max(0.0, lamp))


@kernel
def floor_shade(look: Look, x: float, y: float) -> float:
    """Darkening of the floor near the foot of fixtures, by world position."""
    shade = 1.0
    for f in range(len(look.footprint)):
        dx, dy = x - look.footprint[f, 0], y - look.footprint[f, 1]
        c, s = look.footprint[f, 2], look.footprint[f, 3]
        lx, ly = c * dx + s * dy, c * dy - s * dx
        gap_x = max(max(-lx, lx - look.footprint[f, 4]), 0.0)
        gap_y = max(max(-ly, ly - look.footprint[f, 5]), 0.0)
        gap2 = gap_x * gap_x + gap_y * gap_y
        if gap2 < 0.36:
            near = 1.0 - np.sqrt(gap2) / 0.6
            shade *= 1.0 - 0.45 * near * near
    return shade


@kernel
def shade_window(meshes: Meshes, atlas: Atlas, objects: Objects, rays: Rays, target: Target, look: Look, rgb: NDArray[np.uint8], window: NDArray[np.int32]) -> None:
    """Colour all triangle pixels of a window into rgb uint8 [H, W, 3]; rays that hit nothing become black."""
    corner = np.empty((3, 3), np.float64)
    colour = np.empty(3, np.float64)
    for v in range(window[2], window[3] + 1):
        for u in range(window[0], window[1] + 1):
            o = target.object[v, u]
            if o == -1:
                rgb[v, u] = 0
            elif o >= 0:
                shade_pixel(meshes, atlas, objects, rays, target, look, rgb, v, u, corner, colour)


@kernel
def shade_pixel(meshes: Meshes, atlas: Atlas, objects: Objects, rays: Rays, target: Target, look: Look, rgb: NDArray[np.uint8], v: int, u: int, corner: NDArray[np.float64], colour: NDArray[np.float64]) -> None:
    """Colour one triangle pixel."""
    o, t = target.object[v, u], target.triangle[v, u]
    view = objects.matrix[o]
    first = meshes.vertex_start[objects.template[o]]
    for k in range(3):
        i = first + meshes.triangle[t, k]
        for row in range(3):
            corner[k, row] = (
                view[row, 0] * meshes.vertex[i, 0] + view[row, 1] * meshes.vertex[i, 1]
                + view[row, 2] * meshes.vertex[i, 2] + view[row, 3]
            )  # fmt: skip
    x, y = float(rays.x[v, u]), float(rays.y[v, u])
    w = weights(corner, x, y)
    i0, i1, i2 = first + meshes.triangle[t, 0], first + meshes.triangle[t, 1], first + meshes.triangle[t, 2]
    light = w[0] * meshes.light[i0] + w[1] * meshes.light[i1] + w[2] * meshes.light[i2]
    nx, ny, nz = turned_normal(view, meshes.normal[i0], meshes.normal[i1], meshes.normal[i2], w)
    tu = w[0] * meshes.uv[i0, 0] + w[1] * meshes.uv[i1, 0] + w[2] * meshes.uv[i2, 0]
    tv = w[0] * meshes.uv[i0, 1] + w[1] * meshes.uv[i1, 1] + w[2] * meshes.uv[i2, 1]
    texture = meshes.texture[t]
    if texture < 0:
        texture = objects.texture[o]
    level = mip_level(meshes, atlas, texture, corner, rays, target.depth[v, u], i0, i1, i2)
    sample(atlas, texture, level, tu, tv, colour)
    bright = brightness(look, nx, ny, nz, light * objects.light[o])
    if objects.id[o] == 1:
        depth = target.depth[v, u]
        px = look.origin[0] + depth * (look.world[0, 0] * x + look.world[0, 1] * y + look.world[0, 2])
        py = look.origin[1] + depth * (look.world[1, 0] * x + look.world[1, 1] * y + look.world[1, 2])
        bright *= floor_shade(look, px, py)
    bright *= look.vignette[v, u]
    for channel in range(3):
        rgb[v, u, channel] = np.uint8(min(255.0, colour[channel] * bright * look.gain[channel] + 0.5))


@kernel
def weights(corner: NDArray[np.float64], x: float, y: float) -> tuple[float, float, float]:
    """Barycentric weights of the point where ray (x, y, 1) meets the plane of a triangle [3, 3]."""
    a, b, c = corner[0], corner[1], corner[2]
    w0 = (b[1] * c[2] - b[2] * c[1]) * x + (b[2] * c[0] - b[0] * c[2]) * y + (b[0] * c[1] - b[1] * c[0])
    w1 = (c[1] * a[2] - c[2] * a[1]) * x + (c[2] * a[0] - c[0] * a[2]) * y + (c[0] * a[1] - c[1] * a[0])
    w2 = (a[1] * b[2] - a[2] * b[1]) * x + (a[2] * b[0] - a[0] * b[2]) * y + (a[0] * b[1] - a[1] * b[0])
    total = w0 + w1 + w2
    return w0 / total, w1 / total, w2 / total


@kernel
def turned_normal(view: NDArray[np.float32], a: NDArray[np.float32], b: NDArray[np.float32], c: NDArray[np.float32], w: tuple[float, float, float]) -> tuple[float, float, float]:
    """Interpolated normal in the camera frame, unit length; the scale inside view is divided out twice."""
    out_x, out_y, out_z = 0.0, 0.0, 0.0
    for k in range(3):
        n = w[0] * a[k] + w[1] * b[k] + w[2] * c[k]
        scale2 = view[0, k] * view[0, k] + view[1, k] * view[1, k] + view[2, k] * view[2, k]
        n /= max(scale2, 1e-12)
        out_x += view[0, k] * n
        out_y += view[1, k] * n
        out_z += view[2, k] * n
    length = np.sqrt(out_x * out_x + out_y * out_y + out_z * out_z) + 1e-12
    return out_x / length, out_y / length, out_z / length


@kernel
def mip_level(meshes: Meshes, atlas: Atlas, texture: int, corner: NDArray[np.float64], rays: Rays, depth: float, i0: int, i1: int, i2: int) -> int:
    """Level at which a texel is about as large as a pixel, from the triangle's area in texels and in the picture."""
    ux, uy = meshes.uv[i1, 0] - meshes.uv[i0, 0], meshes.uv[i1, 1] - meshes.uv[i0, 1]
    vx, vy = meshes.uv[i2, 0] - meshes.uv[i0, 0], meshes.uv[i2, 1] - meshes.uv[i0, 1]
    texels = abs(ux * vy - uy * vx) * atlas.rows[texture, 0] * atlas.columns[texture, 0]
    a, b, c = corner[0], corner[1], corner[2]
    nx = (b[1] - a[1]) * (c[2] - a[2]) - (b[2] - a[2]) * (c[1] - a[1])
    ny = (b[2] - a[2]) * (c[0] - a[0]) - (b[0] - a[0]) * (c[2] - a[2])
    nz = (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
    area = np.sqrt(nx * nx + ny * ny + nz * nz)
    distance = np.sqrt(a[0] * a[0] + a[1] * a[1] + a[2] * a[2])
    tilt = abs(a[0] * nx + a[1] * ny + a[2] * nz) / (area * distance + 1e-12)
    # a compromise between the short and the long side of a tilted texel: half of the foreshortening counts
    pixels = area * np.sqrt(max(tilt, 0.05)) * rays.lens[0] * rays.lens[1] / (depth * depth)
    level = int(0.5 * np.log2(max(texels / max(pixels, 1e-9), 1.0)) + 0.5)
    return min(level, LEVELS - 1)


@kernel
def sample(atlas: Atlas, texture: int, level: int, tu: float, tv: float, colour: NDArray[np.float64]) -> None:
    """Bilinear texel, repeating in both directions, into colour [3]."""
    rows, columns = atlas.rows[texture, level], atlas.columns[texture, level]
    start = atlas.start[texture, level]
    x, y = (tu - np.floor(tu)) * columns - 0.5, (tv - np.floor(tv)) * rows - 0.5
    left, top = int(np.floor(x)), int(np.floor(y))
    fx, fy = x - left, y - top
    c0, c1 = left % columns, (left + 1) % columns
    r0, r1 = top % rows, (top + 1) % rows
    for channel in range(3):
        upper = atlas.texel[start + r0 * columns + c0, channel] * (1.0 - fx) + atlas.texel[start + r0 * columns + c1, channel] * fx
        lower = atlas.texel[start + r1 * columns + c0, channel] * (1.0 - fx) + atlas.texel[start + r1 * columns + c1, channel] * fx
        colour[channel] = upper * (1.0 - fy) + lower * fy
