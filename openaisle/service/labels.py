"""Labels: what people answered about receipts, kept for training: what the model wrote, and what was right.

One row for every answer, in the transaction of what it changed. `GET /v1/labels` gives them as JSON lines; with the
recording of the same hours (`source`, times) they are training examples. They hold products and times, nobody's face.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import TypeAdapter
from sqlalchemy import select
from sqlalchemy.orm import Session

from openaisle.receipts.ledger import Ledger, fold
from openaisle.service import book, models, till
from openaisle.service.book import Entry
from openaisle.service.desk import Desk
from openaisle.service.tables import Review, Run, Visit

VERSION = 1
BY_RUN = "run "  # how the pipeline signs its entries
Verdict = Literal["accepted", "corrected"]


@dataclass(frozen=True, slots=True)
class LabelLine:
    """Units of a product; confidence is the model's, 1 for what a person said."""

    gtin: str
    quantity: int
    confidence: float


@dataclass(frozen=True, slots=True)
class LabelEntry:
    """An entry of the ledger that the receipt was made of, with where to look for it."""

    event_id: str
    by_person: bool
    time_ns: int
    kind: str
    gtin: str
    quantity: int
    confidence: float
    lane: str
    supersedes: str
    cameras: tuple[str, ...]
    scales: tuple[str, ...]
    start_ns: int
    end_ns: int


@dataclass(frozen=True, slots=True)
class Label:
    """One answer. `before` is what the model had written, `after` what the person let stand."""

    version: int
    visit: str
    verdict: Verdict
    author: str
    words: str
    at_ns: int
    entered_ns: int
    left_ns: int
    people: int
    source: str  # of the run: a recording's folder, sim:SCENARIO, or ""
    seed: int
    model: str  # of the run while the visit was inside; more than one, with commas, where an operator changed it
    reasons: tuple[str, ...]  # why the receipt asked for a person
    before: tuple[LabelLine, ...]
    after: tuple[LabelLine, ...]
    entries: tuple[LabelEntry, ...]


LABEL = TypeAdapter(Label)


def note(session: Session, desk: Desk, visit: Visit, author: str, words: str = "") -> Label:
    """Keep what a person has just answered about a visit's receipt, whose entries are in the ledger already."""
    entries = book.entries_of(session, visit.id)
    machine = Ledger().extend(entry.event for entry in entries if entry.author.startswith(BY_RUN))
    before = _lines(machine, visit.id)
    after = _lines(Ledger().extend(entry.event for entry in entries), visit.id)
    same = {line.gtin: line.quantity for line in before} == {line.gtin: line.quantity for line in after}
    run = session.get(Run, visit.run) if visit.run else _run_of(session, entries)
    label = Label(
        version=VERSION, visit=visit.id, verdict="accepted" if same else "corrected", author=author, words=words,
        at_ns=desk.clock(), entered_ns=visit.entered_ns, left_ns=visit.left_ns, people=visit.people,
        source=run.source if run else "", seed=run.seed if run else 0,
        model=", ".join(models.of_visit(session, visit)) or (run.model if run else ""),
        reasons=tuple(str(reason) for reason in till.current(session, desk, visit).reasons),
        before=before, after=after, entries=tuple(_entry(entry) for entry in entries),
    )  # fmt: skip
    body = LABEL.dump_json(label).decode()
    session.add(Review(visit=visit.id, verdict=label.verdict, body=body, author=author, at_ns=label.at_ns))
    return label


def labels_after(session: Session, after_id: int, limit: int) -> Sequence[Review]:
    """Rows after a given one, oldest first."""
    return session.scalars(select(Review).where(Review.id > after_id).order_by(Review.id).limit(limit)).all()


def labels_of(session: Session, visit: str) -> list[Label]:
    """What was answered about a visit, oldest first."""
    rows = session.scalars(select(Review).where(Review.visit == visit).order_by(Review.id))
    return [LABEL.validate_json(row.body) for row in rows]


def _lines(ledger: Ledger, visit: str) -> tuple[LabelLine, ...]:
    return tuple(LabelLine(line.gtin, line.quantity, line.confidence) for line in fold(ledger, visit).lines)


def _entry(entry: Entry) -> LabelEntry:
    event, seen = entry.event, entry.event.evidence
    return LabelEntry(
        event_id=event.event_id, by_person=not entry.author.startswith(BY_RUN), time_ns=event.time_ns, kind=event.kind,
        gtin=event.gtin, quantity=event.quantity, confidence=event.confidence, lane=event.lane,
        supersedes=event.supersedes, cameras=seen.cameras if seen else (), scales=seen.scales if seen else (),
        start_ns=seen.start_ns if seen else event.time_ns, end_ns=seen.end_ns if seen else event.time_ns,
    )  # fmt: skip


def _run_of(session: Session, entries: Sequence[Entry]) -> Run | None:
    """The run that wrote about a visit which the API had opened."""
    names = [entry.author.removeprefix(BY_RUN) for entry in entries if entry.author.startswith(BY_RUN)]
    return session.get(Run, names[0]) if names else None
