"""`aisle demo`: the whole thing in one command: a simulated shop, its live store, its dashboard."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from openaisle.cli.shop import Model
from openaisle.cli.talk import Verb, say

Store = Annotated[str, typer.Option(help="Store folder, or random:kiosk, random:corner, random:market.")]
ScenarioName = Annotated[str, typer.Option("--scenario", help="Name of a shipped scenario, or a YAML file.")]
Seed = Annotated[int, typer.Option(min=0, help="Another seed, another shop and other shoppers.")]
Out = Annotated[Path, typer.Option(help="Folder for everything that the demo leaves.")]
Fast = Annotated[
    bool, typer.Option("--fast", help="As fast as the machine can; without the live store, which keeps to the clock.")
]
Headless = Annotated[bool, typer.Option("--headless", help="Plain lines, and one round of shoppers: about a minute.")]
NoService = Annotated[bool, typer.Option("--no-service", help="The pipeline alone, in the terminal: no dashboard.")]
InProcess = Annotated[bool, typer.Option("--in-process", help="No RTSP and MQTT: sensors write into the journal.")]
NoBrowser = Annotated[bool, typer.Option("--no-browser", help="Print the dashboard's address, open nothing.")]


def demo(
    store: Store = "random:kiosk",
    scenario: ScenarioName = "demo",
    seed: Seed = 850_007,
    model: Model = "small",
    out: Out = Path("data/demo"),
    fast: Fast = False,
    headless: Headless = False,
    no_service: NoService = False,
    in_process: InProcess = False,
    no_browser: NoBrowser = False,
) -> None:
    """Run a simulated shop with its live store and dashboard until Ctrl-C, then compare receipts with the truth.

    Cameras and scales are simulated, and speak real RTSP and MQTT. Exit code 1: the live store lost a visit.
    """
    from openaisle.demo.run import Demo, run_demo
    from openaisle.edge.runtime import load_predictor

    asked = Demo(store, scenario, seed, out, fast, headless, not no_browser)
    way = None
    if not fast and not no_service:
        from openaisle.demo.live import run_live, way_of

        way = way_of(asked, in_process)
        if way is None:
            say("remark: no live store and no dashboard without the extra: pip install 'openaisle[service,live]'")
    if way is not None:
        raise typer.Exit(run_live(asked, model, way))
    from openaisle.pipeline import run

    predictor = load_predictor(model)
    run_demo(asked, predictor.name, partial(run, predictor=predictor))


VERBS: tuple[tuple[Verb, str], ...] = ((demo, "Example: aisle demo --scenario neighbours --seed 3"),)
