"""The planogram and the masses as they have been learnt: what lies astray where, and what this batch really weighs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

BATCH = 0.022  # deviation of a batch's mass around the catalogue, of the mass
LEAST_BATCH = 0.006
SURE = 0.8  # only so sure events teach
ASTRAY = 0.6  # and these, what lies where it does not belong


@dataclass(frozen=True)
class Learnt:
    """By product the share by which its units differ from the catalogue (mean, deviation); by (lane, product) units.

    unit_grams: the catalogue's, 0 = unknown.
    """

    unit_grams: tuple[float, ...]
    shares: Mapping[int, tuple[float, float]] = field(default_factory=dict)
    lying: Mapping[tuple[int, int], int] = field(default_factory=dict)

    def mass(self, product: int) -> tuple[float, float]:
        """Grams of a unit, and the deviation of the batch in grams."""
        share, sd = self.shares.get(product, (0.0, BATCH))
        return self.unit_grams[product] * (1.0 + share), self.unit_grams[product] * sd

    def weighed(self, product: int, grams: float, units: int, sd_grams: float) -> Learnt:
        """After units of a product have been weighed together, to a deviation."""
        unit = self.unit_grams[product] * units
        if unit <= 0:
            return self
        mean, sd = self.shares.get(product, (0.0, BATCH))
        seen, noise = grams / unit - 1.0, max(sd_grams / unit, 1e-3)
        gain = sd**2 / (sd**2 + noise**2)
        share = mean + gain * (seen - mean)
        return replace(self, shares={**self.shares, product: (share, max(LEAST_BATCH, float(np.sqrt(1 - gain) * sd)))})

    def moved(self, lane: int, product: int, units: int) -> Learnt:
        """After units of a product that does not belong there came to a lane, or left it (units < 0)."""
        left = self.lying.get((lane, product), 0) + units
        kept = {key: count for key, count in self.lying.items() if key != (lane, product)}
        return replace(self, lying={**kept, (lane, product): left} if left > 0 else kept)
