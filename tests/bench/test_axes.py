"""Axes of generalisation: each makes its one thing harder, tells the system what it says it tells, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import cv2
import numpy as np
import pytest

from openaisle.bench.axes import AXES, WRONG_LANES, WRONG_WEIGHT, axis, sensed
from openaisle.bench.rigs import KNOCK_DEG, STRONG_K1
from openaisle.bench.scene import scene_of
from openaisle.bench.suites import Case
from openaisle.errors import ScenarioError
from openaisle.messages import GateEvent, ScaleBatch, VideoFrame
from openaisle.sim.stores import open_store
from openaisle.store.check import check_store
from openaisle.store.schema import CameraSpec
from openaisle.store.store import Store

SEED = 850_003
GREY = np.full((48, 64, 3), 120, dtype=np.uint8)
GATE = GateEvent("door", 4, "entry", "v1")


@cache
def kiosk() -> Store:
    """A generated store."""
    return open_store("random:kiosk", SEED)


def shops(name: str) -> tuple[Store, Store]:
    """The shop as it is, and as it is told."""
    changed = AXES[name]
    store = changed.store(kiosk(), SEED)
    return changed.real(store, SEED), changed.told(store, SEED)


@pytest.mark.parametrize("name", AXES)
def test_every_axis_gives_whole_stores_and_the_same_ones_again(name: str) -> None:
    real, told = shops(name)
    assert not check_store(real)
    assert not check_store(told)
    assert (real, told) == shops(name)
    assert {camera.id: camera.width_px for camera in real.spec.cameras} == {
        camera.id: camera.width_px for camera in told.spec.cameras
    }
    assert AXES[name].what


def test_no_axis_changes_nothing() -> None:
    assert shops("") == (kiosk(), kiosk())
    with pytest.raises(ScenarioError, match="wrong-planogram"):
        axis("darkness")


def test_rigs() -> None:
    count = len(kiosk().spec.cameras)
    assert len(shops("fewer-cameras")[0].spec.cameras) == count // 2
    more, told = shops("more-cameras")
    assert len(more.spec.cameras) > count
    assert told == more
    assert {camera.fps for camera in shops("slow-cameras")[1].spec.cameras} == {2.0}
    with pytest.raises(ScenarioError, match="random:"):
        AXES["more-cameras"].store(replace(kiosk(), spec=kiosk().spec.model_copy(update={"name": "Mine"})), SEED)


def test_strong_lenses_see_as_much_as_before() -> None:
    real, told = shops("strong-lenses")
    assert real == told
    for before, after in zip(kiosk().spec.cameras, real.spec.cameras, strict=True):
        assert after.distortion[0] == STRONG_K1
        assert edge_deg(after) == pytest.approx(edge_deg(before), abs=0.05)


def edge_deg(camera: CameraSpec) -> float:
    """Angle to the optical axis at half the picture's width (after OpenCV, without tangential distortion)."""
    matrix = np.array([[camera.fx_px, 0, 0], [0, camera.fy_px, 0], [0, 0, 1.0]])
    radial = np.array([*camera.distortion[:2], 0.0, 0.0, 0.0])
    point = np.array([[[camera.width_px / 2, 0.0]]])
    criteria = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 500, 1e-10)
    bent = cv2.undistortPoints(point, matrix, radial, None, None, None, criteria)
    return float(np.rad2deg(np.arctan(bent[0, 0, 0])))


def test_knocked_cameras_are_not_told() -> None:
    real, told = shops("knocked-cameras")
    assert told == kiosk()
    for before, after in zip(told.cameras, real.cameras, strict=True):
        turn = before.camera_from_world[:3, :3] @ after.world_from_camera[:3, :3]
        assert np.rad2deg(np.arccos((np.trace(turn) - 1) / 2)) == pytest.approx(KNOCK_DEG, abs=1e-3)
        np.testing.assert_allclose(before.world_from_camera[:3, 3], after.world_from_camera[:3, 3])


def test_scales() -> None:
    shared = shops("shared-scales")[0].spec.scales
    before = kiosk().spec.scales
    assert sorted(lane for scale in shared for lane in scale.lanes) == sorted(
        l for scale in before for l in scale.lanes
    )
    assert max(len(scale.lanes) for scale in shared) == 3
    half = shops("half-scales")[0].spec
    with_scales = {scale.lanes[0].partition(".")[0] for scale in half.scales}
    assert 0 < len(with_scales) <= (len(half.fixtures) + 1) // 2


def test_wrong_papers_are_told_and_not_true() -> None:
    real, told = shops("wrong-planogram")
    assert real == kiosk()
    changed = sum(a != b for a, b in zip(real.planogram, told.planogram, strict=True))
    assert changed == pytest.approx(len(real.planogram) * WRONG_LANES, abs=2.1)
    assert changed > 0
    real, told = shops("wrong-weights")
    assert real == kiosk()
    ratios = [b.weight_grams / a.weight_grams for a, b in zip(real.products, told.products, strict=True)]
    assert max(abs(ratio - 1) for ratio in ratios) <= WRONG_WEIGHT + 0.1  # small ones are rounded to grams
    assert np.std(ratios) > 0.03


@pytest.mark.parametrize(("name", "mean"), [("dark", 48.0), ("noisy-pictures", 120.0)])
def test_pictures(name: str, mean: float) -> None:
    frame, gate = list(sensed(AXES[name], [VideoFrame("c", 3, GREY), GATE], SEED))
    assert gate == GATE
    assert isinstance(frame, VideoFrame)
    assert frame.rgb.mean() == pytest.approx(mean, abs=1)
    assert frame.rgb.std() > 4


def test_noisy_scales_differ_from_each_other() -> None:
    quiet = [ScaleBatch(f"w{i}", 3, 20.0, np.full(400, 500, dtype=np.float32)) for i in range(60)]
    noisy = [batch for batch in sensed(AXES["noisy-scales"], quiet, SEED) if isinstance(batch, ScaleBatch)]
    sds = np.array([float(batch.grams.std()) for batch in noisy])
    assert 0.4 < np.median(sds) < 1.6
    assert sds.max() > 4 * np.median(sds)


def test_skewed_clocks_reach_the_simulation() -> None:
    scene = scene_of(Case("random:kiosk", "solo", SEED, "skewed-clocks"), video=False)
    assert scene.shop.simulation.scenario.faults.clock_skew_ms == 300
    assert scene.shop.simulation.faults.faults
