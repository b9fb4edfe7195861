"""Run the benchmark: every case by every model, from the cache where it has them."""

from __future__ import annotations

from pathlib import Path

from openaisle.bench.jobs import Job, Progress, run_jobs
from openaisle.bench.models import contender, model_sha256
from openaisle.bench.play import play
from openaisle.bench.results import CaseResult, code_hash, result_key
from openaisle.bench.side_by_side import eyes_of
from openaisle.bench.suites import Plan

DEFAULT_FOLDER = Path("data/bench")
RESULTS = "results.jsonl"


def jobs_of(plan: Plan) -> list[Job]:
    """What a plan asks to be played; raises ModelError for a model that is not there."""
    code = code_hash()
    hashes = {model: model_sha256(model) for model in dict.fromkeys(model for _, model in plan)}
    return [Job(result_key(case, model, hashes[model], code), case, model, hashes[model]) for case, model in plan]


def run_bench(
    plan: Plan, folder: Path = DEFAULT_FOLDER, processes: int = 1, progress: Progress | None = None
) -> list[CaseResult]:
    """Results of a plan in its order, from the cache where it has them; raises ModelError for a missing model."""
    return run_jobs(jobs_of(plan), play, folder / RESULTS, processes, progress, lambda model: eyes_of(contender(model)))
