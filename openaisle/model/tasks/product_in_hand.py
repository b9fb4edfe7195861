"""Task: does a hand hold merchandise, and which product, by pointing into the catalogue's pictures."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from openaisle.model.batch import DenseTargets
from openaisle.model.network import DenseOutputs
from openaisle.model.tasks.dense import DenseTask, Metrics


def pointer_logits(outputs: DenseOutputs, targets: DenseTargets, rows: Tensor) -> Tensor:
    """Scores [R, M] of tokens `rows` over the catalogue rows of their own store."""
    logits = outputs.tokens.product[rows] @ outputs.products.T * outputs.product_scale
    foreign = targets.shop[rows][:, None] != targets.picture_shop[None, :]
    return logits.masked_fill(foreign, -1e4)


def loss(outputs: DenseOutputs, targets: DenseTargets) -> Tensor:
    """Holding per hand (from patches that show the hand or the item) plus the pointer's cross-entropy."""
    about = (targets.hand_seen.sum(-1) > 0) | (targets.held_row >= 0)
    if not bool(about.any()):
        return outputs.tokens.held.sum() * 0.0
    holds = F.one_hot(targets.held_hand[about] + 1, 3)[:, 1:].float()
    total = F.binary_cross_entropy_with_logits(outputs.tokens.held[about], holds)
    shown = (targets.held_row >= 0).nonzero()[:, 0]
    if len(shown):
        total = total + F.cross_entropy(pointer_logits(outputs, targets, shown), targets.held_row[shown])
    return total


def metric(outputs: DenseOutputs, targets: DenseTargets) -> Metrics:
    """Top-1 and top-5 of the pointer per patch; baseline: a random product among those drawn."""
    shown = (targets.held_row >= 0).nonzero()[:, 0]
    if not len(shown):
        return {}
    ranks = pointer_logits(outputs, targets, shown).topk(5, dim=-1).indices
    hit = ranks == targets.held_row[shown][:, None]
    choices = (targets.shop[shown][:, None] == targets.picture_shop[None, :]).sum(-1).float()
    return {
        "product_top1": float(hit[:, 0].float().mean()),
        "product_top5": float(hit.any(-1).float().mean()),
        "product_top1_baseline": float((1 / choices).mean()),
    }


TASK = DenseTask("product_in_hand", loss, metric)
