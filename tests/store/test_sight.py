"""What cameras see, where people walk, how the plan is drawn, and what deserves a remark."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import cv2
import numpy as np
import pytest

from openaisle.errors import StoreError
from openaisle.store.coverage import Scene, blocked, coverage, floor_samples
from openaisle.store.notes import store_notes
from openaisle.store.plan import SEEN, plan_svg, plot_plan
from openaisle.store.schema import CameraSpec, FixtureSpec, StoreSpec
from openaisle.store.store import Store
from openaisle.store.walk import CELL_M, free_floor, reachable_lanes
from tests.store.tiny import tiny_spec, tiny_store

SQUARE = ((0.0, 0.0), (4.0, 0.0), (4.0, 4.0), (0.0, 4.0))


def box(x: float, y: float, yaw: float = 0.0, height: float = 1.5) -> FixtureSpec:
    """A fixture 1 m wide and 0.5 m deep."""
    return FixtureSpec(
        id="box", kind="wall", x_m=x, y_m=y, yaw_deg=yaw, width_m=1.0, depth_m=0.5, height_m=height
    )  # fmt: skip


def with_changes(**changes: object) -> Store:
    """The tiny store with other values in store.yaml."""
    store = tiny_store()
    spec = StoreSpec.model_validate({**tiny_spec().model_dump(), **changes})
    return Store(spec, store.products, store.planogram, store.pictures)


def test_a_fixture_hides_what_is_behind_it_and_nothing_else() -> None:
    scene = Scene((box(1.5, 2.0),), SQUARE)
    eye = np.array([2.0, 0.5, 1.0])
    points = np.array([[2.0, 3.5, 1.0], [2.0, 1.9, 1.0], [3.8, 3.5, 1.0], [2.0, 3.5, 3.5], [2.0, 2.25, 0.7]])
    assert blocked(eye, points, scene).tolist() == [True, False, False, False, True]
    own = np.array([-1, -1, -1, -1, 0])
    assert blocked(eye, points, scene, own).tolist() == [True, False, False, False, False]


def test_blocking_agrees_with_walking_along_the_line() -> None:
    rng = np.random.Generator(np.random.PCG64(4))
    places = [(*rng.uniform(0.5, 2.5, 2), rng.uniform(-180, 180)) for _ in range(3)]
    scene = Scene(tuple(box(float(x), float(y), float(yaw)) for x, y, yaw in places), SQUARE)
    eyes, points = rng.uniform([0, 0, 2], [4, 4, 3], (25, 3)), rng.uniform([0, 0, 0], [4, 4, 2], (40, 3))
    along = np.linspace(0, 0.998, 1500)[:, None, None]
    wrong = 0
    for eye in eyes:
        track = eye + (points - eye) * along
        inside = np.zeros(track.shape[:2], dtype=np.bool_)
        for fixture in scene.fixtures:
            c, s = np.cos(np.deg2rad(fixture.yaw_deg)), np.sin(np.deg2rad(fixture.yaw_deg))
            d = track - [fixture.x_m, fixture.y_m, 0]
            u, v = d[..., 0] * c + d[..., 1] * s, d[..., 1] * c - d[..., 0] * s
            inside |= (u > 0) & (u < 1) & (v > 0) & (v < 0.5) & (d[..., 2] > 0) & (d[..., 2] < fixture.height_m)
        wrong += int((inside.any(axis=0) != blocked(eye, points, scene)).sum())
    assert wrong <= 3  # grazing a corner between two samples


def test_a_wall_of_an_l_shaped_room_hides_the_other_leg() -> None:
    floor = ((0.0, 0.0), (4.0, 0.0), (4.0, 2.0), (2.0, 2.0), (2.0, 4.0), (0.0, 4.0))
    points = np.array([[1.8, 3.8, 1.0], [1.0, 1.0, 1.0], [0.2, 2.1, 1.0]])
    assert blocked(np.array([3.8, 1.8, 2.5]), points, Scene((), floor)).tolist() == [True, False, False]


def test_floor_samples_are_on_free_floor() -> None:
    points = floor_samples(SQUARE, [box(1.0, 1.0)], 0.1)
    assert len(points) == 1600 - 50
    assert not ((points > [1, 1]) & (points < [2, 1.5])).all(axis=1).any()


def test_coverage_of_the_tiny_store() -> None:
    """The camera looks over the room at the wall shelf; the table's lane opens to the left, towards it."""
    seen = coverage(tiny_store())
    assert seen.lane_cameras.tolist() == [1, 1, 1]
    assert 0.3 < seen.floor_one < 1.0
    assert seen.floor_two == 0.0
    behind = tiny_spec().cameras[0].model_copy(update={"position_m": (2.6, 2.9, 2.6), "look_at_m": (2.6, 1.0, 0.0)})
    assert coverage(with_changes(cameras=[behind])).lane_cameras.tolist()[:2] == [0, 0]  # from behind the shelf


