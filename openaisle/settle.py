"""Shelves have the last word in lanes without a scale: what is not seen to have gone or come is corrected.

A hand alone does not tell a take from a touch. Once the lane has been left alone, and enough cameras see it again, a
look at it before and after (`Predictor.look_at_shelf`) tells what changed. Where another account of it is likelier than
the one written (accounts.py), the ledger gets an entry with its reason; history is never rewritten. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from openaisle.accounts import LEAST_REACH, Case, Change, explain
from openaisle.predictor import ShelfLook
from openaisle.receipts.events import LedgerEvent
from openaisle.shelves import NEVER, Still
from openaisle.weighing.goods import Goods

ALONE_TICKS = 2  # without a hand, until a lane is looked at
WAIT_TICKS = 25  # for clear views
SEEN_SHARE = 0.6  # of a lane's views that must be clear
Reach = Mapping[str, Mapping[str, float]]  # by visit and lane: closeness of hands, 0..1
Stills = tuple[Still | None, ...]  # by camera
Sight = tuple[ShelfLook, float]  # what is seen, and the share of the cameras that see it


def blind(lane: str, stills: Stills, fresh: int) -> Sight | None:
    """Nothing can be seen."""
    return None


@dataclass(frozen=True)
class Settled:
    """What is known by lane (id), of those without a scale.

    stills: the shelves as they were when it was last left alone. Since then: events written, hands' closeness by visit,
    and for how many ticks an account has been waited for. fresh: the tick since when it had been left alone before
    that; what was not clear since shows what was accounted for then.
    """

    stills: Mapping[str, Stills] = field(default_factory=dict)
    written: Mapping[str, tuple[LedgerEvent, ...]] = field(default_factory=dict)
    reach: Reach = field(default_factory=dict)
    waited: Mapping[str, int] = field(default_factory=dict)
    fresh: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Around:
    """What else there is to know at a tick: closeness of hands to lanes in it, baskets, and what lies wrong.

    leaving: visits that end now. stills: the shelves now. look: what changed in a lane (id) since such stills, as far
    as they are fresh since a tick; None where nobody can see. since: the tick since when a lane is left alone that is
    looked at now.
    """

    reach: Reach = field(default_factory=dict)
    baskets: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    lying: frozenset[tuple[str, str]] = frozenset()
    leaving: frozenset[str] = frozenset()
    stills: Stills = ()
    look: Callable[[str, Stills, int], Sight | None] = blind
    since: int = 0


def settle(
    known: Settled, entries: Sequence[LedgerEvent], around: Around, goods: Goods
) -> tuple[Settled, list[LedgerEvent]]:
    """After a tick: what is known of the lanes without a scale, and the ledger's entries that they ask for.

    entries: the ledger's new ones.
    """
    lanes = [lane for lane, scale in goods.scale.items() if scale < 0]
    written, waited, fresh = dict(known.written), dict(known.waited), dict(known.fresh)
    for event in entries:
        if event.kind in ("take", "return") and goods.scale.get(event.lane, 0) < 0:
            written[event.lane] = (*written.get(event.lane, ()), event)
    reach = merged(known.reach, around.reach)
    touched = {lane for by in around.reach.values() for lane, closeness in by.items() if closeness >= LEAST_REACH}
    opened = {lane for lane in lanes if lane in touched or lane in written or lane in waited}
    out: list[LedgerEvent] = []
    for lane in sorted(opened):
        waited[lane] = 0 if lane in touched else waited.get(lane, 0) + 1
        if waited[lane] < ALONE_TICKS:
            continue  # somebody is still at it
        near = {visit: by[lane] for visit, by in reach.items() if lane in by}
        told = written.get(lane, ())
        seen = around.look(lane, known.stills.get(lane, ()), fresh.get(lane, NEVER))
        hidden = seen is None or seen[1] < SEEN_SHARE
        concerned = {event.visit for event in told} | {v for v, close in near.items() if close >= LEAST_REACH}
        if hidden and waited[lane] < WAIT_TICKS and around.stills and not concerned & around.leaving:
            continue  # for a clear view
        if seen is not None:
            lying = frozenset(gtin for at, gtin in around.lying if at == lane)
            found = explain(Case(lane, told, near, around.baskets, seen[0], lying), goods)
            out += [entry(change, found[1]) for change in found[0].changes] if found else []
        opened.remove(lane)
        fresh[lane] = around.since
        written.pop(lane, None)
        waited.pop(lane, None)
    stills = {lane: known.stills.get(lane, around.stills) if lane in opened else around.stills for lane in lanes}
    kept = {visit: {lane: c for lane, c in by.items() if lane in opened} for visit, by in reach.items()}
    return Settled(stills, written, {visit: by for visit, by in kept.items() if by}, waited, fresh), out


def merged(one: Reach, other: Reach) -> dict[str, dict[str, float]]:
    """The greater closeness of each."""
    out = {visit: dict(by_lane) for visit, by_lane in one.items()}
    for visit, by_lane in other.items():
        mine = out.setdefault(visit, {})
        for lane, closeness in by_lane.items():
            mine[lane] = max(mine.get(lane, 0.0), closeness)
    return out


def entry(change: Change, sure: float) -> LedgerEvent:
    """The ledger's entry for a change: a correction, or the event that nobody wrote."""
    old, new = change.instead, change.event
    if old is None:
        assert new is not None
        return replace(new, confidence=sure, reason="the shelf shows it")
    told = new or old
    units = new.quantity if new else 0
    return replace(
        told, event_id=f"{old.event_id}~", kind="correction", confidence=sure, supersedes=old.event_id,
        quantity=units if told.kind == "take" else -units, reason="the shelf says otherwise",
    )  # fmt: skip
