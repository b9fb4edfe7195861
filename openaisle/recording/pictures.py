"""Pictures: a recording to look at: contact sheets (PNG) and films (MP4) of one camera or all of them side by side."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from av.container import OutputContainer
from av.video.stream import VideoStream
from numpy.typing import NDArray

from openaisle.messages import NANOSECONDS, VideoFrame
from openaisle.recording.manifest import problem
from openaisle.recording.reader import Recording

Picture = NDArray[np.uint8]
BAR_PX = 18  # height of a caption


def mosaic(pictures: Mapping[str, Picture], cameras: Sequence[str], columns: int = 0) -> Picture:
    """All cameras side by side, captions above, rgb uint8 [H, W, 3]; a missing picture is black.

    Every tile has the size of the largest picture; `columns` = 0 makes the sheet about 4:3.
    """
    assert cameras, "a mosaic needs cameras"
    height = max((p.shape[0] for p in pictures.values()), default=240)
    width = max((p.shape[1] for p in pictures.values()), default=320)
    columns = columns or math.ceil(math.sqrt(len(cameras)))
    rows = math.ceil(len(cameras) / columns)
    sheet = np.zeros((rows * (height + BAR_PX), columns * width, 3), dtype=np.uint8)
    for i, camera in enumerate(cameras):
        top, left = i // columns * (height + BAR_PX), i % columns * width
        caption(sheet[top : top + BAR_PX, left : left + width], camera)
        if camera in pictures:
            picture = pictures[camera]
            sheet[top + BAR_PX : top + BAR_PX + picture.shape[0], left : left + picture.shape[1]] = picture
    return sheet


def caption(bar: Picture, text: str) -> None:
    """Write white text on a dark bar, uint8 [BAR_PX, W, 3], in place."""
    bar[:] = 24
    line = np.ascontiguousarray(bar)
    cv2.putText(line, text, (4, BAR_PX - 5), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (235, 235, 235), 1, cv2.LINE_AA)
    bar[:] = line


def clock(time_ns: int) -> str:
    """UTC time of day with tenths of a second."""
    return datetime.fromtimestamp(time_ns / NANOSECONDS, UTC).strftime("%H:%M:%S.%f")[:-5]


class Film:
    """An MP4 (H.264) written picture by picture at its own times; rgb uint8 [H, W, 3] of even size or padded."""

    def __init__(self, path: Path | str, fps: float, *, crf: int = 23) -> None:
        self._container: OutputContainer = av.open(str(path), "w")
        self._fps, self._crf = Fraction(fps).limit_denominator(1000), crf
        self._stream: VideoStream | None = None

    def add(self, picture: Picture, time_s: float) -> None:
        """Append a picture shown from `time_s` on; times must grow."""
        picture = np.pad(picture, ((0, picture.shape[0] % 2), (0, picture.shape[1] % 2), (0, 0)), mode="edge")
        if self._stream is None:
            stream = self._container.add_stream("libx264", rate=self._fps)
            stream.height, stream.width = picture.shape[:2]
            stream.pix_fmt = "yuv420p"
            stream.options = {"crf": str(self._crf), "preset": "veryfast"}
            stream.codec_context.time_base = Fraction(1, 90_000)
            self._stream = stream
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
        frame.pts, frame.time_base = round(time_s * 90_000), Fraction(1, 90_000)
        self._container.mux(self._stream.encode(frame))

    def close(self) -> None:
        """Finish the file."""
        if self._stream is not None:
            self._container.mux(self._stream.encode(None))
        self._container.close()


@dataclass(frozen=True, slots=True)
class Exported:
    """What a film holds; the plain importer asks for the instant of its first picture."""

    pictures: int
    first_ns: int


def export_mp4(
    recording: Recording,
    out: Path | str,
    camera: str | None = None,
    start_ns: int | None = None,
    end_ns: int | None = None,
) -> Exported:
    """Write an MP4 in real time: one camera's pictures as they are, or a mosaic of all with captions.

    Raises RecordingError for an unknown camera, or when the span holds no picture (then no file is left).
    """
    cameras = _cameras(recording, camera)
    fps = max(spec.fps for spec in recording.store.spec.cameras if spec.id in cameras)
    latest: dict[str, Picture] = {}
    film = Film(out, fps)
    first_ns = shown_ns = -1
    count = 0

    def drawn() -> Picture:
        return _sheet(latest, cameras, shown_ns) if camera is None else latest[camera]

    for frame in recording.messages(start_ns, end_ns):
        if not isinstance(frame, VideoFrame) or frame.camera not in cameras:
            continue
        # A new instant begins: what is known of the one before is one picture of the film.
        if latest and frame.time_ns - shown_ns >= 0.5 * NANOSECONDS / fps:
            film.add(drawn(), (shown_ns - first_ns) / NANOSECONDS)
            count += 1
            shown_ns = frame.time_ns
        elif not latest:
            first_ns = shown_ns = frame.time_ns
        latest[frame.camera] = frame.rgb
    if latest:
        film.add(drawn(), (shown_ns - first_ns) / NANOSECONDS)
        count += 1
    film.close()
    if count == 0:
        Path(out).unlink(missing_ok=True)
        raise problem(recording.folder, f"{start_ns}..{end_ns}", "no picture lies in this span", "choose another span")
    return Exported(count, first_ns)


def contact_sheet(recording: Recording, out: Path | str, moments: int = 6) -> Picture:
    """A PNG with one row per camera and `moments` columns spread over the recording; returned as rgb too."""
    cameras = _cameras(recording, None)
    slow = min(camera.fps for camera in recording.store.spec.cameras)
    span = recording.end_ns - recording.start_ns
    columns = []
    for i in range(moments):
        at = recording.start_ns + round((i + 0.5) / moments * span)
        pictures: dict[str, Picture] = {}
        for frame in recording.messages(at, at + round(2 * NANOSECONDS / slow)):
            if isinstance(frame, VideoFrame):
                pictures.setdefault(frame.camera, frame.rgb)
        columns.append(_sheet(pictures, cameras, at, 1))
    height, width = (max(column.shape[axis] for column in columns) for axis in (0, 1))
    padded = [np.pad(c, ((0, height - c.shape[0]), (0, width - c.shape[1]), (0, 0))) for c in columns]
    sheet = np.concatenate(padded, axis=1)
    done, png = cv2.imencode(".png", sheet[:, :, ::-1])
    assert done, "PNG encoding of a uint8 picture cannot fail"
    Path(out).write_bytes(png.tobytes())
    return sheet


def _sheet(pictures: Mapping[str, Picture], cameras: Sequence[str], time_ns: int, columns: int = 0) -> Picture:
    body = mosaic(pictures, cameras, columns)
    top = np.zeros((BAR_PX, body.shape[1], 3), dtype=np.uint8)
    caption(top, clock(time_ns))
    return np.concatenate([top, body])


def _cameras(recording: Recording, camera: str | None) -> list[str]:
    known = [spec.id for spec in recording.store.spec.cameras]
    if camera is not None and camera not in known:
        raise problem(recording.folder, camera, "no such camera in the store", f"use one of {', '.join(known)}")
    if not known:
        raise problem(recording.folder, "cameras", "the store has no cameras", "nothing to show")
    return known if camera is None else [camera]
