"""PyTorch and ONNX Runtime are the same network: votes, memory, heat maps, glances and events agree for many sizes."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from openaisle.edge.export import export
from openaisle.edge.runtime import GRAPHS, WEIGHTS, OnnxPredictor
from openaisle.errors import ModelError
from openaisle.messages import VideoFrame
from openaisle.pipeline import run
from openaisle.predictor import GLANCE_NAMES, Arrays, ShelfWindows, TickView, VisualTokens, WrittenEvent, floats
from openaisle.state import StepResult
from openaisle.tokens.body import BODY_CELLS, BODY_FEATURES, BODY_PX
from openaisle.tokens.glance import WINDOW_FEATURES, WINDOW_PX
from openaisle.tokens.journey import FRAMES, lane_table
from openaisle.tokens.rays import RAY_FEATURES
from openaisle.tokens.scales import scale_window
from openaisle.tokens.shelf import SHELF_CHANGES, SHELF_FEATURES, SHELF_PX
from openaisle.training.eyes import TorchPredictor
from openaisle.training.weights import load_weights, rounded, save_weights
from tests.model.tiny import TINY, tiny_network
from tests.pipeline.scripted import films, shopping, with_film
from tests.tokens.corner import corner_store, quiet_rows, standing
from tests.tokens.test_journey import features

Pair = tuple[TorchPredictor, OnnxPredictor]
SHIPPED = WEIGHTS / "small"


@pytest.fixture(scope="module")
def untrained(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    folder = tmp_path_factory.mktemp("model")
    export(tiny_network(), folder, {"recipe": "none"})
    return TorchPredictor(load_weights(folder / "weights.safetensors")), OnnxPredictor(folder)


@pytest.fixture(scope="module")
def shipped() -> Pair:
    if not (SHIPPED / "model.json").exists():
        pytest.skip("no weights in this checkout")
    return TorchPredictor(load_weights(SHIPPED / "weights.safetensors")), OnnxPredictor(SHIPPED)


@pytest.fixture(params=["untrained", "shipped"])
def pair(request: pytest.FixtureRequest) -> Pair:
    made: Pair = request.getfixturevalue(request.param)
    return made


def slot(cameras: tuple[int, ...], seed: int = 0) -> VisualTokens:
    """Random tokens: so many of each camera."""
    rng = np.random.Generator(np.random.PCG64(seed))
    t = sum(cameras)
    pixels = rng.integers(0, 256, (2, t, 768), dtype=np.uint8)
    return VisualTokens(
        pixels[0], pixels[1], rng.normal(size=(t, RAY_FEATURES)).astype(np.float32), rng.integers(0, 15, (t, 2)),
        rng.uniform(0, 4, (t, 3)).astype(np.float32), np.tile(np.eye(3, dtype=np.float32), (t, 1, 1)),
        np.repeat(np.arange(len(cameras)), cameras),
    )  # fmt: skip


def close(a: Arrays, b: Arrays, tolerance: float = 2e-3) -> None:
    assert a.keys() == b.keys()
    for name in a:
        assert a[name].shape == b[name].shape, name
        assert np.allclose(a[name], b[name], rtol=tolerance, atol=tolerance), name


def both(pair: Pair, call: Callable[[TorchPredictor | OnnxPredictor], Arrays]) -> Arrays:
    """A call on both; they must agree."""
    ours, theirs = (call(predictor) for predictor in pair)
    close(ours, theirs)
    return ours


@pytest.mark.parametrize("sizes", [((3, 5),), ((1,), (), (7, 2, 4)), ((), ()), ((40, 1), (2,))])
def test_votes_agree(pair: Pair, sizes: tuple[tuple[int, ...], ...]) -> None:
    slots = [slot(cameras, i) for i, cameras in enumerate(sizes)]
    ours, theirs = (predictor.look(slots) for predictor in pair)
    assert len(ours) == len(theirs) == len(sizes)
    for a, b, cameras in zip(ours, theirs, sizes, strict=True):
        assert len(a["person"]) == sum(cameras)
        close(a, b)


@pytest.mark.parametrize("people", [1, 2, 5])
def test_memory_agrees_over_several_slots(pair: Pair, people: int) -> None:
    votes = pair[0].look([slot((9, 6), seed) for seed in range(4)])
    rng = np.random.Generator(np.random.PCG64(3))
    floor = rng.uniform(0, 4, (people, 2)).astype(np.float32)

    def follow(predictor: TorchPredictor | OnnxPredictor) -> Arrays:
        memory = predictor.place(floor, 0.4)
        attention = np.zeros(0, np.float32)
        for vote in votes:
            memory, attention = predictor.remember(vote, memory, 0.2)
        return {**memory, "attention": attention}

    after = both(pair, follow)
    assert after["attention"].shape == (15, people + 1)
    assert after["hands"].shape == (people, 2, 3)


@pytest.mark.parametrize("windows", [1, 2, 11])
def test_heat_maps_agree(pair: Pair, windows: int) -> None:
    rng = np.random.Generator(np.random.PCG64(6))
    pictures = rng.integers(0, 256, (2, windows, BODY_PX, BODY_PX, 3), dtype=np.uint8)
    features = rng.normal(size=(windows, BODY_FEATURES)).astype(np.float32)
    heat = both(pair, lambda predictor: {"heat": predictor.heatmaps(pictures[0], pictures[1], features)})["heat"]
    assert heat.shape == (windows, 2, BODY_CELLS**2 + 1)
    assert np.exp(heat).sum(-1) == pytest.approx(np.ones((windows, 2)), abs=1e-4)
    assert np.ptp(heat, axis=-1).min() > 0.01  # there is something to agree on


@pytest.mark.parametrize("windows", [1, 2, 11])
def test_glances_agree(pair: Pair, windows: int) -> None:
    rng = np.random.Generator(np.random.PCG64(5))
    pictures = rng.integers(0, 256, (2, windows, WINDOW_PX, WINDOW_PX, 3), dtype=np.uint8)
    features = rng.normal(size=(windows, WINDOW_FEATURES)).astype(np.float32)
    told = both(pair, lambda predictor: {**predictor.glance(pictures[0], pictures[1], features)})
    assert tuple(told) == GLANCE_NAMES
    assert all(len(values) == windows for values in told.values())
    assert told["offset"].shape == (windows, 2)
    assert np.allclose(np.linalg.norm(told["product"], axis=-1), 1.0, atol=1e-4)


@pytest.mark.parametrize("views", [1, 2, 5])
def test_shelf_looks_agree(pair: Pair, views: int) -> None:
    """Every view counts: an exporter that keeps one of several sums is found out here."""
    rng = np.random.Generator(np.random.PCG64(6))
    shown = rng.integers(0, 256, (2, views, SHELF_PX, SHELF_PX, 3), dtype=np.uint8)
    area = rng.integers(0, 2, (views, SHELF_PX, SHELF_PX), dtype=np.uint8) * np.uint8(255)
    windows = ShelfWindows(shown[0], shown[1], area, rng.normal(size=(views, SHELF_FEATURES)).astype(np.float32), 2)
    pictures = rng.integers(0, 256, (7, 2, 32, 32, 3), dtype=np.uint8)
    vectors = both(pair, lambda predictor: {"v": predictor.embed_shelves(pictures)})["v"]

    def look(predictor: TorchPredictor | OnnxPredictor) -> Arrays:
        seen = predictor.look_at_shelf(windows, floats(vectors))
        return {"named": seen.named, "changed": seen.changed, "net": seen.net}

    told = both(pair, look)
    assert told["named"].shape == (2, 7)
    assert told["net"].shape == (SHELF_CHANGES,)
    alone = replace(windows, **{n: getattr(windows, n)[-1:] for n in ("before", "after", "area", "features")})
    last = pair[1].look_at_shelf(alone, floats(vectors))
    assert np.allclose(last.changed, told["changed"], atol=1e-3) == (views == 1)


def test_catalogues_agree(pair: Pair) -> None:
    rng = np.random.Generator(np.random.PCG64(4))
    for products in (0, 1, 9):
        pictures = rng.integers(0, 256, (products, 2, 32, 32, 3), dtype=np.uint8)
        vectors = both(pair, lambda predictor, pictures=pictures: {"v": predictor.embed_catalogue(pictures)})["v"]  # type: ignore[misc]
        assert vectors.shape == (products, TINY.product_width)
        assert np.allclose(np.linalg.norm(vectors, axis=-1), 1.0, atol=1e-4)


@pytest.mark.parametrize("size", [(1, -330.0, 0, 0), (2, 0.0, 1, 0), (3, -330.0, 4, 2), (2, 660.0, 2, 3)])
def test_written_events_agree(pair: Pair, size: tuple[int, float, int, int]) -> None:
    told = features(*size)
    tracks = standing(*[(1.0, 1.0)] * size[0])
    view = TickView(lane_table(corner_store()), scale_window(quiet_rows()), tracks, told)
    ours, theirs = (predictor.write(view) for predictor in pair)
    assert [parts(event) for event in ours] == [parts(event) for event in theirs]
    assert all(len(e.people) == size[0] for e in theirs)
    assert all(e.people == pytest.approx(f.people, abs=2e-3) for e, f in zip(ours, theirs, strict=True))
    assert [e.confidence for e in ours] == pytest.approx([e.confidence for e in theirs], abs=2e-3)
    assert all(0 <= e.confidence <= 1 for e in ours)


def parts(event: WrittenEvent) -> tuple[int, ...]:
    return event.kind, event.lane, event.shopper, event.product, event.quantity, event.receiver


def test_whole_runs_agree(pair: Pair) -> None:
    """Pictures, scales and gates through the pipeline with either: the same units charged, tracks within millimetres.

    Not whom they are charged to: nobody is in the film, two shoppers who came through one gate are a tie.
    """
    steps, gates = [(5.0, 0, -330.0)], [(0.5, "entry", "ann"), (1.5, "entry", "bob"), (8.0, "exit", "")]
    sent = with_film(shopping(steps, gates, 10.0), films(10.0, box_from_s=2.0))
    assert any(isinstance(message, VideoFrame) for message in sent)
    ours, theirs = (list(run(corner_store(), sent, predictor)) for predictor in pair)
    assert len(ours) == len(theirs) > FRAMES / 5
    for a, b in zip(ours, theirs, strict=True):
        if ours_is_trained(pair):  # an untrained decoder is all near ties
            assert units(a) == units(b)
        for mine, other in zip(a.tracks, b.tracks, strict=True):
            assert mine.hands_m == pytest.approx(other.hands_m, abs=5e-3)


def ours_is_trained(pair: Pair) -> bool:
    return pair[0].name != TINY.name


def units(result: StepResult) -> Counter[str]:
    charged: Counter[str] = Counter()
    for receipt in result.receipts.values():
        charged.update({line.gtin: line.quantity for line in receipt.lines})
    return charged


def test_an_export_is_described_and_its_weights_come_back(tmp_path: Path) -> None:
    export(tiny_network(), tmp_path, {"recipe": "none", "steps": 3.0})
    document = json.loads((tmp_path / "model.json").read_text())
    assert document["record"] == {"recipe": "none", "steps": 3.0}
    assert document["config"] == TINY.as_dict()
    for name, digest in document["sha256"].items():
        assert hashlib.sha256((tmp_path / name).read_bytes()).hexdigest() == digest
    assert set(document["sha256"]) == {f"{graph}.onnx" for graph in GRAPHS} | {"weights.safetensors"}
    again, network = load_weights(tmp_path / "weights.safetensors"), tiny_network()
    first = network.heatmap.first.conv.weight.detach().clone()
    rounded(network)
    moved = (network.heatmap.first.conv.weight - first).abs() / first.abs().clamp_min(1e-3)
    assert 0 < float(moved.max()) < 2**-10
    for name, module in network.modules().items():
        for key, values in module.state_dict().items():
            assert torch.equal(values, again.modules()[name].state_dict()[key]), key


def test_weights_that_do_not_fit_are_named(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    save_weights(tiny_network(), path)
    with safe_open(str(path), framework="pt") as file:
        header = file.metadata()
    tensors = load_file(str(path))
    for change, named in (
        ({"heatmap.out.bias": torch.zeros(5)}, r"heatmap\.out\.bias"),
        ({"glance.more": torch.zeros(1)}, r"glance\.more"),
        ({"receipt.decoder.quiet": None}, r"receipt\.decoder\.quiet"),
    ):
        save_file({k: v for k, v in {**tensors, **change}.items() if v is not None}, str(path), metadata=header)
        with pytest.raises(ModelError, match=named):
            load_weights(path)
