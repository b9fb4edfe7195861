"""Scales have the last word once they rest: events that contradict them are corrected, the decoder being a witness."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from openaisle import reconcile
from openaisle.booking import lie
from openaisle.edge.rule import RulePredictor
from openaisle.pipeline import run, set_up, step
from openaisle.predictor import TickView, WrittenEvent
from openaisle.receipts.events import LedgerEvent
from openaisle.receipts.ledger import Ledger
from openaisle.reconcile import concerning, scene_before
from openaisle.tokens.journey import KINDS
from openaisle.tokens.tick import Ticker
from openaisle.weighing.interactions import Interaction, Rest
from openaisle.weighing.witness import NEAR, Told
from openaisle.writing import candidates
from tests.pipeline.scripted import Scripted, shopping
from tests.tokens.corner import BEANS, COLA, CRISPS, GRAMS, corner_store

STORE = corner_store()
FRONT = STORE.lanes[0].front_m.astype(np.float32)
ANN, BOTH = [(0.5, "entry", "ann")], [(0.5, "entry", "ann"), (0.7, "entry", "bob")]
TAKE, RETURN = KINDS.index("take"), KINDS.index("return")
Steps = list[tuple[float, int, float]]
Change = Callable[[WrittenEvent], list[WrittenEvent]]


class Altered(Scripted):
    """Writes what the steps spell out, but otherwise; everybody's hands are before the first lane."""

    def __init__(self, change: Change) -> None:
        super().__init__(hand_m=FRONT)
        self.change = change

    def write(self, view: TickView) -> list[WrittenEvent]:
        return [other for event in super().write(view) for other in self.change(event)]


def play(
    steps: Steps, change: Change, gates: list[tuple[float, str, str]] = ANN, length_s: float = 20.0
) -> tuple[dict[str, dict[str, int]], list[LedgerEvent]]:
    """Every visit's basket in the end, and the ledger."""
    predictor = Altered(change)
    setup, state = set_up(STORE, predictor)
    baskets: dict[str, dict[str, int]] = {}
    for tick in Ticker(STORE).ticks(shopping(steps, gates, length_s)):
        state, updates = step(state, tick, predictor, setup)
        for update in updates:
            lines = update.receipt.lines
            baskets[update.visit] = {line.gtin[-len(COLA) :]: line.quantity for line in lines}
    return baskets, list(state.ledger.events)


def short(gtin: str) -> str:
    return gtin.zfill(14)[-len(COLA) :]


def by_bob(event: WrittenEvent) -> list[WrittenEvent]:
    return [replace(event, shopper=1, people=(0.2, 0.8))]


@pytest.mark.parametrize("too_many", [0, 1, 2])
def test_units_are_counted_anew(too_many: int) -> None:
    baskets, ledger = play(
        [(4.0, 0, -2 * GRAMS[COLA])], lambda e: [replace(e, quantity=e.quantity + too_many, confidence=0.5)]
    )
    assert baskets == {"ann": {short(COLA): 2}}
    assert ledger[0].quantity == 2 + too_many  # history stays
    assert [e.supersedes for e in ledger[1:]] == ([ledger[0].event_id] if too_many else [])


def test_a_take_that_never_was_is_taken_back() -> None:
    """A hand that lifts what lies there and lets go: only the first half looks like a take."""
    pressed: Steps = [(4.5, 0, -GRAMS[COLA]), (5.1, 0, GRAMS[COLA])]
    baskets, ledger = play(pressed, lambda e: [replace(e, confidence=0.6)] if e.kind == TAKE else [])
    assert baskets == {"ann": {}}
    assert [(e.kind, e.quantity) for e in ledger] == [("take", 1), ("correction", 0)]
    assert ledger[1].reason
    assert play(pressed, lambda e: [e])[0] == {"ann": {}}  # both written, or none of it
    still: Steps = [(4.2, 0, -GRAMS[COLA]), (5.5, 0, GRAMS[COLA])]  # no hand keeps so still for so long
    baskets, ledger = play(still, lambda e: [replace(e, confidence=0.6)] if e.kind == TAKE else [])
    assert baskets == {"ann": {}}
    assert [(e.kind, e.quantity) for e in ledger] == [("take", 1), ("return", 1)]


def test_what_nobody_wrote_is_theirs_whose_hand_was_there() -> None:
    baskets, (late,) = play([(4.0, 0, -GRAMS[COLA])], lambda _: [])
    assert baskets == {"ann": {short(COLA): 1}}
    assert late.evidence is not None
    assert late.evidence.scales == ("w1",)
    assert late.reason
    assert late.confidence < 0.98
    assert play([(4.0, 0, -12.0)], lambda _: [])[1] == []  # no product weighs so little


