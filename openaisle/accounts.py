"""What a look at a lane without a scale says about the events written of it: the likeliest account of what changed.

An account is the events as written, or with one of them changed (its units, its product, or that it happened at all),
or with one added for somebody whose hand was there. Each costs what speaks against it, in log-odds: how sure the
decoder was, how rare such a thing is, and how little it looks like it. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from openaisle.predictor import ShelfLook
from openaisle.receipts.events import Kind, LedgerEvent
from openaisle.tokens.journey import MAX_UNITS
from openaisle.tokens.shelf import MOST_UNITS
from openaisle.weighing.goods import Goods

SURE = (0.03, 0.97)  # the decoder's confidence is believed within these
DROP_COST = 1.2  # the event never was
UNITS_COST, UNIT_COST = 0.9, 0.6  # other units, and each more or less
OTHER_COST = 1.0  # another product, beside what speaks against that one:
PLANNED_COST, LYING_COST, OWNED_COST = 0.3, 0.5, 0.7  # the lane's own, one known to lie there, one out of a basket,
STRANGER_COST = 2.0  # any other, beside the choice among all
MORE_STRANGERS_COST = 1.2  # each further unit of such a product
ADD_COST, ADD_STRANGER_COST, ADDED_UNIT_COST = 2.5, 0.5, 0.6  # an event that nobody wrote; each further unit
ADD_TOO_COST = 3.0  # beside others that were written
PAIR_COST, PAIRED = 0.5, 14  # two changes at once; of so many of the cheapest
LEAST_REACH = 0.3  # closeness of a hand to a lane (see reach) below which nothing is added
TRUST = 0.7  # in what a shelf look says of products
MOST_LOOKS = 3.0  # log-odds that a look may hold against an account for seeing something, or nothing
MARGIN = 1.0  # log-odds by which an account must beat the one written
MOST_SURE = 0.95
KINDS_ADDED: tuple[Kind, ...] = ("take", "return")
NAMELESS = "?"  # id of an event that has no place in a ledger yet


@dataclass(frozen=True)
class Case:
    """A lane (id) that is to be explained, from when it was last left alone to now.

    reach: closeness 0..1 of each visit's hands meanwhile. baskets: units by GTIN of each visit. lying: GTINs of what is
    known to lie there although it belongs elsewhere. look: what still pictures from before and after say.
    """

    lane: str
    told: tuple[LedgerEvent, ...]
    reach: Mapping[str, float]
    baskets: Mapping[str, Mapping[str, int]]
    look: ShelfLook
    lying: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Change:
    """An event in place of another (None: it never was), or beside them all; and what speaks against it (log-odds)."""

    instead: LedgerEvent | None  # of the told events
    event: LedgerEvent | None
    cost: float


@dataclass(frozen=True)
class Account:
    """One way it may have been."""

    changes: tuple[Change, ...]
    cost: float


def explain(case: Case, goods: Goods) -> tuple[Account, float] | None:
    """The likeliest account and its probability; None where the events as written will do."""
    kept = unlike(case, case.told, goods)
    least = -TRUST * float(np.log(len(goods.row)))  # no account looks better
    found = [
        replace(a, cost=a.cost + unlike(case, after(case.told, a), goods))
        for a in accounts(case, goods) if a.cost + least < kept - MARGIN
    ]  # fmt: skip
    best = min(found, key=lambda account: account.cost, default=None)
    if best is None or best.cost > kept - MARGIN:
        return None
    costs = np.array([kept, *(account.cost for account in found)])
    return best, min(MOST_SURE, float(1.0 / np.exp(best.cost - costs).sum()))


def after(told: Sequence[LedgerEvent], account: Account) -> list[LedgerEvent]:
    """The events as an account has them."""
    replaced = [change.instead for change in account.changes]
    kept = [event for event in told if not any(event is other for other in replaced)]
    return kept + [change.event for change in account.changes if change.event]


def accounts(case: Case, goods: Goods) -> Iterator[Account]:
    """Every account but the one written, at what it costs beside its looks: one change, or two cheap ones."""
    single = [*changes(case, goods), *added(case, goods)]
    for change in single:
        yield Account((change,), change.cost)
    cheap = sorted(single, key=lambda change: change.cost)[:PAIRED]
    for a, b in combinations(cheap, 2):
        if a.instead is None or a.instead is not b.instead:
            yield Account((a, b), a.cost + b.cost + PAIR_COST)


def changes(case: Case, goods: Goods) -> Iterator[Change]:
    """Every told event otherwise."""
    for event in case.told:
        sure = float(np.clip(event.confidence, *SURE))
        flip = float(np.log(sure / (1 - sure)))
        yield Change(event, None, flip + DROP_COST)
        for units in range(1, MAX_UNITS + 1):
            apart = UNITS_COST + UNIT_COST * abs(units - event.quantity)
            if units != event.quantity:
                yield Change(event, replace(event, quantity=units), flip + apart)
            for gtin, cost in products(case, event.kind, event.visit, goods):
                if gtin != event.gtin:
                    many = apart if goods.planned.get(case.lane) == gtin else MORE_STRANGERS_COST * (units - 1)
                    yield Change(event, replace(event, gtin=gtin, quantity=units), flip + OTHER_COST + cost + many)
            yield from turned(event, units, flip + OTHER_COST + PLANNED_COST + UNIT_COST * (units - 1), goods)
        if event.kind == "return":
            yield from others(case, event, flip + OTHER_COST, goods)


def turned(event: LedgerEvent, units: int, cost: float, goods: Goods) -> Iterator[Change]:
    """A take as a return, or the other way round, of the lane's own product."""
    own = goods.planned.get(event.lane, "")
    if own in goods.unit_grams:
        kind: Kind = "return" if event.kind == "take" else "take"
        yield Change(event, replace(event, kind=kind, gtin=own, quantity=units), cost)


