"""Goods: what a store's products weigh, where they belong, and which scale is under which lane."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise

from openaisle.store.store import Store
from openaisle.tokens.catalogue import unit_grams


@dataclass(frozen=True)
class Goods:
    """What events may be about: unit masses in grams by GTIN; each lane's own product and scale; neighbours.

    A lane without a scale has a number below zero in place of one.
    """

    unit_grams: Mapping[str, float]
    planned: Mapping[str, str]
    scale: Mapping[str, int]
    beside: Mapping[int, tuple[int, ...]] = field(default_factory=dict)
    row: Mapping[str, int] = field(default_factory=dict)  # of a GTIN in the catalogue, as looks name products

    @cached_property
    def places(self) -> Mapping[int, tuple[str, ...]]:
        """The lanes that stand on each scale."""
        out: dict[int, tuple[str, ...]] = {}
        for lane, scale in self.scale.items():
            out[scale] = (*out.get(scale, ()), lane)
        return out

    @cached_property
    def gtins(self) -> tuple[str, ...]:
        """GTINs by catalogue row."""
        return tuple(sorted(self.row, key=lambda gtin: self.row[gtin]))

    def lanes_on(self, scale: int) -> tuple[str, ...]:
        """The lanes that stand on a scale."""
        return self.places.get(scale, ())


def goods_of(store: Store, mute: frozenset[int] = frozenset()) -> Goods:
    """The goods of a store; products of unknown mass are left out, and scales (indices) that are mute."""
    gtins = [product.gtin for product in store.products]
    lanes = list(zip(store.lanes, store.lane_product.tolist(), strict=True))
    beside: dict[int, set[int]] = {}
    for one, next_ in pairwise(store.lanes):
        a, b = one.scale, next_.scale
        seeing = a >= 0 and b >= 0 and not {a, b} & mute
        same_shelf = one.id.rpartition(".")[0] == next_.id.rpartition(".")[0]
        if same_shelf and seeing and a != b:
            beside.setdefault(a, set()).add(b)
            beside.setdefault(b, set()).add(a)
    return Goods(
        {gtin: grams for gtin, grams in zip(gtins, unit_grams(store).tolist(), strict=True) if grams > 0},
        {lane.id: gtins[product] for lane, product in lanes if product >= 0},
        {lane.id: lane.scale if lane.scale >= 0 and lane.scale not in mute else bare(lane.index) for lane, _ in lanes},
        {scale: tuple(sorted(others)) for scale, others in beside.items()},
        {gtin: row for row, gtin in enumerate(gtins)},
    )


def bare(lane: int) -> int:
    """The number that stands for the scale that a lane (store index) has not."""
    return -1 - lane


def clusters(scales: set[int], goods: Goods) -> list[set[int]]:
    """Scales side by side that are open at once: they are explained together."""
    left, out = set(scales), []
    while left:
        group, edge = set(), [min(left)]
        while edge:
            scale = edge.pop()
            if scale in left:
                left.remove(scale)
                group.add(scale)
                edge += goods.beside.get(scale, ())
        out.append(group)
    return out
