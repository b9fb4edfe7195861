"""Stage 1b: the glance on windows around hands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from openaisle.model.glance import GlanceNetwork
from openaisle.model.tasks import glance as task
from openaisle.training.dense_data import Arrays
from openaisle.training.loop import Loop, LoopConfig, averaged, mixed

STORES = 12  # per batch
PRODUCTS = 24  # catalogue rows per store in a batch, those in the windows included
ITEM_SHARE = 0.5  # of a batch: windows that show an item
ROTATE_STEPS = 200
RESIDENT = 160  # shards in memory, about a gigabyte and a half
# tokens/glance.py, aim: the body and the picture's middle lie on the other side
MIRRORED_FEATURES = np.array([1, 1, -1, 1, -1, 1, 1, 1, 1, 1, 1], dtype=np.float32)


@dataclass(frozen=True)
class GlanceStage:
    """Recipe of stage 1b."""

    loop: LoopConfig
    windows: int = 384  # per batch
    seed: int = 4


def load_windows(path: Path) -> Arrays:
    """One shard."""
    with np.load(path) as file:
        return {name: file[name] for name in file.files}


class WindowPool:
    """Shards on disk, some in memory: a new draw every ROTATE_STEPS, the same after a resume."""

    def __init__(self, paths: Sequence[Path], seed: int, resident: int = RESIDENT) -> None:
        self.paths, self.seed, self.resident = tuple(paths), seed, resident
        self.block, self.shards = -1, tuple[Arrays, ...]()

    def at(self, step: int) -> Sequence[Arrays]:
        """The shards to draw from at a step."""
        block = step // ROTATE_STEPS if len(self.paths) > self.resident else 0  # where all fit, one order for all
        if block != self.block:
            self.block = block
            chosen = np.random.default_rng((self.seed, self.block)).permutation(len(self.paths))[: self.resident]
            self.shards = tuple(load_windows(self.paths[i]) for i in chosen)
        return self.shards


@dataclass(frozen=True)
class WindowBatch:
    """Windows, the catalogue pictures drawn, and the truth."""

    now: Tensor
    before: Tensor
    features: Tensor
    pictures: Tensor
    targets: task.GlanceTargets


def sample_windows(shards: Sequence[Arrays], windows: int, rng: np.random.Generator, *, augment: bool) -> WindowBatch:
    """A batch from STORES shards, half of it windows that show an item."""
    chosen = rng.choice(len(shards), STORES, replace=len(shards) < STORES)
    each = windows // STORES
    parts: dict[str, list[NDArray[np.generic]]] = {}
    pictures, start, owner = [], 0, []
    for shop, index in enumerate(chosen):
        shard = shards[index]
        rows = draw_rows(shard, each, rng)
        product = shard["product"][rows].astype(np.int64)
        drawn = draw_products(product, len(shard["pictures"]), rng)
        column = {int(p): start + i for i, p in enumerate(drawn)}
        now, before, features, offset = (shard[name][rows] for name in ("now", "before", "features", "offset"))
        mask = shard["mask"][rows]
        if augment:
            now, before = relight(now, before, rng)
            if rng.random() < 0.5:
                now, before, mask = now[:, :, ::-1], before[:, :, ::-1], mask[:, :, ::-1]
                features, offset = features * MIRRORED_FEATURES, offset * np.array([-1, 1], dtype=np.float32)
        row = np.array([column.get(int(p), -1) for p in product], dtype=np.int64)
        values = {
            "now": now, "before": before, "features": features, "offset": offset, "row": row,
            "seen": shard["seen"][rows], "item_seen": shard["item_seen"][rows], "holds": shard["holds"][rows],
            "mask": mask, "shop": np.full(len(rows), shop),
        }  # fmt: skip
        for name, value in values.items():
            parts.setdefault(name, []).append(value)
        pictures.append(shard["pictures"][drawn])
        owner.append(np.full(len(drawn), shop))
        start += len(drawn)
    t = {name: torch.from_numpy(np.ascontiguousarray(np.concatenate(values))) for name, values in parts.items()}
    own = t["shop"][:, None] == torch.from_numpy(np.concatenate(owner))[None]
    stack = torch.from_numpy(np.concatenate(pictures).astype(np.uint8))
    mask = t["mask"].permute(0, 3, 1, 2).flatten(2).float() / 255.0
    targets = task.GlanceTargets(t["seen"], t["item_seen"], t["holds"], t["offset"].float(), mask, t["row"], own)
    return WindowBatch(t["now"], t["before"], t["features"].float(), stack, targets)


def draw_rows(shard: Arrays, count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Rows of a shard, ITEM_SHARE of them with an item in view where there are any."""
    item = np.flatnonzero(shard["item_seen"])
    wanted = round(count * ITEM_SHARE) if len(item) else 0
    return np.concatenate(
        [rng.choice(item, wanted) if wanted else item[:0], rng.integers(0, len(shard["seen"]), count - wanted)]
    )


def draw_products(product: NDArray[np.int64], catalogue: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Catalogue rows: those in the windows, filled up with others."""
    held = np.unique(product[product >= 0])
    others = rng.permutation(catalogue)
    others = others[~np.isin(others, held)][: max(0, PRODUCTS - len(held))]
    return np.concatenate([held, others])


def relight(
    now: NDArray[np.generic], before: NDArray[np.generic], rng: np.random.Generator
) -> tuple[NDArray[np.generic], NDArray[np.generic]]:
    """Windows of one store in another light: one exposure and white balance for both pictures."""
    gain = np.exp(rng.normal(0.0, 0.15)) * np.exp(rng.normal(0.0, 0.05, 3))
    table = np.clip(np.arange(256)[:, None] * gain + rng.normal(0.0, 5.0), 0, 255).astype(np.uint8)

    def lit(pictures: NDArray[np.generic]) -> NDArray[np.generic]:
        return np.stack([table[pictures[..., c], c] for c in range(3)], axis=-1)

    return lit(now), lit(before)


def train_glance(
    network: GlanceNetwork, stage: GlanceStage, shards: Sequence[Path], held_out: Sequence[Path], out: Path
) -> None:
    """Train the glance; the network ends with its averaged weights."""
    pool = WindowPool(shards, stage.seed)
    validation = [load_windows(path) for path in held_out]

    def loss_at(step: int) -> tuple[Tensor, Mapping[str, float]]:
        rng = np.random.default_rng((stage.seed, step))
        batch = sample_windows(pool.at(step), stage.windows, rng, augment=True)
        with mixed("cpu"):
            outputs = network(batch.now, batch.before, batch.features)
            vectors = network.pictures(batch.pictures)
        return task.loss(outputs, task.scores(outputs, vectors, network.scale, batch.targets), batch.targets)

    Loop(network, stage.loop, out, "glance").run(loss_at, lambda average: evaluate_glance(average, validation))


def evaluate_glance(network: nn.Module, shards: Sequence[Arrays], batches: int = 12) -> dict[str, float]:
    """Metrics beside their baselines, averaged over fixed batches of held-out shards."""
    assert isinstance(network, GlanceNetwork)
    rng = np.random.default_rng(0)
    told: list[dict[str, float]] = []
    for _ in range(batches):
        batch = sample_windows(shards, 384, rng, augment=False)
        outputs = network(batch.now, batch.before, batch.features)
        logits = task.scores(outputs, network.pictures(batch.pictures), network.scale, batch.targets)
        told.append(task.metric(outputs, logits, batch.targets))
    return averaged(told)
