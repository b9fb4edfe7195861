"""Where cameras hang, from somebody who walks through the empty shop: all poses and their whole path at once.

The path is a chain of places on the floor, straight between them; heads are one height above it. Junzhi Guan et al.
("Extrinsic Calibration of Camera Networks Based on Pedestrians", Sensors 16, 2016) showed that heads and feet carry
enough; what is added here is the drawn shop: people walk where the floor is free, and in the gate when it says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from openaisle.calibrate.bundle import adjust, between, moved_camera
from openaisle.calibrate.ends import Body, Edges, Ends, edges_of, ends_of, expected_m
from openaisle.calibrate.extrinsics import Placed
from openaisle.calibrate.ground import Ground, Passage, ground_of
from openaisle.calibrate.silhouettes import Outline
from openaisle.errors import Problem, RecordingError
from openaisle.store.coverage import Scene, blocked
from openaisle.store.geometry import Camera, Float
from openaisle.store.schema import StoreSpec

KNOT_S = 0.4  # between two places of the path
MOST_KNOTS = 500  # of a longer walk, stretches spread over all of it
STRETCH_S = 6.0
ROUNDS = 4  # heads and feet are read anew with better poses
FAR_SIGMAS = (np.inf, 8.0, 4.0, 3.5)  # in each round, what lies farther from the last is left out
DRAWN_M, DRAWN_DEG = 0.3, 10.0  # standard deviations of the poses in store.yaml, each axis
COMMON_S = 0.6  # errors within this time are one error: a lean, a bag, a stride
HASTE_M_S2 = 2.0  # standard deviation of acceleration
BODY_M, WALL_M = 0.18, 0.08  # nobody's middle is nearer to furniture, give or take
GATE_M = 0.15  # from the middle of a gate, along its line and across it, when the gate says so
SOLE_M = np.array([0.0, 0.0, 0.05])  # a foot is seen when this much above the floor is
CEILING_M, CEILING_SD_M = 0.03, 0.02  # no camera hangs nearer below the ceiling, give or take
ANY_HEIGHT_M, ANY_HEIGHT_SD_M, TOLD_SD_M = 1.70, 0.10, 0.02
STRIDE_M, STRIDE_SD_M = 0.2, 0.12
LEAST_ENDS = 60  # heads and feet of a camera; with fewer it stays as it was
POSITION_LIMIT_M, ANGLE_LIMIT_DEG = 0.4, 6.0  # standard deviations above which it stays as it was
RMS_LIMIT = 1 / 80  # of the picture's width: 4 px of 320; good walks have half of that
GOOD_SHARE = 0.4  # of heads and feet that must fit


@dataclass(frozen=True)
class Walked:
    """New poses, cameras that stay as they were and why, and the path [n, 3] (seconds, x, y)."""

    placed: tuple[Placed, ...]
    stay: Mapping[str, str]
    height_m: float
    path: Float
    median_px: float
    fitting: float  # share of all heads and feet that were not left out


@dataclass(frozen=True)
class _Guess:
    """What is sought: poses, body, the path's knots [k, 2] at ticks [k] of KNOT_S."""

    cameras: tuple[Camera, ...]
    body: Body
    ticks: NDArray[np.int64]
    knots: Float


@dataclass(frozen=True)
class _Known:
    """What does not change over the rounds."""

    scene: Scene
    ground: Ground
    passages: tuple[Passage, ...]
    free: NDArray[np.int64]  # [cameras] place among the unknown poses, -1 = this pose is given
    height: tuple[float, float]  # mean and standard deviation
    ceiling_m: float


