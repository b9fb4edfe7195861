"""The renderer: a store, its goods and a snapshot in; colours, instance ids and depth of a camera out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from openaisle.sim.render.imaging import TILE, add_noise, blob_shadow, blur_tiles, mark_boxes, noise_table, restore_tiles
from openaisle.sim.render.jit import kernel
from openaisle.sim.render.layer import Layer, Wanted, bake, new_layer, set_view
from openaisle.sim.render.people import Capsules, capsule_boxes, draw_capsules, gather, shade_capsule_pixel, to_camera
from openaisle.sim.render.raster import Objects, Target, draw_object, object_box
from openaisle.sim.render.rays import Rays, bounds, camera_rays
from openaisle.sim.render.scene import DOOR_SWING_RAD, Scene, build_scene
from openaisle.sim.render.shade import Look, shade_pixel
from openaisle.sim.world import Items, Person, Snapshot
from openaisle.store.geometry import Camera, rigid, yaw_transform
from openaisle.store.store import Store, world_from_fixture

BLOB_RADIUS_M = 0.42


@dataclass(frozen=True)
class Rendered:
    """One picture: rgb uint8 [H, W, 3], ids int32 [H, W] (see sim/world.py), depth_m float32 [H, W].

    Ids and depth belong to the ray through the pixel centre; depth is along the camera's z axis, 0 where there is nothing.
    """

    rgb: NDArray[np.uint8]
    ids: NDArray[np.int32]
    depth_m: NDArray[np.float32]


@dataclass
class View:
    """All that is kept for one camera."""

    camera: Camera
    layer: Layer
    strength: NDArray[np.int32]  # [2] read and shot noise


class Renderer:
    """Draws cameras of one store. Not to be shared between threads; deterministic in store, snapshot and seed."""

    def __init__(
        self, store: Store, product_of_item: NDArray[np.int32], *, quality: Literal["fast", "fine"] = "fast", seed: int = 0
    ) -> None:
        self.store = store
        self.quality = quality
        self.seed = seed
        self.scene: Scene = build_scene(store, product_of_item, seed)
        self.noise = noise_table(seed)
        self.views: dict[int, View] = {}
        count = len(self.scene.template)
        self.largest = int(np.diff(self.scene.meshes.vertex_start).max())
        self.shown = np.ones(count, np.bool_)
        self.pose = self.scene.pose.copy()
        self.light = np.ones(count, np.float32)
        self.scratch: dict[tuple[int, int], Target] = {}
        self.fixture_pose = [world_from_fixture(f) for f in store.spec.fixtures]

    def render(self, camera_index: int, snapshot: Snapshot) -> Rendered:
        """Picture of camera number `camera_index` of the store at the snapshot's instant."""
        view = self.view(camera_index)
        layer, camera = view.layer, view.camera
        moving = self.sort_objects(snapshot)
        bake(layer, self.scene, camera.camera_from_world, Wanted(self.shown, self.pose, self.light))
        height, width = layer.ids.shape
        target = self.scratch_for(height, width)
        sharp = self.sharp
        tiles = np.zeros(((height + TILE - 1) // TILE, (width + TILE - 1) // TILE), np.bool_)

        capsules = gather(snapshot.people)
        ends, forward = np.empty_like(capsules.ends), np.empty_like(capsules.forward)
        to_camera(capsules, camera.camera_from_world, ends, forward)
        capsules = capsules._replace(ends=ends, forward=forward)
        boxes = np.empty((len(ends), 4), np.int32)
        capsule_boxes(capsules, layer.rays, boxes)
        discs = blob_discs(snapshot.people, camera, layer.rays)
        objects, object_boxes = self.moving_objects(moving, layer, camera)
        mark_boxes(tiles, boxes)
        mark_boxes(tiles, object_boxes)
        mark_boxes(tiles, np.ascontiguousarray(discs[:, 3:], np.int32))

        restore_tiles(tiles, layer.target.depth, layer.rgb, target, sharp)
        for disc in discs:
            blob_shadow(layer.rays, layer.look, target.depth, layer.ids, sharp, disc)
        window = np.array([0, width - 1, 0, height - 1], np.int32)
        scratch = np.empty((self.largest, 3))
        for o in range(len(objects.template)):
            draw_object(self.scene.meshes, objects, o, layer.rays, target, window, scratch)
        draw_capsules(capsules, boxes, layer.rays, target)
        ids, depth = layer.ids.copy(), layer.target.depth.copy()
        finish_tiles(tiles, self.scene.meshes, self.scene.atlas, objects, capsules, layer.rays, target, layer.look, sharp, ids, depth)
        rgb = layer.blurred.copy()
        blur_tiles(tiles, sharp, rgb, layer.blur_side)
        add_noise(rgb, self.noise, view.strength, noise_key(self.seed, camera_index, snapshot.time_ns))
        depth[ids == 0] = 0.0
        return Rendered(rgb, ids, depth)

    def view(self, camera_index: int) -> View:
        """The camera's kept state, made at its first picture."""
        if camera_index not in self.views:
            camera = self.store.cameras[camera_index]
            rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([self.seed, 17, camera_index])))
            rays = camera_rays(camera)
            look = camera_look(self.scene, camera, rays, rng)
            blur_side = int(rng.uniform(10, 60))
            strength = np.array([rng.uniform(180, 640), rng.uniform(200, 900)], np.int32)
            self.views[camera_index] = View(camera, new_layer(self.scene, rays, look, blur_side), strength)
        return self.views[camera_index]

    def scratch_for(self, height: int, width: int) -> Target:
        """Working buffers of a picture size."""
        if (height, width) not in self.scratch:
            self.scratch[height, width] = Target(
                np.empty((height, width), np.float32), np.full((height, width), -1, np.int32),
                np.full((height, width), -1, np.int32),
            )  # fmt: skip
            self.sharp = np.zeros((height, width, 3), np.uint8)
        return self.scratch[height, width]

    def sort_objects(self, snapshot: Snapshot) -> list[int]:
        """Update what lies still (self.shown, pose, light); returns the objects that are drawn anew each time."""
        items, first = snapshot.items, self.scene.first_item
        still = items.visible & (items.lane >= 0)
        self.shown[first:] = still
        self.pose[first:] = items.world_from_item
        shelf_light(items.world_from_item, items.lane, self.scene.lane_light, self.scene.lane_from_world, self.scene.lane_depth, self.light[first:])
        moving = [first + int(i) for i in np.flatnonzero(items.visible & (items.lane < 0))]
        for o, f, leaf in self.scene.leaves:
            opening = float(snapshot.doors[f]) if f < len(snapshot.doors) else 0.0
            turn = leaf.swing * opening * DOOR_SWING_RAD
            self.pose[o] = self.fixture_pose[f] @ yaw_transform(leaf.hinge_m[0], leaf.hinge_m[1], 0.0, turn)
            self.shown[o] = opening == 0.0
            if opening > 0.0:
                moving.append(o)
        return moving

    def moving_objects(self, moving: list[int], layer: Layer, camera: Camera) -> tuple[Objects, NDArray[np.int32]]:
        """Objects and pixel boxes of what moves, in this camera."""
        index = np.array(moving, np.int64)
        objects = Objects(
            self.scene.template[index], self.scene.texture[index], np.ones(len(index), np.float32), self.scene.id[index],
            np.zeros((len(index), 3, 4), np.float32), np.ones(len(index), np.bool_),
        )  # fmt: skip
        boxes = np.zeros((len(index), 4), np.int32)
        for k, o in enumerate(moving):
            set_view(objects, k, self.pose[o], self.scene.scale[o], camera.camera_from_world)
            boxes[k] = object_box(self.scene.meshes, objects, k, layer.rays, self.scene.corners)
        return objects, boxes


