"""Recover: a recording whose writer was killed, or whose files were cut or damaged, becomes a whole one again.

Chunks stand alone: whatever lies in a closed, undamaged chunk is kept, in order, and the rest is counted as lost.
Each file is rewritten beside the old one and put in its place in one step, the manifest last, so that `recover`
itself may be killed and run again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mcap.reader import SeekingReader
from mcap.records import Channel, Chunk, ChunkIndex, McapRecord
from mcap.records import Message as McapMessage
from mcap.stream_reader import StreamReader, breakup_chunk

from openaisle.errors import RecordingError
from openaisle.messages import NANOSECONDS
from openaisle.recording.files import DAMAGE, Logged, McapFile, decode
from openaisle.recording.manifest import (
    STORE_FOLDER,
    FileEntry,
    Kind,
    Manifest,
    file_sha256,
    folder_sha256,
    problem,
    read_manifest,
    write_manifest,
)

_CHUNK_NS = NANOSECONDS // 2  # as the writer's chunks


@dataclass(frozen=True, slots=True)
class Salvage:
    """What became of one file."""

    name: str
    messages: int  # kept
    rewritten: bool  # False: it was whole
    damage: str = ""  # the first damage met, "" for none


@dataclass(frozen=True, slots=True)
class Recovered:
    """What `recover` did; files without a single whole chunk are gone."""

    manifest: Manifest
    files: tuple[Salvage, ...]

    @property
    def messages(self) -> int:
        """Messages in the recovered recording."""
        return sum(file.messages for file in self.files)


def recover(folder: Path | str) -> Recovered:
    """Make a recording folder whole again, in place. Raises RecordingError when nothing can be saved."""
    folder = Path(folder)
    manifest = _manifest(folder)
    known = {entry.name: entry for entry in manifest.files}
    entries: list[FileEntry] = []
    salvages: list[Salvage] = []
    for path in sorted([*folder.glob("sensors-*.mcap"), *folder.glob("truth-*.mcap")]):
        entry = known.get(path.name)
        if entry is not None and _whole(path, entry):
            salvages.append(Salvage(path.name, entry.messages, False))
        else:
            entry, salvage = _rewrite(path)
            salvages.append(salvage)
        if entry is not None:
            entries.append(entry)
    if not any(entry.kind == "sensors" for entry in entries):
        raise problem(folder, "", "holds no sensor message that could be saved", "record again")
    changed = not manifest.complete or entries != list(manifest.files)
    manifest = manifest.model_copy(
        update={
            "complete": True,
            "recovered": manifest.recovered or changed,
            "files": tuple(entries),
            "start_ns": min(e.start_ns for e in entries),
            "end_ns": max(e.end_ns for e in entries),
        }
    )
    write_manifest(folder, manifest)
    return Recovered(manifest, tuple(salvages))


def salvage(path: Path, damage: list[str] | None = None) -> Iterator[Logged]:
    """Messages of all whole chunks of a file in order; what was damaged is appended to `damage`, never raised."""
    damage = [] if damage is None else damage
    channels: dict[int, str] = {}
    for chunk in _chunks(path, channels, damage):
        try:
            records = breakup_chunk(chunk, validate_crc=True)
            yield from _messages(records, channels)
        except DAMAGE as error:
            damage.append(f"chunk of {chunk.message_start_time} ns: {error or type(error).__name__}")


def _messages(records: list[McapRecord], channels: dict[int, str]) -> list[Logged]:
    out: list[Logged] = []
    for record in records:
        if isinstance(record, Channel):
            channels[record.id] = record.topic
        elif isinstance(record, McapMessage):
            message = decode(channels[record.channel_id], record)
            if message is not None:
                out.append(Logged(record.log_time, message))
    return out


def _chunks(path: Path, channels: dict[int, str], damage: list[str]) -> Iterator[Chunk]:
    """Chunks by the file's index when it has one (damage then costs one chunk), else by reading on from the start."""
    with path.open("rb") as stream:
        index = _index(path, channels)
        if index is None:
            yield from _streamed(StreamReader(stream, emit_chunks=True), damage)
            return
        for at in sorted(index, key=lambda entry: entry.chunk_start_offset):
            stream.seek(at.chunk_start_offset)
            found = next(_streamed(StreamReader(stream, skip_magic=True, emit_chunks=True), damage), None)
            if found is not None:
                yield found


def _streamed(reader: StreamReader, damage: list[str]) -> Iterator[Chunk]:
    try:
        for record in reader.records:
            if isinstance(record, Chunk):
                yield record
    except DAMAGE as error:
        damage.append(str(error) or f"file ends early ({type(error).__name__})")


def _index(path: Path, channels: dict[int, str]) -> list[ChunkIndex] | None:
    with path.open("rb") as stream:
        try:
            summary = SeekingReader(stream, validate_crcs=True).get_summary()
        except DAMAGE:
            return None
    if summary is None or not summary.chunk_indexes:
        return None
    channels.update({channel.id: channel.topic for channel in summary.channels.values()})
    return list(summary.chunk_indexes)


def _rewrite(path: Path) -> tuple[FileEntry | None, Salvage]:
    kind: Kind = "sensors" if path.name.startswith("sensors") else "truth"
    damage: list[str] = []
    temporary = path.with_suffix(".part")
    out = McapFile(temporary, kind)
    chunk_ns = None
    for logged in salvage(path, damage):
        if chunk_ns is None or logged.log_ns - chunk_ns >= _CHUNK_NS:
            out.flush()
            chunk_ns = logged.log_ns
        out.write(logged.message, logged.log_ns)
    entry_data = out.close(name=path.name)
    if entry_data is None:
        temporary.unlink()
        path.unlink()
    else:
        temporary.replace(path)
    return entry_data, Salvage(path.name, out.messages, True, damage[0] if damage else "")


def _whole(path: Path, entry: FileEntry) -> bool:
    return path.stat().st_size == entry.bytes and file_sha256(path) == entry.sha256


def _manifest(folder: Path) -> Manifest:
    """The folder's manifest, or a new one when it is missing or unreadable but the store is there."""
    try:
        return read_manifest(folder)
    except RecordingError:
        if not (folder / STORE_FOLDER).is_dir():
            raise
    return Manifest(complete=False, store_name=folder.name, store_sha256=folder_sha256(folder / STORE_FOLDER))
