"""Run the tasks' cases: each is watched once and kept as a file, until model, case or the code that plays change."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from openaisle.bench.jobs import Job, results_of
from openaisle.bench.models import contender, model_sha256
from openaisle.bench.results import code_hash, result_key
from openaisle.bench.suites import Case
from openaisle.bench.tasks.observed import Observed, load
from openaisle.bench.tasks.watch import observe
from openaisle.errors import MissingExtraError, ModelError, Problem

WATCHES = "bench/tasks/watch.py"
FOLDER = "tasks"
# What is imported, and the extras that bring it.
NEEDS = (("torch", "tasks"), ("torchmetrics", "tasks"), ("faster_coco_eval", "tasks"), ("trackeval", "tasks,tracking"))


def needed() -> None:
    """Raise MissingExtraError for the first library that is not installed, with the extra that brings it."""
    for package, extra in NEEDS:
        if find_spec(package) is None:
            raise MissingExtraError(package.replace("_", "-"), extra)


def watch_cases(
    cases: Sequence[Case], model: str, folder: Path, processes: int = 1,
    progress: Callable[[float], None] = lambda share: None,
) -> list[Observed]:  # fmt: skip
    """What a model believes in each case, in order; from files in folder/tasks where they are there.

    Raises ModelError for a model that is not there or brings no eyes of its own, MissingExtraError without a library.
    """
    needed()
    found = contender(model)
    if found.oracle or found.answers is not None or not (found.video and found.scales and found.pictures):
        fix = "name a network: small, or a folder that `aisle export` wrote"
        raise ModelError([Problem("--model", repr(model), "tasks are measured with all senses", fix)])
    sha, code = model_sha256(model), code_hash(plays=WATCHES)
    jobs = [Job(result_key(case, f"tasks:{model}", sha, code), case, model, sha) for case in cases]
    missing = [job for job in jobs if load(kept_at(folder, job)) is None]
    progress((len(jobs) - len(missing)) / max(1, len(jobs)))
    for done, _ in enumerate(results_of(missing, partial(_keep, folder), processes), len(jobs) - len(missing) + 1):
        progress(done / len(jobs))
    kept = [load(kept_at(folder, job)) for job in jobs]
    assert all(one is not None for one in kept)
    return [one for one in kept if one is not None]


def kept_at(folder: Path, job: Job) -> Path:
    """Where what was watched in a job is kept."""
    return folder / FOLDER / f"{job.key}.npz"


def _keep(folder: Path, job: Job) -> None:
    observe(job).save(kept_at(folder, job))
