"""Views: rows of the database as the forms of the API."""

from __future__ import annotations

from dataclasses import asdict

from sqlalchemy.orm import Session

from openaisle.service import amends, book, cashier, models, till
from openaisle.service.api.forms import DisputeLine, EntryLine, LiveChange, PaymentLine, VisitAnswer, VisitLine
from openaisle.service.book import Entry
from openaisle.service.desk import Desk
from openaisle.service.tables import Change, MoneyStep, Visit


def visit_line(visit: Visit) -> VisitLine:
    """A visit in short."""
    return VisitLine(
        visit=visit.id, number=visit.number, state=visit.state, origin=visit.origin, staff=visit.staff,
        people=visit.people, gate=visit.gate, entered_ns=visit.entered_ns, left_ns=visit.left_ns,
        how_left=visit.how_left, at_ns=visit.at_ns,
    )  # fmt: skip


def visit_answer(session: Session, desk: Desk, visit: Visit) -> VisitAnswer:
    """A visit with its receipt, ledger entries, money and disputes."""
    account = cashier.account_of(session, visit.id)
    final = till.final(session, visit.id)
    return VisitAnswer(
        **visit_line(visit).model_dump(),
        accepted_by=visit.accepted_by,
        payment=account.state,
        captured_cents=account.captured_cents,
        refunded_cents=account.refunded_cents,
        models=list(models.of_visit(session, visit)),
        receipt=till.record_of(session, desk, visit),
        final_cents=final.receipt.total_cents if final else None,
        entries=[entry_line(entry) for entry in book.entries_of(session, visit.id)],
        payments=[payment_line(step) for step in account.steps],
        disputes=[
            DisputeLine(**{k: v for k, v in asdict(one).items() if k != "visit"})
            for one in amends.disputes_of(session, visit.id)
        ],
    )


def entry_line(entry: Entry) -> EntryLine:
    """A ledger entry."""
    event = entry.event
    return EntryLine(
        seq=entry.seq, event_id=event.event_id, time_ns=event.time_ns, kind=event.kind, visit=event.visit,
        to_visit=event.to_visit, gtin=event.gtin, quantity=event.quantity, confidence=event.confidence,
        lane=event.lane, supersedes=event.supersedes, reason=event.reason, author=entry.author,
    )  # fmt: skip


def payment_line(step: MoneyStep) -> PaymentLine:
    """A step of money."""
    return PaymentLine(
        key=step.key, kind=step.kind, state=step.state, amount_cents=step.amount_cents, currency=step.currency,
        reference=step.reference, error=step.error, reason=step.reason, author=step.author, at_ns=step.at_ns,
    )  # fmt: skip


def live_change(session: Session, desk: Desk, visit: Visit, change: Change) -> LiveChange:
    """A change with the receipt as it was then; the same, whenever it is asked for."""
    told = till.updates_by_entry(session, visit.id, change.line_seq) if change.line_seq else {}
    return LiveChange(
        id=change.id,
        kind=change.kind,
        state=change.state,
        at_ns=change.at_ns,
        updates=list(told.get(change.line_seq, ())),
        receipt=till.record_of(session, desk, visit, change),
    )
