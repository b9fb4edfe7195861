"""Worst: the visits that a model got most wrong, and films of them, made on demand by playing their cases again."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from openaisle.bench.models import contender, predictor_of
from openaisle.bench.play import play_case
from openaisle.bench.results import CaseResult
from openaisle.bench.scene import record_scene, scene_of
from openaisle.bench.wrong import WrongVisit
from openaisle.messages import NANOSECONDS, TruthTick
from openaisle.pipeline import run
from openaisle.recording.reader import Recording, open_recording
from openaisle.view.exports import sensed
from openaisle.view.film import write_film
from openaisle.view.timeline import Timeline, add_document, add_step, add_truth

FOLDER = "worst"  # of films, beside the page
BEFORE_NS, AFTER_NS = NANOSECONDS, 3 * NANOSECONDS  # a film begins before its visit and ends when scales have settled
Progress = Callable[[float], None]  # called with the share done, 0 to 1


@dataclass(frozen=True, slots=True)
class Worst:
    """One wrong receipt."""

    result: CaseResult
    wrong: WrongVisit

    @property
    def clip(self) -> str:
        """File name of its film."""
        parts = (self.result.model, self.result.case.name, self.wrong.visit)
        return "-".join(re.sub(r"[^A-Za-z0-9.]+", "-", part).strip("-") for part in parts) + ".mp4"

    @property
    def weight(self) -> int:
        """How bad it is: a wrong charge is worse than a missing one."""
        return 2 * self.wrong.over_cents + self.wrong.under_cents


def worst_of(results: Sequence[CaseResult], model: str, count: int) -> list[Worst]:
    """The worst visits of a model, worst first; equal ones in the order of their cases."""
    found = [Worst(result, wrong) for result in results if result.model == model for wrong in result.wrong]
    return sorted(found, key=lambda one: -one.weight)[:count]


def write_clips(worst: Sequence[Worst], folder: Path, progress: Progress = lambda share: None) -> list[Path]:
    """Films of visits into `folder`, those that are there already left alone; a case is played once for all of its."""
    folder.mkdir(parents=True, exist_ok=True)
    missing = [one for one in worst if not (folder / one.clip).exists()]
    by_play: dict[str, list[Worst]] = {}
    for one in missing:
        by_play.setdefault(one.result.key, []).append(one)
    done = len(worst) - len(missing)
    for group in by_play.values():
        with TemporaryDirectory() as name:
            record_scene(scene_of(group[0].result.case), Path(name) / "rec")
            recording = open_recording(Path(name) / "rec", check=False)
            timeline = _followed(recording, group[0].result)
            for one in group:
                progress(done / len(worst))
                title = f"{one.result.case.scenario} {one.result.case.seed}"
                write_film(recording, timeline, folder / one.clip, title, span_ns=_span(recording, one.wrong))
                done += 1
    progress(1.0)
    return [folder / one.clip for one in worst]


def _followed(recording: Recording, result: CaseResult) -> Timeline:
    """Bodies as the model followed them, true ones where it did not; its receipts."""
    found = contender(result.model)
    timeline = Timeline(recording.store)
    if found.answers is not None or found.oracle:
        add_document(timeline, play_case(result.case, result.model).document)
        return add_truth(timeline, recording.truth(), receipts=False)
    store = recording.store if found.pictures else replace(recording.store, pictures={})
    for step in run(store, sensed(recording), predictor_of(found), video=found.video, scales=found.scales):
        add_step(timeline, step)
    return timeline


def _span(recording: Recording, wrong: WrongVisit) -> tuple[int, int]:
    """From before a visit's first instant to after its last; all of the recording for one that never was."""
    inside = [
        tick.time_ns
        for tick in recording.truth()
        if isinstance(tick, TruthTick) and any(shopper.visit == wrong.visit for shopper in tick.shoppers)
    ]
    if not inside:
        return recording.start_ns, recording.end_ns
    return max(recording.start_ns, inside[0] - BEFORE_NS), min(recording.end_ns, inside[-1] + AFTER_NS)
