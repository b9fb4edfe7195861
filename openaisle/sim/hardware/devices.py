"""Devices: scales and gates that are not there, on a real broker, as docs/sensors.md wants them.

Each numbers its messages from 0, keeps them until it is told that they are stored, and sends again what is asked for.
`Mischief` is what networks do to messages; what a device's own clock says is up to `clock_error_ns`.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import numpy as np
from pydantic import ValidationError

from openaisle.errors import MissingExtraError
from openaisle.messages import NANOSECONDS, GateEvent, ScaleBatch
from openaisle.sensors.link import first_of
from openaisle.sensors.payload import Address, Resend, Stored
from openaisle.sensors.settings import Mqtt

HEARTBEAT_S = 1.0  # of gates
KEPT = 2000  # messages, when nobody says that they are stored
LONGEST_DELAY_S = 0.6  # of a message that overtakes others
AGAIN_S = 0.2  # before the next try to connect
Send = Callable[[str, bytes], Awaitable[None]]


@dataclass
class Mischief:
    """What happens to messages on their way: shares of them."""

    duplicated: float = 0.0
    reordered: float = 0.0
    lost: float = 0.0
    rng: np.random.Generator = field(default_factory=lambda: np.random.Generator(np.random.PCG64(0)))

    async def deliver(self, send: Send, topic: str, data: bytes) -> None:
        """Send a message, or twice, or late, or not."""
        if self.rng.random() < self.lost:
            return
        for _ in range(2 if self.rng.random() < self.duplicated else 1):
            if self.rng.random() < self.reordered:
                await asyncio.sleep(float(self.rng.uniform(0.0, LONGEST_DELAY_S)))
            await send(topic, data)


@dataclass
class _Device:
    address: Address
    device_id: str
    boot_id: int
    sent: int = 0
    kept: dict[int, dict[str, object]] = field(default_factory=dict)  # by seq, until stored

    def number(self, body: dict[str, object]) -> dict[str, object]:
        """A new message."""
        body = {"device_id": self.device_id, "boot_id": self.boot_id, "seq": self.sent, **body}
        self.kept[self.sent] = body
        self.sent += 1
        while len(self.kept) > KEPT:
            del self.kept[next(iter(self.kept))]
        return body

    def forget(self, through: int) -> list[dict[str, object]]:
        """What need not be kept any more."""
        return [self.kept.pop(seq) for seq in [seq for seq in self.kept if seq <= through]]


class FakeDevices:
    """All scales and gates of a store behind one connection; `run` it, then `send` what they measure."""

    def __init__(self, settings: Mqtt, gates: tuple[str, ...] = (), mischief: Mischief | None = None) -> None:
        self._settings, self._mischief = settings, mischief or Mischief()
        self._boot_id = time.time_ns() // 1_000_000
        self._devices: dict[tuple[str, str], _Device] = {}
        self._outgoing: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue()
        self._tasks: set[asyncio.Task[None]] = set()
        self.connected = asyncio.Event()
        self.clock_error_ns: dict[str, int] = {}  # by sensor: how far its clock is ahead
        self.repeated = 0
        self.on_stored: Callable[[Address, dict[str, object]], None] = lambda address, message: None
        for gate in gates:
            self._device("gate", gate, gate)

    def send(self, message: ScaleBatch | GateEvent) -> None:
        """What a device has measured; without a connection it keeps it, and is asked for it later."""
        if isinstance(message, ScaleBatch):
            device = self._device("scale", message.scale, message.device_id or message.scale)
            grams = [None if value != value else round(float(value), 3) for value in message.grams.tolist()]
            body: dict[str, object] = {"rate_hz": message.rate_hz, "grams": grams, "time_ns": message.time_ns}
        else:
            device = self._device("gate", message.gate, message.gate)
            body = {"events": [{"time_ns": message.time_ns, "kind": message.kind, "visit": message.visit}]}
        error_ns = self.clock_error_ns.get(device.address.sensor, 0)
        if error_ns and "time_ns" in body:
            body["time_ns"] = message.time_ns + error_ns
        self._post(device, device.number(body))

    def waiting(self) -> int:
        """Messages of which nobody has said that they are stored."""
        return sum(len(device.kept) for device in self._devices.values())

    def reboot(self, sensor: str) -> None:
        """A scale loses power for a moment, and all that it kept."""
        device = self._devices["scale", sensor]
        device.boot_id, device.sent, device.kept = device.boot_id + 1, 0, {}

    async def run(self) -> None:
        """Keep the connection until cancelled."""
        try:
            import aiomqtt
        except ImportError as error:
            raise MissingExtraError("aiomqtt", "live") from error
        host, port = self._settings.address
        while True:
            try:
                async with aiomqtt.Client(
                    host, port, username=self._settings.username or None, password=self._settings.password or None,
                    tls_context=self._settings.context(), keepalive=5, timeout=5,
                ) as client:  # fmt: skip
                    for word in ("resend", "stored"):
                        await client.subscribe(f"{self._settings.prefix}/+/+/{word}")
                    self.connected.set()
                    await first_of(self._listen(client.messages), self._speak(client.publish), self._heartbeats())
            except (aiomqtt.MqttError, OSError):
                await asyncio.sleep(AGAIN_S)
            finally:
                self.connected.clear()
                while not self._outgoing.empty():
                    self._outgoing.get_nowait()

    def _device(self, kind: str, sensor: str, device_id: str) -> _Device:
        address = Address("scale" if kind == "scale" else "gate", sensor)
        return self._devices.setdefault((kind, sensor), _Device(address, device_id, self._boot_id))

    def _post(self, device: _Device, body: dict[str, object]) -> None:
        if not self.connected.is_set():
            return
        sent_ns = time.time_ns() + self.clock_error_ns.get(device.address.sensor, 0)
        data = json.dumps({**body, "sent_ns": sent_ns}).encode()
        topic = device.address.topic(self._settings.prefix)
        task = asyncio.create_task(self._mischief.deliver(self._queue, topic, data))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _queue(self, topic: str, data: bytes) -> None:
        if self.connected.is_set():
            self._outgoing.put_nowait((topic, data))

    async def _listen(self, messages: object) -> None:
        async for message in messages:  # type: ignore[attr-defined]  # aiomqtt's, an optional package
            _, kind, sensor, word = str(message.topic).rsplit("/", 3)
            device = self._devices.get((kind, sensor))
            if device is None:
                continue
            try:
                if word == "stored":
                    stored = Stored.model_validate_json(message.payload)
                    if stored.boot_id == device.boot_id:
                        for body in device.forget(stored.through):
                            self.on_stored(device.address, body)
                else:
                    self._again(device, Resend.model_validate_json(message.payload))
            except ValidationError:
                continue

    def _again(self, device: _Device, asked: Resend) -> None:
        if asked.boot_id != device.boot_id:
            return
        for seq in range(asked.first, min(asked.last, device.sent) + 1):
            if seq in device.kept:
                self.repeated += 1
                self._post(device, device.kept[seq])

    async def _speak(self, publish: Callable[..., Awaitable[None]]) -> None:
        while True:
            topic, data = await self._outgoing.get()
            await publish(topic, data, qos=0)

    async def _heartbeats(self) -> None:
        while True:
            await asyncio.sleep(HEARTBEAT_S)
            for (kind, _), device in self._devices.items():
                if kind == "gate":
                    numbers = {"device_id": device.device_id, "boot_id": device.boot_id, "seq": device.sent - 1}
                    self._post(device, {**numbers, "events": []})


def due_ns(message: ScaleBatch | GateEvent, log_ns: int) -> int:
    """When a device sends a message: not before it has measured all of it."""
    if isinstance(message, ScaleBatch):
        return max(log_ns, message.time_ns + round(len(message.grams) * NANOSECONDS / message.rate_hz))
    return max(log_ns, message.time_ns)
