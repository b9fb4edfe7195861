"""`aisle bench tasks`: every task of the network in its field's metric, beside a trivial baseline (tasks extra)."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path

import typer

from openaisle.cli.talk import progress, say, say_json, say_text

DEFAULT_MODEL = "small"


def tasks(
    suite: str, models: list[str] | None, seeds: str, stores: list[str] | None, processes: int, folder: Path,
    outs: tuple[Path | None, Path | None],
) -> None:  # fmt: skip
    """Play the cases, measure, print the table; `outs` are the JSON file (- = stdout) and the docs to write it to."""
    from openaisle.bench.models import model_sha256
    from openaisle.bench.report import commit_name
    from openaisle.bench.suites import FIRST, parse_seeds
    from openaisle.bench.suites import suite as suite_of
    from openaisle.bench.tasks.measure import measure
    from openaisle.bench.tasks.run import watch_cases
    from openaisle.bench.tasks.table import markdown, to_json, told_of
    from openaisle.view.readme import write_part

    if models is not None and len(models) != 1:
        raise typer.BadParameter("bench tasks measures one network: give --model once")
    model, (json_file, docs) = (models or [DEFAULT_MODEL])[0], outs
    cases = suite_of(suite, tuple(stores or FIRST.stores)).cases(parse_seeds(seeds))
    say(f"{len(cases)} cases to watch, or found in {folder}")
    with progress("watching") as report:
        observed = watch_cases(cases, model, folder, processes, report)
    with progress("measuring") as report:
        rows = measure(observed, report)
    sha256 = model_sha256(model)
    command = shlex.join(["aisle", *sys.argv[1:]])
    table = markdown(rows, told_of(model, sha256, cases, commit_name(), command))
    if docs is not None:
        write_part(docs, "tasks", table)
        say(f"wrote {docs}")
    if json_file == Path("-"):
        say_json(to_json(rows, model, sha256, cases))
        return
    if json_file is not None:
        json_file.write_text(json.dumps(to_json(rows, model, sha256, cases), indent=1) + "\n", encoding="utf-8")
        say(f"wrote {json_file}")
    say_text(table)
