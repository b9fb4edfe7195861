"""Frames and cameras, held against OpenCV."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openaisle.sim.stores_cameras import lens
from openaisle.store.geometry import Camera, apply, invert, look_at, rigid, yaw_transform
from openaisle.store.schema import CameraSpec
from openaisle.store.store import camera_from_spec, world_from_fixture, world_from_shelf
from tests.store.tiny import tiny_spec, tiny_store

METRES = st.floats(-8, 8)
HEIGHTS = st.floats(0.3, 4)
ANGLES = st.floats(-3, 3)


@st.composite
def cameras(draw: st.DrawFn) -> Camera:
    """Cameras as the generator makes them: any pose, any of its lenses."""
    rng = np.random.Generator(np.random.PCG64(draw(st.integers(0, 10_000))))
    focal, distortion = lens(rng, draw(st.floats(60, 120)))
    turn = cv2.Rodrigues(np.array([draw(ANGLES), draw(ANGLES), draw(ANGLES)]))[0]
    pose = rigid(turn, [draw(METRES), draw(METRES), draw(HEIGHTS)])
    centre = np.array([159.5, 119.5]) + rng.uniform(-9, 9, 2)
    return Camera("c", 320, 240, 5.0, focal, focal * 1.02, float(centre[0]), float(centre[1]), distortion, pose)


@given(cameras(), st.integers(0, 1000))
@settings(max_examples=60, deadline=None)
def test_project_agrees_with_opencv(camera: Camera, seed: int) -> None:
    rng = np.random.Generator(np.random.PCG64(seed))
    local = rng.uniform([-2, -2, 0.4], [2, 2, 6], (50, 3))
    world = apply(camera.world_from_camera, local)
    pixels, depth = camera.project(world)
    rotation = cv2.Rodrigues(camera.camera_from_world[:3, :3])[0]
    theirs, _ = cv2.projectPoints(
        world, rotation, camera.camera_from_world[:3, 3], camera.matrix, np.array(camera.distortion)
    )
    # OpenCV goes through a rotation vector, which near half a turn is good to 1e-7 only
    np.testing.assert_allclose(pixels, theirs.reshape(-1, 2), atol=1e-3, rtol=1e-6)
    np.testing.assert_allclose(depth, local[:, 2], atol=1e-9)


@given(cameras(), st.integers(0, 1000))
@settings(max_examples=60, deadline=None)
def test_unproject_is_the_inverse_of_project_in_the_whole_picture(camera: Camera, seed: int) -> None:
    rng = np.random.Generator(np.random.PCG64(seed))
    pixels = np.concatenate([rng.uniform([0, 0], [319, 239], (60, 2)), [[0, 0], [319, 0], [0, 239], [319, 239]]])
    origin, rays = camera.unproject(pixels)
    np.testing.assert_allclose(np.linalg.norm(rays, axis=1), 1.0)
    points = origin + rays * rng.uniform(0.5, 9, (len(pixels), 1))
    back, depth = camera.project(points)
    assert (depth > 0).all()
    np.testing.assert_allclose(back, pixels, atol=1e-6)
    assert camera.sees(points).all()


@given(cameras(), st.integers(0, 1000))
@settings(max_examples=30, deadline=None)
def test_unproject_agrees_with_opencv(camera: Camera, seed: int) -> None:
    rng = np.random.Generator(np.random.PCG64(seed))
    pixels = rng.uniform([0, 0], [319, 239], (40, 2))
    stop = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 400, 1e-12)
    ideal = cv2.undistortPoints(
        pixels.reshape(-1, 1, 2), camera.matrix, np.array(camera.distortion), criteria=stop
    ).reshape(-1, 2)
    rays = np.c_[ideal, np.ones(len(ideal))] @ camera.world_from_camera[:3, :3].T
    _, ours = camera.unproject(pixels)
    np.testing.assert_allclose(ours, rays / np.linalg.norm(rays, axis=1, keepdims=True), atol=1e-4)


def test_what_a_folded_lens_mirrors_into_the_picture_is_not_seen() -> None:
    pose = look_at([0, 0, 3], [0, 0, 0])
    camera = Camera("c", 320, 240, 5.0, 160, 160, 159.5, 119.5, (-0.3, 0.0, 0.0, 0.0, 0.0), pose)
    assert camera.fold_radius == pytest.approx(np.sqrt(1 / 0.9))
    far = apply(pose, [1.7, 0.0, 1.0])
    pixel, depth = camera.project(far)
    assert depth > 0
    assert 0 < pixel[0] < 319
    assert not camera.sees(far)
    assert camera.sees(apply(pose, [0.5, 0.0, 1.0]))
    assert not camera.sees(apply(pose, [0.0, 0.0, -1.0]))


@given(METRES, METRES, HEIGHTS, METRES, METRES, ANGLES)
@settings(deadline=None)
def test_look_at_looks_there_and_is_rigid(x: float, y: float, z: float, tx: float, ty: float, roll: float) -> None:
    target = np.array([tx, ty, 0.0])
    pose = look_at([x, y, z], target, roll)
    np.testing.assert_allclose(pose[:3, :3] @ pose[:3, :3].T, np.eye(3), atol=1e-9)
    assert np.linalg.det(pose[:3, :3]) == pytest.approx(1.0)
    local = apply(invert(pose), target)
    np.testing.assert_allclose(local[:2], 0.0, atol=1e-7)
    assert local[2] == pytest.approx(np.linalg.norm(target - [x, y, z]))


def test_a_camera_without_roll_holds_the_horizon() -> None:
    pose = look_at([0, 0, 2.5], [3, 1, 0.5])
    assert pose[2, 0] == pytest.approx(0.0)  # the picture's x axis is level
    assert pose[2, 1] < 0  # and its y axis points down


def test_rodrigues_and_look_at_describe_the_same_camera() -> None:
    spec = tiny_spec().cameras[0]
    pose = camera_from_spec(spec).world_from_camera
    rotation = tuple(float(v) for v in cv2.Rodrigues(pose[:3, :3])[0].ravel())
    same = CameraSpec.model_validate({**spec.model_dump(), "look_at_m": None, "rotation_rodrigues": rotation})
    np.testing.assert_allclose(camera_from_spec(same).world_from_camera, pose, atol=1e-12)


@given(METRES, METRES, ANGLES)
@settings(deadline=None)
def test_inverting_twice_changes_nothing(x: float, y: float, yaw: float) -> None:
    pose = yaw_transform(x, y, 0.4, yaw)
    np.testing.assert_allclose(invert(invert(pose)), pose, atol=1e-12)
    np.testing.assert_allclose(pose @ invert(pose), np.eye(4), atol=1e-12)


def test_nested_frames() -> None:
    """Store → fixture → shelf → lane, on a table turned by -90 degrees, by hand."""
    store = tiny_store()
    table = store.spec.fixtures[1]
    # The table's front-left corner is at (3.2, 2.0); seen from the left one faces +x, so its front runs towards -y.
    np.testing.assert_allclose(apply(world_from_fixture(table), [0, 0, 0]), [3.2, 2.0, 0.0], atol=1e-12)
    np.testing.assert_allclose(apply(world_from_fixture(table), [0.8, 0.5, 0]), [3.7, 1.2, 0.0], atol=1e-12)
    np.testing.assert_allclose(apply(world_from_shelf(table, table.shelves[0]), [0, 0, 0]), [3.2, 2.0, 0.8], atol=1e-12)
    lane = store.lanes[2]
    assert lane.id == "table.top.l1"
    np.testing.assert_allclose(lane.front_m, [3.2, 2.0 - 0.1 - 0.25, 0.8 + 0.15], atol=1e-12)
    np.testing.assert_allclose(lane.centre_m, [3.45, 1.65, 0.8], atol=1e-12)
    np.testing.assert_allclose(lane.outward_m, [-1, 0, 0], atol=1e-12)
    np.testing.assert_allclose(apply(lane.lane_from_world, lane.front_m), [0.25, 0.0, 0.15], atol=1e-12)


def test_lanes_know_their_scale_and_product() -> None:
    store = tiny_store()
    assert [lane.scale for lane in store.lanes] == [0, 0, 1]
    assert store.lane_product.tolist() == [0, 1, 2]
    assert store.lane_index["table.top.l1"] == 2
