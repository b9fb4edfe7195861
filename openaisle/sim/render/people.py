"""People: capsules hit by exact rays, then shaded as cloth, skin and hair."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from openaisle.sim.render.jit import kernel
from openaisle.sim.render.raster import Target
from openaisle.sim.render.rays import NEAR_M, Rays, bounds
from openaisle.sim.render.shade import Look, brightness
from openaisle.sim.world import PERSON_ID, PERSON_STRIDE, Person

CAPSULE_CODE = -2  # target.object of capsule c is CAPSULE_CODE - c


class Capsules(NamedTuple):
    """All capsules of all people in view, camera frame."""

    ends: NDArray[np.float32]  # [C, 7] ax ay az bx by bz r
    colour: NDArray[np.uint8]  # [C, 3]
    pattern: NDArray[np.uint8]  # [C]
    part: NDArray[np.uint8]  # [C]
    id: NDArray[np.int32]  # [C] instance id
    forward: NDArray[np.float32]  # [C, 3] where the person faces, camera frame
    person: NDArray[np.int32]  # [C] index into the snapshot's people


def gather(people: tuple[Person, ...]) -> Capsules:
    """Capsules of all people, world frame."""
    if not people:
        empty = np.zeros(0, np.int32)
        return Capsules(
            np.zeros((0, 7), np.float32), np.zeros((0, 3), np.uint8), np.zeros(0, np.uint8), np.zeros(0, np.uint8),
            empty, np.zeros((0, 3), np.float32), empty,
        )  # fmt: skip
    counts = [len(p.capsules) for p in people]
    part = np.concatenate([p.capsule_part for p in people])
    person = np.repeat(np.arange(len(people), dtype=np.int32), counts)
    first_id = np.array([PERSON_ID + PERSON_STRIDE * p.number for p in people], np.int32)
    heading = np.array([p.heading_rad for p in people])
    facing = np.stack([np.cos(heading), np.sin(heading), np.zeros(len(people))], axis=1).astype(np.float32)
    return Capsules(
        np.concatenate([p.capsules for p in people]), np.concatenate([p.capsule_rgb for p in people]),
        np.concatenate([p.capsule_pattern for p in people]), part, first_id[person] + part, facing[person], person,
    )  # fmt: skip


@kernel
def to_camera(world: Capsules, camera_from_world: NDArray[np.float64], ends: NDArray[np.float32], forward: NDArray[np.float32]) -> None:
    """Write the capsules' ends and facing directions in the camera frame."""
    m = camera_from_world
    for c in range(len(world.ends)):
        for row in range(3):
            for end in range(2):
                k = 3 * end
                ends[c, k + row] = (
                    m[row, 0] * world.ends[c, k] + m[row, 1] * world.ends[c, k + 1] + m[row, 2] * world.ends[c, k + 2] + m[row, 3]
                )
            forward[c, row] = m[row, 0] * world.forward[c, 0] + m[row, 1] * world.forward[c, 1] + m[row, 2] * world.forward[c, 2]
        ends[c, 6] = world.ends[c, 6]


@kernel
def sphere_range(x: float, z: float, r: float) -> tuple[float, float]:
    """Range of x/z over a sphere in front of the camera (tangents from the eye)."""
    if z <= r + NEAR_M:
        return -1e30, 1e30
    root = np.sqrt(max(x * x + z * z - r * r, 0.0))
    under = z * z - r * r
    return (x * z - r * root) / under, (x * z + r * root) / under


@kernel
def capsule_boxes(capsules: Capsules, rays: Rays, boxes: NDArray[np.int32]) -> None:
    """Pixel boxes (u0, u1, v0, v1) of all capsules, int32 [C, 4]; u0 > u1 when out of view."""
    for c in range(len(capsules.ends)):
        e = capsules.ends[c]
        r = e[6]
        boxes[c, 0], boxes[c, 1], boxes[c, 2], boxes[c, 3] = 0, -1, 0, -1
        if e[2] + r <= NEAR_M and e[5] + r <= NEAR_M:
            continue
        ax0, ax1 = sphere_range(e[0], e[2], r)
        bx0, bx1 = sphere_range(e[3], e[5], r)
        ay0, ay1 = sphere_range(e[1], e[2], r)
        by0, by1 = sphere_range(e[4], e[5], r)
        u0, u1, v0, v1 = bounds(rays, min(ax0, bx0), max(ax1, bx1), min(ay0, by0), max(ay1, by1))
        boxes[c, 0], boxes[c, 1], boxes[c, 2], boxes[c, 3] = u0, u1, v0, v1


@kernel
def draw_capsules(capsules: Capsules, boxes: NDArray[np.int32], rays: Rays, target: Target) -> None:
    """Nearest hit of every ray with the capsules, into target."""
    for c in range(len(capsules.ends)):
        if boxes[c, 0] <= boxes[c, 1]:
            draw_capsule(capsules.ends[c], c, boxes[c], rays, target)


