"""Where cameras hang, from AprilTags of known places: a first pose each, then all cameras and tags at once.

A tape measure errs by millimetres and a wall is never quite square, so tags may move a little from where tags.csv has
them; a tag that would have to move a lot was measured or written down wrongly: it is named, and bears no more weight.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from openaisle.calibrate.bundle import adjust, between, moved_camera, nudged
from openaisle.calibrate.tags import Sighting, Tag, unknown
from openaisle.errors import Problem, RecordingError
from openaisle.store.geometry import Camera, Float, apply, invert, rigid

CORNER_PX = 0.3  # standard deviation of a corner
TAPE_M, TAPE_DEG = 0.005, 1.0  # standard deviations of tags.csv
FAR_SIGMAS = 6.0  # a tag moved by so many standard deviations is wrong in tags.csv
LEAST_TAGS = 2  # one flat square alone is seen the same from two sides
GOOD_PX = 8.0  # a first pose may be off by this much where a tag supports it: measuring errors, seen near by
POSITION_LIMIT_M, ANGLE_LIMIT_DEG = 0.05, 1.0  # standard deviations of a pose above which it is refused
RMS_LIMIT = 1 / 160  # of the picture's width: 2 px of 320


@dataclass(frozen=True)
class Placed:
    """One camera's new pose and what speaks for it."""

    camera: Camera
    moved_m: float
    turned_deg: float
    sigma_m: float
    sigma_deg: float
    rms_px: float
    seen_px: Float  # [n, 2] of all corners
    residuals_px: Float  # [n, 2] seen minus expected
    tags: tuple[int, ...]

    @property
    def median_px(self) -> float:
        """Half of all points lie nearer to where they are expected."""
        return float(np.median(np.hypot(*self.residuals_px.T)))


@dataclass(frozen=True)
class Placement:
    """All cameras, and the tags that do not lie where tags.csv says (number to metres and degrees off)."""

    cameras: tuple[Placed, ...]
    astray: Mapping[int, tuple[float, float]]


def place_cameras(
    cameras: Sequence[Camera], seen: Mapping[str, Sequence[Sighting]], tags: Mapping[int, Tag]
) -> Placement:
    """Poses of `cameras` from what each (by id) sees of tags; raises RecordingError when that is too little or odd."""
    problems = [problem for camera in cameras for problem in _too_little(camera, seen[camera.id], tags)]
    if problems:
        raise RecordingError(problems)
    begun = [first_pose(camera, seen[camera.id], tags) for camera in cameras]
    astray: dict[int, tuple[float, float]] = {}
    while True:
        used = {camera.id: [one for one in seen[camera.id] if one.number not in astray] for camera in cameras}
        problems = [problem for camera in cameras for problem in _left(camera, used[camera.id], astray)]
        if problems:
            raise RecordingError(problems)
        placed, shifts = _adjust(begun, used, tags)
        number = max(shifts, key=lambda tag: shifts[tag][2])
        if shifts[number][2] <= FAR_SIGMAS:
            break
        astray[number] = shifts[number][:2]  # one at a time: a wrong tag drags others along
    was = {camera.id: camera for camera in cameras}
    out = tuple(_with_move(one, was[one.camera.id]) for one in placed)
    problems = [problem for one in out for problem in _doubtful(one)]
    if problems:
        raise RecordingError(problems)
    return Placement(out, astray)


def first_pose(camera: Camera, seen: Sequence[Sighting], tags: Mapping[int, Tag]) -> Camera:
    """The pose most tags agree with, of those that single tags (both ways to see each) and all together suggest."""
    offers = [pose for one in seen for pose in _square_poses(camera, one, tags[one.number])]
    offers += _joint_pose(camera, seen, tags)
    best = max((_at(camera, pose) for pose in offers), key=lambda at: _support(at, seen, tags), default=camera)
    near = [one for one in seen if _error(best, one, tags[one.number]) < GOOD_PX]
    again = [_at(camera, pose) for pose in _joint_pose(camera, near, tags)]
    return max([best, *again], key=lambda at: _support(at, seen, tags))


