"""Stage 1c: hand heat maps on windows around bodies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from openaisle.model.heatmap import HeatmapNetwork
from openaisle.model.tasks import heatmap as task
from openaisle.tokens.body import BODY_CELLS, BODY_FEATURES, BODY_PX
from openaisle.training.glance import load_windows
from openaisle.training.glances import Arrays
from openaisle.training.loop import Loop, LoopConfig, averaged, mixed

# tokens/body.py, aim_bodies: the picture's middle and the feet lie on the other side
MIRRORED_FEATURES = (1, 1, -1, 1, 1, -1, 1, 1)
MIRRORED_PLACE = (-1, 1)
SHIFT_CELLS = 1  # windows are moved by up to so much: bodies are never believed exactly


@dataclass(frozen=True)
class HeatmapStage:
    """Recipe of stage 1c."""

    loop: LoopConfig
    windows: int = 128  # per batch
    seed: int = 5
    device: str = "cpu"  # "cuda": 60 steps/s of 768 windows on one H200 (dev/LOG.md)
    capacity: int = 220_000  # windows held in memory, 43 kB each: nine gigabytes


@dataclass(frozen=True)
class BodyBatch:
    """Windows and the truth."""

    now: Tensor
    before: Tensor
    features: Tensor
    targets: task.HeatmapTargets


class BodyBank:
    """The windows of many shards on one device; shards may come while training goes on."""

    def __init__(self, capacity: int, device: str | torch.device = "cpu") -> None:
        self.device = torch.device(device)
        shapes: dict[str, tuple[tuple[int, ...], torch.dtype]] = {
            "now": ((BODY_PX, BODY_PX, 3), torch.uint8), "before": ((BODY_PX, BODY_PX, 3), torch.uint8),
            "features": ((BODY_FEATURES,), torch.float32), "offset": ((2, 2), torch.float32),
            "seen": ((2,), torch.bool), "reach": ((2,), torch.float32),
            "mask": ((BODY_CELLS, BODY_CELLS, 3), torch.uint8),
        }  # fmt: skip
        self.rows = {name: torch.empty((capacity, *shape), dtype=dtype, device=self.device)
                     for name, (shape, dtype) in shapes.items()}  # fmt: skip
        self.capacity, self.count = capacity, 0
        self.starts: list[int] = []

    def add(self, shard: Arrays) -> bool:
        """One shard more; False when there is no room for it."""
        count = len(shard["seen"])
        if self.count + count > self.capacity:
            return False
        for name, rows in self.rows.items():
            rows[self.count : self.count + count] = torch.from_numpy(shard[name]).to(self.device)
        if count:
            self.starts.append(self.count)
            self.count += count
        return True

    def draw(self, windows: int, seed: int, *, augment: bool) -> BodyBatch:
        """A batch, the same for the same seed: shops at random, then windows of theirs."""
        generator = torch.Generator().manual_seed(seed)
        bounds = torch.tensor([*self.starts, self.count])
        shop = torch.randint(len(self.starts), (windows,), generator=generator)
        share = torch.rand(windows, generator=generator)
        row = (bounds[shop] + share * (bounds[shop + 1] - bounds[shop])).long().clamp_max(self.count - 1)
        row = row.to(self.device)
        values = {name: rows[row] for name, rows in self.rows.items()}
        if augment:
            values = augmented(values, generator)
        cells = values["mask"].flatten(1, 2).float() / 255.0  # [W, 1600, 3]
        mask = torch.stack([cells[..., :2].amax(-1), cells[..., 2]], dim=1)
        targets = task.HeatmapTargets(values["offset"], values["seen"], values["reach"], mask)
        return BodyBatch(values["now"], values["before"], values["features"], targets)


def augmented(values: dict[str, Tensor], generator: torch.Generator) -> dict[str, Tensor]:
    """Windows mirrored, moved by whole cells, and in another light (the same for both pictures)."""
    device, count = values["seen"].device, len(values["seen"])
    out = dict(values)
    mirrored = (torch.rand(count, generator=generator) < 0.5).to(device)
    cells = torch.randint(-SHIFT_CELLS, SHIFT_CELLS + 1, (count, 2), generator=generator).to(device)  # u, v
    for name, scale in (("now", 2), ("before", 2), ("mask", 1)):
        size = values[name].shape[1]
        along = torch.arange(size, device=device)
        cols = torch.where(mirrored[:, None], size - 1 - along, along)  # [W, size]
        cols = (cols + cells[:, :1] * scale).clamp(0, size - 1)
        rows = (along + cells[:, 1:] * scale).clamp(0, size - 1)
        at = torch.arange(count, device=device)[:, None, None]
        out[name] = values[name][at, rows[:, :, None], cols[:, None, :]]
    step = 2.0 / BODY_CELLS
    offset = values["offset"] - cells[:, None] * step
    sign = torch.tensor(MIRRORED_PLACE, device=device, dtype=torch.float32)
    out["offset"] = torch.where(mirrored[:, None, None], offset * sign, offset)
    features = values["features"]
    turned = features * torch.tensor(MIRRORED_FEATURES, device=device, dtype=torch.float32)
    out["features"] = torch.where(mirrored[:, None], turned, features)
    light = torch.exp(
        0.15 * torch.randn(count, 1, generator=generator) + 0.05 * torch.randn(count, 3, generator=generator)
    )
    dark = 5.0 * torch.randn(count, 1, generator=generator)
    gain, lift = light.to(device)[:, None, None], dark.to(device)[:, None, None]
    for name in ("now", "before"):
        out[name] = (out[name].float() * gain + lift).clamp(0, 255).to(torch.uint8)
    return out


def train_heatmap(
    network: HeatmapNetwork, stage: HeatmapStage, shards: Sequence[Path], held_out: Sequence[Path], out: Path
) -> None:
    """Train the heat maps on the stage's device; the network ends with its averaged weights, where it was."""
    before = next(network.parameters()).device
    network.to(stage.device)
    bank, validation = (filled(paths, stage.capacity, stage.device) for paths in (shards, held_out))

    def loss_at(step: int) -> tuple[Tensor, Mapping[str, float]]:
        return heatmap_loss(network, bank.draw(stage.windows, stage.seed * 1_000_003 + step, augment=True))

    Loop(network, stage.loop, out, "heatmap").run(loss_at, lambda average: evaluate_heatmap(average, validation))
    network.to(before)


def filled(shards: Sequence[Path], capacity: int, device: str = "cpu") -> BodyBank:
    """A bank with as many of the shards as have room."""
    bank = BodyBank(min(capacity, sum(windows_in(path) for path in shards)), device)
    for path in shards:
        if not bank.add(load_windows(path)):
            break
    return bank


def windows_in(path: Path) -> int:
    """How many windows a shard holds."""
    with np.load(path) as file:
        return len(file["seen"])


def heatmap_loss(network: nn.Module, batch: BodyBatch) -> tuple[Tensor, dict[str, float]]:
    """The loss of a batch in training."""
    with mixed(batch.now.device.type):
        outputs = network(batch.now, batch.before, batch.features)
    return task.loss(outputs, batch.targets)


def evaluate_heatmap(network: nn.Module, bank: BodyBank, batches: int = 8) -> dict[str, float]:
    """Metrics beside their baselines, averaged over fixed batches of held-out shards."""
    told: list[dict[str, float]] = []
    for number in range(batches):
        batch = bank.draw(256, number, augment=False)
        told.append(task.metric(network(batch.now, batch.before, batch.features), batch.targets))
    return averaged(told)
