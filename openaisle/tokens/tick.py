"""Ticks: a time-ordered stream of messages becomes one second of synchronised inputs at a time.

Tick k covers [start + k, start + k + 1) seconds of events. What it brings is the second of sensor data that ends
AHEAD_S later: video frames in five slots per second and scale samples on a 20 Hz grid.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from openaisle.messages import NANOSECONDS, GateEvent, ScaleBatch, SensorState, VideoFrame
from openaisle.store.store import Store
from openaisle.tokens.journey import FRAME_HZ
from openaisle.tokens.scales import AHEAD_S, RATE_HZ

Sensed = VideoFrame | ScaleBatch | GateEvent | SensorState
SLOT_NS = NANOSECONDS // FRAME_HZ
SAMPLE_NS = NANOSECONDS // RATE_HZ
AHEAD_NS = int(AHEAD_S * NANOSECONDS)
LOOKED = {
    5: (0, 1, 2, 3, 4),
    3: (0, 2, 4),
    2: (1, 3),
    1: (2,),
}  # slots that are left of a thinned tick, as even as it goes


@dataclass(frozen=True)
class Tick:
    """One second of everything."""

    index: int
    time_ns: int  # start of the second whose events are decided
    frames: tuple[
        tuple[VideoFrame, ...], ...
    ]  # FRAME_HZ slots from time_ns + AHEAD_S on; one frame per camera and slot
    grams: NDArray[np.float32]  # [scales, RATE_HZ] from time_ns + AHEAD_S on, NaN = no reading
    gates: tuple[GateEvent, ...]  # in the same second, in order
    states: tuple[SensorState, ...] = ()  # what became of sensors, in order of arrival
    looked: int = FRAME_HZ  # slots whose pictures are looked at: fewer where a box cannot keep up

    @property
    def sensed_ns(self) -> int:
        """When the tick can be decided: the end of the sensor data it brings."""
        return self.time_ns + NANOSECONDS + AHEAD_NS

    def slot(self, time_ns: int) -> int:
        """Slot of an instant, clipped to the tick."""
        return int(np.clip((time_ns - self.time_ns - AHEAD_NS) // SLOT_NS, 0, FRAME_HZ - 1))


def thinned(tick: Tick, slots: int) -> Tick:
    """The tick with pictures in so many slots only (a key of LOOKED), the same ones of every camera."""
    kept = LOOKED[slots]
    frames = tuple(frames if at in kept else () for at, frames in enumerate(tick.frames))
    return tick if slots == FRAME_HZ else replace(tick, frames=frames, looked=slots)


@dataclass
class _Second:
    frames: list[dict[str, VideoFrame]]
    grams: NDArray[np.float32]
    count: NDArray[np.int32]
    gates: list[GateEvent] = field(default_factory=list)
    states: list[SensorState] = field(default_factory=list)


class Ticker:
    """Collects messages and yields ticks; messages older than what was already handed out are counted and dropped."""

    def __init__(self, store: Store, lateness_s: float = 0.0) -> None:
        self.scale_index = {scale.id: i for i, scale in enumerate(store.spec.scales)}
        self.lateness_ns = int(lateness_s * NANOSECONDS)
        self.origin_ns: int | None = None  # start of second 0 of sensor data
        self.seconds: dict[int, _Second] = {}
        self.next = 0
        self.late = 0

    def ticks(self, messages: Iterable[Sensed]) -> Iterator[Tick]:
        """All ticks of a stream, then three more so that the last events are decided."""
        last_ns: int | None = None
        for message in messages:
            last_ns = message.time_ns if last_ns is None else max(last_ns, message.time_ns)
            yield from self.add(message)
        if last_ns is not None and self.origin_ns is not None:
            while self.origin_ns + (self.next - 2) * NANOSECONDS <= last_ns:
                yield self._emit()

    def add(self, message: Sensed) -> Iterator[Tick]:
        """Take one message in; ticks whose time is over come out."""
        if self.origin_ns is None:
            self.origin_ns = message.time_ns - message.time_ns % SLOT_NS
        self._place(message)
        while message.time_ns >= self.origin_ns + (self.next + 1) * NANOSECONDS + self.lateness_ns:
            yield self._emit()

    def _place(self, message: Sensed) -> None:
        assert self.origin_ns is not None
        if isinstance(message, ScaleBatch):
            self._place_scale(message)
            return
        second, inside = divmod(message.time_ns - self.origin_ns, NANOSECONDS)
        if isinstance(message, SensorState):
            if message.kind:  # else it only says what time it is
                self._second(max(second, self.next)).states.append(message)
            return
        if second < self.next:
            self.late += 1
        elif isinstance(message, VideoFrame):
            self._second(second).frames[inside // SLOT_NS][message.camera] = message
        else:
            self._second(second).gates.append(message)

    def _place_scale(self, batch: ScaleBatch) -> None:
        assert self.origin_ns is not None
        row = self.scale_index.get(batch.scale)
        if row is None:
            return
        times = (
            batch.time_ns
            - self.origin_ns
            + (np.arange(len(batch.grams)) * (NANOSECONDS / batch.rate_hz)).astype(np.int64)
        )
        cells = times // SAMPLE_NS
        for cell, grams in zip(cells.tolist(), batch.grams, strict=True):
            second, column = divmod(cell, RATE_HZ)
            if second < self.next:
                self.late += 1
                continue
            store = self._second(second)
            if not np.isnan(grams):  # faster scales: the mean of the samples in a cell
                n = store.count[row, column]
                old = store.grams[row, column] if n else 0.0
                store.grams[row, column] = (old * n + grams) / (n + 1)
                store.count[row, column] = n + 1

    def _second(self, index: int) -> _Second:
        if index not in self.seconds:
            shape = (len(self.scale_index), RATE_HZ)
            empty = np.full(shape, np.nan, dtype=np.float32)
            self.seconds[index] = _Second([{} for _ in range(FRAME_HZ)], empty, np.zeros(shape, dtype=np.int32))
        return self.seconds[index]

    def _emit(self) -> Tick:
        assert self.origin_ns is not None
        second = self._second(self.next)
        del self.seconds[self.next]
        frames = tuple(tuple(slot[camera] for camera in sorted(slot)) for slot in second.frames)
        gates = tuple(sorted(second.gates, key=lambda gate: gate.time_ns))
        start = self.origin_ns + self.next * NANOSECONDS - AHEAD_NS
        tick = Tick(self.next, start, frames, second.grams, gates, tuple(second.states))
        self.next += 1
        return tick
