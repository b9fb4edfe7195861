"""AprilTags in the shop: where tags.csv says they are, and where pictures of a still camera show them.

A tag's pose in tags.csv is what a tape measure and a look give: its middle, and from where one reads it upright.
`facing_deg` is the direction from the tag to that reader (0 = +x, 90 = +y, as headings); `tilt_deg` is 0 on a wall, 90
on the floor or a table (face up), -90 on a ceiling.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from pydantic import Field

from openaisle.calibrate.films import Grey, Shot, doubled, rescaled
from openaisle.errors import Problem, RecordingError
from openaisle.store.csv_file import read_rows
from openaisle.store.geometry import Float, apply, rigid
from openaisle.store.schema import Metres, Model

TAGS = cv2.aruco.getPredefinedDictionary(cv2.aruco.DICT_APRILTAG_36H11)
STILL_PX = 1.5  # largest spread of a tag's corners over a film: more, and the tag or the camera moved
LEAST_SHARE = 0.3  # of a film's pictures in which a tag has to be seen


class TagSpec(Model):
    """One row of tags.csv."""

    tag: int = Field(ge=0, le=586, title="Number of the AprilTag, family 36h11")
    x_m: Metres = Field(title="Middle of the tag, metres")
    y_m: Metres = Field(title="Middle of the tag, metres")
    z_m: Metres = Field(title="Middle of the tag above the floor, metres")
    size_mm: float = Field(ge=10, le=2000, title="Side of the black square, millimetres")
    facing_deg: float = Field(ge=-360, le=360, title="Direction from the tag to who reads it upright; 0 = +x, 90 = +y")
    tilt_deg: float = Field(default=0.0, ge=-90, le=90, title="0 on a wall, 90 flat and face up, -90 face down")


@dataclass(frozen=True)
class Tag:
    """A tag in the world. Its frame: x right and y up as one reads it, z towards the reader, origin in its middle."""

    number: int
    size_m: float
    world_from_tag: Float

    @property
    def corners(self) -> Float:
        """Corners [4, 3] in the tag's frame: top left, top right, bottom right, bottom left."""
        half = self.size_m / 2
        return np.array([[-half, half, 0], [half, half, 0], [half, -half, 0], [-half, -half, 0]])

    @property
    def corners_m(self) -> Float:
        """Corners [4, 3] in the world."""
        return apply(self.world_from_tag, self.corners)


@dataclass(frozen=True)
class Sighting:
    """A tag as a still camera sees it: the median corners [4, 2] in the camera's pixels."""

    number: int
    corners_px: Float
    pictures: int


def tag_from_spec(spec: TagSpec) -> Tag:
    """A tag with its pose."""
    facing, tilt = np.deg2rad([spec.facing_deg, spec.tilt_deg])
    level = np.array([np.cos(facing), np.sin(facing), 0.0])
    above = np.array([0.0, 0.0, 1.0])
    normal = np.cos(tilt) * level + np.sin(tilt) * above
    up = np.cos(tilt) * above - np.sin(tilt) * level
    axes = np.stack([np.cross(up, normal), up, normal], axis=1)
    return Tag(spec.tag, spec.size_mm / 1000, rigid(axes, [spec.x_m, spec.y_m, spec.z_m]))


def read_tags(path: Path) -> dict[int, Tag]:
    """Tags by number; raises RecordingError with every problem of the table, a number given twice included."""
    rows, problems = read_rows(path, TagSpec)
    lines: dict[int, int] = {}
    for row in rows or ():
        number = row.value.tag
        if number in lines and not row.wrong("tag"):
            what = f"tag {number} stands in line {lines[number]} already"
            problems.append(Problem(path.name, f"line {row.line}, column tag", what, "keep one; a number is one tag"))
        lines.setdefault(number, row.line)
    if not problems and not rows:
        problems = [Problem(path.name, "file", "there are no tags in it", "write one line for each tag")]
    if problems:
        raise RecordingError(problems)
    return {row.value.tag: tag_from_spec(row.value) for row in rows or ()}


def find_tags(grey: Grey) -> dict[int, Float]:
    """Corners [4, 2] in pixels of every tag in a picture; a number seen twice is left out."""
    large, factor = doubled(grey)
    settings = cv2.aruco.DetectorParameters()
    settings.cornerRefinementMethod = cv2.aruco.CORNER_REFINE_SUBPIX
    settings.cornerRefinementWinSize = 5
    corners, ids, _ = cv2.aruco.ArucoDetector(TAGS, settings).detectMarkers(large)
    numbers = [] if ids is None else [int(n) for n in np.asarray(ids).ravel()]
    return {
        number: rescaled(np.asarray(quad, np.float64).reshape(4, 2), 1 / factor)
        for number, quad in zip(numbers, corners, strict=True)
        if numbers.count(number) == 1
    }


def sightings(pictures: Iterable[Shot], factor: float) -> tuple[list[Sighting], list[str]]:
    """Tags over the pictures of a still camera, in the camera's pixels, and remarks on those left out."""
    seen: dict[int, list[Float]] = {}
    count = 0
    for shot in pictures:
        count += 1
        for number, corners in find_tags(shot.grey).items():
            seen.setdefault(number, []).append(corners)
    found: list[Sighting] = []
    remarks: list[str] = []
    for number, quads in sorted(seen.items()):
        middle = np.median(quads, axis=0)
        spread = float(np.median(np.abs(np.stack(quads) - middle).max(axis=(1, 2))))
        if len(quads) < LEAST_SHARE * count:
            remarks.append(f"tag {number} is seen in {len(quads)} of {count} pictures only, and left out")
        elif spread > STILL_PX:
            remarks.append(f"tag {number} moves by {spread:.1f} px in the film, and is left out")
        else:
            found.append(Sighting(number, rescaled(middle, factor), len(quads)))
    return found, remarks


def unknown(found: Sequence[Sighting], tags: Mapping[int, Tag]) -> list[int]:
    """Numbers that are seen but not in tags.csv."""
    return [one.number for one in found if one.number not in tags]
