"""Lanes before and after changes: a small shop's truth agrees with its shelves; batches, mirrors and resumed runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from openaisle.model.shelf import ShelfNetwork
from openaisle.sim.scenario import load_scenario
from openaisle.sim.stock import Stock
from openaisle.tokens.shelf import MOST_UNITS, SHELF_FEATURES
from openaisle.training import shelf, shelves
from openaisle.training.frames import ShardSpec
from openaisle.training.glance import load_windows
from openaisle.training.glances import Arrays
from openaisle.training.loop import LoopConfig
from openaisle.training.shelf import MIRRORED_FEATURES, STORES, ShelfBatch, ShelfStage, sample_shelves, train_shelf
from openaisle.training.shelves import Change, change, make_shelves
from tests.model.tiny import TINY
from tests.tokens.test_shelf import MIRRORED
from tests.training.scenes import COLOURS, made_up_shelves
from tests.training.test_glance import small_shop

Shard = dict[str, Any]
SEED, ROUNDS = 4, 5


class Told:
    """What happened to lanes, by number: the lane, and the items it holds less and more."""

    def __init__(self) -> None:
        self.lane, self.left, self.came = list[int](), list[set[int]](), list[set[int]]()
        self.product = np.zeros(0, np.int32)

    def __call__(self, stock: Stock, lane: int, spare: list[int], rng: np.random.Generator) -> Change:
        before = {lying.item for lying in stock.lanes[lane]}
        out = change(stock, lane, spare, rng)
        after = {lying.item for lying in stock.lanes[lane]}
        self.lane.append(lane)
        self.left.append(before - after)
        self.came.append(after - before)
        self.product = stock.items.product
        return out


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Shard, Told]:
    """A shard of a shop all of whose lanes are looked at in every round."""
    path, told = tmp_path_factory.mktemp("shelves") / "lanes.npz", Told()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shelves, "open_store", lambda text, seed: small_shop())
        patch.setattr(shelves, "load_scenario", lambda name: load_scenario("solo"))
        patch.setattr(shelves, "Compression", lambda cameras, rng: lambda camera, rgb: rgb.copy())
        patch.setattr(shelves, "change", told)
        patch.setattr(shelves, "ROUNDS", ROUNDS)
        patch.setattr(shelves, "CHANGES", 100)
        windows = make_shelves(ShardSpec("tiny", "solo", SEED), path)
    shard: Shard = {**load_windows(path)}
    assert not list(path.parent.glob("*.tmp*"))
    assert {len(values) for name, values in shard.items() if name not in ("pictures", "grams")} == {windows}
    assert np.unique(shard["lane"]).tolist() == list(range(len(told.lane)))
    assert shard["features"].shape == (windows, SHELF_FEATURES)
    assert len(shard["pictures"]) == len(shard["grams"]) == len(small_shop().products)
    return shard, told


def test_truth_is_what_left_lanes_and_came(made: tuple[Shard, Told]) -> None:
    shard, told = made
    seen, planned = set(), small_shop().lane_product
    for i, number in enumerate(shard["lane"].tolist()):
        left, came = (set(told.product[list(items[number])].tolist()) for items in (told.left, told.came))
        own = int(planned[told.lane[number]])
        assert shard["own"][i] == own
        assert [{p} - {-1} for p in shard["product"][i].tolist()] == [left, came]  # of one kind each
        assert shard["net"][i] == len(told.came[number]) * (came == {own}) - len(told.left[number]) * (left == {own})
        seen |= {(left == {own}, bool(left - {own}), came == {own}, bool(came - {own}))}
    assert len(seen) >= 5  # nothing, own products and strangers that left and came


def test_masks_show_what_left_before_and_what_came_after(made: tuple[Shard, Told]) -> None:
    shard, _ = made
    shown = (shard["mask"] > 0).any((1, 2))
    assert not (shown & (shard["product"] < 0)).any()
    assert shown[shard["product"] >= 0].mean() > 0.5  # others are hidden
    away = np.abs(shard["after"].astype(np.float64) - shard["before"]).mean(-1).reshape(-1, 16, 2, 16, 2).mean((2, 4))
    inside = shard["area"].reshape(-1, 16, 2, 16, 2).mean((2, 4)) > 0
    mask, still = shard["mask"].max(-1), (shard["product"] < 0).all(1)
    assert away[mask > 200].mean() > 20
    assert away[mask > 200].mean() > 4 * away[still][inside[still]].mean()
    assert (mask[inside] > 0).mean() > 20 * (mask[~inside] > 0).mean()


def test_each_picture_is_before_one_change_what_it_was_after_the_last(made: tuple[Shard, Told]) -> None:
    shard, _ = made
    rows: dict[bytes, list[int]] = {}
    for i, (area, features) in enumerate(zip(shard["area"], shard["features"], strict=True)):
        rows.setdefault(area.tobytes() + features.tobytes(), []).append(i)
    assert {len(same) for same in rows.values()} == {ROUNDS}
    for same in rows.values():
        assert np.array_equal(shard["before"][same[1:]], shard["after"][same[:-1]])
    assert not np.array_equal(shard["before"], shard["after"])


def batch_of(seed: int, augment: bool) -> ShelfBatch:
    shards = [made_up_shelves(seed=1), made_up_shelves(seed=2)]
    return sample_shelves(shards, 48, np.random.default_rng(seed), augment=augment)


def tensors(batch: ShelfBatch) -> dict[str, Tensor]:
    return {**{k: v for k, v in vars(batch).items() if k != "targets"}, **vars(batch.targets)}


@pytest.mark.parametrize("augment", [False, True])
def test_batches_depend_on_their_generator_alone(augment: bool) -> None:
    one, again, other = tensors(batch_of(3, augment)), tensors(batch_of(3, augment)), tensors(batch_of(4, augment))
    assert all(torch.equal(values, again[name]) for name, values in one.items())
    assert not torch.equal(one["before"], other["before"])


def test_a_batch_points_at_the_pictures_of_what_it_shows() -> None:
    batch = batch_of(5, augment=False)
    t = batch.targets
    assert len(batch.pictures) == len(t.grams) == len(COLOURS) * STORES
    assert t.drawn.sum(1).tolist() == [len(COLOURS)] * 48
    colour = batch.pictures[:, 0, 16, 16]
    for window, lane in enumerate(batch.lane.tolist()):
        for side, picture in enumerate((batch.before[window], batch.after[window])):
            row = int(t.row[lane, side])
            assert bool(t.mask[window, side].any()) == (row >= 0)
            if row >= 0:
                assert (picture == colour[row]).all(-1).any()
                assert t.drawn[lane, row]
    assert t.drawn.gather(1, batch.own[:, None]).all()
    own = t.row == batch.own[:, None]
    assert torch.equal(own[:, 1].long() - own[:, 0].long(), t.net - MOST_UNITS)
    assert own.any()


def test_features_are_mirrored_as_cameras_are() -> None:
    assert np.array_equal(MIRRORED_FEATURES, MIRRORED)  # shown of cameras in tests/tokens


@pytest.mark.parametrize("seed", range(4))
def test_what_is_mirrored_and_relit_still_fits_together(seed: int) -> None:
    batch, plain = batch_of(seed, augment=True), batch_of(seed, augment=False)
    assert set(batch.lane.tolist()) == set(range(48))  # no lane without a view
    assert 48 < len(batch.lane) < 96
    shown = batch.targets.mask.amax(1).reshape(-1, 16, 1, 16, 1).expand(-1, 16, 2, 16, 2).reshape(-1, 32, 32) > 0
    assert torch.equal(batch.before[~shown], batch.after[~shown])  # one light for both pictures
    assert (batch.before != batch.after).any(-1)[shown].float().mean() > 0.5  # squares do not fill their cells
    assert not (shown & (batch.area == 0)).any()
    columns = (torch.arange(32) - 15.5) / 16
    stripe = (batch.area[:, 0] > 0).float()
    middle = (stripe * columns).sum(1) / stripe.sum(1)
    assert torch.allclose(middle, batch.features[:, 2], atol=1e-4)
    assert not torch.equal(batch.before[0].float().mean(), plain.before[0].float().mean())


def trained(folder: Path, shards: list[Path], monkeypatch: pytest.MonkeyPatch, *deaths: int) -> dict[str, Tensor]:
    """Weights after runs each of which was killed when it drew that batch, and one that was not."""
    config = LoopConfig(steps=4, peak_rate=1e-3, warm_up=2, average=0.9, save_every_s=0.0, log_every=100)
    for i, death in enumerate((*deaths, -1)):
        torch.manual_seed(i)  # a resumed process starts from other weights
        network = ShelfNetwork(TINY)
        monkeypatch.setattr(shelf, "sample_shelves", dying(death))
        with suppress(KeyboardInterrupt):
            train_shelf(network, ShelfStage(config, lanes=12), shards, [], folder)
    return network.state_dict()


def dying(at: int) -> Callable[..., ShelfBatch]:
    """Draws batches until its process is killed."""
    number = count()

    def drawn(shards: Sequence[Arrays], lanes: int, rng: np.random.Generator, *, augment: bool) -> ShelfBatch:
        if next(number) == at:
            raise KeyboardInterrupt
        return sample_shelves(shards, lanes, rng, augment=augment)

    return drawn


def test_a_killed_and_resumed_shelf_look_ends_with_the_same_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shards = [tmp_path / f"{i}.npz" for i in range(3)]
    for i, path in enumerate(shards):
        np.savez(path, **made_up_shelves(8, seed=i))  # type: ignore[arg-type]  # numpy's stub has no keyword arrays
    straight = trained(tmp_path / "straight", shards, monkeypatch)
    resumed = trained(tmp_path / "resumed", shards, monkeypatch, 2)
    for key, values in straight.items():
        assert torch.equal(values, resumed[key]), key
