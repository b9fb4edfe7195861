"""Shop: a recording or a live simulation, played on real RTSP and MQTT at the pace at which it happens.

All times are moved by whole seconds, so that what was recorded happens now. Cameras send the recorded H.264 as it is;
scales and gates send what was recorded when it was delivered, and not before it was measured.
"""

from __future__ import annotations

import asyncio
import heapq
import time
from collections.abc import Callable, Coroutine, Iterable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import yaml

from openaisle.messages import NANOSECONDS, GateEvent, ScaleBatch, SensorState, VideoFrame, VideoPacket
from openaisle.recording.files import Logged
from openaisle.recording.reader import Recording
from openaisle.recording.video import Encoder
from openaisle.sensors.link import first_of
from openaisle.sensors.settings import Mqtt
from openaisle.sim.hardware.broker import embedded_broker
from openaisle.sim.hardware.devices import FakeDevices, Mischief, due_ns
from openaisle.sim.hardware.rtsp import RtspServer
from openaisle.sim.scenario import Scenario
from openaisle.sim.source import SimulatedStore
from openaisle.store.store import Store

AHEAD_NS = 2 * NANOSECONDS  # of the clock, that is read of the source
NAP_S = 0.01
Sent = VideoPacket | ScaleBatch | GateEvent


@dataclass(frozen=True)
class Ports:
    """Where the hardware is; `broker` is one that runs already, None = one of our own."""

    host: str = "127.0.0.1"
    rtsp: int = 18554
    mqtt: int = 18830
    broker: Mqtt | None = None

    @property
    def settings(self) -> Mqtt:
        """The broker's."""
        return self.broker or Mqtt(host=self.host, port=self.mqtt)


class FakeShop:
    """A store's hardware at its addresses: `open` it, then `play`."""

    def __init__(self, store: Store, ports: Ports, mischief: Mischief | None = None) -> None:
        self.store, self.ports = store, ports
        self.cameras = RtspServer(frozenset(camera.id for camera in store.spec.cameras))
        gates = tuple(gate.id for gate in store.spec.gates)
        self.devices = FakeDevices(ports.settings, gates, mischief)
        self.shift_ns = 0

    def settings_yaml(self) -> str:
        """A sensors.yaml that leads here."""
        mqtt = self.ports.settings.model_dump(exclude_defaults=True, exclude={"password"})
        cameras = {
            camera.id: f"rtsp://{self.ports.host}:{self.cameras.port or self.ports.rtsp}/{camera.id}"
            for camera in self.store.spec.cameras
        }
        return yaml.safe_dump({"mqtt": mqtt, "cameras": cameras}, sort_keys=False)

    async def run(self, play: Callable[[], Coroutine[object, object, None]]) -> None:
        """Open everything, do something, close everything."""
        async with AsyncExitStack() as stack:
            if self.ports.broker is None:
                await stack.enter_async_context(embedded_broker(self.ports.host, self.ports.mqtt))
            await self.cameras.start(self.ports.host, self.ports.rtsp)
            stack.push_async_callback(self.cameras.stop)
            await first_of(self.devices.run(), play())

    async def play(self, messages: Iterable[Logged], begin_ns: int | None = None) -> None:
        """Play a stream once; its first whole second is at `begin_ns`, by default the next one but one."""
        waiting: list[tuple[int, int, Sent]] = []
        stream = iter(messages)
        first = await asyncio.to_thread(next, stream, None)
        if first is None:
            return
        start_ns = begin_ns if begin_ns is not None else time.time_ns() + AHEAD_NS
        self.shift_ns = (start_ns - first.log_ns) // NANOSECONDS * NANOSECONDS
        coming: Logged | None = first
        number = 0
        while coming is not None or waiting:
            now_ns = time.time_ns()
            while coming is not None and coming.log_ns + self.shift_ns <= now_ns + AHEAD_NS:
                message = coming.message
                if isinstance(message, VideoPacket | ScaleBatch | GateEvent):
                    moved = replace(message, time_ns=message.time_ns + self.shift_ns)
                    log_ns = coming.log_ns + self.shift_ns
                    at_ns = log_ns if isinstance(moved, VideoPacket) else due_ns(moved, log_ns)
                    heapq.heappush(waiting, (at_ns, number, moved))
                    number += 1
                coming = await asyncio.to_thread(next, stream, None)
            while waiting and waiting[0][0] <= now_ns:
                self._send(heapq.heappop(waiting)[2])
            await asyncio.sleep(NAP_S)

    def _send(self, message: Sent) -> None:
        if isinstance(message, VideoPacket):
            self.cameras.publish(message)
        else:
            self.devices.send(message)

    def prime(self, messages: Iterable[Logged]) -> None:
        """Let cameras know their first picture, so that clients can connect before the shop opens."""
        waiting = set(self.cameras.cameras)
        for logged in messages:
            packet = logged.message
            if isinstance(packet, VideoPacket) and packet.keyframe and packet.camera in waiting:
                self.cameras.publish(packet)
                waiting.discard(packet.camera)
            if not waiting:
                return


def recorded(recording: Recording) -> Iterator[Logged]:
    """A recording's messages, as they were delivered."""
    return recording.logged("sensors")


def simulated(store: Store, scenario: Scenario, seed: int) -> Iterator[Logged]:
    """A simulation's messages, pictures as cameras code them; simulated as fast as they are asked for."""
    fps = {camera.id: camera.fps for camera in store.spec.cameras}
    encoders: dict[str, Encoder] = {}
    for message in SimulatedStore(store, scenario, seed, truth=False):
        if isinstance(message, VideoFrame):
            encoder = encoders.setdefault(message.camera, Encoder(message.camera, fps[message.camera]))
            yield Logged(message.time_ns, encoder.encode(message))
        elif not isinstance(message, SensorState):
            yield Logged(message.time_ns, message)


def write_settings(folder: Path, text: str) -> Path:
    """sensors.yaml in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "sensors.yaml"
    path.write_text(text, encoding="utf-8")
    return path
