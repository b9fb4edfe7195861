"""Who: the nearest hands over each event and what the decoder said, all events of a time at once as an assignment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from lap import lapjv
from numpy.typing import NDArray

from openaisle.tokens.journey import FRAME_HZ, LaneTable
from openaisle.tokens.scales import RATE_HZ
from openaisle.weighing.witness import (
    ALONE_SEEN,
    ALONE_SHOWN,
    SAID,
    SEEN,
    SHOWN,
    Looking,
    Told,
    unseen,
    who,
)

SAMPLES = RATE_HZ // FRAME_HZ  # of a scale per slot
BEFORE_S, AFTER_S = 0.6, 0.4  # around a step: from the grasp to the hand's way back
HAND_M = 0.10  # deviation of a hand from where it is believed, beside what the tracker says of it
ELSEWHERE = 0.02  # density of a hand that is not where it is believed
SLOT_SHARE = 0.5  # neighbouring slots err together
CLAIMED = 0.5  # how much of the tracker's own deviation is believed
SAME_TIME = RATE_HZ // 2  # one hand does not do two things in two lanes within so many samples
MOST_COST = 10.0  # where nobody's hand was anywhere near
TURN = round(1.4 * RATE_HZ)  # samples within which a hand that took puts nothing back there, nor takes what it put
TURNED = 0.1  # of such pairs one in ten is one person's (dev/LOG.md)
Float = NDArray[np.float64]


@dataclass(frozen=True)
class Done:
    """What happened on a scale a moment ago, and the chance of each column of the hands to have done it."""

    kind: str
    scale: int
    sample: int
    people: tuple[float, ...]


@dataclass(frozen=True)
class Hands:
    """Where everybody's hands were, slot by slot: N people (their visits may be the same)."""

    first: int  # number of the first slot
    visits: tuple[str, ...]
    numbers: tuple[int, ...]
    hands_m: Float  # [T, N, 2, 3], NaN = not in the shop
    sd_m: Float  # [T, N, 2]
    told: tuple[Told, ...] = ()  # what the decoder wrote meanwhile
    looks: Looking = unseen
    heard: bool = True  # somebody writes of what they see: silence says something, too
    done: tuple[Done, ...] = ()

    def belief(self, table: LaneTable, move: tuple[str, int, int], sample: int, said: Sequence[Told]) -> Float:
        """Log-odds [N, 2], but for a constant, that each hand made a move (kind, lane, scale): closeness and words."""
        kind, lane, scale = move
        shown, chance = self.closeness(table, lane, sample), who(said, kind, scale, sample, self.visits)
        seen = self.looks(scale, sample) if len(set(self.visits)) > 1 else None
        if chance is not None:
            found, share = SHOWN * shown + SAID * chance[:, None], SEEN
        else:
            found, share = (ALONE_SHOWN * shown, ALONE_SEEN) if self.heard else (shown, SEEN)
        found = found + self.unhurried(kind, scale, sample)[:, None]
        return found if seen is None else found + share * seen.people[:, None]

    def unhurried(self, kind: str, scale: int, sample: int) -> Float:
        """Log-odds [N] for each person by what they did on a scale a moment ago: the contrary takes another hand."""
        out = np.zeros(len(self.visits))
        for done in self.done:
            if done.scale == scale and done.kind != kind and abs(done.sample - sample) < TURN:
                chance = [sum(p for of, p in zip(self.visits, done.people, strict=True) if of == visit)
                          for visit in self.visits]  # fmt: skip
                out += np.log(1.0 - (1.0 - TURNED) * np.minimum(1.0, chance))
        return out

    def closeness(self, table: LaneTable, lane: int, sample: int) -> Float:
        """Log density [N, 2] that each hand was in a lane around a sample, over the slots of the event."""
        begin = int(sample - BEFORE_S * RATE_HZ) // SAMPLES - self.first
        end = int(sample + AFTER_S * RATE_HZ) // SAMPLES + 1 - self.first
        begin, end = max(0, begin), min(len(self.hands_m), end)
        if end <= begin:
            return np.full((len(self.visits), 2), -MOST_COST)
        away = distance(table, lane, self.hands_m[begin:end])  # [t, N, 2]
        sd = np.hypot(HAND_M, CLAIMED * self.sd_m[begin:end])
        density = np.exp(-0.5 * (away / sd) ** 2) * np.minimum(1.0, HAND_M / sd) + ELSEWHERE
        density = np.where(np.isfinite(away), density, ELSEWHERE / 10)
        return np.asarray(SLOT_SHARE * np.log(density).sum(0), dtype=np.float64)


def distance(table: LaneTable, lane: int, hands_m: Float) -> Float:
    """Metres [...] of hands [..., 3] from a lane's box."""
    local = hands_m @ table.rotation[lane].T + table.translation[lane]
    width, depth, clearance = table.size_m[lane]
    across = np.maximum(np.maximum(-local[..., 0], local[..., 0] - width), 0)
    along = np.maximum(np.maximum(-local[..., 1], local[..., 1] - depth), 0)
    up = np.maximum(np.maximum(-local[..., 2], local[..., 2] - max(0.3, clearance)), 0)
    return np.asarray(np.sqrt(across**2 + along**2 + up**2))


def cost_of_anybody(closeness: Float, allowed: Sequence[bool]) -> float:
    """What speaks against that one of those allowed did it: log-odds against a hand in the lane."""
    best = closeness.max(1)[np.asarray(allowed, dtype=bool)]
    return float(min(MOST_COST, -best.max(initial=-MOST_COST)))


def chances(closeness: Float, allowed: Sequence[bool]) -> Float:
    """Chance [N] of each person to have been the one, of those allowed."""
    score = np.where(allowed, closeness.max(1), -np.inf)
    if not np.isfinite(score).any():
        score = closeness.max(1)
    weight = np.exp(score - score.max())
    return np.asarray(weight / weight.sum())


def assign(closeness: Sequence[Float], allowed: Sequence[Sequence[bool]], samples: Sequence[int]) -> list[int]:
    """Who did each event [N rows of `closeness`]: those of one time get different hands, the nearest in all."""
    out = [-1] * len(samples)
    for group in at_once(samples):
        scores = []
        for event in group:
            free = np.asarray(allowed[event], dtype=bool)
            free = free if free.any() else np.ones_like(free)
            scores.append(np.where(free[:, None], closeness[event], -50.0).reshape(-1))
        table = -np.array(scores)
        if table.shape[1] < len(group):
            table = np.tile(table, (1, len(group)))
        _, columns, _ = lapjv(table, extend_cost=True)
        people = len(closeness[group[0]])
        for event, column in zip(group, columns.tolist(), strict=True):
            out[event] = (column // 2) % people
    return out


def at_once(samples: Sequence[int]) -> list[list[int]]:
    """Events (indices) by time: each within SAME_TIME of the one before."""
    order = sorted(range(len(samples)), key=lambda i: samples[i])
    out: list[list[int]] = []
    for event in order:
        if out and samples[event] - samples[out[-1][-1]] < SAME_TIME:
            out[-1].append(event)
        else:
            out.append([event])
    return out


def visits_allowed(visits: Sequence[str], owners: tuple[str, ...]) -> list[bool]:
    """Which people may have done a move."""
    return [not owners or visit in owners for visit in visits]
