"""Overlay: what the live state knows of people, drawn over the cameras' small pictures: boxes, heads and hands.

SVG in pixels of the camera, so that it fits whatever size the picture is shown in. Colours are those of the plan.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape

import numpy as np
from numpy.typing import NDArray

from openaisle.service.floor import Tint
from openaisle.service.stills import HEAD_M
from openaisle.service.tracks import Person, Point3
from openaisle.store.geometry import Camera
from openaisle.store.store import Store

BODY_M = 0.25  # half the width of a body
CROWN_M = 0.14  # of a head above its centre
HAND_M = 0.06
NEAREST_M = 0.1  # what is nearer to a camera cannot be drawn
CORNERS = np.array([(x, y) for x in (-1.0, 1.0) for y in (-1.0, 1.0)]) * BODY_M
Float = NDArray[np.float64]


class Overlays:
    """Draws on the cameras of one store."""

    def __init__(self, store: Store) -> None:
        self._cameras = {camera.id: camera for camera in store.cameras}

    def size(self, camera: str) -> tuple[int, int]:
        """Width and height of a camera's pictures, pixels; of a camera that the store does not have, 4 to 3."""
        known = self._cameras.get(camera)
        return (known.width_px, known.height_px) if known is not None else (4, 3)

    def draw(self, camera: str, people: Iterable[Person], marks: Mapping[str, Tint]) -> str:
        """Everybody whom a camera sees, as far as it sees them."""
        known = self._cameras.get(camera)
        if known is None:
            return ""
        drawn = "".join(_person(known, person, marks.get(person.visit)) for person in people)
        return f'<svg class="over" viewBox="0 0 {known.width_px} {known.height_px}" aria-hidden="true">{drawn}</svg>'


def _person(camera: Camera, person: Person, mark: Tint | None) -> str:
    if person.head_m is None:  # told by a version that did not know
        return ""
    box = _box(camera, person.head_m)
    if box is None:
        return ""
    x0, y0, x1, y1 = box
    colour = f"c{mark.colour}" if mark else "c-unknown"
    size = camera.width_px / 12  # of letters: they are to be read on a picture as wide as a stamp
    label = str(mark.number) if mark else "?"
    parts = [f'<rect class="box" x="{x0:.0f}" y="{y0:.0f}" width="{x1 - x0:.0f}" height="{y1 - y0:.0f}"/>']
    parts += [_circle(camera, "head", person.head_m, HEAD_M / 2)]
    parts += [_circle(camera, "palm", hand, HAND_M) for hand in person.reach_m]
    parts += [f'<text class="tag" x="{x0:.0f}" y="{max(y0, size):.0f}" font-size="{size:.0f}">{escape(label)}</text>']
    return f'<g class="{colour}" data-visit="{escape(person.visit)}">{"".join(parts)}</g>'


def _box(camera: Camera, head_m: Point3) -> tuple[float, float, float, float] | None:
    """Around a body that stands under a head, cut off where the picture ends; None when no part of it is seen."""
    top = head_m[2] + CROWN_M
    points = np.array([(head_m[0] + x, head_m[1] + y, z) for x, y in CORNERS for z in (0.0, top / 2, top)])
    if not camera.sees(points).any():
        return None
    near = camera.sees(points, -float(camera.width_px))  # what is outside counts, but not where the lens folds back
    inside = np.clip(camera.project(points[near])[0], (0, 0), (camera.width_px, camera.height_px))
    (x0, y0), (x1, y1) = inside.min(axis=0), inside.max(axis=0)
    return float(x0), float(y0), float(x1), float(y1)


def _circle(camera: Camera, name: str, at_m: Point3, radius_m: float) -> str:
    at = np.asarray(at_m)
    if not bool(camera.sees(at)):
        return ""
    pixel, depth = camera.project(at)
    radius = max(camera.width_px / 60, radius_m / max(float(depth), NEAREST_M) * camera.fx_px)
    return f'<circle class="{name}" cx="{pixel[0]:.0f}" cy="{pixel[1]:.0f}" r="{radius:.0f}"/>'
