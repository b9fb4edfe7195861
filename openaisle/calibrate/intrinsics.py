"""A lens from films of a board: sharp and varied views, OpenCV's fit, and a no when the views cannot carry it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from openaisle.calibrate.board import Board, View
from openaisle.calibrate.films import camera_scale, shots
from openaisle.errors import Problem, RecordingError
from openaisle.store.check_geometry import folds
from openaisle.store.geometry import Camera, Float
from openaisle.store.schema import CameraSpec

RATE_HZ = 5.0  # pictures a second that are looked at
APART = 0.05  # of the picture's diagonal that a board's outline moves on average for a view to count as another
LEAST_VIEWS, MOST_VIEWS = 8, 40  # OpenCV's guide asks for 10; more than 40 take minutes and add nothing
BLUR_LIMIT = 1.7  # times the edge width of the sharpest fifth: motion blur shifts corners
STRIPS = 3  # the picture in 3 x 3 parts, of which corners have to reach all but one
TILT_DEG, LEAST_TILTED = 15.0, 4  # boards seen head-on cannot tell focal length from distance
FOCAL_LIMIT = 0.01  # largest standard deviation of the focal length, as a share of it
WORST_VIEW = 2.5  # times the median error of all views: something moved, or the board was bent
RMS_LIMIT = 1 / 640  # of the picture's width; well-made boards give a quarter of it
K3_GAIN = 0.98  # a sixth-order term is kept when it takes the error below this share
_NAMES = (("top left", "top", "top right"), ("left", "middle", "right"), ("bottom left", "bottom", "bottom right"))


@dataclass(frozen=True)
class Lens:
    """A calibrated lens in the camera's pixels, and how well it explains the views, in the film's."""

    camera: CameraSpec  # with the new numbers
    film_px: tuple[int, int]  # width, height
    rms_px: float
    focal_sigma: float  # standard deviation of the focal length, as a share of it
    views: tuple[View, ...]
    residuals_px: tuple[Float, ...]  # [n, 2] of each view: seen minus expected
    found: int  # views with a board, before the choice
    dropped: tuple[str, ...]  # chosen views that did not fit
    remarks: tuple[str, ...]


@dataclass(frozen=True)
class _Fit:
    rms_px: float
    matrix: Float
    distortion: Float  # [5]
    focal_sigma: float
    tilts_deg: Float
    residuals_px: list[Float]


def calibrate_lens(
    camera: CameraSpec, films: Sequence[Path], board: Board, progress: Callable[[float], None] = lambda share: None
) -> Lens:
    """The camera's spec with fx, fy, cx, cy and distortion from films (or pictures) of the board.

    Raises RecordingError, with what to film, when the views are too few, too much alike or do not fit.
    """
    views: list[View] = []
    size: tuple[int, int] | None = None
    looked = 0
    for n, film in enumerate(films):
        for shot in shots(film, RATE_HZ):
            here = (shot.grey.shape[1], shot.grey.shape[0])
            if size is not None and size != here:
                what = f"is {here[0]}x{here[1]}, the others are {size[0]}x{size[1]}"
                raise _refusal(camera, what, "use films of one size", str(film))
            if size is None:
                camera_scale(camera, here, str(film))
            size = here
            looked += 1
            view = board.find(shot.grey, f"{shot.file} picture {shot.number}")
            views += [view] if view is not None else []
        progress((n + 1) / (len(films) + 1))
    if size is None:
        raise _refusal(camera, "there are no films", "name a film of the board")
    return fit_lens(camera, views, board, size, looked)


def fit_lens(camera: CameraSpec, views: Sequence[View], board: Board, size: tuple[int, int], looked: int) -> Lens:
    """The lens from views in pictures of `size` (width, height); raises RecordingError as `calibrate_lens`."""
    factor = camera_scale(camera, size, "film")
    if not views:
        what = f"the board of {board.columns}x{board.rows} squares is in none of {looked} pictures"
        fix = "film it nearer, in better light, flat; or say --squares as it was printed"
        raise _refusal(camera, what, fix)
    chosen = choose(views, size)
    if len(chosen) < LEAST_VIEWS:
        what = f"only {len(chosen)} different sharp views of the board in {looked} pictures ({len(views)} show it)"
        fix = f"film {LEAST_VIEWS} or more: near and far, in all parts of the picture, tilted each way, held still"
        raise _refusal(camera, what, fix)
    remarks = _coverage(camera, chosen, size)
    fit, kept, dropped = _robust(board, chosen, size)
    _check(camera, fit, size)
    spec = _spec(camera, fit, factor)
    if folds(_camera(spec)):  # the sixth-order term is the usual culprit
        fit = _fit(board, kept, size, k3=False)
        spec = _spec(camera, fit, factor)
    if folds(_camera(spec)):
        fix = "film the board in the corners of the picture as well; a fisheye lens is not supported"
        raise _refusal(camera, "the lens found folds over before the picture's corners", fix)
    return Lens(
        spec, size, fit.rms_px, fit.focal_sigma, tuple(kept), tuple(fit.residuals_px), len(views), dropped, remarks
    )


def choose(views: Sequence[View], size: tuple[int, int]) -> list[View]:
    """Sharp views that differ: each is APART from all others, the sharpest of its neighbourhood; at most MOST_VIEWS."""
    sharp = np.percentile([view.blur_px for view in views], 20) * BLUR_LIMIT
    outlines = {id(view): view.outline_px / np.hypot(*size) for view in views}
    kept: list[View] = []
    for view in sorted(views, key=lambda view: view.blur_px):
        here = outlines[id(view)]
        if view.blur_px <= sharp and all(_apart(here, outlines[id(other)]) >= APART for other in kept):
            kept.append(view)
    if len(kept) <= MOST_VIEWS:
        return kept
    spread = [kept[0]]  # farthest point first, so that the rare poses stay
    nearest = np.array([_apart(outlines[id(view)], outlines[id(kept[0])]) for view in kept])
    while len(spread) < MOST_VIEWS:
        best = kept[int(nearest.argmax())]
        spread.append(best)
        nearest = np.minimum(nearest, [_apart(outlines[id(view)], outlines[id(best)]) for view in kept])
    return spread


def _apart(one: Float, other: Float) -> float:
    return float(np.hypot(*(one - other).T).mean())


def _coverage(camera: CameraSpec, views: Sequence[View], size: tuple[int, int]) -> tuple[str, ...]:
    """A remark on the one part of the picture that no corner reached; raises RecordingError on more."""
    corners = np.concatenate([view.corners_px for view in views])
    cells = np.clip((corners / size * STRIPS).astype(int), 0, STRIPS - 1)
    reached = {(int(x), int(y)) for x, y in cells}
    missing = [_NAMES[y][x] for y in range(STRIPS) for x in range(STRIPS) if (x, y) not in reached]
    if len(missing) > 1:
        what = f"the board never came to these parts of the picture: {', '.join(missing)}"
        raise _refusal(camera, what, "film it there as well: the lens bends most at the rim")
    return (f"the board never came to the {missing[0]} of the picture; there the lens is a guess",) if missing else ()


def _robust(board: Board, views: list[View], size: tuple[int, int]) -> tuple[_Fit, list[View], tuple[str, ...]]:
    """Fit, drop views that stick out, fit again; the sixth-order term only where it pays."""
    fit = _fit(board, views, size, k3=False)
    errors = np.array([np.sqrt((one**2).sum(axis=1).mean()) for one in fit.residuals_px])
    good = errors <= max(WORST_VIEW * float(np.median(errors)), 0.1)
    kept = [view for view, fits in zip(views, good, strict=True) if fits]
    dropped = tuple(view.where for view, fits in zip(views, good, strict=True) if not fits)
    if dropped and len(kept) >= LEAST_VIEWS:
        fit = _fit(board, kept, size, k3=False)
    else:
        kept, dropped = views, ()
    richer = _fit(board, kept, size, k3=True)
    better = richer.rms_px < K3_GAIN * fit.rms_px and richer.focal_sigma < FOCAL_LIMIT
    return (richer if better else fit), kept, dropped


def _fit(board: Board, views: Sequence[View], size: tuple[int, int], *, k3: bool) -> _Fit:
    points = [board.points[view.ids] for view in views]
    corners = [view.corners_px.astype(np.float32) for view in views]
    flags = 0 if k3 else cv2.CALIB_FIX_K3
    try:
        rms, matrix, distortion, turns, moves, sigma, _, _ = cv2.calibrateCameraExtended(
            points, corners, size, np.eye(3), np.zeros(5), flags=flags
        )
    except cv2.error:  # nothing to start from: all views alike
        infinite = [np.full((len(view.ids), 2), np.inf) for view in views]
        return _Fit(np.inf, np.eye(3), np.zeros(5), np.inf, np.zeros(len(views)), infinite)
    lens = np.asarray(distortion, np.float64).ravel()[:5]
    residuals = []
    for point, corner, turn, move in zip(points, corners, turns, moves, strict=True):
        expected, _ = cv2.projectPoints(point, turn, move, matrix, lens)
        residuals.append(corner.astype(np.float64) - expected.reshape(-1, 2))
    tilts = [np.degrees(np.arccos(np.clip(abs(cv2.Rodrigues(turn)[0][2, 2]), 0, 1))) for turn in turns]
    share = float(np.asarray(sigma).ravel()[0] / matrix[0, 0])
    return _Fit(float(rms), np.asarray(matrix), lens, share, np.array(tilts), residuals)


def _check(camera: CameraSpec, fit: _Fit, size: tuple[int, int]) -> None:
    if RMS_LIMIT * size[0] < fit.rms_px < np.inf:
        what = f"the corners lie {fit.rms_px:.2f} px from where the best lens has them"
        fix = "glue the board onto something flat, hold it still, say --squares as printed; no fisheye lenses"
        raise _refusal(camera, what, fix)
    tilted = int((fit.tilts_deg >= TILT_DEG).sum())
    if tilted < LEAST_TILTED or not fit.focal_sigma <= FOCAL_LIMIT:
        what = f"the focal length stays open: {tilted} views are tilted by {TILT_DEG:.0f} degrees or more"
        what += f", it is known to {fit.focal_sigma:.1%}" if np.isfinite(fit.focal_sigma) else ""
        raise _refusal(camera, what, "tilt the board by 20 to 45 degrees to each side and towards you, and go nearer")


def _spec(camera: CameraSpec, fit: _Fit, factor: float) -> CameraSpec:
    k1, k2, p1, p2, k3 = (round(float(k), 6) for k in fit.distortion)
    return camera.model_copy(
        update={
            "fx_px": round(float(fit.matrix[0, 0]) * factor, 3),
            "fy_px": round(float(fit.matrix[1, 1]) * factor, 3),
            "cx_px": round((float(fit.matrix[0, 2]) + 0.5) * factor - 0.5, 3),
            "cy_px": round((float(fit.matrix[1, 2]) + 0.5) * factor - 0.5, 3),
            "distortion": (k1, k2, p1, p2, k3),
        }
    )


def _camera(spec: CameraSpec) -> Camera:
    return Camera(
        spec.id, spec.width_px, spec.height_px, spec.fps, spec.fx_px, spec.fy_px, spec.cx_px, spec.cy_px,
        spec.distortion, np.eye(4),
    )  # fmt: skip


def _refusal(camera: CameraSpec, what: str, fix: str, file: str = "films") -> RecordingError:
    return RecordingError([Problem(file, f"camera {camera.id}", what, fix)])
