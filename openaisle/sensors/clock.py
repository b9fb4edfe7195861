"""Clock: what a sensor's own clock says becomes UTC: it is believed while it is right, and corrected while it is not.

A message says when it was measured and when it was sent, both by the sensor's clock. Arrival less sending is the
sensor's clock error plus a delay that is never negative, so the smallest of a minute is the error plus the shortest
delay. An error below `TRUST_NS` may be all delay, and the sensor is believed; a larger one is taken off.

A clock that jumps is caught by counting: consecutive messages follow each other by the length of the first. Where the
sensor says otherwise, and arrival less sending moves by as much the other way, the clock has jumped by the difference;
messages queued on their way and samples that were not taken do only one of the two.

While messages follow each other a clock falls behind by its drift, and by what the sensor says less than counting does.
What arrival less sending grows by beyond that is a queue, however long it lasts, and is not taken off.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from openaisle.messages import NANOSECONDS

TRUST_NS = NANOSECONDS // 2  # a delay that a network may have; a clock that is wrong by less is taken for right
AHEAD_NS = NANOSECONDS // 10  # nothing arrives before it is sent, so a clock this much ahead is wrong
WINDOW_NS = 60 * NANOSECONDS
JUMP_NS = NANOSECONDS // 5  # smaller steps are what networks and samplers do
DRIFT = 1e-4  # of a clock, in seconds a second: twice that of a bad quartz
SLEW_NS = NANOSECONDS // 20  # an estimate that moves by less is left alone: one column of the scales' grid


@dataclass(frozen=True, slots=True)
class Bound:
    """An error that a clock cannot have exceeded at an instant, both on this machine's clock."""

    at_ns: int
    error_ns: int

    def later(self, at_ns: int) -> int:
        """Nor at a later one, by drift alone."""
        return self.error_ns + round(max(0, at_ns - self.at_ns) * DRIFT)


@dataclass
class SensorClock:
    """One sensor's clock against this machine's."""

    trust_ns: int = TRUST_NS
    correction_ns: int = 0  # added to what the sensor says
    jumps: int = 0
    bound: Bound | None = None  # since messages follow each other
    _least: deque[tuple[int, int]] = field(default_factory=deque)  # (arrival, error), errors growing: a sliding minimum
    _errors: deque[int] = field(default_factory=lambda: deque(maxlen=2))  # of the last messages

    def utc(self, time_ns: int, sent_ns: int, arrived_ns: int, expected_ns: int | None = None) -> int:
        """When a measurement was taken; `expected_ns` is when by count, on the sensor's clock, None = not known."""
        error_ns = arrived_ns - sent_ns
        moved = [error_ns - before for before in self._errors]
        step_ns = 0 if expected_ns is None else time_ns - expected_ns
        if expected_ns is None:
            self.bound = None  # whether the clock has gone on as before is not known
        if self._jumped(step_ns, moved):
            self.jumps += 1
            self._shift(step_ns)
        elif self.bound is not None:
            self.bound = Bound(arrived_ns, self.bound.later(arrived_ns) + max(0, -step_ns))
        self._errors.append(error_ns)
        # An error that moves alone: the message queued, or the clock jumped after measuring; the next one will tell.
        if expected_ns is None or not moved or abs(moved[-1]) < JUMP_NS or abs(step_ns) >= JUMP_NS:
            self._learn(arrived_ns, error_ns)
        return time_ns + self.correction_ns

    @property
    def offset_ns(self) -> int:
        """By how much the sensor's clock is behind (plus the shortest delay), as far as is known."""
        return self._least[0][1] if self._least else 0

    def _jumped(self, step_ns: int, moved: list[int]) -> bool:
        """A jump falls between measuring and sending: the error moves in that message, the time in the next one."""
        return abs(step_ns) >= JUMP_NS and any(abs(by_ns + step_ns) <= abs(step_ns) // 2 for by_ns in moved)

    def _shift(self, step_ns: int) -> None:
        self.correction_ns -= step_ns
        if abs(self.correction_ns) < SLEW_NS:
            self.correction_ns = 0  # it jumped back to where it belongs
        self._least = deque((at, error - step_ns) for at, error in self._least)
        if self.bound is not None:
            self.bound = Bound(self.bound.at_ns, self.bound.error_ns - step_ns)

    def _learn(self, arrived_ns: int, error_ns: int) -> None:
        while self._least and self._least[-1][1] >= error_ns:
            self._least.pop()
        self._least.append((arrived_ns, error_ns))
        while self._least[0][0] < arrived_ns - WINDOW_NS:
            self._least.popleft()
        least_ns = self._least[0][1]
        if self.bound is None or error_ns < self.bound.later(arrived_ns):
            self.bound = Bound(arrived_ns, error_ns)
        least_ns = min(least_ns, self.bound.later(arrived_ns))
        believed = -AHEAD_NS <= least_ns <= self.trust_ns
        if (self.correction_ns == 0 and believed) or abs(least_ns - self.correction_ns) <= SLEW_NS:
            return
        self.correction_ns = 0 if believed else least_ns
