"""What settles is wired into a run: shelves are looked at, who puts back mends who took, nothing stays for ever."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from openaisle.booking import book, lie
from openaisle.correcting import mended, surroundings
from openaisle.messages import NANOSECONDS
from openaisle.pipeline import finish, run, set_up, step
from openaisle.predictor import Float32, ShelfLook, ShelfWindows, TickView, WrittenEvent
from openaisle.receipts.events import LedgerEvent
from openaisle.second_look import Decided, Doubtful
from openaisle.tokens.tick import Tick, Ticker
from openaisle.weighing.split import Way
from tests.pipeline.scripted import START, Scripted, films, lane_row, shopping, with_film
from tests.tokens.corner import BEANS, COLA, CRISPS, GRAMS, LANES, corner_store

BOTH = [(1.0, "entry", "ann"), (1.2, "entry", "bob")]


class Looking(Scripted):
    """Counts what it is asked of shelves."""

    def __init__(self) -> None:
        super().__init__()
        self.windows: list[ShelfWindows] = []

    def look_at_shelf(self, windows: ShelfWindows, vectors: Float32) -> ShelfLook:
        self.windows.append(windows)
        return super().look_at_shelf(windows, vectors)

    def write(self, view: TickView) -> list[WrittenEvent]:
        """Of the table, which has no scale, as of the first lane."""
        return [replace(event, lane=lane_row(corner_store(), 2), product=2) for event in super().write(view)]


def test_a_lane_without_a_scale_is_looked_at_before_and_after() -> None:
    eyes = Looking()
    sent = shopping([(6.0, 0, -GRAMS[COLA])], BOTH, 16.0)
    film = (
        replace(frame, rgb=np.full_like(frame.rgb, 90 if frame.time_ns < START + 6_000_000_000 else 100))
        for frame in films(16.0)
    )
    *_, last = run(corner_store(), with_film(sent, film), eyes)
    taken = [w for w in eyes.windows if w.product == 2]
    assert taken
    assert int(taken[0].before.mean()) == 90
    assert int(taken[0].after.mean()) == 100
    assert [line.gtin for line in last.receipts["ann"].lines] == [CRISPS.zfill(14)]


class Confused(Scripted):
    """Ann is thought to take; it is Bob who puts back, and he may well have been the one."""

    def write(self, view: TickView) -> list[WrittenEvent]:
        out = []
        for event in super().write(view):
            back = event.kind == 2
            out.append(replace(event, shopper=int(back), people=(0.0, 1.0) if back else (0.6, 0.4)))
        return out


def test_a_return_mends_who_took() -> None:
    sent = shopping([(4.0, 0, -GRAMS[COLA]), (10.0, 0, GRAMS[COLA])], BOTH, 20.0)
    results = list(run(corner_store(), sent, Confused()))
    last = results[-1].receipts
    assert not last["ann"].lines
    assert not last["bob"].lines
    changes = [(u.visit, u.update.quantity) for r in results for u in r.updates if u.update.kind == "correction"]
    assert sorted(changes) == [("ann", -1), ("bob", 1)]
    assert any(len(r.receipts["ann"].lines) for r in results if "ann" in r.receipts)


def entry(kind: str, lane: int, quantity: int = 1) -> LedgerEvent:
    return LedgerEvent("e1", START, kind, "ann", BEANS, quantity, 0.9, lane=LANES[lane])  # type: ignore[arg-type]  # a kind


def test_what_lies_wrong_follows_the_ledger_and_its_corrections() -> None:
    store = corner_store()
    setup, _ = set_up(store, Scripted())
    key = (lane_row(store, 0), store.product_index[BEANS])
    put = entry("return", 0, 2)
    lying = lie({}, put, None, setup)
    assert lying[key][0] == 2
    never = replace(put, event_id="e1~", kind="correction", quantity=0, supersedes="e1")
    assert lie(lying, never, put, setup) == {}
    assert lie(lying, entry("take", 0), None, setup)[key][0] == 1
    assert lie({}, entry("return", 1), None, setup) == {}  # where it belongs


def test_who_leaves_is_told_and_their_doubts_go() -> None:
    store, eyes = corner_store(), Scripted()
    setup, state = set_up(store, eyes)
    for tick in Ticker(store).ticks(shopping([], BOTH, 4.0)):
        last: Tick = tick
        state, _ = step(state, tick, eyes, setup)
    state = replace(state, doubts={"t1": {"ann": 1.0}, "t2": {"ann": 0.5, "bob": 0.5}})
    assert surroundings(state, last, eyes, setup).leaving == frozenset()
    gone = tuple(replace(s, left_ns=last.time_ns + 1) if s.visit == "ann" else s for s in state.shoppers)
    state = replace(state, shoppers=gone)
    assert surroundings(state, last, eyes, setup).leaving == {"ann"}
    assert finish(state, last).doubts.keys() == {"t2"}


def test_a_second_correction_changes_what_the_first_one_left() -> None:
    """Updates add up to the receipt, and what lies wrong is counted once, however often an event is corrected."""
    store, eyes = corner_store(), Scripted()
    setup, state = set_up(store, eyes)
    tick = list(Ticker(store).ticks(shopping([], BOTH, 4.0)))[-1]
    took = replace(entry("take", 1, 4), event_id="e0")
    put = entry("return", 0, 2)  # among the cola
    told: list[int] = []
    for change in (
        took, put,
        replace(put, event_id="e1~1", kind="correction", quantity=-3, supersedes="e1", time_ns=START + 1),
        replace(put, event_id="e1~2", kind="correction", quantity=-1, supersedes="e1", time_ns=START + 2),
    ):  # fmt: skip
        state, updates = book(state, tick, [change], setup)
        told += [u.update.quantity * (-1 if u.update.kind == "return" else 1) for u in updates]
        last = updates[-1].receipt
    assert told == [4, -2, -1, 2]
    assert [line.quantity for line in last.lines] == [3]
    assert state.lying[lane_row(store, 0), store.product_index[BEANS]][0] == 1


def test_what_a_second_look_found_comes_after_what_scales_said_in_the_same_tick() -> None:
    setup, state = set_up(corner_store(), Scripted())
    tick = Tick(9, START, ((),) * 5, np.zeros((2, 20), np.float32), ())
    first = LedgerEvent("t1", START, "take", "ann", BEANS.zfill(14), 1, 0.9, lane="wall.s1.l1")
    settled = LedgerEvent(
        "t1~9",
        tick.time_ns + NANOSECONDS + 1,
        "correction",
        "ann",
        COLA.zfill(14),
        2,
        0.8,
        "wall.s1.l1",
        supersedes="t1",
    )
    state = replace(state, ledger=state.ledger.extend([first, settled]))
    cola = setup.store.product_index[COLA.zfill(14)]
    event = Doubtful("t1", "take", Way(0, cola, 2, 0.0))
    (entry,) = mended(Decided(event, Way(0, cola, 1, 3.0), 0.7), state, tick, setup)
    after = state.ledger.append(entry)
    assert after.standing("t1") == entry
    assert (entry.quantity, entry.visit, entry.confidence) == (1, "ann", 0.7)
    (doubt,) = mended(Decided(event, event.chosen, 0.4), state, tick, setup)
    assert (doubt.quantity, doubt.confidence) == (2, 0.4)
    other = Doubtful("t1", "take", Way(0, setup.store.product_index[BEANS.zfill(14)], 1, 0.0))
    assert not list(mended(Decided(other, Way(0, cola, 1, 3.0), 0.7), state, tick, setup))  # it stands otherwise now
