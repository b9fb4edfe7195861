"""OpenVINO as an option: the two graphs of convolutions on Intel's runtime, in bfloat16 where the processor has it.

Twice as fast there without quantising anything (docs/model.md); without bfloat16, ONNX Runtime is as good. The
others stay on ONNX Runtime, which is faster for them. Needs the extra `openvino`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from openaisle.errors import MissingExtraError, ModelError, Problem
from openaisle.predictor import Arrays

OPENVINO_GRAPHS = ("heatmap", "glance")
Call = Callable[[Arrays], list[NDArray[np.generic]]]


def openvino_calls(folder: Path, threads: int) -> dict[str, Call]:
    """Graphs of a model folder that run on OpenVINO; raises MissingExtraError, ModelError."""
    return {name: _call(folder / f"{name}.onnx", threads) for name in OPENVINO_GRAPHS}


def _call(path: Path, threads: int) -> Call:
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
        compiled = core.compile_model(str(path), "CPU", wishes)
    except RuntimeError as error:
        fix = "name a folder written by `aisle export`"
        raise ModelError([Problem(str(path), "file", f"is no graph for OpenVINO ({error})", fix)]) from error
    request = compiled.create_infer_request()
    names = {value.get_any_name() for value in compiled.inputs}

    def call(feed: Arrays) -> list[NDArray[np.generic]]:
        wanted = {name: np.ascontiguousarray(value) for name, value in feed.items() if name in names}
        told = request.infer(wanted, share_inputs=True)
        return [np.array(told[output]) for output in compiled.outputs]  # its own are overwritten

    return call
