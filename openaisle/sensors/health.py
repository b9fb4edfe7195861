"""Health: one state machine per sensor, the same for cameras, scales and gates.

    waiting ──▶ online ◀──▶ late ◀──▶ offline        silent for `late_s`, for `offline_s`
                   ▲
                   └──▶ stuck (a scale that repeats one value), frozen (a camera that repeats its picture)

A sensor is blind while it is offline, stuck or frozen, and while it has never been heard of.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from openaisle.messages import NANOSECONDS, SensorState


class State(StrEnum):
    """Where a sensor stands."""

    WAITING = "waiting"
    ONLINE = "online"
    LATE = "late"
    OFFLINE = "offline"
    STUCK = "stuck"
    FROZEN = "frozen"


BLIND = frozenset({State.WAITING, State.OFFLINE, State.STUCK, State.FROZEN})


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a sensor may be silent."""

    late_s: float = 1.5
    offline_s: float = 4.0


@dataclass
class Health:
    """One sensor's state, and the numbers beside it."""

    kind: str
    sensor: str
    limits: Limits = Limits()
    state: State = State.WAITING
    since_ns: int = 0  # from when on it is so
    seen_ns: int = 0  # arrival of its last message
    data_ns: int = 0  # until when its measurements reach, UTC
    trouble: State | None = None  # stuck or frozen, while it is
    trouble_ns: int = 0
    words: str = ""
    messages: int = 0

    def heard(self, now_ns: int, until_ns: int) -> None:
        """A message came, whose measurements reach so far."""
        self.seen_ns = now_ns
        self.data_ns = max(self.data_ns, until_ns)
        self.messages += 1

    def look(self, now_ns: int) -> SensorState | None:
        """Decide the state; what to tell when it has changed."""
        state, since_ns = self._decide(now_ns)
        if state == self.state:
            return None
        self.state, self.since_ns = state, since_ns
        return self.tell(now_ns)

    def tell(self, now_ns: int) -> SensorState:
        """The state as a message."""
        return SensorState(self.kind, self.sensor, now_ns, self.state.value, self.since_ns, self.words)

    def _decide(self, now_ns: int) -> tuple[State, int]:
        if not self.seen_ns:
            return State.WAITING, self.since_ns
        silent_ns = now_ns - self.seen_ns
        blind_ns = self.data_ns or self.seen_ns
        if silent_ns >= self.limits.offline_s * NANOSECONDS:
            return State.OFFLINE, blind_ns
        if self.state == State.OFFLINE and silent_ns >= NANOSECONDS // 2:
            return State.OFFLINE, self.since_ns
        if silent_ns >= self.limits.late_s * NANOSECONDS:
            return State.LATE, blind_ns
        if self.trouble is not None:
            return self.trouble, self.trouble_ns
        return State.ONLINE, self.data_ns


@dataclass
class Repeats:
    """Notices a scale that repeats one value for five times as long as it ever has: a live one flickers with noise.

    A scale too coarse to flicker has repeated itself for long before, and is not suspected.
    """

    least_s: float = 4.0
    factor: float = 5.0
    learn_s: float = 20.0  # of readings, before anything is said
    _value: float | None = None
    _since_ns: int = 0  # from when on it has that value
    _first_ns: int = 0
    _longest_ns: int = 0

    def see(self, grams: NDArray[np.float32], time_ns: int, length_ns: int) -> int:
        """Take a message's readings in; since when the scale has been repeating itself, 0 = it does not."""
        known = np.flatnonzero(~np.isnan(grams))
        if not len(known):
            return 0
        values = grams[known]
        if self._value is None:
            self._first_ns = self._since_ns = time_ns
            self._value = float(values[0])
        changes = np.flatnonzero(np.diff(values, prepend=np.float32(self._value)) != 0)
        times_ns = time_ns + (known[changes] * (length_ns / len(grams))).astype(np.int64)
        for at_ns in times_ns.tolist():
            self._longest_ns = max(self._longest_ns, at_ns - self._since_ns)
            self._since_ns = at_ns
        self._value = float(values[-1])
        end_ns = time_ns + length_ns
        limit_ns = max(self.least_s * NANOSECONDS, self.factor * self._longest_ns)
        learnt = self._since_ns - self._first_ns >= self.learn_s * NANOSECONDS
        return self._since_ns if learnt and end_ns - self._since_ns >= limit_ns else 0
