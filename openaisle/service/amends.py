"""Amends: corrections, refunds and disputes: new entries that mend what was written, never a rewritten one.

A correction of a receipt that is final changes the current receipt; what was captured beyond it is given back at once.
Nothing more can be taken: a visit is captured once, and what is missing stays missing.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass, replace

from sqlalchemy import select
from sqlalchemy.orm import Session

from openaisle.errors import RequestError
from openaisle.receipts.document import gtin14
from openaisle.receipts.events import LedgerEvent
from openaisle.service import book, cashier, changes, idempotency, labels, till
from openaisle.service.database import locked_visit
from openaisle.service.desk import Desk
from openaisle.service.states import ChangeKind, DisputeKind, VisitState
from openaisle.service.tables import DisputeEntry, IdempotentRequest, Visit

SETTLED = (VisitState.CLOSED,)
WITHOUT_RECEIPT = (VisitState.REFUSED, VisitState.MERGED, VisitState.AWAITING)


@dataclass(frozen=True, slots=True)
class Correction:
    """So many units more or fewer (signed) of a product; or what an entry of the ledger should have said."""

    gtin: str
    quantity: int
    reason: str
    supersedes: str = ""


@dataclass(frozen=True, slots=True)
class Refund:
    """Money back that no correction explains."""

    amount_cents: int
    reason: str


@dataclass(frozen=True, slots=True)
class Dispute:
    """A shopper's objection and how it was answered."""

    dispute: str
    visit: str
    state: str
    words: str
    answer: str
    opened_ns: int
    answered_ns: int


def correct(desk: Desk, visit_id: str, correction: Correction, author: str, key: str) -> str:
    """Write a correction into the ledger, once per key; its event id. Raises RequestError 404, 409, 422."""
    now_ns = desk.clock()
    correction = in_catalogue(desk, correction)
    with desk.database.write() as session:
        visit = with_receipt(session, visit_id)
        asked = first(session, f"correction:{visit_id}:{author}", key, asdict(correction), now_ns)
        if asked.status:
            return asked.subject
        enter(session, desk, visit, correction, author, asked.subject)
        give_back(session, desk, visit, asked.subject, author, correction.reason)
        if visit.state in SETTLED:  # before, the answer is the acceptance
            labels.note(session, desk, visit, author, correction.reason)
        asked.status = 201
    return asked.subject


def in_catalogue(desk: Desk, correction: Correction) -> Correction:
    """The correction with its GTIN as the catalogue has it; raises RequestError 422."""
    gtin = gtin14(correction.gtin)
    if gtin not in {product.gtin for product in desk.store.products}:
        raise RequestError(422, f"the catalogue has no product {correction.gtin!r}", "give a GTIN of the catalogue")
    return replace(correction, gtin=gtin)


def enter(session: Session, desk: Desk, visit: Visit, correction: Correction, author: str, event_id: str) -> None:
    """A correction as an entry of the ledger, after all that is there; raises RequestError 422."""
    entries = book.entries_of(session, visit.id)
    if correction.supersedes and correction.supersedes not in {entry.event.event_id for entry in entries}:
        what = f"{visit.id} has no entry {correction.supersedes!r}"
        raise RequestError(422, what, "see `entries` of GET /v1/visits/{visit}")
    last_ns = max([visit.entered_ns, *(entry.event.time_ns for entry in entries)])
    event = LedgerEvent(
        event_id, last_ns + 1, "correction", visit.id, correction.gtin, correction.quantity, 1.0,
        supersedes=correction.supersedes, reason=correction.reason,
    )  # fmt: skip
    till.record(session, event, author, desk.clock())


def refund(desk: Desk, visit_id: str, wish: Refund, author: str, key: str) -> str:
    """Ask for money back, once per key; the step's key. Raises RequestError 404, 409, 422."""
    now_ns = desk.clock()
    with desk.database.write() as session:
        visit = with_receipt(session, visit_id)
        asked = first(session, f"refund:{visit_id}:{author}", key, asdict(wish), now_ns)
        if not asked.status:
            cashier.refund(session, visit, wish.amount_cents, asked.subject, author, wish.reason, now_ns)
            changes.tell(session, visit, ChangeKind.PAYMENT, now_ns)
            asked.status = 201
    return asked.subject


