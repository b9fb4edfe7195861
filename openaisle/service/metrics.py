"""Metrics: what Prometheus reads: this process's requests, and the store's figures straight from the database."""

from __future__ import annotations

import time
from collections.abc import Iterator

from fastapi import Request, Response
from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import func, select
from starlette.middleware.base import RequestResponseEndpoint

from openaisle.messages import NANOSECONDS
from openaisle.service import visits
from openaisle.service.desk import Desk
from openaisle.service.pressure import slots_of
from openaisle.service.states import StepState
from openaisle.service.tables import FinalReceipt, LedgerRow, Letter, MoneyStep

NO_ROUTE = "none"  # one label for all paths that do not exist


class Requests:
    """Counts and times of requests, by route (never by path: a visit is no label)."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.count = Counter("openaisle_requests", "Requests.", ["method", "route", "status"], registry=registry)
        self.seconds = Histogram("openaisle_request_seconds", "Time to answer.", ["route"], registry=registry)

    async def __call__(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
        """A middleware."""
        began_s = time.monotonic()
        response = await call_next(request)
        route = getattr(request.scope.get("route"), "path", NO_ROUTE)
        self.count.labels(request.method, route, str(response.status_code)).inc()
        self.seconds.labels(route).observe(time.monotonic() - began_s)
        return response


class StoreCollector(Collector):
    """Figures that are read when they are asked for."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def describe(self) -> list[Metric]:
        """Nothing in advance: a registry must not read the database to be made."""
        return []

    def collect(self) -> Iterator[Metric]:
        """All families."""
        now_ns = self._desk.clock()
        with self._desk.database.read() as session:
            by_state = visits.counts(session)
            pending = select(func.count()).select_from(MoneyStep).where(MoneyStep.state == StepState.PENDING)
            waiting = (Letter.delivered_ns == 0, Letter.given_up_ns == 0)
            letters = select(func.count()).select_from(Letter).where(*waiting)
            given_up = select(func.count()).select_from(Letter).where(Letter.given_up_ns > 0)
            run = visits.unfinished_run(session)
            slots = slots_of(session, run.id) if run is not None else 0
            figures = {
                "openaisle_ledger_entries": ("Entries of the ledger.", select(func.count()).select_from(LedgerRow)),
                "openaisle_final_receipts": ("Final receipts.", select(func.count()).select_from(FinalReceipt)),
                "openaisle_money_pending": ("Payment steps without an answer.", pending),
                "openaisle_webhooks_waiting": ("Webhooks to deliver.", letters),
                "openaisle_webhooks_given_up": ("Webhooks nobody took.", given_up),
            }
            values = {name: float(session.scalar(query) or 0) for name, (_, query) in figures.items()}
        states = GaugeMetricFamily("openaisle_visits", "Visits by state.", labels=["state"])
        for state, number in sorted(by_state.items()):
            states.add_metric([state], number)
        yield states
        for name, (words, _) in figures.items():
            yield GaugeMetricFamily(name, words, values[name])
        if run is not None and run.beat_ns:
            age_s = (now_ns - run.beat_ns) / NANOSECONDS
            yield GaugeMetricFamily("openaisle_run_age_seconds", "Since the pipeline's last tick.", age_s)
            yield GaugeMetricFamily("openaisle_run_ticks", "Ticks of the run.", float(run.ticks))
            words = "Pictures of each camera looked at in a second; below 5 the box cannot keep up."
            yield GaugeMetricFamily("openaisle_run_pictures_per_second", words, float(slots))
