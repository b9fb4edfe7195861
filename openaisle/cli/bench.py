"""`aisle bench`: CheckoutBench, its cases for other systems, and what runs of the machinery itself measure."""

from __future__ import annotations

import json
import os
import shlex
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from openaisle.cli import bench_service, bench_tasks
from openaisle.cli.talk import Verb, figure, progress, say, say_json, say_table, say_text

if TYPE_CHECKING:
    from openaisle.bench.results import CaseResult
    from openaisle.bench.suites import Plan


class Target(StrEnum):
    """What is measured."""

    receipts = "receipts"
    cases = "cases"
    sim = "sim"
    recorder = "recorder"
    storm = "storm"
    live = "live"
    tasks = "tasks"


What = Annotated[Target, typer.Argument(help="What to measure; cases: write the recordings for other systems.")]
SuiteName = Annotated[str, typer.Option("--suite", help="first, all, or the name or file of one scenario.")]
Models = Annotated[
    list[str] | None,
    typer.Option("--model", help="Once per system; default: small and rule. See docs/benchmark.md for all."),
]
Seeds = Annotated[str, typer.Option(help="First:last + 1; test seeds are 850000 to 899999.")]
Stores = Annotated[list[str] | None, typer.Option("--store", help="Once per store; default: kiosks and corners.")]
Axes = Annotated[
    list[str] | None,
    typer.Option("--axis", help="Once per axis: every case again with it, e.g. wrong-planogram, fewer-cameras."),
]
Full = Annotated[bool, typer.Option("--full", help="All suites, stores, axes and ablations: a day on two cores.")]
Ablations = Annotated[bool, typer.Option("--ablations", help="Networks also without scales, video, pictures.")]
Processes = Annotated[int, typer.Option(min=1, help="Cases played at once; changes no number.")]
Folder = Annotated[Path, typer.Option(help="Where results are kept, to go on after a stop.")]
JsonFile = Annotated[Path | None, typer.Option("--json", help="Write everything to this file, too; - for stdout.")]
Html = Annotated[Path | None, typer.Option("--html", help="The page to write; default: report.html in the folder.")]
WorstCount = Annotated[int, typer.Option("--worst", min=0, help="Films of so many worst visits of each system.")]
Readme = Annotated[Path | None, typer.Option("--write-readme", help="Put the table between this file's markers.")]
Docs = Annotated[Path | None, typer.Option("--write-docs", help="tasks: put the table between this file's markers.")]
Out = Annotated[Path, typer.Option(help="cases: folder to write the recordings into.")]
NoTruth = Annotated[bool, typer.Option("--no-truth", help="cases: leave the truth out of the recordings.")]
Kills = Annotated[int, typer.Option(min=0, max=100_000, help="storm: processes to kill.")]
Visits = Annotated[int, typer.Option(min=1, max=1000, help="storm: visits of the day.")]
Load = Annotated[str, typer.Option(help="live: cameras x scales x shoppers in the shop at once.")]
Minutes = Annotated[float, typer.Option(min=0.5, max=480, help="live: how long.")]
Find = Annotated[bool, typer.Option("--find", help="live: look for the most cameras that this machine keeps up with.")]
DEFAULT_SUITE, DEFAULT_SEEDS = "first", "850000:850002"
TWO_CORES = min(2, os.cpu_count() or 1)


def bench(
    target: What = Target.receipts,
    suite: SuiteName = DEFAULT_SUITE,
    model: Models = None,
    seeds: Seeds = DEFAULT_SEEDS,
    store: Stores = None,
    axis: Axes = None,
    full: Full = False,
    ablations: Ablations = False,
    processes: Processes = TWO_CORES,
    folder: Folder = Path("data/bench"),
    json_file: JsonFile = None,
    html: Html = None,
    worst: WorstCount = 0,
    write_readme: Readme = None,
    write_docs: Docs = None,
    out: Out = Path("cases"),
    no_truth: NoTruth = False,
    kills: Kills = 200,
    visits: Visits = 50,
    load: Load = "16x200x10",
    minutes: Minutes = 30.0,
    find: Find = False,
) -> None:
    """Measure: receipts in shops that no model has seen, single tasks, the simulator, a store under fire."""
    if target in (Target.storm, Target.live):
        system = _first_seed(seeds), (store or [""])[0], (model or [""])[0]
        if target is Target.storm:
            bench_service.storm(visits, kills, system, folder, json_file)
        else:
            bench_service.live(load, minutes, find, system, (html or folder / "live.html", json_file))
        return
    if target is Target.tasks:
        bench_tasks.tasks(suite, model, seeds, store, processes, folder, (json_file, write_docs))
        return
    if target in (Target.sim, Target.recorder):
        _say(_sim() if target is Target.sim else _recorder(), json_file, target.value)
        return
    plan = _plan(suite, model, seeds, store, axis, full, ablations)
    if target is Target.cases:
        _write_cases(plan, out, not no_truth)
        return
    results = _play(plan, folder, processes)
    _report(results, folder, json_file, html, worst, write_readme)


