"""Shelves as rows of plates: which scale lies beside which, and which products lie on them by the planogram."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby

from openaisle.store.store import Store


@dataclass(frozen=True)
class Facing:
    """A product and the neighbouring plates it lies on, as positions in the row."""

    product: int  # index into the store's products
    at: tuple[int, ...]


@dataclass(frozen=True)
class Shelf:
    """The plates of one shelf from left to right."""

    scales: tuple[int, ...]  # indices into the store's scales
    facings: tuple[Facing, ...]
    lanes: Mapping[tuple[int, int], str]  # (position, product) → lane id
    first_lane: tuple[str, ...]  # by position

    def lane(self, position: int, product: int) -> str:
        """The product's lane on a plate, or else the plate's first lane."""
        return self.lanes.get((position, product), self.first_lane[position])


def shelves(store: Store) -> tuple[Shelf, ...]:
    """All shelves with scales, in the store's order."""
    rows: dict[tuple[int, str], dict[int, list[int]]] = {}  # shelf → scale → lanes
    for lane in store.lanes:
        if lane.scale >= 0:
            rows.setdefault((lane.fixture, lane.id.split(".")[1]), {}).setdefault(lane.scale, []).append(lane.index)
    return tuple(_shelf(store, row) for row in rows.values())


def _shelf(store: Store, row: dict[int, list[int]]) -> Shelf:
    edges = {fixture.id + "." + shelf.id: shelf for fixture in store.spec.fixtures for shelf in fixture.shelves}

    def left_m(scale: int) -> float:
        names = [store.lanes[lane].id.split(".") for lane in row[scale]]
        spots = [{one.id: one.x_m for one in edges[f"{f}.{s}"].lanes}[name] for f, s, name in names]
        return min(spots)

    scales = tuple(sorted(row, key=left_m))
    lanes: dict[tuple[int, int], str] = {}
    at: dict[int, list[int]] = {}
    for position, scale in enumerate(scales):
        for lane in row[scale]:
            product = int(store.lane_product[lane])
            if product >= 0 and (position, product) not in lanes:
                lanes[position, product] = store.lanes[lane].id
                at.setdefault(product, []).append(position)
    facings = [Facing(product, run) for product, spots in at.items() for run in _runs(spots)]
    return Shelf(scales, tuple(facings), lanes, tuple(store.lanes[row[scale][0]].id for scale in scales))


def _runs(spots: list[int]) -> list[tuple[int, ...]]:
    """Runs of neighbouring positions."""
    groups = groupby(enumerate(sorted(spots)), key=lambda pair: pair[1] - pair[0])
    return [tuple(spot for _, spot in group) for _, group in groups]
