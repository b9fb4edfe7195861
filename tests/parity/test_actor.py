"""The actor look is the same in PyTorch and ONNX Runtime, for as many windows as there are."""

from __future__ import annotations

import numpy as np
import onnxruntime as ort
import pytest

from openaisle.edge.export import _export_actor
from openaisle.tokens.actor import ACTOR_CELLS, ACTOR_FEATURES, ACTOR_PX, ACTOR_SLOTS, OUTSIDE
from openaisle.training.eyes import TorchPredictor
from tests.model.tiny import tiny_network

Pair = tuple[TorchPredictor, ort.InferenceSession]


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    network, folder = tiny_network(), tmp_path_factory.mktemp("actor")
    _export_actor(network, folder)
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    return TorchPredictor(network), ort.InferenceSession(str(folder / "actor.onnx"), options)


@pytest.mark.parametrize("windows", [1, 2, 4])
def test_actor_looks_agree(pair: Pair, windows: int) -> None:
    rng = np.random.Generator(np.random.PCG64(6))
    frames = rng.integers(0, 256, (windows, ACTOR_PX, ACTOR_PX, 3 * (1 + len(ACTOR_SLOTS))), dtype=np.uint8)
    area = rng.integers(0, 2, (windows, ACTOR_CELLS, ACTOR_CELLS), dtype=np.uint8) * np.uint8(255)
    features = rng.normal(size=(windows, ACTOR_FEATURES)).astype(np.float32)
    ours = pair[0].actor(frames, area, features)
    (theirs,) = pair[1].run(None, {"frames": frames, "area": area, "features": features})
    assert ours is not None
    assert ours.shape == theirs.shape == (windows, 2, OUTSIDE + 2)
    assert ours.dtype == theirs.dtype == np.float32
    assert np.allclose(ours, theirs, rtol=2e-3, atol=2e-3)
    assert np.exp(theirs).sum(-1) == pytest.approx(np.ones((windows, 2)), abs=1e-4)
    assert np.ptp(theirs, axis=-1).min() > 0.01  # there is something to agree on
    (alone,) = pair[1].run(None, {"frames": frames[-1:], "area": area[-1:], "features": features[-1:]})
    assert np.allclose(alone[0], theirs[-1], atol=1e-3)  # windows do not see each other


def test_every_input_is_in_the_graph(pair: Pair) -> None:
    assert {each.name for each in pair[1].get_inputs()} == {"frames", "area", "features"}
