"""A shop's sensors in virtual time: devices that number, keep and repeat, over a network that does what networks do.

Plays a stream into an intake without sockets or threads. A kill is a copy of what is on disk at that moment, with which
a new intake goes on; so nothing that was only in memory survives.
"""

from __future__ import annotations

import heapq
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from openaisle.messages import NANOSECONDS, GateEvent, ScaleBatch, VideoFrame, VideoPacket
from openaisle.recording.journal import last_messages
from openaisle.sensors.camera import CameraWord
from openaisle.sensors.link import Arrival, LinkWord
from openaisle.sensors.payload import Address, Resend, Stored
from openaisle.sensors.settings import Mqtt, SensorSettings
from openaisle.service.intake import Intake
from openaisle.sim.hardware.devices import due_ns
from openaisle.store.store import Store
from openaisle.tokens.tick import Sensed

STEP_NS = NANOSECONDS // 10
SETTINGS = SensorSettings(mqtt=Mqtt(host="nowhere"), wait_s=1.0)
PREFIX = "openaisle"
Came = Arrival | LinkWord | VideoPacket | VideoFrame | CameraWord


def noisy_film(seconds: float, start_ns: int, cameras: tuple[str, ...] = ("a", "b")) -> list[VideoFrame]:
    """Pictures of a grey room at 5 Hz, with the noise of live cameras."""
    rng = np.random.Generator(np.random.PCG64(5))
    return [
        VideoFrame(camera, start_ns + i * 200_000_000, rng.normal(90, 6, (128, 160, 3)).clip(0, 255).astype(np.uint8))
        for i in range(round(seconds * 5))
        for camera in cameras
    ]


@dataclass
class Weather:
    """Shares of messages, and what clocks say."""

    duplicated: float = 0.0
    reordered: float = 0.0
    lost: float = 0.0
    outage: tuple[float, float] = (0.0, 0.0)  # seconds of the stream without a broker
    clock_error_ns: Callable[[str, int], int] = lambda sensor, now_ns: 0  # of a sensor at an instant


