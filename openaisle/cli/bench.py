"""`aisle bench`: CheckoutBench, the simulator's speed, the recorder's kill test."""

from __future__ import annotations

import shlex
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from openaisle.cli.talk import progress, say, say_json, say_table, say_text

EXAMPLE = "Example: aisle bench --suite first --seeds 850000:850010 --json bench.json"


class Target(StrEnum):
    """What is measured."""

    receipts = "receipts"
    sim = "sim"
    recorder = "recorder"


def bench(
    target: Annotated[Target, typer.Argument(help="What to measure.")] = Target.receipts,
    suite: Annotated[str, typer.Option(help="first, or the name or file of one scenario.")] = "first",
    model: Annotated[list[str] | None, typer.Option(help="Once per model; default: small and rule.")] = None,
    seeds: Annotated[str, typer.Option(help="First and last + 1; test seeds start at 850000.")] = "850000:850010",
    store: Annotated[
        list[str] | None, typer.Option(help="Once per store; default: random:kiosk, random:corner.")
    ] = None,
    processes: Annotated[int, typer.Option(min=1, help="Cases played at once; changes no number.")] = 1,
    folder: Annotated[Path, typer.Option(help="Where results are kept, to go on after a stop.")] = Path("data/bench"),
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write everything to this file; - for stdout.")
    ] = None,
) -> None:
    """Measure: receipts on shops that no model has seen, the simulator's speed, or what a killed recorder loses."""
    if target is Target.receipts:
        _receipts(suite, model or ["small", "rule"], seeds, store, (processes, folder), json_file)
    elif target is Target.sim:
        _sim(json_file)
    else:
        _recorder(json_file)
