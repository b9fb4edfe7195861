"""Reaching: hands into lanes to take, touch and put back, and the doors in front of them.

Scripts run one simulation step per `yield`, as in moves.py.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from openaisle.messages import Activity, EventKind
from openaisle.sim.handling import grip_at, regrip, relative
from openaisle.sim.moves import steps
from openaisle.sim.shopper import STEP_NS, STEP_S, UPRIGHT, Grip, Posture, Script, Shopper
from openaisle.sim.state import World
from openaisle.sim.stock import Lying

Float = NDArray[np.float64]
Yes = Generator[None, None, bool]
Units = Generator[None, None, list[int]]
MARK_NS = 300_000_000  # an item's move is "take" or "return" for this long before and after
LETTING_GO = (0.2, 0.5, 0.8, 0.95)  # share of a unit's mass on the shelf, step by step, before it rests there
NEAR_M = 0.03  # a hand this close to its target has got there


@dataclass(slots=True)
class Arm:
    """One hand's way into a lane: posture, a point before the opening, the target."""

    hand: int
    lane: int
    before: Float
    target: Float
    posture: Posture
    # what happens `after` steps after the hand's arrival: the activity that is marked around it
    event: Activity | None = None
    after: int = 0


def plan_arm(world: World, me: Shopper, hand: int, lane: int, target: Float) -> Arm | None:
    """How to get a hand to a point in a lane from here; None = out of reach."""
    posture = world.posture(me, hand, lane, target)
    if me.busy[1 - hand] and me.could_reach(hand, target):
        posture = me.posture_ahead  # two hands, one body
    elif me.busy[1 - hand]:
        posture = None
    if posture is None:
        return None
    front, size = world.fronts[lane], world.store.lanes[lane].size_m
    local = world.store.lanes[lane].lane_from_world @ np.append(target, 1.0)
    lift = 0.13 if front.from_above else 0.02
    height = float(np.clip(local[2] + lift, 0.04, max(0.05, size[2] - 0.04)))
    before = world.stock.world(lane, float(local[0]), -front.setback_m - 0.06, height)
    return Arm(hand, lane, before, target, posture)


def reach_in(world: World, me: Shopper, arm: Arm, hurry: float = 1.0) -> Yes:
    """Hand to the opening, then in; the body bends on the way. False: it did not get there."""
    me.doing, me.busy[arm.hand] = Activity.REACH, True
    far = float(np.linalg.norm(arm.before - me.palm(arm.hand)))
    near = float(np.linalg.norm(arm.target - arm.before))
    first = float(np.clip(far / 1.3, 0.25, 0.9)) / hurry
    second = float(np.clip(near / 0.9, 0.15, 0.6)) / hurry
    count = me.move_hand(arm.hand, arm.before, first)
    me.bend(arm.posture, count + 2)
    me.look(0.0, 0.35)
    yield from steps(count)
    me.hand_lane[arm.hand] = arm.lane
    left = me.move_hand(arm.hand, arm.target, second) + 1
    if arm.event is not None:
        time_ns = world.time_ns + (left + arm.after) * STEP_NS
        me.marks.append((arm.event, time_ns - MARK_NS, time_ns + MARK_NS))
    yield from steps(left)
    arrived = bool(np.linalg.norm(me.palm(arm.hand) - arm.target) < NEAR_M)
    if not arrived:
        me.marks = [mark for mark in me.marks if mark[0] != arm.event]
    return arrived


