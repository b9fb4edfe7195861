"""Int8: a model folder whose heat maps run in eight bits, calibrated on what they are shown in simulated shops.

In: a model folder and calls of its graphs as a shop makes them. Out: a folder of the same graphs, of which those in
INT8_GRAPHS are quantised (static, one scale per channel). Other graphs lose accuracy for little time (docs/model.md).
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from openaisle.edge.runtime import GRAPHS, OnnxPredictor, read_model
from openaisle.errors import MissingExtraError, ModelError, Problem
from openaisle.messages import NANOSECONDS, Message
from openaisle.pipeline import run
from openaisle.predictor import Arrays
from openaisle.recording.video import through_h264
from openaisle.sim.scenario import load_scenario
from openaisle.sim.source import SimulatedStore
from openaisle.sim.stores import open_store

if TYPE_CHECKING:
    from onnx import ModelProto

INT8_GRAPHS = ("heatmap",)
OPSET = 20  # the first with GELU as one operator: in pieces it costs as much as the convolutions save
SHOPS = (("random:kiosk", 800_390), ("random:corner", 800_391))  # of the validation split
SCENARIO = "neighbours"
SHOP_S = 40  # of each shop
KEEP_EVERY, MOST_CALLS = 5, 40  # one slot a second: those of one second are nearly the same
FIX = "name a model folder that `aisle export` wrote, or small"


class Listener(OnnxPredictor):
    """A predictor that keeps some of what its graphs are asked."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.heard: dict[str, list[Arrays]] = {name: [] for name in INT8_GRAPHS}
        self._calls = dict.fromkeys(INT8_GRAPHS, 0)

    def call(self, graph: str, feed: Arrays) -> list[NDArray[np.generic]]:
        """Run one graph."""
        if graph in self.heard:
            if self._calls[graph] % KEEP_EVERY == 0:
                self.heard[graph].append({name: np.array(value) for name, value in feed.items()})
            self._calls[graph] += 1
        return super().call(graph, feed)


def listen(folder: Path, shops: Sequence[tuple[str, int]] = SHOPS, seconds: float = SHOP_S) -> dict[str, list[Arrays]]:
    """What the graphs are asked in simulated shops, by graph; the same folder gives the same calls."""
    listener = Listener(folder)
    for kind, seed in shops:
        store = open_store(kind, seed)
        shop = SimulatedStore(store, load_scenario(SCENARIO), seed, truth=False)
        for _ in run(store, through_h264(_first(shop, seconds), store), listener):
            pass
    return {name: _spread(calls) for name, calls in listener.heard.items()}


def _first(messages: Iterator[Message] | SimulatedStore, seconds: float) -> Iterator[Message]:
    begin_ns: int | None = None
    for message in messages:
        begin_ns = message.time_ns if begin_ns is None else begin_ns
        if message.time_ns - begin_ns > seconds * NANOSECONDS:
            return
        yield message


def _spread(calls: list[Arrays]) -> list[Arrays]:
    """At most MOST_CALLS, over all shops evenly."""
    take = np.linspace(0, len(calls) - 1, min(MOST_CALLS, len(calls))).round().astype(int)
    return [calls[i] for i in take]


def write_int8(folder: Path, out: Path, calls: Mapping[str, Sequence[Arrays]]) -> None:
    """Write the folder `out`: the graphs of `folder`, those of INT8_GRAPHS in eight bits; raises ModelError."""
    document = read_model(folder)
    if out.resolve() == folder.resolve():
        raise ModelError([Problem(str(out), "folder", "is the model that is to be quantised", "give another --out")])
    out.mkdir(parents=True, exist_ok=True)
    for name in GRAPHS:
        source, target = folder / f"{name}.onnx", out / f"{name}.onnx"
        if name in INT8_GRAPHS:
            quantise(source, target, calls[name])
        else:
            shutil.copyfile(source, target)
    config, record = dict(_part(document, "config")), dict(_part(document, "record"))
    config["name"] = f"{config.get('name', folder.name)}-int8"
    record["int8"] = ", ".join(f"{name} ({len(calls[name])} calls)" for name in INT8_GRAPHS)
    hashes = {f"{name}.onnx": hashlib.sha256((out / f"{name}.onnx").read_bytes()).hexdigest() for name in GRAPHS}
    whole = {**document, "config": config, "record": record, "sha256": hashes}
    (out / "model.json").write_text(json.dumps(whole, indent=1, sort_keys=True) + "\n")


def _part(document: Mapping[str, object], name: str) -> Mapping[str, object]:
    part = document.get(name)
    return part if isinstance(part, dict) else {}


def quantise(source: Path, target: Path, calls: Sequence[Arrays]) -> None:
    """One graph with its convolutions in eight bits, but for the first: pictures have no bits to spare."""
    try:
        import onnx
        from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static
    except ImportError as error:
        raise MissingExtraError("onnx", "train") from error
    if not calls:
        what = f"there is nothing to calibrate {source.stem} on: nobody was seen"
        raise ModelError([Problem(str(source), "calibration", what, "let shops be longer")])
    with TemporaryDirectory() as scratch:
        plain = Path(scratch) / "plain.onnx"
        onnx.save(_whole_operators(source, Path(scratch)), plain)
        convolutions = [node.name for node in onnx.load(plain).graph.node if node.op_type == "Conv"]
        wanted = {value.name for value in onnx.load(plain).graph.input}
        quantize_static(
            plain, target, _Reader([{n: v for n, v in call.items() if n in wanted} for call in calls]),
            quant_format=QuantFormat.QDQ, op_types_to_quantize=["Conv"], per_channel=True,
            activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax, nodes_to_exclude=convolutions[:1],
        )  # fmt: skip


def _whole_operators(source: Path, scratch: Path) -> ModelProto:
    """The graph with GELUs as one operator each, as every runtime knows it."""
    import onnx

    newer, fused = scratch / "newer.onnx", scratch / "fused.onnx"
    onnx.save(onnx.version_converter.convert_version(onnx.load(source), OPSET), newer)
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED  # nothing of one kind of CPU
    options.optimized_model_filepath = str(fused)
    ort.InferenceSession(str(newer), options, providers=["CPUExecutionProvider"])
    model = onnx.load(fused)
    for node in model.graph.node:
        if node.op_type == "Gelu":
            node.domain = ""
    used = {node.domain for node in model.graph.node}
    for domain in [entry for entry in model.opset_import if entry.domain not in used]:
        model.opset_import.remove(domain)
    return onnx.shape_inference.infer_shapes(model)


class _Reader:
    """Calls as ONNX Runtime's calibration wants them."""

    def __init__(self, calls: Sequence[Arrays]) -> None:
        self._calls = iter(calls)

    def get_next(self) -> Arrays | None:
        """The next one."""
        return next(self._calls, None)
