"""Scale windows: irregular batches become 20 Hz rows, and a row around a tick becomes features.

Only differences mean anything, so a window is told relative to the level just before it and to the last
quiet level. A window runs half a second past its tick: latency paid, certainty gained.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RATE_HZ = 20
PAST_S, TICK_S, AHEAD_S = 1.0, 1.0, 0.5
HISTORY_S = 6.0  # before the tick: where the last quiet level is looked for
HISTORY = int((HISTORY_S + TICK_S + AHEAD_S) * RATE_HZ)  # samples handed to `scale_window`: [tick - 6 s, tick + 1.5 s)
WINDOW = int((PAST_S + TICK_S + AHEAD_S) * RATE_HZ)  # samples the network sees: [tick - 1 s, tick + 1.5 s)
SEGMENT = RATE_HZ // 2  # quiet is judged over half a second
QUIET_GRAMS = 2.0
Float32 = NDArray[np.float32]


@dataclass(frozen=True)
class ScaleWindow:
    """Windows of all scales around a tick, C scales."""

    delta_grams: Float32  # [C, WINDOW] against the level at the window's start
    step_grams: Float32  # [C] level at the end minus the last quiet level
    start_grams: Float32  # [C] level at the start minus the last quiet level
    noise_grams: Float32  # [C] standard deviation when quiet
    missing: Float32  # [C] share of samples without a reading in the window
    activity: Float32  # [C] larger of |delta| (over a quarter second) and |step|, in units of max(3 g, 2.5 noises)


def fill_gaps(rows: Float32) -> tuple[Float32, Float32]:
    """Rows [C, T] with NaN replaced by the last reading (the first one before it), and the share missing per row."""
    bad = np.isnan(rows)
    if not bad.any():
        return rows, np.zeros(len(rows), dtype=np.float32)
    index = np.where(bad, -1, np.arange(rows.shape[1]))
    index = np.maximum.accumulate(index, axis=1)
    first = np.argmax(~bad, axis=1)
    index = np.where(index < 0, first[:, None], index)
    filled = np.take_along_axis(rows, index, axis=1)
    return np.nan_to_num(filled, nan=0.0).astype(np.float32), bad[:, -WINDOW:].mean(1).astype(np.float32)


def scale_window(history: Float32) -> ScaleWindow:
    """Features of scales around a tick from history [C, HISTORY] grams (NaN = no reading)."""
    if not len(history):
        none = np.zeros(0, dtype=np.float32)
        return ScaleWindow(np.zeros((0, WINDOW), dtype=np.float32), none, none, none, none, none)
    rows, missing = fill_gaps(history)
    past = rows[:, : HISTORY - WINDOW]
    segments = past.reshape(len(rows), -1, SEGMENT)
    spread, level = segments.std(-1), np.median(segments, axis=-1)
    noise = np.maximum(np.sort(spread, axis=1)[:, spread.shape[1] // 4], 0.3)
    quiet = spread <= np.maximum(QUIET_GRAMS, 1.8 * noise[:, None])
    last = segments.shape[1] - 1 - np.argmax(quiet[:, ::-1], axis=1)
    quiet_level = level[np.arange(len(rows)), last]
    start = np.median(rows[:, HISTORY - WINDOW : HISTORY - WINDOW + 8], axis=1)
    delta = rows[:, HISTORY - WINDOW :] - start[:, None]
    end = np.median(rows[:, -7:], axis=1)
    step = end - quiet_level
    # a quarter second's mean has less than half the noise of a sample
    smooth = delta.reshape(len(rows), -1, RATE_HZ // 4).mean(-1)
    activity = np.maximum(np.abs(smooth).max(1), np.abs(step)) / np.maximum(3.0, 2.5 * noise)
    f32 = np.float32
    return ScaleWindow(
        delta.astype(f32),
        step.astype(f32),
        (start - quiet_level).astype(f32),
        noise.astype(f32),
        missing,
        activity.astype(f32),
    )
