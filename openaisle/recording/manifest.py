"""Manifest: what a recording's folder holds, and whether it is whole: files, sha256, store, time span, seed, split.

manifest.json            this; `complete` is false while a writer is at work (or was killed)
store/                   the store as it was, so that a recording explains itself
sensors-00000.mcap ...   rotated every 60 s of stream time
truth-00000.mcap ...     only simulated or labelled recordings
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from openaisle.errors import Problem, RecordingError

MANIFEST = "manifest.json"
STORE_FOLDER = "store"
RECOVER_FIX = "run `aisle recording recover {}`"
COPY_FIX = "copy the recording again from where it came"
Kind = Literal["sensors", "truth"]
Split = Literal["train", "validation", "test", ""]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class FileEntry(_Model):
    """One MCAP file; start and end are the first and the last log time, end inclusive."""

    name: str = Field(pattern=r"^(sensors|truth)-\d{5}\.mcap$")
    kind: Kind
    bytes: int = Field(ge=0)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    messages: int = Field(ge=1)
    start_ns: int
    end_ns: int


class Origin(_Model):
    """Where a recording comes from; a simulated one can be made again from this and the store."""

    source: Literal["live", "simulated", "imported"] = "live"
    store: str = Field(default="", title="How the store was named, e.g. random:corner or a folder's name")
    scenario: str = Field(default="", title="Scenario of a simulated recording, test case of an imported one")
    seed: int | None = None
    split: Split = ""
    quality: str = Field(default="", title="Render quality of a simulated recording")
    barcodes: dict[str, str] = Field(default={}, title="GTIN-14 to the bar code as the imported source spells it")


class Manifest(_Model):
    """manifest.json."""

    version: Literal[1] = 1
    complete: bool
    recovered: bool = Field(default=False, title="Repaired after a kill; the tail may be missing")
    store_name: str
    store_sha256: str
    start_ns: int = 0
    end_ns: int = 0
    origin: Origin = Origin()
    dropped: dict[str, int] = Field(default={}, title="Messages the writer had to refuse, by topic")
    files: tuple[FileEntry, ...] = ()

    def of_kind(self, kind: Kind) -> tuple[FileEntry, ...]:
        """The files of a kind in time order."""
        return tuple(sorted((f for f in self.files if f.kind == kind), key=lambda f: f.name))


def split_of(seed: int | None) -> Split:
    """The split a generator seed belongs to; "" for none and for the seeds reserved for outside evaluation."""
    if seed is None or not 0 <= seed < 900_000:
        return ""
    return "train" if seed < 800_000 else "validation" if seed < 850_000 else "test"


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a recording folder, complete or not. Raises RecordingError."""
    if not folder.is_dir():
        raise problem(folder, "", "is not a folder", "give the folder that holds manifest.json")
    path = folder / MANIFEST
    if not path.is_file():
        raise problem(path, "", "is missing", "give a folder that `aisle simulate` or `aisle import` made")
    try:
        return Manifest.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise RecordingError(
            [
                Problem(str(path), ".".join(map(str, e["loc"])) or "line 1", e["msg"], RECOVER_FIX.format(folder))
                for e in error.errors()
            ]
        ) from error


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Replace manifest.json in one step, safe against a kill at any point."""
    temporary = folder / (MANIFEST + ".part")
    with temporary.open("w", encoding="utf-8") as out:
        out.write(manifest.model_dump_json(indent=1) + "\n")
        out.flush()
        os.fsync(out.fileno())
    temporary.replace(folder / MANIFEST)


def file_sha256(path: Path) -> str:
    """sha256 of a file, hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def folder_sha256(folder: Path) -> str:
    """sha256 over the relative names and contents of all files of a folder."""
    digest = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        digest.update(path.relative_to(folder).as_posix().encode() + b"\0" + file_sha256(path).encode() + b"\0")
    return digest.hexdigest()


def problem(file: Path | str, place: str, what: str, fix: str) -> RecordingError:
    """A RecordingError with one problem."""
    return RecordingError([Problem(str(file), place or "-", what, fix)])
