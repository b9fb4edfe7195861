"""Hardware: the process in which the demo's shop is open: cameras and scales on real RTSP and MQTT, or in a journal.

Another process simulates ahead of it as far as it can, so that a busy machine does not make sensors late. Where ports
are refused, or the packages for them are missing, what sensors say goes straight into the service's journal, as the
intake would write it.
"""

from __future__ import annotations

import asyncio
import ctypes
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from multiprocessing.process import BaseProcess
from multiprocessing.sharedctypes import Synchronized
from multiprocessing.synchronize import Event
from pathlib import Path
from queue import Empty, Full

from openaisle.demo.days import Days, Plan, first_pictures
from openaisle.errors import OpenAisleError
from openaisle.messages import NANOSECONDS, GateEvent, ScaleBatch, TruthReceipt, VideoPacket
from openaisle.recording.files import Logged
from openaisle.recording.journal import JournalWriter
from openaisle.sim.engine import START_NS
from openaisle.sim.hardware.shop import FakeShop, Ports
from openaisle.store.load import load_store
from openaisle.store.store import Store

AHEAD = 15_000  # messages that are simulated before they are due: two minutes of a kiosk
WAIT_S = 0.2  # longest sleep, so that a stop is noticed
COMMIT_S = 0.1
LAST_S = 3.0  # after the last message: what is asked for once more
STOP_S = 10.0  # to complete the recording
DEATH_SIGNAL = 1  # prctl's PR_SET_PDEATHSIG


@dataclass(frozen=True, slots=True)
class Began:
    """The shop is open: what was simulated for an instant happens so much later."""

    shift_ns: int


@dataclass(frozen=True, slots=True)
class Closed:
    """Nothing more comes; `problem` is why, when it was not meant to end."""

    problem: str = ""


Told = Began | Closed | TruthReceipt
Coming = Logged | None  # None: that was all


class Hardware:
    """A context in which the shop's hardware is there; `open` lets shoppers in."""

    def __init__(self, plan: Plan, ports: Ports | None, journal: Path) -> None:
        context = multiprocessing.get_context("spawn")  # a fork would copy threads of numba and of the runtime
        self._told: multiprocessing.Queue[Told] = context.Queue()
        self._coming: multiprocessing.Queue[Coming] = context.Queue(AHEAD)  # kept: its semaphores go with it
        self._signs = Signs(context.Event(), context.Event(), context.Event(), context.Value("q", 0))
        simulation = (plan, self._coming, self._told, self._signs)
        hardware = (plan, ports, journal, self._coming, self._told, self._signs)
        self._processes: list[BaseProcess] = [
            context.Process(target=_simulate, args=simulation, daemon=True, name="simulation"),
            context.Process(target=_hardware, args=hardware, daemon=True, name="hardware"),
        ]
        self._ended = False

    def __enter__(self) -> Hardware:
        for process in self._processes:
            process.start()
        return self

    @property
    def ready(self) -> bool:
        """Whether whoever listens can connect."""
        return self._signs.ready.is_set()

    @property
    def ahead_s(self) -> float:
        """How much is simulated before the shop opens; infinite for all of it."""
        ns = self._signs.simulated_ns.value
        return float("inf") if ns < 0 else ns / NANOSECONDS

    def open(self) -> None:
        """The shop opens now."""
        self._signs.go.set()

    def told(self) -> Iterator[Told]:
        """What is new; Closed when the hardware has ended, however that was."""
        gone = [process for process in self._processes if process.exitcode]  # before its last words are read
        while True:
            try:
                told = self._told.get_nowait()
            except Empty:
                break
            self._ended = self._ended or isinstance(told, Closed)
            yield told
        if gone and not self._ended:
            self._ended = True
            yield Closed(f"the simulated shop: its {gone[0].name} ended early (exit code {gone[0].exitcode})")

    def stop(self) -> None:
        """Close the shop, whoever is inside, and complete the recording."""
        self._signs.stop.set()
        end_s = time.monotonic() + STOP_S
        while any(process.is_alive() for process in self._processes) and time.monotonic() < end_s:
            for _ in self.told():  # a full pipe would keep them from ending
                pass
            time.sleep(0.05)
        for process in self._processes:
            if process.is_alive():
                process.kill()
            process.join()

    def __exit__(self, *error: object) -> None:
        self.stop()