def test_coverage_without_cameras() -> None:
    seen = coverage(with_changes(cameras=[]))
    assert seen.lane_cameras.tolist() == [0, 0, 0]
    assert seen.floor_one == 0.0


def test_walkable_floor_keeps_its_distance() -> None:
    store = tiny_store()
    floor = free_floor(store, 0.28)
    assert floor.walkable.sum() * CELL_M**2 > 4.0
    at = floor.cells(np.array([[2.0, 1.0], [3.0, 2.8], [3.4, 1.5]]))
    assert floor.walkable[at[:, 0], at[:, 1]].tolist() == [True, False, False]  # open floor, wall shelf, table
    assert reachable_lanes(store).all()


def test_a_blocked_aisle_cuts_lanes_off() -> None:
    barrier = FixtureSpec(id="barrier", kind="counter", x_m=0.3, y_m=1.0, width_m=3.6, depth_m=0.2, height_m=1.0)
    spec = tiny_spec()
    store = with_changes(fixtures=[*(f.model_dump() for f in spec.fixtures), barrier.model_dump()])
    assert not reachable_lanes(store).any()
    assert any("nobody can walk to" in note.what for note in store_notes(store))


def test_the_plan_shows_every_part() -> None:
    root = ET.fromstring(plan_svg(tiny_store()))
    space = "{http://www.w3.org/2000/svg}"
    words = {element.text for element in root.iter(f"{space}text")}
    assert {"door", "cam", "wall wall", "table table"} <= words
    one_camera = "#{:02x}{:02x}{:02x}".format(*SEEN[1])
    fills = [element.get("fill") for element in root.iter(f"{space}polygon")]
    assert fills.count(one_camera) == 3 + 1  # three lanes and the legend
    width, height = float(root.get("width", "0")), float(root.get("height", "0"))
    assert width / height == pytest.approx((4 + 1.2) / (3 + 1.2 + 0.45), rel=0.01)


def test_plans_as_files(tmp_path: Path) -> None:
    store = tiny_store()
    plot_plan(store, tmp_path / "plan.svg")
    plot_plan(store, tmp_path / "plan.png")
    assert (tmp_path / "plan.svg").read_text(encoding="utf-8") == plan_svg(store)
    picture = cv2.imread(str(tmp_path / "plan.png"))
    assert picture is not None
    assert max(picture.shape) == 1600
    assert (picture[:, :, ::-1] == SEEN[1]).all(axis=2).sum() > 1000
    with pytest.raises(StoreError, match="svg or"):
        plot_plan(store, tmp_path / "plan.pdf")


def test_names_cannot_break_the_drawing() -> None:
    root = ET.fromstring(plan_svg(with_changes(name='Fish & "Chips" <3')))
    assert any('Fish & "Chips" <3' in (element.text or "") for element in root.iter())


def test_remarks() -> None:
    store = tiny_store()
    assert [note.what for note in store_notes(store) if "floor" not in note.what] == []
    thick = store.products[0].model_copy(update={"width_mm": 500.0, "weight_grams": 0.0})
    bare = with_changes(scales=[], cameras=[])
    notes = store_notes(Store(bare.spec, (thick, *store.products[1:]), store.planogram[:2], {}))
    words = " / ".join(note.what for note in notes)
    said = ("no cameras", "no scale carries", "no product lies in table.top.l1", "500 mm wide")
    for part in (*said, "no weight is known", "no picture is known"):
        assert part in words
    assert all(note.fix for note in notes)


def test_a_camera_that_sees_nothing_is_remarked_on() -> None:
    up = CameraSpec.model_validate({**tiny_spec().cameras[0].model_dump(), "look_at_m": [1.5, 0.5, 2.9]})
    words = [note.what for note in store_notes(with_changes(cameras=[up.model_dump()]))]
    assert any("no camera sees wall.s1.l1, wall.s1.l2, table.top.l1" in said for said in words)
    assert any("0% of the free floor" in said for said in words)
