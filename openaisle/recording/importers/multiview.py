"""Multi-view pedestrian data in the form of WILDTRACK and MultiviewX: pictures, calibrations and who stands where.

    SRC/Image_subsets/C1/00000005.png            a folder per camera; the number in the name orders the pictures
    SRC/annotations_positions/00000005.json      [{personID, positionID, views}]; positionID is a cell of a ground grid
    SRC/calibrations/intrinsic*/intr_NAME.xml    camera_matrix, distortion_coefficients
    SRC/calibrations/extrinsic/extr_NAME.xml     rvec, tvec: camera_from_world, the floor at z = 0
    SRC/grid.json                                 the grid, where it is neither data set's own; and the rate

Out: a recording of a store that is only a floor with cameras; the labels are its truth.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import cv2
import numpy as np
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from openaisle.errors import Problem, RecordingError
from openaisle.messages import NANOSECONDS, Activity, ShopperTruth, TruthTick, VideoFrame
from openaisle.recording.importers.plain import Imported
from openaisle.recording.importers.tables import MOST_PROBLEMS
from openaisle.recording.manifest import Origin
from openaisle.recording.writer import whole_recording
from openaisle.store.check import check_store
from openaisle.store.geometry import Float, invert, rigid
from openaisle.store.load import read_picture
from openaisle.store.schema import CameraSpec, FixtureSpec, GateSpec, StoreSpec
from openaisle.store.store import Store

START_NS = 1_600_000_000 * NANOSECONDS  # the data have no clock: their first picture is at 2020-09-13T12:26:40Z
RATE_HZ = 2.0  # of annotated pictures in both data sets
HEIGHTS_M = (1.2, 12.0)  # of cameras in squares and shops
POST_M = 0.1  # a store has a fixture: a post in the corner of the floor
UNKNOWN = (math.nan, math.nan, math.nan)
_CALIBRATION_FIX = "give the data set's own XML files, or those of `aisle recording export-multiview`"
_LABEL_FIX = "give a list of {personID, positionID}"
_NUMBER = re.compile(r"(\d{1,12})$")


class Grid(BaseModel):
    """Cells of the ground: positionID = row · columns + column; origin is the corner of cell 0, x along the columns."""

    model_config = ConfigDict(extra="ignore", frozen=True, allow_inf_nan=False)

    columns: int = Field(ge=1, le=100_000)
    rows: int = Field(ge=1, le=100_000)
    cell_m: float = Field(gt=0, le=10)
    origin_m: tuple[float, float] = (0.0, 0.0)
    rate_hz: float = Field(default=RATE_HZ, gt=0.001, le=1000)  # of labelled pictures

    def point_m(self, position: int) -> tuple[float, float]:
        """The corner of a cell, as both data sets' own tools take it."""
        row, column = divmod(position, self.columns)
        return self.origin_m[0] + column * self.cell_m, self.origin_m[1] + row * self.cell_m

    def position(self, floor_m: Sequence[float]) -> int | None:
        """The cell whose corner is nearest to a point, None off the grid."""
        column, row = (round((floor_m[i] - self.origin_m[i]) / self.cell_m) for i in (0, 1))
        return row * self.columns + column if 0 <= column < self.columns and 0 <= row < self.rows else None


WILDTRACK = Grid(columns=480, rows=1440, cell_m=0.025, origin_m=(-3.0, -9.0))
MULTIVIEWX = Grid(columns=1000, rows=640, cell_m=0.025)