@dataclass(frozen=True)
class Signs:
    """What parent and children tell each other."""

    ready: Event
    go: Event
    stop: Event
    simulated_ns: Synchronized[int]  # of the first day, from its begin; -1 = all there is

    def wait(self) -> bool:
        """Until the shop is to open; False when it is not to any more."""
        self.ready.set()
        while not self.go.wait(WAIT_S):
            if self.stop.is_set():
                return False
        return True


def _prepared() -> None:
    """A child ends when its parent says so, or is killed: then the kernel kills it, too. Ctrl-C reaches the parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    ctypes.CDLL(None).prctl(DEATH_SIGNAL, signal.SIGKILL)
    parent = multiprocessing.parent_process()
    if parent is None or os.getppid() != parent.pid:
        sys.exit(1)


def _simulate(plan: Plan, out: multiprocessing.Queue[Coming], told: multiprocessing.Queue[Told], signs: Signs) -> None:
    """The child that simulates."""
    _prepared()
    days = Days(plan, told.put)

    def put(one: Coming) -> bool:
        while not signs.stop.is_set():
            try:
                out.put(one, timeout=WAIT_S)
            except Full:
                continue
            return True
        out.cancel_join_thread()  # nobody reads what is left
        return False

    try:
        for logged in days.messages():
            if not put(logged):
                break
            signs.simulated_ns.value = logged.log_ns - START_NS
        days.close()
        put(None)
        signs.simulated_ns.value = -1
    except OpenAisleError as error:
        told.put(Closed(str(error)))


def _hardware(
    plan: Plan,
    ports: Ports | None,
    journal: Path,
    coming: multiprocessing.Queue[Coming],
    told: multiprocessing.Queue[Told],
    signs: Signs,
) -> None:
    """The child that speaks for cameras and scales."""
    _prepared()
    try:
        if ports is not None:
            asyncio.run(_on_wire(plan, ports, _read(coming, signs), told, signs))
        else:
            _into_journal(load_store(plan.store), journal, _read(coming, signs), told, signs)
        told.put(Closed())
    except OpenAisleError as error:
        told.put(Closed(str(error)))
    except OSError as error:
        told.put(Closed(f"the simulated shop: {error}"))


def _read(coming: multiprocessing.Queue[Coming], signs: Signs) -> Iterator[Logged]:
    """Until the last day is over, or it is stopped."""
    while not signs.stop.is_set():
        try:
            one = coming.get(timeout=WAIT_S)
        except Empty:
            continue
        if one is None:
            return
        yield one


async def _on_wire(
    plan: Plan, ports: Ports, coming: Iterator[Logged], told: multiprocessing.Queue[Told], signs: Signs
) -> None:
    shop = FakeShop(load_store(plan.store), ports)
    shop.prime(first_pictures(plan))

    async def scene() -> None:
        if not await asyncio.to_thread(signs.wait):
            return

        def watched() -> Iterator[Logged]:
            for number, logged in enumerate(coming):
                yield logged
                if not number:  # the player has dated it by now
                    told.put(Began(shop.shift_ns))

        await shop.play(watched())
        await asyncio.sleep(LAST_S)

    await shop.run(scene)


def _into_journal(
    store: Store, folder: Path, coming: Iterator[Logged], told: multiprocessing.Queue[Told], signs: Signs
) -> None:
    journal = JournalWriter(folder, store)
    try:
        if not signs.wait():
            return
        shift_ns, committed_s = 0, 0.0
        for logged in coming:
            message = logged.message
            if not shift_ns:
                shift_ns = (time.time_ns() - logged.log_ns) // NANOSECONDS * NANOSECONDS + NANOSECONDS
                told.put(Began(shift_ns))
            while (ahead_ns := logged.log_ns + shift_ns - time.time_ns()) > 0 and not signs.stop.is_set():
                journal.commit()
                time.sleep(min(WAIT_S, ahead_ns / NANOSECONDS))
            if isinstance(message, VideoPacket | ScaleBatch | GateEvent):
                journal.append(replace(message, time_ns=message.time_ns + shift_ns))
            if time.monotonic() - committed_s >= COMMIT_S:
                committed_s = time.monotonic()
                journal.commit()
        journal.commit()
    finally:
        journal.close()
