"""A store made ready for drawing: textures, templates and objects (room, furniture, doors, goods)."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from openaisle.sim.packaging import ROUND_SHAPES, Image, Packaging, as_uint8, plain_packaging, textures_from_pictures
from openaisle.sim.render.fixtures import Leaf, Materials, door_leaves, fixture_mesh
from openaisle.sim.render.meshes import (
    PANEL,
    SHAPES,
    STRIP_COLUMNS,
    STRIP_ROWS,
    Atlas,
    Meshes,
    MeshBuilder,
    build_atlas,
    concatenate,
    product_meshes,
)
from openaisle.sim.world import FIXTURE_ID, FLOOR_ID, ITEM_ID, WALL_ID
from openaisle.store.schema import FixtureSpec
from openaisle.store.store import Store, world_from_fixture

DOOR_SWING_RAD = np.deg2rad(95)
FLOOR_TILE_M = 2.4  # the floor texture repeats after this


@dataclass(frozen=True)
class Scene:
    """Templates, textures and what is known of each object; poses are kept by each camera's layer.

    Objects in order: room parts, fixtures, door leaves, items (the last `items` objects).
    """

    meshes: Meshes
    atlas: Atlas
    corners: NDArray[np.float32]  # [K, 2, 3] low and high corner of each template
    template: NDArray[np.int32]  # [O]
    texture: NDArray[np.int32]  # [O]
    id: NDArray[np.int32]  # [O]
    scale: NDArray[np.float32]  # [O, 3]
    pose: NDArray[np.float32]  # [O, 4, 4] world_from_object of what never moves (items: identity)
    first_item: int
    leaves: tuple[tuple[int, int, Leaf], ...]  # object, fixture, leaf
    footprint: NDArray[np.float32]  # [F, 6] see shade.Look
    lane_light: NDArray[np.float32]  # [lanes, 2] ambient light at the front and at the back of a lane
    lane_from_world: NDArray[np.float32]  # [lanes, 4, 4]
    lane_depth: NDArray[np.float32]  # [lanes]
    lamp: NDArray[np.float64]  # [3] towards the main light
    ambient: float


class SceneBuilder:
    """Collects templates, textures and objects."""

    def __init__(self) -> None:
        self.builders: list[MeshBuilder] = product_meshes()
        self.textures: list[Image] = []
        self.template: list[int] = []
        self.texture: list[int] = []
        self.id: list[int] = []
        self.pose: list[NDArray[np.float64]] = []

    def add_texture(self, image: Image) -> int:
        """Index of a new texture."""
        self.textures.append(np.ascontiguousarray(image))
        return len(self.textures) - 1

    def add_object(self, mesh: MeshBuilder, identity: int, pose: NDArray[np.float64]) -> int:
        """Index of a new object with its own template."""
        self.builders.append(mesh)
        self.template.append(len(self.builders) - 1)
        self.texture.append(0)
        self.id.append(identity)
        self.pose.append(pose)
        return len(self.template) - 1


def build_scene(store: Store, product_of_item: NDArray[np.int32], seed: int) -> Scene:
    """Everything that all cameras share."""
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, 3])))
    build = SceneBuilder()
    product_texture = [build.add_texture(strip(product_packaging(store, i), p.shape)) for i, p in enumerate(store.products)]
    add_room(build, store, rng)
    leaves = add_fixtures(build, store, rng)
    first_item = len(build.template)
    of_item = np.asarray(product_of_item, np.int64)
    shape = np.array([SHAPES.index(p.shape) for p in store.products] or [0], np.int32)
    size = np.array([(p.width_mm, p.depth_mm, p.height_mm) for p in store.products] or [(1, 1, 1)], np.float32) / 1000
    fixed, items = len(build.template), len(of_item)
    meshes = concatenate(build.builders)
    tilt, turn = rng.uniform(0.1, 0.5), rng.uniform(0, 2 * np.pi)
    lamp = np.array([np.cos(turn) * np.sin(tilt), np.sin(turn) * np.sin(tilt), np.cos(tilt)])
    light, depth = lane_lights(store)
    return Scene(
        meshes=meshes,
        atlas=build_atlas(build.textures),
        corners=template_corners(meshes),
        template=np.concatenate([np.array(build.template, np.int32), shape[of_item]]),
        texture=np.concatenate([np.array(build.texture, np.int32), np.array(product_texture or [0], np.int32)[of_item]]),
        id=np.concatenate([np.array(build.id, np.int32), ITEM_ID + np.arange(items, dtype=np.int32)]),
        scale=np.concatenate([np.ones((fixed, 3), np.float32), size[of_item]]),
        pose=np.concatenate([np.array(build.pose, np.float32), np.tile(np.eye(4, dtype=np.float32), (items, 1, 1))]),
        first_item=first_item,
        leaves=tuple(leaves),
        footprint=footprints(store.spec.fixtures),
        lane_light=light,
        lane_from_world=np.array([lane.lane_from_world for lane in store.lanes], np.float32).reshape(-1, 4, 4),
        lane_depth=depth,
        lamp=lamp,
        ambient=float(rng.uniform(0.55, 0.75)),
    )


def template_corners(meshes: Meshes) -> NDArray[np.float32]:
    """Bounding box of each template, [K, 2, 3]."""
    ends = meshes.vertex_start
    parts = [meshes.vertex[a:b] for a, b in zip(ends[:-1], ends[1:], strict=True)]
    return np.array([(p.min(axis=0), p.max(axis=0)) for p in parts], np.float32)


def product_packaging(store: Store, index: int) -> Packaging:
    """Textures of a product: from its pictures, or a plain design."""
    product = store.products[index]
    size = (product.width_mm, product.height_mm, product.depth_mm)
    pictures = store.pictures.get(product.gtin, ())
    if not pictures:
        return plain_packaging(product.gtin, product.shape, size)
    return textures_from_pictures(tuple(pictures), product.shape, size)


def strip(packaging: Packaging, shape: str) -> Image:
    """One texture [64, 160, 3] as meshes.py expects it: panels around, then top over bottom."""

    def fit(image: Image, columns: int, rows: int) -> Image:
        return cv2.resize(image, (columns, rows), interpolation=cv2.INTER_AREA).astype(np.uint8)

    out = np.empty((STRIP_ROWS, STRIP_COLUMNS, 3), np.uint8)
    if shape in ROUND_SHAPES:
        out[:, : 2 * PANEL] = fit(packaging.front, 2 * PANEL, STRIP_ROWS)
        out[:, 2 * PANEL : 4 * PANEL] = fit(packaging.back, 2 * PANEL, STRIP_ROWS)
    else:
        side = fit(packaging.side, PANEL, STRIP_ROWS)
        for i, image in enumerate((fit(packaging.front, PANEL, STRIP_ROWS), side, fit(packaging.back, PANEL, STRIP_ROWS), side)):
            out[:, i * PANEL : (i + 1) * PANEL] = image
    top = fit(packaging.top, PANEL, PANEL)
    out[:PANEL, 4 * PANEL :] = top
    out[PANEL:, 4 * PANEL :] = top // 2
    return out


def lane_lights(store: Store) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Ambient light at front and back of each lane, and the lane depths."""
    light: list[tuple[float, float]] = []
    for fixture in store.spec.fixtures:
        top = max((shelf.z_m for shelf in fixture.shelves), default=0.0)
        for shelf in fixture.shelves:
            covered = shelf.z_m < top - 0.001 or fixture.kind == "fridge"
            low = 0.85 + 0.15 * min(shelf.z_m, 0.6) / 0.6
            light += [(0.95 * low, 0.5 * low) if covered else (1.0, 0.92)] * len(shelf.lanes)
    depth = np.array([lane.size_m[1] for lane in store.lanes], np.float32)
    return np.array(light, np.float32).reshape(-1, 2), depth


