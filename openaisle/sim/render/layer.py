"""What one camera has drawn of everything that lies still, and how it is mended when something moved.

A layer keeps its own record of the poses it was baked with, so a camera that is rendered seldom catches up by itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from openaisle.sim.render.imaging import blur_box
from openaisle.sim.render.jit import kernel
from openaisle.sim.render.raster import Objects, Target, draw_window, object_box
from openaisle.sim.render.rays import Rays
from openaisle.sim.render.scene import Scene
from openaisle.sim.render.shade import Look, shade_window

REBAKE_SHARE = 0.4  # of the picture: with more than this to mend, everything is drawn again
MARGIN_PX = 1


@dataclass
class Layer:
    """Still part of one camera's picture at one ray grid."""

    rays: Rays
    look: Look
    objects: Objects
    boxes: NDArray[np.int32]  # [O, 4] pixel boxes of the objects as baked
    baked_pose: NDArray[np.float32]  # [O, 3, 4] world_from_object as baked (without scale)
    target: Target
    ids: NDArray[np.int32]  # [H, W]
    rgb: NDArray[np.uint8]  # [H, W, 3] sharp
    blurred: NDArray[np.uint8]  # [H, W, 3]
    blur_side: int
    fresh: bool = False


def new_layer(scene: Scene, rays: Rays, look: Look, blur_side: int) -> Layer:
    """An empty layer; the first `bake` fills it."""
    count, (height, width) = len(scene.template), rays.x.shape
    objects = Objects(
        scene.template, scene.texture, np.ones(count, np.float32), scene.id,
        np.zeros((count, 3, 4), np.float32), np.zeros(count, np.bool_),
    )  # fmt: skip
    boxes = np.zeros((count, 4), np.int32)
    boxes[:, 1] = boxes[:, 3] = -1
    target = Target(
        np.full((height, width), np.inf, np.float32), np.full((height, width), -1, np.int32),
        np.full((height, width), -1, np.int32),
    )  # fmt: skip
    return Layer(
        rays, look, objects, boxes, np.zeros((count, 3, 4), np.float32), target, np.zeros((height, width), np.int32),
        np.zeros((height, width, 3), np.uint8), np.zeros((height, width, 3), np.uint8), blur_side,
    )  # fmt: skip


@kernel
def set_view(objects: Objects, o: int, pose: NDArray[np.float32], scale: NDArray[np.float32], camera_from_world: NDArray[np.float64]) -> None:
    """Set an object's view matrix from its world pose [3 or 4, 4] and scale [3]."""
    m = camera_from_world
    for row in range(3):
        for column in range(3):
            total = m[row, 0] * pose[0, column] + m[row, 1] * pose[1, column] + m[row, 2] * pose[2, column]
            objects.matrix[o, row, column] = total * scale[column]
        total = m[row, 0] * pose[0, 3] + m[row, 1] * pose[1, 3] + m[row, 2] * pose[2, 3]
        objects.matrix[o, row, 3] = total + m[row, 3]


@kernel
def changed(objects: Objects, baked: NDArray[np.float32], shown: NDArray[np.bool_], pose: NDArray[np.float32], out: NDArray[np.int32]) -> int:
    """Objects whose baked state differs from the wanted one, into out; returns how many."""
    count = 0
    for o in range(len(shown)):
        differs = shown[o] != objects.shown[o]
        if shown[o] and not differs:
            for row in range(3):
                for column in range(4):
                    if pose[o, row, column] != baked[o, row, column]:
                        differs = True
        if differs:
            out[count] = o
            count += 1
    return count


def bake(layer: Layer, scene: Scene, camera_from_world: NDArray[np.float64], wanted: Wanted) -> None:
    """Bring the layer up to date with the wanted still objects."""
    moved = np.empty(len(wanted.shown), np.int32)
    count = changed(layer.objects, layer.baked_pose, wanted.shown, wanted.pose, moved)
    if count == 0 and layer.fresh:
        return
    windows = np.zeros((2 * count, 4), np.int32)
    used = place(
        scene.meshes, scene.corners, layer.rays, layer.objects, layer.boxes, layer.baked_pose, wanted.shown, wanted.pose,
        wanted.light, scene.scale, camera_from_world, moved[:count], windows,
    )  # fmt: skip
    height, width = layer.ids.shape
    windows = windows[:used]
    area = int(((windows[:, 1] - windows[:, 0] + 1) * (windows[:, 3] - windows[:, 2] + 1)).sum())
    if not layer.fresh or area > REBAKE_SHARE * height * width:
        windows = np.array([[0, width - 1, 0, height - 1]], np.int32)
    largest = int(np.diff(scene.meshes.vertex_start).max())
    scratch = np.empty((largest, 3))
    for window in windows:
        draw_window(scene.meshes, layer.objects, layer.boxes, layer.rays, layer.target, window, scratch)
        shade_window(scene.meshes, scene.atlas, layer.objects, layer.rays, layer.target, layer.look, layer.rgb, window)
        write_ids(layer.target, scene.id, layer.ids, window)
    for window in windows:
        u0, u1 = max(window[0] - MARGIN_PX, 0), min(window[1] + MARGIN_PX, width - 1)
        v0, v1 = max(window[2] - MARGIN_PX, 0), min(window[3] + MARGIN_PX, height - 1)
        blur_box(layer.rgb, layer.blurred, layer.blur_side, u0, u1, v0, v1)
    layer.fresh = True


@dataclass(frozen=True)
class Wanted:
    """Which objects lie still now, and where."""

    shown: NDArray[np.bool_]  # [O]
    pose: NDArray[np.float32]  # [O, 4, 4] world_from_object without scale
    light: NDArray[np.float32]  # [O]


@kernel
def place(meshes, corners, rays, objects, boxes, baked, shown, pose, light, scale, camera_from_world, moved, windows):  # type: ignore[no-untyped-def]
    """Move objects to their wanted state; the pixel boxes they leave and enter go to windows; returns how many."""
    used = 0
    for k in range(len(moved)):
        o = moved[k]
        if objects.shown[o] and boxes[o, 0] <= boxes[o, 1] and boxes[o, 2] <= boxes[o, 3]:
            windows[used] = boxes[o]
            used += 1
        objects.shown[o] = shown[o]
        if not shown[o]:
            continue
        baked[o] = pose[o, :3]
        objects.light[o] = light[o]
        set_view(objects, o, pose[o], scale[o], camera_from_world)
        u0, u1, v0, v1 = object_box(meshes, objects, o, rays, corners)
        boxes[o, 0], boxes[o, 1], boxes[o, 2], boxes[o, 3] = u0, u1, v0, v1
        if u0 <= u1 and v0 <= v1:
            windows[used] = boxes[o]
            used += 1
    return used


@kernel
def write_ids(target: Target, ids: NDArray[np.int32], out: NDArray[np.int32], window: NDArray[np.int32]) -> None:
    """Instance ids of a window."""
    for v in range(window[2], window[3] + 1):
        for u in range(window[0], window[1] + 1):
            o = target.object[v, u]
            out[v, u] = ids[o] if o >= 0 else 0
