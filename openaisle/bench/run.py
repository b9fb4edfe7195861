"""Run the benchmark: every case by every model, from the cache where it has them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from openaisle.bench.jobs import Job, Progress, run_jobs
from openaisle.bench.play import model_sha256, play
from openaisle.bench.results import CaseResult, code_hash, result_key
from openaisle.bench.suites import Case

DEFAULT_FOLDER = Path("data/bench")


def run_bench(
    cases: Sequence[Case],
    models: Sequence[str],
    folder: Path = DEFAULT_FOLDER,
    processes: int = 1,
    progress: Progress | None = None,
) -> list[CaseResult]:
    """Results of all cases by all models, in the order asked for; raises ModelError for a model that is not there."""
    code = code_hash()
    hashes = {model: model_sha256(model) for model in models}
    jobs = [
        Job(result_key(case, model, hashes[model], code), case, model, hashes[model])
        for case in cases
        for model in models
    ]
    return run_jobs(jobs, play, folder / "results.jsonl", processes, progress)
