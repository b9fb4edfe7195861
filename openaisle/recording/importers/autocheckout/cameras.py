"""Calibration of a case's cameras, with the traps of units and directions told from what ceiling cameras look like.

calibration.json: cameras[id] = {K, Tw, dist_coeffs [k1, k2, p1, p2, k3], look_at}. By the format K is normalised by the
picture's width and height, and Tw is world_from_camera in inches, camera axes as in OpenCV.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
from pydantic import Field, ValidationError

from openaisle.errors import Problem
from openaisle.recording.importers.autocheckout.case import Case
from openaisle.recording.importers.autocheckout.documents import Record
from openaisle.recording.importers.autocheckout.units import CAMERA_M, UNITS, unit_of
from openaisle.store.geometry import Float, invert, rigid
from openaisle.store.schema import CameraSpec

NORMALISED = 10.0  # no focal length in pixels is so short, none in picture widths so long
LOOK_RAD = math.radians(30)  # between a camera's axis and the direction of the point it looks at
LEVEL_M = 0.4  # between the highest and the lowest camera of a ceiling
OUTSIDE = 0.25  # the principal point's distance from the middle, in picture widths
WIDEST_PX = 640  # of recorded pictures; a dozen larger films would take hours
MOST_DISTORTION = 1000.0  # in size, of a coefficient; those of fisheye lenses forced into this model reach some tens
TINY_TERM = 1e-12
FOLD_SHARE = 0.8  # of the radius at which a lens folds: how far its calibration is believed
_FIX = "give the calibration as published: cameras[id] = {K, Tw, dist_coeffs, look_at}"
Number = Annotated[float, Field(ge=-1e7, le=1e7)]
Row3 = tuple[Number, Number, Number]
Row4 = tuple[Number, Number, Number, Number]


class _CameraRecord(Record):
    K: tuple[Row3, Row3, Row3]
    Tw: tuple[Row4, Row4, Row4, Row4]
    dist_coeffs: list[Number] = Field(default=[], max_length=5)
    look_at: Row3 | None = None


@dataclass(frozen=True, slots=True)
class Calibrated:
    """A camera in the store's world; focal lengths and principal point per picture width and height, or in pixels."""

    matrix: Float  # [3, 3]
    normalised: bool
    distortion: tuple[float, float, float, float, float]
    world_from_camera: Float  # [4, 4], metres


@dataclass(frozen=True, slots=True)
class Calibration:
    """All cameras by their names in the file, and what the file says of the floor: left, top, right, bottom."""

    cameras: Mapping[str, Calibrated]
    floor_m: tuple[float, float, float, float] | None = None


def read_calibration(path: Path, case: Case) -> Calibration:
    """calibration.json; cameras that make no sense are remarked and left out, a file that does not is a problem."""
    try:
        data = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        case.problems.append(Problem(str(path), "file", f"cannot be read as JSON ({error})", _FIX))
        return Calibration({})
    entries = data.get("cameras") if isinstance(data, dict) else None
    if not isinstance(entries, dict) or not entries:
        case.problems.append(Problem(str(path), "cameras", "there are no cameras", _FIX))
        return Calibration({})
    records: dict[str, _CameraRecord] = {}
    for name, entry in entries.items():
        if name.endswith("-depth"):
            continue  # depth pictures are not imported
        try:
            records[name] = _CameraRecord.model_validate(entry)
        except ValidationError as error:
            detail = error.errors(include_url=False)[0]
            where = ".".join(str(part) for part in ("cameras", name, *detail["loc"]))
            case.problems.append(Problem(str(path), where, detail["msg"][0].lower() + detail["msg"][1:], _FIX))
    return _resolved(path, records, data.get("world_ltrb"), case)


