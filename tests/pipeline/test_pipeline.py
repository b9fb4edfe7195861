"""The pipeline with a scripted predictor: visits open and close, events become receipts, a step touches nothing."""

from __future__ import annotations

import copy
from dataclasses import fields, is_dataclass

import numpy as np
import pytest

from openaisle.messages import NANOSECONDS
from openaisle.pipeline import receipts_document, run, set_up, step
from openaisle.state import State, StepResult
from openaisle.tokens.scales import HISTORY
from openaisle.tokens.tick import Sensed, Ticker
from tests.pipeline.scripted import START, Scripted, films, shopping, with_film
from tests.tokens.corner import BEANS, COLA, LANES, corner_store

STORE = corner_store()
IN_AND_OUT = [(0.5, "entry", "ann"), (1.5, "entry", "bob"), (20.0, "exit", ""), (22.0, "exit", "")]


def lines(result: StepResult, visit: str) -> dict[str, int]:
    return {line.gtin: line.quantity for line in result.receipts[visit].lines}


def gtin14(gtin: str) -> str:
    return gtin.zfill(14)


def test_takes_returns_and_hand_overs_become_receipts() -> None:
    steps = [(5.0, 0, -660.0), (9.0, 0, 330.0), (13.0, 1, -420.0), (17.0, 1, -1000.0)]
    results = list(run(STORE, shopping(steps, IN_AND_OUT, 26.0), Scripted()))
    last = results[-1]
    assert lines(last, "ann") == {gtin14(COLA): 1}
    assert lines(last, "bob") == {gtin14(BEANS): 1}
    assert (last.receipts["ann"].total_cents, last.receipts["bob"].total_cents) == (100, 200)
    told = [[(u.visit, u.update.kind, u.update.quantity) for u in result.updates] for result in results]
    assert [updates for updates in told if updates] == [
        [("ann", "take", 2)],
        [("ann", "return", 1)],
        [("ann", "take", 1)],
        [("ann", "hand_over", -1), ("bob", "hand_over", 1)],
    ]
    for result in results:
        for update in result.updates:
            assert update.update.event_time_ns is not None
            assert update.update.event_time_ns < update.update.time_ns <= result.time_ns


def test_exits_close_visits_in_the_order_of_leaving() -> None:
    results = list(run(STORE, shopping([], IN_AND_OUT, 26.0), Scripted()))
    assert set(results[-1].finished) == {"ann", "bob"}
    left = {visit: (ns - START) / NANOSECONDS for visit, ns in results[-1].finished.items()}
    assert sorted(left.values()) == pytest.approx([21.5, 23.5], abs=1.0)
    people = [len(result.tracks) for result in results]
    assert max(people) == 2
    assert people[-1] == 0
    assert lines(results[-1], "ann") == {}
    assert results[-1].receipts["ann"].total_cents == 0


def test_a_group_shares_one_receipt_that_closes_with_its_last_member() -> None:
    gates = [(0.5, "entry", "us"), (1.5, "entry", "us"), (12.0, "exit", ""), (16.0, "exit", "")]
    steps = [(5.0, 0, -330.0)]
    results = list(run(STORE, shopping(steps, gates, 20.0), Scripted(taker=1)))
    assert set(results[-1].receipts) == {"us"}
    assert lines(results[-1], "us") == {gtin14(COLA): 1}
    closed = [result for result in results if "us" in result.finished]
    assert len(closed[0].tracks) == 0
    assert (closed[0].time_ns - START) / NANOSECONDS > 16


def test_without_video_gates_and_scales_still_write_receipts() -> None:
    sent = with_film(shopping([(5.0, 0, -330.0)], IN_AND_OUT, 26.0), films(10.0, box_from_s=2.0))
    blind = list(run(STORE, sent, Scripted(), video=False))
    assert lines(blind[-1], "ann") == {gtin14(COLA): 1}
    assert set(blind[-1].finished) == {"ann", "bob"}


def test_without_scales_a_hand_makes_a_lane_worth_looking_at() -> None:
    predictor = Scripted(hand_m=STORE.lanes[0].front_m.astype(np.float32))
    sent = shopping([(5.0, 0, -330.0)], IN_AND_OUT[:1], 10.0)
    results = list(run(STORE, sent, predictor, scales=False))
    assert predictor.views
    for view in predictor.views:
        assert not len(view.window.activity)
        assert (view.table.scale == -1).all()
        assert 0 in view.features.lane
    assert lines(results[-1], "ann") == {}


def test_evidence_names_cameras_scales_and_lane() -> None:
    result = list(run(STORE, shopping([(5.0, 0, -330.0)], IN_AND_OUT, 26.0), Scripted()))[-1]
    evidence = result.receipts["ann"].lines[0].evidence[0]
    assert evidence.lane == LANES[0]
    assert evidence.scales == ("w1",)
    assert set(evidence.cameras) <= {"a", "b"}
    assert evidence.cameras
    assert evidence.start_ns <= START + 5_000_000_000 < evidence.end_ns


