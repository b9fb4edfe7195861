"""What the receipt decoder reads of the state, and what it writes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from openaisle.identity import distances
from openaisle.messages import NANOSECONDS
from openaisle.predictor import HAND_OVER, Arrays, Predictor, TickView, WrittenEvent
from openaisle.receipts.ledger import fold
from openaisle.state import Setup, State, Written
from openaisle.tokens.journey import ACTIVITIES, FRAMES, Candidate, RecentEvent, TrackWindow, tick_features
from openaisle.tokens.scales import scale_window
from openaisle.tokens.tick import Tick

RECENT_TICKS = 3  # how long the decoder sees what it wrote
HAND_OVER_M = 1.4  # two people this close may hand something over although no lane is active
HAND_OVER_SURE = 0.5  # a hand-over makes two receipts wrong where it never was


def track_window(state: State) -> TrackWindow:
    """The last FRAMES slots of everybody in the memory; not valid before somebody came, or in another's body."""
    people = len(state.shoppers)
    width = state.memory["product"].shape[-1]
    f32 = np.float32
    out = TrackWindow(
        np.zeros((people, FRAMES, 2), f32), np.full((people, FRAMES), 1.5, f32), np.zeros((people, FRAMES, 2, 3), f32),
        np.full((people, FRAMES, 2), 1.5, f32), np.zeros((people, FRAMES, 2), f32),
        np.zeros((people, FRAMES, ACTIVITIES), f32), np.zeros((people, FRAMES, 2, width), f32),
        np.zeros((people, FRAMES), f32),
    )  # fmt: skip
    row_of = {shopper.number: i for i, shopper in enumerate(state.shoppers)}
    for f, slot in enumerate(state.window, start=FRAMES - len(state.window)):
        for i, number in enumerate(slot["number"].tolist()):
            row = row_of.get(number)
            if row is not None and not slot["ghost"][i]:
                fill_slot(out, slot, (row, i, f))
    return out


def fill_slot(out: TrackWindow, slot: Arrays, place: tuple[int, int, int]) -> None:
    """One shopper's memory row of one slot into the window; place is (row out, row in, frame)."""
    row, i, f = place
    out.floor_m[row, f], out.hands_m[row, f] = slot["floor"][i], slot["hands"][i]
    out.floor_sd_m[row, f] = np.sqrt(np.trace(slot["floor_variance"][i]) / 2)
    out.hand_sd_m[row, f] = np.sqrt(np.trace(slot["hand_variance"][i], axis1=-2, axis2=-1) / 3)
    out.held[row, f], out.activity[row, f], out.product[row, f] = (
        slot["held"][i],
        slot["activity"][i],
        slot["product"][i],
    )
    out.valid[row, f] = 1.0


def candidates(state: State, tick: Tick, setup: Setup) -> tuple[Candidate, ...]:
    """What is in the baskets (every member of a group may return a group's item) and what is known to lie wrong."""
    out = []
    baskets = {visit: fold(state.ledger, visit) for visit in {shopper.visit for shopper in state.shoppers}}
    for row, shopper in enumerate(state.shoppers):
        for line in baskets[shopper.visit].lines:
            age = (tick.time_ns - line.time_ns) / NANOSECONDS
            out.append(Candidate(setup.store.product_index[line.gtin], line.quantity, age, shopper=row))
    for (lane, product), (units, since) in state.lying.items():
        if units <= 0:
            continue
        out.append(Candidate(product, units, max(0.0, tick.time_ns / NANOSECONDS - since), lane=lane))
    return tuple(out)


def write(state: State, tick: Tick, predictor: Predictor, setup: Setup) -> tuple[list[WrittenEvent], State]:
    """The receipt decoder's events for this tick, and the memory of having written them."""
    recent = tuple(w for w in state.recent if tick.index - w.tick <= RECENT_TICKS)
    if not state.shoppers:
        return [], replace(state, recent=recent)
    tracks = track_window(state)
    row_of = {shopper.number: i for i, shopper in enumerate(state.shoppers)}
    told = tuple(
        RecentEvent(
            w.event.kind,
            row_of.get(w.shopper, -1),
            w.event.lane,
            w.event.product,
            w.event.quantity,
            float(tick.index - w.tick),
        )
        for w in recent
    )
    window = scale_window(state.grams)
    features = tick_features(setup.table, window, tracks, candidates(state, tick, setup), told, setup.embeddings)
    near = distances(tracks.floor_m[:, -1]).min(initial=np.inf) < HAND_OVER_M
    if not len(features.lane) and not near:
        return [], replace(state, recent=recent)
    view = TickView(setup.table, window, tracks, features)
    events = [e for e in predictor.write(view) if e.kind != HAND_OVER or e.confidence >= HAND_OVER_SURE]
    written = tuple(Written(tick.index, event, state.shoppers[event.shopper].number) for event in events)
    return events, replace(state, recent=(*recent, *written))
