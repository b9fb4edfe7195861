"""Somebody puts back what their receipt does not hold: then somebody else did, or an earlier take was theirs. Pure.

Where two reach into one lane, who took is a guess; what they put back later tells. The decoder's chances for everybody
are kept for that (`Doubts`), and a past guess is mended by corrections, never rewritten.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np

from openaisle.receipts.events import LedgerEvent
from openaisle.receipts.ledger import Ledger, fold

STAY_COST = 4.2  # a take was missed, or misnamed: the event stays, and the receipt asks for review
SPLIT_COST = 0.5  # of a take's units, some were another's
LEAST_CHANCE = 0.02
Doubts = Mapping[str, Mapping[str, float]]  # event id → visit → chance to have been the shopper


def settle_owner(event: LedgerEvent, ledger: Ledger, doubts: Doubts) -> list[LedgerEvent]:
    """The entries for a newly written event: itself, mostly."""
    if event.kind != "return":
        return [event]
    short = event.quantity - fold(ledger, event.visit).quantity(event.gtin)
    if short <= 0:
        return [event]
    options = [
        (STAY_COST, [event]),
        *other_returners(event, ledger, doubts),
        *other_takers(event, short, ledger, doubts),
    ]
    return min(options, key=lambda option: option[0])[1]


def other_returners(event: LedgerEvent, ledger: Ledger, doubts: Doubts) -> Iterator[tuple[float, list[LedgerEvent]]]:
    """The return as that of somebody who has the thing."""
    chances = doubts.get(event.event_id, {})
    for visit in chances:
        if visit != event.visit and fold(ledger, visit).quantity(event.gtin) >= event.quantity:
            yield cost(chances, visit, event.visit), [replace(event, visit=visit)]


def other_takers(
    event: LedgerEvent, short: int, ledger: Ledger, doubts: Doubts
) -> Iterator[tuple[float, list[LedgerEvent]]]:
    """An earlier take as that of who puts the thing back now."""
    for name, chances in doubts.items():
        if event.visit not in chances:
            continue
        taken = counted(name, ledger)
        if taken is None or taken.gtin != event.gtin or taken.visit == event.visit or taken.time_ns > event.time_ns:
            continue
        units = taken.delta(taken.visit)
        if units < short or fold(ledger, taken.visit).quantity(event.gtin) < short:
            continue
        yield (
            cost(chances, event.visit, taken.visit) + (SPLIT_COST if units > short else 0.0),
            [*moved(taken, units - short, short, event), event],
        )


def moved(taken: LedgerEvent, left: int, units: int, event: LedgerEvent) -> Iterator[LedgerEvent]:
    """Corrections that leave so many units of a take where they are, and give so many to who puts them back."""
    target = taken.supersedes or taken.event_id
    reason = f"put back by {event.visit}"
    confidence = min(taken.confidence, event.confidence)
    mended = replace(
        taken, event_id=f"{target}@{event.event_id}", kind="correction", supersedes=target, reason=reason,
        confidence=confidence, time_ns=event.time_ns,
    )  # fmt: skip
    if not left:
        yield replace(mended, visit=event.visit, quantity=units)
        return
    yield replace(mended, quantity=left)
    yield replace(
        mended, event_id=f"{mended.event_id}+", visit=event.visit, quantity=units, supersedes="", time_ns=taken.time_ns
    )


def counted(name: str, ledger: Ledger) -> LedgerEvent | None:
    """What counts of a take today: itself, or its last correction; None where nothing does."""
    try:
        told = ledger.standing(name)
    except KeyError:
        return None
    return told if told.delta(told.visit) > 0 else None


def cost(chances: Mapping[str, float], visit: str, instead_of: str) -> float:
    """What speaks against one visit in place of another: log-odds."""
    one, other = (max(chances.get(v, 0.0), LEAST_CHANCE) for v in (visit, instead_of))
    return float(np.log(other / one))