def test_what_nobody_was_near_is_not_guessed() -> None:
    """Of two who are both far from the lane neither is charged by a coin; of one alone in the shop it is plain."""

    class Far(Altered):
        def __init__(self) -> None:
            super().__init__(lambda _: [])
            self.hand_m = None

    sent = [(4.0, 0, -GRAMS[COLA])]
    *_, last = run(STORE, shopping(sent, BOTH, 20.0), Far())
    assert not any(receipt.lines for receipt in last.receipts.values())
    *_, last = run(STORE, shopping(sent, ANN, 20.0), Far())
    assert [line.quantity for line in last.receipts["ann"].lines] == [1]


def test_who_may_have_done_it_is_kept_of_what_nobody_wrote() -> None:
    """Both hands are at the lane; only Ann, who has it, can put it back, but Bob's chance to have done so is known."""
    predictor = Altered(lambda e: [replace(e, people=(0.9, 0.1))] if e.kind == TAKE else [])
    setup, state = set_up(STORE, predictor)
    for tick in Ticker(STORE).ticks(shopping([(4.0, 0, -GRAMS[COLA]), (10.0, 0, GRAMS[COLA])], BOTH, 20.0)):
        state, _ = step(state, tick, predictor, setup)
    take, back = state.ledger.events
    assert (back.kind, back.visit) == ("return", "ann")
    assert state.doubts[back.event_id] == pytest.approx({"ann": 0.5, "bob": 0.5})
    assert state.doubts[take.event_id]["ann"] > 0.6


def test_a_products_events_are_given_out_anew_when_scales_have_told(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, int]] = []

    def spy(gtin: str, ledger: Ledger, *rest: object) -> list[LedgerEvent]:
        asked.append((gtin, len(ledger.events)))
        return []

    monkeypatch.setattr(reconcile, "owned", spy)
    play([(4.0, 0, -GRAMS[COLA]), (10.0, 0, GRAMS[COLA])], lambda e: [e] if e.kind == TAKE else [])
    assert asked == [(COLA.zfill(14), 1), (COLA.zfill(14), 2)]  # with what they have just told


def test_silence_says_something_only_where_somebody_writes() -> None:
    class Silent(Altered):
        def __init__(self) -> None:
            super().__init__(lambda _: [])
            self.writes = False

    def told_at(predictor: Altered, steps: Steps) -> list[int]:
        results = run(STORE, shopping(steps, ANN, 20.0), predictor)
        return [tick for tick, result in enumerate(results) if result.updates]

    steps: Steps = [(4.0, 0, -GRAMS[COLA])]
    (early,), (late,) = told_at(Silent(), steps), told_at(Altered(lambda _: []), steps)
    assert late == early + 1  # who may still write is waited for

    def sure(predictor: Altered) -> float:
        predictor.hand_m = None
        *_, last = run(STORE, shopping(steps, ANN, 20.0), predictor)
        return last.receipts["ann"].lines[0].confidence

    assert sure(Silent()) < sure(Altered(lambda _: []))  # hands that are not seen count less beside other words


def test_what_is_put_back_unseen_comes_out_of_the_basket() -> None:
    steps: Steps = [(4.0, 1, -GRAMS[BEANS]), (10.0, 0, GRAMS[BEANS])]  # among the cola
    baskets, ledger = play(steps, lambda e: [e] if e.kind == TAKE else [])
    assert baskets == {"ann": {}}
    assert [(e.kind, e.lane) for e in ledger] == [("take", "wall.s1.l2"), ("return", "wall.s1.l1")]
    again, _ = play([*steps, (15.0, 0, -GRAMS[BEANS])], lambda e: [e] if e.kind == TAKE else [], length_s=25.0)
    assert again == {"ann": {short(BEANS): 1}}  # and it is known to lie there


def test_the_wrong_product_gives_way_to_what_the_mass_says() -> None:
    baskets, _ = play([(4.0, 0, -GRAMS[COLA])], lambda e: [replace(e, product=1, confidence=0.7)])
    assert baskets == {"ann": {short(COLA): 1}}


def test_the_witness_says_who_it_was() -> None:
    """Both hands are before the lane: only what was written tells them apart."""
    baskets, ledger = play([(4.0, 0, -GRAMS[COLA])], by_bob, BOTH)
    assert baskets == {"bob": {short(COLA): 1}}
    assert len(ledger) == 1


def test_a_model_that_tells_no_chances_is_a_witness_of_whom_it_names() -> None:
    baskets, ledger = play([(4.0, 0, -GRAMS[COLA])], lambda e: [replace(e, shopper=1, people=())], BOTH)
    assert baskets == {"bob": {short(COLA): 1}}
    assert len(ledger) == 1


def test_what_both_were_seen_to_take_is_one_each() -> None:
    def each(event: WrittenEvent) -> list[WrittenEvent]:
        return [replace(event, quantity=1, people=(0.7, 0.3)), *by_bob(replace(event, quantity=1))]

    baskets, ledger = play([(4.0, 0, -2 * GRAMS[COLA])], each, BOTH)
    assert baskets == {"ann": {short(COLA): 1}, "bob": {short(COLA): 1}}
    assert len(ledger) == 2


