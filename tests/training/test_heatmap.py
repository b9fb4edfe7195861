"""Windows around bodies for training: truth agrees with pictures; batches, mirrors, resumed runs and judgements."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from openaisle.model import heatmap as model
from openaisle.model.heatmap import HeatmapNetwork
from openaisle.sim.engine import Simulation
from openaisle.sim.render import Renderer
from openaisle.tokens.body import BODY_CELLS, BODY_FEATURES, BODY_PX, aim_bodies
from openaisle.training import bodies
from openaisle.training.bodies import BETWEEN_S, REACHING_M, body_targets, doing, make_bodies, reaching_snapshots
from openaisle.training.frames import ShardSpec, hand_order
from openaisle.training.glance import load_windows
from openaisle.training.heatmap import (
    MIRRORED_FEATURES,
    SHIFT_CELLS,
    BodyBank,
    BodyBatch,
    HeatmapStage,
    evaluate_heatmap,
    filled,
    train_heatmap,
)
from openaisle.training.loop import LoopConfig
from tests.model.test_heatmap import CELL, ITEM_CELLS, made_up_bodies
from tests.tokens.test_body import MIRRORED
from tests.training.test_glance import SCENARIO, SEED, holding, small_shop

Windows = dict[str, NDArray[Any]]
NARROW = (8, 8, 8, 8)


def made(path: Path, seed: int, between_s: tuple[float, float, float]) -> int:
    """A shard of a shop with one shopper."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bodies, "open_store", lambda text, seed: small_shop())
        patch.setattr(bodies, "load_scenario", lambda name: SCENARIO)
        patch.setattr(bodies, "BETWEEN_S", between_s)
        patch.setattr(bodies, "KEPT_SHARE", (1.0, 0.9, 0.5))
        return make_bodies(ShardSpec("tiny", "solo", seed), path)


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Windows:
    path = tmp_path_factory.mktemp("bodies") / "windows.npz"
    count = made(path, SEED, (0.4, 0.8, 4.0))
    shard: Windows = {**load_windows(path)}
    assert count == len(shard["seen"]) > 30
    assert not list(path.parent.glob("*.tmp*"))
    return shard


def middles(mask: NDArray[np.generic]) -> NDArray[np.float64]:
    """Where masks [W, 40, 40] lie, in half windows right and down of the middle."""
    weight = mask.astype(np.float64) + 1e-9
    at = (np.arange(BODY_CELLS) + 0.5) * CELL - 1
    return np.asarray(np.stack([weight.sum(1) @ at, weight.sum(2) @ at], axis=1) / weight.sum((1, 2))[:, None])


def test_a_shard_is_of_one_length_and_its_types(simulated: Windows) -> None:
    w = len(simulated["seen"])
    expected = {
        "now": (np.uint8, (BODY_PX, BODY_PX, 3)), "before": (np.uint8, (BODY_PX, BODY_PX, 3)),
        "features": (np.float32, (BODY_FEATURES,)), "offset": (np.float32, (2, 2)), "seen": (np.bool_, (2,)),
        "reach": (np.float32, (2,)), "mask": (np.uint8, (BODY_CELLS, BODY_CELLS, 3)),
    }  # fmt: skip
    assert {name: (v.dtype.type, v.shape) for name, v in simulated.items()} == {
        name: (kind, (w, *shape)) for name, (kind, shape) in expected.items()
    }
    assert (simulated["reach"][:, 0] >= simulated["reach"][:, 1]).all()  # the far hand first
    assert float(simulated["reach"].min()) >= 0.0
    assert 0.3 < float(simulated["reach"].max()) < 1.2
    assert 0.2 < simulated["seen"].mean() < 1.0
    assert np.abs(simulated["offset"]).max() <= 9.0


def test_seen_hands_have_cells_and_hidden_ones_have_none(simulated: Windows) -> None:
    cells = (simulated["mask"][..., :2] / 255.0).sum((1, 2))  # [W, 2]
    well_inside = (np.abs(simulated["offset"]) < 0.9).all(-1)
    seen = simulated["seen"] & well_inside
    assert seen.sum() > 20
    assert (cells[seen] > 0).mean() > 0.97  # a hand of three pixels may fall between samples
    assert np.median(cells[seen]) > 1.0
    hidden = cells[~simulated["seen"]]
    assert len(hidden) > 5
    assert (hidden < 1.0).mean() > 0.95  # two pixels at the edge of the picture are repeated beyond it


