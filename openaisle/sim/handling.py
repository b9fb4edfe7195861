"""Handling: what people do with units in their hands: grip, look, stow, fetch, hand over.

Scripts run one simulation step per `yield`, as in acts.py.
"""

from __future__ import annotations

from collections.abc import Generator

import numpy as np
from numpy.typing import NDArray

from openaisle.messages import Activity, EventKind
from openaisle.sim.body import Carrier, HandPose
from openaisle.sim.moves import face, steps, wait
from openaisle.sim.shopper import STEP_S, UPRIGHT, Grip, Posture, Script, Shopper
from openaisle.sim.state import World

Float = NDArray[np.float64]
Yes = Generator[None, None, bool]


def relative(pose: Float, palm: Float, heading: float) -> Float:
    """A unit's pose [6] in the frame of a palm that faces `heading`."""
    c, s = np.cos(heading), np.sin(heading)
    d = pose[:3, 3] - palm
    tip = float(np.arctan2(pose[2, 1], pose[2, 2]))
    turn = float(np.arctan2(pose[1, 0], pose[0, 0]))
    turn = (turn - heading + np.pi) % (2 * np.pi) - np.pi
    return np.array([c * d[0] + s * d[1], -s * d[0] + c * d[1], d[2], turn, tip, 0.0])


def _hand_offset(world: World, me: Shopper, item: int, n: int, count: int) -> Float:
    """Where unit n of `count` sits in a hand: side by side, or in two layers when that gets too wide."""
    width, depth, height = world.stock.sizes[int(world.stock.items.product[item])]
    per_row = max(1, min(count, int(0.24 / width)))
    column, layer = n % per_row, n // per_row
    side = (column - (min(count, per_row) - 1) / 2) * width
    tilt = me.rng.normal(0.0, 0.12, 2)
    return np.array([
        depth / 2 + 0.01, side, -0.55 * height + layer * height, -np.pi / 2 + me.rng.normal(0.0, 0.25), tilt[0], tilt[1]
    ])  # fmt: skip


def grip_at(world: World, me: Shopper, hand: int, item: int, pose: Float, n: int, count: int) -> Grip:
    before = len(me.holds[hand]) - n
    start = relative(pose, me.palm(hand), me.heading)
    end = _hand_offset(world, me, item, before + n, before + count)
    return Grip(item, start, _near_turn(start, end), 0.0, STEP_S / 0.4)


def regrip(grip: Grip, b: Float, seconds: float) -> None:
    """Start moving a unit in the hand from where it is to `b`."""
    u = grip.progress**2 * (3 - 2 * grip.progress)
    grip.a = grip.a + (grip.b - grip.a) * u
    grip.b = _near_turn(grip.a, b)
    grip.progress, grip.rate = 0.0, STEP_S / seconds


def _near_turn(start: Float, end: Float) -> Float:
    """The same pose with the turn that is nearest to the one of `start`."""
    end = end.copy()
    end[3] = start[3] + (end[3] - start[3] + np.pi) % (2 * np.pi) - np.pi
    return end


def inspect(me: Shopper, hand: int, seconds: float) -> Script:
    """Hold the hand's units up and look at them from several sides."""
    me.doing = Activity.INSPECT
    count = me.move_hand(hand, HandPose.INSPECT, 0.5)
    me.look(-0.15 if hand else 0.15, 0.5)
    rest = seconds
    while rest > 0:
        turn = min(rest, float(me.rng.uniform(0.5, 1.2)))
        for grip in me.holds[hand]:
            wiggle = np.array([0, 0, 0, me.rng.normal(0.0, 0.7), me.rng.normal(0.0, 0.3), me.rng.normal(0.0, 0.3)])
            regrip(grip, grip.b + wiggle, max(0.3, turn))
        yield from wait(turn)
        rest -= turn
    yield from steps(max(0, count - round(seconds / STEP_S)))
    me.doing = Activity.STAND
    me.look(0.0, 0.1)
    me.move_hand(hand, me.rest(hand), 0.5)


