"""Films and pictures to calibrate from: grey pictures, evenly spaced in time, in the film's own size."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import cv2
import numpy as np
from av.error import FFmpegError
from numpy.typing import NDArray

from openaisle.errors import Problem, RecordingError
from openaisle.recording.importers.films import measure
from openaisle.store.geometry import Float
from openaisle.store.load import read_picture
from openaisle.store.schema import CameraSpec

Grey = NDArray[np.uint8]
PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")
CUT_FIX = "export or copy the film again"
SMALL_PX = 800  # narrower pictures are doubled before markers are looked for: their cells have one or two pixels


@dataclass(frozen=True, slots=True)
class Shot:
    """One picture, grey uint8 [H, W], and where it is from."""

    grey: Grey
    file: str
    number: int  # in its film, from 1


def shots(path: Path, rate_hz: float) -> Iterator[Shot]:
    """The picture in a file, or those of a film at no more than `rate_hz`.

    Raises RecordingError when the file is missing, of no known kind, empty or damaged.
    """
    if path.is_dir() or not path.exists():
        what = "is a folder, not a film or picture" if path.is_dir() else "is missing"
        raise RecordingError([Problem(str(path), "file", what, "name a film (such as MP4) or a picture")])
    if path.suffix.lower() in PICTURES:
        rgb = read_picture(path)
        if rgb is None:
            raise RecordingError([Problem(str(path), "file", "is not a readable picture", "save it as PNG or JPEG")])
        yield Shot(np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), np.uint8), path.name, 1)
        return
    problems: list[Problem] = []
    if measure(path, "film", problems) is None:
        raise RecordingError(problems)
    yield from _film(path, rate_hz)


def coloured(path: Path, rate_hz: float) -> Iterator[tuple[float, NDArray[np.uint8]]]:
    """Pictures of a film, rgb uint8 [H, W, 3], with their seconds since its first; raises RecordingError as `shots`."""
    problems: list[Problem] = []
    if measure(path, "film", problems) is None:
        raise RecordingError(problems)
    first: float | None = None
    for seconds, _, picture in _decoded(path, rate_hz):
        first = seconds if first is None else first
        yield seconds - first, np.asarray(picture.reformat(format="rgb24").to_ndarray(), np.uint8)


def _film(path: Path, rate_hz: float) -> Iterator[Shot]:
    for _, number, picture in _decoded(path, rate_hz):
        yield Shot(np.asarray(picture.reformat(format="gray8").to_ndarray(), np.uint8), path.name, number)


def _decoded(path: Path, rate_hz: float) -> Iterator[tuple[float, int, av.VideoFrame]]:
    """Seconds, number and picture of a film at no more than `rate_hz`."""
    decoded, next_s = 0, -np.inf
    try:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            for picture in container.decode(stream):
                decoded += 1
                seconds = decoded / float(stream.average_rate or 25) if picture.time is None else float(picture.time)
                if seconds < next_s:
                    continue
                next_s = seconds + 1 / rate_hz - 1e-6
                yield seconds, decoded, picture
    except (FFmpegError, OSError, ValueError) as error:
        what = f"is damaged after {decoded} pictures ({getattr(error, 'strerror', None) or error})"
        raise RecordingError([Problem(str(path), f"picture {decoded}", what, CUT_FIX)]) from error
    if decoded == 0:
        raise RecordingError([Problem(str(path), "film", "holds no picture", CUT_FIX)])


def doubled(grey: Grey) -> tuple[Grey, float]:
    """The picture to look for markers in, and how many times larger it is."""
    if grey.shape[1] >= SMALL_PX:
        return grey, 1.0
    return np.asarray(cv2.resize(grey, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC), np.uint8), 2.0


def rescaled(pixels: Float, factor: float) -> Float:
    """Pixel coordinates [..., 2] in a picture `factor` times as large; (0, 0) is the centre of a pixel in both."""
    return np.asarray((np.asarray(pixels, np.float64) + 0.5) * factor - 0.5)


def camera_scale(camera: CameraSpec, size_px: tuple[int, int], file: str) -> float:
    """Pixels of the camera per pixel of a film of (width, height); raises RecordingError when the shapes differ.

    Filming at a multiple of the size that the shop runs at is common; a crop would be another camera.
    """
    factor = camera.width_px / size_px[0]
    if abs(size_px[1] * factor - camera.height_px) > max(1.0, factor):  # films are padded to even sizes
        what = f"is {size_px[0]}x{size_px[1]}, but camera {camera.id} is {camera.width_px}x{camera.height_px}"
        fix = "film in the shape of picture that the shop uses, or correct width_px and height_px in store.yaml"
        raise RecordingError([Problem(file, f"camera {camera.id}", what, fix)])
    return factor


def camera_of(cameras: tuple[CameraSpec, ...], name: str) -> CameraSpec:
    """The camera of an id; raises RecordingError that lists the known ones."""
    for camera in cameras:
        if camera.id == name:
            return camera
    known = ", ".join(camera.id for camera in cameras) or "none yet"
    fix = f"known cameras: {known}; write a new one into store.yaml first, with rough numbers"
    raise RecordingError([Problem("store.yaml", "cameras", f"there is no camera {name!r}", fix)])
