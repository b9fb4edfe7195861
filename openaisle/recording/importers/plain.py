"""Plain import: a folder of MP4 films, a CSV of scale samples, gates if known, and a store become a recording.

    SRC/import.yaml      which film is which camera, and when everything starts:

        start: 2026-03-01T12:00:00Z       # the instant that second 0 of films and tables means
        store: store                      # folder, relative to SRC; not needed when a store is given otherwise
        films:
          - {file: left.mp4, camera: cam-a, offset_s: 0.25}   # the first picture is at start + 0.25 s
        scales: {file: scales.csv, offset_s: -0.1}            # columns time, scale, grams
        gates: {file: gates.csv}                              # columns time, gate, kind, visit; optional

A `time` is a number of seconds from `start` (so `start: 1970-01-01T00:00:00Z` for Unix time) or ISO 8601 with a zone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path

import yaml
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from openaisle.errors import Problem, RecordingError, StoreError
from openaisle.messages import NANOSECONDS, GateEvent, Message, ScaleBatch
from openaisle.recording.importers.films import Film, probe, read_film
from openaisle.recording.importers.tables import Clock, instant_ns, read_gates, read_scales
from openaisle.recording.manifest import Manifest, Origin
from openaisle.recording.writer import whole_recording
from openaisle.sensors.source import merge
from openaisle.store.load import load_store
from openaisle.store.store import Store

SHEET = "import.yaml"
_Offset = Field(default=0.0, ge=-86_400, le=86_400, title="Added to all its times, seconds")


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class FilmSheet(_Part):
    """One film of import.yaml."""

    file: str
    camera: str = Field(title="Id of the camera in the store")
    offset_s: float = _Offset


class TableSheet(_Part):
    """One table of import.yaml."""

    file: str
    offset_s: float = _Offset


class Sheet(_Part):
    """import.yaml."""

    start: AwareDatetime = Field(title="The instant that second 0 means, with a zone")
    store: str = Field(default="", title="Store folder, relative to the sheet")
    films: tuple[FilmSheet, ...] = Field(min_length=1)
    scales: TableSheet | None = None
    gates: TableSheet | None = None


def import_plain(src: Path | str, out: Path | str, store: Store | None = None) -> Manifest:
    """Write the recording `out` from the folder `src`.

    Raises RecordingError with every problem found (sheet, store, films, tables, times that do not meet); then, and
    when interrupted, nothing is left of `out`.
    """
    src = Path(src)
    problems: list[Problem] = []
    sheet = _read_sheet(src)
    store = _store(src, sheet) if store is None else store
    films = _films(src, sheet, store, problems)
    scales, gates = _tables(src, sheet, store, problems)
    problems += _meeting(src, films, (*scales, *gates))
    if problems:
        raise RecordingError(problems)
    origin = Origin(source="imported", store=sheet.store or store.spec.name)
    with whole_recording(out, store, origin=origin) as writer:
        streams: list[Iterable[Message]] = [read_film(film, problems) for film in films]
        for message in merge(*streams, scales, gates):
            writer.write(message)
        if problems:
            raise RecordingError(problems)
    return writer.manifest


def _read_sheet(src: Path) -> Sheet:
    path = src / SHEET
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
        return Sheet.model_validate(raw)
    except OSError as error:
        fix = f"write {SHEET} with start, films and scales"
        raise RecordingError([Problem(str(path), "file", "cannot be read: " + (error.strerror or ""), fix)]) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise RecordingError([Problem(str(path), "file", f"is no YAML ({error})", "mend the syntax")]) from error
    except ValidationError as error:
        raise RecordingError(
            [
                Problem(str(path), ".".join(map(str, e["loc"])) or "file", e["msg"], "mend this key")
                for e in error.errors()
            ]
        ) from error


def _store(src: Path, sheet: Sheet) -> Store:
    if not sheet.store:
        fix = "name the store's folder there, or give --store"
        raise RecordingError([Problem(str(src / SHEET), "store", "is missing", fix)])
    try:
        return load_store(src / sheet.store)
    except StoreError as error:
        raise RecordingError(error.problems) from error


def _films(src: Path, sheet: Sheet, store: Store, problems: list[Problem]) -> list[Film]:
    cameras = {camera.id: camera for camera in store.spec.cameras}
    films: list[Film] = []
    for i, entry in enumerate(sheet.films):
        place = f"films[{i}].camera"
        if entry.camera not in cameras:
            fix = f"use one of {', '.join(cameras)}"
            problems.append(Problem(str(src / SHEET), place, f"{entry.camera!r} is not in the store", fix))
            continue
        if any(film.camera.id == entry.camera for film in films):
            problems.append(Problem(str(src / SHEET), place, f"{entry.camera!r} has two films", "join them first"))
            continue
        start_ns = _clock(sheet.start, entry.offset_s).time_ns("0")
        film = probe(src / entry.file, cameras[entry.camera], start_ns, problems)
        if film is not None:
            films.append(film)
    return films


def _tables(src: Path, sheet: Sheet, store: Store, problems: list[Problem]) -> tuple[list[ScaleBatch], list[GateEvent]]:
    scales: list[ScaleBatch] = []
    gates: list[GateEvent] = []
    if sheet.scales is not None:
        clock = _clock(sheet.start, sheet.scales.offset_s)
        scales = read_scales(src / sheet.scales.file, clock, store, problems)
    if sheet.gates is not None:
        clock = _clock(sheet.start, sheet.gates.offset_s)
        gates = read_gates(src / sheet.gates.file, clock, store, problems)
    return scales, gates


def _meeting(src: Path, films: list[Film], rows: tuple[ScaleBatch | GateEvent, ...]) -> Iterator[Problem]:
    """Tables that lie wholly before or after all films have a wrong start or offset."""
    if not films or not rows:
        return
    first, last = min(film.start_ns for film in films), max(film.end_ns for film in films)
    low, high = min(row.time_ns for row in rows), max(row.time_ns for row in rows)
    if low > last or high < first:
        gap_s = (low - last if low > last else first - high) / NANOSECONDS
        what = f"films and tables do not meet: {gap_s:.1f} s lie between them"
        yield Problem(str(src / SHEET), "start", what, "correct start and the offset_s of films, scales and gates")


def _clock(start: datetime, offset_s: float) -> Clock:
    return Clock(instant_ns(start), round(offset_s * NANOSECONDS))
