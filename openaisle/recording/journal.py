"""Journal: a recording that is read while it is written: what a live store heard, in the order in which it counts.

The writer appends and commits; what is committed is on disk, and only that is ever read. A reader follows from an
instant on and waits for more; it reads the same again after a kill of either side. `head` says how far the commits go.
A killed writer leaves its file as it is and goes on in a new one, so that nothing that was read ever moves.
"""

from __future__ import annotations

import io
import os
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

from mcap.records import Channel, Chunk
from mcap.records import Message as McapMessage
from mcap.stream_reader import StreamReader, breakup_chunk

from openaisle.errors import RecordingError
from openaisle.messages import NANOSECONDS, VideoFrame, VideoPacket
from openaisle.recording.codec import Recorded
from openaisle.recording.files import DAMAGE, Logged, McapFile, decode
from openaisle.recording.manifest import (
    MANIFEST,
    STORE_FOLDER,
    Manifest,
    folder_sha256,
    problem,
    read_manifest,
    write_manifest,
)
from openaisle.recording.video import Encoder
from openaisle.store.load import save_store
from openaisle.store.store import Store

HEAD = "head"
ROTATE_NS = 60 * NANOSECONDS
MOST_PENDING = 200_000  # messages that wait for room: half an hour of fifty scales
IDLE_S = 0.02  # between two looks for more
_RECORD_HEAD = struct.Struct("<BQ")  # opcode, length
_MAGIC_BYTES = 8
_CHUNK = 6


class JournalWriter:
    """Appends to a journal; one writer per folder. Raises RecordingError when the disk fails.

    Where there is no room, `commit` says so and may be asked again: what was appended is kept until then, but pictures.
    """

    def __init__(self, folder: Path, store: Store) -> None:
        self.folder = folder
        self._fps = {camera.id: camera.fps for camera in store.spec.cameras}
        self._encoders: dict[str, Encoder] = {}
        self._pending: list[Recorded] = []  # appended, not committed
        self._error: OSError | None = None  # of the last try to write
        self._marked = -1, 0  # file and size of the last commit
        try:
            self._manifest = _prepared(folder, store)
            self._head = os.open(folder / HEAD, os.O_RDWR | os.O_CREAT, 0o644)
            files = _files(folder)
            self._number = _number(files[-1]) if files else -1
            if files:
                self._mark(_mended(files[-1]))
        except OSError as error:
            raise _failed(folder, error) from error
        self._file: McapFile | None = None
        self._log_ns = 0

    def append(self, message: Recorded | VideoFrame) -> None:
        """Write a message; it counts from the next commit on. Raises RecordingError when too many wait for room."""
        if len(self._pending) >= MOST_PENDING and self._error is not None:
            raise _failed(self.folder, self._error) from self._error
        one = self._encoded(message) if isinstance(message, VideoFrame) else message
        self._pending.append(one)
        if self._error is None:
            try:
                self._write(one)
            except OSError as error:
                self._error = error

    def commit(self) -> None:
        """All that was appended is on disk when this returns; after a RecordingError it may be tried again."""
        try:
            if self._error is not None:
                self._begin_again()
            if self._file is not None and self._file.messages:
                self._file.flush()
                self._mark(self._file.path.stat().st_size)
        except OSError as error:
            self._error = error
            raise _failed(self.folder, error) from error
        self._error = None
        self._pending.clear()

    def close(self) -> None:
        """Commit, and finish the file."""
        try:
            self.commit()
            self._finish()
        except OSError as error:
            raise _failed(self.folder, error) from error
        finally:
            os.close(self._head)

    def _write(self, message: Recorded) -> None:
        self._log_ns = max(self._log_ns, message.time_ns)
        self._open_file().write(message, self._log_ns)

    def _begin_again(self) -> None:
        """Cut off what was not committed, and write it once more; pictures go first where there is little room."""
        file, self._file = self._file, None
        if file is not None:
            with suppress(OSError):
                file.abandon()
            number, size = self._marked
            if number == self._number:
                os.truncate(file.path, size)
            else:
                file.path.unlink(missing_ok=True)
                self._number -= 1
        self._pending = [message for message in self._pending if not isinstance(message, VideoPacket)]
        for message in self._pending:
            self._write(message)

    def _open_file(self) -> McapFile:
        if self._file is not None and self._file.messages and self._log_ns - self._file.start_ns >= ROTATE_NS:
            self._finish()
        if self._file is None:
            self._number += 1
            self._file = self._new_file()
            for encoder in self._encoders.values():
                encoder.force_keyframe()
        return self._file

    def _new_file(self) -> McapFile:
        path = self.folder / f"sensors-{self._number:05d}.mcap"
        try:
            return McapFile(path, "sensors", sync=True)
        except OSError:
            path.unlink(missing_ok=True)
            self._number -= 1
            raise

    def _finish(self) -> None:
        if self._file is None:
            return
        path, entry = self._file.path, self._file.close()
        self._file = None
        if entry is not None:
            files = (*self._manifest.files, entry)
            self._manifest = self._manifest.model_copy(update={"files": files})
            self._mark(path.stat().st_size)
            write_manifest(self.folder, self._manifest)

    def _mark(self, size: int) -> None:
        """Readers may read up to here."""
        os.pwrite(self._head, f"{self._number:08d} {size:016d}\n".encode(), 0)
        self._marked = self._number, size

    def _encoded(self, frame: VideoFrame) -> Recorded:
        encoder = self._encoders.setdefault(frame.camera, Encoder(frame.camera, self._fps.get(frame.camera, 5.0)))
        return encoder.encode(frame)


