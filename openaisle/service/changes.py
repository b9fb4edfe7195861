"""Changes: one row for all that readers of a visit want to know, and a letter for every webhook, in its transaction."""

from __future__ import annotations

import json
import secrets

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from openaisle.service import book
from openaisle.service.states import ChangeKind
from openaisle.service.tables import Change, Endpoint, Letter, Visit

# What goes out as webhooks; lines stay in the house (a shop that wants them reads the live stream).
EVENTS = {
    ChangeKind.ENTERED: "visit.entered",
    ChangeKind.REFUSED: "visit.refused",
    ChangeKind.LEFT: "visit.left",
    ChangeKind.REVIEW: "visit.review",
    ChangeKind.FINAL: "receipt.final",
    ChangeKind.PAYMENT: "payment.changed",
    ChangeKind.DISPUTE: "dispute.changed",
}


def tell(session: Session, visit: Visit, kind: ChangeKind, now_ns: int, line_seq: int = 0) -> None:
    """Note that something about a visit changed. The caller holds the visit's lock, so ids grow within a visit."""
    change = Change(
        visit=visit.id, kind=kind, state=visit.state, line_seq=line_seq, through_seq=book.through(session), at_ns=now_ns
    )
    session.add(change)
    session.flush()
    if kind in EVENTS:
        _post(session, visit, EVENTS[kind], change)


def _post(session: Session, visit: Visit, event: str, change: Change) -> None:
    body = {
        "type": event,
        "timestamp_ns": change.at_ns,
        "data": {"visit": visit.id, "state": visit.state, "change": change.id},
    }
    for endpoint in session.scalars(select(Endpoint).where(Endpoint.gone_ns == 0)):
        name = f"msg_{change.id}_{secrets.token_hex(6)}"
        session.add(Letter(endpoint=endpoint.id, name=name, body=json.dumps(body), at_ns=change.at_ns))


def after(session: Session, visit: str, change_id: int) -> list[Change]:
    """A visit's changes after a given one, oldest first."""
    query = select(Change).where(Change.visit == visit, Change.id > change_id).order_by(Change.id)
    return list(session.scalars(query))


def last_id(session: Session, visit: str = "") -> int:
    """Id of the newest change of a visit, or of all."""
    query = select(func.max(Change.id))
    return session.scalar(query.where(Change.visit == visit) if visit else query) or 0
