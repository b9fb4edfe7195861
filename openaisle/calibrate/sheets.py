"""Sheets to print: a ChArUco board and AprilTags, as vectors in true millimetres, with a ruler to check the print."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from openaisle.calibrate.board import MARKER_SHARE, Board
from openaisle.calibrate.tags import TAGS
from openaisle.errors import MissingExtraError, Problem, RecordingError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PAPERS_MM = {
    "a4": (210.0, 297.0), "a3": (297.0, 420.0), "a2": (420.0, 594.0), "a1": (594.0, 841.0), "a0": (841.0, 1189.0),
    "letter": (215.9, 279.4), "tabloid": (279.4, 431.8),
}  # fmt: skip
MARGIN_MM = 10.0  # what office printers cannot print on
FOOT_MM = 14.0  # words and ruler
MM_PER_INCH = 25.4
TAG_SHARE = 0.8  # of a tag's sheet; the rest is the white rim that detection needs (one cell of eight) and words


@dataclass(frozen=True, slots=True)
class Sheet:
    """A sheet of paper of this size."""

    width_mm: float
    height_mm: float


def paper(name: str) -> Sheet:
    """A sheet by its name; raises RecordingError for an unknown one."""
    if name.lower() not in PAPERS_MM:
        raise RecordingError([Problem("--paper", "word", f"{name!r} is not known", f"one of {', '.join(PAPERS_MM)}")])
    return Sheet(*PAPERS_MM[name.lower()])


def numbers(words: str) -> list[int]:
    """Numbers from words such as 0:12 (the end left out) or 3,5,8; raises RecordingError."""
    try:
        first, colon, end = words.partition(":")
        return list(range(int(first), int(end))) if colon else [int(word) for word in words.split(",")]
    except ValueError as error:
        raise RecordingError([Problem("--ids", "numbers", f"{words!r} is unclear", "write 0:12, or 3,5,8")]) from error


def board_square_mm(board: Board, sheet: Sheet) -> float:
    """Side of the largest squares, in whole millimetres, with which the board fits on the sheet."""
    across = (sheet.width_mm - 2 * MARGIN_MM) / board.columns
    down = (sheet.height_mm - 2 * MARGIN_MM - FOOT_MM) / board.rows
    return float(np.floor(min(across, down)))


def write_board(board: Board, sheet: Sheet, out: Path) -> float:
    """Write the board as PDF, SVG or PNG (300 dpi); returns the side of its squares in millimetres."""
    _check_suffix(out, (".pdf", ".svg", ".png"))
    square = board_square_mm(board, sheet)
    figure, axes = _sheet(sheet)
    left = (sheet.width_mm - square * board.columns) / 2
    top = sheet.height_mm - MARGIN_MM
    for row in range(board.rows):
        for column in range(board.columns):
            x, y = left + column * square, top - (row + 1) * square
            if (row + column) % 2 == 0:
                _black(axes, x, y, square)
    side = square * MARKER_SHARE
    for cells, (x, y) in zip(board.markers(), board.marker_places(), strict=True):
        _cells(axes, cells, left + x * square, top - y * square - side, side)
    words = f"OpenAisle ChArUco board, {board.columns}x{board.rows} squares of {square:g} mm"
    _foot(axes, sheet, f"{words}. Print at 100 %, glue onto something flat and stiff.")
    _save(figure, out)
    return square


def write_tags(ids: Sequence[int], size_mm: float, sheet: Sheet, out: Path) -> None:
    """Write one AprilTag (36h11) a page as PDF; `size_mm` is the side of its black square."""
    _check_suffix(out, (".pdf",))
    wrong = [number for number in ids if not 0 <= number < TAGS.bytesList.shape[0]]
    most = min(sheet.width_mm - 2 * MARGIN_MM, sheet.height_mm - 2 * MARGIN_MM - 2 * FOOT_MM) * TAG_SHARE
    if wrong or not ids:
        what = f"there is no tag {wrong[0]}" if wrong else "no tags are asked for"
        raise RecordingError([Problem("--ids", "numbers", what, "choose from 0 to 586, such as 0:12")])
    if not 10 <= size_mm <= most:
        fix = f"at most {most:.0f} mm on this paper, at least 10 mm"
        raise RecordingError([Problem("--size-mm", "number", f"{size_mm:g} mm does not fit", fix)])
    try:
        from matplotlib.backends.backend_pdf import PdfPages
    except ImportError as error:
        raise MissingExtraError("matplotlib", "calibrate") from error
    with PdfPages(out, metadata={"CreationDate": None}) as pages:
        for number in ids:
            pages.savefig(tag_page(number, size_mm, sheet))


def tag_page(number: int, size_mm: float, sheet: Sheet) -> Figure:
    """One tag in the middle of its sheet, with its number, its size, and which way is up."""
    figure, axes = _sheet(sheet)
    left, low = (sheet.width_mm - size_mm) / 2, (sheet.height_mm - size_mm) / 2 + FOOT_MM / 2
    _cells(axes, tag_cells(number), left, low, size_mm)
    _text(axes, sheet.width_mm / 2, low + size_mm * 1.18, f"▲ top   ·   tag {number}", 16.0)
    _foot(axes, sheet, f"OpenAisle AprilTag 36h11, id {number}, black square {size_mm:g} mm. Print at 100 %.")
    return figure


def tag_cells(number: int) -> NDArray[np.bool_]:
    """A tag's cells, bool [8, 8], True = black, the border included."""
    side = TAGS.markerSize + 2
    return np.asarray(cv2.aruco.generateImageMarker(TAGS, number, side, borderBits=1) < 128)


