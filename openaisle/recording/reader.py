"""Reader: a recording folder becomes a `Source` again: from the start or the middle, at any speed, truth apart."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import cast

from openaisle.errors import Problem, RecordingError, StoreError
from openaisle.messages import NANOSECONDS, Message, Truth, VideoPacket
from openaisle.recording.files import Logged, read_file
from openaisle.recording.manifest import (
    COPY_FIX,
    MANIFEST,
    RECOVER_FIX,
    STORE_FOLDER,
    FileEntry,
    Kind,
    Manifest,
    file_sha256,
    folder_sha256,
    read_manifest,
)
from openaisle.recording.video import KEYFRAME_NS, Decoder
from openaisle.store.load import load_store
from openaisle.store.store import Store


@dataclass(frozen=True)
class Recording:
    """An opened recording. Times are log times (time of delivery; equal to `time_ns` but for late messages)."""

    folder: Path
    manifest: Manifest

    @cached_property
    def store(self) -> Store:
        """The store as it was when recorded. Raises RecordingError when its files are damaged."""
        try:
            return load_store(self.folder / STORE_FOLDER)
        except StoreError as error:
            raise RecordingError(error.problems) from error

    @property
    def has_truth(self) -> bool:
        """Whether truth files lie beside the sensors."""
        return bool(self.manifest.of_kind("truth"))

    @property
    def start_ns(self) -> int:
        """Log time of the first message."""
        return self.manifest.start_ns

    @property
    def end_ns(self) -> int:
        """Log time of the last message."""
        return self.manifest.end_ns

    def __iter__(self) -> Iterator[Message]:
        return self.messages()

    def messages(
        self, start_ns: int | None = None, end_ns: int | None = None, decode: bool = True
    ) -> Iterator[Message]:
        """Sensor messages with start <= log time < end in the order they were delivered.

        With `decode`, pictures come as VideoFrame; a start in the middle decodes from the key frames before it.
        Without, they come as VideoPacket. Raises RecordingError on damage, at the message before it at the latest.
        """
        if not decode:
            return (cast(Message, logged.message) for logged in self.logged("sensors", start_ns, end_ns))
        return self._decoded(start_ns, end_ns)

    def truth(self, start_ns: int | None = None, end_ns: int | None = None) -> Iterator[Truth]:
        """Truth messages with start <= log time < end in order. Raises RecordingError on damage."""
        return (cast(Truth, logged.message) for logged in self.logged("truth", start_ns, end_ns))

    def replay(
        self,
        speed: float = 1.0,
        start_ns: int | None = None,
        end_ns: int | None = None,
        *,
        decode: bool = True,
        sleep: Callable[[float], None] = time.sleep,
    ) -> Iterator[Message]:
        """`messages` paced by the wall clock: 2.0 = twice as fast as it happened, `inf` = as fast as it goes."""
        assert speed > 0, "speed is a positive factor"
        first_ns: int | None = None
        began = time.monotonic()
        for message in self.messages(start_ns, end_ns, decode):
            first_ns = message.time_ns if first_ns is None else first_ns
            ahead_s = (message.time_ns - first_ns) / NANOSECONDS / speed - (time.monotonic() - began)
            if ahead_s > 0:
                sleep(ahead_s)
            yield message

    def logged(self, kind: Kind, start_ns: int | None = None, end_ns: int | None = None) -> Iterator[Logged]:
        """Messages of a kind with their log times; pictures as packets."""
        for entry in self.manifest.of_kind(kind):
            if (end_ns is not None and entry.start_ns >= end_ns) or (start_ns is not None and entry.end_ns < start_ns):
                continue
            yield from read_file(self.folder / entry.name, start_ns, end_ns)

    # --- decoding -----------------------------------------------------------------------------------------

    def _decoded(self, start_ns: int | None, end_ns: int | None) -> Iterator[Message]:
        sizes = {camera.id: (camera.height_px, camera.width_px) for camera in self.store.spec.cameras}
        decoders: dict[str, Decoder] = {}
        from_ns = start_ns if start_ns is None else self.key_before(start_ns)
        for logged in self.logged("sensors", from_ns, end_ns):
            message = logged.message
            wanted = start_ns is None or logged.log_ns >= start_ns
            if isinstance(message, VideoPacket):
                decoder = decoders.setdefault(message.camera, Decoder(sizes.get(message.camera)))
                picture = decoder.decode(message)
                if picture is not None and wanted:
                    yield picture
            elif wanted:
                yield cast(Message, message)

    def key_before(self, start_ns: int) -> int:
        """A log time from which every camera that needs it meets a key frame before start_ns."""
        back_ns = KEYFRAME_NS + NANOSECONDS // 2
        while start_ns - back_ns > self.start_ns:
            seen: dict[str, bool] = {}
            for logged in self.logged("sensors", start_ns - back_ns, start_ns):
                if isinstance(packet := logged.message, VideoPacket):
                    seen[packet.camera] = seen.get(packet.camera, False) or packet.keyframe
            if seen and all(seen.values()):
                return start_ns - back_ns
            back_ns *= 2  # cameras that code for themselves may send key frames rarely
        return self.start_ns


def open_recording(folder: Path | str, *, check: bool = True) -> Recording:
    """Open a recording folder.

    `check` compares the files with the manifest's sums (about 1 GB/s); without it damage shows when it is read.
    Raises RecordingError, with all problems, for a folder that is no recording, was not closed, is empty, cut short,
    changed, or whose store is not the one it was recorded in.
    """
    folder = Path(folder)
    manifest = read_manifest(folder)
    problems = list(_problems(folder, manifest, check))
    if problems:
        raise RecordingError(problems)
    return Recording(folder, manifest)


def _problems(folder: Path, manifest: Manifest, check: bool) -> Iterator[Problem]:
    name = str(folder / MANIFEST)
    if not manifest.complete:
        yield Problem(name, "complete", "the recording was not closed", RECOVER_FIX.format(folder))
        return
    if not manifest.of_kind("sensors"):
        yield Problem(name, "files", "the recording is empty: it has no sensor messages", "record or simulate again")
    if not (folder / STORE_FOLDER).is_dir():
        yield Problem(str(folder / STORE_FOLDER), "-", "the store is missing", COPY_FIX)
    elif folder_sha256(folder / STORE_FOLDER) != manifest.store_sha256:
        yield Problem(
            str(folder / STORE_FOLDER),
            "-",
            "the store is not the one of the recording (its sha256 differs from the manifest's store_sha256)",
            "put the original store back",
        )
    for entry in manifest.files:
        yield from _file_problems(folder / entry.name, entry, check)


def _file_problems(path: Path, entry: FileEntry, check: bool) -> Iterator[Problem]:
    fix = f"{COPY_FIX}, or {RECOVER_FIX.format(path.parent)}"
    if not path.is_file():
        yield Problem(str(path), "-", "is missing", fix)
    elif (size := path.stat().st_size) != entry.bytes:
        what = "was cut short" if size < entry.bytes else "has grown"
        yield Problem(str(path), f"byte {min(size, entry.bytes)}", f"{what}: {size} of {entry.bytes} bytes", fix)
    elif check and file_sha256(path) != entry.sha256:
        yield Problem(str(path), "-", "was changed or damaged: its sha256 differs from the manifest", fix)
