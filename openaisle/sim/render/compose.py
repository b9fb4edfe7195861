"""One picture from the still layer and what moves: draw, shade and shadow in the dirty tiles only."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from openaisle.sim.render.imaging import TILE, add_noise, blur_tiles, restore
from openaisle.sim.render.jit import kernel
from openaisle.sim.render.people import CAPSULE_CODE, Capsules, draw_capsules, paint_capsule, shade_capsule
from openaisle.sim.render.raster import NOTHING, Canvas, Objects, draw_object
from openaisle.sim.render.rays import Rays
from openaisle.sim.render.shade import Eye, Models, shade_pixel
from openaisle.sim.render.shadow import ShadowMap, blob, lit_share

ONE = np.float32(1.0)
STILL_LAMP = np.float32(0.38)  # share of the light on still surfaces that a person's shadow takes away


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
    height, width = work.depth.shape
    everything = np.array([0, width - 1, 0, height - 1], np.int32)
    for o in range(len(actors.objects.template)):
        if actors.objects.box[o, 0] <= actors.objects.box[o, 1]:
            draw_object(models.meshes, actors.objects, o, rays, work, everything)
    draw_capsules(actors.capsules, rays, work)


@kernel
def shade_moving(models: Models, actors: Actors, eye: Eye, work: Canvas, scope: Scope, shadows: ShadowMap) -> None:
    """Colour what moves, and darken what is in its shadow."""
    height, width = work.depth.shape
    soft = shadows.window[2] > 0.0
    tile = scope.tile
    for row in range(scope.tiles.shape[0]):
        for column in range(scope.tiles.shape[1]):
            if not scope.tiles[row, column]:
                continue
            for v in range(row * tile, min(height, row * tile + tile)):
                for u in range(column * tile, min(width, column * tile + tile)):
                    code = work.object[v, u]
                    if code == NOTHING and not soft:
                        continue
                    lit = ONE
                    if soft:
                        lit = lit_share(shadows, eye.look, eye.rays.x[v, u], eye.rays.y[v, u], work.depth[v, u])
                    if code == NOTHING:
                        if lit < ONE:
                            keep = ONE - STILL_LAMP * (ONE - lit)
                            for k in range(3):
                                work.rgb[v, u, k] = np.uint8(np.float32(work.rgb[v, u, k]) * keep)
                    elif code > NOTHING:
                        shade_pixel(models, actors.objects, eye, work, v, u, float(lit))
                    else:
                        sky, lamp = shade_capsule(actors.capsules, eye.rays, eye.look, work, v, u)
                        paint_capsule(actors.capsules, eye.look, work, v, u, sky + lamp * lit)
    for p in range(len(actors.floor)):
        blob(eye, scope.ids, work, actors.floor[p], actors.blobs[p])


@kernel
def write_truth(actors: Actors, still: Canvas, work: Canvas, scope: Scope, out: Output) -> None:
    """Instance ids and depth of the whole picture; infinite depth becomes 0."""
    height, width = still.depth.shape
    out.ids[:] = scope.ids
    for v in range(height):
        for u in range(width):
            depth = still.depth[v, u]
            out.depth[v, u] = depth if depth < np.float32(np.inf) else np.float32(0.0)
    for row in range(scope.tiles.shape[0]):
        for column in range(scope.tiles.shape[1]):
            if not scope.tiles[row, column]:
                continue
            for v in range(row * TILE, min(height, row * TILE + TILE)):
                for u in range(column * TILE, min(width, column * TILE + TILE)):
                    code = work.object[v, u]
                    if code > NOTHING:
                        out.ids[v, u] = actors.objects.id[code]
                        out.depth[v, u] = work.depth[v, u]
                    elif code < NOTHING:
                        out.ids[v, u] = actors.capsules.id[CAPSULE_CODE - code]
                        out.depth[v, u] = work.depth[v, u]


class Sensor(NamedTuple):
    """What the camera adds to a sharp picture."""

    blur_side: int  # see imaging.blur
    strength: NDArray[np.int32]  # [2] read and shot noise
    table: NDArray[np.int8]


@kernel
def finish(tiles: NDArray[np.bool_], sharp: NDArray[np.uint8], blurred: NDArray[np.uint8], out: NDArray[np.uint8], sensor: Sensor, key: int) -> None:
    """Blurred still picture, freshly blurred dirty tiles, and noise over all."""
    out[:] = blurred
    blur_tiles(tiles, sharp, out, sensor.blur_side)
    add_noise(out, sensor.table, sensor.strength, key)
