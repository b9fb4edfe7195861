"""Camera rigs beyond those of the training: fewer, more, slower, knocked, with other lenses."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from openaisle.errors import Problem, ScenarioError
from openaisle.sim.stores import KINDS, draw_store
from openaisle.sim.stores_layout import PLANS
from openaisle.store.schema import CameraSpec
from openaisle.store.store import Store, camera_from_spec

KNOCK_DEG = 1.5
STRONG_K1, STRONG_K2 = -0.22, 0.75 * 0.22**2  # above 0.45 k1², so that no picture folds over
SLOW_FPS = 2.0
MORE = 1.5


def fewer_cameras(store: Store, seed: int) -> Store:
    """Every second camera, one at least."""
    return _with_cameras(store, store.spec.cameras[seed % 2 if len(store.spec.cameras) > 1 else 0 :: 2])


def more_cameras(store: Store, seed: int) -> Store:
    """A generated store drawn again with half as many cameras again; ScenarioError for a store folder."""
    kind = next((kind for kind in KINDS if store.spec.name == f"Random {kind} {seed}"), None)
    if kind is None:
        what = "more cameras can only be drawn for random: stores"
        raise ScenarioError([Problem("--axis", "more-cameras", what, "use --store random:kiosk")])
    plan = PLANS[kind]
    low, high = (round(count * MORE) for count in plan.cameras)
    return draw_store(replace(plan, cameras=(low, high)), seed)


def slower(store: Store, seed: int) -> Store:
    """All cameras at SLOW_FPS."""
    return _with_cameras(store, tuple(camera.model_copy(update={"fps": SLOW_FPS}) for camera in store.spec.cameras))


def strong_lenses(store: Store, seed: int) -> Store:
    """The same field of view along the picture's width through lenses with strong barrel distortion."""
    return _with_cameras(store, tuple(_strong(camera) for camera in store.spec.cameras))


def _strong(camera: CameraSpec) -> CameraSpec:
    edge = _edge(camera)
    focal = round(camera.width_px / 2 / _bent(edge, STRONG_K1, STRONG_K2), 2)
    distortion = (STRONG_K1, round(STRONG_K2, 6), *camera.distortion[2:])
    return camera.model_copy(update={"fx_px": focal, "fy_px": focal, "distortion": distortion})


def _edge(camera: CameraSpec) -> float:
    """Tangent of half the field of view: what the lens bends into half the picture's width (by bisection)."""
    k1, k2 = camera.distortion[:2]
    low, high = 0.0, 4.0
    for _ in range(60):
        middle = (low + high) / 2
        inside = _bent(middle, k1, k2) < camera.width_px / 2 / camera.fx_px
        low, high = (middle, high) if inside else (low, middle)
    return low


def _bent(r: float, k1: float, k2: float) -> float:
    return r * (1 + k1 * r**2 + k2 * r**4)


def knocked(store: Store, seed: int) -> Store:
    """Every camera turned by KNOCK_DEG about an axis of its own in its picture's plane."""
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, 0xAA])))
    angles = rng.uniform(0, 2 * np.pi, len(store.spec.cameras)).tolist()
    turned = [_turned(camera, angle) for camera, angle in zip(store.spec.cameras, angles, strict=True)]
    return _with_cameras(store, tuple(turned))


def _turned(camera: CameraSpec, angle: float) -> CameraSpec:
    pose = camera_from_spec(camera).world_from_camera[:3, :3]
    about = np.array([np.cos(angle), np.sin(angle), 0.0]) * np.deg2rad(KNOCK_DEG)
    x, y, z = cv2.Rodrigues(pose @ cv2.Rodrigues(about)[0])[0].reshape(3).tolist()
    return camera.model_copy(update={"look_at_m": None, "roll_deg": 0.0, "rotation_rodrigues": (x, y, z)})


def _with_cameras(store: Store, cameras: tuple[CameraSpec, ...]) -> Store:
    return replace(store, spec=store.spec.model_copy(update={"cameras": cameras}))
