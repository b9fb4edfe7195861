"""Amends store.yaml in place: cameras get new numbers, and every other byte of the file stays as it was.

A library that reads and writes the whole file again (PyYAML, ruamel.yaml) would lay out the owner's lists, quotes and
blank lines anew. Here PyYAML only says where each value stands; just those characters are replaced. What comes out
must parse to the old contents with the new numbers, and be a sound store, or nothing is written.
"""

from __future__ import annotations

import copy
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import yaml

from openaisle.errors import Problem, StoreError
from openaisle.store.check import STORE
from openaisle.store.load import check_text

Numbers = int | float | Sequence[float]
Change = Mapping[str, Numbers | None]  # field of a camera to its new value; None takes the key out
CALIBRATION = "calibration"  # folder in a store's folder: residual plots, and store.yaml as it was before
_WRITABLE = "make the file and its folder writable, or work on a copy of the store"


@dataclass(frozen=True, slots=True)
class _Edit:
    start: int
    end: int
    text: str


@dataclass(frozen=True, slots=True)
class _Entry:
    """A key of a mapping and where it and its value stand in the text."""

    key: yaml.Node
    value: yaml.Node
    end: int  # of the last character of the value


def check_writable(folder: Path) -> None:
    """Raise StoreError when store.yaml could not be replaced; better known before a long calculation than after."""
    file = (folder / STORE).resolve()
    if not (os.access(file, os.W_OK) and os.access(file.parent, os.W_OK)):
        raise StoreError([Problem(str(folder / STORE), "file", "cannot be written", _WRITABLE)])
    try:
        (folder / CALIBRATION).mkdir(exist_ok=True)
    except OSError as error:
        raise _unwritable(folder / CALIBRATION, error) from error


def amend_store(folder: Path, changes: Mapping[str, Change]) -> Path:
    """Change fields of cameras (by id) in store.yaml, all or none; returns where the file as it was is kept.

    Raises StoreError when the outcome would be no sound store or cannot be written; the file is then as before.
    """
    check_writable(folder)
    file = (folder / STORE).resolve()
    before = file.read_bytes()
    after = amended(before.decode("utf-8"), changes)
    problems = check_text(after.removeprefix("\ufeff"))
    if problems:
        raise StoreError([*problems, Problem(STORE, "cameras", "nothing was written: see above", "mend that first")])
    part = file.with_name(f".{STORE}.{os.getpid()}.part")
    try:
        kept = _keep(folder / CALIBRATION, before)
        part.write_bytes(after.encode("utf-8"))
        shutil.copymode(file, part)
        part.replace(file)
    except OSError as error:
        raise _unwritable(folder / STORE, error) from error
    finally:
        part.unlink(missing_ok=True)
    return kept


def _keep(folder: Path, before: bytes) -> Path:
    """Write a copy under a name that is not taken."""
    stamp = datetime.now(UTC).strftime("%Y-%m-%dT%H-%M-%S")
    for number in range(1, 1000):
        path = folder / f"store-{stamp}{f'-{number}' if number > 1 else ''}.yaml"
        try:
            with path.open("xb") as file:
                file.write(before)
            return path
        except FileExistsError:
            continue
    raise FileExistsError(17, "too many copies", str(folder))


def _unwritable(path: Path, error: OSError) -> StoreError:
    what = f"cannot be written: {error.strerror or error}"
    return StoreError([Problem(str(path), "file", what, _WRITABLE)])


def amended(text: str, changes: Mapping[str, Change]) -> str:
    """The text of store.yaml with fields of its cameras changed; raises StoreError where the form does not allow it."""
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    edits: list[_Edit] = []
    for name, camera in _cameras(root).items():
        if name in changes:
            edits += _camera_edits(text, camera, changes[name])
    after = text
    for edit in sorted(edits, key=lambda edit: -edit.start):
        after = after[: edit.start] + edit.text + after[edit.end :]
    try:
        same = yaml.safe_load(after) == _expected(text, changes)
    except yaml.YAMLError:
        same = False
    if not same:
        what = "the cameras are written in a form that cannot be amended (anchors, aliases, merged keys, tags)"
        raise StoreError([Problem(STORE, "cameras", what, "write each camera's numbers out, one key a line")])
    return after


