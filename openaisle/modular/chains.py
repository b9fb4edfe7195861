"""Chains: steps of neighbouring plates that belong together, and what of them only came and went.

Steps at the same time on neighbouring plates are one cluster. Clusters that follow each other within seconds are a
chain: a push that lasts looks like two steps, so every way of joining clusters of a chain competes with the others.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from openaisle.modular.explain import DOUBT, Explanation
from openaisle.modular.masses import RELAXING, Change, unknown
from openaisle.modular.quiet import Plate, Step, steps
from openaisle.modular.things import Memory

BESIDE = 2  # positions: one plate between may feel too little to tell
TOGETHER = 2  # blocks between steps of one cluster, at most
FOLLOWING = 100  # blocks between clusters of a chain, at most
MOST_JOINED = 8
DRIFT_G_PER_S = 0.06  # twice what the restless plates of a real store drift
PUSHED, HALFWAY, LIFTED, EXPLAINED = -1.0, -6.0, -25.0, -60.0  # log prior of a level that only came and went


@dataclass(frozen=True)
class Cluster:
    """Steps at one time; positions and blocks from its first to its last."""

    positions: frozenset[int]
    begin: int
    end: int


@dataclass(frozen=True)
class Happening:
    """What a chain's joined clusters were."""

    begin: int
    end: int
    positions: frozenset[int]
    change: Change  # over the window's plates
    explanation: Explanation


def clusters(plates: Sequence[Plate]) -> list[Cluster]:
    """All steps of a shelf that belong together, in order of time."""
    found = sorted((step for i, plate in enumerate(plates) for step in steps(i, plate)), key=lambda step: step.begin)
    out: list[Cluster] = []
    for step in found:
        out = _joined(out, step)
    return sorted(out, key=lambda cluster: cluster.begin)


def _joined(known: list[Cluster], step: Step) -> list[Cluster]:
    """Clusters with one more step, which may make one of several."""
    positions, begin, end = frozenset((step.position,)), step.begin, step.end
    apart = []
    for cluster in known:
        near = any(abs(step.position - position) <= BESIDE for position in cluster.positions)
        if near and step.begin <= cluster.end + TOGETHER and step.end >= cluster.begin - TOGETHER:
            positions |= cluster.positions
            begin, end = min(begin, cluster.begin), max(end, cluster.end)
        else:
            apart.append(cluster)
    return [*apart, Cluster(positions, begin, end)]


def chains(found: Sequence[Cluster]) -> list[list[Cluster]]:
    """Clusters that follow each other at the same place; within a chain none overlap in time."""
    out: list[list[Cluster]] = []
    for cluster in found:
        mine = [chain for chain in out if _follows(chain, cluster)]
        out = [chain for chain in out if chain not in mine]
        out.append(sorted([one for chain in mine for one in chain] + [cluster], key=lambda one: one.begin))
    return sorted((_without_overlaps(chain) for chain in out), key=lambda chain: chain[0].begin)


def _follows(chain: Sequence[Cluster], cluster: Cluster) -> bool:
    return any(
        cluster.begin <= one.end + FOLLOWING
        and any(abs(a - b) <= BESIDE for a in one.positions for b in cluster.positions)
        for one in chain
    )


def _without_overlaps(chain: list[Cluster]) -> list[Cluster]:
    out: list[Cluster] = []
    for cluster in chain:
        if out and cluster.begin < out[-1].end:
            last = out.pop()
            cluster = Cluster(
                last.positions | cluster.positions, min(last.begin, cluster.begin), max(last.end, cluster.end)
            )
        out.append(cluster)
    return out


def window(chain: Sequence[Cluster], plates: int) -> tuple[int, ...]:
    """Positions of a chain with one more plate on either side."""
    own = {position for cluster in chain for position in cluster.positions}
    wide = {position + side for position in own for side in (-1, 0, 1)}
    return tuple(sorted(position for position in wide if 0 <= position < plates))


def change_over(plates: Sequence[Plate], positions: Sequence[int], begin: int, end: int) -> Change:
    """Change of levels between two blocks; of a plate that has no level on either side none is known."""
    grams, variance = np.zeros(len(positions)), np.ones(len(positions))
    for i, position in enumerate(positions):
        plate = plates[position]
        old, new = plate.before(begin), plate.after(end)
        if old is None or new is None:
            continue
        grams[i] = new.grams - old.grams
        drift = DRIFT_G_PER_S * (new.begin - old.end + 10) / 10
        push = plate.excursion(begin, end, old.grams)
        left = np.hypot(RELAXING * push, plate.settling(new, push))
        variance[i] = old.sd**2 + new.sd**2 + drift**2 + left**2
    return Change(grams, variance)


Explain = Callable[[Change, frozenset[int], Memory], Explanation]
Remember = Callable[[Memory, Happening], Memory]


def best_partition(
    plates: Sequence[Plate], chain: Sequence[Cluster], memory: Memory, explain: Explain, remember: Remember
) -> list[Happening]:
    """The likeliest way of joining the chain's clusters, with what each part was, given what is known before it."""
    positions = window(chain, len(plates))
    parts: dict[tuple[int, int], Happening] = {}
    best: list[tuple[float, list[Happening], Memory]] = [(0.0, [], memory)]
    for last in range(1, len(chain) + 1):
        ways = []
        for first in range(max(0, last - MOST_JOINED), last):
            part = chain[first:last]
            felt = frozenset(position for cluster in part for position in cluster.positions)
            change = change_over(plates, positions, part[0].begin, part[-1].end)
            explanation = explain(change, felt, best[first][2])
            parts[first, last] = Happening(part[0].begin, part[-1].end, felt, change, explanation)
            passing = sum(_transient(parts[first, middle], change) for middle in range(first + 1, last))
            ways.append((best[first][0] + explanation.score + passing, first))
        score, first = max(ways)
        chosen = parts[first, last]
        best.append((score, [*best[first][1], chosen], remember(best[first][2], chosen)))
    return best[-1][1]


def _transient(part: Happening, whole: Change) -> float:
    """Log density of a level that came and went within a whole change; what products explain well would hardly be one.

    Hands press: such a level lies above those before and after it, or on the way where something has gone already.
    """
    products = [move for move in part.explanation.moves or () if move.thing.product >= 0]
    level, end = float(part.change.grams.sum()), float(whole.grams.sum())
    if products and not any(move.thing.elsewhere for move in products) and part.explanation.confidence > DOUBT:
        prior = EXPLAINED
    elif level > max(0.0, end):
        prior = PUSHED
    else:
        prior = HALFWAY if level > min(0.0, end) else LIFTED
    return prior + unknown(part.change)
