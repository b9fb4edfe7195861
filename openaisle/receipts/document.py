"""receipts.json: what is written, read and scored, as one pydantic schema (docs/schema/receipts-1.json).

A document holds the final receipt of every visit of a recording with the updates that led to it, so that latency and
attribution can be scored. Readers of version 1 ignore keys that they do not know.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, ValidationError

from openaisle.errors import Problem, ReceiptError
from openaisle.receipts.events import Evidence, Kind, LedgerEvent
from openaisle.receipts.ledger import Basket, BasketLine
from openaisle.receipts.pricing import Receipt

SCHEMA_ID = "urn:openaisle:receipts:1"


def gtin14(gtin: str) -> str:
    """A GTIN padded to 14 digits; "" stays empty."""
    return gtin.zfill(14) if gtin else ""


Gtin = Annotated[str, Field(pattern=r"^[0-9]{1,14}$"), AfterValidator(gtin14)]  # kept as GTIN-14
MaybeGtin = Annotated[str, Field(pattern=r"^[0-9]{0,14}$"), AfterValidator(gtin14)]
Cents = Annotated[int, Field(ge=0)]
Confidence = Annotated[float, Field(ge=0, le=1)]


class _Model(BaseModel):
    """Base: frozen, strict about types, tolerant of keys from later minor versions."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)


class EvidenceRecord(_Model):
    """The clip and traces behind a line."""

    cameras: list[str] = []
    scales: list[str] = []
    start_ns: int
    end_ns: int
    lane: str = ""


class LineRecord(_Model):
    """A product on a receipt. total_cents = quantity × unit price - discount (+ tax where prices come without it)."""

    gtin: Gtin
    quantity: int = Field(ge=1)
    unit_price_cents: Cents
    confidence: Confidence
    evidence: list[EvidenceRecord] = []
    name: str = ""
    discount_cents: Cents = 0
    tax_cents: Cents = Field(default=0, title="Contained in total_cents")
    total_cents: Cents | None = None


class Update(_Model):
    """One change of a receipt while its shopper was in the store."""

    time_ns: int = Field(title="Stream time at which the update was issued")
    event_time_ns: int | None = Field(default=None, title="When it happened, according to the model")
    kind: Kind = "correction"
    gtin: MaybeGtin = ""
    quantity: int = Field(default=0, title="Units; signed (as it changes this receipt) for a correction or hand-over")
    lane: str = ""
    compute_s: float = Field(default=0.0, ge=0, title="Compute time between the last input used and this update")


class ReceiptRecord(_Model):
    """The receipt of one visit."""

    visit: str = Field(min_length=1)
    lines: list[LineRecord]
    total_cents: Cents
    currency: str = Field(pattern=r"^[A-Z]{3}$")
    needs_review: bool
    updates: list[Update] = []
    reasons: list[str] = []
    confidence: Confidence | None = Field(default=None, title="That the whole receipt is right")
    final_ns: int | None = Field(default=None, title="Stream time at which this final receipt was issued")
    final_compute_s: float = Field(default=0.0, ge=0)

    def sure(self) -> float:
        """Confidence in the whole receipt: as given, or else the product over its lines."""
        if self.confidence is not None:
            return self.confidence
        product = 1.0
        for line in self.lines:
            product *= line.confidence
        return product

    def quantities(self) -> dict[str, int]:
        """{gtin: units}."""
        out: dict[str, int] = {}
        for line in self.lines:
            out[line.gtin] = out.get(line.gtin, 0) + line.quantity
        return out


class ReceiptsDocument(_Model):
    """All receipts of a recording, by one model."""

    version: Literal[1] = 1
    recording: str
    model: str
    receipts: list[ReceiptRecord]


def receipt_record(
    receipt: Receipt, updates: list[Update], final_ns: int | None = None, final_compute_s: float = 0.0
) -> ReceiptRecord:
    """A priced receipt and its history, ready to be written."""
    lines = [
        LineRecord(
            gtin=line.gtin, quantity=line.quantity, unit_price_cents=line.unit_price_cents, confidence=line.confidence,
            evidence=[_evidence_record(evidence) for evidence in line.evidence], name=line.name,
            discount_cents=line.discount_cents, tax_cents=line.tax_cents, total_cents=line.total_cents,
        )
        for line in receipt.lines
    ]  # fmt: skip
    return ReceiptRecord(
        visit=receipt.visit, lines=lines, total_cents=receipt.total_cents, currency=receipt.currency,
        needs_review=receipt.needs_review, updates=updates, reasons=[str(reason) for reason in receipt.reasons],
        confidence=receipt.confidence, final_ns=final_ns, final_compute_s=final_compute_s,
    )  # fmt: skip


