"""Play one case: a simulated shop straight into the pipeline, its pictures through H.264 as in a recording, scored."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from openaisle.bench.jobs import Job
from openaisle.bench.meters import Meter, memory_peak_mb, new_memory_peak
from openaisle.bench.models import Contender, contender, predictor_of
from openaisle.bench.oracle import run_on_truth
from openaisle.bench.results import CaseResult
from openaisle.bench.scene import Scene, scene_of
from openaisle.bench.shop import shopper_seconds, shoppers_present
from openaisle.bench.suites import Case
from openaisle.bench.wrong import wrong_visits
from openaisle.errors import ModelError, Problem
from openaisle.messages import Truth, TruthEvent, TruthReceipt, TruthTick
from openaisle.pipeline import receipts_document, run
from openaisle.receipts.document import ReceiptsDocument, read_receipts
from openaisle.receipts.score import Score, score
from openaisle.recording.video import through_h264
from openaisle.state import StepResult
from openaisle.store.store import Store


@dataclass(slots=True)
class Watch:
    """Times of a run's steps, taken while its results pass by."""

    compute_s: list[float] = field(default_factory=list)

    def over(self, results: Iterable[StepResult]) -> Iterator[StepResult]:
        """The same results."""
        for result in results:
            self.compute_s.append(result.compute_s)
            yield result


@dataclass(frozen=True)
class Played:
    """A case as a contender played it."""

    score: Score
    document: ReceiptsDocument
    truth: tuple[Truth, ...]
    store: Store  # as the contender was told that it is
    compute_s: tuple[float, ...]  # of each second of store time
    cpu_s: float  # of all threads, without the simulation


def play(job: Job) -> CaseResult:
    """Simulate, run the contender, score; raises ModelError for one that is not there."""
    began = time.perf_counter()
    new_memory_peak()
    played = play_case(job.case, job.model)
    step_ms = np.percentile(played.compute_s or [0.0], [50, 95, 99]) * 1e3
    receipts = [t for t in played.truth if isinstance(t, TruthReceipt)]
    return CaseResult(
        job.key, job.case, job.model, job.model_sha256, played.score.visits,
        stream_s=float(len(played.compute_s)),  # a step is a second of store time
        wall_s=time.perf_counter() - began, model_s=sum(played.compute_s),
        step_ms=(float(step_ms[0]), float(step_ms[1]), float(step_ms[2])),
        cpu_s=played.cpu_s, memory_mb=memory_peak_mb(), cameras=len(played.store.spec.cameras),
        shopper_s=shopper_seconds(t for t in played.truth if isinstance(t, TruthTick)),
        wrong=wrong_visits(played.document, receipts, played.store.products),
    )  # fmt: skip


def play_case(case: Case, model: str) -> Played:
    """What one contender makes of one case; deterministic but for the times."""
    found = contender(model)
    scene = scene_of(case, video=found.answers is None and not found.oracle)
    truth: list[Truth] = []
    meter, watch = Meter(), Watch()
    if found.answers is not None:
        document = _answer(found, case)
        for _ in scene.messages():
            truth.extend(scene.shop.truth_until(scene.shop.time_ns))
    else:
        with meter:
            results = watch.over(_results(found, scene, meter, truth))
            document = receipts_document(results, case.name, model)
    truth.extend(scene.shop.truth_until(scene.shop.time_ns))
    receipts = [t for t in truth if isinstance(t, TruthReceipt)]
    events = [t for t in truth if isinstance(t, TruthEvent)]
    present = shoppers_present(t for t in truth if isinstance(t, TruthTick))
    scored = score(receipts, events, document, scene.told.products, present)
    return Played(scored, document, tuple(truth), scene.told, tuple(watch.compute_s), meter.cpu_s)


def _results(found: Contender, scene: Scene, meter: Meter, truth: list[Truth]) -> Iterator[StepResult]:
    predictor = predictor_of(found)
    store = scene.told if found.pictures else replace(scene.told, pictures={})
    if found.oracle:
        return run_on_truth(scene.shop, meter.aside(scene.messages()), store, truth, predictor)
    messages = meter.aside(through_h264(scene.messages(), store))
    return run(store, messages, predictor, video=found.video, scales=found.scales)


def _answer(found: Contender, case: Case) -> ReceiptsDocument:
    """The receipts that another system wrote for this case."""
    assert found.answers is not None
    path = found.answers / f"{case.name}.json"
    if not path.is_file():
        fix = "write it (a receipts document, perhaps without receipts), or ask for other cases"
        raise ModelError([Problem(str(path), "file", f"there is no answer for the case {case.name}", fix)])
    return read_receipts(path)
