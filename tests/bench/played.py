"""Results as played cases leave them, made up: even seeds and the model "small" get everything right but its worst."""

from __future__ import annotations

from collections.abc import Sequence

from openaisle.bench.jobs import Job
from openaisle.bench.results import CaseResult, result_key
from openaisle.bench.suites import Case
from openaisle.bench.wrong import WrongLine, WrongVisit
from openaisle.receipts.metrics import VisitScore

KIOSK, CORNER = "random:kiosk", "random:corner"


def visit(name: str, exact: bool, shoppers: int = 1, confidence: float = 0.9) -> VisitScore:
    """Two units taken; one of them charged where the visit is not exact."""
    hits = 2 if exact else 1
    return VisitScore(
        name, exact, confidence, hits, 2, 2, 0 if exact else 149, 0 if exact else 149, 298, ((confidence, exact),),
        shoppers=shoppers, events=2, credited=hits, latency_s=(1.25,) * hits, final_s=0.5,
    )  # fmt: skip


def job(case: Case, model: str = "small") -> Job:
    """A case to be played."""
    return Job(result_key(case, model, "abc", "code"), case, model, "abc")


def played(one: Job) -> CaseResult:
    """A stand-in for the simulator."""
    right = one.model == "small" or one.case.seed % 2 == 0
    visits = (visit("v1", right), visit("v2", True, shoppers=5))
    lines = (WrongLine("00000000000017", "Cola <b>", 1, 0, 149), WrongLine("00000000000024", "Tea", 0, 1, 149))
    wrong = () if right else (WrongVisit("v1", 7, lines),)
    return CaseResult(
        one.key, one.case, one.model, one.model_sha256, visits, 60.0, 9.0, 6.0, (10.0, 20.0, 30.0), cpu_s=5.0,
        memory_mb=400.0, cameras=4, shopper_s=90.0, wrong=wrong,
    )  # fmt: skip


def all_played(jobs: Sequence[Job]) -> list[CaseResult]:
    """The same for jobs that are played together."""
    return [played(one) for one in jobs]
