"""Terminal: the floor plan with people as moving letters beside the receipts, redrawn by rich while they shop."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field
from threading import Lock

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray
from rich import box
from rich.console import Group, RenderableType
from rich.layout import Layout
from rich.panel import Panel
from rich.style import Style
from rich.table import Table
from rich.text import Text

from openaisle.messages import NANOSECONDS
from openaisle.receipts.pricing import Receipt
from openaisle.receipts.render import money
from openaisle.store.store import Store
from openaisle.tokens.tick import SLOT_NS
from openaisle.view import ink
from openaisle.view.mosaic import clock
from openaisle.view.plan import footprint
from openaisle.view.timeline import FLOOR, Happening, Timeline

CELL_ASPECT = 2.0  # a terminal cell is about twice as high as wide
FLASH_NS = 2 * NANOSECONDS
LOG_LINES = 6
CARDS = 8  # receipts that are shown, the latest


def style(colour: ink.Rgb, bold: bool = False) -> Style:
    """A rich style of a colour."""
    return Style(color=f"rgb({colour[0]},{colour[1]},{colour[2]})", bold=bold)


@dataclass(frozen=True)
class CharPlan:
    """The store as a grid of characters, `columns` wide and as high as its shape asks."""

    store: Store
    columns: int

    @property
    def _size_m(self) -> NDArray[np.float64]:
        floor = np.array(self.store.spec.floor_m)
        return np.asarray(floor.max(axis=0) - floor.min(axis=0), dtype=np.float64)

    @property
    def rows(self) -> int:
        """Height in characters."""
        width, depth = (float(side) for side in self._size_m)
        return max(4, round(self.columns * depth / width / CELL_ASPECT))

    def cells(self, points_m: ArrayLike) -> NDArray[np.int32]:
        """Metres [n, 2 or more] to (column, row) [n, 2], inside the grid."""
        low = np.array(self.store.spec.floor_m).min(axis=0)
        share = (np.asarray(points_m, dtype=np.float64)[..., :2] - low) / self._size_m
        cell = np.stack([share[..., 0] * self.columns, (1 - share[..., 1]) * self.rows], axis=-1)
        return np.asarray(np.clip(cell, 0, [self.columns - 1, self.rows - 1]), dtype=np.int32)

    def ground(self) -> list[list[tuple[str, Style]]]:
        """Floor, fixtures and gates."""
        kinds = np.zeros((self.rows, self.columns), dtype=np.uint8)
        for fixture in self.store.spec.fixtures:
            cv2.fillPoly(kinds, [self.cells(footprint(fixture))], 1)
        for gate in self.store.spec.gates:
            ends = self.cells([gate.a_m, gate.b_m])
            cv2.line(kinds, tuple(map(int, ends[0])), tuple(map(int, ends[1])), 2)
        looks = ((" ", Style()), ("▒", style((120, 126, 140))), ("═", style((120, 200, 160))))
        return [[looks[kind] for kind in row] for row in kinds]

    def render(self, timeline: Timeline, time_ns: int) -> Text:
        """The plan with everybody who is there and the lanes that were just used."""
        grid = self.ground()
        for happening in timeline.happenings(time_ns - FLASH_NS, time_ns):
            if happening.lane in self.store.lane_index:
                at = self.cells(self.store.lanes[self.store.lane_index[happening.lane]].centre_m)
                sign, colour = ("-", ink.TAKE) if happening.quantity > 0 else ("+", ink.RETURN)
                grid[at[1]][at[0]] = (sign, style(colour, bold=True))
        visits, symbols = timeline.visits, timeline.symbols()
        for body in timeline.bodies_at(time_ns):
            column, row = self.cells(body.points_m[FLOOR])
            index = visits.index(body.visit) if body.visit in visits else -1
            for offset, letter in enumerate(symbols.get(body.visit, "?")):
                if column + offset < self.columns:
                    grid[row][column + offset] = (letter, style(ink.visit_colour(index), bold=True))
        lines = [Text.assemble(*row) for row in grid]
        return Text("\n").join(lines)


@dataclass
class Screen:
    """What the terminal shows; `update` it, then `render` it."""

    timeline: Timeline
    title: str
    start_ns: int
    plan_columns: int = 48
    time_ns: int = 0  # newest instant that is known
    speed: float = 0.0  # store seconds per second
    lock: Lock = field(default_factory=Lock)  # rich draws from a thread of its own
    log: deque[Text] = field(default_factory=lambda: deque(maxlen=LOG_LINES))
    _arrived_s: float = 0.0

    def advance(self, time_ns: int, wall_s: float) -> None:
        """Everything up to `time_ns` is known; the show has been running for `wall_s` seconds."""
        self.time_ns = time_ns
        self.speed = (time_ns - self.start_ns) / NANOSECONDS / wall_s if wall_s > 0 else 0.0
        self._arrived_s = time.monotonic()

    @property
    def shown_ns(self) -> int:
        """The instant to draw: a tick behind what is known, so that people glide from one tick to the next."""
        since_ns = round((time.monotonic() - self._arrived_s) * self.speed * NANOSECONDS)
        return self.time_ns - SLOT_NS - NANOSECONDS + min(NANOSECONDS, since_ns)

    def status(self) -> Text:
        """One line: who is there and what is on the receipts."""
        here = {body.visit for body in self.timeline.bodies_at(self.time_ns - SLOT_NS)}
        symbols = self.timeline.symbols()
        parts = [
            f"{symbols[receipt.visit]} {money(receipt.total_cents, receipt.currency)}"
            for receipt in self.timeline.receipts_at(self.time_ns)
            if receipt.visit in here
        ]
        return Text(f"{clock(self.time_ns - self.start_ns):>5}  in the shop: {', '.join(parts) or 'nobody'}", "dim")

    def say(self, happening: Happening) -> None:
        """Add a line to the log."""
        self.log.append(self.sentence(happening))

    def sentence(self, happening: Happening) -> Text:
        """A happening in words, e.g. "0:12 A takes 2 × Oat cookies"."""
        visits = self.timeline.visits
        index = visits.index(happening.visit) if happening.visit in visits else -1
        names = {product.gtin: product.name for product in self.timeline.store.products}
        return Text.assemble(
            (f"{clock(happening.time_ns - self.start_ns):>5}  ", "dim"),
            (self.timeline.symbols().get(happening.visit, "?"), style(ink.visit_colour(index), bold=True)),
            f" {happening.verb()} {abs(happening.quantity)} × {names.get(happening.gtin, happening.gtin)}",
        )

    def render(self) -> RenderableType:
        """The whole screen."""
        with self.lock:
            return self._draw()

    def _draw(self) -> RenderableType:
        plan = CharPlan(self.timeline.store, self.plan_columns)
        pace = f"{self.speed:.1f}× real time" if self.speed else ""
        left = Group(
            Panel(plan.render(self.timeline, self.shown_ns), title=self.title, width=self.plan_columns + 4),
            Text(f" {clock(self.time_ns - self.start_ns)}  {pace}", "dim"),
            *self.log,
        )
        layout = Layout()
        layout.split_row(Layout(left, size=self.plan_columns + 5), Layout(self._receipts()))
        return layout

    def _receipts(self) -> RenderableType:
        present = {body.visit for body in self.timeline.bodies_at(self.shown_ns)}
        visits = self.timeline.visits
        cards = [
            receipt_panel(
                receipt, self.timeline.symbols()[receipt.visit], visits.index(receipt.visit), receipt.visit in present
            )
            for receipt in self.timeline.receipts_at(self.time_ns)[-CARDS:]
        ]
        table = Table.grid(expand=True)
        for _ in range(2):
            table.add_column(ratio=1)
        for i in range(0, len(cards), 2):
            table.add_row(*cards[i : i + 2])
        return table


def receipt_panel(receipt: Receipt, symbol: str, index: int, present: bool) -> Panel:
    """One receipt as a card."""
    lines = Table.grid(expand=True, padding=(0, 1))
    lines.add_column(justify="right")
    lines.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
    lines.add_column(justify="right", no_wrap=True)
    for line in receipt.lines:
        lines.add_row(
            f"{line.quantity} ×", line.name or line.gtin, money(line.total_cents, receipt.currency).split()[0]
        )
    total = money(receipt.total_cents, receipt.currency)
    colour = style(ink.visit_colour(index), bold=True)
    title = Text.assemble((symbol, colour), " shopping" if present else " left")
    return Panel(lines, title=title, subtitle=total, border_style=colour, box=box.ROUNDED, title_align="left")
