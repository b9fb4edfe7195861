"""What came and went when a shelf's levels changed: every likely combination is held against the change.

Nothing at all and something unknown compete as well, so that a bump is nothing and what fits no product is told.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from openaisle.modular.masses import Change, Law, Load, fit, load_of, unknown

UNKNOWN = -12.0  # log prior: a thing of no known mass
ANOTHER_UNIT = -0.6
PAIR = -1.0
MOST_UNITS = 8
MOST_COMBINATIONS = 250
FAR_SD = 4.0  # a combination whose sum is farther off is not looked at
MISFIT_SD, DOUBT = 2.2, 0.45  # a sum so far off is doubtful, however little else fits
SUREST = 0.99
WELL = 2.0  # so much likelier than something unknown


@dataclass(frozen=True)
class Thing:
    """What may have come (sign 1) or gone (-1), and where it would be felt."""

    product: int  # -1 = no product: something that was put there before
    sign: int
    grams: float  # of a unit
    spread: tuple[float, float]  # relative sd: of the product's mass, of a unit around it
    law: Law
    prior: float
    most: int = MOST_UNITS
    doubtful: bool = False
    least: int = 1
    elsewhere: bool = False  # it came to where it does not belong


@dataclass(frozen=True)
class Move:
    """So many units of a thing."""

    thing: Thing
    units: int


@dataclass(frozen=True)
class Explanation:
    """The likeliest moves, None = something unknown; how likely they are among all, and how well they fit."""

    moves: tuple[Move, ...] | None
    score: float  # log prior and density
    confidence: float


@dataclass(frozen=True)
class _Option:
    move: Move
    load: Load
    prior: float


@dataclass(frozen=True)
class _Scored:
    """A combination: log prior and density, and how many sds the sum of grams is off."""

    score: float
    misfit: float
    options: tuple[_Option, ...]


def explain(change: Change, things: Sequence[Thing]) -> Explanation:
    """The likeliest explanation of a change by the things that may have come or gone."""
    options = _options(change, things)
    found: list[_Scored] = [_scored(change, ())]
    found += [_scored(change, (option,)) for option in options]
    mystery = UNKNOWN + unknown(change)
    if max(one.score for one in found) > found[0].score:  # otherwise it is nothing, and two things are no better
        found += [_scored(change, pair) for pair in _pairs(change, options)]
        found += _triples(change, options, found)
    best = max(found, key=lambda one: one.score)
    if mystery > best.score:
        return Explanation(None, mystery, 0.0)
    same = np.array([one.score for one in found if _outcome(one) == _outcome(best)])
    everything = np.array([mystery, *(one.score for one in found)])
    confidence = min(SUREST, float(np.exp(same - best.score).sum() / np.exp(everything - best.score).sum()))
    if best.misfit > MISFIT_SD or any(option.move.thing.doubtful for option in best.options):
        confidence = min(confidence, DOUBT)
    return Explanation(tuple(option.move for option in best.options), best.score, confidence)


def _outcome(one: _Scored) -> tuple[tuple[int, int], ...]:
    """What moves mean for a basket, wherever they happened."""
    moves = [option.move for option in one.options]
    return tuple(sorted((m.thing.product, m.thing.sign * m.units) for m in moves if m.thing.product >= 0))


def _scored(change: Change, options: tuple[_Option, ...]) -> _Scored:
    density, misfit = fit(change, tuple(option.load for option in options))
    score = density + sum(option.prior for option in options) + PAIR * max(0, len(options) - 1)
    return _Scored(score, misfit, options)


def _options(change: Change, things: Sequence[Thing]) -> list[_Option]:
    """Units of each thing, as many as the change could hold."""
    room = 1.3 * float(np.abs(change.grams).sum()) + FAR_SD * math.sqrt(float(change.variance.sum()))
    out = []
    for thing in things:
        for units in range(thing.least, thing.most + 1):
            load = load_of(thing.law, thing.sign * units, thing.grams, thing.spread)
            if units * thing.grams > room + FAR_SD * load.sd:
                break
            out.append(_Option(Move(thing, units), load, thing.prior + ANOTHER_UNIT * (units - 1)))
    return out


def _off(change: Change, options: Sequence[_Option]) -> float:
    """How many sds the sum of grams is off."""
    variance = float(change.variance.sum()) + sum(option.load.sd**2 for option in options)
    return abs(float(change.grams.sum()) - sum(option.load.grams for option in options)) / math.sqrt(variance)


def _pairs(change: Change, options: Sequence[_Option]) -> list[tuple[_Option, _Option]]:
    """Two things at once whose sum could be right, the nearest first."""
    grams, variance = (np.array([one(option.load) for option in options]) for one in (_grams, _variance))
    apart = float(change.grams.sum()) - grams[:, None] - grams[None, :]
    off = np.abs(apart) / np.sqrt(float(change.variance.sum()) + variance[:, None] + variance[None, :])
    off[np.tril_indices(len(options))] = np.inf
    order = np.argsort(off, axis=None, kind="stable")[:MOST_COMBINATIONS]
    rows, columns = np.unravel_index(order[off.ravel()[order] < FAR_SD], off.shape)
    pairs = [(options[a], options[b]) for a, b in zip(rows.tolist(), columns.tolist(), strict=True)]
    return [(a, b) for a, b in pairs if a.move.thing is not b.move.thing]


def _grams(load: Load) -> float:
    return load.grams


def _variance(load: Load) -> float:
    return load.sd**2


def _triples(change: Change, options: Sequence[_Option], found: Sequence[_Scored]) -> list[_Scored]:
    """A third thing beside the best pairs, where two do not explain the change well."""
    if max(one.score for one in found) > UNKNOWN + unknown(change) + WELL or len(options) < 3:
        return []
    pairs = sorted((one for one in found if len(one.options) == 2), key=lambda one: -one.score)[:8]
    return [
        _scored(change, (*pair.options, option))
        for pair in pairs
        for option in options
        if all(option.move.thing is not other.move.thing for other in pair.options)
        and _off(change, (*pair.options, option)) < FAR_SD
    ]
