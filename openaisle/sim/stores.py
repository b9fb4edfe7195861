"""The store generator: `random:kiosk`, `random:corner` and `random:market`, one store per seed.

Draws a floor plan, fills it, places cameras, and draws again (with the next attempt number) until people can
walk to every lane and the cameras see enough. The result depends on kind and seed only.
"""

from __future__ import annotations

from typing import get_args

import numpy as np
from numpy.typing import NDArray

from openaisle.errors import Problem, StoreError
from openaisle.sim.stores_cameras import place_cameras
from openaisle.sim.stores_layout import PAINTS, PLANS, Layout, Plan, StoreKind, draw_layout
from openaisle.sim.stores_products import Drawn, product_seed
from openaisle.sim.stores_shelves import Filling, fill, furnish, surfaces, weigh_lanes
from openaisle.store.coverage import coverage
from openaisle.store.load import load_store
from openaisle.store.schema import FixtureSpec, PromotionSpec, StoreSpec
from openaisle.store.store import Store
from openaisle.store.walk import reachable_lanes

KINDS: tuple[StoreKind, ...] = get_args(StoreKind)
ATTEMPTS = 200
AISLE_M = 0.9  # every lane can be reached through aisles of this width
FLOOR_SAMPLES_M = 1.0  # only lanes matter where this is used
# currency, time zone, prices contain tax, tax classes
PLACES = (
    ("EUR", "Europe/Berlin", True, {"standard": 0.19, "reduced": 0.07}),
    ("EUR", "Europe/Paris", True, {"standard": 0.20, "reduced": 0.055}),
    ("GBP", "Europe/London", True, {"standard": 0.20, "reduced": 0.0}),
    ("CHF", "Europe/Zurich", True, {"standard": 0.081, "reduced": 0.026}),
    ("USD", "America/Chicago", False, {"standard": 0.0825, "reduced": 0.0225}),
)


def generate_store(kind: StoreKind, seed: int) -> Store:
    """A random store of a kind; the same seed gives the same store, pictures included."""
    return draw_store(PLANS[kind], seed)


def draw_store(plan: Plan, seed: int) -> Store:
    """A random store within a plan's bounds."""
    for attempt in range(ATTEMPTS):
        rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([KINDS.index(plan.kind), seed, attempt])))
        store = _attempt(plan, seed, rng)
        if store is not None:
            return store
    raise AssertionError(f"no walkable {plan.kind} after {ATTEMPTS} attempts with seed {seed}")


def open_store(text: str, seed: int) -> Store:
    """A store folder, or `random:KIND` drawn from the seed; raises StoreError."""
    if not text.startswith("random:"):
        return load_store(text)
    kind = text.removeprefix("random:")
    for known in KINDS:
        if kind == known:
            return generate_store(known, seed)
    possible = ", ".join(f"random:{known}" for known in KINDS)
    raise StoreError([Problem(text, "store", f"there is no generator {kind!r}", f"use a store folder or {possible}")])


def _attempt(plan: Plan, seed: int, rng: np.random.Generator) -> Store | None:
    layout = draw_layout(plan, rng)
    if not plan.fixtures[0] <= len(layout.slots) <= plan.fixtures[1]:
        return None
    empty = [surface for n, slot in enumerate(layout.slots) for surface in surfaces(n, slot, rng)]
    filling = fill(plan, empty, seed, rng)
    low, high = plan.products
    if not low <= len(filling.products) <= high or len(filling.shelves) < len(layout.slots):
        return None
    fixtures = furnish(layout.slots, filling, PAINTS[int(rng.integers(len(PAINTS)))], rng)
    bare = _assemble(plan.kind, seed, layout, fixtures, filling, rng)
    if not reachable_lanes(bare, AISLE_M / 2).all():
        return None
    count = int(rng.integers(plan.cameras[0], plan.cameras[1] + 1))
    cameras = place_cameras(layout, fixtures, bare.lanes, count, rng)
    seen = Store(bare.spec.model_copy(update={"cameras": cameras}), bare.products, bare.planogram)
    if not (coverage(seen, FLOOR_SAMPLES_M).lane_cameras > 0).all():
        return None
    return Store(seen.spec, seen.products, seen.planogram, _pictures(filling.products))


def _assemble(
    kind: StoreKind, seed: int, layout: Layout, fixtures: list[FixtureSpec], filling: Filling, rng: np.random.Generator
) -> Store:
    currency, zone, inclusive, taxes = PLACES[int(rng.integers(len(PLACES)))]
    spec = StoreSpec(
        name=f"Random {kind} {seed}", currency=currency, time_zone=zone, prices_include_tax=inclusive,
        tax_classes=taxes, ceiling_m=layout.ceiling_m, floor_m=layout.floor_m, gates=layout.gates,
        fixtures=tuple(fixtures), scales=weigh_lanes(fixtures, rng), promotions=_promotions(filling, rng),
    )  # fmt: skip
    return Store(spec, tuple(drawn.spec for drawn in filling.products), tuple(filling.planogram))


def _promotions(filling: Filling, rng: np.random.Generator) -> tuple[PromotionSpec, ...]:
    """In every other store, one family at n for a price and one product at a percentage off."""
    if rng.random() < 0.5:
        return ()
    first = filling.products[int(rng.integers(len(filling.products)))]
    family = [drawn for drawn in filling.products if drawn.family_seed == first.family_seed]
    other = filling.products[int(rng.integers(len(filling.products)))].spec
    quantity = int(rng.integers(2, 4))
    price = int(min(drawn.spec.price_cents for drawn in family) * quantity * 0.85)
    out = [PromotionSpec(id="bundle", kind="n_for_price", gtins=tuple(drawn.spec.gtin for drawn in family),
                         quantity=quantity, price_cents=price)]  # fmt: skip
    if other.gtin not in out[0].gtins:
        percent = float(rng.choice([10, 20, 25]))
        out.append(PromotionSpec(id="percent", kind="percent_off", gtins=(other.gtin,), percent=percent))
    return tuple(out)


def _pictures(products: list[Drawn]) -> dict[str, tuple[NDArray[np.uint8], ...]]:
    """Catalogue pictures by GTIN: front, back, three-quarter view."""
    from openaisle.sim.packaging import catalogue_pictures, design  # here, because its compiler loads slowly

    out = {}
    for drawn in products:
        seed = product_seed(drawn.family_seed, drawn.variant)
        packaging = design(seed, drawn.family_seed, drawn.variant, drawn.spec.shape, drawn.size_mm)
        out[drawn.spec.gtin] = catalogue_pictures(packaging, drawn.spec.shape, drawn.size_mm)
    return out
