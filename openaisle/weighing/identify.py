"""Products and counts: which moves of goods explain that a group of scales went from one level to another.

A move is so many units of one product that left a lane or came to it. Candidates are the lane's own product, what is
known to lie astray there (the planogram as it has been learnt), what the people near by have in their baskets, and any
product of the catalogue that weighs as much. Every likely combination is held against the change of all scales at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from openaisle.tokens.journey import MAX_UNITS
from openaisle.weighing.learnt import Learnt

EVENT_COST = 1.5  # log-odds: of each event that is supposed
UNIT_COST = 0.45  # of each unit beyond the first
LYING_COST, OWNED_COST = 0.7, 0.3
ASTRAY_COST = 2.5  # somebody puts down what does not belong there
NOT_OWNED_COST = 5.0  # a return of what nobody has: a take was missed, or another product is meant
STRANGER_COST = 2.5  # beside the choice among all products
MORE_COST = 1.5  # of each further unit of what does not belong there
UNKNOWN_COST = 4.0  # the same of what nobody knew to lie there
TOGETHER_COST = 0.7  # two moves on one scale in one step
READING_G, NOISES = 1.5, 0.4  # deviation of a rest's level: grams, and share of a sample's noise
UNIT_SPREAD = 0.015  # of a unit around its batch
LEAK, LEAK_SD = 0.028, 0.025  # share of a lane's load that the scale on either side feels instead
UNEXPLAINED_COST = 10.0
WIDE_COST, WIDE_SHARE = 3.5, 0.3  # things that lie across lanes: the sum is right, and no single scale
MOST_STRANGERS, STRANGER_G = 2, 8.0  # units of what nobody knew to lie there; grams that its mass may be off
SINGLES, PAIRED, AT_ONE, BEAM = 10, 10, 14, 10  # combinations kept: of single moves, for pairs, of a scale, of a group
Float = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Move:
    """So many units of a product (index) that left a lane (store index, on a scale) or came to it, and its cost.

    owners: the visits of whom one did it, where that is limited (a return of what they have); () = anybody.
    spoken: log-odds by which testimony speaks for it. of: the visit of whom just this was told, "" = it was not.
    """

    kind: str  # "take" | "return"
    lane: int
    scale: int
    product: int
    units: int
    cost: float
    owners: tuple[str, ...] = ()
    spoken: float = 0.0
    of: str = ""

    @property
    def signed(self) -> int:
        """Units that the scale gets."""
        return self.units if self.kind == "return" else -self.units


@dataclass(frozen=True)
class Explanation:
    """The moves behind a step, what speaks against them, and how likely they are among all; () = nothing moved."""

    moves: tuple[Move, ...]
    cost: float
    confidence: float


@dataclass(frozen=True)
class Scene:
    """What may move.

    lanes: store indices by scale. own: planned product by lane, -1 = none. beside: scales by scale. baskets: by visit
    units by product.
    """

    lanes: Mapping[int, tuple[int, ...]]
    own: Sequence[int]
    beside: Mapping[int, tuple[int, ...]]
    learnt: Learnt
    baskets: Mapping[str, Mapping[int, int]] = field(default_factory=dict)


class Law:
    """How badly moves add up to a change of a group's scales."""

    def __init__(self, scales: Sequence[int], change: Float, noise: Float, scene: Scene) -> None:
        self.scene, self.change, self.noise = scene, change.astype(np.float64), noise
        self.row = {scale: i for i, scale in enumerate(scales)}
        self.reading = np.hypot(READING_G, NOISES * noise.astype(np.float64))
        size = np.maximum(np.abs(self.change), self.reading)
        self.by_anything = UNEXPLAINED_COST + float(np.log(size).sum())
        self.parts: dict[tuple[int, int, int], tuple[Float, Float]] = {}

    def part(self, move: Move) -> tuple[Float, Float]:
        """Expected grams [K] of a move, and their covariance."""
        key = move.scale, move.product, move.signed
        if key not in self.parts:
            unit, batch = self.scene.learnt.mass(move.product)
            grams, size = unit * move.signed, len(self.change)
            felt, spread = np.zeros(size), np.zeros((size, size))
            felt[self.row[move.scale]] = 1.0
            for other in self.scene.beside.get(move.scale, ()):
                shift = np.zeros(size)
                shift[self.row[move.scale]] = -1.0
                if other in self.row:
                    shift[self.row[other]] = 1.0
                felt += LEAK * shift
                spread += np.outer(shift, shift) * (LEAK_SD * grams) ** 2
            loose = (batch * move.units) ** 2 + move.units * (UNIT_SPREAD * unit) ** 2
            self.parts[key] = grams * felt, spread + np.outer(felt, felt) * loose
        return self.parts[key]

    def misfit(self, moves: Sequence[Move]) -> float:
        """Minus the log of the change's density under moves, but for a constant."""
        apart, spread = self.change.copy(), np.diag(self.reading**2)
        for move in moves:
            mean, loose = self.part(move)
            apart -= mean
            spread += loose
        count = len(apart)
        if count == 1:
            return min(float(apart[0] ** 2 / spread[0, 0] + np.log(spread[0, 0])) / 2, self.by_anything)
        each = float(apart @ np.linalg.solve(spread, apart) + np.linalg.slogdet(spread)[1]) / 2
        total, wide = float(apart.sum()), float(spread.sum())
        elsewhere = float(np.log(max(WIDE_SHARE * np.abs(self.change).sum(), READING_G)))
        across = (total**2 / wide + float(np.log(wide))) / 2 + WIDE_COST + elsewhere * (count - 1)
        return min(each, across, self.by_anything) if moves else min(each, self.by_anything)


