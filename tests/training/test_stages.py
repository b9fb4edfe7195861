"""The stages on made-up data: batches depend on the step alone, first losses are golden, one batch can be learnt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from openaisle.errors import ModelError
from openaisle.model.catalogue import PictureEncoder
from openaisle.model.network import VisionNetwork
from openaisle.model.tasks import DENSE_TASKS
from openaisle.model.tasks import receipt as task
from openaisle.model.tasks.receipt import ReceiptNetwork
from openaisle.store.geometry import Camera, look_at
from openaisle.tokens.journey import FRAMES, KINDS
from openaisle.tokens.rays import ray_table
from openaisle.training.dense_data import (
    MIRRORED_RAYS,
    MIRRORED_WORLD,
    TOKEN_ARRAYS,
    Shard,
    load_shard,
    mirrored,
    sample_batch,
)
from openaisle.training.frames import Compression
from openaisle.training.journeys import load_record, save_record
from openaisle.training.loop import Loop, LoopConfig
from openaisle.training.receipts import ReceiptStage, TickDataset, batches, embedded
from openaisle.training.recipe import load_recipe
from openaisle.training.ticks import tick_at
from openaisle.training.tracks import Noise, shown_products, true_tracks
from openaisle.training.train import train
from openaisle.training.vision import ROTATE_STEPS, ShardPool
from tests.model.tiny import TINY
from tests.training.scenes import EVENTS, made_up_record, made_up_shard

STAGE = ReceiptStage(LoopConfig(steps=60, peak_rate=3e-3, warm_up=5, log_every=1000), ticks=8)
CLEAR = Noise(
    hand_m=0.01, floor_m=0.01, lost=0, corrupt=0, jitter_s=0, missed=0, partial=0, no_scales=0, slow_scales=0,
    no_looks=0,
)  # fmt: skip
# Losses of the first steps of the tiny network. They change when the computation does: then say so in the commit.
GOLDEN_RECEIPTS = (1.6794, 1.7624, 1.3371, 0.3339)
GOLDEN_VISION = (24.5822, 20.8817, 18.1363, 17.2021)


@pytest.fixture(scope="module")
def shard(tmp_path_factory: pytest.TempPathFactory) -> Shard:
    return load_shard(made_up_shard(tmp_path_factory.mktemp("shard") / "frames.npz"), 0)


def test_batches_depend_on_the_step_alone() -> None:
    dataset, other = (TickDataset([made_up_record()], STAGE) for _ in range(2))
    stream = list(batches(dataset, 0, 0))
    for step in (7, 0, 3):
        again = next(batches(other, step, 0))
        for chunk, same in zip(stream[step], again, strict=True):
            assert all(torch.equal(values, same[name]) for name, values in chunk.items())
    assert not torch.equal(stream[0][0]["target"], stream[4][0]["target"])


def test_dense_batches_depend_on_their_generator_alone(shard: Shard) -> None:
    a, b = (sample_batch([shard], 4, np.random.default_rng((1, 5))) for _ in range(2))
    assert torch.equal(a.targets.offsets, b.targets.offsets)
    assert all(torch.equal(x.pixels, y.pixels) for x, y in zip(a.chunks, b.chunks, strict=True))
    tokens = sum(int(chunk.mask.sum()) for chunk in a.chunks)
    assert tokens == len(a.targets.person) == len(a.targets.offsets)
    assert int(a.targets.person.max()) < len(a.targets.people_floor)


@pytest.mark.parametrize("number", range(len(EVENTS)))
def test_a_ticks_targets_name_what_happened(number: int) -> None:
    record, rng = made_up_record(), np.random.default_rng(1)
    at, kind, person, lane = EVENTS[number]
    people = np.array([0, 1], dtype=np.int64)
    tick_s = at - 0.5
    tracks = true_tracks(record, round((tick_s - 1.0) * 5), people, CLEAR, rng)
    made = tick_at(record, tick_s, (people, tracks), CLEAR, rng)
    assert made is not None
    features, target = made
    assert target.rows[:, :3].tolist() == [[kind, features.lane.tolist().index(lane), person]]
    assert target.rows[0, 4] == 0  # one unit
    named = np.concatenate([features.lane_product, features.basket_product])[target.rows[0, 3]]
    assert named == lane
    others = target.product_ok[0, len(features.lane) :]
    if KINDS[kind] == "return":  # of all baskets only the one it comes from is as good as the lane
        assert features.basket_shopper[others].tolist() == [person]


@pytest.mark.parametrize("target", [(2.0, 3.0, 0.5), (0.6, 2.3, 0.0)])
def test_a_mirrored_camera_sees_the_mirrored_features(target: tuple[float, float, float]) -> None:
    position = (1.0, 2.0, 2.6)
    lens = (-0.12, 0.02, 0.0, 0.0, 0.0)
    pose = look_at(position, target)
    flip = np.diag([1.0, -1.0, 1.0, 1.0])
    other = flip @ pose @ np.diag([-1.0, 1.0, 1.0, 1.0])  # the mirrored world, and columns from right to left
    ours, theirs = (ray_table(Camera("c", 320, 240, 5.0, 200.0, 200.0, 159.5, 119.5, lens, p)) for p in (pose, other))
    assert np.abs(ours.features[:, ::-1] * MIRRORED_RAYS.astype(np.float32) - theirs.features).max() < 0.02
    assert np.abs(ours.anchor_m[:, ::-1] * MIRRORED_WORLD - theirs.anchor_m).max() < 1e-3
    turned = ours.world_from_horizontal * MIRRORED_WORLD[:, None] * MIRRORED_WORLD
    assert np.abs(turned - theirs.world_from_horizontal).max() < 1e-6


def test_mirroring_twice_changes_nothing(shard: Shard) -> None:
    tokens = slice(0, int(shard.first[1]))
    image = {name: shard.arrays[name][tokens] for name in TOKEN_ARRAYS}
    image["frame"] = np.repeat(shard.arrays["frame"][:1], tokens.stop, axis=0)
    once = mirrored(image)
    twice = mirrored(once)
    assert all(np.array_equal(twice[name], image[name]) for name in image)
    assert not np.array_equal(once["pixels"], image["pixels"])


def test_a_pool_of_shards_is_the_same_after_a_resume(tmp_path: Path) -> None:
    paths = [made_up_shard(tmp_path / f"{i}.npz", seed=i) for i in range(3)]
    ours, resumed = ShardPool(paths, 1), ShardPool(paths, 1)
    ours.at(0)
    assert [s.number for s in ours.at(ROTATE_STEPS)] == [s.number for s in resumed.at(ROTATE_STEPS + 7)]
    assert sorted(s.number for s in ours.at(0)) == [0, 1, 2]


@pytest.mark.parametrize("seed", range(12))
def test_video_arrives_nearly_as_it_was_drawn(seed: int) -> None:
    rng = np.random.default_rng(seed)
    arrive = Compression(2, np.random.default_rng(seed))
    coarse = rng.integers(0, 255, (8, 8, 3), dtype=np.uint8)
    smooth = np.asarray(cv2.resize(coarse, (64, 48), interpolation=cv2.INTER_CUBIC), dtype=np.uint8)
    for _ in range(3):
        for camera in range(2):
            seen = arrive(camera, smooth)
            assert seen.shape == smooth.shape
            assert np.abs(seen.astype(int) - smooth.astype(int)).mean() < 12


def test_records_survive_the_disk(tmp_path: Path) -> None:
    record = made_up_record()
    save_record(record, tmp_path / "r.npz")
    again = load_record(tmp_path / "r.npz")
    for name, values in vars(record).items():
        other = getattr(again, name)
        if isinstance(values, np.ndarray):
            assert np.array_equal(values, other), name
    assert again.visit_names == record.visit_names
    assert np.array_equal(again.table.rotation, record.table.rotation)
    assert again.tracked is None


def test_records_get_the_catalogue_of_their_encoder() -> None:
    torch.manual_seed(0)
    encoder, record = PictureEncoder(TINY.product_width), made_up_record()
    made = embedded(record, encoder).embeddings
    assert made is not None
    assert made.shape == (len(record.pictures), TINY.product_width)
    assert np.allclose(np.linalg.norm(made, axis=1), 1.0, atol=1e-5)
    assert embedded(record, None).embeddings is None
    kept = replace(record, embeddings=-made)
    assert embedded(kept, encoder).embeddings is kept.embeddings  # those of the eyes that followed it


def test_hands_show_what_they_hold_more_or_less() -> None:
    """Bare vectors without noise; with it, still the held product more often than any other."""
    rng = np.random.default_rng(4)
    vectors = rng.normal(size=(8, 32)).astype(np.float32)
    record = replace(made_up_record(), embeddings=vectors / np.linalg.norm(vectors, axis=1, keepdims=True))
    assert record.embeddings is not None
    held = np.full((40, FRAMES, 2), -1, np.int32)
    held[:, :, 0] = np.arange(40)[:, None] % 8
    bare = shown_products(record, held, replace(CLEAR, look_bias=0, look_noise=0, idle_looks=0), rng)
    assert bare.dtype == np.float32
    assert bare.shape == (40, FRAMES, 2, 32)
    assert not bare[:, :, 1].any()  # the other hand is empty
    length = np.linalg.norm(bare[:, :, 0], axis=-1)
    assert 0.1 < (length > 0).mean() < 0.95  # now and then
    assert length.max() <= 1.0 + 1e-6
    found = (bare[:, :, 0] @ record.embeddings.T).argmax(-1)
    assert (found == held[:, :, 0])[length > 0].all()
    noised = shown_products(record, held, Noise(), rng)
    found = (noised[:, :, 0].sum(1) @ record.embeddings.T).argmax(-1)
    assert (found == held[:, 0, 0]).mean() > 0.25  # of eight; hands show little, and training must not promise more
    assert noised[:, :, 1].any()  # an empty hand may seem to show something
    assert not shown_products(replace(record, embeddings=None), held, Noise(), rng).any()


def learn(folder: Path, what: str, shard: Shard, config: LoopConfig, same_batch: bool) -> list[float]:
    """Losses of so many steps of one half of the tiny network, in float32."""
    torch.manual_seed(0)  # each half by itself: no other part's layers decide over its first weights
    vision = VisionNetwork(TINY).eval()
    torch.manual_seed(0)
    receipt = ReceiptNetwork(TINY).eval()
    dataset = TickDataset([made_up_record()], replace(STAGE, loop=config))
    losses: list[float] = []

    def receipts_at(step: int) -> tuple[Tensor, Mapping[str, float]]:
        batch, targets = task.batch_from_arrays(next(batches(dataset, 0 if same_batch else step, 0))[0])
        return task.loss(receipt(batch, targets), targets)

    def vision_at(step: int) -> tuple[Tensor, Mapping[str, float]]:
        batch = sample_batch([shard], 4, np.random.default_rng((1, 0 if same_batch else step)))
        outputs = vision(batch)
        return torch.stack([each.loss(outputs, batch.targets) for each in DENSE_TASKS]).sum(), {}

    def loss_at(step: int) -> tuple[Tensor, Mapping[str, float]]:
        loss, parts = receipts_at(step) if what == "receipts" else vision_at(step)
        losses.append(float(loss.detach()))
        return loss, parts

    Loop(receipt if what == "receipts" else vision, config, folder, what).run(loss_at)
    return losses


@pytest.mark.parametrize(("what", "golden"), [("receipts", GOLDEN_RECEIPTS), ("vision", GOLDEN_VISION)])
def test_first_losses_are_golden(tmp_path: Path, shard: Shard, what: str, golden: tuple[float, ...]) -> None:
    config = LoopConfig(steps=4, peak_rate=1e-3, warm_up=2, log_every=1000)
    assert learn(tmp_path, what, shard, config, same_batch=False) == pytest.approx(golden, rel=2e-3)


@pytest.mark.parametrize(("what", "share"), [("receipts", 0.25), ("vision", 0.6)])
def test_one_batch_can_be_learnt(tmp_path: Path, shard: Shard, what: str, share: float) -> None:
    losses = learn(tmp_path, what, shard, STAGE.loop, same_batch=True)
    assert losses[-1] < share * losses[0]


def test_a_recipe_for_a_gpu_says_at_once_that_there_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    recipe = load_recipe(Path(__file__).parents[2] / "recipes" / "small_gpu.py")
    with pytest.raises(ModelError, match=r"heatmap\.device"):
        train(recipe, tmp_path / "out")
    assert not (tmp_path / "out").exists()
