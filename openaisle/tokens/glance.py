"""A second look where it matters: a window of every picture around each shopper's hands, at one metric size.

The first look (patches) finds people and roughly their hands; what a hand holds is a few pixels that a patch border
may cut. Windows are centred on where a hand is believed to be, W windows in all; no camera id enters.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from openaisle.store.geometry import Camera

WINDOW_PX = 32
WINDOW_M = 0.64  # side: hands are believed to within 0.3 m
WINDOW_FEATURES = 11
CHEST_M = 1.25  # height of the point that tells where the hand's own body is
MAX_SIDE_PX, MIN_SIDE_PX = 260.0, 12.0
UInt8 = NDArray[np.uint8]
Float32 = NDArray[np.float32]


@dataclass(frozen=True)
class Aim:
    """Where a camera sees hands: K believed hands, those of them whose window lies in the picture."""

    row: NDArray[np.int64]  # [W] which of the K hands
    centre_px: Float32  # [W, 2] u, v
    side_px: Float32  # [W]
    features: Float32  # [W, WINDOW_FEATURES] nothing that tells one camera or place from another


def aim(camera: Camera, hand_m: Float32, body_m: Float32, sd_m: Float32, far: Float32) -> Aim:
    """Windows of one camera: believed hands [K, 3], their bodies' floor points [K, 2], deviations [K], far hand [K]."""
    chest = np.concatenate([body_m, np.full((len(body_m), 1), CHEST_M)], axis=1)
    (pixel, depth), (body, body_depth) = camera.project(hand_m), camera.project(chest)
    side = np.clip(WINDOW_M * camera.fx_px / np.maximum(depth, 0.3), MIN_SIDE_PX, MAX_SIDE_PX)
    row = np.flatnonzero(camera.sees(hand_m) & (depth > 0.3))
    away = np.where((body_depth > 0.2)[:, None], (body - pixel) / side[:, None], 0.0).clip(-3, 3)
    ray = hand_m - camera.world_from_camera[:3, 3]
    fall = ray[:, 2] / np.maximum(np.linalg.norm(ray, axis=1), 1e-6)
    reach = np.linalg.norm(hand_m[:, :2] - body_m, axis=1)
    place = (pixel - [camera.cx_px, camera.cy_px]) / camera.fx_px
    features = np.column_stack(
        [side / 64.0, depth / 4.0, away, place, fall, reach, hand_m[:, 2], sd_m.clip(0, 1) / 0.3, far]
    )
    return Aim(row, pixel[row].astype(np.float32), side[row].astype(np.float32), features[row].astype(np.float32))


def cut_windows(rgb: UInt8, centre_px: Float32, side_px: Float32, size: int = WINDOW_PX) -> UInt8:
    """Windows uint8 [W, size, size, 3] of a picture; edges are repeated beyond it."""
    out = np.empty((len(centre_px), size, size, 3), dtype=np.uint8)
    for i, ((u, v), side) in enumerate(zip(centre_px.tolist(), side_px.tolist(), strict=True)):
        scale = side / size
        shift = -(size - 1) / 2 * scale
        matrix = np.array([[scale, 0, u + shift], [0, scale, v + shift]])
        flags = cv2.WARP_INVERSE_MAP | cv2.INTER_LINEAR
        cv2.warpAffine(rgb, matrix, (size, size), out[i], flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return out
