"""Days: shoppers without end: simulated days one after the other on one clock, their truth beside them.

The first minutes are recorded with their truth, for the film. Every day has another seed, so other shoppers with names
of their own; between two days nobody is there, and the shelves are full again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from openaisle.messages import (
    NANOSECONDS,
    GateEvent,
    Message,
    ScaleBatch,
    Truth,
    TruthReceipt,
    VideoFrame,
    VideoPacket,
)
from openaisle.recording.files import Logged
from openaisle.recording.manifest import Origin, split_of
from openaisle.recording.video import Encoder
from openaisle.recording.writer import RecordingWriter, whole_recording
from openaisle.sim.engine import START_NS
from openaisle.sim.scenario import Scenario
from openaisle.sim.source import SimulatedStore
from openaisle.store.load import load_store

# Shelves are filled soon after the last shopper has gone: half a minute later the worker begins a new run, which looks
# back by 20 s and so sees nothing but full shelves (service/worker.py).
BETWEEN_S = 40.0


@dataclass(frozen=True)
class Plan:
    """What happens in the shop."""

    store: Path  # a store folder
    name: str  # how the store was asked for
    scenario: Scenario
    seed: int
    endless: bool  # false: one day
    recording: Path
    record_s: float  # of the first day, from its begin


class Days:
    """Iterate once; `tell` gets the truth of every visit when it is over; `close` completes the recording."""

    def __init__(self, plan: Plan, tell: Callable[[TruthReceipt], None]) -> None:
        self.store = load_store(plan.store)
        self._plan, self._tell = plan, tell
        self._fps = {camera.id: camera.fps for camera in self.store.spec.cameras}
        self._encoders: dict[str, Encoder] = {}
        self._stack = ExitStack()
        self._writer: RecordingWriter | None = None

    def messages(self) -> Iterator[Logged]:
        """What sensors say, as it would be delivered."""
        origin = Origin(
            source="simulated", store=self._plan.name, scenario=self._plan.scenario.name, seed=self._plan.seed,
            split=split_of(self._plan.seed),
        )  # fmt: skip
        self._writer = self._stack.enter_context(whole_recording(self._plan.recording, self.store, origin=origin))
        number, start_ns = 0, START_NS
        while number == 0 or self._plan.endless:
            scenario = self._plan.scenario
            if number:
                scenario = scenario.model_copy(update={"quiet_s": (BETWEEN_S, scenario.quiet_s[1])})
            source = SimulatedStore(self.store, scenario, self._plan.seed + number, start_ns=start_ns)
            for message in source:
                self._truth(source.truth_until(source.time_ns))
                yield from self._logged(message, number)
            self._truth(source.truth_until(source.time_ns))
            start_ns = source.time_ns + NANOSECONDS
            number += 1
        self.close()

    def close(self) -> None:
        """Nothing more is recorded; what was is complete."""
        self._writer = None
        self._stack.close()

    def _logged(self, message: Message, day: int) -> Iterator[Logged]:
        if isinstance(message, VideoFrame):
            encoder = self._encoders.setdefault(message.camera, Encoder(message.camera, self._fps[message.camera]))
            message = encoder.encode(message)
        elif isinstance(message, ScaleBatch):
            message = replace(message, boot_id=1 + day)  # it counts from 0 again
        if isinstance(message, VideoPacket | ScaleBatch | GateEvent):
            self._record(message)
            yield Logged(message.time_ns, message)

    def _truth(self, told: list[Truth]) -> None:
        for truth in told:
            self._record(truth)
            if isinstance(truth, TruthReceipt):
                self._tell(truth)

    def _record(self, message: Message | Truth) -> None:
        if self._writer is None:
            return
        if message.time_ns > START_NS + self._plan.record_s * NANOSECONDS:
            self.close()
        else:
            self._writer.write(message)


def first_pictures(plan: Plan) -> Iterator[Logged]:
    """The begin of the first day, for cameras that must know their first picture before it begins."""
    days = Days(replace(plan, record_s=-1.0), lambda _: None)
    source = SimulatedStore(days.store, plan.scenario, plan.seed, truth=False)
    for message in source:
        yield from days._logged(message, 0)
