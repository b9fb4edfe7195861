"""Swap: a run goes on with another model at the next tick, in the same state; the old one goes on where that fails.

The new model is loaded beside the running one, so that no tick waits for it. It is refused when it cannot be loaded or
its vectors have other widths, and when it raises in its first minute: that tick is then done by the one before it. From
which tick on which model read is in the database with what the tick wrote, so that a run taken up again says the same.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from openaisle.errors import ModelError, Problem
from openaisle.pipeline import handed_over, refitted, set_up
from openaisle.predictor import Predictor
from openaisle.service import models
from openaisle.service.desk import Desk
from openaisle.service.jobs import Job
from openaisle.service.models import OrderState
from openaisle.service.tables import ModelChange, ModelOrder, Run
from openaisle.state import ReceiptUpdate, Setup, State
from openaisle.tokens.tick import Tick

LOG = logging.getLogger(__name__)
TRIAL_TICKS = 60  # for so long the model before it is kept, to go on if this one fails
WAIT_S = 0.0  # a tick does not wait for a model that is being loaded
NAP_S = 0.05
Load = Callable[[str], Predictor]
Step = Callable[[State, Tick, Predictor, Setup], tuple[State, tuple[ReceiptUpdate, ...]]]


@dataclass
class Fitted:
    """A model with the store in its vectors; order 0 is the job's own."""

    order: int
    predictor: Predictor
    setup: Setup


@dataclass
class _Loading:
    """A model on its way."""

    order: ModelOrder
    thread: threading.Thread
    fitted: Fitted | None = None
    error: str = ""


@dataclass
class _News:
    """What the tick's transaction has to write."""

    changed: bool = False
    refused: dict[int, str] = field(default_factory=dict)


