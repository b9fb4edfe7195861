"""The detector's lessons: truth agrees with pictures, mirrored or not; losses, batches, a resumed run."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from openaisle.cli.app import app
from openaisle.edge.runtime import read_detector
from openaisle.model.detector import DetectorNetwork
from openaisle.model.tasks import detector as task
from openaisle.tokens.rays import PATCH_PX
from openaisle.training import detections, frames, train
from openaisle.training.detections import CROP, Seen, crop, read_seen, sample, truth
from openaisle.training.detector import DetectorStage, evaluate_detector, train_detector
from openaisle.training.frames import ShardSpec, make_shard
from openaisle.training.loop import LoopConfig
from openaisle.training.recipe import load_recipe
from openaisle.training.weights import load_detector
from tests.training.test_glance import SCENARIO, small_shop

ROOT = Path(__file__).parents[2]
SPEC = ShardSpec("tiny", "solo", 4, every_s=2.0)


@pytest.fixture(scope="module")
def shard(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("frames") / "frames.npz"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(frames, "open_store", lambda text, seed: small_shop())
        patch.setattr(frames, "load_scenario", lambda name: SCENARIO)
        assert make_shard(SPEC, path) > 10
    return path


@pytest.fixture(autouse=True)
def tiny_shop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detections, "open_store", lambda text, seed: small_shop())


@pytest.fixture
def seen(shard: Path) -> list[Seen]:
    return read_seen(shard, SPEC)


def test_heads_are_in_their_owners_patches(seen: list[Seen]) -> None:
    hits = []
    for image in seen:
        for place, pixel in enumerate(image.head_px):
            cell = np.floor(pixel[::-1] / PATCH_PX).astype(np.int64)
            mine = image.tokens["cells"][image.owner == place].astype(np.int64)
            if (pixel >= 0).all():
                hits.append(bool((mine == cell).all(1).any()))
    assert len(hits) > 10
    assert np.mean(hits) > 0.8


def test_vectors_lead_from_heads_to_floor_and_hands(seen: list[Seen]) -> None:
    for image in seen:
        assert (np.linalg.norm(image.floor_m, axis=1) < 0.6).all()
        assert (np.linalg.norm(image.hands_m, axis=2) < 1.3).all()
        assert (image.hands_m[..., 2] < 0.3).all()
        assert (image.head_range_m > 0.3).all()


def test_a_mirrored_truth_mirrored_again_is_the_truth(seen: list[Seen]) -> None:
    image = next(image for image in seen if len(image.head_px) and (image.head_px >= 0).all())
    box = crop(image.tokens["cells"].astype(np.int64), np.random.default_rng(0))
    told = [truth(image, box, (0, 0), mirror=mirror) for mirror in (False, True)]
    plain, turned = ({name: values.astype(np.float64) for name, values in one.items()} for one in told)
    side = CROP * PATCH_PX - 1
    np.testing.assert_allclose(turned["head_px"][:, 0], side - plain["head_px"][:, 0], atol=1e-3)
    np.testing.assert_allclose(turned["head_px"][:, 1], plain["head_px"][:, 1], atol=1e-3)
    np.testing.assert_array_equal(turned["head_inside"], plain["head_inside"])
    np.testing.assert_array_equal(turned["hand_inside"], plain["hand_inside"])
    np.testing.assert_array_equal(turned["owner"][0, :, ::-1], plain["owner"][0])
    np.testing.assert_allclose(turned["hands"] * detections.MIRRORED, plain["hands"], atol=1e-6)


def test_a_crop_holds_all_that_fits() -> None:
    rng = np.random.default_rng(0)
    few = np.array([[3, 4], [9, 12]])
    many = np.stack(np.meshgrid(np.arange(15), np.arange(20), indexing="ij"), -1).reshape(-1, 2)
    for _ in range(50):
        top, left, rows, cols = crop(few, rng)
        assert (few >= [top, left]).all()
        assert (few < [top + rows, left + cols]).all()
        top, left, rows, cols = crop(many, rng)
        assert top >= -1
        assert top + rows <= 16
        assert left >= -1
        assert left + cols <= 21


def test_a_batch_is_whole_and_deterministic(seen: list[Seen]) -> None:
    batches = [sample([seen], np.random.default_rng(3), augment=True) for _ in range(2)]
    picture, places, targets = batches[0]
    torch.testing.assert_close(picture, batches[1][0])
    assert len(picture) == len(places) == len(targets.owner) == len(targets.changed)
    assert (targets.picture[1:] >= targets.picture[:-1]).all()
    assert targets.changed.sum() == places[:, -1].sum()
    assert int(targets.picture.max()) < len(picture)


def test_heat_is_one_at_places_and_hidden_hands_weigh_little(seen: list[Seen]) -> None:
    _, _, t = sample([seen], np.random.default_rng(0), augment=False)
    heat, weight = task.heat_targets(t, 48, 48)
    for row in torch.nonzero(t.head_inside)[:, 0].tolist():
        u, v = (t.head_px[row] / 4).long().tolist()
        assert heat[t.picture[row], 0, v, u] == 1.0
    assert (weight[:, 0] == 1).all()
    hidden = t.hand_inside & ~t.hand_seen
    assert bool((weight[:, 1] < 1).any()) == bool(hidden.any())
    sure = task.heat_loss(torch.where(heat > 0.999, 8.0, -8.0), heat, weight)
    assert sure < 0.05 * task.heat_loss(torch.zeros_like(heat), heat, weight)


def test_a_gaussian_is_likeliest_at_its_true_spread() -> None:
    torch.manual_seed(0)
    error = 0.2 * torch.randn(4000, 3)

    def loss_of(sd: float) -> float:
        log_sd = torch.full((4000,), float(np.log(sd)))
        return float(task.gaussian(torch.zeros(4000, 3), log_sd, error)) / sd  # without the weight

    assert min((0.05, 0.1, 0.2, 0.4, 0.8), key=loss_of) == 0.2


def test_the_recipe_ends_with_the_detector_and_its_weights_are_exported(
    shard: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = load_recipe(ROOT / "recipes" / "small_cpu.py")
    recipe = replace(whole, data=replace(whole.data, detections=1), detector=DetectorStage(LoopConfig(1, warm_up=1)))
    asked: list[ShardSpec] = []

    def prepared(kind: str, specs: Sequence[ShardSpec], folder: Path, threads: int) -> None:
        assert kind == "frames"
        asked.extend(specs)
        folder.mkdir(parents=True)
        for spec in (specs[0], specs[-1]):  # other shops had nobody to see
            shutil.copy(shard, folder / f"frames-{spec.seed:06d}.npz")

    monkeypatch.setattr(train, "prepare", prepared)
    network = train.train_peer(recipe, tmp_path / "run")
    assert [spec.seed < 800_000 for spec in asked] == [True, *[False] * 10]
    weights, out = tmp_path / "run" / "detector.safetensors", tmp_path / "exported"
    torch.testing.assert_close(load_detector(weights).state_dict(), network.state_dict())
    result = CliRunner().invoke(app, ["export", str(weights), "--out", str(out)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    read_detector(out)
    told = json.loads((out / "detector.json").read_text())
    assert told["sha256"]["detector.onnx"] == hashlib.sha256((out / "detector.onnx").read_bytes()).hexdigest()


def test_it_learns_and_goes_on_where_it_was(shard: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    shards = [(shard, SPEC)]
    network = DetectorNetwork()
    train_detector(network, DetectorStage(LoopConfig(4, warm_up=1, log_every=1)), shards, shards, tmp_path)
    train_detector(
        DetectorNetwork(),
        DetectorStage(LoopConfig(6, warm_up=1, log_every=1, evaluate_every=6)),
        shards,
        shards,
        tmp_path,
    )
    log = (tmp_path / "detector.jsonl").read_text().splitlines()
    assert [f'"step": {n}' in line for n, line in zip((1, 2, 3, 4, 5, 6, 6), log, strict=True)] == [True] * 7
    with torch.no_grad():
        told = evaluate_detector(network.eval(), [read_seen(shard, SPEC)], batches=1)
    assert {"head_heat", "hand_heat", "range_percent", "patch_right"} <= told.keys()
    assert all(np.isfinite(value) for value in told.values())