def test_cells_lie_at_the_told_offset(simulated: Windows) -> None:
    for hand in range(2):
        shown = simulated["mask"][..., hand]
        inside = (np.abs(simulated["offset"][:, hand]) < 0.9).all(-1)
        whole = simulated["seen"][:, hand] & inside & ((shown / 255.0).sum((1, 2)) > 1.5)
        assert whole.sum() > 5
        gap = np.linalg.norm(middles(shown[whole]) - simulated["offset"][whole, hand], axis=1)
        assert np.median(gap) < 1.5 * CELL  # of cells of 5 cm
        assert np.ptp(simulated["offset"][whole, hand], axis=0).max() > 4 * CELL  # hands are not all at one place


def test_what_masks_show_differs_from_the_background(simulated: Windows) -> None:
    away = np.abs(simulated["now"].astype(np.float64) - simulated["before"]).mean(-1)
    cells = away.reshape(-1, BODY_CELLS, 2, BODY_CELLS, 2).mean((2, 4))
    shown = simulated["mask"].max(-1) > 200
    assert cells[shown].mean() > 20
    assert cells[shown].mean() > 1.5 * cells[~shown].mean()
    assert (simulated["mask"][..., 2] > 200).any()  # something held, too


def test_what_is_held_is_not_in_the_background(simulated: Windows) -> None:
    held = simulated["mask"][..., 2] > 200
    assert held.sum() > 20
    change = np.abs(simulated["now"].astype(np.float64) - simulated["before"]).max(-1)
    cells = change.reshape(len(change), held.shape[1], 2, held.shape[2], 2).mean((2, 4))
    assert np.quantile(cells[held], 0.05) > 14  # a twentieth of them would not differ if what is held hung in the air


def test_truth_is_of_the_windows_owner() -> None:
    simulation, snapshot = holding()
    store = small_shop()
    renderer = Renderer(store, simulation.items.product, seed=SEED)
    windows = 0
    for index, camera in enumerate(store.cameras):
        floor = np.array([p.floor_m[:2] for p in snapshot.people], np.float32)
        a = aim_bodies(camera, floor + np.float32(0.06))
        targets = body_targets(snapshot, (camera, a), renderer.render(index, snapshot))
        for i, row in enumerate(a.row):
            person = snapshot.people[row]
            hands = np.asarray(person.hands_m)[hand_order(person)]
            at = a.centre_px[i] + targets["offset"][i] * a.side_px[i] / 2
            assert at == pytest.approx(camera.project(hands)[0], abs=0.05)
            reach = np.linalg.norm(hands[:, :2] - person.floor_m[:2], axis=1)
            assert targets["reach"][i] == pytest.approx(reach, abs=1e-5)
            windows += 1
    assert windows >= 2


def test_a_shard_depends_on_its_seed_alone(tmp_path: Path) -> None:
    """Bit for bit."""
    for name, seed in (("one", SEED), ("again", SEED), ("other", SEED + 1)):
        assert made(tmp_path / f"{name}.npz", seed, (2.0, 4.0, 9.0)) > 0
    one, again, other = (load_windows(tmp_path / f"{name}.npz") for name in ("one", "again", "other"))
    assert one.keys() == again.keys()
    assert all(np.array_equal(values, again[name]) for name, values in one.items())
    assert not np.array_equal(one["offset"], other["offset"])


def test_hands_in_lanes_and_stretched_ones_come_first() -> None:
    _, snapshot = holding()
    person = next(p for p in snapshot.people if any(p.held))
    hands = np.array([[*person.floor_m[:2], 0.8]] * 2)
    resting = replace(person, hands_m=hands, held=((), ()), hand_lane=(-1, -1))
    holds = replace(resting, held=person.held)
    assert (doing(resting), doing(holds)) == (2, 1)
    for side in range(2):
        away = hands.copy()
        away[side, 0] += REACHING_M + 0.02
        assert doing(replace(holds, hands_m=away)) == doing(replace(resting, hands_m=away)) == 0
        away[side, 0] -= 0.04
        assert doing(replace(resting, hands_m=away)) == 2
        lane = (0, -1) if side == 0 else (-1, 0)
        assert doing(replace(resting, hand_lane=lane)) == doing(replace(holds, hand_lane=lane)) == 0


