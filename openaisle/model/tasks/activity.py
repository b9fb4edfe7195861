"""Task: what the owner of a patch is doing (one picture; the journey refines it over time)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from openaisle.model.batch import DenseTargets
from openaisle.model.network import DenseOutputs
from openaisle.model.tasks.dense import DenseTask, Metrics


def loss(outputs: DenseOutputs, targets: DenseTargets) -> Tensor:
    """Cross-entropy over the owner's activity."""
    mine = targets.activity >= 0
    if not bool(mine.any()):
        return outputs.tokens.activity.sum() * 0.0
    return F.cross_entropy(outputs.tokens.activity[mine], targets.activity[mine], label_smoothing=0.05)


def metric(outputs: DenseOutputs, targets: DenseTargets) -> Metrics:
    """Accuracy per person and instant (votes of its patches added); baseline: the most frequent activity."""
    mine = targets.activity >= 0
    if not bool(mine.any()):
        return {}
    people = len(targets.people_floor)
    votes = torch.zeros(people, 8).index_add(0, targets.person[mine], outputs.tokens.activity[mine].log_softmax(-1))
    truth = torch.full((people,), -1).index_put((targets.person[mine],), targets.activity[mine])
    seen = truth >= 0
    guess, truth = votes[seen].argmax(-1), truth[seen]
    f1, base = [], []
    most = torch.bincount(truth).argmax()
    for label in torch.bincount(truth).nonzero()[:, 0]:
        hit = float(((guess == label) & (truth == label)).sum())
        f1.append(2 * hit / float((guess == label).sum() + (truth == label).sum()))
        share = float((truth == label).float().mean())
        base.append(2 * share / (1 + share) if label == most else 0.0)
    return {"activity_f1": sum(f1) / len(f1), "activity_f1_baseline": sum(base) / len(base)}


TASK = DenseTask("activity", loss, metric)
