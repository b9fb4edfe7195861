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
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from openaisle.errors import Problem, RecordingError, StoreError
from openaisle.messages import NANOSECONDS, GateEvent, Message, ScaleBatch
from openaisle.recording.importers.films import Film, probe, read_film
from openaisle.recording.importers.tables import Clock, instant_ns, read_gates, read_scales
from openaisle.recording.manifest import Manifest, Origin
from openaisle.recording.writer import whole_recording
from openaisle.sensors.source import merge
from openaisle.store.load import load_store
from openaisle.store.store import Store
from openaisle.store.validate import validate
from openaisle.store.yaml_file import Document, Place, read_yaml

SHEET = "import.yaml"
MOST_NAMES = 4  # a problem or remark names so many files or sensors, then counts
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


@dataclass(frozen=True, slots=True)
class Imported:
    """What was written, and in words what the store has and the import did not bring."""

    manifest: Manifest
    remarks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Source:
    """The folder to import with its sheet."""

    folder: Path
    document: Document  # of import.yaml; its `file` is the whole path
    sheet: Sheet

    def problem(self, place: Place, what: str, fix: str) -> Problem:
        """A problem at a key of import.yaml, with its line."""
        return self.document.problem(place, what, fix)

    def clock(self, offset_s: float) -> Clock:
        """What times mean in a film or table with this offset."""
        return Clock(instant_ns(self.sheet.start), round(offset_s * NANOSECONDS))


@dataclass(frozen=True, slots=True)
class _Span:
    """From when to when a film or table lasts."""

    place: Place  # in import.yaml
    file: str
    start_ns: int
    end_ns: int


def import_plain(src: Path | str, out: Path | str, store: Store | None = None) -> Imported:
    """Write the recording `out` from the folder `src`.

    Raises RecordingError with every problem found (sheet, store, films, tables, times that do not meet); then, and
    when interrupted, nothing is left of `out`.
    """
    problems: list[Problem] = []
    source = _read_sheet(Path(src))
    store = _store(source) if store is None else store
    films = _films(source, store, problems)
    scales, gates = _tables(source, store, problems)
    problems += _meeting(source, _spans(source, films, scales, gates))
    if problems:
        raise RecordingError(problems)
    origin = Origin(source="imported", store=source.sheet.store or store.spec.name)
    with whole_recording(out, store, origin=origin) as writer:
        streams: list[Iterable[Message]] = [read_film(film, problems) for film in films]
        for message in merge(*streams, scales, gates):
            writer.write(message)
        if problems:
            raise RecordingError(problems)
    return Imported(writer.manifest, tuple(_remarks(store, films, scales, gates)))


def _read_sheet(folder: Path) -> _Source:
    document, problems = read_yaml(folder / SHEET)
    if document is not None:
        document = replace(document, file=str(folder / SHEET))
        checked = validate(Sheet, document.data)
        problems += [document.problem(*fault) for fault in checked.faults]
        if checked.value is not None and not problems:
            return _Source(folder, document, checked.value)
    raise RecordingError([replace(problem, file=str(folder / SHEET)) for problem in problems])


def _store(source: _Source) -> Store:
    if not source.sheet.store:
        fix = "name the store's folder there, or give --store"
        raise RecordingError([source.problem(("store",), "is missing", fix)])
    try:
        return load_store(source.folder / source.sheet.store)
    except StoreError as error:
        raise RecordingError(error.problems) from error


def _films(source: _Source, store: Store, problems: list[Problem]) -> list[Film]:
    cameras = {camera.id: camera for camera in store.spec.cameras}
    films: list[Film] = []
    for i, entry in enumerate(source.sheet.films):
        place = ("films", i, "camera")
        if entry.camera not in cameras:
            fix = f"use one of {', '.join(cameras)}"
            problems.append(source.problem(place, f"{entry.camera!r} is not in the store", fix))
            continue
        if any(film.camera.id == entry.camera for film in films):
            problems.append(source.problem(place, f"{entry.camera!r} has two films", "join them first"))
            continue
        start_ns = source.clock(entry.offset_s).time_ns("0")
        film = probe(source.folder / entry.file, cameras[entry.camera], start_ns, problems)
        if film is not None:
            films.append(film)
    return films


