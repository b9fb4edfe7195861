"""Where gondolas, shelves and plates are: from the store's metadata, or side by side where there is none.

Metadata nest: a shelf's transform is relative to its gondola, a plate's to its shelf; rotations are Rodrigues vectors.
A gondola's frame has its origin at the left end of its back panel and y away from the shopper, as a fixture's has, but
its shelves reach from the panel towards the shopper (negative y): the fixture begins at their front edge.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np
from pydantic import AliasPath, Field, ValidationError

from openaisle.errors import Problem
from openaisle.recording.importers.autocheckout.case import NANO_PLATES, Case, PlateId
from openaisle.recording.importers.autocheckout.documents import Gondola, Plate, Record, Shelf
from openaisle.recording.importers.autocheckout.units import GONDOLA_M, UNITS, unit_of
from openaisle.store.geometry import Float, rigid

PLATE_M = (0.1016, 0.4064)  # width, depth
SHELF_Z_M, SHELF_RISE_M, CLEARANCE_M = 0.33, 0.25, 0.23  # of gondolas without metadata
APART_M = 0.05
PANEL_M = 0.03
TILT_RAD = math.radians(3)
METADATA = {"gondolas": "gondolas.json", "shelves": "shelves.json", "plates": "plates.json"}
R = TypeVar("R", bound=Record)
_FIX = "give the store's metadata as published, or leave all three files away"


@dataclass(frozen=True, slots=True)
class Board:
    """A shelf in its fixture's frame, metres; plates as (plate, left edge, width) from the shelf's left end."""

    x_m: float
    y_m: float
    z_m: float
    width_m: float
    depth_m: float
    clearance_m: float
    plates: tuple[tuple[int, float, float], ...]


@dataclass(frozen=True, slots=True)
class Rack:
    """A gondola as a fixture, metres and radians."""

    x_m: float
    y_m: float
    yaw_rad: float
    width_m: float
    depth_m: float
    height_m: float
    shelves: Mapping[int, Board]


@dataclass(frozen=True, slots=True)
class Layout:
    """All gondolas by number; `known` tells whether they stand where metadata say."""

    racks: Mapping[int, Rack]
    known: bool

    def plates(self) -> set[PlateId]:
        """All plates."""
        return {
            PlateId(gondola, shelf, plate)
            for gondola, rack in self.racks.items()
            for shelf, board in rack.shelves.items()
            for plate, _, _ in board.plates
        }


class _Vector(Record):
    x: float = Field(default=0.0, ge=-1e6, le=1e6)
    y: float = Field(default=0.0, ge=-1e6, le=1e6)
    z: float = Field(default=0.0, ge=-1e6, le=1e6)

    @property
    def values(self) -> list[float]:
        return [self.x, self.y, self.z]


def _at(*path: str) -> AliasPath:
    return AliasPath(path[0], *path[1:])


class _Placed(Record):
    """What gondolas, shelves and plates have in common."""

    move: _Vector = Field(default=_Vector(), validation_alias=_at("coordinates", "transform", "translation"))
    turn: _Vector = Field(default=_Vector(), validation_alias=_at("coordinates", "transform", "rotation"))
    dim_x: float = Field(default=0.0, ge=0, le=1e6, validation_alias=_at("coordinates", "dim_x"))
    dim_y: float = Field(default=0.0, ge=0, le=1e6, validation_alias=_at("coordinates", "dim_y"))
    dim_z: float = Field(default=0.0, ge=0, le=1e6, validation_alias=_at("coordinates", "dim_z"))

    def pose(self, metres: float) -> Float:
        """4×4, parent from own frame, in metres."""
        rotation = cv2.Rodrigues(np.array(self.turn.values))[0]
        return rigid(rotation, np.array(self.move.values) * metres)


class _GondolaRecord(_Placed):
    gondola: Gondola = Field(validation_alias=_at("id", "id"))


class _ShelfRecord(_Placed):
    gondola: Gondola = Field(validation_alias=_at("id", "gondola_id", "id"))
    shelf: Shelf = Field(default=0, validation_alias=_at("id", "shelf_index"))


class _PlateRecord(_Placed):
    gondola: Gondola = Field(validation_alias=_at("id", "shelf_id", "gondola_id", "id"))
    shelf: Shelf = Field(default=0, validation_alias=_at("id", "shelf_id", "shelf_index"))
    plate: Plate = Field(default=0, validation_alias=_at("id", "plate_index"))


@dataclass(slots=True)
class _Metadata:
    gondolas: list[_GondolaRecord] = field(default_factory=list)
    shelves: list[_ShelfRecord] = field(default_factory=list)
    plates: list[_PlateRecord] = field(default_factory=list)


def read_layout(files: Mapping[str, Path], case: Case) -> Layout:
    """The layout by Gondolas.json, Shelves.json and Plates.json, or one made up when they are not all there."""
    if set(files) == set(METADATA):
        known = len(case.problems)
        metadata = _Metadata(
            [_checked(_GondolaRecord, files["gondolas"], *entry, case) for entry in _entries(files, "gondolas", case)],
            [_checked(_ShelfRecord, files["shelves"], *entry, case) for entry in _entries(files, "shelves", case)],
            [_checked(_PlateRecord, files["plates"], *entry, case) for entry in _entries(files, "plates", case)],
        )
        if len(case.problems) == known:
            return _placed(metadata, files, case)
    elif files:
        lacking = ", ".join(sorted(set(METADATA) - set(files)))
        case.remarks.append(f"the store's metadata lack {lacking}: all of it is left out")
    if not files or set(files) != set(METADATA):
        case.remarks.append("no store metadata: gondolas stand side by side, cameras and tracks do not fit to them")
    return _made_up(case)


def _entries(files: Mapping[str, Path], key: str, case: Case) -> list[tuple[int, object]]:
    """The numbered entries of a metadata file: a list under its key, or a list."""
    path = files[key]
    try:
        data = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        case.problems.append(Problem(str(path), "file", f"cannot be read as JSON ({error})", _FIX))
        return []
    found = data.get(key) if isinstance(data, dict) else data
    if not isinstance(found, list) or not found:
        case.problems.append(Problem(str(path), key, "there is no such list", _FIX))
        return []
    return list(enumerate(found))


def _checked(kind: type[R], path: Path, index: int, data: object, case: Case) -> R:
    try:
        return kind.model_validate(data)
    except ValidationError as error:
        detail = error.errors(include_url=False)[0]
        where = f"entry {index}, {'.'.join(str(part) for part in detail['loc'])}"
        case.problems.append(Problem(str(path), where, detail["msg"][0].lower() + detail["msg"][1:], _FIX))
        return kind.model_construct()  # never read: the problem ends the import


def _placed(metadata: _Metadata, files: Mapping[str, Path], case: Case) -> Layout:
    unit = unit_of([gondola.dim_z for gondola in metadata.gondolas], GONDOLA_M)
    if unit is None:
        what = "the gondolas' heights (dim_z) fit no unit of length"
        case.problems.append(Problem(str(files["gondolas"]), "dim_z", what, "give lengths in metres"))
        return _made_up(case)
    if unit != "metres":
        case.remarks.append(f"the store's metadata are in {unit}, not metres: converted")
    racks: dict[int, Rack] = {}
    for gondola in metadata.gondolas:
        shelves = [shelf for shelf in metadata.shelves if shelf.gondola == gondola.gondola]
        try:
            rack = _rack(gondola, shelves, metadata.plates, UNITS[unit])
        except ValueError as error:
            case.problems.append(Problem(str(files["gondolas"]), f"gondola {gondola.gondola}", str(error), _FIX))
            continue
        if rack is None:
            case.remarks.append(f"gondola {gondola.gondola} has no plates: left out")
        else:
            racks[gondola.gondola] = rack
    return Layout(racks, known=True)


def _rack(
    gondola: _GondolaRecord, shelves: list[_ShelfRecord], plates: list[_PlateRecord], metres: float
) -> Rack | None:
    """The fixture around a gondola and its shelves. Raises ValueError for what stands neither upright nor square."""
    world_from_gondola = gondola.pose(metres)
    if world_from_gondola[2, 2] < math.cos(TILT_RAD):
        raise ValueError("its rotation does not leave it upright")
    boards = {shelf.shelf: (shelf, shelf.pose(metres)) for shelf in shelves}
    if not boards:
        return None
    for number, (_, pose) in boards.items():
        if np.trace(pose[:3, :3]) < 1 + 2 * math.cos(TILT_RAD):
            raise ValueError(f"shelf {number} is turned against it, which a store's shelves cannot be")
    left = min(0.0, *(float(pose[0, 3]) for _, pose in boards.values()))
    front = min(pose[1, 3] for _, pose in boards.values())
    right = max(gondola.dim_x * metres, *(pose[0, 3] + one.dim_x * metres for one, pose in boards.values()))
    back = max(gondola.dim_y * metres, *(pose[1, 3] + one.dim_y * metres for one, pose in boards.values()))
    floor_z = float(world_from_gondola[2, 3])
    placed: dict[int, Board] = {}
    for number, (shelf, pose) in boards.items():
        own = [plate for plate in plates if (plate.gondola, plate.shelf) == (gondola.gondola, number)]
        spots = tuple(
            sorted((plate.plate, plate.move.x * metres, plate.dim_x * metres) for plate in own if plate.dim_x > 0)
        )
        if spots:
            placed[number] = Board(
                float(pose[0, 3] - left), float(pose[1, 3] - front), float(pose[2, 3] + floor_z),
                shelf.dim_x * metres, shelf.dim_y * metres, max(0.05, shelf.dim_z * metres), spots,
            )  # fmt: skip
    if not placed:
        return None
    corner = world_from_gondola @ np.array([left, front, 0.0, 1.0])
    yaw = math.atan2(world_from_gondola[1, 0], world_from_gondola[0, 0])
    height = max(gondola.dim_z * metres + floor_z, *(board.z_m for board in placed.values()), 0.1)
    return Rack(
        float(corner[0]), float(corner[1]), yaw, float(right - left), float(back - front), height, _stacked(placed)
    )


def _stacked(boards: dict[int, Board]) -> dict[int, Board]:
    """Shelves with no more free height than there is below the next one."""
    out: dict[int, Board] = {}
    for number, board in sorted(boards.items()):
        above = [other.z_m - board.z_m for other in boards.values() if other.z_m > board.z_m]
        clearance = min([board.clearance_m, *above])
        out[number] = Board(board.x_m, board.y_m, board.z_m, board.width_m, board.depth_m, clearance, board.plates)
    return out


def _made_up(case: Case) -> Layout:
    """All plates that anything speaks of, in gondolas side by side along x with their fronts at y = 0."""
    wanted = {plate for facing in case.facings for plate in facing.plates} | _speaking(case)
    racks: dict[int, Rack] = {}
    x_m = 0.0
    for gondola in sorted({plate.gondola for plate in wanted}):
        own = [plate for plate in wanted if plate.gondola == gondola]
        width = (max(plate.plate for plate in own) + 1 - min(1, *(plate.plate for plate in own))) * PLATE_M[0]
        shelves = {shelf: _board(shelf, width, [p.plate for p in own if p.shelf == shelf]) for _, shelf, _ in own}
        height = max(board.z_m for board in shelves.values()) + CLEARANCE_M
        racks[gondola] = Rack(x_m, 0.0, 0.0, width, PLATE_M[1] + PANEL_M, height, dict(sorted(shelves.items())))
        x_m += width + APART_M
    return Layout(racks, known=False)


def _board(shelf: int, width_m: float, plates: Iterable[int]) -> Board:
    numbers = sorted(set(plates))
    first = min(1, numbers[0])
    spots = tuple((plate, (plate - first) * PLATE_M[0], PLATE_M[0]) for plate in numbers)
    z_m = SHELF_Z_M + SHELF_RISE_M * max(0, shelf - 1) if shelf else 0.05
    return Board(0.0, 0.0, z_m, width_m, PLATE_M[1], CLEARANCE_M, spots)


def _speaking(case: Case) -> set[PlateId]:
    """Plates with a reading; in the nano-store's arrays whatever lies beyond its plates is surplus."""
    return {
        plate
        for plate, chunks in case.series.items()
        if plate.plate <= NANO_PLATES.get(plate.gondola, plate.plate)
        and any(np.isfinite(grams).any() for _, grams in chunks)
    }
