"""Scales have the last word once they have settled: what does not add up to the change is corrected.

While somebody rummages in a lane its scale swings by kilograms, and the decoder, which decides within a second, now and
then writes a take or a return that never was, or misses one. Two quiet seconds later the difference of the levels tells
how many grams really went or came. Where another account of it is likelier than the one written (accounts.py), the
ledger gets an entry with its reason; history is never rewritten. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from openaisle.accounts import Account, Case, Goods, explain
from openaisle.receipts.events import LedgerEvent
from openaisle.tokens.scales import RATE_HZ, fill_gaps, scale_window

QUIET_S = 2.0  # the decoder has seen all that came before
MOST_MISSING = 0.8  # share of samples without a reading: a slow scale has half
QUIET_NOISES, QUIET_G = 6.0, 4.0  # range of the samples in which a scale has settled
CHANGED_G, CHANGED_NOISES = 5.0, 4.0  # a level that moved so much has a reason
Reach = Mapping[str, Mapping[int, float]]


@dataclass(frozen=True)
class Settled:
    """Levels in grams at which scales were last quiet; since then, by scale: events written, and hands' closeness."""

    level: Mapping[int, float] = field(default_factory=dict)
    written: Mapping[int, tuple[LedgerEvent, ...]] = field(default_factory=dict)
    reach: Reach = field(default_factory=dict)


@dataclass(frozen=True)
class Around:
    """What else there is to know at a tick: closeness of hands to scales in it, baskets, and what lies wrong."""

    reach: Reach = field(default_factory=dict)
    baskets: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    lying: frozenset[tuple[str, str]] = frozenset()


def settle(
    known: Settled, entries: Sequence[LedgerEvent], history: NDArray[np.float32], around: Around, goods: Goods
) -> tuple[Settled, list[LedgerEvent]]:
    """After a tick: what is known of the scales, and the ledger's entries that they ask for.

    entries: the ledger's new ones; history: samples [C, HISTORY] up to now, NaN = no reading.
    """
    written, level, reach = dict(known.written), dict(known.level), merged(known.reach, around.reach)
    for event in entries:
        scale = goods.scale.get(event.lane, -1)
        if scale >= 0 and event.kind in ("take", "return"):
            written[scale] = (*written.get(scale, ()), event)
    if not len(history):
        return Settled(level, written, reach), []
    noise = scale_window(history).noise_grams
    rows, missing = fill_gaps(history)
    last = rows[:, -int(QUIET_S * RATE_HZ) :]
    quiet = (np.ptp(last, axis=1) <= np.maximum(QUIET_NOISES * noise, QUIET_G)) & (missing < MOST_MISSING)
    now = last.mean(1)
    still = {s: float(now[s]) for s in np.flatnonzero(quiet).tolist()}
    changed = {
        s
        for s, grams in still.items()
        if s in level and abs(grams - level[s]) > max(CHANGED_G, CHANGED_NOISES * noise[s])
    }
    moving = set(np.flatnonzero(~quiet).tolist()) | changed | {s for s, told in written.items() if told}
    out: list[LedgerEvent] = []
    for cluster in clusters(moving, goods):
        beside = {other for s in cluster for other in goods.beside.get(s, ())} - cluster
        if not cluster <= still.keys():
            continue  # somebody is still at it
        if cluster <= level.keys():
            told = tuple(event for s in sorted(cluster) for event in written.get(s, ()))
            felt = sorted(cluster | (beside & still.keys() & level.keys()))
            grams = {s: still[s] - level[s] for s in felt}
            spread = {s: float(noise[s]) for s in felt}
            found = explain(Case(grams, spread, told, reach, around.baskets, around.lying), goods)
            out += [entry(*found)] if found else []
        moving -= cluster
        for s in cluster:
            written.pop(s, None)
    waiting = moving | {other for s in moving for other in goods.beside.get(s, ())}
    level |= {s: grams for s, grams in still.items() if s not in waiting or s not in level}
    kept = {visit: {s: c for s, c in by.items() if s in moving} for visit, by in reach.items()}
    return Settled(level, written, {visit: by for visit, by in kept.items() if by}), out


def merged(one: Reach, other: Reach) -> dict[str, dict[int, float]]:
    """The greater closeness of each."""
    out = {visit: dict(by_scale) for visit, by_scale in one.items()}
    for visit, by_scale in other.items():
        mine = out.setdefault(visit, {})
        for scale, closeness in by_scale.items():
            mine[scale] = max(mine.get(scale, 0.0), closeness)
    return out


def clusters(scales: set[int], goods: Goods) -> list[set[int]]:
    """Scales side by side that are open at once: they are explained together."""
    left, out = set(scales), []
    while left:
        group, edge = set(), [min(left)]
        while edge:
            scale = edge.pop()
            if scale in left:
                left.remove(scale)
                group.add(scale)
                edge += goods.beside.get(scale, ())
        out.append(group)
    return out


def entry(account: Account, sure: float) -> LedgerEvent:
    """The ledger's entry for an account: a correction, or the event that nobody wrote."""
    old, new = account.instead, account.event
    if old is None:
        assert new is not None
        return replace(new, confidence=sure, reason="the settled scale shows it")
    told = new or old
    units = new.quantity if new else 0
    return replace(
        told, event_id=f"{old.event_id}~", kind="correction", confidence=sure, supersedes=old.event_id,
        quantity=units if old.kind == "take" else -units, reason="the settled scale says otherwise",
    )  # fmt: skip
