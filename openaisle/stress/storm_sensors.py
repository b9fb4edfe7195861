"""The storm's scales and gates: real MQTT into the shop's intake, and what it has acknowledged against its journal.

They play the day's messages while processes are killed, at the day's own pace and again from the start if it is over
too soon. Devices number and keep what they send until the intake says that it is stored; what it said so of must be in
the journal at the end, once. By its rules an intake drops what reaches it half a minute late, and says so by the same
word: a message acknowledged later than that is counted, and not judged. The worker plays the recording, not this.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType

from openaisle.messages import GateEvent, ScaleBatch
from openaisle.recording.files import Logged
from openaisle.recording.journal import last_messages
from openaisle.recording.reader import Recording, open_recording
from openaisle.sensors.payload import Address
from openaisle.sensors.sequence import GIVE_UP_NS
from openaisle.sim.hardware.shop import FakeShop, Ports, recorded, write_settings

Name = tuple[str, int]  # sensor, number of its message
QUIET_S = 30.0  # for the last messages to be asked for, stored and acknowledged
LOOK_S = 0.05
ALL_NS = 1 << 60


@dataclass(frozen=True, slots=True)
class Kept:
    """What became of the sensors' messages."""

    acknowledged: int
    late: int  # acknowledged when they were so old that the intake may have dropped them
    lost: tuple[str, ...]  # acknowledged in time, and not in the journal
    doubled: tuple[str, ...]  # twice in the journal


class Sensors:
    """A context in which scales and gates speak; raises MissingExtraError (live extra) when it is entered."""

    def __init__(self, recording: Path, ports: tuple[int, int]) -> None:
        self._day: Recording = open_recording(recording, check=False)
        store = self._day.store
        blind = replace(store, spec=store.spec.model_copy(update={"cameras": ()}))  # pictures are not kept for ever
        self._shop = FakeShop(blind, Ports(rtsp=ports[0], mqtt=ports[1]))
        self._shop.devices.on_stored = self._stored
        self._acknowledged: dict[Name, bool] = {}  # whether it was so late that it may have been dropped
        self._open, self._stop, self._quiet_s = threading.Event(), threading.Event(), QUIET_S
        self._failed: list[BaseException] = []
        self._thread = threading.Thread(target=self._run, daemon=True)

    def settings(self, folder: Path) -> Path:
        """A sensors.yaml that leads here."""
        return write_settings(folder, self._shop.settings_yaml())

    def __enter__(self) -> Sensors:
        """They are at the broker, and measure nothing yet."""
        self._thread.start()
        while not self._shop.devices.connected.is_set() and self._thread.is_alive():
            time.sleep(LOOK_S)
        if self._failed:
            raise self._failed[0]
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        """They are gone."""
        self.stop(0.0)

    def open(self) -> None:
        """Let them measure: somebody hears the first message. What is numbered before that is nobody's to keep."""
        self._open.set()

    def stop(self, quiet_s: float = QUIET_S) -> None:
        """Measure no more; what was measured may still be stored for so long. Then the devices are gone."""
        self._quiet_s = quiet_s
        self._stop.set()
        self._thread.join()

    def judge(self, journal: Path) -> Kept:
        """What was acknowledged, against the journal of an intake that has ended; raises what stopped the devices."""
        if self._failed:
            raise self._failed[0]
        return judged(self._acknowledged, [one.message for one in last_messages(journal, ALL_NS)])

    def _stored(self, address: Address, message: dict[str, object]) -> None:
        events = message.get("events")
        times = [message] if events is None else events
        assert isinstance(times, list), "as the devices make it"
        measured_ns = min(int(one["time_ns"]) for one in times)
        late = time.time_ns() - measured_ns > GIVE_UP_NS
        self._acknowledged[f"{address.kind} {address.sensor}", int(str(message["seq"]))] = late

    def _run(self) -> None:
        try:
            asyncio.run(self._shop.run(self._scene))
        except Exception as error:  # raised again where somebody waits
            self._failed.append(error)

    async def _scene(self) -> None:
        while not self._open.is_set() and not self._stop.is_set():
            await asyncio.sleep(LOOK_S)
        playing = asyncio.create_task(self._play())
        while not self._stop.is_set():
            if playing.done():
                playing.result()
                playing = asyncio.create_task(self._play())
            await asyncio.sleep(LOOK_S)
        playing.cancel()
        end_s = time.monotonic() + self._quiet_s
        while self._shop.devices.waiting() and time.monotonic() < end_s:
            await asyncio.sleep(LOOK_S)

    async def _play(self) -> None:
        await self._shop.play(self._messages())

    def _messages(self) -> Iterator[Logged]:
        return (one for one in recorded(self._day) if isinstance(one.message, ScaleBatch | GateEvent))


def judged(acknowledged: Mapping[Name, bool], journal: Iterable[object]) -> Kept:
    """Acknowledged messages (True: too late to be judged) against those of a journal; each tells of one thing."""
    found: Counter[Name] = Counter()
    for message in journal:
        if isinstance(message, ScaleBatch):
            found[f"scale {message.scale}", message.seq] += 1
        elif isinstance(message, GateEvent):
            found[f"gate {message.gate}", message.seq] += 1
    lost = sorted(name for name, late in acknowledged.items() if not late and not found[name])
    doubled = sorted(name for name, count in found.items() if count > 1)
    named = [tuple(f"{sensor} {number}" for sensor, number in names) for names in (lost, doubled)]
    return Kept(len(acknowledged), sum(acknowledged.values()), *named)