def place_by_walk(
    spec: StoreSpec,
    cameras: Sequence[Camera],
    seen: Mapping[str, Sequence[Outline]],
    *,
    height_m: float | None = None,
    fixed: Sequence[str] = (),
    passages: Sequence[Passage] = (),
) -> Walked:
    """Poses of `cameras` from outlines (by camera) of one person; raises RecordingError when too few or odd."""
    few = _thinned({camera.id: seen.get(camera.id, ()) for camera in cameras})
    edges = {camera.id: edges_of(camera, few[camera.id]) for camera in cameras}
    stay = {name: what for name, one in edges.items() if (what := _too_little(one)) is not None}
    used = tuple(camera for camera in cameras if camera.id not in stay)
    if not used:
        raise RecordingError([Problem("films", f"camera {name}", what, MORE_FIX) for name, what in stay.items()])
    if all(camera.id in fixed for camera in used):
        what = "all cameras that show somebody are said to be right already"
        raise RecordingError([Problem("films", "all cameras", what, "name fewer with --fixed, or film others")])
    free = np.cumsum([camera.id not in fixed for camera in used]) - 1
    free[[camera.id in fixed for camera in used]] = -1
    told = (height_m, TOLD_SD_M) if height_m is not None else (ANY_HEIGHT_M, ANY_HEIGHT_SD_M)
    scene = Scene(tuple(spec.fixtures), tuple(spec.floor_m))
    known = _Known(scene, ground_of(spec), tuple(passages), free, told, spec.ceiling_m)
    return _solved(used, [edges[camera.id] for camera in used], known, stay)


MORE_FIX = "walk alone and with empty hands through all of the shop for a minute or two, and through every picture"


def _too_little(edges: Edges) -> str | None:
    if 2 * len(edges.time_s) >= LEAST_ENDS:
        return None
    return f"it shows one person alone in {len(edges.time_s)} pictures only; {LEAST_ENDS // 2} are needed"


def _solved(used: tuple[Camera, ...], edges: Sequence[Edges], known: _Known, stay: Mapping[str, str]) -> Walked:
    guess: _Guess | None = None
    body = Body(known.height[0], STRIDE_M)
    cameras = used
    for number in range(ROUNDS):
        ends = ends_of(cameras, edges, body)
        guess = _start(cameras, body, ends, edges, known) if guess is None else guess
        keep = _fits(guess, ends, known, FAR_SIGMAS[number]) if number else np.ones(len(ends.foot), np.bool_)
        guess, sigma, residuals = _adjust(guess, ends.of(keep), known)
        cameras, body = guess.cameras, guess.body
    assert guess is not None, "there is a round"
    return _told(used, guess, ends.of(keep), float(keep.mean()), sigma, residuals, known, stay)


