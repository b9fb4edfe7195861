"""Benchmark results as tables: by suite, store kind and number of shoppers, models side by side, with intervals."""

from __future__ import annotations

import platform
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from pydantic import JsonValue

from openaisle.bench.models import whole_of
from openaisle.bench.results import CaseResult
from openaisle.bench.splits import read_splits
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
PLAIN_AXIS = "as trained"  # the row that axes are compared with: the same cases without one


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
    splits: int  # version of splits.yaml

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
            "speed": {model: dict(figures) for model, figures in self.speed.items()}, "splits": self.splits,
            "rows": rows,
        }  # fmt: skip


def build_report(results: Sequence[CaseResult], command: str, resamples: int = 1000) -> Report:
    """Group, score and bootstrap results (each case once per model)."""
    main, reduced = sections(results)
    rows = [
        Row(grouping, group, model, score.metrics, score.intervals(resamples))
        for found, groupings in ((main, GROUPINGS), (_harder(results), _AXES), (reduced, _SENSES))
        for grouping, group_of in groupings.items()
        for group, by_model in _grouped(found, group_of).items()
        for model in dict.fromkeys(result.model for result in found)
        if (score := by_model.get(model)) is not None
    ]
    models = list(dict.fromkeys(result.model for result in results))
    speed = {model: _speed([r for r in results if r.model == model and not r.case.axis]) for model in models}
    hashes = {result.model: result.model_sha256 for result in results}
    return Report(tuple(rows), commit_name(), _machine(), command, hashes, speed, read_splits().version)


def sections(results: Sequence[CaseResult]) -> tuple[list[CaseResult], list[CaseResult]]:
    """Plain cases by whole models; and by models with and without a sense, on the cases that all of them played.

    A model that lacks a sense is one of the whole models when what it is a part of was not played.
    """
    plain = [result for result in results if not result.case.axis]
    models = list(dict.fromkeys(result.model for result in plain))
    lacking = [model for model in models if (whole := whole_of(model)) != model and whole in models]
    main = [result for result in plain if result.model not in lacking]
    family = {*lacking, *(whole_of(model) for model in lacking)}
    played = [{result.case for result in plain if result.model == model} for model in family]
    shared = set.intersection(*played) if played else set()
    return main, [result for result in plain if result.model in family and result.case in shared]


def _harder(results: Sequence[CaseResult]) -> list[CaseResult]:
    """Cases under an axis, and the same cases without."""
    bases = {(replace(result.case, axis=""), result.model) for result in results if result.case.axis}
    return [result for result in results if (replace(result.case, axis=""), result.model) in bases]


_AXES: Mapping[str, Group] = {"axis": lambda case, visit: case.axis or PLAIN_AXIS}
_SENSES: Mapping[str, Group] = {"senses": lambda case, visit: "with and without a sense"}


def markdown(report: Report) -> str:
    """For the README: exact and F1 by group with models side by side, the other metrics overall, and the origin."""
    parts = [_side_by_side(report, lambda row: row.grouping in GROUPINGS)]
    overall = [row for row in report.rows if row.grouping == "overall"]
    figures = [(row.model, _figures(row.metrics, report.speed[row.model])) for row in overall]
    names = list(figures[0][1]) if figures else []
    parts.append(_table(["", *(model for model, _ in figures)], [[n, *(f[n] for _, f in figures)] for n in names]))
    for grouping in ("axis", "senses"):
        if any(row.grouping == grouping for row in report.rows):
            parts.append(_side_by_side(report, lambda row, wanted=grouping: row.grouping == wanted))  # type: ignore[misc]
    return "\n".join([*parts, _origin(report)])


def _side_by_side(report: Report, wanted: Callable[[Row], bool]) -> str:
    """Exact and F1 by group, models side by side."""
    rows: dict[tuple[str, str], dict[str, Row]] = {}
    for row in filter(wanted, report.rows):
        rows.setdefault((row.grouping, row.group), {})[row.model] = row
    models = list(dict.fromkeys(model for by_model in rows.values() for model in by_model))
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
    return _table(head, body)


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
        "pipeline, times real time": _known(speed["times_real_time"], 1),
        "step p50 / p95 / p99": " / ".join(_known(speed[f"step_p{p}_ms"], 0) for p in (50, 95, 99)) + " ms",
        "processor seconds per shopper-minute": _known(speed["cpu_s_per_shopper_minute"], 1),
        "peak memory, simulator included": _known(speed["memory_mb"], 0) + " MB",
    }


def _known(value: float, digits: int) -> str:
    return f"{value:.{digits}f}" if value else "–"


def _origin(report: Report) -> str:
    """What a published number must name: commit, weights, machine, command."""
    models = ", ".join(f"{model} `{sha[:12]}`" for model, sha in report.models.items())
    return (
        f"In brackets: 95% bootstrap intervals over visits. Commit `{report.commit}`, splits {report.splits}, "
        f"weights {models}, {report.machine}, `{report.command}`.\n"
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
    """Means over cases; step percentiles are medians of the cases' own. 0 = not measured."""
    stream, model = sum(r.stream_s for r in results), sum(r.model_s for r in results)
    p50, p95, p99 = (float(p) for p in np.median([r.step_ms for r in results], axis=0)) if results else (0.0, 0.0, 0.0)
    minutes = sum(r.shopper_s for r in results) / 60
    return {
        "times_real_time": stream / model if model else 0.0, "step_p50_ms": p50, "step_p95_ms": p95,
        "step_p99_ms": p99, "store_seconds": stream, "wall_seconds": sum(r.wall_s for r in results),
        "cpu_s_per_shopper_minute": sum(r.cpu_s for r in results) / minutes if minutes else 0.0,
        "memory_mb": max((r.memory_mb for r in results), default=0.0),
    }  # fmt: skip


def commit_name() -> str:
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
