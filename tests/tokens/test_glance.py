"""Windows around believed hands: centred, of one metric size, and told without a word about the camera's place."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from openaisle.store.geometry import Camera, look_at, yaw_transform
from openaisle.tokens.glance import (
    MAX_SIDE_PX,
    MIN_SIDE_PX,
    WINDOW_FEATURES,
    WINDOW_M,
    WINDOW_PX,
    Aim,
    aim,
    cut_windows,
)

Float32 = NDArray[np.float32]
WIDTH, HEIGHT = 320, 240
LENS = (-0.12, 0.02, 0.0, 0.0, 0.0)
ACROSS = look_at((1.0, 2.0, 2.6), (2.6, 3.0, 0.9))
HANDS = np.array([[2.4, 2.9, 1.1], [2.2, 2.6, 0.8], [3.0, 3.2, 1.5]], np.float32)
# what lies on the other side of a mirror: where the body is, and the picture's middle
MIRRORED = np.array([1, 1, -1, 1, -1, 1, 1, 1, 1, 1, 1], np.float32)
BODIES = np.array([[2.2, 2.6], [2.2, 2.6], [2.8, 3.3]], np.float32)


def camera_at(pose: NDArray[np.float64], lens: tuple[float, float, float, float, float] = LENS) -> Camera:
    return Camera("c", WIDTH, HEIGHT, 5.0, 200.0, 200.0, 159.5, 119.5, lens, pose)


def aimed(camera: Camera, hands: Float32 = HANDS, bodies: Float32 = BODIES) -> Aim:
    k = len(hands)
    sd, far = np.linspace(0.05, 0.2, k, dtype=np.float32), (np.arange(k) % 2).astype(np.float32)
    return aim(camera, hands, bodies, sd, far)


def test_a_window_lies_around_its_hand() -> None:
    camera = camera_at(ACROSS)
    a = aimed(camera)
    assert a.row.tolist() == [0, 1, 2]
    pixel, depth = camera.project(HANDS)
    assert a.centre_px == pytest.approx(pixel, abs=1e-3)
    assert a.side_px == pytest.approx(WINDOW_M * 200.0 / depth, rel=1e-4)
    assert a.features.shape == (3, WINDOW_FEATURES)
    assert a.features.dtype == a.centre_px.dtype == a.side_px.dtype == np.float32


@pytest.mark.parametrize("depth_m", [1.0, 1.7, 3.0])
@pytest.mark.parametrize("aside_m", [0.0, 0.31])
def test_a_window_shows_so_many_metres_however_far_away(depth_m: float, aside_m: float) -> None:
    """A white square of half a window's side around the hand fills a quarter of the window, in its middle."""
    camera = camera_at(look_at((0.0, 0.0, depth_m), (0.0, 0.0, 0.0)), (0.0, 0.0, 0.0, 0.0, 0.0))
    hand = np.array([[aside_m, 0.1, 0.0]], np.float32)
    (u, v), half = camera.project(hand)[0][0], WINDOW_M / 4 * 200.0 / depth_m
    columns, rows = np.meshgrid(np.arange(WIDTH), np.arange(HEIGHT))
    picture = np.where((np.abs(columns - u) < half) & (np.abs(rows - v) < half), 255, 0).astype(np.uint8)
    a = aimed(camera, hand, np.zeros((1, 2), np.float32))
    window = cut_windows(np.repeat(picture[..., None], 3, axis=2), a.centre_px, a.side_px)
    assert window.shape == (1, WINDOW_PX, WINDOW_PX, 3)
    white = window[0, :, :, 0] / 255.0
    assert white.mean() == pytest.approx(0.25, abs=0.03)
    places = np.arange(WINDOW_PX) - (WINDOW_PX - 1) / 2
    assert white.sum(0) @ places / white.sum() == pytest.approx(0.0, abs=0.5)
    assert white.sum(1) @ places / white.sum() == pytest.approx(0.0, abs=0.5)


def test_sizes_have_bounds() -> None:
    camera = camera_at(look_at((0.0, 0.0, 0.0), (1.0, 0.0, 0.0)))
    hands = np.array([[0.35, 0.0, 0.0], [30.0, 0.0, 0.0]], np.float32)
    assert aimed(camera, hands, hands[:, :2]).side_px.tolist() == [MAX_SIDE_PX, MIN_SIDE_PX]


