"""What one camera has drawn of everything that lies still, and how it is mended when something moved.

A layer keeps its own record of the poses it was baked with, so a camera that is rendered seldom catches up by itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from openaisle.sim.render.eye import Eye
from openaisle.sim.render.jit import kernel
from openaisle.sim.render.meshes import Meshes
from openaisle.sim.render.raster import Canvas, Objects, draw_window, new_canvas, place_object
from openaisle.sim.render.rays import Rays
from openaisle.sim.render.scene import Scene
from openaisle.sim.render.shade import Models, shade_window
from openaisle.sim.render.shadow import ShadowMap

REBAKE_SHARE = 0.5  # of the picture: with more than this to mend, everything is drawn again


class Wanted(NamedTuple):
    """Where everything is now: room, furniture and doors (first objects), then items."""

    fixed_pose: NDArray[np.float32]  # [F, 4, 4] world_from_object
    fixed_shown: NDArray[np.bool_]  # [F] False: drawn anew each time (open doors)
    item_pose: NDArray[np.float32]  # [N, 4, 4]
    item_visible: NDArray[np.bool_]  # [N]
    item_lane: NDArray[np.int32]  # [N] -1: not in a lane, drawn anew each time


class Shelving(NamedTuple):
    """Ambient light in lanes."""

    light: NDArray[np.float32]  # [lanes, 2] at the front and at the back
    lane_from_world: NDArray[np.float32]  # [lanes, 4, 4]
    depth: NDArray[np.float32]  # [lanes]


@dataclass
class Layer:
    """Still part of one camera's picture at one resolution."""

    eye: Eye
    objects: Objects
    canvas: Canvas
    fresh: bool = False  # False until drawn for the first time


def new_layer(scene: Scene, eye: Eye) -> Layer:
    """An empty layer; the first `mend` fills it."""
    height, width = eye.rays.x.shape
    return Layer(eye, scene.objects(np.arange(len(scene.template))), new_canvas(height, width))


def grow_layer(layer: Layer, scene: Scene) -> None:
    """Make room for the items that were added to the scene."""
    added = scene.objects(np.arange(len(layer.objects.shown), len(scene.template)))
    layer.objects = Objects(*(np.concatenate(pair) for pair in zip(layer.objects, added, strict=True)))


def mend(
    layer: Layer, models: Models, shelving: Shelving, wanted: Wanted, no_shadows: ShadowMap | None
) -> NDArray[np.int32]:
    """Bring the layer up to date; returns the pixel boxes [n, 4] that were drawn again.

    Without a (blank) shadow map only depth, object and triangle are kept right.
    """
    moved = find_moved(layer.objects, wanted)
    if len(moved) == 0 and layer.fresh:
        return np.zeros((0, 4), np.int32)
    windows = place_moved(models.meshes, layer.objects, layer.eye.rays, wanted, shelving, moved)
    height, width = layer.canvas.depth.shape
    kept = merge(windows, int(REBAKE_SHARE * height * width)) if layer.fresh else None
    boxes = np.array([[0, width - 1, 0, height - 1]], np.int32) if kept is None else kept
    draw_windows(models.meshes, layer.objects, layer.eye.rays, layer.canvas, boxes)
    if no_shadows is not None:
        shade_windows(models, layer.objects, layer.eye, layer.canvas, no_shadows, boxes)
    layer.fresh = True
    return boxes


def merge(windows: NDArray[np.int32], limit_px: int) -> NDArray[np.int32] | None:
    """Windows without those inside others; None when they cover more than a limit."""
    kept: list[NDArray[np.int32]] = []
    area = 0
    for window in sorted(windows, key=lambda w: -int((w[1] - w[0] + 1) * (w[3] - w[2] + 1))):
        if any(k[0] <= window[0] and window[1] <= k[1] and k[2] <= window[2] and window[3] <= k[3] for k in kept):
            continue
        kept.append(window)
        area += int((window[1] - window[0] + 1) * (window[3] - window[2] + 1))
        if area > limit_px:
            return None
    return np.array(kept, np.int32).reshape(-1, 4)


