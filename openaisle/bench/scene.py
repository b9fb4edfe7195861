"""The scene of a case: the shop as it is, the shop as a system is told that it is, and the messages of both."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from openaisle.bench.axes import Axis, axis, sensed
from openaisle.bench.suites import Case
from openaisle.messages import Message
from openaisle.recording.manifest import Manifest, Origin, split_of
from openaisle.recording.writer import whole_recording
from openaisle.sim.scenario import load_scenario
from openaisle.sim.source import SimulatedStore
from openaisle.sim.stores import open_store
from openaisle.store.store import Store


@dataclass(frozen=True)
class Scene:
    """A case, ready to be played once."""

    case: Case
    shop: SimulatedStore
    told: Store
    axis: Axis

    def messages(self) -> Iterator[Message]:
        """What the sensors send."""
        return sensed(self.axis, self.shop, self.case.seed)


def scene_of(case: Case, *, video: bool = True) -> Scene:
    """The scene of a case; the same case gives the same scene, bit for bit."""
    changed = axis(case.axis)
    store = changed.store(open_store(case.store, case.seed), case.seed)
    scenario = changed.scenario(load_scenario(case.scenario))
    shop = SimulatedStore(changed.real(store, case.seed), scenario, case.seed, video=video)
    return Scene(case, shop, changed.told(store, case.seed), changed)


def record_scene(scene: Scene, out: Path, *, truth: bool = True) -> Manifest:
    """Write what the sensors send as the recording `out`, with the truth beside it unless that is not wanted."""
    case, shop = scene.case, scene.shop
    origin = Origin(
        source="simulated", store=scene.told.spec.name, scenario=shop.simulation.scenario.name, seed=case.seed,
        split=split_of(case.seed), quality="fast",
    )  # fmt: skip
    with whole_recording(out, scene.told, origin=origin) as writer:
        for message in scene.messages():
            for told in shop.truth_until(shop.time_ns):
                if truth:
                    writer.write(told)
            writer.write(message)
        for told in shop.truth_until(shop.time_ns) if truth else ():
            writer.write(told)
    return writer.manifest
