"""Views of a lane: the nearest cameras before it, where it lies in their windows, without a word about the place."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from openaisle.store.geometry import Camera, Float, apply, look_at, yaw_transform
from openaisle.store.store import Lane
from openaisle.tokens.shelf import (
    MAX_SHELF_VIEWS,
    MAX_SIDE_PX,
    MIN_SIDE_PX,
    REACH_IN_M,
    REACH_UP_M,
    SHELF_FEATURES,
    SHELF_M,
    SHELF_PX,
    ShelfView,
    cut_shelf,
    shelf_views,
)

WIDTH, HEIGHT = 320, 240
LENS = (-0.12, 0.02, 0.0, 0.0, 0.0)
LANE = Lane("wall.s1.l1", 0, 0, -1, (0.3, 0.4, 0.35), yaw_transform(2.0, 3.0, 1.0, 0.0))  # opens towards -y
DEEP = Lane("table.top.l1", 4, 2, 1, (0.2, 1.4, 0.9), yaw_transform(2.2, 2.6, 0.8, 0.5))
MIDDLE = np.array([2.15, 3.1, 1.15])
# what lies on the other side of a mirror: the picture's middle, and the camera along the lane's front
MIRRORED = np.array([1, 1, -1, 1, -1, 1, 1, 1, 1, 1], np.float32)


def camera_at(*position_m: float, target_m: Float = MIDDLE) -> Camera:
    return Camera("c", WIDTH, HEIGHT, 5.0, 200.0, 200.0, 159.5, 119.5, LENS, look_at(position_m, target_m))


ACROSS = camera_at(1.0, 1.2, 2.6, target_m=np.array([2.5, 3.0, 0.9]))


def view_of(lane: Lane, camera: Camera) -> ShelfView:
    (view,) = shelf_views(lane, (camera,))
    return view


def test_the_nearest_cameras_come_first_and_the_farthest_not_at_all() -> None:
    away = (2.0, 0.9, 2.6, 1.2, 2.9, 1.6, 2.3)
    cameras = tuple(camera_at(2.15, 3.1 - m, 1.6) for m in away)
    views = shelf_views(LANE, cameras)
    assert [view.camera for view in views] == np.argsort(away)[:MAX_SHELF_VIEWS].tolist()
    for view in views:
        pixel, depth = cameras[view.camera].project(MIDDLE)
        assert view.centre_px == pytest.approx(pixel, abs=1e-3)
        assert view.side_px == pytest.approx(SHELF_M * 200.0 / depth, rel=1e-4)
    assert view_of(LANE, camera_at(2.15, 2.6, 1.2)).side_px == MAX_SIDE_PX
    assert view_of(LANE, camera_at(2.15, -20.0, 1.2)).side_px == MIN_SIDE_PX


def test_cameras_that_do_not_see_the_lanes_middle_give_none() -> None:
    away = camera_at(1.0, 1.2, 2.6, target_m=np.array([1.0, 0.0, 1.0]))
    aside = camera_at(1.0, 1.2, 2.6, target_m=np.array([-0.6, 3.0, 1.1]))
    close = camera_at(2.15, 2.85, 1.15)
    assert shelf_views(LANE, (away, aside, close)) == ()
    assert [view.camera for view in shelf_views(LANE, (away, ACROSS, aside))] == [1]


def test_cameras_behind_the_shelf_give_none_but_those_above_do() -> None:
    assert shelf_views(LANE, (camera_at(2.15, 5.0, 1.8), camera_at(3.0, 4.6, 2.6))) == ()
    above = camera_at(2.15, 3.4, 2.9)
    assert [view.camera for view in shelf_views(LANE, (above, camera_at(2.15, 1.0, 1.8)))] == [0, 1]


@pytest.mark.parametrize("lane", [LANE, DEEP])
@pytest.mark.parametrize("position", [(1.0, 1.2, 2.6), (2.6, 1.4, 1.3), (2.3, 2.4, 2.9)])
def test_the_area_is_what_the_lanes_box_covers(lane: Lane, position: tuple[float, float, float]) -> None:
    camera = camera_at(*position)
    view = view_of(lane, camera)
    size = np.minimum(lane.size_m, (np.inf, REACH_IN_M, REACH_UP_M))
    points = apply(lane.world_from_lane, np.stack(np.meshgrid(*(np.linspace(0, m, 50) for m in size)), -1))
    at = ((camera.project(points.reshape(-1, 3))[0] - view.centre_px) / view.side_px + 0.5) * SHELF_PX - 0.5
    at = np.round(at[((at > -0.5) & (at < SHELF_PX - 0.5)).all(1)]).astype(int)
    shown = np.zeros((SHELF_PX, SHELF_PX), np.uint8)
    shown[at[:, 1], at[:, 0]] = 255
    wider = np.ones((3, 3), np.uint8)  # corners are rounded to cells
    assert (cv2.dilate(view.area, wider) >= shown).all()
    assert (cv2.dilate(shown, wider) >= view.area).all()
    assert view.area[16, 16] == 255
    assert set(np.unique(view.area)) == {0, 255}
    assert 0.05 < (view.area > 0).mean() < 0.9


def test_a_cut_is_centred_where_its_view_says() -> None:
    view = view_of(LANE, ACROSS)
    rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH]
    window = cut_shelf(np.stack([rows, columns // 2, rows], -1).astype(np.uint8), view)
    assert window.shape == (SHELF_PX, SHELF_PX, 3)
    assert window.dtype == np.uint8
    told = window[:, :, :2].astype(np.float64) * [1, 2]
    assert told[15:17, 15:17].mean((0, 1)) == pytest.approx(view.centre_px[::-1], abs=1.1)
    assert told[-1, -1] - told[0, 0] == pytest.approx([view.side_px * 31 / 32] * 2, abs=2.0)


def test_features_tell_nothing_of_the_place_or_of_numbers() -> None:
    """The whole shop moved over the floor and turned, another lane's name, another camera's number: the same."""
    moved = yaw_transform(7.0, -3.0, 0.0, 0.8)
    here = view_of(LANE, ACROSS)
    theirs = replace(ACROSS, id="z", world_from_camera=moved @ ACROSS.world_from_camera)
    other = replace(DEEP, size_m=LANE.size_m, world_from_lane=moved @ LANE.world_from_lane)
    (there,) = shelf_views(other, (camera_at(0.0, 0.0, 2.0), theirs))
    assert (here.camera, there.camera) == (0, 1)
    assert here.features.shape == (SHELF_FEATURES,)
    assert here.features.dtype == here.centre_px.dtype == np.float32
    assert there.features == pytest.approx(here.features, abs=1e-4)
    assert there.centre_px == pytest.approx(here.centre_px, abs=0.02)
    assert there.side_px == pytest.approx(here.side_px, rel=1e-5)
    assert (there.area != here.area).mean() < 0.01


def test_features_do_tell_how_the_lane_is_seen() -> None:
    ours = view_of(LANE, ACROSS).features
    assert np.abs(view_of(DEEP, ACROSS).features - ours).min() > 0.01


def test_a_mirrored_shop_has_the_mirrored_views() -> None:
    flip = np.diag([-1.0, 1.0, 1.0, 1.0])
    across = flip + np.array([0, 0, 0, LANE.size_m[0]]) * np.eye(4)[:, :1]  # its left end is the other one
    theirs = replace(ACROSS, world_from_camera=flip @ ACROSS.world_from_camera @ flip)
    lane = replace(LANE, world_from_lane=flip @ LANE.world_from_lane @ across)
    a, b = view_of(LANE, ACROSS), view_of(lane, theirs)
    assert a.features * MIRRORED == pytest.approx(b.features, abs=1e-4)
    assert np.abs(a.features[MIRRORED < 0]).min() > 0.05  # there is something to mirror
    assert b.centre_px == pytest.approx([WIDTH - 1 - a.centre_px[0], a.centre_px[1]], abs=1e-3)
    assert (a.area[:, ::-1] != b.area).mean() < 0.04  # rounding is not mirrored
    assert (a.area != b.area).mean() > 0.04
