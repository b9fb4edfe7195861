"""From films to store.yaml: each job of `aisle calibrate` from beginning to end, with plots and the old file kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import chain, islice
from pathlib import Path

import numpy as np

from openaisle.calibrate.board import Board
from openaisle.calibrate.bundle import pose_fields
from openaisle.calibrate.extrinsics import Placed, Placement, place_cameras
from openaisle.calibrate.films import camera_of, camera_scale, shots
from openaisle.calibrate.intrinsics import Lens, calibrate_lens
from openaisle.calibrate.plots import Panel, plot_cameras, plot_lens
from openaisle.calibrate.tags import Sighting, read_tags, sightings
from openaisle.errors import MissingExtraError, Problem, RecordingError
from openaisle.store.amend import CALIBRATION, Change, amend_store, check_writable
from openaisle.store.load import load_spec
from openaisle.store.schema import CameraSpec, StoreSpec
from openaisle.store.store import camera_from_spec

TAG_RATE_HZ = 2.0  # nothing moves: a few pictures are enough to average noise away
MOST_SHOTS = 60
Progress = Callable[[float], None]


@dataclass(frozen=True)
class Written:
    """What a job left in the store's folder; `before` is None after a dry run."""

    plot: Path | None
    before: Path | None


@dataclass(frozen=True)
class Films:
    """What each camera (by id) sees of the tags, with remarks on the way."""

    seen: Mapping[str, list[Sighting]]
    remarks: tuple[str, ...]


def lens_job(
    folder: Path, camera_id: str, films: Sequence[Path], board: Board, dry: bool, progress: Progress
) -> tuple[Lens, CameraSpec, Written]:
    """Calibrate a lens and write it into the store; returns also the camera as it was.

    Raises StoreError, RecordingError, MissingExtraError; store.yaml is then as it was.
    """
    spec = opened(folder, dry)
    was = camera_of(spec.cameras, camera_id)
    lens = calibrate_lens(was, films, board, progress)
    if dry:
        return lens, was, Written(None, None)
    plot = folder / CALIBRATION / f"{camera_id}-intrinsics.png"
    corners = np.concatenate([view.corners_px for view in lens.views])
    errors = [float(np.sqrt((one**2).sum(axis=1).mean())) for one in lens.residuals_px]
    views = list(zip((view.where for view in lens.views), errors, strict=True))
    plot_lens(Panel(camera_id, lens.film_px, corners, np.concatenate(lens.residuals_px)), views, plot)
    new = lens.camera
    change: Change = {
        "fx_px": new.fx_px,
        "fy_px": new.fy_px,
        "cx_px": new.cx_px,
        "cy_px": new.cy_px,
        "distortion": list(new.distortion),
    }
    before = amend_store(folder, {camera_id: change})
    progress(1.0)
    return lens, was, Written(plot, before)


def tags_job(
    folder: Path, table: Path, films: Sequence[str], dry: bool, progress: Progress
) -> tuple[Placement, tuple[str, ...], Written]:
    """Find poses of the cameras filmed (ID=FILE, or a file named after its camera) and write them into the store.

    Raises StoreError, RecordingError, MissingExtraError; store.yaml is then as it was.
    """
    spec = opened(folder, dry)
    tags = read_tags(table)
    by_camera = sorted_films(spec, films)
    found = _look(spec, by_camera, progress)
    cameras = [camera_from_spec(camera_of(spec.cameras, name)) for name in by_camera]
    placement = place_cameras(cameras, found.seen, tags)
    written = Written(None, None) if dry else write_poses(folder, spec, placement.cameras, "extrinsics")
    progress(1.0)
    return placement, found.remarks, written


def write_poses(folder: Path, spec: StoreSpec, placed: Sequence[Placed], name: str) -> Written:
    """Plot the residuals and write the poses into store.yaml; raises StoreError, MissingExtraError."""
    plot = folder / CALIBRATION / f"{name}.png"
    panels = [
        Panel(one.camera.id, (one.camera.width_px, one.camera.height_px), one.seen_px, one.residuals_px)
        for one in placed
    ]
    plot_cameras(panels, plot)
    changes: dict[str, Change] = {
        one.camera.id: pose_fields(camera_of(spec.cameras, one.camera.id), one.camera.world_from_camera)
        for one in placed
    }
    return Written(plot, amend_store(folder, changes))


def opened(folder: Path, dry: bool) -> StoreSpec:
    """The store, when what is needed to calibrate is there: better known before the work than after."""
    spec = load_spec(folder)
    if not dry:
        check_writable(folder)
    for package in ("scipy", "matplotlib"):
        if not _installed(package):
            raise MissingExtraError(package, "calibrate")
    return spec


def _installed(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except ValueError:  # it was taken out of sys.modules
        return False


def sorted_films(spec: StoreSpec, words: Sequence[str]) -> dict[str, list[Path]]:
    """Films of each camera: `cam1=some/film.mp4`, or a file whose name without its ending is the camera's id."""
    out: dict[str, list[Path]] = {}
    ids = {camera.id for camera in spec.cameras}
    for word in words:
        name, given, path = word.partition("=")
        if not given:
            name, path = Path(word).stem, word
            if name not in ids:
                fix = f"write ID={word}; known cameras: {', '.join(sorted(ids))}"
                raise RecordingError([Problem(word, "name", "is not named after a camera", fix)])
        out.setdefault(camera_of(spec.cameras, name).id, []).append(Path(path))
    return out


def _look(spec: StoreSpec, films: Mapping[str, Sequence[Path]], progress: Progress) -> Films:
    seen: dict[str, list[Sighting]] = {}
    remarks: list[str] = []
    for n, (name, paths) in enumerate(films.items()):
        pictures = list(islice(chain.from_iterable(shots(path, TAG_RATE_HZ) for path in paths), MOST_SHOTS))
        sizes = {(shot.grey.shape[1], shot.grey.shape[0]) for shot in pictures}
        if len(sizes) > 1:
            raise RecordingError([Problem(str(paths[0]), f"camera {name}", "its films differ in size", "use one size")])
        factor = camera_scale(camera_of(spec.cameras, name), sizes.pop(), str(paths[0]))
        seen[name], told = sightings(pictures, factor)
        remarks += [f"{name}: {remark}" for remark in told]
        progress((n + 1) / (len(films) + 1))
    return Films(seen, tuple(remarks))
