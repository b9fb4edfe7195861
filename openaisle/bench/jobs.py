"""Jobs: cases played by models, each result kept at once, those already played taken from the file.

The numbers depend on neither the number of processes nor the order in which jobs finish.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context, parent_process
from multiprocessing.connection import wait
from pathlib import Path
from threading import Thread
from typing import TypeVar

from openaisle.bench.results import CaseResult, append, load
from openaisle.bench.suites import Case
from openaisle.errors import ModelError, Problem


@dataclass(frozen=True, slots=True)
class Job:
    """One case to be played by one model; the key names everything its result depends on."""

    key: str
    case: Case
    model: str
    model_sha256: str


Todo = TypeVar("Todo")
Done = TypeVar("Done")
Play = Callable[[Sequence[Job]], list[CaseResult]]  # jobs of one case, played together
Progress = Callable[[CaseResult, int, int], None]  # result, jobs done, jobs in all


def run_jobs(
    jobs: Sequence[Job], work: Play, path: Path, processes: int = 1, progress: Progress | None = None,
    together: Callable[[str], str] = lambda model: "",
) -> list[CaseResult]:  # fmt: skip
    """Results of jobs, from the file where it has them; new ones are added to it as they finish.

    Models for which `together` names the same network (not "") play a case side by side.
    """
    done = load(path, (job.key for job in jobs))
    groups: dict[tuple[Case, str], list[Job]] = {}
    for job in {job.key: job for job in jobs}.values():
        if job.key not in done:
            groups.setdefault((job.case, together(job.model) or job.key), []).append(job)
    for results in results_of(list(groups.values()), work, processes):
        for result in results:
            append(path, result)
            done[result.key] = result
            if progress:
                progress(result, len(done), len(jobs))
    return [done[job.key] for job in jobs]


def results_of(jobs: Sequence[Todo], work: Callable[[Todo], Done], processes: int) -> Iterator[Done]:
    """What `work` makes of each job, as they finish; ModelError when a process that worked died."""
    if processes <= 1 or len(jobs) <= 1:
        yield from map(work, jobs)
        return
    # spawn: a fork would copy numba's and ONNX Runtime's threads half-dead
    pool = ProcessPoolExecutor(processes, get_context("spawn"), initializer=_end_with_parent)
    try:
        for future in as_completed([pool.submit(work, job) for job in jobs]):
            yield future.result()
    except BrokenProcessPool as error:
        fix = "run it again: it goes on where it was; with fewer --processes when memory was short"
        raise ModelError([Problem("aisle bench", "--processes", "a process that played a case died", fix)]) from error
    finally:
        pool.shutdown(cancel_futures=True)  # after an error or ctrl-C the cases that wait are not played


def _end_with_parent() -> None:
    """A worker whose parent was killed would wait for more work for ever."""
    parent = parent_process()
    assert parent is not None

    def watch() -> None:
        wait([parent.sentinel])
        os._exit(1)

    Thread(target=watch, daemon=True).start()
