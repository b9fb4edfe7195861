"""Intake: the process that listens to a shop's cameras and scales: on disk first, then acknowledged.

Threads read (one per camera, one for the broker) and put what comes into a queue; this one thread orders it
(gather.py), writes it into the journal, commits, and only then tells devices what they may forget. The worker follows
the journal. So a kill of either loses nothing that was acknowledged: devices repeat what was not, and the worker reads
the same again.
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Callable
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Event, Thread

from openaisle.errors import RecordingError, SensorError
from openaisle.messages import NANOSECONDS, VideoFrame, VideoPacket
from openaisle.recording.journal import JournalWriter, last_messages
from openaisle.sensors import memory
from openaisle.sensors.camera import CameraReader, CameraWord
from openaisle.sensors.gather import Device, Gatherer
from openaisle.sensors.health import State
from openaisle.sensors.link import Arrival, Link, LinkWord
from openaisle.sensors.payload import Stored, address_of, read
from openaisle.sensors.settings import SensorSettings
from openaisle.service.room import free_bytes
from openaisle.store.load import store_hash
from openaisle.store.store import Store

LOG = logging.getLogger(__name__)
HEALTH = "sensors.json"  # in the data folder, for people, the dashboard and tests
ROUND_S = 0.05
COMMIT_NS = NANOSECONDS // 10
RETRY_NS = NANOSECONDS  # between two tries to write on a full disk
STORED_NS = NANOSECONDS // 2
TELL_NS = NANOSECONDS
KEEP_NS = NANOSECONDS  # between two notes of what is known of devices
RECALL_NS = 90 * NANOSECONDS  # of the journal, at the start: what memory.py does not hold is younger
START_NS, OUTAGE_NS, BACK_NS = 3 * NANOSECONDS, 10 * NANOSECONDS, 3 * NANOSECONDS  # how long the stream rests, at most
LOW_BYTES = 300 << 20  # of free disk: pictures are not kept any more
DISK_NS = NANOSECONDS
DISK_WORDS = "the disk is full: pictures are not kept"


def journal_folder(data: Path, store: Store) -> Path:
    """Where a store's journal is; another store, or another state of it, has another one."""
    return data / "journal" / store_hash(store)[:12]


