"""How many of a made-up shopper's moves are found, and how many that never were."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from openaisle.messages import NANOSECONDS
from openaisle.modular.plates import Seen, see
from openaisle.modular.series import read_series
from openaisle.modular.shelves import shelves
from openaisle.store.store import Store
from openaisle.tokens.catalogue import unit_grams
from tests.modular.nano_plates import BEGIN_NS, Happened, Plates

NEAR_S = 1.0


@dataclass(frozen=True)
class Counted:
    """Units found, missed and invented; whether the basket is right, and whether the receipt asks for a person."""

    found: int
    missed: tuple[Happened, ...]  # with the units that nobody saw
    invented: tuple[Seen, ...]  # with the units that never moved
    right: bool
    doubtful: bool


def counted(shop: Plates) -> Counted:
    """Hold what is seen against the truth: units by kind and product, within the time of their evidence."""
    store = shop.store()
    series = read_series((scale.id for scale in store.spec.scales), shop.batches())
    seen = see(series, shelves(store), unit_grams(store).tolist())
    left = [one for one in seen if one.kind != "lost"]
    missed = []
    found = 0
    for true in shop.happened:
        units = true.units
        for i, one in enumerate(left):
            same = (one.kind, store.products[one.product].gtin) == (true.kind, true.gtin)
            begin, end = ((series.time_ns(block) - BEGIN_NS) / NANOSECONDS for block in (one.begin, one.end))
            if same and units and begin - NEAR_S < true.time_s < end + NEAR_S:
                both = min(units, one.units)
                units, left[i] = units - both, replace(one, units=one.units - both)
        found += true.units - units
        if units:
            missed.append(replace(true, units=units))
    sure = math.prod(one.confidence if one.kind != "lost" else 0.1 for one in seen)
    doubtful = sure < 0.2 or any(one.confidence < 0.5 for one in seen)  # as receipts/pricing.py has it
    invented = tuple(one for one in left if one.units)
    right = basket(seen, store) == true_basket(shop)
    return Counted(found, tuple(missed), invented, right, doubtful)


def basket(seen: Sequence[Seen], store: Store) -> Counter[str]:
    """Units by GTIN in the end."""
    out: Counter[str] = Counter()
    for one in seen:
        if one.kind != "lost":
            out[store.products[one.product].gtin] += one.units if one.kind == "take" else -one.units
    return +out


def true_basket(shop: Plates) -> Counter[str]:
    """Units by GTIN that were really kept."""
    out: Counter[str] = Counter()
    for happened in shop.happened:
        out[happened.gtin] += happened.units if happened.kind == "take" else -happened.units
    return +out
