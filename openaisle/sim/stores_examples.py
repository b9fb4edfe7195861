"""The example stores in stores/: drawn by the generator within narrow bounds, then finished by hand.

Run `python -m openaisle.sim.stores_examples stores` to write them again after the schema has changed.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

from openaisle.sim.stores import draw_store
from openaisle.sim.stores_layout import PLANS, StoreKind
from openaisle.store.load import save_store
from openaisle.store.schema import PromotionSpec, StoreSpec
from openaisle.store.store import Store

# Seeds of the validation split: no model in this repository is trained on these product families.
SEEDS: dict[StoreKind, int] = {"kiosk": 800_001, "corner": 800_002, "market": 800_003}
SEARCH = 400


@dataclass(frozen=True)
class Example:
    """What an example store is called and must have."""

    name: str
    fixtures: tuple[int, int]
    cameras: int
    products: int
    fridges: int  # with doors
    without_scales: int  # fixtures that the owner left without scales
    promotions: bool


EXAMPLES: dict[StoreKind, Example] = {
    "kiosk": Example("Kiosk am Stadtgarten", (3, 3), 4, 40, 0, 0, False),
    "corner": Example("Eckladen Lindenstraße", (8, 8), 8, 120, 1, 1, True),
    "market": Example("Nachbarschaftsmarkt", (22, 28), 24, 400, 1, 0, True),
}


def example_store(kind: StoreKind) -> Store:
    """The example store of a kind; the same store on every machine."""
    want = EXAMPLES[kind]
    plan = replace(
        PLANS[kind], fixtures=want.fixtures, cameras=(want.cameras,) * 2, products=(want.products,) * 2
    )  # fmt: skip
    for step in range(SEARCH):
        store = draw_store(plan, SEEDS[kind] + 10 * step)
        doors = sum(fixture.doors for fixture in store.spec.fixtures)
        enough = doors == want.fridges if kind != "market" else doors >= want.fridges
        if enough and len(unweighed(store.spec)) == want.without_scales:
            return Store(_finish(store, want), store.products, store.planogram, store.pictures)
    raise AssertionError(f"no {kind} like this among {SEARCH} seeds")


def unweighed(spec: StoreSpec) -> list[str]:
    """Ids of fixtures that have no scale at all."""
    weighed = {lane.split(".")[0] for scale in spec.scales for lane in scale.lanes}
    return [fixture.id for fixture in spec.fixtures if fixture.id not in weighed]


def _finish(store: Store, want: Example) -> StoreSpec:
    """German place, taxes and offers."""
    return store.spec.model_copy(update={
        "name": want.name, "currency": "EUR", "time_zone": "Europe/Berlin", "prices_include_tax": True,
        "tax_classes": {"standard": 0.19, "reduced": 0.07},
        "promotions": _offers(store) if want.promotions else (),
    })  # fmt: skip


def _offers(store: Store) -> tuple[PromotionSpec, ...]:
    """Three flavours for the price of two and a half; a fifth off the dearest product in December."""
    brands: dict[str, list[str]] = {}
    for product in store.products:
        brands.setdefault(" ".join(product.name.split()[:2]), []).append(product.gtin)
    family = max(brands.values(), key=len)
    price = min(product.price_cents for product in store.products if product.gtin in family)
    dear = max((p for p in store.products if p.gtin not in family), key=lambda product: product.price_cents)
    return (
        PromotionSpec(id="mix-3", kind="n_for_price", gtins=tuple(family), quantity=3, price_cents=price * 5 // 2),
        PromotionSpec(id="advent", kind="percent_off", gtins=(dear.gtin,), percent=20.0,
                      first_day=date(2026, 12, 1), last_day=date(2026, 12, 24)),
    )  # fmt: skip


def main(folder: str) -> None:
    """Write all example stores into a folder."""
    for kind in EXAMPLES:
        save_store(example_store(kind), Path(folder) / kind)


if __name__ == "__main__":
    main(sys.argv[1])
