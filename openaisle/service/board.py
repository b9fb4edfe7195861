"""Board: what the dashboard shows: the day, who is inside with what, and where everybody stands on the floor plan."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from sqlalchemy import case, select
from sqlalchemy.orm import Session

from openaisle.receipts.pricing import Receipt
from openaisle.service import cashier, till, visits
from openaisle.service.day import DayFigures, day_figures, today
from openaisle.service.desk import Desk
from openaisle.service.states import VisitState
from openaisle.service.tables import Visit
from openaisle.store.plan import MARGIN_M, draw_plan

MOST_CARDS = 24
PERSON_M, RIM_M = 0.16, 0.04
SHOWN = (VisitState.INSIDE, VisitState.LEFT, VisitState.REVIEW, VisitState.CLOSED)


@dataclass(frozen=True, slots=True)
class Card:
    """One visit on the dashboard."""

    visit: str
    state: str
    people: int
    payment: str
    receipt: Receipt


@dataclass(frozen=True, slots=True)
class Seen:
    """Everything of one moment."""

    day: DayFigures
    cards: tuple[Card, ...]
    plan: str  # SVG


class Board:
    """The plan is drawn once; people are put on it at every look."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def look(self) -> Seen:
        """The dashboard now: those inside first, then the latest."""
        desk = self._desk
        with desk.database.read() as session:
            inside_first = case((Visit.state == VisitState.INSIDE, 0), else_=1)
            query = select(Visit).where(Visit.state.in_(SHOWN)).order_by(inside_first, Visit.at_ns.desc())
            cards = tuple(card(session, desk, visit) for visit in session.scalars(query.limit(MOST_CARDS)))
            run = visits.live_run(session, desk.clock())
            return Seen(day_figures(session, desk, today(desk)), cards, self._with_people(run.tracks if run else "[]"))

    def _with_people(self, tracks: str) -> str:
        left_m, top_m = self._origin_m
        people = "".join(
            f'<circle cx="{track["x_m"] - left_m:.2f}" cy="{top_m - track["y_m"]:.2f}" r="{PERSON_M}" fill="#1e78dc" '
            f'stroke="#ffffff" stroke-width="{RIM_M}"/>'
            for track in json.loads(tracks)
        )
        return self._plan.replace("</svg>", people + "</svg>")

    @cached_property
    def _plan(self) -> str:
        return draw_plan(self._desk.store).svg()

    @cached_property
    def _origin_m(self) -> tuple[float, float]:
        """The sheet's left and upper edge in the store; y runs down on the sheet."""
        corners = np.asarray(self._desk.store.spec.floor_m)
        return float(corners[:, 0].min()) - MARGIN_M, float(corners[:, 1].max()) + MARGIN_M


def card(session: Session, desk: Desk, visit: Visit) -> Card:
    """A visit with its receipt: the final one when there is one."""
    final = till.final(session, visit.id)
    receipt = final.receipt if final else till.current(session, desk, visit)
    return Card(visit.id, visit.state, visit.people, cashier.account_of(session, visit.id).state, receipt)