def _joint_pose(camera: Camera, seen: Sequence[Sighting], tags: Mapping[int, Tag]) -> list[Float]:
    """world_from_camera from all corners of several tags, or nothing."""
    if len(seen) < LEAST_TAGS:
        return []
    points = np.concatenate([tags[one.number].corners_m for one in seen])
    flat = _ideal(camera, np.concatenate([one.corners_px for one in seen]))
    done, turn, move = cv2.solvePnP(points, flat, np.eye(3), None, flags=cv2.SOLVEPNP_SQPNP)
    return [invert(rigid(cv2.Rodrigues(turn)[0], np.ravel(move)))] if done else []


def _square_poses(camera: Camera, seen: Sighting, tag: Tag) -> list[Float]:
    """Both world_from_camera that one tag allows."""
    flat = _ideal(camera, seen.corners_px)
    try:
        _, turns, moves, _ = cv2.solvePnPGeneric(tag.corners, flat, np.eye(3), None, flags=cv2.SOLVEPNP_IPPE_SQUARE)
    except cv2.error:
        return []
    return [
        tag.world_from_tag @ invert(rigid(cv2.Rodrigues(turn)[0], np.ravel(move)))
        for turn, move in zip(turns, moves, strict=True)
    ]


def _ideal(camera: Camera, pixels: Float) -> Float:
    """Pixels as points at depth 1, undistorted by the project's own camera model; [n, 2]."""
    at = _at(camera, np.eye(4)).unproject(pixels)[1]
    return np.ascontiguousarray(at[:, :2] / at[:, 2:])


def _at(camera: Camera, pose: Float) -> Camera:
    return replace(camera, world_from_camera=pose)


def _error(camera: Camera, seen: Sighting, tag: Tag) -> float:
    pixels, depth = camera.project(tag.corners_m)
    return float(np.hypot(*(pixels - seen.corners_px).T).mean()) if depth.min() > 0 else float("inf")


def _support(camera: Camera, seen: Sequence[Sighting], tags: Mapping[int, Tag]) -> float:
    errors = np.array([_error(camera, one, tags[one.number]) for one in seen])
    return float((1 / (1 + (errors / GOOD_PX) ** 2)).sum())


def _adjust(
    cameras: Sequence[Camera], seen: Mapping[str, Sequence[Sighting]], tags: Mapping[int, Tag]
) -> tuple[list[Placed], dict[int, tuple[float, float, float]]]:
    """All poses at once; and for each tag by how many metres, degrees and standard deviations it moved."""
    numbers = sorted({one.number for camera in cameras for one in seen[camera.id]})
    place = {number: len(cameras) + n for n, number in enumerate(numbers)}
    prior = np.repeat([np.deg2rad(TAPE_DEG), TAPE_M], 3)

    def explained(x: Float) -> tuple[list[Float], Float]:
        parts = x.reshape(-1, 6)
        errors = []
        for camera, part in zip(cameras, parts, strict=False):
            points = [
                apply(nudged(tags[one.number].world_from_tag, parts[place[one.number]]), tags[one.number].corners)
                for one in seen[camera.id]
            ]
            pixels, _ = moved_camera(camera, part).project(np.concatenate(points))
            errors.append(np.concatenate([one.corners_px for one in seen[camera.id]]) - pixels)
        return errors, parts[len(cameras) :] / prior

    def residuals(x: Float) -> Float:
        errors, shifts = explained(x)
        return np.concatenate([np.concatenate(errors).ravel() / CORNER_PX, shifts.ravel()])

    done = adjust(residuals, np.zeros(6 * (len(cameras) + len(numbers))), _sparsity(cameras, seen, place))
    errors, shifts = explained(done.x)
    sigma = done.sigma.reshape(-1, 6)
    placed = [
        Placed(
            moved_camera(camera, part), 0.0, 0.0, float(np.linalg.norm(sure[3:])),
            float(np.degrees(np.linalg.norm(sure[:3]))), float(np.sqrt((error**2).sum(axis=1).mean())),
            np.concatenate([one.corners_px for one in seen[camera.id]]), error,
            tuple(one.number for one in seen[camera.id]),
        )
        for camera, part, sure, error in zip(cameras, done.x.reshape(-1, 6), sigma, errors, strict=False)
    ]  # fmt: skip
    moves = done.x.reshape(-1, 6)[len(cameras) :]
    far = {}
    for number, move, shift in zip(numbers, moves, shifts, strict=True):
        degrees = float(np.degrees(np.linalg.norm(move[:3])))
        far[number] = (float(np.linalg.norm(move[3:])), degrees, float(np.linalg.norm(shift) / np.sqrt(2)))
    return placed, far


