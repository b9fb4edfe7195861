"""Samples of all plates become one row of tenths of a second each, with the plate's own noise measured from it.

Medians throughout: bursts, late messages, jitter, lost rows and spikes move none of them far. A plate that repeats
one value although it never did so before is stuck or dead: that is no reading.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from openaisle.messages import NANOSECONDS, ScaleBatch

BLOCK_NS = NANOSECONDS // 10
SECOND = 10  # blocks
ABSURD_G = 1e6
STUCK_S = 1.5  # so long one value, again and again
LIVELY = 0.5  # of a living plate's samples, at least, differ from the one before
LEAST_NOISE_G = 0.15  # of a level: no plate is better than that
NORMAL_MAD = 1.4826  # standard deviation of a normal distribution by its median absolute deviation
Float = NDArray[np.float64]


@dataclass(frozen=True)
class Series:
    """Plates in tenths of a second."""

    begin_ns: int
    grams: NDArray[np.float32]  # [plates, blocks] medians, NaN = no reading
    noise: Float  # [plates] sd of a block, grams
    level_noise: Float  # [plates] sd of a second's median, grams

    def time_ns(self, block: int) -> int:
        """Where a block begins."""
        return self.begin_ns + block * BLOCK_NS


def read_series(scales: Iterable[str], batches: Iterable[ScaleBatch]) -> Series:
    """Series of the named scales, in their order, from batches in any order."""
    rows: dict[str, list[ScaleBatch]] = {scale: [] for scale in scales}
    for batch in batches:
        if batch.scale in rows and len(batch.grams):
            rows[batch.scale].append(batch)
    spans = [
        (batch.time_ns, batch.time_ns + round((len(batch.grams) - 1) * NANOSECONDS / batch.rate_hz))
        for own in rows.values()
        for batch in own
    ]
    begin_ns = min((begin for begin, _ in spans), default=0)
    blocks = (max((end for _, end in spans), default=-1) - begin_ns) // BLOCK_NS + 1
    grams = np.full((len(rows), max(0, blocks)), np.nan, dtype=np.float32)
    for i, own in enumerate(rows.values()):
        if own:
            times, values = _samples(own)
            grams[i] = _block_medians((times - begin_ns) // BLOCK_NS, values, blocks)
    noise = np.array([_noise(row.astype(np.float64)) for row in grams]).reshape(-1, 2)
    return Series(begin_ns, grams, noise[:, 0], noise[:, 1])


def _samples(batches: list[ScaleBatch]) -> tuple[NDArray[np.int64], Float]:
    """All samples of a plate in order of time, without those that cannot be readings."""
    counts = np.array([len(batch.grams) for batch in batches])
    rank = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    interval = np.repeat(np.array([NANOSECONDS / batch.rate_hz for batch in batches]), counts)
    times = np.repeat(np.array([batch.time_ns for batch in batches]), counts) + np.round(rank * interval).astype(
        np.int64
    )
    values = np.concatenate([batch.grams for batch in batches]).astype(np.float64)
    order = np.argsort(times, kind="stable")
    times, values = times[order], values[order]
    values[~(np.abs(values) < ABSURD_G)] = np.nan
    values[stuck(times, values)] = np.nan
    return times, values


def stuck(times: NDArray[np.int64], values: Float) -> NDArray[np.bool_]:
    """Which samples belong to a long run of one value, on a plate whose other samples hardly ever repeat."""
    out = np.zeros(len(values), dtype=bool)
    read = np.flatnonzero(np.isfinite(values))
    if len(read) < 3:
        return out
    changes = np.flatnonzero(np.diff(values[read]) != 0) + 1
    first, last = np.append(0, changes), np.append(changes, len(read)) - 1
    long = times[read[last]] - times[read[first]] >= STUCK_S * NANOSECONDS
    for a, b in zip(first[long], last[long], strict=True):
        out[read[a] : read[b] + 1] = True
    others = int((~out[read]).sum())
    lively = int((~long).sum()) >= LIVELY * others
    return out if others and lively else np.zeros(len(values), dtype=bool)


def _block_medians(block: NDArray[np.int64], values: Float, blocks: int) -> Float:
    """Median of the samples in each block; block numbers [n] ascend."""
    block, values = block[np.isfinite(values)], values[np.isfinite(values)]
    if not len(block):
        return np.full(blocks, np.nan)
    _, first, counts = np.unique(block, return_index=True, return_counts=True)
    table = np.full((blocks, int(counts.max())), np.nan)
    table[block, np.arange(len(block)) - np.repeat(first, counts)] = values
    return medians(table)


def medians(rows: Float, least: int = 1) -> Float:
    """Median of each row [n, m] over its numbers; NaN for rows with fewer than `least`."""
    ordered = np.sort(rows, axis=1)  # NaN last
    count = np.isfinite(rows).sum(1)
    low, high = np.maximum(count - 1, 0) // 2, np.minimum(count // 2, rows.shape[1] - 1)
    at = np.arange(len(rows))
    out = (ordered[at, low] + ordered[at, high]) / 2
    return np.where(count >= least, out, np.nan)


def _noise(row: Float) -> tuple[float, float]:
    """Standard deviation of a block and of a second's median, both from differences, which drift and steps spare."""
    seconds = len(row) // SECOND
    whole = medians(row[: seconds * SECOND].reshape(seconds, SECOND), least=3) if seconds else row[:0]
    block = _spread(np.diff(row[np.isfinite(row)]))
    level = max(_spread(np.diff(whole[np.isfinite(whole)])), 1.25 * block / np.sqrt(SECOND), LEAST_NOISE_G)
    return max(block, LEAST_NOISE_G), level


def _spread(differences: Float) -> float:
    """Standard deviation of the values behind some differences, by their median size."""
    if not len(differences):
        return 0.0
    return float(NORMAL_MAD * np.median(np.abs(differences)) / np.sqrt(2))
