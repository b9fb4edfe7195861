"""The network in the shop: ONNX Runtime behind the Predictor protocol, without torch."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from openaisle.errors import ModelError, Problem
from openaisle.modular.detector import Graph
from openaisle.predictor import MODEL_VERSION, Arrays, Float32, GraphPredictor, Predictor, floats

Call = Callable[[Arrays], list[NDArray[np.generic]]]
WEIGHTS = Path(__file__).parent / "weights"
GRAPHS = ("pictures", "look", "remember", "heatmap", "glance", "shelf_pictures", "shelf", "actor", "write")
DETECTOR = WEIGHTS / "own"
FIX = "name a shipped model (small, rule, modular, modular-own, openvino) or a folder written by `aisle export`"


class OnnxPredictor(GraphPredictor):
    """A model folder on ONNX Runtime."""

    def __init__(self, folder: Path, threads: int = 1, elsewhere: Mapping[str, Call] | None = None) -> None:
        """`elsewhere` are graphs that another runtime runs."""
        self.elsewhere = elsewhere or {}
        super().__init__(*read_sizes(folder))
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        provider = ("CPUExecutionProvider",)
        here = [name for name in GRAPHS if name not in self.elsewhere]
        self.graphs = {name: read_graph(folder / f"{name}.onnx", options, provider) for name in here}
        # inputs that a graph does not use are pruned from it
        self.inputs = {name: {i.name for i in graph.get_inputs()} for name, graph in self.graphs.items()}

    def call(self, graph: str, feed: Arrays) -> list[NDArray[np.generic]]:
        """Run one graph."""
        if graph in self.elsewhere:
            return self.elsewhere[graph](feed)
        wanted = {name: value for name, value in feed.items() if name in self.inputs[graph]}
        values: list[NDArray[np.generic]] = self.graphs[graph].run(None, wanted)
        return values


def read_graph(path: Path, options: ort.SessionOptions, providers: Sequence[str]) -> ort.InferenceSession:
    """One graph, ready to run; raises ModelError when the file is not one."""
    try:
        return ort.InferenceSession(str(path), options, providers=list(providers))
    except Exception as error:  # ONNX Runtime's errors have no common base of their own
        raise ModelError([Problem(str(path), "file", f"is not a usable graph ({error})", FIX)]) from error


def read_sizes(folder: Path) -> tuple[str, tuple[int, int]]:
    """Name of the network, and the widths of its appearance and product vectors."""
    config = read_model(folder).get("config")
    try:
        assert isinstance(config, dict)
        return str(config["name"]), (int(config["appearance_width"]), int(config["product_width"]))
    except (AssertionError, KeyError, TypeError, ValueError) as error:
        raise ModelError([Problem(str(folder / "model.json"), "config", "does not tell the sizes", FIX)]) from error


def read_model(folder: Path) -> dict[str, object]:
    """model.json of a model folder; raises ModelError naming what is missing or of another version."""
    path = folder / "model.json"
    try:
        document: dict[str, object] = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise ModelError([Problem(str(path), "file", f"cannot be read ({error})", FIX)]) from error
    missing = [f"{name}.onnx" for name in GRAPHS if not (folder / f"{name}.onnx").exists()]
    if document.get("version") != MODEL_VERSION or missing:
        raise ModelError(
            [Problem(str(folder), ", ".join(missing) or "version", "is not a complete model of this version", FIX)]
        )
    return document


def verify_files(folder: Path) -> None:
    """Raises ModelError where a graph is not the file whose sha256 `aisle export` wrote into model.json."""
    told = read_model(folder).get("sha256")
    hashes = told if isinstance(told, dict) else {}
    other = [
        f"{name}.onnx"
        for name in GRAPHS
        if hashes.get(f"{name}.onnx") != hashlib.sha256((folder / f"{name}.onnx").read_bytes()).hexdigest()
    ]
    if other:
        what, fix = "is not the file that model.json tells of", "copy or export the folder again"
        raise ModelError([Problem(str(folder / name), "sha256", what, fix) for name in other])


def load_predictor(name_or_path: str, threads: int = 1) -> Predictor:
    """A model by name (small, rule, modular, modular-own, openvino) or folder; raises ModelError when there is none."""
    from openaisle.edge.rule import RulePredictor
    from openaisle.modular.eyes import OwnEyes
    from openaisle.modular.peer import ModularPredictor

    kind, _, folder = name_or_path.partition(":")
    if kind not in ("rule", "modular", "modular-own", "openvino"):
        return OnnxPredictor(folder_of(name_or_path), threads)
    eyes = folder_of(folder or "small")
    if kind == "openvino":
        from openaisle.edge.openvino import openvino_calls

        return OnnxPredictor(eyes, threads, openvino_calls(eyes, threads))
    if kind == "rule":
        return RulePredictor(OnnxPredictor(eyes, threads))
    if kind == "modular-own":
        return OwnEyes(read_detector(DETECTOR, threads), OnnxPredictor(eyes, threads))
    return ModularPredictor(OnnxPredictor(eyes, threads))


def read_detector(folder: Path, threads: int = 1) -> Graph:
    """The modular peer's detector (detector.onnx) as a call of one picture; raises ModelError where there is none."""
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 3
    session = read_graph(folder / "detector.onnx", options, ("CPUExecutionProvider",))

    def graph(picture: Float32, places: Float32) -> tuple[Float32, Float32, Float32, Float32]:
        heat, hand, head, patch = session.run(None, {"picture": picture[None], "places": places[None]})
        return floats(heat[0]), floats(hand[0]), floats(head[0]), floats(patch[0])

    return graph


def folder_of(name_or_path: str) -> Path:
    """The folder of a shipped model's name, or the path itself."""
    return WEIGHTS / name_or_path if (WEIGHTS / name_or_path).is_dir() else Path(name_or_path)
