"""The peer behind the pipeline: from messages to receipts, pure, resumable, and never tick by tick."""

from __future__ import annotations

import numpy as np

from openaisle.edge.runtime import load_predictor
from openaisle.messages import NANOSECONDS
from openaisle.modular.peer import ModularPredictor
from openaisle.pipeline import run, set_up, step
from openaisle.receipts.pricing import Receipt
from openaisle.state import ReceiptUpdate, StepResult
from openaisle.tokens.tick import Ticker
from tests.pipeline.scripted import START, Scripted, shopping
from tests.tokens.corner import BEANS, COLA, corner_store

STORE = corner_store()
ANN = [(0.5, "entry", "ann")]


def peer() -> ModularPredictor:
    """Eyes that believe every hand before the first lane."""
    return ModularPredictor(Scripted(hand_m=STORE.lanes[0].front_m.astype(np.float32)))


def results(
    steps: list[tuple[float, int, float]], gates: list[tuple[float, str, str]], length_s: float = 20.0
) -> list[StepResult]:
    return list(run(STORE, shopping(steps, gates, length_s), peer()))


def basket(receipt: Receipt) -> dict[str, int]:
    return {line.gtin.lstrip("0"): line.quantity for line in receipt.lines}


def test_takes_and_returns_become_a_receipt() -> None:
    last = results([(5.0, 0, -660.0), (9.0, 1, -420.0), (13.0, 0, 330.0)], ANN)[-1]
    assert basket(last.receipts["ann"]) == {COLA.lstrip("0"): 1, BEANS.lstrip("0"): 1}


def test_an_event_keeps_its_own_time() -> None:
    updates = [u.update for result in results([(5.3, 0, -330.0)], ANN) for u in result.updates]
    assert len(updates) == 1
    assert updates[0].event_time_ns is not None
    assert abs(updates[0].event_time_ns - START - 5.3 * NANOSECONDS) < 0.15 * NANOSECONDS
    assert (updates[0].time_ns - START) / NANOSECONDS < 5.3 + 3.5


def test_nobody_is_charged_for_what_moves_in_an_empty_shop() -> None:
    last = results([(2.0, 0, -330.0), (12.0, 1, -420.0)], [(8.0, "entry", "ann")])[-1]
    assert basket(last.receipts["ann"]) == {BEANS.lstrip("0"): 1}


def test_what_leaves_without_a_name_is_not_charged_but_asks_for_a_person() -> None:
    gates = [*ANN, (17.0, "exit", "")]
    found = results([(5.0, 0, -330.0), (9.0, 0, -2_917.0)], gates)
    assert basket(found[-1].receipts["ann"]) == {COLA.lstrip("0"): 1}
    assert found[-1].receipts["ann"].needs_review
    sure = results([(5.0, 0, -330.0)], gates)[-1]
    assert not sure.receipts["ann"].needs_review


def test_what_a_batch_weighs_is_learnt_on_the_way() -> None:
    predictor = peer()
    setup, state = set_up(STORE, predictor)
    for tick in Ticker(STORE).ticks(shopping([(5.0, 0, -340.0), (9.0, 0, -340.0)], ANN, 14.0)):
        state, _ = step(state, tick, predictor, setup)
    mass, _ = state.weighing.learnt.mass(STORE.product_index[STORE.products[0].gtin])
    assert 334 < mass < 341


def test_the_step_is_pure() -> None:
    """The same tick from the same state gives the same, however often and with whatever predictor's life before."""
    setup, state = set_up(STORE, peer())
    ticks = list(Ticker(STORE).ticks(shopping([(5.0, 0, -330.0)], ANN, 14.0)))
    used = peer()
    told: list[ReceiptUpdate] = []
    for tick in ticks:
        again, _ = step(state, tick, peer(), setup)
        before = state
        state, updates = step(state, tick, used, setup)
        assert len(again.ledger.events) == len(state.ledger.events)
        assert before.weighing is not state.weighing
        told += updates
    assert len(told) == 1


def test_without_scales_nothing_is_written() -> None:
    last = list(run(STORE, shopping([(5.0, 0, -330.0)], ANN, 12.0), peer(), scales=False))[-1]
    assert basket(last.receipts["ann"]) == {}


def test_it_is_there_by_name() -> None:
    assert load_predictor("modular").name == "modular"
