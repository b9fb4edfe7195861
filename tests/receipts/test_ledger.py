"""The ledger and its fold: arrival order changes nothing, history stays, nothing goes below zero unseen."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openaisle.errors import ReceiptError
from openaisle.receipts.events import LedgerEvent
from openaisle.receipts.ledger import Ledger, fold, renamed
from tests.receipts.shops import MILK, TEA, events, put_back, take


def ledger(*entries: LedgerEvent) -> Ledger:
    return Ledger().extend(entries)


def correction(event_id: str, time_ns: int, quantity: int, supersedes: str = "", visit: str = "v1") -> LedgerEvent:
    return LedgerEvent(event_id, time_ns, "correction", visit, TEA, quantity, 1.0, supersedes=supersedes)


@settings(max_examples=300, deadline=None)
@given(events(), st.data())
def test_any_order_with_duplicates_gives_the_same_baskets(entries: Sequence[LedgerEvent], data: st.DataObject) -> None:
    repeated = list(entries) + (data.draw(st.lists(st.sampled_from(entries), max_size=6)) if entries else [])
    shuffled = data.draw(st.permutations(repeated))
    for visit in ("v1", "v2"):
        assert fold(ledger(*shuffled), visit) == fold(ledger(*entries), visit)


@settings(max_examples=300, deadline=None)
@given(events())
def test_no_basket_goes_below_zero_without_a_review_flag(entries: Sequence[LedgerEvent]) -> None:
    book = ledger(*entries)
    for visit in ("v1", "v2"):
        basket = fold(book, visit)
        assert all(line.quantity > 0 for line in basket.lines)
        counted = [event for event in book.touching(visit) if book.counts(event)]
        for gtin in (TEA, MILK):
            total = sum(event.delta(visit) for event in counted if event.gtin == gtin)
            assert basket.quantity(gtin) == total or basket.needs_review
            assert basket.quantity(gtin) == total + dict(basket.short).get(gtin, 0)


@given(events())
def test_history_is_never_rewritten(entries: Sequence[LedgerEvent]) -> None:
    book = Ledger()
    for entry in entries:
        before = book.events
        book = book.append(entry)
        assert book.events[: len(before)] == before
        assert entry in book.events


def test_takes_and_returns_add_up() -> None:
    basket = fold(ledger(take("a", 1, quantity=3), put_back("b", 2), take("c", 3, MILK)), "v1")
    assert [(line.gtin, line.quantity) for line in basket.lines] == [(TEA, 2), (MILK, 1)]
    assert basket.lines[0].confidence == pytest.approx(0.81)
    assert basket.lines[0].time_ns == 2
    assert basket.lines[0].evidence == (take("a", 1).evidence,)


def test_a_line_starts_anew_after_zero() -> None:
    basket = fold(ledger(take("a", 1), put_back("b", 2), take("c", 3)), "v1")
    assert basket.lines[0].confidence == pytest.approx(0.9)
    assert basket.confidence == pytest.approx(0.9**3)


def test_returning_what_was_never_taken_is_flagged_and_cannot_hide_a_later_take() -> None:
    basket = fold(ledger(put_back("a", 1, quantity=2), take("b", 2)), "v1")
    assert basket.quantity(TEA) == 1
    assert basket.short == ((TEA, 2),)
    assert basket.needs_review


def test_a_take_and_a_return_at_one_instant_cancel() -> None:
    basket = fold(ledger(put_back("a", 1), take("b", 1)), "v1")
    assert basket.lines == ()
    assert not basket.needs_review


def test_hand_over_moves_units_between_visits() -> None:
    book = ledger(take("a", 1, quantity=2), LedgerEvent("b", 2, "hand_over", "v1", TEA, 1, 0.8, to_visit="v2"))
    assert fold(book, "v1").quantity(TEA) == 1
    assert fold(book, "v2").quantity(TEA) == 1


def test_hand_over_within_a_group_changes_nothing() -> None:
    book = ledger(take("a", 1), LedgerEvent("b", 2, "hand_over", "v1", TEA, 1, 0.8, to_visit="v1"))
    assert fold(book, "v1").quantity(TEA) == 1


def test_a_correction_replaces_an_event_even_of_another_visit() -> None:
    book = ledger(take("a", 1, quantity=2), correction("c", 9, 2, supersedes="a", visit="v2"))
    assert fold(book, "v1").lines == ()
    assert fold(book, "v2").quantity(TEA) == 2


def test_a_correction_stands_at_the_time_of_what_it_replaces() -> None:
    basket = fold(ledger(take("a", 1, quantity=2), put_back("b", 5), correction("c", 9, 1, supersedes="a")), "v1")
    assert basket.lines == ()
    assert basket.short == ()


def test_a_renamed_visit_moves_with_all_it_holds() -> None:
    given = LedgerEvent("d", 4, "hand_over", "v1", TEA, 1, 0.8, to_visit="v2")
    got = LedgerEvent("e", 5, "hand_over", "v2", MILK, 1, 0.8, to_visit="v1")
    entries = (take("a", 1, quantity=3), put_back("b", 2), correction("c", 3, 2, supersedes="b"), given, got)
    before = ledger(take("m", 0, MILK, visit="v2"), *entries)
    after = renamed(before, "v1", "ann")
    assert after.events[: len(before.events)] == before.events
    for old, new in (("v1", "ann"), ("v2", "v2")):
        was, now = fold(before, old), fold(after, new)
        assert [(line.gtin, line.quantity, line.time_ns) for line in now.lines] == [
            (line.gtin, line.quantity, line.time_ns) for line in was.lines
        ]
        assert (now.confidence, now.short, now.conflicts) == (was.confidence, (), ())
    assert fold(after, "v1").lines == ()
    assert not fold(after, "v1").needs_review
    assert fold(renamed(after, "v2", "bob"), "bob").quantity(TEA) == 1
    assert renamed(after, "v1", "ann") == after


def test_a_hand_over_to_the_visit_that_it_is_renamed_to_changes_nothing() -> None:
    given = LedgerEvent("b", 2, "hand_over", "v1", TEA, 1, 0.8, to_visit="us")
    book = renamed(ledger(take("a", 1, quantity=2), given), "v1", "us")
    assert fold(book, "us").quantity(TEA) == 2
    assert not fold(book, "us").needs_review


def test_a_signed_correction_adds() -> None:
    assert fold(ledger(take("a", 1, quantity=2), correction("c", 9, -1)), "v1").quantity(TEA) == 1


def test_corrections_of_corrections() -> None:
    chain = ledger(take("a", 1), correction("c", 2, 5, supersedes="a"), correction("d", 3, 2, supersedes="c"))
    assert fold(chain, "v1").quantity(TEA) == 2
    assert not fold(chain, "v1").needs_review


def test_contradicting_corrections_take_the_latest_and_ask_for_review() -> None:
    book = ledger(take("a", 1), correction("d", 3, 3, supersedes="a"), correction("c", 2, 5, supersedes="a"))
    assert fold(book, "v1").quantity(TEA) == 3
    assert fold(book, "v1").conflicts == ("a",)


def test_one_id_with_two_contents_asks_for_review() -> None:
    basket = fold(ledger(take("a", 1, quantity=2), take("a", 1, quantity=1)), "v1")
    assert basket.quantity(TEA) == 1
    assert basket.conflicts == ("a",)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"event_id": ""}, "no id"),
        ({"quantity": 0}, "quantity 0"),
        ({"confidence": float("nan")}, "confidence nan"),
        ({"kind": "hand_over"}, "hand-over to nobody"),
        ({"supersedes": "b"}, "take that supersedes"),
        ({"kind": "correction", "supersedes": "a"}, "supersedes itself"),
        ({"visit": "", "gtin": ""}, "names no product"),
    ],
)
def test_meaningless_events_are_refused(changes: dict[str, str | int | float], words: str) -> None:
    good: dict[str, str | int | float] = {
        "event_id": "a", "time_ns": 0, "kind": "take", "visit": "v1", "gtin": TEA, "quantity": 1, "confidence": 1.0,
    }  # fmt: skip
    with pytest.raises(ReceiptError, match=words):
        LedgerEvent(**{**good, **changes})  # type: ignore[arg-type]