def explain(law: Law, candidates: Mapping[int, Sequence[Move]]) -> Explanation:
    """The likeliest moves behind a change, of each scale's candidates."""
    beam: list[tuple[float, tuple[Move, ...]]] = [(law.misfit(()), ())]
    order = sorted(law.row, key=lambda scale: -abs(float(law.change[law.row[scale]])))
    for scale in order:
        options = combined(law, scale, candidates.get(scale, ()))
        if options:
            grown = [(law.misfit(moves + more) + spent(moves + more), moves + more)
                     for _, moves in beam for more in ((), *options)]  # fmt: skip
            beam = sorted(grown, key=lambda pair: pair[0])[:BEAM]
    costs = np.array([cost for cost, _ in beam])
    weight = np.exp(costs[0] - costs)
    same = np.array([outcome(moves) == outcome(beam[0][1]) for _, moves in beam])
    return Explanation(beam[0][1], float(costs[0]), float(weight[same].sum() / weight.sum()))


def spent(moves: Sequence[Move]) -> float:
    """What speaks against moves beside their masses."""
    scales = [move.scale for move in moves]
    return sum(move.cost for move in moves) + TOGETHER_COST * (len(scales) - len(set(scales)))


def outcome(moves: Sequence[Move]) -> frozenset[tuple[int, int]]:
    """What moves mean for baskets."""
    return frozenset((move.product, move.signed) for move in moves)


def combined(law: Law, scale: int, moves: Sequence[Move]) -> list[tuple[Move, ...]]:
    """The likeliest single moves and pairs at one scale, as if it stood alone."""
    row = law.row[scale]
    change, reading = float(law.change[row]), float(law.reading[row])
    if not moves:
        return []
    mean = np.array([law.part(move)[0][row] for move in moves])
    variance = np.array([law.part(move)[1][row, row] for move in moves])
    cost = np.array([move.cost for move in moves])
    sd = np.sqrt(variance + reading**2)
    single = ((change - mean) / sd) ** 2 / 2 + np.log(sd) + cost
    order = np.argsort(single, kind="stable")
    out: list[tuple[float, tuple[Move, ...]]] = [(float(single[i]), (moves[i],)) for i in order[:SINGLES]]
    cheap = np.argsort(cost, kind="stable")[: 4 * PAIRED]
    both = [(a, b) for a, b in combinations(cheap.tolist(), 2) if not same_goods(moves[a], moves[b])]
    if both:
        left, right = np.array(both).T
        sds = np.sqrt(variance[left] + variance[right] + reading**2)
        pair = ((change - mean[left] - mean[right]) / sds) ** 2 / 2 + np.log(sds) + cost[left] + cost[right]
        pair += TOGETHER_COST
        out += [(float(pair[i]), (moves[left[i]], moves[right[i]])) for i in np.argsort(pair, kind="stable")[:PAIRED]]
    out.sort(key=lambda option: option[0])
    return [option for _, option in out[:AT_ONE]]


