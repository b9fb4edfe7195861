"""Jobs: what a worker is to run; apart from the worker, so that who only reads it need not load the pipeline."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Job:
    """What to run: `source` is a recording's folder, sim:SCENARIO or live:JOURNAL."""

    source: str
    model: str
    seed: int = 0
    speed: float = 1.0  # times real time, 0 = as fast as it goes
    keep_hours: float = 24.0  # of a journal, after the visits in it