def follow(folder: Path, start_ns: int, go_on: Callable[[], bool]) -> Iterator[Logged]:
    """Committed messages with log time >= start_ns, for ever: waits for more until told not to go on."""
    number, offset, channels = -1, _MAGIC_BYTES, dict[int, str]()
    while go_on():
        head = _head(folder)
        if head is None:
            time.sleep(IDLE_S)
            continue
        if number < 0:
            number = _first(folder, start_ns, head[0])
        path = folder / f"sensors-{number:05d}.mcap"
        before = offset
        for end, logged in _whole_chunks(path, offset, head[1] if number == head[0] else None, channels):
            for one in logged:
                if one.log_ns >= start_ns:
                    yield one
            offset = end
        if number < head[0]:
            number, offset, channels = number + 1, _MAGIC_BYTES, {}
        elif offset == before:
            time.sleep(IDLE_S)


def last_messages(folder: Path, span_ns: int) -> list[Logged]:
    """What is committed of the last `span_ns` and a little more, in order: for who goes on writing."""
    head = _head(folder)
    if head is None:
        return []
    out: list[Logged] = []
    for number in range(head[0], -1, -1):
        path = folder / f"sensors-{number:05d}.mcap"
        if not path.is_file():
            break
        limit = head[1] if number == head[0] else None
        out = [one for _, logged in _whole_chunks(path, _MAGIC_BYTES, limit, {}) for one in logged] + out
        if out and out[-1].log_ns - out[0].log_ns >= span_ns:
            break
    return out


def forget(folder: Path, before_ns: int) -> int:
    """Delete files all of whose messages are older; how many bytes that freed. The last file always stays."""
    freed = 0
    files = _files(folder)
    for path, following in pairwise(files):
        first_ns = _first_ns(following)
        if first_ns is None or first_ns > before_ns:
            break
        freed += path.stat().st_size
        path.unlink()
    return freed


def _prepared(folder: Path, store: Store) -> Manifest:
    if (folder / MANIFEST).is_file():
        manifest = read_manifest(folder)
        kept = {path.name for path in _files(folder)}
        files = tuple(entry for entry in manifest.files if entry.name in kept)
        manifest = manifest.model_copy(update={"complete": False, "files": files})
    else:
        folder.mkdir(parents=True, exist_ok=True)
        save_store(store, folder / STORE_FOLDER, effort=3)
        digest = folder_sha256(folder / STORE_FOLDER)
        manifest = Manifest(complete=False, store_name=store.spec.name, store_sha256=digest)
    write_manifest(folder, manifest)
    return manifest


def _mended(path: Path) -> int:
    """The size of a file without what a kill or a power cut left unfinished at its end, which is cut off."""
    end = _MAGIC_BYTES
    try:
        for chunk, after in _chunks(path, _MAGIC_BYTES, None):
            breakup_chunk(chunk, validate_crc=True)
            end = after
    except DAMAGE:
        os.truncate(path, end)
    return path.stat().st_size


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob("sensors-*.mcap"))


def _number(path: Path) -> int:
    return int(path.stem.partition("-")[2])


def _head(folder: Path) -> tuple[int, int] | None:
    """(file number, committed bytes), None before the first commit."""
    try:
        number, size = (folder / HEAD).read_bytes().split()
        return int(number), int(size)
    except (OSError, ValueError):
        return None


def _first(folder: Path, start_ns: int, last: int) -> int:
    """The file in which an instant lies: the last one that begins before it, or the oldest there is."""
    numbers = [_number(path) for path in _files(folder) if _number(path) <= last]
    found = numbers[0] if numbers else last
    for number in numbers:
        first_ns = _first_ns(folder / f"sensors-{number:05d}.mcap")
        if first_ns is not None and first_ns > start_ns:
            break
        found = number
    return found


def _first_ns(path: Path) -> int | None:
    for chunk, _ in _chunks(path, _MAGIC_BYTES, None):
        return chunk.message_start_time
    return None


def _whole_chunks(
    path: Path, offset: int, limit: int | None, channels: dict[int, str]
) -> Iterator[tuple[int, list[Logged]]]:
    """(where a chunk ends, its messages) from an offset on; what a kill cut short is left out."""
    for chunk, end in _chunks(path, offset, limit):
        try:
            records = breakup_chunk(chunk, validate_crc=True)
        except DAMAGE as error:
            raise problem(path, f"byte {end}", f"is damaged ({error})", "restore it from a copy") from error
        out: list[Logged] = []
        for record in records:
            if isinstance(record, Channel):
                channels[record.id] = record.topic
            elif isinstance(record, McapMessage) and record.channel_id in channels:
                message = decode(channels[record.channel_id], record)
                if message is not None:
                    out.append(Logged(record.log_time, message))
        yield end, out


def _chunks(path: Path, offset: int, limit: int | None) -> Iterator[tuple[Chunk, int]]:
    try:
        size = path.stat().st_size if limit is None else limit
        stream = path.open("rb")
    except FileNotFoundError:
        return
    with stream:
        while offset + _RECORD_HEAD.size <= size:
            stream.seek(offset)
            opcode, length = _RECORD_HEAD.unpack(stream.read(_RECORD_HEAD.size))
            end = offset + _RECORD_HEAD.size + length
            if end > size:
                return
            if opcode == _CHUNK:
                stream.seek(offset)
                record = io.BytesIO(stream.read(end - offset))
                chunk = next(iter(StreamReader(record, skip_magic=True, emit_chunks=True).records))
                assert isinstance(chunk, Chunk), "its opcode says so"
                yield chunk, end
            offset = end


def _failed(folder: Path, error: OSError) -> RecordingError:
    return problem(folder, "", f"the journal cannot be written ({error})", "free disk space")
