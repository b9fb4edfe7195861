"""Interactions: takes and returns as the ledger has them at the end against the true ones: when, which lane, how many.

Events are rows of EVENT_COLUMNS (observed.py): time_ns, sign, visit, lane, product, units.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from openaisle.bench.tasks.observed import Observed
from openaisle.messages import NANOSECONDS
from openaisle.tokens.tick import AHEAD_NS, SLOT_NS

SPOT_NS = NANOSECONDS  # an event is found when it is told within a second
UNITS_NS = 2 * NANOSECONDS  # units are somebody's account of the event when they are told within two
TIME, SIGN, VISIT, LANE, PRODUCT, UNITS = range(6)  # columns
NEAR_SLOTS = 3  # a step is by whoever was nearest within so many slots of it
Events = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Spotted:
    """Counts of spotting; they add up over cases."""

    hits: int
    told: int
    true: int

    @property
    def f1(self) -> float:
        """2 hits / (told + true); 1 where there was nothing and nothing was told."""
        return 2 * self.hits / (self.told + self.true) if self.told + self.true else 1.0


def spotted(truth: Events, told: Events, columns: tuple[int, ...] = (SIGN, LANE)) -> Spotted:
    """Events told within a second that agree in `columns`, one to one, the nearest in time first."""
    same = np.stack([truth[:, None, c] == told[None, :, c] for c in columns]).all(0)
    apart = np.where(same, np.abs(truth[:, None, TIME] - told[None, :, TIME]).astype(np.float64), np.inf)
    hits = 0
    while apart.size and apart.min() <= SPOT_NS:
        a, b = np.unravel_index(int(apart.argmin()), apart.shape)
        apart[a], apart[:, b] = np.inf, np.inf
        hits += 1
    return Spotted(hits, len(told), len(truth))


def steps(o: Observed) -> Events:
    """The trivial spotter: a scale's one-second level jumps by more than half a unit of the lane's own product.

    The event is put into the first lane on the scale, at the second's beginning; units are the jump over a unit's mass,
    and the visit is whose hand is nearest to the lane.
    """
    rows = []
    for scale in range(o.grams.shape[1]):
        lanes = np.flatnonzero((o.lane_scale == scale) & (o.lane_product >= 0))
        if not len(lanes):
            continue
        product = int(o.lane_product[lanes[0]])
        unit = float(o.unit_grams[product])
        jumps = np.diff(o.grams[:, scale], prepend=np.nan)
        for tick in np.flatnonzero(np.abs(jumps) > unit / 2).tolist() if unit > 0 else ():
            units = max(1, round(abs(float(jumps[tick])) / unit))
            sign = 1 if jumps[tick] < 0 else -1
            time_ns = int(o.tick_ns[tick]) + AHEAD_NS
            row, _ = nearest_hand(o, time_ns, o.lane_front_m[lanes[:1]])
            visit = int(o.visit[row]) if row >= 0 else -1
            rows.append((time_ns, sign, visit, int(lanes[0]), product, units))
    return np.array(rows, dtype=np.int64).reshape(-1, 6)


def told_lanes(truth: Events, told: Events) -> NDArray[np.int64]:
    """The lane [N] told of a product that moved: that of the event of its product and direction nearest in time.

    -1 = none is told within a second.
    """
    out = np.full(len(truth), -1, dtype=np.int64)
    for i, event in enumerate(truth):
        same = (told[:, SIGN] == event[SIGN]) & (told[:, PRODUCT] == event[PRODUCT])
        apart = np.where(same, np.abs(told[:, TIME] - event[TIME]), SPOT_NS + 1)
        if len(apart) and apart.min() <= SPOT_NS:
            out[i] = told[int(apart.argmin()), LANE]
    return out


def lanes_by_hand(o: Observed) -> NDArray[np.int64]:
    """The trivial answer [N]: the lane whose opening was nearest to anybody's believed hand around each event."""
    found = [nearest_hand(o, time_ns, o.lane_front_m)[1] for time_ns in o.true_events[:, TIME].tolist()]
    return np.array(found, dtype=np.int64)


def nearest_hand(o: Observed, time_ns: int, points_m: NDArray[np.floating]) -> tuple[int, int]:
    """Row of whose believed hand came nearest to any of the points [K, 3] around an instant, and which; -1 = nobody."""
    rows = np.flatnonzero(np.abs(o.slot - time_ns // SLOT_NS) <= NEAR_SLOTS)
    if not len(rows):
        return -1, -1
    away = np.linalg.norm(o.hands_m[rows][:, :, None] - points_m[None, None], axis=-1).min(1)  # [rows, K]
    row, point = np.unravel_index(int(away.argmin()), away.shape)
    return int(rows[row]), int(point)


def accounts(truth: Events, told: Events, unit_grams: NDArray[np.floating]) -> tuple[Events, NDArray[np.float64]]:
    """Units [N] and grams [N] (what the shelf lost) that are told of each true event.

    An event that is told counts for the nearest true one of the same direction and lane within two seconds.
    """
    units, grams = np.zeros(len(truth), dtype=np.int64), np.zeros(len(truth))
    for event in told:
        same = (truth[:, SIGN] == event[SIGN]) & (truth[:, LANE] == event[LANE])
        apart = np.where(same, np.abs(truth[:, TIME] - event[TIME]), UNITS_NS + 1)
        if len(apart) and apart.min() <= UNITS_NS:
            units[apart.argmin()] += event[UNITS]
            grams[apart.argmin()] += masses(event[None], unit_grams)[0]
    return units, grams


def masses(events: Events, unit_grams: NDArray[np.floating]) -> NDArray[np.float64]:
    """Grams [N] that the shelf lost by each event, by the catalogue; nothing for an unknown product."""
    known = events[:, PRODUCT] >= 0
    each = np.where(known, unit_grams[np.where(known, events[:, PRODUCT], 0)], 0.0)
    return np.asarray(events[:, SIGN] * events[:, UNITS] * each, dtype=np.float64)


def stock_told(o: Observed) -> NDArray[np.int64]:
    """Units [L, P] when the shop closes, for one who counted them when it opened and then read the ledger."""
    stock = o.stock_first.copy()
    for event in o.events:
        if event[LANE] >= 0 and event[PRODUCT] >= 0:
            stock[event[LANE], event[PRODUCT]] -= event[SIGN] * event[UNITS]
    return np.asarray(stock.clip(0))


def misplaced(o: Observed, every: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Truth and knowledge (0 or 1) of every lane and product that is not its own, at every so many ticks: [_], [_]."""
    foreign = np.arange(len(o.unit_grams))[None] != o.lane_product[:, None]
    truth: list[NDArray[np.int64]] = []
    told: list[NDArray[np.int64]] = []
    for tick in range(every - 1, len(o.tick_ns), every):
        for rows, out in ((o.true_lying, truth), (o.lying, told)):
            here = np.zeros(foreign.shape, dtype=np.int64)
            now = rows[rows[:, 0] == tick]
            here[now[:, 1], now[:, 2]] = 1
            out.append(here[foreign])
    none = np.zeros(0, dtype=np.int64)
    return np.concatenate([none, *truth]), np.concatenate([none, *told]).astype(np.float32)
