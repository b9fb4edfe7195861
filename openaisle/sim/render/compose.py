"""One picture from the still layer and what moves: draw, shade and shadow in the dirty tiles only."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from openaisle.sim.render.eye import Eye
from openaisle.sim.render.imaging import TILE, add_noise, blur_tiles, restore
from openaisle.sim.render.jit import kernel
from openaisle.sim.render.people import CAPSULE_CODE, Capsules, draw_capsules, shade_people
from openaisle.sim.render.raster import NOTHING, Canvas, Objects, draw_object, whole
from openaisle.sim.render.rays import Rays
from openaisle.sim.render.shade import Models, shade_window
from openaisle.sim.render.shadow import ShadowMap, blob, darken


class Actors(NamedTuple):
    """What moves, as one eye sees it."""

    objects: Objects
    capsules: Capsules
    floor: NDArray[np.float64]  # [P, 2] where people stand
    blobs: NDArray[np.int32]  # [P, 4] pixel boxes of their contact shadows


class Scope(NamedTuple):
    """Where to draw."""

    tiles: NDArray[np.bool_]  # [rows, columns] dirty tiles
    tile: int  # side of a tile in pixels of this canvas
    ids: NDArray[np.int32]  # still instance ids at the camera's own resolution


class Output(NamedTuple):
    """The finished picture."""

    rgb: NDArray[np.uint8]
    ids: NDArray[np.int32]
    depth: NDArray[np.float32]


@kernel
def draw_moving(models: Models, actors: Actors, rays: Rays, still: Canvas, work: Canvas, scope: Scope) -> None:
    """Find the nearest of everything in the dirty tiles of the working canvas."""
    restore(scope.tiles, still, work, scope.tile)
    everything = whole(rays)
    for o in range(len(actors.objects.template)):
        if actors.objects.box[o, 0] <= actors.objects.box[o, 1]:
            draw_object(models.meshes, actors.objects, o, rays, work, everything)
    draw_capsules(actors.capsules, rays, work)


@kernel
def shade_moving(models: Models, actors: Actors, eye: Eye, work: Canvas, scope: Scope, shadows: ShadowMap) -> None:
    """Colour what moves, and darken what is in its shadow."""
    height, width = work.depth.shape
    soft = shadows.window[2] > 0.0
    window = np.empty(4, np.int32)
    for row in range(scope.tiles.shape[0]):
        window[2], window[3] = row * scope.tile, min(height, (row + 1) * scope.tile) - 1
        for column in range(scope.tiles.shape[1]):
            if scope.tiles[row, column]:
                window[0], window[1] = column * scope.tile, min(width, (column + 1) * scope.tile) - 1
                if soft:
                    darken(eye, work, shadows, window)
                shade_people(actors.capsules, eye, work, shadows, window)
    for o in range(len(actors.objects.box)):
        shade_window(models, actors.objects, eye, work, shadows, actors.objects.box[o])
    for p in range(len(actors.floor)):
        blob(eye, scope.ids, work, actors.floor[p], actors.blobs[p])


@kernel
def write_truth(actors: Actors, work: Canvas, scope: Scope, out: Output) -> None:
    """Instance ids and depth of what moves, over those of the still picture."""
    height, width = work.depth.shape
    ids, depths, code, near = out.ids, out.depth, work.object, work.depth
    object_id, capsule_id = actors.objects.id, actors.capsules.id
    for row in range(scope.tiles.shape[0]):
        for column in range(scope.tiles.shape[1]):
            if not scope.tiles[row, column]:
                continue
            for v in range(row * TILE, min(height, row * TILE + TILE)):
                for u in range(column * TILE, min(width, column * TILE + TILE)):
                    c = code[v, u]
                    if c != NOTHING:
                        ids[v, u] = object_id[c] if c > NOTHING else capsule_id[CAPSULE_CODE - c]
                        depths[v, u] = near[v, u]


class Sensor(NamedTuple):
    """What the camera adds to a sharp picture."""

    blur_side: int  # see imaging.blur
    strength: NDArray[np.int32]  # [2] read and shot noise
    table: NDArray[np.int8]


@kernel
def finish(
    tiles: NDArray[np.bool_], sharp: NDArray[np.uint8], out: NDArray[np.uint8], sensor: Sensor, key: int
) -> None:
    """Blur the dirty tiles into out, which holds the blurred still picture, and add noise to all of it."""
    blur_tiles(tiles, sharp, out, sensor.blur_side)
    add_noise(out, sensor.table, sensor.strength, key)
