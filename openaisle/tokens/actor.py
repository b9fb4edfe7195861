"""Windows around a scale's lanes over two seconds: who of those nearby moved what lies there?

A hand inside a shelf is hidden in most views of an instant; that somebody leaned over, reached and drew back shows in
several, and over time. One window per camera, all frames of an event; no camera id enters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from openaisle.store.coverage import Scene, lanes_seen
from openaisle.store.geometry import Camera
from openaisle.store.store import Lane, Store
from openaisle.tokens.glance import cut_windows

ACTOR_PX = 96
ACTOR_M = 2.4  # side
ACTOR_CELLS = 48  # of 5 cm
OUTSIDE, NOBODY = ACTOR_CELLS**2, ACTOR_CELLS**2 + 1  # scores after those of the cells
BEYOND_CELLS = 24.0  # a head inside spreads over a dozen cells; who is outside is one of about two
DOUBT = 0.02  # of each view: bodies hide bodies, and a head may not be where it is believed
ACTOR_FEATURES = 9
ACTOR_SLOTS = (-4, -2, -1, 0, 1, 3, 5)  # frames of an event, in slots of 0.2 s from its instant
MIDDLE_FRAME = ACTOR_SLOTS.index(0)
MAX_ACTOR_VIEWS = 6  # cameras that see the lanes' fronts, the nearest first, then others: they see people, too
OUT_M, ABOVE_M = 0.3, 1.3  # the window's middle lies so far before the lanes, half way up to this height
DEEP_M, HIGH_M = 0.5, 0.3  # of a lane that is marked
GRASPS_M = (0.05, 0.15, 0.3)  # how deep in a lane a hand may be
MAX_SIDE_PX, MIN_SIDE_PX = 500.0, 24.0
BEYOND = 0.25  # share of a window's side by which its middle may lie outside the picture
UInt8 = NDArray[np.uint8]
Float32 = NDArray[np.float32]


@dataclass(frozen=True)
class ActorView:
    """How one camera sees the people before a scale's lanes."""

    camera: int
    centre_px: Float32  # [2] u, v
    side_px: float
    area: UInt8  # [48, 48] 255 where the lanes are in the window
    features: Float32  # [ACTOR_FEATURES]

    def place(self, camera: Camera, points_m: NDArray[np.floating]) -> Float32:
        """Where points [..., 3] lie in the window, in half sides from its middle [..., 2]; far outside = not seen."""
        return in_window(camera, points_m, self.centre_px, self.side_px)

    def cut(self, rgb: UInt8) -> UInt8:
        """The window [96, 96, 3] of a picture of the camera."""
        window: UInt8 = cut_windows(rgb, self.centre_px[None], np.array([self.side_px], np.float32), ACTOR_PX)[0]
        return window


def fronts_seen(store: Store) -> NDArray[np.bool_]:
    """Which cameras see which lanes' fronts, fixtures and walls in the way: [cameras, lanes]."""
    fronts, outward = (np.array([getattr(lane, name) for lane in store.lanes]) for name in ("front_m", "outward_m"))
    scene = Scene(store.spec.fixtures, store.spec.floor_m)
    return lanes_seen(store.cameras, scene, fronts, outward, np.array([lane.fixture for lane in store.lanes]))


def actor_views(lanes: Sequence[Lane], cameras: Sequence[Camera], sees: NDArray[np.bool_]) -> tuple[ActorView, ...]:
    """The views of the lanes of one scale: of cameras that see their fronts, nearest first, then of others.

    sees: which cameras see which of all lanes (fronts_seen).
    """
    front = np.mean([lane.front_m for lane in lanes], axis=0)
    outward = np.mean([lane.outward_m for lane in lanes], axis=0)
    middle = front + OUT_M * outward
    middle[2] = (front[2] + ABOVE_M) / 2
    step = np.array([middle, middle + 0.5 * outward])
    clear = np.any(sees[:, [lane.index for lane in lanes]], axis=1).tolist()
    out = []
    for index, camera in enumerate(cameras):
        pixel, depth = camera.project(step)
        if depth.min() < 0.4:
            continue
        side = float(np.clip(ACTOR_M * camera.fx_px / depth[0], MIN_SIDE_PX, MAX_SIDE_PX))
        if not camera.sees(middle[None], -BEYOND * side)[0]:
            continue
        ray = middle - camera.world_from_camera[:3, 3]
        away = float(np.linalg.norm(ray))
        place = (pixel[0] - [camera.cx_px, camera.cy_px]) / camera.fx_px
        turn = ((pixel[1] - pixel[0]) / side).clip(-1, 1)
        height = camera.world_from_camera[2, 3]
        features = np.array([side / 128, away / 4, *place, ray[2] / away, *turn, front[2] / 1.5, height / 3])
        centre = pixel[0].astype(np.float32)
        area = outlines(lanes, camera, centre, side)
        out.append((away, ActorView(index, centre, side, area, features.astype(np.float32))))
    ranked = [view for _, view in sorted(out, key=lambda each: (not clear[each[1].camera], each[0]))]
    return tuple(ranked[:MAX_ACTOR_VIEWS])


