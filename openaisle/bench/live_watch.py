"""What is watched while a live store is under load: memory and processor of every process, and how far behind it is.

Linux only: it reads /proc.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

EVERY_S = 1.0
TICKS_S = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
STEADY = 0.25  # of the time: what memory does before that is warm-up


@dataclass(frozen=True, slots=True)
class Reading:
    """One process at one moment."""

    process: str
    at_s: float  # since the shop opened
    memory_mb: float
    cores: float  # busy with it since the last reading


@dataclass
class Watch:
    """Reads once a second in a thread of its own."""

    folder: Path  # of the live store
    others: Mapping[str, int]  # name → pid of processes that supervisor.json does not have
    behind_s: Callable[[], float | None]  # how far the pipeline is behind the clock; None = it has not begun
    readings: list[Reading] = field(default_factory=list)
    behind: list[tuple[float, float]] = field(default_factory=list)
    _spent: dict[int, tuple[float, float]] = field(default_factory=dict)  # pid → when, processor seconds
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None
    began_s: float = 0.0

    def __enter__(self) -> Watch:
        """Begin."""
        self.began_s = time.monotonic()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def look(self) -> None:
        """One reading of everything."""
        at_s = time.monotonic() - self.began_s
        for name, pid in {**self.others, **_pids(self.folder)}.items():
            found = usage(pid)
            if found is None:
                continue
            before = self._spent.get(pid)
            self._spent[pid] = at_s, found[1]
            if before is not None and at_s > before[0]:
                self.readings.append(Reading(name, at_s, found[0], (found[1] - before[1]) / (at_s - before[0])))
        behind_s = self.behind_s()
        if behind_s is not None:
            self.behind.append((at_s, behind_s))

    def _run(self) -> None:
        while not self._stop.wait(EVERY_S):
            self.look()


def usage(pid: int) -> tuple[float, float] | None:
    """(resident megabytes, processor seconds so far) of a process; None when it is gone."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (OSError, IndexError):
        return None
    return pages * PAGE / 1e6, (int(words[11]) + int(words[12])) / TICKS_S


def growth_mb(readings: Sequence[Reading], process: str) -> float:
    """By how much a process's memory grows after its warm-up: medians of the last and the first fifth of the rest."""
    own = [one for one in readings if one.process == process]
    end_s = max((one.at_s for one in readings), default=0.0)
    steady = [one.memory_mb for one in own if one.at_s >= STEADY * end_s]
    part = max(1, len(steady) // 5)
    return float(np.median(steady[-part:]) - np.median(steady[:part])) if steady else 0.0


def _pids(folder: Path) -> dict[str, int]:
    from openaisle.service.beats import STATUS

    try:
        table: dict[str, dict[str, int]] = json.loads((folder / STATUS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {name: int(row["pid"]) for name, row in table.items() if row["pid"]}
