"""Windows before a scale's lanes: the nearest cameras, metric sizes, nothing that tells the place, heads' scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from openaisle.model.tasks import actor as task
from openaisle.sim.stores import open_store
from openaisle.store.coverage import coverage
from openaisle.store.geometry import Camera, Float, apply, yaw_transform
from openaisle.store.store import Lane
from openaisle.tokens.actor import (
    ABOVE_M,
    ACTOR_CELLS,
    ACTOR_FEATURES,
    ACTOR_M,
    ACTOR_PX,
    ACTOR_SLOTS,
    BEYOND,
    BEYOND_CELLS,
    DEEP_M,
    DOUBT,
    GRASPS_M,
    HIGH_M,
    MAX_ACTOR_VIEWS,
    MAX_SIDE_PX,
    MIDDLE_FRAME,
    MIN_SIDE_PX,
    NOBODY,
    OUT_M,
    OUTSIDE,
    ActorView,
    UInt8,
    actor_views,
    added,
    fronts_seen,
    grasps,
    scores,
    where,
    whose,
)
from tests.tokens.test_shelf import DEEP, HEIGHT, LANE, WIDTH, camera_at

BESIDE = replace(LANE, id="wall.s1.l2", index=1, world_from_lane=yaw_transform(2.4, 3.0, 1.0, 0.0))
MIDDLE = np.array([2.15, 3.0 - OUT_M, (1.15 + ABOVE_M) / 2])  # of LANE's window
# what lies on the other side of a mirror: the picture's middle, and the way out of the shelf
MIRRORED = np.array([1, 1, -1, 1, 1, -1, 1, 1, 1], np.float32)
ACROSS = camera_at(1.0, 0.6, 2.6, target_m=np.array([2.6, 2.8, 0.9]))
CELL = 2 / ACTOR_CELLS  # in half windows
TURNS = np.linspace(-1.2, 1.2, 13).tolist()


def views_of(lanes: Sequence[Lane], cameras: Sequence[Camera], clear: Sequence[bool] = ()) -> tuple[ActorView, ...]:
    """Views of lanes whose fronts these cameras see: all, where it is not told."""
    sees = np.repeat(np.array(clear or [True] * len(cameras))[:, None], 1 + max(lane.index for lane in lanes), axis=1)
    return actor_views(lanes, cameras, sees)


def view_of(lanes: Sequence[Lane], camera: Camera) -> ActorView:
    (view,) = views_of(lanes, (camera,))
    return view


def middle_of(*lanes: Lane) -> Float:
    """Where the windows of lanes are centred."""
    front = np.mean([lane.front_m for lane in lanes], axis=0)
    out: Float = front + OUT_M * np.mean([lane.outward_m for lane in lanes], axis=0)
    return np.array([out[0], out[1], (front[2] + ABOVE_M) / 2])


def test_the_nearest_cameras_come_first_and_the_farthest_not_at_all() -> None:
    away = (2.6, 1.5, 3.2, 1.8, 3.5, 2.2, 2.9, 3.8)
    cameras = tuple(camera_at(MIDDLE[0], MIDDLE[1] - m, 1.6, target_m=MIDDLE) for m in away)
    views = views_of([LANE], cameras)
    assert [view.camera for view in views] == np.argsort(away)[:MAX_ACTOR_VIEWS].tolist()
    for view in views:
        pixel, depth = cameras[view.camera].project(MIDDLE)
        assert view.centre_px == pytest.approx(pixel, abs=1e-3)
        assert view.side_px == pytest.approx(ACTOR_M * 200.0 / depth, rel=1e-4)
    assert MIN_SIDE_PX < min(view.side_px for view in views) < max(view.side_px for view in views) < MAX_SIDE_PX


def test_cameras_that_see_the_front_come_before_nearer_ones_that_do_not() -> None:
    away = (2.6, 1.5, 3.2, 1.8, 3.5, 2.2, 2.9, 3.8)
    cameras = tuple(camera_at(MIDDLE[0], MIDDLE[1] - m, 1.6, target_m=MIDDLE) for m in away)
    clear = [True, False, True, False, True, False, True, True]
    shown = [view.camera for view in views_of([LANE], cameras, clear)]
    assert shown == [0, 6, 2, 4, 7, 1][:MAX_ACTOR_VIEWS]
    fronts = np.zeros((len(cameras), 2), bool)
    fronts[4, BESIDE.index] = True  # of two lanes on one scale it sees one
    assert actor_views([LANE, BESIDE], cameras, fronts)[0].camera == 4


def test_fronts_are_seen_from_before_them_and_not_through_fixtures() -> None:
    store = open_store("random:corner", 7)
    sees = fronts_seen(store)
    assert sees.shape == (len(store.cameras), len(store.lanes))
    assert np.array_equal(sees, coverage(store).sees)
    assert sees.any(0).all()
    assert not sees.all()


def test_windows_are_as_large_in_metres_and_within_reason_in_pixels() -> None:
    near = camera_at(2.15, 1.2, 1.3, target_m=MIDDLE)
    assert view_of([LANE], near).side_px < MAX_SIDE_PX
    assert view_of([LANE], replace(near, fx_px=600.0, fy_px=600.0)).side_px == MAX_SIDE_PX
    assert view_of([LANE], camera_at(2.15, -25.0, 1.3)).side_px == MIN_SIDE_PX
    straight = replace(camera_at(2.15, 0.4, 1.3, target_m=MIDDLE), distortion=(0.0, 0.0, 0.0, 0.0, 0.0))
    across = MIDDLE + np.array([[-1, 0, 0], [1, 0, 0]]) * ACTOR_M / 2
    assert view_of([LANE], straight).place(straight, across)[:, 0] == pytest.approx([-1, 1], abs=1e-3)


def test_windows_are_centred_before_the_lanes_half_way_up() -> None:
    low = replace(LANE, world_from_lane=yaw_transform(2.0, 3.0, 0.1, 0.0))
    for lanes in ([LANE], [low], [DEEP], [LANE, BESIDE]):
        view = view_of(lanes, ACROSS)
        assert view.place(ACROSS, middle_of(*lanes)) == pytest.approx([0, 0], abs=1e-4)
        assert view.place(ACROSS, middle_of(*lanes)[None, None]).shape == (1, 1, 2)
    assert middle_of(low)[2] == pytest.approx((0.25 + ABOVE_M) / 2)
    assert middle_of(LANE, BESIDE)[0] == pytest.approx(2.35)


def test_cameras_that_do_not_see_it_give_none() -> None:
    away = camera_at(1.0, 1.2, 2.6, target_m=np.array([1.0, 0.0, 1.0]))
    aside = camera_at(1.0, 1.2, 2.6, target_m=np.array([-0.6, 3.0, 1.1]))
    close = camera_at(2.15, MIDDLE[1] - 0.35, 1.2)
    among = camera_at(2.15, MIDDLE[1] - 0.8, 1.2)  # who takes something there stands in it
    assert views_of([LANE], (away, aside, close, among)) == ()
    assert [view.camera for view in views_of([LANE], (away, ACROSS, aside))] == [1]


def turned(turn: float) -> Camera:
    """A camera before the lanes that looks so many radians to the right of them."""
    return camera_at(2.15, 0.2, 1.3, target_m=np.array([2.15 + np.sin(turn), 0.2 + np.cos(turn), 1.3]))


@pytest.mark.parametrize("turn", TURNS)
def test_a_window_may_hang_over_the_edge_of_the_picture_by_a_quarter(turn: float) -> None:
    camera = turned(turn)
    pixel, depth = camera.project(MIDDLE)
    beyond = max(-pixel[0], pixel[0] - (WIDTH - 1)) - 0.5
    views = views_of([LANE], (camera,))
    assert bool(views) == (beyond <= BEYOND * ACTOR_M * 200.0 / float(depth))
    if views:
        assert views[0].centre_px == pytest.approx(pixel, abs=1e-3)


def test_some_windows_hang_over_the_edge_and_some_too_far() -> None:
    cameras = [turned(turn) for turn in TURNS]
    told = {(bool(c.sees(MIDDLE[None])[0]), bool(views_of([LANE], (c,)))) for c in cameras}
    assert told == {(True, True), (False, True), (False, False)}


def covered(lanes: Sequence[Lane], camera: Camera, view: ActorView) -> UInt8:
    """Cells [48, 48] onto which a dense grid of points in the lanes' fronts falls."""
    shown = np.zeros((ACTOR_CELLS, ACTOR_CELLS), np.uint8)
    for lane in lanes:
        size = np.minimum(lane.size_m, (np.inf, DEEP_M, HIGH_M))
        points = apply(lane.world_from_lane, np.stack(np.meshgrid(*(np.linspace(0, m, 50) for m in size)), -1))
        at = ((camera.project(points.reshape(-1, 3))[0] - view.centre_px) / view.side_px + 0.5) * ACTOR_CELLS - 0.5
        at = np.round(at[((at > -0.5) & (at < ACTOR_CELLS - 0.5)).all(1)]).astype(int)
        shown[at[:, 1], at[:, 0]] = 255
    return shown


