"""`aisle serve`: the live store: pipeline, API, receipts and money (service extra)."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from openaisle.cli.talk import Verb, say
from openaisle.errors import MissingExtraError

NEEDS = ("fastapi", "uvicorn", "sqlalchemy", "alembic", "jinja2", "prometheus_client")

Data = Annotated[Path, typer.Option(help="Folder for the database and all else of this live store.")]
Store = Annotated[str, typer.Option(help="Store folder or random:kiosk; default: the recording's.")]
Source = Annotated[
    str, typer.Option(help="A recording, sim, or the sensors.yaml of real cameras and scales; default: the API alone.")
]
Scenario = Annotated[str, typer.Option(help="What simulated shoppers do: a name or a YAML file.")]
Seed = Annotated[int, typer.Option(min=0, help="Of the simulation's first day; every day has its own.")]
Model = Annotated[str, typer.Option(help="small, rule, or the path of exported weights.")]
Speed = Annotated[float, typer.Option(min=0.0, help="Times real time; 0 = as fast as it goes.")]
Url = Annotated[str, typer.Option(help="postgresql://USER@HOST/NAME; default: SQLite in --data.")]
GatewayName = Annotated[str, typer.Option(help="fake, or stripe (key in STRIPE_API_KEY, stripe extra).")]
Host = Annotated[str, typer.Option(help="Address to listen on.")]
Port = Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")]
Hold = Annotated[int, typer.Option(min=1, help="Amount held on a card at entry, in cents.")]
EvidenceMb = Annotated[int, typer.Option(min=16, help="Room for stills and weights around events, in megabytes.")]
LowDiskMb = Annotated[int, typer.Option(min=32, help="With less disk free, in megabytes, pictures are not kept.")]
AtOnce = Annotated[bool, typer.Option("--charge-at-once", help="Charge without waiting for reviews.")]


def serve(
    data: Data = Path("data/serve"),
    store: Store = "",
    source: Source = "",
    scenario: Scenario = "everything",
    seed: Seed = 0,
    model: Model = "small",
    speed: Speed = 1.0,
    database: Url = "",
    gateway: GatewayName = "fake",
    host: Host = "127.0.0.1",
    port: Port = 8080,
    hold_cents: Hold = 5000,
    charge_at_once: AtOnce = False,
    evidence_mb: EvidenceMb = 500,
    low_disk_mb: LowDiskMb = 300,
) -> None:
    """Run a live store: entries, live and final receipts, payments, webhooks, under one supervisor."""
    for package in NEEDS:
        if find_spec(package) is None:
            raise MissingExtraError(package, "service")
    from openaisle.service.desk import Rules
    from openaisle.service.serve import Wish
    from openaisle.service.serve import serve as run

    rules = Rules(
        hold_cents=hold_cents, hold_for_review=not charge_at_once, evidence_mb=evidence_mb, low_disk_mb=low_disk_mb
    )
    run(
        Wish(data, store, source, scenario, seed, model, speed, database, gateway, host, port, rules),
        say,
    )


VERBS: tuple[tuple[Verb, str], ...] = (
    (serve, "Example: aisle serve --store random:kiosk --source sim --data data/serve"),
)
