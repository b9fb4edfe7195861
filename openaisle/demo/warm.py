"""Warm: compiles the renderer's inner loops into numba's cache, so that the first demo does not wait for it."""

from __future__ import annotations

import time

from openaisle.sim.scenario import Scenario
from openaisle.sim.source import SimulatedStore
from openaisle.sim.stores import open_store

SHORT = Scenario(name="warm-up", duration_s=6.0, shoppers=(1, 1), arrival_s=(0.5, 0.5), picks=(1, 1))


def warm_up() -> float:
    """Simulate a few seconds of a small shop; returns the seconds it took."""
    began = time.monotonic()
    for _ in SimulatedStore(open_store("random:kiosk", 0), SHORT, 0, truth=False):
        pass
    return time.monotonic() - began


if __name__ == "__main__":
    print(f"renderer ready after {warm_up():.0f} s")
