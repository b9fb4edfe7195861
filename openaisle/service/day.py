"""Day: what a day came to, in numbers; the day is that of the store's time zone and of the wall clock."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from openaisle.messages import NANOSECONDS
from openaisle.service.desk import Desk
from openaisle.service.states import ChangeKind, StepKind, StepState, VisitState
from openaisle.service.tables import Change, FinalReceipt, MoneyStep, Visit


@dataclass(frozen=True, slots=True)
class DayFigures:
    """Visits, receipts and money of a day; `inside` and `waiting_for_review` are of now."""

    day: date
    visits: int
    inside: int
    waiting_for_review: int
    final_receipts: int
    takings_cents: int
    captured_cents: int
    refunded_cents: int
    review_rate: float | None
    currency: str


def day_figures(session: Session, desk: Desk, day: date) -> DayFigures:
    """The figures of one day."""
    begin, end = bounds_ns(day, desk.store.spec.time_zone)

    def count(kind: ChangeKind) -> int:
        query = select(func.count(func.distinct(Change.visit)))
        return session.scalar(query.where(Change.kind == kind, Change.at_ns >= begin, Change.at_ns < end)) or 0

    def money(kind: StepKind) -> int:
        query = select(func.sum(MoneyStep.amount_cents)).where(
            MoneyStep.kind == kind, MoneyStep.state == StepState.DONE
        )
        return int(session.scalar(query.where(MoneyStep.at_ns >= begin, MoneyStep.at_ns < end)) or 0)

    def now(state: VisitState) -> int:
        return session.scalar(select(func.count()).select_from(Visit).where(Visit.state == state)) or 0

    of_day = (FinalReceipt.at_ns >= begin, FinalReceipt.at_ns < end)
    final, takings = session.execute(select(func.count(), func.sum(FinalReceipt.total_cents)).where(*of_day)).one()
    left, review = count(ChangeKind.LEFT), count(ChangeKind.REVIEW)
    return DayFigures(
        day, count(ChangeKind.ENTERED), now(VisitState.INSIDE), now(VisitState.REVIEW), int(final),
        int(takings or 0), money(StepKind.CAPTURE), money(StepKind.REFUND), review / left if left else None,
        desk.currency,
    )  # fmt: skip


def today(desk: Desk) -> date:
    """The date in the store."""
    return datetime.fromtimestamp(desk.clock() / NANOSECONDS, ZoneInfo(desk.store.spec.time_zone)).date()


def bounds_ns(day: date, time_zone: str) -> tuple[int, int]:
    """First instant of a day and of the next one."""
    zone = ZoneInfo(time_zone)
    first, last = (datetime.combine(one, time(), zone) for one in (day, day + timedelta(days=1)))
    return int(first.timestamp()) * NANOSECONDS, int(last.timestamp()) * NANOSECONDS
