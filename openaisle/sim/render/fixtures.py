"""Meshes of furniture from its description: boards, backs, sides, legs, price rails, hooks and door leaves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from openaisle.sim.packaging import Image
from openaisle.sim.render.build import SceneBuilder, noise_texture
from openaisle.sim.render.meshes import MeshBuilder
from openaisle.sim.world import FIXTURE_ID
from openaisle.store.geometry import yaw_transform
from openaisle.store.schema import FixtureSpec
from openaisle.store.store import Store, world_from_fixture

BOARD_M = 0.025
PANEL_M = 0.03
LEAF_M = 0.035  # thickness of a door leaf


@dataclass(frozen=True)
class Materials:
    """Texture indices of one fixture."""

    body: int
    board: int
    metal: int
    rail: int
    holes: int


@dataclass(frozen=True)
class Leaf:
    """A door leaf: its mesh stands on the hinge axis (z), closed along +x or -x of its frame."""

    mesh: MeshBuilder
    hinge_m: tuple[float, float]  # in the fixture frame
    swing: float  # +1 opens counter-clockwise seen from above, -1 clockwise


def open_light(fixture: FixtureSpec) -> Callable[[NDArray[np.float64]], float]:
    """Ambient light inside a fixture: darker towards the back, the floor and under other shelves."""
    top = max((shelf.z_m for shelf in fixture.shelves), default=fixture.height_m)

    def light(point: NDArray[np.float64]) -> float:
        inward = float(np.clip(point[1] / max(fixture.depth_m, 0.1), 0, 1))
        if point[2] >= top - 0.001 and fixture.kind != "fridge":
            return 1.0
        low = float(np.clip(point[2] / 0.4, 0, 1))
        return (1.0 - 0.5 * inward) * (0.75 + 0.25 * low)

    return light


def fixture_mesh(fixture: FixtureSpec, materials: Materials) -> MeshBuilder:
    """Everything of a fixture that never moves, in the fixture frame."""
    mesh = MeshBuilder(open_light(fixture))
    carcass(mesh, fixture, materials)
    for shelf in fixture.shelves:
        x0, y0, z = shelf.x_m, shelf.y_m, shelf.z_m
        x1, y1 = x0 + shelf.width_m, y0 + shelf.depth_m
        if fixture.kind == "pegs":
            for lane in shelf.lanes:
                middle = x0 + lane.x_m + lane.width_m / 2
                height = z + min(shelf.clearance_m * 0.9, 0.18)
                mesh.box((middle - 0.004, y0, height), (middle + 0.004, y1, height + 0.008), materials.metal)
                mesh.box(
                    (middle - 0.02, y0 - 0.004, height - 0.01), (middle + 0.02, y0, height + 0.02), materials.rail, 0.04
                )
            continue
        if fixture.kind == "table" and z > 0.3:
            mesh.box((x0, y0, z - BOARD_M), (x1, y1, z), materials.board, 0.5)
            rim = 0.02  # tables and bins have a low rim so that goods do not slide off
            mesh.box((x0, y0 - 0.012, z - 0.06), (x1, y0, z + rim), materials.body, 0.5)
            continue
        mesh.box((x0, y0, max(z - BOARD_M, 0.0)), (x1, y1, max(z, 0.002)), materials.board, 0.5)
        mesh.box((x0, y0 - 0.01, z - 0.035), (x1, y0, z + 0.004), materials.rail, 0.16)
    return mesh


def carcass(mesh: MeshBuilder, fixture: FixtureSpec, materials: Materials) -> None:
    """Back, sides, plinth, legs."""
    w, d, h = fixture.width_m, fixture.depth_m, fixture.height_m
    back = max(d - PANEL_M, 0.0)
    if fixture.kind == "table":
        for x in (0.03, w - 0.09):
            for y in (0.03, d - 0.09):
                mesh.box((x, y, 0), (x + 0.06, y + 0.06, h - BOARD_M), materials.metal)
        mesh.box((0, 0, h - BOARD_M - 0.08), (w, d, h - BOARD_M), materials.body, 0.5)
    elif fixture.kind == "counter":
        mesh.box((0, 0, 0), (w, d, h), materials.body, 0.5)
        mesh.box((-0.02, -0.02, h - 0.03), (w + 0.02, d + 0.02, h - 0.001), materials.board, 0.5)
    elif fixture.kind == "fridge":
        mesh.box((0, back, 0), (w, d, h), materials.body, 0.5)
        mesh.box((0, 0, 0), (PANEL_M, back, h), materials.body, 0.5)
        mesh.box((w - PANEL_M, 0, 0), (w, back, h), materials.body, 0.5)
        mesh.box((0, 0, h - 0.08), (w, d, h), materials.body, 0.5)
        mesh.box((0, 0, 0), (w, back, 0.08), materials.body, 0.5)
    else:
        mesh.box((0, back, 0), (w, d, h), materials.holes if fixture.kind == "pegs" else materials.body, 0.5)
        if fixture.kind == "gondola":
            for x in (0.0, w - PANEL_M):  # slim uprights, open sides
                mesh.box((x, back - 0.05, 0), (x + PANEL_M, back, h), materials.metal)
            mesh.box((0, 0.02, 0), (w, back, 0.08), materials.body, 0.5)
        elif fixture.kind == "wall":
            for x in (0.0, w - PANEL_M):
                mesh.box((x, 0, 0), (x + PANEL_M, back, h), materials.body, 0.5)
            mesh.box((0, 0.02, 0), (w, back, 0.08), materials.body, 0.5)


def door_leaves(fixture: FixtureSpec, materials: Materials) -> list[Leaf]:
    """Framed leaves across the front, hinged alternately at their left and right side; the glass is not drawn."""
    if not fixture.doors:
        return []
    count = max(1, round(fixture.width_m / 0.7))
    width = fixture.width_m / count
    leaves = []
    for i in range(count):
        left = i % 2 == 0
        hinge = (i * width if left else (i + 1) * width, -0.002)
        mesh = MeshBuilder()
        sign = 1.0 if left else -1.0
        leaf_frame(mesh, sign, width - 0.004, fixture.height_m, materials.metal)
        leaves.append(Leaf(mesh, hinge, -1.0 if left else 1.0))
    return leaves


def leaf_frame(mesh: MeshBuilder, sign: float, width: float, height: float, metal: int) -> None:
    """Four bars and a handle; sign +1 extends along +x from the hinge, -1 along -x."""
    bar = 0.045
    low, high = 0.09, height - 0.01
    for x0, x1, z0, z1 in (
        (0.0, bar, low, high), (width - bar, width, low, high), (bar, width - bar, low, low + bar),
        (bar, width - bar, high - bar, high), (width - 0.04, width - 0.02, height * 0.4, height * 0.6),
    ):  # fmt: skip
        handle = z0 == height * 0.4
        y0, y1 = (-LEAF_M - 0.04, -LEAF_M) if handle else (-LEAF_M, 0.0)
        mesh.box((min(sign * x0, sign * x1), y0, z0), (max(sign * x0, sign * x1), y1, z1), metal)


def add_fixtures(build: SceneBuilder, store: Store, rng: np.random.Generator) -> list[tuple[int, int, Leaf]]:
    """Add all fixtures and their door leaves; returns object, fixture and leaf of each leaf."""
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
            hinge = pose @ yaw_transform(leaf.hinge_m[0], leaf.hinge_m[1], 0.0, 0.0)
            leaves.append((build.add_object(leaf.mesh, FIXTURE_ID + f, hinge), f, leaf))
    return leaves


def rail_texture(rng: np.random.Generator) -> Image:
    """Price rail: 64x16 texels, one tag in a repeat of 16 cm."""
    image = np.empty((16, 64, 3), np.uint8)
    image[:] = rng.integers(120, 240, 3)
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
