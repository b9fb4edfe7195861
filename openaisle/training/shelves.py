"""Lanes before and after changes for training the shelf look: stocked shops in which units leave and come.

No shopper is simulated: what counts is the still shelf before a hand and after it. One shard is one shop; lanes are
chosen at random, and so is what happens to them, strangers in wrong lanes included.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from openaisle.sim.engine import Simulation
from openaisle.sim.render import Renderer
from openaisle.sim.scenario import load_scenario
from openaisle.sim.stock import Stock
from openaisle.sim.stores import open_store
from openaisle.sim.world import ITEM_ID, Snapshot
from openaisle.tokens.catalogue import picture_stack, unit_grams
from openaisle.tokens.shelf import SHELF_PX, ShelfView, cut_shelf, shelf_views
from openaisle.training.frames import Compression, ShardSpec
from openaisle.training.glances import Arrays

ROUNDS = 24  # pictures of a shop
CHANGES = 14  # lanes that are looked at between two pictures
KINDS = ("nothing", "take", "put", "take_stranger", "put_stranger", "exchange")
SHARES = (0.2, 0.27, 0.16, 0.12, 0.15, 0.1)
UNITS = (0.6, 0.2, 0.12, 0.08)  # one, two, three, four at once
STRANGERS = 0.25  # lanes in which a stranger lies from the start
SETTLE_ROUNDS = 2  # pictures given to a camera's encoder before one counts, as a still scene sharpens


@dataclass
class Change:
    """What happened to a lane: units by product, and the items they are."""

    lane: int
    left: list[int] = field(default_factory=list)  # item numbers
    came: list[int] = field(default_factory=list)


def make_shelves(spec: ShardSpec, path: Path) -> int:
    """Stock a shop, change lanes and write one shard (npz, atomically); returns its number of windows."""
    store = open_store(spec.store, spec.seed)
    simulation = Simulation(store, load_scenario(spec.scenario), spec.seed)
    stock: Stock = simulation.stock
    rng = np.random.default_rng((spec.seed, 11))
    for _ in range(int(STRANGERS * len(store.lanes))):
        lane, other = (int(v) for v in rng.integers(len(store.lanes), size=2))
        move(stock, lane, other, rng)
    first = next(iter(simulation.steps()))
    still = replace(first, people=(), items=simulation.items)
    views = [shelf_views(lane, store.cameras) for lane in store.lanes]
    compression = Compression(len(store.cameras), rng)
    shop = _Shop(Renderer(store, simulation.items.product, seed=spec.seed), compression, len(store.cameras))
    home = [lane for lane in range(len(store.lanes)) if views[lane] and store.lane_product[lane] >= 0]
    before = shop.pictures(still)
    spare: list[int] = []  # items that were taken and can be put somewhere
    parts: list[Arrays] = []
    count = 0
    for _ in range(ROUNDS):
        lanes = rng.choice(home, min(CHANGES, len(home)), replace=False).tolist()
        changes = [change(stock, int(lane), spare, rng) for lane in lanes]
        still = replace(still, time_ns=still.time_ns + 3_000_000_000)
        after = shop.pictures(still)
        for told in changes:
            for view in views[told.lane]:
                parts.append(window(stock, told, view, (before, after), count))
            count += 1
        before = after
    if not parts:
        return 0
    arrays: Arrays = {name: np.stack([part[name] for part in parts]) for name in parts[0]}
    arrays |= {"pictures": picture_stack(store), "grams": unit_grams(store)}
    temporary = path.with_suffix(".tmp.npz")
    np.savez_compressed(temporary, **arrays)  # type: ignore[arg-type]  # numpy's stub has no arrays of mixed types
    temporary.rename(path)
    return len(parts)


@dataclass
class _Shop:
    renderer: Renderer
    compression: Compression
    cameras: int

    def pictures(self, still: Snapshot) -> list[tuple[NDArray[np.uint8], NDArray[np.int32]]]:
        """Every camera's picture as it arrives, and its truth."""
        out = []
        for camera in range(self.cameras):
            for n in range(SETTLE_ROUNDS):
                drawn = self.renderer.render(camera, replace(still, time_ns=still.time_ns + n * 200_000_000))
                rgb, ids = self.compression(camera, drawn.rgb), drawn.ids.copy()
            out.append((rgb, ids))
        return out


def change(stock: Stock, lane: int, spare: list[int], rng: np.random.Generator) -> Change:
    """Let something happen to a lane, if it can: what did."""
    kind = str(rng.choice(KINDS, p=SHARES))
    own = int(stock.store.lane_product[lane])
    units = 1 + int(rng.choice(len(UNITS), p=UNITS))
    out = Change(lane)
    if kind in ("take", "take_stranger", "exchange"):
        strange = [lying.item for lying in stock.takeable(lane) if stock.items.product[lying.item] != own]
        wanted = strange[:1] if kind != "take" else []
        for _ in range(units if kind == "take" else len(wanted)):
            options = [wanted[0]] if wanted else [lying.item for lying in stock.takeable(lane, own)[:2]]
            if options:
                item = int(rng.choice(options))
                stock.remove(lane, item)
                stock.items.visible[item] = False
                stock.items.moved[item] = True
                out.left.append(item)
    spare += out.left
    if kind in ("put", "put_stranger", "exchange"):
        ours = [item for item in spare if (stock.items.product[item] == own) == (kind == "put")]
        ours = [item for item in ours if item not in out.left]
        for item in list(rng.permutation(ours))[: units if kind == "put" else 1]:
            place = stock.place_for(lane, int(item), rng, bool(kind == "put" and rng.random() < 0.7), 0.0)
            if place is not None:
                stock.put(lane, place)
                spare.remove(int(item))
                out.came.append(int(item))
    return out


def move(stock: Stock, lane: int, other: int, rng: np.random.Generator) -> None:
    """A unit of one lane into another, where there is room."""
    options = stock.takeable(lane)
    if lane == other or not options:
        return
    place = stock.place_for(other, options[0].item, rng, False, 0.0)
    if place is not None:
        stock.remove(lane, options[0].item)
        stock.put(other, place)


def window(
    stock: Stock,
    told: Change,
    view: ShelfView,
    pictures: tuple[list[tuple[NDArray[np.uint8], NDArray[np.int32]]], ...],
    number: int,
) -> Arrays:
    """One view of one changed lane with its truth."""
    shown, masks = [], []
    for side, items in zip(pictures, (told.left, told.came), strict=True):
        rgb, ids = side[view.camera]
        shown.append(cut_shelf(rgb, view))
        held = np.isin(ids, [ITEM_ID + item for item in items]) if items else np.zeros(ids.shape, bool)
        plane = np.repeat(held[..., None].astype(np.uint8) * 255, 3, axis=2)
        masks.append(cut_shelf(plane, view)[..., 0].reshape(SHELF_PX // 2, 2, SHELF_PX // 2, 2).mean((1, 3)))
    product = [int(stock.items.product[items[0]]) if items else -1 for items in (told.left, told.came)]
    own = int(stock.store.lane_product[told.lane])
    net = sum(
        sign * sum(int(stock.items.product[item]) == own for item in items)
        for sign, items in ((-1, told.left), (1, told.came))
    )
    return {
        "before": shown[0], "after": shown[1], "area": view.area, "features": view.features,
        "mask": np.stack(masks, axis=-1).astype(np.uint8), "product": np.array(product, np.int32),
        "own": np.array(own, np.int32), "net": np.array(net, np.int32), "lane": np.array(number, np.int32),
    }  # fmt: skip
