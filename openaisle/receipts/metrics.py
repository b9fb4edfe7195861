"""The arithmetic of receipt metrics: every one a function of visits and their weights, so that it can be bootstrapped.

Ratios are pooled over visits, except F1, which is computed per recording and then averaged (the AutoCheckout contest's
score). Nothing against nothing scores 1; a metric that has nothing to measure is None.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

REVIEWED_EXACT = 0.999  # what must be left exact after review
BINS = 10  # of the calibration error, equally wide

_Float = NDArray[np.float64]
_Int = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class VisitScore:
    """Everything that is counted about one visit; amounts in list-price cents."""

    visit: str
    exact: bool
    confidence: float  # that the receipt is right, as the model says
    hits: int  # units both charged and taken
    charged: int  # units
    taken: int  # units
    over_cents: int
    under_cents: int
    true_cents: int
    lines: tuple[tuple[float, bool], ...] = ()  # (confidence, quantity is right) of each line charged
    recording: str = ""
    true: bool = True  # False: a receipt for a visit that never was
    shoppers: int = 0  # people present at once during the visit, 0 = not known
    events: int = 0  # true takes and returns
    credited: int = 0  # of them on this visit's receipt
    latency_s: tuple[float, ...] = ()
    final_s: float | None = None


@dataclass(frozen=True, slots=True)
class Latency:
    """Percentiles in seconds."""

    p50: float
    p95: float
    p99: float


@dataclass(frozen=True, slots=True)
class Metrics:
    """The receipt metrics of BENCHMARK.md; None where there was nothing to measure."""

    visits: int
    extra_visits: int  # receipts with lines for visits that never were
    exact: float | None
    f1: float
    precision: float
    recall: float
    overcharge: float
    undercharge: float
    attribution: float | None
    review_rate: float | None
    calibration: float | None
    latency_s: Latency | None
    final_latency_s: Latency | None

    def to_json(self) -> dict[str, JsonValue]:
        """Plain values under stable names."""
        return asdict(self)

    def flat(self) -> dict[str, float]:
        """Every defined metric as a number; percentiles as latency_s.p50 and so on."""
        out: dict[str, float] = {}
        for name, value in asdict(self).items():
            if isinstance(value, dict):
                out.update({f"{name}.{key}": number for key, number in value.items()})
            elif value is not None:
                out[name] = float(value)
        return out


@dataclass(frozen=True, slots=True)
class Interval:
    """A metric over all visits with its 95% bootstrap interval."""

    value: float
    low: float
    high: float


def metrics(visits: Sequence[VisitScore]) -> Metrics:
    """All metrics over visits, each counted once."""
    return _Table(visits).metrics(np.ones(len(visits), dtype=np.int64))


def bootstrap(visits: Sequence[VisitScore], resamples: int, seed: int) -> dict[str, Interval]:
    """95% percentile intervals over visits drawn with replacement, by metric name."""
    whole = metrics(visits).flat()
    if not visits:
        return {name: Interval(value, value, value) for name, value in whole.items()}
    table = _Table(visits)
    rng = np.random.Generator(np.random.PCG64(seed))
    drawn = rng.multinomial(len(visits), np.full(len(visits), 1 / len(visits)), size=resamples)
    samples = [table.metrics(weights).flat() for weights in drawn]
    out = {}
    for name, value in whole.items():
        low, high = np.percentile([sample[name] for sample in samples if name in sample], [2.5, 97.5])
        out[name] = Interval(value, float(low), float(high))
    return out


class _Table:
    """Visits as columns, so that a weighted metric costs microseconds."""

    def __init__(self, visits: Sequence[VisitScore]) -> None:
        self.true = np.array([v.true for v in visits], dtype=np.int64)
        self.exact = np.array([v.exact for v in visits], dtype=np.int64)
        self.confidence = np.array([v.confidence for v in visits], dtype=np.float64)
        counts = [(v.hits, v.charged, v.taken, v.over_cents, v.under_cents, v.true_cents) for v in visits]
        self.counts = np.array(counts, dtype=np.int64).reshape(len(visits), 6)
        self.events = np.array([(v.credited, v.events) for v in visits], dtype=np.int64).reshape(len(visits), 2)
        self.recording = np.unique([v.recording for v in visits], return_inverse=True)[1].reshape(-1)
        self.lines = np.array([pair for v in visits for pair in v.lines], dtype=np.float64).reshape(-1, 2)
        self.line_visit = np.repeat(np.arange(len(visits)), [len(v.lines) for v in visits])
        self.latency_s = np.array([s for v in visits for s in v.latency_s], dtype=np.float64)
        self.latency_visit = np.repeat(np.arange(len(visits)), [len(v.latency_s) for v in visits])
        finals = [(i, v.final_s) for i, v in enumerate(visits) if v.final_s is not None]
        self.final_visit = np.array([i for i, _ in finals], dtype=np.int64)
        self.final_s = np.array([s for _, s in finals], dtype=np.float64)

    def metrics(self, weights: _Int) -> Metrics:
        """All metrics with every visit counted `weights` [visits] times."""
        hits, charged, taken, over, under, value = (int(n) for n in weights @ self.counts)
        credited, events = (int(n) for n in weights @ self.events)
        true = int(weights @ self.true)
        return Metrics(
            visits=true,
            extra_visits=int(weights.sum()) - true,
            exact=int(weights @ (self.exact * self.true)) / true if true else None,
            f1=self._f1(weights),
            precision=hits / charged if charged else 1.0,
            recall=hits / taken if taken else 1.0,
            overcharge=_ratio(over, value),
            undercharge=_ratio(under, value),
            attribution=credited / events if events else None,
            review_rate=self._review_rate(weights),
            calibration=self._calibration(weights),
            latency_s=_percentiles(self.latency_s, weights[self.latency_visit]),
            final_latency_s=_percentiles(self.final_s, weights[self.final_visit]),
        )

    def _f1(self, weights: _Int) -> float:
        """Mean over recordings of 2TP / (P + G)."""
        if not len(weights):
            return 1.0
        size = int(self.recording.max()) + 1
        present = np.bincount(self.recording, weights, size) > 0
        hits = np.bincount(self.recording, weights * self.counts[:, 0], size)[present]
        units = np.bincount(self.recording, weights * (self.counts[:, 1] + self.counts[:, 2]), size)[present]
        return float(np.where(units > 0, 2 * hits / np.maximum(units, 1), 1.0).mean())

    def _review_rate(self, weights: _Int) -> float | None:
        """Smallest share of receipts, least confident first, whose removal leaves the rest exact enough.

        Equal confidences are reviewed right ones first: a model gets no credit for an order that it did not state.
        """
        total = int(weights.sum())
        if total == 0:
            return None
        order = np.lexsort((-self.exact, self.confidence))
        count, exact = weights[order], (weights * self.exact)[order]
        reviewed = np.concatenate([[0], np.cumsum(count)])
        left, right = total - reviewed, exact.sum() - np.concatenate([[0], np.cumsum(exact)])
        good_enough = right >= REVIEWED_EXACT * left
        return float(reviewed[np.argmax(good_enough)] / total)

    def _calibration(self, weights: _Int) -> float | None:
        """Expected calibration error of the lines' confidences."""
        if not len(self.lines):
            return None
        weight = weights[self.line_visit].astype(np.float64)
        if weight.sum() == 0:
            return None
        bins = np.minimum((self.lines[:, 0] * BINS).astype(np.int64), BINS - 1)
        gaps = np.bincount(bins, weight * (self.lines[:, 1] - self.lines[:, 0]), BINS)
        return float(np.abs(gaps).sum() / weight.sum())


def _ratio(part: int, whole: int) -> float:
    """part / whole, where something out of nothing counts as 1."""
    return part / whole if whole else float(part > 0)


def _percentiles(values: _Float, weights: _Int) -> Latency | None:
    repeated = np.repeat(values, weights)
    if not len(repeated):
        return None
    p50, p95, p99 = (float(p) for p in np.percentile(repeated, [50, 95, 99]))
    return Latency(p50, p95, p99)
