"""Writer: messages in, a recording folder out, without ever making the caller wait.

`write` puts the message into a bounded queue; one thread encodes video, packs chunks and rotates files. When the
queue is full (the disk or the encoder is too slow), pictures go first: a refused picture is counted, and after a
refused packet its camera is refused until the next key frame, because nothing in between could be decoded. Scales,
gates and truth have a reserve of a quarter of the queue on top; past it they are refused and counted as well.
`live=False` is for producers that can wait (simulator, importers): nothing is refused, and chunks are closed by
stream time alone, so that the same messages give the same files.
"""

from __future__ import annotations

import os
import shutil
import time
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Condition, Thread
from types import TracebackType

from openaisle.errors import RecordingError
from openaisle.messages import NANOSECONDS, Message, Truth, TruthPixels, VideoFrame, VideoPacket
from openaisle.recording.codec import SENSOR_TYPES, topic_of
from openaisle.recording.files import McapFile
from openaisle.recording.manifest import (
    STORE_FOLDER,
    FileEntry,
    Kind,
    Manifest,
    Origin,
    folder_sha256,
    problem,
    write_manifest,
)
from openaisle.recording.video import Encoder
from openaisle.store.load import save_store
from openaisle.store.store import Store

ROTATE_NS = 60 * NANOSECONDS
FLUSH_S = 0.5  # half of the second that a kill may cost, the rest is for queue and disk
CAPACITY_BYTES = 64 << 20  # of queued messages: about 280 raw pictures of 320x240, or 10 of 1080p
_SMALL = 512  # what a message without pixels is taken to weigh
_Queued = tuple[Message | Truth, int]


class RecordingWriter:
    """Writes a recording into an empty or new folder; use it as a context manager, or call `close`.

    Raises RecordingError when the folder is in use, and from `write` or `close` when the disk fails.
    """

    def __init__(
        self,
        folder: Path | str,
        store: Store,
        *,
        origin: Origin | None = None,
        live: bool = True,
        pixels: bool = False,
        flush_s: float = FLUSH_S,
    ) -> None:
        self.folder = Path(folder)
        self._live, self._pixels = live, pixels
        self.manifest = self._prepare(store, origin or Origin())
        fps = {camera.id: camera.fps for camera in store.spec.cameras}
        self._out = _Output(self.folder, fps, live, flush_s)
        self._queue: deque[_Queued] = deque()
        self._bytes = 0
        self._change = Condition()
        self._closing = False
        self._busy = False
        self._error: BaseException | None = None
        self._waits_for_key: set[str] = set()
        self.dropped: Counter[str] = Counter()
        self._last_log_ns: Counter[Kind] = Counter()  # sensors and truth are logs of their own
        self._thread = Thread(target=self._run, name=f"recording {self.folder.name}", daemon=True)
        self._thread.start()

    def write(self, message: Message | Truth, received_ns: int | None = None) -> bool:
        """Queue a message; False when it was refused (see the module). Never blocks when live.

        `received_ns` is the time of delivery; by default the message's own time. The log keeps the order of the
        calls whatever the times say.
        """
        if isinstance(message, TruthPixels) and not self._pixels:
            return False
        size = _weight(message)
        with self._change:
            self._check()
            assert not self._closing, "write after close"
            if self._live and not self._has_room(message, size):
                self.dropped[_topic(message)] += 1
                return False
            while not self._live and self._bytes > CAPACITY_BYTES:
                self._change.wait()
                self._check()
            kind = _kind(message)
            time_ns = message.time_ns if received_ns is None else received_ns
            log_ns = self._last_log_ns[kind] = max(self._last_log_ns[kind], time_ns)
            self._queue.append((message, log_ns))
            self._bytes += size
            self._change.notify_all()
        return True

    def drain(self) -> None:
        """Wait until everything queued is in the files' chunks."""
        with self._change:
            while (self._queue or self._busy) and self._error is None:
                self._change.wait()
            self._check()

    def close(self) -> Manifest:
        """Write what is queued, close the files, write the manifest. Raises RecordingError when the disk failed."""
        with self._change:
            self._closing = True
            self._change.notify_all()
        self._thread.join()
        self._check()
        try:
            files = self._out.close()
        except OSError as error:
            raise self._failed(error) from error
        self.manifest = self.manifest.model_copy(
            update={
                "complete": True,
                "dropped": dict(sorted(self.dropped.items())),
                "files": files,
                "start_ns": min((f.start_ns for f in files), default=0),
                "end_ns": max((f.end_ns for f in files), default=0),
            }
        )
        write_manifest(self.folder, self.manifest)
        return self.manifest

    def __enter__(self) -> RecordingWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._closing:
            self.close()

    # --- the caller's side ------------------------------------------------------------------------------

    def _prepare(self, store: Store, origin: Origin) -> Manifest:
        if self.folder.exists() and (not self.folder.is_dir() or any(self.folder.iterdir())):
            raise problem(self.folder, "", "already exists and is not empty", "choose another folder or remove it")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            save_store(store, self.folder / STORE_FOLDER, effort=3)
            manifest = Manifest(
                complete=False,
                store_name=store.spec.name,
                store_sha256=folder_sha256(self.folder / STORE_FOLDER),
                origin=origin,
            )
            write_manifest(self.folder, manifest)
        except OSError as error:
            raise self._failed(error) from error
        return manifest

    def _has_room(self, message: Message | Truth, size: int) -> bool:
        room = CAPACITY_BYTES - self._bytes - size
        if isinstance(message, VideoPacket):
            if message.keyframe and room >= 0:
                self._waits_for_key.discard(message.camera)
            elif room < 0:
                self._waits_for_key.add(message.camera)
            return message.camera not in self._waits_for_key
        if isinstance(message, VideoFrame | TruthPixels):
            return room >= 0
        return room >= -CAPACITY_BYTES // 4

    def _check(self) -> None:
        if self._error is not None:
            raise self._failed(self._error) from self._error

    def _failed(self, error: BaseException) -> RecordingError:
        return problem(self.folder, "", f"cannot be written ({error})", "free disk space or choose another folder")

    # --- the thread's side --------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while (batch := self._take()) is not None:
                for message, log_ns in batch:
                    self._out.write(message, log_ns)
                self._out.flush_if_due()
        except BaseException as error:  # told to the caller by write and close
            with self._change:
                self._error = error
                self._change.notify_all()
            self._out.abandon()

    def _take(self) -> list[_Queued] | None:
        """The next messages (a few, so that the queue drains evenly), [] when only time has passed, None at the end."""
        with self._change:
            self._busy = False
            self._change.notify_all()
            if not self._queue and not self._closing:
                self._change.wait(self._out.seconds_to_flush() if self._live else None)
            if not self._queue:
                return None if self._closing else []
            batch = [self._queue.popleft() for _ in range(min(16, len(self._queue)))]
            self._bytes -= sum(_weight(message) for message, _ in batch)
            self._busy = True
            return batch


