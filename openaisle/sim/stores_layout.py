"""Floor plans for generated stores: room, doors and where each piece of furniture stands.

Walls are filled bay by bay, the middle with gondola rows and tables; shelves come later (stores_shelves.py).
Walls are numbered 0 front (y = 0, with the doors), 1 right, 2 back, 3 left.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np

from openaisle.store.schema import FixtureSpec, GateSpec, Point

StoreKind = Literal["kiosk", "corner", "market"]
FixtureKind = Literal["gondola", "wall", "fridge", "table", "pegs", "counter"]


@dataclass(frozen=True)
class Plan:
    """Bounds from which the floor plans of one kind of store are drawn; lengths in metres."""

    width_m: tuple[float, float]
    length_m: tuple[float, float]
    fixtures: tuple[int, int]
    cameras: tuple[int, int]
    products: tuple[int, int]
    bay_m: tuple[float, float]
    front_m: float  # free depth behind the doors, for people who come, go and wait
    units: int  # most units in one lane


PLANS: dict[StoreKind, Plan] = {
    "kiosk": Plan((3.0, 4.6), (3.6, 5.2), (2, 4), (4, 4), (30, 60), (0.9, 2.0), 1.0, 12),
    "corner": Plan((6.0, 9.0), (6.0, 9.5), (6, 10), (6, 10), (80, 160), (1.2, 2.8), 1.4, 10),
    "market": Plan((15.0, 20.0), (11.0, 15.0), (20, 32), (20, 28), (300, 500), (2.0, 3.6), 2.2, 8),
}

PERSON_M = 0.25  # radius kept free around a walking person
KINDS_AT_WALLS: tuple[tuple[FixtureKind, float], ...] = (("wall", 0.6), ("fridge", 0.25), ("pegs", 0.15))
# depth and height bounds, metres
SIZES: dict[FixtureKind, tuple[tuple[float, float], tuple[float, float]]] = {
    "gondola": ((0.32, 0.5), (1.2, 1.65)),
    "wall": ((0.32, 0.5), (1.5, 2.1)),
    "fridge": ((0.5, 0.65), (1.8, 2.05)),
    "table": ((0.45, 0.65), (0.7, 0.9)),
    "pegs": ((0.18, 0.3), (1.5, 1.9)),
    "counter": ((0.4, 0.55), (0.85, 1.05)),
}
PAINTS = ((228, 228, 226), (205, 206, 208), (120, 96, 74), (86, 90, 96), (176, 152, 120), (60, 66, 72), (198, 206, 196))


@dataclass(frozen=True)
class Slot:
    """Where a fixture stands: the middle of its front edge, its turn, its size; `pair` joins back-to-back halves."""

    kind: FixtureKind
    front_m: Point
    yaw_deg: float
    width_m: float
    depth_m: float
    height_m: float
    pair: int = -1


@dataclass(frozen=True)
class Layout:
    """A room with doors and furniture, shelves still empty."""

    floor_m: tuple[Point, ...]
    gates: tuple[GateSpec, ...]
    slots: tuple[Slot, ...]
    ceiling_m: float


def _between(rng: np.random.Generator, bounds: tuple[float, float]) -> float:
    return float(rng.uniform(*bounds))


def draw_layout(kind: StoreKind, rng: np.random.Generator) -> Layout:
    """One random floor plan; it may be too full or not walkable (stores.py checks and draws again)."""
    plan = PLANS[kind]
    width, length = round(_between(rng, plan.width_m), 2), round(_between(rng, plan.length_m), 2)
    gates = _gates(kind, width, rng)
    walls = _wall_slots(plan, width, length, gates, rng)
    islands = _island_slots(kind, plan, width, length, walls, rng)
    slots = _thin_out(walls, islands, int(rng.integers(plan.fixtures[0], plan.fixtures[1] + 1)), rng)
    floor = ((0.0, 0.0), (width, 0.0), (width, length), (0.0, length))
    ceiling = float(rng.uniform(2.5, 3.2 if kind == "kiosk" else 3.5))
    return Layout(floor, gates, tuple(slots), round(max(ceiling, 2.5), 2))


def _gates(kind: StoreKind, width: float, rng: np.random.Generator) -> tuple[GateSpec, ...]:
    def gate(name: str, role: Literal["entry", "exit", "both"], x: float, half: float) -> GateSpec:
        return GateSpec(id=name, kind=role, a_m=(round(x - half, 2), 0.0), b_m=(round(x + half, 2), 0.0))

    half = _between(rng, (0.45, 0.7))
    if rng.random() < (0.7 if kind == "kiosk" else 0.4):
        return (gate("door", "both", _between(rng, (0.25 * width, 0.75 * width)), half),)
    one, other = _between(rng, (0.2 * width, 0.3 * width)), _between(rng, (0.7 * width, 0.8 * width))
    half = min(half, 0.14 * width)
    if rng.random() < 0.5:
        one, other = other, one
    return (gate("entry", "entry", one, half), gate("exit", "exit", other, half))


def _wall_slot(wall: int, start: float, slot_width: float, room: Point, kind: FixtureKind, size: Point) -> Slot:
    """A fixture against a wall; `start` runs along x for walls 0 and 2, along y for walls 1 and 3."""
    middle, (depth, height) = start + slot_width / 2, size
    front = {
        0: ((middle, depth), 180.0),
        1: ((room[0] - depth, middle), -90.0),
        2: ((middle, room[1] - depth), 0.0),
        3: ((depth, middle), 90.0),
    }[wall]
    return Slot(kind, front[0], front[1], slot_width, depth, height)


def _wall_slots(
    plan: Plan, width: float, length: float, gates: tuple[GateSpec, ...], rng: np.random.Generator
) -> list[Slot]:
    corner = 0.62  # the back wall's furniture owns the corners; the sides stop short of it, so both stay in reach
    spans = [
        (2, 0.0, width),
        (1, 0.9, length - SIZES["fridge"][0][1] - corner),
        (3, 0.9, length - SIZES["fridge"][0][1] - corner),
    ]
    slots: list[Slot] = []
    for wall, start, end in spans:
        depth = _between(rng, SIZES["wall"][0])
        while end - start >= plan.bay_m[0]:
            bay = min(_between(rng, plan.bay_m), end - start)
            kind = _pick(KINDS_AT_WALLS, rng)
            low, high = SIZES[kind][1]
            own = depth if kind == "wall" else _between(rng, SIZES[kind][0])
            slots.append(_wall_slot(wall, start, bay, (width, length), kind, (own, float(rng.uniform(low, high)))))
            start += bay + (0.0 if rng.random() < 0.6 else _between(rng, (0.05, 0.4)))
    slots.extend(_counter(width, length, gates, rng))
    return slots


def _counter(width: float, length: float, gates: tuple[GateSpec, ...], rng: np.random.Generator) -> list[Slot]:
    """A counter at the front wall, in the widest stretch that no door needs."""
    edges = [(0.0, 0.0), *sorted((gate.a_m[0] - 0.4, gate.b_m[0] + 0.4) for gate in gates), (width, width)]
    gaps = [(after[0] - before[1], before[1]) for before, after in pairwise(edges)]
    gap, start = max(gaps)
    if gap < 0.9 or rng.random() < 0.35:
        return []
    bay = min(gap, _between(rng, (0.9, 1.8)))
    at = 0.0 if start == 0.0 else start + (gap - bay) * (1.0 if start + gap >= width - 1e-6 else 0.5)
    depth, height = _between(rng, SIZES["counter"][0]), _between(rng, SIZES["counter"][1])
    return [_wall_slot(0, at, bay, (width, length), "counter", (depth, height))]


def _pick(choices: tuple[tuple[FixtureKind, float], ...], rng: np.random.Generator) -> FixtureKind:
    weights = np.array([weight for _, weight in choices])
    return choices[int(rng.choice(len(choices), p=weights / weights.sum()))][0]


def _island_slots(
    kind: StoreKind, plan: Plan, width: float, length: float, walls: list[Slot], rng: np.random.Generator
) -> list[Slot]:
    """Gondola rows and tables in the middle, aisles of at least 1 m all around."""
    aisle = _between(rng, (1.0, 1.25) if kind == "kiosk" else (1.1, 1.7))
    depth_of = [max((s.depth_m for s in walls if s.yaw_deg == yaw), default=0.0) for yaw in (90.0, -90.0, 0.0, 180.0)]
    x0, x1 = depth_of[0] + aisle, width - depth_of[1] - aisle
    y0, y1 = max(plan.front_m, depth_of[3] + aisle), length - depth_of[2] - aisle
    along_y = bool(rng.random() < 0.5)
    across = (x0, x1) if along_y else (y0, y1)
    along = (y0, y1) if along_y else (x0, x1)
    half = _between(rng, SIZES["gondola"][0])
    rows = int((across[1] - across[0] + aisle) // (2 * half + aisle))
    if rows < 1 or along[1] - along[0] < 0.8:
        return []
    rows = min(rows, {"kiosk": 1, "corner": 2, "market": 6}[kind])
    slack = (across[1] - across[0] - rows * 2 * half) / max(rows - 1, 1) if rows > 1 else 0.0
    pieces = 1 if along[1] - along[0] < 6.0 else 2
    piece = (along[1] - along[0] - (pieces - 1) * (aisle + 0.2)) / pieces
    piece = min(piece, 5.0)
    slots: list[Slot] = []
    for row in range(rows):
        centre = across[0] + half + row * (2 * half + slack) if rows > 1 else sum(across) / 2
        for n in range(pieces):
            middle = along[0] + piece / 2 + n * (piece + aisle + 0.2)
            if pieces == 1:
                middle = sum(along) / 2
            at = (centre, middle) if along_y else (middle, centre)
            slots.extend(_island(at, along_y, piece, half, len(slots), rng))
    return slots


def _island(at: Point, along_y: bool, length: float, half: float, pair: int, rng: np.random.Generator) -> list[Slot]:
    """Two fixtures back to back, or now and then a table, centred at `at`."""
    kind: FixtureKind = "table" if rng.random() < 0.2 else "gondola"
    height = _between(rng, SIZES[kind][1])
    length = min(length, 2.4) if kind == "table" else length
    turns = (-90.0, 90.0) if along_y else (0.0, 180.0)
    dx, dy = (half, 0.0) if along_y else (0.0, half)
    fronts = ((at[0] - dx, at[1] - dy), (at[0] + dx, at[1] + dy))
    return [Slot(kind, front, yaw, length, half, height, pair) for front, yaw in zip(fronts, turns, strict=True)]


def _thin_out(walls: list[Slot], islands: list[Slot], wanted: int, rng: np.random.Generator) -> list[Slot]:
    """Drop random wall bays, then islands, until `wanted` are left."""
    walls, islands = list(walls), list(islands)
    while len(walls) + len(islands) > wanted and walls:
        if islands and len(walls) <= max(2, wanted // 3):
            islands = [slot for slot in islands if slot.pair != islands[-1].pair]
        else:
            walls.pop(int(rng.integers(len(walls))))
    return walls + islands


def place(slot: Slot, name: str, colour: tuple[int, int, int], doors: bool) -> FixtureSpec:
    """The fixture of a slot, without shelves."""
    yaw = np.deg2rad(slot.yaw_deg)
    x = slot.front_m[0] - np.cos(yaw) * slot.width_m / 2
    y = slot.front_m[1] - np.sin(yaw) * slot.width_m / 2
    return FixtureSpec(
        id=name, kind=slot.kind, x_m=round(float(x), 3), y_m=round(float(y), 3), yaw_deg=slot.yaw_deg,
        width_m=round(slot.width_m, 3), depth_m=round(slot.depth_m, 3), height_m=round(slot.height_m, 3),
        doors=doors, colour=colour,
    )  # fmt: skip