def _first_seed(seeds: str) -> int:
    from openaisle.bench.suites import parse_seeds

    return parse_seeds(seeds)[0]


def _plan(
    suite: str, model: list[str] | None, seeds: str, store: list[str] | None, axis: list[str] | None, full: bool,
    ablations: bool,
) -> Plan:  # fmt: skip
    from openaisle.bench.models import DEFAULT_MODELS, without_senses
    from openaisle.bench.suites import FIRST, full_plan, parse_seeds, plan
    from openaisle.bench.suites import suite as suite_of

    models = tuple(dict.fromkeys(model or DEFAULT_MODELS))
    reduced = without_senses(models)
    if full:
        if (suite, seeds, store, axis) != (DEFAULT_SUITE, DEFAULT_SEEDS, None, None):
            raise typer.BadParameter("--full plays everything: leave out --suite, --seeds, --store and --axis")
        return full_plan(models, reduced)
    cases = suite_of(suite, tuple(store or FIRST.stores)).cases(parse_seeds(seeds))
    return plan(cases, (*models, *reduced) if ablations else models, axis or ())


def _play(plan: Plan, folder: Path, processes: int) -> list[CaseResult]:
    from openaisle.bench.run import run_bench

    say(f"{len({case for case, _ in plan})} cases, {len(plan)} to play or found in {folder}")
    with progress("playing") as report:
        return run_bench(plan, folder, processes, lambda _, done, jobs: report(done / jobs))


def _report(
    results: list[CaseResult], folder: Path, json_file: Path | None, html: Path | None, worst: int, readme: Path | None
) -> None:
    from openaisle.bench.report import build_report, markdown
    from openaisle.view.bench_page import write_page
    from openaisle.view.readme import write_part
    from openaisle.view.worst import FOLDER, worst_of, write_clips

    table = build_report(results, shlex.join(["aisle", *sys.argv[1:]]))
    if readme is not None:
        write_part(readme, "bench", markdown(table))
    if json_file is not None:
        _write(table.to_json(), json_file)
    if json_file != Path("-"):
        say_text(markdown(table))
    page = html or folder / "report.html"
    if worst:
        plain = [result for result in results if not result.case.axis]
        chosen = [one for model in table.models for one in worst_of(plain, model, worst)]
        with progress("filming the worst") as report:
            write_clips(chosen, page.parent / FOLDER, report)
    write_page(table, results, page)
    say(f"wrote {page}")


def _write_cases(plan: Plan, out: Path, truth: bool) -> None:
    from openaisle.bench.cases import write_cases

    with progress("recording") as report:
        written = write_cases(list(dict.fromkeys(case for case, _ in plan)), out, truth=truth, progress=report)
    say(f"wrote {len(written)} recordings and cases.json to {out}")


def _sim() -> dict[str, object]:
    from openaisle.bench.render import render_speed
    from openaisle.bench.sim import sim_speed

    with progress("simulating"):
        whole = sim_speed()
    with progress("rendering"):
        return {**whole, "render": render_speed()}


def _recorder() -> dict[str, object]:
    from dataclasses import asdict
    from tempfile import TemporaryDirectory

    from openaisle.bench.recorder import kill_test
    from openaisle.sim.stores import open_store

    with progress("killing recorders"), TemporaryDirectory() as folder:
        return asdict(kill_test(open_store("random:kiosk", 850_000), Path(folder)))


def _say(figures: dict[str, object], json_file: Path | None, title: str) -> None:
    if json_file is not None:
        _write(figures, json_file)
    if json_file != Path("-"):
        say_table(title, ["figure", "value"], [[name, figure(value)] for name, value in figures.items()])


def _write(value: object, path: Path) -> None:
    if path == Path("-"):
        say_json(value)
        return
    path.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")
    say(f"wrote {path}")


VERBS: tuple[tuple[Verb, str], ...] = (
    (bench, "Example: aisle bench --suite all --seeds 850000:850010 --json bench.json --worst 5"),
)
