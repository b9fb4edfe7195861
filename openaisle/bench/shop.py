"""A simulated shop as the benchmark plays it: who was in when."""

from __future__ import annotations

from collections.abc import Iterable

from openaisle.messages import TruthTick


def shoppers_present(ticks: Iterable[TruthTick]) -> dict[str, int]:
    """The most shoppers (staff apart) who were in the shop at once during each visit."""
    most: dict[str, int] = {}
    for tick in ticks:
        inside = [shopper.visit for shopper in tick.shoppers if not shopper.staff]
        for visit in inside:
            most[visit] = max(most.get(visit, 0), len(inside))
    return most
