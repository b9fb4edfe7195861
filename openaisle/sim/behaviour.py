"""Behaviour: what a shopper wants next, as one script per visit.

A scenario's chances steer the choice of product, quantity, returns, misplacing, meeting others and so on; acts.py
carries the choice out.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from openaisle.messages import Activity
from openaisle.sim import acts
from openaisle.sim.acts import Yes
from openaisle.sim.body import Carrier
from openaisle.sim.shopper import STEP_S, Script, Shopper
from openaisle.sim.state import World
from openaisle.store.store import Store

Float = NDArray[np.float64]
HAND_WIDTH_M = 0.27  # a hand holds units up to this width together
TINY_GRAMS = 15.0


@dataclass(frozen=True)
class Families:
    """Which products are hard to tell apart: bool [products]."""

    look_alike: NDArray[np.bool_]
    same_weight: NDArray[np.bool_]
    tiny: NDArray[np.bool_]


def families(store: Store) -> Families:
    """Look-alikes share shape and size; same weight is within 2%, or 1 g, of another product's."""
    size = [(p.shape, round(p.width_mm), round(p.height_mm), round(p.depth_mm)) for p in store.products]
    grams = np.array([p.weight_grams for p in store.products])
    close = np.abs(grams[:, None] - grams) <= np.maximum(1.0, 0.02 * grams)
    return Families(
        np.array([size.count(own) > 1 for own in size]), close.sum(axis=1) > 1, (grams > 0) & (grams <= TINY_GRAMS)
    )


@dataclass
class Mind:
    """What the choices of one simulation have in common."""

    world: World
    families: Families
    # int [lanes]: planogram's product; lanes without one are never chosen
    planned: NDArray[np.int32]
    lane_xy: Float  # [lanes, 2]
    fixture: NDArray[np.int64]

    @staticmethod
    def of(world: World) -> Mind:
        """The choices' common ground in a world."""
        lanes = world.store.lanes
        return Mind(
            world, families(world.store), world.store.lane_product, np.array([lane.front_m[:2] for lane in lanes]),
            np.array([lane.fixture for lane in lanes], dtype=np.int64),
        )  # fmt: skip

    # --- choosing ------------------------------------------------------------------------------------------

    def lane_to_visit(self, me: Shopper, friend: Shopper | None) -> tuple[int, int]:
        """A lane and the product wanted there; (-1, -1) = nothing left. With a friend: on his shelf."""
        world, scenario = self.world, self.world.scenario
        if me.rng.random() < scenario.take_misplaced:
            found = world.stock.misplaced()
            if found:
                lane, lying = found[int(me.rng.integers(len(found)))]
                return lane, int(world.stock.items.product[lying.item])
        weight = np.array([bool(here) for here in world.stock.lanes]) & (self.planned >= 0)
        weight = weight * np.exp(-np.hypot(*(self.lane_xy - me.position).T) / 6.0)
        if friend is not None and friend.shelf[1] >= 0:
            near = np.hypot(*(self.lane_xy - self.lane_xy[friend.shelf[1]]).T)
            weight = weight * (self.fixture == friend.shelf[0]) * np.exp(-(near**2))
            if me.rng.random() < scenario.same_lane and weight[friend.shelf[1]] > 0:
                return friend.shelf[1], int(self.planned[friend.shelf[1]])
        weight = weight * self._bias(me)
        if not weight.sum() > 0:
            return -1, -1
        lane = int(me.rng.choice(len(weight), p=weight / weight.sum()))
        return lane, int(self.planned[lane])

    def _bias(self, me: Shopper) -> Float:
        """[lanes]: 1, or 0 for lanes whose product is not of the difficult kind this pick is steered to."""
        bias = self.world.scenario.bias
        for share, members in (
            (bias.look_alike, self.families.look_alike),
            (bias.same_weight, self.families.same_weight),
            (bias.tiny, self.families.tiny),
        ):
            if me.rng.random() < share:
                chosen = members[np.maximum(self.planned, 0)].astype(np.float64)
                if chosen.any():
                    return chosen
        return np.ones(len(self.planned))

    def friend(self, me: Shopper) -> Shopper | None:
        """Somebody at or on his way to a shelf, to whom this person may go; nearer ones first."""
        others = [s for s in self.world.shoppers if s is not me and s.shelf[1] >= 0 and not s.gone and not s.staff]
        if not others or me.rng.random() >= self.world.scenario.together:
            return None
        return min(others, key=lambda s: (float(np.hypot(*(s.position - me.position))), s.number))

    def hand(self, me: Shopper) -> int:
        """The hand for the next reach: usable, with room, by preference the better one."""
        better = 1 if me.build.right_handed else 0
        first = better if me.rng.random() < 0.75 else 1 - better
        for hand in (first, 1 - first):
            if me.can_use(hand) and len(me.holds[hand]) < 2:
                return hand
        return 1

    def most(self, me: Shopper, product: int, hand: int) -> int:
        """How many units of a product a hand can take on."""
        width, _, height = self.world.stock.sizes[product]
        grams = self.world.store.products[product].weight_grams
        fit = int(HAND_WIDTH_M / width) * (2 if height < 0.09 else 1)
        fit = min(fit, int(2500 / max(grams, 1.0)))
        return max(1, min(5, fit) - len(me.holds[hand]))


