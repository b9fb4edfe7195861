"""OpenVINO says what ONNX Runtime says, to the digits that bfloat16 has."""

from __future__ import annotations

import builtins

import numpy as np
import pytest

from openaisle.edge.openvino import OPENVINO_GRAPHS
from openaisle.edge.runtime import WEIGHTS, OnnxPredictor, load_predictor
from openaisle.errors import MissingExtraError
from openaisle.predictor import Arrays, floats
from openaisle.tokens.body import BODY_FEATURES, BODY_PX
from openaisle.tokens.glance import WINDOW_FEATURES, WINDOW_PX

SHIPPED = WEIGHTS / "small"
pytestmark = pytest.mark.skipif(not (SHIPPED / "model.json").exists(), reason="no weights in this checkout")


@pytest.fixture(scope="module")
def pair() -> tuple[OnnxPredictor, OnnxPredictor]:
    pytest.importorskip("openvino")
    predictor = load_predictor("openvino")
    assert isinstance(predictor, OnnxPredictor)
    assert set(predictor.elsewhere) == set(OPENVINO_GRAPHS)
    assert not set(predictor.graphs) & set(OPENVINO_GRAPHS)
    return OnnxPredictor(SHIPPED), predictor


def windows(graph: str, count: int) -> Arrays:
    rng = np.random.Generator(np.random.PCG64(count))
    px, features = (BODY_PX, BODY_FEATURES) if graph == "heatmap" else (WINDOW_PX, WINDOW_FEATURES)
    now, before = rng.integers(0, 256, (2, count, px, px, 3), dtype=np.uint8)
    return {"now": now, "before": before, "features": rng.normal(size=(count, features)).astype(np.float32)}


@pytest.mark.parametrize("graph", OPENVINO_GRAPHS)
def test_it_says_the_same_of_any_number_of_windows(pair: tuple[OnnxPredictor, OnnxPredictor], graph: str) -> None:
    for count in (1, 7, 2):
        told = [[floats(v) for v in predictor.call(graph, windows(graph, count))] for predictor in pair]
        assert len(told[0]) == len(told[1])
        for ours, theirs in zip(*told, strict=True):
            assert ours.shape == theirs.shape
            if graph == "heatmap":
                assert float(np.sqrt(((ours - theirs) ** 2).mean())) < 0.05 * float(ours.std())
            else:
                assert np.allclose(ours, theirs, rtol=0.05, atol=0.2)


def test_answers_last(pair: tuple[OnnxPredictor, OnnxPredictor]) -> None:
    """The runtime writes over its own arrays at the next call."""
    first = pair[1].call("heatmap", windows("heatmap", 3))[0]
    kept = first.copy()
    pair[1].call("heatmap", {name: value[::-1] for name, value in windows("heatmap", 3).items()})
    assert np.array_equal(first, kept)


def test_without_it_the_install_line_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def missing(name: str, *rest: object) -> object:
        if name == "openvino":
            raise ImportError(name)
        return real(name, *rest)  # type: ignore[arg-type]  # passed on as it came

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(MissingExtraError, match=r"openaisle\[openvino\]"):
        load_predictor("openvino")
