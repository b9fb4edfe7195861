"""Scales have the last word once they have settled: what does not add up to the change is corrected.

While somebody rummages in a lane its scale swings by kilograms, and the decoder, which decides within a second, now and
then writes a take or a return that never was, or misses one. Two quiet seconds later the difference of the levels tells
how many grams really went or came. Where another account of it is likelier than the one written (accounts.py), the
ledger gets an entry with its reason; history is never rewritten. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from openaisle.accounts import LEAST_REACH, Case, Change, Goods, explain, unexplained
from openaisle.predictor import ShelfLook
from openaisle.receipts.events import LedgerEvent
from openaisle.shelves import Still
from openaisle.tokens.scales import RATE_HZ, fill_gaps, scale_window

BARE_TICKS = 2  # without a hand, until a lane without a scale is looked at
WAIT_TICKS = 25  # for clear views, where they are worth it
SEEN_SHARE = 0.6  # of a lane's views that must be clear
QUIET_S = 2.0  # the decoder has seen all that came before
MOST_MISSING = 0.8  # share of samples without a reading: a slow scale has half
QUIET_NOISES, QUIET_G = 6.0, 4.0  # range of the samples in which a scale has settled
CHANGED_G, CHANGED_NOISES = 5.0, 4.0  # a level that moved so much has a reason
Reach = Mapping[str, Mapping[int, float]]
Stills = tuple[Still | None, ...]  # by camera


Sight = tuple[ShelfLook, float]  # what is seen, and the share of the cameras that see it


def blind(lane: str, stills: Stills) -> Sight | None:
    """Nothing can be seen."""
    return None


@dataclass(frozen=True)
class Settled:
    """What is known by scale (lanes without one have a number of their own): accounts.py, Goods.

    level: grams when it was last quiet; stills: the shelves as they were then. Since then: events written, hands'
    closeness by visit, and for how many ticks an account has been waited for.
    """

    level: Mapping[int, float] = field(default_factory=dict)
    stills: Mapping[int, Stills] = field(default_factory=dict)
    written: Mapping[int, tuple[LedgerEvent, ...]] = field(default_factory=dict)
    reach: Reach = field(default_factory=dict)
    waited: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Around:
    """What else there is to know at a tick: closeness of hands to scales in it, baskets, and what lies wrong.

    leaving: visits that end now. stills: the shelves now. look: what changed in a lane (id) since such stills; None
    where nobody can see.
    """

    reach: Reach = field(default_factory=dict)
    baskets: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    lying: frozenset[tuple[str, str]] = frozenset()
    leaving: frozenset[str] = frozenset()
    stills: Stills = ()
    look: Callable[[str, Stills], Sight | None] = blind


def settle(
    known: Settled, entries: Sequence[LedgerEvent], history: NDArray[np.float32], around: Around, goods: Goods
) -> tuple[Settled, list[LedgerEvent]]:
    """After a tick: what is known of the scales, and the ledger's entries that they ask for.

    entries: the ledger's new ones; history: samples [C, HISTORY] up to now, NaN = no reading.
    """
    written, waited = dict(known.written), dict(known.waited)
    for event in entries:
        if event.lane in goods.scale and event.kind in ("take", "return"):
            scale = goods.scale[event.lane]
            written[scale] = (*written.get(scale, ()), event)
    reach = merged(known.reach, around.reach)
    scales = read(history)
    level, out = dict(known.level), list[LedgerEvent]()
    touched = {s for by in around.reach.values() for s, closeness in by.items() if s < 0 and closeness >= LEAST_REACH}
    busy = scales.moving | touched
    opened = busy | written.keys() | waited.keys() | {s for s in scales.now if scales.changed(s, level)}
    for cluster in clusters(opened, goods):
        waited |= {s: 0 if cluster & busy else waited.get(s, 0) + 1 for s in cluster}
        wait = min(waited[s] for s in cluster)
        if not wait or (min(cluster) < 0 and wait < BARE_TICKS):
            continue  # somebody is still at it
        if all(s in level or s < 0 for s in cluster):
            beside = {other for s in cluster for other in goods.beside.get(s, ())} - busy
            felt = sorted(s for s in cluster | beside if s in scales.now and s in level)
            told = tuple(event for s in sorted(cluster) for event in written.get(s, ()))
            seen = looks(cluster, known.stills, around, goods)
            case = Case(
                {s: scales.now[s] - level[s] for s in felt}, {s: scales.noise[s] for s in felt}, told, reach,
                around.baskets, around.lying, {lane: look for lane, (look, _) in seen.items()}, tuple(sorted(cluster)),
            )  # fmt: skip
            hidden = sum(share >= SEEN_SHARE for _, share in seen.values()) < sum(
                len(goods.lanes_on(s)) for s in cluster
            )
            if hidden and wait < WAIT_TICKS and can_wait(case, around) and worth_a_look(case, goods):
                continue
            found = explain(case, goods)
            out += [entry(change, found[1]) for change in found[0].changes] if found else []
        opened -= cluster
        for s in cluster:
            written.pop(s, None)
            waited.pop(s, None)
    held = opened | {other for s in opened for other in goods.beside.get(s, ())}
    level |= {s: now for s, now in scales.now.items() if s not in scales.moving and (s not in held or s not in level)}
    stills = {s: known.stills.get(s, around.stills) if s in opened else around.stills for s in goods.places}
    kept = {visit: {s: c for s, c in by.items() if s in opened} for visit, by in reach.items()}
    return Settled(level, stills, written, {visit: by for visit, by in kept.items() if by}, waited), out


@dataclass(frozen=True)
class Scales:
    """All scales after a tick: level in grams and a sample's deviation by scale, and those that have not settled."""

    now: Mapping[int, float]
    noise: Mapping[int, float]
    moving: set[int]

    def changed(self, scale: int, level: Mapping[int, float]) -> bool:
        """Whether a scale is at another level than it was."""
        least = max(CHANGED_G, CHANGED_NOISES * self.noise[scale])
        return scale not in self.moving and scale in level and abs(self.now[scale] - level[scale]) > least


