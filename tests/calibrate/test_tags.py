"""Tags: tables, sheets and sightings; poses of a simulated shop's cameras that store.yaml had wrong are found again."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from openaisle.calibrate import sheets
from openaisle.calibrate.bundle import between, nudged, pose_fields
from openaisle.calibrate.extrinsics import first_pose, place_cameras
from openaisle.calibrate.films import Shot
from openaisle.calibrate.store_cameras import tags_job
from openaisle.calibrate.tags import Sighting, Tag, TagSpec, find_tags, read_tags, sightings, tag_from_spec
from openaisle.errors import RecordingError
from openaisle.sim.render import Renderer
from openaisle.store.geometry import Camera, look_at, rigid
from openaisle.store.load import load_spec, load_store, save_store, write_picture
from openaisle.store.schema import CameraSpec
from openaisle.store.store import Store, camera_from_spec
from tests.calibrate.painter import film, paint, tag_sheet
from tests.sim.render_scene import snapshot, stock

ROOT = Path(__file__).resolve().parents[2]
HEADER = "tag,x_m,y_m,z_m,size_mm,facing_deg,tilt_deg\n"
# On the floor and the walls of stores/kiosk.
PLACES = (
    (0.8, 1.2, 0, 270, 90), (1.6, 2.2, 0, 270, 90), (2.8, 1.2, 0, 0, 90), (1.2, 3.2, 0, 90, 90), (2.6, 3.0, 0, 270, 90),
    (3.3, 2.1, 0, 200, 90), (0, 1.0, 1.2, 0, 0), (0, 3.0, 1.2, 0, 0), (4.1, 1.0, 1.2, 180, 0), (4.1, 3.2, 1.2, 180, 0),
    (2.0, 0, 1.3, 90, 0), (1.0, 4.35, 1.3, 270, 0),
)  # fmt: skip


def table(size_mm: float) -> str:
    """tags.csv of the kiosk."""
    rows = [f"{n},{x},{y},{z},{size_mm},{facing},{tilt}" for n, (x, y, z, facing, tilt) in enumerate(PLACES)]
    return HEADER + "\n".join(rows) + "\n"


@pytest.fixture
def written(tmp_path: Path) -> dict[int, Tag]:
    """The kiosk's tags as tags.csv has them."""
    (tmp_path / "tags.csv").write_text(table(150))
    return read_tags(tmp_path / "tags.csv")


def hung(tags: Mapping[int, Tag], rng: np.random.Generator) -> dict[int, Tag]:
    """The tags as they really hang: millimetres and half degrees off."""
    errors = {number: np.concatenate([rng.normal(0, 0.009, 3), rng.normal(0, 0.003, 3)]) for number in tags}
    return {n: replace(tag, world_from_tag=nudged(tag.world_from_tag, errors[n])) for n, tag in tags.items()}


def seen_by(camera: Camera, tags: Mapping[int, Tag], rng: np.random.Generator) -> list[Sighting]:
    """What a detector with noisy corners sees in an empty room."""
    out = []
    for number, tag in tags.items():
        towards = (camera.world_from_camera[:3, 3] - tag.world_from_tag[:3, 3]) @ tag.world_from_tag[:3, 2]
        if camera.sees(tag.corners_m, 3).all() and towards > 0.3:
            corners = camera.project(tag.corners_m)[0]
            out.append(Sighting(number, corners + rng.normal(0, 0.2, corners.shape), 1))
    return out


def perturbed(camera: Camera, rng: np.random.Generator) -> Camera:
    """The camera some decimetres and degrees from where it hangs."""
    error = np.concatenate([rng.normal(0, 0.1, 3), rng.normal(0, 0.2, 3)])
    return replace(camera, world_from_camera=nudged(camera.world_from_camera, error))


