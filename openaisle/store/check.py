"""Rules that span fields and files: what the schema alone cannot see, every breach named.

A rule yields faults (key path, what is wrong, how to mend it); `check_store` turns them into problems.
"""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from openaisle.errors import Problem
from openaisle.store.check_geometry import check_cameras, check_fixtures, check_floor, check_gates
from openaisle.store.csv_file import Row
from openaisle.store.schema import PlanogramRow, ProductSpec, StoreSpec
from openaisle.store.store import Store
from openaisle.store.validate import Fault
from openaisle.store.yaml_file import Document

CATALOG, PLANOGRAM, STORE = "catalog.csv", "planogram.csv", "store.yaml"


def check_store(store: Store) -> list[Problem]:
    """All problems of a store in memory; places have no line numbers, rows count as if just saved."""
    spec_problems = [Document(STORE, {}, {}).problem(*fault) for fault in check_spec(store.spec)]
    products = [Row(n + 2, product) for n, product in enumerate(store.products)]
    planogram = [Row(n + 2, row) for n, row in enumerate(store.planogram)]
    promotions = [Document(STORE, {}, {}).problem(*fault) for fault in check_promotions(store.spec, products)]
    return [
        *spec_problems,
        *promotions,
        *check_products(products, store.spec),
        *check_planogram(planogram, products, store.spec),
    ]


def check_spec(spec: StoreSpec) -> Iterator[Fault]:
    """Everything wrong inside store.yaml."""
    rules: tuple[Callable[[StoreSpec], Iterable[Fault]], ...] = (
        _place_and_tax,
        _ids,
        check_floor,
        check_gates,
        check_fixtures,
        _scales,
        check_cameras,
    )
    for rule in rules:
        yield from rule(spec)


def lane_ids(spec: StoreSpec) -> list[str]:
    """Full ids of all lanes, in file order."""
    return [f"{f.id}.{s.id}.{lane.id}" for f in spec.fixtures for s in f.shelves for lane in s.lanes]


