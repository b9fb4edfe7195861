"""Events for training the actor look: banks and batches, mirrors that fit together, resumed runs and judgements."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

import cv2
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
    SHIFT,
    TURN_SD,
    VIEWS,
    ZOOM_SD,
    ActorBank,
    ActorBatch,
    ActorStage,
    augmented,
    evaluate_actor,
    filled,
    train_actor,
    turned,
    warped,
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


def test_pictures_are_turned_zoomed_and_moved_as_places_are() -> None:
    """A spot drawn anywhere ends up where its place does, whatever the size of the picture."""
    rng = np.random.default_rng(4)
    for size in (ACTOR_CELLS, ACTOR_PX):
        for _ in range(20):
            angle, zoom = rng.normal(0, 0.2), np.exp(rng.normal(0, 0.2))
            turn = zoom * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]], np.float32)
            by, at = rng.uniform(-0.2, 0.2, 2).astype(np.float32), rng.integers(size // 4, 3 * size // 4, 2)
            picture = np.zeros((1, size, size, 5), np.uint8)
            picture[0, at[1] - 1 : at[1] + 2, at[0] - 1 : at[0] + 2] = 200
            shown = warped(picture, turn, by).astype(np.float64)
            assert shown.shape == picture.shape
            for channel in range(5):
                light = shown[0, ..., channel]
                middle = [float((light * grid).sum() / light.sum()) for grid in np.indices((size, size))[::-1]]
                place = turned(((at + 0.5) * (2 / size) - 1).astype(np.float32)[None], turn, by)[0]
                assert middle == pytest.approx((place + 1) * size / 2 - 0.5, abs=0.3)
    still = np.eye(2, dtype=np.float32)
    values = rng.integers(0, 255, (2, 12, 12, 7)).astype(np.uint8)
    assert np.array_equal(warped(values, still, np.zeros(2, np.float32)), values)
    right = warped(values, still, np.array([2 / 12, 0], np.float32))
    assert np.array_equal(right[:, :, 1:], values[:, :, :-1])
    assert np.array_equal(right[:, :, 0], values[:, :, 0])  # edges are repeated
    nowhere = np.full((3, 2), 9.0, np.float32)
    assert np.array_equal(turned(nowhere, 2 * still, np.ones(2, np.float32)), nowhere)


def changed(seed: int, patch: pytest.MonkeyPatch) -> list[tuple[Shard, Shard]]:
    """Events, and what becomes of them; heads are believed where they are."""
    patch.setattr(actor, "HEAD_SD", 0.0)
    rng = np.random.default_rng(seed)
    return [({**event}, {**augmented(event, rng)}) for event in made_up_events(8, seed=seed)]


def brightest(picture: NDArray[np.float64], place: NDArray[Any]) -> tuple[float, float]:
    """The mean of a picture's cells about a place, and of the whole picture."""
    half = len(picture) / 2
    u, w = (int(np.clip((x + 1) * half, 1, len(picture) - 2)) for x in place)
    return float(picture[w - 1 : w + 2, u - 1 : u + 2].mean()), float(np.median(picture))


