"""Staff: rounds of restocking while people shop, and misplaced units brought home."""

from __future__ import annotations

import numpy as np

from openaisle.sim import handling, reaching
from openaisle.sim.behaviour import approach, leave_shelf
from openaisle.sim.choices import Mind
from openaisle.sim.moves import come_in, face, go_out
from openaisle.sim.shopper import Script, Shopper
from openaisle.sim.stock import Stock

Job = tuple[int, tuple[int, ...]]  # lane, fresh units for it
LANES_PER_ROUND = (2, 5)
UNITS_PER_LANE = (2, 6)


def draw_jobs(stock: Stock, rng: np.random.Generator) -> list[Job]:
    """What one round brings: fresh units for some of the emptiest lanes."""
    room = {}
    for row in stock.store.planogram:
        lane = stock.store.lane_index[row.lane]
        missing = row.capacity - len(stock.lanes[lane])
        if missing >= UNITS_PER_LANE[0]:
            room[lane] = missing
    emptiest = sorted(room, key=lambda lane: (-room[lane], lane))[:20]
    count = min(len(emptiest), int(rng.integers(LANES_PER_ROUND[0], LANES_PER_ROUND[1] + 1)))
    jobs = []
    for lane in sorted(int(v) for v in rng.choice(emptiest, count, replace=False)) if count else []:
        units = min(room[lane], int(rng.integers(UNITS_PER_LANE[0], UNITS_PER_LANE[1] + 1)))
        jobs.append((lane, tuple(stock.add_units(int(stock.store.lane_product[lane]), units, rng))))
    return jobs


def restock(mind: Mind, me: Shopper, jobs: list[Job]) -> Script:
    """One round from door to door; what finds no room goes out again."""
    me.bag.extend(unit for _, units in jobs for unit in units)
    yield from come_in(mind.world, me)
    for lane, units in jobs:
        yield from _fill(mind, me, lane, list(units))
    for _ in range(2):
        yield from _tidy(mind, me)
    me.leaving = True
    yield from go_out(mind.world, me)


def _fill(mind: Mind, me: Shopper, lane: int, units: list[int]) -> Script:
    world = mind.world
    hand = mind.hand(me)
    if not (yield from approach(mind, me, lane, -1, hand, None)):
        return
    yield from reaching.open_door(world, me, lane, hand)
    most = mind.most(me, int(mind.planned[lane]), hand)
    for start in range(0, len(units), most):
        batch = units[start : start + most]
        yield from handling.fetch(world, me, hand, batch)
        yield from face(me, world.heading_for(me.position, lane, world.store.lanes[lane].front_m))
        put = yield from reaching.put(world, me, lane, hand, batch, True)
        if not put or me.holds[hand]:
            break
    reaching.shut_door(world, lane)
    leave_shelf(me)
    if me.holds[hand]:
        yield from handling.stow(world, me, hand, False)


def _tidy(mind: Mind, me: Shopper) -> Script:
    """A misplaced unit goes back to a lane of its product."""
    world = mind.world
    found = [(lane, lying.item) for lane, lying in world.stock.misplaced() if lane not in me.gave_up]
    if not found or me.rng.random() < 0.3:
        return
    lane, item = found[int(me.rng.integers(len(found)))]
    product = int(world.stock.items.product[item])
    home = np.flatnonzero(mind.planned == product)
    hand = mind.hand(me)
    if not len(home) or not (yield from approach(mind, me, lane, product, hand, None)):
        return
    yield from reaching.open_door(world, me, lane, hand)
    units = yield from reaching.take(world, me, lane, product, 1, hand)
    reaching.shut_door(world, lane)
    leave_shelf(me)
    goal = int(home[0])
    if units and (yield from approach(mind, me, goal, -1, hand, None)):
        yield from reaching.open_door(world, me, goal, hand)
        yield from reaching.put(world, me, goal, hand, units, True)
        reaching.shut_door(world, goal)
        leave_shelf(me)
    if me.holds[hand]:
        yield from handling.stow(world, me, hand, False)
