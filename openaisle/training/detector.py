"""The modular peer's detector: trained on single frames, alone; nothing of the network's weights enters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from openaisle.model.detector import DetectorNetwork
from openaisle.model.tasks import detector as task
from openaisle.training.detections import Seen, read_seen, sample
from openaisle.training.frames import ShardSpec
from openaisle.training.loop import Loop, LoopConfig, averaged, mixed

Shards = Sequence[tuple[Path, ShardSpec]]


@dataclass(frozen=True)
class DetectorStage:
    """Recipe of the detector."""

    loop: LoopConfig
    seed: int = 9


def train_detector(network: DetectorNetwork, stage: DetectorStage, shards: Shards, held_out: Shards, out: Path) -> None:
    """Train the detector on frame shards, all of them in memory; the network ends with its averaged weights."""
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # twice as fast on a CPU
    pool = [read_seen(path, spec) for path, spec in shards]
    validation = [read_seen(path, spec) for path, spec in held_out]

    def loss_at(step: int) -> tuple[Tensor, Mapping[str, float]]:
        rng = np.random.default_rng((stage.seed, step))
        picture, places, targets = sample(pool, rng, augment=True)
        with mixed("cpu"):
            outputs = network(picture.to(memory_format=torch.channels_last), places)
        return task.loss(outputs, targets)

    Loop(network, stage.loop, out, "detector").run(loss_at, lambda average: evaluate_detector(average, validation))


def evaluate_detector(network: nn.Module, shards: Sequence[Sequence[Seen]], batches: int = 12) -> dict[str, float]:
    """Metrics over fixed batches of held-out shards."""
    assert isinstance(network, DetectorNetwork)
    rng = np.random.default_rng(0)
    told = []
    for _ in range(batches):
        picture, places, targets = sample(shards, rng, augment=False)
        told.append(task.metric(network(picture, places), targets))
    return averaged(told)
