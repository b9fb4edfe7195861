"""Day: what a day came to, in numbers; the day is that of the store's time zone and of the wall clock."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from math import ceil
from zoneinfo import ZoneInfo

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from openaisle.messages import NANOSECONDS
from openaisle.service import models
from openaisle.service.desk import Desk
from openaisle.service.models import Spell
from openaisle.service.states import ChangeKind, StepKind, StepState, VisitState
from openaisle.service.tables import Change, FinalReceipt, LedgerRow, MoneyStep, Visit

LIVE_S = 600.0  # a delay beyond this is none of a live store
MOST_VISITS = 500


FIRST_DAY, LAST_DAY = date(1971, 1, 1), date(2261, 12, 31)  # whose nanoseconds fit into 64 bits


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


@dataclass(frozen=True, slots=True)
class Hour:
    """One hour of a day, in the store's time zone."""

    hour: int
    visits: int
    takings_cents: int


@dataclass(frozen=True, slots=True)
class Waits:
    """How long something took, in seconds; None without a case."""

    count: int
    p50_s: float | None
    p95_s: float | None


@dataclass(frozen=True, slots=True)
class DayStory:
    """A day hour by hour, and how fast receipts were."""

    hours: tuple[Hour, ...]
    lines: Waits  # from a take to its line in the ledger; live only
    finals: Waits  # from leaving to the final receipt, without those that waited for a person
    reviews: Waits  # from leaving to a person's answer
    models: tuple[Spell, ...] = ()  # that read the store, each from when on


def day_story(session: Session, desk: Desk, day: date) -> DayStory:
    """Everything that the page of a day shows beyond its figures."""
    zone = ZoneInfo(desk.store.spec.time_zone)
    begin, end = bounds_ns(day, desk.store.spec.time_zone)

    def hour_of(at_ns: int) -> int:
        return datetime.fromtimestamp(at_ns / NANOSECONDS, zone).hour

    entered = select(Change.at_ns).where(Change.kind == ChangeKind.ENTERED, Change.at_ns >= begin, Change.at_ns < end)
    issued = select(FinalReceipt.at_ns, FinalReceipt.total_cents)
    visits, takings = Counter[int](), Counter[int]()
    for at_ns in session.scalars(entered):
        visits[hour_of(at_ns)] += 1
    for at_ns, cents in session.execute(issued.where(FinalReceipt.at_ns >= begin, FinalReceipt.at_ns < end)):
        takings[hour_of(at_ns)] += cents
    hours = tuple(Hour(hour, visits[hour], takings[hour]) for hour in range(24))
    finals, reviewed = _after_leaving(session, begin, end)
    ran = tuple(models.of_time(session, begin, end))
    return DayStory(hours, waits(_line_delays(session, begin, end)), waits(finals), waits(reviewed), ran)


def waits(seconds: Sequence[float]) -> Waits:
    """Median and 95th percentile (nearest rank)."""
    ordered = sorted(seconds)

    def rank(share: float) -> float | None:
        return ordered[min(len(ordered) - 1, max(0, ceil(share * len(ordered)) - 1))] if ordered else None

    return Waits(len(ordered), rank(0.5), rank(0.95))


def visits_of(session: Session, desk: Desk, day: date) -> Sequence[Visit]:
    """Visits that were opened on a day, latest first."""
    begin, end = bounds_ns(day, desk.store.spec.time_zone)
    query = select(Visit).where(Visit.at_ns >= begin, Visit.at_ns < end, Visit.state != VisitState.MERGED)
    return session.scalars(query.order_by(Visit.at_ns.desc(), Visit.id).limit(MOST_VISITS)).all()


def _line_delays(session: Session, begin: int, end: int) -> list[float]:
    """Of the pipeline's events; a stream of another time (a recording, a catch-up) tells nothing."""
    query = select(LedgerRow.at_ns, LedgerRow.body).where(
        LedgerRow.at_ns >= begin, LedgerRow.at_ns < end, LedgerRow.author.startswith("run "), LedgerRow.supersedes == ""
    )
    delays = [(at_ns - json.loads(body)["time_ns"]) / NANOSECONDS for at_ns, body in session.execute(query)]
    return [delay for delay in delays if 0.0 <= delay < LIVE_S]


def _after_leaving(session: Session, begin: int, end: int) -> tuple[list[float], list[float]]:
    kinds = (ChangeKind.LEFT, ChangeKind.REVIEW, ChangeKind.FINAL)
    query = select(Change).where(Change.kind.in_(kinds), Change.at_ns >= begin, Change.at_ns < end).order_by(Change.id)
    left: dict[str, int] = {}
    held: set[str] = set()
    finals, reviewed = [], []
    for change in session.scalars(query):
        since = left.get(change.visit)
        if change.kind == ChangeKind.LEFT:
            left[change.visit] = change.at_ns
        elif since is not None and change.kind == ChangeKind.REVIEW:
            if change.visit in held:
                reviewed.append((change.at_ns - since) / NANOSECONDS)
            held.add(change.visit)
        elif since is not None and change.visit not in held:
            finals.append((change.at_ns - since) / NANOSECONDS)
    return finals, reviewed
