"""The ChArUco board and how a picture sees it: corners to a fraction of a pixel, and how sharp they are."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from openaisle.calibrate.films import Grey, doubled, rescaled
from openaisle.errors import Problem, RecordingError
from openaisle.store.geometry import Float

MARKERS = cv2.aruco.getPredefinedDictionary(cv2.aruco.DICT_4X4_100)  # few, large cells: read from afar
MARKER_SHARE = 0.75  # side of a marker per side of a square
LEAST_CORNERS = 6  # of a view; fewer say little about the lens
EDGE_PX = 4  # half the window in which an edge is measured


@dataclass(frozen=True)
class View:
    """A board seen in one picture."""

    ids: NDArray[np.int32]  # [n] of inner corners
    corners_px: Float  # [n, 2] in the film's pixels
    outline_px: Float  # [4, 2] of the whole board: where it lies and how it is tilted
    blur_px: float  # width of its edges
    where: str = ""  # film and picture


@dataclass(frozen=True)
class Board:
    """A ChArUco board of so many squares; its unit of length is a square, which intrinsics do not depend on."""

    columns: int = 5
    rows: int = 7

    @cached_property
    def drawn(self) -> cv2.aruco.CharucoBoard:
        """The board as OpenCV knows it."""
        return cv2.aruco.CharucoBoard((self.columns, self.rows), 1.0, MARKER_SHARE, MARKERS)

    @cached_property
    def points(self) -> NDArray[np.float32]:
        """Inner corners [n, 3] in squares."""
        return np.asarray(self.drawn.getChessboardCorners(), np.float32)

    @cached_property
    def _detector(self) -> cv2.aruco.CharucoDetector:
        return cv2.aruco.CharucoDetector(self.drawn)

    def markers(self) -> list[NDArray[np.bool_]]:
        """Cells of each marker, bool [6, 6], True = black, the border included."""
        ids = np.asarray(self.drawn.getIds()).ravel()
        side = MARKERS.markerSize + 2
        return [np.asarray(cv2.aruco.generateImageMarker(MARKERS, int(n), side, borderBits=1) < 128) for n in ids]

    def marker_places(self) -> Float:
        """Top left corner of each marker, [n, 2] in squares from the top left, y down."""
        return np.array([corners[0][:2] for corners in self.drawn.getObjPoints()], np.float64)

    def find(self, grey: Grey, where: str = "") -> View | None:
        """The board in a picture, or None when it is not seen well enough to say anything."""
        large, factor = doubled(grey)
        found, ids, _, _ = self._detector.detectBoard(large)
        if ids is None or len(ids) < LEAST_CORNERS:
            return None
        numbers, corners = np.asarray(ids, np.int32).ravel(), np.asarray(found, np.float64).reshape(-1, 2)
        flat = self.points[numbers, :2].astype(np.float64)
        if len(np.unique(flat[:, 0])) < 2 or len(np.unique(flat[:, 1])) < 2:
            return None  # a single row: any tilt would fit
        plane, _ = cv2.findHomography(flat, corners)
        if plane is None:
            return None
        sheet = np.array([[0, 0], [self.columns, 0], [self.columns, self.rows], [0, self.rows]], np.float64)
        outline = np.asarray(cv2.perspectiveTransform(sheet[:, None], plane), np.float64)[:, 0]
        blur = _blur(large, corners) / factor
        return View(numbers, rescaled(corners, 1 / factor), rescaled(outline, 1 / factor), blur, where)


def board(squares: str) -> Board:
    """A board from words such as 5x7; raises RecordingError for impossible ones."""
    match = re.fullmatch(r"(\d{1,2})x(\d{1,2})", squares.strip().lower())
    columns, rows = (int(match[1]), int(match[2])) if match else (0, 0)
    if min(columns, rows) < 3 or columns * rows // 2 > MARKERS.bytesList.shape[0]:
        fix = "write columns x rows, such as 5x7: at least 3 each, at most 200 squares"
        raise RecordingError([Problem("--squares", "word", f"{squares!r} is no board", fix)])
    return Board(columns, rows)


def _blur(grey: Grey, corners: Float) -> float:
    """Width of the edges at the corners in pixels: contrast over steepest slope; the median of all corners."""
    slope = np.hypot(cv2.Sobel(grey, cv2.CV_32F, 1, 0, scale=1 / 8), cv2.Sobel(grey, cv2.CV_32F, 0, 1, scale=1 / 8))
    widths: list[float] = []
    for x, y in np.rint(corners).astype(int):
        rows, columns = slice(max(y - EDGE_PX, 0), y + EDGE_PX + 1), slice(max(x - EDGE_PX, 0), x + EDGE_PX + 1)
        patch = grey[rows, columns]
        if patch.size:
            steepest = float(slope[rows, columns].max())
            widths.append(float(np.ptp(patch.astype(np.float64))) / max(steepest, 1e-3))
    return float(np.median(widths)) if widths else float("inf")
