"""Scene: draws people, hands and lanes into one camera's picture, by the camera's own calibration."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from openaisle.messages import NANOSECONDS
from openaisle.store.geometry import Camera, apply
from openaisle.store.store import Lane
from openaisle.view import ink
from openaisle.view.timeline import FLOOR, HEAD, LEFT, RIGHT, Body, Happening, Timeline

TRAIL_NS = 3 * NANOSECONDS
FLASH_NS = 2 * NANOSECONDS  # a lane glows for this long after an event
HALF_WIDTH_M = 0.27  # half the width of the box around a person
CROWN_M = 0.13  # from the centre of the head to its top


@dataclass(frozen=True)
class Stage:
    """A camera's picture on its way to the canvas: `scale` canvas pixels per camera pixel."""

    canvas: ink.Canvas
    camera: Camera
    scale: float

    def place(self, points_m: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """World points [n, 3] to canvas pixels [n, 2] and whether each is in the picture or close to it."""
        pixels, _ = self.camera.project(points_m)
        near = self.camera.sees(points_m, margin_px=-0.25 * self.camera.width_px)
        return (pixels + 0.5) * self.scale - 0.5, near


def draw_scene(stage: Stage, timeline: Timeline, time_ns: int) -> None:
    """Draw everything of an instant into a camera's picture."""
    for happening in timeline.happenings(time_ns - FLASH_NS, time_ns):
        if happening.lane in timeline.store.lane_index:
            _flash(stage, timeline, happening, 1 - (time_ns - happening.time_ns) / FLASH_NS)
    visits = timeline.visits
    for body in timeline.bodies_at(time_ns):
        index = visits.index(body.visit) if body.visit in visits else -1
        _person(stage, timeline, body, index, time_ns)


def _flash(stage: Stage, timeline: Timeline, happening: Happening, freshness: float) -> None:
    lane = timeline.store.lanes[timeline.store.lane_index[happening.lane]]
    corners, near = stage.place(_lane_outline(lane))
    if not near.all():
        return
    colour = ink.TAKE if happening.quantity > 0 else ink.RETURN
    ink.glow(stage.canvas, corners, colour, 0.55 * freshness)
    ink.polyline(stage.canvas, corners, colour, 2, closed=True)
    ink.tag(stage.canvas, f"{happening.quantity:+d}", (corners[:, 0].mean(), corners[:, 1].min() - 2), 13, colour)


def _lane_outline(lane: Lane) -> NDArray[np.float64]:
    """Corners [4, 3] of the lane's surface in the world."""
    width, depth, _ = lane.size_m
    return apply(lane.world_from_lane, np.array([[0, 0, 0], [width, 0, 0], [width, depth, 0], [0, depth, 0]]))


def _person(stage: Stage, timeline: Timeline, body: Body, index: int, time_ns: int) -> None:
    colour = ink.visit_colour(index)
    trail, near = stage.place(timeline.trail(body.track, time_ns, TRAIL_NS))
    if near.all():
        ink.polyline(stage.canvas, trail, colour, 1)
    points, near = stage.place(body.points_m)
    if near[FLOOR]:
        centre = (round(points[FLOOR, 0]), round(points[FLOOR, 1]))
        cv2.circle(stage.canvas, centre, max(2, round(3 * stage.scale)), colour, cv2.FILLED, cv2.LINE_AA)
    for hand in (LEFT, RIGHT):
        if near[hand] and near[HEAD]:
            ink.polyline(stage.canvas, points[[HEAD, hand]], colour, 1)
            at = (round(points[hand, 0]), round(points[hand, 1]))
            cv2.circle(stage.canvas, at, max(3, round(3.5 * stage.scale)), ink.PAPER, cv2.FILLED, cv2.LINE_AA)
            cv2.circle(stage.canvas, at, max(2, round(2.5 * stage.scale)), colour, cv2.FILLED, cv2.LINE_AA)
    box, near = stage.place(_box(body.points_m))
    if near.mean() > 0.5:
        _frame(stage, box[near], timeline.symbols().get(body.visit, "?"), colour)


def _box(points_m: NDArray[np.float64]) -> NDArray[np.float64]:
    """Corners [8, 3] of the upright box around a person."""
    floor, head = points_m[FLOOR], points_m[HEAD]
    middle = (floor[:2] + head[:2]) / 2
    half = HALF_WIDTH_M + np.linalg.norm(head[:2] - floor[:2]) / 2
    top = max(head[2] + CROWN_M, 0.3)
    return np.array(
        [[middle[0] + x, middle[1] + y, z] for x in (-half, half) for y in (-half, half) for z in (0.0, top)]
    )


def _frame(stage: Stage, box_px: NDArray[np.float64], label: str, colour: ink.Rgb) -> None:
    height, width = stage.canvas.shape[:2]
    low = np.clip(box_px.min(axis=0), 1, [width - 2, height - 2]).round().astype(int)
    high = np.clip(box_px.max(axis=0), 1, [width - 2, height - 2]).round().astype(int)
    if (high - low).min() < 4:
        return
    cv2.rectangle(stage.canvas, tuple(low), tuple(high), colour, 1, cv2.LINE_AA)
    ink.tag(stage.canvas, label, (float(low[0]), float(max(low[1], 18))), 14, colour)
