"""Moves: walking to a place, turning, coming in and going out, as scripts of one simulation step per `yield`."""

from __future__ import annotations

from collections.abc import Generator

import numpy as np
from numpy.typing import NDArray

from openaisle.sim.shopper import STEP_S, Script, Shopper
from openaisle.sim.state import World

Float = NDArray[np.float64]
Yes = Generator[None, None, bool]


def wait(seconds: float) -> Script:
    """Do nothing for a while."""
    for _ in range(max(1, round(seconds / STEP_S))):
        yield


def steps(count: int) -> Script:
    """Do nothing for a number of simulation steps."""
    for _ in range(count):
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
    """Stop and turn on the spot."""
    me.facing = heading
    for _ in range(30):
        if abs((heading - me.heading + np.pi) % (2 * np.pi) - np.pi) < 0.06 and not me.velocity.any():
            break
        yield


def come_in(world: World, me: Shopper, patience_s: float = 60.0) -> Script:
    """Through the entry; its doorway was booked when this person appeared outside."""
    door = next(d for d in world.entries if d.user == me.number)
    inside = door.inside + door.along * float((me.position - door.outside) @ door.along)
    me.in_door, me.goal, me.way = True, inside, None
    for step in range(round(patience_s / STEP_S)):
        there = step % 20 == 0 or np.hypot(*(inside - me.position)) < 0.15
        if there and door.depth(me.position) > me.build.radius_m + 0.08:
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
    me.in_door, me.goal, me.way = True, door.outside + door.along * door.aside_m(me.rng, me.build.radius_m), None
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
