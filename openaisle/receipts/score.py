"""CheckoutBench's receipt metrics: what a model's receipts.json is worth against the truth.

In: the truth of a recording (receipts and events), a receipts document, the catalogue. Out: one `VisitScore` per visit,
from which every metric is a ratio, a percentile or a calibration error over visits (see docs/benchmark.md).
A visit that the document lacks counts as an empty receipt; a receipt for a visit that never was is a false charge.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from pydantic import JsonValue

from openaisle.messages import EventKind, TruthEvent, TruthReceipt
from openaisle.receipts.document import ReceiptRecord, ReceiptsDocument, gtin14
from openaisle.receipts.matching import match_events
from openaisle.receipts.metrics import Interval, Metrics, VisitScore, bootstrap, metrics
from openaisle.store.schema import ProductSpec

_SHELF_EVENTS = (EventKind.TAKE, EventKind.RETURN)


@dataclass(frozen=True, slots=True)
class Score:
    """The scored visits of one recording or of many."""

    visits: tuple[VisitScore, ...]

    @property
    def metrics(self) -> Metrics:
        """All metrics of BENCHMARK.md over these visits."""
        return metrics(self.visits)

    def intervals(self, resamples: int = 1000, seed: int = 0) -> dict[str, Interval]:
        """95% bootstrap intervals over visits, by metric name (only metrics that are defined)."""
        return bootstrap(self.visits, resamples, seed)

    def to_json(self) -> dict[str, JsonValue]:
        """What `aisle score --json` prints; null where a metric has nothing to measure."""
        return self.metrics.to_json()


def score(
    truth_receipts: Sequence[TruthReceipt],
    truth_events: Sequence[TruthEvent],
    document: ReceiptsDocument,
    products: Sequence[ProductSpec],
    shoppers: Mapping[str, int] | None = None,
) -> Score:
    """Score one recording; `shoppers` may say how many people were present during each visit."""
    records = {record.visit: record for record in document.receipts}
    truths = {truth.visit: truth for truth in truth_receipts}
    phantoms = [visit for visit, record in records.items() if visit not in truths and record.lines]
    prices = _prices(document, products)
    shelf_events = [event for event in truth_events if event.kind in _SHELF_EVENTS and not event.staff]
    events = [replace(event, gtin=gtin14(event.gtin)) for event in shelf_events]
    # Without updates there are only final quantities to go by; a document that charges nothing credits nothing.
    by_updates = any(record.updates for record in document.receipts) or not any(r.lines for r in document.receipts)
    out = []
    for visit in [*truths, *phantoms]:
        true = _true_units(truths.get(visit))
        record = records.get(visit)
        counted = _charges(visit, true, record, prices)
        own = [event for event in events if event.visit == visit]
        credited, latency_s = _credits(own, true, record, by_updates)
        final_s = _final_latency(truths.get(visit), record)
        out.append(
            replace(
                counted, recording=document.recording, true=visit in truths, shoppers=(shoppers or {}).get(visit, 0),
                events=len(own), credited=credited, latency_s=latency_s, final_s=final_s,
            )
        )  # fmt: skip
    return Score(tuple(out))


def combine(scores: Sequence[Score]) -> Score:
    """One score over several recordings; F1 stays per recording, then mean."""
    return Score(
        tuple(
            replace(visit, recording=f"{i}:{visit.recording}") for i, one in enumerate(scores) for visit in one.visits
        )
    )  # fmt: skip


def _true_units(truth: TruthReceipt | None) -> Counter[str]:
    units: Counter[str] = Counter()
    for gtin, quantity in truth.lines if truth else ():
        units[gtin14(gtin)] += quantity
    return units


def _charges(visit: str, true: Counter[str], record: ReceiptRecord | None, prices: Mapping[str, int]) -> VisitScore:
    """Units, value and line confidences of one visit."""
    charged = Counter(record.quantities() if record else {})
    lines = tuple((line.confidence, charged[line.gtin] == true[line.gtin]) for line in (record.lines if record else ()))
    return VisitScore(
        visit=visit,
        exact=charged == true,
        confidence=record.sure() if record else 0.0,  # a visit without a receipt is the first to be looked at
        hits=(charged & true).total(),
        charged=charged.total(),
        taken=true.total(),
        over_cents=_value(charged - true, prices),
        under_cents=_value(true - charged, prices),
        true_cents=_value(true, prices),
        lines=lines,
    )


def _value(units: Counter[str], prices: Mapping[str, int]) -> int:
    return sum(quantity * prices.get(gtin, 0) for gtin, quantity in units.items())


def _prices(document: ReceiptsDocument, products: Sequence[ProductSpec]) -> dict[str, int]:
    """List prices; what the catalogue does not know is worth what the document charged for it."""
    charged = {line.gtin: line.unit_price_cents for record in document.receipts for line in record.lines}
    return {**charged, **{gtin14(product.gtin): product.price_cents for product in products}}


def _credits(
    events: Sequence[TruthEvent], true: Counter[str], record: ReceiptRecord | None, by_updates: bool
) -> tuple[int, tuple[float, ...]]:
    """(true takes and returns credited to this visit, latency in seconds of those that its updates show).

    Not `by_updates`: an event is credited when the final quantity of its product is right.
    """
    if record is None:
        return 0, ()
    if not by_updates:
        charged = record.quantities()
        return sum(charged.get(event.gtin, 0) == true[event.gtin] for event in events), ()
    return match_events(events, record.updates)


def _final_latency(truth: TruthReceipt | None, record: ReceiptRecord | None) -> float | None:
    """Seconds from the end of the visit to its final receipt."""
    if truth is None or record is None or record.final_ns is None:
        return None
    return (record.final_ns - truth.time_ns) / 1e9 + record.final_compute_s


__all__ = ["Interval", "Score", "VisitScore", "combine", "score"]