@pytest.mark.parametrize("lanes", [[LANE], [DEEP], [LANE, BESIDE]])
@pytest.mark.parametrize("position", [(1.0, 0.6, 2.6), (2.9, 0.9, 1.3), (2.3, 1.4, 2.9)])
def test_the_area_covers_the_lanes(lanes: list[Lane], position: tuple[float, float, float]) -> None:
    camera = camera_at(*position, target_m=MIDDLE)
    view = view_of(lanes, camera)
    shown = covered(lanes, camera, view)
    wider = np.ones((3, 3), np.uint8)  # corners are rounded to cells
    assert (cv2.dilate(view.area, wider) >= shown).all()
    assert (cv2.dilate(shown, wider) >= view.area).all()
    assert view.area.shape == (ACTOR_CELLS, ACTOR_CELLS)
    assert set(np.unique(view.area)) == {0, 255}
    assert 0.005 < (view.area > 0).mean() < 0.4


def test_a_cut_shows_a_point_where_place_says() -> None:
    points = MIDDLE + np.array([[0, 0, 0], [0.5, 0, 0.3], [-0.6, -0.2, 0.5], [0.2, 0.1, -0.4]])
    view = view_of([LANE], ACROSS)
    at = view.place(ACROSS, points)
    assert np.abs(at).max() < 0.9
    for point, place in zip(ACROSS.project(points)[0], at, strict=True):
        rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH]
        spot = 255 * np.exp(-((columns - point[0]) ** 2 + (rows - point[1]) ** 2) / 32)
        window = view.cut(np.repeat(spot[..., None], 3, -1).astype(np.uint8))
        assert window.shape == (ACTOR_PX, ACTOR_PX, 3)
        assert window.dtype == np.uint8
        weight = window[..., 0].astype(np.float64)
        along = (np.arange(ACTOR_PX) + 0.5) * 2 / ACTOR_PX - 1
        found = np.array([weight.sum(0) @ along, weight.sum(1) @ along]) / weight.sum()
        assert found == pytest.approx(place, abs=0.5 * CELL)


