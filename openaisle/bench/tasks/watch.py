"""Watch the real pipeline play one case, tick by tick, and note what it believes beside the truth."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from openaisle.bench.jobs import Job
from openaisle.bench.models import EYES, contender, predictor_of
from openaisle.bench.scene import Scene, scene_of
from openaisle.bench.tasks.boxes import blobs, body_box
from openaisle.bench.tasks.observed import Observed
from openaisle.edge.runtime import folder_of
from openaisle.messages import NANOSECONDS, Activity, EventKind, ShopperTruth, Truth, TruthEvent, TruthLane, TruthTick
from openaisle.pipeline import set_up, step
from openaisle.predictor import Arrays, Borrowed, Predictor, TickView, VisualTokens, WrittenEvent, floats
from openaisle.receipts.ledger import Ledger
from openaisle.recording.video import through_h264
from openaisle.state import Setup, State
from openaisle.store.store import Store
from openaisle.tokens.catalogue import unit_grams
from openaisle.tokens.journey import FRAME_HZ
from openaisle.tokens.tick import AHEAD_NS, SLOT_NS, Sensed, Tick, Ticker

BOX_SLOTS = 5  # boxes are noted in every fifth slot: once a second
INSTANTS = 12  # of a case, at which segmentation, depth and boxes of held things are looked at
_ACTIVITIES = tuple(Activity)
_Row = tuple[float, ...]


class Watched(Borrowed):
    """A predictor that remembers which patches it was last asked to look at; it decides as its own eyes do."""

    def __init__(self, eyes: Predictor) -> None:
        super().__init__(eyes, eyes.name)
        self.settles = eyes.settles
        self.slots: list[VisualTokens] = []

    def look(self, slots: list[VisualTokens]) -> list[Arrays]:
        """As the eyes do."""
        self.slots = slots
        return self.eyes.look(slots)

    def actor(
        self, frames: NDArray[np.uint8], area: NDArray[np.uint8], features: NDArray[np.float32]
    ) -> NDArray[np.float32] | None:
        """As the eyes say."""
        return self.eyes.actor(frames, area, features)

    def write(self, view: TickView) -> list[WrittenEvent]:
        """As the eyes do."""
        return self.eyes.write(view)


@dataclass
class Notes:
    """What was noted so far, by the names of Observed."""

    arrays: dict[str, list[NDArray[np.generic]]] = field(default_factory=dict)
    rows: dict[str, list[_Row]] = field(default_factory=dict)
    visits: dict[int, str] = field(default_factory=dict)  # by shopper's number

    def array(self, **values: NDArray[np.generic]) -> None:
        """Rows of arrays, to be joined at the end."""
        for name, value in values.items():
            self.arrays.setdefault(name, []).append(value)

    def row(self, name: str, *values: float) -> None:
        """One row."""
        self.rows.setdefault(name, []).append(values)

    def table(self, name: str, columns: int) -> NDArray[np.float64]:
        """All rows of a name [_, columns]."""
        return np.array(self.rows.get(name, []), dtype=np.float64).reshape(-1, columns)


def observe(job: Job) -> Observed:
    """Play a case by a network, and look at single instants of it; raises ModelError for a model that is not there.

    Raises MissingExtraError without torch, which segmentation and depth need: no exported graph tells them.
    """
    from openaisle.training.instants import look_at_instants

    scene = scene_of(job.case)
    predictor = Watched(predictor_of(contender(job.model)))
    notes, truth = Notes(), list[Truth]()
    setup, state = set_up(scene.told, predictor)
    first_slot = scene.shop.start_ns // SLOT_NS
    for tick in Ticker(scene.told).ticks(_messages(scene, truth)):
        state, _ = step(state, tick, predictor, setup)
        _note_people(notes, state, tick, setup, first_slot)
        _note_patches(notes, predictor.slots, tick, first_slot)
        _note_tick(notes, state, tick)
    truth.extend(scene.shop.truth_until(scene.shop.time_ns))
    other = scene_of(job.case, video=False)
    looked = look_at_instants(other.shop.store, other.shop.simulation, _weights(job.model), INSTANTS, job.case.seed)
    return _observed(notes, (setup, state), truth, (first_slot, looked))


def _messages(scene: Scene, truth: list[Truth]) -> Iterator[Sensed]:
    """What the sensors send through H.264; the truth is kept apart as it comes."""
    for message in through_h264(scene.messages(), scene.told):
        truth.extend(scene.shop.truth_until(scene.shop.time_ns))
        yield message


def _weights(model: str) -> Path:
    """The weights that a model sees with."""
    base, _, folder = contender(model).base.partition(":")
    own = (folder or EYES[base]) if base in EYES else contender(model).base
    return folder_of(own) / "weights.safetensors"


# --- what the pipeline believes -----------------------------------------------------------------------------


def slots_of(tick: Tick) -> range:
    """The slots whose pictures a tick brings, in order."""
    first = (tick.time_ns + AHEAD_NS) // SLOT_NS
    return range(first, first + FRAME_HZ)


def _note_people(notes: Notes, state: State, tick: Tick, setup: Setup, first_slot: int) -> None:
    """Everybody whom the pipeline follows, in each slot of the tick, and their boxes once a second."""
    for slot, rows in zip(slots_of(tick), state.window[-FRAME_HZ:], strict=False):
        people = len(rows["number"])
        if not people:
            continue
        notes.array(
            slot=np.full(people, slot), number=rows["number"].astype(np.int64),
            floor_m=floats(rows["floor"]), head_m=floats(rows["head"]), hands_m=floats(rows["hands"]),
            activity=floats(rows["activity"]), product=floats(rows["product"]),
        )  # fmt: skip
        if slot % BOX_SLOTS:
            continue
        for floor, head, mass in zip(floats(rows["floor"]), floats(rows["head"]), rows["mass"].tolist(), strict=True):
            for index, camera in enumerate(setup.store.cameras):
                box = body_box(camera, floor, float(head[2]))
                if box is not None:
                    notes.row("boxes", slot - first_slot, index, *box, mass)


def _note_patches(notes: Notes, tokens: Sequence[VisualTokens], tick: Tick, first_slot: int) -> None:
    """Blobs of changed patches, once a second."""
    for slot, seen in zip(slots_of(tick), tokens, strict=False):
        for camera in np.unique(seen.camera).tolist() if slot % BOX_SLOTS == 0 else ():
            for box, count in blobs(seen.cells[seen.camera == camera]):
                notes.row("moved_boxes", slot - first_slot, camera, *box, count)


def _note_tick(notes: Notes, state: State, tick: Tick) -> None:
    """Scales, who is whose visit, and what is known to lie in wrong lanes."""
    notes.visits |= {shopper.number: shopper.visit for shopper in state.shoppers}
    known = ~np.isnan(tick.grams)
    level = [float(np.median(row[k])) if k.any() else np.nan for row, k in zip(tick.grams, known, strict=True)]
    notes.array(grams=np.array([level], dtype=np.float32).reshape(1, -1))
    notes.row("ticks", tick.time_ns)
    for (lane, product), (units, _) in state.lying.items():
        if units > 0:
            notes.row("lying", tick.index, lane, product)


def counted_events(ledger: Ledger, store: Store, visits: Mapping[str, int]) -> NDArray[np.int64]:
    """The takes and returns that count in a ledger [_, 6] (EVENT_COLUMNS), corrections for what they stand for."""
    lanes = {lane.id: lane.index for lane in store.lanes}
    rows = []
    for event in ledger.events:
        delta = event.delta(event.visit)
        if event.kind == "hand_over" or not delta or not ledger.counts(event):
            continue
        replaced = event.supersedes and any(e.event_id == event.supersedes for e in ledger.events)
        lane = event.lane or (ledger.event(event.supersedes).lane if replaced else "")
        product = store.product_index.get(event.gtin, -1)
        rows.append((
            ledger.effective_ns(event), int(np.sign(delta)), visits.get(event.visit, -1), lanes.get(lane, -1), product,
            abs(delta),
        ))  # fmt: skip
    return np.array(rows, dtype=np.int64).reshape(-1, 6)


# --- the truth ----------------------------------------------------------------------------------------------


def true_events(truth: Sequence[Truth], store: Store, visits: Mapping[str, int]) -> NDArray[np.int64]:
    """Takes and returns of shoppers [_, 6] (EVENT_COLUMNS)."""
    lanes = {lane.id: lane.index for lane in store.lanes}
    signs = {EventKind.TAKE: 1, EventKind.RETURN: -1}
    rows = [
        (e.time_ns, signs[e.kind], visits.get(e.visit, -1), lanes[e.lane], store.product_index[e.gtin], e.quantity)
        for e in truth if isinstance(e, TruthEvent) and e.kind in signs and not e.staff
    ]  # fmt: skip
    return np.array(rows, dtype=np.int64).reshape(-1, 6)


def _note_truth(notes: Notes, ticks: Sequence[TruthTick], store: Store, first_slot: int) -> None:
    """True people of each slot, and their boxes once a second."""
    persons: dict[str, int] = {}
    for tick in {tick.time_ns // SLOT_NS: tick for tick in ticks}.values():
        slot = tick.time_ns // SLOT_NS
        people = [person for person in tick.shoppers if not person.staff]
        if not people:
            continue
        held = [[_held(store, person.left_gtins), _held(store, person.right_gtins)] for person in people]
        notes.array(
            true_slot=np.full(len(people), slot),
            true_person=np.array([persons.setdefault(person.shopper, len(persons)) for person in people]),
            true_floor_m=np.array([person.floor_m for person in people], dtype=np.float32),
            true_head_m=np.array([person.head_m for person in people], dtype=np.float32),
            true_hands_m=np.array([_hands(person) for person in people], dtype=np.float32),
            true_activity=np.array([_ACTIVITIES.index(person.activity) for person in people]),
            true_held=np.array(held),
        )  # fmt: skip
        for person in people if slot % BOX_SLOTS == 0 else ():
            for index, camera in enumerate(store.cameras):
                box = body_box(camera, np.array(person.floor_m), person.head_m[2])
                if box is not None:
                    notes.row("true_boxes", slot - first_slot, index, *box)


def _hands(person: ShopperTruth) -> tuple[tuple[float, ...], tuple[float, ...]]:
    return person.left_hand_m, person.right_hand_m


def _held(store: Store, gtins: tuple[str, ...]) -> int:
    return store.product_index[gtins[0]] if gtins else -1


def stocks(truth: Sequence[Truth], store: Store, tick_ns: NDArray[np.int64]) -> dict[str, NDArray[np.int64]]:
    """True units [L, P] at the start and at the end, and what lies in wrong lanes at the end of each tick [_, 3]."""
    lanes = {lane.id: lane.index for lane in store.lanes}
    told = [t for t in truth if isinstance(t, TruthLane)]
    stock = np.zeros((len(store.lanes), len(store.products)), dtype=np.int64)
    opening = min((t.time_ns for t in told), default=0)
    first, wrong, at = stock.copy(), list[tuple[int, int, int]](), 0
    foreign = np.arange(len(store.products))[None] != np.asarray(store.lane_product)[:, None]
    for tick, time_ns in enumerate([*tick_ns.tolist(), max((t.time_ns for t in told), default=0)]):
        end_ns = time_ns if tick == len(tick_ns) else time_ns + NANOSECONDS
        while at < len(told) and told[at].time_ns <= end_ns:
            stock[lanes[told[at].lane]] = 0
            for gtin, units in told[at].stock:
                stock[lanes[told[at].lane], store.product_index[gtin]] = units
            at += 1
            if told[at - 1].time_ns == opening:
                first = stock.copy()
        if tick < len(tick_ns):
            wrong += [(tick, int(lane), int(product)) for lane, product in np.argwhere((stock > 0) & foreign)]
    lying = np.array(wrong, dtype=np.int64).reshape(-1, 3)
    return {"stock_first": first, "stock_last": stock, "true_lying": lying}


def _observed(
    notes: Notes, played: tuple[Setup, State], truth: Sequence[Truth],
    rest: tuple[int, Mapping[str, NDArray[np.generic]]],
) -> Observed:  # fmt: skip
    (setup, state), (first_slot, looked) = played, rest
    store = setup.store
    _note_truth(notes, [t for t in truth if isinstance(t, TruthTick)], store, first_slot)
    visits = {visit: i for i, visit in enumerate(sorted({t.visit for t in truth if isinstance(t, TruthEvent)}))}
    ticks = notes.table("ticks", 1).astype(np.int64)[:, 0]
    people = _empty_people(setup) | {name: np.concatenate(parts) for name, parts in notes.arrays.items()}
    whose = [visits.get(notes.visits.get(number, ""), -1) for number in people["number"].tolist()]
    boxes = {name: notes.table(name, 7).astype(np.float32) for name in ("boxes", "moved_boxes")}
    values: dict[str, NDArray[np.generic]] = {
        **people, **boxes, **stocks(truth, store, ticks), **looked,
        "true_boxes": notes.table("true_boxes", 6).astype(np.float32),
        "embeddings": setup.embeddings, "true_events": true_events(truth, store, visits),
        "events": counted_events(state.ledger, store, visits),
        "tick_ns": ticks, "visit": np.array(whose, dtype=np.int64),
        "lying": notes.table("lying", 3).astype(np.int64),
        "lane_front_m": np.array([lane.front_m for lane in store.lanes], dtype=np.float32),
        "lane_product": np.asarray(store.lane_product, dtype=np.int64),
        "lane_scale": np.array([lane.scale for lane in store.lanes], dtype=np.int64), "unit_grams": unit_grams(store),
    }  # fmt: skip
    return Observed(**values)  # type: ignore[arg-type]  # built by its own field names


def _empty_people(setup: Setup) -> dict[str, NDArray[np.generic]]:
    """No rows of people: what a shop would leave in which nobody was or nobody was seen."""
    shapes = {
        "true_floor_m": (0, 2), "true_head_m": (0, 3), "true_hands_m": (0, 2, 3), "floor_m": (0, 2), "head_m": (0, 3),
        "hands_m": (0, 2, 3), "activity": (0, len(_ACTIVITIES)), "product": (0, 2, setup.embeddings.shape[-1]),
        "grams": (0, len(setup.store.spec.scales)),
    }  # fmt: skip
    names = ("true_slot", "true_person", "true_activity", "slot", "number")
    whole: dict[str, NDArray[np.generic]] = {name: np.zeros(0, dtype=np.int64) for name in names}
    rows: dict[str, NDArray[np.generic]] = {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}
    return {**rows, **whole, "true_held": np.zeros((0, 2), dtype=np.int64)}
