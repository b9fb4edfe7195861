"""Stock: which unit lies where. Packs lanes at the start, finds units in reach, takes them out and puts them down.

Poses inside a lane are (x, y, z) of the middle of the base in the lane's frame plus a turn; a unit may also lie
on its back. Nothing hangs in the air: what loses its support comes down.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from openaisle.messages import TruthLane
from openaisle.sim.world import Items
from openaisle.store.schema import ProductSpec
from openaisle.store.store import Store

Float = NDArray[np.float64]
STACKS = ("box", "can", "tub")  # shapes that stand on one another
SPREAD = 0.08  # unit masses stay within 8% of the catalogue
TOO_WIDE = 1.6  # nobody puts a unit into a lane so much narrower


@dataclass(slots=True)
class Lying:
    """One unit in a lane: middle of its base (lane frame, metres), turn, and the box it fills."""

    item: int
    x: float
    y: float
    z: float
    yaw: float
    tipped: bool  # lies on its back
    size: tuple[float, float, float]  # extent along lane x, y, z

    def covers(self, x: float, y: float, width: float, depth: float) -> bool:
        """Whether a footprint at (x, y) overlaps this unit's by more than a few millimetres."""
        slack = 0.004
        return (abs(self.x - x) < (self.size[0] + width) / 2 - slack) and (
            abs(self.y - y) < (self.size[1] + depth) / 2 - slack
        )


