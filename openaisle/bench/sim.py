"""Speed of simulated recordings: how many seconds of a store one core simulates, renders, encodes and writes a second.

Times are of the processor, not of the clock on the wall, summed over all threads of the process: what one core would
need by itself, whoever else is using the machine.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from openaisle.messages import NANOSECONDS, VideoFrame
from openaisle.recording.reader import open_recording
from openaisle.sim.record import simulate
from openaisle.sim.scenario import Scenario
from openaisle.sim.source import SimulatedStore
from openaisle.sim.stores import open_store
from openaisle.store.store import Store

STORE, SEED = "random:corner", 850_005  # 8 cameras, 145 products
VISIT_EVERY_S = 20.0  # three to five people are inside at any time


@dataclass(slots=True)
class Spent:
    """Seconds that a piece of work took."""

    cpu_s: float = 0.0
    wall_s: float = 0.0


@contextmanager
def spent() -> Iterator[Spent]:
    """Measure the block: processor time of all threads, and wall time."""
    out = Spent()
    cpu, wall = time.process_time(), time.perf_counter()
    yield out
    out.cpu_s, out.wall_s = time.process_time() - cpu, time.perf_counter() - wall


def busy_day(seconds: float) -> Scenario:
    """A steady stream of shoppers and now and then staff, for as long as wanted."""
    visits, rounds = max(1, round(seconds / VISIT_EVERY_S)), round(seconds / 300)
    gap = (VISIT_EVERY_S / 2, VISIT_EVERY_S * 3 / 2)
    return Scenario(
        name="busy-day", duration_s=seconds, shoppers=(visits, visits), arrival_s=gap, staff=(rounds, rounds)
    )


def sim_speed(seconds: float = 60.0, store: str = STORE, seed: int = SEED) -> dict[str, object]:
    """Figures of the whole way to disk and of its parts; x = seconds of store time per second of one core."""
    opened = open_store(store, seed)
    with TemporaryDirectory() as folder:
        simulate(opened, busy_day(6.0), seed, Path(folder) / "warm")  # compiles and fills caches
        memory = _Memory()
        with spent() as whole:
            manifest = simulate(opened, busy_day(seconds), seed, Path(folder) / "rec", progress=memory.look)
        stream_s = (manifest.end_ns - manifest.start_ns) / NANOSECONDS
        with spent() as reading:
            frames = sum(isinstance(m, VideoFrame) for m in open_recording(Path(folder) / "rec"))
    with spent() as rendering:
        rendered_s = _run(opened, seconds, seed, video=True)
    with spent() as engine:
        engine_s = _run(opened, seconds, seed, video=False)
    return {
        "store": store,
        "cameras": len(opened.spec.cameras),
        "scales": len(opened.spec.scales),
        "products": len(opened.products),
        "seconds_of_store_time": round(stream_s, 1),
        "pictures": frames,
        "to_disk_x_per_core": round(stream_s / whole.cpu_s, 1),
        "to_disk_x_on_the_wall": round(stream_s / whole.wall_s, 1),
        "without_disk_x_per_core": round(rendered_s / rendering.cpu_s, 1),
        "without_pictures_x_per_core": round(engine_s / engine.cpu_s, 1),
        "reading_back_x_per_core": round(stream_s / reading.cpu_s, 1),
        "bytes_per_second": round(sum(f.bytes for f in manifest.files) / stream_s),
        "memory_mb": round(memory.last_mb),
        "memory_growth_mb": round(memory.growth_mb, 1),
    }


def _run(store: Store, seconds: float, seed: int, *, video: bool) -> float:
    """Simulate without writing; seconds of store time."""
    source = SimulatedStore(store, busy_day(seconds), seed, video=video, truth=False)
    for _ in source:
        pass
    return (source.time_ns - source.start_ns) / NANOSECONDS


class _Memory:
    """Resident memory (Linux) while a simulation runs; growth from a third of its time to its end."""

    def __init__(self) -> None:
        self._early_mb = 0.0
        self.last_mb = 0.0

    def look(self, now_s: float, total_s: float) -> None:
        """Called once per simulated second."""
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        self.last_mb = pages * os.sysconf("SC_PAGE_SIZE") / 1e6
        if now_s <= total_s / 3 or self._early_mb == 0.0:
            self._early_mb = self.last_mb

    @property
    def growth_mb(self) -> float:
        """Megabytes between a third of the time and the end."""
        return self.last_mb - self._early_mb