def test_a_tag_faces_its_reader() -> None:
    wall = tag_from_spec(TagSpec(tag=1, x_m=4, y_m=1, z_m=1.5, size_mm=200, facing_deg=180))  # on the right wall
    assert wall.corners_m == pytest.approx(
        np.array([[4, 1.1, 1.6], [4, 0.9, 1.6], [4, 0.9, 1.4], [4, 1.1, 1.4]])  # seen from the left: +y is to the left
    )
    floor = tag_from_spec(
        TagSpec(tag=1, x_m=2, y_m=1, z_m=0, size_mm=200, facing_deg=270, tilt_deg=90)
    )  # from the door
    assert floor.corners_m == pytest.approx(np.array([[1.9, 1.1, 0], [2.1, 1.1, 0], [2.1, 0.9, 0], [1.9, 0.9, 0]]))
    ceiling = tag_from_spec(TagSpec(tag=1, x_m=2, y_m=1, z_m=3, size_mm=200, facing_deg=270, tilt_deg=-90))
    assert ceiling.world_from_tag[:3, 2] == pytest.approx([0, 0, -1])
    assert np.linalg.det(ceiling.world_from_tag) == pytest.approx(1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            HEADER + "1,0,0,0,100,0,90\n1,1,0,0,100,0,90\n",
            "tags.csv: line 3, column tag: tag 1 stands in line 2 already",
        ),
        (HEADER + "700,0,0,0,100,0,90\n", "line 2, column tag"),
        (HEADER + "1,0,0,0,0.1,0,90\n", "line 2, column size_mm"),
        (HEADER, "there are no tags in it"),
        ("tag,x_m\n1,2\n", "the column 'facing_deg' is missing"),
        (None, "the file is missing"),
    ],
    ids=["twice", "number", "metres-for-millimetres", "empty", "columns", "missing"],
)
def test_a_bad_table_is_refused_with_its_line(text: str | None, message: str, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / "tags.csv").write_text(text)
    with pytest.raises(RecordingError) as error:
        read_tags(tmp_path / "tags.csv")
    assert message in str(error.value)


def test_printed_tags_are_found_at_their_size(tmp_path: Path) -> None:
    figure = sheets.tag_page(17, 120.0, sheets.paper("a4"))
    figure.savefig(tmp_path / "tag.png", dpi=127)  # 5 pixels a millimetre
    grey = cv2.imread(str(tmp_path / "tag.png"), cv2.IMREAD_GRAYSCALE)
    assert grey is not None
    found = find_tags(np.asarray(grey, np.uint8))
    assert list(found) == [17]
    left_top, right_top, right_low, left_low = found[17]
    assert right_top - left_top == pytest.approx([600, 0], abs=1.5)
    assert left_low - left_top == pytest.approx([0, 600], abs=1.5)
    assert right_low - left_top == pytest.approx([600, 600], abs=1.5)
    sheets.write_tags(sheets.numbers("3:6"), 120.0, sheets.paper("a4"), tmp_path / "tags.pdf")
    assert len(re.findall(rb"/Type /Page\b", (tmp_path / "tags.pdf").read_bytes())) == 3


@pytest.mark.parametrize(
    ("ids", "size_mm", "paper", "out", "message"),
    [
        ("0:x", 100, "a4", "t.pdf", "'0:x' is unclear"),
        ("5:5", 100, "a4", "t.pdf", "no tags are asked for"),
        ("600", 100, "a4", "t.pdf", "there is no tag 600"),
        ("1", 200, "a4", "t.pdf", "200 mm does not fit"),
        ("1", 100, "a7", "t.pdf", "'a7' is not known"),
        ("1", 100, "a4", "t.png", "cannot be written as '.png'"),
    ],
)
def test_impossible_sheets_are_refused(
    ids: str, size_mm: float, paper: str, out: str, message: str, tmp_path: Path
) -> None:
    with pytest.raises(RecordingError, match=message):
        sheets.write_tags(sheets.numbers(ids), size_mm, sheets.paper(paper), tmp_path / out)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("seed", [1, 2])
def test_wrong_poses_are_found_again(seed: int, written: dict[int, Tag]) -> None:
    rng = np.random.default_rng(seed)
    store = load_store(ROOT / "stores" / "kiosk")
    real = hung(written, rng)
    seen = {camera.id: seen_by(camera, real, rng) for camera in store.cameras}
    placement = place_cameras([perturbed(camera, rng) for camera in store.cameras], seen, written)
    assert placement.astray == {}
    for placed, truth in zip(placement.cameras, store.cameras, strict=True):
        metres, degrees = between(placed.camera.world_from_camera, truth.world_from_camera)
        assert metres < 3 * placed.sigma_m < 0.08
        assert degrees < 3 * placed.sigma_deg < 1.5
        assert placed.moved_m > 0.05
        assert placed.rms_px < 0.5


@pytest.mark.parametrize(
    ("error", "metres", "degrees"), [((0, 0, 0, 0.3, 0.1, 0), 0.316, 0), ((0, 0, np.pi / 2, 0, 0, 0), 0, 90)],
    ids=["moved", "turned"],
)  # fmt: skip
def test_a_tag_that_is_elsewhere_is_named_and_spoils_nothing(
    error: tuple[float, ...], metres: float, degrees: float, written: dict[int, Tag]
) -> None:
    rng = np.random.default_rng(4)
    store = load_store(ROOT / "stores" / "kiosk")
    real = hung(written, rng)
    real[4] = replace(written[4], world_from_tag=nudged(written[4].world_from_tag, np.array(error)))
    seen = {camera.id: seen_by(camera, real, rng) for camera in store.cameras}
    assert sum(any(one.number == 4 for one in some) for some in seen.values()) > 1
    placement = place_cameras([perturbed(camera, rng) for camera in store.cameras], seen, written)
    assert list(placement.astray) == [4]
    assert list(placement.astray[4]) == [pytest.approx(metres, abs=0.05), pytest.approx(degrees, abs=5)]
    for placed, truth in zip(placement.cameras, store.cameras, strict=True):
        assert between(placed.camera.world_from_camera, truth.world_from_camera)[0] < 0.05


