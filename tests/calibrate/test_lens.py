"""Lenses: rendered films of the printed board give back the lens that filmed them; thin evidence is refused."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from openaisle.calibrate import sheets
from openaisle.calibrate.board import Board, View, board
from openaisle.calibrate.intrinsics import LEAST_VIEWS, MOST_VIEWS, Lens, choose, fit_lens
from openaisle.calibrate.store_cameras import lens_job
from openaisle.errors import RecordingError
from openaisle.store.geometry import Camera, Float, apply, rigid
from openaisle.store.load import load_spec, load_store, read_picture
from openaisle.store.schema import CameraSpec
from openaisle.store.store import camera_from_spec
from tests.calibrate.painter import film, held, lens_camera, paint, rays, turn
from tests.store.tiny import Folder

BOARD = Board()
SIZE = (640, 480)


def spec_of(camera: Camera, wrong: float = 1.2) -> CameraSpec:
    """What somebody who knows little wrote down."""
    return CameraSpec(
        id="cam", width_px=camera.width_px, height_px=camera.height_px, fx_px=camera.fx_px * wrong,
        fy_px=camera.fx_px * wrong, cx_px=camera.width_px / 2, cy_px=camera.height_px / 2, position_m=(0, 0, 2),
        look_at_m=(1, 1, 0),
    )  # fmt: skip


def seen(camera: Camera, pose: Float, rng: np.random.Generator, noise_px: float, where: str) -> View | None:
    """The board as a perfect detector with noisy corners would see it."""
    points = apply(pose, BOARD.points)
    ids = np.flatnonzero(camera.sees(points, 4))
    if len(ids) < 12:
        return None
    corners = camera.project(points[ids])[0] + rng.normal(0, noise_px, (len(ids), 2))
    outline = camera.project(apply(pose, [[0, 0, 0], [5, 0, 0], [5, 7, 0], [0, 7, 0]]))[0]
    return View(ids.astype(np.int32), corners, outline, 1.5, where)


def waved(camera: Camera, count: int, *, tilt: float = 35.0, noise_px: float = 0.1, seed: int = 3) -> list[View]:
    """A board waved through the view; squares are the unit of length."""
    rng = np.random.default_rng(seed)
    views: list[View] = []
    while len(views) < count:
        pixel = (rng.uniform(0, 1, 2)) * [camera.width_px, camera.height_px]
        ray = camera.unproject(pixel)[1]
        rotation = turn(*(float(a) for a in (*rng.uniform(-tilt, tilt, 2), rng.uniform(-180, 180))))
        middle = ray / ray[2] * rng.uniform(7.0, 16.0)
        view = seen(camera, rigid(rotation, middle - rotation @ [2.5, 3.5, 0]), rng, noise_px, f"view {len(views)}")
        views += [view] if view is not None else []
    return views


def apart_px(lens: Lens, truth: Camera) -> float:
    """How far the lens draws points of the picture (but its rim) from where they are, but for a turn of the camera.

    The largest distance in pixels."""
    grid = np.stack(np.meshgrid(np.linspace(0.05, 0.95, 9), np.linspace(0.05, 0.95, 7)), -1).reshape(-1, 2)
    pixels = grid * [truth.width_px - 1, truth.height_px - 1]
    rays_there = truth.unproject(pixels)[1]
    found = replace(camera_from_spec(lens.camera), world_from_camera=np.eye(4))
    rays_here = found.unproject(pixels)[1]
    left, _, right = np.linalg.svd(rays_there.T @ rays_here)  # the turn that fits best: a principal point can hide it
    turned = rays_here @ (left @ right).T
    return float(np.hypot(*(truth.project(turned)[0] - pixels).T).max())


@pytest.fixture(scope="module")
def waved_film(tmp_path_factory: pytest.TempPathFactory) -> tuple[Camera, Path]:
    """A film of the printed board: blur, noise, H.264, and one picture without it."""
    folder = tmp_path_factory.mktemp("film")
    sheets.write_board(BOARD, sheets.paper("a4"), folder / "board.png")
    rgb = read_picture(folder / "board.png")
    assert rgb is not None
    printed = cv2.resize(rgb[:, :, 0], None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
    camera = lens_camera(*SIZE, 420.0, (-0.25, 0.08, 0.0008, -0.0005, 0.0))
    rng, known = np.random.default_rng(5), rays(camera)
    pictures = [paint(camera, [], rng, seen=known)]
    for n in range(13):
        place = np.array([(n % 3) * 0.29 + 0.21, (n // 3 % 3) * 0.27 + 0.23]) * SIZE
        rotation = turn((-32, 0, 32, 12)[n % 4], (0, 35, 10, -35)[n % 4], 40.0 * n)
        sheet = held(camera, np.asarray(printed, np.uint8), 0.21, place, (1.9, 2.3, 1.6)[n % 3], rotation)
        pictures.append(paint(camera, [sheet], rng, seen=known, blur_px=0.5 + 0.3 * (n % 2)))
    return camera, film(folder / "board.mp4", pictures)


def test_a_film_of_the_printed_board_gives_the_lens_to_store_yaml(
    waved_film: tuple[Camera, Path], tmp_path: Path
) -> None:
    truth, path = waved_film
    folder = Folder(tmp_path / "store")  # its camera has half the film's width
    folder.edit("  fx_px: 160.0", "  fx_px: 160.0   # rough")
    before = (folder.path / "store.yaml").read_bytes()
    lens, was, written = lens_job(folder.path, "cam", [path], BOARD, False, lambda share: None)
    assert (lens.found, lens.remarks) == (13, ())
    assert len(lens.dropped) < 2
    assert lens.rms_px < 0.3
    assert was.fx_px == 160
    now = load_spec(folder.path).cameras[0]
    assert now == lens.camera
    assert now.fx_px == pytest.approx(truth.fx_px / 2, rel=0.01)
    assert now.fy_px == pytest.approx(truth.fy_px / 2, rel=0.01)
    assert now.cx_px == pytest.approx((truth.cx_px + 0.5) / 2 - 0.5, abs=1.5)
    assert now.cy_px == pytest.approx((truth.cy_px + 0.5) / 2 - 0.5, abs=1.5)
    assert now.distortion[:2] == pytest.approx(truth.distortion[:2], abs=0.03)
    assert written.before is not None
    assert written.before.read_bytes() == before
    assert written.plot is not None
    assert read_picture(written.plot) is not None
    if "OPENAISLE_PICTURES" in os.environ:
        shutil.copy(written.plot, Path(os.environ["OPENAISLE_PICTURES"]) / "calibration-lens.png")
    assert len(load_store(folder.path).cameras) == 1
    text = (folder.path / "store.yaml").read_text()
    assert "# rough" in text
    changed = set(text.splitlines()) ^ set(before.decode().splitlines())
    assert {line.split(":")[0].strip() for line in changed} == {"fx_px", "fy_px", "cx_px", "cy_px", "distortion"}
    assert yaml.safe_load(text)["cameras"][0]["position_m"] == [1.5, 0.5, 2.6]


def test_a_dry_run_writes_nothing(waved_film: tuple[Camera, Path], tmp_path: Path) -> None:
    folder = Folder(tmp_path / "store")
    before = (folder.path / "store.yaml").read_bytes()
    _, _, written = lens_job(folder.path, "cam", [waved_film[1]], BOARD, True, lambda share: None)
    assert (written.plot, written.before) == (None, None)
    assert (folder.path / "store.yaml").read_bytes() == before
    assert not (folder.path / "calibration").exists()


@pytest.mark.parametrize(
    ("focal", "k1", "tangential"), [(345.0, -0.08, 4e-4), (520.0, -0.3, -1e-3), (700.0, 0.1, 1e-3)], ids=str
)
def test_calibrated_lenses_draw_the_same_pixels(focal: float, k1: float, tangential: float) -> None:
    truth = lens_camera(*SIZE, focal, (k1, k1 * k1 * 0.7, tangential, -tangential, 0.0))
    lens = fit_lens(spec_of(truth), waved(truth, 30), BOARD, SIZE, 30)
    assert lens.rms_px == pytest.approx(0.1 * np.sqrt(2), rel=0.15)
    assert apart_px(lens, truth) < 1.0
    assert lens.camera.fx_px == pytest.approx(truth.fx_px, rel=0.01)


TRUTH = lens_camera(*SIZE, 420.0, (-0.2, 0.03, 0.0005, -0.0005, 0.0))


def refusal(views: list[View]) -> str:
    """The message with which views are refused."""
    with pytest.raises(RecordingError) as error:
        fit_lens(spec_of(TRUTH), views, BOARD, SIZE, 50)
    assert "camera cam" in str(error.value)
    assert "fix: " in str(error.value)
    return str(error.value)


def test_thin_evidence_is_refused_with_what_to_film() -> None:
    assert "in none of 50 pictures" in refusal([])
    assert "only 1 different sharp view" in refusal(waved(TRUTH, 1))
    assert "only 1 different sharp view" in refusal(waved(TRUTH, 1) * 20)  # a film of a board that hangs still
    assert f"only {LEAST_VIEWS - 1} different" in refusal(waved(TRUTH, LEAST_VIEWS - 1))
    right = [view for view in waved(TRUTH, 60) if view.corners_px[:, 0].min() > SIZE[0] / 3]
    assert "never came to these parts of the picture: top left, left, bottom left" in refusal(right)
    assert "the focal length stays open" in refusal(waved(TRUTH, 30, tilt=1.0))
    assert "px from where the best lens has them" in refusal(waved(TRUTH, 30, noise_px=2.0))


def test_a_view_that_moved_is_left_out_and_named() -> None:
    views = waved(TRUTH, 25)
    rng = np.random.default_rng(1)
    shaken = replace(views[7], corners_px=views[7].corners_px + rng.normal(0, 3, views[7].corners_px.shape))
    lens = fit_lens(spec_of(TRUTH), [*views[:7], shaken, *views[8:]], BOARD, SIZE, 50)
    assert lens.dropped == ("view 7",)
    assert apart_px(lens, TRUTH) < 1.0


def test_sharp_and_different_views_are_chosen() -> None:
    views = waved(TRUTH, 20)
    twins = [replace(view, blur_px=1.4, where=view.where + " sharper") for view in views]
    smeared = [replace(view, blur_px=6.0, outline_px=view.outline_px + 60, where="smeared") for view in views[:4]]
    kept = choose([*views, *smeared, *twins], SIZE)
    assert {view.blur_px for view in kept} == {1.4}
    assert len(kept) <= 20
    many = choose(waved(TRUTH, 200, noise_px=0), SIZE)
    assert len(many) == MOST_VIEWS


def test_films_of_another_shape_are_refused() -> None:
    with pytest.raises(RecordingError, match="640x480, but camera cam is 640x360"):
        fit_lens(spec_of(TRUTH).model_copy(update={"height_px": 360}), waved(TRUTH, 12), BOARD, SIZE, 50)


def test_the_printed_board_has_true_millimetres(tmp_path: Path) -> None:
    side_mm = sheets.write_board(board("4x6"), sheets.paper("letter"), tmp_path / "board.png")
    rgb = read_picture(tmp_path / "board.png")
    assert rgb is not None
    assert rgb.shape[:2] == (round(279.4 / 25.4 * 300), round(215.9 / 25.4 * 300))
    view = board("4x6").find(np.ascontiguousarray(rgb[:, :, 0]))
    assert view is not None
    assert len(view.ids) == 3 * 5
    steps = np.diff(view.corners_px.reshape(5, 3, 2), axis=1)
    assert np.abs(steps - [side_mm / 25.4 * 300, 0]).max() < 0.7
    ruler = (rgb[-round(10.2 / 25.4 * 300), :, 0] < 128).sum()
    assert ruler == pytest.approx(100 / 25.4 * 300, abs=6)
    for suffix in ("pdf", "svg"):
        sheets.write_board(BOARD, sheets.paper("a4"), tmp_path / f"board.{suffix}")
        first = (tmp_path / f"board.{suffix}").read_bytes()
        sheets.write_board(BOARD, sheets.paper("a4"), tmp_path / f"board.{suffix}")
        assert (tmp_path / f"board.{suffix}").read_bytes() == first
    assert b"/MediaBox [ 0 0 595.2" in (tmp_path / "board.pdf").read_bytes()
