"""Beats: every process says that it is alive by touching a file; the supervisor and /readyz look at their age."""

from __future__ import annotations

import json
import os
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

STATUS = "supervisor.json"  # what runs: {process: {state, pid, restarts}}
OLD_S = 15.0  # a running process beats more often than this
EVERY_S = 0.5  # a beat costs a system call: no more of them than this


@dataclass
class Beat:
    """One process's file."""

    path: Path
    last_s: float = 0.0

    def __call__(self) -> None:
        """I am alive; called from the main loop, so that a stuck one is noticed."""
        now_s = time.monotonic()
        if now_s - self.last_s >= EVERY_S:
            self.last_s = now_s
            with suppress(OSError):  # on a full disk; who looks at beats sees how old the last one is
                self.path.parent.mkdir(parents=True, exist_ok=True)
                with open(self.path, "ab"):
                    os.utime(self.path)


def beat_of(folder: Path, name: str) -> Beat:
    """The beat of a process by its name in the process table."""
    return Beat(folder / "beats" / name)


def troubled(folder: Path) -> list[str]:
    """Processes that should run and do not, or have not beaten for a while."""
    try:
        table: dict[str, dict[str, str]] = json.loads((folder / STATUS).read_text(encoding="utf-8"))
    except OSError:
        return ["supervisor"]
    ages = ages_s(folder)
    alive = [name for name, row in table.items() if row["state"] == "running"]
    silent = [name for name in alive if ages.get(name, float("inf")) > OLD_S]
    return silent + [name for name, row in table.items() if row["state"] not in ("running", "ended")]


def ages_s(folder: Path) -> dict[str, float]:
    """{process: seconds since its last beat}."""
    now_s = time.time()
    files = sorted((folder / "beats").glob("*"))
    return {path.name: max(0.0, now_s - path.stat().st_mtime) for path in files}
