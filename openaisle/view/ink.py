"""Ink: the colours, fonts and few strokes that all pictures share; a canvas is rgb uint8 [H, W, 3]."""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

Canvas = NDArray[np.uint8]
Rgb = tuple[int, int, int]

PAPER: Rgb = (24, 26, 32)
CARD: Rgb = (38, 41, 50)
TEXT: Rgb = (236, 238, 242)
FAINT: Rgb = (150, 156, 168)
TAKE: Rgb = (92, 214, 120)
RETURN: Rgb = (255, 170, 64)
# One per visit, in order; bright enough on dark and on shop pictures (after Tableau's and Okabe and Ito's lists).
VISITS: tuple[Rgb, ...] = (
    (86, 180, 233), (255, 158, 44), (60, 200, 140), (240, 110, 170), (245, 225, 80),
    (180, 140, 255), (255, 105, 97), (120, 220, 220), (200, 215, 120), (210, 160, 120),
)  # fmt: skip


def visit_colour(index: int) -> Rgb:
    """Colour of the index-th visit; people without a visit have index -1 and are grey."""
    return VISITS[index % len(VISITS)] if index >= 0 else (190, 190, 190)


@cache
def _font() -> cv2.FontFace:
    return cv2.FontFace("sans")  # contained in OpenCV 5; knows Latin, Greek and Cyrillic letters and currency signs


def write(canvas: Canvas, text: str, at: tuple[float, float], size: int, colour: Rgb = TEXT, bold: bool = False) -> int:
    """Write text with its baseline's left end at (x, y) pixels; returns its width in pixels."""
    weight = 700 if bold else 400
    cv2.putText(canvas, text, (round(at[0]), round(at[1])), colour, _font(), size, weight)
    return width_of(text, size, bold)


def width_of(text: str, size: int, bold: bool = False) -> int:
    """Width of a text in pixels."""
    box = cv2.getTextSize((0, 0), text, (0, 0), _font(), size, 700 if bold else 400)
    return int(box[2])


def write_right(canvas: Canvas, text: str, at: tuple[float, float], size: int, colour: Rgb = TEXT) -> None:
    """Write text with its baseline's right end at (x, y) pixels."""
    write(canvas, text, (at[0] - width_of(text, size), at[1]), size, colour)


def shortened(text: str, size: int, width: float) -> str:
    """The text, cut with an ellipsis so that it is at most `width` pixels wide."""
    if width_of(text, size) <= width:
        return text
    while text and width_of(text + "…", size) > width:
        text = text[:-1]
    return text.rstrip() + "…"


def tag(canvas: Canvas, text: str, at: tuple[float, float], size: int, colour: Rgb) -> None:
    """A label on a coloured plate, its lower left corner at (x, y) pixels."""
    x, y = round(at[0]), round(at[1])
    width = width_of(text, size, bold=True) + size // 2
    cv2.rectangle(canvas, (x, y - round(1.25 * size)), (x + width, y), colour, cv2.FILLED)
    write(canvas, text, (x + size // 4, y - size // 4), size, PAPER, bold=True)


def polyline(canvas: Canvas, points_px: ArrayLike, colour: Rgb, width: int = 1, closed: bool = False) -> None:
    """A line through pixels [n, 2]."""
    points = np.round(np.asarray(points_px)).astype(np.int32).reshape(-1, 1, 2)
    if len(points) > 1:
        cv2.polylines(canvas, [points], closed, colour, width, cv2.LINE_AA)


def glow(canvas: Canvas, polygon_px: ArrayLike, colour: Rgb, share: float) -> None:
    """Tint the inside of a polygon of pixels [n, 2]; share 0 = not at all, 1 = opaque."""
    points = np.round(np.asarray(polygon_px)).astype(np.int32)
    height, width = canvas.shape[:2]
    x, y, w, h = cv2.boundingRect(points)
    left, top, right, bottom = max(x, 0), max(y, 0), min(x + w, width), min(y + h, height)
    if left >= right or top >= bottom:
        return
    part = canvas[top:bottom, left:right]
    mask = np.zeros(part.shape[:2], dtype=np.uint8)
    cv2.fillPoly(mask, [points - [left, top]], 255)
    inside = mask > 0
    part[inside] = (part[inside] * (1 - share) + np.array(colour) * share).astype(np.uint8)
