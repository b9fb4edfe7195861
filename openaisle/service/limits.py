"""Limits: a bucket of requests for each caller, refilled steadily; whoever has emptied theirs waits."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

MOST_CALLERS = 10_000  # buckets kept; the fullest ones, which hold nobody back, are dropped first


@dataclass
class Limiter:
    """Buckets by caller; safe to use from several threads, each process has its own."""

    per_s: float
    burst: int
    clock: Callable[[], float] = time.monotonic
    _buckets: dict[str, tuple[float, float]] = field(default_factory=dict)  # caller → (tokens, when)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def wait_s(self, caller: str, cost: float = 1.0) -> float:
        """0 when the caller may go on (and has paid), otherwise after how many seconds to ask again."""
        now = self.clock()
        with self._lock:
            tokens, since = self._buckets.get(caller, (float(self.burst), now))
            tokens = min(float(self.burst), tokens + (now - since) * self.per_s)
            waits = tokens < cost
            self._buckets[caller] = (tokens if waits else tokens - cost, now)
            if len(self._buckets) > MOST_CALLERS:
                self._forget(now)
        return max(0.0, (cost - tokens) / self.per_s) if waits else 0.0

    def _forget(self, now: float) -> None:
        def filled(caller: str) -> float:
            tokens, since = self._buckets[caller]
            return tokens + (now - since) * self.per_s

        for caller in sorted(self._buckets, key=filled, reverse=True)[: MOST_CALLERS // 2]:
            del self._buckets[caller]
