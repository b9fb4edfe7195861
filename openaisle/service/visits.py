"""Visits: they open at a gate, are joined by the rest of a group, end, or are never seen to end."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from openaisle.errors import RequestError
from openaisle.messages import NANOSECONDS
from openaisle.service import cashier, changes, prices
from openaisle.service.database import insert_once, locked_visit
from openaisle.service.day import today
from openaisle.service.desk import Desk
from openaisle.service.states import ChangeKind, HowLeft, Origin, StepKind, StepState, VisitState
from openaisle.service.tables import DayCount, Passage, Run, Visit

LIVE_NS = 15 * NANOSECONDS  # a run that has not spoken for so long does not take passages any more
OPEN = (VisitState.AWAITING, VisitState.INSIDE)


@dataclass(frozen=True, slots=True)
class Opening:
    """How a visit begins."""

    visit: str
    origin: Origin
    gate: str
    entered_ns: int
    staff: bool = False
    method: str = ""
    run: str = ""


def new_name() -> str:
    """A visit's key that nobody can guess or meet twice."""
    return f"v-{secrets.token_hex(8)}"


def open_visit(session: Session, desk: Desk, opening: Opening) -> bool:
    """Open a visit unless it is there; with a method of payment it asks for its hold. Says whether it is new.

    From the API a visit with a method is AWAITING until the hold stands; at a gate of the stream somebody is inside
    already, and the hold is asked for afterwards.
    """
    now_ns = desk.clock()
    pays = bool(opening.method) and not opening.staff
    state = VisitState.AWAITING if pays and opening.origin == Origin.API else VisitState.INSIDE
    new = insert_once(
        session, Visit,
        {
            "id": opening.visit, "state": state, "origin": opening.origin, "staff": opening.staff,
            "gate": opening.gate, "run": opening.run, "method": opening.method if pays else "",
            "entered_ns": opening.entered_ns, "at_ns": now_ns, "prices": prices.keep(session, desk),
        },
    )  # fmt: skip
    if not new:
        return False
    visit = locked_visit(session, opening.visit)
    assert visit is not None, "just inserted"
    visit.number = next_number(session, today(desk).isoformat())
    if pays:
        cashier.ask(session, visit, StepKind.AUTHORISE, desk.rules.hold_cents, desk.currency, now_ns)
    if state == VisitState.INSIDE:
        changes.tell(session, visit, ChangeKind.ENTERED, now_ns)
    return True


def next_number(session: Session, day: str) -> int:
    """The next visit's number on a business day, from 1; whoever opens one at the same time waits for the commit."""
    insert_once(session, DayCount, {"day": day, "visits": 0})
    count = session.scalars(select(DayCount).where(DayCount.day == day).with_for_update()).one()
    count.visits += 1
    return count.visits


def join(session: Session, visit_id: str) -> Visit:
    """One more member of a group; raises RequestError when the visit is not open."""
    visit = locked_visit(session, visit_id)
    if visit is None or visit.state != VisitState.INSIDE:
        raise RequestError(409, f"nobody is inside as {visit_id!r}", "enter without `visit` to open a new one")
    visit.people += 1
    return visit


def leave(session: Session, desk: Desk, visit_id: str, how: HowLeft, time_ns: int) -> bool:
    """The visit is over, unless it was before; its receipt becomes final next."""
    visit = locked_visit(session, visit_id)
    if visit is None or visit.state != VisitState.INSIDE:
        return False
    visit.state, visit.how_left, visit.left_ns = VisitState.LEFT, how, max(time_ns, visit.entered_ns)
    changes.tell(session, visit, ChangeKind.LEFT, desk.clock())
    return True


def merge(session: Session, desk: Desk, visit_id: str) -> bool:
    """A guessed visit whose events now count for the name that a gate gave."""
    visit = locked_visit(session, visit_id)
    if visit is None or visit.state != VisitState.INSIDE:
        return False
    visit.state = VisitState.MERGED
    changes.tell(session, visit, ChangeKind.MERGED, desk.clock())
    return True


def accept(session: Session, desk: Desk, visit_id: str, author: str) -> None:
    """A person has looked at a held receipt and lets it pass; raises RequestError when it is not held."""
    visit = locked_visit(session, visit_id)
    if visit is None or visit.state != VisitState.REVIEW:
        raise RequestError(409, f"the receipt of {visit_id!r} does not wait for a review", "see GET /v1/visits")
    visit.state, visit.accepted_by = VisitState.LEFT, author
    changes.tell(session, visit, ChangeKind.REVIEW, desk.clock())


def live_run(session: Session, now_ns: int) -> Run | None:
    """The run that is feeding the ledger now."""
    query = select(Run).where(~Run.ended, Run.beat_ns > now_ns - LIVE_NS).order_by(Run.at_ns.desc())
    return session.scalars(query).first()


def unfinished_run(session: Session) -> Run | None:
    """A run that has not ended, alive or to be taken up again."""
    return session.scalars(select(Run).where(~Run.ended).order_by(Run.at_ns.desc())).first()


def newest_run(session: Session) -> Run | None:
    """The run that goes on, or the last one."""
    return unfinished_run(session) or session.scalars(select(Run).order_by(Run.at_ns.desc())).first()


def store_time(session: Session, now_ns: int) -> int:
    """What time it is in the store: the run's, which may be a replay, or that of the wall."""
    run = unfinished_run(session)
    return run.time_ns if run is not None and run.time_ns else now_ns


def pass_gate(session: Session, desk: Desk, gate: str, kind: str, visit: str = "") -> bool:
    """Hand a passage to the pipeline, which puts it in its stream; False when no run is there to take it."""
    run = unfinished_run(session)
    if run is None:
        return False
    session.add(Passage(visit=visit, gate=gate, kind=kind, run=run.id, at_ns=desk.clock()))
    return True


def sweep(desk: Desk) -> None:
    """End what nobody saw end: visits that are too old, and entries whose caller never came back."""
    now_ns = desk.clock()
    limits = {
        VisitState.AWAITING: now_ns - int(desk.rules.awaiting_limit_s * NANOSECONDS),
        VisitState.INSIDE: now_ns - int(desk.rules.visit_limit_s * NANOSECONDS),
    }
    with desk.database.read() as session:
        old = [
            visit
            for state, before_ns in limits.items()
            for visit in session.scalars(select(Visit.id).where(Visit.state == state, Visit.at_ns < before_ns))
        ]
    for visit_id in old:
        with desk.database.write() as session:
            visit = locked_visit(session, visit_id)
            if visit is not None and visit.state == VisitState.INSIDE:
                leave(session, desk, visit_id, HowLeft.NEVER, store_time(session, now_ns))
            elif visit is not None and visit.state == VisitState.AWAITING:
                refuse(session, desk, visit)


def refuse(session: Session, desk: Desk, visit: Visit) -> None:
    """Nobody comes in; a hold that may stand is given back."""
    now_ns = desk.clock()
    visit.state = VisitState.REFUSED
    held = cashier.account_of(session, visit.id).step(StepKind.AUTHORISE)
    if held is not None and held.state != StepState.FAILED:
        cashier.ask(session, visit, StepKind.CANCEL, held.amount_cents, held.currency, now_ns)
    changes.tell(session, visit, ChangeKind.REFUSED, now_ns)


def counts(session: Session) -> dict[str, int]:
    """{state: visits}."""
    rows = session.execute(select(Visit.state, func.count()).group_by(Visit.state))
    return {row[0]: row[1] for row in rows}
