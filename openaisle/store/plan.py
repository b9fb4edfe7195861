"""The floor plan as a drawing: fixtures, lanes coloured by how many cameras see them, cameras, gates; SVG or PNG.

Lanes of all shelves are shown inside their fixture's footprint, one row a shelf, the lowest at the front.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from xml.sax.saxutils import escape

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from openaisle.errors import Problem, StoreError
from openaisle.store.check_geometry import footprint
from openaisle.store.coverage import coverage
from openaisle.store.geometry import Camera, Float, apply
from openaisle.store.store import Store, world_from_fixture

Colour = tuple[int, int, int]
# Lanes seen by no, one, two, three or more cameras; also told apart by lightness, for the colour-blind.
SEEN: tuple[Colour, ...] = ((200, 30, 45), (244, 165, 66), (150, 205, 140), (44, 130, 90))
GATES: dict[str, Colour] = {"entry": (30, 120, 220), "exit": (200, 60, 160), "both": (90, 80, 200)}
INK: Colour = (40, 44, 52)
FLOOR: Colour = (250, 249, 246)
CAMERA: Colour = (60, 90, 160)
MARGIN_M = 0.6
CONE_M = 1.4  # longest drawn reach of a view cone; real reach is in `aisle store coverage`
LEGEND_M = 0.45


@dataclass(frozen=True)
class Shape:
    """A polygon, a line (two points, not filled) or a text, in drawing metres (y down)."""

    points: Float  # [n, 2]
    fill: Colour | None = None
    line: Colour | None = None
    width_m: float = 0.012
    opacity: float = 1.0
    words: str = ""
    size_m: float = 0.12


@dataclass
class Drawing:
    """Shapes back to front on a white sheet; width and height in metres."""

    width_m: float
    height_m: float
    shapes: list[Shape] = field(default_factory=list)

    def svg(self, pixels_per_m: float = 80.0) -> str:
        """The drawing as an SVG document."""
        size = f'width="{self.width_m * pixels_per_m:.0f}" height="{self.height_m * pixels_per_m:.0f}"'
        head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} viewBox="0 0 {self.width_m:.3f} {self.height_m:.3f}">'
        sheet = '<rect width="100%" height="100%" fill="#ffffff"/>'
        return "\n".join([head, sheet, *(_svg_shape(shape) for shape in self.shapes), "</svg>", ""])

    def rgb(self, pixels_per_m: float) -> NDArray[np.uint8]:
        """The drawing as a picture, rgb uint8 [H, W, 3]."""
        sheet = np.full((round(self.height_m * pixels_per_m), round(self.width_m * pixels_per_m), 3), 255, np.uint8)
        for shape in self.shapes:
            _paint(sheet, shape, pixels_per_m)
        return sheet


def plan_svg(store: Store) -> str:
    """The plan of a store as an SVG document."""
    return draw_plan(store).svg()


def plot_plan(store: Store, path: str | Path) -> None:
    """Write the plan as .svg or .png (longer side about 1,600 pixels); raises StoreError for other endings."""
    target = Path(path)
    drawing = draw_plan(store)
    if target.suffix.lower() == ".svg":
        target.write_text(drawing.svg(), encoding="utf-8")
    elif target.suffix.lower() == ".png":
        rgb = drawing.rgb(1600 / max(drawing.width_m, drawing.height_m))
        done, data = cv2.imencode(".png", np.ascontiguousarray(rgb[:, :, ::-1]))
        assert done, "PNG encoding of a uint8 picture cannot fail"
        target.write_bytes(data.tobytes())
    else:
        what = f"cannot draw a plan as {target.suffix or 'a file without an ending'}"
        raise StoreError([Problem(str(target), "file name", what, "end the name in .svg or .png")])


def draw_plan(store: Store) -> Drawing:
    """Everything a plan shows, as shapes."""
    corners = np.asarray(store.spec.floor_m)
    low, high = corners.min(axis=0) - MARGIN_M, corners.max(axis=0) + MARGIN_M
    drawing = Drawing(float(high[0] - low[0]), float(high[1] - low[1]) + LEGEND_M)

    def sheet(points: ArrayLike) -> Float:
        """World [n, 2+] to the sheet: y up becomes y down."""
        world = np.asarray(points, dtype=np.float64)
        return np.stack([world[:, 0] - low[0], high[1] - world[:, 1]], axis=1)

    drawing.shapes.append(Shape(sheet(corners), FLOOR, INK, 0.05))
    seen = coverage(store)
    _draw_fixtures(drawing, store, seen.lane_cameras, sheet)
    for gate in store.spec.gates:
        ends = sheet([gate.a_m, gate.b_m])
        drawing.shapes.append(Shape(ends, None, GATES[gate.kind], 0.09))
        label = ends.mean(axis=0, keepdims=True) + np.array([0.0, 0.24])
        drawing.shapes.append(Shape(label, None, GATES[gate.kind], words=gate.id, size_m=0.16))
    for camera in store.cameras:
        cone = np.clip(view_cone(camera), low + MARGIN_M, high - MARGIN_M)
        drawing.shapes.append(Shape(sheet(cone), CAMERA, CAMERA, 0.008, 0.13))
    for camera in store.cameras:
        at = camera.world_from_camera[None, :2, 3]
        turn = np.linspace(0, 2 * np.pi, 13)[:-1]
        drawing.shapes.append(Shape(sheet(at + 0.07 * np.stack([np.cos(turn), np.sin(turn)], axis=1)), CAMERA))
        drawing.shapes.append(Shape(sheet(at + np.array([0.0, 0.11])), None, CAMERA, words=camera.id, size_m=0.13))
    _draw_legend(drawing, store, seen.floor_one, seen.floor_two)
    return drawing


def view_cone(camera: Camera) -> Float:
    """What the camera looks at, as a polygon [n, 2] on the floor, cut off at CONE_M around the camera."""
    w, h = camera.width_px - 1.0, camera.height_px - 1.0
    along = np.linspace(0, 1, 9)[:-1]
    border = np.concatenate(
        [np.c_[along * w, 0 * along], np.c_[0 * along + w, along * h], np.c_[w - along * w, 0 * along + h],
         np.c_[0 * along, h - along * h]]
    )  # fmt: skip
    eye, rays = camera.unproject(border)
    drop = np.where(rays[:, 2] < -1e-3, -eye[2] / np.minimum(rays[:, 2], -1e-3), np.inf)
    flat = np.linalg.norm(rays[:, :2], axis=1)
    reach = np.minimum(drop * flat, CONE_M) / np.maximum(flat, 1e-9)
    ends = eye[:2] + rays[:, :2] * reach[:, None]
    hull = cv2.convexHull(np.concatenate([ends, eye[None, :2]]).astype(np.float32))
    return np.asarray(hull, dtype=np.float64).reshape(-1, 2)


def _draw_fixtures(
    drawing: Drawing, store: Store, lane_cameras: NDArray[np.int32], sheet: Callable[[ArrayLike], Float]
) -> None:
    index = 0
    for fixture in store.spec.fixtures:
        pose, w, d = world_from_fixture(fixture), fixture.width_m, fixture.depth_m
        body = sheet(footprint(fixture))
        drawing.shapes.append(Shape(body, fixture.colour, INK, 0.015))
        rows = sorted(range(len(fixture.shelves)), key=lambda s: fixture.shelves[s].z_m)
        for s, shelf in enumerate(fixture.shelves):
            row = rows.index(s)
            y0, y1 = (d * 0.94 * (row + side) / len(rows) + d * 0.02 for side in (0.06, 0.94))
            for lane in shelf.lanes:
                x0, x1 = shelf.x_m + lane.x_m, shelf.x_m + lane.x_m + lane.width_m
                cell = sheet(apply(pose, [[x0, y0, 0], [x1, y0, 0], [x1, y1, 0], [x0, y1, 0]]))
                drawing.shapes.append(Shape(cell, SEEN[min(int(lane_cameras[index]), 3)], FLOOR, 0.006))
                index += 1
        front = body[:2]
        doors = (90, 150, 235) if fixture.doors else INK
        drawing.shapes.append(Shape(front, None, doors, 0.05 if fixture.doors else 0.03))
        words = f"{fixture.id} {fixture.kind}"
        # Further away where the front runs up the sheet, so that the words stay beside the fixture.
        aside = 0.12 + 0.035 * len(words) * abs(pose[0, 1])
        middle = sheet(apply(pose, [[w / 2, -aside, 0.0]])) + np.array([0.0, 0.05])
        drawing.shapes.append(Shape(middle, None, INK, words=words, size_m=0.12))


def _draw_legend(drawing: Drawing, store: Store, one: float, two: float) -> None:
    y = drawing.height_m - LEGEND_M * 0.6
    size = min(0.16, drawing.width_m / 34)
    x = 0.2
    for count, words in enumerate(("0", "1", "2", "3+ cameras see the lane")):
        box = np.array([[x, y - size], [x + size, y - size], [x + size, y], [x, y]])
        drawing.shapes.append(Shape(box, SEEN[count], INK))
        half = len(words) * size * 0.34
        label = np.array([[x + size * 1.4 + half, y - size * 0.1]])
        drawing.shapes.append(Shape(label, None, INK, words=words, size_m=size))
        x += size * 3.4
    words = f"{store.spec.name}: floor seen by one camera {one:.0%}, by two {two:.0%}"
    title = np.array([[drawing.width_m / 2, 0.3]])
    size = min(0.18, drawing.width_m / len(words) * 1.25)
    drawing.shapes.append(Shape(title, None, INK, words=words, size_m=size))


def _svg_shape(shape: Shape) -> str:
    def paint(colour: Colour | None) -> str:
        return "none" if colour is None else "#{:02x}{:02x}{:02x}".format(*colour)

    if shape.words:
        x, y = shape.points[0]
        font = f'font-size="{shape.size_m:.3f}" font-family="sans-serif" text-anchor="middle"'
        return f'<text x="{x:.3f}" y="{y:.3f}" {font} fill="{paint(shape.line)}">{escape(shape.words)}</text>'
    points = " ".join(f"{x:.3f},{y:.3f}" for x, y in shape.points)
    tag = "polygon" if len(shape.points) > 2 else "polyline"
    style = f'fill="{paint(shape.fill)}" fill-opacity="{shape.opacity:g}" stroke="{paint(shape.line)}"'
    return f'<{tag} points="{points}" {style} stroke-width="{shape.width_m:g}"/>'


def _paint(sheet: NDArray[np.uint8], shape: Shape, scale: float) -> None:
    at = np.round(shape.points * scale * 16).astype(np.int32)  # 4 fractional bits
    thick = max(1, round(shape.width_m * scale))
    if shape.words:
        size = shape.size_m * scale / 22  # Hershey letters are about 22 pixels high at size 1
        (wide, _), _ = cv2.getTextSize(shape.words, cv2.FONT_HERSHEY_SIMPLEX, size, 1)
        x, y = shape.points[0] * scale
        at_px = (round(x - wide / 2), round(y))
        weight = 2 if size > 0.75 else 1
        ink = shape.line or INK
        cv2.putText(sheet, shape.words, at_px, cv2.FONT_HERSHEY_SIMPLEX, size, ink, weight, cv2.LINE_AA)
        return
    if shape.fill is not None:
        over = sheet.copy() if shape.opacity < 1 else sheet
        cv2.fillPoly(over, [at.reshape(-1, 1, 2)], shape.fill, cv2.LINE_AA, 4)
        if shape.opacity < 1:
            sheet[:] = cv2.addWeighted(over, shape.opacity, sheet, 1 - shape.opacity, 0)
    if shape.line is not None:
        closed = len(shape.points) > 2
        cv2.polylines(sheet, [at.reshape(-1, 1, 2)], closed, shape.line, thick, cv2.LINE_AA, 4)
