"""Behaviour: a shopper's visit from door to door, as one script.

choices.py says what is wanted; moves.py, reaching.py, handling.py and meeting.py carry it out.
"""

from __future__ import annotations

from collections.abc import Generator

import numpy as np
from numpy.typing import NDArray

from openaisle.messages import Activity
from openaisle.sim import handling, reaching
from openaisle.sim.choices import Mind
from openaisle.sim.meeting import meet
from openaisle.sim.moves import come_in, face, go_out, together, wait, walk_to
from openaisle.sim.shopper import STEP_S, Script, Shopper

Float = NDArray[np.float64]
Yes = Generator[None, None, bool]
COMPANY_S, COMPANY_M = 6.0, 2.5  # how long people wait at a shelf for others, and how near those must be
FULL = 3  # units in a hand that make people stow them


def shop(mind: Mind, me: Shopper) -> Script:
    """One shopper's visit from door to door."""
    world, scenario = mind.world, mind.world.scenario
    yield from come_in(world, me)
    left = int(me.rng.integers(scenario.picks[0], scenario.picks[1] + 1))
    tries = 2 * left + 2  # lanes may be empty or out of reach
    while left > 0 and tries > 0 and world.time_ns < world.closing_ns and mind.has_room(me):
        yield from meet(mind, me)
        yield from second_thoughts(mind, me)
        if me.rng.random() < scenario.browse:
            yield from browse(mind, me)
        left -= yield from pick(mind, me)
        tries -= 1
    yield from meet(mind, me)
    yield from second_thoughts(mind, me)
    me.leaving = True
    yield from go_out(world, me)


def pick(mind: Mind, me: Shopper) -> Generator[None, None, int]:
    """Go to a lane and do something there: take, touch, dither. 1 when the lane was reached."""
    world, scenario, rng = mind.world, mind.world.scenario, me.rng
    friend, hand = mind.friend(me), mind.hand(me)
    lane, product = _goal(mind, me, hand, friend)
    if lane < 0:
        yield from wait(1.0)
        return 0
    if not (yield from approach(mind, me, lane, product, hand, friend)):
        yield from wait(0.2)
        return 0
    yield from reaching.open_door(world, me, lane, hand)
    if rng.random() < scenario.touch:
        yield from reaching.touch(world, me, lane, hand)
    done = False
    if rng.random() < scenario.put_back:
        for _ in range(int(rng.integers(scenario.cycles[0], scenario.cycles[1] + 1))):
            done = yield from dither(mind, me, lane, product, hand)
            if not done:
                break
    if not done or rng.random() < 0.7:
        yield from take_some(mind, me, lane, product, hand)
    reaching.shut_door(world, lane)
    leave_shelf(me)
    yield from keep(mind, me)
    return 1


def browse(mind: Mind, me: Shopper) -> Script:
    """Walk up to some shelf, look at it for a while and turn away."""
    world, rng = mind.world, me.rng
    lane = world.store.lanes[int(rng.integers(len(world.store.lanes)))]
    away = me.build.radius_m + world.fronts[lane.index].setback_m + rng.uniform(0.1, 0.7)
    place = lane.front_m[:2] + lane.outward_m[:2] * away
    if world.is_free(me, place) and (yield from walk_to(world, me, place, patience_s=6.0, close_m=0.15)):
        yield from face(me, world.fronts[lane.index].inward_rad + rng.normal(0.0, 0.3))
        me.look(rng.normal(0.0, 0.4), rng.uniform(-0.1, 0.6))
        yield from wait(rng.uniform(0.5, 4.0))
        me.look(0.0, 0.1)


def _goal(mind: Mind, me: Shopper, hand: int, friend: Shopper | None) -> tuple[int, int]:
    """A lane and a product; beside a friend, one of those that can be reached from a place that is free."""
    lane, product = mind.lane_to_visit(me, friend)
    if friend is None:
        return lane, product
    for _ in range(8):
        target = _target(mind, lane, product) if lane >= 0 else None
        if target is not None and mind.world.find_spot(me, hand, lane, target) is not None:
            break
        lane, product = mind.lane_to_visit(me, friend)
    return lane, product


def leave_shelf(me: Shopper) -> None:
    """This person is no longer busy with a shelf."""
    me.shelf, me.claim, me.free_hands, me.follows = (-1, -1), None, False, None
    me.arrived = False
    me.doing = Activity.STAND


def approach(mind: Mind, me: Shopper, lane: int, product: int, hand: int, friend: Shopper | None) -> Yes:
    """Walk to where the hand reaches the front-most unit of a lane; wait there for followers. False: no way."""
    world = mind.world
    me.shelf, me.follows, me.arrived = (world.store.lanes[lane].fixture, lane), friend, False
    for _ in range(4):
        target = _target(mind, lane, product)
        if target is None or world.find_spot(me, hand, lane, target, alone=True) is None:
            me.gave_up.add(lane)
            break
        spot = world.find_spot(me, hand, lane, target)
        if spot is None:  # others stand there: wait a little
            yield from wait(me.rng.uniform(0.5, 2.5))
            continue
        me.claim = spot
        if not (yield from walk_to(world, me, spot)):
            me.claim = None
            continue
        yield from face(me, world.heading_for(me.position, lane, target))
        me.arrived = True
        met = yield from _wait_for_company(mind, me)
        me.follows = None
        if friend is None and not met:
            yield from wait(me.rng.uniform(*world.scenario.linger_s))
        me.free_hands = True
        return True
    leave_shelf(me)
    return False


