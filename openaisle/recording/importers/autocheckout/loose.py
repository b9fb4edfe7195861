"""Loose files of a case: a CSV of samples per plate, and the planogram as a table."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from urllib.parse import urlparse

import numpy as np

from openaisle.errors import Problem
from openaisle.messages import NANOSECONDS
from openaisle.recording.importers.autocheckout.case import (
    MOST_GONDOLAS,
    MOST_PLATES,
    MOST_SHELVES,
    TRUE_GRAMS,
    Case,
    Facing,
    Item,
    PlateId,
    gtin_of,
)
from openaisle.recording.importers.tables import MOST_PROBLEMS, MOST_S

PLATE_FILE = re.compile(r"^gondola_(\d{1,3})_shelf_(\d{1,3})_plate_(\d{1,3})\.csv$", re.IGNORECASE)
TABLE = ("name", "gondola", "shelf", "plate")
_CODES = ("barcode", "gtin", "upc", "code")
_NO_NUMBER = ("", "nan", "null", "none")
_ROW_FIX = "mend or remove the row"


def plate_of(path: Path) -> PlateId | None:
    """The plate that a file of samples is named after."""
    match = PLATE_FILE.match(path.name)
    return PlateId(*(int(part) for part in match.groups())) if match else None


def read_plate(path: Path, case: Case) -> None:
    """Samples of one plate: columns unix_seconds and grams (empty = no reading); the header may be missing."""
    plate = plate_of(path)
    assert plate is not None
    if not _in_range(plate):
        what = f"gondola {plate.gondola}, shelf {plate.shelf}, plate {plate.plate} is out of range"
        fix = f"count from 1 to at most {MOST_GONDOLAS}, {MOST_SHELVES} and {MOST_PLATES}"
        case.problems.append(Problem(str(path), "name", what, fix))
        return
    times: list[int] = []
    grams: list[float] = []
    wrong: list[Problem] = []
    for line, cells in _rows(path, case):
        try:
            if line == 1 and _is_header(cells):
                continue
            time_ns, value = _sample(cells)
            times.append(time_ns)
            grams.append(value)
        except ValueError as error:
            wrong.append(Problem(str(path), f"line {line}", str(error), _ROW_FIX))
    case.problems += wrong[:MOST_PROBLEMS]
    if len(wrong) > MOST_PROBLEMS:
        what = f"{len(wrong) - MOST_PROBLEMS} more rows are wrong"
        case.problems.append(Problem(str(path), wrong[MOST_PROBLEMS].place, what, "mend the first ones and try again"))
    if times:
        chunk = np.array(times, dtype=np.int64), np.array(grams, dtype=np.float32)
        case.series.setdefault(plate, []).append(chunk)


def _rows(path: Path, case: Case) -> Iterator[tuple[int, list[str]]]:
    """(line, cells) of a CSV file; a file that cannot be read is a problem."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.reader(stream, strict=True, skipinitialspace=True)
            for cells in reader:
                if any(cell.strip() for cell in cells):
                    yield reader.line_num, [cell.strip() for cell in cells]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        case.problems.append(Problem(str(path), "file", f"cannot be read as CSV ({error})", "give a UTF-8 CSV file"))


def _is_header(cells: list[str]) -> bool:
    try:
        float(cells[0])
    except ValueError:
        if [cell.lower() for cell in cells] == ["grams", "unix_seconds"]:
            raise ValueError("the columns are swapped: unix_seconds comes first") from None
        return True
    return False


def _sample(cells: list[str]) -> tuple[int, float]:
    if len(cells) != 2:
        raise ValueError(f"has {len(cells)} columns, not unix_seconds and grams")
    try:
        seconds = float(cells[0])
        grams = math.nan if cells[1].lower() in _NO_NUMBER else float(cells[1])
    except ValueError:
        raise ValueError(f"{cells[0]!r}, {cells[1]!r} are not Unix seconds and grams") from None
    if not 0 <= seconds < MOST_S:
        raise ValueError(f"the time {cells[0]!r} is not in Unix seconds")
    return round(seconds * NANOSECONDS), grams if abs(grams) < 1e9 else math.nan


