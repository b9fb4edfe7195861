"""Charts: plain inline SVG that follows the page's light or dark colours; a point tells its numbers when pointed at.

Colours come from the page's style sheet (classes c0, c1, ... for series); the drawings themselves name none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 460, 320  # of a chart with two axes, in its own units
LEFT, RIGHT, TOP, BOTTOM = 52, 12, 12, 44
ROW = 17  # height of a model's line in a chart of intervals
NAMES = 150  # width of the groups' names


@dataclass(frozen=True, slots=True)
class Axis:
    """What runs along a side: from `low` to `high`, marked at `ticks`."""

    title: str
    low: float
    high: float
    ticks: tuple[float, ...]

    def share(self, value: float) -> float:
        """0 at the low end, 1 at the high one; beyond them what lies outside."""
        return min(1.0, max(0.0, (value - self.low) / (self.high - self.low)))


@dataclass(frozen=True, slots=True)
class Point:
    """A mark; `size` is its radius, `words` what it tells."""

    x: float
    y: float
    words: str
    size: float = 3.0


@dataclass(frozen=True, slots=True)
class Series:
    """One model's marks, joined by a line where `line` has points."""

    name: str
    colour: int
    points: tuple[Point, ...] = ()
    line: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value with its interval."""

    colour: int
    value: float
    low: float
    high: float
    words: str


def chart(x: Axis, y: Axis, series: Sequence[Series], guide: Sequence[tuple[float, float]] = ()) -> str:
    """A chart with two axes; `guide` is a faint line, such as the diagonal."""
    wide, high = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM

    def place(px: float, py: float) -> tuple[float, float]:
        return LEFT + x.share(px) * wide, TOP + (1 - y.share(py)) * high

    parts = [_grid(x, y, wide, high)]
    if guide:
        parts.append(_path([place(*point) for point in guide], "guide"))
    for one in series:
        if one.line:
            parts.append(_path([place(*point) for point in one.line], f"line c{one.colour}"))
        for point in one.points:
            cx, cy = place(point.x, point.y)
            dot = f"<circle class='dot c{one.colour}' cx='{cx:.1f}' cy='{cy:.1f}' r='{point.size:.1f}'>"
            parts.append(f"{dot}<title>{escape(point.words)}</title></circle>")
    label = f"{x.title}; {y.title}"
    return _svg(WIDTH, HEIGHT, label, "".join(parts))


def _grid(x: Axis, y: Axis, wide: float, high: float) -> str:
    parts = []
    for tick in x.ticks:
        at = LEFT + x.share(tick) * wide
        parts.append(f"<path class='grid' d='M{at:.1f} {TOP}v{high}'/>")
        parts.append(f"<text class='tick' text-anchor='middle' x='{at:.1f}' y='{TOP + high + 16}'>{tick:g}</text>")
    for tick in y.ticks:
        at = TOP + (1 - y.share(tick)) * high
        parts.append(f"<path class='grid' d='M{LEFT} {at:.1f}h{wide}'/>")
        parts.append(f"<text class='tick' text-anchor='end' x='{LEFT - 6}' y='{at + 4:.1f}'>{tick:g}</text>")
    parts.append(
        f"<text class='axis' text-anchor='middle' x='{LEFT + wide / 2}' y='{HEIGHT - 6}'>{escape(x.title)}</text>"
    )
    turned = f"transform='translate(13 {TOP + high / 2}) rotate(-90)'"
    parts.append(f"<text class='axis' text-anchor='middle' {turned}>{escape(y.title)}</text>")
    return "".join(parts)


def intervals(x: Axis, groups: Sequence[tuple[str, Sequence[Estimate]]]) -> str:
    """Rows of values with their intervals: a group a block, a model a line."""
    wide = WIDTH - NAMES - RIGHT
    rows = max((len(estimates) for _, estimates in groups), default=1)
    block = rows * ROW + 10
    height = TOP + block * len(groups) + BOTTOM
    parts = []
    for tick in x.ticks:
        at = NAMES + x.share(tick) * wide
        parts.append(f"<path class='grid' d='M{at:.1f} {TOP}v{block * len(groups)}'/>")
        parts.append(f"<text class='tick' text-anchor='middle' x='{at:.1f}' y='{height - BOTTOM + 16}'>{tick:g}</text>")
    for i, (name, estimates) in enumerate(groups):
        top = TOP + i * block
        parts.append(
            f"<text class='name' text-anchor='end' x='{NAMES - 10}' y='{top + block / 2 + 4:.1f}'>{escape(name)}</text>"
        )
        for row, one in enumerate(estimates):
            at = top + 5 + (row + 0.5) * ROW
            low, high, value = (NAMES + x.share(v) * wide for v in (one.low, one.high, one.value))
            parts.append(
                f"<g><title>{escape(one.words)}</title><path class='bar c{one.colour}' d='M{low:.1f} {at}H{high:.1f}'/>"
                f"<circle class='dot c{one.colour}' cx='{value:.1f}' cy='{at}' r='4'/></g>"
            )
    parts.append(
        f"<text class='axis' text-anchor='middle' x='{NAMES + wide / 2}' y='{height - 6}'>{escape(x.title)}</text>"
    )
    return _svg(WIDTH, height, x.title, "".join(parts))


def legend(names: Sequence[str]) -> str:
    """The models in their colours."""
    items = "".join(f"<li><i class='c{i % COLOURS}'></i>{escape(name)}</li>" for i, name in enumerate(names))
    return f"<ul class='legend'>{items}</ul>"


COLOURS = 8  # classes that the style sheet has


def _path(points: Sequence[tuple[float, float]], name: str) -> str:
    d = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    return f"<path class='{name}' d='M{d}'/>"


def _svg(width: float, height: float, label: str, inside: str) -> str:
    head = f"<svg class='chart' role='img' aria-label='{escape(label, quote=True)}' viewBox='0 0 {width} {height}'>"
    return f"{head}{inside}</svg>"
