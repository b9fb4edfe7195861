"""Where people can walk: the free floor as a grid, and which lanes they can stand in front of.

A person is a disc; a lane is in reach when a spot in front of it connects to an entry without squeezing
between furniture closer than the disc's diameter.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from openaisle.store.check_geometry import footprint
from openaisle.store.geometry import Float
from openaisle.store.store import Store

CELL_M = 0.05
RADIUS_M = 0.28  # half a shopper's width, with a little air
REACH_M = 0.75  # from the lane's front to the middle of the person


@dataclass(frozen=True)
class FreeFloor:
    """Free floor around the store on a grid of CELL_M, row = y, column = x."""

    origin_m: Float  # [2] centre of cell [0, 0]
    clearance_m: NDArray[np.float32]  # [rows, columns] distance to the nearest furniture or wall, metres
    walkable: NDArray[np.bool_]  # [rows, columns] reachable from an entry by a person of RADIUS_M

    def cells(self, points_m: Float) -> NDArray[np.int64]:
        """Row and column [..., 2] of world points [..., 2]."""
        return np.round((np.asarray(points_m) - self.origin_m) / CELL_M).astype(np.int64)[..., ::-1]


def free_floor(store: Store, radius_m: float = RADIUS_M) -> FreeFloor:
    """Rasterise floor and fixtures, measure clearances, flood from the entries."""
    polygon = np.asarray(store.spec.floor_m)
    origin = polygon.min(axis=0) - 2 * CELL_M
    columns, rows = np.ceil((polygon.max(axis=0) - origin) / CELL_M).astype(int) + 3
    free = np.zeros((rows, columns), dtype=np.uint8)
    cv2.fillPoly(free, [_pixels(polygon, origin)], 1)
    for fixture in store.spec.fixtures:
        cv2.fillPoly(free, [_pixels(footprint(fixture), origin)], 0)
    clearance = cv2.distanceTransform(free, cv2.DIST_L2, 5).astype(np.float32) * CELL_M
    labels = np.asarray(cv2.connectedComponents((clearance >= radius_m).astype(np.uint8))[1], dtype=np.int32)
    starts = set()
    for gate in store.spec.gates:
        middle = (np.asarray(gate.a_m) + np.asarray(gate.b_m)) / 2
        near = _disc(labels, (middle - origin) / CELL_M, 2 * radius_m / CELL_M)
        starts |= {int(label) for label in np.unique(near) if label > 0}
    return FreeFloor(origin, clearance, np.isin(labels, list(starts)))


def reachable_lanes(store: Store, radius_m: float = RADIUS_M) -> NDArray[np.bool_]:
    """bool [lanes]: somebody of this radius can walk to a spot in front of the lane."""
    floor = free_floor(store, radius_m)
    out = np.zeros(len(store.lanes), dtype=np.bool_)
    spots = np.stack(np.meshgrid(np.linspace(-0.3, 0.3, 7), np.linspace(radius_m, REACH_M, 8)), axis=-1).reshape(-1, 2)
    for lane in store.lanes:
        sideways, outward = lane.world_from_lane[:2, 0], lane.outward_m[:2]
        points = lane.front_m[:2] + spots[:, :1] * sideways + spots[:, 1:] * outward
        cells = np.clip(floor.cells(points), 0, np.array(floor.walkable.shape) - 1)
        out[lane.index] = bool(floor.walkable[cells[:, 0], cells[:, 1]].any())
    return out


def _pixels(points_m: Float, origin: Float) -> NDArray[np.int32]:
    return np.round((points_m - origin) / CELL_M).astype(np.int32).reshape(-1, 1, 2)


def _disc(labels: NDArray[np.int32], centre: Float, radius: float) -> NDArray[np.int32]:
    y, x = np.ogrid[: labels.shape[0], : labels.shape[1]]
    near = (x - centre[0]) ** 2 + (y - centre[1]) ** 2 <= radius**2
    return np.asarray(labels[near])
