"""Source: the one protocol that live stores, recordings and the simulator speak, and how streams are joined by time.

A source yields sensor messages ordered by `time_ns`. A sensor that delivers later than the reorder window is the one
exception: its message comes when it comes, with an older `time_ns`, and whoever reads must bear it.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar, runtime_checkable

from openaisle.messages import NANOSECONDS, Message

M = TypeVar("M", bound=Message)


@runtime_checkable
class Source(Protocol):
    """Anything that can be iterated for sensor messages in time order: a `Recording`, a live store, a simulated one."""

    def __iter__(self) -> Iterator[Message]:
        """Yield messages until the source ends (a live one never does by itself)."""
        ...


def merge(*sources: Iterable[Message]) -> Iterator[Message]:
    """Join several time-ordered sources into one; at equal times the earlier argument comes first."""
    return heapq.merge(*sources, key=lambda message: message.time_ns)


@dataclass(slots=True)
class Reorder(Generic[M]):
    """A jitter buffer: messages wait `window_ns` of stream time, so that slow sensors still fall into their place."""

    window_ns: int = NANOSECONDS
    _heap: list[tuple[int, int, M]] = field(default_factory=list)
    _arrivals: int = 0

    def push(self, message: M) -> None:
        """Take in a message in order of arrival; equal times leave in order of arrival."""
        heapq.heappush(self._heap, (message.time_ns, self._arrivals, message))
        self._arrivals += 1

    def pop_until(self, now_ns: int) -> Iterator[M]:
        """Yield what is at least `window_ns` older than `now_ns`, the oldest first."""
        limit = now_ns - self.window_ns
        while self._heap and self._heap[0][0] <= limit:
            yield heapq.heappop(self._heap)[2]

    def drain(self) -> Iterator[M]:
        """Yield all that is left, the oldest first."""
        while self._heap:
            yield heapq.heappop(self._heap)[2]
