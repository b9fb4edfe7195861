"""Curves of the benchmark's page: how far confidence can be trusted, what review leaves, how late updates are, cost."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from openaisle.bench.results import CaseResult
from openaisle.receipts.metrics import BINS, VisitScore
from openaisle.view.charts import COLOURS, Axis, Point, Series, chart

QUARTERS = (0.0, 0.25, 0.5, 0.75, 1.0)
LATEST_S = 6.0  # a later update is of little use at the shelf
MOST_POINTS = 400  # of a curve


def reliability(visits: Sequence[VisitScore], name: str, colour: int) -> Series:
    """Share of lines whose quantity is right, by their confidence; a mark grows with its lines."""
    lines = np.array([line for visit in visits for line in visit.lines], dtype=np.float64).reshape(-1, 2)
    bins = np.minimum((lines[:, 0] * BINS).astype(np.int64), BINS - 1)
    points = []
    for index in range(BINS):
        own = lines[bins == index]
        if len(own):
            sure, right = (float(value) for value in own.mean(axis=0))
            words = f"{name}: {len(own)} lines with confidence {sure:.2f}, {right:.2f} of them right"
            points.append(Point(sure, right, words, 2.0 + 9.0 * float(np.sqrt(len(own) / max(1, len(lines))))))
    return Series(name, colour, tuple(points), tuple((point.x, point.y) for point in points))


def review(visits: Sequence[VisitScore], name: str, colour: int) -> Series:
    """Exact among the rest, when the least confident receipts are looked at first (as metrics.py orders them)."""
    ranked = sorted(visits, key=lambda visit: (visit.confidence, -visit.exact))
    left = [(i, sum(one.exact for one in ranked[i:]) / (len(ranked) - i)) for i in range(len(ranked))]
    return Series(name, colour, (), thinned([(i / len(ranked), share) for i, share in left]))


def latency(visits: Sequence[VisitScore], name: str, colour: int) -> Series:
    """Share of all true takes and returns that the right receipt shows within so many seconds."""
    events = sum(visit.events for visit in visits)
    seconds = sorted(s for visit in visits for s in visit.latency_s)
    if not events:
        return Series(name, colour)
    steps = [(0.0, 0.0)]
    for i, second in enumerate(seconds):
        steps += [(second, i / events), (second, (i + 1) / events)]
    shown = [step for step in steps if step[0] <= LATEST_S]
    return Series(name, colour, (), thinned([*shown, (LATEST_S, shown[-1][1])]))


def cost(results: Sequence[CaseResult], name: str, colour: int) -> Series:
    """Processor seconds per second of store time against how many shoppers were in the shop, a mark a case."""
    points = tuple(
        Point(r.shopper_s / r.stream_s, r.cpu_s / r.stream_s,
              f"{name}, {r.case.name}: {r.cameras} cameras, {r.shopper_s / r.stream_s:.1f} shoppers, "
              f"{r.cpu_s / r.stream_s:.2f} cores", 3.5)
        for r in results if r.cpu_s and r.stream_s
    )  # fmt: skip
    return Series(name, colour, points)


def charts_of(results: Sequence[CaseResult], models: Sequence[str]) -> dict[str, str]:
    """All four charts by title, of the results' models in the order of their colours."""
    by_model = {model: [result for result in results if result.model == model] for model in models}
    visits = {model: [visit for result in own for visit in result.visits] for model, own in by_model.items()}
    colours = {model: i % COLOURS for i, model in enumerate(models)}
    spent = [cost(by_model[model], model, colours[model]) for model in models]
    most = ceiling(max((point.y for one in spent for point in one.points), default=1.0))
    crowd = ceiling(max((point.x for one in spent for point in one.points), default=1.0))
    return {
        "Reliability of line confidences": chart(
            Axis("confidence of a line", 0, 1, QUARTERS), Axis("share that is right", 0, 1, QUARTERS),
            [reliability(visits[model], model, colours[model]) for model in models], ((0, 0), (1, 1))),
        "What review leaves": chart(
            Axis("share of receipts looked at by a person", 0, 1, QUARTERS),
            Axis("exact among the rest", 0, 1, QUARTERS),
            [review(visits[model], model, colours[model]) for model in models if visits[model]]),
        "Updates in time": chart(
            Axis("seconds after the item left the shelf, or came back", 0, LATEST_S, tuple(range(7))),
            Axis("share of takes and returns shown", 0, 1, QUARTERS),
            [latency(visits[model], model, colours[model]) for model in models]),
        "Cost": chart(
            Axis("shoppers in the shop, mean of a case", 0, crowd, ticks(crowd)),
            Axis("cores busy with the pipeline", 0, most, ticks(most)), spent),
    }  # fmt: skip


def thinned(points: list[tuple[float, float]]) -> tuple[tuple[float, float], ...]:
    """So few points that a page can carry them."""
    if len(points) <= MOST_POINTS:
        return tuple(points)
    chosen = np.unique(np.linspace(0, len(points) - 1, MOST_POINTS).round().astype(int))
    return tuple(points[i] for i in chosen)


def ceiling(value: float) -> float:
    """The next of 1, 2, 4, 8 times a power of ten: four ticks fit it."""
    power = 10.0 ** np.floor(np.log10(max(value, 1e-9)))
    return float(next(step * power for step in (1, 2, 4, 8, 10) if step * power >= value))


def ticks(high: float) -> tuple[float, ...]:
    """Four even steps up to it."""
    return tuple(high * share for share in QUARTERS)
