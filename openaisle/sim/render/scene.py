"""A store made ready for drawing: textures, templates and objects (room, furniture, doors, goods)."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from openaisle.sim.packaging import ROUND_SHAPES, Image, Packaging, plain_packaging, textures_from_pictures
from openaisle.sim.render.build import SceneBuilder
from openaisle.sim.render.fixtures import Leaf, add_fixtures
from openaisle.sim.render.meshes import PANEL, SHAPES, STRIP_COLUMNS, STRIP_ROWS, build_atlas, concatenate
from openaisle.sim.render.raster import Objects
from openaisle.sim.render.room import add_room
from openaisle.sim.render.shade import Models
from openaisle.sim.world import ITEM_ID
from openaisle.store.schema import FixtureSpec
from openaisle.store.store import Store

LAMP_SHARE = 1.05  # sky and lamp light together on a surface that faces the lamp


@dataclass(frozen=True)
class Scene:
    """Models and what is known of each object. Objects in order: room, furniture, door leaves, then items."""

    models: Models
    template: NDArray[np.int32]  # [O]
    texture: NDArray[np.int32]  # [O]
    id: NDArray[np.int32]  # [O]
    scale: NDArray[np.float32]  # [O, 3]
    fixed_pose: NDArray[np.float32]  # [F, 4, 4] room, furniture and shut doors
    leaves: tuple[tuple[int, int, Leaf], ...]  # object, fixture, leaf
    product_template: NDArray[np.int32]  # [products]
    product_scale: NDArray[np.float32]  # [products, 3]
    lamp: NDArray[np.float64]  # [3] unit vector towards the main light
    strength: tuple[float, float]  # sky light, lamp light

    @property
    def first_item(self) -> int:
        """Object index of item 0."""
        return len(self.fixed_pose)

    def objects(self, index: NDArray[np.int64]) -> Objects:
        """Some of the objects, not placed yet."""
        count = len(index)
        box = np.zeros((count, 4), np.int32)
        box[:, 1::2] = -1
        return Objects(
            template=self.template[index],
            texture=self.texture[index],
            light=np.ones(count, np.float32),
            id=self.id[index],
            scale=self.scale[index],
            pose=np.zeros((count, 3, 4), np.float32),
            matrix=np.zeros((count, 3, 4), np.float32),
            shown=np.zeros(count, np.bool_),
            box=box,
        )


def build_scene(store: Store, product_of_item: NDArray[np.int32], seed: int) -> Scene:
    """Everything that all cameras share."""
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, 3])))
    build = SceneBuilder()
    for index, product in enumerate(store.products):  # texture i belongs to product i
        build.add_texture(strip(product_packaging(store, index), product.shape))
    add_room(build, store, rng)
    leaves = add_fixtures(build, store, rng)
    tilt, turn = rng.uniform(0.1, 0.5), rng.uniform(0, 2 * np.pi)
    sky = float(rng.uniform(0.55, 0.75))
    fixed = len(build.template)
    size = [(p.width_mm / 1000, p.depth_mm / 1000, p.height_mm / 1000) for p in store.products]
    empty = Scene(
        models=Models(concatenate(build.meshes), build_atlas(build.textures), footprints(store.spec.fixtures)),
        template=np.array(build.template, np.int32),
        texture=np.zeros(fixed, np.int32),
        id=np.array(build.id, np.int32),
        scale=np.ones((fixed, 3), np.float32),
        fixed_pose=np.array(build.pose, np.float32),
        leaves=tuple(leaves),
        product_template=np.array([SHAPES.index(p.shape) for p in store.products], np.int32),
        product_scale=np.array(size, np.float32).reshape(-1, 3),
        lamp=np.array([np.cos(turn) * np.sin(tilt), np.sin(turn) * np.sin(tilt), np.cos(tilt)]),
        strength=(sky, LAMP_SHARE - sky),
    )
    return add_items(empty, product_of_item)


def add_items(scene: Scene, products: NDArray[np.int32]) -> Scene:
    """The scene with more items, by product index."""
    first = len(scene.template) - scene.first_item
    identity = ITEM_ID + np.arange(first, first + len(products), dtype=np.int32)
    return replace(
        scene,
        template=np.concatenate([scene.template, scene.product_template[products]]),
        texture=np.concatenate([scene.texture, np.asarray(products, np.int32)]),
        id=np.concatenate([scene.id, identity]),
        scale=np.concatenate([scene.scale, scene.product_scale[products]]),
    )


def product_packaging(store: Store, index: int) -> Packaging:
    """Textures of a product: from its pictures, or a plain design."""
    product = store.products[index]
    size = (product.width_mm, product.height_mm, product.depth_mm)
    pictures = tuple(store.pictures.get(product.gtin, ()))
    if not pictures:
        return plain_packaging(product.gtin, product.shape, size)
    return textures_from_pictures(pictures, product.shape, size)


def strip(packaging: Packaging, shape: str) -> Image:
    """One texture [64, 160, 3] as meshes.py expects it: panels around, then top over bottom."""

    def fit(image: Image, columns: int, rows: int) -> Image:
        return cv2.resize(image, (columns, rows), interpolation=cv2.INTER_AREA).astype(np.uint8)

    out = np.empty((STRIP_ROWS, STRIP_COLUMNS, 3), np.uint8)
    if shape in ROUND_SHAPES:
        out[:, : 2 * PANEL] = fit(packaging.front, 2 * PANEL, STRIP_ROWS)
        out[:, 2 * PANEL : 4 * PANEL] = fit(packaging.back, 2 * PANEL, STRIP_ROWS)
    else:
        for i, image in enumerate((packaging.front, packaging.side, packaging.back, packaging.side)):
            out[:, i * PANEL : (i + 1) * PANEL] = fit(image, PANEL, STRIP_ROWS)
    top = fit(packaging.top, PANEL, PANEL)
    out[:PANEL, 4 * PANEL :] = top
    out[PANEL:, 4 * PANEL :] = top // 2
    return out


def lane_lights(store: Store) -> NDArray[np.float32]:
    """Ambient light at the front and at the back of each lane, [lanes, 2]."""
    light: list[tuple[float, float]] = []
    for fixture in store.spec.fixtures:
        top = max((shelf.z_m for shelf in fixture.shelves), default=0.0)
        for shelf in fixture.shelves:
            covered = shelf.z_m < top - 0.001 or fixture.kind == "fridge"
            low = 0.85 + 0.15 * min(shelf.z_m, 0.6) / 0.6
            light += [(0.95 * low, 0.5 * low) if covered else (1.0, 0.92)] * len(shelf.lanes)
    return np.array(light, np.float32).reshape(-1, 2)


def footprints(fixtures: tuple[FixtureSpec, ...]) -> NDArray[np.float32]:
    """Corner, cos and sin of yaw, width and depth of each fixture, [F, 6]."""
    rows = [
        (f.x_m, f.y_m, np.cos(np.deg2rad(f.yaw_deg)), np.sin(np.deg2rad(f.yaw_deg)), f.width_m, f.depth_m)
        for f in fixtures
    ]
    return np.array(rows, np.float32).reshape(-1, 6)
