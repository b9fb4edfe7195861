"""Talk: how every verb reports progress, tables and JSON; results go to stdout, everything else to stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

Verb = Callable[..., None]
Progress = Callable[[float], None]  # called with the share done, 0 to 1
Json = Mapping[str, object] | Sequence[object]


def screen() -> Console:
    """The console for people's eyes: stderr."""
    from rich.console import Console

    return Console(stderr=True, highlight=False, emoji=False)


def say(text: str) -> None:
    """One line for a person."""
    screen().print(text, markup=False, soft_wrap=True)


def say_json(value: object) -> None:
    """One JSON document on stdout, nothing else."""
    sys.stdout.write(json.dumps(value, indent=1, allow_nan=False) + "\n")


def say_text(text: str) -> None:
    """A result as plain text on stdout."""
    sys.stdout.write(text if text.endswith("\n") else text + "\n")


def say_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """A table on stdout; the first column is text, the others are aligned to the right."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    for i, column in enumerate(columns):
        table.add_column(column, justify="left" if i == 0 else "right")
    for row in rows:
        table.add_row(*(str(cell) for cell in row))
    Console(highlight=False, emoji=False).print(table)


def figure(value: object) -> str:
    """A number to read: three decimals, a dash for nothing measured, percentiles side by side."""
    if isinstance(value, Mapping):
        return "  ".join(f"{name} {figure(one)}" for name, one in value.items())
    if isinstance(value, float):
        return f"{value:.3f}"
    return "–" if value is None else str(value)


@contextmanager
def progress(title: str) -> Iterator[Progress]:
    """A bar on stderr while the block runs; on a pipe, a line when it begins."""
    from rich.progress import (
        BarColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    console = screen()
    if not console.is_terminal:
        console.print(f"{title} ...", markup=False)
        yield lambda share: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=console) as bar:
        task = bar.add_task(title, total=1.0)
        yield lambda share: bar.update(task, completed=share)
