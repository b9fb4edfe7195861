"""How many of a made-up shopper's moves are found, and how many that never were."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from openaisle.modular.plates import Seen, see
from openaisle.modular.series import read_series
from openaisle.modular.shelves import shelves
from openaisle.tokens.catalogue import unit_grams
from tests.modular.nano_plates import BEGIN_NS, Happened, Plates

NEAR_S = 1.5


@dataclass(frozen=True)
class Counted:
    """Moves found, missed and invented; whether the basket is right, and whether a wrong one is doubtful."""

    found: int
    missed: tuple[Happened, ...]
    invented: tuple[Seen, ...]
    right: bool
    doubtful: bool


def counted(shop: Plates) -> Counted:
    """Hold what is seen against the truth: kind, product, units and time."""
    store = shop.store()
    series = read_series((scale.id for scale in store.spec.scales), shop.batches())
    seen = see(series, shelves(store), unit_grams(store).tolist())
    left = [one for one in seen if one.kind != "lost"]
    missed = []
    for true in shop.happened:
        for one in left:
            at = (series.time_ns(one.block) - BEGIN_NS) / 1e9
            same = (one.kind, store.products[one.product].gtin, one.units) == (true.kind, true.gtin, true.units)
            if same and abs(at - true.time_s) < NEAR_S:
                left.remove(one)
                break
        else:
            missed.append(true)
    true_basket: Counter[str] = Counter()
    for happened in shop.happened:
        true_basket[happened.gtin] += happened.units if happened.kind == "take" else -happened.units
    basket: Counter[str] = Counter()
    sure = 1.0
    for one in seen:
        if one.kind != "lost":
            basket[store.products[one.product].gtin] += one.units if one.kind == "take" else -one.units
            sure = min(sure, one.confidence)
        else:
            sure = 0.0
    right = +basket == +true_basket
    return Counted(len(shop.happened) - len(missed), tuple(missed), tuple(left), right, sure < 0.5)
