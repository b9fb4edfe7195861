"""The house keeps its rooms in order: imports, torch, captions, sizes, and a README that is true."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

import pytest

from tests.house.map import README, replaced
from tests.house.sources import PACKAGE, ROOMS, ROOT, Source, all_sources, kept_files, package_sources, room_of

EXTRAS = (
    "train",
    "mongo",
    "calibrate",
    "viz",
    "service",
    "live",
    "postgres",
    "stripe",
    "dev",
    "openvino",
    "tasks",
    "tracking",
)
FILE_STOP, FUNCTION_STOP = 500, 80  # lines; `make map` shows who comes close
TORCH_ROOMS = ("model", "training", "flywheel")
# Import names where they differ from the distribution's name.
DISTRIBUTIONS = {
    "cv2": "opencv-python-headless",
    "yaml": "pyyaml",
    "pydantic_core": "pydantic",
    "google": "protobuf",
    "lap": "lapx",
    "bson": "pymongo",
    "foxglove": "foxglove-sdk",
    "rerun": "rerun-sdk",
    "typing_extensions": "typing-extensions",
    "prometheus_client": "prometheus-client",
    "starlette": "fastapi",  # comes with it, and is its interface
    "markupsafe": "jinja2",
    "faster_coco_eval": "faster-coco-eval",
}
# Rooms that need an extra as a whole: nothing outside imports them when it is imported itself.
OWN_EXTRA = {"service": "service", "stress": "service"}

package = pytest.mark.parametrize("source", package_sources(), ids=lambda source: source.module)
everything = pytest.mark.parametrize("source", all_sources(), ids=lambda source: str(source.path))


def may_use_torch(source: Source) -> bool:
    """model/, training/, flywheel/ and edge/export.py."""
    return source.room in TORCH_ROOMS or source.module == f"{PACKAGE}.edge.export"


def declared(*extras: str) -> set[str]:
    """Names of the distributions that the package and the given extras ask for."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = list(project["dependencies"])
    for extra in extras:
        lines += project["optional-dependencies"][extra]
    return {re.split(r"[<>=!~\[; ]", line, maxsplit=1)[0].lower() for line in lines}


@package
def test_imports_only_from_rooms_above(source: Source) -> None:
    own = ROOMS.index(source.room) if source.room else -1
    wrong = [
        f"{source.path}:{imported.line} imports {imported.module}"
        for imported in source.imports
        if (room := room_of(imported.module)) and ROOMS.index(room) > own
    ]
    assert not wrong


def test_every_file_lies_in_a_known_room() -> None:
    assert {source.room for source in package_sources()} - {""} <= set(ROOMS)


def test_no_import_cycles_between_files() -> None:
    modules = {source.module for source in package_sources()}
    needs: dict[str, set[str]] = {}
    for source in package_sources():
        names = {name for imported in source.imports for name in (imported.module, imported.module.rpartition(".")[0])}
        needs[source.module] = (names & modules) - {source.module, PACKAGE}
    while free := {module for module, below in needs.items() if not below & needs.keys()}:
        for module in free:
            del needs[module]
    assert not needs, f"these files import each other: {sorted(needs)}"


@package
def test_torch_stays_in_its_rooms(source: Source) -> None:
    torch = [imported.module for imported in source.imports if imported.module.split(".")[0] == "torch"]
    if not may_use_torch(source):
        torch += [i.module for i in source.imports if room_of(i.module) in ("model", "training") and not i.lazy]
        assert not torch


@package
def test_rooms_with_an_extra_are_entered_late(source: Source) -> None:
    early = [i.module for i in source.imports if room_of(i.module) in OWN_EXTRA and not i.lazy]
    assert source.room in OWN_EXTRA or not early


@package
def test_third_party_imports_are_declared(source: Source) -> None:
    runtime = declared() | (declared("train") if may_use_torch(source) else set())
    if source.room in OWN_EXTRA:
        runtime |= declared(OWN_EXTRA[source.room])
    optional = declared(*EXTRAS)
    for imported in source.imports:
        top = imported.module.split(".")[0]
        if top in sys.stdlib_module_names or top == PACKAGE:
            continue
        name = DISTRIBUTIONS.get(top, top).lower()
        if name in runtime:
            continue
        place = f"{source.path}:{imported.line}: {top}"
        assert name in optional, f"{place} is in no extra of pyproject.toml"
        assert imported.lazy, f"{place} belongs to an extra: import it inside the function that needs it"
        assert "MissingExtraError" in source.text, f"{place} is optional: raise MissingExtraError without it"


@everything
def test_opens_with_a_caption(source: Source) -> None:
    assert source.caption.endswith((".", "?")), f"{source.path}: its docstring must open with a one-sentence caption"


@package
def test_room_captions_are_short(source: Source) -> None:
    if source.path.name == "__init__.py":
        assert source.docstring.count("\n") < 8


@everything
def test_sizes(source: Source) -> None:
    assert source.lines <= FILE_STOP, f"{source.path} has {source.lines} lines"
    long = [f"{function.name} ({function.lines})" for function in source.functions if function.lines > FUNCTION_STOP]
    assert not long, f"{source.path}: {long}"


def test_no_rooms_without_an_idea() -> None:
    names = {part for source in package_sources() for part in Path(source.module.replace(".", "/")).parts}
    assert not names & {"utils", "util", "common", "core", "helpers", "helper", "misc", "manager"}


def test_readme_map_is_true() -> None:
    readme = README.read_text(encoding="utf-8")
    assert replaced(readme) == readme, "run `make map`"


def test_nothing_names_a_machine() -> None:
    # Joined here so that this file does not contain what it looks for.
    machine = re.compile("|".join(re.escape("/" + folder + "/") for folder in ("work", "root", "opt/pypi", "Users")))
    found: list[str] = []
    for path in kept_files():
        data = (ROOT / path).read_bytes()
        if b"\0" in data[:4096]:
            continue
        for number, line in enumerate(data.decode("utf-8", errors="replace").splitlines(), 1):
            if machine.search(line):
                found.append(f"{path}:{number}")
    assert not found


def test_constraints_pin_everything() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").split()
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.!+]+", line) for line in lines)
    assert "torch==2.13.0" in lines
    pinned = {line.split("==")[0].lower().replace("_", "-") for line in lines}
    assert {name.replace("_", "-") for name in declared(*EXTRAS)} <= pinned
