"""Reviews: what a person decides is in the ledger, in the money and in the labels, once, or not at all."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from openaisle.errors import RequestError
from openaisle.receipts.ledger import fold
from openaisle.service import book, cashier, labels, reviews, till
from openaisle.service.clerk import Clerk
from openaisle.service.desk import Desk
from openaisle.service.fake_gateway import FakeGateway
from openaisle.service.labels import Label
from openaisle.service.reviews import Decision
from openaisle.service.states import HowLeft, VisitState
from openaisle.service.tables import Run, Visit
from tests.receipts.shops import MILK, SOAP, TEA, take
from tests.service import desks
from tests.service.desks import Clock
from tests.service.shop import open_shop

WHO = "the reviewer"


def settle(desk: Desk, gateway: FakeGateway) -> None:
    """The clerk has nothing left to do."""
    clerk = Clerk(desk, gateway)
    while clerk.round():
        pass


def visit(desk: Desk, gateway: FakeGateway, how: HowLeft = HowLeft.NEVER) -> int:
    """Two teas by the pipeline, a card, and gone; the place in the ledger that a reviewer has seen."""
    with desk.database.write() as session:
        session.add(
            Run(id="r1", source="rec", model="small", seed=4, start_ns=0, at_ns=desk.clock(), beat_ns=desk.clock())
        )
    desks.come_in(desk, "v1", method=desks.CARD)
    settle(desk, gateway)
    with desk.database.write() as session:
        till.record(session, take("r1:e1", desk.clock(), TEA, 2, "v1"), "run r1", desk.clock())
    desks.go(desk, "v1", how)
    settle(desk, gateway)
    return seen(desk)


def seen(desk: Desk) -> int:
    """Where the ledger is."""
    with desk.database.read() as session:
        return reviews.last_seq(session, "v1")


def basket(desk: Desk) -> dict[str, int]:
    """What the ledger says."""
    with desk.database.read() as session:
        return {line.gtin: line.quantity for line in fold(book.ledger_of(session, "v1"), "v1").lines}


def told(desk: Desk) -> list[Label]:
    """The labels."""
    with desk.database.read() as session:
        return labels.labels_of(session, "v1")


def state(desk: Desk) -> str:
    """The visit's."""
    with desk.database.read() as session:
        row = session.get(Visit, "v1")
    assert row is not None
    return row.state


def test_accepting_as_it_is_writes_nothing_into_the_ledger(desk: Desk, gateway: FakeGateway) -> None:
    place = visit(desk, gateway)
    with desk.database.read() as session:
        assert [row.id for row in reviews.queue(session)] == ["v1"]
    assert reviews.decide(desk, "v1", Decision({TEA: 2}, place), WHO, "key-1") == 0
    assert seen(desk) == place
    settle(desk, gateway)
    assert state(desk) == VisitState.CLOSED
    (label,) = told(desk)
    assert (label.verdict, label.before, label.source, label.seed) == ("accepted", label.after, "rec", 4)
    with desk.database.read() as session:
        assert cashier.account_of(session, "v1").captured_cents == 2 * 299


def test_what_differs_becomes_corrections(desk: Desk, gateway: FakeGateway) -> None:
    place = visit(desk, gateway)
    wanted = {TEA: 1, MILK: 3, SOAP: 0}
    assert reviews.decide(desk, "v1", Decision(wanted, place, "one tea"), WHO, "key-1") == 2
    assert reviews.decide(desk, "v1", Decision(wanted, place, "one tea"), WHO, "key-1") == 2  # the same again
    assert basket(desk) == {TEA: 1, MILK: 3}
    with desk.database.read() as session:
        entries = book.entries_of(session, "v1")
    assert [(entry.event.kind, entry.author) for entry in entries[1:]] == [("correction", WHO)] * 2
    settle(desk, gateway)
    (label,) = told(desk)
    assert label.verdict == "corrected"
    assert [(line.gtin, line.quantity) for line in label.before] == [(TEA, 2)]
    assert [(line.gtin, line.quantity) for line in label.after] == sorted([(TEA, 1), (MILK, 3)])
    assert [entry.by_person for entry in label.entries] == [False, True, True]
    assert label.entries[0].cameras == ("c1",)
    with desk.database.read() as session:
        assert cashier.account_of(session, "v1").captured_cents == 299 + 3 * 109


