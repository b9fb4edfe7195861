"""The ray of a patch: it goes through the patch's centre, and what the network reads does not know north."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openaisle.store.geometry import Camera, look_at
from openaisle.tokens.rays import MAX_RANGE_M, PATCH_PX, RAY_FEATURES, REFERENCE_HEIGHT_M, horizontal_frame, ray_table

DISTORTION = (-0.12, 0.02, 0.001, -0.001, 0.0)


def camera_at(position_m: tuple[float, float, float], target_m: tuple[float, float, float]) -> Camera:
    return Camera("c", 320, 240, 5.0, 200.0, 200.0, 159.5, 119.5, DISTORTION, look_at(position_m, target_m))


@pytest.mark.parametrize(
    ("position", "target"),
    [((1.0, 2.0, 2.6), (2.0, 3.0, 0.5)), ((0.0, 0.0, 2.9), (0.3, 0.1, 0.0)), ((5.0, 1.0, 3.2), (1.0, 1.0, 1.5))],
)
def test_anchors_project_into_the_centres_of_their_patches(
    position: tuple[float, float, float], target: tuple[float, float, float]
) -> None:
    camera = camera_at(position, target)
    table = ray_table(camera)
    pixels, depth = camera.project(table.anchor_m)
    row, col = np.meshgrid(np.arange(table.rows), np.arange(table.cols), indexing="ij")
    centre = np.stack([col, row], axis=-1) * PATCH_PX + 7.5
    assert (depth > 0).all()
    assert np.abs(pixels - centre).max() < 0.02
    assert table.features.shape == (15, 20, RAY_FEATURES)


def test_anchors_lie_at_the_middle_of_a_body_unless_the_ray_is_level() -> None:
    table = ray_table(camera_at((0.0, 0.0, 2.6), (3.0, 0.0, 1.4)))
    reach = np.linalg.norm(table.anchor_m - table.origin_m, axis=-1)
    near = reach < MAX_RANGE_M - 1e-3
    assert 0 < near.mean() < 1  # both kinds occur
    assert table.anchor_m[near][:, 2] == pytest.approx(REFERENCE_HEIGHT_M, abs=1e-4)
    assert reach[~near] == pytest.approx(MAX_RANGE_M, abs=1e-4)


@settings(max_examples=8, deadline=None)
@given(yaw=st.floats(-np.pi, np.pi), pitch_m=st.floats(-0.5, 2.0), away_m=st.floats(0.2, 4.0), x_m=st.floats(-20, 20))
def test_features_do_not_change_when_camera_turns_or_moves(
    yaw: float, pitch_m: float, away_m: float, x_m: float
) -> None:
    here = camera_at((0.0, 0.0, 2.7), (away_m, 0.0, pitch_m))
    ahead = np.array([np.cos(yaw), np.sin(yaw)]) * away_m
    there = camera_at((x_m, -3.0, 2.7), (x_m + ahead[0], -3.0 + ahead[1], pitch_m))
    before, after = ray_table(here), ray_table(there)
    assert after.features == pytest.approx(before.features, abs=2e-5)
    turn = np.array([[np.cos(yaw), -np.sin(yaw), 0], [np.sin(yaw), np.cos(yaw), 0], [0, 0, 1]])
    assert after.world_from_horizontal == pytest.approx(turn @ before.world_from_horizontal, abs=1e-5)


def test_horizontal_frame_is_a_rotation_about_the_vertical_also_straight_down() -> None:
    for target in ((0.0, 0.0, 0.0), (1e-3, 0.0, 0.0), (4.0, -2.0, 2.7)):
        frame = horizontal_frame(camera_at((0.0, 0.0, 2.7), target)).astype(np.float64)
        assert frame @ frame.T == pytest.approx(np.eye(3), abs=1e-6)
        assert np.linalg.det(frame) == pytest.approx(1.0)
        assert frame[:, 2] == pytest.approx([0, 0, 1])
