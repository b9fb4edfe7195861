"""Where somebody who walks can be: on free floor, not in furniture, and in the gate when the gate says so."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from openaisle.store.check_geometry import footprint
from openaisle.store.geometry import Float
from openaisle.store.schema import GateSpec, StoreSpec

CELL_M = 0.05
RIM_M = 1.5  # of the map around the floor
DOORSTEP_M = 1.0  # around a gate people are outside the floor


@dataclass(frozen=True)
class Ground:
    """Signed metres [rows = y, columns = x] to the nearest furniture or wall, negative inside; cells of CELL_M."""

    origin_m: Float  # [2] centre of cell [0, 0]
    signed_m: NDArray[np.float32]

    def clearance(self, points_m: Float) -> Float:
        """Signed metres [n] at points [n, 2], linear between cells; beyond the map as at its rim."""
        at = ((points_m - self.origin_m) / CELL_M).astype(np.float32)
        x, y = np.ascontiguousarray(at[:, :1]), np.ascontiguousarray(at[:, 1:])
        found = cv2.remap(self.signed_m, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return np.asarray(found, np.float64).reshape(-1)

    @cached_property
    def low_m(self) -> Float:
        """The map's corner [2] of least x and y."""
        return self.origin_m

    @cached_property
    def high_m(self) -> Float:
        """The map's corner [2] of largest x and y."""
        return np.asarray(self.origin_m + CELL_M * (np.array(self.signed_m.shape[::-1]) - 1))


def ground_of(spec: StoreSpec) -> Ground:
    """The free floor of a store, and a doorstep outside each gate."""
    floor = np.asarray(spec.floor_m)
    origin = floor.min(axis=0) - RIM_M
    columns, rows = np.ceil((floor.max(axis=0) + RIM_M - origin) / CELL_M).astype(int) + 1
    free = np.zeros((rows, columns), np.uint8)
    cv2.fillPoly(free, [_cells(floor, origin)], 1)
    for gate in spec.gates:
        x, y = _cells(_middle(gate)[None], origin).ravel()
        cv2.circle(free, (int(x), int(y)), round(DOORSTEP_M / CELL_M), 1, -1)
    for fixture in spec.fixtures:
        cv2.fillPoly(free, [_cells(footprint(fixture), origin)], 0)
    inside = cv2.distanceTransform(free, cv2.DIST_L2, 5)
    outside = cv2.distanceTransform(1 - free, cv2.DIST_L2, 5)
    return Ground(origin, np.asarray((inside - outside) * CELL_M, np.float32))


@dataclass(frozen=True)
class Passage:
    """Somebody in a gate: when, and its middle [2]."""

    time_s: float
    middle_m: Float


def passage(gate: GateSpec, time_s: float) -> Passage:
    """A passage through a gate of the store."""
    return Passage(time_s, _middle(gate))


def _middle(gate: GateSpec) -> Float:
    return (np.asarray(gate.a_m, np.float64) + np.asarray(gate.b_m, np.float64)) / 2


def _cells(points_m: Float, origin: Float) -> NDArray[np.int32]:
    return np.asarray(np.round((np.asarray(points_m) - origin) / CELL_M), np.int32).reshape(-1, 1, 2)
