"""`aisle bench storm` and `aisle bench live`: the live store under kills, and under load (service and live extras)."""

from __future__ import annotations

import json
import shlex
import shutil
import sys
import time
from dataclasses import asdict, replace
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import typer

from openaisle.cli.serve import NEEDS
from openaisle.cli.talk import figure, progress, say, say_json, say_table
from openaisle.errors import MissingExtraError

if TYPE_CHECKING:
    from openaisle.bench.live_report import Load
    from openaisle.stress.storm_sensors import Kept

LISTENS = ("aiomqtt", "amqtt")  # of the live extra
FAILED = 1  # exit code: it ran, and a claim does not hold


def storm(visits: int, kills: int, system: tuple[int, str, str], folder: Path, json_file: Path | None) -> None:
    """Run the storm, say what came of it; exits 1 when a claim fails, and then leaves the shops' folders.

    `system` is seed, store and model.
    """
    _needed(NEEDS, "service")
    from openaisle.stress.storm import StormPlan
    from openaisle.stress.storm import storm as play

    listens = all(find_spec(package) is not None for package in LISTENS)
    if not listens:
        say("without the live extra (pip install 'openaisle[live]') no sensors speak, and the intake is not killed")
    seed, store, model = system
    where = folder / time.strftime("storm-%Y%m%d-%H%M%S")
    where.mkdir(parents=True)
    with progress(f"{visits} visits, {kills} kills") as report:
        plan = StormPlan(visits, kills, seed, intake=listens)
        found = play(replace(plan, store=store or plan.store, model=model or plan.model), where, report)
    rows: list[tuple[str, object]] = [
        *found.killed.items(), ("receipts equal", found.difference.equal), ("receipts marked", found.difference.marked),
        ("receipts different", found.difference.different), ("lines", found.lines),
        ("lines lost", found.difference.lost),
        ("lines that should not be", found.difference.foreign), ("lines doubled", found.difference.doubled),
        ("entries acknowledged", found.entries), ("entries lost", found.entries_lost),
        ("answers that should not be", found.refused), ("captures wrong", found.captures_wrong),
        *_sensors(found.messages), ("processes left running", found.left_running),
        ("webhooks", found.letters), ("webhooks lost", found.letters_lost),
        ("webhooks that came again", found.letters_repeated), ("seconds", found.seconds),
    ]  # fmt: skip
    _tell("storm", rows, found.claims, found.to_json(), json_file)
    if not found.kept:
        say(f"a claim does not hold; both shops and their logs: {where}")
        raise typer.Exit(FAILED)
    shutil.rmtree(where)


def live(words: str, minutes: float, find: bool, system: tuple[int, str, str], outs: tuple[Path, Path | None]) -> None:
    """Run the load (or find the largest one), write the page; exits 1 when a claim fails.

    `system` is seed, store and model, `outs` the page and the JSON file.
    """
    _needed((*NEEDS, *LISTENS), "service,live")
    from openaisle.bench.live_report import LivePlan, LiveReport
    from openaisle.stress.live import measure, most
    from openaisle.view.live_page import write_live_page

    (seed, store, model), (page, json_file) = system, outs
    plan = LivePlan(_load(words), minutes, seed)
    plan = replace(plan, store=store or plan.store, model=model or plan.model)

    def run(one: LivePlan) -> LiveReport:
        title = f"{one.load.cameras} cameras, {one.load.scales} scales, {one.load.shoppers} shoppers"
        with TemporaryDirectory(prefix="aisle-live-") as folder, progress(title) as report:
            return measure(one, Path(folder), report)

    best, reports = most(plan, run) if find else (None, [run(plan)])
    write_live_page(reports, page, shlex.join(["aisle", *sys.argv[1:]]))
    told = best or reports[-1]
    rows: list[tuple[str, object]] = [
        ("cameras, scales, shoppers", tuple(asdict(told.plan.load).values())), ("sustained", told.sustained),
        ("takes and returns", told.events), ("shown", len(told.latency_s)),
        *((f"update latency p{share}, s", told.percentile(share)) for share in (50, 95, 99)),
        *((f"{kind} lost of {told.sent.get(kind, 0)}", lost) for kind, lost in told.lost.items()),
        ("memory growth, MB", told.growth_mb), ("cores", told.cores), ("machine", told.machine),
    ]  # fmt: skip
    _tell("live", rows, told.claims, {**told.to_json(), "runs": [one.to_json() for one in reports]}, json_file)
    say(f"wrote {page}")
    if find and best is None:
        say("this machine does not keep up with a single camera of this load")
    if not told.sustained:
        raise typer.Exit(FAILED)


def _sensors(kept: Kept | None) -> list[tuple[str, object]]:
    """What became of scales' and gates' messages."""
    if kept is None:
        return []
    return [
        ("sensor messages acknowledged", kept.acknowledged), ("of them late", kept.late),
        ("sensor messages lost", kept.lost), ("sensor messages doubled", kept.doubled),
    ]  # fmt: skip


def _load(words: str) -> Load:
    """CAMERASxSCALESxSHOPPERS."""
    from openaisle.bench.live_report import Load

    parts = words.split("x")
    if len(parts) != 3 or not all(part.isdecimal() and int(part) for part in parts):
        raise typer.BadParameter(f"{words!r} is no load: write cameras, scales and shoppers as 16x200x10")
    return Load(*map(int, parts))


def _tell(
    title: str, rows: list[tuple[str, object]], claims: dict[str, bool], whole: dict[str, object], out: Path | None
) -> None:
    if out is not None and out != Path("-"):
        out.write_text(json.dumps(whole, indent=1) + "\n", encoding="utf-8")
        say(f"wrote {out}")
    if out == Path("-"):
        say_json(whole)
        return
    say_table(title, ["figure", "value"], [[name, _shown(value)] for name, value in rows])
    say_table("claims", ["claim", "kept"], [[claim, "yes" if kept else "NO"] for claim, kept in claims.items()])


def _shown(value: object) -> str:
    """A few of many words."""
    if isinstance(value, tuple):
        return "; ".join([str(len(value)), *map(str, value[:3])]) if value else "0"
    return figure(value)


def _needed(packages: tuple[str, ...], extra: str) -> None:
    for package in packages:
        if find_spec(package) is None:
            raise MissingExtraError(package, extra)
