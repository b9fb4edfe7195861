"""Source: what a worker listens to: a recording, the simulator, or the journal of the shop's sensors; and the API.

The same run gives the same messages again, so that a worker that was killed can take it up: what has been in the ledger
before passes as fast as it can, the rest keeps to the clock. A journal is followed as it grows; a run over it ends by
itself where nothing was heard for a minute.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import select

from openaisle.messages import NANOSECONDS, GateEvent, ScaleBatch, SensorState, VideoFrame, VideoPacket
from openaisle.recording.journal import follow
from openaisle.recording.reader import open_recording
from openaisle.recording.video import Decoder, Encoder
from openaisle.service.desk import Desk
from openaisle.service.tables import Passage, Run
from openaisle.sim.scenario import load_scenario
from openaisle.sim.source import SimulatedStore
from openaisle.store.store import Store
from openaisle.tokens.tick import Sensed

SIM = "sim"  # sim:SCENARIO in the run's source
LIVE = "live"  # live:JOURNAL
SILENCE_NS = 60 * NANOSECONDS  # the service was off
NAP_S = 0.25  # longest sleep, so that a stop is noticed
LOOK_NS = NANOSECONDS // 5  # stream time between two looks for passages


def messages_of(run: Run, store: Store, go_on: Callable[[], bool] = lambda: True) -> Iterator[Sensed]:
    """A run's sensor messages, pictures decoded; raises RecordingError, ScenarioError."""
    kind, _, rest = run.source.partition(":")
    if kind == LIVE:
        return _journalled(store, Path(rest), run.start_ns, go_on)
    if kind == SIM:
        return _simulated(store, rest, run.seed, run.start_ns)
    recording = open_recording(Path(run.source), check=False)
    return (message for message in recording.messages() if not isinstance(message, VideoPacket))


def _journalled(store: Store, folder: Path, start_ns: int, go_on: Callable[[], bool]) -> Iterator[Sensed]:
    """What the sensors told from an instant on, as it comes, until a minute is missing."""
    sizes = {camera.id: (camera.height_px, camera.width_px) for camera in store.spec.cameras}
    decoders = {camera: Decoder(size) for camera, size in sizes.items()}
    last_ns = 0
    for logged in follow(folder, start_ns, go_on):
        message = logged.message
        if not last_ns:  # ticks begin with whole seconds, whoever speaks first
            yield SensorState("", "", logged.log_ns - logged.log_ns % NANOSECONDS, "")
        elif logged.log_ns - last_ns > SILENCE_NS:
            return
        last_ns = logged.log_ns
        if isinstance(message, VideoPacket):
            picture = decoders[message.camera].decode(message) if message.camera in decoders else None
            if picture is not None:
                yield picture
        elif isinstance(message, ScaleBatch | GateEvent | SensorState):
            yield message


def _simulated(store: Store, scenario: str, seed: int, start_ns: int) -> Iterator[Sensed]:
    """The simulator's messages with pictures through H.264, as cameras send them and networks know them."""
    fps = {camera.id: camera.fps for camera in store.spec.cameras}
    encoders: dict[str, Encoder] = {}
    decoders: dict[str, Decoder] = {}
    for message in SimulatedStore(store, load_scenario(scenario), seed, truth=False, start_ns=start_ns):
        if isinstance(message, VideoFrame):
            camera = message.camera
            packet = encoders.setdefault(camera, Encoder(camera, fps[camera])).encode(message)
            picture = decoders.setdefault(camera, Decoder()).decode(packet)
            if picture is not None:
                yield picture
        elif not isinstance(message, VideoPacket):
            yield message


@dataclass
class Pace:
    """Holds a stream to the wall clock at `speed` (0 = as fast as it goes), after what is being caught up."""

    speed: float
    caught_up_ns: int
    go_on: Callable[[], bool]
    behind_s: float = 0.0  # by how much the last message was late
    _first_ns: int = 0
    _began_s: float = 0.0

    def keep(self, messages: Iterable[Sensed]) -> Iterator[Sensed]:
        """The messages when they are due, until told to stop."""
        for message in messages:
            self._wait(message.time_ns)
            if not self.go_on():
                return
            yield message

    def _wait(self, time_ns: int) -> None:
        if self.speed <= 0 or time_ns <= self.caught_up_ns:
            return
        if not self._first_ns:
            self._first_ns, self._began_s = time_ns, time.monotonic()
        due_s = self._began_s + (time_ns - self._first_ns) / NANOSECONDS / self.speed
        self.behind_s = max(0.0, time.monotonic() - due_s)
        while (ahead_s := due_s - time.monotonic()) > 0 and self.go_on():
            time.sleep(min(ahead_s, NAP_S))


@dataclass
class Passages:
    """Entries and exits that the API was told of, in the stream at the instant that they were first put there."""

    desk: Desk
    run: str
    caught_up_ns: int
    leaving: list[tuple[int, str]] = field(default_factory=list)  # (stream time, visit) of exits by name
    names: set[str] = field(default_factory=set)  # visits that the API opened, as the pipeline knows them
    _stamped: list[Passage] = field(default_factory=list)
    _looked_ns: int = 0

    def __post_init__(self) -> None:
        with self.desk.database.read() as session:
            query = select(Passage).where(Passage.run == self.run, Passage.time_ns > 0)
            self._stamped = list(session.scalars(query.order_by(Passage.time_ns, Passage.id)))

    def join(self, messages: Iterable[Sensed]) -> Iterator[Sensed]:
        """The messages with the passages among them."""
        for message in messages:
            yield from self._until(message.time_ns)
            yield message

    def _until(self, time_ns: int) -> Iterator[GateEvent]:
        if time_ns > self.caught_up_ns and time_ns - self._looked_ns >= LOOK_NS:
            self._looked_ns = time_ns
            self._stamped += self._stamp(time_ns)
        while self._stamped and self._stamped[0].time_ns <= time_ns:
            passage = self._stamped.pop(0)
            if passage.kind == "exit" and passage.visit:
                self.leaving.append((passage.time_ns, passage.visit))
            else:
                self.names |= {passage.visit} - {""}
                yield GateEvent(passage.gate, passage.time_ns, passage.kind, passage.visit)

    def _stamp(self, time_ns: int) -> list[Passage]:
        """New passages, which from now on belong to this instant of the stream."""
        fresh = select(Passage).where(Passage.run == self.run, Passage.time_ns == 0).order_by(Passage.id)
        with self.desk.database.read() as session:
            if session.scalars(fresh.limit(1)).first() is None:
                return []
        with self.desk.database.write() as session:
            found = list(session.scalars(fresh))
            for passage in found:
                passage.time_ns = time_ns
        return found