class _Output:
    """The files of a recording in progress: encodes, chooses the file, rotates, flushes."""

    def __init__(self, folder: Path, fps: dict[str, float], live: bool, flush_s: float) -> None:
        self._folder, self._fps, self._live, self._flush_s = folder, fps, live, flush_s
        self._encoders: dict[str, Encoder] = {}
        self._open: dict[Kind, McapFile] = {}
        self._done: list[FileEntry] = []
        self._numbers: Counter[Kind] = Counter()
        self._chunk_ns: dict[Kind, int] = {}  # log time of the first message of the open chunk
        self._flushed_at = time.monotonic()

    def write(self, message: Message | Truth, log_ns: int) -> None:
        """Append a message to its file, in a new one when 60 s are full."""
        kind = _kind(message)
        file = self._file(kind, log_ns)
        recorded = self._encode(message) if isinstance(message, VideoFrame) else message
        if log_ns - self._chunk_ns.setdefault(kind, log_ns) >= self._flush_s * NANOSECONDS:
            file.flush()
            self._chunk_ns[kind] = log_ns
        file.write(recorded, log_ns)

    def seconds_to_flush(self) -> float:
        """Wall time until the chunks must be closed."""
        return max(0.0, self._flushed_at + self._flush_s - time.monotonic())

    def flush_if_due(self) -> None:
        """Close the chunks when the timer says so (live only: wall time must not change a simulated file)."""
        if self._live and self.seconds_to_flush() <= 0:
            for kind, file in self._open.items():
                file.flush()
                self._chunk_ns.pop(kind, None)
            self._flushed_at = time.monotonic()

    def close(self) -> tuple[FileEntry, ...]:
        """Finish all files."""
        for kind in list(self._open):
            self._finish(kind)
        return tuple(sorted(self._done, key=lambda entry: entry.name))

    def abandon(self) -> None:
        """Let go of the files after an error."""
        for file in self._open.values():
            file.abandon()

    def _file(self, kind: Kind, log_ns: int) -> McapFile:
        file = self._open.get(kind)
        if file is not None and log_ns - file.start_ns < ROTATE_NS:
            return file
        if file is not None:
            self._finish(kind)
            if kind == "sensors":
                for encoder in self._encoders.values():
                    encoder.force_keyframe()  # each file can be played alone
        path = self._folder / f"{kind}-{self._numbers[kind]:05d}.mcap"
        self._numbers[kind] += 1
        self._open[kind] = McapFile(path, kind, sync=self._live)
        self._open[kind].start_ns = log_ns
        return self._open[kind]

    def _finish(self, kind: Kind) -> None:
        entry = self._open.pop(kind).close()
        assert entry is not None, "a file is opened for its first message"
        self._done.append(entry)
        self._chunk_ns.pop(kind, None)

    def _encode(self, frame: VideoFrame) -> VideoPacket:
        encoder = self._encoders.get(frame.camera)
        if encoder is None:
            encoder = self._encoders[frame.camera] = Encoder(frame.camera, self._fps.get(frame.camera, 5.0))
        return encoder.encode(frame)


def _kind(message: Message | Truth) -> Kind:
    return "sensors" if isinstance(message, (*SENSOR_TYPES, VideoFrame)) else "truth"


def _topic(message: Message | Truth) -> str:
    if isinstance(message, VideoFrame):
        return f"/camera/{message.camera}/video"
    return topic_of(message)


def _weight(message: Message | Truth) -> int:
    if isinstance(message, VideoFrame):
        return message.rgb.nbytes
    if isinstance(message, VideoPacket):
        return len(message.data) + _SMALL
    if isinstance(message, TruthPixels):
        return message.ids.nbytes + message.depth_m.nbytes
    return _SMALL


@contextmanager
def whole_recording(
    folder: Path | str, store: Store, *, origin: Origin | None = None, pixels: bool = False
) -> Iterator[RecordingWriter]:
    """A writer for producers that can wait: the folder appears when all is written, or not at all.

    Raises RecordingError when the folder exists already; the work is done in a hidden folder beside it.
    """
    folder = Path(folder)
    if folder.exists():
        raise problem(folder, "", "already exists", "choose another folder or remove it")
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}.part")
    shutil.rmtree(temporary, ignore_errors=True)  # left by a killed process of the same number
    try:
        writer = RecordingWriter(temporary, store, origin=origin, live=False, pixels=pixels)
        try:
            yield writer
        finally:
            writer.close()
        temporary.rename(folder)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
