"""Stage 1c: hand heat maps on windows around bodies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from openaisle.model.heatmap import HeatmapNetwork
from openaisle.model.tasks import heatmap as task
from openaisle.training.glance import WindowPool, load_windows, relight
from openaisle.training.glances import Arrays
from openaisle.training.loop import Loop, LoopConfig

STORES = 16  # per batch
RESIDENT = 240  # shards in memory, about six gigabytes
# tokens/body.py, aim_bodies: the picture's middle and the feet lie on the other side
MIRRORED_FEATURES = np.array([1, 1, -1, 1, 1, -1, 1, 1], dtype=np.float32)
MIRRORED_PLACE = np.array([-1, 1], dtype=np.float32)


@dataclass(frozen=True)
class HeatmapStage:
    """Recipe of stage 1c."""

    loop: LoopConfig
    windows: int = 128  # per batch
    seed: int = 5


@dataclass(frozen=True)
class BodyBatch:
    """Windows and the truth."""

    now: Tensor
    before: Tensor
    features: Tensor
    targets: task.HeatmapTargets


def sample_bodies(shards: Sequence[Arrays], windows: int, rng: np.random.Generator, *, augment: bool) -> BodyBatch:
    """A batch from STORES shards."""
    parts: dict[str, list[NDArray[np.generic]]] = {}
    for index in rng.choice(len(shards), STORES, replace=len(shards) < STORES):
        shard = shards[index]
        rows = rng.integers(0, len(shard["seen"]), windows // STORES)
        values = {name: shard[name][rows] for name in ("now", "before", "features", "offset", "seen", "reach", "mask")}
        if augment:
            values["now"], values["before"] = relight(values["now"], values["before"], rng)
            if rng.random() < 0.5:
                for name in ("now", "before", "mask"):
                    values[name] = values[name][:, :, ::-1]
                values["features"] = values["features"] * MIRRORED_FEATURES
                values["offset"] = values["offset"] * MIRRORED_PLACE
        for name, value in values.items():
            parts.setdefault(name, []).append(value)
    t = {name: torch.from_numpy(np.ascontiguousarray(np.concatenate(values))) for name, values in parts.items()}
    cells = t["mask"].flatten(1, 2).float() / 255.0  # [W, 1600, 3]
    mask = torch.stack([cells[..., :2].amax(-1), cells[..., 2]], dim=1)
    targets = task.HeatmapTargets(t["offset"].float(), t["seen"], t["reach"].float(), mask)
    return BodyBatch(t["now"], t["before"], t["features"].float(), targets)


def train_heatmap(
    network: HeatmapNetwork, stage: HeatmapStage, shards: Sequence[Path], held_out: Sequence[Path], out: Path
) -> None:
    """Train the heat maps; the network ends with its averaged weights."""
    pool = WindowPool(shards, stage.seed, RESIDENT)
    validation = [load_windows(path) for path in held_out]

    def loss_at(step: int) -> tuple[Tensor, Mapping[str, float]]:
        rng = np.random.default_rng((stage.seed, step))
        batch = sample_bodies(pool.at(step), stage.windows, rng, augment=True)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            outputs = network(batch.now, batch.before, batch.features)
        return task.loss(outputs, batch.targets)

    Loop(network, stage.loop, out, "heatmap").run(loss_at, lambda average: evaluate_heatmap(average, validation))


def evaluate_heatmap(network: nn.Module, shards: Sequence[Arrays], batches: int = 8) -> dict[str, float]:
    """Metrics beside their baselines, averaged over fixed batches of held-out shards."""
    rng = np.random.default_rng(0)
    sums: dict[str, list[float]] = {}
    for _ in range(batches):
        batch = sample_bodies(shards, 256, rng, augment=False)
        for key, value in task.metric(network(batch.now, batch.before, batch.features), batch.targets).items():
            sums.setdefault(key, []).append(value)
    return {key: float(np.mean(values)) for key, values in sums.items()}
