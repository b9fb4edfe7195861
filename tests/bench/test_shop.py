"""What the benchmark knows of a stream: who was in the shop."""

from __future__ import annotations

from openaisle.bench.shop import shoppers_present
from openaisle.messages import Activity, ShopperTruth, TruthTick


def person(visit: str, staff: bool = False) -> ShopperTruth:
    origin = (0.0, 0.0, 0.0)
    return ShopperTruth("p", visit, "", staff, (0.0, 0.0), 0.0, origin, origin, origin, Activity.STAND)


def test_shoppers_present_counts_people_but_not_staff() -> None:
    ticks = [
        TruthTick(0, (person("v1"),)),
        TruthTick(1, (person("v1"), person("v2"), person("v2"), person("", staff=True))),
        TruthTick(2, (person("v3"),)),
    ]
    assert shoppers_present(ticks) == {"v1": 3, "v2": 3, "v3": 1}
