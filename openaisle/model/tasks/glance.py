"""Tasks of the glance: the hand's place in a window, whether it holds something, and which product."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from openaisle.model.glance import GlanceOutputs

MASK_WEIGHT = 12.0


@dataclass(frozen=True)
class GlanceTargets:
    """Truth of W windows and the M catalogue rows drawn for them."""

    seen: Tensor  # bool [W]
    item_seen: Tensor  # bool [W]
    holds: Tensor  # bool [W]
    offset: Tensor  # [W, 2]
    mask: Tensor  # [W, 2, 256] share of each cell that shows the hand, the item
    row: Tensor  # int64 [W] catalogue row of a visible item, -1 = none
    own: Tensor  # bool [W, M] catalogue rows of the window's own store


def scores(outputs: GlanceOutputs, pictures: Tensor, scale: Tensor, targets: GlanceTargets) -> Tensor:
    """Pointer scores [W, M] over the catalogue rows of each window's store."""
    logits: Tensor = (outputs.product @ pictures.T * scale.exp()).masked_fill(~targets.own, -1e4)
    return logits


def loss(outputs: GlanceOutputs, logits: Tensor, targets: GlanceTargets) -> tuple[Tensor, dict[str, float]]:
    """Sum of the tasks' losses and its parts."""
    shows = targets.seen | targets.item_seen
    parts = {
        "seen": F.binary_cross_entropy_with_logits(outputs.seen, targets.seen.float()),
        "item": F.binary_cross_entropy_with_logits(outputs.item, targets.item_seen.float()),
    }
    # a hand is a few cells of 256: found cells weigh as much as all others together
    share = targets.mask * MASK_WEIGHT + (1 - targets.mask)
    parts["mask"] = 2.0 * F.binary_cross_entropy_with_logits(outputs.mask, targets.mask, weight=share)
    if bool(shows.any()):
        parts["holds"] = F.binary_cross_entropy_with_logits(outputs.holds[shows], targets.holds[shows].float())
    inside = shows & (targets.offset.abs() < 1.2).all(-1)
    if bool(inside.any()):
        parts["place"] = place_loss(outputs, targets, inside)
    named = targets.row >= 0
    if bool(named.any()):
        parts["product"] = F.cross_entropy(logits[named], targets.row[named])
    return torch.stack(list(parts.values())).sum(), {name: float(value.detach()) for name, value in parts.items()}


def place_loss(outputs: GlanceOutputs, targets: GlanceTargets, inside: Tensor) -> Tensor:
    """Student-t, as a hidden hand is far off and must not dominate, and the plain distance."""
    gap = (outputs.offset - targets.offset)[inside]
    log_sd = outputs.log_sd[inside]
    tails = 3.0 * torch.log1p((gap * torch.exp(-log_sd)[:, None]).square().sum(-1) / 4.0)
    return (tails + 2.0 * log_sd).mean() + 2.0 * gap.abs().mean()


def metric(outputs: GlanceOutputs, logits: Tensor, targets: GlanceTargets) -> dict[str, float]:
    """Median error of the hand in half windows, holding accuracy, product top-1 and top-3, each with its baseline.

    What there is nothing to judge by is left out.
    """
    shows, named = targets.seen, targets.row >= 0
    out = {
        "seen": float(((outputs.seen > 0) == shows).float().mean()),
        "seen_baseline": float(max(shows.float().mean(), 1 - shows.float().mean())),
    }
    if bool(shows.any()):
        error = (outputs.offset - targets.offset)[shows].norm(dim=-1)
        holds = targets.holds[shows]
        out |= {
            "place": float(error.median()),
            "place_p90": float(error.quantile(0.9)),
            "place_baseline": float(targets.offset[shows].norm(dim=-1).median()),
            "holds": float(((outputs.holds[shows] > 0) == holds).float().mean()),
            "holds_baseline": float(max(holds.float().mean(), 1 - holds.float().mean())),
        }
    if bool(named.any()):
        truth = logits[named].gather(1, targets.row[named][:, None])
        rank = (logits[named] >= truth).sum(1) - 1  # a tie is not right
        out |= {
            "product_top1": float((rank == 0).float().mean()),
            "product_top3": float((rank < 3).float().mean()),
            "product_top1_baseline": float((1 / targets.own[named].sum(1).float()).mean()),
        }
    return out