@pytest.mark.parametrize("seed", range(3))
def test_heads_stay_where_windows_show_them(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = 0
    for event, after in changed(seed, monkeypatch):
        heads, middle = after["heads"], 3 * (1 + MIDDLE_FRAME)
        grey = after["frames"][..., middle : middle + 3].astype(np.float64).mean(-1)
        for v, p in zip(*np.nonzero((np.abs(heads) < 0.9).all(-1) & event["present"]), strict=True):
            acts = bool(event["acts"][v, p])
            assert brightest(after["mask"][v, ..., 0 if acts else 2], heads[v, p])[0] > 140
            spot, around = brightest(grey[v], heads[v, p])
            assert spot > around + 20 if acts else spot < around - 20
            seen += 1
        for v in np.flatnonzero((np.abs(after["hand"]) < 0.9).all(-1)):
            assert brightest(after["mask"][v, ..., 1], after["hand"][v])[0] > 140
            assert after["hand"][v] == pytest.approx(after["places"][v, after["lane"][v], 1], abs=1e-6)
        for name in ("acts", "present", "lane"):
            assert np.array_equal(after[name], event[name])
    assert seen > 30


@pytest.mark.parametrize("seed", range(3))
def test_what_is_turned_and_relit_still_fits_together(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    mirrors, zooms, angles, steps = set(), [], [], []
    for event, after in changed(seed, monkeypatch):
        mirrored = bool((after["features"][:, 2] * event["features"][:, 2] < 0).all())
        mirrors.add(mirrored)
        told, became = (
            np.concatenate([e["heads"][:, :, None], e["places"].reshape(len(e["lane"]), -1, 1, 2)], axis=1)
            for e in (event, after)
        )
        given = np.where(told == 9.0, np.nan, told) * [-1 if mirrored else 1, 1]
        rows = np.c_[given[0].reshape(-1, 2), np.ones(given[0].size // 2)]
        there = np.isfinite(rows).all(1)
        solved, *_ = np.linalg.lstsq(rows[there], became[0].reshape(-1, 2)[there], rcond=None)
        turn, by = solved[:2].T, solved[2]
        zoom = float(np.sqrt(np.linalg.det(turn)))
        assert turn @ turn.T == pytest.approx(zoom**2 * np.eye(2), abs=1e-4)  # turned and zoomed, nothing else
        expected = given @ turn.T + by  # in all views alike
        assert np.array_equal(np.isnan(expected), became == 9.0)  # nowhere stays so
        assert np.nanmax(np.abs(expected - became)) < 1e-4
        features = event["features"] * (MIRRORED if mirrored else 1)
        features[:, 0] /= zoom  # a window that is zoomed shows fewer pixels
        features[:, 5:7] = features[:, 5:7] @ turn.T
        assert after["features"] == pytest.approx(features, abs=1e-4)
        shown = np.abs(np.diff(after["frames"].reshape(*after["frames"].shape[:3], FRAMES, 3).astype(int), axis=3))
        clear = after["mask"].max(-1).repeat(2, axis=1).repeat(2, axis=2) == 0
        inner = cv2.erode(clear.transpose(1, 2, 0).astype(np.uint8), np.ones((7, 7))).reshape(*clear.shape[1:], -1)
        assert shown[inner.transpose(2, 0, 1) > 0].max(initial=0) <= 1  # one light for all frames
        assert not np.isclose(after["frames"].mean(), event["frames"].mean(), atol=0.01)
        zooms.append(np.log(zoom))
        angles.append(np.arctan2(turn[1, 0], turn[0, 0]))
        steps.append(by)
    assert len(mirrors) == 2
    assert 0.3 * ZOOM_SD < np.std(zooms) < 2 * ZOOM_SD
    assert 0.3 * TURN_SD < np.std(angles) < 2 * TURN_SD
    assert 0.5 * SHIFT < np.abs(steps).max() <= SHIFT + 1e-4


def test_an_event_of_many_views_is_shown_in_some_of_them() -> None:
    (event,) = made_up_events(1)
    many = {name: np.repeat(values[:1], 6, axis=0) for name, values in event.items()}
    many["lane"] = np.arange(6, dtype=np.int32)  # tells the views apart
    rng, chosen = np.random.default_rng(0), set()
    for _ in range(60):
        after = augmented(many, rng)
        assert all(len(values) == VIEWS for values in after.values())
        assert (np.diff(after["lane"]) > 0).all()
        chosen |= set(after["lane"].tolist())
    assert chosen == set(range(6))


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
    gaps = []
    for seed, event in enumerate(events):
        believed: Shard = {**augmented({**event}, np.random.default_rng(seed))}
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(actor, "HEAD_SD", 0.0)
            true: Shard = {**augmented({**event}, np.random.default_rng(seed))}
        gaps.append((believed["heads"] - true["heads"])[event["present"]])
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
