"""What is remembered from tick to tick of scales, hands and testimony, until an interaction is over."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from openaisle.tokens.journey import FRAME_HZ
from openaisle.tokens.scales import RATE_HZ
from openaisle.weighing.associate import Hands
from openaisle.weighing.interactions import Watch
from openaisle.weighing.learnt import Learnt
from openaisle.weighing.witness import Told

KEPT_SLOTS = 45 * FRAME_HZ


@dataclass(frozen=True)
class Slot:
    """Everybody at one instant, by shopper number: hands [2, 3] in metres, their deviations [2]; heads [3]."""

    hands: Mapping[int, tuple[NDArray[np.float32], NDArray[np.float32]]]
    heads: Mapping[int, NDArray[np.float32]] = field(default_factory=dict)


@dataclass(frozen=True)
class Weighing:
    """Scales, hands, what was written of what is not yet explained, and what has been learnt of masses."""

    watch: Watch = field(default_factory=Watch)
    slots: tuple[Slot, ...] = ()
    told: tuple[Told, ...] = ()
    learnt: Learnt = field(default_factory=lambda: Learnt(()))

    def hands(self, visits: tuple[str, ...], numbers: tuple[int, ...], told: tuple[Told, ...]) -> Hands:
        """The hands of those who are in the shop: their visits and numbers."""
        at = np.full((len(self.slots), len(numbers), 2, 3), np.nan)
        sd = np.full((len(self.slots), len(numbers), 2), 1.0)
        for t, slot in enumerate(self.slots):
            for i, number in enumerate(numbers):
                if number in slot.hands:
                    at[t, i], sd[t, i] = slot.hands[number]
        return Hands(self.first, visits, numbers, at, sd, told)

    @property
    def first(self) -> int:
        """Number of the first slot that is remembered."""
        return self.watch.end * FRAME_HZ // RATE_HZ - len(self.slots)

    def heads(self, numbers: tuple[int, ...]) -> NDArray[np.float64]:
        """Heads [T, N, 3] of shoppers, slot by slot; NaN = not in the shop."""
        nowhere = np.full(3, np.nan)
        rows = [[slot.heads.get(number, nowhere) for number in numbers] for slot in self.slots]
        return np.array(rows, dtype=np.float64).reshape(len(self.slots), len(numbers), 3)
