"""The empty room: floor, walls, ceiling and posters, drawn from a seed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from openaisle.sim.packaging import Image, as_uint8, plain_packaging
from openaisle.sim.render.build import SceneBuilder, noise_texture
from openaisle.sim.render.meshes import MeshBuilder
from openaisle.sim.world import FLOOR_ID, WALL_ID
from openaisle.store.store import Store

FLOOR_TILE_M = 2.4  # the floor texture repeats after this


def add_room(build: SceneBuilder, store: Store, rng: np.random.Generator) -> None:
    """Floor, walls, ceiling and posters."""
    floor = np.array(store.spec.floor_m)
    height = store.spec.ceiling_m
    mesh = MeshBuilder()
    texture = build.add_texture(floor_texture(rng))
    for triangle in ear_clip(floor):
        mesh.face(np.column_stack([floor[triangle], np.zeros(3)]), floor[triangle] / FLOOR_TILE_M, texture)
    build.add_object(mesh, FLOOR_ID, np.eye(4))
    walls = MeshBuilder(lambda point: 0.75 + 0.25 * min(1.0, float(point[2]) / 0.5))
    wall_texture = build.add_texture(noise_texture(rng, tuple(rng.integers(150, 245, 3)), 4.0))
    for a, b in zip(floor, np.roll(floor, -1, axis=0), strict=True):
        length = float(np.linalg.norm(b - a))
        corners = [(*b, 0), (*a, 0), (*a, height), (*b, height)]  # from inside a counter-clockwise polygon b is left
        walls.face(corners, [(0, height), (length, height), (length, 0), (0, 0)], wall_texture)
        add_posters(build, walls, np.array([a, b]), height, rng)
    ceiling = build.add_texture(noise_texture(rng, (225, 225, 222), 3.0))
    for triangle in ear_clip(floor):
        walls.face(np.column_stack([floor[triangle[::-1]], np.full(3, height)]), floor[triangle[::-1]], ceiling)
    build.add_object(walls, WALL_ID, np.eye(4))


def add_posters(
    build: SceneBuilder, walls: MeshBuilder, side: NDArray[np.float64], height: float, rng: np.random.Generator
) -> None:
    """Posters and signs on a wall, a hand's breadth clear of its ends."""
    a, b = side
    length = float(np.linalg.norm(b - a))
    along = (b - a) / length
    inward = np.array([-along[1], along[0]])
    for _ in range(rng.poisson(length / 2.5)):
        w, h = rng.uniform(0.3, 0.8), rng.uniform(0.3, 0.7)
        if w + 0.4 > length or h + 1.4 > height:
            continue
        s, z = rng.uniform(0.2, length - w - 0.2), rng.uniform(1.2, height - h - 0.1)
        p, q = a + along * s + inward * 0.012, a + along * (s + w) + inward * 0.012
        number = int(rng.integers(1 << 30))
        picture = plain_packaging(str(number), "box", (w * 1000, h * 1000, 10.0)).front
        corners = [(*q, z), (*p, z), (*p, z + h), (*q, z + h)]
        walls.face(corners, [(0, 1), (1, 1), (1, 0), (0, 0)], build.add_texture(picture))


def ear_clip(polygon: NDArray[np.float64]) -> list[NDArray[np.int64]]:
    """Triangles (vertex indices) of a simple counter-clockwise polygon."""
    rest = list(range(len(polygon)))
    out = []
    while len(rest) > 3:
        for i in range(len(rest)):
            a, b, c = (rest[(i + k - 1) % len(rest)] for k in range(3))
            pa, pb, pc = polygon[a], polygon[b], polygon[c]
            if cross(pb - pa, pc - pb) <= 0:
                continue
            others = [polygon[k] for k in rest if k not in (a, b, c)]
            if not any(
                min(cross(pb - pa, p - pa), cross(pc - pb, p - pb), cross(pa - pc, p - pc)) >= 0 for p in others
            ):
                out.append(np.array([a, b, c]))
                rest.pop(i)
                break
        else:
            break  # not simple: fan the rest rather than loop for ever
    out += [np.array([rest[0], rest[i], rest[i + 1]]) for i in range(1, len(rest) - 1)]
    return out


def cross(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """z of the cross product of two plane vectors."""
    return float(a[0] * b[1] - a[1] * b[0])


def floor_texture(rng: np.random.Generator) -> Image:
    """256x256: tiles, planks, terrazzo or plain screed, in a random colour."""
    base = np.array(rng.integers(90, 225)) + rng.integers(-18, 19, 3)
    image = np.tile(base.astype(np.float64), (256, 256, 1))
    kind = rng.integers(4)
    if kind <= 1:
        size = int(rng.choice([32, 64]))
        step = rng.normal(0, 7, (256 // size, 256 // size, 1))
        if kind == 1 and rng.random() < 0.5:
            step += 22 * ((np.add.outer(np.arange(256 // size), np.arange(256 // size)) % 2)[..., None])
        image += np.kron(step, np.ones((size, size, 1)))
        image[::size] -= 28
        image[:, ::size] -= 28
    elif kind == 2:
        for row in range(0, 256, 16):
            image[row : row + 16] += rng.normal(0, 9)
            image[row] -= 25
            image[row : row + 16, int(rng.integers(256))] -= 25
    else:
        spots = rng.random((256, 256)) < 0.06
        image[spots] += rng.normal(0, 35, (int(spots.sum()), 1))
    image += rng.normal(0, 4, (256, 256, 1))
    return as_uint8(image)
