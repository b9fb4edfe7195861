"""The previous generation as a predictor: it weighs, splits, identifies, counts and associates on borrowed tracks.

What it remembers from tick to tick lies in the state (`State.peer`), so that the pipeline's step stays pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from openaisle.messages import NANOSECONDS
from openaisle.modular.alone import UNSEEN
from openaisle.modular.associate import Hands, solver
from openaisle.modular.identify import Scene
from openaisle.modular.interactions import Watch, watch
from openaisle.modular.learnt import SURE, Learnt
from openaisle.modular.split import Event, Lost, Part, split
from openaisle.predictor import Borrowed, Predictor, TickView, WrittenEvent, floats
from openaisle.receipts.events import Evidence, LedgerEvent
from openaisle.receipts.ledger import fold
from openaisle.state import Setup, State
from openaisle.tokens.journey import FRAME_HZ, KINDS
from openaisle.tokens.scales import AHEAD_S, RATE_HZ, TICK_S
from openaisle.tokens.tick import Tick

KEPT_SLOTS = 45 * FRAME_HZ
LEAST_CONFIDENCE, MOST_CONFIDENCE = 0.05, 0.97
WEIGHING_G = 3.0  # deviation of what a step says of a unit's mass


@dataclass(frozen=True)
class Slot:
    """Everybody's hands at one instant, by shopper number: [2, 3] metres, [2] deviations."""

    hands: Mapping[int, tuple[NDArray[np.float32], NDArray[np.float32]]]


@dataclass(frozen=True)
class Memory:
    """What the peer remembers."""

    learnt: Learnt
    watch: Watch = field(default_factory=Watch)
    slots: tuple[Slot, ...] = ()


class ModularPredictor(Borrowed):
    """Discrete components in a row; bodies and hands are seen and followed by another predictor's eyes."""

    def __init__(self, eyes: Predictor, name: str = "modular") -> None:
        solver()  # says at once what is missing
        super().__init__(eyes, name)

    def write(self, view: TickView) -> list[WrittenEvent]:
        """Nothing: it decides when an interaction is over, not tick by tick."""
        return []

    def decide(self, state: State, tick: Tick, setup: Setup) -> tuple[list[WrittenEvent], list[LedgerEvent], State]:
        """The events that a tick brings to an end, and what went without a name."""
        return decide(state, tick, setup)


def decide(state: State, tick: Tick, setup: Setup) -> tuple[list[WrittenEvent], list[LedgerEvent], State]:
    """The events that a tick brings to an end, what went without a name, and the state that remembers them."""
    memory = state.peer if isinstance(state.peer, Memory) else Memory(Learnt(tuple(setup.table.unit_grams.tolist())))
    memory = replace(memory, slots=(*memory.slots, *slots_of(state))[-KEPT_SLOTS:])
    memory = replace(memory, learnt=replace(memory.learnt, lying={k: n for k, (n, _) in state.lying.items()}))
    seen, over = watch(memory.watch, tick.grams if setup.scales else tick.grams[:0], state.grams, setup.goods)
    memory = replace(memory, watch=seen)
    if not state.shoppers or not over:
        return [], [], replace(state, peer=memory)
    scene, hands = scene_of(state, memory, setup), hands_of(state, memory)
    written: list[WrittenEvent] = []
    remarks: list[LedgerEvent] = []
    for interaction in over:
        for part in split(interaction, scene, hands, setup.table):
            written += [told(event, seen.end) for event in part.events]
            if part.lost is not None:
                remarks.append(remark(part.lost, len(remarks), (tick, seen.end), (setup, hands)))
            memory = replace(memory, learnt=weighed(memory.learnt, part))
    return written, remarks, replace(state, peer=memory)


def slots_of(state: State) -> list[Slot]:
    """The tick's slots."""
    out = []
    for rows in state.window[-FRAME_HZ:]:
        spread = np.sqrt(np.trace(floats(rows["hand_variance"]), axis1=-2, axis2=-1) / 3)
        numbers = rows["number"].tolist()
        out.append(Slot({n: (floats(rows["hands"])[i], spread[i]) for i, n in enumerate(numbers)}))
    return [Slot({})] * (FRAME_HZ - len(out)) + out


def scene_of(state: State, memory: Memory, setup: Setup) -> Scene:
    """What may move."""
    index = setup.store.lane_index
    lanes = {scale: tuple(index[lane] for lane in names) for scale, names in setup.goods.places.items() if scale >= 0}
    baskets = {}
    for visit in sorted({shopper.visit for shopper in state.shoppers}):
        lines = fold(state.ledger, visit).lines
        baskets[visit] = {setup.store.product_index[line.gtin]: line.quantity for line in lines}
    return Scene(lanes, setup.table.product.tolist(), setup.goods.beside, memory.learnt, baskets)


def hands_of(state: State, memory: Memory) -> Hands:
    """The hands of all who are in the shop."""
    people, slots = state.shoppers, memory.slots
    at = np.full((len(slots), len(people), 2, 3), np.nan)
    sd = np.full((len(slots), len(people), 2), 1.0)
    for t, slot in enumerate(slots):
        for i, shopper in enumerate(people):
            if shopper.number in slot.hands:
                at[t, i], sd[t, i] = slot.hands[shopper.number]
    first = memory.watch.end * FRAME_HZ // RATE_HZ - len(slots)
    return Hands(first, tuple(s.visit for s in people), tuple(s.number for s in people), at, sd)


def told(event: Event, end: int) -> WrittenEvent:
    """An event as the pipeline writes it down; `end` is the sample at which the tick's data ends."""
    move = event.move
    sure = float(np.clip(event.confidence, LEAST_CONFIDENCE, MOST_CONFIDENCE))
    return WrittenEvent(
        KINDS.index(move.kind), move.lane, event.person, move.product, move.units, -1, sure, event.people,
        ago_s(event.sample, end),
    )  # fmt: skip


def ago_s(sample: int, end: int) -> float:
    """Seconds from a sample to the middle of the tick whose data ends with sample `end`."""
    return (end - sample) / RATE_HZ - (AHEAD_S + TICK_S / 2)


def remark(lost: Lost, number: int, when: tuple[Tick, int], where: tuple[Setup, Hands]) -> LedgerEvent:
    """No unit, but doubt: the receipt of whose hand was nearest asks for a person."""
    (tick, end), (setup, hands) = when, where
    lane = setup.store.lanes[lost.lane]
    middle_ns = tick.time_ns + NANOSECONDS // 2 - round(ago_s(lost.sample, end) * NANOSECONDS)
    scales = (setup.store.spec.scales[lane.scale].id,)
    cameras = tuple(camera.id for camera in setup.store.cameras if camera.sees(lane.front_m))
    evidence = Evidence(cameras, scales, middle_ns - NANOSECONDS, middle_ns + NANOSECONDS, lane.id)
    gtin = setup.store.products[setup.table.product[lost.lane]].gtin
    return LedgerEvent(
        f"t{tick.index:06d}-u{number}", middle_ns, "correction", hands.visits[lost.person], gtin, 0, UNSEEN, lane.id,
        evidence=evidence, reason=f"{lost.grams:.0f} g left {lane.id}",
    )  # fmt: skip


def weighed(learnt: Learnt, part: Part) -> Learnt:
    """What a sure step teaches of a product's mass."""
    for event in part.events:
        if event.grams is not None and part.explanation.confidence > SURE:
            learnt = learnt.weighed(event.move.product, abs(event.grams), event.move.units, WEIGHING_G)
    return learnt