@kernel
def find_moved(objects: Objects, wanted: Wanted) -> NDArray[np.int32]:
    """Objects whose drawn state differs from the wanted one."""
    count = 0
    out = np.empty(len(objects.shown), np.int32)
    first = len(wanted.fixed_shown)
    for o in range(len(objects.shown)):
        if o < first:
            shown, pose = wanted.fixed_shown[o], wanted.fixed_pose[o]
        else:
            shown, pose = (
                wanted.item_visible[o - first] and wanted.item_lane[o - first] >= 0,
                wanted.item_pose[o - first],
            )
        differs = shown != objects.shown[o]
        if shown and not differs:
            for row in range(3):
                for column in range(4):
                    differs |= pose[row, column] != objects.pose[o, row, column]
        if differs:
            out[count] = o
            count += 1
    return out[:count]


@kernel
def place_moved(
    meshes: Meshes, objects: Objects, rays: Rays, wanted: Wanted, shelving: Shelving, moved: NDArray[np.int32]
) -> NDArray[np.int32]:
    """Put objects into their wanted state; returns the pixel boxes they leave and enter."""
    used = 0
    windows = np.empty((2 * len(moved), 4), np.int32)
    first = len(wanted.fixed_shown)
    for k in range(len(moved)):
        o = moved[k]
        box = objects.box[o]
        if objects.shown[o] and box[0] <= box[1] and box[2] <= box[3]:
            windows[used] = box
            used += 1
        lane = -1
        if o < first:
            shown, pose = wanted.fixed_shown[o], wanted.fixed_pose[o]
        else:
            lane, pose = wanted.item_lane[o - first], wanted.item_pose[o - first]
            shown = wanted.item_visible[o - first] and lane >= 0
        objects.shown[o] = shown
        if not shown:
            continue
        if lane >= 0:
            objects.light[o] = lane_light(shelving, lane, pose)
        place_object(meshes, objects, o, rays, pose)
        if box[0] <= box[1] and box[2] <= box[3]:
            windows[used] = box
            used += 1
    return windows[:used]


@kernel
def place_moving(meshes: Meshes, objects: Objects, rays: Rays, wanted: Wanted, index: NDArray[np.int64]) -> None:
    """Put objects that are drawn anew each time, `index` in the order of the scene, where they are now."""
    first = len(wanted.fixed_shown)
    for k in range(len(index)):
        o = index[k]
        pose = wanted.fixed_pose[o] if o < first else wanted.item_pose[o - first]
        place_object(meshes, objects, k, rays, pose)


@kernel
def lane_light(shelving: Shelving, lane: int, pose: NDArray[np.float32]) -> float:
    """Ambient light at an item by how deep it stands in its lane."""
    m = shelving.lane_from_world[lane]
    inward = m[1, 0] * pose[0, 3] + m[1, 1] * pose[1, 3] + m[1, 2] * pose[2, 3] + m[1, 3]
    share = min(max(inward / shelving.depth[lane], 0.0), 1.0)
    return float(shelving.light[lane, 0] * (1.0 - share) + shelving.light[lane, 1] * share)


@kernel
def draw_windows(meshes: Meshes, objects: Objects, rays: Rays, canvas: Canvas, windows: NDArray[np.int32]) -> None:
    """Draw windows [n, 4] anew."""
    for k in range(len(windows)):
        draw_window(meshes, objects, rays, canvas, windows[k])


@kernel
def shade_windows(
    models: Models, objects: Objects, eye: Eye, canvas: Canvas, shadows: ShadowMap, windows: NDArray[np.int32]
) -> None:
    """Colour windows [n, 4] anew."""
    for k in range(len(windows)):
        shade_window(models, objects, eye, canvas, shadows, windows[k])


@kernel
def write_still(
    layer: Canvas,
    object_id: NDArray[np.int32],
    ids: NDArray[np.int32],
    depth: NDArray[np.float32],
    boxes: NDArray[np.int32],
) -> None:
    """Instance ids and depth of pixel boxes [n, 4]; both 0 where there is nothing."""
    code, far = layer.object, layer.depth
    for k in range(len(boxes)):
        for v in range(boxes[k, 2], boxes[k, 3] + 1):
            for u in range(boxes[k, 0], boxes[k, 1] + 1):
                o = code[v, u]
                ids[v, u] = object_id[o] if o >= 0 else 0
                depth[v, u] = far[v, u] if o >= 0 else 0.0