def test_instants_are_dense_while_somebody_reaches() -> None:
    simulation = Simulation(small_shop(), SCENARIO, SEED)
    at: dict[int, list[float]] = {0: [], 1: [], 2: []}
    for snapshot in reaching_snapshots(simulation, np.random.default_rng(0)):
        at[min(doing(person) for person in snapshot.people)].append(snapshot.time_ns / 1e9)
    assert len(at[0]) > 5
    for kind, mean_s in enumerate(BETWEEN_S):
        assert (np.diff(at[kind]) > 0.5 * mean_s - 1e-6).all()
    assert np.diff(at[0]).min() < 1.5 * BETWEEN_S[0] + 0.06


def test_an_instant_of_nobody_makes_no_shard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "reaching_snapshots", lambda simulation, rng: iter(()))
    assert made(tmp_path / "none.npz", SEED, BETWEEN_S) == 0
    assert not list(tmp_path.iterdir())


def bank_of(*seeds: int, count: int = 64) -> BodyBank:
    bank = BodyBank(count * len(seeds))
    assert all(bank.add(made_up_bodies(count, seed=seed)) for seed in seeds)
    return bank


def batch_of(seed: int, augment: bool) -> BodyBatch:
    return bank_of(1, 2).draw(48, seed, augment=augment)


def tensors(batch: BodyBatch) -> dict[str, Tensor]:
    return {**{k: v for k, v in vars(batch).items() if k != "targets"}, **vars(batch.targets)}


@pytest.mark.parametrize("augment", [False, True])
def test_batches_depend_on_their_generator_alone(augment: bool) -> None:
    one, again, other = tensors(batch_of(3, augment)), tensors(batch_of(3, augment)), tensors(batch_of(4, augment))
    assert all(torch.equal(values, again[name]) for name, values in one.items())
    assert not torch.equal(one["now"], other["now"])
    assert one["mask"].shape == (48, 2, BODY_CELLS**2)
    assert len(one["now"]) == len(one["features"]) == len(one["offset"]) == 48


def test_features_are_mirrored_as_cameras_are() -> None:
    assert np.array_equal(MIRRORED_FEATURES, MIRRORED)  # shown of cameras in tests/tokens


@pytest.mark.parametrize("seed", range(4))
def test_what_is_mirrored_and_relit_still_fits_together(seed: int) -> None:
    batch = batch_of(seed, augment=True)
    t = batch.targets
    shown = t.mask.view(-1, 2, BODY_CELLS, BODY_CELLS)
    seen = t.seen.float()[..., None]
    expected = ((t.offset * seen).sum(1) / seen.sum(1).clamp_min(1)).numpy()  # squares are as large: their mean
    some = t.seen.any(1).numpy()
    assert middles(shown[:, 0].numpy())[some] == pytest.approx(expected[some], abs=1e-3)
    told = torch.stack([t.offset[:, 0, 0], t.offset[:, 1, 0], t.offset[:, 1, 1]], dim=1)
    moved = ((batch.features[:, [2, 5, 6]] - told) / CELL).numpy()  # features tell of windows before they were moved
    assert moved == pytest.approx(np.round(moved), abs=1e-4)
    assert np.abs(moved).max() <= SHIFT_CELLS + 1e-4
    assert len(np.unique(np.round(moved[:, 0]))) == len(np.unique(np.round(moved[:, 2]))) == 2 * SHIFT_CELLS + 1
    fine = shown.amax(1).repeat_interleave(2, dim=1).repeat_interleave(2, dim=2) > 0
    assert torch.equal(batch.now[~fine], batch.before[~fine])  # one light for both pictures
    assert (batch.now[fine] != batch.before[fine]).any(-1).float().mean() > 0.99
    plain = batch_of(seed, augment=False)
    assert not torch.equal(batch.before.float().mean(), plain.before.float().mean())


