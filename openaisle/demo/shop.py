"""Shop: a process of its own that simulates a store, records it, and sends its messages to whoever runs the model."""

from __future__ import annotations

import multiprocessing
import queue
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import TracebackType

from openaisle.errors import OpenAisleError
from openaisle.messages import NANOSECONDS, Message, VideoFrame, VideoPacket
from openaisle.recording.manifest import Origin, split_of
from openaisle.recording.video import Decoder, Encoder
from openaisle.recording.writer import RecordingWriter, whole_recording
from openaisle.sim.scenario import Scenario
from openaisle.sim.source import SimulatedStore
from openaisle.sim.stores import open_store
from openaisle.store.store import Store
from openaisle.tokens.tick import Sensed

AHEAD = 400  # messages that the simulation may run ahead of the model
PATIENCE_S = 1.0  # between two looks whether the simulation is still alive


@dataclass(frozen=True)
class Play:
    """What is simulated."""

    store: str
    scenario: Scenario
    seed: int
    folder: Path  # recording


@dataclass(frozen=True, slots=True)
class Failure:
    """The last thing a simulation sends that could not go on."""

    text: str


class Shop:
    """A context in which the simulation runs; `messages` are its sensors, pictures through H.264 as in a recording."""

    def __init__(self, play: Play) -> None:
        context = multiprocessing.get_context("spawn")  # a fork would copy threads of numba and of the runtime
        self._queue: multiprocessing.Queue[Message | Failure | None] = context.Queue(AHEAD)
        self._process: BaseProcess = context.Process(target=_simulate, args=(play, self._queue), daemon=True)

    def __enter__(self) -> Shop:
        self._process.start()
        return self

    def messages(self, pace: float) -> Iterator[Sensed]:
        """Sensor messages in order, at `pace` store seconds per second (0 = as fast as they come).

        Raises OpenAisleError when the simulation fails.
        """
        decoders: dict[str, Decoder] = {}
        clock = _Clock(pace)
        while (message := self._next()) is not None:
            clock.wait(message.time_ns)
            if isinstance(message, VideoPacket):
                picture = decoders.setdefault(message.camera, Decoder()).decode(message)
                if picture is not None:
                    yield picture
            else:
                yield message
        self._process.join()

    def _next(self) -> Message | None:
        while True:
            try:
                message = self._queue.get(timeout=PATIENCE_S)
            except queue.Empty:
                if not self._process.is_alive():
                    raise OpenAisleError(f"the simulation ended early (exit code {self._process.exitcode})") from None
                continue
            if isinstance(message, Failure):
                raise OpenAisleError(message.text)
            return message

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.is_alive():
            self._process.terminate()
        self._process.join()


@dataclass
class _Clock:
    """Holds a stream of messages to the wall clock."""

    pace: float
    first_ns: int | None = None
    began_s: float = 0.0

    def wait(self, time_ns: int) -> None:
        """Sleep until the instant is due; late messages pass at once."""
        if self.pace <= 0:
            return
        if self.first_ns is None:
            self.first_ns, self.began_s = time_ns, time.monotonic()
        ahead_s = (time_ns - self.first_ns) / NANOSECONDS / self.pace - (time.monotonic() - self.began_s)
        if ahead_s > 0:
            time.sleep(ahead_s)


def _simulate(play: Play, out: multiprocessing.Queue[Message | Failure | None]) -> None:
    """The child process: simulate, encode, record, send."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # leave nothing half-written when told to stop
    try:
        store = open_store(play.store, play.seed)
        origin = Origin(
            source="simulated", store=play.store, scenario=play.scenario.name, seed=play.seed, split=split_of(play.seed)
        )
        with whole_recording(play.folder, store, origin=origin) as writer:
            for message in _record(store, play, writer):
                out.put(message)
        out.put(None)
    except KeyboardInterrupt:
        return  # the parent got it as well, and says so
    except OpenAisleError as error:
        out.put(Failure(str(error)))


def _record(store: Store, play: Play, writer: RecordingWriter) -> Iterator[Message]:
    """Every message after it has been given to the writer; truth goes to the writer only."""
    fps = {camera.id: camera.fps for camera in store.spec.cameras}
    encoders: dict[str, Encoder] = {}
    source = SimulatedStore(store, play.scenario, play.seed)
    for message in source:
        for truth in source.truth_until(source.time_ns):
            writer.write(truth)
        if isinstance(message, VideoFrame):
            encoder = encoders.setdefault(message.camera, Encoder(message.camera, fps[message.camera]))
            message = encoder.encode(message)
        writer.write(message)
        yield message
    for truth in source.truth_until(source.time_ns):
        writer.write(truth)