def test_what_was_written_for_those_who_left_is_never_given_to_somebody_else() -> None:
    """Ann goes while the scale still swings; Bob stays, with his hands at the lane."""
    gates = [*BOTH, (4.6, "exit", "")]
    swing: Steps = [(4.3, 0, -GRAMS[COLA]), (5.2, 0, -40.0), (5.7, 0, 40.0), (6.2, 0, -40.0), (6.7, 0, 40.0)]
    baskets, ledger = play(swing, lambda e: [replace(e, people=(0.55, 0.45))], gates)
    assert sum(lines.get(short(COLA), 0) for lines in baskets.values()) == 1
    assert [e.kind for e in ledger] == ["take"]


def test_what_was_written_while_a_scale_had_no_level_stands() -> None:
    """A scale at its limit is none; the take that relieves it is not mixed up with the next one."""
    limit = STORE.spec.scales[0].limit_grams
    steps: Steps = [(2.0, 0, 0.96 * limit + 150 - 8000.0), (9.0, 0, -GRAMS[COLA]), (14.0, 0, -GRAMS[COLA])]
    baskets, ledger = play(steps, lambda e: [replace(e, quantity=1)] if e.kind == TAKE else [])
    assert [e.kind for e in ledger] == ["take", "take"]
    assert baskets == {"ann": {short(COLA): 2}}


def test_every_correction_of_one_event_names_it_and_the_last_one_counts() -> None:
    """Bob puts back what Ann was thought to have taken: that mends the take, and no scale unmends it."""
    steps: Steps = [(4.0, 0, -GRAMS[COLA]), (10.0, 0, GRAMS[COLA])]

    def confused(event: WrittenEvent) -> list[WrittenEvent]:
        return by_bob(event) if event.kind == RETURN else [replace(event, people=(0.6, 0.4))]

    baskets, ledger = play(steps, confused, BOTH)
    assert not any(lines for lines in baskets.values())
    targets = {e.supersedes for e in ledger if e.supersedes}
    assert targets <= {e.event_id for e in ledger if not e.supersedes}


def test_a_model_whose_word_stands_is_not_corrected() -> None:
    """The rule of the benchmark is what it is: nearest hand, planned product, rounded count."""

    class Stubborn(Altered):
        settles = False

    sent = shopping([(4.0, 0, -2 * GRAMS[COLA])], ANN, 20.0)
    *_, last = run(STORE, sent, Stubborn(lambda e: [replace(e, quantity=e.quantity + 1)]))
    (line,) = last.receipts["ann"].lines
    assert line.quantity == 3
    assert not RulePredictor(Scripted()).settles


@pytest.mark.parametrize("known", [0, 1])
def test_what_is_written_of_a_stranger_and_taken_back_leaves_the_lane_as_it_was(known: int) -> None:
    """Crisps out of the cola's lane: undone for the scales' explanation, they lie there only if they did before."""
    setup, state = set_up(STORE, Scripted())
    wrong = LedgerEvent("e1", 5_000_000_000, "take", "ann", CRISPS, 1, 0.3, lane="wall.s1.l1")
    before = {(0, 2): (1, 3)} if known else {}
    state = replace(state, lying=lie(before, wrong, None, setup), ledger=state.ledger.append(wrong))
    assert {key: units for key, (units, _) in state.lying.items()} == ({} if known else {(0, 2): -1})
    told = Told("e1", 0, 0, 100, "take", 2, 1, {"ann": 1.0}, 0.3)
    assert scene_before(state, [(told, wrong)], setup).learnt.lying == ({(0, 2): 1} if known else {})
    assert list(candidates(state, next(iter(Ticker(STORE).ticks(shopping([], ANN, 5.0)))), setup)) == []


def test_what_is_told_of_the_next_step_waits_for_it() -> None:
    """The first part of a long interaction ends in a rest; what was written after that rest is not undone by it."""
    rests = tuple(Rest(begin, end, np.array([5000.0], np.float32)) for begin, end in ((0, 20), (40, 100)))
    found = Interaction((0,), np.array([0.5], np.float32), rests, ((30,),))
    told = [Told(f"e{n}", 0, 0, n, "take", 0, 1, {"ann": 1.0}, 0.9) for n in (30, 40 + NEAR, 41 + NEAR)]
    assert [t.sample for t in concerning(told, found)] == [30, 40 + NEAR]
    short_rest = replace(found, rests=(rests[0], replace(rests[1], end=48)))
    assert [t.sample for t in concerning([replace(told[0], sample=n) for n in (58, 59)], short_rest)] == [58]
    assert concerning([replace(told[0], scale=1)], found) == ()
