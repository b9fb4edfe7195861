"""Faults: which sensor misbehaves when, drawn once per simulation, as plain data.

The scales apply theirs while they are simulated; the recorder applies those of cameras, clocks and messages.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from openaisle.messages import NANOSECONDS
from openaisle.sim.scenario import Faults
from openaisle.store.store import Store


class FaultKind(StrEnum):
    """What can be wrong with a sensor; `Fault.value` has the unit in brackets."""

    CAMERA_LOST = "camera_lost"  # no frames
    FRAMES_DROPPED = "frames_dropped"  # [share of frames lost]
    SCALE_DRIFTING = "scale_drifting"  # [grams per second]
    SCALE_DEAD = "scale_dead"  # NaN
    SCALE_STUCK = "scale_stuck"  # repeats its last reading
    CLOCK_SKEW = "clock_skew"  # [ns the sensor's clock is ahead]
    LATE = "late"  # [largest delay of a message, ns]


@dataclass(frozen=True, slots=True)
class Fault:
    """One sensor's trouble from start (inclusive) to end (exclusive)."""

    kind: FaultKind
    sensor: str  # camera or scale id
    start_ns: int
    end_ns: int
    value: float = 0.0


@dataclass(frozen=True)
class FaultPlan:
    """All faults of a simulation and what they mean for one message."""

    faults: tuple[Fault, ...] = ()
    seed: int = 0

    def _value(self, kind: FaultKind, sensor: str, time_ns: int) -> float | None:
        for fault in self.faults:
            if fault.kind == kind and fault.sensor == sensor and fault.start_ns <= time_ns < fault.end_ns:
                return fault.value
        return None

    def frame_lost(self, camera: str, time_ns: int) -> bool:
        """Whether a camera's frame of that instant never arrives."""
        if self._value(FaultKind.CAMERA_LOST, camera, time_ns) is not None:
            return True
        share = self._value(FaultKind.FRAMES_DROPPED, camera, time_ns)
        return share is not None and self._chance("drop", camera, time_ns) < share

    def clock_skew_ns(self, sensor: str, time_ns: int) -> int:
        """How far a sensor's clock is ahead of true time."""
        return int(self._value(FaultKind.CLOCK_SKEW, sensor, time_ns) or 0)

    def delay_ns(self, sensor: str, time_ns: int) -> int:
        """How much later than it should a message of that instant arrives."""
        largest = self._value(FaultKind.LATE, sensor, time_ns)
        return 0 if largest is None else int(largest * self._chance("late", sensor, time_ns) ** 2)

    def _chance(self, what: str, sensor: str, time_ns: int) -> float:
        """A number in [0, 1) that depends on nothing but its arguments and the seed, in whatever order asked."""
        key = [self.seed, time_ns & 0xFFFFFFFF, time_ns >> 32, *f"{what}/{sensor}".encode()]
        return float(np.random.Generator(np.random.PCG64(np.random.SeedSequence(key))).random())


def draw_faults(store: Store, faults: Faults, span_ns: tuple[int, int], seed: int) -> FaultPlan:
    """A random fault plan over the time from span_ns[0] to span_ns[1]."""
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, 0xFA])))
    cameras = [camera.id for camera in store.spec.cameras]
    scales = [scale.id for scale in store.spec.scales]
    out: list[Fault] = []

    def add(kind: FaultKind, sensors: list[str], share: float, low: float, high: float, whole: bool) -> None:
        for sensor in sensors:
            hit, value = rng.random() < share, float(rng.uniform(low, high))
            start, length = float(rng.uniform(0.05, 0.7)), float(rng.uniform(0.1, 0.5))
            if hit:
                first = span_ns[0] if whole else span_ns[0] + int(start * (span_ns[1] - span_ns[0]))
                last = first + int(length * (span_ns[1] - span_ns[0]))
                out.append(Fault(kind, sensor, first, 2**62 if whole else last, value))

    add(FaultKind.CAMERA_LOST, cameras, faults.camera_lost, 0, 0, False)
    add(FaultKind.FRAMES_DROPPED, cameras, faults.frames_dropped, 0.02, 0.3, True)
    add(FaultKind.SCALE_DRIFTING, scales, faults.scale_drifting, -3.0, 3.0, False)
    add(FaultKind.SCALE_DEAD, scales, faults.scale_dead, 0, 0, False)
    add(FaultKind.SCALE_STUCK, scales, faults.scale_stuck, 0, 0, False)
    skew = faults.clock_skew_ms * 1e-3 * NANOSECONDS
    add(FaultKind.CLOCK_SKEW, cameras + scales, 1.0 if skew > 0 else 0.0, -skew, skew, True)
    late = faults.late_s * NANOSECONDS
    add(FaultKind.LATE, cameras + scales, faults.late, 0.2 * late, late, True)
    return FaultPlan(tuple(out), seed)