def _sheet(sheet: Sheet) -> tuple[Figure, Axes]:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError("matplotlib", "calibrate") from error
    figure = Figure(figsize=(sheet.width_mm / MM_PER_INCH, sheet.height_mm / MM_PER_INCH))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_xlim(0, sheet.width_mm)
    axes.set_ylim(0, sheet.height_mm)
    axes.set_axis_off()
    return figure, axes


def _black(axes: Axes, x: float, y: float, width: float, height: float | None = None) -> None:
    from matplotlib.patches import Rectangle

    rectangle = Rectangle((x, y), width, width if height is None else height, facecolor="black", edgecolor="none")
    rectangle.set_antialiased(False)  # no hairlines between cells
    axes.add_patch(rectangle)


def _cells(axes: Axes, cells: NDArray[np.bool_], x: float, y: float, side: float) -> None:
    """A marker of black cells; runs within a row are one rectangle."""
    step = side / len(cells)
    for row, line in enumerate(cells):
        bounds = np.flatnonzero(np.diff(np.concatenate([[0], line.astype(np.int8), [0]])))
        for first, last in bounds.reshape(-1, 2):
            _black(axes, x + first * step, y + side - (row + 1) * step, (last - first) * step, step)


def _text(axes: Axes, x: float, y: float, words: str, points: float) -> None:
    axes.text(x, y, words, ha="center", va="center", fontsize=points, family="DejaVu Sans")


def _foot(axes: Axes, sheet: Sheet, words: str) -> None:
    """What this is, and a ruler of 100 mm to hold a real one against."""
    y, left = MARGIN_MM, (sheet.width_mm - 100) / 2
    _black(axes, left, y, 100.0, 0.3)
    for at in range(0, 101, 10):
        _black(axes, left + at - 0.15, y, 0.3, 3.0 if at % 50 else 4.5)
    _text(axes, sheet.width_mm / 2, y - 3.0, "this line must measure 100 mm", 6.0)
    _text(axes, sheet.width_mm / 2, y + 8.0, words, 7.0)


def _check_suffix(out: Path, known: tuple[str, ...]) -> None:
    if out.suffix.lower() not in known:
        fix = f"let its name end in {' or '.join(known)}"
        raise RecordingError([Problem(str(out), "name", f"cannot be written as {out.suffix or 'nothing'!r}", fix)])


def _save(figure: Figure, out: Path) -> None:
    from matplotlib import rc_context

    stamp = {"CreationDate": None} if out.suffix.lower() == ".pdf" else {"Date": None} if out.suffix == ".svg" else {}
    with rc_context({"svg.hashsalt": "openaisle"}):  # the same sheet, the same bytes
        figure.savefig(out, dpi=300, metadata=stamp)