def pull_back(world: World, me: Shopper, arm: Arm) -> Script:
    """Hand out through the opening, body upright, hand at rest."""
    near = float(np.linalg.norm(arm.target - arm.before))
    yield from steps(me.move_hand(arm.hand, arm.before, float(np.clip(near / 0.9, 0.2, 0.6))))
    count = me.move_hand(arm.hand, me.rest(arm.hand), 0.5 + arm.posture.crouch + 0.25 * arm.posture.lean)
    me.busy[arm.hand] = False
    if not me.busy[1 - arm.hand]:
        me.bend(UPRIGHT, count + 2)
    me.look(0.0, 0.1)
    yield from steps(count // 2)
    me.hand_lane[arm.hand] = -1
    me.doing = Activity.STAND
    yield from steps(count - count // 2)


def _press_steps(seconds: float) -> int:
    return max(3, round(seconds / STEP_S))


def _press(world: World, me: Shopper, lane: int, seconds: float, lift_grams: float) -> Script:
    """A hand on things in a lane: pushes down or lifts a little; in the last steps it carries `lift_grams`."""
    count = _press_steps(seconds)
    strength = float(np.exp(me.rng.normal(3.6, 1.0))) * (1.0 if me.rng.random() < 0.75 else -0.4)
    wobble = me.rng.normal(0.0, 0.25, count)
    for k in range(count):
        push = strength * (np.sin(np.pi * (k + 1) / (count + 1)) + wobble[k])
        if k >= count - 2:
            push -= lift_grams * (0.35 if k == count - 2 else 0.75)
        world.push_grams[lane] += push
        yield


def take(world: World, me: Shopper, lane: int, product: int, count: int, hand: int) -> Units:
    """Take up to `count` units of a product at once; the units now in the hand ([] = did not work)."""
    near_x = float((world.store.lanes[lane].lane_from_world @ np.append(me.position, [0.0, 1.0]))[0])
    chosen = world.stock.choose(lane, product, count, near_x)
    arm = plan_arm(world, me, hand, lane, world.stock.grasp_point(lane, chosen[0])) if chosen else None
    if arm is None:
        return []
    units = [lying.item for lying in chosen]
    world.stock.reserved.update(units)
    dwell = float(np.clip(me.rng.lognormal(-1.0, 0.45), 0.2, 1.0)) / me.tempo
    if me.rng.random() < world.scenario.hold:
        dwell += float(me.rng.uniform(0.8, 4.0))
    arm.event, arm.after = Activity.TAKE, _press_steps(dwell)
    if not (yield from reach_in(world, me, arm)):
        world.stock.reserved.difference_update(units)
        yield from pull_back(world, me, arm)
        return []
    contact_ns = world.time_ns
    mass = float(world.stock.items.mass_grams[units].sum())
    yield from _press(world, me, lane, dwell, mass)
    for n, lying in enumerate(chosen):
        pose = world.stock.pose(lane, lying)
        world.stock.remove(lane, lying.item)
        me.holds[hand].append(grip_at(world, me, hand, lying.item, pose, n, len(chosen)))
    world.record(EventKind.TAKE, me, units, lane, hand, contact_ns)
    _maybe_bump(world, me, lane)
    yield  # at the instant of the event the hand is where the units were
    yield from pull_back(world, me, arm)
    return units


def touch(world: World, me: Shopper, lane: int, hand: int) -> Yes:
    """Put a hand on an item and leave it there."""
    chosen = world.stock.choose(lane, -1, 1, float(world.store.lanes[lane].size_m[0] / 2))
    arm = plan_arm(world, me, hand, lane, world.stock.grasp_point(lane, chosen[0])) if chosen else None
    if arm is None:
        return False
    yield from reach_in(world, me, arm)
    yield from _press(world, me, lane, me.rng.uniform(0.2, 1.2), 0.0)
    _maybe_bump(world, me, lane)
    yield from pull_back(world, me, arm)
    return True


def put(world: World, me: Shopper, lane: int, hand: int, units: list[int], neatly: bool) -> Yes:
    """Put units from a hand into a lane, in one movement; False when there is no room or no reach."""
    near_x = float((world.store.lanes[lane].lane_from_world @ np.append(me.position, [0.0, 1.0]))[0])
    place = world.stock.place_for(lane, units[0], me.rng, neatly, near_x)
    arm = plan_arm(world, me, hand, lane, world.stock.grasp_point(lane, place)) if place is not None else None
    if arm is None or place is None:
        return False
    grips = [grip for grip in me.holds[hand] if grip.item in units]
    final = world.heading_for(me.position, lane, arm.target)
    for n, grip in enumerate(grips):
        end = relative(world.stock.pose(lane, place), arm.target, final)
        end[1] += 0.03 * n
        regrip(grip, end, 0.7)
    arm.event, arm.after = Activity.RETURN, len(LETTING_GO)
    if not (yield from reach_in(world, me, arm, hurry=0.9)):
        yield from pull_back(world, me, arm)
        return False
    contact_ns = world.time_ns
    mass = float(world.stock.items.mass_grams[units].sum())
    for share in LETTING_GO:
        world.push_grams[lane] += mass * share
        yield
    done = _lay_down(world, me, lane, hand, grips, place, near_x, neatly)
    if done:
        world.record(EventKind.RETURN, me, done, lane, hand, contact_ns)
    yield from _press(world, me, lane, me.rng.uniform(0.1, 0.4), 0.0)
    _maybe_bump(world, me, lane)
    yield from pull_back(world, me, arm)
    return bool(done)


def _lay_down(
    world: World, me: Shopper, lane: int, hand: int, grips: list[Grip], place: Lying, near_x: float, neatly: bool
) -> list[int]:
    """Units come to rest; those for which no room is left stay in the hand."""
    done: list[int] = []
    for grip in grips:
        spot = place if not done else world.stock.place_for(lane, grip.item, me.rng, neatly, near_x)
        if spot is None:
            break
        me.holds[hand].remove(grip)
        spot.item = grip.item
        world.stock.put(lane, spot)
        done.append(grip.item)
    return done


def _maybe_bump(world: World, me: Shopper, lane: int) -> None:
    if me.rng.random() < 0.12:
        world.bumps.append((world.store.lanes[lane].fixture, float(np.exp(me.rng.normal(2.0, 0.8)))))


def open_door(world: World, me: Shopper, lane: int, hand: int) -> Script:
    """Open the doors of the fixture a lane is in, if it has any; whoever opens must call `shut_door` later."""
    fixture = world.store.lanes[lane].fixture
    if not world.fronts[lane].door:
        return
    if world.doors[fixture] < 0.9:
        spec = world.store.spec.fixtures[fixture]
        heading = world.fronts[lane].inward_rad
        grip_z = float(np.clip(0.6 * me.build.dims[0], 0.5, spec.height_m - 0.1))
        ahead = np.array([np.cos(heading), np.sin(heading)]) * (me.build.radius_m + 0.12)
        me.doing = Activity.REACH
        yield from steps(me.move_hand(hand, np.append(me.position + ahead, grip_z), 0.5))
        world.door_users[fixture] += 1
        while world.doors[fixture] < 0.95:
            yield
        me.move_hand(hand, me.rest(hand), 0.4)
        me.doing = Activity.STAND
    else:
        world.door_users[fixture] += 1


def shut_door(world: World, lane: int) -> None:
    """Let go of the doors of a lane's fixture."""
    if world.fronts[lane].door:
        world.door_users[world.store.lanes[lane].fixture] -= 1
