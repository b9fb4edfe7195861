"""Tasks of the shelf look: whether something left or came, which product, and how many of the lane's own."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from openaisle.model.shelf import LaneOutputs, ShelfOutputs
from openaisle.tokens.shelf import MOST_UNITS

MASK_WEIGHT = 8.0
SIBLING_SHARE = 0.12  # of the mass: products so near in mass that a scale does not tell them apart


@dataclass(frozen=True)
class ShelfTargets:
    """Truth of W windows of L lanes, and the M catalogue rows drawn for them."""

    mask: Tensor  # [W, 2, 256] share of each cell that shows what left, what came
    row: Tensor  # int64 [L, 2] catalogue row of what left, what came; -1 = nothing
    net: Tensor  # int64 [L] units of the lane's own product that there are more, plus MOST_UNITS
    drawn: Tensor  # bool [L, M] catalogue rows of the lane's own store
    grams: Tensor  # [M] unit masses


def scores(lanes: LaneOutputs, pictures: Tensor, targets: ShelfTargets) -> Tensor:
    """Log-odds [L, 2, M] of the catalogue rows of each lane's store."""
    return (lanes.named @ pictures.T).masked_fill(~targets.drawn[:, None], -1e4)


def loss(
    outputs: ShelfOutputs, lanes: LaneOutputs, logits: Tensor, targets: ShelfTargets
) -> tuple[Tensor, dict[str, float]]:
    """Sum of the tasks' losses and its parts."""
    share = targets.mask * MASK_WEIGHT + (1 - targets.mask)
    known = targets.row >= 0
    parts = {
        "changed": F.binary_cross_entropy_with_logits(lanes.changed, known.float()),
        "net": F.cross_entropy(lanes.net, targets.net),
        "mask": 2.0 * F.binary_cross_entropy_with_logits(outputs.mask, targets.mask, weight=share),
    }
    if bool(known.any()):
        parts["product"] = F.cross_entropy(logits[known], targets.row[known])
    return torch.stack(list(parts.values())).sum(), {name: float(value.detach()) for name, value in parts.items()}


def metric(lanes: LaneOutputs, logits: Tensor, targets: ShelfTargets) -> dict[str, float]:
    """Accuracies beside their baselines; product also among products of about the same mass (siblings)."""
    known = targets.row >= 0
    usual = targets.net.mode().values
    out = {
        "changed": float(((lanes.changed > 0) == known).float().mean()),
        "changed_baseline": float(torch.maximum(known.float().mean(0), 1 - known.float().mean(0)).mean()),
        "net": float((lanes.net.argmax(-1) == targets.net).float().mean()),
        "net_baseline": float((targets.net == usual).float().mean()),
        "net_nll": float(F.cross_entropy(lanes.net, targets.net).detach()),
    }
    moved = targets.net != MOST_UNITS
    if bool(moved.any()):
        out["net_moved"] = float((lanes.net.argmax(-1) == targets.net)[moved].float().mean())
    if bool(known.any()):
        scored, row = logits[known], targets.row[known]
        mass = targets.grams[row]
        near = (targets.grams[None] - mass[:, None]).abs() <= SIBLING_SHARE * mass[:, None]
        near &= scored > -1e3
        near[torch.arange(len(row)), row] = True
        truth = scored.gather(1, row[:, None])
        siblings = near.sum(1) > 1
        best = (scored.masked_fill(~near, -1e4) >= truth).sum(1) == 1  # a tie is not right
        out |= {
            "product_top1": float(((scored >= truth).sum(1) == 1).float().mean()),
            "product_top1_baseline": float((1 / (scored > -1e3).sum(1).float()).mean()),
            "product_nll": float(F.cross_entropy(scored, row).detach()),
        }
        if bool(siblings.any()):
            out |= {
                "sibling_top1": float(best[siblings].float().mean()),
                "sibling_baseline": float((1 / near.sum(1).float())[siblings].mean()),
            }
    return out
