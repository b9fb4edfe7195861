"""Kill test: real writers of live recordings are killed at random moments; how much does `recover` bring back?"""

from __future__ import annotations

import multiprocessing
import os
import signal
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

import numpy as np

from openaisle.errors import RecordingError
from openaisle.messages import NANOSECONDS, GateEvent, Message, ScaleBatch, VideoFrame
from openaisle.recording.reader import open_recording
from openaisle.recording.recover import recover
from openaisle.recording.writer import RecordingWriter
from openaisle.store.store import Store

AT_ONCE = 8  # writers that run at the same time; each is idle most of the time
SHORTEST_S, LONGEST_S = 0.7, 2.0  # life of a writer after its first message
PACE_HZ = 50.0  # messages that a writer is given a second
_STAMP = struct.Struct("<q")  # monotonic ns at which a message was handed to the writer


@dataclass(frozen=True, slots=True)
class KillReport:
    """What a series of kills cost; a loss is the age, at the kill, of the oldest message that was not recovered.

    A stall is the longest time that a writer's process got no processor: a busy machine delays flushes as well.
    """

    kills: int
    recovered_messages: int
    lost_messages: int
    worst_loss_s: float
    mean_loss_s: float
    worst_stall_s: float


def kill_test(store: Store, folder: Path, kills: int = 200, seed: int = 0) -> KillReport:
    """Kill `kills` writers (SIGKILL) at random moments and recover what they left under `folder`.

    Asserts that what comes back is, message for message, the beginning of what was written.
    """
    store = _bare(store)
    rng = np.random.Generator(np.random.PCG64(seed))
    losses: list[float] = []
    kept = lost = stall_ns = 0
    for first in range(0, kills, AT_ONCE):
        lives = rng.uniform(SHORTEST_S, LONGEST_S, min(AT_ONCE, kills - first))
        for number, (stamps, killed_ns) in enumerate(_batch(store, folder, first, lives)):
            got = _recovered(folder / f"killed-{first + number:04d}", store)
            kept, lost = kept + got, lost + len(stamps) - got
            stall_ns = max(stall_ns, *np.diff([*stamps, killed_ns]).tolist())
            losses.append((killed_ns - stamps[got]) / NANOSECONDS if got < len(stamps) else 0.0)
    stall_s = max(0.0, stall_ns / NANOSECONDS - 1 / PACE_HZ)
    return KillReport(kills, kept, lost, max(losses), float(np.mean(losses)), stall_s)


def _bare(store: Store) -> Store:
    """The store without its pictures, which would be written for every writer."""
    products = tuple(product.model_copy(update={"images": ()}) for product in store.products)
    return replace(store, products=products, pictures={})


def stream(store: Store) -> Iterator[Message]:
    """Endless messages of the store's first two cameras and scales, 0.1 s of stream time for every step."""
    start_ns = 1_790_000_000 * NANOSECONDS
    cameras = store.spec.cameras[:2]
    for step in count():
        time_ns = start_ns + step * NANOSECONDS // 10
        for camera in cameras:
            rgb = np.full((48, 64, 3), 30 + step % 200, dtype=np.uint8)
            yield VideoFrame(camera.id, time_ns, rgb)
        for scale in store.spec.scales[:2]:
            yield ScaleBatch(scale.id, time_ns, 20.0, np.full(2, step, np.float32), "d", 1, step)
        yield GateEvent(store.spec.gates[0].id, time_ns, "entry", str(step))


def _batch(store: Store, folder: Path, first: int, lives: np.ndarray) -> list[tuple[list[int], int]]:
    """Start writers, kill each after its life, all at the same time; hand-over stamps and kill time of each."""
    context = multiprocessing.get_context("fork")  # a spawned child would take a second of imports
    children = []
    for number, life in enumerate(lives):
        read, write = os.pipe()
        target = folder / f"killed-{first + number:04d}"
        child = context.Process(target=_write_for_ever, args=(store, target, write), daemon=True)
        child.start()
        os.close(write)
        first_stamp = os.read(read, _STAMP.size)  # waits for the first message
        children.append((child, read, first_stamp, time.monotonic() + life))
    results: dict[int, tuple[list[int], int]] = {}
    for index in sorted(range(len(children)), key=lambda i: children[i][3]):
        child, read, first_stamp, due = children[index]
        time.sleep(max(0.0, due - time.monotonic()))
        assert child.pid is not None
        killed_ns = time.monotonic_ns()
        os.kill(child.pid, signal.SIGKILL)
        child.join()
        with os.fdopen(read, "rb") as pipe:
            data = first_stamp + pipe.read()
        whole = len(data) // _STAMP.size * _STAMP.size
        results[index] = ([stamp for (stamp,) in _STAMP.iter_unpack(data[:whole])], killed_ns)
    return [results[index] for index in range(len(children))]


def _write_for_ever(store: Store, folder: Path, pipe: int) -> None:
    writer = RecordingWriter(folder, store)
    began = time.monotonic()
    for number, message in enumerate(stream(store)):
        ahead = number / PACE_HZ - (time.monotonic() - began)
        if ahead > 0:
            time.sleep(ahead)
        writer.write(message)
        os.write(pipe, _STAMP.pack(time.monotonic_ns()))


def _recovered(folder: Path, store: Store) -> int:
    try:
        recover(folder)
    except RecordingError:  # killed before its first flush
        return 0
    got = 0
    for message, sent in zip(open_recording(folder), stream(store), strict=False):
        assert (type(message), message.time_ns) == (type(sent), sent.time_ns), "the beginning, in order"
        if isinstance(message, ScaleBatch) and isinstance(sent, ScaleBatch):
            assert (message.scale, message.seq) == (sent.scale, sent.seq)
            assert np.array_equal(message.grams, sent.grams)
        got += 1
    return got
