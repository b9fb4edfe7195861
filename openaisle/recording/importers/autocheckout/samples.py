"""Plate samples become batches, whatever the state of their clock: late, doubled, rounded or jittering times."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from openaisle.messages import NANOSECONDS, ScaleBatch
from openaisle.recording.importers.autocheckout.case import Samples
from openaisle.recording.importers.tables import BATCH_NS

GAP = 3.0  # sample intervals without a sample


def joined(chunks: list[Samples]) -> tuple[NDArray[np.int64], NDArray[np.float32], int]:
    """All samples of a plate in order of time, and how many had come late. Samples at the same instant are spread."""
    times = np.concatenate([chunk[0] for chunk in chunks])
    grams = np.concatenate([chunk[1] for chunk in chunks])
    late = int((np.diff(times) < 0).sum())
    if late:
        order = np.argsort(times, kind="stable")
        times, grams = times[order], grams[order]
    return _spread(times), grams, late


def _spread(times: NDArray[np.int64]) -> NDArray[np.int64]:
    """Samples that bear the same time (a clock of few digits, or a time per message) fill the span to the next one."""
    instants, first, counts = np.unique(times, return_index=True, return_counts=True)
    if counts.max(initial=1) == 1 or len(instants) < 2:
        return times
    widths = np.diff(instants)
    widths = np.append(widths, np.int64(np.median(widths)))
    widths = np.minimum(widths, np.int64(np.median(widths)))  # not across a gap
    steps = widths // counts
    return np.asarray(times + (np.arange(len(times)) - np.repeat(first, counts)) * np.repeat(steps, counts))


def batches(scale: str, times: NDArray[np.int64], grams: NDArray[np.float32]) -> Iterator[ScaleBatch]:
    """Batches of about half a second from samples in order; a gap starts a new one, jitter is evened out."""
    apart = np.diff(times)
    # One sample alone says nothing about the rate: 1 Hz is as good as any.
    interval = max(1.0, float(np.median(apart))) if len(apart) else float(NANOSECONDS)
    most = max(1, round(BATCH_NS / interval))
    runs = np.flatnonzero(apart > GAP * interval) + 1
    seq = 0
    for begin, end in zip([0, *runs.tolist()], [*runs.tolist(), len(times)], strict=True):
        for first in range(begin, end, most):
            after = min(first + most, end)
            step = interval
            if after < end:
                step = (times[after] - times[first]) / (after - first)
            elif after - first > 1:
                step = (times[after - 1] - times[first]) / (after - first - 1)
            rate_hz = NANOSECONDS / max(1.0, float(step))
            yield ScaleBatch(scale, int(times[first]), rate_hz, grams[first:after], "import", 0, seq)
            seq += 1
