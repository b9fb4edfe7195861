"""Pressure: a box that cannot keep up looks at fewer pictures a second, evenly over all cameras, until it can.

In: how far behind the run is, tick by tick. Out: in how many of a second's five slots pictures are looked at. Scales
and gates are always read. A run that is behind but catches up (a worker that was started again) drops nothing; below
two pictures a second whoever is inside gets a receipt that asks for a person (blind.py). What was decided is kept in
the database with the tick, so that a run that is taken up again sees the same pictures and says the same things.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from sqlalchemy import select
from sqlalchemy.orm import Session

from openaisle.service.desk import Desk
from openaisle.service.tables import Run, Thinning
from openaisle.tokens.tick import LOOKED, Tick, thinned

LEVELS = tuple(LOOKED)  # slots, from all to one
HIGH_S, LOW_S = 4.0, 2.0  # behind by more, and more and more: look at less; by less for a while: look at more
PATIENCE = 5  # ticks that a change of level has to show what it brings
CALM, MOST_CALM = 20, 600  # ticks without trouble before more is tried; doubled by every try that failed


@dataclass
class Pressure:
    """Decides by the lag alone; no clock."""

    slots: int = LEVELS[0]
    _calm: int = CALM
    _quiet: int = 0
    _since_raise: int = MOST_CALM
    _lags: deque[float] = field(default_factory=lambda: deque(maxlen=PATIENCE + 1))

    def decide(self, lag_s: float) -> int:
        """Slots of the next tick."""
        self._lags.append(lag_s)
        self._since_raise += 1
        self._quiet = self._quiet + 1 if lag_s < LOW_S else 0
        level = LEVELS.index(self.slots)
        falls_back = len(self._lags) > PATIENCE and self._lags[-1] >= self._lags[0]
        if lag_s > HIGH_S and falls_back and level + 1 < len(LEVELS):
            self._go(level + 1)
            self._calm = min(2 * self._calm, MOST_CALM) if self._since_raise < self._calm else self._calm
        elif self._quiet >= self._calm and level:
            self._go(level - 1)
            self._since_raise = 0
        return self.slots

    def _go(self, level: int) -> None:
        self.slots, self._quiet = LEVELS[level], 0
        self._lags.clear()


class Thinner:
    """A run's ticks, thinned: as they were for what is in the ledger already, by the lag from there on."""

    def __init__(self, desk: Desk, run: Run) -> None:
        self._desk, self._run, self._told = desk, run.id, run.ticks
        with desk.database.read() as session:
            rows = session.scalars(select(Thinning).where(Thinning.run == run.id).order_by(Thinning.tick)).all()
        self._past = [(row.tick, row.slots) for row in rows]
        self._pressure = Pressure(self._past[-1][1] if self._past else LEVELS[0])
        self._kept = self._pressure.slots  # what the database knows
        self._lag_s = 0.0

    def thin(self, tick: Tick, lag_s: float) -> Tick:
        """The tick as it is looked at."""
        if tick.index < self._told:
            return thinned(tick, next((slots for at, slots in reversed(self._past) if at <= tick.index), LEVELS[0]))
        self._lag_s = lag_s
        return thinned(tick, self._pressure.decide(lag_s))

    def tell(self, session: Session, tick: Tick) -> None:
        """Into the transaction of the tick, when something is different from now on."""
        if tick.index >= self._told and tick.looked != self._kept:
            self._kept = tick.looked
            at_ns = self._desk.clock()
            session.add(Thinning(run=self._run, tick=tick.index, slots=tick.looked, lag_s=self._lag_s, at_ns=at_ns))


def slots_of(session: Session, run: str) -> int:
    """In how many slots a second a run looks at pictures now."""
    latest = select(Thinning.slots).where(Thinning.run == run).order_by(Thinning.tick.desc()).limit(1)
    return session.scalar(latest) or LEVELS[0]