def test_what_lies_behind_the_camera_is_far_outside() -> None:
    view = view_of([LANE], ACROSS)
    behind = ACROSS.world_from_camera[:3, 3] - ACROSS.world_from_camera[:3, 2]
    assert view.place(ACROSS, behind).tolist() == [9.0, 9.0]
    assert np.abs(view.place(ACROSS, np.array([[50.0, 3.0, 1.0], [-40.0, 90.0, 2.0]]))).max() <= 9.0


def test_features_tell_nothing_of_the_place_or_of_numbers() -> None:
    """The whole shop moved over the floor and turned, another lane's name, another camera's number: the same."""
    moved = yaw_transform(7.0, -3.0, 0.0, 0.8)
    here = view_of([LANE], ACROSS)
    theirs = replace(ACROSS, id="z", world_from_camera=moved @ ACROSS.world_from_camera)
    other = replace(DEEP, size_m=LANE.size_m, world_from_lane=moved @ LANE.world_from_lane)
    (there,) = views_of([other], (camera_at(0.0, 0.0, 2.0), theirs))
    assert (here.camera, there.camera) == (0, 1)
    assert here.features.shape == (ACTOR_FEATURES,)
    assert here.features.dtype == here.centre_px.dtype == np.float32
    assert there.features == pytest.approx(here.features, abs=1e-4)
    assert there.centre_px == pytest.approx(here.centre_px, abs=0.02)
    assert there.side_px == pytest.approx(here.side_px, rel=1e-5)
    assert (there.area != here.area).mean() < 0.01


