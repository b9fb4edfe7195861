"""Export for multi-view trackers: a recording's pictures and people in the form of WILDTRACK and MultiviewX.

OUT/Image_subsets/C1/00000000.png          rectified pictures, a folder per camera
OUT/annotations_positions/00000000.json    [{personID, positionID, views: [{viewNum, xmin, ymin, xmax, ymax}]}]
OUT/calibrations/intrinsic_zero, extrinsic  OpenCV XML, camera_from_world in metres
OUT/grid.json                               the ground grid: columns, rows, cell_m, origin_m; and the rate
OUT/mot/C1/gt/gt.txt, seqinfo.ini           the same boxes in the MOT Challenge's form, for trackeval
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from openaisle.messages import NANOSECONDS, ShopperTruth, TruthTick, VideoFrame
from openaisle.recording.importers.multiview import RATE_HZ, Grid
from openaisle.recording.manifest import problem
from openaisle.recording.reader import Recording
from openaisle.store.geometry import Camera, Float
from openaisle.store.load import write_picture

CELL_M = 0.025
RADIUS_M = 0.25  # of the upright cylinder that stands for a body
OVER_HEAD_M = 0.12  # from the middle of a head to its top
HEAD_M = 1.65  # of people whose head is not known
LEAST_PX = 4  # a smaller box is no view
_XML = '<?xml version="1.0"?>\n<opencv_storage>\n{}</opencv_storage>\n'
_MATRIX = (
    '<{name} type_id="opencv-matrix">\n  <rows>{rows}</rows>\n  <cols>{columns}</cols>\n  <dt>d</dt>\n'
    "  <data>\n    {data}</data></{name}>\n"
)


@dataclass(slots=True)
class _Moment:
    """One labelled instant and the nearest picture of each camera so far."""

    tick: TruthTick
    pictures: dict[str, VideoFrame] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written."""

    moments: int
    people: int
    rate_hz: float


def export_multiview(recording: Recording, out: Path, rate_hz: float = RATE_HZ) -> Exported:
    """Write a recording with truth as a data set with about `rate_hz` labelled pictures a second, whole or not at all.

    The truth comes at the cameras' rate; every n-th instant of it is taken, and grid.json says at what rate that is.

    Raises RecordingError when there is no truth of people or the folder exists.
    """
    if not recording.has_truth:
        raise problem(recording.folder, "truth", "there is none to export", "export a simulated recording")
    if out.exists():
        raise problem(out, "", "already exists", "choose another folder or remove it")
    partial = out.with_name(f".{out.name}.{os.getpid()}.part")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        exported = _write(recording, partial, rate_hz)
        partial.rename(out)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return exported


def _write(recording: Recording, out: Path, rate_hz: float) -> Exported:
    store = recording.store
    ticks, rate_hz = _ticks(recording, rate_hz)
    grid = _grid(store.spec.floor_m, round(rate_hz, 6))
    (out / "annotations_positions").mkdir(parents=True)
    (out / "grid.json").write_text(grid.model_dump_json(indent=1) + "\n")
    for number, camera in enumerate(store.cameras, 1):
        (out / "Image_subsets" / f"C{number}").mkdir(parents=True)
        _write_calibration(out / "calibrations", f"Camera{number}", camera)
    people: dict[str, int] = {}
    tracks: dict[str, list[str]] = {camera.id: [] for camera in store.cameras}
    count = 0
    for count, moment in enumerate(_moments(recording, ticks, rate_hz), 1):
        name = f"{count - 1:08d}"
        labels = []
        for person in moment.tick.shoppers:
            identity = people.setdefault(person.shopper, len(people) + 1)
            boxes = [_box(camera, person) for camera in store.cameras]
            position = grid.position(person.floor_m)
            if position is not None:
                views = [_view(index, box) for index, box in enumerate(boxes)]
                labels.append({"personID": identity, "positionID": position, "views": views})
            for camera, box in zip(store.cameras, boxes, strict=True):
                if box is not None:
                    left, top, right, bottom = box
                    line = f"{count},{identity},{left},{top},{right - left},{bottom - top},1,1,1"
                    tracks[camera.id].append(line)
        (out / "annotations_positions" / f"{name}.json").write_text(json.dumps(labels, indent=1) + "\n")
        for number, camera in enumerate(store.cameras, 1):
            frame = moment.pictures.get(camera.id)
            if frame is not None:
                flat = cv2.undistort(frame.rgb, camera.matrix, np.array(camera.distortion))
                path = out / "Image_subsets" / f"C{number}" / f"{name}.png"
                write_picture(path, np.asarray(flat, dtype=np.uint8), 3)
    if not people:
        raise problem(recording.folder, "truth", "tells of nobody", "export a recording with people")
    for number, camera in enumerate(store.cameras, 1):
        _write_tracks(out / "mot" / f"C{number}", camera, tracks[camera.id], count, rate_hz)
    return Exported(count, len(people), rate_hz)


