"""Task: the class of each 4×4-pixel cell of a changed patch."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from openaisle.model.batch import DenseTargets
from openaisle.model.network import DenseOutputs
from openaisle.model.tasks.dense import DenseTask, Metrics
from openaisle.model.trunk import SEGMENT_CLASSES

CLASS_WEIGHT = (0.5, 0.7, 1.0, 1.0, 4.0, 4.0)  # hands and held items are rare and matter most


def loss(outputs: DenseOutputs, targets: DenseTargets) -> Tensor:
    """Weighted cross-entropy over cells."""
    weight = torch.tensor(CLASS_WEIGHT)
    return F.cross_entropy(outputs.tokens.segments.flatten(0, 1), targets.segments.flatten(), weight=weight)


def metric(outputs: DenseOutputs, targets: DenseTargets) -> Metrics:
    """Mean intersection over union of the classes present; baseline: the most frequent class everywhere."""
    guess, truth = outputs.tokens.segments.argmax(-1).flatten(), targets.segments.flatten()
    scores, base = [], []
    most = torch.bincount(truth, minlength=len(SEGMENT_CLASSES)).argmax()
    for label in range(len(SEGMENT_CLASSES)):
        wanted = truth == label
        if bool(wanted.any()):
            scores.append(float(((guess == label) & wanted).sum() / ((guess == label) | wanted).sum()))
            base.append(float(wanted.float().mean()) if label == int(most) else 0.0)
    return {"miou": sum(scores) / len(scores), "miou_baseline": sum(base) / len(base)}


TASK = DenseTask("segmentation", loss, metric)
