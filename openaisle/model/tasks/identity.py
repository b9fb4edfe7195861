"""Task: patches of one person look alike over views and time, and unlike everybody else's."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from openaisle.model.batch import DenseTargets
from openaisle.model.network import DenseOutputs
from openaisle.model.tasks.dense import DenseTask, Metrics

SCALE = 10.0


def views(outputs: DenseOutputs, targets: DenseTargets) -> tuple[Tensor, Tensor]:
    """One vector per (view, person) [V, A] and the identity of each [V]."""
    mine = targets.person >= 0
    people = len(targets.people_floor)
    seen = targets.view[mine] * people + targets.person[mine]
    pair, index = torch.unique(seen, return_inverse=True)
    tokens = outputs.tokens.appearance[mine]
    summed = torch.zeros(len(pair), tokens.shape[-1]).index_add(0, index, tokens)
    return F.normalize(summed, dim=-1, eps=1e-6), targets.people_identity[pair % people]


def loss(outputs: DenseOutputs, targets: DenseTargets) -> Tensor:
    """Supervised contrastive loss over (view, person) vectors."""
    vectors, identity = views(outputs, targets)
    if len(vectors) < 2:
        return outputs.tokens.appearance.sum() * 0.0
    logits = (vectors @ vectors.T * SCALE).fill_diagonal_(-1e4)
    same = (identity[:, None] == identity[None, :]).float().fill_diagonal_(0)
    has = same.sum(-1) > 0
    if not bool(has.any()):
        return outputs.tokens.appearance.sum() * 0.0
    log_p = logits.log_softmax(-1)
    return -((log_p * same).sum(-1)[has] / same.sum(-1)[has]).mean()


def metric(outputs: DenseOutputs, targets: DenseTargets) -> Metrics:
    """Is the most alike other view of the same person? Baseline: a random other view."""
    vectors, identity = views(outputs, targets)
    if len(vectors) < 2:
        return {}
    same = (identity[:, None] == identity[None, :]).float().fill_diagonal_(0)
    nearest = (vectors @ vectors.T).fill_diagonal_(-2).argmax(-1)
    has = same.sum(-1) > 0
    hit = same[torch.arange(len(same)), nearest][has].mean()
    return {"identity_top1": float(hit), "identity_top1_baseline": float((same.sum(-1)[has] / (len(same) - 1)).mean())}


TASK = DenseTask("identity", loss, metric)
