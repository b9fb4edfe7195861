"""A model folder that cannot be used is named, with the way out; a good one runs without torch."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from openaisle.edge.runtime import GRAPHS, WEIGHTS, OnnxPredictor, load_predictor, read_model
from openaisle.errors import ModelError
from openaisle.predictor import MODEL_VERSION


def complain(folder: Path) -> str:
    with pytest.raises(ModelError) as caught:
        load_predictor(str(folder))
    problem = caught.value.problems[0]
    assert problem.fix
    assert str(folder) in problem.file
    return f"{problem.place}: {problem.what}"


def folder_with(path: Path, document: dict[str, object], graphs: tuple[str, ...] = GRAPHS) -> Path:
    path.mkdir(exist_ok=True)
    (path / "model.json").write_text(json.dumps(document))
    for name in graphs:
        (path / f"{name}.onnx").write_bytes(b"")
    return path


CONFIG = {"name": "tiny", "appearance_width": 16, "product_width": 32}


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    assert "cannot be read" in complain(tmp_path / "nowhere")


def test_a_description_that_is_not_json(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, {})
    (folder / "model.json").write_text("{")
    assert "cannot be read" in complain(folder)


@pytest.mark.parametrize("gone", GRAPHS)
def test_a_missing_graph_is_named(tmp_path: Path, gone: str) -> None:
    rest = tuple(name for name in GRAPHS if name != gone)
    assert f"{gone}.onnx" in complain(folder_with(tmp_path, {"version": MODEL_VERSION, "config": CONFIG}, rest))


def test_another_version_is_refused(tmp_path: Path) -> None:
    assert "version" in complain(folder_with(tmp_path, {"version": MODEL_VERSION - 1, "config": CONFIG}))


@pytest.mark.parametrize("config", [None, {"name": "tiny"}, [1]])
def test_a_description_without_sizes_is_refused(tmp_path: Path, config: object) -> None:
    assert "config" in complain(folder_with(tmp_path, {"version": MODEL_VERSION, "config": config}))


def test_a_corrupt_graph_is_named(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, {"version": MODEL_VERSION, "config": CONFIG})
    (folder / "pictures.onnx").write_bytes(b"this is no graph")
    assert "pictures.onnx" in complain(folder)


@pytest.mark.skipif(not (WEIGHTS / "small" / "model.json").exists(), reason="no weights in this checkout")
def test_the_shipped_model_opens_by_name_and_as_the_rules_eyes() -> None:
    assert read_model(WEIGHTS / "small")["version"] == MODEL_VERSION
    assert isinstance(load_predictor("small"), OnnxPredictor)
    assert load_predictor("rule").name == "rule"
