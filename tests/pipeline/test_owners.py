"""Who puts back what their receipt does not hold: the return was another's, or an earlier take was theirs."""

from __future__ import annotations

from openaisle.owners import MOVED_SURE, owned, settle_owner
from openaisle.receipts.events import Kind, LedgerEvent
from openaisle.receipts.ledger import Ledger, fold

BEANS, TEA = "00000000000017", "00000000000024"
SECOND = 1_000_000_000


def event(name: str, kind: Kind, visit: str, at_s: int, quantity: int = 1, gtin: str = BEANS) -> LedgerEvent:
    return LedgerEvent(name, at_s * SECOND, kind, visit, gtin, quantity, 0.8, lane="l1")


def after(ledger: Ledger, entries: list[LedgerEvent], *visits: str) -> list[int]:
    """Units of beans in each basket."""
    done = ledger.extend(entries)
    return [fold(done, visit).quantity(BEANS) for visit in visits]


def test_who_has_it_puts_it_back_as_written() -> None:
    ledger = Ledger().append(event("t1", "take", "ann", 1))
    back = event("r1", "return", "ann", 5)
    assert settle_owner(back, ledger, {"t1": {"ann": 0.6, "bob": 0.4}, "r1": {"ann": 0.5, "bob": 0.5}}) == [back]
    take = event("t2", "take", "bob", 6)
    assert settle_owner(take, ledger, {}) == [take]


def test_the_return_was_the_owners() -> None:
    ledger = Ledger().append(event("t1", "take", "ann", 1))
    back = event("r1", "return", "bob", 5)
    entries = settle_owner(back, ledger, {"t1": {"ann": 0.99, "bob": 0.01}, "r1": {"ann": 0.4, "bob": 0.6}})
    assert [(e.kind, e.visit) for e in entries] == [("return", "ann")]
    assert after(ledger, entries, "ann", "bob") == [0, 0]


def test_the_take_was_theirs_who_put_it_back() -> None:
    ledger = Ledger().append(event("t1", "take", "ann", 1))
    back = event("r1", "return", "bob", 5)
    entries = settle_owner(back, ledger, {"t1": {"ann": 0.6, "bob": 0.4}, "r1": {"ann": 0.0, "bob": 1.0}})
    assert [(e.kind, e.visit) for e in entries] == [("correction", "bob"), ("return", "bob")]
    assert [e.confidence for e in entries] == [MOVED_SURE, 0.8]  # one of the two tells otherwise
    assert after(ledger, entries, "ann", "bob") == [0, 0]
    assert not fold(ledger.extend(entries), "bob").short


def test_a_take_of_several_is_split_where_both_put_some_of_it_back() -> None:
    ledger = Ledger().extend([event("t1", "take", "ann", 1, quantity=3), event("r0", "return", "ann", 3)])
    back = event("r1", "return", "bob", 5, quantity=2)
    entries = settle_owner(back, ledger, {"t1": {"ann": 0.7, "bob": 0.3}, "r1": {"bob": 1.0}})
    assert after(ledger, entries, "ann", "bob") == [0, 0]
    assert not fold(ledger.extend(entries), "bob").short
    assert len({e.event_id for e in entries}) == len(entries)


def test_who_was_not_there_took_nothing() -> None:
    ledger = Ledger().append(event("t1", "take", "ann", 1))
    back = event("r1", "return", "bob", 5)
    assert settle_owner(back, ledger, {"t1": {"ann": 1.0}, "r1": {"bob": 1.0}}) == [back]
    assert settle_owner(back, ledger, {}) == [back]
    other = event("r2", "return", "bob", 5, gtin=TEA)
    assert settle_owner(other, ledger, {"t1": {"ann": 0.5, "bob": 0.5}, "r2": {"bob": 1.0}}) == [other]


def test_what_was_put_back_already_is_not_moved() -> None:
    ledger = Ledger().extend([event("t1", "take", "ann", 1), event("r0", "return", "ann", 3)])
    back = event("r1", "return", "bob", 5)
    assert settle_owner(back, ledger, {"t1": {"ann": 0.5, "bob": 0.5}, "r1": {"ann": 0.5, "bob": 0.5}}) == [back]


def test_a_correction_counts_in_place_of_the_take() -> None:
    ledger = Ledger().append(event("t1", "take", "ann", 1, gtin=TEA))
    mended = LedgerEvent("t1~", SECOND, "correction", "ann", BEANS, 1, 0.8, lane="l1", supersedes="t1")
    ledger = ledger.append(mended)
    back = event("r1", "return", "bob", 5)
    entries = settle_owner(back, ledger, {"t1": {"ann": 0.6, "bob": 0.4}, "r1": {"bob": 1.0}})
    assert after(ledger, entries, "ann", "bob") == [0, 0]
    assert not fold(ledger.extend(entries), "bob").short


def test_all_that_is_known_of_a_product_decides_together() -> None:
    """Two took one each, which looked like one who took two; both put it back, and one of them takes it again."""
    took, first = event("t1", "take", "bob", 1, quantity=2), event("r1", "return", "bob", 5)
    ledger = Ledger().extend([took, first, event("r2", "return", "bob", 7), event("t2", "take", "ann", 9)])
    doubts = {"t1": {"ann": 0.25, "bob": 0.75}, "r1": {"ann": 0.95, "bob": 0.05}, "r2": {"ann": 0.1, "bob": 0.9}}
    entries = owned(BEANS, ledger, doubts, (), (10 * SECOND, "x"))
    assert after(ledger, entries, "ann", "bob") == [1, 0]
    assert {e.visit for e in entries} == {"ann", "bob"}
    assert not fold(ledger.extend(entries), "ann").short
    assert len({e.event_id for e in entries}) == len(entries)
    assert owned(BEANS, ledger.extend(entries), doubts, (), (11 * SECOND, "y")) == []


def test_what_was_settled_with_other_goods_is_not_given_back_without_a_reason() -> None:
    ledger = Ledger().append(event("t1", "take", "ann", 1))
    assert owned(BEANS, ledger, {"t1": {"ann": 0.1, "bob": 0.9}}, (), (2 * SECOND, "x")) == []


def test_receipts_of_those_who_have_left_stay() -> None:
    ledger = Ledger().append(event("t1", "take", "ann", 1))
    back = event("r1", "return", "bob", 5)
    doubts = {"t1": {"ann": 0.5, "bob": 0.5}, "r1": {"ann": 0.5, "bob": 0.5}}
    assert settle_owner(back, ledger, doubts, {"ann"}) == [back]