def is_planogram(path: Path) -> bool:
    """Whether a CSV file has the planogram's columns."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            head = next(csv.reader(stream), [])
    except (OSError, UnicodeDecodeError, csv.Error):
        return False
    return set(TABLE) <= {cell.strip().lower() for cell in head}


def read_planogram(path: Path, case: Case) -> None:
    """Rows Name, Gondola, Shelf, Plate, Weight (grams), Price, Image; a column Barcode is read where there is one.

    A plate may be a number, a range (4-6) or several (4;5). Without a column of bar codes the file name of the image is
    taken for one if it can be.
    """
    head: list[str] = []
    for line, cells in _rows(path, case):
        if not head:
            head = [cell.lower() for cell in cells]
            continue
        try:
            if len(cells) != len(head):
                raise ValueError(f"has {len(cells)} cells under {len(head)} columns")
            _row(dict(zip(head, cells, strict=True)), case)
        except ValueError as error:
            case.problems.append(Problem(str(path), f"line {line}", str(error), _ROW_FIX))
            if sum(problem.file == str(path) for problem in case.problems) >= MOST_PROBLEMS:
                return


def _row(row: dict[str, str], case: Case) -> None:
    name = row["name"]
    code = next((row[column] for column in _CODES if row.get(column)), "") or _code_in(row.get("image", ""))
    if not name and not code:
        return  # an empty facing
    weight = TRUE_GRAMS.get(code, _number(row, "weight", 50_000))
    price_cents = round(_number(row, "price", 1e6) * 100)
    plates = [PlateId(_index(row, "gondola"), _index(row, "shelf"), plate) for plate in _indices(row["plate"])]
    if not all(_in_range(plate) for plate in plates):
        raise ValueError("gondola, shelf or plate is out of range")
    key = code or name
    item = Item(code, name[:200] or f"product {code}"[:200], price_cents, weight, row.get("image", ""))
    known = case.items.setdefault(key, item)
    if (known.weight_grams, known.price_cents) != (item.weight_grams, item.price_cents):
        case.remarks.append(f"{name or code!r} has two weights or prices in the planogram: the first is taken")
    case.facings.append(Facing(key, tuple(plates)))


def _number(row: dict[str, str], column: str, most: float) -> float:
    text = row.get(column, "").lstrip("$€£ ").lower()
    if text in _NO_NUMBER:
        return 0.0
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= most:
        raise ValueError(f"{column} {row[column]!r} is not a number from 0 to {most:g}")
    return value


def _index(row: dict[str, str], column: str) -> int:
    text = row[column].removesuffix(".0")
    if not (text.isascii() and text.isdecimal() and len(text) < 4):
        raise ValueError(f"{column} {row[column]!r} is not a whole number")
    return int(text)


def _indices(text: str) -> list[int]:
    """ "4", "4-6", "4;5", "[4, 5]" as plates."""
    out: list[int] = []
    for part in re.split(r"[;,\s]+", text.strip("[]() ")):
        match = re.fullmatch(r"(\d{1,3})(?:\.0)?(?:[-–](\d{1,3}))?", part)
        if match is None:
            raise ValueError(f"plate {text!r} is not a number, a range (4-6) or several (4;5)")
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first:
            raise ValueError(f"plate {text!r} runs backwards")
        out += range(first, last + 1)
    return out


def _in_range(plate: PlateId) -> bool:
    return plate.gondola <= MOST_GONDOLAS and plate.shelf <= MOST_SHELVES and plate.plate <= MOST_PLATES


def _code_in(image: str) -> str:
    """The bar code that an image is named after, if any."""
    try:
        stem = PurePosixPath(urlparse(image).path).stem
    except ValueError:
        return ""
    return stem if len(stem) in (8, 12, 13, 14) and gtin_of(stem, "")[1] else ""
