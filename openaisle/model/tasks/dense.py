"""What a dense (per-patch) task is: a loss and a metric beside a trivial baseline, over flat tokens."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from openaisle.model.batch import DenseTargets
from openaisle.model.network import DenseOutputs

Metrics = dict[str, float]


@dataclass(frozen=True)
class DenseTask:
    """One auxiliary task of the visual trunk. Turning it off is one line in the recipe (its weight)."""

    name: str
    loss: Callable[[DenseOutputs, DenseTargets], Tensor]
    metric: Callable[[DenseOutputs, DenseTargets], Metrics]  # keys "name" and "name_baseline"