def test_a_final_receipt_is_mended_and_money_given_back(desk: Desk, gateway: FakeGateway) -> None:
    place = visit(desk, gateway, HowLeft.TRACK)
    assert state(desk) == VisitState.CLOSED
    reviews.decide(desk, "v1", Decision({TEA: 0}, place), WHO, "key-1")
    settle(desk, gateway)
    with desk.database.read() as session:
        assert cashier.account_of(session, "v1").refunded_cents == 2 * 299
    assert basket(desk) == {}
    assert [label.verdict for label in told(desk)] == ["corrected"]


def test_an_old_look_decides_nothing(desk: Desk, gateway: FakeGateway) -> None:
    place = visit(desk, gateway)
    desks.take(desk, "late", "v1", MILK)
    with pytest.raises(RequestError, match="has changed") as caught:
        reviews.decide(desk, "v1", Decision({TEA: 0}, place), WHO, "key-1")
    assert caught.value.status == 409
    assert basket(desk) == {TEA: 2, MILK: 1}
    assert state(desk) == VisitState.REVIEW
    assert told(desk) == []


@pytest.mark.parametrize("wanted", [{TEA: -1}, {TEA: 1001}, {"00000000000000": 1}])
def test_what_cannot_be_is_refused_whole(desk: Desk, gateway: FakeGateway, wanted: dict[str, int]) -> None:
    place = visit(desk, gateway)
    with pytest.raises(RequestError) as caught:
        reviews.decide(desk, "v1", Decision({MILK: 1, **wanted}, place), WHO, "key-1")
    assert caught.value.status == 422
    assert basket(desk) == {TEA: 2}


def test_nobody_decides_while_they_are_inside(desk: Desk) -> None:
    desks.come_in(desk, "v1")
    with pytest.raises(RequestError, match="inside"):
        reviews.decide(desk, "v1", Decision({}, 0), WHO, "key-1")


def test_labels_go_out_as_lines(desk: Desk, gateway: FakeGateway) -> None:
    visit(desk, gateway)
    shop = open_shop(desk, gateway)
    assert shop.post("/v1/visits/v1/acceptance", {}, "reviewer").status_code == 204
    settle(desk, gateway)
    mended = {"gtin": TEA, "quantity": -1, "reason": "one only"}
    assert shop.post("/v1/visits/v1/corrections", mended, "operator").status_code == 201
    lines = [json.loads(line) for line in shop.get("/v1/labels", "reviewer").text.splitlines()]
    assert [(line["verdict"], line["author"]) for line in lines] == [
        ("accepted", "the reviewer"), ("corrected", "the operator"),
    ]  # fmt: skip
    assert set(lines[0]) == {"id", *Label.__slots__}
    after = shop.get(f"/v1/labels?after={lines[0]['id']}").text.splitlines()
    assert [json.loads(line)["id"] for line in after] == [lines[1]["id"]]


def test_skipping_goes_through_the_whole_queue(desk: Desk, gateway: FakeGateway, clock: Clock) -> None:
    for name in ("v1", "v2", "v3"):
        desks.come_in(desk, name)
        clock.pass_s(1)
        desks.go(desk, name, HowLeft.NEVER)
    settle(desk, gateway)
    with desk.database.read() as session:
        assert [reviews.after(session, name) for name in ("v1", "v2", "v3", "gone")] == ["v2", "v3", "v1", "v1"]
    reviews.accept(desk, "v2", WHO)
    reviews.accept(desk, "v3", WHO)
    with desk.database.read() as session:
        assert reviews.after(session, "v1") == ""


def test_what_has_left_the_catalogue_may_stay_on_a_receipt(desk: Desk, gateway: FakeGateway) -> None:
    place = visit(desk, gateway)
    store = replace(desk.store, products=tuple(one for one in desk.store.products if one.gtin != TEA))
    later = replace(desk, store=store)
    with pytest.raises(RequestError, match="no product"):
        reviews.decide(later, "v1", Decision({TEA: 3}, place), WHO, "key-1")
    assert reviews.decide(later, "v1", Decision({TEA: 2, MILK: 1}, place), WHO, "key-2") == 1
    assert basket(desk) == {TEA: 2, MILK: 1}
