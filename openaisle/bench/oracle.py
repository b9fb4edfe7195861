"""The pipeline on true bodies and true hands: what a decoder or a rule would reach if nobody were ever lost.

Everything after the tracks is the pipeline's own: scales, candidates, decoder, ledger, prices. No picture is rendered.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from openaisle.messages import Activity, GateEvent, Message, ScaleBatch, ShopperTruth, Truth, TruthTick
from openaisle.pipeline import decide, finish, roll, set_up
from openaisle.predictor import Arrays, Predictor, ShelfLook, ShelfWindows, TickView, VisualTokens, WrittenEvent
from openaisle.receipts.ledger import fold
from openaisle.receipts.pricing import Receipt, local_day, price
from openaisle.sim.source import SimulatedStore
from openaisle.state import Setup, Shopper, State, StepResult, Track
from openaisle.store.store import Store
from openaisle.tokens.journey import ACTIVITIES, FRAME_HZ, FRAMES, by_reach
from openaisle.tokens.tick import AHEAD_NS, SLOT_NS, Tick, Ticker

FLOOR_SD_M, HAND_SD_M = 0.02, 0.03  # what a very good tracker would claim; a decoder was never trained on zero
HOLDS, HOLDS_NOT = 0.9, 0.1
_ACTIVITIES = tuple(Activity)
Float32 = NDArray[np.float32]


class Blind:
    """Eyes that see nothing, for a rule that gets its tracks from the truth."""

    name, settles, writes = "blind", False, True

    def embed_catalogue(self, pictures: NDArray[np.uint8]) -> Float32:
        """Zeros [products, 1]."""
        return np.zeros((len(pictures), 1), dtype=np.float32)

    def look(self, slots: list[VisualTokens]) -> list[Arrays]:
        """Nothing."""
        return [{} for _ in slots]

    def place(self, floor_m: Float32, spread_m: float) -> Arrays:
        """Rows [Q] with a floor point."""
        return {"floor": floor_m, "product": np.zeros((len(floor_m), 2, 1), dtype=np.float32)}

    def remember(self, votes: Arrays, memory: Arrays, dt_s: float) -> tuple[Arrays, Float32]:
        """The same memory."""
        return memory, np.zeros((0, 1), dtype=np.float32)

    def heatmaps(self, now: NDArray[np.uint8], before: NDArray[np.uint8], features: Float32) -> Float32:
        """Nothing."""
        return np.zeros((0, 2, 1), dtype=np.float32)

    def glance(self, now: NDArray[np.uint8], before: NDArray[np.uint8], features: Float32) -> dict[str, Float32]:
        """Nothing."""
        return {}

    def embed_shelves(self, pictures: NDArray[np.uint8]) -> Float32:
        """Nothing is looked at."""
        return np.zeros((len(pictures), 1), dtype=np.float32)

    def look_at_shelf(self, windows: ShelfWindows, vectors: Float32) -> ShelfLook:
        """Nothing is looked at."""
        raise AssertionError("true tracks come without pictures")

    def actor(self, frames: NDArray[np.uint8], area: NDArray[np.uint8], features: Float32) -> Float32 | None:
        """Nothing is looked at."""
        return None

    def write(self, view: TickView) -> list[WrittenEvent]:
        """Nothing."""
        return []


def run_on_truth(
    shop: SimulatedStore, messages: Iterable[Message], store: Store, truth: list[Truth], predictor: Predictor
) -> Iterator[StepResult]:
    """As pipeline.run over the shop's messages, with true tracks; appends to `truth` all that the shop tells."""
    setup, state = set_up(store, predictor)
    width = setup.embeddings.shape[-1]
    receipts: dict[str, Receipt] = {}
    seen: dict[int, TruthTick] = {}  # by slot
    for tick in Ticker(store).ticks(_sensed(messages)):
        told = shop.truth_until(shop.time_ns)
        truth.extend(told)
        seen |= {t.time_ns // SLOT_NS: t for t in told if isinstance(t, TruthTick)}
        began = time.perf_counter()
        state = follow_truth(replace(state, grams=roll(state.grams, tick)), tick, seen, width)
        state, updates = decide(state, tick, predictor, setup)
        compute_s = time.perf_counter() - began
        receipts |= {s.visit: _empty(state, s.visit, tick, setup) for s in state.shoppers if s.visit not in receipts}
        receipts |= {update.visit: update.receipt for update in updates}
        state = finish(state, tick)
        yield StepResult(tick.sensed_ns, tick, updates, _tracks(state), dict(receipts), state.finished, compute_s)
    truth.extend(shop.truth_until(shop.time_ns))


def follow_truth(state: State, tick: Tick, seen: Mapping[int, TruthTick], width: int) -> State:
    """The state with the tick's slots of true tracks, and with who came and who left."""
    first = (tick.time_ns + AHEAD_NS) // SLOT_NS
    # slower cameras leave slots empty: people stay where they were
    slots = [seen.get(first + i, seen.get(first + i - 1)) for i in range(FRAME_HZ)]
    shoppers = {shopper.number: shopper for shopper in state.shoppers}
    present: dict[int, ShopperTruth] = {}
    window = state.window
    for slot in slots:
        inside = {number_of(person): person for person in (slot.shoppers if slot else ()) if not person.staff}
        for number, person in inside.items():
            if number not in shoppers and slot is not None:
                shoppers[number] = Shopper(number, person.visit, slot.time_ns)
        if slot is not None:
            gone = [n for n, shopper in shoppers.items() if n not in inside and not shopper.left_ns]
            shoppers |= {n: replace(shoppers[n], left_ns=slot.time_ns) for n in gone}
        present |= inside
        window = (*window, slot_rows(inside, width))[-FRAMES:]
    people = tuple(shoppers.values())
    before = {shopper.number: floor for shopper, floor in zip(state.shoppers, state.memory["floor"], strict=True)}
    floor = np.array([present[s.number].floor_m if s.number in present else before[s.number] for s in people])
    memory: Arrays = {
        "floor": floor.reshape(-1, 2).astype(np.float32),
        "product": np.zeros((len(people), 2, width), dtype=np.float32),
    }
    return replace(state, shoppers=people, window=window, memory=memory)


def slot_rows(people: Mapping[int, ShopperTruth], width: int) -> Arrays:
    """True people as memory rows: what a tracker that is never wrong would hold."""
    n, f32 = len(people), np.float32
    floor = np.array([person.floor_m for person in people.values()], dtype=f32).reshape(n, 2)
    both = [(person.left_hand_m, person.right_hand_m) for person in people.values()]
    hands = np.array(both, dtype=f32).reshape(n, 2, 3)
    order = by_reach(floor, hands)
    held = [[HOLDS if h else HOLDS_NOT for h in (p.left_gtins, p.right_gtins)] for p in people.values()]
    doing = [_ACTIVITIES.index(person.activity) for person in people.values()]
    return {
        "number": np.array(list(people), dtype=np.int64),
        "ghost": np.zeros(n, dtype=np.bool_),
        "floor": floor,
        "floor_variance": np.tile(np.eye(2, dtype=f32) * FLOOR_SD_M**2, (n, 1, 1)),
        "hands": np.take_along_axis(hands, order[..., None], axis=1),
        "hand_variance": np.tile(np.eye(3, dtype=f32) * HAND_SD_M**2, (n, 2, 1, 1)),
        "head": np.array([person.head_m for person in people.values()], dtype=f32).reshape(n, 3),
        "held": np.take_along_axis(np.array(held, dtype=f32).reshape(n, 2), order, axis=1),
        "activity": np.eye(ACTIVITIES, dtype=f32)[np.array(doing, dtype=np.int64)],
        "product": np.zeros((n, 2, width), dtype=f32),
    }


def number_of(person: ShopperTruth) -> int:
    """A simulated person's number: the digits at the end of the id."""
    return int(person.shopper.rpartition("-")[2])


def _sensed(messages: Iterable[Message]) -> Iterator[ScaleBatch | GateEvent]:
    for message in messages:
        if isinstance(message, ScaleBatch | GateEvent):
            yield message


def _empty(state: State, visit: str, tick: Tick, setup: Setup) -> Receipt:
    """The receipt of somebody who has just come."""
    spec = setup.store.spec
    return price(fold(state.ledger, visit), spec, setup.store.products, local_day(tick.time_ns, spec.time_zone))


def _tracks(state: State) -> tuple[Track, ...]:
    """Where everybody is; heads and hands are in the window only."""
    nowhere = np.zeros(3, dtype=np.float32)
    floor = state.memory["floor"].astype(np.float32)
    return tuple(
        Track(s.number, s.visit, floor[i], nowhere, np.stack([nowhere, nowhere])) for i, s in enumerate(state.shoppers)
    )
