"""Stage 1e: the actor look on events with company."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from openaisle.model.actor import ActorNetwork, ActorOutputs
from openaisle.model.tasks import actor as task
from openaisle.training.glances import Arrays
from openaisle.training.loop import Loop, LoopConfig, mixed

# tokens/actor.py, actor_views: the picture's middle and the way out of the shelf lie on the other side
MIRRORED_FEATURES = np.array([1, 1, -1, 1, 1, -1, 1, 1, 1], dtype=np.float32)
MIRROR = np.diag([-1, 1]).astype(np.float32)
SIDE_FEATURE, TURN_FEATURES = 0, slice(5, 7)
HEAD_SD = 0.06  # half windows: heads are believed to about seven centimetres
SHIFT, TURN_SD, ZOOM_SD = 0.125, 0.07, 0.1  # windows are moved (half sides), turned (radians) and zoomed (log)
VIEWS = 4  # of an event in a batch, at random
CHANNELS = 4  # that are warped at once, at most


Float32 = NDArray[np.float32]


@dataclass(frozen=True)
class ActorStage:
    """Recipe of stage 1e."""

    loop: LoopConfig
    events: int = 32  # per batch, each with four of its views
    seed: int = 7
    capacity: int = 9_500  # events held in memory, 1.3 MB each


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
    """An event in some of its views, mirrored, in another light, windows moved, turned and zoomed, heads elsewhere."""
    chosen = np.sort(rng.permutation(len(event["features"]))[:VIEWS])
    out = {name: values[chosen] for name, values in event.items()}
    points = {name: np.asarray(out[name], dtype=np.float32) for name in ("heads", "hand", "places")}
    points["heads"] = points["heads"] + rng.normal(0, HEAD_SD, points["heads"].shape).astype(np.float32)
    if rng.random() < 0.5:
        for name in ("frames", "area", "mask"):
            out[name] = out[name][:, :, ::-1]
        out["features"] = np.multiply(out["features"], MIRRORED_FEATURES)
        points = {name: turned(values, MIRROR, np.zeros(2, np.float32)) for name, values in points.items()}
    gain = np.exp(rng.normal(0.0, 0.12)) * np.exp(rng.normal(0.0, 0.04, 3))
    table = np.clip(np.arange(256)[None] * gain[:, None] + rng.normal(0.0, 4.0), 0, 255).astype(np.uint8)
    tables = np.tile(table.T, out["frames"].shape[-1] // 3)[None]  # [1, 256, 24]
    frames = np.stack([cv2.LUT(np.ascontiguousarray(window), tables) for window in out["frames"]])
    angle, zoom = rng.normal(0, TURN_SD), float(np.exp(rng.normal(0, ZOOM_SD)))
    turn = (zoom * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])).astype(np.float32)
    by = rng.uniform(-SHIFT, SHIFT, 2).astype(np.float32)
    out["frames"] = warped(frames, turn, by)
    out["area"] = warped(out["area"][..., None], turn, by)[..., 0]
    out["mask"] = warped(out["mask"], turn, by)
    features = np.array(out["features"], dtype=np.float32)
    features[:, SIDE_FEATURE] /= zoom
    features[:, TURN_FEATURES] = features[:, TURN_FEATURES] @ turn.T
    return {**out, "features": features, **{name: turned(values, turn, by) for name, values in points.items()}}


def turned(points: Float32, turn: Float32, by: Float32) -> Float32:
    """Places [..., 2] elsewhere; nowhere (9) stays so."""
    return np.where((np.abs(points) >= task.NOWHERE).any(-1, keepdims=True), points, points @ turn.T + by)


def warped(pictures: NDArray[np.generic], turn: Float32, by: Float32) -> NDArray[np.uint8]:
    """Pictures [N, H, H, C] turned and zoomed about their middles, and moved by so many half sides; edges repeat."""
    half = pictures.shape[1] / 2
    middle = np.full(2, half - 0.5)
    matrix = np.concatenate([turn, (middle - turn @ middle + by * half)[:, None]], axis=1)
    size = (pictures.shape[2], pictures.shape[1])
    out = np.empty(pictures.shape, dtype=np.uint8)
    for n, picture in enumerate(pictures):
        for c in range(0, picture.shape[-1], CHANNELS):
            part = np.ascontiguousarray(picture[..., c : c + CHANNELS], dtype=np.uint8)
            moved = cv2.warpAffine(part, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
            out[n, ..., c : c + CHANNELS] = moved.reshape(part.shape)
    return out


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
    with mixed(batch.frames.device.type):
        outputs = network(batch.frames, batch.area, batch.features)
    return task.loss(outputs, batch.targets, network.trust)


def evaluate_actor(network: nn.Module, bank: ActorBank, events: int = 16) -> dict[str, float]:
    """Metrics beside their baselines over all held-out events at once."""
    assert isinstance(network, ActorNetwork)
    every = [event for shop in bank.events for event in shop]
    heat = []
    for first in range(0, len(every), events):
        batch = batch_of(every[first : first + events])
        with mixed(batch.frames.device.type):
            heat.append(network(batch.frames, batch.area, batch.features).heat)
    truth = batch_of([{**event, "frames": event["frames"][:, :1, :1]} for event in every]).targets
    outputs = ActorOutputs(torch.cat(heat), torch.zeros(0))
    return task.metric(outputs, truth, network.trust)
