"""Settled scales have the last word: events that contradict them are corrected, where one change explains all."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from openaisle.pipeline import run
from openaisle.predictor import TickView, WrittenEvent
from openaisle.receipts.document import update_of, updates_of
from openaisle.receipts.events import Kind, LedgerEvent
from openaisle.receipts.ledger import Ledger, fold
from openaisle.settle import CORRECTED, QUIET_S, Goods, Settled, goods_of, mend, settle
from openaisle.tokens.scales import HISTORY, RATE_HZ
from tests.pipeline.scripted import Scripted, shopping
from tests.tokens.corner import corner_store

BEANS, TEA, SOAP = "00000000000017", "00000000000024", "00000000000031"
GOODS = Goods({BEANS: 400.0, TEA: 110.0, SOAP: 95.0}, {"l1": BEANS, "l2": TEA}, {"l1": 0, "l2": 0, "l3": 1})


def event(kind: Kind, gtin: str, quantity: int, sure: float = 0.8, lane: str = "l1", name: str = "e1") -> LedgerEvent:
    return LedgerEvent(name, 1_000, kind, "ann", gtin, quantity, sure, lane=lane)


def level(grams: float, noise: float = 0.4) -> NDArray[np.float32]:
    """Two scales that have been quiet for long."""
    wobble = np.random.Generator(np.random.PCG64(3)).normal(0, noise, (2, HISTORY))
    return (grams + wobble).astype(np.float32)


def rummaging(grams: float) -> NDArray[np.float32]:
    rows = level(grams)
    rows[0, -RATE_HZ:] += np.linspace(-300, 250, RATE_HZ)
    return rows


def told(events: list[LedgerEvent], before: float, after: float, noise: float = 0.4) -> list[LedgerEvent]:
    """Corrections when the scale goes from one level to another around so many events."""
    known, none = settle(Settled(), [], level(before, noise), GOODS)
    assert none == []
    known, none = settle(known, events, rummaging(before), GOODS)  # not settled yet
    assert none == []
    known, out = settle(known, [], level(after, noise), GOODS)
    assert known.written == {}
    return out


@pytest.mark.parametrize("felt", [0.96, 1.0, 1.03])
def test_events_that_agree_with_the_scale_stay(felt: float) -> None:
    assert told([event("take", BEANS, 1)], 5000, 5000 - 400 * felt) == []
    assert told([event("return", TEA, 2, lane="l2")], 5000, 5000 + 220 * felt) == []
    both = [event("take", BEANS, 1), event("return", TEA, 1, lane="l2", name="e2")]
    assert told(both, 5000, 5000 - 290 * felt) == []


def test_a_take_that_never_was_is_taken_back() -> None:
    (mended,) = told([event("take", BEANS, 1)], 5000, 5000)
    assert mended.kind == "correction"
    assert (mended.supersedes, mended.quantity, mended.visit, mended.confidence) == ("e1", 0, "ann", CORRECTED)
    assert mended.reason


@pytest.mark.parametrize(("kind", "sign"), [("take", 1), ("return", -1)])
def test_units_are_counted_anew(kind: Kind, sign: int) -> None:
    (mended,) = told([event(kind, BEANS, 3)], 9000, 9000 - sign * 1600)
    assert (mended.gtin, mended.quantity) == (BEANS, 4 * sign)


def test_the_less_certain_of_two_events_gives_way() -> None:
    sure, unsure = event("take", TEA, 1, 0.95, "l2", "sure"), event("take", TEA, 1, 0.55, "l2", "unsure")
    (mended,) = told([sure, unsure], 5000, 4890)
    assert (mended.supersedes, mended.quantity) == ("unsure", 0)
    (mended,) = told([unsure, sure], 5000, 4890)
    assert mended.supersedes == "unsure"


def test_the_lanes_own_product_is_tried() -> None:
    (mended,) = told([event("take", TEA, 1, 0.4)], 5000, 4600)  # tea out of the lane of beans: no, beans
    assert (mended.gtin, mended.quantity, mended.supersedes) == (BEANS, 1, "e1")


def test_what_no_single_change_explains_is_left_alone() -> None:
    assert told([event("take", BEANS, 1)], 5000, 5000 - 250) == []
    assert told([event("take", BEANS, 1)], 5000, 5000 + 150) == []


def test_noise_and_the_spread_of_masses_contradict_nothing() -> None:
    assert mend([event("take", TEA, 1, lane="l2")], -98.0, 8.0, GOODS) is None
    assert mend([event("take", BEANS, 6)], -2280.0, 0.5, GOODS) is None


def test_a_scale_that_is_not_quiet_says_nothing() -> None:
    known, _ = settle(Settled(), [], level(5000), GOODS)
    for _ in range(5):
        known, out = settle(known, [], rummaging(5000), GOODS)
        assert out == []
    known, out = settle(known, [event("take", BEANS, 1)], rummaging(5000), GOODS)
    assert out == []
    assert [e.event_id for e in known.written[0]] == ["e1"]
    assert QUIET_S > 1.0


def test_without_a_level_before_nothing_is_corrected() -> None:
    assert settle(Settled(), [event("take", BEANS, 1)], level(5000), GOODS)[1] == []


def test_a_scale_without_readings_says_nothing_and_a_slow_one_speaks() -> None:
    known, _ = settle(Settled(), [], level(5000), GOODS)
    dead = level(5000)
    dead[:, -3 * RATE_HZ :] = np.nan
    known, out = settle(known, [event("take", BEANS, 1)], dead, GOODS)
    assert out == []
    slow = level(5000)
    slow[:, ::2] = np.nan
    assert len(settle(known, [], slow, GOODS)[1]) == 1


def test_hand_overs_and_lanes_without_a_scale_are_none_of_its_business() -> None:
    over = replace(event("take", BEANS, 1), kind="hand_over", to_visit="bob", lane="")
    bare = event("take", BEANS, 1, lane="l9", name="e2")
    assert told([over, bare], 5000, 5000) == []


def test_no_scales_no_corrections() -> None:
    empty = np.zeros((0, HISTORY), np.float32)
    known, out = settle(Settled(), [event("take", BEANS, 1)], empty, GOODS)
    assert out == []
    assert known.level == {}


def test_the_basket_follows_and_history_stays() -> None:
    wrong = event("take", BEANS, 3)
    (mended,) = told([wrong], 9000, 9000 - 1600)
    ledger = Ledger().append(wrong).append(mended)
    assert [(line.gtin, line.quantity) for line in fold(ledger, "ann").lines] == [(BEANS, 4)]
    assert ledger.events[0] == wrong


class Miscounting(Scripted):
    """Writes so many units too many, of one lane."""

    def __init__(self, too_many: int) -> None:
        super().__init__()
        self.too_many = too_many

    def write(self, view: TickView) -> list[WrittenEvent]:
        written = super().write(view)[:1]
        return [replace(event, quantity=event.quantity + self.too_many, confidence=0.5) for event in written]


def test_a_run_corrects_what_its_scales_contradict() -> None:
    store = corner_store()
    goods = goods_of(store)
    lane = next(lane.id for lane in store.lanes if goods.scale.get(lane.id) == 0 and lane.id in goods.planned)
    unit = goods.unit_grams[goods.planned[lane]]
    sent = shopping([(4.0, 0, -2 * unit)], [(1.0, "entry", "ann")], 12.0)
    for too_many in (0, 1, 2):
        *_, last = run(store, sent, Miscounting(too_many))
        (line,) = last.receipts["ann"].lines
        assert line.quantity == 2


def test_updates_tell_what_a_correction_changes() -> None:
    wrong = event("take", BEANS, 3)
    more = replace(wrong, event_id="e1~", kind="correction", quantity=4, supersedes="e1")
    other = replace(more, gtin=TEA, quantity=1)
    never = replace(more, quantity=0)
    changed = [[(u.gtin, u.quantity) for u in updates_of(e, "ann", 5, wrong)] for e in (more, other, never)]
    assert changed == [[(BEANS, 1)], [(BEANS, -3), (TEA, 1)], [(BEANS, -3)]]
    back = event("return", BEANS, 1)
    nothing = replace(back, event_id="e1~", kind="correction", quantity=0, supersedes="e1")
    assert [(u.gtin, u.quantity) for u in updates_of(nothing, "ann", 5, back)] == [(BEANS, 1)]
    assert updates_of(wrong, "ann", 5, None) == (update_of(wrong, "ann", 5),)