def _resolved(path: Path, records: dict[str, _CameraRecord], floor: object, case: Case) -> Calibration:
    """Choose unit and direction for all cameras at once: the pair under which most of them make sense.

    Where both directions do (cameras without look_at), cameras at about the same height decide, then the format.
    """
    poses = {name: _pose(record.Tw) for name, record in records.items()}
    whole = {name: pose for name, pose in poses.items() if pose is not None}
    best: tuple[tuple[int, bool], str, bool] | None = None
    for inverse in (False, True):
        turned = {name: invert(pose) if inverse else pose for name, pose in whole.items()}
        unit = unit_of([float(pose[2, 3]) for pose in turned.values()], CAMERA_M)
        if unit is not None:
            good = [pose for name, pose in turned.items() if _sensible(pose, records[name], UNITS[unit])]
            level = bool(good) and float(np.ptp([pose[2, 3] for pose in good])) * UNITS[unit] < LEVEL_M
            if good and (best is None or (len(good), level) > best[0]):
                best = (len(good), level), unit, inverse
    if records and best is None:
        what = "as camera-to-world or as world-to-camera, in no unit of length do the cameras hang under a ceiling"
        case.problems.append(Problem(str(path), "cameras", what, _FIX))
    if best is None:
        return Calibration({})
    _, unit, inverse = best
    if unit != "inches":
        case.remarks.append(f"the calibration is in {unit}, not inches: converted")
    if inverse:
        case.remarks.append("the calibration's Tw is world-to-camera: inverted")
    cameras: dict[str, Calibrated] = {}
    for name, record in records.items():
        pose = whole.get(name)
        pose = invert(pose) if pose is not None and inverse else pose
        if pose is None or not _sensible(pose, record, UNITS[unit]) or record.K[0][0] <= 0 or record.K[1][1] <= 0:
            case.remarks.append(f"the calibration of camera {name} makes no sense: left out")
            continue
        world = rigid(pose[:3, :3], pose[:3, 3] * UNITS[unit])
        lens = [*record.dist_coeffs, 0.0, 0.0, 0.0, 0.0, 0.0]
        normalised = max(record.K[0][0], record.K[1][1]) < NORMALISED
        cameras[name] = Calibrated(np.array(record.K), normalised, (lens[0], lens[1], lens[2], lens[3], lens[4]), world)
    return Calibration(cameras, _floor(floor, UNITS[unit]))


def _pose(rows: tuple[Row4, Row4, Row4, Row4]) -> Float | None:
    """A rigid transform, its rotation made exactly orthogonal; None when it is none."""
    matrix = np.array(rows)
    if not np.allclose(matrix[3], [0, 0, 0, 1], atol=1e-6):
        return None
    u, scale, vt = np.linalg.svd(matrix[:3, :3])
    rotation = u @ vt
    if np.abs(scale - 1).max() > 0.02 or np.linalg.det(rotation) < 0:
        return None
    return rigid(rotation, matrix[:3, 3])


def _sensible(pose: Float, record: _CameraRecord, metres: float) -> bool:
    """Whether a world_from_camera hangs under a ceiling, looks down, and towards the point it is said to look at."""
    if not CAMERA_M[0] <= pose[2, 3] * metres <= CAMERA_M[1] or pose[2, 2] > 0.1:
        return False
    if record.look_at is None:
        return True
    towards = np.array(record.look_at) - pose[:3, 3]
    length = float(np.linalg.norm(towards))
    return length > 0 and float(towards @ pose[:3, 2]) / length > math.cos(LOOK_RAD)


def _floor(floor: object, metres: float) -> tuple[float, float, float, float] | None:
    if isinstance(floor, list) and len(floor) == 4 and all(isinstance(edge, int | float) for edge in floor):
        left, top, right, bottom = (float(edge) * metres for edge in floor)
        if all(abs(edge) < 100 for edge in (left, top, right, bottom)) and left < right and top < bottom:
            return left, top, right, bottom
    return None


