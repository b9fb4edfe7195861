"""Stage 2: the receipt decoder on true geometry (no video), then on the tracks the vision half really makes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from openaisle.model.catalogue import PictureEncoder
from openaisle.model.tasks import receipt as task
from openaisle.model.tasks.receipt import ReceiptNetwork
from openaisle.tokens.journey import TickFeatures
from openaisle.training.journeys import JourneyRecord, load_record
from openaisle.training.loop import Loop, LoopConfig, averaged, mixed
from openaisle.training.ticks import Target, collate, sample_tick
from openaisle.training.tracks import Noise


@dataclass(frozen=True)
class ReceiptStage:
    """Recipe of stage 2."""

    loop: LoopConfig
    ticks: int = 64  # per batch
    noise: Noise = field(default_factory=Noise)
    seed: int = 2


Chunk = dict[str, Tensor]  # ticks of similar size, padded to the largest
POOL_STEPS = 4  # so many steps' ticks are sorted by size together
CHUNKS = 2  # per step: a small-sized and a large-sized one, so that no step sees only crowds


class TickDataset(Dataset[list[tuple[Chunk, ...]]]):
    """Item i holds the batches of POOL_STEPS steps: the same for any number of workers, and after a resume.

    Padding dominates when a crowd shares a batch with a single shopper, so a step's ticks come in chunks of one size.
    """

    def __init__(self, records: Sequence[JourneyRecord], stage: ReceiptStage) -> None:
        self.records, self.stage = records, stage
        self.library = [record for record in records if record.tracked is not None]

    def __len__(self) -> int:
        return -(-self.stage.loop.steps // POOL_STEPS)

    def __getitem__(self, pool: int) -> list[tuple[Chunk, ...]]:
        rng = np.random.default_rng((self.stage.seed, pool))
        ticks: list[tuple[TickFeatures, Target]] = []
        while len(ticks) < self.stage.ticks * POOL_STEPS:
            tick = sample_tick(self.records[int(rng.integers(len(self.records)))], self.stage.noise, rng, self.library)
            if tick is not None:
                ticks.append(tick)
        ticks.sort(key=lambda tick: len(tick[0].shoppers) * len(tick[0].lanes) + 2 * len(tick[0].baskets))
        size = self.stage.ticks // CHUNKS
        chunks = [self.chunk(ticks[i : i + size]) for i in range(0, len(ticks), size)]
        pairs = [(chunks[i], chunks[-1 - i]) for i in range(len(chunks) // CHUNKS)]
        return [pairs[i] for i in rng.permutation(len(pairs))]

    @staticmethod
    def chunk(ticks: Sequence[tuple[TickFeatures, Target]]) -> Chunk:
        """Padded arrays of some ticks as tensors."""
        return {name: torch.from_numpy(values) for name, values in collate(ticks).items()}


def batches(dataset: TickDataset, first: int, workers: int) -> Iterator[tuple[Chunk, ...]]:
    """Batches from step `first` on, built ahead by worker processes."""
    order = list(range(first // POOL_STEPS, len(dataset)))
    loader = DataLoader(
        dataset, batch_size=None, sampler=order, num_workers=workers, prefetch_factor=2 if workers else None
    )
    stream = (batch for pool in loader for batch in pool)
    return islice(stream, first % POOL_STEPS, None)


def train_receipts(
    network: ReceiptNetwork,
    stage: ReceiptStage,
    records: Sequence[Path],
    held_out: Sequence[Path],
    out: Path,
    name: str = "receipts",
    encoder: PictureEncoder | None = None,
) -> None:
    """Train the receipt decoder; the network ends with its averaged weights.

    Records without their catalogue's vectors get those of the encoder.
    """
    # a path may come several times, to be drawn more often
    loaded = {path: embedded(load_record(path), encoder) for path in dict.fromkeys(records)}
    training = [loaded[path] for path in records]
    validation = [embedded(load_record(path), encoder) for path in held_out]
    loop = Loop(network, stage.loop, out, name)
    stream = batches(TickDataset(training, stage), loop.state.step, workers=1)

    def loss_at(step: int) -> tuple[Tensor, Mapping[str, float]]:
        losses, told = [], []
        for chunk in next(stream):
            batch, targets = task.batch_from_arrays(chunk)
            with mixed("cpu"):
                logits = network(batch, targets)
            value, parts = task.loss(logits, targets)
            losses.append(value)
            told.append(parts)
        return torch.stack(losses).mean(), {name: float(np.mean([parts[name] for parts in told])) for name in told[0]}

    loop.run(loss_at, lambda average: evaluate_receipts(average, validation, stage))


def embedded(record: JourneyRecord, encoder: PictureEncoder | None) -> JourneyRecord:
    """The record with its catalogue's vectors."""
    if record.embeddings is not None or encoder is None:
        return record
    with torch.no_grad():
        vectors: Tensor = encoder(torch.from_numpy(record.pictures))
    return replace(record, embeddings=vectors.numpy())


def evaluate_receipts(
    network: nn.Module, records: Sequence[JourneyRecord], stage: ReceiptStage, count: int = 16
) -> dict[str, float]:
    """Teacher-forced accuracy on fixed batches of held-out records."""
    dataset = TickDataset(records, replace(stage, seed=99))
    told: list[dict[str, float]] = []
    for chunk in islice((chunk for batch in batches(dataset, 0, 0) for chunk in batch), count * CHUNKS):
        batch, targets = task.batch_from_arrays(chunk)
        logits = network(batch, targets)
        value, _ = task.loss(logits, targets)
        told.append({"nll": float(value), **task.accuracy(logits, targets)})
    return averaged(told)
