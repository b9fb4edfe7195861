"""People: capsules hit by exact rays, then shaded as plain, striped, checked or dotted cloth."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from openaisle.sim.render.jit import kernel
from openaisle.sim.render.raster import Canvas
from openaisle.sim.render.rays import NEAR_M, Rays, bounds
from openaisle.sim.render.shade import Look, brightness
from openaisle.sim.world import PERSON_ID, PERSON_STRIDE, Person

CAPSULE_CODE = -2  # Canvas.object of capsule c is CAPSULE_CODE - c
ZERO, ONE, TINY, NEAR = np.float32(0.0), np.float32(1.0), np.float32(1e-9), np.float32(NEAR_M)
HALF, LARGE, FULL = np.float32(0.5), np.float32(10.0), np.float32(255.0)
STRIPE, DOT = np.float32(1 / 0.045), np.float32(1 / 0.06)  # repeats per metre of cloth

# columns of Capsules.row: end a, axis b - a, end b, radius, then constants of the intersection
A, AXIS, B, RADIUS = 0, 3, 6, 9
BABA, BAOA, OAOA, CYLINDER, BALL_A, BALL_B, LENGTH, SIDE, FRONT = 10, 11, 12, 13, 14, 15, 16, 17, 20
COLUMNS = 23


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
            row[FRONT + k] = m[k, 0] * cosine + m[k, 1] * sine
            row[SIDE + k] = m[k, 1] * cosine - m[k, 0] * sine
        row[RADIUS], row[BABA], row[BAOA], row[OAOA] = radius, baba, baoa, oaoa
        row[CYLINDER] = baba * oaoa - baoa * baoa - radius * radius * baba
        row[BALL_A], row[BALL_B], row[LENGTH] = oaoa - radius * radius, bb - radius * radius, np.sqrt(baba)
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
    baba, baoa, cylinder = row[BABA], row[BAOA], row[CYLINDER]
    for v in range(box[2], box[3] + 1):
        for u in range(box[0], box[1] + 1):
            x, y = rays.x[v, u], rays.y[v, u]
            dd = x * x + y * y + ONE
            bard = bx * x + by * y + bz
            rdoa = -(ax * x + ay * y + az)
            qa = baba * dd - bard * bard
            qb = baba * rdoa - baoa * bard
            h = qb * qb - qa * cylinder
            if h < ZERO:
                continue
            depth = along = -ONE
            if qa > TINY:
                depth = (-qb - np.sqrt(h)) / qa
                along = baoa + depth * bard
            if along <= ZERO or along >= baba:
                near_a = along <= ZERO
                half = rdoa if near_a else -(dx * x + dy * y + dz)
                h = half * half - dd * (row[BALL_A] if near_a else row[BALL_B])
                if h < ZERO:
                    continue
                depth = (-half - np.sqrt(h)) / dd
            if depth > NEAR and depth < canvas.depth[v, u]:
                canvas.depth[v, u] = depth
                canvas.object[v, u] = code


@kernel
def shade_capsule(capsules: Capsules, rays: Rays, look: Look, canvas: Canvas, v: int, u: int) -> tuple[np.float32, np.float32]:
    """Cloth colour goes to the canvas undimmed; returns sky and lamp light on it (lens included)."""
    c = CAPSULE_CODE - canvas.object[v, u]
    row = capsules.row[c]
    depth = canvas.depth[v, u]
    px, py, pz = rays.x[v, u] * depth - row[A], rays.y[v, u] * depth - row[A + 1], depth - row[A + 2]
    bx, by, bz = row[AXIS], row[AXIS + 1], row[AXIS + 2]
    s = ZERO
    if row[BABA] > TINY:
        s = min(max((px * bx + py * by + pz * bz) / row[BABA], ZERO), ONE)
    inverse = ONE / row[RADIUS]
    nx, ny, nz = (px - s * bx) * inverse, (py - s * by) * inverse, (pz - s * bz) * inverse
    sky, lamp = brightness(look, nx, ny, nz)
    tint = look.vignette[v, u]
    if capsules.pattern[c] > 0:
        side = (nx * row[SIDE] + ny * row[SIDE + 1] + nz * row[SIDE + 2]) * row[RADIUS]
        tint *= cloth(capsules.pattern[c], s * row[LENGTH], side)
    return sky * tint, lamp * tint


@kernel
def paint_capsule(capsules: Capsules, look: Look, canvas: Canvas, v: int, u: int, bright: np.float32) -> None:
    """Colour a capsule pixel with this much light."""
    c = CAPSULE_CODE - canvas.object[v, u]
    for k in range(3):
        value = np.float32(capsules.rgb[c, k]) * bright * look.gain[k] + HALF
        canvas.rgb[v, u, k] = np.uint8(min(value, FULL))


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
