"""Int8 heat maps: nearly the same maps from a fraction of the bytes, the same receipts, and a gate on receipts."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from openaisle.bench.parity import parity
from openaisle.bench.results import CaseResult
from openaisle.bench.suites import Case
from openaisle.edge.quantise import INT8_GRAPHS, MOST_CALLS, Listener, _spread, write_int8
from openaisle.edge.runtime import GRAPHS, WEIGHTS, OnnxPredictor, load_predictor
from openaisle.errors import ModelError
from openaisle.pipeline import run
from openaisle.predictor import Arrays, floats
from tests.bench.played import job, played
from tests.pipeline.scripted import films, shopping, with_film
from tests.tokens.corner import corner_store

SHIPPED = WEIGHTS / "small"
pytestmark = pytest.mark.skipif(not (SHIPPED / "model.json").exists(), reason="no weights in this checkout")
SENT = with_film(
    shopping([(5.0, 0, -330.0)], [(0.5, "entry", "ann"), (8.0, "exit", "")], 9.0), films(9.0, box_from_s=2.0)
)


@pytest.fixture(scope="module")
def heard() -> dict[str, list[Arrays]]:
    """What the shipped heat maps are asked in the corner."""
    listener = Listener(SHIPPED)
    for _ in run(corner_store(), SENT, listener):
        pass
    return listener.heard


@pytest.fixture(scope="module")
def int8(tmp_path_factory: pytest.TempPathFactory, heard: dict[str, list[Arrays]]) -> Path:
    folder = tmp_path_factory.mktemp("models") / "int8"
    write_int8(SHIPPED, folder, heard)
    return folder


def test_maps_are_nearly_the_same(int8: Path, heard: dict[str, list[Arrays]]) -> None:
    plain, small = OnnxPredictor(SHIPPED), OnnxPredictor(int8)
    assert len(heard["heatmap"]) > 3
    for call in heard["heatmap"]:
        exact, close = (floats(predictor.call("heatmap", call)[0]) for predictor in (plain, small))
        assert not np.array_equal(exact, close)
        assert float(np.sqrt(((exact - close) ** 2).mean()) / exact.std()) < 0.25
        assert np.exp(close).sum(-1) == pytest.approx(np.ones(close.shape[:2]), abs=1e-3)


def test_only_the_heat_maps_are_smaller(int8: Path) -> None:
    for name in GRAPHS:
        before, after = ((folder / f"{name}.onnx").read_bytes() for folder in (SHIPPED, int8))
        assert (len(after) < 0.5 * len(before)) if name in INT8_GRAPHS else before == after
    told = json.loads((int8 / "model.json").read_text())
    assert "heatmap" in told["record"]["int8"]
    assert load_predictor(str(int8)).name == "small-int8"


def test_receipts_are_the_same(int8: Path) -> None:
    charged: list[Counter[str]] = []
    for folder in (SHIPPED, int8):
        *_, last = run(corner_store(), SENT, OnnxPredictor(folder))
        charged.append(Counter({line.gtin: line.quantity for r in last.receipts.values() for line in r.lines}))
    assert charged[0] == charged[1]
    assert charged[0]


def test_a_model_is_not_quantised_onto_itself_nor_on_nothing(tmp_path: Path, heard: dict[str, list[Arrays]]) -> None:
    with pytest.raises(ModelError, match="give another --out"):
        write_int8(SHIPPED, SHIPPED, heard)
    with pytest.raises(ModelError, match="nobody was seen"):
        write_int8(SHIPPED, tmp_path / "out", {"heatmap": []})
    assert not (tmp_path / "out" / "model.json").exists()  # and so it is no model


def test_calls_are_spread_over_all_shops() -> None:
    kept = _spread([{"n": np.array(i)} for i in range(3 * MOST_CALLS)])
    numbers = [int(call["n"]) for call in kept]
    assert len(numbers) == MOST_CALLS
    assert (numbers[0], numbers[-1]) == (0, 3 * MOST_CALLS - 1)
    assert len(_spread([{"n": np.array(1)}] * 3)) == 3


def results(models: tuple[str, ...], seeds: int) -> list[CaseResult]:
    """Even seeds and "small" get everything right."""
    return [
        played(job(Case("random:kiosk", "solo", seed), m)) for seed in range(800_000, 800_000 + seeds) for m in models
    ]


def test_the_gate_falls_for_exact_receipts_that_are_lost() -> None:
    worse = parity(results(("small", "int8"), 4), "int8", "small")
    assert not worse.holds
    assert (worse.visits, worse.exact, worse.differ) == (8, (0.75, 1.0), 2)
    assert "FALLS BEHIND" in str(worse)
    assert parity(results(("small", "int8"), 4), "small", "int8").holds
    same = [replace(r, model="int8") for r in results(("small",), 4)]
    equal = parity([*same, *results(("small",), 4)], "int8", "small")
    assert equal.holds
    assert equal.differ == 0


def test_models_without_a_case_in_common_are_not_compared() -> None:
    with pytest.raises(ModelError, match="no case was played"):
        parity(results(("small",), 2), "int8", "small")