def _place_and_tax(spec: StoreSpec) -> Iterator[Fault]:
    try:
        ZoneInfo(spec.time_zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        yield ("time_zone",), f"there is no time zone {spec.time_zone!r}", "write an IANA name such as Europe/Berlin"
    for name, rate in spec.tax_classes.items():
        if not 0 <= rate < 1:
            fix = f"write the rate as a fraction: {rate / 100:g} for {rate:g}%" if rate >= 1 else "write 0 or more"
            yield ("tax_classes", name), f"the tax rate {rate:g} is not between 0 and 1", fix


def _ids(spec: StoreSpec) -> Iterator[Fault]:
    for kind in ("gates", "fixtures", "scales", "cameras", "promotions"):
        yield from _twice((kind,), [entry.id for entry in getattr(spec, kind)])
    for f, fixture in enumerate(spec.fixtures):
        yield from _twice(("fixtures", f, "shelves"), [shelf.id for shelf in fixture.shelves])
        for s, shelf in enumerate(fixture.shelves):
            yield from _twice(("fixtures", f, "shelves", s, "lanes"), [lane.id for lane in shelf.lanes])


def _twice(place: tuple[str | int, ...], ids: Sequence[str]) -> Iterator[Fault]:
    first: dict[str, int] = {}
    for index, name in enumerate(ids):
        if name in first:
            what = f"the id {name!r} is already used by {place[-1]}[{first[name]}]"
            yield (*place, index, "id"), what, "give each a different id"
        first.setdefault(name, index)


def _scales(spec: StoreSpec) -> Iterator[Fault]:
    known = set(lane_ids(spec))
    carried: dict[str, str] = {}
    for n, scale in enumerate(spec.scales):
        for m, lane in enumerate(scale.lanes):
            place = ("scales", n, "lanes", m)
            if lane not in known:
                yield place, f"there is no lane {lane!r}", _nearest(lane, known)
            elif lane in carried:
                yield place, f"the lane {lane!r} already lies on scale {carried[lane]!r}", "keep it on one scale"
            carried.setdefault(lane, scale.id)


def check_promotions(spec: StoreSpec, products: Sequence[Row[ProductSpec]]) -> Iterator[Fault]:
    """Promotions that name unknown products or cannot mean anything."""
    known = {row.value.gtin for row in products}
    for n, promotion in enumerate(spec.promotions):
        for m, gtin in enumerate(promotion.gtins):
            if gtin not in known:
                fix = "use the GTIN of a product in catalog.csv"
                yield ("promotions", n, "gtins", m), f"no product has the GTIN {gtin}", fix
        days = promotion.first_day, promotion.last_day
        if days[0] is not None and days[1] is not None and days[1] < days[0]:
            yield ("promotions", n, "last_day"), "the promotion ends before it starts", "swap first_day and last_day"
        if promotion.kind == "n_for_price" and (promotion.quantity < 2 or promotion.price_cents == 0):
            fix = "give quantity (2 or more) and price_cents"
            yield ("promotions", n), "n_for_price needs a quantity and a price", fix
        if promotion.kind == "percent_off" and promotion.percent == 0:
            yield ("promotions", n), "percent_off needs a percentage", "give percent, such as 20"


def check_products(products: Sequence[Row[ProductSpec]], spec: StoreSpec | None) -> Iterator[Problem]:
    """Products given twice, and tax classes that store.yaml does not have."""
    first: dict[str, int] = {}
    for row in products:
        product = row.value
        if not row.wrong("gtin"):
            if product.gtin in first:
                what = f"the GTIN {product.gtin} is already in line {first[product.gtin]}"
                yield Problem(CATALOG, f"line {row.line}, column gtin", what, "keep one row per product")
            first.setdefault(product.gtin, row.line)
        if spec is not None and product.tax_class not in spec.tax_classes and not row.wrong("tax_class"):
            fix = f"use one of {', '.join(spec.tax_classes)}, or add it under tax_classes in store.yaml"
            what = f"there is no tax class {product.tax_class!r}"
            yield Problem(CATALOG, f"line {row.line}, column tax_class", what, fix)


def check_planogram(
    planogram: Sequence[Row[PlanogramRow]], products: Sequence[Row[ProductSpec]] | None, spec: StoreSpec | None
) -> Iterator[Problem]:
    """Rows that name unknown lanes or products, lanes given twice, products without a lane."""
    lanes = None if spec is None else set(lane_ids(spec))
    gtins = None if products is None else {row.value.gtin for row in products}
    first: dict[str, int] = {}
    for row in planogram:
        lane, gtin, line = row.value.lane, row.value.gtin, f"line {row.line}"
        if not row.wrong("lane"):
            if lanes is not None and lane not in lanes:
                yield Problem(PLANOGRAM, f"{line}, column lane", f"there is no lane {lane!r}", _nearest(lane, lanes))
            if lane in first:
                what = f"the lane {lane!r} is already in line {first[lane]}"
                yield Problem(PLANOGRAM, f"{line}, column lane", what, "give each lane one product")
            first.setdefault(lane, row.line)
        if gtins is not None and gtin not in gtins and not row.wrong("gtin"):
            fix = "add the product to catalog.csv or correct the GTIN"
            yield Problem(PLANOGRAM, f"{line}, column gtin", f"no product has the GTIN {gtin}", fix)
    placed = Counter(row.value.gtin for row in planogram)
    for product in products or ():
        if not placed[product.value.gtin] and not product.wrong("gtin"):
            what = f"the product {product.value.gtin} ({product.value.name}) has no lane"
            fix = "give it a row in planogram.csv, or take it out of the catalogue"
            yield Problem(CATALOG, f"line {product.line}, column gtin", what, fix)


def _nearest(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    hint = f"did you mean {close[0]!r}?" if close else "use the id of a lane in store.yaml"
    return f"{hint} (fixture.shelf.lane)" if "." not in name else hint
