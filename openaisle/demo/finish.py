"""Finish: how a demo with a live store ends: receipts against the truth, a film of its first minutes, a report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.progress import Progress

from openaisle import __version__
from openaisle.demo.show import Show
from openaisle.demo.tally import Tally, document_of
from openaisle.messages import NANOSECONDS, TruthReceipt
from openaisle.receipts.document import ReceiptsDocument, write_receipts
from openaisle.recording.reader import Recording, open_recording
from openaisle.view.film import write_film
from openaisle.view.report import Report, write_report
from openaisle.view.timeline import Timeline, add_document, add_truth
from openaisle.view.verdict import Verdict, summary, verdict_table, verdicts

MOST_ROWS = 12  # visits in the terminal's table, the latest; the summary and the report have all
LEAST_FILM_S = 5.0


@dataclass(frozen=True)
class Finish:
    """What is known at the end; `lost` are names of visits that the live store lost."""

    show: Show
    tally: Tally
    truths: Sequence[TruthReceipt]
    lost: Sequence[str]
    shift_ns: int
    model: str


def finish(end: Finish) -> None:
    """Print and write it; Ctrl-C leaves out what is not drawn yet."""
    console, out = end.show.console, end.show.demo.out
    rows = verdicts_of(end)
    if len(rows) > MOST_ROWS:
        console.print(f"The latest {MOST_ROWS} of {len(rows)} visits:")
    if rows:
        console.print(verdict_table(rows[-MOST_ROWS:]))
    console.print(summary(rows) if rows else "Nobody had come and gone, so there is no receipt to compare.")
    inside = sum(not stay.left_ns for stay in end.tally.stays.values())
    if inside:
        console.print(f"{inside} still inside when the shop closed; not counted.")
    for visit in end.lost:
        console.print(f"[bold red]lost:[/] the live store has no receipt of {visit}, or did not see who it was leave")
    recording = open_recording(out / "recording", check=False) if (out / "recording").is_dir() else None
    written = [out / "service"]
    if recording is not None and played_ns(end, recording) - recording.start_ns > LEAST_FILM_S * NANOSECONDS:
        try:
            written = [*_drawn(end, recording, rows), *written]
        except KeyboardInterrupt:
            console.print("Left out the film and the report.")
    console.print(f"In {out}: {', '.join(str(path.relative_to(out)) for path in written)}.")


def verdicts_of(end: Finish) -> list[Verdict]:
    """A verdict for every visit that is over, and for receipts that nobody should have got."""
    true = {truth.visit for truth in end.truths}
    late = end.tally.truths.keys() - true  # over a moment ago: too late to count
    stays = [stay for name, stay in end.tally.stays.items() if name in true or (stay.settled and name not in late)]
    return verdicts(end.show.timeline, [stay.receipt for stay in stays], list(end.truths))


def played_ns(end: Finish, recording: Recording) -> int:
    """The instant of the recording up to which the live store has come; more may be simulated than has happened."""
    return min(recording.end_ns, end.tally.time_ns - end.shift_ns)


def _drawn(end: Finish, recording: Recording, rows: Sequence[Verdict]) -> list[Path]:
    out, console, title = end.show.demo.out, end.show.console, end.show.store.spec.name
    document = _document(end, recording)
    write_receipts(out / "receipts.json", document)
    span_ns = recording.start_ns, played_ns(end, recording)
    truth = (message for message in recording.truth() if message.time_ns <= span_ns[1])
    lettered = Timeline(end.show.store, end.show.timeline.visits)  # as the terminal has shown them
    timeline = add_document(add_truth(lettered, truth, receipts=False), document)
    film = out / "demo.mp4"
    seconds = (span_ns[1] - span_ns[0]) / NANOSECONDS
    if not end.show.demo.headless:
        console.print(f"A film of the first {seconds:.0f} s is being drawn (Ctrl-C leaves it out) ...")
    with Progress(console=console, transient=True) as bar:
        task = bar.add_task("drawing the film", total=1.0)
        write_film(recording, timeline, film, title, lambda share: bar.update(task, completed=share), span_ns)
    report = Report(f"{title}: a demo of OpenAisle", timeline, rows, _facts(end, seconds), film)
    write_report(report, recording, out / "report.html")
    return [film, out / "report.html", out / "receipts.json", recording.folder]


def _document(end: Finish, recording: Recording) -> ReceiptsDocument:
    """Receipts of the visits that begin in the recording."""
    seen = Timeline(end.show.store)
    visits = add_truth(seen, recording.truth()).visits
    return document_of(end.tally.stays, visits, end.model, end.shift_ns)


def _facts(end: Finish, seconds: float) -> list[tuple[str, str]]:
    show = end.show
    first = (
        "none" if show.first_receipt_s is None else f"{show.first_receipt_s:.1f} s after the live store's first word"
    )
    return [
        ("model", end.model),
        ("store", f"{show.demo.store}, seed {show.demo.seed}"),
        ("scenario", show.demo.scenario),
        ("film", f"the first {seconds:.0f} s; people where they really were, receipts as the live store had them"),
        ("visits", f"{len(end.tally.stays)}, {end.tally.waiting} receipts wait for a person"),
        ("first receipt line", first),
        ("OpenAisle", __version__),
    ]
