"""Album: what a person needs to check a line, in a file beside the database: weights and stills around every event.

It is a help, never the truth: a ring of bounded size that may be deleted at any time. The worker writes it, pages read
it. Its rows are keyed by event, sensor and time, so a run that is taken up again writes the same ones over.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

FILE = "album.sqlite"
PAGE_BYTES = 4096
DROPS = 64  # events that go at once when the ring is full
SCHEMA = """
CREATE TABLE IF NOT EXISTS events (id TEXT PRIMARY KEY, at_ns INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS stills (
    event TEXT NOT NULL, camera TEXT NOT NULL, time_ns INTEGER NOT NULL, jpeg BLOB NOT NULL,
    PRIMARY KEY (event, camera, time_ns));
CREATE TABLE IF NOT EXISTS traces (
    event TEXT NOT NULL, scale TEXT NOT NULL, start_ns INTEGER NOT NULL, rate_hz REAL NOT NULL, grams BLOB NOT NULL,
    PRIMARY KEY (event, scale));
CREATE TABLE IF NOT EXISTS tiles (camera TEXT PRIMARY KEY, time_ns INTEGER NOT NULL, jpeg BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS now (name TEXT PRIMARY KEY, body TEXT NOT NULL);
"""
Float32 = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Still:
    """One picture of a camera, JPEG."""

    camera: str
    time_ns: int
    jpeg: bytes


@dataclass(frozen=True, slots=True)
class Trace:
    """Samples of a scale, grams; NaN = no reading."""

    scale: str
    start_ns: int
    rate_hz: float
    grams: Float32


@dataclass(frozen=True, slots=True)
class Shot:
    """Where a still is."""

    camera: str
    time_ns: int


@dataclass(frozen=True, slots=True)
class Levels:
    """What all scales show: grams by scale, and how much each has moved in the last seconds."""

    run: str
    time_ns: int
    at_ns: int
    grams: dict[str, float]
    moved: dict[str, float]
    first: dict[str, float]  # at the beginning of the run


class Album:
    """The file of one live store; opening it is cheap, and it is made when it is first written."""

    def __init__(self, folder: Path | None) -> None:
        self.path = folder / FILE if folder is not None else None

    # --- reading: whatever is wrong with the file, there is just nothing to show

    def shots(self, event: str) -> list[Shot]:
        """An event's stills, by camera and time."""
        query = "SELECT camera, time_ns FROM stills WHERE event = ? ORDER BY camera, time_ns"
        return [Shot(row["camera"], row["time_ns"]) for row in self._rows(query, event)]

    def still(self, event: str, camera: str, time_ns: int) -> bytes | None:
        """A picture."""
        query = "SELECT jpeg FROM stills WHERE event = ? AND camera = ? AND time_ns = ?"
        rows = self._rows(query, event, camera, time_ns)
        return rows[0]["jpeg"] if rows else None

    def traces(self, event: str) -> list[Trace]:
        """An event's weights."""
        rows = self._rows("SELECT scale, start_ns, rate_hz, grams FROM traces WHERE event = ? ORDER BY scale", event)
        return [
            Trace(row["scale"], row["start_ns"], row["rate_hz"], np.frombuffer(row["grams"], "<f4")) for row in rows
        ]

    def tiles(self) -> list[Shot]:
        """The cameras that have a picture of now."""
        return [Shot(row["camera"], row["time_ns"]) for row in self._rows("SELECT camera, time_ns FROM tiles")]

    def tile(self, camera: str) -> bytes | None:
        """A camera's picture of now, small."""
        rows = self._rows("SELECT jpeg FROM tiles WHERE camera = ?", camera)
        return rows[0]["jpeg"] if rows else None

    def levels(self) -> Levels | None:
        """What the scales show."""
        rows = self._rows("SELECT body FROM now WHERE name = 'levels'")
        return Levels(**json.loads(rows[0]["body"])) if rows else None

    def size_bytes(self) -> int:
        """Of the file."""
        try:
            return self.path.stat().st_size if self.path else 0
        except OSError:
            return 0

    def _rows(self, query: str, *values: str | int) -> list[sqlite3.Row]:
        if self.path is None or not self.path.exists():
            return []
        try:
            with closing(sqlite3.connect(f"file:{self.path}?mode=ro", uri=True, timeout=1.0)) as connection:
                connection.row_factory = sqlite3.Row
                return connection.execute(query, values).fetchall()
        except sqlite3.Error:
            return []

    # --- writing

    @contextmanager
    def pen(self) -> Iterator[Pen]:
        """A transaction; raises sqlite3.Error, OSError."""
        assert self.path is not None, "a worker has a folder"
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(self.path, timeout=1.0)) as connection:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=OFF")  # a power cut may take it, and no receipt with it
            connection.executescript(SCHEMA)
            with connection:
                yield Pen(connection)


@dataclass(frozen=True, slots=True)
class Pen:
    """Writes into an open transaction."""

    connection: sqlite3.Connection

    def knows(self, event: str) -> bool:
        """Whether an event has been written."""
        return self.connection.execute("SELECT 1 FROM events WHERE id = ?", (event,)).fetchone() is not None

    def event(self, event: str, stills: Sequence[Still], at_ns: int) -> None:
        """An event with its stills."""
        self.connection.execute("INSERT OR REPLACE INTO events VALUES (?, ?)", (event, at_ns))
        rows = [(event, still.camera, still.time_ns, still.jpeg) for still in stills]
        self.connection.executemany("INSERT OR REPLACE INTO stills VALUES (?, ?, ?, ?)", rows)

    def trace(self, event: str, trace: Trace) -> None:
        """Weights around an event."""
        grams = trace.grams.astype("<f4").tobytes()
        row = (event, trace.scale, trace.start_ns, trace.rate_hz, grams)
        self.connection.execute("INSERT OR REPLACE INTO traces VALUES (?, ?, ?, ?, ?)", row)

    def tile(self, still: Still) -> None:
        """A camera's picture of now, in place of the one before."""
        row = (still.camera, still.time_ns, still.jpeg)
        self.connection.execute("INSERT OR REPLACE INTO tiles VALUES (?, ?, ?)", row)

    def levels(self, levels: Levels) -> None:
        """What the scales show now."""
        body = json.dumps({name: getattr(levels, name) for name in Levels.__slots__})
        self.connection.execute("INSERT OR REPLACE INTO now VALUES ('levels', ?)", (body,))

    def forget(self, older_ns: int, most_bytes: int) -> None:
        """Drop what is too old, and the oldest events while the file holds too much; freed pages are used again."""
        self._drop("SELECT id FROM events WHERE at_ns < ?", older_ns)
        if self.used_bytes() > most_bytes:
            self._drop("SELECT id FROM events ORDER BY at_ns LIMIT ?", DROPS)

    def used_bytes(self) -> int:
        """Bytes of pages in use."""
        pages, free = (
            self.connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count")
        )
        return int(pages - free) * PAGE_BYTES

    def _drop(self, query: str, value: int) -> None:
        for table, column in (("stills", "event"), ("traces", "event"), ("events", "id")):
            self.connection.execute(f"DELETE FROM {table} WHERE {column} IN ({query})", (value,))
