"""Benchmark results as tables: by suite, store kind and number of shoppers, models side by side, with intervals."""

from __future__ import annotations

import platform
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import JsonValue

from openaisle.bench.results import CaseResult
from openaisle.bench.suites import Case
from openaisle.receipts.metrics import Interval, Metrics, VisitScore
from openaisle.receipts.score import Score, combine

Group = Callable[[Case, VisitScore], str]

# How many of the visits' neighbours there were: exact numbers up to here, then "4+".
_MANY_SHOPPERS = 4


def _shoppers(_: Case, visit: VisitScore) -> str:
    if not visit.shoppers:
        return "unknown"
    count = str(visit.shoppers) if visit.shoppers < _MANY_SHOPPERS else f"{_MANY_SHOPPERS}+"
    return f"{count} shopper{'s' * (count != '1')} present"


GROUPINGS: Mapping[str, Group] = {
    "overall": lambda case, visit: "all",
    "suite": lambda case, visit: case.scenario,
    "store": lambda case, visit: case.store,
    "shoppers": _shoppers,
}


@dataclass(frozen=True, slots=True)
class Row:
    """One model on one group of visits."""

    grouping: str
    group: str
    model: str
    metrics: Metrics
    intervals: Mapping[str, Interval]


@dataclass(frozen=True, slots=True)
class Report:
    """All rows, and what a published number must name."""

    rows: tuple[Row, ...]
    commit: str
    machine: str
    command: str
    models: Mapping[str, str]  # name to sha256
    speed: Mapping[str, Mapping[str, float]]  # model to figures

    def to_json(self) -> dict[str, JsonValue]:
        """Everything, under stable names."""
        rows: list[JsonValue] = [
            {
                "grouping": row.grouping,
                "group": row.group,
                "model": row.model,
                **row.metrics.to_json(),
                "intervals": {name: [i.low, i.high] for name, i in row.intervals.items()},
            }
            for row in self.rows
        ]
        return {
            "commit": self.commit, "machine": self.machine, "command": self.command, "models": dict(self.models),
            "speed": {model: dict(figures) for model, figures in self.speed.items()}, "rows": rows,
        }  # fmt: skip


def build_report(results: Sequence[CaseResult], command: str, resamples: int = 1000) -> Report:
    """Group, score and bootstrap results (each case once per model)."""
    models = list(dict.fromkeys(result.model for result in results))
    rows = [
        Row(grouping, group, model, score.metrics, score.intervals(resamples))
        for grouping, group_of in GROUPINGS.items()
        for group, by_model in _grouped(results, group_of).items()
        for model in models
        if (score := by_model.get(model)) is not None
    ]
    speed = {model: _speed([result for result in results if result.model == model]) for model in models}
    hashes = {result.model: result.model_sha256 for result in results}
    return Report(tuple(rows), _commit(), _machine(), command, hashes, speed)


def markdown(report: Report) -> str:
    """The table for the README: exact and F1 with intervals, then the other metrics, models side by side."""
    head = (
        "| visits by | | model | visits | exact | F1 | precision | recall | over | under | attribution | review | ECE "
        "| update p50 / p95 |\n|---|---|---|---|---|---|---|---|---|---|---|---|---|---|\n"
    )
    hashes = ", ".join(f"`{model}` {sha[:12] or 'no weights'}" for model, sha in report.models.items())
    speed = "; ".join(
        f"`{model}` {figures['times_real_time']:.1f}× real time, step p50 {figures['step_p50_ms']:.0f} ms, "
        f"p95 {figures['step_p95_ms']:.0f} ms"
        for model, figures in report.speed.items()
    )
    foot = (
        f"\nIntervals: 95% bootstrap over visits. Commit `{report.commit}`; models {hashes}; {report.machine}; "
        f"`{report.command}`. Speed (pipeline without simulation): {speed}.\n"
    )
    return head + "".join(_line(row) for row in report.rows) + foot


def _line(row: Row) -> str:
    m = row.metrics
    latency = f"{m.latency_s.p50:.1f} / {m.latency_s.p95:.1f} s" if m.latency_s else "–"
    cells = [
        row.grouping, row.group, row.model, str(m.visits), _with_interval(row, "exact"), _with_interval(row, "f1"),
        f"{m.precision:.3f}", f"{m.recall:.3f}", f"{m.overcharge:.1%}", f"{m.undercharge:.1%}",
        _number(m.attribution), _number(m.review_rate), _number(m.calibration), latency,
    ]  # fmt: skip
    return "| " + " | ".join(cells) + " |\n"


def _with_interval(row: Row, name: str) -> str:
    if name not in row.intervals:
        return "–"
    interval = row.intervals[name]
    return f"**{interval.value:.3f}** ({interval.low:.3f}–{interval.high:.3f})"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _grouped(results: Sequence[CaseResult], group_of: Group) -> dict[str, dict[str, Score]]:
    """{group: {model: score}}, groups sorted; F1 stays per recording within a group."""
    parts: dict[str, dict[str, list[Score]]] = {}
    for result in results:
        by_group: dict[str, list[VisitScore]] = {}
        for visit in result.visits:
            by_group.setdefault(group_of(result.case, visit), []).append(visit)
        for group, visits in by_group.items():
            parts.setdefault(group, {}).setdefault(result.model, []).append(Score(tuple(visits)))
    return {
        group: {model: combine(scores) for model, scores in models.items()} for group, models in sorted(parts.items())
    }


def _speed(results: Sequence[CaseResult]) -> dict[str, float]:
    """Means over cases; step percentiles are medians of the cases' own."""
    stream, model = sum(r.stream_s for r in results), sum(r.model_s for r in results)
    p50, p95, p99 = (float(p) for p in np.median([r.step_ms for r in results], axis=0))
    return {
        "times_real_time": stream / model if model else 0.0, "step_p50_ms": p50, "step_p95_ms": p95,
        "step_p99_ms": p99, "store_seconds": stream, "wall_seconds": sum(r.wall_s for r in results),
    }  # fmt: skip


def _commit() -> str:
    """The commit of the source checkout, with + when files differ from it; "" outside of one."""
    folder = Path(__file__).parent
    command = ["git", "describe", "--always", "--dirty=+", "--abbrev=12", "--exclude=*"]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()


def _machine() -> str:
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        names = [line.split(":", 1)[1].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        model = f"{names[0]} ({len(names)} threads)" if names else model
    return f"{model}, Python {platform.python_version()}"