def test_hands_out_of_the_picture_have_no_window() -> None:
    camera = camera_at(ACROSS)
    hands = HANDS.copy()
    hands[0] = ACROSS[:3, 3] - ACROSS[:3, 2]  # behind the camera
    hands[2, 2] = 40.0  # high above its picture
    a = aimed(camera, hands)
    assert a.row.tolist() == [1]
    assert a.features == pytest.approx(aimed(camera).features[1:2], abs=1e-5)


def test_beyond_the_picture_its_edge_is_repeated() -> None:
    picture = np.repeat((np.arange(HEIGHT)[:, None] + np.zeros(WIDTH))[..., None], 3, axis=2).astype(np.uint8)
    (window,) = cut_windows(picture, np.array([[5.0, 0.0]], np.float32), np.array([32.0], np.float32))
    assert (window[:16] == 0).all()
    assert window[-1, 0].tolist() == pytest.approx([15.5] * 3, abs=0.6)
    (last,) = cut_windows(picture, np.array([[WIDTH, HEIGHT - 1]], np.float32), np.array([64.0], np.float32))
    assert (last[16:] == HEIGHT - 1).all()


def test_features_tell_nothing_of_the_cameras_place() -> None:
    """The whole shop moved over the floor and turned, camera and people: the same numbers."""
    moved = yaw_transform(7.0, -3.0, 0.0, 0.8)
    hands = HANDS @ moved[:3, :3].T.astype(np.float32) + moved[:3, 3].astype(np.float32)
    here, there = aimed(camera_at(ACROSS)), aimed(camera_at(moved @ ACROSS), hands, hands_floor(moved))
    assert there.features == pytest.approx(here.features, abs=1e-3)
    assert there.centre_px == pytest.approx(here.centre_px, abs=0.02)


def hands_floor(moved: NDArray[np.float64]) -> Float32:
    """BODIES after a move over the floor."""
    return (BODIES @ moved[:2, :2].T + moved[:2, 3]).astype(np.float32)


def test_features_do_tell_where_the_body_is_and_how_sure_the_hand() -> None:
    camera = camera_at(ACROSS)
    here = aimed(camera).features
    other = aimed(camera, HANDS, BODIES + np.float32(0.4)).features
    assert np.abs(other[:, 2:4] - here[:, 2:4]).max() > 0.1
    again = aim(camera, HANDS, BODIES, np.full(3, 0.3, np.float32), np.ones(3, np.float32)).features
    assert again[:, -2:].tolist() == [[1.0, 1.0]] * 3


def test_a_mirrored_camera_has_the_mirrored_windows() -> None:
    flip = np.diag([1.0, -1.0, 1.0, 1.0])
    ours = camera_at(ACROSS)
    theirs = replace(ours, world_from_camera=flip @ ACROSS @ np.diag([-1.0, 1.0, 1.0, 1.0]))
    side = np.array([1, -1, 1], np.float32)
    a, b = aimed(ours), aimed(theirs, HANDS * side, BODIES * side[:2])
    assert a.features * MIRRORED == pytest.approx(b.features, abs=1e-3)
    assert np.abs(a.features[:, MIRRORED < 0]).max() > 0.05  # there is something to mirror
    coarse = np.random.Generator(np.random.PCG64(1)).integers(0, 256, (HEIGHT // 16, WIDTH // 16, 3), dtype=np.uint8)
    picture = np.asarray(cv2.resize(coarse, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC), dtype=np.uint8)
    seen, mirrored = cut_windows(picture, a.centre_px, a.side_px), cut_windows(picture[:, ::-1], b.centre_px, b.side_px)
    away = np.abs(seen[:, :, ::-1].astype(np.int32) - mirrored)
    assert away.mean() < 1.5  # rounding is not mirrored
    assert np.abs(seen.astype(np.int32) - mirrored).mean() > 5


def test_windows_of_no_camera() -> None:
    nobody = aimed(camera_at(ACROSS), HANDS[:0], BODIES[:0])
    assert (len(nobody.row), nobody.features.shape) == (0, (0, WINDOW_FEATURES))
