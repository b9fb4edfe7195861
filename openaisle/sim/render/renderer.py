"""The renderer: a store, its goods and a snapshot in; colours, instance ids and depth of a camera out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from openaisle.sim.render.compose import (
    Actors,
    Output,
    Scope,
    Sensor,
    draw_moving,
    finish,
    shade_moving,
    write_truth,
)
from openaisle.sim.render.eye import Eye, Look
from openaisle.sim.render.imaging import (
    TILE,
    blur_boxes,
    downsample_boxes,
    downsample_tiles,
    mark,
    noise_key,
    noise_table,
)
from openaisle.sim.render.layer import Layer, Shelving, Wanted, grow_layer, mend, new_layer, place_moving, write_still
from openaisle.sim.render.people import Capsules, gather, to_camera
from openaisle.sim.render.raster import Canvas, new_canvas
from openaisle.sim.render.rays import Rays, camera_rays
from openaisle.sim.render.scene import Scene, add_items, build_scene, lane_lights
from openaisle.sim.render.shadow import aim, blob_boxes, cast, new_map, shadow_boxes
from openaisle.sim.world import Snapshot
from openaisle.store.geometry import Camera, yaw_transform
from openaisle.store.store import Store

DOOR_SWING_RAD = float(np.deg2rad(95))


@dataclass(frozen=True)
class Rendered:
    """One picture: rgb uint8 [H, W, 3], ids int32 [H, W] (see sim/world.py), depth_m float32 [H, W].

    Ids and depth belong to the ray through the pixel centre; depth is along the camera's z axis, 0 where nothing is.
    """

    rgb: NDArray[np.uint8]
    ids: NDArray[np.int32]
    depth_m: NDArray[np.float32]


@dataclass
class View:
    """All that is kept for one camera."""

    layer: Layer  # at the camera's own resolution
    fine: Layer | None  # twice as fine, for colours
    ids: NDArray[np.int32]  # [H, W] of the still picture
    depth: NDArray[np.float32]  # [H, W] of the still picture, 0 where nothing is
    blurred: NDArray[np.uint8]  # [H, W, 3]
    sensor: Sensor


class Renderer:
    """Draws the cameras of one store; deterministic in store, snapshot and seed. Not to be shared between threads.

    fast: one ray a pixel and a blob of shadow under people. fine: four rays a pixel for colours and a shadow map.
    """

    def __init__(
        self,
        store: Store,
        product_of_item: NDArray[np.int32],
        *,
        quality: Literal["fast", "fine"] = "fast",
        seed: int = 0,
    ) -> None:
        self.store = store
        self.seed = seed
        self.fine = quality == "fine"
        self.scene: Scene = build_scene(store, product_of_item, seed)
        self.noise = noise_table(seed)
        self.shelving = Shelving(
            lane_lights(store),
            np.array([lane.lane_from_world for lane in store.lanes], np.float32).reshape(-1, 4, 4),
            np.array([lane.size_m[1] for lane in store.lanes], np.float32),
        )
        self.shadows, self.no_shadows = new_map(self.scene.lamp), new_map(self.scene.lamp)
        self.views: dict[int, View] = {}
        self.work: dict[tuple[int, ...], Canvas] = {}
        self.fixed_pose = self.scene.fixed_pose.copy()
        self.fixed_shown = np.ones(len(self.fixed_pose), np.bool_)
        self.opening = np.zeros(len(self.fixed_pose))  # of the door leaves

    def render(self, camera_index: int, snapshot: Snapshot) -> Rendered:
        """Picture of camera number `camera_index` of the store at the snapshot's instant."""
        self.grow(snapshot)
        view = self.view(camera_index)
        wanted, moving = self.sort_objects(snapshot)
        self.mend(view, wanted)
        models, layer = self.scene.models, view.layer
        height, width = view.ids.shape
        people = gather(snapshot.people)
        floor = np.array([p.floor_m for p in snapshot.people], np.float64).reshape(-1, 2)
        actors = self.actors(layer.eye.rays, people, floor, (moving, wanted))
        tiles = self.dirty_tiles(view, actors)
        scope, work = Scope(tiles, TILE, view.ids), self.canvas(height, width)
        draw_moving(models, actors, layer.eye.rays, layer.canvas, work, scope)
        out = Output(view.blurred.copy(), view.ids.copy(), view.depth.copy())
        write_truth(actors, work, scope, out)
        if view.fine is None:
            shade_moving(models, actors, layer.eye, work, scope, self.no_shadows)
        else:
            eye, twice, wide = view.fine.eye, self.canvas(2 * height, 2 * width), Scope(tiles, 2 * TILE, view.ids)
            cast(people.world, self.shadows)
            aim(self.shadows, eye.look)
            actors = self.actors(eye.rays, people, floor, (moving, wanted))
            draw_moving(models, actors, eye.rays, view.fine.canvas, twice, wide)
            shade_moving(models, actors, eye, twice, wide, self.shadows)
            downsample_tiles(tiles, twice.rgb, work.rgb)
        finish(tiles, work.rgb, out.rgb, view.sensor, noise_key(self.seed, camera_index, snapshot.time_ns))
        return Rendered(out.rgb, out.ids, out.depth)

    def grow(self, snapshot: Snapshot) -> None:
        """Take in items that were added since the renderer was made."""
        known = len(self.scene.template) - self.scene.first_item
        if len(snapshot.items.product) > known:
            self.scene = add_items(self.scene, snapshot.items.product[known:])
            for view in self.views.values():
                for layer in (view.layer, view.fine):
                    if layer is not None:
                        grow_layer(layer, self.scene)

    def view(self, camera_index: int) -> View:
        """The camera's kept state, made at its first picture."""
        if camera_index not in self.views:
            camera = self.store.cameras[camera_index]
            character = draw_character(self.seed, camera_index)
            eyes = [camera_eye(self.scene, camera, character, factor) for factor in ((1, 2) if self.fine else (1,))]
            layers = [new_layer(self.scene, eye) for eye in eyes]
            shape = (camera.height_px, camera.width_px)
            sensor = Sensor(character.blur_side, np.array(character.noise, np.int32), self.noise)
            self.views[camera_index] = View(
                layers[0],
                layers[1] if self.fine else None,
                np.zeros(shape, np.int32),
                np.zeros(shape, np.float32),
                np.zeros((*shape, 3), np.uint8),
                sensor,
            )
        return self.views[camera_index]

    def canvas(self, height: int, width: int) -> Canvas:
        """Working canvas of a size, shared by all cameras of that size."""
        if (height, width) not in self.work:
            self.work[height, width] = new_canvas(height, width)
        return self.work[height, width]

    def sort_objects(self, snapshot: Snapshot) -> tuple[Wanted, NDArray[np.int64]]:
        """Where everything is now, and the objects that are drawn anew each time."""
        items = snapshot.items
        moving: list[NDArray[np.int64]] = [np.flatnonzero(items.visible & (items.lane < 0)) + self.scene.first_item]
        for o, f, leaf in self.scene.leaves:
            opening = float(snapshot.doors[f])
            if opening != self.opening[o]:
                turn = yaw_transform(0, 0, 0, leaf.swing * opening * DOOR_SWING_RAD)
                self.fixed_pose[o] = self.scene.fixed_pose[o] @ turn
                self.fixed_shown[o] = opening <= 0.0
                self.opening[o] = opening
            if opening > 0.0:
                moving.append(np.array([o]))
        wanted = Wanted(self.fixed_pose, self.fixed_shown, items.world_from_item, items.visible, items.lane)
        return wanted, np.concatenate(moving)

    def mend(self, view: View, wanted: Wanted) -> None:
        """Bring the still picture up to date."""
        boxes = mend(view.layer, self.scene.models, self.shelving, wanted, None if self.fine else self.no_shadows)
        write_still(view.layer.canvas, self.scene.id, view.ids, view.depth, boxes)
        rgb = view.layer.canvas.rgb
        if view.fine is not None:
            finer = mend(view.fine, self.scene.models, self.shelving, wanted, self.no_shadows) // 2
            boxes = np.concatenate([boxes, finer])
            downsample_boxes(boxes, view.fine.canvas.rgb, rgb)
        blur_boxes(boxes, rgb, view.blurred, view.sensor.blur_side)

    def actors(
        self, rays: Rays, people: Capsules, floor: NDArray[np.float64], moving: tuple[NDArray[np.int64], Wanted]
    ) -> Actors:
        """What moves, as seen along these rays."""
        index, wanted = moving
        objects = self.scene.objects(index)
        place_moving(self.scene.models.meshes, objects, rays, wanted, index)
        capsules = people._replace(row=np.empty_like(people.row), box=np.empty_like(people.box))
        to_camera(capsules, rays)
        return Actors(objects, capsules, floor, blob_boxes(floor, rays))

    def dirty_tiles(self, view: View, actors: Actors) -> NDArray[np.bool_]:
        """Tiles of the picture that differ from the still one."""
        height, width = view.ids.shape
        tiles = np.zeros((-(-height // TILE), -(-width // TILE)), np.bool_)
        mark(tiles, actors.capsules.box)
        mark(tiles, actors.objects.box)
        mark(tiles, actors.blobs)
        if self.fine:
            mark(tiles, shadow_boxes(actors.capsules.world, self.scene.lamp, view.layer.eye.rays))
        return tiles


@dataclass(frozen=True)
class Character:
    """What is particular to one camera."""

    exposure: float
    balance: tuple[float, float, float]  # gains of red, green, blue
    falloff: float  # vignetting in the corners
    blur_side: int
    noise: tuple[int, int]  # read and shot noise, see imaging.add_noise


def draw_character(seed: int, camera_index: int) -> Character:
    """A camera's character, from the renderer's seed."""
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, 17, camera_index])))
    red, green, blue = 1 + rng.uniform(-0.09, 0.09, 3)
    return Character(
        exposure=float(rng.uniform(0.8, 1.2)),
        balance=(float(red), float(green), float(blue)),
        falloff=float(rng.uniform(0.0, 0.4)),
        blur_side=int(rng.integers(10, 60)),
        noise=(int(rng.integers(180, 640)), int(rng.integers(200, 900))),
    )


def camera_eye(scene: Scene, camera: Camera, character: Character, factor: int) -> Eye:
    """Rays, light and exposure of a camera; factor 2: four rays a pixel."""
    rays = camera_rays(camera, factor)
    rotation = camera.camera_from_world[:3, :3]
    radius2 = (rays.x * rays.x + rays.y * rays.y) / float(rays.limits[4])
    look = Look(
        up=rotation[:, 2].astype(np.float32),
        lamp=(rotation @ scene.lamp).astype(np.float32),
        strength=np.array(scene.strength, np.float32),
        gain=(character.exposure * np.array(character.balance)).astype(np.float32),
        vignette=(1 - character.falloff * radius2).astype(np.float32),
        world=camera.world_from_camera[:3].astype(np.float32),
    )
    return Eye(rays, look)
