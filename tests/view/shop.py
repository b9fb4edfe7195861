"""A scripted visit in a generated kiosk: one shopper walks in, takes two units, puts one back, leaves."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from openaisle.messages import (
    NANOSECONDS,
    Activity,
    EventKind,
    GateEvent,
    Message,
    ShopperTruth,
    Truth,
    TruthEvent,
    TruthReceipt,
    TruthTick,
    VideoFrame,
)
from openaisle.recording.reader import Recording, open_recording
from openaisle.recording.writer import RecordingWriter
from openaisle.sim.stores import open_store
from openaisle.store.store import Store

START_NS = 1_760_000_000 * NANOSECONDS
SECONDS = 6
VISIT = "visit-1"


def kiosk() -> Store:
    """The store of these tests."""
    return open_store("random:kiosk", 850_001)


def tick(store: Store, second: float) -> TruthTick:
    """Where the shopper is after so many seconds: from the gate to the first lane."""
    gate = store.spec.gates[0]
    start = (np.array(gate.a_m) + gate.b_m) / 2
    goal = store.lanes[0].front_m[:2] + 0.5 * store.lanes[0].outward_m[:2]
    x, y = (start + (goal - start) * min(1.0, second / 3)).tolist()
    hand = (x + 0.2, y, 1.1)
    shopper = ShopperTruth(
        "s1", VISIT, "g1", False, (x, y), 0.0, (x, y, 1.7), (x - 0.2, y, 0.9), hand, Activity.WALK
    )  # fmt: skip
    return TruthTick(START_NS + round(second * NANOSECONDS), (shopper,))


def truth(store: Store) -> Iterator[Truth]:
    """Ten ticks a second, a take of two, a return of one, the receipt."""
    gtin, lane = store.products[store.lane_product[0]].gtin, store.lanes[0].id
    for i in range(SECONDS * 10):
        yield tick(store, i / 10)
        time_ns = START_NS + i * NANOSECONDS // 10
        if i == 30:
            yield TruthEvent(time_ns, time_ns, EventKind.TAKE, "s1", VISIT, gtin, 2, lane, "right")
        if i == 45:
            yield TruthEvent(time_ns, time_ns, EventKind.RETURN, "s1", VISIT, gtin, 1, lane, "right")
    yield TruthReceipt(START_NS + SECONDS * NANOSECONDS, VISIT, ((gtin, 1),))


def sensors(store: Store) -> Iterator[Message]:
    """Grey pictures that brighten, five a second, and the gate."""
    yield GateEvent(store.spec.gates[0].id, START_NS, "entry", VISIT)
    for i in range(SECONDS * 5):
        for camera in store.spec.cameras:
            rgb = np.full((camera.height_px, camera.width_px, 3), 60 + 2 * i, dtype=np.uint8)
            yield VideoFrame(camera.id, START_NS + i * NANOSECONDS // 5, rgb)


def record(folder: Path) -> Recording:
    """The visit on disk, truth beside it."""
    store = kiosk()
    with RecordingWriter(folder, store, live=False) as writer:
        for message in sensors(store):
            writer.write(message)
        for fact in truth(store):
            writer.write(fact)
    return open_recording(folder)