class _Label(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    personID: int = Field(ge=0, lt=2**53)
    positionID: int = Field(ge=0, lt=2**53)


_LABELS = TypeAdapter(list[_Label])


@dataclass(frozen=True, slots=True)
class _View:
    """A camera and its pictures by number."""

    spec: CameraSpec
    pictures: Mapping[int, Path]


def import_multiview(src: Path | str, out: Path | str, rate_hz: float | None = None) -> Imported:
    """Write the recording `out` from a data set with `rate_hz` labelled pictures a second (default: as grid.json says).

    Raises RecordingError with every problem found; then nothing is left of `out`.
    """
    src = Path(src)
    problems: list[Problem] = []
    remarks: list[str] = []
    grid = _grid(src, problems)
    rate_hz = rate_hz or grid.rate_hz
    labels = _labels(src, grid, problems)
    numbers = sorted(labels)
    views, upside_down = _views(src, set(numbers), rate_hz, problems, remarks) if numbers else ([], False)
    if upside_down:
        labels = {n: {person: (x, -y) for person, (x, y) in people.items()} for n, people in labels.items()}
    if problems:
        raise RecordingError(problems)
    store = _store(src, views, labels)
    problems = [Problem(str(src), f"{p.file}, {p.place}", p.what, "mend the calibration") for p in check_store(store)]
    if problems:
        raise RecordingError(problems)
    step_ns = NANOSECONDS / rate_hz
    with whole_recording(out, store, origin=Origin(source="imported", store=store.spec.name)) as writer:
        for index, number in enumerate(numbers):
            time_ns = START_NS + round(index * step_ns)
            for frame in _frames(views, number, time_ns, problems):
                writer.write(frame)
            writer.write(TruthTick(time_ns, tuple(_shopper(*entry) for entry in sorted(labels[number].items()))))
        if problems:
            raise RecordingError(problems)
    return Imported(writer.manifest, tuple(remarks))


# --- labels -------------------------------------------------------------------------------------------------


def _grid(src: Path, problems: list[Problem]) -> Grid:
    """The grid that is written down, or that of the data set whose names the calibrations have."""
    path = src / "grid.json"
    if path.is_file():
        try:
            return Grid.model_validate_json(path.read_bytes())
        except ValidationError as error:
            detail = error.errors(include_url=False)[0]
            where = ".".join(str(part) for part in detail["loc"]) or "file"
            problems.append(Problem(str(path), where, detail["msg"], "give columns, rows, cell_m and origin_m"))
    cameras = any((src / "calibrations").rglob("extr_Camera*.xml"))
    return MULTIVIEWX if cameras else WILDTRACK


def _labels(src: Path, grid: Grid, problems: list[Problem]) -> dict[int, dict[int, tuple[float, float]]]:
    """Floor points by picture number and person."""
    out: dict[int, dict[int, tuple[float, float]]] = {}
    for path in sorted((src / "annotations_positions").glob("*.json")):
        match = _NUMBER.search(path.stem)
        if match is None or len(problems) >= MOST_PROBLEMS:
            continue
        try:
            labels = _LABELS.validate_json(path.read_bytes())
        except ValidationError as error:
            detail = error.errors(include_url=False)[0]
            where = ".".join(str(part) for part in detail["loc"]) or "file"
            problems.append(Problem(str(path), where, detail["msg"], _LABEL_FIX))
            continue
        for label in labels:
            if label.positionID >= grid.columns * grid.rows:
                what = f"position {label.positionID} lies off the grid of {grid.columns}x{grid.rows} cells"
                problems.append(Problem(str(path), f"person {label.personID}", what, "write the grid into grid.json"))
        out[int(match[1])] = {label.personID: grid.point_m(label.positionID) for label in labels}
    if not out and not problems:
        fix = "name the folder that holds Image_subsets, annotations_positions and calibrations"
        problems.append(Problem(str(src / "annotations_positions"), "folder", "holds no labels", fix))
    return out


def _shopper(person: int, floor_m: tuple[float, float]) -> ShopperTruth:
    name = f"person-{person}"
    return ShopperTruth(name, name, name, False, floor_m, 0.0, UNKNOWN, UNKNOWN, UNKNOWN, Activity.STAND)


# --- cameras ------------------------------------------------------------------------------------------------


def _views(
    src: Path, numbers: set[int], rate_hz: float, problems: list[Problem], remarks: list[str]
) -> tuple[list[_View], bool]:
    """The cameras with pictures, and whether the world had to be turned upside down.

    Folders C1, C2, ... go with the calibrations in the order of their names.
    """
    folders = sorted((path for path in (src / "Image_subsets").glob("C*") if path.is_dir()), key=_trailing)
    names = sorted((src / "calibrations" / "extrinsic").glob("extr_*.xml"), key=_order)
    if not folders or len(names) < len(folders):
        what = f"{len(folders)} folders of pictures, but {len(names)} calibrations (calibrations/extrinsic/extr_*.xml)"
        problems.append(Problem(str(src), "Image_subsets", what, "give each camera's folder and calibration"))
        return [], False
    poses = [_pose(path, problems) for path in names[: len(folders)]]
    whole = [pose for pose in poses if pose is not None]
    metres, upside_down = _world(whole, src, problems, remarks)
    turned = rigid(np.diag([1.0, -1.0, -1.0] if upside_down else [1.0, 1.0, 1.0]), [0, 0, 0])
    views: list[_View] = []
    for folder, path, pose in zip(folders, names, poses, strict=False):
        found = {int(m[1]): p for p in sorted(folder.iterdir()) if (m := _NUMBER.search(p.stem)) and p.is_file()}
        wanted = {number: picture for number, picture in found.items() if number in numbers}
        lens = _lens(src, path.stem.removeprefix("extr_"), problems)
        if not wanted:
            remarks.append(f"no pictures of {folder.name} for the labels")
        elif pose is not None and lens is not None:
            world = turned @ invert(rigid(pose[:3, :3], pose[:3, 3] * metres))
            spec = _camera(folder.name, world, lens, wanted, rate_hz, problems)
            views += [_View(spec, wanted)] if spec is not None else []
    if not views and not problems:
        what = "no camera has pictures for the labels"
        problems.append(Problem(str(src / "Image_subsets"), "folder", what, "copy them"))
    missing = sum(len(numbers - set(view.pictures)) for view in views)
    if missing:
        remarks.append(f"{missing} labelled pictures are missing")
    return views, upside_down


def _trailing(path: Path) -> tuple[int, str]:
    match = _NUMBER.search(path.stem)
    return (int(match[1]) if match else 0), path.name


def _order(path: Path) -> tuple[int, int, str]:
    """WILDTRACK's cameras come in this order: CVLab1 to 4, IDIAP1 to 3; others by their numbers."""
    return int("IDIAP" in path.stem), *_trailing(path)


def _world(poses: Sequence[Float], src: Path, problems: list[Problem], remarks: list[str]) -> tuple[float, bool]:
    """Metres per unit of the calibrations, and whether their cameras hang below the floor."""
    heights = [float(invert(pose)[2, 3]) for pose in poses]
    if not heights:
        return 1.0, False
    middle = float(np.median(heights))
    unit = next((m for m in (1.0, 0.01, 0.001) if HEIGHTS_M[0] <= abs(middle) * m <= HEIGHTS_M[1]), None)
    if unit is None:
        what = f"the cameras hang at {middle:.3g}: in no unit of length is that a height"
        problems.append(Problem(str(src / "calibrations"), "tvec", what, "give rvec and tvec as camera_from_world"))
        return 1.0, False
    if middle < 0:
        remarks.append("the calibrations' z points down: turned about the x axis")
    return unit, middle < 0


def _numbers(path: Path, name: str, count: tuple[int, ...], problems: list[Problem]) -> Float | None:
    """The numbers of an element of an OpenCV XML file, plain or as a matrix; None, with a problem, without them."""
    try:
        root = ElementTree.fromstring(path.read_bytes()[: 1 << 20])
        element = root.find(name)
        data = element.find("data") if element is not None else None
        text = (data if data is not None else element).text if element is not None else ""
        values = np.array([float(part) for part in (text or "").split()])
    except (OSError, ValueError, ElementTree.ParseError) as error:
        problems.append(Problem(str(path), name, f"cannot be read ({error})", _CALIBRATION_FIX))
        return None
    if len(values) not in count or not np.isfinite(values).all() or np.abs(values).max(initial=0) > 1e6:
        what = f"holds {len(values)} numbers, not {' or '.join(map(str, count))} sensible ones"
        problems.append(Problem(str(path), name, what, _CALIBRATION_FIX))
        return None
    return values


def _pose(path: Path, problems: list[Problem]) -> Float | None:
    """camera_from_world [4, 4] in the file's unit."""
    rvec, tvec = _numbers(path, "rvec", (3,), problems), _numbers(path, "tvec", (3,), problems)
    return None if rvec is None or tvec is None else rigid(cv2.Rodrigues(rvec)[0], tvec)


def _lens(src: Path, name: str, problems: list[Problem]) -> tuple[Float, Float] | None:
    """Matrix [3, 3] and distortion [5]: of the pictures as they are, which are rectified where intrinsic_zero is."""
    folders = [src / "calibrations" / folder for folder in ("intrinsic_zero", "intrinsic", "intrinsic_original")]
    path = next((folder / f"intr_{name}.xml" for folder in folders if (folder / f"intr_{name}.xml").is_file()), None)
    if path is None:
        what = "is missing for this camera's extrinsic"
        problems.append(Problem(str(folders[0] / f"intr_{name}.xml"), "file", what, _CALIBRATION_FIX))
        return None
    matrix = _numbers(path, "camera_matrix", (9,), problems)
    if matrix is None:
        return None
    distortion = np.zeros(5)
    if b"distortion_coefficients" in path.read_bytes():
        found = _numbers(path, "distortion_coefficients", (4, 5), problems)
        if found is None:
            return None
        distortion[: len(found)] = found
    return matrix.reshape(3, 3), distortion


def _camera(
    name: str, world: Float, lens: tuple[Float, Float], pictures: Mapping[int, Path], rate_hz: float,
    problems: list[Problem],
) -> CameraSpec | None:  # fmt: skip
    first = next(iter(pictures.values()))
    rgb = read_picture(first)
    if rgb is None:
        problems.append(Problem(str(first), "file", "is not a readable picture", "copy it again"))
        return None
    matrix, distortion = lens
    k1, k2, p1, p2, k3 = distortion.tolist()
    rodrigues = np.asarray(cv2.Rodrigues(world[:3, :3])[0], dtype=np.float64).ravel()
    try:
        return CameraSpec(
            id=name, width_px=rgb.shape[1], height_px=rgb.shape[0], fps=rate_hz, fx_px=matrix[0, 0],
            fy_px=matrix[1, 1], cx_px=matrix[0, 2], cy_px=matrix[1, 2], distortion=(k1, k2, p1, p2, k3),
            position_m=(float(world[0, 3]), float(world[1, 3]), float(world[2, 3])),
            rotation_rodrigues=(float(rodrigues[0]), float(rodrigues[1]), float(rodrigues[2])),
        )  # fmt: skip
    except ValidationError as error:
        detail = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in detail["loc"])
        problems.append(Problem(str(first.parent), f"calibration, {where}", detail["msg"], _CALIBRATION_FIX))
        return None