def _expected(text: str, changes: Mapping[str, Change]) -> object:
    data = copy.deepcopy(yaml.safe_load(text))  # a copy parts what aliases share
    for camera in data["cameras"]:
        for field, value in changes.get(camera["id"], {}).items():
            if value is None:
                camera.pop(field, None)
            else:
                camera[field] = yaml.safe_load(_plain(value))
    return data


def _cameras(root: yaml.Node | None) -> dict[str, yaml.MappingNode]:
    assert isinstance(root, yaml.MappingNode), "the store was read before"
    for key, value in root.value:
        if key.value == "cameras" and isinstance(value, yaml.SequenceNode):
            nodes = [node for node in value.value if isinstance(node, yaml.MappingNode)]
            ids = [next((one.value for key, one in node.value if key.value == "id"), "") for node in nodes]
            return dict(zip(ids, nodes, strict=True))
    return {}


def _camera_edits(text: str, camera: yaml.MappingNode, change: Change) -> list[_Edit]:
    entries = {key.value: _Entry(key, value, _end(value)) for key, value in camera.value}
    order = list(entries)
    edits: list[_Edit] = []
    added: dict[str, list[str]] = {}  # anchor key: lines to put behind it
    for field, value in change.items():
        if field in entries:
            entry = entries[field]
            edits.append(_cut(text, camera, entries, field) if value is None else _set(text, entry, value))
        elif value is not None:
            kept = [key for key in order if change.get(key, 0) is not None]
            behind = next((key for key in _NEIGHBOURS.get(field, ()) if key in kept), kept[-1])
            added.setdefault(behind, []).append(f"{field}: {_plain(value)}")
    return edits + [_add(text, camera, entries[behind], lines) for behind, lines in added.items()]


# Behind which key a new one is put, best first.
_NEIGHBOURS = {
    "distortion": ("cy_px",),
    "look_at_m": ("position_m",),
    "rotation_rodrigues": ("position_m",),
    "roll_deg": ("look_at_m", "position_m"),
}


def _set(text: str, entry: _Entry, value: Numbers) -> _Edit:
    """A value takes the place of another; a list of several lines becomes one line behind its key."""
    start = entry.value.start_mark.index
    between = text[entry.key.end_mark.index : start]
    if re.fullmatch(r"[ \t]*:[ \t]+", between):
        return _Edit(start, entry.end, _plain(value))
    return _Edit(entry.key.end_mark.index, entry.end, ": " + _plain(value))


def _add(text: str, camera: yaml.MappingNode, behind: _Entry, lines: Sequence[str]) -> _Edit:
    if camera.flow_style:
        return _Edit(behind.end, behind.end, "".join(f", {line}" for line in lines))
    at = _line_end(text, behind.end)
    newline = "\r\n" if "\r\n" in text else "\n"
    indent = " " * behind.key.start_mark.column
    return _Edit(at, at, "".join(f"{newline}{indent}{line}" for line in lines))


def _cut(text: str, camera: yaml.MappingNode, entries: Mapping[str, _Entry], field: str) -> _Edit:
    """Take a key out, with its line or its comma."""
    order = list(entries)
    entry, at = entries[field], order.index(field)
    start = entry.key.start_mark.index
    if at == 0:  # the key stands behind a dash or a brace: the next one moves there
        return _Edit(start, entries[order[1]].key.start_mark.index, "")
    if camera.flow_style:
        return _Edit(entries[order[at - 1]].end, entry.end, "")
    line_start = text.rfind("\n", 0, start) + 1
    at_end = _line_end(text, entry.end)
    rest = text[at_end:]
    return _Edit(line_start, at_end + (2 if rest.startswith("\r\n") else 1 if rest else 0), "")


def _line_end(text: str, index: int) -> int:
    found = re.compile(r"\r?\n").search(text, index)
    return found.start() if found else len(text)


def _end(node: yaml.Node) -> int:
    """End of the last character; a block's own mark would be where the next thing begins."""
    if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        return _end(last[1] if isinstance(last, tuple) else last)
    return node.end_mark.index


def _plain(value: Numbers) -> str:
    if isinstance(value, int | float):
        # YAML 1.1 wants a point before an exponent; fixed digits need none.
        return str(value) if "e" not in str(value) else f"{value:.12f}".rstrip("0")
    return "[" + ", ".join(_plain(one) for one in value) + "]"