def _thinned(seen: Mapping[str, Sequence[Outline]]) -> dict[str, list[Outline]]:
    """All of a short walk; of a long one, whole stretches evenly spread."""
    numbers = np.unique([one.time_s // STRETCH_S for outlines in seen.values() for one in outlines])
    most = int(MOST_KNOTS * KNOT_S / STRETCH_S)
    if len(numbers) > most:
        numbers = numbers[np.linspace(0, len(numbers) - 1, most).round().astype(int)]
    kept = set(numbers.tolist())
    return {camera: [one for one in outlines if one.time_s // STRETCH_S in kept] for camera, outlines in seen.items()}


def _start(cameras: tuple[Camera, ...], body: Body, ends: Ends, edges: Sequence[Edges], known: _Known) -> _Guess:
    """The path as the poses that are drawn have it: medians over cameras, on the map."""
    times = np.concatenate([*(one.time_s for one in edges), [one.time_s for one in known.passages]])
    tick = np.floor(times / KNOT_S).astype(np.int64)
    ticks = np.unique(np.concatenate([tick, tick + 1]))
    nearest = np.round(ends.time_s / KNOT_S).astype(np.int64)
    there = np.unique(nearest)
    on_map = np.clip(ends.ground_m, known.ground.low_m, known.ground.high_m)
    middle = np.array([np.median(on_map[nearest == one], axis=0) for one in there])
    knots = np.column_stack([np.interp(ticks, there, middle[:, axis]) for axis in (0, 1)])
    return _Guess(cameras, body, ticks, knots)


def _between(ticks: NDArray[np.int64], time_s: Float) -> tuple[NDArray[np.int64], Float]:
    """For each time, the knot before it and the share of the way to the next."""
    at = time_s / KNOT_S
    return np.searchsorted(ticks, np.floor(at).astype(np.int64)), at - np.floor(at)


def _along(knots: Float, index: NDArray[np.int64], share: Float) -> Float:
    return np.asarray(knots[index] * (1 - share)[:, None] + knots[index + 1] * share[:, None])


def _off_px(cameras: Sequence[Camera], ends: Ends, places: Float, body: Float) -> Float:
    """Seen minus expected [n, 2], pixels; no more than a picture's width."""
    out = np.zeros((len(ends.foot), 2))
    for index, camera in enumerate(cameras):
        mine = ends.camera == index
        points = expected_m(camera.world_from_camera[:3, 3], places[mine], ends.foot[mine], body)
        pixels, depth = camera.project(points)
        off = np.clip(ends.pixels[mine] - pixels, -camera.width_px, camera.width_px)
        out[mine] = np.where(depth[:, None] > 0.05, off, camera.width_px)
    return out


def _fits(guess: _Guess, ends: Ends, known: _Known, far_sigmas: float) -> NDArray[np.bool_]:
    """Which ends are not far from what the guess expects, nor of something that furniture hides."""
    index, share = _between(guess.ticks, ends.time_s)
    body = np.array([guess.body.height_m, guess.body.stride_m])
    places = _along(guess.knots, index, share)
    off = np.hypot(*_off_px(guess.cameras, ends, places, body).T) / ends.sigma_px
    hidden = np.zeros(len(off), np.bool_)
    for number, camera in enumerate(guess.cameras):
        mine = np.flatnonzero((ends.camera == number) & ends.foot)
        eye = camera.world_from_camera[:3, 3]
        points = expected_m(eye, places[mine], ends.foot[mine], body) + SOLE_M
        hidden[mine] = blocked(eye, points, Scene(known.scene.fixtures, ()))
    return np.asarray((off < far_sigmas) & ~hidden)


def _common(ends: Ends) -> float:
    """By how much to widen standard deviations, since what is wrong in a picture is still wrong in the next."""
    mine = np.unique(ends.time_s[ends.camera == np.bincount(ends.camera).argmax()])
    step = float(np.median(np.diff(mine))) if len(mine) > 1 else COMMON_S
    return float(np.sqrt(max(1.0, COMMON_S / max(step, 1e-3))))


def _adjust(guess: _Guess, ends: Ends, known: _Known) -> tuple[_Guess, Float, Float]:
    """The best guess near this one; standard deviations of the poses [cameras, 6]; seen minus expected [n, 2]."""
    poses = 6 * int(known.free.max() + 1)
    index, share = _between(guess.ticks, ends.time_s)
    doors = np.array([one.time_s for one in known.passages])
    door_index, door_share = _between(guess.ticks, doors)
    rows = np.flatnonzero((guess.ticks[2:] - guess.ticks[:-2]) == 2)  # knots with neighbours on both sides
    wide = _common(ends)
    drawn = np.tile(np.repeat([np.deg2rad(DRAWN_DEG), DRAWN_M], 3), poses // 6)
    first = np.concatenate([np.zeros(poses), [guess.body.height_m, guess.body.stride_m], guess.knots.ravel()])
    usual = np.array([[known.height[0], STRIDE_M], [known.height[1], STRIDE_SD_M]])

    def opened(x: Float) -> tuple[tuple[Camera, ...], Float, Float]:
        cameras = tuple(
            camera if place < 0 else moved_camera(camera, x[6 * place : 6 * place + 6])
            for camera, place in zip(guess.cameras, known.free, strict=True)
        )
        return cameras, x[poses : poses + 2], x[poses + 2 :].reshape(-1, 2)

    def residuals(x: Float) -> Float:
        cameras, body, knots = opened(x)
        off = _off_px(cameras, ends, _along(knots, index, share), body) / (ends.sigma_px * wide)[:, None]
        bend = (knots[rows] - 2 * knots[rows + 1] + knots[rows + 2]) / (HASTE_M_S2 * KNOT_S**2)
        wall = np.maximum(0.0, BODY_M - known.ground.clearance(knots)) / WALL_M
        gates = _gate_errors(_along(knots, door_index, door_share), known.passages)
        told = (body - usual[0]) / usual[1]
        tops = np.array([one.world_from_camera[2, 3] for one, n in zip(cameras, known.free, strict=True) if n >= 0])
        above = np.maximum(0.0, tops - known.ceiling_m + CEILING_M) / CEILING_SD_M
        return np.concatenate([off.ravel(), bend.ravel(), wall, gates.ravel(), told, x[:poses] / drawn, above])

    done = adjust(residuals, first, _sparsity(known, ends, index, rows, door_index, len(guess.ticks)))
    cameras, body, knots = opened(done.x)
    off = _off_px(cameras, ends, _along(knots, index, share), body)
    better = _Guess(cameras, Body(float(body[0]), float(body[1])), guess.ticks, knots)
    return better, done.sigma[:poses].reshape(-1, 6), off


def _gate_errors(places: Float, passages: Sequence[Passage]) -> Float:
    """Whitened [n, 2]: from the middle of the gate."""
    return np.asarray((places - np.array([one.middle_m for one in passages]).reshape(-1, 2)) / GATE_M)


def _sparsity(
    known: _Known,
    ends: Ends,
    index: NDArray[np.int64],
    bends: NDArray[np.int64],
    doors: NDArray[np.int64],
    knots: int,
) -> Float:
    """Which residual (rows) depends on which parameter (columns), in the order of `_adjust`."""
    poses = 6 * int(known.free.max() + 1)
    wide = poses + 2 + 2 * knots
    seen = np.zeros((len(index), wide))
    for camera, place in enumerate(known.free):
        if place >= 0:
            seen[ends.camera == camera, 6 * place : 6 * place + 6] = 1
    seen[:, poses : poses + 2] = 1

    def mark(rows: Float, knot: NDArray[np.int64], count: int) -> Float:
        for step in range(count):
            for axis in (0, 1):
                rows[np.arange(len(knot)), poses + 2 + 2 * (knot + step) + axis] = 1
        return rows

    bend = mark(np.zeros((len(bends), wide)), bends, 3)
    wall = mark(np.zeros((knots, wide)), np.arange(knots), 1)
    gate = mark(np.zeros((len(doors), wide)), doors, 2)
    own = np.eye(wide)[np.r_[poses, poses + 1, :poses, 5:poses:6]]  # the last: heights of cameras
    return np.concatenate([mark(seen, index, 2).repeat(2, 0), bend.repeat(2, 0), wall, gate.repeat(2, 0), own])


def _told(
    used: tuple[Camera, ...],
    guess: _Guess,
    ends: Ends,
    fitting: float,
    sigma: Float,
    residuals: Float,
    known: _Known,
    stay: Mapping[str, str],
) -> Walked:
    """What is said of it all; raises RecordingError when little of what is seen fits, or no camera can be placed."""
    if fitting < GOOD_SHARE:
        what = f"only {fitting:.0%} of all heads and feet fit one path"
        fix = "synchronise the clocks, check that films and cameras are not exchanged, and calibrate lenses first"
        raise RecordingError([Problem("films", "all cameras", what, fix)])
    out, left = [], dict(stay)
    for number, (was, camera, place) in enumerate(zip(used, guess.cameras, known.free, strict=True)):
        if place < 0:
            continue
        mine = ends.camera == number
        metres, degrees = between(was.world_from_camera, camera.world_from_camera)
        sure_m = float(np.linalg.norm(sigma[place, 3:]))
        sure_deg = float(np.degrees(np.linalg.norm(sigma[place, :3])))
        rms = float(np.sqrt((residuals[mine] ** 2).sum(axis=1).mean())) if mine.any() else np.inf
        placed = Placed(
            camera, metres, degrees, sure_m, sure_deg, rms, ends.pixels[mine], residuals[mine], ()
        )  # fmt: skip
        doubt = _doubt(placed)
        if doubt is None:
            out.append(placed)
        else:
            left[camera.id] = doubt
    if not out:
        raise RecordingError([Problem("films", f"camera {name}", what, MORE_FIX) for name, what in left.items()])
    path = np.column_stack([guess.ticks * KNOT_S, guess.knots])
    median = float(np.median(np.hypot(*residuals.T)))
    return Walked(tuple(out), left, guess.body.height_m, path, median, fitting)


def _doubt(placed: Placed) -> str | None:
    if len(placed.seen_px) < LEAST_ENDS:
        return f"only {len(placed.seen_px)} heads and feet fit; {LEAST_ENDS} are needed"
    if placed.rms_px > RMS_LIMIT * placed.camera.width_px:
        what = f"heads and feet lie {placed.rms_px:.1f} px from where the best pose has them"
        return f"{what}: something carried or pushed, a wrong height, or clocks apart"
    if placed.sigma_m > POSITION_LIMIT_M or placed.sigma_deg > ANGLE_LIMIT_DEG:
        return f"its pose is known to {placed.sigma_m:.2f} m and {placed.sigma_deg:.1f} degrees only"
    return None
