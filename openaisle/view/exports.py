"""Exports: a receipts document in the formats other people read, and timelines from what is at hand."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from enum import StrEnum
from pathlib import Path

from openaisle.bench.shop import shoppers_present
from openaisle.messages import NANOSECONDS, TruthEvent, TruthReceipt, TruthTick, VideoPacket
from openaisle.pipeline import run
from openaisle.predictor import Predictor
from openaisle.receipts.document import ReceiptsDocument, basket_of, write_receipts
from openaisle.receipts.pricing import Receipt, local_day, price
from openaisle.receipts.render import autocheckout, receipts_html
from openaisle.receipts.score import Score, score
from openaisle.recording.manifest import problem
from openaisle.recording.reader import Recording
from openaisle.state import StepResult
from openaisle.store.store import Store
from openaisle.tokens.tick import Sensed
from openaisle.view.timeline import Timeline, add_document, add_step, add_truth

Progress = Callable[[float], None]  # called with the share done, 0 to 1


class Format(StrEnum):
    """What `aisle receipts` writes."""

    json = "json"
    autocheckout = "autocheckout"
    html = "html"


def write_document(document: ReceiptsDocument, recording: Recording, out: Path, form: Format) -> None:
    """Write the receipts whole or not at all."""
    out.parent.mkdir(parents=True, exist_ok=True)
    if form is Format.json:
        write_receipts(out, document)
        return
    if form is Format.autocheckout:
        origin = recording.manifest.origin
        case = (origin.scenario if origin.source == "imported" else "") or recording.folder.name
        text = json.dumps(autocheckout(document, case, document.model, origin.barcodes), indent=1) + "\n"
    else:
        spec, issued_ns = recording.store.spec, recording.end_ns
        text = receipts_html(priced(document, recording.store, issued_ns), spec, issued_ns)
    partial = out.with_name(out.name + ".partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(out)


def priced(document: ReceiptsDocument, store: Store, issued_ns: int) -> list[Receipt]:
    """The document's receipts by the store's prices, as of each receipt's own day."""
    zone = store.spec.time_zone
    return [
        price(basket_of(record), store.spec, store.products, local_day(record.final_ns or issued_ns, zone))
        for record in document.receipts
    ]


def sensed(recording: Recording) -> Iterator[Sensed]:
    """The recording's messages with pictures decoded, as the pipeline takes them."""
    return (message for message in recording.messages() if not isinstance(message, VideoPacket))


def watched(results: Iterable[StepResult], recording: Recording, progress: Progress) -> Iterator[StepResult]:
    """The results as they come, with progress over the recording's time."""
    length_ns = max(NANOSECONDS, recording.end_ns - recording.start_ns)
    for result in results:
        progress(min(1.0, max(0.0, (result.time_ns - recording.start_ns) / length_ns)))
        yield result
    progress(1.0)


def timeline_of(
    recording: Recording,
    document: ReceiptsDocument | None = None,
    predictor: Predictor | None = None,
    progress: Progress = lambda share: None,
) -> Timeline:
    """Bodies from the model if one is given, else from the truth; receipts from the document, the model or the truth.

    Raises RecordingError when there is neither a model nor a truth to take the bodies from.
    """
    timeline = Timeline(recording.store)
    if document is not None:
        add_document(timeline, document)
    if predictor is not None:
        for result in watched(run(recording.store, sensed(recording), predictor), recording, progress):
            add_step(timeline, result, receipts=document is None)
    elif recording.has_truth:
        add_truth(timeline, recording.truth(), receipts=document is None)
    elif document is None:
        raise problem(recording.folder, "truth", "there is none to show", "give --model small, or --receipts")
    return timeline


def score_recording(recording: Recording, document: ReceiptsDocument) -> Score:
    """Compare a document with the recording's truth. Raises RecordingError when there is none."""
    if not recording.has_truth:
        raise problem(recording.folder, "truth", "there is none to compare with", "score a simulated recording")
    truth = list(recording.truth())
    receipts = [message for message in truth if isinstance(message, TruthReceipt)]
    events = [message for message in truth if isinstance(message, TruthEvent)]
    present = shoppers_present(message for message in truth if isinstance(message, TruthTick))
    return score(receipts, events, document, recording.store.products, present)
