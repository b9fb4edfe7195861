"""Windows around bodies: around the chest, of one metric size, kept just beyond the picture, told without a place."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from openaisle.store.geometry import look_at, yaw_transform
from openaisle.tokens.body import BEYOND, BODY_FEATURES, BODY_M, BODY_PX, MAX_SIDE_PX, MIN_SIDE_PX, aim_bodies
from openaisle.tokens.glance import CHEST_M, cut_windows
from tests.tokens.test_glance import ACROSS, BODIES, HEIGHT, WIDTH, Float32, camera_at, hands_floor

STRAIGHT = (0.0, 0.0, 0.0, 0.0, 0.0)
# what lies on the other side of a mirror: the picture's middle, and the feet
MIRRORED = np.array([1, 1, -1, 1, 1, -1, 1, 1], np.float32)
LEVEL = look_at((0.0, 0.0, CHEST_M), (1.0, 0.0, CHEST_M))


def chests(bodies: Float32, height_m: float = CHEST_M) -> Float32:
    return np.concatenate([bodies, np.full((len(bodies), 1), height_m)], axis=1).astype(np.float32)


def test_a_window_lies_around_its_chest() -> None:
    camera = camera_at(ACROSS)
    a = aim_bodies(camera, BODIES)
    assert a.row.tolist() == [0, 1, 2]
    pixel, depth = camera.project(chests(BODIES))
    assert a.centre_px == pytest.approx(pixel, abs=1e-3)
    assert a.side_px == pytest.approx(BODY_M * 200.0 / depth, rel=1e-4)
    assert a.features.shape == (3, BODY_FEATURES)
    assert a.features.dtype == a.centre_px.dtype == a.side_px.dtype == np.float32


@pytest.mark.parametrize("depth_m", [1.5, 2.2, 4.0])
@pytest.mark.parametrize("aside_m", [0.0, 0.2])
def test_a_window_shows_so_many_metres_however_far_away(depth_m: float, aside_m: float) -> None:
    """A white square of half a window's side around the chest fills a quarter of the window, in its middle."""
    camera, body = camera_at(LEVEL, STRAIGHT), np.array([[depth_m, aside_m]], np.float32)
    (u, v), half = camera.project(chests(body))[0][0], BODY_M / 4 * 200.0 / depth_m
    columns, rows = np.meshgrid(np.arange(WIDTH), np.arange(HEIGHT))
    picture = np.where((np.abs(columns - u) < half) & (np.abs(rows - v) < half), 255, 0).astype(np.uint8)
    a = aim_bodies(camera, body)
    window = cut_windows(np.repeat(picture[..., None], 3, axis=2), a.centre_px, a.side_px, BODY_PX)
    assert window.shape == (1, BODY_PX, BODY_PX, 3)
    white = window[0, :, :, 0] / 255.0
    assert white.mean() == pytest.approx(0.25, abs=0.02)
    places = np.arange(BODY_PX) - (BODY_PX - 1) / 2
    assert white.sum(0) @ places / white.sum() == pytest.approx(0.0, abs=0.7)
    assert white.sum(1) @ places / white.sum() == pytest.approx(0.0, abs=0.7)


def test_sizes_have_bounds() -> None:
    a = aim_bodies(camera_at(LEVEL), np.array([[0.35, 0.0], [30.0, 0.0]], np.float32))
    assert a.side_px.tolist() == [MAX_SIDE_PX, MIN_SIDE_PX]


def test_bodies_behind_the_camera_have_no_window() -> None:
    bodies = np.array([[-1.0, 0.0], [2.0, 0.0], [0.25, 0.0], [-3.0, 0.1]], np.float32)
    a = aim_bodies(camera_at(LEVEL), bodies)  # the third is in front, but too near to be a picture of anything
    assert a.row.tolist() == [1]
    assert a.centre_px == pytest.approx(np.array([[159.5, 119.5]]), abs=1e-3)


@pytest.mark.parametrize("roll", range(4))
def test_a_chest_may_lie_a_little_outside_the_picture(roll: int) -> None:
    """On each of its four sides: up to a share of the window's own side."""
    level = look_at((0.0, 0.0, CHEST_M), (1.0, 0.0, CHEST_M), roll * np.pi / 2)
    depth_m, half_px = 3.0, (HEIGHT if roll % 2 else WIDTH) / 2
    side = BODY_M * 200.0 / depth_m
    shares = np.array([-0.5, -0.02, 0.02, BEYOND - 0.02, BEYOND + 0.02, 2.0])
    away = (half_px + shares * side) * depth_m / 200.0
    bodies = np.stack([np.full(6, depth_m), away], axis=1).astype(np.float32)
    camera = camera_at(level, STRAIGHT)
    assert camera.sees(chests(bodies)).tolist() == [True, True, False, False, False, False]
    a = aim_bodies(camera, bodies)
    assert a.row.tolist() == [0, 1, 2, 3]
    assert a.centre_px == pytest.approx(camera.project(chests(bodies))[0][:4], abs=1e-2)
    assert a.features == pytest.approx(aim_bodies(camera, bodies[:4]).features)


