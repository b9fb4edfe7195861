"""Acts: the small things people do, as scripts that run one simulation step per `yield`.

Walking to a place, taking, putting back, looking, stowing, handing over, coming in and going out.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from openaisle.messages import Activity, EventKind
from openaisle.sim.body import Carrier, HandPose
from openaisle.sim.shopper import STEP_NS, STEP_S, Grip, Script, Shopper
from openaisle.sim.state import World
from openaisle.sim.stock import Lying

Float = NDArray[np.float64]
Yes = Generator[None, None, bool]
Units = Generator[None, None, list[int]]
MARK_NS = 300_000_000  # an item's move is "take" or "return" for this long before and after
NEAR_M = 0.06  # a hand this close to its target has got there

def wait(seconds: float) -> Script:
    """Do nothing for a while."""
    for _ in range(max(1, round(seconds / STEP_S))):
        yield

def together(*scripts: Script) -> Script:
    """Run scripts side by side until all have ended."""
    live = list(scripts)
    while live:
        running = []
        for script in live:
            try:
                next(script)
                running.append(script)
            except StopIteration:
                pass
        live = running
        if live:
            yield

# --- walking ---------------------------------------------------------------------------------------------------

def walk_to(world: World, me: Shopper, goal: Float, patience_s: float = 15.0, close_m: float = 0.05) -> Yes:
    """Walk to a place; False when it cannot be reached in time."""
    ground = world.ground
    way = ground.field(goal, me.build.radius_m)
    length = ground.distance(way, me.position)
    if not np.isfinite(length):
        length = 10.0
    me.facing = None
    limit = round((patience_s + 2.0 * length / me.build.pace_m_s) / STEP_S)
    me.goal, me.way = goal, way
    last = me.position.copy()
    for step in range(limit):
        if np.hypot(*(goal - me.position)) < close_m:
            break
        if step % 40 == 39:
            if np.hypot(*(me.position - last)) < 0.15:  # stuck: a few steps to one side, then try again
                aside = ground.random_point(me.rng, me.build.radius_m, me.position, 0.9)
                me.goal, me.way = aside, ground.field(aside, me.build.radius_m)
                yield from wait(me.rng.uniform(0.6, 1.8))
                me.goal, me.way = goal, way
            last = me.position.copy()
        yield
    me.goal, me.way = None, None
    return bool(np.hypot(*(goal - me.position)) < max(close_m, 0.12))

def face(me: Shopper, heading: float) -> Script:
    """Turn on the spot."""
    me.facing = heading
    for _ in range(30):
        if abs((heading - me.heading + np.pi) % (2 * np.pi) - np.pi) < 0.06:
            break
        yield

def come_in(world: World, me: Shopper, patience_s: float = 60.0) -> Script:
    """Through the entry; its doorway was booked when this person appeared outside."""
    door = next(d for d in world.entries if d.user == me.number)
    me.in_door, me.goal, me.way = True, door.inside, None
    for step in range(round(patience_s / STEP_S)):
        if door.depth(me.position) > me.build.radius_m + 0.08:
            if step % 20 == 0 or np.hypot(*(door.inside - me.position)) < 0.15:
                break
        yield
    while world.ground.clearance(float(me.position[0]), float(me.position[1])) < me.build.radius_m:
        yield
    me.in_door, me.goal, door.user = False, None, -1

def go_out(world: World, me: Shopper) -> Script:
    """To the exit, wait until nobody else is in it, and out."""
    me.claim = None
    ways = [world.ground.field(d.inside, me.build.radius_m) for d in world.exits]
    lengths = [world.ground.distance(way, me.position) for way in ways]
    door = world.exits[int(np.argmin(lengths))]
    while door.user != me.number:
        gap = float(np.hypot(*(door.inside - me.position)))
        if door.user == -1 and gap < 1.6:
            door.user = me.number
            break
        target = door.inside if door.user == -1 else _queue_place(world, me, door.inside)
        me.goal, me.way = target, world.ground.field(target, me.build.radius_m)
        for step in range(40):
            if (door.user == -1 and np.hypot(*(door.inside - me.position)) < 1.5) or (
                step > 5 and np.hypot(*(target - me.position)) < 0.1
            ):
                break
            yield
        yield
    yield from walk_to(world, me, door.inside, patience_s=20.0, close_m=0.12)
    while np.hypot(*(door.inside - me.position)) > 0.4:
        yield from walk_to(world, me, door.inside, patience_s=8.0, close_m=0.12)
    me.in_door, me.goal, me.way = True, door.outside, None
    while door.depth(me.position) > -0.4:
        yield
    door.user = -1
    world.walk_out(me)

def _queue_place(world: World, me: Shopper, inside: Float) -> Float:
    """A free place to wait in, near the door but not in its way."""
    for _ in range(12):
        point = world.ground.random_point(me.rng, me.build.radius_m, inside, 2.0)
        if np.hypot(*(point - inside)) > 0.9 and world.is_free(me, point):
            return point
    return me.position.copy()

# --- reaching into a lane --------------------------------------------------------------------------------------

@dataclass(slots=True)
class Arm:
    """One hand's way into a lane: posture, a point before the opening, the target."""

    hand: int
    lane: int
    before: Float
    target: Float
    lean: float
    twist: float
    crouch: float

