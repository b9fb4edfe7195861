"""People: capsules hit by exact rays, then shaded as plain, striped, checked or dotted cloth."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from openaisle.sim.render.eye import SKY_FLAT, SKY_UP, Eye
from openaisle.sim.render.jit import kernel
from openaisle.sim.render.raster import NOTHING, Canvas
from openaisle.sim.render.rays import NEAR_M, Rays, bounds
from openaisle.sim.render.shadow import ShadowMap, lit_share
from openaisle.sim.world import PERSON_ID, PERSON_STRIDE, Person

CAPSULE_CODE = -2  # Canvas.object of capsule c is CAPSULE_CODE - c
ZERO, ONE, TINY, NEAR = np.float32(0.0), np.float32(1.0), np.float32(1e-9), np.float32(NEAR_M)
HALF, LARGE, FULL = np.float32(0.5), np.float32(10.0), np.float32(255.0)
STRIPE, DOT = np.float32(1 / 0.045), np.float32(1 / 0.06)  # repeats per metre of cloth

# columns of Capsules.row: end a, axis b - a, end b, radius, then constants of the intersection
A, AXIS, B, RADIUS = 0, 3, 6, 9
BABA, BAOA, OAOA, CYLINDER, BALL_A, BALL_B, LENGTH, SIDE, INVERSE = 10, 11, 12, 13, 14, 15, 16, 17, 20
COLUMNS = 21


class Capsules(NamedTuple):
    """All capsules of all people. `row`, `box` are of one camera (see `to_camera`), the rest of the snapshot."""

    world: NDArray[np.float32]  # [C, 7] ax ay az bx by bz r
    rgb: NDArray[np.uint8]  # [C, 3]
    pattern: NDArray[np.uint8]  # [C]
    id: NDArray[np.int32]  # [C] instance id
    heading: NDArray[np.float32]  # [C, 2] cos and sin of where the person faces
    row: NDArray[np.float32]  # [C, COLUMNS]
    box: NDArray[np.int32]  # [C, 4] pixel box


def gather(people: tuple[Person, ...]) -> Capsules:
    """Capsules of all people, world frame."""
    counts = [len(p.capsules) for p in people]
    total = sum(counts)
    world, rgb = np.empty((total, 7), np.float32), np.empty((total, 3), np.uint8)
    pattern, identity, heading = np.empty(total, np.uint8), np.empty(total, np.int32), np.empty((total, 2), np.float32)
    at = 0
    for person, count in zip(people, counts, strict=True):
        rows = slice(at, at + count)
        world[rows], rgb[rows], pattern[rows] = person.capsules, person.capsule_rgb, person.capsule_pattern
        identity[rows] = person.capsule_part
        identity[rows] += PERSON_ID + PERSON_STRIDE * person.number
        heading[rows] = np.cos(person.heading_rad), np.sin(person.heading_rad)
        at += count
    return Capsules(
        world, rgb, pattern, identity, heading, np.empty((total, COLUMNS), np.float32), np.empty((total, 4), np.int32)
    )


@kernel
def to_camera(capsules: Capsules, rays: Rays) -> None:
    """Fill row and box for a camera."""
    m = rays.camera
    for c in range(len(capsules.world)):
        w, row = capsules.world[c], capsules.row[c]
        radius = float(w[6])
        baba = baoa = oaoa = bb = 0.0
        for k in range(3):
            a = m[k, 0] * w[0] + m[k, 1] * w[1] + m[k, 2] * w[2] + m[k, 3]
            b = m[k, 0] * w[3] + m[k, 1] * w[4] + m[k, 2] * w[5] + m[k, 3]
            baba += (b - a) * (b - a)
            baoa -= (b - a) * a
            oaoa += a * a
            bb += b * b
            row[A + k], row[B + k], row[AXIS + k] = a, b, b - a
            cosine, sine = capsules.heading[c, 0], capsules.heading[c, 1]
            row[SIDE + k] = m[k, 1] * cosine - m[k, 0] * sine
        row[RADIUS], row[BABA], row[BAOA], row[OAOA] = radius, baba, baoa, oaoa
        row[CYLINDER] = baba * oaoa - baoa * baoa - radius * radius * baba
        row[BALL_A], row[BALL_B], row[LENGTH] = oaoa - radius * radius, bb - radius * radius, np.sqrt(baba)
        row[INVERSE] = 1.0 / baba if baba > TINY else 0.0
        box = capsules.box[c]
        box[0], box[1], box[2], box[3] = 0, -1, 0, -1
        if row[A + 2] + radius > NEAR_M or row[B + 2] + radius > NEAR_M:
            ax0, ax1 = sphere_range(row[A], row[A + 2], radius)
            bx0, bx1 = sphere_range(row[B], row[B + 2], radius)
            ay0, ay1 = sphere_range(row[A + 1], row[A + 2], radius)
            by0, by1 = sphere_range(row[B + 1], row[B + 2], radius)
            box[0], box[1], box[2], box[3] = bounds(rays, min(ax0, bx0), max(ax1, bx1), min(ay0, by0), max(ay1, by1))


@kernel
def sphere_range(x: float, z: float, r: float) -> tuple[float, float]:
    """Range of x/z over a sphere in front of the camera (tangents from the eye)."""
    if z <= r + NEAR_M:
        return -1e30, 1e30
    root = np.sqrt(max(float(x) * x + float(z) * z - r * r, 0.0))
    under = float(z) * z - r * r
    return (x * z - r * root) / under, (x * z + r * root) / under


@kernel
def draw_capsules(capsules: Capsules, rays: Rays, canvas: Canvas) -> None:
    """Nearest hit of every ray with the capsules."""
    for c in range(len(capsules.row)):
        if capsules.box[c, 0] <= capsules.box[c, 1]:
            draw_capsule(capsules.row[c], CAPSULE_CODE - c, capsules.box[c], rays, canvas)


@kernel
def draw_capsule(row: NDArray[np.float32], code: int, box: NDArray[np.int32], rays: Rays, canvas: Canvas) -> None:
    """One capsule: rays from the origin against all points within a radius of a segment (after I. Quilez)."""
    ax, ay, az = row[A], row[A + 1], row[A + 2]
    bx, by, bz = row[AXIS], row[AXIS + 1], row[AXIS + 2]
    dx, dy, dz = row[B], row[B + 1], row[B + 2]
    baba, baoa, cylinder, ball_a, ball_b = row[BABA], row[BAOA], row[CYLINDER], row[BALL_A], row[BALL_B]
    grid_x, grid_y, out_depth, out_object = rays.x, rays.y, canvas.depth, canvas.object
    width = box[1] - box[0] + 1
    root, slant, reach = np.empty(width, np.float32), np.empty(width, np.float32), np.empty(width, np.float32)
    for v in range(box[2], box[3] + 1):
        row_x, row_y = grid_x[v, box[0] : box[1] + 1], grid_y[v, box[0] : box[1] + 1]
        for i in range(width):  # without branches, for SIMD: most rays of the box miss
            x, y = row_x[i], row_y[i]
            bard = bx * x + by * y + bz
            rdoa = -(ax * x + ay * y + az)
            qa = baba * (x * x + y * y + ONE) - bard * bard
            qb = baba * rdoa - baoa * bard
            root[i], slant[i], reach[i] = qb * qb - qa * cylinder, qa, qb
        for i in range(width):
            h = root[i]
            if h < ZERO:
                continue
            x, y, u = row_x[i], row_y[i], box[0] + i
            depth = along = -ONE
            if slant[i] > TINY:
                depth = (-reach[i] - np.sqrt(h)) / slant[i]
                along = baoa + depth * (bx * x + by * y + bz)
            if along <= ZERO or along >= baba:
                near_a = along <= ZERO
                half = -(ax * x + ay * y + az) if near_a else -(dx * x + dy * y + dz)
                dd = x * x + y * y + ONE
                h = half * half - dd * (ball_a if near_a else ball_b)
                if h < ZERO:
                    continue
                depth = (-half - np.sqrt(h)) / dd
            if depth > NEAR and depth < out_depth[v, u]:
                out_depth[v, u], out_object[v, u] = depth, code


@kernel
def shade_people(capsules: Capsules, eye: Eye, canvas: Canvas, shadows: ShadowMap, window: NDArray[np.int32]) -> None:
    """Colour all capsule pixels of a window."""
    rows, grid_x, grid_y, look = capsules.row, eye.rays.x, eye.rays.y, eye.look
    rgb, pattern, out, vignette = capsules.rgb, capsules.pattern, canvas.rgb, look.vignette
    code, depths = canvas.object, canvas.depth
    up0, up1, up2 = look.up[0], look.up[1], look.up[2]
    lamp0, lamp1, lamp2 = look.lamp[0], look.lamp[1], look.lamp[2]
    sky, lamp = look.strength[0], look.strength[1]
    red, green, blue = look.gain[0], look.gain[1], look.gain[2]
    soft, height, from_camera = shadows.window[2] > 0.0, shadows.height, shadows.map_from_camera
    for v in range(window[2], window[3] + 1):
        for u in range(window[0], window[1] + 1):
            if code[v, u] >= NOTHING:
                continue
            c = CAPSULE_CODE - code[v, u]
            x, y, depth = grid_x[v, u], grid_y[v, u], depths[v, u]
            px, py, pz = x * depth - rows[c, A], y * depth - rows[c, A + 1], depth - rows[c, A + 2]
            bx, by, bz = rows[c, AXIS], rows[c, AXIS + 1], rows[c, AXIS + 2]
            s = min(max((px * bx + py * by + pz * bz) * rows[c, INVERSE], ZERO), ONE)
            inverse = ONE / rows[c, RADIUS]
            nx, ny, nz = (px - s * bx) * inverse, (py - s * by) * inverse, (pz - s * bz) * inverse
            direct = lamp * max(nx * lamp0 + ny * lamp1 + nz * lamp2, ZERO)
            if soft and direct > ZERO:
                direct *= lit_share(height, from_camera, x, y, depth)
            bright = (sky * (SKY_FLAT + SKY_UP * (nx * up0 + ny * up1 + nz * up2)) + direct) * vignette[v, u]
            if pattern[c] > 0:
                side = nx * rows[c, SIDE] + ny * rows[c, SIDE + 1] + nz * rows[c, SIDE + 2]
                bright *= cloth(pattern[c], s * rows[c, LENGTH], side * rows[c, RADIUS])
            out[v, u, 0] = np.uint8(min(np.float32(rgb[c, 0]) * bright * red + HALF, FULL))
            out[v, u, 1] = np.uint8(min(np.float32(rgb[c, 1]) * bright * green + HALF, FULL))
            out[v, u, 2] = np.uint8(min(np.float32(rgb[c, 2]) * bright * blue + HALF, FULL))


@kernel
def cloth(pattern: int, along_m: np.float32, side_m: np.float32) -> np.float32:
    """Brightness of a pattern: 1 stripes across the limb, 2 checks, 3 dots."""
    band = int(along_m * STRIPE) & 1
    if pattern == 1:
        return np.float32(0.62) if band else np.float32(1.1)
    column = int((side_m + LARGE) * STRIPE) & 1
    if pattern == 2:
        return np.float32(0.7) + np.float32(0.2) * np.float32(band + column)
    du, dv = (side_m + LARGE) * DOT, along_m * DOT
    du, dv = du - np.floor(du) - HALF, dv - np.floor(dv) - HALF
    return np.float32(1.35) if du * du + dv * dv < np.float32(0.06) else np.float32(0.85)