def _grid(floor_m: tuple[tuple[float, float], ...], rate_hz: float) -> Grid:
    low, high = np.min(floor_m, axis=0), np.max(floor_m, axis=0)
    columns, rows = (int(np.ceil(side / CELL_M)) + 1 for side in high - low)
    return Grid(columns=columns, rows=rows, cell_m=CELL_M, origin_m=(float(low[0]), float(low[1])), rate_hz=rate_hz)


def _ticks(recording: Recording, rate_hz: float) -> tuple[list[TruthTick], float]:
    """Every n-th instant of the truth, as near to the rate as that goes, and the rate that results."""
    ticks = [truth for truth in recording.truth() if isinstance(truth, TruthTick)]
    if len(ticks) < 2:
        return ticks, rate_hz
    apart_ns = max(1.0, float(np.median(np.diff([tick.time_ns for tick in ticks]))))
    every = max(1, round(NANOSECONDS / rate_hz / apart_ns))
    return ticks[::every], NANOSECONDS / (apart_ns * every)


def _moments(recording: Recording, ticks: Sequence[TruthTick], rate_hz: float) -> Iterator[_Moment]:
    """Labelled instants, each with the picture of every camera that is nearest in time."""
    waiting = [_Moment(tick) for tick in ticks]
    step_ns = round(NANOSECONDS / rate_hz)
    at = 0
    for message in recording:
        if not isinstance(message, VideoFrame):
            continue
        while at < len(waiting) and message.time_ns > waiting[at].tick.time_ns + step_ns:
            yield waiting[at]
            waiting[at].pictures.clear()
            at += 1
        for moment in waiting[at : at + 3]:
            apart = abs(message.time_ns - moment.tick.time_ns)
            old = moment.pictures.get(message.camera)
            if apart <= step_ns // 2 and (old is None or apart < abs(old.time_ns - moment.tick.time_ns)):
                moment.pictures[message.camera] = message
    yield from waiting[at:]


def _box(camera: Camera, person: ShopperTruth) -> tuple[int, int, int, int] | None:
    """Left, top, right, bottom in rectified pixels of the cylinder around a body; None where it is not in view."""
    head_z = person.head_m[2] if np.isfinite(person.head_m[2]) else HEAD_M
    angles = np.linspace(0, 2 * np.pi, 12, endpoint=False)
    ring = np.stack([np.cos(angles), np.sin(angles)], axis=1) * RADIUS_M + np.array(person.floor_m)
    points = [np.column_stack([ring, np.full(12, z)]) for z in (0.0, head_z + OVER_HEAD_M)]
    local = np.concatenate(points) @ camera.camera_from_world[:3, :3].T + camera.camera_from_world[:3, 3]
    if local[:, 2].min() < 0.2:
        return None
    pixels = local[:, :2] / local[:, 2:] * [camera.fx_px, camera.fy_px] + [camera.cx_px, camera.cy_px]
    size = np.array([camera.width_px, camera.height_px])
    low, high = (np.clip(np.round(edge), 0, size - 1).astype(int) for edge in (pixels.min(0), pixels.max(0)))
    if (high - low).min() < LEAST_PX:
        return None
    return int(low[0]), int(low[1]), int(high[0]), int(high[1])


def _view(index: int, box: tuple[int, int, int, int] | None) -> Mapping[str, int]:
    left, top, right, bottom = box or (-1, -1, -1, -1)
    return {"viewNum": index, "xmin": left, "ymin": top, "xmax": right, "ymax": bottom}


def _write_calibration(folder: Path, name: str, camera: Camera) -> None:
    for inner in ("intrinsic_zero", "intrinsic", "extrinsic"):
        (folder / inner).mkdir(parents=True, exist_ok=True)
    matrices = {"camera_matrix": camera.matrix, "distortion_coefficients": np.zeros((5, 1))}
    for inner in ("intrinsic_zero", "intrinsic"):  # the two data sets' readers look in different folders
        (folder / inner / f"intr_{name}.xml").write_text(_xml(matrices))
    world = camera.camera_from_world
    rotation = np.asarray(cv2.Rodrigues(world[:3, :3])[0], dtype=np.float64).reshape(3, 1)
    (folder / "extrinsic" / f"extr_{name}.xml").write_text(_xml({"rvec": rotation, "tvec": world[:3, 3:4]}))


def _xml(matrices: Mapping[str, Float]) -> str:
    parts = []
    for name, matrix in matrices.items():
        rows, columns = matrix.shape
        data = " ".join(repr(float(value)) for value in matrix.ravel())
        parts.append(_MATRIX.format(name=name, rows=rows, columns=columns, data=data))
    return _XML.format("".join(parts))


def _write_tracks(folder: Path, camera: Camera, lines: list[str], moments: int, rate_hz: float) -> None:
    (folder / "gt").mkdir(parents=True)
    (folder / "gt" / "gt.txt").write_text("".join(f"{line}\n" for line in lines))
    (folder / "seqinfo.ini").write_text(
        f"[Sequence]\nname={folder.name}\nimDir=../../Image_subsets/{folder.name}\nframeRate={rate_hz:g}\n"
        f"seqLength={moments}\nimWidth={camera.width_px}\nimHeight={camera.height_px}\nimExt=.png\n"
    )
