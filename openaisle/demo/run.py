"""Run: the demo from its first picture to the report: simulate, follow live, compare with the truth, film."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.live import Live
from rich.progress import Progress

from openaisle import __version__
from openaisle.demo.place import alone, fresh_folder
from openaisle.demo.shop import Play, Shop
from openaisle.messages import NANOSECONDS, TruthReceipt
from openaisle.pipeline import receipts_document
from openaisle.receipts.document import write_receipts
from openaisle.recording.reader import Recording, open_recording
from openaisle.sim.scenario import Scenario, load_scenario, parse_scenario
from openaisle.sim.stores import open_store
from openaisle.state import StepResult
from openaisle.store.store import Store
from openaisle.tokens.tick import Sensed
from openaisle.view.film import write_film
from openaisle.view.report import Report, write_report
from openaisle.view.terminal import Screen
from openaisle.view.timeline import Timeline, add_step
from openaisle.view.verdict import Verdict, summary, verdict_table, verdicts

Follow = Callable[[Store, Iterator[Sensed]], Iterator[StepResult]]
OWN_SCENARIO = "demo"
STATUS_S = 15  # store seconds between two lines of a demo without a screen


@dataclass(frozen=True)
class Demo:
    """What to show and where to leave it."""

    store: str
    scenario: str
    seed: int
    out: Path
    fast: bool = False
    headless: bool = False
    browser: bool = True  # open one where there is a desktop


@dataclass
class Run:
    """A demo under way."""

    demo: Demo
    store: Store
    console: Console
    timeline: Timeline
    results: list[StepResult] = field(default_factory=list)
    began_s: float = field(default_factory=time.monotonic)
    first_receipt_s: float | None = None

    @property
    def wall_s(self) -> float:
        """Seconds since the demo began."""
        return time.monotonic() - self.began_s


def run_demo(demo: Demo, model: str, follow: Follow) -> list[Verdict]:
    """Run the whole demo; `follow` is the pipeline with a predictor. Raises OpenAisleError."""
    scenario = demo_scenario(demo.scenario)
    console = Console(highlight=False, emoji=False)
    with alone(demo.out):
        folder = fresh_folder(demo.out)
        store = open_store(demo.store, demo.seed)
        show = Run(demo, store, console, Timeline(store))
        with Shop(Play(demo.store, scenario, demo.seed, folder)) as shop:
            _watch(show, follow(store, shop.messages(0.0 if demo.fast else 1.0)))
        recording = open_recording(folder, check=False)
        return _finish(show, recording, model)


def demo_scenario(name: str) -> Scenario:
    """The demo's own scenario, a shipped one, or a YAML file; raises ScenarioError."""
    if name != OWN_SCENARIO:
        return load_scenario(name)
    return parse_scenario(files("openaisle.demo").joinpath("demo.yaml").read_text(encoding="utf-8"), "demo.yaml")


def _watch(show: Run, results: Iterator[StepResult]) -> None:
    """Take the results as they come and show them."""
    with _screen(show) as screen:
        for result in results:
            with screen.lock:
                if not show.results:
                    screen.start_ns = result.tick.time_ns
                happenings = add_step(show.timeline, result)
                for happening in happenings:
                    screen.say(happening)
                screen.advance(result.time_ns, show.wall_s)
            if show.first_receipt_s is None and happenings:
                show.first_receipt_s = show.wall_s
            show.results.append(result)
            if not show.console.is_terminal or show.demo.headless:
                for happening in happenings:
                    show.console.print(screen.sentence(happening))
                if len(show.results) % STATUS_S == 0:
                    show.console.print(screen.status())


@contextmanager
def _screen(show: Run) -> Iterator[Screen]:
    screen = Screen(show.timeline, show.store.spec.name, 0)
    if show.demo.headless or not show.console.is_terminal:
        show.console.print(f"{show.store.spec.name}: {len(show.store.spec.cameras)} cameras; the shop opens ...")
        yield screen
        return
    with Live(get_renderable=screen.render, console=show.console, refresh_per_second=8, screen=True):
        yield screen


def _finish(show: Run, recording: Recording, model: str) -> list[Verdict]:
    """Receipts, verdicts, film and report."""
    out, console = show.demo.out, show.console
    write_receipts(out / "receipts.json", receipts_document(show.results, recording.folder.name, model))
    truth = [message for message in recording.truth() if isinstance(message, TruthReceipt)]
    final = show.results[-1].receipts.values() if show.results else ()
    rows = verdicts(show.timeline, final, truth)
    console.print(verdict_table(rows))
    console.print(summary(rows))
    facts = _facts(show, recording, model)
    with Progress(console=console, transient=True) as bar:
        task = bar.add_task("drawing the film", total=1.0)
        film = out / "demo.mp4"
        write_film(
            recording, show.timeline, film, show.store.spec.name, lambda share: bar.update(task, completed=share)
        )
    report = Report(f"{show.store.spec.name}: a demo of OpenAisle", show.timeline, rows, facts, film)
    write_report(report, recording, out / "report.html")
    console.print(f"Wrote {film}, {out / 'report.html'}, {out / 'receipts.json'} and {recording.folder}.")
    return rows


def _facts(show: Run, recording: Recording, model: str) -> list[tuple[str, str]]:
    steps_ms = np.array([result.compute_s for result in show.results] or [0.0]) * 1e3
    seconds = (recording.end_ns - recording.start_ns) / NANOSECONDS
    first = "none" if show.first_receipt_s is None else f"{show.first_receipt_s:.1f} s after the start"
    p50, p95 = np.percentile(steps_ms, [50, 95])
    return [
        ("model", model),
        ("store", f"{show.demo.store}, seed {show.demo.seed}"),
        ("scenario", show.demo.scenario),
        ("length", f"{seconds:.0f} s of store time in {show.wall_s:.0f} s"),
        ("model's step (1 s of store time)", f"median {p50:.0f} ms, 95th percentile {p95:.0f} ms"),
        ("first receipt line", first),
        ("OpenAisle", __version__),
    ]
