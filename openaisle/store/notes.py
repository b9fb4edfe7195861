"""Remarks on a sound store: what may well be meant, but deserves a look before cameras and scales are bought."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from openaisle.errors import Problem
from openaisle.store.check import CATALOG, PLANOGRAM, STORE
from openaisle.store.coverage import coverage
from openaisle.store.store import Store
from openaisle.store.walk import reachable_lanes

MOST_NAMES = 8  # a remark names so many lanes or products, then counts
LARGE_MM = 1.0  # a product may be this much larger than its lane before it is remarked on


def store_notes(store: Store) -> list[Problem]:
    """Remarks in the form of problems: lanes out of reach or out of sight, misfits, missing weights and pictures."""
    return [*_reach(store), *_sight(store), *_lanes(store), *_fit(store), *_products(store)]


def _named(names: list[str]) -> str:
    shown = ", ".join(names[:MOST_NAMES])
    return shown if len(names) <= MOST_NAMES else f"{shown} and {len(names) - MOST_NAMES} more"


def _reach(store: Store) -> Iterator[Problem]:
    far = [store.lanes[n].id for n in np.flatnonzero(~reachable_lanes(store))]
    if far:
        fix = "leave aisles of 0.9 m, and a way from an entry"
        yield Problem(STORE, "fixtures", f"nobody can walk to {_named(far)}", fix)


def _sight(store: Store) -> Iterator[Problem]:
    if not store.cameras:
        yield Problem(STORE, "cameras", "there are no cameras", "add some, or work with scales only")
        return
    seen = coverage(store)
    blind = [store.lanes[n].id for n in np.flatnonzero(seen.lane_cameras == 0)]
    if blind:
        yield Problem(STORE, "cameras", f"no camera sees {_named(blind)}", "move or add a camera")
    if seen.floor_one < 0.95:
        what = f"the cameras see {seen.floor_one:.0%} of the free floor"
        yield Problem(STORE, "cameras", what, "move or add cameras; people get lost where nobody sees them")


def _lanes(store: Store) -> Iterator[Problem]:
    bare = [lane.id for lane in store.lanes if lane.scale < 0]
    if bare:
        yield Problem(STORE, "scales", f"no scale carries {_named(bare)}", "add scales, or rely on the cameras there")
    empty = [store.lanes[n].id for n in np.flatnonzero(store.lane_product < 0)]
    if empty:
        yield Problem(PLANOGRAM, "rows", f"no product lies in {_named(empty)}", "add rows for these lanes")


def _fit(store: Store) -> Iterator[Problem]:
    for n, row in enumerate(store.planogram):
        product = store.products[store.product_index[row.gtin]]
        width, depth, clearance = (1000 * side + LARGE_MM for side in store.lanes[store.lane_index[row.lane]].size_m)
        sides = ((product.width_mm * row.facings, width, "wide"), (product.depth_mm, depth, "deep"),
                 (product.height_mm, clearance, "high"))  # fmt: skip
        for size, room, word in sides:
            if size > room:
                what = f"{row.facings} of {product.name!r} are {size:.0f} mm {word}, the lane {row.lane} {room:.0f} mm"
                yield Problem(PLANOGRAM, f"line {n + 2}", what, "correct the sizes, the facings or the lane")


def _products(store: Store) -> Iterator[Problem]:
    light = [product.name for product in store.products if product.weight_grams == 0]
    if light:
        what = f"no weight is known of {_named(light)}"
        yield Problem(CATALOG, "column weight_grams", what, "weigh them; scales cannot tell them otherwise")
    plain = [product.name for product in store.products if product.gtin not in store.pictures]
    if plain:
        what = f"no picture is known of {_named(plain)}"
        yield Problem(CATALOG, "column images", what, "photograph them from the front, the back and a corner")
