"""Pictures of a case as streams of frames: from films, and from JPEGs in the database."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from openaisle.messages import NANOSECONDS, Message, VideoFrame
from openaisle.recording.importers.autocheckout.case import Case
from openaisle.recording.importers.autocheckout.videos import Video
from openaisle.recording.importers.films import Film, read_film
from openaisle.store.schema import CameraSpec


def picture_streams(
    case: Case, videos: Sequence[Video], cameras: Mapping[str, CameraSpec]
) -> Iterator[Iterable[Message]]:
    """A stream per film, and per camera whose pictures are in the database (those are taken before its films)."""
    for number, pictures in sorted(case.pictures.items()):
        if str(number) in cameras:
            yield _from_database(cameras[str(number)], pictures, case)
    for video in videos:
        if video.camera in cameras and not (video.camera.isdecimal() and int(video.camera) in case.pictures):
            film = Film(
                video.path, cameras[video.camera], video.start_ns, video.end_ns, video.measured.pictures, scaled=True
            )
            yield read_film(film, case.problems)


def _from_database(camera: CameraSpec, pictures: list[tuple[int, bytes]], case: Case) -> Iterator[VideoFrame]:
    interval_ns = NANOSECONDS / camera.fps
    next_ns = float(min(time_ns for time_ns, _ in pictures))
    damaged = 0
    for time_ns, data in sorted(pictures):
        if time_ns < next_ns - interval_ns / 4:
            continue
        rgb = decoded(data)
        if rgb is None:
            damaged += 1
            continue
        next_ns = max(next_ns + interval_ns, time_ns + interval_ns / 2)
        if rgb.shape[:2] != (camera.height_px, camera.width_px):
            size = camera.width_px, camera.height_px
            rgb = np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
        yield VideoFrame(camera.id, time_ns, rgb)
    if damaged:
        case.remarks.append(f"{camera.id}: {damaged} pictures cannot be decoded: left out")


def decoded(data: bytes) -> NDArray[np.uint8] | None:
    """A JPEG as rgb uint8 [H, W, 3]; None when it is none."""
    try:
        bgr = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), cv2.IMREAD_COLOR) if data else None
    except cv2.error:  # a header that claims an absurd size
        return None
    if bgr is None or min(bgr.shape[:2]) < 32:
        return None
    return np.ascontiguousarray(bgr[:, :, ::-1], dtype=np.uint8)