def same_goods(one: Move, other: Move) -> bool:
    """Whether two moves on one scale are of one product: then they are one move, of more units or of fewer.

    But for a take and a return of two people, each of which was told.
    """
    apart = one.kind != other.kind and one.of and other.of and one.of != other.of
    return one.product == other.product and not apart


def candidates(scale: int, change: float, scene: Scene) -> Iterator[Move]:
    """Every move that a scale's change of so many grams could hold."""
    held: dict[int, tuple[str, ...]] = {}
    for visit, basket in scene.baskets.items():
        for product in basket:
            held[product] = (*held.get(product, ()), visit)
    for lane in scene.lanes[scale]:
        yield from takes(scale, lane, change, scene)
        yield from returns(scale, lane, held, scene)


def takes(scale: int, lane: int, change: float, scene: Scene) -> Iterator[Move]:
    """What may have been taken from a lane."""
    own, learnt = scene.own[lane], scene.learnt
    catalogued = np.array(learnt.unit_grams)
    for product, units in known_units(lane, scene):
        lying = learnt.lying.get((lane, product), 0)
        base = 0.0 if product == own else LYING_COST
        beyond = MORE_COST * max(0, units - lying) if product != own else 0.0
        yield Move("take", lane, scale, product, units, EVENT_COST + base + UNIT_COST * (units - 1) + beyond)
    choice = EVENT_COST + STRANGER_COST + float(np.log(max(len(catalogued), 2)))
    for units in range(1, MOST_STRANGERS + 1):
        near = np.abs(units * catalogued - abs(change)) < 0.12 * units * catalogued + STRANGER_G
        for product in np.flatnonzero(near & (catalogued > 0)).tolist():
            if product != own and (lane, product) not in learnt.lying:
                yield Move("take", lane, scale, product, units, choice + UNKNOWN_COST * (units - 1))


def known_units(lane: int, scene: Scene) -> Iterator[tuple[int, int]]:
    """Products that are known to lie in a lane, each with so many units as may go at once."""
    known = [scene.own[lane], *(product for at, product in scene.learnt.lying if at == lane)]
    for product in dict.fromkeys(known):
        if product >= 0 and scene.learnt.unit_grams[product] > 0:
            yield from ((product, units) for units in range(1, MAX_UNITS + 1))


def returns(scale: int, lane: int, held: Mapping[int, tuple[str, ...]], scene: Scene) -> Iterator[Move]:
    """What may have been put into a lane."""
    own = scene.own[lane]
    for product, visits in held.items():
        if scene.learnt.unit_grams[product] <= 0:
            continue
        base = OWNED_COST if product == own else ASTRAY_COST
        for units in range(1, max(scene.baskets[visit][product] for visit in visits) + 1):
            able = tuple(visit for visit in visits if scene.baskets[visit][product] >= units)
            yield Move("return", lane, scale, product, units, EVENT_COST + base + UNIT_COST * (units - 1), able)
    if own >= 0 and scene.learnt.unit_grams[own] > 0:
        for units in range(1, 4):
            yield Move("return", lane, scale, own, units, EVENT_COST + NOT_OWNED_COST + UNIT_COST * (units - 1))
