"""Scores of classifiers and regressors by torchmetrics, arrays in and numbers out."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from openaisle.errors import MissingExtraError

Numbers = NDArray[np.generic]


def f1_per_class(guess: Numbers, truth: Numbers, classes: int) -> NDArray[np.float64]:
    """F1 [classes] of guesses and truth [N]; NaN for classes that the truth does not have."""
    told = _metrics().classification.multiclass_f1_score(_whole(guess), _whole(truth), classes, average="none")
    return _present(told, truth, classes)


def average_precision_per_class(chances: Numbers, truth: Numbers, classes: int) -> NDArray[np.float64]:
    """Average precision [classes] of chances [N, classes]; NaN for classes that the truth does not have."""
    told = _metrics().classification.multiclass_average_precision(
        _real(chances), _whole(truth), classes, average="none", thresholds=None
    )
    return _present(told, truth, classes)


def jaccard_per_class(guess: Numbers, truth: Numbers, classes: int) -> NDArray[np.float64]:
    """Intersection over union [classes] of guesses and truth [N]; NaN for classes that the truth does not have."""
    told = _metrics().classification.multiclass_jaccard_index(_whole(guess), _whole(truth), classes, average="none")
    return _present(told, truth, classes)


def binary_average_precision(chances: Numbers, truth: Numbers) -> float:
    """Average precision of chances [N] for a truth [N] of zeros and ones."""
    return float(_metrics().classification.binary_average_precision(_real(chances), _whole(truth)))


def top_k(scores: Numbers, truth: Numbers, k: int) -> float:
    """Share of rows of scores [N, classes] whose true class [N] is among the k best; N > 0, k at most classes."""
    classes = scores.shape[1]
    accuracy = _metrics().classification.multiclass_accuracy
    return float(accuracy(_real(scores), _whole(truth), classes, average="micro", top_k=min(k, classes)))


def mean_absolute_error(guess: Numbers, truth: Numbers) -> float:
    """Mean of |guess - truth| over arrays of one shape, in their unit."""
    return float(_metrics().mean_absolute_error(_real(guess), _real(truth)))


def absolute_relative_error(guess: Numbers, truth: Numbers) -> float:
    """AbsRel: mean of |guess - truth| / truth; truth > 0."""
    return float(_metrics().mean_absolute_percentage_error(_real(guess), _real(truth)))


def within_ratio(guess: Numbers, truth: Numbers, most: float = 1.25) -> float:
    """Share in which the larger of guess and truth is less than `most` times the smaller (no library has it)."""
    ratio = np.maximum(np.asarray(guess) / np.asarray(truth), np.asarray(truth) / np.asarray(guess))
    return float((ratio < most).mean())


def _metrics() -> Any:
    try:
        import torchmetrics.functional as functional
    except ImportError as error:
        raise MissingExtraError("torchmetrics", "tasks") from error
    return functional


def _present(values: torch.Tensor, truth: Numbers, classes: int) -> NDArray[np.float64]:
    known = np.isin(np.arange(classes), truth)
    return np.where(known, values.numpy().astype(np.float64), np.nan)


def _whole(values: Numbers) -> torch.Tensor:
    return torch.from_numpy(np.asarray(values, dtype=np.int64))


def _real(values: Numbers) -> torch.Tensor:
    return torch.from_numpy(np.asarray(values, dtype=np.float32))
