"""A lane before and after: windows of still pictures around a lane, to see what left it and what came.

What lies on a shelf holds still for minutes, so it shows better than in a moving hand, and a picture from before a
change beside one from after it shows what changed. W windows, one for each camera that sees the lane's front.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from openaisle.store.geometry import Camera
from openaisle.store.store import Lane
from openaisle.tokens.glance import cut_windows

SHELF_PX = 32
SHELF_M = 0.56  # side
SHELF_FEATURES = 10
MOST_UNITS = 4  # more or fewer of one product than before that are told apart
SHELF_CHANGES = 2 * MOST_UNITS + 1
MAX_SHELF_VIEWS = 5  # the nearest cameras
REACH_IN_M, REACH_UP_M = 1.0, 0.3  # of a lane that may show
MAX_SIDE_PX, MIN_SIDE_PX = 160.0, 10.0
BEHIND = 0.3  # of a unit vector into the shelf: a camera there looks at the shelf's back
UInt8 = NDArray[np.uint8]
Float32 = NDArray[np.float32]


@dataclass(frozen=True)
class ShelfView:
    """How one camera sees one lane."""

    camera: int
    centre_px: Float32  # [2] u, v
    side_px: float
    area: UInt8  # [32, 32] 255 where the lane is in the window
    features: Float32  # [SHELF_FEATURES] nothing that tells one camera or lane from another


def shelf_views(lane: Lane, cameras: tuple[Camera, ...]) -> tuple[ShelfView, ...]:
    """The views of a lane, largest first, at most MAX_SHELF_VIEWS."""
    width, depth, clearance = lane.size_m
    deep, high = min(depth, REACH_IN_M), min(clearance, REACH_UP_M)
    to_world = lane.world_from_lane
    middle = to_world[:3, :3] @ np.array([width / 2, min(depth / 2, 0.1), high / 2]) + to_world[:3, 3]
    corners = np.array([[x, y, z] for x in (0.0, width) for y in (0.0, deep) for z in (0.0, high)])
    corners = corners @ to_world[:3, :3].T + to_world[:3, 3]
    out = []
    for index, camera in enumerate(cameras):
        if not camera.sees(middle[None])[0]:
            continue
        (pixel, distance), (box, far) = camera.project(middle[None]), camera.project(corners)
        direction = to_world[:3, :3].T @ (camera.world_from_camera[:3, 3] - middle)
        direction = direction / np.linalg.norm(direction)
        if distance[0] < 0.3 or far.min() < 0.2 or direction[1] > BEHIND:
            continue
        side = float(np.clip(SHELF_M * camera.fx_px / distance[0], MIN_SIDE_PX, MAX_SIDE_PX))
        area = np.zeros((SHELF_PX, SHELF_PX), dtype=np.uint8)
        local = ((box - pixel[0]) / side + 0.5) * SHELF_PX - 0.5
        cv2.fillConvexPoly(area, cv2.convexHull(np.round(local).astype(np.int32)), 255)
        place = (pixel[0] - [camera.cx_px, camera.cy_px]) / camera.fx_px
        features = np.array(
            [side / 40.0, distance[0] / 3.0, *place, *direction, width * 3.0, clearance * 2.0, to_world[2, 3]]
        )
        out.append(ShelfView(index, pixel[0].astype(np.float32), side, area, features.astype(np.float32)))
    return tuple(sorted(out, key=lambda view: -view.side_px)[:MAX_SHELF_VIEWS])


def cut_shelf(rgb: UInt8, view: ShelfView) -> UInt8:
    """A view's window [32, 32, 3] of a picture of its camera."""
    window: UInt8 = cut_windows(rgb, view.centre_px[None], np.array([view.side_px], np.float32), SHELF_PX)[0]
    return window