def others(case: Case, event: LedgerEvent, cost: float, goods: Goods) -> Iterator[Change]:
    """A return as somebody else's, of something that they had."""
    for visit, closeness in case.reach.items():
        if visit != event.visit and closeness >= LEAST_REACH:
            who = float(np.log(max(sum(case.reach.values()), 1.0) / closeness))
            for gtin in case.baskets.get(visit, {}):
                if gtin in goods.unit_grams:
                    mine = replace(event, visit=visit, gtin=gtin, quantity=1)
                    yield Change(event, mine, cost + who + OWNED_COST)


def added(case: Case, goods: Goods) -> Iterator[Change]:
    """One event that nobody wrote."""
    base = ADD_COST + (ADD_TOO_COST if case.told else 0.0)
    for kind in KINDS_ADDED:
        for visit, closeness in case.reach.items():
            if closeness < LEAST_REACH:
                continue
            who = float(np.log(max(sum(case.reach.values()), 1.0) / closeness))
            for gtin, cost in products(case, kind, visit, goods):
                known = goods.planned.get(case.lane) == gtin or cost < STRANGER_COST
                for units in range(1, MAX_UNITS + 1):
                    many = (ADDED_UNIT_COST if known else MORE_STRANGERS_COST) * (units - 1)
                    event = LedgerEvent(NAMELESS, 0, kind, visit, gtin, units, 0.5, lane=case.lane)
                    yield Change(None, event, base + who + cost + many + (0.0 if known else ADD_STRANGER_COST))


def products(case: Case, kind: str, visit: str, goods: Goods) -> Iterator[tuple[str, float]]:
    """What may have been taken from the lane, or put into it by a visit, and what speaks against it."""
    own = goods.planned.get(case.lane, "")
    if own in goods.unit_grams:
        yield own, PLANNED_COST
    if kind == "return":
        for gtin in case.baskets.get(visit, {}):
            if gtin != own and gtin in goods.unit_grams:
                yield gtin, OWNED_COST
        return
    choice = float(np.log(max(len(goods.unit_grams), 2)))
    for gtin in goods.unit_grams:
        if gtin != own:
            yield gtin, LYING_COST if gtin in case.lying else STRANGER_COST + choice


def unlike(case: Case, events: Sequence[LedgerEvent], goods: Goods) -> float:
    """What the look says against events: minus the log of its probability, but for a constant."""
    return against(case.lane, [(event.gtin, signed(event)) for event in events], case.look, goods)


def against(lane: str, moves: Sequence[tuple[str, int]], look: ShelfLook, goods: Goods) -> float:
    """What a look says against that a lane got so many units of products (< 0: lost them)."""
    net: dict[str, int] = {}
    for gtin, units in moves:
        net[gtin] = net.get(gtin, 0) + units
    out = 0.0
    for side, sign in enumerate((-1, 1)):  # what left, what came
        moved = [gtin for gtin, units in net.items() if units * sign > 0]
        if not moved and any(units * sign > 0 for _, units in moves):
            continue  # what was taken and put back may lie elsewhere now
        seen = float(look.changed[side]) * (1 if moved else -1)
        out += min(float(np.logaddexp(0.0, -seen)), MOST_LOOKS)
        if len(moved) == 1 and moved[0] in goods.row:
            out -= TRUST * (float(look.named[side, goods.row[moved[0]]]) + float(np.log(len(goods.row))))
    units = net.get(goods.planned.get(lane, ""), 0)
    return out - float(look.net[int(np.clip(units, -MOST_UNITS, MOST_UNITS)) + MOST_UNITS])


def signed(event: LedgerEvent) -> int:
    """Units that an event puts into the lane."""
    return event.quantity if event.kind == "return" else -event.quantity
