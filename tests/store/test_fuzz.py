"""Whatever stands in a store folder: it loads, or it is refused with problems; nothing else ever happens."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from openaisle.errors import StoreError
from openaisle.store.load import load_store
from openaisle.store.store import Store
from tests.store.tiny import Folder, tiny_spec

JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**20), 10**20),
    st.floats(),
    st.text(max_size=8),
    st.lists(st.integers(-3, 3), max_size=4),
    st.dictionaries(st.text("abxyz_m", max_size=4), st.integers(), max_size=2),
    st.just({1: 2, None: 3}),
    st.dates(),
)
Place = tuple[str | int, ...]


def places(value: object, here: Place = ()) -> list[Place]:
    """All key paths in parsed YAML."""
    out = [here] if here else []
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in inner:
        out += places(part, (*here, key))
    return out


PLAIN = yaml.safe_load(yaml.safe_dump(tiny_spec().model_dump(mode="json")))
PLACES = places(PLAIN)


def opened(path: Path) -> Store | StoreError:
    """The store, or why not."""
    refused: StoreError
    try:
        return load_store(path)
    except StoreError as error:
        refused = error
    assert refused.problems
    assert all(problem.file and problem.place and problem.what and problem.fix for problem in refused.problems)
    return refused


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    """One folder for all examples; each writes the whole file it breaks."""
    return Folder(tmp_path_factory.mktemp("fuzz"))


@given(st.lists(st.tuples(st.sampled_from(PLACES), JUNK), min_size=1, max_size=4))
@settings(max_examples=100, deadline=None)
def test_junk_in_store_yaml(folder: Folder, changes: list[tuple[Place, object]]) -> None:
    data = copy.deepcopy(PLAIN)
    for place, junk in changes:
        here = data
        try:
            for part in place[:-1]:
                here = here[part]
            here[place[-1]] = junk
        except (TypeError, KeyError, IndexError):
            continue  # an earlier change removed the place
    file = folder.path / "store.yaml"
    before = file.read_bytes()
    file.write_text(yaml.safe_dump(data), encoding="utf-8")
    opened(folder.path)
    file.write_bytes(before)


@given(
    st.sampled_from(["store.yaml", "catalog.csv", "planogram.csv"]),
    st.integers(0, 5000),
    st.integers(0, 60),
    st.binary(max_size=12),
)
@settings(max_examples=100, deadline=None)
def test_bytes_cut_out_and_put_in(folder: Folder, name: str, start: int, length: int, put: bytes) -> None:
    file = folder.path / name
    before = file.read_bytes()
    start %= len(before)
    file.write_bytes(before[:start] + put + before[start + length :])
    opened(folder.path)
    file.write_bytes(before)
