"""Play one case: a simulated shop straight into the pipeline, its pictures through H.264 as in a recording, scored."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import tee

import numpy as np

from openaisle.bench.jobs import Job
from openaisle.bench.meters import Meter, memory_peak_mb, new_memory_peak
from openaisle.bench.models import Contender, contender
from openaisle.bench.oracle import run_on_truth
from openaisle.bench.results import CaseResult
from openaisle.bench.scene import Scene, scene_of
from openaisle.bench.shop import shopper_seconds, shoppers_present
from openaisle.bench.side_by_side import eyes_of, predictors_of
from openaisle.bench.suites import Case
from openaisle.bench.wrong import wrong_visits
from openaisle.errors import ModelError, Problem
from openaisle.messages import Truth, TruthEvent, TruthReceipt, TruthTick
from openaisle.pipeline import receipts_document, run
from openaisle.predictor import Predictor
from openaisle.receipts.document import ReceiptsDocument, read_receipts
from openaisle.receipts.score import Score, score
from openaisle.recording.video import through_h264
from openaisle.state import StepResult
from openaisle.store.store import Store


@dataclass(frozen=True)
class Played:
    """A case as a contender played it."""

    score: Score
    document: ReceiptsDocument
    truth: tuple[Truth, ...]
    store: Store  # as the contender was told that it is
    compute_s: tuple[float, ...]  # of each second of store time
    cpu_s: float  # of all threads, without the simulation


def play(jobs: Sequence[Job]) -> list[CaseResult]:
    """Simulate the one case of all jobs, run their contenders side by side, score each.

    Raises ModelError for a model that is not there.
    """
    began = time.perf_counter()
    new_memory_peak()
    played = play_together(jobs[0].case, [job.model for job in jobs])
    wall_s = time.perf_counter() - began
    return [_result(job, one, wall_s / len(jobs)) for job, one in zip(jobs, played, strict=True)]


def _result(job: Job, played: Played, wall_s: float) -> CaseResult:
    step_ms = np.percentile(played.compute_s or [0.0], [50, 95, 99]) * 1e3
    receipts = [t for t in played.truth if isinstance(t, TruthReceipt)]
    return CaseResult(
        job.key, job.case, job.model, job.model_sha256, played.score.visits,
        stream_s=float(len(played.compute_s)),  # a step is a second of store time
        wall_s=wall_s, model_s=sum(played.compute_s),
        step_ms=(float(step_ms[0]), float(step_ms[1]), float(step_ms[2])),
        cpu_s=played.cpu_s, memory_mb=memory_peak_mb(), cameras=len(played.store.spec.cameras),
        shopper_s=shopper_seconds(t for t in played.truth if isinstance(t, TruthTick)),
        wrong=wrong_visits(played.document, receipts, played.store.products),
    )  # fmt: skip


def play_case(case: Case, model: str) -> Played:
    """What one contender makes of one case; deterministic but for the times."""
    return play_together(case, [model])[0]


def play_together(case: Case, models: Sequence[str]) -> list[Played]:
    """What contenders make of one case, each as if it were alone; deterministic but for the times.

    Those with true tracks and those with answers on disk must come alone. Raises ModelError for one that is not there.
    """
    found = [contender(model) for model in models]
    assert len(found) == 1 or all(eyes_of(one) for one in found)
    scene = scene_of(case, video=found[0].answers is None and not found[0].oracle)
    truth: list[Truth] = []
    if found[0].answers is not None:
        runs = [_Run(found[0].name, document=_answer(found[0], case))]
        for _ in scene.messages():
            truth.extend(scene.shop.truth_until(scene.shop.time_ns))
    else:
        runs = _run(found, scene, truth)
    truth.extend(scene.shop.truth_until(scene.shop.time_ns))
    receipts = [t for t in truth if isinstance(t, TruthReceipt)]
    events = [t for t in truth if isinstance(t, TruthEvent)]
    present = shoppers_present(t for t in truth if isinstance(t, TruthTick))
    played = []
    for one in runs:
        document = one.document or receipts_document(one.results, case.name, one.name)
        scored = score(receipts, events, document, scene.told.products, present)
        compute_s = tuple(result.compute_s for result in one.results)
        played.append(Played(scored, document, tuple(truth), scene.told, compute_s, one.meter.cpu_s))
    return played


@dataclass(slots=True)
class _Run:
    """A contender on its way through a case."""

    name: str
    document: ReceiptsDocument | None = None  # where it was written elsewhere
    results: list[StepResult] = field(default_factory=list)
    meter: Meter = field(default_factory=Meter)


def _run(found: Sequence[Contender], scene: Scene, truth: list[Truth]) -> list[_Run]:
    """All contenders through the case, second by second."""
    players, accesses, networks = predictors_of(found)
    runs = [_Run(one.name) for one in found]
    sources = _sources(found, scene, truth, players, [one.meter for one in runs])
    going = True
    while going:
        for mine, source, access in zip(runs, sources, accesses, strict=True):
            with mine.meter:
                result = next(source, None)
            going = result is not None  # all have the same seconds
            if result is not None and access is not None:
                result, owed = access.settle(result)
                mine.meter.cpu_s += owed.cpu_s
            if result is not None:
                mine.results.append(replace(result, tick=replace(result.tick, frames=()), tracks=()))
        for network in networks:
            network.answers.clear()
    return runs


def _sources(
    found: Sequence[Contender], scene: Scene, truth: list[Truth], players: Sequence[Predictor], meters: Sequence[Meter]
) -> list[Iterator[StepResult]]:
    told = [scene.told if one.pictures else replace(scene.told, pictures={}) for one in found]
    if found[0].oracle:
        return [run_on_truth(scene.shop, meters[0].aside(scene.messages()), told[0], truth, players[0])]
    seen = tee(through_h264(scene.messages(), scene.told), len(found))
    return [
        run(store, meter.aside(messages), player, video=one.video, scales=one.scales)
        for one, store, messages, player, meter in zip(found, told, seen, players, meters, strict=True)
    ]


def _answer(found: Contender, case: Case) -> ReceiptsDocument:
    """The receipts that another system wrote for this case."""
    assert found.answers is not None
    path = found.answers / f"{case.name}.json"
    if not path.is_file():
        fix = "write it (a receipts document, perhaps without receipts), or ask for other cases"
        raise ModelError([Problem(str(path), "file", f"there is no answer for the case {case.name}", fix)])
    return read_receipts(path)
