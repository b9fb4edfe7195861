"""What may have come or gone at some plates of a shelf: its products, what the shopper holds, what lies astray."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from openaisle.modular.explain import Thing
from openaisle.modular.masses import KIND_SPREAD, UNIT_SPREAD, Change, Law, law_of, middles
from openaisle.modular.series import Float
from openaisle.modular.shelves import Shelf

TAKE, PUT_BACK, PUT_ELSEWHERE = -2.5, -2.5, -8.0  # log priors
OVER_THE_EDGE = -2.0  # half beyond its facing
TAKE_ASTRAY, TAKE_FOREIGN = -3.5, -1.5
STRANGER = -10.0  # a product of this shelf that lay on plates which are not its own
WEIGHED = 0.03  # relative sd of what has been weighed before
UNWEIGHED = -4.0  # a product whose mass nobody knows: whatever went
UNWEIGHED_SPREAD = 0.6
LEAST_G = 10.0  # of a product whose mass nobody knows


@dataclass(frozen=True)
class Where:
    """Some plates of a shelf: its number, the window's positions, and those that felt something."""

    shelf: int
    positions: tuple[int, ...]
    felt: frozenset[int]


@dataclass(frozen=True)
class Astray:
    """A unit that was put where it does not belong."""

    shelf: int
    position: int
    product: int
    grams: float


@dataclass(frozen=True)
class Foreign:
    """Something that came and is no product of the basket: grams by position."""

    shelf: int
    grams: Mapping[int, float]


@dataclass(frozen=True)
class Memory:
    """What is known so far."""

    held: Mapping[int, tuple[float, ...]]  # product → grams of each unit in the basket
    astray: tuple[Astray, ...] = ()
    foreign: tuple[Foreign, ...] = ()

    def with_taken(self, product: int, grams: Sequence[float]) -> Memory:
        """More units of a product in the basket."""
        return replace(self, held={**self.held, product: (*self.held.get(product, ()), *grams)})

    def with_returned(self, product: int, units: int) -> Memory:
        """Fewer units of a product in the basket."""
        left = self.held.get(product, ())[units:]
        return replace(self, held={**{key: own for key, own in self.held.items() if key != product}, product: left})


@dataclass(frozen=True)
class Catalogue:
    """Masses of units by product: as the catalogue says (0 = unknown), and as they have been weighed."""

    grams: Sequence[float]
    weighed: Mapping[int, float]

    def unit(self, product: int) -> tuple[float, tuple[float, float]]:
        """Grams of a unit and their relative spreads: of the product and of a unit around it."""
        if product in self.weighed:
            return self.weighed[product], (WEIGHED, UNIT_SPREAD)
        return float(self.grams[product]), (KIND_SPREAD, UNIT_SPREAD)


def things(row: Shelf, where: Where, change: Change, memory: Memory, catalogue: Catalogue) -> list[Thing]:
    """Everything that may explain a change."""
    near = {position + side for position in where.felt for side in (-1, 0, 1)}
    peak = (int(np.argmax(np.abs(change.grams) / np.sqrt(change.variance + 1.0))),)
    return [
        *_takes(row, where, near, (change, peak), catalogue),
        *_returns(row, where, near, peak, memory),
        *_strays(where, near, memory),
        *_removals(where, memory),
    ]


def _local(at: Sequence[int], where: Where) -> tuple[int, ...]:
    return tuple(where.positions.index(position) for position in at if position in where.positions)


def _anywhere(thing: Thing, at: tuple[int, ...], width: int) -> Iterator[Thing]:
    """A thing at each place of its facing, and its units all over it."""
    spots = middles(at)
    for middle in spots:
        yield replace(thing, law=law_of((middle,), width), prior=thing.prior - math.log(len(spots)))
    for middle in (spots[0] - 0.5, spots[-1] + 0.5):
        if 0 <= middle <= width - 1:
            prior = thing.prior - math.log(len(spots)) + OVER_THE_EDGE
            yield replace(thing, law=law_of((middle,), width), prior=prior)
    if len(at) > 1 and thing.most > 1:
        yield replace(thing, law=law_of(at, width), prior=thing.prior - math.log(len(spots)), least=2)


def _takes(
    row: Shelf, where: Where, near: set[int], seen: tuple[Change, tuple[int, ...]], catalogue: Catalogue
) -> Iterator[Thing]:
    change, peak = seen
    width = len(where.positions)
    own = {facing.product for facing in row.facings if near & set(facing.at)}
    told: set[int] = set()
    for facing in row.facings:
        grams, spread = catalogue.unit(facing.product)
        belongs = bool(near & set(facing.at))
        if grams <= 0:
            went = -float(change.grams.sum())
            if belongs and went > LEAST_G:
                law = law_of(_local(facing.at, where), width)
                yield Thing(facing.product, -1, went, (UNWEIGHED_SPREAD, 0.0), law, UNWEIGHED, 1, doubtful=True)
        elif belongs:
            thing = Thing(facing.product, -1, grams, spread, law_of(peak, width), TAKE)
            yield from _anywhere(thing, _local(facing.at, where), width)
        elif facing.product not in own | told:
            told.add(facing.product)
            yield Thing(facing.product, -1, grams, spread, law_of(peak, width), STRANGER, 1, doubtful=True)


def _returns(row: Shelf, where: Where, near: set[int], peak: tuple[int, ...], memory: Memory) -> Iterator[Thing]:
    width = len(where.positions)
    for product, units in memory.held.items():
        if not units:
            continue
        spread = (WEIGHED, UNIT_SPREAD if len(units) > 1 else 0.0)
        grams = float(np.mean(units))
        homes = [f.at for f in row.facings if f.product == product and near & set(f.at)]
        for at in homes:
            thing = Thing(product, 1, grams, spread, law_of(peak, width), PUT_BACK, len(units))
            yield from _anywhere(thing, _local(at, where), width)
        if not homes:
            yield Thing(product, 1, grams, spread, law_of(peak, width), PUT_ELSEWHERE, len(units), elsewhere=True)


def _strays(where: Where, near: set[int], memory: Memory) -> Iterator[Thing]:
    for one in memory.astray:
        if one.shelf == where.shelf and one.position in near:
            law = law_of(_local((one.position,), where), len(where.positions))
            yield Thing(one.product, -1, one.grams, (WEIGHED, 0.0), law, TAKE_ASTRAY, 1)


def _removals(where: Where, memory: Memory) -> Iterator[Thing]:
    for one in memory.foreign:
        if one.shelf == where.shelf and where.felt & one.grams.keys():
            grams: Float = np.array([one.grams.get(position, 0.0) for position in where.positions])
            total = float(grams.sum())
            if total > 0:
                law = Law(grams / total, np.zeros((len(grams), len(grams))))
                yield Thing(-1, -1, total, (WEIGHED, 0.0), law, TAKE_FOREIGN, 1)