@kernel
def shelf_light(pose: NDArray[np.float32], lane: NDArray[np.int32], light: NDArray[np.float32], lane_from_world: NDArray[np.float32], depth: NDArray[np.float32], out: NDArray[np.float32]) -> None:
    """Ambient light of each item by how deep it stands in its lane."""
    for i in range(len(lane)):
        k = lane[i]
        out[i] = 1.0
        if k >= 0:
            m = lane_from_world[k]
            inward = m[1, 0] * pose[i, 0, 3] + m[1, 1] * pose[i, 1, 3] + m[1, 2] * pose[i, 2, 3] + m[1, 3]
            share = min(max(inward / depth[k], 0.0), 1.0)
            out[i] = light[k, 0] * (1.0 - share) + light[k, 1] * share


@kernel
def finish_tiles(tiles, meshes, atlas, objects, capsules, rays, target, look, sharp, ids, depth):  # type: ignore[no-untyped-def]
    """Shade what moves in the dirty tiles and write its ids and depth."""
    height, width = depth.shape
    corner = np.empty((3, 3), np.float64)
    colour = np.empty(3, np.float64)
    for row in range(tiles.shape[0]):
        for column in range(tiles.shape[1]):
            if not tiles[row, column]:
                continue
            for v in range(row * 16, min(height, row * 16 + 16)):
                for u in range(column * 16, min(width, column * 16 + 16)):
                    o = target.object[v, u]
                    if o == -1:
                        continue
                    depth[v, u] = target.depth[v, u]
                    if o >= 0:
                        ids[v, u] = objects.id[o]
                        shade_pixel(meshes, atlas, objects, rays, target, look, sharp, v, u, corner, colour)
                    else:
                        ids[v, u] = capsules.id[-2 - o]
                        shade_capsule_pixel(capsules, rays, target, look, sharp, v, u, 1.0)


