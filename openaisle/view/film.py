"""Film: a recording and its timeline become an MP4 (camera mosaic, overlays, receipts, plan)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from openaisle.messages import NANOSECONDS, Message, VideoFrame
from openaisle.recording.pictures import Film
from openaisle.recording.reader import Recording
from openaisle.view.mosaic import Mosaic
from openaisle.view.timeline import Timeline

DEFAULT_FPS = 5.0
HOLD_NS = 2 * NANOSECONDS  # a camera that is silent for longer shows no picture
Progress = Callable[[float], None]  # called with the share done, 0 to 1


def write_film(
    recording: Recording,
    timeline: Timeline,
    out: Path,
    title: str,
    progress: Progress = lambda share: None,
    span_ns: tuple[int, int] | None = None,
) -> None:
    """Draw a recording, or a span of it, into an MP4 at its cameras' frame rate; the file appears when complete."""
    fps = max((camera.fps for camera in timeline.store.cameras), default=DEFAULT_FPS)
    mosaic = Mosaic(timeline, title, recording.start_ns)
    start_ns, end_ns = span_ns or (recording.start_ns, recording.end_ns)
    length_ns = max(1, end_ns - start_ns)
    partial = out.with_name(out.stem + ".partial.mp4")
    film = Film(partial, fps, crf=27)
    try:
        messages = recording.messages(*(span_ns or ()))
        for time_ns, frames in instants(messages, round(NANOSECONDS / fps)):
            film.add(mosaic.draw(frames, time_ns), (time_ns - start_ns) / NANOSECONDS)
            progress(min(1.0, (time_ns - start_ns) / length_ns))
        film.close()
        partial.replace(out)
    finally:
        partial.unlink(missing_ok=True)
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