def camera_spec(
    name: str, calibrated: Calibrated, film_px: tuple[int, int], fps: float, case: Case
) -> CameraSpec | None:
    """The store's camera for a film of a size (width, height), scaled to at most WIDEST_PX; None, with a remark, when
    the calibration cannot be that film's."""
    matrix = calibrated.matrix
    unit = (1, 1) if calibrated.normalised else film_px
    cx, cy = matrix[0, 2] / unit[0], matrix[1, 2] / unit[1]
    if max(abs(cx - 0.5), abs(cy - 0.5)) > OUTSIDE:
        case.remarks.append(
            f"camera {name}: its principal point is not near the middle of its {film_px[0]}x{film_px[1]} pictures: "
            "it was calibrated for another size, and is left out"
        )
        return None
    if max(abs(k) for k in calibrated.distortion) > MOST_DISTORTION:
        case.remarks.append(f"camera {name}: its distortion coefficients belong to no lens: it is left out")
        return None
    width, height = scaled_size(film_px)
    cx, cy = cx * width, cy * height
    fx, fy = matrix[0, 0] / unit[0] * width, matrix[1, 1] / unit[1] * height
    corner = max(math.hypot((x - cx) / fx, (y - cy) / fy) for x in (0, width) for y in (0, height))
    lens, error = _unfolded(calibrated.distortion, corner)
    if error is not None:
        case.remarks.append(
            f"camera {name}: its lens model folds over inside the picture: replaced by the nearest that does not "
            f"({error * fx:.1f} px off in the part that can be believed)"
        )
    rodrigues = cv2.Rodrigues(calibrated.world_from_camera[:3, :3])[0].ravel()
    try:
        return CameraSpec(
            id=f"cam{name}", width_px=width, height_px=height, fps=fps, fx_px=fx, fy_px=fy, cx_px=cx, cy_px=cy,
            distortion=lens, position_m=_three(calibrated.world_from_camera[:3, 3]),
            rotation_rodrigues=_three(np.asarray(rodrigues, dtype=np.float64)),
        )  # fmt: skip
    except ValidationError as problem:
        case.remarks.append(f"camera {name}: {problem.errors()[0]['msg']}: left out")
        return None


def _three(values: Float) -> tuple[float, float, float]:
    return float(values[0]), float(values[1]), float(values[2])


def scaled_size(film_px: tuple[int, int]) -> tuple[int, int]:
    """Width and height of the recorded pictures: even, and no wider than WIDEST_PX."""
    share = min(1.0, WIDEST_PX / film_px[0])
    return max(32, 2 * round(film_px[0] * share / 2)), max(32, 2 * round(film_px[1] * share / 2))


def _unfolded(
    lens: tuple[float, float, float, float, float], corner: float
) -> tuple[tuple[float, float, float, float, float], float | None]:
    """A lens that reaches distorted radius `corner` without folding: itself, or the nearest, and how far off that is.

    Beyond the believed radius the old model is continued along its tangent, and k1, k2, k3 are fitted to the whole.
    """
    k1, k2, p1, p2, k3 = lens
    # Divided by a coefficient that only rounding has left, the others overflow.
    terms = [term if abs(term) > TINY_TERM else 0.0 for term in (7 * k3, 5 * k2, 3 * k1)]
    roots = np.roots([*terms, 1.0])  # derivative of r (1 + k1 r² + k2 r⁴ + k3 r⁶), in r²
    real = roots.real[(np.abs(roots.imag) < 1e-9) & (roots.real > 0)]
    if not len(real):
        return lens, None
    fold = math.sqrt(float(real.min()))

    def bent(r: Float) -> Float:
        return np.asarray(r * (1 + k1 * r**2 + k2 * r**4 + k3 * r**6))

    if bent(np.array(fold)) > corner * 1.1:
        return lens, None
    last = FOLD_SHARE * fold
    slope = 1 + 3 * k1 * last**2 + 5 * k2 * last**4 + 7 * k3 * last**6
    reach = last + max(0.0, corner * 1.2 - float(bent(np.array(last)))) / slope
    r = np.linspace(0.01, reach, 400)
    wanted = np.where(r <= last, bent(r), bent(np.array(last)) + slope * (r - last))
    columns = np.stack([r**3, r**5, r**7], axis=1)
    weight = np.where(r <= last, 1.0, 0.3)
    k = np.linalg.lstsq(columns * weight[:, None], (wanted - r) * weight, rcond=None)[0]
    error = float(np.abs(columns @ k - (wanted - r))[r <= last].max())
    return (float(k[0]), float(k[1]), p1, p2, float(k[2])), error
