"""OpenVINO as an option: the two graphs of convolutions on Intel's runtime, in bfloat16 where the processor has it.

Twice as fast there without quantising anything (docs/model.md); without bfloat16, ONNX Runtime is as good. The
others stay on ONNX Runtime, which is faster for them. Needs the extra `openvino`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from openaisle.edge.runtime import FIX, OnnxPredictor
from openaisle.errors import MissingExtraError, ModelError, Problem
from openaisle.predictor import Arrays

if TYPE_CHECKING:
    import openvino

OPENVINO_GRAPHS = ("heatmap", "glance")


class OpenVinoPredictor(OnnxPredictor):
    """A model folder of which some graphs run on OpenVINO."""

    def __init__(self, folder: Path, threads: int = 1) -> None:
        super().__init__(folder, threads)
        self.compiled = {name: _compiled(folder / f"{name}.onnx", threads) for name in OPENVINO_GRAPHS}
        for name in OPENVINO_GRAPHS:
            del self.graphs[name]  # its memory
        self._requests = {name: model.create_infer_request() for name, model in self.compiled.items()}

    def call(self, graph: str, feed: Arrays) -> list[NDArray[np.generic]]:
        """Run one graph."""
        if graph not in self.compiled:
            return super().call(graph, feed)
        wanted = {name: np.ascontiguousarray(value) for name, value in feed.items() if name in self.inputs[graph]}
        told = self._requests[graph].infer(wanted, share_inputs=True)
        return [np.array(told[output]) for output in self.compiled[graph].outputs]  # its own are overwritten


def _compiled(path: Path, threads: int) -> openvino.CompiledModel:
    try:
        import openvino
    except ImportError as error:
        raise MissingExtraError("openvino", "openvino") from error
    core = openvino.Core()
    capable = "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    wishes = {
        "INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1, "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "bf16" if capable else "f32",
    }  # fmt: skip
    try:
        return core.compile_model(str(path), "CPU", wishes)
    except RuntimeError as error:
        raise ModelError([Problem(str(path), "file", f"is no graph for OpenVINO ({error})", FIX)]) from error
