"""Stage 1d: the shelf look on lanes before and after changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from openaisle.model.shelf import LaneOutputs, ShelfNetwork, ShelfOutputs
from openaisle.model.tasks import shelf as task
from openaisle.tokens.shelf import MOST_UNITS
from openaisle.training.glance import WindowPool, relight
from openaisle.training.glances import Arrays
from openaisle.training.loop import Loop, LoopConfig, averaged, mixed

STORES = 12  # per batch
PRODUCTS = 48  # catalogue rows per store in a batch, those of its lanes included
RESIDENT = 700  # shards in memory, about four gigabytes and a half
WORST_GAP = 0.35  # of the views: one may miss, as people stand before shelves
# tokens/shelf.py, shelf_views: the picture's middle and the camera lie on the other side
MIRRORED_FEATURES = np.array([1, 1, -1, 1, -1, 1, 1, 1, 1, 1], dtype=np.float32)


@dataclass(frozen=True)
class ShelfStage:
    """Recipe of stage 1d."""

    loop: LoopConfig
    lanes: int = 96  # per batch
    seed: int = 6


@dataclass(frozen=True)
class ShelfBatch:
    """Windows, whose lanes they show, the catalogue pictures drawn, and the truth."""

    before: Tensor
    after: Tensor
    area: Tensor
    features: Tensor
    lane: Tensor  # int64 [W]
    own: Tensor  # int64 [L] catalogue row of the lane's own product
    pictures: Tensor
    targets: task.ShelfTargets


def sample_shelves(shards: Sequence[Arrays], lanes: int, rng: np.random.Generator, *, augment: bool) -> ShelfBatch:
    """A batch of lanes from STORES shards, with all their views, or most of them."""
    parts: dict[str, list[NDArray[np.generic]]] = {}
    drawn: list[NDArray[np.generic]] = []
    grams: list[NDArray[np.generic]] = []
    owner: list[NDArray[np.int64]] = []
    count = start = 0
    for shop, index in enumerate(rng.choice(len(shards), STORES, replace=len(shards) < STORES)):
        shard = shards[index]
        chosen = rng.choice(int(shard["lane"].max()) + 1, lanes // STORES, replace=False)
        rows = np.flatnonzero(np.isin(shard["lane"], chosen))
        if augment:
            first = np.r_[True, np.diff(shard["lane"][rows]) != 0]
            rows = rows[first | (rng.random(len(rows)) > WORST_GAP * rng.random())]
        number, lane = np.unique(shard["lane"][rows], return_inverse=True)
        first = np.searchsorted(shard["lane"][rows], number)
        product, own = shard["product"][rows][first], shard["own"][rows][first]
        named = draw(np.append(product[product >= 0], own), shard["grams"], rng)
        column = np.full(len(shard["pictures"]) + 1, -1, dtype=np.int64)
        column[named] = start + np.arange(len(named))
        before, after, area, mask = (shard[name][rows] for name in ("before", "after", "area", "mask"))
        features = shard["features"][rows]
        if augment:
            before, after = relight(before, after, rng)
            if rng.random() < 0.5:
                before, after, area, mask = (x[:, :, ::-1] for x in (before, after, area, mask))
                features = features * MIRRORED_FEATURES
        values = {
            "before": before, "after": after, "area": area, "mask": mask, "features": features, "lane": lane + count,
            "row": column[product], "own": column[own],
            "net": shard["net"][rows][first].clip(-MOST_UNITS, MOST_UNITS) + MOST_UNITS,
            "shop": np.full(len(number), shop),
        }  # fmt: skip
        for name, value in values.items():
            parts.setdefault(name, []).append(value)
        drawn.append(shard["pictures"][named])
        grams.append(shard["grams"][named])
        owner.append(np.full(len(named), shop))
        count, start = count + len(number), start + len(named)
    t = {name: torch.from_numpy(np.ascontiguousarray(np.concatenate(values))) for name, values in parts.items()}
    ours = t["shop"][:, None] == torch.from_numpy(np.concatenate(owner))[None]
    mask = t["mask"].permute(0, 3, 1, 2).flatten(2).float() / 255.0
    masses = torch.from_numpy(np.concatenate(grams).astype(np.float32))
    targets = task.ShelfTargets(mask, t["row"], t["net"].long(), ours, masses)
    pictures = torch.from_numpy(np.concatenate(drawn).astype(np.uint8))
    return ShelfBatch(
        t["before"], t["after"], t["area"], t["features"].float(), t["lane"], t["own"], pictures, targets
    )  # fmt: skip


def draw(needed: NDArray[np.generic], grams: NDArray[np.generic], rng: np.random.Generator) -> NDArray[np.int64]:
    """Catalogue rows: those needed, others of about their masses, then any."""
    needed = np.unique(needed.astype(np.int64))
    others = rng.permutation(np.setdiff1d(np.arange(len(grams)), needed))
    away = np.abs(np.log1p(grams[others])[:, None] - np.log1p(grams[needed])[None]).min(1)
    order = np.argsort(away > task.SIBLING_SHARE, kind="stable")
    return np.concatenate([needed, others[order][: max(0, PRODUCTS - len(needed))]])


def speak(network: ShelfNetwork, batch: ShelfBatch) -> tuple[ShelfOutputs, LaneOutputs, Tensor]:
    """What the network says of a batch: by window, by lane, and its scores over the catalogue rows."""
    with mixed("cpu") if network.training else nullcontext():
        vectors = network.pictures(batch.pictures)
        own = vectors[batch.own][batch.lane]
        outputs = network(batch.before, batch.after, batch.area, batch.features, own)
    lanes = network.agree(outputs, batch.lane, len(batch.own))
    return outputs, lanes, task.scores(lanes, vectors, batch.targets)


def train_shelf(
    network: ShelfNetwork, stage: ShelfStage, shards: Sequence[Path], held_out: Sequence[Path], out: Path
) -> None:
    """Train the shelf look; the network ends with its averaged weights."""
    pool = WindowPool(shards, stage.seed, RESIDENT)
    validation = WindowPool(held_out, stage.seed).at(0)

    def loss_at(step: int) -> tuple[Tensor, Mapping[str, float]]:
        rng = np.random.default_rng((stage.seed, step))
        batch = sample_shelves(pool.at(step), stage.lanes, rng, augment=True)
        outputs, lanes, logits = speak(network, batch)
        return task.loss(outputs, lanes, logits, batch.targets)

    Loop(network, stage.loop, out, "shelf").run(loss_at, lambda average: evaluate_shelf(average, validation))


def evaluate_shelf(network: nn.Module, shards: Sequence[Arrays], batches: int = 10) -> dict[str, float]:
    """Metrics beside their baselines, averaged over fixed batches of held-out shards."""
    assert isinstance(network, ShelfNetwork)
    rng = np.random.default_rng(0)
    told: list[dict[str, float]] = []
    for _ in range(batches):
        batch = sample_shelves(shards, 120, rng, augment=False)
        _, lanes, logits = speak(network, batch)
        told.append(task.metric(lanes, logits, batch.targets))
    return averaged(told)
