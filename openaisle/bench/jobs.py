"""Jobs: cases played by models, each result kept at once, those already played taken from the file.

The numbers depend on neither the number of processes nor the order in which jobs finish.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

from openaisle.bench.results import CaseResult, append, load
from openaisle.bench.suites import Case


@dataclass(frozen=True, slots=True)
class Job:
    """One case to be played by one model; the key names everything its result depends on."""

    key: str
    case: Case
    model: str
    model_sha256: str


Play = Callable[[Job], CaseResult]
Progress = Callable[[CaseResult, int, int], None]  # result, jobs done, jobs in all


def run_jobs(
    jobs: Sequence[Job], work: Play, path: Path, processes: int = 1, progress: Progress | None = None
) -> list[CaseResult]:
    """Results of jobs, from the file where it has them; new ones are added to it as they finish."""
    done = load(path, (job.key for job in jobs))
    missing = [job for job in {job.key: job for job in jobs}.values() if job.key not in done]
    for result in _results(missing, work, processes):
        append(path, result)
        done[result.key] = result
        if progress:
            progress(result, len(done), len(jobs))
    return [done[job.key] for job in jobs]


def _results(jobs: Sequence[Job], work: Play, processes: int) -> Iterator[CaseResult]:
    if processes <= 1 or len(jobs) <= 1:
        yield from map(work, jobs)
        return
    # spawn: a fork would copy numba's and ONNX Runtime's threads half-dead
    with ProcessPoolExecutor(processes, get_context("spawn")) as pool:
        for future in as_completed([pool.submit(work, job) for job in jobs]):
            yield future.result()