def test_a_first_pose_survives_a_wrong_tag_and_needs_no_start(written: dict[int, Tag]) -> None:
    rng = np.random.default_rng(5)
    for camera in load_store(ROOT / "stores" / "kiosk").cameras:
        seen = seen_by(camera, written, rng)
        moved = {**written, seen[0].number: written[(seen[0].number + 6) % 12]}
        begun = first_pose(replace(camera, world_from_camera=np.eye(4)), seen, moved)
        assert between(begun.world_from_camera, camera.world_from_camera)[0] < 0.15


def test_too_few_tags_and_strange_ones_are_refused(written: dict[int, Tag]) -> None:
    rng = np.random.default_rng(6)
    camera = load_store(ROOT / "stores" / "kiosk").cameras[0]
    seen = seen_by(camera, written, rng)
    for few, message in (([], "sees no tag; 2 are needed"), (seen[:1], "sees only tag 0; 2 are needed")):
        with pytest.raises(RecordingError, match=message):
            place_cameras([camera], {camera.id: few}, written)
    with pytest.raises(RecordingError, match="not in the table: 1, 4"):
        place_cameras([camera], {camera.id: seen}, {n: tag for n, tag in written.items() if n not in (1, 4)})
    halved = {n: replace(tag, size_m=tag.size_m / 2) for n, tag in written.items()}
    with pytest.raises(RecordingError, match="size_mm"):
        place_cameras([camera], {camera.id: seen}, halved)
    wrong = [replace(one, corners_px=one.corners_px + rng.normal(0, 8, (4, 2))) for one in seen]
    with pytest.raises(RecordingError):
        place_cameras([camera], {camera.id: wrong}, written)


def test_what_moves_in_a_film_is_left_out_and_the_rest_is_averaged(written: dict[int, Tag]) -> None:
    camera = replace(camera_from_spec(load_spec(ROOT / "stores" / "kiosk").cameras[0]), distortion=(0, 0, 0, 0, 0))
    camera = replace(
        camera, width_px=640, height_px=480, fx_px=310, fy_px=310, cx_px=320, cy_px=240, world_from_camera=look_at(
            [2.0, 1.0, 2.5], [2.0, 2.2, 0.0]))  # fmt: skip
    rng = np.random.default_rng(7)
    flat = written[1].world_from_tag[:3, :3]
    still, walking, once = (
        replace(written[n], world_from_tag=rigid(flat, [x, 2.0, 0.0]), size_m=0.3)
        for n, x in ((1, 1.4), (4, 2.2), (5, 3.0))
    )
    shots = []
    for n in range(5):
        there = replace(walking, world_from_tag=nudged(walking.world_from_tag, np.array([0, 0, 0, 0, 0.05 * n, 0])))
        tags = [still, there, once] if n == 2 else [still, there]
        shots.append(Shot(paint(camera, [tag_sheet(tag) for tag in tags], rng), "film", n))
    found, remarks = sightings(shots, 0.5)
    assert [(one.number, one.pictures) for one in found] == [(1, 5)]
    half = replace(camera, width_px=320, height_px=240, fx_px=155, fy_px=155, cx_px=159.75, cy_px=119.75)
    assert np.abs(found[0].corners_px - half.project(still.corners_m)[0]).max() < 0.3
    assert [remark.partition(" is ")[0].partition(" moves")[0] for remark in remarks] == ["tag 4", "tag 5"]


def twice_as_fine(spec: CameraSpec) -> CameraSpec:
    """The same camera with twice the pixels each way."""
    return spec.model_copy(update={
        "width_px": spec.width_px * 2, "height_px": spec.height_px * 2, "fx_px": spec.fx_px * 2,
        "fy_px": spec.fy_px * 2, "cx_px": spec.cx_px * 2 + 0.5, "cy_px": spec.cy_px * 2 + 0.5,
    })  # fmt: skip


