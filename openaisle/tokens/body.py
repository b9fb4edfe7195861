"""Windows around whole bodies: where in each picture could a shopper's hands be, at one metric size.

A hand far from where it was believed is outside every window around that belief; it is never outside its body's.
W windows in all; no camera id enters.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from openaisle.store.geometry import Camera
from openaisle.tokens.glance import CHEST_M, Aim

BODY_PX = 80
BODY_M = 2.0  # side: a hand reaches 0.9 m from the body's axis at most
BODY_CELLS = 40  # heat maps are 40×40 cells of 5 cm
BODY_FEATURES = 8
MAX_SIDE_PX, MIN_SIDE_PX = 420.0, 24.0
BEYOND = 0.3  # share of a window's side by which its middle may lie outside the picture
Float32 = NDArray[np.float32]


def aim_bodies(camera: Camera, body_m: Float32) -> Aim:
    """One camera's windows around bodies at floor points [K, 2]; features [W, BODY_FEATURES]."""
    chest = np.concatenate([body_m, np.full((len(body_m), 1), CHEST_M)], axis=1).astype(np.float32)
    pixel, depth = camera.project(chest)
    side = np.clip(BODY_M * camera.fx_px / np.maximum(depth, 0.3), MIN_SIDE_PX, MAX_SIDE_PX)
    row = np.flatnonzero((depth > 0.3) & camera.sees(chest, -BEYOND * side))
    foot, _ = camera.project(np.concatenate([body_m, np.zeros((len(body_m), 1))], axis=1))
    ray = chest - camera.world_from_camera[:3, 3]
    fall = ray[:, 2] / np.maximum(np.linalg.norm(ray, axis=1), 1e-6)
    place = (pixel - [camera.cx_px, camera.cy_px]) / camera.fx_px
    down = ((foot - pixel) / side[:, None]).clip(-1.5, 1.5)
    height = np.full(len(body_m), camera.world_from_camera[2, 3])
    features = np.column_stack([side / 128.0, depth / 4.0, place, fall, down, height / 3.0])
    return Aim(row, pixel[row].astype(np.float32), side[row].astype(np.float32), features[row].astype(np.float32))