def dispute(desk: Desk, visit_id: str, words: str, author: str, key: str) -> str:
    """Open a dispute, once per key; its id. Raises RequestError 404, 409, 422."""
    now_ns = desk.clock()
    with desk.database.write() as session:
        visit = with_receipt(session, visit_id)
        asked = first(session, f"dispute:{visit_id}:{author}", key, {"words": words}, now_ns)
        if not asked.status:
            _note(session, visit, asked.subject, DisputeKind.OPENED, words, author, now_ns)
            asked.status = 201
    return asked.subject


def answer(desk: Desk, visit_id: str, dispute_id: str, accepted: bool, words: str, author: str) -> Dispute:
    """Answer a dispute; the same answer twice is one. Raises RequestError 404, 409."""
    now_ns = desk.clock()
    kind = DisputeKind.ACCEPTED if accepted else DisputeKind.REJECTED
    with desk.database.write() as session:
        visit = with_receipt(session, visit_id)
        found = next((one for one in disputes_of(session, visit_id) if one.dispute == dispute_id), None)
        if found is None:
            raise RequestError(404, f"{visit_id} has no dispute {dispute_id!r}", "see `disputes` of the visit")
        if found.state == DisputeKind.OPENED:
            _note(session, visit, dispute_id, kind, words, author, now_ns)
        elif found.state != kind:
            raise RequestError(409, f"the dispute was {found.state} before", "open a new one")
        return next(one for one in disputes_of(session, visit_id) if one.dispute == dispute_id)


def disputes_of(session: Session, visit: str) -> list[Dispute]:
    """A visit's disputes, oldest first."""
    rows = session.scalars(select(DisputeEntry).where(DisputeEntry.visit == visit).order_by(DisputeEntry.id)).all()
    out = []
    for opened in rows:
        if opened.kind == DisputeKind.OPENED:
            end = next((row for row in rows if row.dispute == opened.dispute and row is not opened), None)
            state, words, at_ns = (end.kind, end.words, end.at_ns) if end else (opened.kind, "", 0)
            out.append(Dispute(opened.dispute, visit, state, opened.words, words, opened.at_ns, at_ns))
    return out


def open_disputes(session: Session) -> list[Dispute]:
    """Disputes that nobody has answered, oldest first."""
    answered = select(DisputeEntry.dispute).where(DisputeEntry.kind != DisputeKind.OPENED)
    query = select(DisputeEntry).where(DisputeEntry.kind == DisputeKind.OPENED, DisputeEntry.dispute.not_in(answered))
    rows = session.scalars(query.order_by(DisputeEntry.id))
    return [Dispute(row.dispute, row.visit, row.kind, row.words, "", row.at_ns, 0) for row in rows]


def with_receipt(session: Session, visit_id: str) -> Visit:
    """A visit, locked, that has a receipt; raises RequestError 404, 409."""
    visit = locked_visit(session, visit_id)
    if visit is None:
        raise RequestError(404, f"there is no visit {visit_id!r}", "see GET /v1/visits")
    if visit.state in WITHOUT_RECEIPT:
        raise RequestError(409, f"the visit {visit_id!r} is {visit.state} and has no receipt", "see GET /v1/visits")
    return visit


def first(session: Session, scope: str, key: str, words: dict[str, object], now_ns: int) -> IdempotentRequest:
    """The request under this key. Scope and key name what it makes, so that a repeated one names the same."""
    what = scope.partition(":")[0]
    subject = f"{what[0]}-{hashlib.sha256(f'{scope}:{key}'.encode()).hexdigest()[:20]}"
    return idempotency.first(session, hashed(scope), key, idempotency.digest_of(words), subject, now_ns)


def hashed(scope: str) -> str:
    """A scope of any length in its column."""
    return scope if len(scope) <= 120 else f"{scope[:80]}:{hashlib.sha256(scope.encode()).hexdigest()[:32]}"


def give_back(session: Session, desk: Desk, visit: Visit, suffix: str, author: str, reason: str) -> None:
    """Give back what was captured beyond the current receipt of a visit that is settled."""
    account = cashier.account_of(session, visit.id)
    if visit.state not in SETTLED:
        return
    over = account.taken_cents - account.refunded_cents - till.current(session, desk, visit).total_cents
    if over > 0:
        cashier.refund(session, visit, over, suffix, author, reason, desk.clock())


def _note(
    session: Session, visit: Visit, dispute_id: str, kind: DisputeKind, words: str, author: str, now_ns: int
) -> None:
    session.add(DisputeEntry(dispute=dispute_id, visit=visit.id, kind=kind, words=words, author=author, at_ns=now_ns))
    changes.tell(session, visit, ChangeKind.DISPUTE, now_ns)
