"""From a visit's end to its money: one final receipt, at most one capture, and amends that only add."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest
from sqlalchemy import func, select

from openaisle.errors import RequestError
from openaisle.service import amends, cashier, till, visits
from openaisle.service.amends import Correction, Refund
from openaisle.service.clerk import Clerk
from openaisle.service.desk import Desk
from openaisle.service.fake_gateway import FakeGateway
from openaisle.service.states import HowLeft, StepKind, StepState, VisitState
from openaisle.service.tables import FinalReceipt, MoneyStep, Visit
from tests.receipts.shops import MILK, PRICES, TEA, put_back
from tests.service import desks
from tests.service.desks import CARD, DECLINED, Clock


def state_of(desk: Desk, visit: str) -> str:
    """Where a visit stands."""
    with desk.database.read() as session:
        row = session.get(Visit, visit)
        assert row is not None
        return row.state


def bought(desk: Desk, gateway: FakeGateway, visit: str = "v1", cards: str = CARD) -> Clerk:
    """A tea and its final receipt."""
    desks.come_in(desk, visit, method=cards)
    desks.take(desk, f"{visit}-tea", visit)
    desks.go(desk, visit)
    clerk = Clerk(desk, gateway)
    while clerk.round():
        pass
    return clerk


def test_a_visit_is_captured_once_however_often_the_clerk_comes(desk: Desk, gateway: FakeGateway) -> None:
    clerk = bought(desk, gateway)
    clerk.round()
    Clerk(desk, gateway).round()
    assert state_of(desk, "v1") == VisitState.CLOSED
    assert list(gateway.captures().values()) == [(1, PRICES[TEA], 0)]
    with desk.database.read() as session:
        assert session.scalar(select(func.count()).select_from(FinalReceipt)) == 1
        assert cashier.account_of(session, "v1").state == "captured"


def test_many_clerks_at_once_are_as_good_as_one(desk: Desk, gateway: FakeGateway) -> None:
    for number in range(6):
        desks.come_in(desk, f"v{number}", method=CARD)
        desks.take(desk, f"e{number}", f"v{number}")
        desks.go(desk, f"v{number}")
    threads = [threading.Thread(target=lambda: [Clerk(desk, gateway).round() for _ in range(6)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(gateway.captures().values()) == [(1, PRICES[TEA], 0)] * 6


def test_an_empty_basket_gives_the_hold_back(desk: Desk, gateway: FakeGateway) -> None:
    desks.come_in(desk, "v1", method=CARD)
    desks.go(desk, "v1")
    clerk = Clerk(desk, gateway)
    while clerk.round():
        pass
    with desk.database.read() as session:
        assert cashier.account_of(session, "v1").state == "released"
    assert list(gateway.captures().values()) == [(0, 0, 0)]


def test_a_capture_never_exceeds_the_hold(desk: Desk, gateway: FakeGateway) -> None:
    small = desks.with_rules(desk, hold_cents=100)
    bought(small, gateway)
    assert list(gateway.captures().values()) == [(1, 100, 0)]


def test_nobody_is_charged_without_a_card_or_with_one_that_is_declined(desk: Desk, gateway: FakeGateway) -> None:
    bought(desk, gateway, "v1", "")
    bought(desk, gateway, "v2", DECLINED)
    assert state_of(desk, "v1") == state_of(desk, "v2") == VisitState.CLOSED
    assert gateway.captures() == {}
    with desk.database.read() as session:
        account = cashier.account_of(session, "v2")
    assert [(step.kind, step.state) for step in account.steps] == [
        (StepKind.AUTHORISE, StepState.FAILED),
        (StepKind.CAPTURE, StepState.FAILED),
    ]


def test_staff_have_no_receipt(desk: Desk, gateway: FakeGateway) -> None:
    desks.come_in(desk, "v1", method=CARD, staff=True)
    desks.take(desk, "e1", "v1")
    desks.go(desk, "v1")
    Clerk(desk, gateway).round()
    with desk.database.read() as session:
        assert till.final(session, "v1") is None
        assert cashier.account_of(session, "v1").steps == ()
    assert state_of(desk, "v1") == VisitState.CLOSED


def test_a_gateway_that_is_down_is_asked_again_later(desk: Desk, clock: Clock, gateway: FakeGateway) -> None:
    gateway.down = True
    clerk = bought(desk, gateway)
    assert state_of(desk, "v1") == VisitState.CLOSED  # the receipt does not wait for the money
    gateway.down = False
    assert clerk.round() == 0  # not yet
    clock.pass_s(1.1)
    while clerk.round():
        pass
    assert list(gateway.captures().values()) == [(1, PRICES[TEA], 0)]


@pytest.mark.parametrize("kind", [StepKind.AUTHORISE, StepKind.CAPTURE])
def test_a_kill_between_asking_and_noting_is_mended_by_the_same_key(
    desk: Desk, gateway: FakeGateway, kind: StepKind, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    real = cashier._note
    killed: list[int] = []

    def note(desk: Desk, step_id: int, state: StepState, reference: str, error: str) -> StepState:
        with desk.database.read() as session:
            step = session.get(MoneyStep, step_id)
        if step is not None and step.kind == kind and not killed:
            killed.append(step_id)
            raise Killed
        return real(desk, step_id, state, reference, error)

    monkeypatch.setattr(cashier, "_note", note)
    with pytest.raises(Killed):
        bought(desk, gateway)
    clerk = Clerk(desk, gateway)
    while clerk.round():
        pass
    assert killed
    assert list(gateway.captures().values()) == [(1, PRICES[TEA], 0)]


def test_doubtful_receipts_wait_for_a_person(desk: Desk, gateway: FakeGateway) -> None:
    desks.come_in(desk, "v1", method=CARD)
    with desk.database.write() as session:
        till.record(session, put_back("e1", 5, TEA, 1, "v1"), "test", 0)
    desks.take(desk, "e2", "v1")
    desks.go(desk, "v1")
    clerk = Clerk(desk, gateway)
    clerk.round()
    assert state_of(desk, "v1") == VisitState.REVIEW
    with desk.database.write() as session:
        visits.accept(session, desk, "v1", "ann")
    with pytest.raises(RequestError, match="does not wait"), desk.database.write() as session:
        visits.accept(session, desk, "v1", "bob")
    while clerk.round():
        pass
    assert state_of(desk, "v1") == VisitState.CLOSED
    with desk.database.read() as session:
        final = till.final(session, "v1")
    assert final is not None
    assert not final.receipt.needs_review  # somebody has looked


def test_the_house_may_charge_doubtful_receipts_at_once(desk: Desk, gateway: FakeGateway) -> None:
    bold = desks.with_rules(desk, hold_for_review=False)
    desks.come_in(bold, "v1", method=CARD)
    with bold.database.write() as session:
        till.record(session, put_back("e1", 5, TEA, 1, "v1"), "test", 0)
    desks.go(bold, "v1")
    Clerk(bold, gateway).round()
    assert state_of(bold, "v1") == VisitState.CLOSED


def test_a_visit_nobody_saw_end_is_never_charged_without_a_person(
    desk: Desk, clock: Clock, gateway: FakeGateway
) -> None:
    bold = desks.with_rules(desk, hold_for_review=False)
    desks.come_in(bold, "v1", method=CARD)
    desks.take(bold, "e1", "v1")
    clock.pass_s(bold.rules.visit_limit_s + 1)
    visits.sweep(bold)
    Clerk(bold, gateway).round()
    assert state_of(bold, "v1") == VisitState.REVIEW


def test_a_correction_after_the_capture_gives_money_back(desk: Desk, gateway: FakeGateway) -> None:
    clerk = bought(desk, gateway)
    wrong = Correction(TEA, 0, "she put it back", "v1-tea")
    event = amends.correct(desk, "v1", wrong, "ann", "key-12345")
    assert amends.correct(desk, "v1", wrong, "ann", "key-12345") == event
    while clerk.round():
        pass
    assert list(gateway.captures().values()) == [(1, PRICES[TEA], PRICES[TEA])]
    with desk.database.read() as session:
        final, visit = till.final(session, "v1"), session.get(Visit, "v1")
        assert final is not None
        assert visit is not None
        assert final.receipt.total_cents == PRICES[TEA]  # as it was issued
        assert till.current(session, desk, visit).total_cents == 0


def test_a_correction_upwards_takes_nothing_more(desk: Desk, gateway: FakeGateway) -> None:
    clerk = bought(desk, gateway)
    amends.correct(desk, "v1", Correction(MILK, 2, "in the bag"), "ann", "key-12345")
    while clerk.round():
        pass
    assert list(gateway.captures().values()) == [(1, PRICES[TEA], 0)]
    # What comes back later is counted from what was taken, not from what should have been.
    amends.correct(desk, "v1", Correction(MILK, -2, "not in the bag"), "ann", "key-67890")
    while clerk.round():
        pass
    assert list(gateway.captures().values()) == [(1, PRICES[TEA], 0)]


def test_a_correction_while_the_capture_is_under_way_gives_back_after_it(desk: Desk, gateway: FakeGateway) -> None:
    desks.come_in(desk, "v1", method=CARD)
    desks.take(desk, "v1-tea", "v1")
    desks.go(desk, "v1")
    till.settle(desk, "v1")
    amends.correct(desk, "v1", Correction(TEA, 0, "put back", "v1-tea"), "ann", "key-12345")
    clerk = Clerk(desk, gateway)
    while clerk.round():
        pass
    assert list(gateway.captures().values()) == [(1, PRICES[TEA], PRICES[TEA])]


def test_refunds_stay_within_what_was_captured(desk: Desk, gateway: FakeGateway) -> None:
    clerk = bought(desk, gateway)
    wish = Refund(100, "goodwill")
    assert amends.refund(desk, "v1", wish, "ann", "key-1") == amends.refund(desk, "v1", wish, "ann", "key-1")
    with pytest.raises(RequestError, match="not within"):
        amends.refund(desk, "v1", Refund(PRICES[TEA] - 99, "too much"), "ann", "key-2")
    with pytest.raises(RequestError, match="used for another request"):
        amends.refund(desk, "v1", Refund(50, "other words"), "ann", "key-1")
    while clerk.round():
        pass
    assert list(gateway.captures().values()) == [(1, PRICES[TEA], 100)]


def test_a_visit_pays_the_prices_of_its_entry(desk: Desk, gateway: FakeGateway) -> None:
    desks.come_in(desk, "v1", method=CARD)
    desks.take(desk, "e1", "v1")
    dearer = tuple(p.model_copy(update={"price_cents": 2 * p.price_cents}) for p in desk.store.products)
    later = replace(desk, store=replace(desk.store, products=dearer))
    desks.go(later, "v1")
    till.settle(later, "v1")
    with later.database.read() as session:
        final = till.final(session, "v1")
    assert final is not None
    assert final.receipt.total_cents == PRICES[TEA]


def test_a_dispute_is_opened_and_answered_once(desk: Desk, gateway: FakeGateway) -> None:
    bought(desk, gateway)
    name = amends.dispute(desk, "v1", "I took no tea", "shopper of v1", "key-12345")
    assert amends.dispute(desk, "v1", "I took no tea", "shopper of v1", "key-12345") == name
    answered = amends.answer(desk, "v1", name, False, "see the clip", "ann")
    assert amends.answer(desk, "v1", name, False, "see the clip", "ann") == answered
    with pytest.raises(RequestError, match="rejected before"):
        amends.answer(desk, "v1", name, True, "sorry", "bob")
    with desk.database.read() as session:
        assert [one.state for one in amends.disputes_of(session, "v1")] == ["rejected"]


def test_events_after_the_end_are_kept_and_change_no_final_receipt(desk: Desk, gateway: FakeGateway) -> None:
    bought(desk, gateway)
    assert desks.take(desk, "late", "v1", MILK)
    with desk.database.read() as session:
        final, visit = till.final(session, "v1"), session.get(Visit, "v1")
        assert visit is not None
        assert final is not None
        assert [line.gtin for line in final.receipt.lines] == [TEA]
        assert till.current(session, desk, visit).total_cents == PRICES[TEA] + PRICES[MILK]


def test_one_visit_that_fails_holds_up_no_other(
    desk: Desk, gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = till.settle
    monkeypatch.setattr(till, "settle", lambda desk, visit: 1 / 0 if visit == "v1" else real(desk, visit))
    for visit in ("v1", "v2"):
        desks.come_in(desk, visit, method=CARD)
        desks.take(desk, f"{visit}-tea", visit)
        desks.go(desk, visit)
    clerk = Clerk(desk, gateway)
    while clerk.round():
        pass
    assert (state_of(desk, "v1"), state_of(desk, "v2")) == (VisitState.LEFT, VisitState.CLOSED)
    monkeypatch.setattr(till, "settle", real)
    clerk.put_off.clear()
    while clerk.round():
        pass
    assert state_of(desk, "v1") == VisitState.CLOSED


def test_leaving_twice_is_leaving_once(desk: Desk) -> None:
    desks.come_in(desk, "v1")
    assert desks.go(desk, "v1")
    assert not desks.go(desk, "v1", HowLeft.GATE)
    assert not desks.go(desk, "nobody")
