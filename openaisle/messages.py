"""Every message that crosses a process or a file: type, topic, unit, rate, recorded or not, in one table.

Live, replay and simulation are the same time-ordered stream of these messages; `time_ns` is integer
nanoseconds UTC everywhere. Sensor messages go to the sensor files of a recording, truth messages to the
truth files beside them, so that a model can never read truth by mistake.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import BeforeValidator

NANOSECONDS = 1_000_000_000


def _known(value: object) -> object:
    """A point as JSON has it: null where a coordinate is not known."""
    return [math.nan if part is None else part for part in value] if isinstance(value, list) else value


# Metres in the store frame, z up; NaN = not known (labels often tell no more than where somebody stands).
Point3 = Annotated[
    tuple[float, float, float],
    BeforeValidator(_known, json_schema_input_type=tuple[float | None, float | None, float | None]),
]


class Activity(StrEnum):
    """What a shopper is doing at an instant (the classes of the activity task, in this order)."""

    STAND = "stand"
    WALK = "walk"
    REACH = "reach"  # arm on its way to a lane, or in it
    TAKE = "take"  # within 0.3 s of an item leaving the shelf in this hand
    RETURN = "return"  # within 0.3 s of an item coming to rest on a shelf from this hand
    INSPECT = "inspect"  # holds an item and looks at it
    STOW = "stow"  # puts an item into bag, basket or pocket
    HAND_OVER = "hand_over"


class EventKind(StrEnum):
    """What can happen to items between shelves and shoppers."""

    TAKE = "take"
    RETURN = "return"
    HAND_OVER = "hand_over"


# --- sensors -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class VideoPacket:
    """One encoded picture (H.264 Annex B, no B-frames, SPS/PPS before each key frame)."""

    camera: str
    time_ns: int
    data: bytes
    keyframe: bool


@dataclass(frozen=True, slots=True)
class VideoFrame:
    """One decoded picture, rgb uint8 [H, W, 3]. Never recorded: recordings hold packets."""

    camera: str
    time_ns: int
    rgb: NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class ScaleBatch:
    """Consecutive samples of one scale; grams float32 [n] (NaN = no reading), first sample at time_ns.

    Only differences mean anything: the zero of a scale is unknown.
    (device_id, boot_id, seq) names the batch uniquely, so duplicates and gaps can be seen.
    """

    scale: str
    time_ns: int
    rate_hz: float
    grams: NDArray[np.float32]
    device_id: str = ""
    boot_id: int = 0
    seq: int = 0


@dataclass(frozen=True, slots=True)
class GateEvent:
    """A gate saw somebody: an entry carries the visit it opens (app or card), an exit is anonymous ("")."""

    gate: str
    time_ns: int
    kind: str  # "entry" | "exit"
    visit: str = ""  # receipt key; the members of a group enter with the same visit
    device_id: str = ""  # as in ScaleBatch, where a device tells; several passages may share one message
    boot_id: int = 0
    seq: int = 0


@dataclass(frozen=True, slots=True)
class SensorState:
    """A sensor of a live store changed its state (sensors/health.py); with kind "" it says only what time it is.

    `since_ns` is from when on it is so: a sensor that fell silent is blind from its last message on.
    """

    kind: str  # "camera" | "scale" | "gate" | ""
    sensor: str
    time_ns: int
    state: str
    since_ns: int = 0
    words: str = ""  # for people


# --- truth (simulated or labelled; lies beside the sensors) ----------------------------------------------


@dataclass(frozen=True, slots=True)
class ShopperTruth:
    """One person at one instant. Metres in the store frame, z up; hands are (left, right) palm centres."""

    shopper: str
    visit: str
    group: str
    staff: bool
    floor_m: tuple[float, float]
    heading_rad: float
    head_m: Point3
    left_hand_m: Point3
    right_hand_m: Point3
    activity: Activity
    left_lane: str = ""  # lane the hand is in, "" for none
    right_lane: str = ""
    left_gtins: tuple[str, ...] = ()  # one entry per unit held in that hand
    right_gtins: tuple[str, ...] = ()
    bag_gtins: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TruthTick:
    """All people in the shop at the instant of a video frame (same times as the frames)."""

    time_ns: int
    shoppers: tuple[ShopperTruth, ...]


@dataclass(frozen=True, slots=True)
class TruthEvent:
    """Units moved: taken from a lane, returned to a lane, or handed from one shopper to another."""

    time_ns: int  # when the item leaves the shelf / comes to rest / changes hands
    contact_ns: int  # first contact of the hand with the item
    kind: EventKind
    shopper: str
    visit: str
    gtin: str
    quantity: int
    lane: str = ""  # "" for a hand-over
    hand: str = ""  # "left" | "right"
    to_shopper: str = ""  # hand-over only
    to_visit: str = ""
    staff: bool = False  # restocking: never on a receipt


@dataclass(frozen=True, slots=True)
class TruthLane:
    """What really lies in a lane; sent at the start and after each change."""

    time_ns: int
    lane: str
    stock: tuple[tuple[str, int], ...]  # (gtin, units), misplaced products included
    grams: float  # true mass on the lane


@dataclass(frozen=True, slots=True)
class TruthReceipt:
    """What a visit must be charged for; sent when the visit ends."""

    time_ns: int
    visit: str
    lines: tuple[tuple[str, int], ...]  # (gtin, quantity > 0), sorted by gtin


@dataclass(frozen=True, slots=True)
class TruthPixels:
    """Per-pixel truth of one frame: ids int32 [H, W] (see sim/world.py), depth float16 [H, W] in metres."""

    camera: str
    time_ns: int
    ids: NDArray[np.int32]
    depth_m: NDArray[np.float16]


Message = VideoPacket | VideoFrame | ScaleBatch | GateEvent | SensorState
Truth = TruthTick | TruthEvent | TruthLane | TruthReceipt | TruthPixels


@dataclass(frozen=True, slots=True)
class Stream:
    """One row of the table of streams."""

    type: type
    topic: str  # {} stands for the sensor's id
    unit: str
    rate: str
    recorded: bool


STREAMS: tuple[Stream, ...] = (
    Stream(VideoPacket, "/camera/{}/video", "H.264 Annex B", "2-30 Hz", True),
    Stream(VideoFrame, "/camera/{}/frame", "rgb uint8", "2-30 Hz", False),
    Stream(ScaleBatch, "/scale/{}", "grams", "10-60 Hz, batched", True),
    Stream(GateEvent, "/gate", "-", "per passage", True),
    Stream(SensorState, "/sensors", "-", "per change, live stores only", True),
    Stream(TruthTick, "/truth/shoppers", "m", "per video frame", True),
    Stream(TruthEvent, "/truth/events", "units", "per event", True),
    Stream(TruthLane, "/truth/lanes", "units, grams", "per change", True),
    Stream(TruthReceipt, "/truth/receipts", "units", "per visit", True),
    Stream(TruthPixels, "/truth/pixels/{}", "id, m", "per frame, on request", True),
)
