"""What exists at an instant of a simulated store: the contract between the engine, the renderer and the truth.

Instance ids of rendered pixels (int32): 0 nothing, 1 floor, 2 walls and ceiling, 10 + fixture index,
ITEM_ID + item index, PERSON_ID + PERSON_STRIDE * person number + Part.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from openaisle.messages import Activity, GateEvent, TruthEvent

FLOOR_ID = 1
WALL_ID = 2
FIXTURE_ID = 10
ITEM_ID = 1_000
PERSON_ID = 1_000_000
PERSON_STRIDE = 10


class Part(IntEnum):
    """Part of a person, the last digit of a person's pixel ids."""

    BODY = 0
    HEAD = 1
    LEFT_ARM = 2
    RIGHT_ARM = 3
    LEFT_HAND = 4
    RIGHT_HAND = 5
    LEGS = 6
    CARRIED = 7  # bag, basket, trolley


@dataclass(frozen=True, slots=True)
class Person:
    """One person at one instant, ready to be drawn and to be written down as truth."""

    number: int  # small integer, unique in a simulation; used in pixel ids
    shopper: str
    visit: str
    group: str
    staff: bool
    floor_m: NDArray[np.float64]  # [2]
    heading_rad: float  # 0 = facing +x
    head_m: NDArray[np.float64]  # [3] centre of the head
    hands_m: NDArray[np.float64]  # [2, 3] palms, left then right
    activity: Activity
    hand_lane: tuple[int, int]  # lane index each hand is in, -1 = none
    held: tuple[tuple[int, ...], tuple[int, ...]]  # item indices in the left and the right hand
    bag: tuple[int, ...]  # item indices stowed (not visible)
    # body: capsules from a to b with a radius, in world metres: float32 [C, 7] = ax ay az bx by bz r
    capsules: NDArray[np.float32]
    capsule_part: NDArray[np.uint8]  # [C] Part
    capsule_rgb: NDArray[np.uint8]  # [C, 3]
    capsule_pattern: NDArray[np.uint8]  # [C] 0 plain, 1 stripes, 2 checks, 3 dots


@dataclass(slots=True)
class Items:
    """All units of merchandise in the simulation; arrays over items, changed in place by the engine."""

    product: NDArray[np.int32]  # [N] product index
    mass_grams: NDArray[np.float64]  # [N] true mass of this unit (catalogue mass varies by up to 8%)
    world_from_item: NDArray[np.float32]  # [N, 4, 4]; item frame: origin at the middle of the base, x right, z up
    visible: NDArray[np.bool_]  # [N] False inside a bag or outside the store
    lane: NDArray[np.int32]  # [N] lane index, -1 when in a hand, in a bag or gone
    moved: NDArray[np.bool_]  # [N] pose or visibility changed since the previous snapshot


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The store at one simulation step (20 Hz)."""

    time_ns: int
    people: tuple[Person, ...]
    items: Items  # live view: copy what must outlast the next step
    scale_grams: NDArray[np.float32]  # [scales] as the load cells read them (noise, drift, faults), NaN = no reading
    true_grams: NDArray[np.float64]  # [lanes] true mass of what lies there
    doors: NDArray[np.float32]  # [fixtures] opening of its doors, 0 shut .. 1 open
    events: tuple[TruthEvent, ...]  # that happened in this step
    gates: tuple[GateEvent, ...]
