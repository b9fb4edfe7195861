"""Which camera sees which lane front and which piece of floor, with fixtures and walls in the way.

Fixtures are solid boxes; a lane's own fixture hides it from everything behind its front. Walls stand on the
edges of the floor and reach the ceiling.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from openaisle.store.geometry import Camera, Float, apply, invert
from openaisle.store.schema import FixtureSpec, Point
from openaisle.store.store import Store, world_from_fixture

MIN_COS = 0.15  # a front seen flatter than about 9 degrees shows nothing
EDGE_PX = 2.0  # nothing is seen on the very edge of a picture
PERSON_HEIGHT_M = 1.0  # "floor seen" means that somebody standing there is seen at this height


@dataclass(frozen=True)
class Coverage:
    """How well the cameras see the store."""

    lane_cameras: NDArray[np.int32]  # [lanes] number of cameras that see the lane's front
    sees: NDArray[np.bool_]  # [cameras, lanes]
    floor_points_m: Float  # [P, 2] samples of free floor
    floor_cameras: NDArray[np.int32]  # [P]
    floor_one: float  # share of free floor seen by at least one camera
    floor_two: float  # share seen by at least two


@dataclass(frozen=True)
class Scene:
    """What can stand between a camera and a point."""

    fixtures: tuple[FixtureSpec, ...]
    floor_m: tuple[Point, ...]


def coverage(store: Store, spacing_m: float = 0.25) -> Coverage:
    """Count cameras per lane front and per floor sample."""
    fixtures = store.spec.fixtures
    fronts = np.array([lane.front_m for lane in store.lanes]).reshape(-1, 3)
    outward = np.array([lane.outward_m for lane in store.lanes]).reshape(-1, 3)
    owner = np.array([lane.fixture for lane in store.lanes], dtype=np.int64)
    floor = floor_samples(store.spec.floor_m, fixtures, spacing_m)
    scene = Scene(tuple(fixtures), tuple(store.spec.floor_m))
    sees = lanes_seen(store.cameras, scene, fronts, outward, owner)
    people = np.concatenate([floor, np.full((len(floor), 1), PERSON_HEIGHT_M)], axis=1)
    floor_sees = points_seen(store.cameras, scene, people)
    lane_cameras = sees.sum(axis=0, dtype=np.int32)
    floor_cameras = floor_sees.sum(axis=0, dtype=np.int32)
    one, two = (float((floor_cameras >= n).mean()) if len(floor) else 0.0 for n in (1, 2))
    return Coverage(lane_cameras, sees, floor, floor_cameras, one, two)


def lanes_seen(
    cameras: Sequence[Camera], scene: Scene, fronts: Float, outward: Float, owner: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """bool [cameras, lanes]: the front [L, 3] faces the camera, is in the picture and nothing stands between."""
    out = np.zeros((len(cameras), len(fronts)), dtype=np.bool_)
    for n, camera in enumerate(cameras):
        to_camera = camera.world_from_camera[:3, 3] - fronts
        facing = (to_camera * outward).sum(axis=1) / np.linalg.norm(to_camera, axis=1)
        out[n] = (facing > MIN_COS) & camera.sees(fronts, EDGE_PX)
        rows = np.flatnonzero(out[n])
        out[n, rows] = ~blocked(camera.world_from_camera[:3, 3], fronts[rows], scene, owner[rows])
    return out


def points_seen(cameras: Sequence[Camera], scene: Scene, points: Float) -> NDArray[np.bool_]:
    """bool [cameras, points]: the point [P, 3] is in the picture and nothing stands between."""
    out = np.zeros((len(cameras), len(points)), dtype=np.bool_)
    for n, camera in enumerate(cameras):
        out[n] = camera.sees(points, EDGE_PX)
        rows = np.flatnonzero(out[n])
        out[n, rows] = ~blocked(camera.world_from_camera[:3, 3], points[rows], scene)
    return out


def blocked(eye: Float, points: Float, scene: Scene, owner: NDArray[np.int64] | None = None) -> NDArray[np.bool_]:
    """bool [points]: a wall, or a fixture other than its `owner`, is between `eye` [3] and the point [P, 3]."""
    out = _behind_wall(eye[:2], points[:, :2], np.asarray(scene.floor_m))
    for index, fixture in enumerate(scene.fixtures):
        local = invert(world_from_fixture(fixture))
        start, end = apply(local, eye), apply(local, points)
        step = end - start
        step = np.where(np.abs(step) < 1e-12, 1e-12, step)
        size = np.array([fixture.width_m, fixture.depth_m, fixture.height_m])
        near, far = -start / step, (size - start) / step
        enter = np.minimum(near, far).max(axis=1)
        leave = np.maximum(near, far).min(axis=1)
        hit = (enter < leave - 1e-6) & (leave > 0.0) & (enter < 1.0 - 1e-3)
        if owner is not None:
            hit &= owner != index
        out |= hit
    return out


def _behind_wall(eye: Float, points: Float, floor: Float) -> NDArray[np.bool_]:
    """bool [points]: the straight line on the plan crosses an edge of the floor polygon [n, 2], its ends aside."""
    out = np.zeros(len(points), dtype=np.bool_)
    step = points - eye
    for a, b in zip(floor, np.roll(floor, -1, axis=0), strict=True):
        edge = b - a
        cross = step[:, 0] * edge[1] - step[:, 1] * edge[0]
        safe = np.where(np.abs(cross) < 1e-12, np.inf, cross)
        on_line = ((a[0] - eye[0]) * edge[1] - (a[1] - eye[1]) * edge[0]) / safe
        on_edge = ((a[0] - eye[0]) * step[:, 1] - (a[1] - eye[1]) * step[:, 0]) / safe
        out |= (on_line > 1e-3) & (on_line < 1 - 1e-3) & (on_edge >= 0) & (on_edge <= 1)
    return out


def floor_samples(floor_m: Sequence[Point], fixtures: Sequence[FixtureSpec], spacing_m: float) -> Float:
    """Points [P, 2] on a square grid over the floor, without those under fixtures."""
    polygon = np.asarray(floor_m, dtype=np.float64)
    low, high = polygon.min(axis=0), polygon.max(axis=0)
    axes = [np.arange(a + spacing_m / 2, b, spacing_m) for a, b in zip(low, high, strict=True)]
    grid = np.stack(np.meshgrid(*axes), axis=-1).reshape(-1, 2)
    contour = polygon.astype(np.float32).reshape(-1, 1, 2)
    inside = [cv2.pointPolygonTest(contour, (float(x), float(y)), False) >= 0 for x, y in grid]
    grid = grid[np.array(inside, dtype=np.bool_)]
    free = np.ones(len(grid), dtype=np.bool_)
    for fixture in fixtures:
        local = apply(invert(world_from_fixture(fixture)), np.c_[grid, np.zeros(len(grid))])
        under = (local[:, :2] >= 0).all(axis=1) & (local[:, :2] <= [fixture.width_m, fixture.depth_m]).all(axis=1)
        free &= ~under
    return grid[free]
