"""Floor plans for generated stores: room, doors and where each piece of furniture stands.

Walls are filled bay by bay, the middle with gondola rows and tables; shelves come later (stores_shelves.py).
Walls are numbered 0 front (y = 0, with the doors), 1 right, 2 back, 3 left.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

import numpy as np

from openaisle.store.schema import FixtureSpec, GateSpec, Point

StoreKind = Literal["kiosk", "corner", "market"]
FixtureKind = Literal["gondola", "wall", "fridge", "table", "pegs", "counter"]


@dataclass(frozen=True)
class Plan:
    """Bounds from which the stores of one kind are drawn; lengths in metres."""

    kind: StoreKind
    width_m: tuple[float, float]
    length_m: tuple[float, float]
    fixtures: tuple[int, int]
    cameras: tuple[int, int]
    products: tuple[int, int]
    bay_m: tuple[float, float]
    front_m: float  # free depth behind the doors, for people who come, go and wait
    units: int  # most units in one lane


PLANS: dict[StoreKind, Plan] = {
    "kiosk": Plan("kiosk", (3.0, 4.3), (3.5, 4.8), (2, 4), (4, 4), (30, 60), (0.9, 2.0), 1.0, 12),
    "corner": Plan("corner", (5.0, 7.4), (5.2, 8.0), (6, 10), (6, 10), (80, 160), (1.2, 2.6), 1.3, 10),
    "market": Plan("market", (14.0, 20.0), (11.0, 15.0), (20, 32), (20, 28), (300, 500), (1.8, 3.2), 2.2, 8),
}

WALL_DEPTH_M = 0.5  # what the middle of the room leaves free for furniture at a wall
CORNER_M = 0.62  # the back wall's furniture owns the corners; the sides stop short of it, so both stay in reach
SIDE_START_M = 0.9  # side walls stay bare near the doors
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


@dataclass(frozen=True)
class Room:
    """A rectangle, or an L when the back right corner is cut out; metres."""

    width_m: float
    length_m: float
    cut_x_m: float = 0.0
    cut_y_m: float = 0.0

    @property
    def floor_m(self) -> tuple[Point, ...]:
        """The floor polygon, counter-clockwise."""
        w, l = self.width_m, self.length_m
        if self.cut_x_m == 0.0:
            return ((0.0, 0.0), (w, 0.0), (w, l), (0.0, l))
        x, y = round(w - self.cut_x_m, 2), round(l - self.cut_y_m, 2)
        return ((0.0, 0.0), (w, 0.0), (w, y), (x, y), (x, l), (0.0, l))


def draw_layout(plan: Plan, rng: np.random.Generator) -> Layout:
    """One random floor plan; it may be too full or not walkable (stores.py checks and draws again)."""
    kind = plan.kind
    room = Room(round(_between(rng, plan.width_m), 2), round(_between(rng, plan.length_m), 2))
    if kind != "kiosk" and rng.random() < 0.3:
        cut_x, cut_y = _between(rng, (0.15, 0.3)) * room.width_m, _between(rng, (0.15, 0.3)) * room.length_m
        room = Room(room.width_m, room.length_m, round(cut_x, 2), round(cut_y, 2))
    gates = _gates(kind, room.width_m, rng)
    wanted = int(rng.integers(plan.fixtures[0], plan.fixtures[1] + 1, 2).max())
    pairs = max(int(wanted * 0.65 / 2), 1) if wanted > 3 else 0
    islands = _island_slots(plan, room, pairs, rng)
    counter = _counter(room, gates, rng) if wanted - len(islands) > 2 else []
    walls = _wall_slots(plan, room, wanted - len(islands) - len(counter), rng)
    ceiling = round(float(rng.uniform(2.5, 3.2 if kind == "kiosk" else 3.5)), 2)
    layout = Layout(room.floor_m, gates, tuple(walls + counter + islands), ceiling)
    return _mirrored(layout, room.width_m) if rng.random() < 0.5 else layout


def _mirrored(layout: Layout, width: float) -> Layout:
    """The same plan with left and right exchanged."""

    def flip(point: Point) -> Point:
        return (round(width - point[0], 4), point[1])

    floor = tuple(flip(corner) for corner in reversed(layout.floor_m))
    gates = tuple(gate.model_copy(update={"a_m": flip(gate.b_m), "b_m": flip(gate.a_m)}) for gate in layout.gates)
    slots = tuple(replace(slot, front_m=flip(slot.front_m), yaw_deg=-slot.yaw_deg) for slot in layout.slots)
    return Layout(floor, gates, slots, layout.ceiling_m)


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


def _wall_slots(plan: Plan, room: Room, wanted: int, rng: np.random.Generator) -> list[Slot]:
    """At most `wanted` bays along the back and the side walls, long enough to use most of them."""
    side_end = room.length_m - SIZES["fridge"][0][1] - CORNER_M
    cut_end = room.length_m - room.cut_y_m - (0.1 if room.cut_y_m else SIZES["fridge"][0][1] + CORNER_M)
    spans = [(2, 0.0, room.width_m - room.cut_x_m), (1, SIDE_START_M, cut_end), (3, SIDE_START_M, side_end)]
    length = float(np.clip(sum(end - start for _, start, end in spans) / max(wanted, 1), *plan.bay_m))
    depth = _between(rng, SIZES["wall"][0])
    slots: list[Slot] = []
    for wall, start, end in spans:
        while end - start >= plan.bay_m[0]:
            bay = min(float(np.clip(length * rng.uniform(0.7, 1.1), *plan.bay_m)), end - start)
            kind = _pick(KINDS_AT_WALLS, rng)
            own = depth if kind == "wall" else _between(rng, SIZES[kind][0])
            size = (own, _between(rng, SIZES[kind][1]))
            slots.append(_wall_slot(wall, start, bay, (room.width_m, room.length_m), kind, size))
            start += bay + (0.0 if rng.random() < 0.6 else _between(rng, (0.05, 0.4)))
    while len(slots) > wanted:
        slots.pop(int(rng.integers(len(slots))))
    return slots


def _counter(room: Room, gates: tuple[GateSpec, ...], rng: np.random.Generator) -> list[Slot]:
    """A counter at the front wall, in the widest stretch that no door needs."""
    width = room.width_m
    edges = [(0.0, 0.0), *sorted((gate.a_m[0] - 0.4, gate.b_m[0] + 0.4) for gate in gates), (width, width)]
    gaps = [(after[0] - before[1], before[1]) for before, after in pairwise(edges)]
    gap, start = max(gaps)
    if gap < 0.9 or rng.random() < 0.35:
        return []
    bay = min(gap, _between(rng, (0.9, 1.8)))
    at = 0.0 if start == 0.0 else start + (gap - bay) * (1.0 if start + gap >= width - 1e-6 else 0.5)
    depth, height = _between(rng, SIZES["counter"][0]), _between(rng, SIZES["counter"][1])
    return [_wall_slot(0, at, bay, (width, room.length_m), "counter", (depth, height))]


def _pick(choices: tuple[tuple[FixtureKind, float], ...], rng: np.random.Generator) -> FixtureKind:
    weights = np.array([weight for _, weight in choices])
    return choices[int(rng.choice(len(choices), p=weights / weights.sum()))][0]


def _island_slots(plan: Plan, room: Room, pairs: int, rng: np.random.Generator) -> list[Slot]:
    """At most `pairs` gondolas and tables in rows in the middle, aisles of at least 1 m all around."""
    aisle = _between(rng, (1.0, 1.15) if plan.kind == "kiosk" else (1.05, 1.6))
    x0, x1 = WALL_DEPTH_M + aisle, room.width_m - WALL_DEPTH_M - aisle
    y0, y1 = max(plan.front_m, aisle), room.length_m - (room.cut_y_m or WALL_DEPTH_M) - aisle
    along_y = bool(rng.random() < 0.5)
    across, along = ((x0, x1), (y0, y1)) if along_y else ((y0, y1), (x0, x1))
    half = _between(rng, SIZES["gondola"][0])
    wide, long = across[1] - across[0], along[1] - along[0]
    rows = min(int((wide + aisle) // (2 * half + aisle)), {"kiosk": 1, "corner": 2, "market": 6}[plan.kind])
    if rows < 1 or pairs < 1 or long < 0.8:
        return []
    pieces = min(max(1, int((long + aisle) // (plan.bay_m[1] * 1.1 + aisle))), pairs)
    rows = min(rows, pairs // pieces)
    pitch = (wide - 2 * half) / (rows - 1) if rows > 1 else 0.0
    first = across[0] + half if rows > 1 else sum(across) / 2
    piece = min((long - (pieces - 1) * aisle) / pieces, plan.bay_m[1] * 1.3)
    step = (long - piece) / (pieces - 1) if pieces > 1 else 0.0
    start = along[0] + piece / 2 if pieces > 1 else sum(along) / 2
    slots: list[Slot] = []
    for row in range(rows):
        for n in range(pieces):
            centre, middle = first + row * pitch, start + n * step
            at = (centre, middle) if along_y else (middle, centre)
            slots.extend(_island(at, 90.0 if along_y else 0.0, piece, half, len(slots), rng))
    return slots


def _island(at: Point, turn_deg: float, length: float, half: float, pair: int, rng: np.random.Generator) -> list[Slot]:
    """Two fixtures back to back, or now and then a table, perhaps set at an angle, centred at `at`."""
    kind: FixtureKind = "table" if rng.random() < 0.2 else "gondola"
    height = _between(rng, SIZES[kind][1])
    if kind == "table":
        length = min(length, 2.0)
        turn_deg += round(float(rng.uniform(-15, 15)), 1) if rng.random() < 0.4 else 0.0
    slots = []
    for yaw in (turn_deg, turn_deg - 180.0):
        inward = np.deg2rad(yaw + 90.0)  # the fixture's y axis
        front = (at[0] - half * float(np.cos(inward)), at[1] - half * float(np.sin(inward)))
        slots.append(Slot(kind, front, yaw, length, half, height, pair))
    return slots


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