def plan_arm(world: World, me: Shopper, hand: int, lane: int, target: Float) -> Arm | None:
    """How to get a hand to a point in a lane from here; None = out of reach."""
    posture = world.posture(me, hand, lane, target)
    if posture is None:
        return None
    front, size = world.fronts[lane], world.store.lanes[lane].size_m
    local = world.store.lanes[lane].lane_from_world @ np.append(target, 1.0)
    lift = 0.13 if front.from_above else 0.02
    height = float(np.clip(local[2] + lift, 0.04, max(0.05, size[2] - 0.04)))
    before = world.stock.world(lane, float(local[0]), -front.setback_m - 0.06, height)
    return Arm(hand, lane, before, target, posture.lean, posture.twist, posture.crouch)

def reach_in(world: World, me: Shopper, arm: Arm, hurry: float = 1.0) -> Script:
    """Hand to the opening, then in; the body bends on the way."""
    me.doing = Activity.REACH
    far = float(np.linalg.norm(arm.before - me.palm(arm.hand)))
    near = float(np.linalg.norm(arm.target - arm.before))
    first = float(np.clip(far / 1.3, 0.25, 0.9)) / hurry
    second = float(np.clip(near / 0.9, 0.15, 0.6)) / hurry
    steps = me.move_hand(arm.hand, arm.before, first)
    me.bend(arm.lean, arm.twist, arm.crouch, steps + 2)
    me.look(0.0, 0.35)
    yield from _steps(steps)
    me.hand_lane[arm.hand] = arm.lane
    yield from _steps(me.move_hand(arm.hand, arm.target, second) + 1)

