"""Tracks: where everybody is and has just been, and which lanes their hands are at; for those who draw."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from pydantic import TypeAdapter

from openaisle.predictor import floats
from openaisle.state import State
from openaisle.store.store import Store

TRAIL_S = 12  # of a trail, a point a second
HAND_M = 0.25  # from a lane's opening: the hand is at it
SURE_M = 0.2  # deviation of a hand's place: who draws leaves others out
Point = tuple[float, float]
Point3 = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Person:
    """One shopper; metres in the store."""

    visit: str
    x_m: float
    y_m: float
    trail_m: tuple[Point, ...] = ()  # oldest first
    hands_m: tuple[Point, ...] = ()  # those that are at a lane
    lanes: tuple[str, ...] = ()  # where those are
    head_m: Point3 | None = None  # its centre
    reach_m: tuple[Point3, ...] = ()  # all hands whose place is known


PEOPLE = TypeAdapter(tuple[Person, ...])


@dataclass
class Trails:
    """A run's trails, by shopper number."""

    store: Store
    _points: dict[int, deque[Point]] = field(default_factory=dict)

    def people(self, state: State, names: Mapping[str, str]) -> tuple[Person, ...]:
        """Everybody who is inside after a tick; called once a tick."""
        floor = floats(state.memory["floor"]).tolist()
        hands = floats(state.memory["hands"]).reshape(-1, 2, 3)
        variance = floats(state.memory["hand_variance"]).reshape(-1, 2, 3, 3)
        sure = np.sqrt(np.trace(variance, axis1=-2, axis2=-1) / 3) < SURE_M
        heads = floats(state.memory["head"]).reshape(-1, 3)
        inside = {shopper.number for shopper in state.shoppers}
        self._points = {number: points for number, points in self._points.items() if number in inside}
        out = []
        for row, (shopper, (x, y), pair) in enumerate(zip(state.shoppers, floor, hands, strict=True)):
            at = (round(x, 2), round(y, 2))
            points = self._points.setdefault(shopper.number, deque(maxlen=TRAIL_S))
            points.append(at)
            reaching = [(hand, lane) for hand in pair if (lane := self._lane_at(hand))]
            out.append(
                Person(
                    names[shopper.visit], *at, tuple(points),
                    tuple((round(float(hand[0]), 2), round(float(hand[1]), 2)) for hand, _ in reaching),
                    tuple(sorted({lane for _, lane in reaching})), _rounded(heads[row]),
                    tuple(place for hand in pair[sure[row]] if (place := _rounded(hand)) is not None),
                )
            )  # fmt: skip
        return tuple(out)

    def _lane_at(self, hand_m: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> str:
        """The lane whose opening a hand is nearest to and at; "" for none."""
        if not self.store.lanes or not np.isfinite(hand_m).all():
            return ""
        away_m = np.linalg.norm(self._fronts - hand_m, axis=1)
        nearest = int(np.argmin(away_m))
        return self.store.lanes[nearest].id if away_m[nearest] <= HAND_M else ""

    @property
    def _fronts(self) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
        return np.stack([lane.front_m for lane in self.store.lanes])


def _rounded(at_m: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> Point3 | None:
    """To the centimetre; None for a place that is not known."""
    if not np.isfinite(at_m).all():
        return None
    x, y, z = (round(float(value), 2) for value in at_m)
    return x, y, z