def test_some_stores_of_a_batch_are_mirrored_and_some_are_not() -> None:
    """What is held lies right of the far hand where nothing is mirrored."""
    for augment in (False, True):
        t = batch_of(6, augment).targets
        shown = t.mask[:, 1].view(-1, BODY_CELLS, BODY_CELLS).numpy()
        held = shown.any((1, 2))
        beside = (middles(shown[held]) - t.offset[:, 0].numpy()[held]) / CELL
        assert np.abs(beside[:, 0]) == pytest.approx(np.full(len(beside), ITEM_CELLS), abs=0.02)
        assert beside[:, 1] == pytest.approx(np.zeros(len(beside)), abs=0.02)
        assert bool((beside[:, 0] < 0).any()) == augment
        assert (beside[:, 0] > 0).any()


def test_small_shops_are_drawn_as_often_as_large_ones() -> None:
    bank = BodyBank(200)
    small, large = made_up_bodies(8, seed=1), made_up_bodies(180, seed=2)
    small["reach"][:], large["reach"][:] = 0.1, 0.2
    assert bank.add(small)
    assert bank.add(large)
    drawn = bank.draw(2000, 0, augment=False).targets.reach[:, 0]
    assert 0.45 < float((drawn < 0.15).float().mean()) < 0.55
    assert len(torch.unique(bank.draw(2000, 0, augment=False).features[:, 0])) > 150  # all windows of a shop


def test_what_has_no_room_is_left_out_whole(tmp_path: Path) -> None:
    bank = bank_of(1, count=16)
    assert not bank.add(made_up_bodies(1, seed=2))
    assert (bank.count, bank.starts) == (16, [0])
    paths = saved(tmp_path / "shards", 3)
    assert filled(paths, 100).count == 36
    assert filled(paths, 30).count == 24
    assert filled([], 30).count == 0


def test_shards_may_come_while_training_goes_on() -> None:
    bank = BodyBank(32)
    assert bank.add(made_up_bodies(16, seed=1))
    before = bank.draw(64, 0, augment=False).features
    assert bank.add(made_up_bodies(16, seed=2))
    assert len(torch.unique(bank.draw(400, 0, augment=False).features[:, 0])) == 32
    assert len(torch.unique(before[:, 0])) <= 16


def saved(folder: Path, shards: int) -> list[Path]:
    folder.mkdir()
    paths = [folder / f"{i}.npz" for i in range(shards)]
    for i, path in enumerate(paths):
        np.savez(path, **made_up_bodies(12, seed=i))  # type: ignore[arg-type]  # numpy's stub has no keyword arrays
    return paths


def trained(
    folder: Path, shards: list[Path], monkeypatch: pytest.MonkeyPatch, deaths: tuple[int, ...] = ()
) -> dict[str, Tensor]:
    """Weights after a run that was killed when it drew those batches."""
    config = LoopConfig(steps=5, peak_rate=1e-3, warm_up=2, average=0.9, save_every_s=0.0, log_every=100)
    draw = BodyBank.draw
    drawn = 0
    for i, death in enumerate((*deaths, -1)):
        torch.manual_seed(i)  # a resumed process starts from other weights
        network = HeatmapNetwork()

        def counting(bank: BodyBank, windows: int, seed: int, *, augment: bool, death: int = death) -> BodyBatch:
            nonlocal drawn
            drawn += 1
            if drawn == death:
                raise KeyboardInterrupt
            return draw(bank, windows, seed, augment=augment)

        monkeypatch.setattr(BodyBank, "draw", counting)
        try:
            train_heatmap(network, HeatmapStage(config, windows=16), shards, [], folder)
        except KeyboardInterrupt:
            continue
    return network.state_dict()


def test_killed_and_resumed_heat_maps_end_with_the_same_bits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Running means of the norms included."""
    monkeypatch.setattr(model, "WIDTHS", NARROW)
    shards = saved(tmp_path / "shards", 3)
    straight = trained(tmp_path / "straight", shards, monkeypatch)
    resumed = trained(tmp_path / "resumed", shards, monkeypatch, deaths=(4,))
    assert any("running_mean" in key for key in straight)
    for key, values in straight.items():
        assert torch.equal(values, resumed[key]), key


def test_held_out_windows_are_judged_in_the_same_way_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model, "WIDTHS", NARROW)
    torch.manual_seed(0)
    network, bank = HeatmapNetwork().eval(), bank_of(1)
    with torch.no_grad():
        one, two = (evaluate_heatmap(network, bank, batches=1) for _ in range(2))
    assert one == two
    assert {"nll", "seen", "seen_baseline", "hidden", "reach"} <= set(one)
    assert all(np.isfinite(value) for value in one.values())
