"""Shelves, lanes, planogram and scales for generated stores.

Shelves are filled left to right with whole families, so look-alikes stand side by side as they do in shops.
A lane's frame is what the shopper faces; on pegs `z_m` is where the hanging goods end, so nothing special follows.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from openaisle.sim.stores_layout import Plan, Slot, place
from openaisle.sim.stores_products import CATEGORIES, Category, Drawn, Size, draw_family, family_range
from openaisle.store.schema import FixtureSpec, LaneSpec, PlanogramRow, ScaleSpec, ShelfSpec

GAP_M = 0.02  # air beside a product, so that fingers and neighbours fit
HEADROOM_M = 0.03  # air above a product
BOARD_M = 0.02  # thickness of a shelf board
MIN_LANE_M = 0.06
SHELF_HEIGHTS_M = {"gondola": (0.28, 0.45), "wall": (0.3, 0.5), "fridge": (0.28, 0.42), "pegs": (0.25, 0.36)}
MOST_FACINGS = 4


@dataclass(frozen=True)
class Surface:
    """A shelf that waits for lanes."""

    fixture: int
    kind: str
    id: str
    z_m: float
    y_m: float
    width_m: float
    depth_m: float
    clearance_m: float
    x_m: float = 0.0


@dataclass
class Filling:
    """What has been put on shelves so far."""

    products: list[Drawn] = field(default_factory=list)
    shelves: dict[int, list[ShelfSpec]] = field(default_factory=dict)
    planogram: list[PlanogramRow] = field(default_factory=list)
    gtins: set[str] = field(default_factory=set)


def surfaces(fixture: int, slot: Slot, rng: np.random.Generator) -> list[Surface]:
    """Empty shelves of a slot, bottom first."""
    margin = 0.03 if slot.kind in ("fridge", "wall", "gondola") else 0.01
    wide = round(slot.width_m - 2 * margin, 3)
    if slot.kind == "table":
        height, depth = round(slot.height_m, 3), round(slot.depth_m, 3)
        return [Surface(fixture, slot.kind, "s1", height, 0.0, wide, depth, 0.35, margin)]
    if slot.kind == "counter":
        levels = [(round(slot.height_m, 3), 0.3)] + ([(0.42, 0.35)] if rng.random() < 0.6 else [])
        depth = round(min(slot.depth_m - 0.05, 0.35), 3)
        return [Surface(fixture, slot.kind, f"s{n + 1}", z, 0.0, wide, depth, free, margin)
                for n, (z, free) in enumerate(reversed(levels))]  # fmt: skip
    return _stacked(fixture, slot, wide, margin, rng)


def _stacked(fixture: int, slot: Slot, wide: float, margin: float, rng: np.random.Generator) -> list[Surface]:
    spacing = float(rng.uniform(*SHELF_HEIGHTS_M[slot.kind]))
    bottom = float(rng.uniform(0.45, 0.7)) if slot.kind == "pegs" else float(rng.uniform(0.1, 0.25))
    inset = 0.05 if slot.kind == "fridge" else 0.0
    step_back = float(rng.choice([0.0, 0.0, 0.02, 0.04])) if slot.kind in ("wall", "gondola") else 0.0
    count = max(2, int((slot.height_m - bottom) // spacing))
    spacing = (slot.height_m - bottom) / count
    out = []
    for n in range(count):
        y = inset + step_back * n
        depth = slot.depth_m - 0.02 - y
        if n > 0 and slot.kind != "pegs" and rng.random() < 0.2:
            spare = min(0.06, depth - 0.24)  # a shallower board now and then
            y, depth = (y + spare, depth - spare) if spare > 0 else (y, depth)
        z = round(bottom + n * spacing, 3)
        out.append(Surface(fixture, slot.kind, f"s{n + 1}", z, round(y, 3), wide, round(depth, 3),
                           round(spacing - BOARD_M, 3), margin))  # fmt: skip
    return out


def fill(plan: Plan, empty: list[Surface], store_seed: int, rng: np.random.Generator) -> Filling:
    """Put families of products into lanes until the store has as many products as its plan asks for."""
    low, high = plan.products
    wanted = int(rng.integers(low, high + 1))
    lanes = round(wanted * float(rng.uniform(1.05, 1.3)))
    share = lanes / sum(surface.width_m for surface in empty)
    filling = Filling()
    owed = 0.0
    for surface in empty:
        owed += surface.width_m * share
        count = max(1, round(owed))
        row = _choose(surface, count, wanted, store_seed, filling, rng)
        owed -= len(row)
        if row:
            _lay_out(plan, surface, row, filling, rng)
    return filling


def _choose(
    surface: Surface, count: int, wanted: int, store_seed: int, filling: Filling, rng: np.random.Generator
) -> list[Drawn]:
    """Products for one shelf, left to right."""
    row: list[Drawn] = []
    room = surface.width_m
    choices = [c for c in CATEGORIES if surface.kind in c.fixtures and _fits_shelf(c, surface)]
    for _ in range(4 * count):
        if len(row) >= count or not choices:
            break
        family = _next_family(choices, count - len(row), wanted, store_seed, filling, rng)
        for drawn in family:
            need = max(drawn.spec.width_mm / 1000 + GAP_M, MIN_LANE_M)
            if need > room or len(row) >= count or not _fits(drawn.size_mm, surface):
                continue
            if drawn.spec.gtin not in filling.gtins:
                filling.gtins.add(drawn.spec.gtin)
                filling.products.append(drawn)
            row.append(drawn)
            room -= need
    return row


def _next_family(
    choices: list[Category], most: int, wanted: int, store_seed: int, filling: Filling, rng: np.random.Generator
) -> list[Drawn]:
    """A new family, or, when the store has all its products, a second lane for an old one."""
    left = wanted - len(filling.products)
    category = choices[int(rng.integers(len(choices)))]
    if left <= 0 or (filling.products and rng.random() < 0.08):
        return [filling.products[int(rng.integers(len(filling.products)))]]
    variants = int(rng.choice([1, 2, 3, 4, 5], p=[0.3, 0.25, 0.25, 0.15, 0.05]))
    twin = None
    if filling.products and rng.random() < 0.25:  # another brand that weighs exactly the same
        twin = filling.products[int(rng.integers(len(filling.products)))].spec.weight_grams
    seed = int(rng.integers(*family_range(store_seed)))
    family = draw_family(category, min(variants, most, left), seed)
    if twin is not None and 0.75 < twin / family[0].spec.weight_grams < 1.35:
        family = draw_family(category, len(family), seed, twin)
    return family


def _fits_shelf(category: Category, surface: Surface) -> bool:
    smallest: Size = (category.width_mm[0], category.height_mm[0], category.depth_mm[0] or category.width_mm[0])
    return _fits(smallest, surface)


def _fits(size: Size, surface: Surface) -> bool:
    return size[1] / 1000 + HEADROOM_M <= surface.clearance_m and size[2] / 1000 + 0.01 <= surface.depth_m


def _lay_out(plan: Plan, surface: Surface, row: list[Drawn], filling: Filling, rng: np.random.Generator) -> None:
    """Lane widths, facings and capacities for one shelf."""
    needs = np.array([max(drawn.spec.width_mm / 1000 + GAP_M, MIN_LANE_M) for drawn in row])
    stretch = min(surface.width_m / float(needs.sum()) * float(rng.uniform(0.8, 1.0)), float(rng.uniform(1.3, 3.5)))
    widths = _whole_mm(needs * max(stretch, 1.0))
    # What is left over becomes gaps, most of them small.
    gaps = rng.dirichlet(np.full(len(row) + 1, 0.3)) * max(surface.width_m - float(widths.sum()) - 0.002, 0.0)
    starts = _whole_mm(np.cumsum(gaps[:-1]) + np.cumsum(widths) - widths)
    lanes = []
    for n, (drawn, start, width) in enumerate(zip(row, starts, widths, strict=True)):
        lane = LaneSpec(id=f"l{n + 1}", x_m=float(start), width_m=float(width))
        lanes.append(lane)
        facings = max(1, min(MOST_FACINGS, int((width - 0.01) / (drawn.spec.width_mm / 1000 + 0.008))))
        deep = max(1, int(surface.depth_m / (drawn.spec.depth_mm / 1000 + 0.006)))
        capacity = max(facings, min(facings * deep, plan.units))
        filling.planogram.append(PlanogramRow(
            lane=f"f{surface.fixture + 1}.{surface.id}.{lane.id}", gtin=drawn.spec.gtin, facings=facings,
            capacity=capacity,
        ))  # fmt: skip
    shelf = ShelfSpec(
        id=surface.id, z_m=surface.z_m, x_m=surface.x_m, y_m=surface.y_m, width_m=surface.width_m,
        depth_m=surface.depth_m, clearance_m=surface.clearance_m, lanes=tuple(lanes),
    )  # fmt: skip
    filling.shelves.setdefault(surface.fixture, []).append(shelf)


def _whole_mm(metres: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rounded down to millimetres; a whole number of them stays what it is, whatever its float looks like."""
    return np.asarray(np.floor(metres * 1000 + 1e-6) / 1000)


