"""A store small enough to reason about: a wall shelf with scales, a fridge with doors, a table, one door."""

from __future__ import annotations

from openaisle.store.gtin import with_check_digit
from openaisle.store.schema import (
    FixtureSpec,
    GateSpec,
    LaneSpec,
    PlanogramRow,
    ProductSpec,
    ScaleSpec,
    ShelfSpec,
    StoreSpec,
)
from openaisle.store.store import Store


def _shelf(name: str, z_m: float, width_m: float, depth_m: float, lanes: int, y_m: float = 0.0) -> ShelfSpec:
    each = width_m / lanes
    return ShelfSpec(
        id=name, z_m=z_m, y_m=y_m, width_m=width_m, depth_m=depth_m, clearance_m=0.36,
        lanes=tuple(LaneSpec(id=f"l{n + 1}", x_m=n * each, width_m=each) for n in range(lanes)),
    )  # fmt: skip


FIXTURES = (
    FixtureSpec(
        id="wall", kind="wall", x_m=0.5, y_m=3.6, width_m=2.0, depth_m=0.4, height_m=1.8,
        shelves=tuple(_shelf(f"s{n + 1}", z, 2.0, 0.4, 8) for n, z in enumerate((0.3, 0.7, 1.1, 1.5))),
    ),
    FixtureSpec(
        id="fridge", kind="fridge", x_m=3.95, y_m=3.2, yaw_deg=-90.0, width_m=1.2, depth_m=0.55, height_m=1.9,
        doors=True, shelves=tuple(_shelf(f"s{n + 1}", z, 1.2, 0.45, 4, 0.05) for n, z in enumerate((0.4, 0.9, 1.3))),
    ),
    FixtureSpec(
        id="table", kind="table", x_m=1.2, y_m=1.6, width_m=0.9, depth_m=0.5, height_m=0.8,
        shelves=(_shelf("top", 0.8, 0.9, 0.5, 3),),
    ),
)  # fmt: skip

# name, shape, width, height, depth in mm, grams: two look-alikes, two of one weight, a tiny one, a heavy one
KINDS = (
    ("Cereal Nut", "box", 90, 160, 60, 375.0),
    ("Cereal Oat", "box", 90, 160, 60, 377.0),
    ("Beans", "can", 75, 110, 75, 420.0),
    ("Peas", "can", 70, 100, 70, 421.0),
    ("Gum", "box", 40, 60, 12, 11.0),
    ("Water", "bottle", 85, 310, 85, 1530.0),
    ("Crisps", "bag", 130, 180, 50, 150.0),
)


def tiny_store() -> Store:
    """Five by four metres, 47 lanes, 7 products; the table has one scale for its three lanes."""
    products = tuple(
        ProductSpec.model_validate({
            "gtin": with_check_digit(f"{200000000000 + n:013d}"), "name": name, "price_cents": 199, "shape": shape,
            "width_mm": width, "height_mm": height, "depth_mm": depth, "weight_grams": grams,
        })
        for n, (name, shape, width, height, depth, grams) in enumerate(KINDS)
    )  # fmt: skip
    lanes = [f"{f.id}.{shelf.id}.{lane.id}" for f in FIXTURES for shelf in f.shelves for lane in shelf.lanes]
    alone = [lane for lane in lanes if not lane.startswith("table") and not lane.startswith("fridge.s3")]
    scales = [ScaleSpec(id=f"scale{n}", lanes=(lane,)) for n, lane in enumerate(alone)]
    scales.append(ScaleSpec(id="table-scale", lanes=tuple(lane for lane in lanes if lane.startswith("table"))))
    spec = StoreSpec(
        name="tiny", currency="EUR", time_zone="Europe/Berlin", floor_m=((0, 0), (5, 0), (5, 4), (0, 4)),
        gates=(GateSpec(id="door", kind="both", a_m=(3.2, 0.0), b_m=(4.3, 0.0)),), fixtures=FIXTURES,
        scales=tuple(scales),
    )  # fmt: skip
    planogram = tuple(
        PlanogramRow(lane=lane, gtin=products[n % len(products)].gtin, facings=2, capacity=8)
        for n, lane in enumerate(lanes)
    )
    return Store(spec, products, planogram)
