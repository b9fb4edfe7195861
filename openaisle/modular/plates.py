"""Plates alone: what one shopper took and put back, from the series of all plates, the planogram and the catalogue.

Change points per plate (quiet.py), neighbouring ones as one change of a shelf (chains.py), products and counts that
explain it (things.py, explain.py, masses.py). What was taken may come back anywhere; what came and is no product of
the basket is remembered, so that its going is no pick either. A second pass knows from the first what units weigh.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from openaisle.modular.chains import Cluster, Happening, best_partition, chains, clusters, window
from openaisle.modular.explain import Explanation, Move, explain
from openaisle.modular.masses import Change
from openaisle.modular.quiet import Plate, plate_of
from openaisle.modular.series import Series
from openaisle.modular.shelves import Shelf
from openaisle.modular.things import Astray, Catalogue, Foreign, Memory, Where, things

SURE = 0.9  # so sure a pick tells what a unit weighs
OFF = 0.1  # of the catalogue's mass: who is farther off may be two things
LOST_G, LOST_SD = 15.0, 8.0  # less than this is no product that went unseen
LOST_SHARE = 0.5  # of the lightest product there
FOREIGN_G = 5.0


@dataclass(frozen=True)
class Seen:
    """Units that left a shelf (take), came to it (return), or grams that left it and are no product (lost)."""

    kind: str
    product: int  # -1 of what was lost
    units: int
    grams: float
    confidence: float
    shelf: int
    position: int
    block: int  # when it left or came to rest
    begin: int  # of the evidence, blocks, end exclusive
    end: int


def see(series: Series, rows: Sequence[Shelf], unit_grams: Sequence[float]) -> list[Seen]:
    """Everything taken and put back, in order of time; products as indices into `unit_grams` (0 = unknown)."""
    plates = [
        [plate_of(series.grams[scale], series.noise[scale], series.level_noise[scale]) for scale in row.scales]
        for row in rows
    ]
    work = [(shelf, chain) for shelf, own in enumerate(plates) for chain in chains(clusters(own))]
    work.sort(key=lambda pair: pair[1][0].begin)
    first = _run(rows, plates, work, Catalogue(unit_grams, {}))
    return _run(rows, plates, work, Catalogue(unit_grams, _weighed(first, unit_grams)))


def _weighed(seen: Sequence[Seen], unit_grams: Sequence[float]) -> dict[int, float]:
    """Grams of a unit by product, where sure picks of single units tell."""
    out: dict[int, list[float]] = {}
    for one in seen:
        sure = one.kind == "take" and one.units == 1 and one.confidence > SURE
        if sure and abs(one.grams - unit_grams[one.product]) < OFF * unit_grams[one.product]:
            out.setdefault(one.product, []).append(one.grams)
    return {product: float(np.median(grams)) for product, grams in out.items()}


def _run(
    rows: Sequence[Shelf],
    plates: Sequence[Sequence[Plate]],
    work: Sequence[tuple[int, list[Cluster]]],
    catalogue: Catalogue,
) -> list[Seen]:
    """All chains in order of time."""
    memory = Memory({})
    out: list[Seen] = []
    for shelf, chain in work:
        place = _Place(shelf, rows[shelf], plates[shelf], window(chain, len(plates[shelf])), catalogue)
        for happening in place.happenings(chain, memory):
            seen = list(place.told(happening))
            memory = place.remembered(memory, happening, seen)
            out += seen
    return sorted(out, key=lambda one: one.block)


@dataclass(frozen=True)
class _Place:
    """The plates of a chain."""

    shelf: int
    row: Shelf
    plates: Sequence[Plate]
    positions: tuple[int, ...]
    catalogue: Catalogue

    def happenings(self, chain: Sequence[Cluster], memory: Memory) -> list[Happening]:
        """What the chain was."""
        return best_partition(self.plates, chain, memory, self._explained, self._followed)

    def _explained(self, change: Change, felt: frozenset[int], memory: Memory) -> Explanation:
        where = Where(self.shelf, self.positions, felt)
        return explain(change, things(self.row, where, change, memory, self.catalogue))

    def _followed(self, memory: Memory, happening: Happening) -> Memory:
        return self.remembered(memory, happening, list(self.told(happening)))

    def told(self, happening: Happening) -> Iterator[Seen]:
        """The moves of products, and what went without one."""
        change, moves = happening.change, happening.explanation.moves
        if moves is None:
            lost = -float(change.grams.sum())
            if lost > self._least_lost(happening):
                yield self._seen(happening, "lost", (-1, 0, lost), int(np.argmin(change.grams)))
            return
        for (product, sign), own in _by_product(moves).items():
            units = sum(move.units for move in own)
            grams = sum(move.units * move.thing.grams for move in own)
            if len(own) == len(moves):
                grams = abs(float(change.grams.sum()))
            share = sum((move.thing.law.share for move in own), np.zeros(len(self.positions)))
            at = int(np.argmax(share * np.maximum(0, sign * change.grams)))
            yield self._seen(happening, "take" if sign < 0 else "return", (product, units, grams), at)

    def _least_lost(self, happening: Happening) -> float:
        near = {position + side for position in happening.positions for side in (-1, 0, 1)}
        masses = [self.catalogue.unit(f.product)[0] for f in self.row.facings if near & set(f.at)]
        lightest = min((grams for grams in masses if grams > 0), default=0.0)
        noise = float(np.sqrt(happening.change.variance.sum()))
        return max(LOST_G, LOST_SD * noise, LOST_SHARE * lightest)

    def _seen(self, happening: Happening, kind: str, what: tuple[int, int, float], at: int) -> Seen:
        product, units, grams = what
        position = self.positions[at]
        sign = 1.0 if kind == "return" else -1.0
        begin, end = happening.begin, max(happening.end, happening.begin + 1)
        block = begin + int(np.argmax(sign * self.plates[position].jump[begin : end + 1]))
        sure = happening.explanation.confidence
        return Seen(kind, product, units, grams, sure, self.shelf, position, block, begin, end)

    def remembered(self, memory: Memory, happening: Happening, seen: Sequence[Seen]) -> Memory:
        """What is known after something happened."""
        change, moves = happening.change, happening.explanation.moves
        if moves is None and float(change.grams.sum()) > FOREIGN_G:
            grams = dict(zip(self.positions, change.grams.tolist(), strict=True))
            return replace(memory, foreign=(*memory.foreign, Foreign(self.shelf, grams)))
        for move in moves or ():
            if move.thing.product < 0:  # it has gone again
                memory = replace(memory, foreign=_without_foreign(memory, self.shelf, move))
        for one in seen:
            if one.kind == "take":
                memory = memory.with_taken(one.product, [one.grams / one.units] * one.units)
                memory = replace(memory, astray=_without_astray(memory, one))
            elif one.kind == "return":
                memory = memory.with_returned(one.product, one.units)
                if not self._at_home(one):
                    astray = [Astray(self.shelf, one.position, one.product, one.grams / one.units)] * one.units
                    memory = replace(memory, astray=(*memory.astray, *astray))
        return memory

    def _at_home(self, one: Seen) -> bool:
        return any(
            f.product == one.product and any(abs(spot - one.position) <= 1 for spot in f.at) for f in self.row.facings
        )


def _by_product(moves: Sequence[Move]) -> dict[tuple[int, int], list[Move]]:
    """Moves by product and sign, foreign things left out."""
    out: dict[tuple[int, int], list[Move]] = {}
    for move in moves:
        if move.thing.product >= 0:
            out.setdefault((move.thing.product, move.thing.sign), []).append(move)
    return out


def _without_foreign(memory: Memory, shelf: int, move: Move) -> tuple[Foreign, ...]:
    return tuple(
        f for f in memory.foreign if f.shelf != shelf or abs(sum(f.grams.values()) - move.thing.grams) > FOREIGN_G
    )


def _without_astray(memory: Memory, one: Seen) -> tuple[Astray, ...]:
    """Less the units that were taken from where they lay astray."""
    left, out = one.units, []
    for unit in memory.astray:
        here = unit.shelf == one.shelf and abs(unit.position - one.position) <= 1 and unit.product == one.product
        if here and left:
            left -= 1
        else:
            out.append(unit)
    return tuple(out)
