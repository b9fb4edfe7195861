"""The decoder as a witness: what it wrote while scales moved, and how far that speaks for a move, and for a person.

It has seen the hands, the item and the first second of the step; the scales see all of it. Neither is believed alone:
testimony lowers what a move costs, and its chances of who it was are multiplied with the hands' closeness.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from openaisle.tokens.scales import RATE_HZ

NEAR = round(1.5 * RATE_HZ)  # samples between a step and the middle of the tick in which it was written, at most
WORTH = 1.0  # log-odds by which an event speaks for its like, beside those of its own confidence
OTHER_UNITS, OTHER_PRODUCT = 2.5, 2.0  # what of that is lost where it was written otherwise
SURE = (0.1, 0.97)  # its confidence is believed within these
HANDS_SHARE, LOOK_SHARE = 0.3, 0.1  # of hands and pictures in whether anybody was at the lane (fitted, dev/LOG.md)
MOST_SEEN = 12.0  # log-odds that pictures say of whether anybody was there
UNTOLD_COST = 1.5  # of a move of which nothing was written
SAID, SHOWN = 0.5, 0.2  # exponents of its chances of who it was, and of the hands' closeness (fitted, dev/LOG.md)
SEEN = 0.15  # and of what the look at the pictures says of people
ALONE_SHOWN, ALONE_SEEN = 0.3, 0.33  # exponents of hands and pictures where nothing was said
PLACED = 0.5  # and of lanes
LEAST_CHANCE = 0.003
Float = NDArray[np.float64]


@dataclass(frozen=True)
class Told:
    """An event as it was written: lane, scale and product as store indices, and each visit's chance."""

    event_id: str
    lane: int
    scale: int
    sample: int  # the middle of its tick, as interactions count
    kind: str  # "take" | "return"
    product: int
    units: int
    people: Mapping[str, float]
    sure: float


@dataclass(frozen=True)
class Look:
    """What pictures tell of an event on a scale (actors.py)."""

    people: Float  # [N] log-chance of each person to have been the one
    lanes: Mapping[int, float]  # log-chance of each of the scale's lanes (store index)
    somebody: float = 0.0  # log-odds that it was anybody at all, within MOST_SEEN

    def against(self, lane: int) -> float:
        """Log-odds against a lane, beside the likeliest of its scale."""
        return max(self.lanes.values()) - self.lanes[lane] if self.lanes else 0.0


Looking = Callable[[int, int], Look | None]  # by scale and sample


def unseen(scale: int, sample: int) -> Look | None:
    """Nothing is seen."""
    return None


def testimony(said: Sequence[Told], what: tuple[str, int, int, int]) -> float:
    """Log-odds by which what was said of a step speaks for a move (kind, scale, product, units); 0 where none does."""
    kind, scale, product, units = what
    alike = [t for t in said if (t.kind, t.scale) == (kind, scale)]
    same = [t for t in alike if t.product == product]
    if same and sum(t.units for t in same) == units:
        return max(0.0, WORTH + sum(odds(t.sure) for t in same) / len(same))
    return max((partly(t, product, units) for t in alike), default=0.0)


def partly(told: Told, product: int, units: int) -> float:
    """Log-odds by which one event speaks for so many units of a product."""
    lost = OTHER_UNITS * (told.units != units) + OTHER_PRODUCT * (told.product != product)
    return max(0.0, WORTH + odds(told.sure) - lost)


def teller(said: Sequence[Told], what: tuple[str, int, int, int]) -> str:
    """Of whom an event tells that is just such a move: a visit; "" where none does, or of nobody."""
    same = (t for t in said if (t.kind, t.scale, t.product, t.units) == what)
    return next((likeliest(t) for t in same if t.people), "")


def likeliest(told: Told) -> str:
    """The visit of whom an event tells."""
    return max(told.people, key=lambda visit: told.people[visit])


def odds(sure: float) -> float:
    """Log-odds of a confidence."""
    believed = float(np.clip(sure, *SURE))
    return float(np.log(believed / (1 - believed)))


def who(said: Sequence[Told], kind: str, scale: int, sample: int, visits: Sequence[str]) -> Float | None:
    """Log-chance [N] of each visit to have been the one, by the event written nearest; None where none was."""
    alike = [t for t in said if (t.kind, t.scale) == (kind, scale) and t.people]
    if not alike:
        return None
    best = min(alike, key=lambda t: abs(t.sample - sample))
    return np.log(np.maximum([best.people.get(visit, 0.0) for visit in visits], LEAST_CHANCE))
