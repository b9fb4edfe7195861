"""Clock: what a sensor's own clock says becomes UTC: it is believed while it is right, and corrected while it is not.

A message says when it was measured and when it was sent, both by the sensor's clock. Arrival less sending is the
sensor's clock error plus a delay that is never negative, so the smallest of a minute is the error plus the shortest
delay. An error below `TRUST_NS` may be all delay, and the sensor is believed; a larger one is taken off.

A clock that jumps is caught by counting: consecutive messages follow each other by the length of the first. Where the
sensor says otherwise, and arrival less sending moves by as much the other way, the clock has jumped by the difference;
messages queued on their way and samples that were not taken do only one of the two.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from openaisle.messages import NANOSECONDS

TRUST_NS = NANOSECONDS // 2  # a delay that a network may have; a clock that is wrong by less is taken for right
AHEAD_NS = NANOSECONDS // 10  # nothing arrives before it is sent, so a clock this much ahead is wrong
WINDOW_NS = 60 * NANOSECONDS
JUMP_NS = NANOSECONDS // 5  # smaller steps are what networks and samplers do
SLEW_NS = NANOSECONDS // 20  # an estimate that moves by less is left alone: one column of the scales' grid


@dataclass
class SensorClock:
    """One sensor's clock against this machine's."""

    trust_ns: int = TRUST_NS
    correction_ns: int = 0  # added to what the sensor says
    jumps: int = 0
    _least: deque[tuple[int, int]] = field(default_factory=deque)  # (arrival, error), errors growing: a sliding minimum
    _error_ns: int | None = None  # of the last message

    def utc(self, time_ns: int, sent_ns: int, arrived_ns: int, expected_ns: int | None = None) -> int:
        """When a measurement was taken; `expected_ns` is when by count, on the sensor's clock, None = not known."""
        error_ns = arrived_ns - sent_ns
        if expected_ns is not None and self._error_ns is not None:
            self._look_for_jump(time_ns - expected_ns, error_ns - self._error_ns)
        self._error_ns = error_ns
        self._learn(arrived_ns, error_ns)
        return time_ns + self.correction_ns

    @property
    def offset_ns(self) -> int:
        """By how much the sensor's clock is behind (plus the shortest delay), as far as is known."""
        return self._least[0][1] if self._least else 0

    def _look_for_jump(self, step_ns: int, moved_ns: int) -> None:
        if abs(step_ns) < JUMP_NS or abs(moved_ns + step_ns) > abs(step_ns) // 2:
            return
        self.jumps += 1
        self.correction_ns -= step_ns
        if abs(self.correction_ns) < SLEW_NS:
            self.correction_ns = 0  # it jumped back to where it belongs
        self._least = deque((at, error - step_ns) for at, error in self._least)

    def _learn(self, arrived_ns: int, error_ns: int) -> None:
        while self._least and self._least[-1][1] >= error_ns:
            self._least.pop()
        self._least.append((arrived_ns, error_ns))
        while self._least[0][0] < arrived_ns - WINDOW_NS:
            self._least.popleft()
        least_ns = self._least[0][1]
        if self.correction_ns == 0 and -AHEAD_NS <= least_ns <= self.trust_ns:
            return
        if abs(least_ns - self.correction_ns) > SLEW_NS:
            self.correction_ns = 0 if -AHEAD_NS <= least_ns <= SLEW_NS else least_ns
