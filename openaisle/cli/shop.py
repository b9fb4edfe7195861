"""`aisle simulate | import | receipts | score | view`: the main job, from a store to receipts to look at."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from openaisle.cli.talk import Verb, figure, progress, say, say_json, say_table

if TYPE_CHECKING:
    from openaisle.receipts.document import ReceiptsDocument
    from openaisle.recording.importers.plain import Imported
    from openaisle.recording.reader import Recording

imports = typer.Typer(no_args_is_help=True, help="Make recordings from other formats.")

Recorded = Annotated[Path, typer.Argument(help="Recording folder.")]
Model = Annotated[str, typer.Option(help="small, rule, modular, or the path of exported weights.")]
AnyModel = Annotated[
    str | None,
    typer.Option(
        "--model",
        help="small, rule, modular (several visits: with the extra of that name), or the path of exported weights; "
        "default: small, and modular where there is one visit and nothing but scales.",
    ),
]
NoScales = Annotated[bool, typer.Option("--no-scales", help="Act as if the store had no scales.")]
NoVideo = Annotated[bool, typer.Option("--no-video", help="Act as if the store had no cameras.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


class Quality(StrEnum):
    """How pictures are rendered."""

    fast = "fast"
    fine = "fine"


class Format(StrEnum):
    """What `aisle receipts` writes."""

    json = "json"
    autocheckout = "autocheckout"
    html = "html"


def simulate(
    store: Annotated[str, typer.Option(help="Store folder, or random:kiosk, random:corner, random:market.")],
    scenario: Annotated[str, typer.Option(help="Name of a shipped scenario, or a YAML file.")],
    out: Annotated[Path, typer.Option(help="Recording folder to write; must not exist.")],
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same recording, bit for bit.")] = 0,
    quality: Annotated[Quality, typer.Option(help="Renderer: fast, or fine (shadows, supersampling).")] = Quality.fast,
    pixels: Annotated[bool, typer.Option("--pixels", help="Record ids and depth of every pixel, too (large).")] = False,
) -> None:
    """Simulate a store and write a recording: video, scales, gates, and all truth beside them."""
    from openaisle.sim.record import simulate as run
    from openaisle.sim.scenario import load_scenario
    from openaisle.sim.stores import open_store

    with progress("simulating") as report:
        opened, asked = open_store(store, seed), load_scenario(scenario)
        run(
            opened,
            asked,
            seed,
            out,
            quality=quality.value,
            pixels=pixels,
            progress=lambda done_s, asked_s: report(min(0.99, done_s / asked_s)),
        )
        report(1.0)
    say(f"wrote {out}")


@imports.command(epilog="Example: aisle import plain films/ --store stores/corner --out rec")
def plain(
    source: Annotated[Path, typer.Argument(help="Folder with import.yaml, MP4 films, a CSV of scale samples.")],
    out: Annotated[Path, typer.Option(help="Recording folder to write; must not exist.")],
    store: Annotated[Path | None, typer.Option(help="Store folder; default: the one that import.yaml names.")] = None,
) -> None:
    """Make a recording from films and tables, with the time offsets that import.yaml gives."""
    from openaisle.recording.importers.plain import import_plain
    from openaisle.store.load import load_store

    with progress("importing"):
        done = import_plain(source, out, load_store(store) if store else None)
    _told(out, done)


@imports.command(epilog="Example: aisle import autocheckout BASELINE-1.archive --out rec")
def autocheckout(
    source: Annotated[Path, typer.Argument(help="Folder of a contest case (films, tables, exports), or its dump.")],
    out: Annotated[Path, typer.Option(help="Recording folder to write; must not exist.")],
    store: Annotated[Path | None, typer.Option(help="Store folder; default: built from the case.")] = None,
) -> None:
    """Make a store and a recording from a case of the AutoCheckout contest; the store lies in OUT/store."""
    from openaisle.recording.importers.autocheckout.run import import_autocheckout
    from openaisle.store.load import load_store

    with progress("importing"):
        done = import_autocheckout(source, out, load_store(store) if store else None)
    _told(out, done)


@imports.command(epilog="Example: aisle import multiview Wildtrack --out rec")
def multiview(
    source: Annotated[Path, typer.Argument(help="Folder with Image_subsets, annotations_positions, calibrations.")],
    out: Annotated[Path, typer.Option(help="Recording folder to write; must not exist.")],
    rate: Annotated[
        float | None, typer.Option(min=0.01, max=120, help="Labelled pictures a second; default: 2.")
    ] = None,
) -> None:
    """Make a recording from WILDTRACK, MultiviewX or data in their form; who stands where becomes its truth."""
    from openaisle.recording.importers.multiview import import_multiview

    with progress("importing"):
        done = import_multiview(source, out, rate)
    _told(out, done)


def _told(out: Path, done: Imported) -> None:
    """What an import wrote, and what it had to do without."""
    for remark in done.remarks:
        say(f"remark: {remark}")
    say(f"wrote {out}")


def receipts(
    recording: Recorded,
    out: Annotated[Path, typer.Option(help="File to write.")],
    model: AnyModel = None,
    no_scales: NoScales = False,
    no_video: NoVideo = False,
    form: Annotated[
        Format, typer.Option("--format", help="json, autocheckout (contest answer), or html.")
    ] = Format.json,
) -> None:
    """Write one receipt per visit of a recording, with every update on the way."""
    from openaisle.recording.reader import open_recording
    from openaisle.view import exports

    opened = open_recording(recording)
    document = None if no_scales else _from_scales(opened, model, no_video)
    if document is None:
        document = _from_network(opened, model, no_scales, no_video)
    exports.write_document(document, opened, out, exports.Format(form))
    say(f"wrote {out}: {len(document.receipts)} receipts")


def _from_scales(opened: Recording, model: str | None, no_video: bool) -> ReceiptsDocument | None:
    """Receipts from scales alone, where that is asked for or nothing else could be."""
    from openaisle.modular.alone import NAME, asked_for, nothing_but_scales, receipts_alone

    if model == NAME:
        asked = asked_for(opened, video=not no_video)
        if asked is None:
            return None
        with progress("weighing"):
            return receipts_alone(opened, asked)
    found = nothing_but_scales(opened, video=not no_video) if model is None else None
    if found is None:
        return None
    say("remark: one visit and no pictures: its receipt comes from the scales alone (--model modular)")
    with progress("weighing"):
        return receipts_alone(opened, found)


def _from_network(opened: Recording, model: str | None, no_scales: bool, no_video: bool) -> ReceiptsDocument:
    """Receipts by the pipeline; where no gate told of visits and it saw one at most, scales know better."""
    from openaisle.edge.runtime import load_predictor
    from openaisle.modular.alone import look_through, may_stand_alone, receipts_alone
    from openaisle.pipeline import receipts_document, run
    from openaisle.view import exports

    predictor = load_predictor(model or "small")
    with progress("writing receipts") as report:
        steps = run(opened.store, exports.sensed(opened), predictor, video=not no_video, scales=not no_scales)
        name = opened.folder.resolve().name
        document = receipts_document(exports.watched(steps, opened, report), name, predictor.name)
    if model is not None or no_scales or len(document.receipts) > 1:
        return document
    found = look_through(opened.messages(decode=False))
    if found.visits or not may_stand_alone(opened, found):
        return document
    say("remark: no entries, and one shopper seen at most: the receipt comes from the scales alone (--model modular)")
    return receipts_alone(opened, found)


def score(
    recording: Annotated[Path, typer.Argument(help="Recording folder; or true baskets in the contest's form.")],
    receipts: Annotated[
        Path, typer.Argument(help="receipts.json of this recording; or answers in the contest's form.")
    ],
    as_json: AsJson = False,
) -> None:
    """Compare receipts with the truth of a simulated or labelled recording (metrics: docs/benchmark.md).

    Two JSON files (or folders of them) in the AutoCheckout contest's form are compared by the contest's score.
    """
    if recording.is_file() or receipts.is_dir():
        _score_contest(recording, receipts, as_json)
        return
    from openaisle.receipts.document import read_receipts
    from openaisle.recording.reader import open_recording
    from openaisle.view.exports import score_recording

    document = read_receipts(receipts)
    result = score_recording(open_recording(recording), document).to_json()
    if document.recording != recording.resolve().name:
        say(f"note: {receipts} was written for a recording named {document.recording!r}")
    if as_json:
        say_json(result)
        return
    rows = [[name, figure(value)] for name, value in result.items()]
    say_table(f"{receipts} against {recording}", ["metric", "value"], rows)


def _score_contest(truth: Path, answers: Path, as_json: bool) -> None:
    from openaisle.receipts.contest import contest_score, read_baskets

    scored = contest_score(read_baskets(truth), read_baskets(answers))
    for name in scored.strangers:
        say(f"note: there is no truth for {name!r}")
    if as_json:
        say_json(scored.to_json())
        return
    rows: list[list[object]] = [[c.name, c.hits, c.answered, c.true, figure(c.f1)] for c in scored.cases]
    title = f"{answers} against {truth}: {figure(scored.to_json()['f1'])}"
    say_table(title, ["case", "right", "answered", "true", "F1"], rows)


def view(
    recording: Recorded,
    out: Annotated[Path, typer.Option(help="MP4 file to write.")],
    receipts: Annotated[
        Path | None, typer.Option(help="receipts.json to show; default: the model's or true ones.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="Model whose tracks to show; default: the true bodies.")] = None,
    rerun: Annotated[Path | None, typer.Option(help="Also write a .rrd file for the Rerun viewer (viz extra).")] = None,
) -> None:
    """Show a recording as a film: all cameras with people, hands and lanes, the receipts, the plan."""
    from openaisle.edge.runtime import load_predictor
    from openaisle.receipts.document import read_receipts
    from openaisle.recording.reader import open_recording
    from openaisle.view.exports import timeline_of
    from openaisle.view.film import write_film

    opened = open_recording(recording)
    document = read_receipts(receipts) if receipts else None
    predictor = load_predictor(model) if model else None
    with progress("following people") as report:
        timeline = timeline_of(opened, document, predictor, report)
    with progress("drawing") as report:
        write_film(opened, timeline, out, opened.store.spec.name, report)
    say(f"wrote {out}")
    if rerun is not None:
        from openaisle.view.rerun_log import write_rerun

        write_rerun(opened, timeline, rerun)
        say(f"wrote {rerun}")


VERBS: tuple[tuple[Verb, str], ...] = (
    (simulate, "Example: aisle simulate --store random:corner --scenario neighbours --seed 7 --out rec"),
    (receipts, "Example: aisle receipts rec --out receipts.json --model small"),
    (score, "Example: aisle score rec receipts.json --json"),
    (view, "Example: aisle view rec --receipts receipts.json --out view.mp4"),
)
