"""The camera as the network sees it: one ray per patch, in a horizontal frame that turns with the camera.

No camera id and no world position enter the network: any rig works. The camera's horizontal frame has
f = forward over the floor, l = left, z = up; outputs in that frame are turned back into the world here.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from openaisle.store.geometry import Camera

PATCH_PX = 16
REFERENCE_HEIGHT_M = 1.0  # rays are anchored where they pass this height: the middle of a body
MAX_RANGE_M = 9.0  # near-horizontal rays are anchored here instead
RAY_FEATURES = 41
Float32 = NDArray[np.float32]


@dataclass(frozen=True)
class RayTable:
    """Per-camera constants over its grid of patches [rows, cols]."""

    rows: int
    cols: int
    features: Float32  # [rows, cols, RAY_FEATURES]
    anchor_m: Float32  # [rows, cols, 3] world point where the ray is anchored
    direction: Float32  # [rows, cols, 3] unit ray in the world
    origin_m: Float32  # [3]
    world_from_horizontal: Float32  # [3, 3] columns f, l, z


def horizontal_frame(camera: Camera) -> Float32:
    """Rotation [3, 3] whose columns are the camera's forward and left over the floor, and up.

    Forward is the picture's upward direction laid on the floor: defined for any pitch between level and nadir.
    """
    axes = camera.world_from_camera[:3, :3]
    forward = axes[:2, 2] - axes[:2, 1]
    norm = float(np.linalg.norm(forward))
    f = forward / norm if norm > 1e-6 else np.array([1.0, 0.0])
    return np.array([[f[0], -f[1], 0.0], [f[1], f[0], 0.0], [0.0, 0.0, 1.0]], dtype=np.float32)


def ray_table(camera: Camera) -> RayTable:
    """Rays through the patch centres of a camera and their features (float32)."""
    rows, cols = camera.height_px // PATCH_PX, camera.width_px // PATCH_PX
    v, u = np.meshgrid(np.arange(rows), np.arange(cols), indexing="ij")
    centre = np.stack([u, v], axis=-1) * PATCH_PX + (PATCH_PX - 1) / 2
    origin, direction = camera.unproject(centre)
    step = PATCH_PX / 2
    right = camera.unproject(centre + np.array([step, 0.0]))[1] - direction
    down = camera.unproject(centre + np.array([0.0, step]))[1] - direction
    frame = horizontal_frame(camera).astype(np.float64)
    anchor = origin + direction * anchor_range(origin, direction)[..., None]
    local = direction @ frame
    reach = (anchor - origin) @ frame
    floor_reach = direction * np.clip(origin[2] / np.maximum(-direction[..., 2], 0.05), 0, MAX_RANGE_M)[..., None]
    waves = local[..., None, :] * (np.pi * 2.0 ** np.arange(4))[:, None]
    shape = (rows, cols, -1)
    features = np.concatenate(
        [
            local,
            np.full((rows, cols, 1), origin[2] / 3.0),
            reach / 4.0,
            (floor_reach @ frame)[..., :2] / 4.0,
            (right @ frame) * 10.0,
            (down @ frame) * 10.0,
            np.linalg.norm(reach, axis=-1, keepdims=True) / 4.0,
            np.linalg.norm(right, axis=-1, keepdims=True) * 10.0,
            np.sin(waves).reshape(shape),
            np.cos(waves).reshape(shape),
        ],
        axis=-1,
    )
    f32 = np.float32
    return RayTable(
        rows,
        cols,
        features.astype(f32),
        anchor.astype(f32),
        direction.astype(f32),
        origin.astype(f32),
        frame.astype(f32),
    )


def anchor_range(origin_m: NDArray[np.float64], direction: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distance [...] in metres at which a ray passes the reference height, clipped for level rays."""
    drop = np.maximum(-direction[..., 2], 1e-3)
    return np.asarray(np.clip((origin_m[2] - REFERENCE_HEIGHT_M) / drop, 0.3, MAX_RANGE_M), dtype=np.float64)
