"""Stage 1e: the actor look on events with company."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from openaisle.model.actor import ActorNetwork, ActorOutputs
from openaisle.model.tasks import actor as task
from openaisle.training.glances import Arrays
from openaisle.training.loop import Loop, LoopConfig

# tokens/actor.py, actor_views: the picture's middle and the way out of the shelf lie on the other side
MIRRORED_FEATURES = np.array([1, 1, -1, 1, 1, -1, 1, 1, 1], dtype=np.float32)
MIRRORED_PLACE = np.array([-1, 1], dtype=np.float32)
HEAD_SD = 0.06  # half windows: heads are believed to about seven centimetres
SHIFT_PX = 6  # windows are moved by up to so much, whole cells of two pixels


Float32 = NDArray[np.float32]


@dataclass(frozen=True)
class ActorStage:
    """Recipe of stage 1e."""

    loop: LoopConfig
    events: int = 32  # per batch, each with its four views
    seed: int = 7
    capacity: int = 14_000  # events held in memory, 0.9 MB each


@dataclass(frozen=True)
class ActorBatch:
    """Windows and the truth."""

    frames: Tensor
    area: Tensor
    features: Tensor
    targets: task.ActorTargets


class ActorBank:
    """The events of many shards in memory; shards may come while training goes on."""

    def __init__(self, capacity: int) -> None:
        self.capacity, self.count = capacity, 0
        self.events: list[list[Arrays]] = []  # by shard

    def add(self, path: Path) -> bool:
        """One shard more; False when there is no room for it."""
        with np.load(path) as file:
            shard: Arrays = {name: file[name] for name in file.files}
        rows = np.flatnonzero(np.diff(shard["event"].astype(np.int64), prepend=-1, append=-1))
        if self.count + len(rows) - 1 > self.capacity:
            return False
        spans = [slice(int(a), int(b)) for a, b in itertools.pairwise(rows)]
        self.events.append([{name: values[span] for name, values in shard.items()} for span in spans])
        self.count += len(spans)
        return True

    def draw(self, events: int, rng: np.random.Generator, *, augment: bool) -> ActorBatch:
        """A batch: shops at random, then an event of each."""
        chosen = []
        for shop in rng.integers(len(self.events), size=events).tolist():
            event = self.events[shop][int(rng.integers(len(self.events[shop])))]
            chosen.append(augmented(event, rng) if augment else event)
        return batch_of(chosen)


def batch_of(events: Sequence[Arrays]) -> ActorBatch:
    """Events as one batch of all their windows."""
    joined = {name: np.concatenate([event[name] for event in events]) for name in events[0] if name != "event"}
    number = np.repeat(np.arange(len(events)), [len(event["features"]) for event in events])
    mask = torch.from_numpy(joined["mask"]).float().flatten(1, 2).transpose(1, 2) / 255.0
    targets = task.ActorTargets(
        torch.from_numpy(number), torch.from_numpy(joined["heads"]), torch.from_numpy(joined["present"]),
        torch.from_numpy(joined["acts"]), torch.from_numpy(joined["hand"]), torch.from_numpy(joined["places"]),
        torch.from_numpy(joined["lane"]).long(), mask,
    )  # fmt: skip
    frames, area, features = (torch.from_numpy(joined[name]) for name in ("frames", "area", "features"))
    return ActorBatch(frames, area, features, targets)


def augmented(event: Arrays, rng: np.random.Generator) -> Arrays:
    """An event mirrored, in another light, its windows moved, heads believed a little elsewhere."""
    out = dict(event)
    points = {name: np.asarray(event[name], dtype=np.float32) for name in ("heads", "hand", "places")}
    points["heads"] = points["heads"] + rng.normal(0, HEAD_SD, points["heads"].shape).astype(np.float32)
    if rng.random() < 0.5:
        for name in ("frames", "area", "mask"):
            out[name] = event[name][:, :, ::-1]
        out["features"] = np.multiply(event["features"], MIRRORED_FEATURES)
        points = {name: turned(values, MIRRORED_PLACE, np.float32(0)) for name, values in points.items()}
    gain = np.exp(rng.normal(0.0, 0.12)) * np.exp(rng.normal(0.0, 0.04, 3))
    table = np.clip(np.arange(256)[None] * gain[:, None] + rng.normal(0.0, 4.0), 0, 255).astype(np.uint8)
    frames = out["frames"]
    out["frames"] = np.stack([table[c % 3][frames[..., c]] for c in range(frames.shape[-1])], axis=-1)
    down, right = (2 * int(v) for v in rng.integers(-SHIFT_PX // 2, SHIFT_PX // 2 + 1, 2))
    out["frames"] = moved(out["frames"], (1, 2), (down, right))
    for name in ("area", "mask"):
        out[name] = moved(out[name], (1, 2), (down // 2, right // 2))
    by = np.array([right, down], dtype=np.float32) * (2 / event["frames"].shape[2])
    return {**out, **{name: turned(values, np.float32(1), by) for name, values in points.items()}}


def turned(points: Float32, sign: Float32 | np.float32, by: Float32 | np.float32) -> Float32:
    """Places [..., 2] elsewhere; nowhere (9) stays so."""
    return np.where((np.abs(points) >= task.NOWHERE).any(-1, keepdims=True), points, points * sign + by)


def moved(values: NDArray[np.generic], axes: tuple[int, int], by: tuple[int, int]) -> NDArray[np.generic]:
    """An array moved along two axes; its edges are repeated."""
    for axis, step in zip(axes, by, strict=True):
        at = np.clip(np.arange(values.shape[axis]) - step, 0, values.shape[axis] - 1)
        values = np.take(values, at, axis=axis)
    return values


def train_actor(
    network: ActorNetwork, stage: ActorStage, shards: Sequence[Path], held_out: Sequence[Path], out: Path
) -> None:
    """Train the actor look; the network ends with its averaged weights."""
    bank, validation = filled(shards, stage.capacity), filled(held_out, stage.capacity)

    def loss_at(step: int) -> tuple[Tensor, Mapping[str, float]]:
        rng = np.random.default_rng((stage.seed, step))
        return actor_loss(network, bank.draw(stage.events, rng, augment=True))

    Loop(network, stage.loop, out, "actor").run(loss_at, lambda average: evaluate_actor(average, validation))


def filled(shards: Sequence[Path], capacity: int) -> ActorBank:
    """A bank with as many of the shards as have room."""
    bank = ActorBank(capacity)
    for path in shards:
        if not bank.add(path):
            break
    return bank


def actor_loss(network: ActorNetwork, batch: ActorBatch) -> tuple[Tensor, dict[str, float]]:
    """The loss of a batch in training."""
    with torch.autocast(batch.frames.device.type, dtype=torch.bfloat16):
        outputs = network(batch.frames, batch.area, batch.features)
    return task.loss(outputs, batch.targets, network.trust)


def evaluate_actor(network: nn.Module, bank: ActorBank, events: int = 16) -> dict[str, float]:
    """Metrics beside their baselines over all held-out events at once."""
    assert isinstance(network, ActorNetwork)
    every = [event for shop in bank.events for event in shop]
    heat = []
    for first in range(0, len(every), events):
        batch = batch_of(every[first : first + events])
        with torch.autocast(batch.frames.device.type, dtype=torch.bfloat16):
            heat.append(network(batch.frames, batch.area, batch.features).heat)
    truth = batch_of([{**event, "frames": event["frames"][:, :1, :1]} for event in every]).targets
    outputs = ActorOutputs(torch.cat(heat), torch.zeros(0))
    return task.metric(outputs, truth, network.trust)
