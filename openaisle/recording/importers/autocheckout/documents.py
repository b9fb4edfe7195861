"""The contest's database documents, checked one by one and added to a case; a missing key means zero or default."""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections.abc import Callable, Mapping
from math import prod
from typing import Annotated

import numpy as np
from pydantic import AliasChoices, AliasPath, BaseModel, ConfigDict, Field, ValidationError

from openaisle.errors import Problem
from openaisle.messages import NANOSECONDS
from openaisle.recording.importers.autocheckout.case import (
    MOST_GONDOLAS,
    MOST_PLATES,
    MOST_SHELVES,
    NANO_PLATES,
    TRUE_GRAMS,
    Case,
    Facing,
    Item,
    PlateId,
    Sighting,
)
from openaisle.recording.importers.tables import MOST_PROBLEMS, MOST_S

ENTERED = "TARGETSTATE_VALID_ENTRANCE"
_TYPES: Mapping[str, np.dtype[np.float32] | np.dtype[np.float64]] = {
    "DATATYPE_FLOAT32": np.dtype(np.float32),
    "DATATYPE_FLOAT64": np.dtype(np.float64),
}
_FIX = "mend or remove the document, or export the collection again"
Document = Mapping[str, object]
Seconds = Annotated[float, Field(ge=0, lt=MOST_S)]
Gondola = Annotated[int, Field(ge=0, le=MOST_GONDOLAS)]
Shelf = Annotated[int, Field(ge=0, le=MOST_SHELVES)]
Plate = Annotated[int, Field(ge=0, le=MOST_PLATES)]
Point = Mapping[str, float] | None


class Record(BaseModel):
    """Base: unknown keys are ignored, numbers are finite; a code may be a number."""

    model_config = ConfigDict(extra="ignore", frozen=True, allow_inf_nan=False, coerce_numbers_to_str=True)


def _at(*path: str) -> AliasPath:
    return AliasPath(path[0], *path[1:])


class PlateRecord(Record):
    """plate_data: samples of a whole gondola, [time, shelf, plate]."""

    timestamp: Seconds
    gondola: Gondola = Field(
        default=0,
        validation_alias=AliasChoices(
            "gondola_id", _at("document", "plate_data", "plate_id", "shelf_id", "gondola_id", "id")
        ),
    )
    rate_hz: float = Field(default=60.0, gt=0.01, le=1000, validation_alias=_at("document", "plate_data", "freq_samp"))
    data: str = Field(validation_alias=_at("document", "plate_data", "values", "data"))
    shape: tuple[int, int, int] = Field(validation_alias=_at("document", "plate_data", "values", "shape"))
    type: str = Field(default="DATATYPE_FLOAT32", validation_alias=_at("document", "plate_data", "values", "type"))


class TargetRecord(Record):
    """One person of a targets message."""

    id: str = Field(validation_alias=_at("target_id", "id"), min_length=1, max_length=100)
    state: str = Field(default="", validation_alias="target_state")
    head: Point = Field(default=None, validation_alias=_at("head", "point"))
    left: Point = Field(default=None, validation_alias=_at("l_wrist", "point"))
    right: Point = Field(default=None, validation_alias=_at("r_wrist", "point"))


class TargetsRecord(Record):
    """targets, full_targets: everybody at an instant."""

    timestamp: Seconds
    targets: list[TargetRecord] = Field(default=[], validation_alias=_at("document", "targets", "targets"))


class ProductRecord(Record):
    """products."""

    code: str = Field(default="", validation_alias=_at("product_id", "id"))
    name: str = Field(default="", validation_alias=_at("metadata", "name"))
    price: float = Field(default=0.0, ge=0, le=1e6, validation_alias=_at("metadata", "price"))
    weight: float = Field(default=0.0, ge=0, le=50_000, validation_alias=_at("metadata", "weight"))
    thumbnail: str = Field(default="", validation_alias=_at("metadata", "thumbnail"))


class PlatePath(Record):
    """A plate's place, nested as the planogram nests it."""

    gondola: Gondola = Field(default=0, validation_alias=_at("shelf_id", "gondola_id", "id"))
    shelf: Shelf = Field(default=0, validation_alias=_at("shelf_id", "shelf_index"))
    plate: Plate = Field(default=0, validation_alias="plate_index")


class FacingRecord(Record):
    """planogram: a product and the plates under it; sizes in metres."""

    plates: list[PlatePath] = Field(default=[], validation_alias="plate_ids")
    code: str = Field(default="", validation_alias=_at("planogram_product_id", "id"))
    dim_x: float = Field(default=0.0, validation_alias=_at("global_coordinates", "dim_x"))
    dim_y: float = Field(default=0.0, validation_alias=_at("global_coordinates", "dim_y"))
    dim_z: float = Field(default=0.0, validation_alias=_at("global_coordinates", "dim_z"))


class PictureRecord(Record):
    """One picture of a frame message."""

    data: str = Field(default="", validation_alias=_at("frame", "data"))
    kind: str = Field(default="RGB", validation_alias=_at("frame_source", "camera_id", "camera_type"))


