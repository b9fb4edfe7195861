"""Task of the hand heat maps: where both hands of the window's owner are, and which cells show them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from openaisle.model.heatmap import HeatmapOutputs
from openaisle.tokens.body import BODY_CELLS

BLUR_CELLS = 0.8  # of the target around the true place
EQUAL_M = 0.04  # hands that reach about as far may be told either way
STRETCHED_M, STRETCHED_WEIGHT = 0.38, 2.0
MASK_WEIGHT, MASK_SHARE = 8.0, 1.0


@dataclass(frozen=True)
class HeatmapTargets:
    """Truth of W windows."""

    offset: Tensor  # [W, 2, 2] far and near hand's place in half windows from the centre
    seen: Tensor  # bool [W, 2]
    reach: Tensor  # [W, 2] metres from the body's axis
    mask: Tensor  # [W, 2, 1600] share of each cell that shows a hand, something held


def place_targets(targets: HeatmapTargets) -> Tensor:
    """Probabilities [W, 2, 1601] over cells and outside."""
    centre = (torch.arange(BODY_CELLS, device=targets.offset.device) + 0.5) * 2 / BODY_CELLS - 1
    blur = BLUR_CELLS * 2 / BODY_CELLS
    along = torch.exp(-0.5 * ((targets.offset[..., None] - centre) / blur) ** 2) + 1e-12  # [W, 2, 2, 40] u, v
    inside = (targets.offset.abs() < 1.0).all(-1)
    along = along / along.sum(-1, keepdim=True)
    cells = (along[:, :, 1, :, None] * along[:, :, 0, None, :]).flatten(2) * inside[..., None]
    each = torch.cat([cells, (~inside).to(cells.dtype)[..., None]], dim=-1)
    first = torch.sigmoid((targets.reach[:, 0] - targets.reach[:, 1]) / EQUAL_M)[:, None, None]
    return torch.cat([first * each[:, :1] + (1 - first) * each[:, 1:],
                      (1 - first) * each[:, :1] + first * each[:, 1:]], dim=1)  # fmt: skip


def loss(outputs: HeatmapOutputs, targets: HeatmapTargets) -> tuple[Tensor, dict[str, float]]:
    """Cross-entropy of the places, stretched hands heavier, and of the cells that show them."""
    share = (targets.mask > 0.3).float()
    weight = 1 + MASK_WEIGHT * share
    mask = F.binary_cross_entropy_with_logits(outputs.mask, targets.mask, weight=weight)
    entropy = -(place_targets(targets) * outputs.heat.log_softmax(-1)).sum(-1)  # [W, 2]
    weight = 1 + STRETCHED_WEIGHT * (targets.reach > STRETCHED_M).float()
    place = (entropy * weight).sum() / weight.sum()
    total = place + 20.0 * MASK_SHARE * mask
    return total, {"place": float(place.detach()), "mask": float(mask.detach())}


def metric(outputs: HeatmapOutputs, targets: HeatmapTargets) -> dict[str, float]:
    """Median error in half windows (metres, about) of the best cell: seen, hidden and stretched hands; baselines."""
    grid = (torch.arange(BODY_CELLS, device=targets.offset.device) + 0.5) * 2 / BODY_CELLS - 1
    best = outputs.heat[..., :-1].argmax(-1)
    place = torch.stack([grid[best % BODY_CELLS], grid[best // BODY_CELLS]], dim=-1)
    error = (place - targets.offset).norm(dim=-1)
    middle = targets.offset[(targets.offset.abs() < 1).all(-1)].mean(0)
    base = (middle - targets.offset).norm(dim=-1)
    inside = (targets.offset.abs() < 1.0).all(-1)
    stretched = targets.reach > STRETCHED_M
    entropy = -(place_targets(targets) * outputs.heat.log_softmax(-1)).sum(-1)
    out = {"nll": float(entropy.mean())}
    for name, mask in (("seen", targets.seen), ("hidden", ~targets.seen), ("reach", stretched & targets.seen),
                       ("reach_hidden", stretched & ~targets.seen)):  # fmt: skip
        rows = mask & inside
        if bool(rows.any()):
            out |= {
                name: float(error[rows].median()),
                f"{name}_p80": float(error[rows].quantile(0.8)),
                f"{name}_nll": float(entropy[rows].mean()),
                f"{name}_baseline": float(base[rows].median()),
            }
    return out
