"""YAML with line numbers: every key path of a document knows the line it stands on, so errors can name it."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from openaisle.errors import Problem

Place = tuple[str | int, ...]  # ("fixtures", 2, "id")

_LOADER: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True)
class Document:
    """A parsed file: its mapping, and the line (from 1) of each key path."""

    file: str
    data: Mapping[str, object]
    lines: Mapping[Place, int]

    def problem(self, place: Place, what: str, fix: str) -> Problem:
        """A problem at a key path, with the line of the deepest part of the path that is in the file."""
        line = next((self.lines[place[:n]] for n in range(len(place), 0, -1) if place[:n] in self.lines), None)
        words = in_words(place)
        return Problem(self.file, words if line is None else f"{words} (line {line})", what, fix)


def in_words(place: Place) -> str:
    """("fixtures", 2, "id") as fixtures[2].id."""
    out = ""
    for part in place:
        out += f"[{part}]" if isinstance(part, int) else f".{part}" if out else part
    return out or "top level"


def read_yaml(path: Path) -> tuple[Document | None, list[Problem]]:
    """The mapping in a YAML file, or None, and what is wrong with it (missing, not UTF-8, syntax, key given twice)."""
    file = path.name
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        return None, [Problem(file, "file", "the file is missing", f"write {file} into {path.parent}")]
    except (OSError, UnicodeDecodeError) as error:
        return None, [Problem(file, "file", f"cannot be read: {error}", "save it as a plain UTF-8 text file")]
    return parse_yaml(text, file)


def parse_yaml(text: str, file: str) -> tuple[Document | None, list[Problem]]:
    """The mapping in a YAML text, or None, and what is wrong with it (syntax, key given twice)."""
    loader = _LOADER(text)
    try:
        node = loader.get_single_node()
        lines: dict[Place, int] = {}
        problems = _walk(file, node, (), lines)
        data = loader.construct_document(node) if node is not None else None
    except (yaml.YAMLError, ValueError) as error:  # ValueError: an impossible date
        return None, [_syntax(file, error)]
    finally:
        loader.dispose()
    if not isinstance(data, dict):
        fix = "start the file with keys, such as 'name: My store'"
        return None, [*problems, Problem(file, "line 1", "the file holds no keys", fix)]
    return Document(file, {str(key): value for key, value in data.items()}, lines), problems


def _syntax(file: str, error: Exception) -> Problem:
    mark = getattr(error, "problem_mark", None)
    line = f"line {mark.line + 1}, column {mark.column + 1}" if mark is not None else "file"
    said = getattr(error, "problem", None) or str(error).splitlines()[0]
    return Problem(file, line, f"this is not YAML: {said}", "check indentation, quotes and colons around this line")


def _walk(file: str, node: yaml.Node | None, place: Place, lines: dict[Place, int]) -> list[Problem]:
    """Note the line of every key path below `node`; report keys given twice and values that contain themselves."""
    if node is None or len(place) > 20:  # a document deeper than this refers to itself
        return []
    problems: list[Problem] = []
    lines.setdefault(place, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        seen: set[Hashable] = set()
        for key_node, value in node.value:
            key = str(key_node.value)
            here = (*place, key)
            if key in seen:
                line = key_node.start_mark.line + 1
                what = f"the key {key!r} is given twice"
                problems.append(Problem(file, f"{in_words(here)} (line {line})", what, "keep one of the two"))
            seen.add(key)
            lines[here] = key_node.start_mark.line + 1
            problems += _walk(file, value, here, lines)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(_items(node)):
            problems += _walk(file, value, (*place, index), lines)
    return problems


def _items(node: yaml.SequenceNode) -> Sequence[yaml.Node]:
    items: Sequence[yaml.Node] = node.value
    return items
