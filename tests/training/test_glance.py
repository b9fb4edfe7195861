"""Windows for the glance: a small simulation's truth agrees with its pictures; batches, mirrors and resumed runs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from openaisle.model.glance import GlanceNetwork
from openaisle.sim.engine import Simulation
from openaisle.sim.render import Renderer
from openaisle.sim.scenario import load_scenario
from openaisle.sim.world import Items, Snapshot
from openaisle.store.schema import CameraSpec
from openaisle.store.store import Store
from openaisle.tokens.glance import WINDOW_FEATURES, aim
from openaisle.training import glance, glances
from openaisle.training.dense_data import Arrays
from openaisle.training.frames import ShardSpec, hand_order
from openaisle.training.glance import (
    ITEM_SHARE,
    MIRRORED_FEATURES,
    ROTATE_STEPS,
    STORES,
    GlanceStage,
    WindowBatch,
    WindowPool,
    load_windows,
    sample_windows,
    train_glance,
)
from openaisle.training.glances import believed_hands, exchanged, make_glances, window_targets
from openaisle.training.loop import LoopConfig
from tests.model.tiny import TINY
from tests.sim.tiny import tiny_store
from tests.tokens.test_glance import MIRRORED
from tests.training.scenes import made_up_windows

Windows = dict[str, NDArray[Any]]
SEED = 4
SCENARIO = load_scenario("solo").model_copy(update={"duration_s": 32.0, "picks": (4, 4), "inspect": 1.0})
SPOTS = ((0.4, 0.4, 2.6), (4.6, 0.5, 2.5))


def small_shop() -> Store:
    """The tiny store under two cameras."""
    store = tiny_store()
    cameras = tuple(
        CameraSpec(
            id=f"c{n}", width_px=320, height_px=240, fx_px=230, fy_px=230, cx_px=159.5, cy_px=119.5, position_m=at,
            look_at_m=(2.0, 2.6, 0.9),
        )
        for n, at in enumerate(SPOTS)
    )  # fmt: skip
    return replace(store, spec=store.spec.model_copy(update={"cameras": cameras}))


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Windows:
    """A shard of a shop with one shopper."""
    path = tmp_path_factory.mktemp("glances") / "windows.npz"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(glances, "open_store", lambda text, seed: small_shop())
        patch.setattr(glances, "load_scenario", lambda name: SCENARIO)
        patch.setattr(glances, "BUSY_S", 0.7)
        count = make_glances(ShardSpec("tiny", "solo", SEED), path)
    shard: Windows = {**load_windows(path)}
    assert count == len(shard["seen"]) > 40
    assert not list(path.parent.glob("*.tmp*"))
    return shard


def holding() -> tuple[Simulation, Snapshot]:
    """A simulation at the first instant at which somebody holds something."""
    simulation = Simulation(small_shop(), SCENARIO, SEED)
    for snapshot in simulation.steps():
        if any(hand for person in snapshot.people for hand in person.held):
            return simulation, snapshot
    raise AssertionError("nobody takes anything")


def middles(mask: NDArray[np.generic]) -> NDArray[np.float64]:
    """Where masks [W, 16, 16] lie, in half windows right and down of the middle."""
    weight = mask.astype(np.float64) + 1e-9
    at = (np.arange(16) + 0.5) / 8 - 1
    return np.asarray(np.stack([weight.sum(1) @ at, weight.sum(2) @ at], axis=1) / weight.sum((1, 2))[:, None])


def test_a_shard_is_of_one_length_and_its_flags_agree(simulated: Windows) -> None:
    w = len(simulated["seen"])
    assert all(len(values) == w for name, values in simulated.items() if name != "pictures")
    assert simulated["now"].shape == simulated["before"].shape == (w, 32, 32, 3)
    assert simulated["features"].shape == (w, WINDOW_FEATURES)
    assert simulated["now"].dtype == simulated["mask"].dtype == np.uint8
    seen, item_seen, holds = (simulated[name] for name in ("seen", "item_seen", "holds"))
    assert 0.2 < seen.mean() < 1.0
    assert item_seen.any()
    assert not (item_seen & ~holds).any()
    assert np.array_equal(simulated["product"] >= 0, item_seen)
    assert int(simulated["product"].max()) < len(simulated["pictures"])
    assert len(np.unique(simulated["product"])) > 3  # exchanged: more than the shopper took


def test_masks_agree_with_flags(simulated: Windows) -> None:
    shown = np.asarray((simulated["mask"] > 0).any((1, 2)))
    for plane, name in enumerate(("seen", "item_seen")):
        assert (shown[:, plane] == simulated[name]).mean() > 0.93, name
        cells = (simulated["mask"][..., plane] / 255.0).sum((1, 2))
        assert np.median(cells[simulated[name]]) > 1.0
        assert cells[~simulated[name]].max(initial=0.0) < 1.0


def test_offsets_agree_with_masks(simulated: Windows) -> None:
    whole = simulated["seen"] & ((simulated["mask"][..., 0] / 255.0).sum((1, 2)) > 1.0)
    gap = np.linalg.norm(middles(simulated["mask"][whole][..., 0]) - simulated["offset"][whole], axis=1)
    assert np.median(gap) < 0.08
    assert np.median(np.linalg.norm(simulated["offset"][whole], axis=1)) > 0.1  # windows are aimed roughly


def test_what_masks_show_differs_from_the_background(simulated: Windows) -> None:
    away = np.abs(simulated["now"].astype(np.float64) - simulated["before"]).mean(-1)
    cells = away.reshape(-1, 16, 2, 16, 2).mean((2, 4))
    shown = simulated["mask"].max(-1) > 200
    assert cells[shown].mean() > 20
    assert cells[shown].mean() > 1.5 * cells[~shown].mean()


def test_offsets_are_projections_of_the_hand_that_was_meant() -> None:
    simulation, snapshot = holding()
    store, rng = small_shop(), np.random.default_rng(2)
    renderer = Renderer(store, simulation.items.product, seed=SEED)
    windows = 0
    for index, camera in enumerate(store.cameras):
        believed, whose = believed_hands(snapshot.people, rng)
        hand, body, sd, far = believed
        a = aim(camera, hand, body, sd, far)
        seen = (camera, a, [whose[r] for r in a.row])
        targets = window_targets(snapshot, seen, renderer.render(index, snapshot), rng)
        for i, r in enumerate(a.row):
            person = snapshot.people[r // 2]
            side = hand_order(person)[r % 2]
            assert a.features[i, -1] == (1.0 if r % 2 == 0 else 0.0)  # the far hand first
            at = a.centre_px[i] + targets["offset"][i] * a.side_px[i] / 2
            assert at == pytest.approx(camera.project(person.hands_m[side])[0], abs=0.02)
            assert targets["holds"][i] == bool(person.held[side])
            windows += 1
    assert windows >= 2


def lying(items: Items) -> int:
    return int(((items.lane >= 0) & items.visible).sum())


def test_exchanged_hands_hold_as_much_of_other_products_in_the_same_places() -> None:
    _, snapshot = holding()
    kept = snapshot.items.lane.copy(), snapshot.items.visible.copy(), snapshot.items.world_from_item.copy()
    shown: set[int] = set()
    for seed in range(24):
        changed = exchanged(snapshot, np.random.default_rng(seed))
        assert np.array_equal(changed.items.product, snapshot.items.product)
        moved = 0
        for before, after in zip(snapshot.people, changed.people, strict=True):
            assert [len(hand) for hand in after.held] == [len(hand) for hand in before.held]
            for old, new in zip(before.held, after.held, strict=True):
                for gone, item in zip(old, new, strict=True):
                    assert gone != item
                    assert changed.items.visible[item]
                    assert not changed.items.visible[gone]
                    assert changed.items.lane[item] == -1 < snapshot.items.lane[item]
                    assert np.array_equal(changed.items.world_from_item[item], snapshot.items.world_from_item[gone])
                    moved += 1
                shown |= {int(changed.items.product[item]) for item in new}
                assert len({int(changed.items.product[item]) for item in new}) <= 1
        assert moved
        assert lying(changed.items) == lying(snapshot.items) - moved
    assert len(shown) > 4
    for values, now in zip(
        kept, (snapshot.items.lane, snapshot.items.visible, snapshot.items.world_from_item), strict=True
    ):
        assert np.array_equal(values, now)


def test_empty_hands_stay_empty() -> None:
    _, snapshot = holding()
    nothing = replace(snapshot, people=tuple(replace(person, held=((), ())) for person in snapshot.people))
    changed = exchanged(nothing, np.random.default_rng(0))
    assert all(person.held == ((), ()) for person in changed.people)
    assert np.array_equal(changed.items.lane, snapshot.items.lane)
    assert np.array_equal(changed.items.visible, snapshot.items.visible)


def batch_of(seed: int, augment: bool) -> WindowBatch:
    return sample_windows(
        [made_up_windows(seed=1), made_up_windows(seed=2)], 48, np.random.default_rng(seed), augment=augment
    )


def tensors(batch: WindowBatch) -> dict[str, Tensor]:
    return {**{k: v for k, v in vars(batch).items() if k != "targets"}, **vars(batch.targets)}


@pytest.mark.parametrize("augment", [False, True])
def test_batches_depend_on_their_generator_alone(augment: bool) -> None:
    one, again, other = tensors(batch_of(3, augment)), tensors(batch_of(3, augment)), tensors(batch_of(4, augment))
    assert all(torch.equal(values, again[name]) for name, values in one.items())
    assert not torch.equal(one["now"], other["now"])


def test_a_batch_points_at_the_products_it_shows() -> None:
    batch = batch_of(5, augment=False)
    t = batch.targets
    assert float(t.item_seen.float().mean()) >= ITEM_SHARE
    assert torch.equal(t.row >= 0, t.item_seen)
    for i in torch.nonzero(t.row >= 0)[:, 0].tolist():
        colour = batch.pictures[t.row[i], 0, 16, 16]
        assert (batch.now[i] == colour).all(-1).any()
        assert t.own[i, t.row[i]]
    assert t.own.sum(1).tolist() == [6] * 48
    assert len(batch.pictures) == 6 * STORES


def test_features_are_mirrored_as_cameras_are() -> None:
    assert np.array_equal(MIRRORED_FEATURES, MIRRORED)  # shown of cameras in tests/tokens


@pytest.mark.parametrize("seed", range(4))
def test_what_is_mirrored_and_relit_still_fits_together(seed: int) -> None:
    batch = batch_of(seed, augment=True)
    t = batch.targets
    middle = middles(t.mask[t.seen][:, 0].reshape(-1, 16, 16).numpy())
    assert np.abs(middle - t.offset[t.seen].numpy()).max() < 0.1
    shown = t.mask.amax(1).reshape(-1, 16, 1, 16, 1).expand(-1, 16, 2, 16, 2).reshape(-1, 32, 32) > 0
    assert torch.equal(batch.now[~shown], batch.before[~shown])  # one light for both pictures
    plain = batch_of(seed, augment=False)
    assert not torch.equal(batch.before.float().mean(), plain.before.float().mean())


def saved(folder: Path, shards: int) -> list[Path]:
    folder.mkdir()
    paths = [folder / f"{i}.npz" for i in range(shards)]
    for i, path in enumerate(paths):
        np.savez(path, **made_up_windows(24, seed=i))  # type: ignore[arg-type]  # numpy's stub has no keyword arrays
    return paths


@pytest.mark.parametrize("resident", [2, 9])
def test_a_pool_of_windows_is_the_same_after_a_resume(tmp_path: Path, resident: int) -> None:
    """Be there more shards than fit into memory or not."""
    paths = saved(tmp_path / "shards", 5)
    straight, resumed = WindowPool(paths, 1, resident), WindowPool(paths, 1, resident)
    straight.at(0)
    ours, theirs = straight.at(ROTATE_STEPS), resumed.at(ROTATE_STEPS + 7)
    assert len(ours) == len(theirs) == min(resident, 5)
    for a, b in zip(ours, theirs, strict=True):
        assert np.array_equal(a["now"], b["now"])


def trained(
    folder: Path, shards: list[Path], monkeypatch: pytest.MonkeyPatch, deaths: tuple[int, ...] = ()
) -> dict[str, Tensor]:
    """Weights after a run that was killed when it drew those batches."""
    config = LoopConfig(steps=5, peak_rate=1e-3, warm_up=2, average=0.9, save_every_s=0.0, log_every=100)
    draw = sample_windows
    drawn = 0
    for i, death in enumerate((*deaths, -1)):
        torch.manual_seed(i)  # a resumed process starts from other weights
        network = GlanceNetwork(TINY)

        def counting(
            shards: list[Arrays], windows: int, rng: np.random.Generator, *, augment: bool, death: int = death
        ) -> WindowBatch:
            nonlocal drawn
            drawn += 1
            if drawn == death:
                raise KeyboardInterrupt
            return draw(shards, windows, rng, augment=augment)

        monkeypatch.setattr(glance, "sample_windows", counting)
        try:
            train_glance(network, GlanceStage(config, windows=24), shards, [], folder)
        except KeyboardInterrupt:
            continue
    return network.state_dict()


def test_a_killed_and_resumed_glance_ends_with_the_same_bits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(glance, "ROTATE_STEPS", 2)
    shards = saved(tmp_path / "shards", 3)
    straight = trained(tmp_path / "straight", shards, monkeypatch)
    resumed = trained(tmp_path / "resumed", shards, monkeypatch, deaths=(4,))
    for key, values in straight.items():
        assert torch.equal(values, resumed[key]), key


def test_held_out_windows_are_judged_in_the_same_way_twice() -> None:
    torch.manual_seed(0)
    network, shards = GlanceNetwork(TINY).eval(), [made_up_windows(seed=1)]
    with torch.no_grad():
        one, two = (glance.evaluate_glance(network, shards, batches=1) for _ in range(2))
    assert one == two
    assert {"place", "seen", "holds", "product_top1"} <= {name.removesuffix("_baseline") for name in one}
