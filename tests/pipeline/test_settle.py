"""Shelves have the last word in lanes without a scale: what is not seen to have gone or come is corrected."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from openaisle.accounts import MOST_SURE, NAMELESS, Case, explain
from openaisle.pipeline import run
from openaisle.predictor import ShelfLook, TickView, WrittenEvent
from openaisle.receipts.document import update_of, updates_of
from openaisle.receipts.events import Kind, LedgerEvent
from openaisle.receipts.ledger import Ledger, fold
from openaisle.settle import ALONE_TICKS, WAIT_TICKS, Around, Reach, Settled, Sight, Stills, settle
from openaisle.shelves import NEVER
from openaisle.weighing.goods import Goods, bare
from openaisle.writing import HAND_OVER_SURE
from tests.pipeline.scripted import HAND_OVER_GRAMS, Scripted, shopping
from tests.tokens.corner import corner_store

BEANS, TEA, SOAP = "00000000000017", "00000000000024", "00000000000031"
CATALOGUE = (BEANS, TEA, SOAP, *(f"{n:014}" for n in range(100, 140)))
GOODS = Goods(
    {BEANS: 400.0, TEA: 110.0, SOAP: 95.0},
    {"l1": BEANS, "l2": TEA, "l3": SOAP},
    {"l1": 0, "l2": bare(1), "l3": bare(2)},
    row={gtin: row for row, gtin in enumerate(CATALOGUE)},
)
STILLS: Stills = (None,)


def event(kind: Kind, gtin: str, quantity: int, sure: float = 0.6, lane: str = "l3", name: str = "e1") -> LedgerEvent:
    return LedgerEvent(name, 1_000, kind, "ann", gtin, quantity, sure, lane=lane)


def look(left: str = "", came: str = "", net: int = 0) -> ShelfLook:
    """A look that is sure of what left, what came, and of so many units more of the lane's own."""
    named = np.full((2, len(CATALOGUE)), -np.log(len(CATALOGUE)), dtype=np.float32)
    for side, gtin in enumerate((left, came)):
        if gtin:
            named[side] = -9.0
            named[side, CATALOGUE.index(gtin)] = 0.0
    changed = np.array([6.0 if gtin else -6.0 for gtin in (left, came)], dtype=np.float32)
    units = np.full(9, -9.0, dtype=np.float32)
    units[4 + net] = 0.0
    return ShelfLook(named, changed, units)


def told(
    events: list[LedgerEvent], seen: ShelfLook | None, share: float = 1.0, **around: object
) -> tuple[list[LedgerEvent], int]:
    """Entries for a lane in which Ann's hand has been for a tick, and how many ticks it took."""
    calm = Around(stills=STILLS, look=lambda *_: (seen, share) if seen else None, **around)  # type: ignore[arg-type]
    near = replace(calm, reach={"ann": {"l3": 1.0}})
    known, out = settle(Settled(), [], calm, GOODS)
    known, out = settle(known, events, near, GOODS)
    assert out == []
    for tick in range(1, WAIT_TICKS + 3):
        known, out = settle(known, [], calm, GOODS)
        if out or "l3" not in known.waited:
            return out, tick
    raise AssertionError("the lane was never closed")


def test_a_lane_without_a_scale_is_settled_by_what_is_seen() -> None:
    take = event("take", SOAP, 1)
    (late,), tick = told([], look(left=SOAP, net=-2))
    assert (late.kind, late.visit, late.gtin, late.quantity, late.lane) == ("take", "ann", SOAP, 2, "l3")
    assert late.event_id == NAMELESS
    assert tick == ALONE_TICKS
    (mended,), _ = told([take], look(left=SOAP, net=-3))
    assert (mended.kind, mended.supersedes, mended.quantity) == ("correction", "e1", 3)
    (mended,), _ = told([take], look())
    assert (mended.supersedes, mended.quantity) == ("e1", 0)
    assert 0.5 < mended.confidence <= MOST_SURE
    assert mended.reason
    (mended,), _ = told([event("return", SOAP, 1)], look(came=SOAP, net=2))
    assert (mended.supersedes, mended.quantity) == ("e1", -2)
    assert told([take], look(left=SOAP, net=-1))[0] == []
    assert told([], look())[0] == []


