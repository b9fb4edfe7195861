"""Scales have the last word once they have settled: written events that do not add up to the change are corrected.

While somebody rummages in a lane its scale swings by kilograms, and the decoder, which decides within a second, now and
then writes a take or a return that never was. Two quiet seconds later the difference of the levels tells how many grams
really went or came. Where the events of a scale contradict it and one changed event would not, that one is corrected:
by a ledger entry with its reason, never by rewriting. What no single change explains is left alone. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from openaisle.receipts.events import LedgerEvent
from openaisle.store.store import Store
from openaisle.tokens.catalogue import unit_grams
from openaisle.tokens.journey import MAX_UNITS
from openaisle.tokens.scales import RATE_HZ, fill_gaps, scale_window

QUIET_S = 2.0  # the decoder has seen all that came before
MOST_MISSING = 0.8  # share of samples without a reading: a slow scale has half
QUIET_NOISES, QUIET_G = 6.0, 4.0  # range of the samples in which a scale has settled
AGREES = (6.0, 2.0, 0.08)  # grams, noises and share of the mass within which events agree with the scale
EXPLAINS = (4.0, 1.0, 0.045)  # and within which a changed event explains it
BETTER = 0.35  # of the contradiction may be left
ANOTHER_COST, UNIT_COST, DROP_COST = 0.5, 0.4, 0.5  # log-odds: another product, each unit more or less, no event
CORRECTED = 0.8  # confidence of a correction


@dataclass(frozen=True)
class Settled:
    """Levels in grams at which scales were last quiet, and the events written since, by scale."""

    level: Mapping[int, float] = field(default_factory=dict)
    written: Mapping[int, tuple[LedgerEvent, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Goods:
    """What events may be about: unit masses in grams by GTIN; each lane's own product and scale by lane."""

    unit_grams: Mapping[str, float]
    planned: Mapping[str, str]
    scale: Mapping[str, int]


def goods_of(store: Store) -> Goods:
    """The goods of a store; products of unknown mass are left out."""
    gtins = [product.gtin for product in store.products]
    lanes = list(zip(store.lanes, store.lane_product.tolist(), strict=True))
    return Goods(
        {gtin: grams for gtin, grams in zip(gtins, unit_grams(store).tolist(), strict=True) if grams > 0},
        {lane.id: gtins[product] for lane, product in lanes if product >= 0},
        {lane.id: lane.scale for lane, _ in lanes if lane.scale >= 0},
    )


@dataclass(frozen=True)
class Change:
    """One event as it would have to be, and what speaks against it (log-odds)."""

    event: LedgerEvent
    gtin: str
    quantity: int  # 0: it never happened
    cost: float


def settle(
    known: Settled, entries: Sequence[LedgerEvent], history: NDArray[np.float32], goods: Goods
) -> tuple[Settled, list[LedgerEvent]]:
    """After a tick: what is known of the scales, and corrections.

    entries: the ledger's new ones; history: samples [C, HISTORY] up to now, NaN = no reading.
    """
    written, level = dict(known.written), dict(known.level)
    for event in entries:
        scale = goods.scale.get(event.lane, -1)
        if scale >= 0 and event.kind in ("take", "return"):
            written[scale] = (*written.get(scale, ()), event)
    out: list[LedgerEvent] = []
    noise = scale_window(history).noise_grams
    rows, missing = fill_gaps(history) if len(history) else (history, noise)
    last = rows[:, -int(QUIET_S * RATE_HZ) :]
    quiet = (np.ptp(last, axis=1) <= np.maximum(QUIET_NOISES * noise, QUIET_G)) & (missing < MOST_MISSING)
    for scale in np.flatnonzero(quiet).tolist():
        now = float(last[scale].mean())
        told = written.pop(scale, ())
        if told and scale in level:
            change = mend(told, now - level[scale], float(noise[scale]), goods)
            out += [correction(change)] if change is not None else []
        level[scale] = now
    return Settled(level, written), out


def mend(events: Sequence[LedgerEvent], grams: float, noise: float, goods: Goods) -> Change | None:
    """The likeliest change of one event that makes them add up to `grams`; None where they do, or none does."""
    total, mass = added(events, goods)
    contradiction = abs(grams - total)
    if contradiction <= within(AGREES, noise, mass):
        return None
    fitting = []
    for change in changes(events, goods):
        others = [event for event in events if event is not change.event]
        one = replace(change.event, gtin=change.gtin, quantity=change.quantity) if change.quantity else None
        total, mass = added([*others, one] if one else others, goods)
        left = abs(grams - total)
        if left <= within(EXPLAINS, noise, mass) and left <= BETTER * contradiction:
            fitting.append(change)
    return min(fitting, key=lambda change: change.cost, default=None)


def changes(events: Sequence[LedgerEvent], goods: Goods) -> Iterator[Change]:
    """Every event otherwise: not at all, more or fewer units, or the lane's own product."""
    for event in events:
        sure = float(np.clip(event.confidence, 0.02, 0.99))
        cost = float(np.log(sure / (1 - sure)))
        yield Change(event, event.gtin, 0, cost + DROP_COST)
        for units in range(1, MAX_UNITS + 1):
            apart = UNIT_COST * abs(units - event.quantity)
            if units != event.quantity:
                yield Change(event, event.gtin, units, cost + apart)
            own = goods.planned.get(event.lane, "")
            if own and own != event.gtin and own in goods.unit_grams:
                yield Change(event, own, units, cost + apart + ANOTHER_COST)


def added(events: Sequence[LedgerEvent], goods: Goods) -> tuple[float, float]:
    """Change in grams that the events mean for their scale, and the mass that they move."""
    grams = [signed(event) * goods.unit_grams.get(event.gtin, 0.0) for event in events]
    return float(sum(grams)), float(sum(abs(g) for g in grams))


def signed(event: LedgerEvent) -> int:
    """Units that an event puts on the scale."""
    return event.quantity if event.kind == "return" else -event.quantity


def within(limits: tuple[float, float, float], noise: float, mass: float) -> float:
    """Grams within which a scale and events agree."""
    grams, noises, share = limits
    return grams + noises * noise + share * mass


def correction(change: Change) -> LedgerEvent:
    """The ledger entry in place of the event."""
    event = change.event
    return replace(
        event, event_id=f"{event.event_id}~", kind="correction", gtin=change.gtin,
        quantity=change.quantity * (1 if event.kind == "take" else -1), confidence=CORRECTED, supersedes=event.event_id,
        reason="the settled scale says otherwise",
    )  # fmt: skip
