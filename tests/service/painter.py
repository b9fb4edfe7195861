"""Painter: what a camera of a store might see, from its plan and catalogue, in milliseconds; for tests of pages."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from openaisle.store.check_geometry import footprint
from openaisle.store.geometry import Camera, apply
from openaisle.store.store import Lane, Store

FLOOR, WALL, SHELF = (168, 160, 150), (214, 212, 206), (120, 122, 128)
SKIN, HAIR, COAT = (205, 160, 132), (58, 48, 44), (52, 78, 120)
REACH_M = 0.55  # of an arm, from the lane to the shoulder
Rgb = NDArray[np.uint8]


def painted(store: Store, camera: Camera, lane: Lane, phase: float) -> Rgb:
    """Fixtures with their goods, and somebody whose hand is on its way (0) to a lane (1)."""
    rgb = np.full((camera.height_px, camera.width_px, 3), FLOOR, dtype=np.uint8)
    eye = camera.world_from_camera[:3, 3]
    for fixture in sorted(store.spec.fixtures, key=lambda f: -np.hypot(f.x_m - eye[0], f.y_m - eye[1])):
        corners = footprint(fixture)
        for a, b in zip(corners, np.roll(corners, -1, axis=0), strict=True):
            wall = [[*a, 0], [*b, 0], [*b, fixture.height_m], [*a, fixture.height_m]]
            fill(rgb, camera, wall, SHELF)
        fill(rgb, camera, np.c_[corners, np.full(len(corners), fixture.height_m)], WALL)
    for one in sorted(store.lanes, key=lambda one: -float(np.linalg.norm(one.front_m - eye))):
        _goods(rgb, store, camera, one)
    _arm(rgb, camera, lane, phase)
    noise = np.random.default_rng(3).normal(0, 3, rgb.shape)
    return np.clip(rgb + noise, 0, 255).astype(np.uint8)


def head_of(lane: Lane) -> NDArray[np.float64]:
    """Where the head of whoever reaches into a lane is [3]."""
    floor = lane.front_m + lane.outward_m * REACH_M
    return np.array([floor[0], floor[1], 1.7])


def fill(rgb: Rgb, camera: Camera, corners_m: ArrayLike, colour: tuple[int, int, int]) -> None:
    """A flat surface; nothing when a part of it is behind the camera."""
    pixels, depth = camera.project(corners_m)
    if float(np.min(depth)) > 0.05:
        cv2.fillConvexPoly(rgb, cv2.convexHull(pixels.round().astype(np.int32)), colour, cv2.LINE_AA)


def _goods(rgb: Rgb, store: Store, camera: Camera, lane: Lane) -> None:
    """A lane's product, as often as there is room, as its catalogue picture on the front."""
    product = int(store.lane_product[lane.index])
    sides = store.pictures.get(store.products[product].gtin, ()) if product >= 0 else ()
    width, _, clearance = lane.size_m
    toward = (camera.world_from_camera[:3, 3] - lane.front_m) @ lane.outward_m
    if not sides or toward <= 0:
        return
    spec = store.products[product]
    high, wide = min(clearance, spec.height_mm / 1000), spec.width_mm / 1000
    for n in range(max(1, int(width / wide))):
        x0, x1 = n * wide, min(width, (n + 0.94) * wide)
        front = [[x0, 0.01, high], [x1, 0.01, high], [x1, 0.01, 0], [x0, 0.01, 0]]
        pixels, depth = camera.project(apply(lane.world_from_lane, front))
        if float(np.min(depth)) <= 0.05 or not (np.abs(pixels) < 2000).all():
            continue
        picture = sides[0]
        h, w = picture.shape[:2]
        source = np.array([[0, 0], [w, 0], [w, h], [0, h]], dtype=np.float32)
        warp = cv2.getPerspectiveTransform(source, pixels.astype(np.float32))
        size = (camera.width_px, camera.height_px)
        there = cv2.warpPerspective(np.full((h, w), 255, dtype=np.uint8), warp, size)
        shown = cv2.warpPerspective(picture, warp, size)
        rgb[there > 127] = shown[there > 127]


def _arm(rgb: Rgb, camera: Camera, lane: Lane, phase: float) -> None:
    head = head_of(lane)
    shoulder = head - [0, 0, 0.3]
    hand = shoulder + (lane.front_m - shoulder) * (0.35 + 0.65 * phase)
    points = np.array([head, shoulder, hand, [head[0], head[1], 0.9]])
    pixels, depth = camera.project(points)
    if float(np.min(depth)) <= 0.2:
        return
    at = [(round(float(x)), round(float(y))) for x, y in pixels]
    scale = camera.fx_px / float(depth[0])
    cv2.line(rgb, at[1], at[3], COAT, max(2, round(0.4 * scale)), cv2.LINE_AA)
    cv2.line(rgb, at[1], at[2], COAT, max(2, round(0.1 * scale)), cv2.LINE_AA)
    cv2.circle(rgb, at[2], max(2, round(0.055 * scale)), SKIN, -1, cv2.LINE_AA)
    cv2.circle(rgb, at[0], max(2, round(0.12 * scale)), HAIR, -1, cv2.LINE_AA)
