"""Film: a recording and its timeline become an MP4 (camera mosaic, overlays, receipts, plan)."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Protocol

import av
import numpy as np
from numpy.typing import NDArray

from openaisle.messages import NANOSECONDS, Message, VideoFrame
from openaisle.recording.reader import Recording
from openaisle.view import ink
from openaisle.view.mosaic import HEIGHT, WIDTH, Mosaic
from openaisle.view.timeline import Timeline

DEFAULT_FPS = 5.0
HOLD_NS = 2 * NANOSECONDS  # a camera that is silent for longer shows no picture
Progress = Callable[[float], None]  # called with the share done, 0 to 1


class Sink(Protocol):
    """Takes pictures in order."""

    def write(self, canvas: ink.Canvas) -> None:
        """Add a picture."""


class Mp4:
    """An H.264 MP4 being written; the file appears under its name only when it is complete."""

    def __init__(self, path: Path, fps: float, size: tuple[int, int] = (WIDTH, HEIGHT)) -> None:
        self._path = path
        self._partial = path.with_name(path.name + ".partial")
        self._container = av.open(str(self._partial), "w", format="mp4", options={"movflags": "faststart"})
        rate = Fraction(fps).limit_denominator(1000)
        self._stream = self._container.add_stream("libx264", rate=rate, options={"preset": "veryfast", "crf": "23"})
        self._stream.width, self._stream.height = size
        self._stream.pix_fmt = "yuv420p"

    def __enter__(self) -> Mp4:
        return self

    def write(self, canvas: ink.Canvas) -> None:
        """Add a picture, rgb uint8 [H, W, 3]."""
        self._container.mux(self._stream.encode(av.VideoFrame.from_ndarray(canvas, format="rgb24")))

    def __exit__(self, failure: type[BaseException] | None, *_: object) -> None:
        if failure is None:
            self._container.mux(self._stream.encode(None))
        self._container.close()
        if failure is None:
            os.replace(self._partial, self._path)
        else:
            self._partial.unlink(missing_ok=True)


def write_film(
    recording: Recording, timeline: Timeline, out: Path, title: str, progress: Progress = lambda share: None
) -> None:
    """Draw the whole recording into an MP4 at its cameras' frame rate."""
    fps = max((camera.fps for camera in timeline.store.cameras), default=DEFAULT_FPS)
    mosaic = Mosaic(timeline, title, recording.start_ns)
    length_ns = max(1, recording.end_ns - recording.start_ns)
    with Mp4(out, fps) as film:
        for time_ns, frames in instants(recording.messages(), round(NANOSECONDS / fps)):
            film.write(mosaic.draw(frames, time_ns))
            progress(min(1.0, (time_ns - recording.start_ns) / length_ns))
    progress(1.0)


def instants(messages: Iterator[Message], step_ns: int) -> Iterator[tuple[int, dict[str, NDArray[np.uint8]]]]:
    """(time, newest picture of each camera) every `step_ns` of stream time, from the first picture to the last."""
    newest: dict[str, VideoFrame] = {}
    next_ns: int | None = None
    for message in messages:
        if not isinstance(message, VideoFrame):
            continue
        next_ns = message.time_ns if next_ns is None else next_ns
        # A picture belongs to the instant that it is closest to, or cameras would seem a frame apart.
        while message.time_ns > next_ns + step_ns // 2:
            yield next_ns, _live(newest, next_ns)
            next_ns += step_ns
        newest[message.camera] = message
    if next_ns is not None:
        yield next_ns, _live(newest, next_ns)


def _live(newest: dict[str, VideoFrame], time_ns: int) -> dict[str, NDArray[np.uint8]]:
    return {camera: frame.rgb for camera, frame in newest.items() if time_ns - frame.time_ns <= HOLD_NS}