def _target(mind: Mind, lane: int, product: int) -> Float | None:
    """Where a hand must go for a unit of the product, or for putting something into the lane (product -1)."""
    if product < 0:
        width, _, height = mind.world.store.lanes[lane].size_m
        return mind.world.stock.world(lane, width / 2, 0.05, min(0.1, height / 2))
    options = mind.world.stock.takeable(lane, product)
    return mind.world.stock.grasp_point(lane, options[0]) if options else None


def _wait_for_company(mind: Mind, me: Shopper) -> Yes:
    """Those who come to this shelf in company reach at the same time; the first wait some seconds. True: they came."""
    met = False
    for _ in range(round(COMPANY_S / STEP_S)):
        if not any(_is_coming(s, me) for s in mind.world.shoppers):
            break
        met = True
        yield
    return met


def _is_coming(other: Shopper, me: Shopper) -> bool:
    """Whether somebody is near and on his way to the shelf where `me` stands, to join people there."""
    if other is me or other.follows is None or other.claim is None or other.arrived or other.shelf[0] != me.shelf[0]:
        return False
    return float(np.hypot(*(other.claim - other.position))) < COMPANY_M


def dither(mind: Mind, me: Shopper, lane: int, product: int, hand: int) -> Yes:
    """Take one or more units and put them straight back."""
    world, scenario = mind.world, mind.world.scenario
    count = min(mind.quantity(me), mind.most(me, product, hand))
    units = yield from reaching.take(world, me, lane, product, count, hand)
    if not units:
        return False
    if me.rng.random() < 0.5:
        yield from handling.inspect(me, hand, me.rng.uniform(*scenario.inspect_s))
    else:
        yield from wait(me.rng.uniform(0.05, 0.8))
    return (yield from reaching.put(world, me, lane, hand, units, me.rng.random() < 0.8))


def take_some(mind: Mind, me: Shopper, lane: int, product: int, hand: int) -> Script:
    """Take the wanted quantity: at once, with both hands, or one after another."""
    world, scenario, rng = mind.world, mind.world.scenario, me.rng
    left, other = mind.quantity(me), 1 - hand
    if left > 1 and rng.random() < scenario.both_hands and me.can_use(other) and not me.holds[other]:
        half = left // 2

        def one(side: int, count: int, pause_s: float) -> Script:
            yield from wait(pause_s)
            yield from reaching.take(world, me, lane, product, min(count, mind.most(me, product, side)), side)

        yield from together(one(hand, left - half, 0.0), one(other, half, rng.uniform(0.05, 0.4)))
        return
    at_once = rng.random() < scenario.at_once
    while left > 0:
        count = min(left if at_once else 1, mind.most(me, product, hand))
        units = yield from reaching.take(world, me, lane, product, count, hand)
        if not units:
            break
        left -= len(units)
        if left > 0 and len(me.holds[hand]) >= FULL:
            yield from handling.stow(world, me, hand, False)
            yield from face(me, world.heading_for(me.position, lane, world.store.lanes[lane].front_m))


def keep(mind: Mind, me: Shopper) -> Script:
    """Inspect what is in the hands, then stow it or keep it there."""
    world, scenario, rng = mind.world, mind.world.scenario, me.rng
    for hand in (0, 1):
        if not me.holds[hand]:
            continue
        if rng.random() < scenario.inspect:
            yield from handling.inspect(me, hand, rng.uniform(*scenario.inspect_s))
        place = mind.stow_place(me, hand)
        if place != "hand":
            yield from handling.stow(world, me, hand, place == "pocket")


# --- returning -----------------------------------------------------------------------------------------------------


def second_thoughts(mind: Mind, me: Shopper) -> Script:
    """Perhaps bring something back, to its lane or to a wrong one."""
    scenario, rng = mind.world.scenario, me.rng
    owned = me.all_items()
    draw = rng.random()
    if not owned or draw >= scenario.return_right + scenario.return_wrong:
        return
    item = owned[int(rng.integers(len(owned)))]
    neatly = bool(draw < scenario.return_right)
    home = np.flatnonzero(mind.planned == mind.world.stock.items.product[item])
    if neatly and len(home):
        lanes = [int(home[int(rng.integers(len(home)))])]
    else:
        lanes = [lane for lane in (mind.lane_to_visit(me, None)[0] for _ in range(3)) if lane >= 0 and lane not in home]
    for lane in lanes:
        if (yield from bring(mind, me, item, lane, neatly)):
            break


def bring(mind: Mind, me: Shopper, item: int, lane: int, neatly: bool) -> Yes:
    """Carry a unit to a lane and put it in."""
    world = mind.world
    hand = _holding(me, item)
    fetches = hand < 0
    if fetches:
        hand = mind.hand(me)
    if not (yield from approach(mind, me, lane, -1, hand, None)):
        return False
    if fetches:
        if item not in me.bag:  # it hangs in the hand that cannot let go of the basket
            leave_shelf(me)
            return False
        yield from handling.fetch(world, me, hand, [item])
        yield from face(me, world.heading_for(me.position, lane, world.store.lanes[lane].front_m))
    yield from reaching.open_door(world, me, lane, 1 - hand if me.can_use(1 - hand) else hand)
    products = world.stock.items.product
    units = [grip.item for grip in me.holds[hand] if products[grip.item] == products[item]]
    if me.rng.random() < 0.5:
        units = [item]
    done = yield from reaching.put(world, me, lane, hand, units, neatly)
    reaching.shut_door(world, lane)
    leave_shelf(me)
    yield from keep(mind, me)
    return done


def _holding(me: Shopper, item: int) -> int:
    """The hand that holds a unit and can put it back, -1 = none."""
    for hand in (0, 1):
        if me.can_use(hand) and any(grip.item == item for grip in me.holds[hand]):
            return hand
    return -1
