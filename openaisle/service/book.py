"""Book: the ledger in the database: append an event once, read back what a visit's basket depends on.

A fold needs more than the events that name a visit: also every version of them, the corrections that supersede them,
and what those stand for. `ledger_of` collects exactly that, so that `fold` gives what it would over the whole ledger.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from pydantic import TypeAdapter
from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy.orm import Session

from openaisle.receipts.events import LedgerEvent
from openaisle.receipts.ledger import Ledger
from openaisle.service.database import insert_once
from openaisle.service.tables import LedgerRow

EVENT = TypeAdapter(LedgerEvent)


@dataclass(frozen=True, slots=True)
class Entry:
    """A ledger event with its place in the book."""

    seq: int
    event: LedgerEvent
    author: str


def append(session: Session, event: LedgerEvent, author: str, now_ns: int) -> int:
    """Write an event; its place in the book, or 0 when exactly this event is there already."""
    body = EVENT.dump_json(event).decode()
    digest = hashlib.sha256(body.encode()).hexdigest()
    known = select(LedgerRow.seq).where(LedgerRow.event_id == event.event_id, LedgerRow.digest == digest)
    if session.scalar(known) is not None:
        return 0
    new = insert_once(
        session, LedgerRow,
        {
            "event_id": event.event_id, "digest": digest, "visit": event.visit, "to_visit": event.to_visit,
            "supersedes": event.supersedes, "body": body, "author": author, "at_ns": now_ns,
        },
    )  # fmt: skip
    return (session.scalar(known) or 0) if new else 0


def touched(session: Session, event: LedgerEvent) -> set[str]:
    """Every visit whose basket an event may change: those that it names, and all that hangs together with them."""
    ids = {event.event_id, event.supersedes} - {""}
    rows = _connected(session, or_(LedgerRow.event_id.in_(ids), LedgerRow.supersedes.in_(ids)), None)
    return {*event.visits(), *(visit for row in rows for visit in (row.visit, row.to_visit))} - {""}


def through(session: Session) -> int:
    """Place of the last event in the book."""
    return session.scalar(select(func.max(LedgerRow.seq))) or 0


def event_at(session: Session, seq: int) -> LedgerEvent:
    """The event at a place."""
    row = session.get(LedgerRow, seq)
    assert row is not None, "the ledger never loses a row"
    return EVENT.validate_json(row.body)


def entries_of(session: Session, visit: str, through_seq: int | None = None) -> tuple[Entry, ...]:
    """Everything that a visit's basket depends on, in the order of the book."""
    rows = _connected(session, or_(LedgerRow.visit == visit, LedgerRow.to_visit == visit), through_seq)
    return tuple(Entry(row.seq, EVENT.validate_json(row.body), row.author) for row in rows)


def ledger_of(session: Session, visit: str, through_seq: int | None = None) -> Ledger:
    """A ledger over which `fold` gives this visit's basket, as it was at a place in the book."""
    return Ledger().extend(entry.event for entry in entries_of(session, visit, through_seq))


def _connected(session: Session, which: ColumnElement[bool], through_seq: int | None) -> list[LedgerRow]:
    """Some rows, and those that supersede them or are superseded by them, however far; in the order of the book."""
    rows: dict[int, LedgerRow] = {}
    fresh = _find(session, which, through_seq)
    while new := [row for row in fresh if row.seq not in rows]:
        rows |= {row.seq: row for row in new}
        ids = {row.event_id for row in new} | {row.supersedes for row in new} - {""}
        fresh = _find(session, or_(LedgerRow.event_id.in_(ids), LedgerRow.supersedes.in_(ids)), through_seq)
    return sorted(rows.values(), key=lambda row: row.seq)


def _find(session: Session, which: ColumnElement[bool], through_seq: int | None) -> Iterable[LedgerRow]:
    query = select(LedgerRow).where(which)
    if through_seq is not None:
        query = query.where(LedgerRow.seq <= through_seq)
    return session.scalars(query).all()
