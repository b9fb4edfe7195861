"""Play one case: a simulated shop straight into the pipeline, its pictures through H.264 as in a recording, scored."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from openaisle.bench.jobs import Job
from openaisle.bench.oracle import Blind, run_on_truth
from openaisle.bench.results import CaseResult
from openaisle.bench.shop import shoppers_present
from openaisle.bench.suites import Case
from openaisle.edge.rule import RulePredictor
from openaisle.edge.runtime import WEIGHTS, load_predictor, read_model
from openaisle.messages import Truth, TruthEvent, TruthReceipt, TruthTick
from openaisle.modular.peer import ModularPredictor
from openaisle.pipeline import receipts_document, run
from openaisle.predictor import Predictor
from openaisle.receipts.score import Score, score
from openaisle.recording.video import through_h264
from openaisle.sim.scenario import load_scenario
from openaisle.sim.source import SimulatedStore
from openaisle.sim.stores import open_store
from openaisle.state import StepResult

ORACLE = "-oracle"
RULE_ORACLE, MODULAR_ORACLE = "rule-oracle", "modular-oracle"
BORROWERS = ("rule", "modular")  # they decide by themselves, on another model's tracks
BLIND: dict[str, Callable[[Predictor], Predictor]] = {RULE_ORACLE: RulePredictor, MODULAR_ORACLE: ModularPredictor}


@dataclass(slots=True)
class Watch:
    """Times of a run's steps, taken while its results pass by."""

    compute_s: list[float] = field(default_factory=list)

    def over(self, results: Iterable[StepResult]) -> Iterator[StepResult]:
        """The same results."""
        for result in results:
            self.compute_s.append(result.compute_s)
            yield result


def play(job: Job) -> CaseResult:
    """Simulate, run the model, score; raises ModelError for a model that is not there."""
    began = time.perf_counter()
    scored, watch = play_case(job.case, job.model)
    step_ms = np.percentile(watch.compute_s, [50, 95, 99]) * 1e3
    return CaseResult(
        job.key, job.case, job.model, job.model_sha256, scored.visits,
        stream_s=float(len(watch.compute_s)),  # a step is a second of store time
        wall_s=time.perf_counter() - began, model_s=sum(watch.compute_s),
        step_ms=(float(step_ms[0]), float(step_ms[1]), float(step_ms[2])),
    )  # fmt: skip


def play_case(case: Case, model: str) -> tuple[Score, Watch]:
    """The score of one case and the times of its steps; deterministic but for the times."""
    store = open_store(case.store, case.seed)
    on_truth = model.endswith(ORACLE)
    shop = SimulatedStore(store, load_scenario(case.scenario), case.seed, video=not on_truth)
    predictor = _predictor(model)
    truth: list[Truth] = []
    watch = Watch()
    results = run_on_truth(shop, truth, predictor) if on_truth else run(store, through_h264(shop, store), predictor)
    document = receipts_document(watch.over(results), f"{case.store}/{case.scenario}/{case.seed}", model)
    truth.extend(shop.truth_until(shop.time_ns))
    receipts = [t for t in truth if isinstance(t, TruthReceipt)]
    events = [t for t in truth if isinstance(t, TruthEvent)]
    present = shoppers_present(t for t in truth if isinstance(t, TruthTick))
    return score(receipts, events, document, store.products, present), watch


def model_sha256(model: str) -> str:
    """Hash of a model's files (of borrowed eyes), "" for rules on the truth; ModelError when it is not there."""
    if model in BLIND:
        return ""
    decider, _, folder_name = model.removesuffix(ORACLE).partition(":")
    name = (folder_name or "small") if decider in BORROWERS else model.removesuffix(ORACLE)
    folder = WEIGHTS / name if (WEIGHTS / name).is_dir() else Path(name)
    read_model(folder)
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        digest.update(path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def _predictor(model: str) -> Predictor:
    """`NAME-oracle` is NAME on true tracks; rules on the truth need no weights at all."""
    return BLIND[model](Blind()) if model in BLIND else load_predictor(model.removesuffix(ORACLE))
