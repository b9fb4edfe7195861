"""Ceiling cameras for generated stores: many random candidates, of which the most useful are kept.

Every lane front should be seen by one camera at least and usually by two, and nearly all floor by two.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from openaisle.sim.stores_layout import Layout
from openaisle.store.check_geometry import outside_by, signed_area
from openaisle.store.coverage import PERSON_HEIGHT_M, Scene, floor_samples, lanes_seen, points_seen
from openaisle.store.geometry import Camera, Float
from openaisle.store.schema import CameraSpec, FixtureSpec
from openaisle.store.store import Lane, camera_from_spec

WIDTH_PX, HEIGHT_PX, FPS = 320, 240, 5.0
FOV_DEG = (75.0, 115.0)
SHARP_PX_PER_M = 90.0  # at 2 m from a 90 degree lens; a soft-drink can is then 6 pixels wide
GAINS = (1.0, 0.6, 0.12)  # worth of the first, second and third camera that sees a point


def lens(rng: np.random.Generator, fov_deg: float) -> tuple[float, tuple[float, float, float, float, float]]:
    """Focal length in pixels for a horizontal field of view, and a distortion that never folds over."""
    k1 = float(rng.uniform(-0.1, 0.02))
    k2 = k1 * k1 * float(rng.uniform(0.6, 0.9))  # above 0.45 k1², r (1 + k1 r² + k2 r⁴) grows for all r
    edge = np.tan(np.deg2rad(fov_deg) / 2)
    focal = WIDTH_PX / 2 / (edge * (1 + k1 * edge**2 + k2 * edge**4))
    p1, p2 = (round(float(p), 5) for p in rng.uniform(-6e-4, 6e-4, 2))
    return float(focal), (round(k1, 5), round(k2, 6), p1, p2, 0.0)


def candidate(name: str, position: Float, target: Float, rng: np.random.Generator) -> CameraSpec:
    """A random camera at `position` that looks roughly at `target` (world, metres)."""
    focal, distortion = lens(rng, float(rng.uniform(*FOV_DEG)))
    focal = round(focal, 2)
    centre = np.array([(WIDTH_PX - 1) / 2, (HEIGHT_PX - 1) / 2]) + rng.uniform(-5, 5, 2)
    at, to = np.round(position, 3), np.round(target, 3)
    if np.hypot(*(to - at)[:2]) < 0.05:
        to = to + np.array([0.0, 0.08, 0.0])
    return CameraSpec(
        id=name, width_px=WIDTH_PX, height_px=HEIGHT_PX, fps=FPS, fx_px=focal, fy_px=focal,
        cx_px=round(float(centre[0]), 2), cy_px=round(float(centre[1]), 2), distortion=distortion,
        position_m=(float(at[0]), float(at[1]), float(at[2])), look_at_m=(float(to[0]), float(to[1]), float(to[2])),
        roll_deg=round(float(rng.normal(0.0, 4.0)), 1),
    )  # fmt: skip


def _candidates(layout: Layout, lanes: tuple[Lane, ...], count: int, rng: np.random.Generator) -> list[CameraSpec]:
    """Half look at a random lane from across the aisle, the rest from anywhere towards the middle or downwards."""
    floor = np.asarray(layout.floor_m)
    low, high = floor.min(axis=0) + 0.12, floor.max(axis=0) - 0.12
    height = layout.ceiling_m - 0.05
    out = []
    for n in range(count):
        if n % 2 == 0:
            lane = lanes[int(rng.integers(len(lanes)))]
            away = lane.outward_m[:2] * rng.uniform(0.9, 3.0) + rng.normal(0.0, 0.9, 2)
            place = lane.front_m[:2] + away
            target = lane.front_m + np.append(rng.normal(0.0, 0.4, 2), rng.uniform(-0.3, 0.3))
        else:
            place = rng.uniform(low, high)
            if n % 4 == 1:  # into a corner of the room, looking across it
                place = np.where(rng.random(2) < 0.5, low, high) + rng.normal(0.0, 0.15, 2)
            reach = rng.uniform(0.5, 4.0)
            inward = (low + high) / 2 - place
            inward = inward / max(float(np.hypot(*inward)), 1e-6)
            target = np.append(place + inward * reach + rng.normal(0.0, 0.5, 2), rng.uniform(0.2, 1.2))
        place = np.clip(place, low, high)
        if outside_by(layout.floor_m, place.tolist()) > -0.1:  # in the cut-out corner of an L
            continue
        top = height - rng.uniform(0.0, 0.15)
        out.append(candidate("c", np.append(place, max(top, 2.35)), target, rng))
    return out


def place_cameras(
    layout: Layout, fixtures: list[FixtureSpec], lanes: tuple[Lane, ...], count: int, rng: np.random.Generator
) -> tuple[CameraSpec, ...]:
    """The `count` cameras, greedily chosen, that together see the lanes and the floor best."""
    specs = _candidates(layout, lanes, 24 + 8 * count, rng)
    seen, sharpness = _visibility([camera_from_spec(spec) for spec in specs], layout, fixtures, lanes)
    weight = np.concatenate([np.full(len(lanes), 1.0 / len(lanes)), np.full(seen.shape[1] - len(lanes), 0.0)])
    weight[len(lanes) :] = 0.8 / max(seen.shape[1] - len(lanes), 1)
    worth = np.array([*GAINS, 0.0])
    times = np.zeros(seen.shape[1], dtype=np.int64)
    chosen: list[int] = []
    at = np.array([spec.position_m[:2] for spec in specs])
    apart = 0.35 * float(np.sqrt(signed_area(layout.floor_m) / count))  # nobody hangs two cameras side by side
    for _ in range(count):
        gain = sharpness @ (weight * worth[np.minimum(times, len(GAINS))])
        for other in chosen:
            gain[np.linalg.norm(at - at[other], axis=1) < apart] -= 10.0
        best = int(np.argmax(gain))
        chosen.append(best)
        times += seen[best]
    chosen = _cover_all_lanes(chosen, seen[:, : len(lanes)], at, apart)
    return tuple(specs[index].model_copy(update={"id": f"cam{n + 1}"}) for n, index in enumerate(chosen))


def _cover_all_lanes(chosen: list[int], sees_lane: NDArray[np.bool_], at: Float, apart: float) -> list[int]:
    """Swap single cameras, best swap first, while that lets more lanes be seen at all (sees_lane [cameras, lanes])."""
    chosen = list(chosen)
    while True:
        covered = int(sees_lane[chosen].any(axis=0).sum())
        best = (covered, -1, -1)
        for place in range(len(chosen)):
            others = chosen[:place] + chosen[place + 1 :]
            far = np.linalg.norm(at[:, None] - at[others], axis=2).min(axis=1, initial=np.inf) >= apart
            counts = np.where(far, (sees_lane | sees_lane[others].any(axis=0)).sum(axis=1), 0)
            if int(counts.max()) > best[0]:
                best = (int(counts.max()), place, int(counts.argmax()))
        if best[1] < 0 or covered == sees_lane.shape[1]:
            return chosen
        chosen[best[1]] = best[2]


def _visibility(
    cameras: list[Camera], layout: Layout, fixtures: list[FixtureSpec], lanes: tuple[Lane, ...]
) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """What is seen, bool [cameras, lanes + floor samples], and how sharply, 0..1 of the same shape."""
    fronts = np.array([lane.front_m for lane in lanes])
    outward = np.array([lane.outward_m for lane in lanes])
    owner = np.array([lane.fixture for lane in lanes], dtype=np.int64)
    floor = floor_samples(layout.floor_m, fixtures, 0.4)
    people = np.c_[floor, np.full(len(floor), PERSON_HEIGHT_M)]
    scene = Scene(tuple(fixtures), layout.floor_m)
    lane_seen = lanes_seen(cameras, scene, fronts, outward, owner)
    seen = np.concatenate([lane_seen, points_seen(cameras, scene, people)], axis=1)
    to_camera = np.array([camera.world_from_camera[:3, 3] for camera in cameras])[:, None] - fronts
    distance = np.linalg.norm(to_camera, axis=2)
    facing = (to_camera * outward).sum(axis=2) / distance
    pixels_per_m = np.array([camera.fx_px for camera in cameras])[:, None] / distance * np.sqrt(np.clip(facing, 0, 1))
    sharpness = seen.astype(np.float64)
    sharpness[:, : len(lanes)] *= np.clip(pixels_per_m / SHARP_PX_PER_M, 0.1, 1.0)
    return seen, sharpness