def test_a_look_tells_what_it_was() -> None:
    (mended,), _ = told([event("take", SOAP, 1)], look(left=TEA))
    assert (mended.gtin, mended.quantity, mended.supersedes) == (TEA, 1, "e1")


def test_the_less_certain_of_two_events_gives_way() -> None:
    sure, unsure = event("take", SOAP, 1, 0.95, name="sure"), event("take", SOAP, 1, 0.55, name="unsure")
    for both in ([sure, unsure], [unsure, sure]):
        (mended,), _ = told(both, look(left=SOAP, net=-1))
        assert (mended.supersedes, mended.quantity) == ("unsure", 0)


def test_what_is_put_back_comes_out_of_a_basket() -> None:
    (late,), _ = told([], look(came=BEANS), baskets={"ann": {BEANS: 1}})
    assert (late.kind, late.visit, late.gtin, late.quantity) == ("return", "ann", BEANS, 1)


def test_only_whose_hand_was_there_is_charged() -> None:
    seen = look(left=SOAP, net=-1)
    near = explain(Case("l3", (), {"ann": 0.9, "bob": 0.2}, {}, seen), GOODS)
    assert near is not None
    assert [change.event.visit for change in near[0].changes if change.event] == ["ann"]
    assert explain(Case("l3", (), {"ann": 0.2}, {}, seen), GOODS) is None


def test_nobody_waits_for_a_clear_view_until_they_are_gone() -> None:
    take, seen = event("take", SOAP, 1), look()
    assert told([take], seen)[1] == ALONE_TICKS
    assert told([take], seen, share=0.3) == (told([take], seen)[0], WAIT_TICKS)
    assert told([take], seen, share=0.3, leaving=frozenset({"ann"}))[1] == ALONE_TICKS
    assert told([take], None) == ([], WAIT_TICKS)  # nobody could see


def test_lanes_with_scales_and_hand_overs_are_none_of_its_business() -> None:
    over = replace(event("take", BEANS, 1), kind="hand_over", to_visit="bob", lane="")
    weighed, elsewhere = event("take", BEANS, 1, lane="l1"), event("take", BEANS, 1, lane="l9")
    around = Around({"ann": {"l1": 1.0}}, stills=STILLS, look=lambda *_: (look(), 1.0))
    known, out = settle(Settled(), [over, weighed, elsewhere], around, GOODS)
    assert (known.written, known.waited, out) == ({}, {}, [])


def test_the_basket_follows_and_history_stays() -> None:
    wrong = event("take", SOAP, 1)
    (mended,), _ = told([wrong], look(left=SOAP, net=-3))
    ledger = Ledger().append(wrong).append(mended)
    assert [(line.gtin, line.quantity) for line in fold(ledger, "ann").lines] == [(SOAP, 3)]
    assert ledger.events[0] == wrong


class Doubtful(Scripted):
    """As sure of every hand-over as it is told to be."""

    def __init__(self, sure: float) -> None:
        super().__init__()
        self.sure = sure

    def write(self, view: TickView) -> list[WrittenEvent]:
        return [replace(event, confidence=self.sure) for event in super().write(view)]


@pytest.mark.parametrize("sure", [HAND_OVER_SURE - 0.01, HAND_OVER_SURE])
def test_a_hand_over_needs_to_be_likely(sure: float) -> None:
    sent = shopping([(5.0, 0, -HAND_OVER_GRAMS)], [(1.0, "entry", "ann"), (1.2, "entry", "bob")], 9.0)
    written = [u for result in run(corner_store(), sent, Doubtful(sure)) for u in result.updates]
    assert bool([u for u in written if u.update.kind == "hand_over"]) == (sure >= HAND_OVER_SURE)


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


def test_what_was_not_clear_when_a_lane_was_settled_is_not_looked_at_again() -> None:
    """A view that shows a lane as it was two changes ago would show both of them."""
    asked: list[int] = []

    def look_since(_: str, stills: Stills, fresh: int) -> Sight | None:
        asked.append(fresh)
        return None

    known = Settled()
    for tick in range(4 * WAIT_TICKS):
        near: Reach = {"ann": {"l3": 1.0}} if tick in (1, 2 * WAIT_TICKS) else {}
        known, _ = settle(known, [], Around(near, stills=STILLS, look=look_since, since=tick), GOODS)
    settled = 1 + WAIT_TICKS
    assert set(asked) == {NEVER, settled}
    assert asked == sorted(asked)
