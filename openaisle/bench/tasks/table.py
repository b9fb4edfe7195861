"""The table of tasks: rows as Markdown for the docs and as JSON for programs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from openaisle.bench.splits import read_splits
from openaisle.bench.suites import Case
from openaisle.bench.tasks.measure import TaskRow

NOTHING = "–"


def markdown(rows: Sequence[TaskRow], notes: str) -> str:
    """The table with a line below that says what was measured how."""
    lines = ["| task | metric | value | trivial | what that is | n | by |", "|---|---|---:|---:|---|---:|---|"]
    for row in rows:
        arrow = "" if row.higher else " ↓"
        metric = f"{row.metric}{f', {row.unit}' if row.unit else ''}{arrow}"
        n = f"{row.n:,} {row.of}"
        lines.append(
            f"| {row.task} | {metric} | {shown(row.value, row.unit)} | {shown(row.baseline, row.unit)} | {row.trivial} "
            f"| {n} | {row.by} |"
        )
    return "\n".join([*lines, "", notes])


def shown(value: float | None, unit: str = "") -> str:
    """A number to read: three decimals for a share, fewer for centimetres and grams, a dash for nothing measured."""
    if value is None:
        return NOTHING
    return f"{value:.1f}" if unit in ("cm", "g") else f"{value:.3f}"


def told_of(model: str, sha256: str, cases: Sequence[Case], commit: str, command: str) -> str:
    """The line below the table."""
    stores = ", ".join(dict.fromkeys(case.store for case in cases))
    scenarios = ", ".join(dict.fromkeys(case.scenario for case in cases))
    counted = "1 case" if len(cases) == 1 else f"{len(cases)} cases"
    return (
        f"{counted} ({stores}; {scenarios}). ↓: less is better. Commit `{commit}`, splits "
        f"{read_splits().version}, weights {model} `{sha256[:12]}`, `{command}`."
    )


def to_json(rows: Sequence[TaskRow], model: str, sha256: str, cases: Sequence[Case]) -> dict[str, object]:
    """Everything for programs: rows with the fields of TaskRow, null where nothing was measured."""
    return {
        "model": model, "weights": sha256, "splits": read_splits().version, "cases": [case.name for case in cases],
        "rows": [asdict(row) for row in rows],
    }  # fmt: skip
