"""The trivial rule on the model's own tracks: nearest hand to a weight step, planogram product, rounded quantity.

So that every number of the network has something to stand beside. It sees and follows with the same network; only
the receipt decoder is replaced.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from openaisle.predictor import Borrowed, Float32, Predictor, TickView, WrittenEvent
from openaisle.tokens.journey import FRAMES, KINDS, hands_in_lanes, opening_distance
from openaisle.tokens.scales import PAST_S, RATE_HZ, TICK_S

FIRST, LAST = int(PAST_S * RATE_HZ), int((PAST_S + TICK_S) * RATE_HZ)
SETTLE = RATE_HZ // 2  # a level is the median over half a second
MIN_SHARE = 0.5  # of a unit's mass: smaller steps are noise, drift or a neighbour's cross-talk
MIN_NOISES = 4.0  # smaller steps are the scale's own noise
REACH_M = 1.2  # nobody takes from a lane that is farther than this from where he stands


class RulePredictor(Borrowed):
    """Nearest tracked hand to a weight step; the eyes are another predictor's. What it writes stands."""

    def __init__(self, eyes: Predictor) -> None:
        super().__init__(eyes, "rule")

    def write(self, view: TickView) -> list[WrittenEvent]:
        """One event per scale whose level steps within the tick by at least half a unit."""
        if not len(view.tracks.floor_m) or not len(view.window.activity):
            return []
        distance = opening_distance(view.table, hands_in_lanes(view.table, view.tracks)).min(-1)  # [S, lanes, FRAMES]
        events = []
        for scale in sorted({int(s) for s in view.table.scale[view.features.lane] if s >= 0}):
            step, sample = strongest_step(view.window.delta_grams[scale])
            if not FIRST <= sample < LAST:
                continue
            event = explain(
                view,
                np.flatnonzero(view.table.scale == scale),
                (step, sample, float(np.median(view.window.delta_grams[scale][sample : sample + SETTLE]))),
                distance,
            )
            if event is not None:
                events.append(event)
        return events


def strongest_step(delta: Float32) -> tuple[float, int]:
    """The largest difference between the medians after and before a sample, and that sample."""
    best, at = 0.0, -1
    for sample in range(SETTLE, len(delta) - SETTLE + 1):  # with LAST: a border step is one tick's
        step = float(np.median(delta[sample : sample + SETTLE]) - np.median(delta[sample - SETTLE : sample]))
        if abs(step) > abs(best):
            best, at = step, sample
    return best, at


def explain(
    view: TickView, lanes: NDArray[np.int64], step: tuple[float, int, float], distance: Float32
) -> WrittenEvent | None:
    """Who (nearest hand), which lane (nearest to that hand), how many (rounded), or None."""
    frame = int(np.clip(step[1] * FRAMES // (FRAMES * RATE_HZ // 5), 0, FRAMES - 1))
    near = distance[:, lanes, max(0, frame - 2) : frame + 2].min(-1)  # [S, lanes]
    shopper, column = np.unravel_index(int(np.argmin(near)), near.shape)
    lane = int(lanes[column])
    product = int(view.table.product[lane])
    unit = float(view.table.unit_grams[product]) if product >= 0 else 0.0
    scale = int(view.table.scale[lane])
    away = body_distance(view, lane)[int(shopper)]
    if unit <= 0 or away > REACH_M:
        return None
    # A pressing hand passes, a unit stays away: the step must hold against the last quiet level, now and at the end.
    after = step[2] + float(view.window.start_grams[scale])
    steps = (step[0], after, float(view.window.step_grams[scale]))
    least = min(steps, key=abs)
    if min(steps) * max(steps) <= 0 or abs(least) < max(
        MIN_SHARE * unit, MIN_NOISES * float(view.window.noise_grams[scale]), 3.0
    ):
        return None
    step = (least, step[1], step[2])
    kind = KINDS.index("take" if step[0] < 0 else "return")
    return WrittenEvent(kind, lane, int(shopper), product, max(1, round(abs(step[0]) / unit)), -1, 0.9)


def body_distance(view: TickView, lane: int) -> Float32:
    """Metres [S] on the floor between the middle of a lane's front and where each shopper comes nearest to it."""
    table = view.table
    local = np.einsum("ij,sfj->sfi", table.rotation[lane][:2, :2], view.tracks.floor_m) + table.translation[lane, :2]
    local[..., 0] -= table.size_m[lane, 0] / 2
    away = np.where(view.tracks.valid > 0, np.linalg.norm(local, axis=-1), np.inf)
    return np.asarray(away.min(-1), dtype=np.float32)
