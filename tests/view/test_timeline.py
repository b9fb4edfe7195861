"""Timeline: bodies between samples, receipts as they grow, from truth and from receipts.json."""

from __future__ import annotations

import numpy as np
import pytest

from openaisle.messages import NANOSECONDS
from openaisle.receipts.document import LineRecord, ReceiptRecord, ReceiptsDocument, Update
from openaisle.state import StepResult
from openaisle.tokens.scales import RATE_HZ
from openaisle.tokens.tick import Tick
from openaisle.view.timeline import (
    FLOOR,
    GAP_NS,
    LINGER_NS,
    Timeline,
    add_document,
    add_step,
    add_truth,
    empty_receipt,
    symbol,
)
from tests.view.shop import SECONDS, START_NS, VISIT, kiosk, tick, truth

NOTHING = Tick(0, START_NS, (), np.zeros((0, RATE_HZ), np.float32), ())


def at(second: float) -> int:
    """Stream time of a second of the script."""
    return START_NS + round(second * NANOSECONDS)


@pytest.fixture(scope="module")
def true_timeline() -> Timeline:
    """Filled from the truth."""
    store = kiosk()
    return add_truth(Timeline(store), truth(store))


def test_bodies_are_where_the_truth_says(true_timeline: Timeline) -> None:
    (body,) = true_timeline.bodies_at(at(1.5))
    assert body.visit == VISIT
    expected = tick(true_timeline.store, 1.5).shoppers[0].floor_m
    np.testing.assert_allclose(body.points_m[FLOOR, :2], expected)


def test_bodies_are_interpolated_but_not_over_gaps() -> None:
    timeline = Timeline(kiosk())
    for time_ns, x in ((0, 0.0), (NANOSECONDS, 1.0), (NANOSECONDS + 2 * GAP_NS, 5.0)):
        timeline.add_body(time_ns, "t", "v", np.full((4, 3), x))
    (halfway,) = timeline.bodies_at(NANOSECONDS // 2)
    assert halfway.points_m[0, 0] == pytest.approx(0.5)
    assert timeline.bodies_at(NANOSECONDS + GAP_NS) == ()
    assert len(timeline.bodies_at(NANOSECONDS + LINGER_NS)) == 1
    assert timeline.bodies_at(-1) == ()


def test_receipts_grow_and_shrink_with_the_truth(true_timeline: Timeline) -> None:
    totals = [
        [sum(line.quantity for line in receipt.lines) for receipt in true_timeline.receipts_at(at(second))]
        for second in (-1, 1, 3.2, 5)
    ]
    assert totals == [[], [0], [2], [1]]


def test_happenings_lie_in_their_window(true_timeline: Timeline) -> None:
    assert [one.quantity for one in true_timeline.happenings(at(0), at(SECONDS))] == [2, -1]
    assert [one.quantity for one in true_timeline.happenings(at(3), at(4))] == []  # the start is outside
    assert [one.quantity for one in true_timeline.happenings(at(2.9), at(3))] == [2]


def test_a_document_replays_its_updates_and_ends_with_its_lines() -> None:
    store = kiosk()
    one, other = store.products[0].gtin, store.products[1].gtin
    updates = [
        Update(time_ns=at(1), kind="take", gtin=one, quantity=2),
        Update(time_ns=at(2), kind="return", gtin=one, quantity=1),
        Update(time_ns=at(3), kind="correction", gtin=other, quantity=1),
    ]
    lines = [LineRecord(gtin=other, quantity=3, unit_price_cents=1, confidence=0.9)]
    record = ReceiptRecord(
        visit=VISIT, lines=lines, total_cents=3, currency="EUR", needs_review=False, updates=updates, final_ns=at(4)
    )
    timeline = add_document(Timeline(store), ReceiptsDocument(recording="r", model="m", receipts=[record]))
    seen = [
        {line.gtin: line.quantity for receipt in timeline.receipts_at(at(s)) for line in receipt.lines}
        for s in (1, 2, 3, 4)
    ]
    assert seen == [{one: 2}, {one: 1}, {one: 1, other: 1}, {other: 3}]


def test_a_visit_that_gets_its_name_later_goes_on_under_it() -> None:
    """From a step that follows `visit-1` to one in which a gate has called it `ann`."""
    store = kiosk()
    timeline = Timeline(store)
    for second, visit in ((1, "visit-1"), (2, "ann"), (3, "ann")):
        receipts = {visit: empty_receipt(visit, store, at(second))}
        add_step(timeline, StepResult(at(second), NOTHING, (), (), receipts, {}))
    shown = [[receipt.visit for receipt in timeline.receipts_at(at(second))] for second in (1, 2, 3)]
    assert shown == [["visit-1"], ["ann"], ["ann"]]


def test_letters_may_come_from_another_timeline() -> None:
    timeline = Timeline(kiosk(), ("bob", "ann"))
    for visit in ("eve", "ann"):
        timeline.add_receipt(at(1), empty_receipt(visit, timeline.store, at(1)))
    assert timeline.symbols() == {"bob": "A", "ann": "B", "eve": "C"}


def test_symbols_go_past_z() -> None:
    assert [symbol(i) for i in (0, 25, 26, 52)] == ["A", "Z", "A2", "A3"]