def furnish(
    slots: tuple[Slot, ...], filling: Filling, paint: tuple[int, int, int], rng: np.random.Generator
) -> list[FixtureSpec]:
    """The fixtures with their shelves; colours vary around the store's paint."""
    out = []
    for n, slot in enumerate(slots):
        shade = tuple(int(c) for c in np.clip(np.array(paint) + rng.integers(-14, 15), 20, 245))
        doors = slot.kind == "fridge" and bool(rng.random() < 0.7)
        empty = place(slot, f"f{n + 1}", (shade[0], shade[1], shade[2]), doors)
        out.append(empty.model_copy(update={"shelves": tuple(filling.shelves.get(n, []))}))
    return out


def weigh_lanes(fixtures: list[FixtureSpec], rng: np.random.Generator) -> tuple[ScaleSpec, ...]:
    """Scales: mostly one a lane, on some fixtures one under several; in some larger stores one fixture has none."""
    rate = float(rng.choice([10.0, 20.0, 20.0, 20.0]))
    scales: list[ScaleSpec] = []
    bare = int(rng.integers(len(fixtures))) if len(fixtures) >= 6 and rng.random() < 0.3 else -1
    for n, fixture in enumerate(fixtures):
        mode = float(rng.random())
        if n == bare:
            continue
        for shelf in fixture.shelves:
            names = [f"{fixture.id}.{shelf.id}.{lane.id}" for lane in shelf.lanes]
            while names:
                size = 1 if mode > 0.25 else int(rng.integers(2, 5))
                scales.append(ScaleSpec(id=f"w{len(scales) + 1}", lanes=tuple(names[:size]), rate_hz=rate))
                names = names[size:]
    return tuple(scales)
