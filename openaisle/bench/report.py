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
from openaisle.receipts.metrics import Interval, Latency, Metrics, VisitScore
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
    "overall": lambda case, visit: "all visits",
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
    """For the README: exact and F1 by group with models side by side, the other metrics overall, and the origin."""
    models = list(report.models)
    rows: dict[tuple[str, str], dict[str, Row]] = {}
    for row in report.rows:
        rows.setdefault((row.grouping, row.group), {})[row.model] = row
    head = ["", "visits", *(f"{model}: {name}" for model in models for name in ("exact", "F1"))]
    body = [
        [group, str(max(row.metrics.visits for row in by_model.values()))]
        + [
            _with_interval(by_model.get(model), name, bold=grouping == "overall")
            for model in models
            for name in ("exact", "f1")
        ]
        for (grouping, group), by_model in rows.items()
    ]
    overall = [row for row in report.rows if row.grouping == "overall"]
    figures = [(row.model, _figures(row.metrics, report.speed[row.model])) for row in overall]
    names = list(figures[0][1]) if figures else []
    metrics = _table(["", *(model for model, _ in figures)], [[n, *(f[n] for _, f in figures)] for n in names])
    return _table(head, body) + "\n" + metrics + "\n" + _origin(report)


def _figures(m: Metrics, speed: Mapping[str, float]) -> dict[str, str]:
    """All metrics beside exact and F1, by name, as text."""
    update, final = m.latency_s, m.final_latency_s
    return {
        "precision / recall": f"{m.precision:.3f} / {m.recall:.3f}",
        "overcharge / undercharge": f"{m.overcharge:.2%} / {m.undercharge:.2%}",
        "attribution": _number(m.attribution),
        "review rate": _number(m.review_rate),
        "calibration error": _number(m.calibration),
        "update latency p50 / p95 / p99": _seconds(update),
        "final latency p50 / p95 / p99": _seconds(final),
        "pipeline, times real time": f"{speed['times_real_time']:.1f}",
        "step p50 / p95 / p99": " / ".join(f"{speed[f'step_p{p}_ms']:.0f}" for p in (50, 95, 99)) + " ms",
    }


def _origin(report: Report) -> str:
    """What a published number must name: commit, weights, machine, command."""
    models = ", ".join(f"{model} `{sha[:12]}`" for model, sha in report.models.items())
    return (
        f"In brackets: 95% bootstrap intervals over visits. Commit `{report.commit}`, weights {models}, "
        f"{report.machine}, `{report.command}`.\n"
    )


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def _with_interval(row: Row | None, name: str, bold: bool) -> str:
    if row is None or name not in row.intervals:
        return "–"
    interval = row.intervals[name]
    value = f"**{interval.value:.3f}**" if bold else f"{interval.value:.3f}"
    return f"{value} [{interval.low:.2f}, {interval.high:.2f}]"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _seconds(latency: Latency | None) -> str:
    return f"{latency.p50:.1f} / {latency.p95:.1f} / {latency.p99:.1f} s" if latency else "–"


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