@dataclass
class VirtualShop:
    """Everything that speaks, and the intake that listens."""

    store: Store
    folder: Path  # of journals, one for each life of the intake
    sent: list[Sensed]
    weather: Weather = field(default_factory=Weather)
    now_ns: int = 0
    lives: int = 0
    stored: dict[str, int] = field(default_factory=dict)  # sensor → through, as it was told
    requests: int = 0
    _rng: np.random.Generator = field(default_factory=lambda: np.random.Generator(np.random.PCG64(3)))
    _coming: list[tuple[int, int, Came]] = field(default_factory=list)
    _kept: dict[tuple[str, int], dict[str, object]] = field(default_factory=dict)
    _count: int = 0

    def __post_init__(self) -> None:
        self.start_ns = min(message.time_ns for message in self.sent)
        self.now_ns = self.start_ns - 2 * NANOSECONDS
        numbers: dict[str, int] = {}
        due = [(self._due(message), number, message) for number, message in enumerate(self.sent)]
        for at_ns, _, message in sorted(due, key=lambda row: row[:2]):
            if isinstance(message, VideoFrame):
                self._push(at_ns, message)
            elif isinstance(message, ScaleBatch | GateEvent):
                name = message.scale if isinstance(message, ScaleBatch) else message.gate
                seq = numbers[name] = numbers.get(name, -1) + 1
                self._keep(name, seq, message, at_ns)
                self._travel(name, seq, at_ns)
        self.intake = self._new_intake(self.folder / "life0")

    @property
    def journal(self) -> Path:
        """Of the present life."""
        return self.folder / f"life{self.lives}"

    def play(self, until_s: float) -> None:
        """Go on until so many seconds of the stream have passed."""
        end_ns = self.start_ns + round(until_s * NANOSECONDS)
        out_ns = [self.start_ns + round(at * NANOSECONDS) for at in self.weather.outage]
        while self.now_ns < end_ns:
            before_ns, self.now_ns = self.now_ns, self.now_ns + STEP_NS
            if out_ns[1] > out_ns[0]:
                for at_ns, up in zip(out_ns, (False, True), strict=True):
                    if before_ns < at_ns <= self.now_ns:
                        self.intake.take(LinkWord(up))
            while self._coming and self._coming[0][0] <= self.now_ns:
                self.intake.take(heapq.heappop(self._coming)[2])
            self.intake.settle()

    def close_the_day(self) -> None:
        """Let everything arrive, then nothing for more than a minute, which ends a run."""
        self.play((max(message.time_ns for message in self.sent) - self.start_ns) / NANOSECONDS + 6.0)
        self.now_ns += 90 * NANOSECONDS
        for _ in range(3):
            self.now_ns += STEP_NS
            self.intake.settle()

    def kill(self, away_s: float = 2.0) -> None:
        """kill -9, and a new intake a little later; what comes meanwhile is lost unless it is asked for."""
        self.lives += 1
        shutil.copytree(self.folder / f"life{self.lives - 1}", self.journal)
        self.now_ns += round(away_s * NANOSECONDS)
        while self._coming and self._coming[0][0] <= self.now_ns:
            heapq.heappop(self._coming)
        self.intake = self._new_intake(self.journal)

    def send(self, topic: str, data: bytes) -> None:
        """What the intake tells devices."""
        _, kind, name, word = topic.split("/")
        assert kind in ("scale", "gate")
        if word == "stored":
            told = Stored.model_validate_json(data)
            assert told.boot_id == 7
            self.stored[name] = max(self.stored.get(name, -1), told.through)
            for seq in range(told.through + 1):
                self._kept.pop((name, seq), None)
            return
        asked = Resend.model_validate_json(data)
        self.requests += 1
        for seq in range(asked.first, asked.last + 1):
            if (name, seq) in self._kept:
                self._travel(name, seq, self.now_ns + 80_000_000)

    def journalled(self) -> list[tuple[str, int]]:
        """(sensor, seq) of all scale messages on disk."""
        found = [one.message for one in last_messages(self.journal, 1 << 60)]
        return [(message.scale, message.seq) for message in found if isinstance(message, ScaleBatch)]

    def _new_intake(self, folder: Path) -> Intake:
        intake = Intake(self.store, SETTINGS, folder, self.folder, lambda: self.now_ns)
        intake.link = self  # type: ignore[assignment]  # it only ever sends
        intake.take(LinkWord(True))
        return intake

    def _due(self, message: Sensed) -> int:
        return due_ns(message, message.time_ns) if isinstance(message, ScaleBatch | GateEvent) else message.time_ns

    def _keep(self, name: str, seq: int, message: ScaleBatch | GateEvent, at_ns: int) -> None:
        error_ns = self.weather.clock_error_ns(name, message.time_ns)
        head: dict[str, object] = {"device_id": f"esp-{name}", "boot_id": 7, "seq": seq}
        if isinstance(message, ScaleBatch):
            grams = [None if value != value else float(value) for value in message.grams]
            body = {"time_ns": message.time_ns + error_ns, "rate_hz": message.rate_hz, "grams": grams}
        else:
            passage = {"time_ns": message.time_ns + error_ns, "kind": message.kind, "visit": message.visit}
            body = {"events": [passage]}
        self._kept[name, seq] = {**head, **body}

    def _travel(self, name: str, seq: int, at_ns: int) -> None:
        """A message leaves its device and arrives, once, twice, late, or not."""
        weather, rng = self.weather, self._rng
        after_s = (at_ns - self.start_ns) / NANOSECONDS
        if rng.random() < weather.lost or weather.outage[0] <= after_s < weather.outage[1]:
            return
        scale = name.startswith("w")
        address = Address("scale" if scale else "gate", name)
        body = {**self._kept[name, seq], "sent_ns": at_ns + weather.clock_error_ns(name, at_ns)}
        for _ in range(2 if rng.random() < weather.duplicated else 1):
            delay_s = float(rng.uniform(0, 0.6)) if rng.random() < weather.reordered else float(rng.uniform(0, 0.02))
            arrived_ns = at_ns + round(delay_s * NANOSECONDS)
            self._push(arrived_ns, Arrival(address.topic(PREFIX), json.dumps(body).encode(), arrived_ns))

    def _push(self, at_ns: int, came: Came) -> None:
        heapq.heappush(self._coming, (at_ns, self._count, came))
        self._count += 1


def moved(sent: list[Sensed], by_ns: int) -> list[Sensed]:
    """A stream at another time."""
    return [replace(message, time_ns=message.time_ns + by_ns) for message in sent]
