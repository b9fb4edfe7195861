"""How likely a change of a shelf's levels is, when given things came or went: a normal law over all its plates.

A unit weighs what the catalogue says, give or take (real ones: -7% and +9.5% in two picks), stands anywhere in its
facing, and leans over to the plates beside it (a 10 cm bag on 10 cm plates: 18, 59 and 27%).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from openaisle.modular.series import Float

KIND_SPREAD = 0.05  # of all units of a product around the catalogue: wrapping, filling
UNIT_SPREAD = 0.05  # of a unit around its product
LEAN, LEAN_SD = 0.1, 0.13  # share of a unit that the plate on either side feels
CROSS_TALK, FELT = 0.025, 2.5  # share that plates feel through the shelf, so many plates away
APART = 0.7  # of the spread of positions that units share when they are not side by side
GAIN = 0.005  # a plate's own error
RELAXING = 0.0015  # of the largest push that a plate still feels afterwards


@dataclass(frozen=True)
class Change:
    """Levels after something less levels before it, over the plates of a shelf."""

    grams: Float  # [P]
    variance: Float  # [P] of noise, drift and what a push leaves behind


@dataclass(frozen=True)
class Law:
    """What is expected of one thing, whatever its mass: shares over the plates and their covariance."""

    share: Float  # [P]
    covariance: Float  # [P, P]


def law_of(at: tuple[float, ...], plates: int) -> Law:
    """The law of a unit whose middle is at one of the positions `at` of a row; halves lie between two plates."""
    shares, inner = [], np.zeros((plates, plates))
    for middle in at:
        centres = {math.floor(middle), math.ceil(middle)}
        own = np.zeros(plates)
        own[list(centres)] = 1.0 / len(centres)
        for centre, side in ((max(centres), min(centres) - 1), (min(centres), max(centres) + 1)):
            if 0 <= side < plates:
                towards = np.zeros(plates)
                towards[side], towards[centre] = 1.0, -1.0
                own = own + (LEAN / len(centres)) * towards
                inner += LEAN_SD**2 / len(at) * np.outer(towards, towards)
        shares.append(own)
    table = np.array(shares)
    mean = table.mean(0)
    away = np.abs(np.arange(plates)[:, None] - np.array(at)).min(1)
    inner += np.diag(CROSS_TALK**2 * (away <= FELT))
    return Law(mean, inner + (table - mean).T @ (table - mean) / len(at))


def middles(at: tuple[int, ...]) -> tuple[float, ...]:
    """Where in a facing a unit's middle may be: on its plates, and between two."""
    return tuple(at[0] + i / 2 for i in range(2 * len(at) - 1))


@dataclass(frozen=True)
class Load:
    """Units that came (signed grams > 0) or went, as a normal law over the plates."""

    mean: Float  # [P]
    covariance: Float  # [P, P]
    grams: float  # signed sum
    sd: float  # of the sum


def load_of(law: Law, signed_units: int, unit_grams: float, spread: tuple[float, float]) -> Load:
    """So many units; `spread` = relative standard deviations of the product's mass and of a unit around it."""
    n = abs(signed_units)
    grams = signed_units * unit_grams
    sd = unit_grams * math.hypot(n * spread[0], math.sqrt(n) * spread[1])
    place = grams**2 * law.covariance * ((1 - APART) + APART / n)
    return Load(grams * law.share, place + sd**2 * np.outer(law.share, law.share), grams, sd)


def fit(change: Change, loads: tuple[Load, ...]) -> tuple[float, float]:
    """Log density of a change under some loads together, and how many sds the sum of grams is off."""
    mean = sum((load.mean for load in loads), np.zeros(len(change.grams)))
    covariance = np.diag(change.variance)
    if loads:
        covariance = covariance + sum(load.covariance for load in loads) + np.diag((GAIN * mean) ** 2)
    off = change.grams - mean
    total_sd = math.sqrt(float(change.variance.sum()) + sum(load.sd**2 for load in loads))
    return log_normal(off, covariance), abs(float(off.sum())) / total_sd


def unknown(change: Change) -> float:
    """Log density of a change of which only its size on each plate is known, and that neighbours feel each other."""
    size = np.pad(np.abs(change.grams), 2)
    beside, farther = np.maximum(size[1:-3], size[3:-1]), np.maximum(size[:-4], size[4:])
    wide = np.maximum(np.abs(change.grams), np.maximum(LEAN_SD * beside, CROSS_TALK * farther))
    return log_normal(change.grams, np.diag(change.variance + wide**2))


def log_normal(off: Float, covariance: Float) -> float:
    """Log density of a normal law with mean zero."""
    factor = np.linalg.cholesky(covariance)
    z = np.linalg.solve(factor, off)
    return float(-0.5 * z @ z - np.log(np.diag(factor)).sum() - 0.5 * len(off) * math.log(2 * math.pi))