def update_of(event: LedgerEvent, visit: str, time_ns: int, compute_s: float = 0.0) -> Update:
    """The update that a ledger event is for one of its visits, issued at stream time `time_ns`."""
    signed = event.kind in ("correction", "hand_over")
    return Update(
        time_ns=time_ns, event_time_ns=event.time_ns, kind=event.kind, gtin=event.gtin,
        quantity=event.delta(visit) if signed else event.quantity, lane=event.lane, compute_s=compute_s,
    )  # fmt: skip


def updates_of(event: LedgerEvent, visit: str, time_ns: int, replaced: LedgerEvent | None) -> tuple[Update, ...]:
    """The updates that an event is for one of its visits: what it changes, less what the replaced one had changed."""
    update = update_of(event, visit, time_ns)
    if replaced is None:
        return (update,)
    before = replaced.delta(visit)
    if replaced.gtin == event.gtin:
        return (update.model_copy(update={"quantity": update.quantity - before}),)
    if not before:  # it was another visit's
        return (update,)
    undone = update.model_copy(update={"gtin": replaced.gtin, "quantity": -before})
    return (undone, update) if update.quantity else (undone,)


def basket_of(record: ReceiptRecord) -> Basket:
    """The basket behind a written receipt, to price or print it again."""
    lines = tuple(
        BasketLine(
            line.gtin, line.quantity, line.confidence, tuple(_evidence(e) for e in line.evidence),
            max((e.end_ns for e in line.evidence), default=0),
        )
        for line in record.lines
    )  # fmt: skip
    return Basket(record.visit, lines, record.sure())


def write_receipts(path: Path, document: ReceiptsDocument) -> None:
    """Write receipts.json whole or not at all; its folder is made when it is not there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    partial.write_text(json.dumps(document.model_dump(mode="json", exclude_none=True), indent=1) + "\n")
    os.replace(partial, path)


def read_receipts(path: Path) -> ReceiptsDocument:
    """Read receipts.json; ReceiptError lists everything that is wrong with it."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        fix = "give the path of a receipts.json, as `aisle receipts` writes it"
        raise ReceiptError([Problem(str(path), "file", f"cannot be read: {reason}", fix)]) from error
    try:
        document = ReceiptsDocument.model_validate_json(text)
    except ValidationError as error:
        raise ReceiptError([_problem(path, e["loc"], e["msg"], e["type"]) for e in error.errors()]) from error
    twice = _repeated([record.visit for record in document.receipts])
    if twice:
        what = f"more than one receipt for visit {', '.join(twice)}"
        raise ReceiptError([Problem(str(path), "receipts", what, "keep one receipt per visit")])
    return document


def json_schema() -> dict[str, JsonValue]:
    """The JSON Schema of receipts.json, as committed in docs/schema/receipts-1.json."""
    schema = ReceiptsDocument.model_json_schema(mode="validation")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": SCHEMA_ID, **schema}


def _problem(path: Path, place: tuple[int | str, ...], what: str, kind: str) -> Problem:
    where = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place).lstrip(".") or "file"
    fix = "write the file again with `aisle receipts`" if kind == "json_invalid" else "see docs/schema/receipts-1.json"
    return Problem(str(path), where, what, fix)


def _repeated(names: list[str]) -> list[str]:
    return sorted(name for name, count in Counter(names).items() if count > 1)


def _evidence_record(evidence: Evidence) -> EvidenceRecord:
    return EvidenceRecord(
        cameras=list(evidence.cameras), scales=list(evidence.scales), start_ns=evidence.start_ns,
        end_ns=evidence.end_ns, lane=evidence.lane,
    )  # fmt: skip


def _evidence(record: EvidenceRecord) -> Evidence:
    return Evidence(tuple(record.cameras), tuple(record.scales), record.start_ns, record.end_ns, record.lane)
