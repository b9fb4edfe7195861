"""Simulate to disk: a store, a scenario and a seed become a recording with truth, or nothing at all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from openaisle.messages import NANOSECONDS
from openaisle.recording.manifest import Manifest, Origin, split_of
from openaisle.recording.writer import whole_recording
from openaisle.sim.scenario import Scenario
from openaisle.sim.source import Quality, SimulatedStore
from openaisle.store.store import Store

Progress = Callable[[float, float], None]  # seconds of store time simulated, seconds the scenario asks for


def simulate(
    store: Store,
    scenario: Scenario,
    seed: int,
    out: Path | str,
    *,
    quality: Quality = "fast",
    pixels: bool = False,
    progress: Progress | None = None,
) -> Manifest:
    """Write the recording `out`; the same arguments give the same files, byte for byte.

    `progress` is called once per simulated second. `pixels` adds ids and depth of every pixel to the truth. Raises
    RecordingError when the folder exists or cannot be written; on any failure, ctrl-C included, nothing is left.
    """
    origin = Origin(
        source="simulated",
        store=store.spec.name,
        scenario=scenario.name,
        seed=seed,
        split=split_of(seed),
        quality=quality,
    )
    source = SimulatedStore(store, scenario, seed, quality=quality, pixels=pixels)
    told_s = 0
    with whole_recording(out, store, origin=origin, pixels=pixels) as writer:
        for message in source:
            for truth in source.truth_until(source.time_ns):
                writer.write(truth)
            writer.write(message)
            now_s = (source.time_ns - source.start_ns) // NANOSECONDS
            if progress is not None and now_s > told_s:
                told_s = now_s
                progress(float(now_s), scenario.duration_s)
        for truth in source.truth_until(source.time_ns):
            writer.write(truth)
    return writer.manifest
