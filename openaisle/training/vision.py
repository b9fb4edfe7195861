"""Stage 1: catalogue and patches on single instants (dense tasks, no time axis)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from openaisle.model.network import VisionNetwork
from openaisle.model.tasks import DENSE_TASKS
from openaisle.training.dense_data import Shard, load_shard, sample_batch
from openaisle.training.loop import Loop, LoopConfig, averaged, computes_bfloat16, rank

# So chosen that the tasks' gradients at the trunk's stem are of one size. With all weights 1 the likelihood of floor
# points, sure to centimetres, had 40 times the gradient of segmentation, and no hand was found (dev/LOG.md).
WEIGHTS = (
    ("position", 0.1), ("hands", 1.0), ("segmentation", 4.0), ("depth", 3.0), ("activity", 1.5),
    ("identity", 0.4),
)  # fmt: skip
ROTATE_STEPS = 100
RESIDENT_SHARDS = 64  # about a gigabyte


@dataclass(frozen=True)
class VisionStage:
    """Recipe of stage 1. A weight of 0 turns a task off."""

    loop: LoopConfig
    instants: int = 12  # per batch; each brings all its cameras
    weights: tuple[tuple[str, float], ...] = WEIGHTS
    seed: int = 1


def train_vision(
    network: VisionNetwork, stage: VisionStage, shards: Sequence[Path], held_out: Sequence[Path], out: Path
) -> None:
    """Train the dense half; the network ends with its averaged weights."""
    pool = ShardPool(shards, stage.seed)
    validation = [load_shard(path, i) for i, path in enumerate(held_out)]
    weights = dict(stage.weights)

    def loss_at(step: int) -> tuple[Tensor, Mapping[str, float]]:
        rng = np.random.default_rng((stage.seed, step, rank()) if rank() else (stage.seed, step))
        batch = sample_batch(pool.at(step), stage.instants, rng, augment=True)
        network.mixed_precision = computes_bfloat16("cpu")
        outputs = network(batch)
        network.mixed_precision = False
        tasks = [task for task in DENSE_TASKS if weights.get(task.name)]
        losses = {task.name: weights[task.name] * task.loss(outputs, batch.targets) for task in tasks}
        return torch.stack(list(losses.values())).sum(), {name: float(value.detach()) for name, value in losses.items()}

    Loop(network, stage.loop, out, "vision").run(loss_at, lambda average: evaluate_vision(average, validation))


class ShardPool:
    """Shards on disk, some of them in memory: a new draw every ROTATE_STEPS, the same ones after a resume."""

    def __init__(self, paths: Sequence[Path], seed: int) -> None:
        self.paths, self.seed = tuple(paths), seed
        self.block, self.shards = -1, tuple[Shard, ...]()

    def at(self, step: int) -> Sequence[Shard]:
        """The shards to draw from at a step."""
        if step // ROTATE_STEPS != self.block:
            self.block = step // ROTATE_STEPS
            rng = np.random.default_rng((self.seed, self.block))
            chosen = rng.permutation(len(self.paths))[:RESIDENT_SHARDS]
            self.shards = tuple(load_shard(self.paths[i], int(i)) for i in chosen)
        return self.shards


def evaluate_vision(network: nn.Module, shards: Sequence[Shard], batches: int = 16) -> dict[str, float]:
    """Metrics of every dense task beside its baseline, averaged over fixed batches of held-out shards."""
    rng = np.random.default_rng(0)
    told: list[dict[str, float]] = []
    for _ in range(batches):
        batch = sample_batch(shards, 12, rng)
        outputs = network(batch)
        for task in DENSE_TASKS:
            told.append(task.metric(outputs, batch.targets))
    return averaged(told)