class Stock:
    """All units of a simulation: in lanes, in hands, in bags or gone."""

    def __init__(self, store: Store, rng: np.random.Generator, fill: tuple[float, float]) -> None:
        self.store = store
        self.lanes: list[list[Lying]] = [[] for _ in store.lanes]
        self.sizes = np.array([(p.width_mm, p.depth_mm, p.height_mm) for p in store.products]) / 1000.0
        self.reserved: set[int] = set()  # units somebody's hand is on its way to
        self.true_grams = np.zeros(len(store.lanes))
        self.load_grams = np.zeros(len(store.lanes))  # as it presses on lanes: wide units press on neighbours, too
        self.changed: set[int] = set()
        self._neighbours = _shelf_mates(store)
        self._mass = _product_mass(store.products, rng)
        packed = [self._pack(lane, rng, fill) for lane in range(len(store.lanes))]
        products = [int(store.lane_product[lane]) for lane, places in enumerate(packed) for _ in places]
        self.items = _empty_items(np.array(products, dtype=np.int32))
        self.items.mass_grams[:] = self._unit_masses(self.items.product, rng)
        number = 0
        for lane, places in enumerate(packed):
            for lying in places:
                lying.item = number
                self._settle(lane, lying)
                number += 1
        self.changed.clear()

    # --- making units ----------------------------------------------------------------------------------

    def _unit_masses(self, products: NDArray[np.int32], rng: np.random.Generator) -> Float:
        factor = 1.0 + rng.normal(0.0, 0.015, len(products))
        mass = self._mass[products, 0]
        return np.asarray(np.clip(mass * self._mass[products, 1] * factor, (1 - SPREAD) * mass, (1 + SPREAD) * mass))

    def add_units(self, product: int, count: int, rng: np.random.Generator) -> list[int]:
        """New units outside the store (staff bring them in); returns their indices."""
        start = len(self.items.product)
        fresh = _empty_items(np.full(count, product, dtype=np.int32))
        fresh.mass_grams[:] = self._unit_masses(fresh.product, rng)
        for field in Items.__dataclass_fields__:
            setattr(self.items, field, np.concatenate([getattr(self.items, field), getattr(fresh, field)]))
        return list(range(start, start + count))

    def _pack(self, lane: int, rng: np.random.Generator, fill: tuple[float, float]) -> list[Lying]:
        """Front rows first, as shops face up their shelves; unevenly, as customers leave them."""
        product = int(self.store.lane_product[lane])
        if product < 0:
            return []
        row = next(row for row in self.store.planogram if row.lane == self.store.lanes[lane].id)
        places = self.slots(lane, product, row.facings)
        count = min(len(places), max(1, round(row.capacity * float(rng.uniform(*fill)))))
        width, depth, height = self.sizes[product]
        out = []
        for x, y, level in places[:count]:
            turn = float(rng.normal(0.0, 0.04)) if rng.random() < 0.9 else float(rng.uniform(-0.35, 0.35))
            dx, dy = rng.normal(0.0, 0.002, 2)
            out.append(Lying(-1, x + dx, y + abs(dy), level * height, turn, False, (width, depth, height)))
        return out

    def slots(self, lane: int, product: int, facings: int) -> list[tuple[float, float, int]]:
        """Places (x, y, level) of a full lane, front first."""
        width, depth, height = self.sizes[product]
        lane_w, lane_d, lane_h = self.store.lanes[lane].size_m
        columns = min(max(1, int((lane_w + 0.002) / (width + 0.002))), max(1, facings))
        rows = max(1, int((lane_d - 0.01) / (depth + 0.004)))
        levels = 1
        if self.store.products[product].shape in STACKS and height < 0.16:
            levels = min(3, max(1, int((lane_h - 0.06) / height)))
        pitch = lane_w / columns
        return [
            ((c + 0.5) * pitch, 0.008 + (r + 0.5) * (depth + 0.004), level)
            for r in range(rows) for c in range(columns) for level in range(levels)
        ]  # fmt: skip

    # --- looking ---------------------------------------------------------------------------------------

    def takeable(self, lane: int, product: int = -1) -> list[Lying]:
        """Units of a lane that a hand can get at, front-most first; of one product, or of any (-1)."""
        here = self.lanes[lane]
        out = []
        for lying in here:
            if lying.item in self.reserved or (product >= 0 and self.items.product[lying.item] != product):
                continue
            on_top = any(o.z > lying.z + 0.01 and o.covers(lying.x, lying.y, *lying.size[:2]) for o in here)
            hidden = any(o.y < lying.y - 0.01 and abs(o.x - lying.x) < 0.6 * lying.size[0]
                         and o.z + 0.5 * o.size[2] > lying.z for o in here)  # fmt: skip
            if not on_top and not hidden:
                out.append(lying)
        return sorted(out, key=lambda lying: (round(lying.y, 2), -lying.z, lying.x))

    def choose(self, lane: int, product: int, count: int, near_x: float) -> list[Lying]:
        """Up to `count` units one grasp after the other would get, starting with the one nearest to `near_x`."""
        chosen: list[Lying] = []
        here = self.lanes[lane]
        kept = list(here)
        for _ in range(count):
            options = self.takeable(lane, product)
            if not options:
                break
            near = chosen[0].x if chosen else near_x
            first = min(options, key=lambda lying: (lying.y + 1.2 * abs(lying.x - near), lying.x))
            chosen.append(first)
            here.remove(first)  # looks behind it for the next one
        here[:] = kept
        return chosen

    def grasp_point(self, lane: int, lying: Lying) -> Float:
        """World point [3] for the palm: the middle of the unit's front, a little above half its height."""
        return self.world(lane, lying.x, lying.y - lying.size[1] / 2 - 0.01, lying.z + 0.55 * lying.size[2])

    def world(self, lane: int, x: float, y: float, z: float) -> Float:
        """World point [3] of a point in a lane's frame."""
        pose = self.store.lanes[lane].world_from_lane
        return np.asarray(pose[:3, :3] @ np.array([x, y, z]) + pose[:3, 3])

    def misplaced(self) -> list[tuple[int, Lying]]:
        """All units that lie in a lane of another product."""
        planned = self.store.lane_product
        return [
            (lane, lying) for lane, here in enumerate(self.lanes) for lying in here
            if self.items.product[lying.item] != planned[lane] and lying.item not in self.reserved
        ]  # fmt: skip

    # --- moving ----------------------------------------------------------------------------------------

    def remove(self, lane: int, item: int) -> None:
        """Take a unit out of its lane; what stood on it comes down."""
        here = self.lanes[lane]
        lying = next(lying for lying in here if lying.item == item)
        here.remove(lying)
        self.items.lane[item] = -1
        self.reserved.discard(item)
        self._press(lane, lying, -1.0)
        for other in sorted((o for o in here if o.z > 0), key=lambda o: o.z):
            floor = self._support(lane, other.x, other.y, other.size[0], other.size[1], other)
            if floor < other.z - 1e-6:
                other.z = floor
                self._pose(lane, other)
        self._weigh(lane)

    def place_for(self, lane: int, item: int, rng: np.random.Generator, neatly: bool, near_x: float) -> Lying | None:
        """Where a unit can be put down in a lane: neatly in front of its like, or carelessly; None = no room."""
        product = int(self.items.product[item])
        width, depth, height = (float(v) for v in self.sizes[product])
        lane_w, lane_d, lane_h = self.store.lanes[lane].size_m
        tipped = not neatly and rng.random() < 0.3
        yaw = float(rng.normal(0.0, 0.06)) if neatly else float(rng.uniform(-0.6, 0.6))
        size = (width, height, depth) if tipped else (width, depth, height)
        if not neatly and not tipped:
            c, s = abs(np.cos(yaw)), abs(np.sin(yaw))
            size = (float(width * c + depth * s), float(width * s + depth * c), height)
        yaw = 0.0 if tipped else yaw
        if size[1] > lane_d or size[0] > TOO_WIDE * lane_w:
            return None
        columns = self._columns(lane_w, size[0], near_x, rng, neatly)
        for x in columns:
            front = [o.y - o.size[1] / 2 for o in self.lanes[lane] if abs(o.x - x) < (o.size[0] + size[0]) / 2 - 0.004]
            y = (min(front) if front else min(0.12, lane_d - size[1] / 2) + 0.5 * size[1]) - size[1] / 2 - 0.003
            if y - size[1] / 2 < -0.005:
                y = size[1] / 2 + 0.005  # the front row is full: on top of it
            z = self._support(lane, x, y, size[0], size[1], None)
            if z + size[2] < lane_h - 0.005:
                return Lying(item, x, y, z, yaw, tipped, size)
        return None

    def _columns(
        self, lane_w: float, width: float, near_x: float, rng: np.random.Generator, neatly: bool
    ) -> list[float]:
        if width >= lane_w:
            return [lane_w / 2]
        low, high = width / 2, lane_w - width / 2
        if neatly:
            columns = max(1, int(lane_w / (width + 0.002)))
            return sorted(((c + 0.5) * lane_w / columns for c in range(columns)), key=lambda x: abs(x - near_x))
        return [float(v) for v in rng.uniform(low, high, 4)]

    def put(self, lane: int, lying: Lying) -> None:
        """Lay a unit into a lane where `place_for` said; its height is found anew."""
        lying.z = self._support(lane, lying.x, lying.y, lying.size[0], lying.size[1], None)
        self._settle(lane, lying)

    def _settle(self, lane: int, lying: Lying) -> None:
        self.lanes[lane].append(lying)
        self.items.lane[lying.item] = lane
        self.items.visible[lying.item] = True
        self._pose(lane, lying)
        self._press(lane, lying, 1.0)
        self._weigh(lane)

    def pose(self, lane: int, lying: Lying) -> Float:
        """world_from_item [4, 4] of a unit in a lane."""
        local = np.eye(4)
        c, s = np.cos(lying.yaw), np.sin(lying.yaw)
        if lying.tipped:  # on its back: the front looks up, the top points into the shelf
            local[:3, :3] = [[1, 0, 0], [0, 0, 1], [0, -1, 0]]
            local[:3, 3] = lying.x, lying.y - lying.size[1] / 2, lying.z + lying.size[2] / 2
        else:
            local[:3, :3] = [[c, -s, 0], [s, c, 0], [0, 0, 1]]
            local[:3, 3] = lying.x, lying.y, lying.z
        return np.asarray(self.store.lanes[lane].world_from_lane @ local)

    def _pose(self, lane: int, lying: Lying) -> None:
        self.items.world_from_item[lying.item] = self.pose(lane, lying)
        self.items.moved[lying.item] = True

    def _support(self, lane: int, x: float, y: float, width: float, depth: float, skip: Lying | None) -> float:
        """Height on which a footprint would come to rest."""
        return max(
            (o.z + o.size[2] for o in self.lanes[lane]
             if o is not skip and (skip is None or o.z < skip.z) and o.covers(x, y, width, depth)),
            default=0.0,
        )  # fmt: skip

    def _press(self, lane: int, lying: Lying, sign: float) -> None:
        """Spread a unit's mass over the lanes it stands on; what hangs over the shelf's end stays with its own."""
        mass = sign * float(self.items.mass_grams[lying.item])
        left, _ = self._neighbours[lane][lane]
        low, high = left + lying.x - lying.size[0] / 2, left + lying.x + lying.size[0] / 2
        own = 1.0
        for other, (start, end) in self._neighbours[lane].items():
            if other != lane:
                share = max(0.0, min(high, end) - max(low, start)) / lying.size[0]
                self.load_grams[other] += mass * share
                own -= share
        self.load_grams[lane] += mass * own

    def _weigh(self, lane: int) -> None:
        masses = self.items.mass_grams
        self.true_grams[lane] = float(sum(masses[lying.item] for lying in self.lanes[lane]))
        self.changed.add(lane)

    def truth(self, lanes: Iterable[int], time_ns: int) -> tuple[TruthLane, ...]:
        """What really lies in the given lanes."""
        out = []
        for lane in sorted(lanes):
            counts: dict[str, int] = {}
            for lying in self.lanes[lane]:
                gtin = self.store.products[int(self.items.product[lying.item])].gtin
                counts[gtin] = counts.get(gtin, 0) + 1
            stock = tuple(sorted(counts.items()))
            out.append(TruthLane(time_ns, self.store.lanes[lane].id, stock, float(self.true_grams[lane])))
        return tuple(out)


