"""`aisle bench`: CheckoutBench, the simulator's speed, the recorder's kill test."""

from __future__ import annotations

import json
import shlex
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from openaisle.cli.talk import Verb, figure, progress, say, say_json, say_table, say_text


class Target(StrEnum):
    """What is measured."""

    receipts = "receipts"
    sim = "sim"
    recorder = "recorder"


SuiteName = Annotated[str, typer.Option("--suite", help="first, or the name or file of one scenario.")]
Models = Annotated[list[str] | None, typer.Option("--model", help="Once per model; default: small and rule.")]
Seeds = Annotated[str, typer.Option(help="First:last + 1; test seeds are 850000 to 899999.")]
Stores = Annotated[list[str] | None, typer.Option("--store", help="Once per store; default: kiosks and corners.")]
Processes = Annotated[int, typer.Option(min=1, help="Cases played at once; changes no number.")]
Folder = Annotated[Path, typer.Option(help="Where results are kept, to go on after a stop.")]
JsonFile = Annotated[Path | None, typer.Option("--json", help="Write everything to this file, too; - for stdout.")]
Readme = Annotated[Path | None, typer.Option("--write-readme", help="Put the table between this file's markers.")]


def bench(
    target: Annotated[Target, typer.Argument(help="What to measure.")] = Target.receipts,
    suite: SuiteName = "first",
    model: Models = None,
    seeds: Seeds = "850000:850010",
    store: Stores = None,
    processes: Processes = 1,
    folder: Folder = Path("data/bench"),
    json_file: JsonFile = None,
    write_readme: Readme = None,
) -> None:
    """Measure: receipts in shops that no model has seen, the simulator's speed, or what a killed recorder loses."""
    from openaisle.bench.report import build_report, markdown
    from openaisle.bench.run import run_bench
    from openaisle.bench.suites import FIRST, parse_seeds
    from openaisle.bench.suites import suite as suite_of
    from openaisle.view.readme import write_part

    if target is not Target.receipts:
        _say({Target.sim: _sim, Target.recorder: _recorder}[target](), json_file, target.value)
        return
    cases = suite_of(suite, tuple(store or FIRST.stores)).cases(parse_seeds(seeds))
    with progress("playing") as report:
        results = run_bench(
            cases, model or ["small", "rule"], folder, processes, lambda _, done, jobs: report(done / jobs)
        )
    command = shlex.join(["aisle", *sys.argv[1:]])
    table = build_report(results, command)
    if write_readme is not None:
        write_part(write_readme, "bench", markdown(table))
    if json_file is not None:
        _write(table.to_json(), json_file)
    if json_file != Path("-"):
        say_text(markdown(table))


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
    (bench, "Example: aisle bench --suite first --seeds 850000:850010 --json bench.json"),
)