# --- a visit -----------------------------------------------------------------------------------------------------


def shop(mind: Mind, me: Shopper) -> Script:
    """One shopper's visit from door to door."""
    world, scenario = mind.world, mind.world.scenario
    yield from acts.come_in(world, me)
    picks = int(me.rng.integers(scenario.picks[0], scenario.picks[1] + 1))
    for _ in range(picks):
        if world.time_ns > world.closing_ns or all(not me.can_use(h) or len(me.holds[h]) >= 2 for h in (0, 1)):
            break
        yield from meet(mind, me)
        yield from second_thoughts(mind, me)
        yield from pick(mind, me)
    yield from meet(mind, me)
    yield from second_thoughts(mind, me)
    yield from acts.go_out(world, me)


def pick(mind: Mind, me: Shopper) -> Script:
    """Go to a lane and do something there: take, touch, dither."""
    world, scenario, rng = mind.world, mind.world.scenario, me.rng
    friend = mind.friend(me)
    lane, product = mind.lane_to_visit(me, friend)
    if lane < 0:
        return
    hand = mind.hand(me)
    if not (yield from approach(mind, me, lane, product, hand, friend)):
        return
    yield from acts.open_door(world, me, lane, hand)
    if rng.random() < scenario.touch:
        yield from acts.touch(world, me, lane, hand)
    done = False
    if rng.random() < scenario.put_back:
        for _ in range(int(rng.integers(scenario.cycles[0], scenario.cycles[1] + 1))):
            done = yield from dither(mind, me, lane, product, hand)
            if not done:
                break
    if not done or rng.random() < 0.7:
        yield from take_some(mind, me, lane, product, hand)
    acts.shut_door(world, lane)
    leave_shelf(me)
    yield from keep(mind, me)


def leave_shelf(me: Shopper) -> None:
    """This person is no longer busy with a shelf."""
    me.shelf, me.claim, me.free_hands = (-1, -1), None, False
    me.doing = Activity.STAND


def approach(mind: Mind, me: Shopper, lane: int, product: int, hand: int, friend: Shopper | None) -> Yes:
    """Walk to where the hand reaches the front-most unit of a lane; wait there for a friend who is on his way."""
    world = mind.world
    me.shelf = (world.store.lanes[lane].fixture, lane)
    for attempt in range(3):
        target = _target(mind, lane, product)
        spot = world.find_spot(me, hand, lane, target) if target is not None else None
        if spot is None and target is not None and attempt < 2:  # taken by others: come closer and wait a little
            yield from acts.wait(me.rng.uniform(0.5, 2.5))
            continue
        if spot is None or target is None:
            break
        me.claim = spot
        me.waits_for = friend.name if friend is not None else ""
        arrived = yield from acts.walk_to(world, me, spot)
        me.waits_for = ""
        if not arrived:
            me.claim = None
            continue
        yield from acts.face(me, world.heading_for(me.position, lane, target))
        yield from _wait_for_friends(mind, me)
        if mind.world.scenario.linger_s[1] > 0 and friend is None:
            yield from acts.wait(me.rng.uniform(*world.scenario.linger_s))
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


def _wait_for_friends(mind: Mind, me: Shopper) -> Script:
    """Those who come to this shelf to reach at the same time get a few seconds."""
    for _ in range(round(6.0 / STEP_S)):
        if not any(s.waits_for == me.name and not s.gone for s in mind.world.shoppers):
            return
        yield


def dither(mind: Mind, me: Shopper, lane: int, product: int, hand: int) -> Yes:
    """Take one or more units and put them straight back."""
    world, scenario = mind.world, mind.world.scenario
    count = min(_quantity(mind, me), mind.most(me, product, hand))
    units = yield from acts.take(world, me, lane, product, count, hand)
    if not units:
        return False
    if me.rng.random() < 0.5:
        yield from acts.inspect(me, hand, me.rng.uniform(*scenario.inspect_s))
    else:
        yield from acts.wait(me.rng.uniform(0.05, 0.8))
    return (yield from acts.put(world, me, lane, hand, units, me.rng.random() < 0.8))


def _quantity(mind: Mind, me: Shopper) -> int:
    weights = np.array(mind.world.scenario.quantity)
    return int(me.rng.choice(len(weights), p=weights / weights.sum())) + 1