def _empty_items(product: NDArray[np.int32]) -> Items:
    count = len(product)
    return Items(
        product, np.zeros(count), np.tile(np.eye(4, dtype=np.float32), (count, 1, 1)), np.zeros(count, np.bool_),
        np.full(count, -1, np.int32), np.zeros(count, np.bool_),
    )  # fmt: skip


def _product_mass(products: tuple[ProductSpec, ...], rng: np.random.Generator) -> Float:
    """[products, 2]: catalogue grams (guessed from the volume where unknown), factor of the batch in the shop."""
    grams = [p.weight_grams or 4e-4 * p.width_mm * p.height_mm * p.depth_mm for p in products]
    return np.stack([np.array(grams), 1.0 + rng.normal(0.0, 0.02, len(products))], axis=1)


def _shelf_mates(store: Store) -> list[dict[int, tuple[float, float]]]:
    """For each lane: the lanes of its shelf with their left and right edges in the shelf's frame, metres."""
    out: list[dict[int, tuple[float, float]]] = []
    index = 0
    for fixture in store.spec.fixtures:
        for shelf in fixture.shelves:
            edges = {index + n: (lane.x_m, lane.x_m + lane.width_m) for n, lane in enumerate(shelf.lanes)}
            out += [edges] * len(shelf.lanes)
            index += len(shelf.lanes)
    return out
