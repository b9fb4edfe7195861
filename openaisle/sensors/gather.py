"""Gather: what all sensors of a store deliver, in whatever order, becomes one stream in order of time; pure, no clock.

In: messages as they arrive, with the time of arrival. Out: messages for the journal, what to ask devices for again, and
what to tell them is stored. The stream runs as far as every sensor that is online has told, waits `wait_s` at most for
one that is slower, and a little longer where messages are known to be missing. What comes later than that is put in all
the same, out of turn, when it is not older than half a minute; whoever reads must bear it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from openaisle.messages import NANOSECONDS, GateEvent, ScaleBatch, SensorState, VideoFrame, VideoPacket
from openaisle.sensors.clock import Bound, SensorClock
from openaisle.sensors.health import Health, Limits, Repeats, State
from openaisle.sensors.memory import ClockKnown, Known
from openaisle.sensors.payload import Address, Passages, Resend, Samples, Stored, Told
from openaisle.sensors.sequence import GIVE_UP_NS, Sequence, Verdict
from openaisle.sensors.source import Reorder
from openaisle.store.store import Store

Gathered = VideoPacket | VideoFrame | ScaleBatch | GateEvent | SensorState
SETTLE_NS = 3 * NANOSECONDS // 20  # messages of one instant come within this, whoever is first
CLOCK_TICK_NS = NANOSECONDS // 10  # the stream tells the time so often, so that nobody waits for the next message
REMIND_NS = 10 * NANOSECONDS  # states of sensors that are not online are told again, for who reads from the middle
FUTURE_NS = 5 * NANOSECONDS  # a time further ahead is a mistake


@dataclass
class Device:
    """What is known of one sensor."""

    health: Health
    clock: SensorClock = field(default_factory=SensorClock)
    repeats: Repeats = field(default_factory=Repeats)
    sequences: dict[str, Sequence] = field(default_factory=dict)  # by device id: hardware may be replaced
    device_id: str = ""  # who spoke last
    late: int = 0  # came after their place in the stream had passed
    dropped: int = 0  # half a minute late and more, or from the future
    refused: int = 0  # could not be read
    next_ns: int | None = None  # when the next message begins, on the sensor's clock
    hold_ns: int | None = None  # what came up to here is whole; something is missing after it
    boot_id: int = -1
    last_seq: int = -1
    before_jump: tuple[int, int] = (-1, 0)  # messages before this seq were dated with this correction
    pending: set[tuple[int, int]] = field(default_factory=set)  # (boot, seq) of what waits for its place

    @property
    def sequence(self) -> Sequence:
        """Of the device that spoke last."""
        return self.sequences.setdefault(self.device_id, Sequence())


@dataclass
class Gatherer:
    """All sensors of a store."""

    store: Store
    wait_s: float = 1.0
    limits: Limits = field(default_factory=Limits)
    devices: dict[tuple[str, str], Device] = field(default_factory=dict)  # by kind and id
    unknown: int = 0  # messages of sensors that the store does not have
    told_ns: int = 0  # the stream is complete up to here
    _wait: Reorder[Gathered] = field(default_factory=lambda: Reorder(0))
    _late: list[Gathered] = field(default_factory=list)
    _spoken_ns: int = 0
    _reminded_ns: int = 0
    _rests_until_ns: int = 0

    def __post_init__(self) -> None:
        spec = self.store.spec
        for kind, sensors in (("camera", spec.cameras), ("scale", spec.scales)):
            for sensor in sensors:
                self.devices[kind, sensor.id] = Device(Health(kind, sensor.id, self.limits))
        for gate in spec.gates:
            self.devices["gate", gate.id] = Device(Health("gate", gate.id, self.limits))
        self._periods_ns = {camera.id: round(NANOSECONDS / camera.fps) for camera in spec.cameras}

    # --- in ------------------------------------------------------------------------------------------------------

    def told(self, address: Address, messages: Iterable[Told], now_ns: int) -> None:
        """Messages of a scale or a gate."""
        device = self.devices.get((address.kind, address.sensor))
        if device is None:
            self.unknown += 1
            return
        for message in messages:
            device.device_id = message.device_id
            if isinstance(message, Passages) and not message.events:
                device.health.heard(now_ns, now_ns)
                device.sequence.expect(message.boot_id, message.seq, now_ns)
                continue
            verdict = device.sequence.take(message.boot_id, message.seq, now_ns)
            if verdict == Verdict.KNOWN:
                continue
            if isinstance(message, Samples):
                self._samples(device, message, now_ns)
            else:
                self._passages(device, message, now_ns)

    def picture(self, packet: VideoPacket | VideoFrame, now_ns: int) -> None:
        """A camera's picture, its time already UTC."""
        device = self.devices["camera", packet.camera]
        device.health.heard(now_ns, packet.time_ns)
        self._put(device, packet, now_ns)

    def trouble(self, kind: str, sensor: str, state: State | None, since_ns: int, words: str = "") -> None:
        """A sensor delivers, but nothing of use (or again)."""
        health = self.devices[kind, sensor].health
        if state != health.trouble:
            health.trouble, health.trouble_ns = state, since_ns
        health.words = words

    def refused(self, address: Address, words: str) -> None:
        """A message that could not be read."""
        device = self.devices.get((address.kind, address.sensor))
        if device is None:
            self.unknown += 1
            return
        device.refused += 1
        device.health.words = words

    def wait_for(self, until_ns: int) -> None:
        """Let the stream rest until then: the broker, through which many speak, is away or has just come back."""
        self._rests_until_ns = until_ns

    def remember(self, known: Iterable[Known]) -> None:
        """What the intake before has left of devices (memory.py); before the journal is recalled."""
        for one in known:
            device = self.devices.get((one.kind, one.sensor))
            if device is None:
                continue
            device.device_id = one.device_id
            device.sequence.remember(one.boot_id, one.through)
            if one.clock is not None:
                device.boot_id, device.last_seq, device.next_ns = one.boot_id, one.clock.last_seq, one.clock.next_ns
                device.clock.correction_ns = one.clock.correction_ns
                device.clock.bound = Bound(one.clock.bound_at_ns, one.clock.bound_error_ns)

    def recall(self, messages: Iterable[object]) -> None:
        """What the journal holds: it is not taken in twice, and what is missing after it is known."""
        for message in messages:
            if isinstance(message, VideoPacket | ScaleBatch | GateEvent | SensorState):
                self.told_ns = max(self.told_ns, message.time_ns)
            if isinstance(message, ScaleBatch):
                device = self.devices.get(("scale", message.scale))
                end_ns = message.time_ns + round(len(message.grams) * NANOSECONDS / message.rate_hz)
            elif isinstance(message, GateEvent):
                device, end_ns = self.devices.get(("gate", message.gate)), message.time_ns
            else:
                continue
            if device is not None and message.device_id:
                device.device_id = message.device_id
                device.sequence.recall(message.boot_id, message.seq, message.time_ns)
                device.health.data_ns = max(device.health.data_ns, end_ns)

    # --- out -----------------------------------------------------------------------------------------------------

    def release(self, now_ns: int) -> list[Gathered]:
        """What goes into the journal now, in order: what came too late for its place first."""
        self._look(now_ns)
        rests = now_ns < self._rests_until_ns
        end_ns = self.told_ns if rests else max(self.told_ns, self._complete_ns(now_ns))
        out = [*self._late, *self._wait.pop_until(end_ns - 1)]
        self._late.clear()
        for message in out:
            if isinstance(message, ScaleBatch | GateEvent):
                self._device_of(message).pending.discard((message.boot_id, message.seq))
        if end_ns - self._spoken_ns >= CLOCK_TICK_NS:
            out.append(SensorState("", "", end_ns, ""))
            self._spoken_ns = end_ns
        self.told_ns = end_ns
        return out

    def resends(self, now_ns: int) -> Iterator[tuple[Address, Resend]]:
        """What devices are asked for again."""
        for (kind, sensor), device in self.devices.items():
            if kind != "camera":
                device.sequence.give_up(now_ns)
                for span in device.sequence.ask(now_ns):
                    address = Address("scale" if kind == "scale" else "gate", sensor)
                    yield address, Resend(boot_id=span.boot_id, first=span.first, last=span.last)

    def stored(self) -> Iterator[tuple[Address, Stored]]:
        """What devices may forget, of all that was taken in; true once the journal has what `release` gave."""
        for (kind, sensor), device in self.devices.items():
            through = device.sequence.through() if kind != "camera" else None
            if through is not None:
                waiting = [seq - 1 for boot_id, seq in device.pending if boot_id == through.boot_id]
                stored = Stored(boot_id=through.boot_id, through=min([through.last, *waiting]))
                yield Address("scale" if kind == "scale" else "gate", sensor), stored

    def known(self) -> Iterator[Known]:
        """For the next intake; true once the journal has what `release` gave."""
        for address, stored in self.stored():
            device = self.devices[address.kind, address.sensor]
            clock, bound = None, device.clock.bound
            if device.boot_id == stored.boot_id and device.next_ns is not None and bound is not None:
                followed = device.last_seq, device.next_ns, device.clock.correction_ns
                clock = ClockKnown(*followed, bound.at_ns, bound.error_ns)
            yield Known(address.kind, address.sensor, device.device_id, stored.boot_id, stored.through, clock)

    # --- inside --------------------------------------------------------------------------------------------------

    def _samples(self, device: Device, message: Samples, now_ns: int) -> None:
        follows = message.boot_id != device.boot_id or message.seq > device.last_seq
        time_ns = self._date(device, message, now_ns) if follows else _date_back(device, message)
        end_ns = time_ns + message.length_ns
        if device.sequence.missing() and device.hold_ns is None:
            device.hold_ns = device.health.data_ns
        if not device.sequence.missing():
            device.hold_ns = None
        grams = message.floats()
        if not _in_time(time_ns, now_ns):
            device.health.words = "its times cannot be true"
        elif (grams == grams).any():
            device.health.heard(now_ns, end_ns)
        else:
            device.health.words = "it sends no reading"
        if follows:
            since_ns = device.repeats.see(grams, time_ns, message.length_ns)
            words = f"it repeats {float(grams[-1]):g} g" if since_ns else ""
            self.trouble("scale", device.health.sensor, State.STUCK if since_ns else None, since_ns, words)
        batch = ScaleBatch(
            device.health.sensor, time_ns, message.rate_hz, grams, message.device_id, message.boot_id, message.seq
        )
        self._put(device, batch, now_ns)

    def _date(self, device: Device, message: Samples, now_ns: int) -> int:
        """UTC of a message that is newer than those before it."""
        expected_ns = None
        if device.next_ns is not None and message.boot_id == device.boot_id:
            expected_ns = device.next_ns + (message.seq - device.last_seq - 1) * message.length_ns
        jumps, before_ns = device.clock.jumps, device.clock.correction_ns
        time_ns = device.clock.utc(message.time_ns, message.sent_ns, now_ns, expected_ns)
        if device.clock.jumps > jumps:
            device.before_jump = message.seq, before_ns
        elif message.boot_id != device.boot_id:
            device.before_jump = -1, 0
        device.next_ns = message.time_ns + message.length_ns
        device.boot_id, device.last_seq = message.boot_id, message.seq
        return time_ns

    def _passages(self, device: Device, message: Passages, now_ns: int) -> None:
        sent_ns = message.sent_ns
        device.health.heard(now_ns, now_ns)
        for passage in message.events:
            time_ns = device.clock.utc(passage.time_ns, sent_ns, now_ns)
            number = (message.device_id, message.boot_id, message.seq)
            event = GateEvent(device.health.sensor, time_ns, passage.kind, passage.visit, *number)
            if time_ns < self.told_ns and now_ns - time_ns <= GIVE_UP_NS:
                device.late += 1
                event = replace(event, time_ns=self.told_ns)  # nobody who came in may be lost: they come in now
            self._put(device, event, now_ns)

    def _put(self, device: Device, message: VideoPacket | VideoFrame | ScaleBatch | GateEvent, now_ns: int) -> None:
        if not _in_time(message.time_ns, now_ns):
            device.dropped += 1
        elif message.time_ns < self.told_ns:
            device.late += 1
            self._late.append(message)
        else:
            self._wait.push(message)
            if isinstance(message, ScaleBatch | GateEvent):
                device.pending.add((message.boot_id, message.seq))

    def _device_of(self, message: ScaleBatch | GateEvent) -> Device:
        key = ("scale", message.scale) if isinstance(message, ScaleBatch) else ("gate", message.gate)
        return self.devices[key]

    def _look(self, now_ns: int) -> None:
        remind = now_ns - self._reminded_ns >= REMIND_NS
        if remind:
            self._reminded_ns = now_ns
        for (kind, _), device in self.devices.items():
            if kind == "gate":  # silent for as long as nobody comes
                continue
            news = device.health.look(now_ns)
            if news is None and remind and device.health.state != State.ONLINE:
                news = device.health.tell(now_ns)
            if news is not None:
                self._wait.push(news)

    def _complete_ns(self, now_ns: int) -> int:
        """Up to when everything has come, as far as it is waited for."""
        end_ns = now_ns - SETTLE_NS
        least_ns = now_ns - round(self.wait_s * NANOSECONDS)
        for (kind, sensor), device in self.devices.items():
            if kind == "gate" or device.health.state in (State.WAITING, State.OFFLINE):
                continue
            if kind == "scale" and device.hold_ns is not None and device.sequence.holds(now_ns):
                end_ns = min(end_ns, device.hold_ns)
            else:
                reach_ns = device.health.data_ns + (self._periods_ns.get(sensor, 0) // 2 if kind == "camera" else 0)
                end_ns = min(end_ns, max(reach_ns, least_ns))
        return end_ns


def _date_back(device: Device, message: Samples) -> int:
    """UTC of a message that comes after newer ones."""
    first, before_ns = device.before_jump
    return message.time_ns + (before_ns if message.seq < first else device.clock.correction_ns)


def _in_time(time_ns: int, now_ns: int) -> bool:
    """Whether a measurement may still be put into the stream."""
    return now_ns - GIVE_UP_NS <= time_ns <= now_ns + FUTURE_NS
