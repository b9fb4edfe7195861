"""Plan: the shop from above with its people, drawn into a corner of a picture."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from openaisle.store.geometry import apply
from openaisle.store.schema import FixtureSpec
from openaisle.store.store import Store, world_from_fixture
from openaisle.view import ink
from openaisle.view.scene import FLASH_NS, TRAIL_NS
from openaisle.view.timeline import FLOOR, LEFT, RIGHT, Timeline

MARGIN_PX = 10


@dataclass(frozen=True)
class Frame:
    """Maps store metres (x right, y up) into a rectangle of pixels (y down)."""

    origin_px: NDArray[np.float64]  # [2] pixel of the plan's lower left corner
    low_m: NDArray[np.float64]  # [2] metres there
    scale: float  # pixels per metre

    def place(self, points_m: ArrayLike) -> NDArray[np.float64]:
        """Metres [..., 2 or more] to pixels [..., 2]."""
        offset = (np.asarray(points_m, dtype=np.float64)[..., :2] - self.low_m) * self.scale
        return self.origin_px + offset * [1, -1]


def fit(store: Store, left: int, top: int, width: int, height: int) -> Frame:
    """The frame that centres the store in a rectangle of pixels."""
    floor = np.array(store.spec.floor_m)
    low, size = floor.min(axis=0), np.ptp(floor, axis=0)
    scale = float(min((width - 2 * MARGIN_PX) / size[0], (height - 2 * MARGIN_PX) / size[1]))
    origin = np.array([left + (width - size[0] * scale) / 2, top + (height + size[1] * scale) / 2])
    return Frame(origin, low, scale)


def footprint(fixture: FixtureSpec) -> NDArray[np.float64]:
    """Corners [4, 3] of a fixture on the floor; the first two are its front edge."""
    w, d = fixture.width_m, fixture.depth_m
    return apply(world_from_fixture(fixture), np.array([[0, 0, 0], [w, 0, 0], [w, d, 0], [0, d, 0]]))


def draw_plan(canvas: ink.Canvas, frame: Frame, timeline: Timeline, time_ns: int) -> None:
    """Floor, fixtures, gates, recent events and everybody who is there."""
    store = timeline.store
    floor = frame.place(store.spec.floor_m).round().astype(np.int32)
    cv2.fillPoly(canvas, [floor], (52, 56, 66), cv2.LINE_AA)
    for fixture in store.spec.fixtures:
        corners = frame.place(footprint(fixture))
        cv2.fillPoly(canvas, [corners.round().astype(np.int32)], (92, 97, 110), cv2.LINE_AA)
        ink.polyline(canvas, corners[:2], (160, 166, 180), 2)
    for gate in store.spec.gates:
        ink.polyline(canvas, frame.place([gate.a_m, gate.b_m]), (120, 200, 160), 3)
    for happening in timeline.happenings(time_ns - FLASH_NS, time_ns):
        if happening.lane in store.lane_index:
            at = frame.place(store.lanes[store.lane_index[happening.lane]].centre_m)
            colour = ink.TAKE if happening.quantity > 0 else ink.RETURN
            cv2.circle(canvas, (round(at[0]), round(at[1])), 7, colour, 2, cv2.LINE_AA)
    _draw_people(canvas, frame, timeline, time_ns)


def _draw_people(canvas: ink.Canvas, frame: Frame, timeline: Timeline, time_ns: int) -> None:
    visits, symbols = timeline.visits, timeline.symbols()
    for body in timeline.bodies_at(time_ns):
        colour = ink.visit_colour(visits.index(body.visit) if body.visit in visits else -1)
        points = frame.place(body.points_m)
        ink.polyline(canvas, frame.place(timeline.trail(body.track, time_ns, TRAIL_NS)), colour, 1)
        for hand in (LEFT, RIGHT):
            ink.polyline(canvas, points[[FLOOR, hand]], colour, 2)
        x, y = round(points[FLOOR, 0]), round(points[FLOOR, 1])
        cv2.circle(canvas, (x, y), 9, colour, cv2.FILLED, cv2.LINE_AA)
        label = symbols.get(body.visit, "?")
        ink.write(canvas, label, (x - ink.width_of(label, 12, True) / 2, y + 4), 12, ink.PAPER, bold=True)
