"""Floor: the plan of the shop for pages, as SVG in two layers: what stands there, and what moves on top of it.

Colours come from the style sheet, by class, so that the plan follows light and dark. Both layers have one view box.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from html import escape

import numpy as np
from numpy.typing import ArrayLike

from openaisle.service.tracks import Person
from openaisle.store.check_geometry import footprint
from openaisle.store.geometry import Float, apply
from openaisle.store.store import Store, world_from_fixture

MARGIN_M = 0.35
COLOURS = 8  # of people; the style sheet has as many


@dataclass(frozen=True, slots=True)
class Tint:
    """A person's mark on plan and card; the number is that of the visit's name."""

    number: int
    colour: int  # 0 … COLOURS - 1


def tints(visits: Iterable[tuple[str, int]]) -> dict[str, Tint]:
    """A mark for every visit (id and number on its day, 0 = none), colours in their order."""
    return {visit: Tint(number or n + 1, n % COLOURS) for n, (visit, number) in enumerate(visits)}


class Floor:
    """Draws one store. Sheet coordinates are metres, x right, y down."""

    def __init__(self, store: Store) -> None:
        self._store = store
        corners = np.asarray(store.spec.floor_m, dtype=np.float64)
        self._low, self._high = corners.min(axis=0) - MARGIN_M, corners.max(axis=0) + MARGIN_M
        self._cells = self._lane_cells()
        self.size_m = (float(self._high[0] - self._low[0]), float(self._high[1] - self._low[1]))
        self.plan = self._plan(corners)

    def moving(self, people: Iterable[Person], marks: Mapping[str, Tint], flashing: Iterable[str], words: str) -> str:
        """The upper layer: lanes whose weight changes, trails, hands and people."""
        lanes = "".join(
            f'<polygon class="flash" points="{self._cells[lane]}"/>' for lane in flashing if lane in self._cells
        )
        drawn = "".join(self._person(person, marks.get(person.visit)) for person in people)
        return f"{self._head('plan moving', words)}{lanes}{drawn}</svg>"

    def _person(self, person: Person, mark: Tint | None) -> str:
        colour = f"c{mark.colour}" if mark else "c-unknown"
        trail = self._points(person.trail_m) if len(person.trail_m) > 1 else ""
        x, y = self._sheet([(person.x_m, person.y_m)])[0]
        hands = "".join(
            f'<line class="arm" x1="{x:.2f}" y1="{y:.2f}" x2="{hx:.2f}" y2="{hy:.2f}"/>'
            f'<circle class="hand" cx="{hx:.2f}" cy="{hy:.2f}" r="0.06"/>'
            for hx, hy in (self._sheet(person.hands_m) if person.hands_m else ())
        )
        label = str(mark.number) if mark else "?"
        size = "number long" if len(label) > 2 else "number"
        return (
            f'<g class="person {colour}" id="p-{escape(person.visit)}">'
            + (f'<polyline class="trail" points="{trail}"/>' if trail else "")
            + hands
            + f'<circle class="body" cx="{x:.2f}" cy="{y:.2f}" r="0.17"/>'
            f'<text class="{size}" transform="translate({x:.2f} {y + 0.065:.3f})">{label}</text></g>'
        )

    def _plan(self, corners: Float) -> str:
        parts = [self._head("plan", ""), f'<polygon class="room" points="{self._points(corners)}"/>']
        for fixture in self._store.spec.fixtures:
            body = footprint(fixture)
            parts.append(f'<polygon class="fixture" points="{self._points(body)}"/>')
            front = self._sheet(body[:2])
            door = "door" if fixture.doors else "front"
            parts.append(f'<polyline class="{door}" points="{_joined(front)}"/>')
        parts += [f'<polygon class="lane" points="{points}"/>' for points in self._cells.values()]
        for camera in self._store.cameras:
            x, y = self._sheet([camera.world_from_camera[:2, 3]])[0]
            parts.append(
                f'<circle class="camera" cx="{x:.2f}" cy="{y:.2f}" r="0.07"><title>{escape(camera.id)}</title></circle>'
            )
        for gate in self._store.spec.gates:
            ends = self._sheet([gate.a_m, gate.b_m])
            x, y = ends.mean(axis=0)
            parts.append(f'<polyline class="gate" points="{_joined(ends)}"/>')
            parts.append(f'<text class="gate-name" x="{x:.2f}" y="{y + 0.28:.2f}">{escape(gate.id)}</text>')
        return "".join([*parts, "</svg>"])

    def _lane_cells(self) -> dict[str, str]:
        """A polygon for every lane: shelves side by side in the fixture's footprint, the lowest at the front."""
        cells: dict[str, str] = {}
        for fixture in self._store.spec.fixtures:
            pose, depth = world_from_fixture(fixture), fixture.depth_m
            heights = sorted(range(len(fixture.shelves)), key=lambda s: fixture.shelves[s].z_m)
            for s, shelf in enumerate(fixture.shelves):
                row = heights.index(s)
                y0, y1 = (depth * (0.03 + 0.94 * (row + side) / len(heights)) for side in (0.06, 0.94))
                for lane in shelf.lanes:
                    x0, x1 = shelf.x_m + lane.x_m, shelf.x_m + lane.x_m + lane.width_m
                    corners = apply(pose, [[x0, y0, 0], [x1, y0, 0], [x1, y1, 0], [x0, y1, 0]])
                    cells[f"{fixture.id}.{shelf.id}.{lane.id}"] = self._points(corners)
        return cells

    def _head(self, kind: str, words: str) -> str:
        box = f'viewBox="0 0 {self.size_m[0]:.2f} {self.size_m[1]:.2f}"'
        told = f'role="img" aria-label="{escape(words)}"' if words else 'aria-hidden="true"'
        return f'<svg xmlns="http://www.w3.org/2000/svg" class="{kind}" {box} {told}>'

    def _sheet(self, points: ArrayLike) -> Float:
        world = np.asarray(points, dtype=np.float64)[:, :2]
        return np.stack([world[:, 0] - self._low[0], self._high[1] - world[:, 1]], axis=1)

    def _points(self, points: ArrayLike) -> str:
        return _joined(self._sheet(points))


def _joined(points: Float) -> str:
    return " ".join(f"{x:.2f},{y:.2f}" for x, y in points)
