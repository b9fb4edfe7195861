"""The files of a case, by what they are: told from their names, and tables and archives from how they begin."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from openaisle.errors import Problem, RecordingError
from openaisle.recording.importers.autocheckout.databases import collection_of, is_archive
from openaisle.recording.importers.autocheckout.layout import METADATA
from openaisle.recording.importers.autocheckout.loose import is_planogram, plate_of


@dataclass(slots=True)
class Files:
    """What lies in the folder; exports and dumps with their collection, metadata by their key."""

    root: Path
    plates: list[Path] = field(default_factory=list)
    planograms: list[Path] = field(default_factory=list)
    exports: list[tuple[Path, str]] = field(default_factory=list)
    dumps: list[tuple[Path, str]] = field(default_factory=list)
    archives: list[Path] = field(default_factory=list)
    films: list[Path] = field(default_factory=list)
    calibration: Path | None = None
    mapping: Path | None = None
    metadata: dict[str, Path] = field(default_factory=dict)


def find(src: Path) -> Files:
    """The files of a folder, or a dump with the metadata beside it. Raises RecordingError when there is none."""
    if not src.exists():
        what = "there is no such file or folder"
        raise RecordingError([Problem(str(src), "-", what, "name a case's folder, or a dump of its database")])
    if src.is_file():
        files = Files(src.parent)
        _sort_in(files, src)
        if not (files.archives or files.dumps or files.exports):
            what = "is neither a dump nor an export of the contest's database"
            raise RecordingError([Problem(str(src), "file", what, "name a folder, NAME.archive, plate_data.json, ...")])
        beside = [path for folder in (src.parent, src.parent / "store_meta") for path in sorted(folder.glob("*.json"))]
        for path in beside:
            _sort_metadata(files, path)
        return files
    files = Files(src)
    for path in sorted(src.rglob("*")):
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(src).parts):
            _sort_in(files, path)
    return files


def _sort_in(files: Files, path: Path) -> None:
    name = path.name.lower().removesuffix(".gz")
    collection = collection_of(path)
    if _sort_metadata(files, path):
        return
    if name.endswith(".csv"):
        if plate_of(path) is not None:
            files.plates.append(path)
        elif is_planogram(path):
            files.planograms.append(path)
    elif name.endswith(".json") and collection:
        files.exports.append((path, collection))
    elif name.endswith(".bson") and collection:
        files.dumps.append((path, collection))
    elif name.endswith(".mp4"):
        files.films.append(path)
    elif name.endswith(".archive") or is_archive(path):
        files.archives.append(path)


def _sort_metadata(files: Files, path: Path) -> bool:
    name = path.name.lower()
    for key, wanted in METADATA.items():
        if name == wanted:
            files.metadata.setdefault(key, path)
            return True
    if name.startswith("calibration") and name.endswith(".json"):
        files.calibration = files.calibration or path
        return True
    if name == "camera_mapping.json":
        files.mapping = files.mapping or path
        return True
    return False
