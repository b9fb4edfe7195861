"""Scales that tell nothing, dead ones and those loaded beyond their limit, are no scales as long as that lasts.

In: the constants of a run and the last seconds of readings. Out: the constants with the lanes of mute scales as lanes
without one, so that hands and shelves speak for them. What changes meanwhile is not the scale's to tell: the level at
which it comes back is where it begins anew (weighing/interactions.py). Pure.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from openaisle.state import Setup
from openaisle.store.store import Store
from openaisle.tokens.scales import WINDOW
from openaisle.weighing.goods import Goods, goods_of

FULL_SHARE = 0.96  # of the limit: nobody knows the zero of a cell better than this
Float32 = NDArray[np.float32]


def mute_scales(grams: Float32, limit_grams: Float32) -> frozenset[int]:
    """Scales whose rows [C, HISTORY] have no reading in the last window, or stand at their limit [C] all through it."""
    if not len(grams):
        return frozenset()
    last = grams[:, -WINDOW:]
    dead = np.isnan(last).all(1)
    lowest = np.where(np.isnan(last), np.inf, np.abs(last)).min(1)
    full = np.isfinite(lowest) & (lowest >= FULL_SHARE * limit_grams)
    return frozenset(np.flatnonzero(dead | full).tolist())


def without_mute(setup: Setup, grams: Float32) -> Setup:
    """The constants of a run for this tick: lanes of mute scales have no scale."""
    limit = np.array([scale.limit_grams for scale in setup.store.spec.scales], dtype=np.float32)
    mute = mute_scales(grams, limit)
    if not mute:
        return setup
    table = setup.table
    gone = np.isin(table.scale, list(mute))
    table = replace(
        table,
        scale=np.where(gone, -1, table.scale).astype(np.int32),
        shared=np.where(gone, 0.0, table.shared).astype(np.float32),
    )
    return replace(setup, table=table, goods=_goods(setup.store, mute), mute=mute)


@lru_cache(maxsize=16)
def _goods(store: Store, mute: frozenset[int]) -> Goods:
    return goods_of(store, mute)
