"""Stills: a camera's picture as it may be kept: cut out around one lane, sharp there only, and without anybody's face.

Everything further from the lane than an arm's length is mosaic, and so are the heads that the tracks know, wherever
they are. No face detector decides: a face that nothing has noticed is mosaic, too, unless it is at the shelf.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from openaisle.store.geometry import Camera

CLEAR_M = 0.5  # around the lane's opening
CUT_M = 0.9  # half the width of what is kept
CUT_PX = 320  # width of a still; its height is three quarters of that
HEAD_M = 0.22  # around a head's centre
BLOCKS = 22  # of the mosaic along the picture's width: a face is one or two of them
QUALITY = 80
TILE_PX = 160  # width of a picture of now: a face is a few pixels
Rgb = NDArray[np.uint8]
Mask = NDArray[np.bool_]


def masked(camera: Camera, rgb: Rgb, lane_m: ArrayLike, heads_m: ArrayLike) -> Rgb:
    """The picture [H, W, 3] with all but the surroundings of a point [3] of a lane as mosaic, heads [n, 3] as well."""
    height, width = rgb.shape[:2]
    clear = _disc(camera, np.asarray(lane_m, dtype=np.float64), CLEAR_M, (height, width))
    for head_m in np.asarray(heads_m, dtype=np.float64).reshape(-1, 3):
        clear &= ~_disc(camera, head_m, HEAD_M, (height, width))
    return cut(camera, np.where(clear[..., None], rgb, mosaic(rgb)), lane_m)


def cut(camera: Camera, rgb: Rgb, at_m: ArrayLike) -> Rgb:
    """The part of a picture around a point [3], as large as a still."""
    height, width = rgb.shape[:2]
    scale = width / camera.width_px
    pixel, depth = camera.project(np.asarray(at_m, dtype=np.float64))
    wide = min(width, height * 4 // 3, max(32, round(2 * CUT_M / max(float(depth), 0.05) * camera.fx_px * scale)))
    high = wide * 3 // 4
    x = int(np.clip(float(pixel[0]) * scale - wide / 2, 0, width - wide))
    y = int(np.clip(float(pixel[1]) * scale - high / 2, 0, height - high))
    size = (CUT_PX, CUT_PX * 3 // 4)
    return np.asarray(cv2.resize(rgb[y : y + high, x : x + wide], size, interpolation=cv2.INTER_CUBIC), dtype=np.uint8)


def mosaic(rgb: Rgb) -> Rgb:
    """A picture of few blocks."""
    height, width = rgb.shape[:2]
    size = (BLOCKS, max(1, round(BLOCKS * height / width)))
    blocks = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(blocks, (width, height), interpolation=cv2.INTER_NEAREST), dtype=np.uint8)


def tile(camera: Camera, rgb: Rgb, heads_m: ArrayLike) -> Rgb:
    """A small picture of now, heads as mosaic."""
    height, width = rgb.shape[:2]
    hidden: Mask = np.zeros((height, width), dtype=bool)
    for head_m in np.asarray(heads_m, dtype=np.float64).reshape(-1, 3):
        hidden |= _disc(camera, head_m, HEAD_M, (height, width))
    shown = np.where(hidden[..., None], mosaic(rgb), rgb)
    size = (TILE_PX, max(1, round(TILE_PX * height / width)))
    return np.asarray(cv2.resize(shown, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def jpeg(rgb: Rgb) -> bytes:
    """The picture as JPEG."""
    done, data = cv2.imencode(".jpg", np.ascontiguousarray(rgb[:, :, ::-1]), [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    assert done, "JPEG encoding of a uint8 picture cannot fail"
    return data.tobytes()


def _disc(camera: Camera, at_m: NDArray[np.float64], radius_m: float, size: tuple[int, int]) -> Mask:
    """Pixels within a sphere around a point, as the camera sees it; none when it is behind it or unknown."""
    height, width = size
    none: Mask = np.zeros((height, width), dtype=bool)
    if not np.isfinite(at_m).all():
        return none
    pixel, depth = camera.project(at_m)
    if float(depth) <= 0.05:
        return none
    scale = np.array([width / camera.width_px, height / camera.height_px])
    x, y = pixel * scale
    radius = radius_m / float(depth) * camera.fx_px * scale[0]
    rows, columns = np.ogrid[:height, :width]
    return np.asarray((columns - x) ** 2 + (rows - y) ** 2 <= radius**2)
