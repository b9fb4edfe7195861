"""Receipts from scales alone, when there is one visit: a recording's plates become a ledger, the ledger a receipt."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from openaisle.errors import Problem, RecordingError
from openaisle.messages import NANOSECONDS, GateEvent, Message, ScaleBatch, VideoPacket
from openaisle.modular.plates import Seen, see
from openaisle.modular.series import Series, read_series
from openaisle.modular.shelves import Shelf, shelves
from openaisle.receipts.document import ReceiptsDocument, receipt_record, update_of
from openaisle.receipts.events import Evidence, Kind, LedgerEvent
from openaisle.receipts.ledger import Ledger, fold
from openaisle.receipts.pricing import local_day, price
from openaisle.recording.reader import Recording
from openaisle.store.store import Store
from openaisle.tokens.catalogue import unit_grams

NAME = "modular"
UNNAMED = "visit-1"
OUTSIDE_NS = 5 * NANOSECONDS  # before the entry or after the exit: tracks begin late and end early
UNSEEN = 0.1  # confidence of a receipt from which something is missing


@dataclass(frozen=True)
class Found:
    """What a recording holds, as far as scales alone are concerned."""

    visits: tuple[str, ...]  # by name, from entries
    batches: tuple[ScaleBatch, ...]
    entry_ns: int | None
    exit_ns: int | None  # None = some who came in have not left
    end_ns: int


def look_through(messages: Iterable[Message]) -> Found:
    """One reading of a recording's messages (pictures need not be decoded)."""
    batches: list[ScaleBatch] = []
    gates: list[GateEvent] = []
    end_ns = 0
    for message in messages:
        end_ns = max(end_ns, message.time_ns)
        if isinstance(message, ScaleBatch):
            batches.append(message)
            end_ns = max(end_ns, message.time_ns + round(len(message.grams) * NANOSECONDS / message.rate_hz))
        elif isinstance(message, GateEvent):
            gates.append(message)
    entries = [gate for gate in gates if gate.kind == "entry"]
    exits = [gate.time_ns for gate in gates if gate.kind == "exit"]
    visits = tuple(dict.fromkeys(gate.visit or f"visit-{i + 1}" for i, gate in enumerate(entries)))
    first = min((gate.time_ns for gate in entries), default=None)
    last = max(exits) if len(exits) >= len(entries) > 0 else None
    return Found(visits, tuple(batches), first, last, end_ns)


def nothing_but_scales(recording: Recording, *, video: bool = True) -> Found | None:
    """What there is for receipts from scales alone, when there is nothing else to go by: no picture (or none that is
    wanted) and at most one visit. None otherwise, for a recording with pictures after a look at its beginning."""
    if video and any(isinstance(message, VideoPacket) for message in _beginning(recording)):
        return None
    kept: list[Message] = []
    for message in recording.messages(decode=False):
        if not isinstance(message, VideoPacket):
            kept.append(message)
        elif video:
            return None
    found = look_through(kept)
    return found if len(found.visits) <= 1 and _speaks(found) else None


def asked_for(recording: Recording, *, video: bool = True) -> Found | None:
    """What there is for scales alone where they are asked for; None where pictures can tell several visits apart."""
    found = look_through(recording.messages(decode=False))
    if video and len(found.visits) > 1 and any(isinstance(m, VideoPacket) for m in recording.messages(decode=False)):
        return None
    return found


def _beginning(recording: Recording) -> Iterable[Message]:
    return recording.messages(end_ns=recording.start_ns + NANOSECONDS, decode=False)


def may_stand_alone(recording: Recording, found: Found) -> bool:
    """Whether no entry tells of several visits, and every lane with a product has a scale that speaks."""
    store = recording.store
    speaking = {batch.scale for batch in found.batches if np.isfinite(batch.grams).any()}
    lanes = [store.lanes[store.lane_index[row.lane]] for row in store.planogram]
    return len(found.visits) <= 1 and all(
        lane.scale >= 0 and store.spec.scales[lane.scale].id in speaking for lane in lanes
    )


def _speaks(found: Found) -> bool:
    return any(len(batch.grams) for batch in found.batches)


def receipts_alone(recording: Recording, found: Found | None = None) -> ReceiptsDocument:
    """The receipt of the only visit. Raises RecordingError when there are several, or no scales that speak."""
    began = time.perf_counter()
    found = found or look_through(recording.messages(decode=False))
    store, name = recording.store, str(recording.folder)
    if len(found.visits) > 1:
        what = f"there are {len(found.visits)} visits, and scales alone do not tell who took what"
        raise RecordingError([Problem(name, "gates", what, "use --model small")])
    if not _speaks(found):
        raise RecordingError([Problem(name, "scales", "there are no samples", "use --model small, with pictures")])
    visit = found.visits[0] if found.visits else UNNAMED
    series = read_series((scale.id for scale in store.spec.scales), found.batches)
    rows = shelves(store)
    seen = see(series, rows, unit_grams(store).tolist())
    events = [_event(i, one, visit, (store, series, rows), found) for i, one in enumerate(seen)]
    ledger = Ledger().extend(event for event in events if event is not None)
    receipt = price(fold(ledger, visit), store.spec, store.products, local_day(found.end_ns, store.spec.time_zone))
    spent = time.perf_counter() - began
    updates = [update_of(event, visit, found.end_ns, spent) for event in ledger.events if event.quantity]
    record = receipt_record(receipt, updates, found.end_ns, spent)
    return ReceiptsDocument(recording=recording.folder.resolve().name, model=NAME, receipts=[record])


def _event(
    number: int, one: Seen, visit: str, where: tuple[Store, Series, Sequence[Shelf]], found: Found
) -> LedgerEvent | None:
    """A ledger event; what went without a product, or while nobody was there, only makes the receipt doubtful."""
    store, series, rows = where
    row = rows[one.shelf]
    time_ns = series.time_ns(one.block)
    lane = row.lane(one.position, one.product)
    scale = store.spec.scales[row.scales[one.position]].id
    evidence = Evidence((), (scale,), series.time_ns(one.begin), series.time_ns(one.end), lane)
    early = found.entry_ns is not None and time_ns < found.entry_ns - OUTSIDE_NS
    late = found.exit_ns is not None and time_ns > found.exit_ns + OUTSIDE_NS
    name = f"p{number:04d}"
    if one.product >= 0 and not early and not late:
        kind: Kind = "take" if one.kind == "take" else "return"
        gtin = store.products[one.product].gtin
        return LedgerEvent(name, time_ns, kind, visit, gtin, one.units, one.confidence, lane, evidence=evidence)
    if one.kind == "return" or not store.products:
        return None
    reason = f"{one.grams:.0f} g left {lane}" + (" while nobody was in" if early or late else "")
    near = next((facing.product for facing in row.facings if one.position in facing.at), 0)
    gtin = store.products[one.product if one.product >= 0 else near].gtin
    return LedgerEvent(
        name, time_ns, "correction", visit, gtin, 0, UNSEEN, lane, evidence=evidence, reason=reason
    )  # fmt: skip