def test_features_do_tell_how_the_lanes_are_seen() -> None:
    ours = view_of([LANE], ACROSS).features
    low = replace(DEEP, world_from_lane=yaw_transform(2.0, 2.6, 0.4, 0.5))
    higher = replace(ACROSS, world_from_camera=ACROSS.world_from_camera + np.outer([0, 0, 0.2, 0], [0, 0, 0, 1]))
    assert np.abs(view_of([low], higher).features - ours).min() > 0.005


def test_a_mirrored_shop_has_the_mirrored_views() -> None:
    flip = np.diag([-1.0, 1.0, 1.0, 1.0])
    across = flip + np.array([0, 0, 0, LANE.size_m[0]]) * np.eye(4)[:, :1]  # its left end is the other one
    theirs = replace(ACROSS, world_from_camera=flip @ ACROSS.world_from_camera @ flip)
    lane = replace(LANE, world_from_lane=flip @ LANE.world_from_lane @ across)
    a, b = view_of([LANE], ACROSS), view_of([lane], theirs)
    assert a.features * MIRRORED == pytest.approx(b.features, abs=1e-4)
    assert np.abs(a.features[MIRRORED < 0]).min() > 0.05  # there is something to mirror
    assert b.centre_px == pytest.approx([WIDTH - 1 - a.centre_px[0], a.centre_px[1]], abs=1e-3)
    assert (a.area[:, ::-1] != b.area).mean() < 0.01  # rounding is not mirrored
    assert (a.area != b.area).mean() > 0.01
    head = np.array([1.7, 2.3, 1.6])
    assert b.place(theirs, head * [-1, 1, 1]) == pytest.approx(a.place(ACROSS, head) * [-1, 1], abs=1e-4)


def test_frames_lie_around_the_instant() -> None:
    assert ACTOR_SLOTS[MIDDLE_FRAME] == 0
    assert list(ACTOR_SLOTS) == sorted(set(ACTOR_SLOTS))


@pytest.mark.parametrize("lane", [LANE, DEEP, replace(LANE, size_m=(0.2, 0.25, 0.2))])
def test_hands_that_take_something_are_inside_of_the_lane(lane: Lane) -> None:
    local = apply(lane.lane_from_world, grasps(lane))
    width, depth, clearance = lane.size_m
    assert local.shape == (len(GRASPS_M), 3)
    assert local[:, 0] == pytest.approx([width / 2] * 3)
    assert local[:, 1] == pytest.approx([min(deep, 0.8 * depth) for deep in GRASPS_M])
    assert (local[:, 1] < depth).all()
    assert (local[:, 2] < clearance).all()
    assert (local[:, 2] > 0.05).all()
    view = view_of([lane], ACROSS)
    at = np.round((view.place(ACROSS, grasps(lane)) + 1) * ACTOR_CELLS / 2 - 0.5).astype(int)
    assert (cv2.dilate(view.area, np.ones((3, 3), np.uint8))[at[:, 1], at[:, 0]] == 255).all()


def said_at_random(windows: int, seed: int = 3) -> torch.Tensor:
    """Log-probabilities [W, 2306]."""
    told = np.random.default_rng(seed).normal(0, 2, (windows, OUTSIDE + 2)).astype(np.float32)
    return torch.from_numpy(told).log_softmax(-1)


def test_places_are_scored_as_in_training() -> None:
    """Inside of the window, at its border and outside of it; between cells' middles; in whichever window."""
    rng, told = np.random.default_rng(3), said_at_random(3)
    edge = float(np.nextafter(np.float32(1), np.float32(0)))
    border = [1.0, -1.0, edge, -edge, 1 - CELL / 2, CELL / 2 - 1, 1 - CELL / 4, 0.0, 1.0001, -1.0001, 9.0, -9.0]
    heads = np.concatenate(
        [
            rng.uniform(-1.2, 1.2, (3, 300, 2)),
            (rng.integers(0, ACTOR_CELLS, (3, 50, 2)) + 0.5) * CELL - 1,
            rng.choice(border, (3, 200, 2)),
        ],
        axis=1,
    ).astype(np.float32)
    found = scores(told.numpy(), heads)
    assert found.shape == (3, 550)
    assert found.dtype == np.float32
    assert found == pytest.approx(task.scores(told, torch.from_numpy(heads)).numpy(), abs=2e-4)
    inside = (np.abs(heads) < 1).all(-1)
    assert inside.any()
    assert (~inside).any()


