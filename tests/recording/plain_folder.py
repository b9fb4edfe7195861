"""The way back: a recording as films and tables, to feed the plain importer with something real."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import yaml

from openaisle.messages import NANOSECONDS, GateEvent, ScaleBatch, VideoFrame
from openaisle.recording.pictures import Film
from openaisle.recording.reader import Recording
from openaisle.store.load import save_store


def write_plain(recording: Recording, folder: Path) -> None:
    """One MP4 per camera, scales.csv, gates.csv, the store and import.yaml; the start must be a whole second."""
    assert recording.start_ns % NANOSECONDS == 0
    folder.mkdir()
    cameras = {camera.id: camera.fps for camera in recording.store.spec.cameras}
    films = {camera: Film(folder / f"{camera}.mp4", fps, crf=18) for camera, fps in cameras.items()}
    first: dict[str, float] = {}
    scales: list[tuple[str, str, str]] = []
    gates: list[tuple[str, str, str, str]] = []
    for message in recording:
        seconds = (message.time_ns - recording.start_ns) / NANOSECONDS
        if isinstance(message, VideoFrame):
            begin = first.setdefault(message.camera, seconds)
            films[message.camera].add(message.rgb, seconds - begin)
        elif isinstance(message, ScaleBatch):
            for i, grams in enumerate(message.grams):
                text = "" if np.isnan(grams) else repr(float(grams))
                scales.append((f"{seconds + i / message.rate_hz:.6f}", message.scale, text))
        elif isinstance(message, GateEvent):
            gates.append((f"{seconds:.6f}", message.gate, message.kind, message.visit))
    for film in films.values():
        film.close()
    _table(folder / "scales.csv", ("time", "scale", "grams"), scales)
    _table(folder / "gates.csv", ("time", "gate", "kind", "visit"), gates)
    save_store(recording.store, folder / "store")
    sheet = {
        "start": datetime.fromtimestamp(recording.start_ns // NANOSECONDS, UTC).isoformat(),
        "store": "store",
        "films": [{"file": f"{camera}.mp4", "camera": camera, "offset_s": at} for camera, at in first.items()],
        "scales": {"file": "scales.csv"},
        "gates": {"file": "gates.csv"},
    }
    (folder / "import.yaml").write_text(yaml.safe_dump(sheet))


def _table(path: Path, head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    with path.open("w", newline="") as stream:
        csv.writer(stream).writerows([head, *rows])
