"""Who took and who put back, of all that is known of a product's events together: nobody gives what they do not have.

Where two reach into one lane, who it was is a guess; what somebody puts back later tells. Everybody's chances to have
been the one are kept for every event (`Doubts`); of all ways to give a product's events to shoppers the likeliest one
counts. A past guess is mended by corrections, never rewritten. Pure.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import permutations

import numpy as np

from openaisle.receipts.events import LedgerEvent
from openaisle.receipts.ledger import Ledger

STAY_COST = 4.2  # of a unit put back by who has none: a take was missed, or misnamed, and the receipt asks for review
SPLIT_COST = 0.5  # of a take's units, some were another's
LEAST_CHANCE = 0.02
MARGIN = 0.7  # log-odds by which another way must beat the one that stands
MOVED_SURE = 0.6  # at most, of what was given to somebody else: one of the events tells otherwise
BEAM = 64  # ways kept from event to event
Doubts = Mapping[str, Mapping[str, float]]  # event id → visit → chance to have been the shopper
Shares = tuple[tuple[str, int], ...]  # visits and their units of an event, signed


@dataclass(frozen=True)
class _Moved:
    """What counts of a product's event today, the name it is corrected under, and whose it may be at what cost."""

    event: LedgerEvent
    name: str
    ways: tuple[tuple[float, Shares], ...]  # first what stands


def settle_owner(
    event: LedgerEvent, ledger: Ledger, doubts: Doubts, finished: Collection[str] = ()
) -> list[LedgerEvent]:
    """The entries for a newly written event: itself, mostly; finished: visits whose receipts stay as they are."""
    if event.kind != "return":
        return [event]
    told = owned(event.gtin, ledger.append(event), doubts, finished, (event.time_ns, event.event_id))
    mine = [entry for entry in told if entry.supersedes == event.event_id]
    others = [entry for entry in told if entry.supersedes != event.event_id]
    return [*others, replace(event, visit=mine[0].visit, confidence=mine[0].confidence) if mine else event]


def owned(
    gtin: str, ledger: Ledger, doubts: Doubts, finished: Collection[str], told: tuple[int, str]
) -> list[LedgerEvent]:
    """Corrections that give a product's events to those who likeliest did them; none where what stands is as likely.

    finished: visits whose receipts stay as they are. told: the corrections' time, and what they are named after.
    """
    events = moved(gtin, ledger, doubts, finished)
    if all(units > 0 for m in events for _, units in m.ways[0][1]):
        return []  # nobody put anything back: each event was given to its likeliest
    best: list[tuple[float, tuple[int, ...], dict[str, int]]] = [(0.0, (), {})]
    stands = 0.0
    holds: dict[str, int] = {}
    for m in events:
        grown = []
        for cost, chosen, basket in best:
            for number, (price, shares) in enumerate(m.ways):
                short, after = given(basket, shares)
                grown.append((cost + price + STAY_COST * short, (*chosen, number), after))
        best = sorted(grown, key=lambda way: way[0])[:BEAM]
        short, holds = given(holds, m.ways[0][1])
        stands += m.ways[0][0] + STAY_COST * short
    cost, chosen, _ = best[0]
    if stands - cost < MARGIN:
        return []
    return [e for m, n in zip(events, chosen, strict=True) if n for e in corrected(m, m.ways[n][1], told)]


def moved(gtin: str, ledger: Ledger, doubts: Doubts, finished: Collection[str]) -> list[_Moved]:
    """What counts of a product for those of whom there are doubts, in order of time, additions first.

    What is not in doubt has one way.
    """
    visits = sorted({visit for chances in doubts.values() for visit in chances})  # not a whole day's: that grows
    touched = {event.event_id: event for visit in visits for event in ledger.touching(visit) if event.gtin == gtin}
    found = []
    for event in touched.values():
        if not ledger.counts(event):
            continue
        name = event.supersedes or event.event_id
        stands = tuple((visit, event.delta(visit)) for visit in sorted(event.visits()))
        free = event.kind != "hand_over" and event.delta(event.visit) and event.visit not in finished
        ways = tuple(ways_of(event, doubts.get(name, {}), finished)) if free else ()
        found.append(_Moved(event, name, ((ways[0][0] if ways else 0.0, stands), *ways[1:])))
    found.sort(key=lambda m: (ledger.effective_ns(m.event), m.event.delta(m.event.visit) < 0, m.event.event_id))
    return found


def ways_of(
    event: LedgerEvent, chances: Mapping[str, float], finished: Collection[str]
) -> Iterator[tuple[float, Shares]]:
    """Whose a take or a return may be, and what speaks against it: who is charged today comes first.

    A take stands without cost: who took was settled with all that happened at that time.
    """
    units, stands = event.delta(event.visit), event.visit
    known = {visit: max(chance, LEAST_CHANCE) for visit, chance in chances.items() if visit not in finished}
    most = max(known.values(), default=1.0)
    cost = {visit: float(np.log(most / chance)) for visit, chance in known.items()}
    cost[stands] = 0.0 if units > 0 else cost.get(stands, float(np.log(most / LEAST_CHANCE)))
    yield cost[stands], ((stands, units),)
    for visit in sorted(cost.keys() - {stands}):
        yield cost[visit], ((visit, units),)
    for part in range(1, units):
        for one, other in permutations(sorted(cost), 2):
            yield cost[one] + cost[other] + SPLIT_COST, ((one, part), (other, units - part))


def given(basket: Mapping[str, int], shares: Shares) -> tuple[int, dict[str, int]]:
    """Units that somebody puts back without having them, and everybody's units after an event."""
    after, short = dict(basket), 0
    for visit, units in shares:
        left = after.get(visit, 0) + units
        short += max(0, -left)
        after[visit] = max(0, left)
    return short, after


def corrected(m: _Moved, shares: Sequence[tuple[str, int]], told: tuple[int, str]) -> Iterator[LedgerEvent]:
    """Corrections that give an event to others; the units that stay with who has them are corrected first."""
    time_ns, cause = told
    target, reason = m.name, f"goes with {cause}"
    mended = replace(
        m.event, event_id=f"{target}@{cause}", kind="correction", supersedes=target, reason=reason, time_ns=time_ns,
        confidence=min(m.event.confidence, MOVED_SURE),
    )  # fmt: skip
    (visit, units), *rest = sorted(shares, key=lambda share: share[0] != m.event.visit)
    yield replace(mended, visit=visit, quantity=units)
    for other, more in rest:
        yield replace(
            mended, event_id=f"{mended.event_id}+", visit=other, quantity=more, supersedes="", time_ns=m.event.time_ns
        )