def test_the_document_of_a_run() -> None:
    results = run(STORE, shopping([(5.0, 0, -330.0)], IN_AND_OUT, 26.0), Scripted())
    document = receipts_document(results, "here", "scripted")
    assert (document.recording, document.model) == ("here", "scripted")
    ann, bob = document.receipts
    assert [line.quantity for line in ann.lines] == [1]
    assert ann.updates[0].kind == "take"
    assert ann.final_ns is not None
    assert not bob.lines


def test_somebody_without_a_gates_word_opens_a_visit() -> None:
    sent = with_film([], films(14.0, box_from_s=3.0))
    results = list(run(STORE, sent, Scripted(person_at=(2.0, 1.5))))
    assert set(results[-1].receipts) == {"visit-1"}
    assert results[-1].tracks[0].floor_m == pytest.approx([2.0, 1.5], abs=1e-4)


def test_a_gate_that_speaks_late_names_the_visit_and_all_that_was_taken() -> None:
    gates = [(10.0, "entry", "ann"), (16.0, "exit", "")]
    sent = with_film(shopping([(8.0, 0, -330.0), (13.0, 1, -420.0)], gates, 20.0), films(20.0, box_from_s=3.0))
    results = list(run(STORE, sent, Scripted(person_at=(2.0, 1.5))))
    early = next(result for result in results if result.receipts.get("visit-1") and result.receipts["visit-1"].lines)
    assert lines(early, "visit-1") == {gtin14(COLA): 1}
    last = results[-1]
    assert lines(last, "ann") == {gtin14(COLA): 1, gtin14(BEANS): 1}
    assert last.receipts["ann"].total_cents == 300
    assert set(last.receipts) == set(last.finished) == {"ann"}
    (record,) = receipts_document(results, "here", "scripted").receipts
    assert [(update.kind, update.gtin, update.quantity) for update in record.updates] == [
        ("correction", gtin14(COLA), 1),
        ("take", gtin14(BEANS), 1),
    ]
    assert record.updates[0].event_time_ns == early.updates[0].update.event_time_ns


def test_exits_alone_do_not_tell_who_came() -> None:
    sent = with_film(shopping([], [(0.5, "exit", "")], 14.0), films(14.0, box_from_s=3.0))
    assert set(list(run(STORE, sent, Scripted(person_at=(2.0, 1.5))))[-1].receipts) == {"visit-1"}


def test_in_a_store_whose_gates_speak_nobody_is_invented() -> None:
    gates = [(0.5, "entry", "ann"), (1.5, "exit", "")]
    sent = with_film(shopping([], gates, 14.0), films(14.0, box_from_s=5.0))
    results = list(run(STORE, sent, Scripted(person_at=(2.0, 1.5))))
    assert set(results[-1].receipts) == {"ann"}
    assert results[-1].tracks == ()


def same(a: object, b: object, where: str = "") -> None:
    """Equal down to the last bit of every array."""
    assert type(a) is type(b), where
    if isinstance(a, np.ndarray):
        assert isinstance(b, np.ndarray)
        assert np.array_equal(a, b, equal_nan=a.dtype.kind == "f"), where
    elif is_dataclass(a):
        for field in fields(a):
            same(getattr(a, field.name), getattr(b, field.name), f"{where}.{field.name}")
    elif isinstance(a, dict):
        assert isinstance(b, dict)
        assert a.keys() == b.keys(), where
        for key in a:
            same(a[key], b[key], f"{where}[{key}]")
    elif isinstance(a, (tuple, list)):
        assert isinstance(b, (tuple, list))
        assert len(a) == len(b), where
        for i, (x, y) in enumerate(zip(a, b, strict=True)):
            same(x, y, f"{where}[{i}]")
    else:
        assert a == b, where


def test_a_step_is_pure() -> None:
    """The same state and tick give the same result twice, and neither is changed by it."""
    gates = [(0.5, "entry", "ann"), (1.5, "entry", "bob"), (9.0, "exit", "")]
    sent: list[Sensed] = with_film(shopping([(5.0, 0, -330.0)], gates, 12.0), films(12.0, box_from_s=2.0))
    predictor = Scripted(person_at=(2.0, 1.5))
    setup, state = set_up(STORE, predictor)
    for tick in Ticker(STORE).ticks(sent):
        kept_state, kept_tick = copy.deepcopy(state), copy.deepcopy(tick)
        after, updates = step(state, tick, predictor, setup)
        again, updates_again = step(state, tick, predictor, setup)
        same(state, kept_state, "state")
        same(tick, kept_tick, "tick")
        same(after, again, "after")
        same(updates, updates_again, "updates")
        state = after
    assert isinstance(state, State)
    assert state.grams.shape == (2, HISTORY)
    assert set(state.finished) == {"ann"} or set(state.finished) == {"bob"}


def test_a_store_of_nothing_but_quiet() -> None:
    assert list(run(STORE, [], Scripted())) == []
    results = list(run(STORE, shopping([], [], 3.0), Scripted()))
    assert results
    assert results[-1].receipts == {}
    assert results[-1].tracks == ()
