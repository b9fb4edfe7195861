"""Task: depth along the ray at the centre of a patch."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from openaisle.model.batch import DenseTargets
from openaisle.model.network import DenseOutputs
from openaisle.model.tasks.dense import DenseTask, Metrics

BELIEVABLE = 2.5  # |log ratio| beyond which the ray left the store


def loss(outputs: DenseOutputs, targets: DenseTargets) -> Tensor:
    """Huber loss on the log of depth over anchor range."""
    real = targets.log_range.abs() < BELIEVABLE
    return 2.0 * F.smooth_l1_loss(outputs.tokens.log_range[real], targets.log_range[real], beta=0.1)


def metric(outputs: DenseOutputs, targets: DenseTargets) -> Metrics:
    """AbsRel and δ < 1.25; baseline: every patch lies 1 m above the floor (its anchor)."""
    real = targets.log_range.abs() < BELIEVABLE
    truth, guess = targets.log_range[real].exp(), outputs.tokens.log_range[real].exp()
    ratio = (guess / truth).clamp_min(1e-6)
    return {
        "depth_absrel": float(((guess - truth).abs() / truth).mean()),
        "depth_delta125": float(((ratio < 1.25) & (ratio > 0.8)).float().mean()),
        "depth_absrel_baseline": float(((1 - truth).abs() / truth).mean()),
    }


TASK = DenseTask("depth", loss, metric)