def in_window(camera: Camera, points_m: NDArray[np.floating], centre_px: Float32, side_px: float) -> Float32:
    """Where points [..., 3] lie in a window, in half sides from its middle [..., 2]."""
    pixel, depth = camera.project(points_m)
    offset = (pixel - centre_px) / (side_px / 2)
    return np.where((depth > 0.1)[..., None], offset.clip(-9, 9), 9.0).astype(np.float32)


def grasps(lane: Lane) -> NDArray[np.float64]:
    """Where a hand may be that takes something from a lane, or puts it back: [3, 3] metres."""
    width, depth, clearance = lane.size_m
    local = np.array([[width / 2, min(deep, 0.8 * depth), min(0.4 * clearance, 0.12)] for deep in GRASPS_M])
    return np.asarray(local @ lane.world_from_lane[:3, :3].T + lane.world_from_lane[:3, 3])


def outlines(lanes: Sequence[Lane], camera: Camera, centre_px: Float32, side_px: float) -> UInt8:
    """Where the lanes are in a window: uint8 [48, 48], 255 inside."""
    area = np.zeros((ACTOR_CELLS, ACTOR_CELLS), dtype=np.uint8)
    for lane in lanes:
        width, depth, clearance = lane.size_m
        deep, high = min(depth, DEEP_M), min(clearance, HIGH_M)
        corners = np.array([[x, y, z] for x in (0.0, width) for y in (0.0, deep) for z in (0.0, high)])
        corners = corners @ lane.world_from_lane[:3, :3].T + lane.world_from_lane[:3, 3]
        cells = (in_window(camera, corners, centre_px, side_px) + 1) * (ACTOR_CELLS / 2) - 0.5
        cv2.fillConvexPoly(area, cv2.convexHull(np.round(cells).astype(np.int32)), 255)
    return area


def whose(told: Float32, heads: Float32) -> Float32:
    """Log-odds [P + 1], but for a constant, of each of those with heads at [W, P, 2], and of nobody; told [W, 2306]."""
    return added(np.concatenate([scores(told, heads), told[:, NOBODY, None]], axis=1))


def where(told: Float32, places: Float32) -> Float32:
    """Log-odds [L], but for a constant, of each lane whose grasps are at [W, L, G, 2]; told [W, 2306] of the hand."""
    each = scores(told, places.reshape(len(places), -1, 2)).reshape(places.shape[:3])
    return added(np.logaddexp.reduce(each, axis=2))


def added(each: Float32) -> Float32:
    """What all views [W, K] say together, none of them quite believed: [K]."""
    each = each - np.logaddexp.reduce(each, axis=1)[:, None]
    return np.asarray(np.logaddexp(each, np.log(DOUBT)).sum(0), dtype=np.float32)


def scores(told: Float32, heads: Float32) -> Float32:
    """Log-probabilities [W, P] of places [W, P, 2] (half windows), between cells' middles; told [W, 2306]."""
    maps = told[:, :OUTSIDE].reshape(-1, ACTOR_CELLS, ACTOR_CELLS)
    cell = ((heads + 1) * (ACTOR_CELLS / 2) - 0.5).clip(0, ACTOR_CELLS - 1)
    low = np.floor(cell).astype(np.int64).clip(0, ACTOR_CELLS - 2)
    part, window = (cell - low).astype(np.float32), np.arange(len(maps))[:, None]
    out = np.zeros(heads.shape[:2], dtype=np.float32)
    for du in (0, 1):
        for dv in (0, 1):
            share = np.abs(1 - du - part[..., 0]) * np.abs(1 - dv - part[..., 1])
            out += share * maps[window, low[..., 1] + dv, low[..., 0] + du]
    beyond = told[:, OUTSIDE, None] - np.log(BEYOND_CELLS)
    return np.where((np.abs(heads) < 1).all(-1), out, beyond).astype(np.float32)