def _stow_pose(me: Shopper, hand: int, pocket: bool) -> HandPose:
    if pocket or me.build.carrier == Carrier.NOTHING:
        return HandPose.POCKET
    if me.build.carrier == Carrier.BAG:
        return HandPose.BAG if hand == 0 else HandPose.BAG_ACROSS
    return HandPose.BASKET_IN


def _to_carrier(world: World, me: Shopper, hand: int, pocket: bool) -> Generator[None, None, int]:
    """Start the hand's way to bag, basket, trolley or pocket; returns its length in steps."""
    if me.build.carrier != Carrier.TROLLEY or pocket:
        return me.move_hand(hand, _stow_pose(me, hand, pocket), 0.55)
    gap = me.cart - me.position
    yield from face(me, float(np.arctan2(gap[1], gap[0])))
    me.bend(Posture(0.45, 0.0, 0.0), 8)
    return me.move_hand(hand, np.array([me.cart[0], me.cart[1], 0.68]), 0.55)


def stow(world: World, me: Shopper, hand: int, pocket: bool) -> Script:
    """Everything in a hand goes into bag, basket, trolley or pocket, out of sight."""
    me.doing = Activity.STOW
    count = yield from _to_carrier(world, me, hand, pocket)
    me.look(0.3 if hand == 0 else -0.3, 0.5)
    yield from steps(count)
    yield from wait(me.rng.uniform(0.1, 0.5))
    items = world.stock.items
    for grip in me.holds[hand]:
        items.visible[grip.item], items.moved[grip.item] = False, True
        me.bag.append(grip.item)
    me.holds[hand].clear()
    yield from _away_from_carrier(me, hand)


def fetch(world: World, me: Shopper, hand: int, units: list[int]) -> Script:
    """Get stowed units back into a hand."""
    me.doing = Activity.STOW
    count = yield from _to_carrier(world, me, hand, False)
    yield from steps(count)
    yield from wait(me.rng.uniform(0.3, 1.0))
    before = len(me.holds[hand])
    for n, item in enumerate(units):
        me.bag.remove(item)
        offset = _hand_offset(world, me, item, before + n, before + len(units))
        me.holds[hand].append(Grip(item, offset, offset.copy()))
        world.stock.items.visible[item] = True
    yield from _away_from_carrier(me, hand)


def _away_from_carrier(me: Shopper, hand: int) -> Script:
    count = me.move_hand(hand, me.rest(hand), 0.5)
    me.bend(UPRIGHT, count)
    me.look(0.0, 0.1)
    yield from steps(count // 2)
    me.doing = Activity.STAND


def hand_over(world: World, giver: Shopper, taker: Shopper, hand: int, to_hand: int) -> Yes:
    """Face to face, the giver's hand full, the taker's free: the units change hands. Run by the giver's script."""
    middle = (giver.position + taker.position) / 2
    height = float(0.62 * min(giver.build.dims[0], taker.build.dims[0]) + 0.05)
    point = np.append(middle, height)
    giver.doing = taker.doing = Activity.HAND_OVER
    giver.look(0.0, 0.3)
    taker.look(0.0, 0.3)
    count = giver.move_hand(hand, point, 0.7)
    yield from steps(max(1, count // 3))
    yield from steps(max(count - count // 3, taker.move_hand(to_hand, point, 0.6)) + 1)
    close = np.linalg.norm(giver.palm(hand) - taker.palm(to_hand)) < 0.3 and bool(giver.holds[hand])
    if close:
        contact_ns = world.time_ns
        yield from wait(giver.rng.uniform(0.2, 0.6))
        units = [grip.item for grip in giver.holds[hand]]
        poses = [np.asarray(world.stock.items.world_from_item[unit], dtype=np.float64) for unit in units]
        giver.holds[hand].clear()
        for n, (unit, pose) in enumerate(zip(units, poses, strict=True)):
            taker.holds[to_hand].append(grip_at(world, taker, to_hand, unit, pose, n, len(units)))
        world.record(EventKind.HAND_OVER, giver, units, -1, hand, contact_ns, taker)
        yield from wait(0.15)
    for who, side in ((giver, hand), (taker, to_hand)):
        who.move_hand(side, who.rest(side), 0.5)
        who.doing = Activity.STAND
        who.look(0.0, 0.1)
    yield from wait(0.3)
    return bool(close)