def footprints(fixtures: tuple[FixtureSpec, ...]) -> NDArray[np.float32]:
    """Corner, cos and sin of yaw, width and depth of each fixture, [F, 6]."""
    rows = [
        (f.x_m, f.y_m, np.cos(np.deg2rad(f.yaw_deg)), np.sin(np.deg2rad(f.yaw_deg)), f.width_m, f.depth_m) for f in fixtures
    ]
    return np.array(rows, np.float32).reshape(-1, 6)


# --- room -------------------------------------------------------------------------------------------------


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


def add_posters(build: SceneBuilder, walls: MeshBuilder, side: NDArray[np.float64], height: float, rng: np.random.Generator) -> None:
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
            if not any(min(cross(pb - pa, p - pa), cross(pc - pb, p - pb), cross(pa - pc, p - pc)) >= 0 for p in others):
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


def noise_texture(rng: np.random.Generator, colour: tuple[int, ...], strength: float) -> Image:
    """Nearly plain 32x32 texture."""
    return as_uint8(np.array(colour) + rng.normal(0, strength, (32, 32, 1)))


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


# --- furniture ----------------------------------------------------------------------------------------------


def add_fixtures(build: SceneBuilder, store: Store, rng: np.random.Generator) -> list[tuple[int, int, Leaf]]:
    """All fixtures and their door leaves."""
    leaves = []
    metal = build.add_texture(noise_texture(rng, (150, 152, 156), 4.0))
    rail = build.add_texture(rail_texture(rng))
    for f, fixture in enumerate(store.spec.fixtures):
        body = np.array(fixture.colour)
        materials = Materials(
            body=build.add_texture(noise_texture(rng, tuple(body), 3.0)),
            board=build.add_texture(noise_texture(rng, tuple(np.clip(body * 0.6 + 90, 0, 245)), 3.0)),
            metal=metal,
            rail=rail,
            holes=build.add_texture(hole_texture(body)),
        )
        pose = world_from_fixture(fixture)
        build.add_object(fixture_mesh(fixture, materials), FIXTURE_ID + f, pose)
        for leaf in door_leaves(fixture, materials):
            leaves.append((build.add_object(leaf.mesh, FIXTURE_ID + f, pose), f, leaf))
    return leaves


def rail_texture(rng: np.random.Generator) -> Image:
    """Price rail: 64x16 texels, one tag in a repeat of 16 cm."""
    colour = rng.integers(120, 240, 3)
    image = np.empty((16, 64, 3), np.uint8)
    image[:] = colour
    image[3:13, 18:46] = (244, 244, 238)
    image[5:8, 21:30] = 60
    image[6:11, 33:43] = 25
    return image


def hole_texture(body: NDArray[np.int64]) -> Image:
    """Perforated peg board: 64x64 texels for half a metre."""
    image = np.empty((64, 64, 3), np.uint8)
    image[:] = body
    image[2::6, 2::6] = image[0, 0] // 3
    return image