def take_some(mind: Mind, me: Shopper, lane: int, product: int, hand: int) -> Script:
    """Take the wanted quantity: at once, with both hands, or one after another; look at it; stow it."""
    world, scenario, rng = mind.world, mind.world.scenario, me.rng
    left = _quantity(mind, me)
    other = 1 - hand
    if left > 1 and rng.random() < scenario.both_hands and me.can_use(other) and not me.holds[other]:
        me.free_hands = True
        half = left // 2

        def late() -> Script:
            yield from acts.wait(rng.uniform(0.05, 0.4))
            yield from acts.take(world, me, lane, product, min(half, mind.most(me, product, other)), other)

        def now() -> Script:
            yield from acts.take(world, me, lane, product, min(left - half, mind.most(me, product, hand)), hand)

        yield from acts.together(now(), late())
        left = 0
    at_once = rng.random() < scenario.at_once
    while left > 0:
        count = min(left if at_once else 1, mind.most(me, product, hand))
        units = yield from acts.take(world, me, lane, product, count, hand)
        if not units:
            break
        left -= len(units)
        if left > 0 and len(me.holds[hand]) >= 3:
            yield from acts.stow(world, me, hand, False)


def keep(mind: Mind, me: Shopper) -> Script:
    """Inspect what is in the hands, then stow it or keep it there."""
    world, scenario, rng = mind.world, mind.world.scenario, me.rng
    for hand in (0, 1):
        if not me.holds[hand]:
            continue
        if rng.random() < scenario.inspect:
            yield from acts.inspect(me, hand, rng.uniform(*scenario.inspect_s))
        place = _stow_place(mind, me, hand)
        if place != "hand":
            yield from acts.stow(world, me, hand, place == "pocket")


def _stow_place(mind: Mind, me: Shopper, hand: int) -> str:
    stow, sizes = mind.world.scenario.stow, mind.world.stock.sizes
    products = mind.world.stock.items.product
    small = all(
        sizes[products[g.item]].max() < 0.2 and np.prod(sizes[products[g.item]]) < 9e-4 for g in me.holds[hand]
    )
    full = len(me.holds[hand]) > 2
    weights = np.array([
        stow.bag if me.build.carrier != Carrier.NOTHING else 0.0,
        stow.pocket if small else 0.0,
        stow.hand * (0.05 if full else 1.0) + 1e-6,
    ])  # fmt: skip
    return ("bag", "pocket", "hand")[int(me.rng.choice(3, p=weights / weights.sum()))]


# --- returning and handing over ------------------------------------------------------------------------------------


def second_thoughts(mind: Mind, me: Shopper) -> Script:
    """Perhaps bring something back, to its lane or to a wrong one."""
    scenario, rng = mind.world.scenario, me.rng
    owned = me.all_items()
    draw = rng.random()
    if not owned or draw >= scenario.return_right + scenario.return_wrong:
        return
    item = owned[int(rng.integers(len(owned)))]
    neatly = draw < scenario.return_right
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
    if hand < 0:
        hand = mind.hand(me)
        if not (yield from approach(mind, me, lane, -1, hand, None)):
            return False
        yield from acts.fetch(world, me, hand, item)
        yield from acts.face(me, world.heading_for(me.position, lane, world.store.lanes[lane].front_m))
    elif not (yield from approach(mind, me, lane, -1, hand, None)):
        return False
    yield from acts.open_door(world, me, lane, 1 if me.can_use(1) and hand == 0 else hand)
    products = world.stock.items.product
    units = [grip.item for grip in me.holds[hand] if products[grip.item] == products[item]]
    if me.rng.random() < 0.5:
        units = [item]
    done = yield from acts.put(world, me, lane, hand, units, neatly)
    acts.shut_door(world, lane)
    leave_shelf(me)
    yield from keep(mind, me)
    return done


def _holding(me: Shopper, item: int) -> int:
    """The hand that holds a unit, -1 = it is in the bag. A hand that holds a basket cannot put things back."""
    for hand in (0, 1):
        if me.can_use(hand) and any(grip.item == item for grip in me.holds[hand]):
            return hand
    return -1


def meet(mind: Mind, me: Shopper) -> Script:
    """Perhaps hand something to another shopper who has time."""
    world, rng = mind.world, me.rng
    if rng.random() >= world.scenario.hand_over or not me.all_items():
        return
    partner = next((s for s in world.shoppers if s is not me and _has_time(s)), None)
    if partner is None:
        return
    yield from _give(mind, me, partner)


def _has_time(other: Shopper) -> bool:
    return False


def _give(mind: Mind, me: Shopper, partner: Shopper) -> Generator[None, None, None]:
    yield
