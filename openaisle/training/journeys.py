"""Journey training data: whole simulated visits as tracks, scale rows and events, cut into ticks when sampled.

One record is one simulation without rendering (true geometry, noised when sampled), or with the tracks that
the vision half really produced (closed loop). Records are npz files without pickles.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from openaisle.messages import Activity, TruthEvent
from openaisle.sim.engine import Simulation
from openaisle.sim.scenario import load_scenario
from openaisle.sim.stores import open_store
from openaisle.sim.world import Snapshot
from openaisle.store.store import Store
from openaisle.tokens.journey import FRAME_HZ, KINDS, LaneTable, TrackWindow, lane_table
from openaisle.tokens.scales import RATE_HZ
from openaisle.training.frames import ShardSpec, hand_order

ACTIVITIES = tuple(Activity)
STEPS_PER_FRAME = RATE_HZ // FRAME_HZ
Float32 = NDArray[np.float32]


@dataclass(frozen=True)
class JourneyRecord:
    """One simulation: F video frames at 5 Hz, T scale samples at 20 Hz, P people, C scales, V events."""

    table: LaneTable
    pictures: NDArray[np.uint8]
    floor: Float32  # [P, F, 2]
    hands: Float32  # [P, F, 2, 3]
    present: NDArray[np.bool_]  # [P, F]
    held: NDArray[np.int32]  # [P, F, 2] product index of the first held item, -1
    activity: NDArray[np.int8]  # [P, F]
    visit: NDArray[np.int32]  # [P] visit number (members of a group share one)
    grams: Float32  # [C, T]
    events: NDArray[
        np.int64
    ]  # [V, 7] time in ms from the start, kind, person, lane (-1), product, quantity, receiver (-1)
    visit_names: tuple[str, ...] = ()
    tracked: TrackWindow | None = None  # [P, F, ...] what the vision half made of it (closed loop)
    embeddings: Float32 | None = None  # [products, E] its catalogue vectors


class _Recorder:
    """Collects snapshots into growing lists."""

    def __init__(self, store: Store, simulation: Simulation) -> None:
        self.store, self.simulation = store, simulation
        self.rows: dict[str, int] = {}
        self.visits: dict[str, int] = {}
        self.visit_of: list[int] = []
        self.frames: list[list[tuple[int, Float32, Float32, tuple[int, int], int]]] = []
        self.grams: list[Float32] = []
        self.events: list[tuple[int, ...]] = []
        self.start_ns = -1

    def row(self, shopper: str, visit: str) -> int:
        if shopper not in self.rows:
            self.rows[shopper] = len(self.rows)
            self.visit_of.append(self.visits.setdefault(visit, len(self.visits)))
        return self.rows[shopper]

    def add(self, step: int, snapshot: Snapshot) -> None:
        if self.start_ns < 0:
            self.start_ns = snapshot.time_ns
        self.grams.append(snapshot.scale_grams.astype(np.float32).copy())
        if step % STEPS_PER_FRAME == 0:
            product = snapshot.items.product
            frame = []
            for person in snapshot.people:
                sides = hand_order(person)
                held = tuple(int(product[person.held[side][0]]) if person.held[side] else -1 for side in sides)
                row = self.row(person.shopper, person.visit)
                activity = ACTIVITIES.index(person.activity)
                frame.append(
                    (
                        row,
                        person.floor_m.astype(np.float32),
                        person.hands_m[sides].astype(np.float32),
                        (held[0], held[1]),
                        activity,
                    )
                )
            self.frames.append(frame)
        for event in snapshot.events:
            self.events.append(self.event_row(event))

    def event_row(self, event: TruthEvent) -> tuple[int, ...]:
        lane = self.store.lane_index[event.lane] if event.lane else -1
        to = self.row(event.to_shopper, event.to_visit) if event.to_shopper else -1
        return (
            (event.time_ns - self.start_ns) // 1_000_000, KINDS.index(str(event.kind)),
            self.row(event.shopper, event.visit), lane, self.store.product_index[event.gtin], event.quantity, to,
        )  # fmt: skip


def make_record(spec: ShardSpec) -> JourneyRecord:
    """Simulate one scenario without rendering."""
    from openaisle.tokens.catalogue import picture_stack

    store = open_store(spec.store, spec.seed)
    simulation = Simulation(store, load_scenario(spec.scenario), spec.seed)
    recorder = _Recorder(store, simulation)
    for step, snapshot in enumerate(simulation.steps()):
        recorder.add(step, snapshot)
    people, frames = max(1, len(recorder.rows)), len(recorder.frames)
    floor, hands = np.zeros((people, frames, 2), np.float32), np.zeros((people, frames, 2, 3), np.float32)
    present, held = np.zeros((people, frames), bool), np.full((people, frames, 2), -1, np.int32)
    activity = np.zeros((people, frames), np.int8)
    for f, frame in enumerate(recorder.frames):
        for row, floor_m, hands_m, holding, doing in frame:
            floor[row, f], hands[row, f], held[row, f], activity[row, f], present[row, f] = (
                floor_m,
                hands_m,
                holding,
                doing,
                True,
            )
    events = np.array(sorted(recorder.events), dtype=np.int64).reshape(-1, 7)
    visit = np.array(recorder.visit_of or [0], dtype=np.int32)
    grams = np.stack(recorder.grams, axis=1).astype(np.float32)
    for row, scale in zip(grams, store.spec.scales, strict=True):  # slower scales leave gaps on the 20 Hz grid
        row[np.arange(len(row)) % max(1, round(RATE_HZ / scale.rate_hz)) != 0] = np.nan
    names = tuple(recorder.visits)
    return JourneyRecord(
        lane_table(store), picture_stack(store), floor, hands, present, held, activity, visit, grams, events, names
    )


def save_record(record: JourneyRecord, path: Path) -> None:
    """Write a record as npz, atomically."""
    arrays = {f"table_{k}": v for k, v in vars(record.table).items()}
    arrays |= {k: v for k, v in vars(record).items() if k not in ("table", "tracked", "visit_names") and v is not None}
    arrays["visit_names"] = np.array(record.visit_names, dtype=np.str_)
    if record.tracked is not None:
        arrays |= {f"tracked_{k}": v.astype(np.float16) for k, v in vars(record.tracked).items()}
    temporary = path.with_suffix(".tmp.npz")
    np.savez_compressed(temporary, **arrays)
    temporary.rename(path)


def load_record(path: Path) -> JourneyRecord:
    """Read a record."""
    with np.load(path) as file:
        table = LaneTable(**{k[6:]: file[k] for k in file.files if k.startswith("table_")})
        tracks = {k[8:]: file[k].astype(np.float32) for k in file.files if k.startswith("tracked_")}
        names = tuple(str(name) for name in file["visit_names"]) if "visit_names" in file.files else ()
        rest = {k: file[k] for k in file.files if not k.startswith(("table_", "tracked_")) and k != "visit_names"}
        return JourneyRecord(table, **rest, visit_names=names, tracked=TrackWindow(**tracks) if tracks else None)
