"""Stage 2: the receipt decoder on true geometry (no video), then on the tracks the vision half really makes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from openaisle.model.tasks import receipt as task
from openaisle.model.tasks.receipt import ReceiptNetwork
from openaisle.tokens.journey import TickFeatures
from openaisle.training.journeys import JourneyRecord, load_record
from openaisle.training.loop import Loop, LoopConfig
from openaisle.training.ticks import Noise, Target, collate, sample_tick


@dataclass(frozen=True)
class ReceiptStage:
    """Recipe of stage 2."""

    loop: LoopConfig
    ticks: int = 64  # per batch
    noise: Noise = field(default_factory=Noise)
    seed: int = 2


class TickDataset(Dataset[dict[str, Tensor]]):
    """Item `step` is the whole batch of that step: the same for any number of workers, and after a resume."""

    def __init__(self, records: Sequence[JourneyRecord], stage: ReceiptStage) -> None:
        self.records, self.stage = records, stage

    def __len__(self) -> int:
        return self.stage.loop.steps

    def __getitem__(self, step: int) -> dict[str, Tensor]:
        rng = np.random.default_rng((self.stage.seed, step))
        ticks: list[tuple[TickFeatures, Target]] = []
        while len(ticks) < self.stage.ticks:
            tick = sample_tick(self.records[int(rng.integers(len(self.records)))], self.stage.noise, rng)
            if tick is not None:
                ticks.append(tick)
        return {name: torch.from_numpy(values) for name, values in collate(ticks).items()}


def batches(dataset: TickDataset, first: int, workers: int) -> Iterator[dict[str, Tensor]]:
    """Batches from step `first` on, built ahead by worker processes."""
    order = list(range(first, len(dataset)))
    return iter(
        DataLoader(dataset, batch_size=None, sampler=order, num_workers=workers, prefetch_factor=8 if workers else None)
    )


def train_receipts(
    network: ReceiptNetwork,
    stage: ReceiptStage,
    records: Sequence[Path],
    held_out: Sequence[Path],
    out: Path,
    name: str = "receipts",
) -> None:
    """Train the receipt decoder; the network ends with its averaged weights."""
    training = [load_record(path) for path in records]
    validation = [load_record(path) for path in held_out]
    loop = Loop(network, stage.loop, out, name)
    stream = batches(TickDataset(training, stage), loop.state.step, workers=1)

    def loss_at(step: int) -> tuple[Tensor, Mapping[str, float]]:
        batch, targets = task.batch_from_arrays(next(stream))
        with torch.autocast("cpu", dtype=torch.bfloat16):
            logits = network(batch, targets)
        return task.loss(logits, targets)

    loop.run(loss_at, lambda average: evaluate_receipts(average, validation, stage))


def evaluate_receipts(
    network: nn.Module, records: Sequence[JourneyRecord], stage: ReceiptStage, count: int = 16
) -> dict[str, float]:
    """Teacher-forced accuracy on fixed batches of held-out records."""
    dataset = TickDataset(records, ReceiptStage(stage.loop, 64, stage.noise, seed=99))
    sums: dict[str, list[float]] = {}
    for i in range(count):
        batch, targets = task.batch_from_arrays(dataset[i])
        logits = network(batch, targets)
        value, _ = task.loss(logits, targets)
        for key, number in {"nll": float(value), **task.accuracy(logits, targets)}.items():
            sums.setdefault(key, []).append(number)
    return {key: float(np.mean(values)) for key, values in sums.items()}
