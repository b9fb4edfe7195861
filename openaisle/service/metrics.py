"""Metrics: what Prometheus reads: this process's requests, the store's figures from the database, and its sensors."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

from fastapi import Request, Response
from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import func, select
from starlette.middleware.base import RequestResponseEndpoint

from openaisle.messages import NANOSECONDS
from openaisle.sensors.health import State
from openaisle.service import models, visits
from openaisle.service.desk import Clock, Desk
from openaisle.service.health import Intake, SensorHealth, intake_of
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
            model = models.running(session, run).model if run is not None else ""
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
            info = GaugeMetricFamily("openaisle_model_info", "1 for the model that reads the run.", labels=["model"])
            info.add_metric([model], 1.0)
            yield info
            words = "Pictures of each camera looked at in a second; below 5 the box cannot keep up."
            yield GaugeMetricFamily("openaisle_run_pictures_per_second", words, float(slots))


class SensorCollector(Collector):
    """What the intake tells of cameras, scales and gates; nothing in a shop without an intake.

    Counters begin anew with every life of the intake, as Prometheus expects of a process that was started again.
    """

    def __init__(self, folder: Path | None, clock: Clock) -> None:
        self._folder, self._clock = folder, clock

    def describe(self) -> list[Metric]:
        """Nothing in advance."""
        return []

    def collect(self) -> Iterator[Metric]:
        """All families."""
        intake = intake_of(self._folder)
        if intake is None:
            return
        now_ns = self._clock()
        yield from _intake_families(intake, now_ns)
        yield _ages(intake, now_ns)
        yield _states(intake)
        for name, (words, value) in _GAUGES.items():
            gauge = GaugeMetricFamily(name, words, labels=["kind", "sensor"])
            for one in intake.sensors:
                gauge.add_metric([one.kind, one.sensor], value(one))
            yield gauge
        for name, (words, value) in _COUNTS.items():
            count = CounterMetricFamily(name, words, labels=["kind", "sensor"])
            for one in intake.sensors:
                count.add_metric([one.kind, one.sensor], value(one))
            yield count


_GAUGES: dict[str, tuple[str, Callable[[SensorHealth], float]]] = {
    "openaisle_sensor_clock_offset_seconds": (
        "By how much a sensor's clock is behind ours.", lambda one: one.clock_offset_ms / 1e3),
    "openaisle_sensor_missing": ("Messages that are asked for again now.", lambda one: one.missing),
}  # fmt: skip
_COUNTS: dict[str, tuple[str, Callable[[SensorHealth], float]]] = {
    "openaisle_sensor_messages": ("Messages taken in.", lambda one: one.messages),
    "openaisle_sensor_lost": ("Gaps: messages that never came.", lambda one: one.lost),
    "openaisle_sensor_duplicates": ("Messages that came again.", lambda one: one.duplicates),
    "openaisle_sensor_late": ("Messages after their place in the stream.", lambda one: one.late),
    "openaisle_sensor_dropped": ("Messages too old, or from the future.", lambda one: one.dropped),
    "openaisle_sensor_refused": ("Messages that could not be read.", lambda one: one.refused),
    "openaisle_sensor_clock_jumps": ("Jumps of a sensor's clock.", lambda one: one.clock_jumps),
}


def _intake_families(intake: Intake, now_ns: int) -> Iterator[Metric]:
    if intake.at_ns:
        words = "Since the intake told of its sensors."
        yield GaugeMetricFamily("openaisle_intake_age_seconds", words, (now_ns - intake.at_ns) / NANOSECONDS)
    if intake.lag_s is not None:
        yield GaugeMetricFamily("openaisle_intake_lag_seconds", "The common stream behind the clock.", intake.lag_s)
    yield GaugeMetricFamily("openaisle_intake_low_disk", "1: pictures are not kept any more.", float(intake.low_disk))
    if intake.broker is not None:
        yield GaugeMetricFamily("openaisle_broker_up", "1: the broker answers.", float(intake.broker.up))


def _ages(intake: Intake, now_ns: int) -> Metric:
    """Of sensors that have ever been heard of."""
    words = "Since a sensor's last message."
    ages = GaugeMetricFamily("openaisle_sensor_age_seconds", words, labels=["kind", "sensor"])
    for one in intake.sensors:
        if one.seen_ns:
            ages.add_metric([one.kind, one.sensor], (now_ns - one.seen_ns) / NANOSECONDS)
    return ages


def _states(intake: Intake) -> Metric:
    """All states of every camera and scale, 1 for the one that it is in; gates have none."""
    labels = ["kind", "sensor", "state"]
    states = GaugeMetricFamily("openaisle_sensor_state", "1 for the state that it is in.", labels=labels)
    for one in intake.sensors:
        for state in State if one.kind != "gate" else ():
            states.add_metric([one.kind, one.sensor, state.value], float(state.value == one.state))
    return states