def pull_back(world: World, me: Shopper, arm: Arm) -> Script:
    """Hand out through the opening, body upright, hand at rest."""
    near = float(np.linalg.norm(arm.target - arm.before))
    yield from _steps(me.move_hand(arm.hand, arm.before, float(np.clip(near / 0.9, 0.15, 0.6))))
    steps = me.move_hand(arm.hand, me.rest(arm.hand), 0.5)
    if all(lane < 0 for n, lane in enumerate(me.hand_lane) if n != arm.hand):
        me.bend(0.0, 0.0, 0.0, steps + 2)
    me.look(0.0, 0.1)
    yield from _steps(steps // 2)
    me.hand_lane[arm.hand] = -1
    me.doing = Activity.STAND
    yield from _steps(steps - steps // 2)

def _steps(count: int) -> Script:
    for _ in range(count):
        yield

def _press(world: World, me: Shopper, lane: int, seconds: float, lift_grams: float) -> Script:
    """A hand on things in a lane: pushes down or lifts a little; in the last steps it carries `lift_grams`."""
    steps = max(3, round(seconds / STEP_S))
    strength = float(np.exp(me.rng.normal(3.6, 1.0))) * (1.0 if me.rng.random() < 0.75 else -0.4)
    wobble = me.rng.normal(0.0, 0.25, steps)
    for k in range(steps):
        push = strength * (np.sin(np.pi * (k + 1) / (steps + 1)) + wobble[k])
        if k >= steps - 2:
            push -= lift_grams * (0.35 if k == steps - 2 else 0.75)
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
    yield from reach_in(world, me, arm)
    if np.linalg.norm(me.palm(hand) - arm.target) > NEAR_M:
        world.stock.reserved.difference_update(units)
        yield from pull_back(world, me, arm)
        return []
    contact_ns = world.time_ns
    dwell = float(np.clip(me.rng.lognormal(-1.0, 0.45), 0.2, 1.0)) / me.tempo
    steps = max(3, round(dwell / STEP_S))
    leave_ns = contact_ns + steps * STEP_NS
    me.mark = (Activity.TAKE, leave_ns - MARK_NS, leave_ns + MARK_NS)
    mass = float(world.stock.items.mass_grams[units].sum())
    yield from _press(world, me, lane, dwell, mass)
    for n, lying in enumerate(chosen):
        pose = world.stock.pose(lane, lying)
        world.stock.remove(lane, lying.item)
        me.holds[hand].append(_grip(world, me, hand, lying.item, pose, n, len(chosen)))
    world.record(EventKind.TAKE, me, units, lane, hand, contact_ns)
    _maybe_bump(world, me, lane)
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
        _regrip(grip, _relative(world.stock.pose(lane, place), arm.target, final) + [0, 0.03 * n, 0, 0, 0, 0], 0.7)
    yield from reach_in(world, me, arm, hurry=0.9)
    if np.linalg.norm(me.palm(hand) - arm.target) > NEAR_M:
        yield from pull_back(world, me, arm)
        return False
    contact_ns = world.time_ns
    rest_ns = contact_ns + 4 * STEP_NS
    me.mark = (Activity.RETURN, rest_ns - MARK_NS, rest_ns + MARK_NS)
    mass = float(world.stock.items.mass_grams[units].sum())
    for share in (0.2, 0.5, 0.8, 0.95):  # the hand lets go bit by bit
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
    done = []
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

# --- things in the hand ------------------------------------------------------------------------------------------

def _relative(pose: Float, palm: Float, heading: float) -> Float:
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

def _grip(world: World, me: Shopper, hand: int, item: int, pose: Float, n: int, count: int) -> Grip:
    before = len(me.holds[hand]) - n
    start = _relative(pose, me.palm(hand), me.heading)
    end = _hand_offset(world, me, item, before + n, before + count)
    return Grip(item, start, _near_turn(start, end), 0.0, STEP_S / 0.4)

def _regrip(grip: Grip, b: Float, seconds: float) -> None:
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
    steps = me.move_hand(hand, HandPose.INSPECT, 0.5)
    me.look(-0.15 if hand else 0.15, 0.5)
    rest = seconds
    while rest > 0:
        turn = min(rest, float(me.rng.uniform(0.5, 1.2)))
        for grip in me.holds[hand]:
            wiggle = np.array([0, 0, 0, me.rng.normal(0.0, 0.7), me.rng.normal(0.0, 0.3), me.rng.normal(0.0, 0.3)])
            _regrip(grip, grip.b + wiggle, max(0.3, turn))
        yield from wait(turn)
        rest -= turn
    yield from _steps(max(0, steps - round(seconds / STEP_S)))
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
    me.bend(0.45, 0.0, 0.0, 8)
    return me.move_hand(hand, np.array([me.cart[0], me.cart[1], 0.68]), 0.55)

def stow(world: World, me: Shopper, hand: int, pocket: bool) -> Script:
    """Everything in a hand goes into bag, basket, trolley or pocket, out of sight."""
    me.doing = Activity.STOW
    steps = yield from _to_carrier(world, me, hand, pocket)
    me.look(0.3 if hand == 0 else -0.3, 0.5)
    yield from _steps(steps)
    yield from wait(me.rng.uniform(0.1, 0.5))
    items = world.stock.items
    for grip in me.holds[hand]:
        items.visible[grip.item], items.moved[grip.item] = False, True
        me.bag.append(grip.item)
    me.holds[hand].clear()
    yield from _away_from_carrier(me, hand)

def fetch(world: World, me: Shopper, hand: int, item: int) -> Script:
    """Get a stowed unit back into a hand."""
    me.doing = Activity.STOW
    steps = yield from _to_carrier(world, me, hand, False)
    yield from _steps(steps)
    yield from wait(me.rng.uniform(0.3, 1.0))
    me.bag.remove(item)
    offset = _hand_offset(world, me, item, len(me.holds[hand]), len(me.holds[hand]) + 1)
    me.holds[hand].append(Grip(item, offset, offset.copy()))
    world.stock.items.visible[item] = True
    yield from _away_from_carrier(me, hand)

def _away_from_carrier(me: Shopper, hand: int) -> Script:
    steps = me.move_hand(hand, me.rest(hand), 0.5)
    me.bend(0.0, 0.0, 0.0, steps)
    me.look(0.0, 0.1)
    yield from _steps(steps // 2)
    me.doing = Activity.STAND

def hand_over(world: World, giver: Shopper, taker: Shopper, hand: int, to_hand: int) -> Yes:
    """Face to face, the giver's hand full, the taker's free: the units change hands. Run by the giver's script."""
    middle = (giver.position + taker.position) / 2
    height = float(0.62 * min(giver.build.dims[0], taker.build.dims[0]) + 0.05)
    point = np.append(middle, height)
    giver.doing = taker.doing = Activity.HAND_OVER
    giver.look(0.0, 0.3)
    taker.look(0.0, 0.3)
    steps = giver.move_hand(hand, point, 0.7)
    yield from _steps(max(1, steps // 3))
    yield from _steps(max(steps - steps // 3, taker.move_hand(to_hand, point, 0.6)) + 1)
    close = np.linalg.norm(giver.palm(hand) - taker.palm(to_hand)) < 0.3 and bool(giver.holds[hand])
    if close:
        contact_ns = world.time_ns
        yield from wait(giver.rng.uniform(0.2, 0.6))
        units = [grip.item for grip in giver.holds[hand]]
        poses = [np.asarray(world.stock.items.world_from_item[unit], dtype=np.float64) for unit in units]
        giver.holds[hand].clear()
        for n, (unit, pose) in enumerate(zip(units, poses, strict=True)):
            taker.holds[to_hand].append(_grip(world, taker, to_hand, unit, pose, n, len(units)))
        world.record(EventKind.HAND_OVER, giver, units, -1, hand, contact_ns, taker)
        yield from wait(0.15)
    for who, side in ((giver, hand), (taker, to_hand)):
        who.move_hand(side, who.rest(side), 0.5)
        who.doing = Activity.STAND
        who.look(0.0, 0.1)
    yield from wait(0.3)
    return bool(close)

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
        yield from _steps(me.move_hand(hand, np.append(me.position + ahead, grip_z), 0.5))
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

