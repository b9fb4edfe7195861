"""Curves: a training run as it goes, read from the JSON lines that its stages write beside their checkpoints."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from rich.table import Table

Figures = Mapping[str, float]
TAIL_BYTES = 64_000  # enough for the last few hundred lines
BARS = "▁▂▃▄▅▆▇█"


def curves_table(runs: Path) -> Table:
    """One row per stage: step, loss with its recent course, newest figures of the validation."""
    table = Table(title=f"training in {runs}", title_justify="left")
    for name in ("stage", "step", "steps/s", "loss", "course", "validation"):
        table.add_column(name, justify="left" if name in ("stage", "course", "validation") else "right")
    for path in sorted(runs.glob("*.jsonl"), key=lambda path: path.stat().st_mtime):
        table.add_row(path.stem, *_row(tail(path)))
    return table


def tail(path: Path) -> list[Figures]:
    """The last lines of a log; a half-written line is left out."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - TAIL_BYTES))
        lines = file.read().splitlines()
    out: list[Figures] = []
    for line in lines:
        try:
            out.append(json.loads(line))
        except ValueError:
            continue
    return out


def _row(lines: list[Figures]) -> tuple[str, ...]:
    steps = [line for line in lines if "loss" in line]
    checks = [line for line in lines if any(key.startswith("val/") for key in line)]
    losses = [line["loss"] for line in steps]
    validation = {key[4:]: value for key, value in (checks[-1] if checks else {}).items() if key.startswith("val/")}
    return (
        f"{lines[-1]['step']:.0f}" if lines else "0",
        f"{steps[-1].get('steps_per_s', 0.0):.2f}" if steps else "–",
        f"{losses[-1]:.4f}" if losses else "–",
        sparkline(losses[-40:]),
        "  ".join(f"{key} {value:.3f}" for key, value in validation.items()),
    )


def sparkline(values: list[float]) -> str:
    """The course of some numbers in one line of text."""
    if not values:
        return ""
    low, high = min(values), max(values)
    span = (high - low) or 1.0
    return "".join(BARS[min(len(BARS) - 1, int((value - low) / span * len(BARS)))] for value in values)
