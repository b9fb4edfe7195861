"""Head and feet in an outline: its highest and lowest points in the shop's upright frame, and what to expect there.

Up is where the camera's pose says it is, so heads and feet are read anew whenever poses get better. What is seen is the
edge of somebody, not a point of them: the top of a ball for a head, the near rim of a disc for feet that stride.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from openaisle.calibrate.silhouettes import Outline
from openaisle.store.geometry import Camera, Float

HEAD_M = 0.11  # radius of a head with hair
HEAD_BAND_M, FOOT_BAND_M = 0.10, 0.35  # of the outline below its top, above its bottom: its middle is where the end is
ASIDE_M = 0.5  # what is farther aside than this is another part of the body
STEEP_DEG = 65.0  # somebody right below has no upright outline
RIM_PX = 2.5  # what touches the picture's rim goes on beyond it
EDGE_PX, HEAD_OFF_M, FOOT_OFF_M = 1.5, 0.04, 0.12  # standard deviations: of an edge, of a head and feet from the middle


@dataclass(frozen=True)
class Edges:
    """One camera's outlines, one after another: pixels [n, 2], and rays [n, 3] in the camera's own frame."""

    time_s: Float  # [outlines]
    first: NDArray[np.int64]  # [outlines + 1] where each begins
    pixels: Float
    rays: Float


@dataclass(frozen=True)
class Ends:
    """Heads and feet seen by cameras (indices), n of them."""

    camera: NDArray[np.int64]
    foot: NDArray[np.bool_]
    time_s: Float
    pixels: Float  # [n, 2]
    sigma_px: Float  # [n]
    ground_m: Float  # [n, 2] where somebody of the assumed height would stand

    def of(self, keep: NDArray[np.bool_]) -> Ends:
        """Some of them."""
        return Ends(
            self.camera[keep], self.foot[keep], self.time_s[keep], self.pixels[keep], self.sigma_px[keep],
            self.ground_m[keep],
        )  # fmt: skip


@dataclass(frozen=True)
class Body:
    """Who walks: height, and how far before the middle of the body the nearer foot ends."""

    height_m: float
    stride_m: float


def edges_of(camera: Camera, outlines: Sequence[Outline]) -> Edges:
    """Outlines with their rays."""
    pixels = np.concatenate([one.edge_px for one in outlines]) if outlines else np.zeros((0, 2))
    rays = replace(camera, world_from_camera=np.eye(4)).unproject(pixels)[1]
    first = np.cumsum([0, *(len(one.edge_px) for one in outlines)])
    return Edges(np.array([one.time_s for one in outlines]), first, pixels, rays)


def ends_of(cameras: Sequence[Camera], edges: Sequence[Edges], body: Body) -> Ends:
    """All heads and feet that can be read with these poses."""
    rows: list[tuple[float, ...]] = []
    for index, (camera, seen) in enumerate(zip(cameras, edges, strict=True)):
        world = seen.rays @ camera.world_from_camera[:3, :3].T
        low, high = [RIM_PX, RIM_PX], [camera.width_px - 1 - RIM_PX, camera.height_px - 1 - RIM_PX]
        whole = np.asarray(((seen.pixels > low) & (seen.pixels < high)).all(axis=1), np.bool_)
        for time_s, a, b in zip(seen.time_s, seen.first[:-1], seen.first[1:], strict=True):
            for foot in (False, True):
                end = _end(camera, world[a:b], whole[a:b], body, foot=foot)
                rows += [(float(index), float(foot), float(time_s), *end)] if end is not None else []
    table = np.array(rows).reshape(-1, 8)
    return Ends(
        table[:, 0].astype(np.int64), table[:, 1] > 0, table[:, 2], table[:, 3:5], table[:, 5], table[:, 6:8]
    )  # fmt: skip


def _end(
    camera: Camera, rays: Float, whole: NDArray[np.bool_], body: Body, *, foot: bool
) -> tuple[float, float, float, float, float] | None:
    """Pixel (x, y) of an outline's upper or lower end, its standard deviation, and where its owner stands (x, y)."""
    sign = -1.0 if foot else 1.0
    tilt = np.arcsin(np.clip(rays[:, 2], -1, 1))
    best = int(np.argmax(sign * tilt))
    if not whole[best] or tilt[best] < -np.deg2rad(STEEP_DEG):
        return None
    eye = camera.world_from_camera[:3, 3]
    below = eye[2] - (0.0 if foot else body.height_m)
    down = -np.sin(tilt[best])
    distance = float(np.clip(below / down, 0.5, 12.0)) if down > 0.02 and below > 0.1 else 4.0
    turn = np.arctan2(rays[:, 1], rays[:, 0])
    aside = (turn - turn[best] + np.pi) % (2 * np.pi) - np.pi
    band = (FOOT_BAND_M if foot else HEAD_BAND_M) / distance
    near = (sign * (tilt - tilt[best]) > -band) & (np.abs(aside) * np.cos(tilt[best]) < ASIDE_M / distance)
    if not whole[near].all():
        return None
    middle = turn[best] + (aside[near].min() + aside[near].max()) / 2
    level = np.array([np.cos(middle), np.sin(middle)])
    ray = np.append(level * np.cos(tilt[best]), np.sin(tilt[best]))
    pixel, _ = camera.project(eye + ray)
    off = (FOOT_OFF_M if foot else HEAD_OFF_M) * camera.fx_px / distance
    reach = distance * np.cos(tilt[best]) + (body.stride_m if foot else -HEAD_M * down)
    stands = eye[:2] + level * reach
    return float(pixel[0]), float(pixel[1]), float(np.hypot(EDGE_PX, off)), float(stands[0]), float(stands[1])


def expected_m(eye: Float, ground_m: Float, foot: NDArray[np.bool_], body: Float) -> Float:
    """World points [n, 3] whose pictures are the ends seen from `eye` [3] of people at [n, 2]; body: height, stride."""
    height, stride = body
    towards = eye[:2] - ground_m
    towards = towards / np.maximum(np.hypot(*towards.T), 1e-6)[:, None]
    feet = np.column_stack([ground_m + stride * towards, np.zeros(len(ground_m))])
    centre = np.column_stack([ground_m, np.full(len(ground_m), height - HEAD_M)])
    view = centre - eye
    view /= np.linalg.norm(view, axis=1)[:, None]
    up = np.array([0.0, 0.0, 1.0]) - view[:, 2:] * view
    up /= np.maximum(np.linalg.norm(up, axis=1), 1e-6)[:, None]
    return np.where(foot[:, None], feet, centre + HEAD_M * up)
