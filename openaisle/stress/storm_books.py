"""What a live store's database says when all is over, and how that of a storm differs from that of a calm day.

Names are compared without the run in front of them, so that two shops that played one stream can be laid side by side.
Visits that came by the API are judged by themselves: when they came is different every time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from openaisle.receipts.events import LedgerEvent
from openaisle.service import book, cashier, till
from openaisle.service.desk import Desk
from openaisle.service.fake_gateway import FakeGateway
from openaisle.service.states import ChangeKind, StepKind, StepState, VisitState
from openaisle.service.tables import Change, LedgerRow, Letter, MoneyStep, Run, Visit

Line = tuple[str, str, str, str, str, int]  # event, kind, visit, to visit, product, quantity
OPEN = (VisitState.AWAITING, VisitState.INSIDE, VisitState.LEFT)


@dataclass(frozen=True, slots=True)
class Bill:
    """One visit as it ended."""

    state: str
    lines: tuple[tuple[str, int, int], ...]  # product, quantity, price
    total_cents: int
    needs_review: bool
    final: bool


@dataclass(frozen=True)
class Books:
    """One shop when all is over."""

    bills: Mapping[str, Bill]  # of the stream's visits
    entered: Mapping[str, Bill]  # of those who came by the API
    ledger: Counter[Line]
    told: Counter[tuple[str, str, int]] = field(
        default_factory=Counter
    )  # changes that may come once: visit, kind, line
    letters: frozenset[str] = frozenset()
    undelivered: int = 0
    captures: tuple[str, ...] = ()  # visits that were captured twice, or another amount than their receipt says


def read_books(desk: Desk, gateway: FakeGateway) -> Books:
    """Everything that the claims are about."""
    taken = gateway.captures()
    with desk.database.read() as session:
        bills = {visit.id: _bill(session, desk, visit) for visit in session.scalars(select(Visit))}
        runs = set(session.scalars(select(Run.id)))
        ledger = Counter(_line(book.EVENT.validate_json(row.body)) for row in session.scalars(select(LedgerRow)))
        once = select(Change).where(Change.kind.in_([ChangeKind.LINE, ChangeKind.FINAL, ChangeKind.ENTERED]))
        told = Counter((one.visit, one.kind, one.line_seq) for one in session.scalars(once))
        letters = session.execute(select(Letter.name, Letter.delivered_ns)).all()
        wrong = tuple(visit for visit, bill in bills.items() if not _paid(session, visit, bill, taken))
    return Books(
        bills={_bare(name): bill for name, bill in bills.items() if name.partition(".")[0] in runs},
        entered={name: bill for name, bill in bills.items() if name.partition(".")[0] not in runs},
        ledger=ledger, told=told, letters=frozenset(name for name, _ in letters),
        undelivered=sum(not delivered_ns for _, delivered_ns in letters), captures=wrong,
    )  # fmt: skip


def settled(desk: Desk) -> bool:
    """Whether everything is over: no run, no visit, no step of money and no webhook on its way."""
    with desk.database.read() as session:
        going_on = (
            select(func.count()).select_from(Run).where(~Run.ended),
            select(func.count()).select_from(Visit).where(Visit.state.in_(OPEN)),
            select(func.count()).select_from(MoneyStep).where(MoneyStep.state == StepState.PENDING),
            select(func.count()).select_from(Letter).where(Letter.delivered_ns == 0, Letter.given_up_ns == 0),
        )
        begun = session.scalar(select(func.count()).select_from(Run))
        return bool(begun) and not any(session.scalar(query) for query in going_on)


def _bill(session: Session, desk: Desk, visit: Visit) -> Bill:
    receipt = till.current(session, desk, visit)
    lines = tuple((line.gtin, line.quantity, line.unit_price_cents) for line in receipt.lines)
    review = visit.state == VisitState.REVIEW or receipt.needs_review
    return Bill(visit.state, lines, receipt.total_cents, review, till.final(session, visit.id) is not None)


def _line(event: LedgerEvent) -> Line:
    names = _bare(event.visit), _bare(event.to_visit)
    return (event.event_id.partition(":")[2], event.kind, *names, event.gtin, event.quantity)


def _bare(name: str) -> str:
    return name.partition(".")[2] or name


def _paid(session: Session, visit: str, bill: Bill, taken: Mapping[str, tuple[int, int, int]]) -> bool:
    """Whether the gateway has taken what the final receipt says, once; nothing where there is none."""
    held = cashier.account_of(session, visit).step(StepKind.AUTHORISE)
    if held is None or held.state != StepState.DONE:
        return True
    captures, cents, refunded = taken[held.reference]
    owed = min(bill.total_cents, held.amount_cents) if bill.final else 0
    return captures == int(owed > 0) and cents - refunded == owed


@dataclass(frozen=True, slots=True)
class Difference:
    """What the storm changed."""

    equal: int  # receipts that are those of the calm day
    marked: tuple[str, ...]  # others, which ask for a person
    different: tuple[str, ...]  # others that do not: wrong
    lost: tuple[str, ...]  # ledger lines that are missing
    foreign: tuple[str, ...]  # ledger lines that the calm day does not have
    doubled: tuple[str, ...]  # lines, and words about them, that stand twice


def difference(calm: Books, storm: Books) -> Difference:
    """The stream's visits of two shops, side by side; lines of visits that ask for a person are not counted."""
    other = sorted(n for n in calm.bills.keys() | storm.bills.keys() if calm.bills.get(n) != storm.bills.get(n))
    marked = [name for name in other if name in storm.bills and storm.bills[name].needs_review]
    ours = Counter({line: n for line, n in storm.ledger.items() if line[2] not in storm.entered})

    def told(lines: Counter[Line]) -> tuple[str, ...]:
        return tuple(" ".join(map(str, line)) for line in sorted(lines) if not {line[2], line[3]} & set(marked))

    once = Counter(set(ours))
    twice = Counter({line: n for line, n in ours.items() if n > 1})
    words = [f"{visit} {kind} {line}" for (visit, kind, line), n in sorted(storm.told.items()) if n > 1]
    return Difference(
        equal=len(calm.bills.keys() | storm.bills.keys()) - len(other), marked=tuple(marked),
        different=tuple(name for name in other if name not in marked), lost=told(Counter(set(calm.ledger)) - once),
        foreign=told(once - Counter(set(calm.ledger))), doubled=(*told(twice), *words),
    )  # fmt: skip
