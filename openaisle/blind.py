"""Blind spots: which lanes nobody watches just now, and which visits could have taken something there.

A lane is blind while its scale is, or while none of the cameras that look at it works. Whoever was within reach of it
then has a receipt that a person must see; so has everybody who was where no working camera looks. Sensors are blind
from their last message on, which is known a little later: the trail of the last seconds tells who was there. So has
whoever was inside while a box that cannot keep up looked at too few pictures.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from openaisle.messages import NANOSECONDS, SensorState
from openaisle.predictor import floats
from openaisle.sensors.health import BLIND
from openaisle.state import Setup, State, Steps
from openaisle.tokens.tick import Tick

REACH_M = 1.5  # from where somebody stands to the front of a lane
TRAIL_NS = 15 * NANOSECONDS  # blindness is told of within this
HEIGHT_M = 1.0  # of a body's middle, which a camera must see
FEWEST = 2  # pictures a second: hands are followed that far (slow-cameras in bench/axes.py), not beyond
TOO_SLOW = "box too slow"  # what a receipt names instead of a sensor
Sensor = tuple[str, str]  # kind, id


def note_blindness(state: State, tick: Tick, setup: Setup) -> State:
    """The state with what the tick says of sensors, and who is touched by it."""
    here = Steps(tick.time_ns, tuple(s.visit for s in state.shoppers), floats(state.memory["floor"]).reshape(-1, 2))
    trail = tuple(steps for steps in (*state.trail, here) if tick.time_ns - steps.time_ns <= TRAIL_NS)
    blind, fresh = _blind(state.blind, tick.states)
    state = replace(state, blind=blind, trail=trail)
    if setup.video and tick.looked < FEWEST:
        slow = {visit: state.blinded.get(visit, frozenset()) | {TOO_SLOW} for visit in here.visits}
        state = replace(state, blinded={**state.blinded, **slow})
    if not blind and not fresh:
        return state
    both = {**blind, **fresh}
    touched = {visit: set(sensors) for visit, sensors in state.blinded.items()}
    for steps in trail if fresh else (here,):
        known = {sensor: since for sensor, since in both.items() if since < steps.time_ns + NANOSECONDS}
        for visit, floor_m in zip(steps.visits, steps.floor_m, strict=True):
            found = within_reach(floor_m, frozenset(known), setup)
            if found:
                touched.setdefault(visit, set()).update(found)
    return replace(state, blinded={visit: frozenset(sensors) for visit, sensors in touched.items()})


def _blind(
    before: Mapping[Sensor, int], states: tuple[SensorState, ...]
) -> tuple[dict[Sensor, int], dict[Sensor, int]]:
    """Blind sensors after the tick, and those that became blind in it, if only for a moment: since when."""
    blind, fresh = dict(before), {}
    for told in states:
        sensor = told.kind, told.sensor
        if told.state not in BLIND:
            blind.pop(sensor, None)
        elif sensor not in blind:
            blind[sensor] = fresh[sensor] = told.since_ns
    return blind, fresh


def within_reach(floor_m: NDArray[np.float32], blind: frozenset[Sensor], setup: Setup) -> set[str]:
    """Sensors whose blindness matters to somebody who stands there."""
    found: set[str] = set()
    cameras = {name for kind, name in blind if kind == "camera"} if setup.video else set()
    if cameras:
        body_m = np.array([floor_m[0], floor_m[1], HEIGHT_M])
        found |= _unseen(body_m, cameras, setup)
    for lane in setup.store.lanes:
        if float(np.hypot(*(lane.front_m[:2] - floor_m))) > REACH_M:
            continue
        scale = setup.store.spec.scales[lane.scale].id if lane.scale >= 0 and setup.scales else ""
        if ("scale", scale) in blind:
            found.add(f"scale {scale}")
        if cameras:
            found |= _unseen(lane.front_m, cameras, setup)
    return found


def _unseen(point_m: NDArray[np.float64], blind: set[str], setup: Setup) -> set[str]:
    """The blind cameras that should see a point, when no other one does."""
    seers = {camera.id for camera in setup.store.cameras if camera.sees(point_m)}
    return {f"camera {name}" for name in seers} if seers and seers <= blind else set()