class Intake:
    """One shop's sensors."""

    def __init__(
        self,
        store: Store,
        settings: SensorSettings,
        folder: Path,
        data: Path,
        clock: Callable[[], int] = time.time_ns,
        low_bytes: int = LOW_BYTES,
    ) -> None:
        self._low_bytes = low_bytes
        self._settings, self._data, self._folder, self._clock = settings, data, folder, clock
        self.gatherer = Gatherer(store, settings.wait_s, settings.limits)
        self._journal = JournalWriter(folder, store)
        self.gatherer.remember(memory.kept(folder))
        self.gatherer.recall(logged.message for logged in last_messages(folder, RECALL_NS))
        self._queue: SimpleQueue[Arrival | LinkWord | VideoPacket | VideoFrame | CameraWord] = SimpleQueue()
        self._stop = Event()
        self.link = Link(settings.mqtt, self._queue.put, self._stop) if settings.mqtt is not None else None
        cameras = {camera.id: camera for camera in store.spec.cameras}
        ca_file = settings.camera_tls.ca_file if settings.camera_tls is not None else ""
        self._readers = [
            CameraReader(cameras[name], url, self._queue.put, self._stop, clock, ca_file)
            for name, url in settings.cameras.items()
        ]
        self._broker = LinkWord(False, "not connected yet")
        self._low_disk = False
        self._stalled = False  # the journal cannot be written: what comes is kept in memory and not acknowledged
        self._dark: set[str] = set()  # cameras whose pictures were not kept, until their next key frame
        self._acknowledged: dict[tuple[str, str], Stored] = {}
        self._due_ns = {"commit": 0, "known": 0, "stored": 0, "health": 0, "disk": 0}
        self._look_at_disk()  # before the first picture

    def run(self, go_on: Callable[[], bool]) -> None:
        """Until told to stop."""
        threads = [Thread(target=reader.run, daemon=True, name=reader.spec.id) for reader in self._readers]
        if self.link is not None:
            threads.append(Thread(target=self.link.run, daemon=True, name="broker"))
        self.gatherer.wait_for(self._clock() + (START_NS if self.link is not None else 0))
        for thread in threads:
            thread.start()
        try:
            while go_on():
                self.round()
                if not all(thread.is_alive() for thread in threads):
                    raise SystemExit("a reader has died")  # by our mistake: the supervisor starts us again
        finally:
            self._stop.set()
            try:
                self._journal.close()
            except RecordingError as error:
                LOG.error("%s", error)

    def round(self) -> None:
        """Take in what has come, and work on it; about every 50 ms."""
        self._take_in()
        self.settle()

    def settle(self) -> None:
        """Write what is complete, then tell devices."""
        now_ns = self._clock()
        for message in self.gatherer.release(now_ns):
            self._journal.append(message)
        if self._due("commit", now_ns, RETRY_NS if self._stalled else COMMIT_NS) and self._committed():
            if self._due("known", now_ns, KEEP_NS):
                memory.keep(self._folder, tuple(self.gatherer.known()))
            self._tell_devices(now_ns)
        if self._due("health", now_ns, TELL_NS):
            self._tell_health(now_ns)
        if self._due("disk", now_ns, DISK_NS):
            self._look_at_disk()

    # --- in ------------------------------------------------------------------------------------------------------

    def _take_in(self) -> None:
        end_s = time.monotonic() + ROUND_S
        while (left_s := end_s - time.monotonic()) > 0:
            try:
                self.take(self._queue.get(timeout=left_s))
            except Empty:
                return

    def take(self, came: Arrival | LinkWord | VideoPacket | VideoFrame | CameraWord) -> None:
        """One thing that a reader has read."""
        match came:
            case Arrival():
                self._message(came)
            case LinkWord():
                if came.up != self._broker.up:
                    self.gatherer.wait_for(self._clock() + (BACK_NS if came.up else OUTAGE_NS))
                if came != self._broker:  # once, not with every try
                    LOG.warning("broker: %s", came.words or "connected")
                self._broker = came
            case CameraWord():
                state = State.FROZEN if came.frozen_ns else None
                self.gatherer.trouble("camera", came.camera, state, came.frozen_ns, came.words)
            case _:
                self._picture(came)

    def _picture(self, came: VideoPacket | VideoFrame) -> None:
        """Where there is little room, scales and gates, which are small, go on; who was there is told of blindness."""
        if self._low_disk:
            self._dark.add(came.camera)
            self.gatherer.trouble("camera", came.camera, None, 0, DISK_WORDS)
            return
        if came.camera in self._dark:
            if isinstance(came, VideoPacket) and not came.keyframe:
                return  # it changes a picture that is not there
            self._dark.discard(came.camera)
            self.gatherer.trouble("camera", came.camera, None, 0)
        self.gatherer.picture(came, self._clock())

    def _message(self, came: Arrival) -> None:
        assert self._settings.mqtt is not None, "arrivals come from a broker"
        address = address_of(self._settings.mqtt.prefix, came.topic)
        if address is None:
            return
        try:
            self.gatherer.told(address, read(address, came.data), came.arrived_ns)
        except SensorError as error:
            self.gatherer.refused(address, str(error))

    # --- out -----------------------------------------------------------------------------------------------------

    def _committed(self) -> bool:
        """Commit; False while there is no room: the journal keeps what it was given, nothing is acknowledged."""
        try:
            self._journal.commit()
        except RecordingError as error:
            if not self._stalled:
                LOG.error("%s", error)
            self._stalled = True
            self._look_at_disk()
            return False
        if self._stalled:
            LOG.warning("the journal goes on")
        self._stalled = False
        return True

    def _look_at_disk(self) -> None:
        low = self._stalled or free_bytes(self._folder) < self._low_bytes
        if low != self._low_disk:
            LOG.warning("disk: %s", DISK_WORDS if low else "there is room again")
        self._low_disk = low

    def _due(self, what: str, now_ns: int, every_ns: int) -> bool:
        if now_ns - self._due_ns[what] < every_ns and now_ns >= self._due_ns[what]:
            return False
        self._due_ns[what] = now_ns
        return True

    def _tell_devices(self, now_ns: int) -> None:
        """Right after a commit: what is stored, and what is missing."""
        if self.link is None or self._settings.mqtt is None:
            return
        prefix = self._settings.mqtt.prefix
        for address, resend in self.gatherer.resends(now_ns):
            self.link.send(address.topic(prefix, "resend"), resend.model_dump_json().encode())
        if not self._due("stored", now_ns, STORED_NS):
            return
        for address, stored in self.gatherer.stored():
            key = address.kind, address.sensor
            if self._acknowledged.get(key) != stored and stored.through >= 0:
                self._acknowledged[key] = stored
                self.link.send(address.topic(prefix, "stored"), stored.model_dump_json().encode())

    def _tell_health(self, now_ns: int) -> None:
        """sensors.json (docs/sensors.md)."""
        offsets = {("camera", reader.spec.id): reader.offset_ns for reader in self._readers}
        known = {
            "at_ns": now_ns,
            "broker": {"up": self._broker.up, "words": self._broker.words} if self.link is not None else None,
            "told_ns": self.gatherer.told_ns,
            "lag_s": round((now_ns - self.gatherer.told_ns) / NANOSECONDS, 3),
            "low_disk": self._low_disk,
            "unknown": self.gatherer.unknown,
            "sensors": [
                _row(device, offsets.get(key, device.clock.offset_ns)) for key, device in self.gatherer.devices.items()
            ],
        }
        partial = self._data / (HEALTH + ".partial")
        try:
            partial.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")
            os.replace(partial, self._data / HEALTH)
        except OSError:  # the disk is full, of which the log tells; readers see how old the last one is
            partial.unlink(missing_ok=True)


def _row(device: Device, offset_ns: int) -> dict[str, object]:
    health, sequence = device.health, device.sequence
    return {
        "kind": health.kind, "sensor": health.sensor, "state": health.state.value, "since_ns": health.since_ns,
        "words": health.words, "seen_ns": health.seen_ns, "data_ns": health.data_ns, "messages": health.messages,
        "late": device.late, "dropped": device.dropped, "refused": device.refused, "lost": sequence.lost,
        "missing": sequence.missing(), "duplicates": sequence.duplicates, "asked": sequence.asked,
        "clock_offset_ms": round(offset_ns / 1e6, 1), "clock_jumps": device.clock.jumps,
    }  # fmt: skip
