"""Somebody who walks through the empty shop, as outlines against what each camera sees when nobody is there.

The empty shop is the median of pictures spread over the whole film: whoever walks is nowhere most of the time. Pictures
with more than one person in them are not used, so nobody has to be told apart from anybody.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from openaisle.calibrate.films import rescaled
from openaisle.store.geometry import Float

Rgb = NDArray[np.uint8]
Mask = NDArray[np.uint8]
MOST_STILLS = 61  # pictures whose median is the empty shop
STILLS_EVERY_S = 1.0  # doubled whenever there are too many
LEAST_LEVELS, NOISES = 14.0, 5.0  # a pixel differs by so many grey levels, and by so many times its noise
GAP = 1 / 25  # of the picture's width: parts of one person that lie so near belong together
PERSON = 1 / 220  # of the picture: less is a moved thing or a shadow
SECOND = 0.2  # of the largest part: a second one this large is another person
FLOOD = 0.5  # of the picture: the light changed
LEAST_ALONE = 4  # pictures of a camera below which it saw nobody


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture of one camera, rgb uint8 [H, W, 3]."""

    camera: str
    time_s: float
    rgb: Rgb


Pictures = Callable[[], Iterator[Picture]]  # the film from its beginning, each time it is asked


@dataclass(frozen=True, slots=True)
class Outline:
    """The edge [n, 2] of the one person in a picture, in the camera's pixels."""

    time_s: float
    edge_px: Float


@dataclass(frozen=True)
class Seen:
    """What a camera saw: outlines in time order, how many pictures, and how many of them had several people in them."""

    outlines: tuple[Outline, ...]
    pictures: int
    several: int


@dataclass(slots=True)
class _Stills:
    """Pictures evenly spread over a film of unknown length."""

    every_s: float = STILLS_EVERY_S
    times: list[float] = field(default_factory=list)
    kept: list[Rgb] = field(default_factory=list)

    def offer(self, picture: Picture) -> None:
        if self.times and picture.time_s < self.times[-1] + self.every_s - 1e-6:
            return
        self.times.append(picture.time_s)
        self.kept.append(picture.rgb)
        if len(self.kept) > MOST_STILLS:
            self.times, self.kept, self.every_s = self.times[::2], self.kept[::2], 2 * self.every_s


@dataclass(frozen=True)
class Empty:
    """A camera's picture of the empty shop, and from how many levels on a pixel differs from it; float32 [H, W, 3]."""

    rgb: NDArray[np.float32]
    limit: NDArray[np.float32]


def empty_shop(pictures: Iterator[Picture]) -> dict[str, Empty]:
    """For each camera, the median picture."""
    stills: dict[str, _Stills] = {}
    for picture in pictures:
        stills.setdefault(picture.camera, _Stills()).offer(picture)
    return {camera: _median(one.kept) for camera, one in stills.items()}


def _median(kept: list[Rgb]) -> Empty:
    stack = np.stack([cv2.blur(rgb, (3, 3)) for rgb in kept])
    middle = np.median(stack, axis=0).astype(np.float32)
    noise = np.median(np.abs(stack.astype(np.float32) - middle), axis=0) * 1.5
    return Empty(middle, np.maximum(LEAST_LEVELS, NOISES * noise).astype(np.float32))


def look(
    pictures: Pictures, scales: Mapping[str, float], progress: Callable[[float], None], duration_s: float
) -> dict[str, Seen]:
    """Outlines of the person by camera, in pixels of the camera (`scales`: of it per pixel of the film)."""
    empty = empty_shop(pictures())
    progress(0.4)
    outlines: dict[str, list[Outline]] = {camera: [] for camera in empty}
    counts = {camera: [0, 0] for camera in empty}
    begun: float | None = None
    for picture in pictures():
        begun = picture.time_s if begun is None else begun
        progress(0.4 + 0.5 * min(1.0, (picture.time_s - begun) / max(duration_s, 1e-3)))
        people = parts(changed(picture.rgb, empty[picture.camera]))
        counts[picture.camera][0] += 1
        counts[picture.camera][1] += len(people) > 1
        if len(people) == 1:
            edge = rescaled(edge_of(people[0]), scales[picture.camera])
            outlines[picture.camera].append(Outline(picture.time_s, edge))
    return {camera: Seen(tuple(outlines[camera]), *counts[camera]) for camera in empty}


def changed(rgb: Rgb, empty: Empty) -> Mask:
    """uint8 [H, W]: 1 where a picture differs from the empty shop in any colour, specks left out."""
    off = np.abs(cv2.blur(rgb, (3, 3)).astype(np.float32) - empty.rgb) > empty.limit
    return np.asarray(cv2.morphologyEx(off.any(axis=2).astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8)))


def parts(mask: Mask) -> list[Mask]:
    """Masks of the people in a picture, the largest first; parts that nearly touch are one."""
    size = mask.size
    if mask.sum() > FLOOD * size:
        return []
    reach = max(3, round(GAP * mask.shape[1]) // 2 * 2 + 1)
    count, labels = cv2.connectedComponents(cv2.dilate(mask, np.ones((reach, reach), np.uint8)))
    labels = np.asarray(labels) * mask
    areas = np.bincount(labels.ravel(), minlength=count)
    areas[0] = 0
    order = [int(n) for n in np.argsort(-areas) if areas[n] > 0]
    if not order or areas[order[0]] < PERSON * size:
        return []
    least = max(SECOND * areas[order[0]], PERSON / 2 * size)
    return [(labels == n).astype(np.uint8) for n in order if areas[n] >= least]


def edge_of(mask: Mask) -> Float:
    """Pixels [n, 2] (x, y) of all outer edges of a mask."""
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    large = [one.reshape(-1, 2) for one in contours if len(one) > 12] or [max(contours, key=len).reshape(-1, 2)]
    return np.concatenate(large).astype(np.float64)
