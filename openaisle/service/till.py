"""Till: a visit's receipt as the ledger stands, and the one moment at which it becomes final.

`settle` is one transaction: final receipt, the visit's new state, and what is to be asked of the payment gateway. So it
happens wholly or not at all, and the key of the receipts table lets it happen once.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from pydantic import TypeAdapter
from sqlalchemy import select
from sqlalchemy.orm import Session

from openaisle.receipts.document import ReceiptRecord, Update, receipt_record, updates_of
from openaisle.receipts.events import LedgerEvent
from openaisle.receipts.ledger import fold
from openaisle.receipts.pricing import Receipt, ReviewPolicy, local_day, price
from openaisle.service import book, cashier, changes, prices
from openaisle.service.database import insert_once, locked_visit
from openaisle.service.desk import Desk
from openaisle.service.states import ChangeKind, HowLeft, VisitState
from openaisle.service.tables import BlindSpot, Change, FinalReceipt, Visit

RECEIPT = TypeAdapter(Receipt)


@dataclass(frozen=True, slots=True)
class Final:
    """A final receipt as it was issued."""

    receipt: Receipt
    time_ns: int
    at_ns: int


def current(session: Session, desk: Desk, visit: Visit, then: Change | None = None) -> Receipt:
    """A visit's receipt as the ledger stands, or stood at a change; at the prices of its entry, on the day it left."""
    ledger = book.ledger_of(session, visit.id, then.through_seq if then else None)
    last_ns = max((event.time_ns for event in ledger.touching(visit.id)), default=0)
    inside = then is not None and then.state == VisitState.INSIDE
    costs = prices.prices_of(session, desk, visit.prices)
    day_ns = max(visit.entered_ns, last_ns) if inside or not visit.left_ns else visit.left_ns
    day = local_day(max(day_ns, 0), costs.spec.time_zone)
    return price(fold(ledger, visit.id), costs.spec, costs.products, day, ReviewPolicy(blind=_blind(session, visit.id)))


def note_blind(session: Session, visit: str, sensors: frozenset[str], now_ns: int) -> None:
    """Sensors that were blind where the visit could have taken something."""
    for sensor in sorted(sensors - set(_blind(session, visit))):
        session.add(BlindSpot(visit=visit, sensor=sensor, at_ns=now_ns))


def _blind(session: Session, visit: str) -> tuple[str, ...]:
    return tuple(session.scalars(select(BlindSpot.sensor).where(BlindSpot.visit == visit).order_by(BlindSpot.sensor)))


def final(session: Session, visit: str) -> Final | None:
    """The final receipt, when there is one."""
    row = session.get(FinalReceipt, visit)
    return None if row is None else Final(RECEIPT.validate_json(row.body), row.time_ns, row.at_ns)


def record_of(session: Session, desk: Desk, visit: Visit, then: Change | None = None) -> ReceiptRecord:
    """The current receipt (or that at a change) with the updates that led to it, in the form of receipts.json."""
    told = updates_by_entry(session, visit.id, then.through_seq if then else None)
    updates = [update for entry in told.values() for update in entry]
    issued = final(session, visit.id) if then is None else None
    return receipt_record(current(session, desk, visit, then), updates, issued.time_ns if issued else None)


def updates_by_entry(session: Session, visit: str, through_seq: int | None = None) -> dict[int, tuple[Update, ...]]:
    """What each entry changed of a visit's receipt, by its place in the book: for records and live streams alike.

    A correction is the change that it makes of what stood before: the line that goes, the line that comes; a visit
    that loses a line to another one is told so as well.
    """
    told: dict[int, tuple[Update, ...]] = {}
    entries = book.entries_of(session, visit, through_seq)
    standing = {entry.event.event_id: entry.event for entry in entries}  # what counts of each, as far as it was told
    for event, seq in ((entry.event, entry.seq) for entry in entries):
        replaced = standing.get(event.supersedes)
        standing |= {event.supersedes: event} if event.supersedes else {}
        if visit in event.visits() or (replaced is not None and visit in replaced.visits()):
            told[seq] = updates_of(event, visit, event.time_ns, replaced)
    return told


def record(session: Session, event: LedgerEvent, author: str, now_ns: int) -> int:
    """Write an event into the ledger and tell the visits that it touches; 0 when it was known."""
    touched = sorted(book.touched(session, event))  # in order, so that no two wait for each other
    visits = [locked_visit(session, visit) for visit in touched]
    seq = book.append(session, event, author, now_ns)
    for visit in visits if seq else ():
        if visit is not None:
            changes.tell(session, visit, ChangeKind.LINE, now_ns, seq)
    return seq


def settle(desk: Desk, visit_id: str) -> VisitState | None:
    """Make the receipt of a visit that is over final, or hold it for a person; the new state, None = nothing to do."""
    now_ns = desk.clock()
    with desk.database.write() as session:
        visit = locked_visit(session, visit_id)
        if visit is None or visit.state != VisitState.LEFT:
            return None
        receipt = current(session, desk, visit)
        if not visit.staff and not visit.accepted_by and _asks(receipt, visit, desk):
            visit.state = VisitState.REVIEW
            changes.tell(session, visit, ChangeKind.REVIEW, now_ns)
            return VisitState.REVIEW
        visit.state = VisitState.CLOSED
        if not visit.staff:  # what staff carry about is nobody's purchase
            _issue(session, visit, receipt, now_ns)
        changes.tell(session, visit, ChangeKind.FINAL, now_ns)
        return VisitState.CLOSED


def _asks(receipt: Receipt, visit: Visit, desk: Desk) -> bool:
    """Whether a person must look first."""
    return visit.how_left == HowLeft.NEVER or (desk.rules.hold_for_review and receipt.needs_review)


def _issue(session: Session, visit: Visit, receipt: Receipt, now_ns: int) -> None:
    if visit.accepted_by:
        receipt = replace(receipt, reasons=())  # somebody has looked
    new = insert_once(
        session, FinalReceipt,
        {
            "visit": visit.id, "body": RECEIPT.dump_json(receipt).decode(), "total_cents": receipt.total_cents,
            "currency": receipt.currency, "through_seq": book.through(session), "time_ns": visit.left_ns,
            "at_ns": now_ns,
        },
    )  # fmt: skip
    assert new, "a visit is closed once"
    cashier.charge(session, visit, receipt.total_cents, now_ns)


def waiting(session: Session) -> list[str]:
    """Visits that are over and not settled, oldest first."""
    query = select(Visit.id).where(Visit.state == VisitState.LEFT).order_by(Visit.left_ns, Visit.id)
    return list(session.scalars(query))
