"""An observed case made up: one shopper and another, two lanes on scales, everything believed as it is."""

from __future__ import annotations

import numpy as np

from openaisle.bench.tasks.observed import Observed
from openaisle.tokens.tick import AHEAD_NS

SECOND = 1_000_000_000
START = 1_000 * SECOND
SLOTS = 20  # four seconds
FRONTS = np.array([[0.6, 0.5, 1.0], [9.0, 9.0, 1.0]], dtype=np.float32)  # of the lanes: one before the first person


def perfect() -> Observed:
    """Two people who stand 3 m apart for four seconds; the first takes two units of product 0 from lane 0 at 2 s."""
    slot = np.repeat(np.arange(SLOTS) + START * 5 // SECOND, 2)
    number = np.tile([0, 1], SLOTS)
    walk = np.repeat(np.arange(SLOTS), 2) * 0.05
    floor = np.stack([number * 3.0, walk], axis=1).astype(np.float32)
    head = np.column_stack([floor, np.full(len(floor), 1.7)]).astype(np.float32)
    reach = np.stack([np.full(len(floor), 0.5), np.full(len(floor), 0.2)], axis=1)
    hands = np.stack([np.column_stack([floor[:, 0] + reach[:, i], floor[:, 1], np.full(len(floor), 1.0 + 0.1 * i)])
                      for i in (0, 1)], axis=1).astype(np.float32)  # fmt: skip
    doing = np.where(np.repeat(np.arange(SLOTS), 2) < 10, 0, 1)
    held = np.full((len(floor), 2), -1)
    held[(number == 0) & (slot >= slot[0] + 10), 0] = 2
    held[(number == 1) & (slot >= slot[0] + 10), 1] = 1
    vectors = np.eye(4, dtype=np.float32)
    shown = np.where(held[..., None] >= 0, vectors[held], 0.0).astype(np.float32)
    boxes = np.array([[s, 0, 10.0 + 50 * n, 10.0, 20.0, 40.0] for s in range(0, SLOTS, 5) for n in (0, 1)], np.float32)
    events = np.array([[START + 2 * SECOND, 1, 0, 0, 0, 2]])
    first = np.array([[5, 0, 0, 0], [0, 4, 0, 1]])
    last = np.array([[3, 0, 0, 0], [0, 4, 0, 1]])
    ticks = 10
    grams = np.tile(np.array([[900.0, 50.0]], dtype=np.float32), (ticks, 1))
    grams[2:, 0] -= 200.0
    lying = np.array([[t, 1, 3] for t in range(ticks)])
    return Observed(
        slot, number, floor, head, hands, doing, held, slot.copy(), number.copy(), number.copy(), floor.copy(),
        head.copy(), hands[:, ::-1].copy(), np.eye(8, dtype=np.float32)[doing], shown[:, ::-1].copy(), vectors, boxes,
        np.column_stack([boxes, np.ones(len(boxes))]), np.zeros((0, 7), np.float32), events, events.copy(),
        START + np.arange(ticks) * SECOND - AHEAD_NS, grams, np.array([0, 1]), np.array([0, 1]), FRONTS,
        np.array([100.0, 50.0, 70.0, 30.0], np.float32), lying, lying.copy(), first, last,
        np.arange(600) % 6, np.arange(600) % 6, np.full(8, 2.0, np.float32), np.full(8, 2.0, np.float32),
        np.full(8, 3.0, np.float32), boxes, np.column_stack([boxes, np.ones(len(boxes))]),
        np.zeros((0, 7), np.float32), np.array([4]),
    )  # fmt: skip
