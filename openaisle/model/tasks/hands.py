"""Task: both hands in 3D, per patch and fused over all views, and whether a patch shows a hand."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from openaisle.model.batch import DenseTargets
from openaisle.model.gaussians import negative_log_likelihood
from openaisle.model.network import DenseOutputs
from openaisle.model.tasks.dense import DenseTask, Metrics
from openaisle.model.tasks.position import fused_loss
from openaisle.model.trunk import Gaussian

SEEN_PIXELS = 4  # of 256
SEEN_WEIGHT = 8.0  # its gradient is a hundredth of the likelihoods', and hands are found before they are placed
STRETCHED_M = 0.38  # hands at rest hang 0.2 to 0.35 m from the axis
HANDS = (("far_hand", 5, 0), ("near_hand", 8, 1))


def loss(outputs: DenseOutputs, targets: DenseTargets) -> Tensor:
    """Likelihood of each owner's hands from each of its patches, fused places, and hand visibility."""
    mine = targets.person >= 0
    if not bool(mine.any()):
        return outputs.tokens.hand_seen.sum() * 0.0
    seen = (targets.hand_seen[mine] >= SEEN_PIXELS).float()
    total = SEEN_WEIGHT * F.binary_cross_entropy_with_logits(outputs.tokens.hand_seen[mine], seen)
    reach = overreach(targets)
    for name, column, side in HANDS:
        votes: Gaussian = getattr(outputs.tokens, name)
        mean, truth = votes.mean[mine], targets.offsets[mine, column : column + 3]
        each = negative_log_likelihood(Gaussian(mean, votes.factor[mine]), truth)
        # hands at rest are the many, hands in shelves are what receipts are made of; and patches that show the
        # hand itself decide the fused place
        weight = 1.0 + 8.0 * seen[:, side] + 2.0 * reach[targets.person[mine], side]
        total = total + 0.25 * (each * weight).sum() / weight.sum()
        # a heavy-tailed likelihood may give a stretched arm up as an outlier; a plain distance may not
        total = total + ((mean - truth).abs().sum(-1) * weight).sum() / weight.sum()
        place = (outputs.fused[name].mean - targets.people_hands[:, side]).abs().sum(-1)
        total = total + (place * (1.0 + 2.0 * reach[:, side])).mean()
        total = total + 0.25 * fused_loss(outputs.fused[name], targets.people_hands[:, side])
    return total


def overreach(targets: DenseTargets) -> Tensor:
    """How far hands [P, 2] are stretched, 0 at rest and 4 at the end of a long arm: the longer, the rarer."""
    away = (targets.people_hands[..., :2] - targets.people_floor[:, None, :]).norm(dim=-1)
    reach: Tensor = ((away - 0.3) / 0.15).clamp(0.0, 4.0)
    return reach


def stretch(targets: DenseTargets) -> Tensor:
    """1 for hands [P, 2] that are stretched out: more than STRETCHED_M from the body's axis."""
    away = targets.people_hands[..., :2] - targets.people_floor[:, None, :]
    far: Tensor = away.norm(dim=-1) > STRETCHED_M
    return far.float()


def metric(outputs: DenseOutputs, targets: DenseTargets) -> Metrics:
    """Mean and median joint error in metres of fused hands; baseline: hands hang beside the fused body, 0.9 m up."""
    mine = targets.person >= 0
    if not bool(mine.any()):
        return {}
    seen = torch.zeros(len(targets.people_floor)).index_add(0, targets.person[mine], torch.ones(int(mine.sum()))) > 0
    errors = [(outputs.fused[n].mean - targets.people_hands[:, s]).norm(dim=-1)[seen] for n, _, s in HANDS]
    floor = outputs.fused["floor"].mean
    hanging = torch.cat([floor, torch.full_like(floor[:, :1], 0.9)], dim=-1)
    base = torch.cat([(hanging - targets.people_hands[:, s]).norm(dim=-1)[seen] for _, _, s in HANDS])
    error = torch.cat(errors)
    far = torch.cat([stretch(targets)[seen, s] for _, _, s in HANDS]) > 0
    reaching = {}
    if bool(far.any()):
        reaching = {"reach_m_median": float(error[far].median()), "reach_m_median_baseline": float(base[far].median())}
    return {
        **reaching,
        "hands_m": float(error.mean()),
        "hands_m_median": float(error.median()),
        "hands_pck10": float((error < 0.1).float().mean()),
        "hands_m_baseline": float(base.mean()),
        "hands_m_median_baseline": float(base.median()),
    }


TASK = DenseTask("hands", loss, metric)
