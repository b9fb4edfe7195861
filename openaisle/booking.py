"""Events into the ledger, with what they tell of earlier ones; updates and receipts for every visit touched. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from openaisle.messages import NANOSECONDS
from openaisle.owners import settle_owner
from openaisle.predictor import WrittenEvent
from openaisle.receipts.document import update_of, updates_of
from openaisle.receipts.events import Evidence, LedgerEvent
from openaisle.receipts.ledger import fold
from openaisle.receipts.pricing import Receipt, ReviewPolicy, local_day, price
from openaisle.state import ReceiptUpdate, Setup, State
from openaisle.store.store import Store
from openaisle.tokens.journey import KINDS
from openaisle.tokens.tick import Tick

HALF_SECOND_NS = NANOSECONDS // 2


def charge(
    state: State, tick: Tick, events: list[WrittenEvent], setup: Setup
) -> tuple[State, tuple[ReceiptUpdate, ...]]:
    """Events into the ledger, with what they tell of earlier ones; updates for every visit they touch."""
    updates: list[ReceiptUpdate] = []
    for numbered in enumerate(events):
        entry = ledger_event(state, tick, numbered, setup)
        doubts = {**state.doubts, entry.event_id: chances(state, numbered[1])}
        state = replace(state, doubts=doubts)
        state, told = book(state, tick, settle_owner(entry, state.ledger, doubts, state.finished), setup)
        updates += told
    return state, tuple(updates)


def chances(state: State, event: WrittenEvent) -> dict[str, float]:
    """Each visit's chance to have been the one."""
    out: dict[str, float] = {}
    for shopper, chance in zip(state.shoppers, event.people, strict=False):  # not every model tells
        out[shopper.visit] = out.get(shopper.visit, 0.0) + chance
    return out


def book(state: State, tick: Tick, entries: list[LedgerEvent], setup: Setup) -> tuple[State, tuple[ReceiptUpdate, ...]]:
    """Entries into the ledger; updates for every visit they touch."""
    updates: list[ReceiptUpdate] = []
    for entry in entries:
        target, ledger = entry.supersedes, state.ledger
        replaced = ledger.standing(target) if target else None
        before = (ledger.event(target), *ledger.corrections(target)) if target else ()
        touched = entry.visits().union(*(event.visits() for event in before))  # who loses it is told, too
        lying = lie(state.lying, entry, replaced, setup)
        state = replace(state, ledger=state.ledger.append(entry), lying=lying)
        for visit in sorted(touched):  # a set's order differs between processes
            receipt = charged(state, visit, tick.time_ns, setup.store)
            told = updates_of(entry, visit, tick.sensed_ns, replaced)
            updates += [ReceiptUpdate(visit, update, receipt) for update in told]
    return state, tuple(updates)


def updates_since(state: State, known: int, tick: Tick, setup: Setup) -> tuple[ReceiptUpdate, ...]:
    """Updates for what corrections replaced after the first `known` entries of the ledger."""
    fresh = [entry for entry in state.ledger.events[known:] if entry.supersedes]
    told = [(e, charged(state, e.visit, tick.time_ns, setup.store)) for e in fresh]
    return tuple(ReceiptUpdate(e.visit, update_of(e, e.visit, tick.sensed_ns), receipt) for e, receipt in told)


def charged(state: State, visit: str, time_ns: int, store: Store) -> Receipt:
    """A visit's receipt as the ledger stands, at the prices of the day."""
    day = local_day(max(time_ns, 0), store.spec.time_zone)
    policy = ReviewPolicy(blind=tuple(sorted(state.blinded.get(visit, ()))))
    return price(fold(state.ledger, visit), store.spec, store.products, day, policy)


def ledger_event(state: State, tick: Tick, numbered: tuple[int, WrittenEvent], setup: Setup) -> LedgerEvent:
    """A written event with its evidence, as an entry of the ledger."""
    i, event = numbered
    lane = setup.store.lanes[event.lane] if event.lane >= 0 else None
    at = lane.front_m if lane else np.append(state.memory["floor"][event.shopper], 1.0)
    seen = [camera.id for camera in setup.store.cameras if camera.sees(at)]
    weighed = lane is not None and setup.table.scale[lane.index] >= 0
    scales = (setup.store.spec.scales[lane.scale].id,) if lane and weighed else ()
    name = lane.id if lane else ""
    ago_ns = round(event.ago_s * NANOSECONDS)
    evidence = Evidence(tuple(seen), scales, tick.time_ns - ago_ns, tick.time_ns + NANOSECONDS, name)
    to = state.shoppers[event.receiver].visit if event.receiver >= 0 else ""
    kind = KINDS[event.kind]
    assert kind in ("take", "return", "hand_over")
    return LedgerEvent(
        f"t{tick.index:06d}-{i}", tick.time_ns + HALF_SECOND_NS - ago_ns, kind,  # type: ignore[arg-type]  # checked above
        state.shoppers[event.shopper].visit, setup.store.products[event.product].gtin, event.quantity, event.confidence,
        lane=name, to_visit=to, evidence=evidence,
    )  # fmt: skip


def lie(
    lying: Mapping[tuple[int, int], tuple[int, int]], entry: LedgerEvent, replaced: LedgerEvent | None, setup: Setup
) -> Mapping[tuple[int, int], tuple[int, int]]:
    """What lies in a wrong lane after an entry of the ledger.

    Units below zero, of what nobody knew to lie there, are kept until the lane's scale has told what it was: only so
    can the entry be taken back.
    """
    out = dict(lying)
    second = entry.time_ns // NANOSECONDS
    for event, sign in ((replaced, 1), (entry, -1)):
        if event is None or not event.lane:
            continue
        lane, product = setup.store.lane_index[event.lane], setup.store.product_index[event.gtin]
        if setup.table.product[lane] == product:
            continue
        units = out.pop((lane, product), (0, 0))[0] + sign * event.delta(event.visit)
        if units > 0 or (units < 0 and setup.table.scale[lane] >= 0):
            out[lane, product] = (units, second)
    return out