class Models:
    """A run's model, tick by tick. Raises ModelError when a model that a taken-up run needs again is not there."""

    def __init__(
        self, desk: Desk, job: Job, run: Run, predictor: Predictor, folder: Path | None, load: Load | None
    ) -> None:
        self._desk, self._job, self._run, self._folder, self._load = desk, job, run, folder, load or _by_name
        setup, self.first = set_up(desk.store, predictor)
        self.stopped = False  # told to stop while it waited: the tick was not done
        self._base = self._now = Fitted(0, predictor, setup)
        self._before: Fitted | None = None  # during a trial
        self._since = 0
        self._loading: _Loading | None = None
        self._news = _News()
        with desk.database.write() as session:
            changes = select(ModelChange).where(ModelChange.run == run.id)
            self._past = {row.tick: row.order for row in session.scalars(changes)}
            self._held = models.standing(session, job.model) if not run.ticks else None
            for order in session.scalars(select(ModelOrder).where(ModelOrder.state == OrderState.TRYING)):
                self._answer(session, order.id, OrderState.REFUSED, "the worker ended while it was tried; ask again")

    def step(self, state: State, tick: Tick, go_on: Callable[[], bool], step: Step) -> State:
        """One tick, by the model whose turn it is; the same state where `stopped`."""
        state = self._again(state, tick, go_on) if tick.index < self._run.ticks else self._look(state, tick, go_on)
        if self.stopped:
            return state
        if self._before is not None and tick.index - self._since >= TRIAL_TICKS:
            self._before = None
        try:
            return step(state, tick, self._now.predictor, self._now.setup)[0]
        except Exception as error:  # whatever a network's runtime raises: the shop goes on
            if self._before is None:
                raise
            LOG.exception("the new model failed; the one before it goes on")
            self._news.refused[self._now.order] = f"failed at tick {tick.index}: {error}"
            state = handed_over(state, self._now.setup, self._before.setup, self._before.predictor)
            self._now, self._before, self._news.changed = self._before, None, True
            return step(state, tick, self._now.predictor, self._now.setup)[0]

    def tell(self, session: Session, tick: Tick) -> None:
        """Into the transaction of the tick, what is different from now on."""
        news, self._news, now_ns = self._news, _News(), self._desk.clock()
        for order_id, error in news.refused.items():
            self._answer(session, order_id, OrderState.REFUSED, error)
        if news.changed:
            order, time_ns = self._now.order, tick.sensed_ns
            session.merge(ModelChange(run=self._run.id, tick=tick.index, order=order, time_ns=time_ns, at_ns=now_ns))
            if order:
                self._answer(session, order, OrderState.TAKEN)

    def _answer(self, session: Session, order_id: int, state: OrderState, error: str = "") -> None:
        row = session.get(ModelOrder, order_id)
        assert row is not None, "orders are kept"
        row.state, row.error, row.done_ns = state, error[:2000], self._desk.clock()

    def _again(self, state: State, tick: Tick, go_on: Callable[[], bool]) -> State:
        """The model as it was at this tick the first time."""
        if tick.index not in self._past:
            return state
        order = self._order(self._past[tick.index])
        if order is None:  # what was put in had failed
            state = self._take(state, self._base, tick)
            self._before = None
            return state
        loading = self._begin(order)
        self._wait(loading, go_on, None)
        if self.stopped:
            return state
        if loading.fitted is None:
            raise ModelError([models.gone(order, self._path(order), loading.error)])
        return self._take(state, loading.fitted, tick)

    def _look(self, state: State, tick: Tick, go_on: Callable[[], bool]) -> State:
        """What was asked for, when it is ready; a new run begins with what was put in before."""
        if self._folder is None:  # nothing can be kept, so nothing was asked for
            return state
        held, self._held = self._held, None
        if held is not None:
            self._loading = self._begin(held)
            self._wait(self._loading, go_on, None)
        self._loading = self._loading or self._asked()
        if self._loading is None or self.stopped:
            return state
        self._wait(self._loading, go_on, WAIT_S)
        if self._loading.thread.is_alive():
            return state
        done, self._loading = self._loading, None
        try:
            if done.fitted is None:
                raise ModelError([Problem(done.order.words, "model", done.error, "ask for another one")])
            state = self._take(state, done.fitted, tick)
        except ModelError as error:
            LOG.warning("%s is refused: %s", models.name_of(done.order), error)
            self._news.refused[done.order.id] = str(error)
            return state
        self._news.changed = True
        return state

    def _take(self, state: State, fitted: Fitted, tick: Tick) -> State:
        state = handed_over(state, self._now.setup, fitted.setup, fitted.predictor)
        self._before, self._now, self._since = self._now, fitted, tick.index
        return state

    def _asked(self) -> _Loading | None:
        """The newest order, on its way; older ones have been overtaken."""
        query = select(ModelOrder).where(ModelOrder.state == OrderState.ASKED, ModelOrder.base == self._job.model)
        with self._desk.database.read() as session:
            if session.scalars(query.limit(1)).first() is None:
                return None
        with self._desk.database.write() as session:
            orders = list(session.scalars(query.order_by(ModelOrder.id)))
            for order in orders[:-1]:
                self._answer(session, order.id, OrderState.REFUSED, "another model was asked for since")
            orders[-1].state = OrderState.TRYING
        return self._begin(orders[-1])

    def _order(self, order_id: int) -> ModelOrder | None:
        with self._desk.database.read() as session:
            return session.get(ModelOrder, order_id) if order_id else None

    def _begin(self, order: ModelOrder) -> _Loading:
        def load() -> None:
            try:
                predictor = self._load(self._path(order))
                loading.fitted = Fitted(order.id, predictor, refitted(self._base.setup, predictor))
            except Exception as error:  # anything at all that is wrong with it
                loading.error = str(error) or type(error).__name__

        loading = _Loading(order, threading.Thread(target=load, daemon=True))
        loading.thread.start()
        return loading

    def _path(self, order: ModelOrder) -> str:
        assert self._folder is not None, "who takes orders has a data folder"
        return models.kept(self._folder, order)

    def _wait(self, loading: _Loading, go_on: Callable[[], bool], patience_s: float | None) -> None:
        """Until it is there, beating meanwhile (a large catalogue takes a while); None: as long as that takes."""
        end_s = time.monotonic() + (patience_s if patience_s is not None else float("inf"))
        while loading.thread.is_alive() and not self.stopped and time.monotonic() < end_s:
            self.stopped = not go_on()
            loading.thread.join(NAP_S)


def _by_name(name_or_path: str) -> Predictor:
    """Loads late: who only ends runs needs no network's runtime."""
    from openaisle.edge.runtime import load_predictor

    return load_predictor(name_or_path)
