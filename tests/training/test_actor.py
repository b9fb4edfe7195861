"""Events for training the actor look: banks and batches, mirrors that fit together, resumed runs and judgements."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from openaisle.model import heatmap
from openaisle.model.actor import FRAMES, ActorNetwork, ActorOutputs
from openaisle.model.tasks import actor as task
from openaisle.tokens.actor import (
    ACTOR_CELLS,
    ACTOR_PX,
    MIDDLE_FRAME,
)
from openaisle.training import actor
from openaisle.training.actor import (
    HEAD_SD,
    MIRRORED_FEATURES,
    SHIFT_PX,
    ActorBank,
    ActorBatch,
    ActorStage,
    augmented,
    evaluate_actor,
    filled,
    moved,
    train_actor,
)
from openaisle.training.glances import Arrays
from openaisle.training.loop import LoopConfig
from tests.model.events import made_up_events
from tests.tokens.test_actor import MIRRORED

Shard = dict[str, NDArray[Any]]
NARROW = (8, 8, 8, 8)


def shard_of(events: list[Arrays]) -> Arrays:
    """Events as a shard holds them."""
    out: Arrays = {name: np.concatenate([event[name] for event in events]) for name in events[0]}
    out["event"] = np.repeat(np.arange(len(events), dtype=np.int32), [len(event["features"]) for event in events])
    return out


def saved(folder: Path, shards: int, events: int = 6) -> list[Path]:
    folder.mkdir()
    paths = [folder / f"{i}.npz" for i in range(shards)]
    for i, path in enumerate(paths):
        np.savez(path, **shard_of(made_up_events(events, seed=i)))  # type: ignore[arg-type]  # numpy's stub has no keyword arrays
    return paths


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> ActorBank:
    return filled(saved(tmp_path_factory.mktemp("bank") / "shards", 2), 100)


def tensors(batch: ActorBatch) -> dict[str, Tensor]:
    return {**{k: v for k, v in vars(batch).items() if k != "targets"}, **vars(batch.targets)}


@pytest.mark.parametrize("augment", [False, True])
def test_batches_depend_on_their_generator_alone(bank: ActorBank, augment: bool) -> None:
    one, again, other = (tensors(bank.draw(8, np.random.default_rng(s), augment=augment)) for s in (3, 3, 4))
    assert all(torch.equal(values, again[name]) for name, values in one.items())
    assert one["frames"].shape != other["frames"].shape or not torch.equal(one["frames"], other["frames"])
    w = len(one["frames"])
    assert {len(values) for values in one.values()} == {w}
    assert one["mask"].shape == (w, 3, ACTOR_CELLS**2)
    assert sorted(set(one["event"].tolist())) == list(range(8))
    assert (one["event"].diff() >= 0).all()
    assert float(one["mask"].max()) == 1.0


def test_a_batch_holds_whole_events_as_they_were_saved(bank: ActorBank) -> None:
    batch = bank.draw(12, np.random.default_rng(0), augment=False)
    known = [event for shop in bank.events for event in shop]
    for number in range(12):
        mine = batch.targets.event == number
        frames = batch.frames[mine].numpy()
        (same,) = [e for e in known if e["frames"].shape == frames.shape and np.array_equal(e["frames"], frames)]
        assert np.array_equal(batch.features[mine].numpy(), same["features"])
        assert np.array_equal(batch.targets.heads[mine].numpy(), same["heads"])
        for name in ("acts", "present", "hand", "places", "lane"):
            assert np.array_equal(getattr(batch.targets, name)[mine].numpy(), same[name]), name
        assert batch.targets.mask[mine][:, 0].reshape(-1, ACTOR_CELLS, ACTOR_CELLS).numpy() == pytest.approx(
            same["mask"][..., 0].astype(np.float32) / 255
        )


def test_a_bank_keeps_what_was_saved_and_leaves_out_whole_shards(tmp_path: Path) -> None:
    paths = saved(tmp_path / "shards", 3)
    whole = filled(paths, 100)
    assert (whole.count, [len(shop) for shop in whole.events]) == (18, [6, 6, 6])
    for one, other in zip(whole.events[1], made_up_events(6, seed=1), strict=True):
        assert all(np.array_equal(values, one[name]) for name, values in other.items())
    assert filled(paths, 17).count == 12
    assert filled(paths, 12).count == 12
    assert filled([], 12).count == 0
    full = filled(paths, 13)
    assert not full.add(paths[2])
    assert full.count == 12


def test_small_shops_are_drawn_as_often_as_large_ones(tmp_path: Path) -> None:
    small, large = saved(tmp_path / "small", 1, events=1), saved(tmp_path / "large", 1, events=9)
    both = filled([*small, *large], 100)
    both.events[0][0]["features"][:] = 7.0
    drawn = both.draw(300, np.random.default_rng(0), augment=False)
    first = torch.searchsorted(drawn.targets.event, torch.arange(300))
    assert 0.4 < float((drawn.features[first, 0] == 7.0).float().mean()) < 0.6
    assert len(set(drawn.features[first, 0].tolist())) == 10


def test_features_are_mirrored_as_cameras_are() -> None:
    assert np.array_equal(MIRRORED_FEATURES, MIRRORED)  # shown of cameras in tests/tokens


def test_what_is_moved_goes_right_and_down_and_its_edges_are_repeated() -> None:
    values = np.arange(2 * 3 * 4).reshape(2, 3, 4)
    assert moved(values, (1, 2), (1, -2))[0].tolist() == [[2, 3, 3, 3], [2, 3, 3, 3], [6, 7, 7, 7]]
    assert np.array_equal(moved(values, (1, 2), (0, 0)), values)


def changed(seed: int, patch: pytest.MonkeyPatch) -> list[tuple[Shard, Shard]]:
    """Events, and what becomes of them; heads are believed where they are."""
    patch.setattr(actor, "HEAD_SD", 0.0)
    rng = np.random.default_rng(seed)
    return [({**event}, {**augmented(event, rng)}) for event in made_up_events(8, seed=seed)]


@pytest.mark.parametrize("seed", range(3))
def test_heads_stay_where_windows_show_them(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = 0
    for event, after in changed(seed, monkeypatch):
        heads, middle = after["heads"], 3 * (1 + MIDDLE_FRAME)
        grey = after["frames"][..., middle : middle + 3].astype(np.float64).mean(-1)
        for v, p in zip(*np.nonzero((np.abs(heads) < 0.95).all(-1) & event["present"]), strict=True):
            u, w = (int(np.floor((x + 1) * ACTOR_CELLS / 2)) for x in heads[v, p])
            assert after["mask"][v, w, u, 0 if event["acts"][v, p] else 2] == 255
            spot, around = grey[v, 2 * w : 2 * w + 2, 2 * u : 2 * u + 2].mean(), np.median(grey[v])
            assert spot > around + 20 if event["acts"][v, p] else spot < around - 20
            seen += 1
        for v in np.flatnonzero((np.abs(after["hand"]) < 0.95).all(-1)):
            u, w = (int(np.floor((x + 1) * ACTOR_CELLS / 2)) for x in after["hand"][v])
            red, green, blue = after["frames"][v, 2 * w, 2 * u, middle : middle + 3].tolist()
            assert after["mask"][v, w, u, 1] == 255
            assert green > 2 * max(red, blue)
            assert after["hand"][v] == pytest.approx(after["places"][v, after["lane"][v], 1])
        for name in ("acts", "present", "lane"):
            assert np.array_equal(after[name], event[name])
    assert seen > 30


@pytest.mark.parametrize("seed", range(3))
def test_what_is_mirrored_and_relit_still_fits_together(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    turned, steps = [], set()
    for event, after in changed(seed, monkeypatch):
        signs = np.sign(after["features"] * event["features"])
        mirrored = bool((signs[:, 2] < 0).all())
        assert np.array_equal(after["features"], event["features"] * (MIRRORED if mirrored else 1))
        turned.append(mirrored)
        first, believed = event["heads"][:, :2, 0], after["heads"][:, :2, 0]
        step = (believed - first * (-1 if mirrored else 1)) * ACTOR_PX / 2
        assert step == pytest.approx(np.full(step.shape, step[0, 0]), abs=1e-3)  # all views alike
        assert float(step[0, 0]) == pytest.approx(2 * round(float(step[0, 0]) / 2), abs=1e-3)  # whole cells
        steps.add(round(float(step[0, 0])))
        shown = after["mask"].max(-1).repeat(2, axis=1).repeat(2, axis=2) > 0
        frames = after["frames"].reshape(*shown.shape, FRAMES, 3)
        assert (frames[~shown] == frames[~shown][:, :1]).all()  # one light for all frames
        assert (after["heads"][~event["present"]] == 9.0).all()
        nowhere = event["places"] == 9.0
        assert np.array_equal(after["places"] == 9.0, nowhere)  # and stays so
        turn = np.array([-1 if mirrored else 1, 1])
        by = after["heads"][0, 0] - event["heads"][0, 0] * turn
        assert np.abs(after["places"] - event["places"] * turn - by)[~nowhere].max() < 1e-5  # with the windows
        assert not np.isclose(after["frames"].mean(), event["frames"].mean(), atol=0.01)
    assert len(set(turned)) == 2
    assert max(map(abs, steps)) <= SHIFT_PX
    assert len(steps) > 2


def test_the_area_moves_with_what_it_marks() -> None:
    rng = np.random.default_rng(5)
    for event in made_up_events(8):
        after = augmented({**event, "area": event["mask"][..., 0]}, rng)
        assert np.array_equal(after["area"], after["mask"][..., 0])
        assert after["area"].shape == event["area"].shape
        assert after["frames"].dtype == after["area"].dtype == after["mask"].dtype == np.uint8
        assert after["heads"].dtype == after["features"].dtype == np.float32


def test_heads_are_believed_a_little_elsewhere_and_events_are_not_changed() -> None:
    events: list[Shard] = [{**event} for event in made_up_events(24, seed=2)]
    kept = [{name: values.copy() for name, values in event.items()} for event in events]
    rng = np.random.default_rng(1)
    gaps = []
    for event in events:
        after: Shard = {**augmented({**event}, rng)}
        mirrored = after["features"][0, 2] * event["features"][0, 2] < 0
        away = after["heads"] - event["heads"] * ([-1, 1] if mirrored else [1, 1])
        gaps.append((away - np.median(away, axis=(0, 1)))[event["present"]])
    assert np.concatenate(gaps).std() == pytest.approx(HEAD_SD, rel=0.25)
    for event, before in zip(events, kept, strict=True):
        assert all(np.array_equal(values, event[name]) for name, values in before.items())


def trained(folder: Path, shards: list[Path], monkeypatch: pytest.MonkeyPatch, *deaths: int) -> dict[str, Tensor]:
    """Weights after runs each of which was killed when it drew that batch, and one that was not."""
    config = LoopConfig(steps=4, peak_rate=1e-3, warm_up=2, average=0.9, save_every_s=0.0, log_every=100)
    draw = ActorBank.draw
    for i, death in enumerate((*deaths, -1)):
        torch.manual_seed(i)  # a resumed process starts from other weights
        network = ActorNetwork()
        with monkeypatch.context() as patch, suppress(KeyboardInterrupt):
            patch.setattr(ActorBank, "draw", dying(death, draw))
            train_actor(network, ActorStage(config, events=4), shards, [], folder)
    return network.state_dict()


def dying(at: int, draw: Callable[..., ActorBatch]) -> Callable[..., ActorBatch]:
    """Draws batches until its process is killed."""
    number = count()

    def drawn(bank: ActorBank, events: int, rng: np.random.Generator, *, augment: bool) -> ActorBatch:
        assert augment
        if next(number) == at:
            raise KeyboardInterrupt
        return draw(bank, events, rng, augment=augment)

    return drawn


def test_a_killed_and_resumed_actor_look_ends_with_the_same_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Running means of the norms and the trust in views included."""
    monkeypatch.setattr(heatmap, "WIDTHS", NARROW)
    shards = saved(tmp_path / "shards", 2)
    straight = trained(tmp_path / "straight", shards, monkeypatch)
    resumed = trained(tmp_path / "resumed", shards, monkeypatch, 2)
    assert "trust" in straight
    assert any("running_mean" in key for key in straight)
    for key, values in straight.items():
        assert torch.equal(values, resumed[key]), key


def test_held_out_events_are_all_judged_and_in_the_same_way_twice(
    bank: ActorBank, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heatmap, "WIDTHS", NARROW)
    torch.manual_seed(0)
    network = ActorNetwork().eval()
    judged: list[int] = []
    metric = task.metric

    def counted(outputs: ActorOutputs, targets: task.ActorTargets, trust: Tensor) -> dict[str, float]:
        judged.append(int(targets.event[-1]) + 1)
        return metric(outputs, targets, trust)

    monkeypatch.setattr(task, "metric", counted)
    with torch.no_grad():
        one, two = (evaluate_actor(network, bank, events=5) for _ in range(2))
    assert one == two
    assert judged == [12, 12]
    assert set(one) == {"right", "right_baseline", "nats", "nobody", "lane", "lane_baseline", "lane_nats"}
    assert all(np.isfinite(value) for value in one.values())