class FramesRecord(Record):
    """frame_message: pictures of a camera at an instant."""

    timestamp: Seconds
    camera: int = Field(default=0, ge=0, le=999, validation_alias="camera_id")
    pictures: list[PictureRecord] = Field(default=[], validation_alias=_at("document", "frame_message", "frames"))


def add_document(case: Case, collection: str, place: tuple[str, str], document: Document) -> None:
    """Check a document of a collection and add it; what is wrong becomes a problem at place (file, document)."""
    try:
        READERS[collection](case, document)
    except ValidationError as error:
        for detail in error.errors(include_url=False)[:3]:
            where = ".".join(str(part) for part in detail["loc"])
            what = detail["msg"][0].lower() + detail["msg"][1:]
            _report(case, Problem(place[0], f"{place[1]}, {where}", what, _FIX))
    except ValueError as error:
        _report(case, Problem(place[0], place[1], str(error), _FIX))


def _report(case: Case, problem: Problem) -> None:
    """A problem, unless the file has had enough of them."""
    count = sum(known.file == problem.file for known in case.problems)
    if count < MOST_PROBLEMS:
        case.problems.append(problem)
    elif count == MOST_PROBLEMS:
        what = "and more documents are wrong"
        case.problems.append(Problem(problem.file, problem.place, what, "mend the first ones and try again"))


def _nanoseconds(seconds: float) -> int:
    return round(seconds * NANOSECONDS)


def _plates(case: Case, document: Document) -> None:
    record = PlateRecord.model_validate(document)
    if record.type not in _TYPES:
        raise ValueError(f"the samples are {record.type}, not {' or '.join(_TYPES)}")
    raw = _bytes(record.data)
    kind = _TYPES[record.type]
    if min(record.shape) < 0 or prod(record.shape) * kind.itemsize != len(raw):
        raise ValueError(f"the samples take {len(raw)} bytes, which is not the shape {list(record.shape)}")
    values = np.frombuffer(raw, dtype=kind.newbyteorder("<")).reshape(record.shape).astype(np.float32)
    values = np.where(np.isfinite(values), values, np.float32(np.nan))
    times = _nanoseconds(record.timestamp) + np.round(np.arange(len(values)) * (NANOSECONDS / record.rate_hz)).astype(
        np.int64
    )
    # Row 0 and column 0 are unused: shelves and plates count from 1.
    for shelf in range(1, min(values.shape[1], MOST_SHELVES + 1)):
        for plate in range(1, min(values.shape[2], NANO_PLATES.get(record.gondola, MOST_PLATES) + 1)):
            if len(values):
                where = PlateId(record.gondola, shelf, plate)
                case.series.setdefault(where, []).append((times, values[:, shelf, plate]))


def _bytes(text: str) -> bytes:
    try:
        return b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("its data is not base64") from None


def _targets(case: Case, document: Document) -> None:
    _sightings(case.targets, document)


def _full_targets(case: Case, document: Document) -> None:
    _sightings(case.full_targets, document)


def _sightings(tracks: dict[str, list[Sighting]], document: Document) -> None:
    record = TargetsRecord.model_validate(document)
    for one in record.targets:
        seen = Sighting(
            _nanoseconds(record.timestamp), _point(one.head), _point(one.left), _point(one.right), one.state == ENTERED
        )
        tracks.setdefault(one.id, []).append(seen)


def _point(point: Point) -> tuple[float, float, float] | None:
    """None for {}; a coordinate that is missing beside others is zero."""
    return (point.get("x", 0.0), point.get("y", 0.0), point.get("z", 0.0)) if point else None


def _product(case: Case, document: Document) -> None:
    record = ProductRecord.model_validate(document)
    if record.code:
        weight = TRUE_GRAMS.get(record.code, record.weight)
        name = record.name.strip()[:200] or f"product {record.code}"[:200]
        case.items[record.code] = Item(record.code, name, round(record.price * 100), weight, record.thumbnail)


def _facing(case: Case, document: Document) -> None:
    record = FacingRecord.model_validate(document)
    size = (record.dim_x, record.dim_y, record.dim_z)
    plates = tuple(PlateId(one.gondola, one.shelf, one.plate) for one in record.plates)
    if plates:
        case.facings.append(Facing(record.code, plates, size if min(size) > 0 else None))


def _pictures(case: Case, document: Document) -> None:
    record = FramesRecord.model_validate(document)
    for picture in record.pictures:
        if picture.kind == "RGB" and picture.data:
            pictures = case.pictures.setdefault(record.camera, [])
            pictures.append((_nanoseconds(record.timestamp), _bytes(picture.data)))


READERS: Mapping[str, Callable[[Case, Document], None]] = {
    "plate_data": _plates,
    "full_targets": _full_targets,
    "targets": _targets,
    "products": _product,
    "planogram": _facing,
    "frame_message": _pictures,
}
