"""A simulated shop as the benchmark plays it: who was in when."""

from __future__ import annotations

from collections.abc import Iterable

from openaisle.messages import NANOSECONDS, TruthTick


def shoppers_present(ticks: Iterable[TruthTick]) -> dict[str, int]:
    """The most shoppers (staff apart) who were in the shop at once during each visit."""
    most: dict[str, int] = {}
    for tick in ticks:
        inside = [shopper.visit for shopper in tick.shoppers if not shopper.staff]
        for visit in inside:
            most[visit] = max(most.get(visit, 0), len(inside))
    return most


def shopper_seconds(ticks: Iterable[TruthTick]) -> float:
    """Seconds that shoppers (staff apart) spent in the shop, all together."""
    total_ns, before_ns, inside = 0, 0, 0
    for tick in ticks:
        total_ns += inside * (tick.time_ns - before_ns)
        before_ns, inside = tick.time_ns, sum(not shopper.staff for shopper in tick.shoppers)
    return total_ns / NANOSECONDS
