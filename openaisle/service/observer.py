"""Observer: what is new since the last look, for whoever watches a live store from beside it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from sqlalchemy import select
from sqlalchemy.orm import Session

from openaisle.receipts.document import ReceiptRecord
from openaisle.receipts.pricing import Receipt
from openaisle.service import till, visits
from openaisle.service.board import people_of
from openaisle.service.desk import Desk
from openaisle.service.states import HowLeft, VisitState
from openaisle.service.tables import Change, Visit
from openaisle.service.tracks import Person

OVER = (VisitState.LEFT, VisitState.REVIEW, VisitState.CLOSED)
SETTLED = (VisitState.REVIEW, VisitState.CLOSED)


@dataclass(frozen=True, slots=True)
class Stay:
    """A visit as it stands; `name` is that of the sensors' stream."""

    name: str
    visit: str
    state: str
    left_ns: int  # stream time, 0 = inside
    seen_to_leave: bool
    receipt: Receipt
    record: ReceiptRecord

    @property
    def settled(self) -> bool:
        """Whether its receipt is final, or waits for a person."""
        return self.state in SETTLED


@dataclass(frozen=True, slots=True)
class News:
    """What a look brought."""

    time_ns: int  # stream time that is in the ledger, 0 = no run yet
    people: tuple[Person, ...]
    stays: tuple[Stay, ...]  # visits that have changed
    merged: tuple[str, ...]  # names of visits that turned out to be others


@dataclass
class Observer:
    """Reads the database, and nothing else; one for each who watches."""

    desk: Desk
    _last: int = 0  # change

    def look(self) -> News:
        """Everything since the last look."""
        desk = self.desk
        with desk.database.read() as session:
            query = select(Change).where(Change.id > self._last).order_by(Change.id)
            changes = session.scalars(query).all()
            names = list(dict.fromkeys(change.visit for change in changes))
            rows = [visit for name in names if (visit := session.get(Visit, name)) is not None]
            run = visits.live_run(session, desk.clock())
            stays = tuple(
                self._stay(session, visit) for visit in rows if visit.state != VisitState.MERGED and not visit.staff
            )
            merged = tuple(stream_name(visit.id) for visit in rows if visit.state == VisitState.MERGED)
            news = News(run.time_ns if run else 0, people_of(run), stays, merged)
        self._last = changes[-1].id if changes else self._last
        return news

    def _stay(self, session: Session, visit: Visit) -> Stay:
        record = till.record_of(session, self.desk, visit)
        name, seen = stream_name(visit.id), visit.how_left != HowLeft.NEVER
        left_ns = visit.left_ns if visit.state in OVER else 0
        record = record.model_copy(update={"visit": name, "final_ns": left_ns or None})
        receipt = replace(till.current(session, self.desk, visit), visit=name)
        return Stay(name, visit.id, visit.state, left_ns, seen, receipt, record)


def stream_name(visit: str) -> str:
    """What a visit of a run is called in the sensors' stream (worker.name_of)."""
    return visit.partition(".")[2] or visit
