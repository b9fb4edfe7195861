"""Cases for other systems: the benchmark's recordings on disk, to be answered with a receipts.json each.

    OUT/CASE/              a recording (docs/recordings.md); the truth lies in files of its own, or nowhere
    OUT/cases.json         what the cases are, and the version of the splits

Answers called CASE.json in one folder join the table as `--model answers:FOLDER`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from openaisle.bench.scene import record_scene, scene_of
from openaisle.bench.splits import read_splits
from openaisle.bench.suites import Case

INDEX = "cases.json"


def write_cases(
    cases: Sequence[Case], out: Path, *, truth: bool = True, progress: Callable[[float], None] = lambda share: None
) -> list[Path]:
    """Write those recordings that are not there yet, and the index; each appears whole or not at all."""
    out.mkdir(parents=True, exist_ok=True)
    for done, case in enumerate(cases):
        progress(done / len(cases))
        if not (out / case.name).exists():
            record_scene(scene_of(case), out / case.name, truth=truth)
    index = {"splits": read_splits().version, "cases": [{"name": case.name, **asdict(case)} for case in cases]}
    partial = out / (INDEX + ".partial")
    partial.write_text(json.dumps(index, indent=1) + "\n", encoding="utf-8")
    partial.replace(out / INDEX)
    progress(1.0)
    return [out / case.name for case in cases]
