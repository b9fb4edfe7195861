"""Tables: CSV files of scale samples and gate events, checked row by row, as messages."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np

from openaisle.errors import Problem
from openaisle.messages import NANOSECONDS, GateEvent, ScaleBatch
from openaisle.store.store import Store

BATCH_NS = NANOSECONDS // 2
MOST_PROBLEMS = 20  # of one file; a wrong column would otherwise print a book
MOST_S = 9e9  # almost three centuries, and what fits into 64 bits of nanoseconds; milliseconds since 1970 are more
_Row = dict[str, str]


@dataclass(frozen=True, slots=True)
class Clock:
    """What a time in a table means: seconds from `start_ns`, or an ISO 8601 instant; then moved by `offset_ns`."""

    start_ns: int
    offset_ns: int

    def time_ns(self, text: str) -> int:
        """Nanoseconds UTC. Raises ValueError."""
        try:
            seconds = float(text)
        except ValueError:
            time_ns = instant_ns(_instant(text)) + self.offset_ns
        else:
            if not abs(seconds) < MOST_S:
                raise ValueError(f"the time {text!r} is not in seconds")
            time_ns = self.start_ns + round(seconds * NANOSECONDS) + self.offset_ns
        if not abs(time_ns) < MOST_S * NANOSECONDS:
            raise ValueError(f"the time {text!r} is centuries from 1970")
        return time_ns


def _instant(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        what = f"the time {text!r} is neither seconds from start nor an instant such as 2026-03-01T12:00:00Z"
        raise ValueError(what) from None


def instant_ns(instant: datetime) -> int:
    """Nanoseconds UTC of an instant with a zone, exact to the microsecond. Raises ValueError without a zone."""
    if instant.tzinfo is None:
        raise ValueError("a time of day needs a zone, e.g. 2026-03-01T12:00:00Z")
    whole = instant.replace(microsecond=0)
    return round(whole.timestamp()) * NANOSECONDS + instant.microsecond * 1000


def read_scales(path: Path, clock: Clock, store: Store, problems: list[Problem]) -> list[ScaleBatch]:
    """Batches of up to half a second from columns time, scale, grams (empty = no reading), in time order."""
    known = {scale.id for scale in store.spec.scales}
    samples: dict[str, list[tuple[int, float]]] = {}

    def read(row: _Row) -> None:
        time_ns, scale, grams = clock.time_ns(row["time"]), row["scale"], _grams(row["grams"])
        if scale not in known:
            raise ValueError(f"scale {scale!r} is not in the store")
        series = samples.setdefault(scale, [])
        if series and time_ns <= series[-1][0]:
            raise ValueError(f"the time of scale {scale!r} does not grow")
        series.append((time_ns, grams if math.isfinite(grams) else math.nan))

    _read(path, ("time", "scale", "grams"), read, problems)
    batches = [batch for scale in sorted(samples) for batch in batches_of(scale, samples[scale])]
    return sorted(batches, key=lambda batch: batch.time_ns)


def _grams(text: str) -> float:
    try:
        return float(text) if text else math.nan
    except ValueError:
        raise ValueError(f"grams {text!r} is not a number") from None


def batches_of(scale: str, samples: list[tuple[int, float]]) -> Iterator[ScaleBatch]:
    """Even runs of samples as batches; a sample more than a quarter interval off its place starts a new one."""
    times = np.array([time for time, _ in samples], dtype=np.int64)
    grams = np.array([value for _, value in samples], dtype=np.float32)
    # One sample alone says nothing about the rate: 1 Hz is as good as any.
    interval = float(np.median(np.diff(times))) if len(times) > 1 else float(NANOSECONDS)
    first = seq = 0
    for i in range(1, len(times) + 1):
        expected = times[first] + (i - first) * interval
        if i < len(times) and abs(times[i] - expected) <= interval / 4 and times[i] - times[first] < BATCH_NS:
            continue
        yield ScaleBatch(scale, int(times[first]), NANOSECONDS / interval, grams[first:i], "import", 0, seq)
        first, seq = i, seq + 1


def read_gates(path: Path, clock: Clock, store: Store, problems: list[Problem]) -> list[GateEvent]:
    """Gate events from columns time, gate, kind (entry | exit), visit (empty for an exit), in time order."""
    known = {gate.id for gate in store.spec.gates}
    events: list[GateEvent] = []

    def read(row: _Row) -> None:
        gate, kind, visit = row["gate"], row["kind"], row["visit"]
        if gate not in known:
            raise ValueError(f"gate {gate!r} is not in the store")
        if kind not in ("entry", "exit"):
            raise ValueError(f"kind is {kind!r}, not entry or exit")
        if kind == "entry" and not visit:
            raise ValueError("an entry needs the visit it opens")
        events.append(GateEvent(gate, clock.time_ns(row["time"]), kind, visit))

    _read(path, ("time", "gate", "kind", "visit"), read, problems)
    return sorted(events, key=lambda event: event.time_ns)


def _read(path: Path, columns: tuple[str, ...], read: Callable[[_Row], None], problems: list[Problem]) -> None:
    """Feed the rows of a CSV file to `read`, turning what it raises into problems with line numbers."""
    found: list[Problem] = []
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            table = csv.DictReader(stream, strict=True, skipinitialspace=True)
            missing = [column for column in columns if column not in (table.fieldnames or ())]
            if missing:
                what = f"lacks the column(s) {', '.join(missing)}" if table.fieldnames else "is empty"
                fix = f"let the first line be {','.join(columns)}, with commas between the columns"
                problems.append(Problem(str(path), "line 1", what, fix))
                return
            rows = 0
            for row in table:
                rows += 1
                try:
                    if None in row or None in row.values():
                        raise ValueError("has too few or too many columns")
                    read({column: row[column].strip() for column in columns})
                except ValueError as error:
                    found.append(Problem(str(path), f"line {table.line_num}", str(error), "mend or remove the row"))
            if rows == 0:
                found.append(Problem(str(path), "line 2", "has no rows", "give at least one"))
    except FileNotFoundError:
        found.append(Problem(str(path), "file", "is missing", "put it there, or correct its name in import.yaml"))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        found.append(Problem(str(path), "file", f"cannot be read as CSV ({error})", "give a UTF-8 CSV file"))
    problems += found[:MOST_PROBLEMS]
    if len(found) > MOST_PROBLEMS:
        what = f"{len(found) - MOST_PROBLEMS} more rows are wrong"
        problems.append(Problem(str(path), found[MOST_PROBLEMS].place, what, "mend the first ones and try again"))