def _frames(views: Sequence[_View], number: int, time_ns: int, problems: list[Problem]) -> Iterator[VideoFrame]:
    for view in views:
        if number in view.pictures:
            rgb = read_picture(view.pictures[number])
            wanted = view.spec.height_px, view.spec.width_px
            if rgb is None or rgb.shape[:2] != wanted:
                what = (
                    "is not a readable picture"
                    if rgb is None
                    else f"is {rgb.shape[1]}x{rgb.shape[0]}, not as the first"
                )
                problems.append(Problem(str(view.pictures[number]), "file", what, "copy it again"))
                return
            yield VideoFrame(view.spec.id, time_ns, rgb)


def _store(src: Path, views: Sequence[_View], labels: Mapping[int, Mapping[int, tuple[float, float]]]) -> Store:
    """A floor around cameras and labels, with a gate at its edge and a post in its corner."""
    points = [point for people in labels.values() for point in people.values()]
    points += [view.spec.position_m[:2] for view in views]
    low = np.floor(np.min(points, axis=0)) - 0.5
    high = np.ceil(np.max(points, axis=0)) + 0.5
    (x0, y0), (x1, y1) = low.tolist(), high.tolist()
    post = FixtureSpec(id="post", kind="counter", x_m=x0, y_m=y0, width_m=POST_M, depth_m=POST_M, height_m=POST_M)
    ceiling = max([2.5, *(view.spec.position_m[2] + 0.1 for view in views)])
    spec = StoreSpec(
        name=src.resolve().name[:200] or "multiview", currency="XXX", time_zone="UTC", ceiling_m=ceiling,
        floor_m=((x0, y0), (x1, y0), (x1, y1), (x0, y1)),
        gates=(GateSpec(id="edge", kind="both", a_m=(x0, y0), b_m=(x1, y0)),), fixtures=(post,),
        cameras=tuple(view.spec for view in views),
    )  # fmt: skip
    return Store(spec, (), ())
