"""Films: MP4 (or any file PyAV opens) as a camera's pictures with their times."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from av.error import FFmpegError

from openaisle.errors import Problem
from openaisle.messages import NANOSECONDS, VideoFrame
from openaisle.store.schema import CameraSpec

DAY_S = 86_400
_CUT_FIX = "export or copy the film again"


@dataclass(frozen=True, slots=True)
class Film:
    """A film that can be opened: the camera it belongs to and the instant of its first picture."""

    path: Path
    camera: CameraSpec
    start_ns: int
    end_ns: int  # as its header says; a day later when it does not
    pictures: int  # as its header says, 0 = it does not say
    scaled: bool = False  # its pictures are scaled to the camera's size; otherwise they have it, or a pixel more


@dataclass(frozen=True, slots=True)
class Measured:
    """What a film's header says: a day and 0 pictures where it does not say."""

    width_px: int
    height_px: int
    fps: float  # 0 = it does not say
    duration_ns: int
    pictures: int


def measure(path: Path, place: str, problems: list[Problem]) -> Measured | None:
    """Open a film and read its header; None, with a problem at `place`, when it cannot be opened."""
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                problems.append(Problem(str(path), place, "has no video stream", _CUT_FIX))
                return None
            stream = container.streams.video[0]
            codec: av.VideoCodecContext | None = stream.codec_context  # None for a codec that nobody knows
            if codec is None or codec.width <= 0 or codec.height <= 0:
                problems.append(Problem(str(path), place, "is of no known codec or size", _CUT_FIX))
                return None
            duration_ns = round((container.duration or DAY_S * av.time_base) / av.time_base * NANOSECONDS)
            return Measured(codec.width, codec.height, float(stream.average_rate or 0), duration_ns, stream.frames)
    except (FFmpegError, OSError, ValueError) as error:  # ValueError: metadata that is no text
        if not path.exists():
            problems.append(Problem(str(path), place, "is missing", "put it there, or correct its name in import.yaml"))
        else:
            what = f"cannot be opened as a film ({_why(error)})"
            problems.append(Problem(str(path), place, what, _CUT_FIX))
        return None


def _why(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error)


def probe(path: Path, camera: CameraSpec, start_ns: int, problems: list[Problem]) -> Film | None:
    """Open a film and hold it against its camera; None when it is of no use."""
    place = f"camera {camera.id}"
    measured = measure(path, place, problems)
    if measured is None:
        return None
    width, height = measured.width_px, measured.height_px
    padded = camera.width_px + camera.width_px % 2, camera.height_px + camera.height_px % 2  # films are even
    if (width, height) not in (padded, (camera.width_px, camera.height_px)):
        wanted = f"{camera.width_px}x{camera.height_px}"
        what = f"is {width}x{height}, but the store says {wanted}"
        fix = f"export it at {wanted}, or give the camera's calibration at {width}x{height} in store.yaml"
        problems.append(Problem(str(path), place, what, fix))
        return None
    return Film(path, camera, start_ns, start_ns + measured.duration_ns, measured.pictures)


def read_film(film: Film, problems: list[Problem]) -> Iterator[VideoFrame]:
    """The film's pictures at no more than the camera's rate; damage is appended to `problems` and ends the film."""
    interval_ns = NANOSECONDS / film.camera.fps
    decoded = 0
    next_ns = float(film.start_ns)
    first_s: float | None = None
    size = {"width": film.camera.width_px, "height": film.camera.height_px} if film.scaled else {}
    try:
        with av.open(str(film.path)) as container:
            stream = container.streams.video[0]
            for picture in container.decode(stream):
                decoded += 1
                seconds = decoded / film.camera.fps if picture.time is None else float(picture.time)
                first_s = seconds if first_s is None else first_s
                time_ns = film.start_ns + round((seconds - first_s) * NANOSECONDS)
                if time_ns < next_ns - interval_ns / 4:
                    continue  # the film has more pictures than the store's camera
                if time_ns - film.start_ns > DAY_S * NANOSECONDS:
                    raise ValueError("its clock jumps by days")
                next_ns = max(next_ns + interval_ns, time_ns + interval_ns / 2)
                rgb = picture.reformat(format="rgb24", **size).to_ndarray().astype(np.uint8, copy=False)
                rgb = np.ascontiguousarray(rgb[: film.camera.height_px, : film.camera.width_px])
                if rgb.shape[:2] != (film.camera.height_px, film.camera.width_px):
                    raise ValueError("its pictures shrink")
                yield VideoFrame(film.camera.id, time_ns, rgb)
    except (FFmpegError, OSError, ValueError) as error:
        what = f"is damaged after {decoded} pictures ({_why(error)})"
        problems.append(Problem(str(film.path), f"picture {decoded}", what, _CUT_FIX))
        return
    if decoded == 0 or decoded < film.pictures:
        what = f"was cut short: {decoded} of {film.pictures} pictures" if film.pictures else "holds no picture"
        problems.append(Problem(str(film.path), f"picture {decoded}", what, _CUT_FIX))