def test_a_place_scores_what_its_cell_says_and_outside_what_one_of_many_does() -> None:
    told = (np.arange(2 * (OUTSIDE + 2)).reshape(2, -1) / 100).astype(np.float32)
    heads = np.array([[[0.5 * CELL - 1, 3.5 * CELL - 1], [1.4, 0.0]], [[46.5 * CELL - 1, 47.5 * CELL - 1], [0, -1]]])
    found = scores(told, heads.astype(np.float32))
    beyond = told[:, OUTSIDE] - np.log(BEYOND_CELLS)
    assert found[:, 0] == pytest.approx([told[0, 3 * ACTOR_CELLS], told[1, 47 * ACTOR_CELLS + 46]], abs=1e-3)
    assert found[:, 1] == pytest.approx(beyond, abs=1e-4)
    assert NOBODY == OUTSIDE + 1 == told.shape[1] - 1
    assert scores(told, np.zeros((2, 0, 2), np.float32)).shape == (2, 0)


def test_views_add_up_as_in_training() -> None:
    rng = np.random.default_rng(8)
    each = rng.normal(0, 6, (4, 5)).astype(np.float32)
    together = task.added(torch.from_numpy(each), torch.zeros(4, dtype=torch.int64))[0]
    assert added(each) == pytest.approx(together.numpy(), abs=1e-4)
    assert added(each + np.float32(7)) == pytest.approx(added(each), abs=1e-4)  # odds have no constant


def test_no_view_is_quite_believed() -> None:
    """However sure one is: two that say the other, and are hardly sure, outvote it."""
    sure, other = np.array([[0.0, -200.0]], np.float32), np.log(np.array([[0.1, 0.9]], np.float32))
    assert np.ptp(added(sure)) == pytest.approx(np.log((1 + DOUBT) / DOUBT), abs=1e-3)
    assert added(np.concatenate([sure, other, other, other])).argmax() == 1
    assert added(np.concatenate([sure, sure, other])).argmax() == 0


def test_who_it_was_is_told_at_everybodys_head_and_nobody_last() -> None:
    told, heads = said_at_random(2).numpy(), np.random.default_rng(1).uniform(-1.2, 1.2, (2, 3, 2)).astype(np.float32)
    each = np.concatenate([scores(told, heads), told[:, NOBODY, None]], axis=1)
    assert whose(told, heads) == pytest.approx(added(each), abs=1e-5)
    clear = np.full((2, OUTSIDE + 2), -20.0, np.float32)
    heads[:, 1] = [[10.5 * CELL - 1, 5.5 * CELL - 1], [1.5, 0]]
    clear[0, 5 * ACTOR_CELLS + 10], clear[1, OUTSIDE] = 0.0, 0.0
    assert int(whose(clear, heads).argmax()) == 1
    clear[:, NOBODY] = 9.0
    assert int(whose(clear, heads).argmax()) == 3


def test_where_it_was_is_told_wherever_in_a_lane_the_hand_may_be() -> None:
    told = said_at_random(2).numpy()
    places = np.random.default_rng(1).uniform(-1.2, 1.2, (2, 4, 3, 2)).astype(np.float32)
    each = [[np.logaddexp.reduce(scores(told, places[:, lane])[w]) for lane in range(4)] for w in range(2)]
    assert where(told, places) == pytest.approx(added(np.array(each, np.float32)), abs=1e-4)
    for grasp in range(3):
        clear = np.full((2, OUTSIDE + 2), -20.0, np.float32)
        places[:, 2, grasp] = [10.5 * CELL - 1, (5.5 + 10 * grasp) * CELL - 1]
        clear[:, (5 + 10 * grasp) * ACTOR_CELLS + 10] = 0.0
        assert int(where(clear, places).argmax()) == 2