def _sparsity(cameras: Sequence[Camera], seen: Mapping[str, Sequence[Sighting]], place: Mapping[int, int]) -> Float:
    """Which residual (rows) depends on which parameter (columns): without it, a large shop takes minutes."""
    rows = []
    for n, camera in enumerate(cameras):
        for one in seen[camera.id]:
            row = np.zeros(len(cameras) + len(place))
            row[[n, place[one.number]]] = 1
            rows.append(np.kron(np.tile(row, (8, 1)), np.ones(6)))
    priors = np.eye(6 * (len(cameras) + len(place)))[6 * len(cameras) :]
    return np.concatenate([*rows, priors])


def _with_move(placed: Placed, was: Camera) -> Placed:
    metres, degrees = between(was.world_from_camera, placed.camera.world_from_camera)
    return replace(placed, moved_m=metres, turned_deg=degrees)


def _too_little(camera: Camera, seen: Sequence[Sighting], tags: Mapping[int, Tag]) -> list[Problem]:
    place = f"camera {camera.id}"
    strange = unknown(seen, tags)
    if strange:
        words = ", ".join(map(str, strange))
        fix = "write their places into the table, or cover them"
        return [Problem("tags.csv", place, f"it sees tags that are not in the table: {words}", fix)]
    return _left(camera, seen, {})


def _left(camera: Camera, seen: Sequence[Sighting], astray: Mapping[int, tuple[float, float]]) -> list[Problem]:
    if len(seen) >= LEAST_TAGS:
        return []
    numbers = ", ".join(str(one.number) for one in seen)
    what = f"it sees {'only tag ' + numbers if seen else 'no tag'}; {LEAST_TAGS} are needed, 4 are good"
    if astray:
        what += "; left out, since tags.csv seems wrong about them: "
        what += ", ".join(f"{n} (off by {far:.2f} m, {turn:.0f} degrees)" for n, (far, turn) in astray.items())
    fix = "put up more tags in its sight (20 pixels or more each, flat, well lit), or measure again"
    return [Problem("films", f"camera {camera.id}", what, fix)]


def _doubtful(placed: Placed) -> list[Problem]:
    camera = placed.camera
    if placed.rms_px > RMS_LIMIT * camera.width_px:
        what = f"the tags lie {placed.rms_px:.1f} px from where the best pose has them"
        fix = "check size_mm, facing_deg and tilt_deg in tags.csv, and calibrate the lens first (intrinsics)"
        return [Problem("tags.csv", f"camera {camera.id}", what, fix)]
    if placed.sigma_m > POSITION_LIMIT_M or placed.sigma_deg > ANGLE_LIMIT_DEG:
        what = f"its pose is known to {placed.sigma_m:.2f} m and {placed.sigma_deg:.1f} degrees only"
        return [Problem("films", f"camera {camera.id}", what, "put up more or larger tags, spread over its picture")]
    return []
