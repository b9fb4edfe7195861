"""Board: what the dashboard shows of now: the day, who is inside with what, and where everybody stands."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from pydantic import ValidationError
from sqlalchemy import case, select
from sqlalchemy.orm import Session

from openaisle.messages import NANOSECONDS
from openaisle.receipts.pricing import Receipt
from openaisle.service import cashier, till, visits
from openaisle.service.album import Album, Levels, Shot
from openaisle.service.day import DayFigures, day_figures, today
from openaisle.service.desk import Desk
from openaisle.service.floor import Floor, Tint, tints
from openaisle.service.overlay import Overlays
from openaisle.service.states import VisitState
from openaisle.service.tables import Run, Visit
from openaisle.service.tracks import PEOPLE, Person

MOST_CARDS, MOST_PAST = 30, 6  # of all visits, and of those that are over and settled
SHOWN = (VisitState.INSIDE, VisitState.LEFT, VisitState.REVIEW, VisitState.CLOSED)
FLASH_G = 8.0  # a scale that has moved so much in the last seconds lets its lanes flash
FRESH_NS = 10 * NANOSECONDS  # levels that are older are not of now


@dataclass(frozen=True, slots=True)
class Card:
    """One visit on the dashboard."""

    visit: str
    state: str
    people: int
    staff: bool
    payment: str
    receipt: Receipt
    number: int = 0  # on its day, for people
    mark: Tint | None = None
    lanes: tuple[str, ...] = ()  # where their hands are


@dataclass(frozen=True, slots=True)
class Seen:
    """Everything of one moment."""

    day: DayFigures
    cards: tuple[Card, ...]
    people: tuple[Person, ...]
    marks: dict[str, Tint]
    flashing: tuple[str, ...]
    cameras: tuple[Shot, ...]
    run: Run | None


class Board:
    """The floor is drawn once; people are put on it at every look."""

    def __init__(self, desk: Desk, album: Album | None = None) -> None:
        self._desk, self._album = desk, album or Album(None)

    @cached_property
    def overlays(self) -> Overlays:
        """What is drawn over cameras."""
        return Overlays(self._desk.store)

    @cached_property
    def floor(self) -> Floor:
        """The plan."""
        return Floor(self._desk.store)

    def look(self) -> Seen:
        """The dashboard now: those inside first, then the latest."""
        desk = self._desk
        with desk.database.read() as session:
            inside_first = case((Visit.state == VisitState.INSIDE, 0), else_=1)
            query = select(Visit).where(Visit.state.in_(SHOWN)).order_by(inside_first, Visit.at_ns.desc())
            found = [*session.scalars(query.where(Visit.state != VisitState.CLOSED).limit(MOST_CARDS))]
            found += session.scalars(query.where(Visit.state == VisitState.CLOSED).limit(MOST_PAST))
            run = visits.live_run(session, desk.clock())
            people = people_of(run)
            marks = tints(
                (visit.id, visit.number)
                for visit in sorted(found, key=lambda v: v.at_ns)
                if visit.state == VisitState.INSIDE
            )
            at = {person.visit: person.lanes for person in people}
            cards = tuple(card(session, desk, visit, marks.get(visit.id), at.get(visit.id, ())) for visit in found)
            day = day_figures(session, desk, today(desk))
        levels = self._album.levels() if run is not None else None
        cameras = tuple(self._album.tiles()) if run is not None else ()
        return Seen(day, cards, people, marks, self._flashing(run, levels), cameras, run)

    def _flashing(self, run: Run | None, levels: Levels | None) -> tuple[str, ...]:
        """Lanes whose scale moves."""
        if run is None or levels is None or levels.run != run.id or self._desk.clock() - levels.at_ns > FRESH_NS:
            return ()
        moving = {scale for scale, grams in levels.moved.items() if grams >= FLASH_G}
        return tuple(lane for scale in self._desk.store.spec.scales if scale.id in moving for lane in scale.lanes)


def people_of(run: Run | None) -> tuple[Person, ...]:
    """Who is on the floor, as the run has it."""
    try:
        return PEOPLE.validate_json(run.tracks) if run else ()
    except ValidationError:  # by a version before this one; the next tick writes anew
        return ()


def card(session: Session, desk: Desk, visit: Visit, mark: Tint | None = None, lanes: tuple[str, ...] = ()) -> Card:
    """A visit with its receipt: the final one when there is one."""
    final = till.final(session, visit.id)
    receipt = final.receipt if final else till.current(session, desk, visit)
    payment = cashier.account_of(session, visit.id).state
    return Card(visit.id, visit.state, visit.people, visit.staff, payment, receipt, visit.number, mark, lanes)