@kernel
def draw_capsule(e: NDArray[np.float32], c: int, box: NDArray[np.int32], rays: Rays, target: Target) -> None:
    """One capsule: intersection of rays from the origin with a segment's neighbourhood (after I. Quilez)."""
    ax, ay, az, r = e[0], e[1], e[2], e[6]
    bx, by, bz = e[3] - ax, e[4] - ay, e[5] - az
    r2 = r * r
    baba = bx * bx + by * by + bz * bz
    baoa = -(bx * ax + by * ay + bz * az)
    oaoa = ax * ax + ay * ay + az * az
    cc0 = baba * oaoa - baoa * baoa - r2 * baba
    dx, dy, dz = ax + bx, ay + by, az + bz
    bb = dx * dx + dy * dy + dz * dz
    for v in range(box[2], box[3] + 1):
        for u in range(box[0], box[1] + 1):
            x, y = rays.x[v, u], rays.y[v, u]
            dd = x * x + y * y + np.float32(1.0)
            bard = bx * x + by * y + bz
            rdoa = -(ax * x + ay * y + az)
            qa = baba * dd - bard * bard
            qb = baba * rdoa - baoa * bard
            h = qb * qb - qa * cc0
            if h < np.float32(0.0):
                continue
            depth = np.float32(-1.0)
            along = np.float32(-1.0)
            if qa > np.float32(1e-9):
                depth = (-qb - np.sqrt(h)) / qa
                along = baoa + depth * bard
            if not (along > np.float32(0.0) and along < baba):
                # end caps: the sphere at the nearer end in terms of the axis
                if along <= np.float32(0.0):
                    half, rest = rdoa, oaoa - r2
                else:
                    half, rest = -(dx * x + dy * y + dz), bb - r2
                h = half * half - dd * rest
                if h < np.float32(0.0):
                    continue
                depth = (-half - np.sqrt(h)) / dd
            if depth > np.float32(NEAR_M) and depth < target.depth[v, u]:
                target.depth[v, u] = depth
                target.object[v, u] = CAPSULE_CODE - c


@kernel
def shade_capsule_pixel(capsules: Capsules, rays: Rays, target: Target, look: Look, rgb: NDArray[np.uint8], v: int, u: int, shadow: float) -> None:
    """Colour one pixel that shows a capsule; shadow 1 = fully lit."""
    c = CAPSULE_CODE - target.object[v, u]
    e = capsules.ends[c]
    depth = target.depth[v, u]
    px, py, pz = rays.x[v, u] * depth - e[0], rays.y[v, u] * depth - e[1], depth - e[2]
    bx, by, bz = e[3] - e[0], e[4] - e[1], e[5] - e[2]
    baba = max(bx * bx + by * by + bz * bz, 1e-12)
    s = min(max((px * bx + py * by + pz * bz) / baba, 0.0), 1.0)
    nx, ny, nz = (px - s * bx) / e[6], (py - s * by) / e[6], (pz - s * bz) / e[6]
    f = capsules.forward[c]
    front = nx * f[0] + ny * f[1] + nz * f[2]
    tint = 1.0
    red, green, blue = float(capsules.colour[c, 0]), float(capsules.colour[c, 1]), float(capsules.colour[c, 2])
    if capsules.pattern[c] > 0:
        length = s * np.sqrt(baba)
        side = (nx * (f[1] * look.up[2] - f[2] * look.up[1]) + ny * (f[2] * look.up[0] - f[0] * look.up[2]) + nz * (f[0] * look.up[1] - f[1] * look.up[0])) * e[6]
        tint = cloth(capsules.pattern[c], length, side, front * e[6])
    # what is low gets less light from the ceiling
    bright = tint * look.vignette[v, u] * (look_light(look, nx, ny, nz, shadow))
    rgb[v, u, 0] = np.uint8(min(255.0, red * bright * look.gain[0] + 0.5))
    rgb[v, u, 1] = np.uint8(min(255.0, green * bright * look.gain[1] + 0.5))
    rgb[v, u, 2] = np.uint8(min(255.0, blue * bright * look.gain[2] + 0.5))


@kernel
def look_light(look: Look, nx: float, ny: float, nz: float, shadow: float) -> float:
    """Light on cloth: full sky, lamp as far as not shadowed."""
    lit = brightness(look, nx, ny, nz, 1.0)
    if shadow >= 1.0:
        return lit
    lamp = max(0.0, nx * look.lamp[0] + ny * look.lamp[1] + nz * look.lamp[2])
    return lit - (1.0 - shadow) * look.lamp_strength * lamp


@kernel
def cloth(pattern: int, along_m: float, side_m: float, front_m: float) -> float:
    """Brightness of a pattern: 1 stripes across the limb, 2 checks, 3 dots."""
    band = np.floor(along_m / 0.045) % 2.0
    if pattern == 1:
        return 0.62 if band == 1.0 else 1.1
    column = np.floor((side_m + 10.0) / 0.045) % 2.0
    if pattern == 2:
        return 0.7 + 0.2 * band + 0.2 * column
    du = (side_m + 10.0) / 0.06
    dv = along_m / 0.06
    du, dv = du - np.floor(du) - 0.5, dv - np.floor(dv) - 0.5
    return 1.35 if du * du + dv * dv < 0.06 else 0.85