def filmed(store: Store, tags: Mapping[int, Tag], out: Path) -> None:
    """A film (first camera) and a picture (second) of tags hanging in the simulated shop."""
    rng = np.random.default_rng(8)
    fine = replace(store, spec=store.spec.model_copy(update={"cameras": tuple(map(twice_as_fine, store.spec.cameras))}))
    items = stock(store)
    renderer = Renderer(fine, items.product)
    for index, camera in enumerate(fine.cameras):
        shot = renderer.render(index, snapshot(fine, items))
        grey = np.asarray(cv2.cvtColor(shot.rgb, cv2.COLOR_RGB2GRAY), np.uint8)
        near = [tag for tag in tags.values() if camera.sees(tag.corners_m).any()]
        picture = paint(camera, [tag_sheet(tag) for tag in near], rng, before=(grey, shot.depth_m), blur_px=0.5)
        if index == 0:
            film(out / f"{camera.id}.mp4", [picture] * 3)
        else:
            write_picture(out / "picture.png", np.repeat(picture[:, :, None], 3, axis=2))


def test_a_simulated_shop_with_wrong_cameras_is_put_right_by_films_of_tags(tmp_path: Path) -> None:
    kiosk = load_store(ROOT / "stores" / "kiosk")
    two = replace(kiosk, spec=kiosk.spec.model_copy(update={"cameras": (kiosk.spec.cameras[0], kiosk.spec.cameras[2])}))
    (tmp_path / "tags.csv").write_text(table(300))
    filmed(two, hung(read_tags(tmp_path / "tags.csv"), np.random.default_rng(9)), tmp_path)
    rng = np.random.default_rng(10)
    off = [
        CameraSpec.model_validate({"roll_deg": 0, **spec.model_dump(), **pose_fields(spec, bad.world_from_camera)})
        for spec, bad in ((spec, perturbed(camera_from_spec(spec), rng)) for spec in two.spec.cameras)
    ]
    wrong = replace(two, spec=two.spec.model_copy(update={"cameras": tuple(off)}))
    save_store(wrong, tmp_path / "store")
    before = (tmp_path / "store" / "store.yaml").read_bytes()
    words = [str(tmp_path / "cam1.mp4"), f"cam3={tmp_path / 'picture.png'}"]
    placement, _, written = tags_job(tmp_path / "store", tmp_path / "tags.csv", words, False, lambda share: None)
    assert placement.astray == {}
    assert [one.camera.id for one in placement.cameras] == ["cam1", "cam3"]
    for now, was, truth in zip(load_store(tmp_path / "store").cameras, wrong.cameras, two.cameras, strict=True):
        there, here = (between(one.world_from_camera, truth.world_from_camera) for one in (was, now))
        assert there[0] > 0.05
        assert here[0] < 0.03
        assert here[1] < 0.5
        grid = np.stack(np.meshgrid([1.0, 2.0, 3.0], [1.0, 2.0, 3.0], [0.0, 1.0]), -1).reshape(-1, 3)
        visible = grid[truth.sees(grid)]
        assert (
            np.hypot(*(now.project(visible)[0] - truth.project(visible)[0]).T).max() < 2.5
        )  # of 320: a third of a shoe
    assert written.plot is not None
    assert written.plot.stat().st_size > 5000
    if "OPENAISLE_PICTURES" in os.environ:
        shutil.copy(written.plot, Path(os.environ["OPENAISLE_PICTURES"]) / "calibration-cameras.png")
    assert written.before is not None
    assert written.before.read_bytes() == before


@pytest.mark.parametrize(
    "target", [(2.0, 2.0, 0.0), (2.0, 1.001, 0.0), (2.0, 1.0, 0.0), (3.0, 1.0, 2.9), (2.0, 1.06, 0.1)], ids=str
)
@pytest.mark.parametrize("roll", [0.0, -7.3, 178.0])
def test_poses_survive_store_yaml(target: tuple[float, float, float], roll: float) -> None:
    spec = load_spec(ROOT / "stores" / "kiosk").cameras[0]
    pose = look_at([2.0, 1.0, 2.5], target, np.deg2rad(roll))
    for form in (spec, spec.model_copy(update={"look_at_m": None, "roll_deg": 0, "rotation_rodrigues": (0, 0, 0)})):
        fields = {"roll_deg": 0.0, **pose_fields(form, pose)}
        plain = {name: value if value is not None or name != "roll_deg" else 0.0 for name, value in fields.items()}
        again = CameraSpec.model_validate({**form.model_dump(), **plain})
        metres, degrees = between(camera_from_spec(again).world_from_camera, pose)
        assert metres < 1e-4
        assert degrees < 0.015
        if form is spec and target != (2.0, 1.0, 0.0):
            assert again.look_at_m is not None or abs(target[1] - 1) < 0.12
