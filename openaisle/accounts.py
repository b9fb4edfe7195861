"""What a settled scale says about the events written since it was last quiet: the likeliest account of the change.

An account is the events as written, or with one of them changed (its units, its product, or that it happened at all),
or with one added for somebody whose hand was there. Each costs what speaks against it, in log-odds: how sure the
decoder was, how rare such a thing is, and how badly the masses add up. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import combinations, pairwise

import numpy as np

from openaisle.predictor import ShelfLook
from openaisle.receipts.events import Kind, LedgerEvent
from openaisle.store.store import Store
from openaisle.tokens.catalogue import unit_grams
from openaisle.tokens.journey import MAX_UNITS
from openaisle.tokens.shelf import MOST_UNITS

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
READING_G, NOISES = 1.5, 0.4  # deviation of a settled level: grams, and share of a sample's noise
BATCH, UNIT = 0.022, 0.015  # deviations of a batch's and of a unit's mass
LEAK, LEAK_SD = 0.028, 0.025  # share of what lies on a lane that the scale on either side feels instead
WIDE_COST, WIDE_SHARE = 3.0, 0.3  # something lies across lanes: its mass adds up, but no single scale is right
UNEXPLAINED_COST = 9.0  # a change by anything else: a bag put down, a fixture moved
TRUST = 0.7  # in what a shelf look says of products
COUNT_TRUST = 0.5  # in its count of units, where a scale counts, too
MOST_LOOKS = 3.0  # log-odds that a look may hold against an account for seeing something, or nothing
MARGIN = 1.0  # log-odds by which an account must beat the one written
MOST_SURE = 0.95
KINDS_ADDED: tuple[Kind, ...] = ("take", "return")
NAMELESS = "?"  # id of an event that has no place in a ledger yet


@dataclass(frozen=True)
class Goods:
    """What events may be about: unit masses in grams by GTIN; each lane's own product and scale; neighbours.

    A lane without a scale has a number below zero in place of one.
    """

    unit_grams: Mapping[str, float]
    planned: Mapping[str, str]
    scale: Mapping[str, int]
    beside: Mapping[int, tuple[int, ...]] = field(default_factory=dict)
    row: Mapping[str, int] = field(default_factory=dict)  # of a GTIN in the catalogue, as looks name products

    @cached_property
    def places(self) -> Mapping[int, tuple[str, ...]]:
        """The lanes that stand on each scale."""
        out: dict[int, tuple[str, ...]] = {}
        for lane, scale in self.scale.items():
            out[scale] = (*out.get(scale, ()), lane)
        return out

    def lanes_on(self, scale: int) -> tuple[str, ...]:
        """The lanes that stand on a scale."""
        return self.places.get(scale, ())


def goods_of(store: Store, mute: frozenset[int] = frozenset()) -> Goods:
    """The goods of a store; products of unknown mass are left out, and scales (indices) that are mute."""
    gtins = [product.gtin for product in store.products]
    lanes = list(zip(store.lanes, store.lane_product.tolist(), strict=True))
    beside: dict[int, set[int]] = {}
    for one, next_ in pairwise(store.lanes):
        a, b = one.scale, next_.scale
        seeing = a >= 0 and b >= 0 and not {a, b} & mute
        same_shelf = one.id.rpartition(".")[0] == next_.id.rpartition(".")[0]
        if same_shelf and seeing and a != b:
            beside.setdefault(a, set()).add(b)
            beside.setdefault(b, set()).add(a)
    return Goods(
        {gtin: grams for gtin, grams in zip(gtins, unit_grams(store).tolist(), strict=True) if grams > 0},
        {lane.id: gtins[product] for lane, product in lanes if product >= 0},
        {lane.id: lane.scale if lane.scale >= 0 and lane.scale not in mute else bare(lane.index) for lane, _ in lanes},
        {scale: tuple(sorted(others)) for scale, others in beside.items()},
        {gtin: row for row, gtin in enumerate(gtins)},
    )


def bare(lane: int) -> int:
    """The number that stands for the scale that a lane (store index) has not."""
    return -1 - lane


@dataclass(frozen=True)
class Case:
    """Scales that are to be explained together, from when they were last quiet to now.

    grams, noise: change and a sample's deviation by scale. reach: closeness 0..1 of each visit's hands to each scale
    meanwhile. baskets: units by GTIN of each visit. lying: (lane, GTIN) of what is known to lie in wrong lanes.
    looks: what still pictures from before and after say, by lane. places: the scales, those that are none included.
    """

    grams: Mapping[int, float]
    noise: Mapping[int, float]
    told: tuple[LedgerEvent, ...]
    reach: Mapping[str, Mapping[int, float]]
    baskets: Mapping[str, Mapping[str, int]]
    lying: frozenset[tuple[str, str]] = frozenset()
    looks: Mapping[str, ShelfLook] = field(default_factory=dict)
    places: tuple[int, ...] = ()


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
    kept = against(case, case.told, goods)
    least = sum(float(np.log(reading(case.noise[s]))) for s in case.grams)  # no account's masses fit better
    least -= TRUST * sum(float(np.log(len(goods.row))) for _ in case.looks)
    found = [
        replace(a, cost=a.cost + against(case, after(case.told, a), goods))
        for a in accounts(case, goods) if a.cost + least < kept - MARGIN
    ]  # fmt: skip
    best = min(found, key=lambda account: account.cost, default=None)
    if best is None or best.cost > kept - MARGIN:
        return None
    costs = np.array([kept, *(account.cost for account in found)])
    return best, min(MOST_SURE, float(1.0 / np.exp(best.cost - costs).sum()))


def unexplained(case: Case, goods: Goods) -> bool:
    """Whether the events as written are no better than anything else that may move a scale."""
    return bool(case.grams) and misfit(case, case.told, goods) >= by_anything(case) - 1e-6


def after(told: Sequence[LedgerEvent], account: Account) -> list[LedgerEvent]:
    """The events as an account has them."""
    replaced = [change.instead for change in account.changes]
    kept = [event for event in told if not any(event is other for other in replaced)]
    return kept + [change.event for change in account.changes if change.event]


def accounts(case: Case, goods: Goods) -> Iterator[Account]:
    """Every account but the one written, at what it costs beside its misfit: one change, or two cheap ones."""
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
            for gtin, cost in products(case, event.kind, event.visit, event.lane, goods):
                if gtin != event.gtin:
                    many = apart if goods.planned.get(event.lane) == gtin else MORE_STRANGERS_COST * (units - 1)
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
    scale = goods.scale.get(event.lane)
    near = {visit: by.get(scale, 0.0) for visit, by in case.reach.items()} if scale is not None else {}
    for visit, closeness in near.items():
        if visit != event.visit and closeness >= LEAST_REACH:
            who = float(np.log(max(sum(near.values()), 1.0) / closeness))
            for gtin in case.baskets.get(visit, {}):
                if gtin in goods.unit_grams:
                    mine = replace(event, visit=visit, gtin=gtin, quantity=1)
                    yield Change(event, mine, cost + who + OWNED_COST)


def added(case: Case, goods: Goods) -> Iterator[Change]:
    """One event that nobody wrote."""
    for kind in KINDS_ADDED:
        for scale in case.places:
            if case.told or case.grams.get(scale, 0.0) * (1 if kind == "take" else -1) <= 0:
                yield from added_at(case, scale, kind, goods)


def added_at(case: Case, scale: int, kind: Kind, goods: Goods) -> Iterator[Change]:
    """One event of a kind at a scale that nobody wrote."""
    base = ADD_COST + (ADD_TOO_COST if case.told else 0.0)
    near = {visit: by_scale.get(scale, 0.0) for visit, by_scale in case.reach.items()}
    for visit, closeness in near.items():
        if closeness < LEAST_REACH:
            continue
        who = float(np.log(max(sum(near.values()), 1.0) / closeness))
        for lane in goods.lanes_on(scale):
            for gtin, cost in products(case, kind, visit, lane, goods):
                known = goods.planned.get(lane) == gtin or cost < STRANGER_COST
                for units in range(1, MAX_UNITS + 1):
                    many = (ADDED_UNIT_COST if known else MORE_STRANGERS_COST) * (units - 1)
                    event = LedgerEvent(NAMELESS, 0, kind, visit, gtin, units, 0.5, lane=lane)
                    yield Change(None, event, base + who + cost + many + (0.0 if known else ADD_STRANGER_COST))


def products(case: Case, kind: str, visit: str, lane: str, goods: Goods) -> Iterator[tuple[str, float]]:
    """What may have been taken from a lane, or put into it by a visit, and what speaks against it."""
    own = goods.planned.get(lane, "")
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
            yield gtin, LYING_COST if (lane, gtin) in case.lying else STRANGER_COST + choice


def against(case: Case, events: Sequence[LedgerEvent], goods: Goods) -> float:
    """What masses and looks say against events."""
    seen = sum(unlike(look, lane, events, goods) for lane, look in case.looks.items())
    return seen + (misfit(case, events, goods) if case.grams else 0.0)


def unlike(look: ShelfLook, lane: str, events: Sequence[LedgerEvent], goods: Goods) -> float:
    """What a look at a lane says against events: minus the log of its probability, but for a constant."""
    net: dict[str, int] = {}
    for event in events:
        if event.lane == lane:
            net[event.gtin] = net.get(event.gtin, 0) + signed(event)
    out = 0.0
    for side, sign in enumerate((-1, 1)):  # what left, what came
        moved = [gtin for gtin, units in net.items() if units * sign > 0]
        seen = float(look.changed[side]) * (1 if moved else -1)
        out += min(float(np.logaddexp(0.0, -seen)), MOST_LOOKS)
        if len(moved) == 1 and moved[0] in goods.row:
            out -= TRUST * (float(look.named[side, goods.row[moved[0]]]) + float(np.log(len(goods.row))))
    units = net.get(goods.planned.get(lane, ""), 0)
    counted = float(look.net[int(np.clip(units, -MOST_UNITS, MOST_UNITS)) + MOST_UNITS])
    return out - (COUNT_TRUST if goods.scale[lane] >= 0 else 1.0) * counted


def misfit(case: Case, events: Sequence[LedgerEvent], goods: Goods) -> float:
    """How badly events add up to the changes: minus the log of their density.

    Scales side by side feel a part of each other's load, nobody knows how much. Something wide lies on its
    neighbours, too: then the sum is right, and no single scale.
    """
    scales = sorted(case.grams)
    row = {scale: i for i, scale in enumerate(scales)}
    change = np.array([case.grams[s] for s in scales])
    mean, spread = np.zeros(len(scales)), np.diag([reading(case.noise[s]) ** 2 for s in scales])
    net: dict[tuple[int, str], int] = {}
    moved: dict[tuple[int, str], int] = {}
    for event in events:
        key = goods.scale.get(event.lane, -1), event.gtin
        if key[0] in row and event.gtin in goods.unit_grams:
            net[key] = net.get(key, 0) + signed(event)
            moved[key] = moved.get(key, 0) + event.quantity
    for (scale, gtin), units in net.items():
        grams = units * goods.unit_grams[gtin]
        felt = np.zeros(len(scales))
        felt[row[scale]] = 1.0
        for other in goods.beside.get(scale, ()):
            shift = np.zeros(len(scales))
            shift[row[scale]] = -1.0
            if other in row:
                shift[row[other]] = 1.0
            felt += LEAK * shift
            spread += np.outer(shift, shift) * (LEAK_SD * grams) ** 2
        mean += grams * felt
        loose = BATCH**2 * grams**2 + moved[scale, gtin] * (UNIT * goods.unit_grams[gtin]) ** 2
        spread += np.outer(felt, felt) * loose
    apart = change - mean
    each = float(apart @ np.linalg.solve(spread, apart)) / 2 + float(np.linalg.slogdet(spread)[1]) / 2
    each = min(each, by_anything(case))
    if len(scales) == 1:
        return each
    total, wide = float(apart.sum()), float(spread.sum())
    elsewhere = float(np.log(max(WIDE_SHARE * np.abs(change).sum(), READING_G)))
    return min(each, (total**2 / wide + float(np.log(wide))) / 2 + WIDE_COST + elsewhere * (len(scales) - 1))


def by_anything(case: Case) -> float:
    """What a change costs that nothing explains."""
    sizes = (max(abs(case.grams[s]), reading(case.noise[s])) for s in case.grams)
    return UNEXPLAINED_COST + sum(float(np.log(size)) for size in sizes)


def reading(noise: float) -> float:
    """Deviation in grams of a settled level."""
    return float(np.hypot(READING_G, NOISES * noise))


def signed(event: LedgerEvent) -> int:
    """Units that an event puts on the scale."""
    return event.quantity if event.kind == "return" else -event.quantity