def test_a_nearer_body_may_lie_farther_outside() -> None:
    """What counts is the body's own window: the same pixels outside are too many for one far away."""
    outside_px = 40.0
    depth_m = np.array([2.0, 8.0])
    away = (WIDTH / 2 + outside_px) * depth_m / 200.0
    bodies = np.stack([depth_m, away], axis=1).astype(np.float32)
    assert aim_bodies(camera_at(LEVEL, STRAIGHT), bodies).row.tolist() == [0]


def test_features_tell_nothing_of_the_cameras_place_or_name() -> None:
    """The whole shop moved over the floor and turned, camera and people: the same numbers."""
    moved = yaw_transform(7.0, -3.0, 0.0, 0.8)
    here, there = aim_bodies(camera_at(ACROSS), BODIES), aim_bodies(camera_at(moved @ ACROSS), hands_floor(moved))
    assert there.features == pytest.approx(here.features, abs=1e-3)
    assert there.centre_px == pytest.approx(here.centre_px, abs=0.02)
    named = aim_bodies(replace(camera_at(ACROSS), id="another", fps=25.0), BODIES)
    assert np.array_equal(named.features, here.features)


def test_features_do_tell_size_distance_height_slope_and_feet() -> None:
    camera = camera_at(ACROSS)
    a = aim_bodies(camera, BODIES)
    (chest_px, depth), (foot_px, _) = camera.project(chests(BODIES)), camera.project(chests(BODIES, 0.0))
    ray = chests(BODIES) - ACROSS[:3, 3]
    told = a.features
    assert told[:, 0] * 128 == pytest.approx(a.side_px, rel=1e-4)
    assert told[:, 1] * 4 == pytest.approx(depth, rel=1e-4)
    assert told[:, 2:4] * 200 == pytest.approx(chest_px - [159.5, 119.5], abs=1e-2)
    assert told[:, 4] == pytest.approx(ray[:, 2] / np.linalg.norm(ray, axis=1), abs=1e-4)
    assert a.centre_px + told[:, 5:7] * a.side_px[:, None] == pytest.approx(foot_px, abs=0.05)
    assert (told[:, 6] > 0.2).all()  # feet are below
    assert told[:, 7] * 3 == pytest.approx(np.full(3, 2.6), rel=1e-5)


def test_each_body_has_its_own_window_whoever_else_is_there() -> None:
    camera = camera_at(ACROSS)
    together = aim_bodies(camera, BODIES)
    for k in range(3):
        alone = aim_bodies(camera, BODIES[k : k + 1])
        assert alone.features == pytest.approx(together.features[k : k + 1], abs=1e-5)
        assert alone.centre_px == pytest.approx(together.centre_px[k : k + 1], abs=1e-3)


def test_a_mirrored_camera_has_the_mirrored_windows() -> None:
    flip = np.diag([1.0, -1.0, 1.0, 1.0])
    ours = camera_at(look_at((1.0, 2.0, 2.6), (2.6, 3.0, 0.9), 0.15))  # askew: feet are not right below the chest
    theirs = replace(ours, world_from_camera=flip @ ours.world_from_camera @ np.diag([-1.0, 1.0, 1.0, 1.0]))
    a, b = aim_bodies(ours, BODIES), aim_bodies(theirs, BODIES * np.array([1, -1], np.float32))
    assert a.features * MIRRORED == pytest.approx(b.features, abs=1e-3)
    assert np.abs(a.features[:, MIRRORED < 0]).max(0).min() > 0.05  # there is something to mirror
    assert a.centre_px[:, 0] == pytest.approx(WIDTH - 1 - b.centre_px[:, 0], abs=0.01)
    assert a.side_px == pytest.approx(b.side_px, rel=1e-5)


def test_nobody_has_no_window() -> None:
    a = aim_bodies(camera_at(ACROSS), BODIES[:0])
    assert (a.row.shape, a.centre_px.shape, a.side_px.shape) == ((0,), (0, 2), (0,))
    assert a.features.shape == (0, BODY_FEATURES)
    unseen = aim_bodies(camera_at(LEVEL), np.array([[-1.0, 0.0]], np.float32))
    assert (unseen.centre_px.shape, unseen.features.shape) == ((0, 2), (0, BODY_FEATURES))
