"""catalog.csv and planogram.csv: rows checked against their schema, with line numbers."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from pydantic import BaseModel

from openaisle.errors import Problem
from openaisle.store.schema import PlanogramRow, ProductSpec
from openaisle.store.validate import Checked, validate
from openaisle.store.yaml_file import Place

R = TypeVar("R", bound=BaseModel)
LISTS = ("images",)  # cells that hold several values, separated by ';'


@dataclass(frozen=True)
class Row(Generic[R]):
    """One row: its line in the file (from 1), the value (fillers where cells were wrong), and which cells were."""

    line: int
    value: R
    mended: tuple[Place, ...] = ()

    def wrong(self, column: str) -> bool:
        """Whether this cell was replaced by a filler."""
        return any(place[0] == column for place in self.mended)


def read_products(path: Path) -> tuple[list[Row[ProductSpec]] | None, list[Problem]]:
    """Rows of catalog.csv, or None when there is no table at all, and every problem in it."""
    return read_rows(path, ProductSpec)


def read_planogram(path: Path) -> tuple[list[Row[PlanogramRow]] | None, list[Problem]]:
    """Rows of planogram.csv, or None when there is no table at all, and every problem in it."""
    return read_rows(path, PlanogramRow)


def write_rows(path: Path, model: type[BaseModel], rows: Sequence[BaseModel]) -> None:
    """Write rows with the model's fields as columns; numbers keep every digit, lists are joined by ';'."""
    columns = list(model.model_fields)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        for row in rows:
            writer.writerow([_cell(getattr(row, column)) for column in columns])


def _cell(value: object) -> str:
    if isinstance(value, tuple):
        return ";".join(str(part) for part in value)
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def read_rows(path: Path, model: type[R]) -> tuple[list[Row[R]] | None, list[Problem]]:
    """Rows of any table whose columns are the fields of `model`; None when there is no table, and every problem."""
    file = path.name
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(stream, strict=True)
            header = next(reader, [])
            lines = [(reader.line_num, cells) for cells in reader if cells]
    except FileNotFoundError:
        return None, [Problem(file, "file", "the file is missing", f"write {file} into {path.parent}")]
    except (OSError, UnicodeDecodeError) as error:
        return None, [Problem(file, "file", f"cannot be read: {error}", "save it as CSV in UTF-8")]
    except csv.Error as error:
        return None, [Problem(file, f"line {reader.line_num}", f"this is not CSV: {error}", "check the quotes")]
    columns = [name.strip() for name in header]
    problems = _header_problems(file, columns, model)
    if problems and not set(columns) & set(model.model_fields):
        return None, problems
    rows: list[Row[R]] = []
    for line, cells in lines:
        if len(cells) != len(columns):
            what = f"{len(cells)} cells under {len(columns)} columns"
            fix = "give each column one cell; quote text that contains commas"
            problems.append(Problem(file, f"line {line}", what, fix))
        row, found = _row(file, line, dict(zip(columns, cells, strict=False)), columns, model)
        problems += found
        rows += row
    return rows, problems


def _row(
    file: str, line: int, cells: Mapping[str, str], columns: Sequence[str], model: type[R]
) -> tuple[list[Row[R]], list[Problem]]:
    data: dict[str, object] = {}
    for column, text in cells.items():
        if column not in model.model_fields or (text.strip() == "" and not model.model_fields[column].is_required()):
            continue
        parts = [part.strip() for part in text.split(";")]
        data[column] = [part for part in parts if part] if column in LISTS else text.strip()
    checked: Checked[R] = validate(model, data)
    # A missing column is one problem of the header, not one of every row.
    faults = [fault for fault in checked.faults if fault[0][0] in columns]
    problems = [Problem(file, f"line {line}, column {place[0]}", what, fix) for place, what, fix in faults]
    if checked.value is None:
        return [], problems
    return [Row(line, checked.value, checked.mended)], problems


def _header_problems(file: str, columns: Sequence[str], model: type[BaseModel]) -> list[Problem]:
    known = list(model.model_fields)
    need = [name for name, field in model.model_fields.items() if field.is_required()]
    if len(columns) == 1 and (";" in columns[0] or "\t" in columns[0]):
        return [Problem(file, "line 1", "the columns are not separated by commas", "save it as CSV with commas")]
    out: list[Problem] = []
    if not any(columns):
        return [Problem(file, "line 1", "there is no header", f"start with the line {','.join(known)}")]
    for name in _ordered(columns):
        if name not in known:
            fix = f"remove it; known columns are {', '.join(known)}"
            out.append(Problem(file, "line 1", f"the column {name!r} is not known here", fix))
        if columns.count(name) > 1:
            out.append(Problem(file, "line 1", f"the column {name!r} is given twice", "keep one of the two"))
    missing = [name for name in need if name not in columns]
    out += [Problem(file, "line 1", f"the column {name!r} is missing", f"add the column {name}") for name in missing]
    return out


def _ordered(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))