def camera_look(scene: Scene, camera: Camera, rays: Rays, rng: np.random.Generator) -> Look:
    """Light in the camera frame and the camera's exposure, white balance and vignetting."""
    rotation = camera.camera_from_world[:3, :3]
    x, y = rays.x, rays.y
    falloff = rng.uniform(0.0, 0.45)
    radius2 = (x * x + y * y) / float(rays.limits[4])
    exposure = rng.uniform(0.75, 1.15)
    balance = 1 + rng.uniform(-0.09, 0.09, 3)
    return Look(
        up=rotation[:, 2].astype(np.float32),
        lamp=(rotation @ scene.lamp).astype(np.float32),
        ambient=scene.ambient,
        lamp_strength=1.05 - scene.ambient,
        gain=(exposure * balance).astype(np.float32),
        vignette=(1 - falloff * radius2).astype(np.float32),
        footprint=scene.footprint,
        origin=camera.world_from_camera[:3, 3].astype(np.float32),
        world=camera.world_from_camera[:3, :3].astype(np.float32),
    )


def noise_key(seed: int, camera_index: int, time_ns: int) -> int:
    """A number below 2**62 that differs between pictures."""
    mixed = (seed * 0x9E3779B97F4A7C15 + camera_index * 0xBF58476D1CE4E5B9 + time_ns * 0x94D049BB133111EB) & (2**64 - 1)
    mixed ^= mixed >> 31
    return (mixed * 0xD6E8FEB86659FD93 & (2**64 - 1)) >> 2


def blob_discs(people: tuple[Person, ...], camera: Camera, rays: Rays) -> NDArray[np.float64]:
    """Contact shadows: x, y, radius and pixel box of each person, [P, 7]."""
    discs = np.zeros((len(people), 7))
    m = camera.camera_from_world
    for i, person in enumerate(people):
        x, y = person.floor_m
        discs[i, :3] = x, y, BLOB_RADIUS_M
        corners = np.array([(x + a, y + b, 0.0) for a in (-BLOB_RADIUS_M, BLOB_RADIUS_M) for b in (-BLOB_RADIUS_M, BLOB_RADIUS_M)])
        local = corners @ m[:3, :3].T + m[:3, 3]
        if local[:, 2].min() <= 0.05:
            discs[i, 3:] = 0, -1, 0, -1
            continue
        ideal = local[:, :2] / local[:, 2:]
        discs[i, 3:] = bounds(rays, *(float(q) for q in (ideal[:, 0].min(), ideal[:, 0].max(), ideal[:, 1].min(), ideal[:, 1].max())))
    return discs
