"""Task: where people stand and where their heads are, per patch and fused over all views."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from openaisle.model.batch import DenseTargets
from openaisle.model.gaussians import negative_log_likelihood
from openaisle.model.network import DenseOutputs, FusedPoint
from openaisle.model.tasks.dense import DenseTask, Metrics
from openaisle.model.trunk import Gaussian


def fused_loss(fused: FusedPoint, target: Tensor) -> Tensor:
    """Student-t loss of fused points [P, K] for people seen by at least one patch."""
    seen = fused.information.diagonal(dim1=-2, dim2=-1).mean(-1) > 0.5  # 1/m²
    if not bool(seen.any()):
        return fused.mean.sum() * 0.0
    factor = torch.linalg.cholesky(fused.information[seen])
    return negative_log_likelihood(Gaussian(fused.mean[seen], factor), target[seen]).mean()


def loss(outputs: DenseOutputs, targets: DenseTargets) -> Tensor:
    """Is it a person, and whose: per-patch likelihoods plus the fused ones."""
    mine = targets.person >= 0
    person = F.binary_cross_entropy_with_logits(outputs.tokens.person, mine.float())
    if not bool(mine.any()):
        return person
    floor, head = outputs.tokens.floor, outputs.tokens.head
    total = person * 2.0
    total = (
        total
        + negative_log_likelihood(Gaussian(floor.mean[mine], floor.factor[mine]), targets.offsets[mine, :2]).mean()
    )
    total = (
        total
        + 0.5 * negative_log_likelihood(Gaussian(head.mean[mine], head.factor[mine]), targets.offsets[mine, 2:5]).mean()
    )
    total = total + fused_loss(outputs.fused["floor"], targets.people_floor)
    return total + 0.5 * fused_loss(outputs.fused["head"], targets.people_head)


def metric(outputs: DenseOutputs, targets: DenseTargets) -> Metrics:
    """Median error of the fused floor point in metres; baseline: the mean of the anchors of a person's patches."""
    mine = targets.person >= 0
    if not bool(mine.any()):
        return {}
    correct = ((outputs.tokens.person > 0) == mine).float().mean()
    error = (outputs.fused["floor"].mean - targets.people_floor).norm(dim=-1)
    seen = torch.zeros(len(error)).index_add(0, targets.person[mine], torch.ones(int(mine.sum())))
    anchors = torch.zeros(len(error), 2).index_add(0, targets.person[mine], targets.anchor[mine, :2])
    base = (anchors / seen[:, None].clamp_min(1) - targets.people_floor).norm(dim=-1)
    visible = seen > 0
    return {
        "position_m": float(error[visible].median()),
        "position_m_p90": float(error[visible].quantile(0.9)),
        "position_m_baseline": float(base[visible].median()),
        "person_accuracy": float(correct),
        "person_accuracy_baseline": float(max(mine.float().mean(), 1 - mine.float().mean())),
    }


TASK = DenseTask("position", loss, metric)
