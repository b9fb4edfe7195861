"""Files: one MCAP file of a recording, written in order of log time and read back in that order.

The writer closes a chunk at least once a second; what lies in closed chunks survives a kill, because the streaming
reader (recover.py) needs neither index nor footer. The log time is the time of delivery, which never runs backwards;
the publish time is the message's own `time_ns`.
"""

from __future__ import annotations

import hashlib
import io
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mcap.exceptions import McapError
from mcap.reader import SeekingReader
from mcap.records import Message as McapMessage
from mcap.stream_reader import CRCValidationError
from mcap.writer import CompressionType, IndexType, Writer
from zstandard import ZstdError

from openaisle.recording.codec import Recorded, codec_for, topic_of, type_of
from openaisle.recording.manifest import COPY_FIX, FileEntry, Kind, problem

if TYPE_CHECKING:
    from typing_extensions import Buffer

CHUNK_BYTES = 1 << 20
LIBRARY = "openaisle"  # without a version: the same messages give the same bytes
# What a damaged file makes the MCAP library raise.
DAMAGE = (
    McapError,
    CRCValidationError,
    ZstdError,
    ValueError,
    EOFError,
    KeyError,
    IndexError,
    OverflowError,
    MemoryError,
    struct.error,
)


class McapFile:
    """Writes one MCAP file: zstd chunks with CRCs; counts and hashes on the way."""

    def __init__(self, path: Path, kind: Kind, *, sync: bool = False) -> None:
        self.path, self.kind = path, kind
        self._out = _HashingFile(path)
        self._sync = sync  # fsync with each flush, so that a power cut loses no more than a kill
        self._writer = Writer(self._out, CHUNK_BYTES, CompressionType.ZSTD, IndexType.ALL, enable_crcs=True)
        self._writer.start(library=LIBRARY)
        self._schemas: dict[str, int] = {}
        self._channels: dict[str, int] = {}
        self.messages = 0
        self.start_ns = 0
        self.end_ns = 0

    def write(self, message: Recorded, log_ns: int) -> None:
        """Append a message; log_ns must not be smaller than the one before."""
        topic = topic_of(message)
        channel = self._channels.get(topic) or self._register(topic, type(message))
        kind: type = type(message)
        data = codec_for(kind).encode(message)
        self.start_ns = log_ns if self.messages == 0 else self.start_ns
        assert log_ns >= self.end_ns or self.messages == 0, "log time never runs backwards"
        self.end_ns = log_ns
        self.messages += 1
        self._writer.add_message(channel, log_ns, data, message.time_ns, self.messages)

    def flush(self) -> None:
        """Close the chunk; from here on its messages survive a kill."""
        self._writer.flush()  # type: ignore[no-untyped-call]
        if self._sync:
            os.fsync(self._out.fileno())

    def close(self, name: str = "") -> FileEntry | None:
        """Write index and footer, and say what the file holds (under `name` if it will be renamed); None: nothing."""
        self._writer.finish()  # type: ignore[no-untyped-call]
        self._out.flush()
        if self._sync:
            os.fsync(self._out.fileno())
        self._out.close()
        if self.messages == 0:
            return None
        digest, size = self._out.digest.hexdigest(), self._out.size
        return FileEntry(
            name=name or self.path.name, kind=self.kind, bytes=size, sha256=digest,
            messages=self.messages, start_ns=self.start_ns, end_ns=self.end_ns,
        )  # fmt: skip

    def abandon(self) -> None:
        """Close without finishing (after a write error)."""
        self._out.close()

    def _register(self, topic: str, kind: type) -> int:
        schema = codec_for(kind).schema
        if schema.name not in self._schemas:
            self._schemas[schema.name] = self._writer.register_schema(schema.name, schema.encoding, schema.data)
        channel = self._writer.register_channel(topic, schema.message_encoding, self._schemas[schema.name])
        self._channels[topic] = channel
        return channel


@dataclass(frozen=True, slots=True)
class Logged:
    """A message with its log time."""

    log_ns: int
    message: Recorded


def read_file(path: Path, start_ns: int | None = None, end_ns: int | None = None) -> Iterator[Logged]:
    """Messages with start <= log time < end, in order, each chunk's CRC checked. Raises RecordingError on damage."""
    if not path.is_file():
        raise problem(path, "", "is missing", COPY_FIX)
    with path.open("rb") as stream:
        try:
            reader = SeekingReader(stream, validate_crcs=True)
            for _, channel, record in reader.iter_messages(
                starting_at=start_ns, ending_before=end_ns, log_time_order=False
            ):
                message = decode(channel.topic, record)
                if message is not None:
                    yield Logged(record.log_time, message)
        except DAMAGE as error:
            fix = f"run `aisle recording verify {path.parent}`, then `aisle recording recover {path.parent}`"
            raise problem(path, f"byte {stream.tell()}", f"is damaged ({error})", fix) from error


def decode(topic: str, record: McapMessage) -> Recorded | None:
    """The message in an MCAP record, None for a topic that is not ours. Raises ValueError on damaged bytes."""
    kind = type_of(topic)
    return None if kind is None else codec_for(kind).decode(record.data)


class _HashingFile(io.BufferedWriter):
    """A file written from start to end that hashes itself on the way (no second read for the manifest)."""

    def __init__(self, path: Path) -> None:
        super().__init__(io.FileIO(path, "wb"), CHUNK_BYTES)
        self.digest = hashlib.sha256()
        self.size = 0

    def write(self, data: Buffer, /) -> int:
        """Write all of data."""
        self.digest.update(data)
        written = super().write(data)
        self.size += written
        return written