def read(history: NDArray[np.float32]) -> Scales:
    """Scales from their samples [C, HISTORY]."""
    if not len(history):
        return Scales({}, {}, set())
    noise = scale_window(history).noise_grams
    rows, missing = fill_gaps(history)
    last = rows[:, -int(QUIET_S * RATE_HZ) :]
    quiet = (np.ptp(last, axis=1) <= np.maximum(QUIET_NOISES * noise, QUIET_G)) & (missing < MOST_MISSING)
    moving = set(np.flatnonzero(~quiet).tolist())
    return Scales(dict(enumerate(last.mean(1).tolist())), dict(enumerate(noise.tolist())), moving)


def looks(cluster: set[int], stills: Mapping[int, Stills], around: Around, goods: Goods) -> dict[str, Sight]:
    """What can be seen of the lanes of a cluster."""
    found = {lane: around.look(lane, stills.get(s, ())) for s in sorted(cluster) for lane in goods.lanes_on(s)}
    return {lane: look for lane, look in found.items() if look is not None}


def can_wait(case: Case, around: Around) -> bool:
    """Whether a clear view may still come before somebody whom it concerns is gone."""
    concerned = {event.visit for event in case.told} | {
        visit for visit, by in case.reach.items() if any(by.get(s, 0.0) >= LEAST_REACH for s in case.places)
    }
    return bool(around.stills) and not concerned & around.leaving


def worth_a_look(case: Case, goods: Goods) -> bool:
    """Whether it pays to wait until somebody can see the lane: no scale, a stranger, or masses that do not add up."""
    strange = any(goods.planned.get(event.lane) != event.gtin for event in case.told)
    blindly = replace(case, looks={})
    return strange or min(case.places) < 0 or unexplained(blindly, goods) or explain(blindly, goods) is not None


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


def entry(change: Change, sure: float) -> LedgerEvent:
    """The ledger's entry for a change: a correction, or the event that nobody wrote."""
    old, new = change.instead, change.event
    if old is None:
        assert new is not None
        return replace(new, confidence=sure, reason="the settled scale shows it")
    told = new or old
    units = new.quantity if new else 0
    return replace(
        told, event_id=f"{old.event_id}~", kind="correction", confidence=sure, supersedes=old.event_id,
        quantity=units if told.kind == "take" else -units, reason="the settled scale says otherwise",
    )  # fmt: skip