def _tables(source: _Source, store: Store, problems: list[Problem]) -> tuple[list[ScaleBatch], list[GateEvent]]:
    scales: list[ScaleBatch] = []
    gates: list[GateEvent] = []
    sheet = source.sheet
    if sheet.scales is not None:
        scales = read_scales(source.folder / sheet.scales.file, source.clock(sheet.scales.offset_s), store, problems)
    if sheet.gates is not None:
        gates = read_gates(source.folder / sheet.gates.file, source.clock(sheet.gates.offset_s), store, problems)
    return scales, gates


def _spans(source: _Source, films: list[Film], scales: list[ScaleBatch], gates: list[GateEvent]) -> list[_Span]:
    """The times of everything that could be read."""
    places = {entry.camera: i for i, entry in enumerate(source.sheet.films)}
    spans = [_Span(("films", places[f.camera.id]), f.path.name, f.start_ns, f.end_ns) for f in films]
    for place, table, rows in (("scales", source.sheet.scales, scales), ("gates", source.sheet.gates, gates)):
        if table is not None and rows:
            spans.append(_Span((place,), table.file, rows[0].time_ns, rows[-1].time_ns))
    return spans


def _meeting(source: _Source, spans: list[_Span]) -> Iterator[Problem]:
    """Films and tables that lie wholly before or after the others have a wrong start or offset."""
    groups: list[list[_Span]] = []  # a group overlaps in time, and no other group overlaps it
    for span in sorted(spans, key=lambda span: span.start_ns):
        if groups and span.start_ns <= max(member.end_ns for member in groups[-1]) + NANOSECONDS:
            groups[-1].append(span)
        else:
            groups.append([span])
    for before, after in pairwise(groups):
        gap_s = (after[0].start_ns - max(span.end_ns for span in before)) / NANOSECONDS
        what = f"films and tables do not meet: {gap_s:.1f} s lie between {_named(before)} and {_named(after)}"
        yield source.problem(min(before, after, key=len)[0].place, what, "correct start, offset_s or the times in it")


def _named(spans: list[_Span]) -> str:
    """Some files that overlap, and from when to when."""
    start_ns, end_ns = min(span.start_ns for span in spans), max(span.end_ns for span in spans)
    return f"{few([span.file for span in spans])} ({_utc(start_ns)} to {_utc(end_ns)})"


def few(names: list[str]) -> str:
    """Some names, and how many more there are."""
    more = len(names) - MOST_NAMES
    return ", ".join(names[:MOST_NAMES]) + (f" and {more} more" if more > 0 else "")


def _remarks(store: Store, films: list[Film], scales: list[ScaleBatch], gates: list[GateEvent]) -> Iterator[str]:
    """What a receipt will have to do without."""
    filmed, weighed = {film.camera.id for film in films}, {batch.scale for batch in scales}
    dark = [camera.id for camera in store.spec.cameras if camera.id not in filmed]
    if dark:
        yield f"no film of {few(dark)}"
    silent = [scale.id for scale in store.spec.scales if scale.id not in weighed]
    if silent:
        yield f"no samples of {few(silent)}"
    if not any(event.kind == "entry" for event in gates):
        yield "no entries: a visit begins where somebody is seen first, named visit-1, visit-2 and so on"
    if not any(event.kind == "exit" for event in gates):
        yield "no exits: no receipt becomes final"


def _utc(time_ns: int) -> str:
    instant = datetime.fromtimestamp(time_ns / NANOSECONDS, UTC).replace(tzinfo=None)
    return f"{instant.isoformat(timespec='milliseconds')}Z"
