"""`aisle calibrate walk` from beginning to end: a recording or films of somebody who walks, poses into store.yaml."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from heapq import merge
from pathlib import Path

from openaisle.calibrate.films import camera_of, camera_scale, coloured
from openaisle.calibrate.ground import Passage, passage
from openaisle.calibrate.silhouettes import Picture, Pictures, Seen, look
from openaisle.calibrate.store_cameras import Written, opened, sorted_films, write_poses
from openaisle.calibrate.walking import Walked, place_by_walk
from openaisle.errors import Problem, RecordingError
from openaisle.messages import NANOSECONDS, GateEvent, VideoFrame
from openaisle.recording.importers.films import measure
from openaisle.recording.manifest import MANIFEST
from openaisle.recording.reader import Recording, open_recording
from openaisle.store.schema import StoreSpec
from openaisle.store.store import camera_from_spec

RATE_HZ = 5.0  # of pictures looked at
FILMS = (".mp4", ".mkv", ".avi", ".mov", ".webm", ".ts")
Progress = Callable[[float], None]


@dataclass(frozen=True)
class Footage:
    """Pictures of all cameras in time order, their sizes (width, height), and when gates saw somebody."""

    name: str
    pictures: Pictures
    sizes: Mapping[str, tuple[int, int]]
    duration_s: float
    passages: tuple[Passage, ...]


def walk_job(
    folder: Path,
    sources: Sequence[str],
    dry: bool,
    progress: Progress,
    *,
    height_m: float | None = None,
    fixed: Sequence[str] = (),
) -> tuple[Walked, tuple[str, ...], Written]:
    """Find poses of all cameras that see somebody walk, and write them into the store; with remarks.

    Raises StoreError, RecordingError, MissingExtraError; store.yaml is then as it was.
    """
    spec = opened(folder, dry)
    for name in fixed:
        camera_of(spec.cameras, name)
    footage = _footage(spec, sources)
    scales = {
        name: camera_scale(camera_of(spec.cameras, name), size, footage.name) for name, size in footage.sizes.items()
    }
    seen = look(footage.pictures, scales, progress, footage.duration_s)
    filmed = [camera_from_spec(camera) for camera in spec.cameras if camera.id in footage.sizes]
    outlines = {name: one.outlines for name, one in seen.items()}
    walked = place_by_walk(spec, filmed, outlines, height_m=height_m, fixed=fixed, passages=footage.passages)
    written = Written(None, None) if dry else write_poses(folder, spec, walked.placed, "walk")
    progress(1.0)
    return walked, _remarks(spec, footage, seen, walked), written


def _remarks(spec: StoreSpec, footage: Footage, seen: Mapping[str, Seen], walked: Walked) -> tuple[str, ...]:
    out = [f"{name} stays as it was: {what}" for name, what in walked.stay.items()]
    out += [f"{one.id} stays as it was: it was not filmed" for one in spec.cameras if one.id not in footage.sizes]
    crowded = [name for name, one in seen.items() if one.several > 0.2 * one.pictures]
    out += [
        f"{name} shows several people (or moved things) in {seen[name].several} of {seen[name].pictures} pictures; "
        "they were left out"
        for name in crowded
    ]
    return tuple(out)


def _footage(spec: StoreSpec, sources: Sequence[str]) -> Footage:
    folder = Path(sources[0])
    if len(sources) == 1 and (folder / MANIFEST).exists():
        return _recorded(spec, open_recording(folder))
    words = list(sources)
    if len(sources) == 1 and folder.is_dir():
        words = sorted(str(path) for path in folder.iterdir() if path.suffix.lower() in FILMS)
        if not words:
            fix = "name a recording, or a folder of films named after their cameras"
            raise RecordingError([Problem(str(folder), "folder", "holds no recording and no film", fix)])
    return _filmed(spec, words)


def _recorded(spec: StoreSpec, recording: Recording) -> Footage:
    start_ns = recording.start_ns
    gates = {gate.id: gate for gate in spec.gates}

    def seconds(time_ns: int) -> float:
        return (time_ns - start_ns) / NANOSECONDS

    def pictures() -> Iterator[Picture]:
        due: dict[str, float] = {}
        for message in recording.messages():
            if isinstance(message, VideoFrame):
                time_s = seconds(message.time_ns)
                if time_s >= due.get(message.camera, time_s):
                    due[message.camera] = time_s + 1 / RATE_HZ - 1e-3
                    yield Picture(message.camera, time_s, message.rgb)

    sizes = {camera.id: (camera.width_px, camera.height_px) for camera in recording.store.spec.cameras}
    passages = tuple(
        passage(gates[message.gate], seconds(message.time_ns))
        for message in recording.messages(decode=False)
        if isinstance(message, GateEvent) and message.gate in gates
    )
    duration_s = (recording.end_ns - start_ns) / NANOSECONDS
    return Footage(str(recording.folder), pictures, sizes, duration_s, passages)


def _filmed(spec: StoreSpec, words: Sequence[str]) -> Footage:
    """Films that began at the same moment, one for each camera."""
    films = sorted_films(spec, words)
    problems: list[Problem] = []
    sizes = {}
    seconds = [0.0]
    for name, paths in films.items():
        if len(paths) > 1:
            what = f"{len(paths)} films are given for one camera"
            problems.append(Problem(str(paths[1]), f"camera {name}", what, "join them, or name one"))
        elif not paths[0].is_file():
            what = "is missing or no film"
            problems.append(Problem(str(paths[0]), f"camera {name}", what, "name a film (such as MP4)"))
        elif (found := measure(paths[0], f"camera {name}", problems)) is not None:
            sizes[name] = (found.width_px, found.height_px)
            seconds.append(found.duration_ns / NANOSECONDS)
    if problems:
        raise RecordingError(problems)

    def one(name: str, path: Path) -> Iterator[Picture]:
        return (Picture(name, time_s, rgb) for time_s, rgb in coloured(path, RATE_HZ))

    def pictures() -> Iterator[Picture]:
        return merge(*(one(name, paths[0]) for name, paths in films.items()), key=lambda picture: picture.time_s)

    return Footage("films", pictures, sizes, max(seconds), ())
