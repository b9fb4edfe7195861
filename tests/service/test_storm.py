"""`aisle bench storm`: a small one over the real service; and that its claims fail when something is wrong."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from openaisle.messages import NANOSECONDS
from openaisle.service import visits
from openaisle.service.clerk import Clerk
from openaisle.service.desk import Desk
from openaisle.service.fake_gateway import FakeGateway
from openaisle.service.states import Origin
from openaisle.service.tables import Run
from openaisle.service.visits import Opening
from openaisle.stress.storm import StormPlan, StormReport, storm
from openaisle.stress.storm_books import Bill, Books, Line, difference, read_books, settled
from tests.receipts import shops
from tests.service.desks import CARD, go, take

TEA: Line = ("t1-0", "take", "anna", "", shops.TEA, 1)
BILL = Bill("closed", ((shops.TEA, 1, 250),), 250, needs_review=False, final=True)


@pytest.mark.parametrize(
    ("count", "kills"), [(6, 10), pytest.param(50, 200, marks=pytest.mark.slow)], ids=["small", "full"]
)
def test_a_storm_loses_nothing(tmp_path: Path, count: int, kills: int) -> None:
    report = storm(StormPlan(visits=count, kills=kills), tmp_path)
    assert report.kept, report.to_json()
    assert len(report.killed) > 2
    assert report.difference.equal == count
    assert not report.difference.marked  # nothing in this shop depends on when a process was away


def books(**changes: object) -> Books:
    """A shop with one visit."""
    whole = Books({"anna": BILL}, {}, Counter([TEA]))
    return replace(whole, **changes)  # type: ignore[arg-type]  # fields of Books


def test_equal_books_differ_in_nothing() -> None:
    found = difference(books(), books())
    assert (found.equal, found.marked, found.different) == (1, (), ())
    assert (found.lost, found.foreign, found.doubled) == ((), (), ())


def test_another_receipt_is_wrong_unless_it_asks_for_a_person() -> None:
    other = replace(BILL, lines=(), total_cents=0)
    assert difference(books(), books(bills={"anna": other})).different == ("anna",)
    found = difference(books(), books(bills={"anna": replace(other, needs_review=True)}, ledger=Counter()))
    assert (found.marked, found.different, found.lost) == (("anna",), (), ())


def test_a_visit_that_is_not_there_is_wrong() -> None:
    assert difference(books(), books(bills={})).different == ("anna",)
    assert difference(books(bills={}), books()).different == ("anna",)


def test_lines_are_lost_foreign_and_doubled() -> None:
    other = (*TEA[:5], 2)
    found = difference(books(), books(ledger=Counter([other, other])))
    assert len(found.lost) == len(found.foreign) == len(found.doubled) == 1
    assert "t1-0 take anna" in found.doubled[0]
    assert difference(books(), books(told=Counter({("anna", "line", 3): 2}))).doubled == ("anna line 3",)


def test_lines_of_who_came_by_the_api_are_their_own() -> None:
    theirs = (*TEA[:2], "v-1", *TEA[3:])
    assert not difference(books(), books(entered={"v-1": BILL}, ledger=Counter([TEA, theirs]))).foreign


def test_a_report_says_which_claim_failed() -> None:
    same = difference(books(), books())
    plan = StormPlan(visits=1, kills=2)
    good = StormReport(plan, {"api": 2}, same, 1, 3, (), (), (), 4, 0, 1, 9.0)
    assert good.kept
    broken = {
        "every kill was made": replace(good, killed={"api": 1}),
        "the day was played": replace(good, lines=0),
        "receipts are equal, or ask for a person": replace(good, difference=replace(same, different=("anna",))),
        "no line is lost": replace(good, difference=replace(same, lost=("t1",))),
        "no line is doubled": replace(good, difference=replace(same, doubled=("t1",))),
        "acknowledged entries are kept": replace(good, entries_lost=("entry-1",)),
        "nobody is captured twice or wrongly": replace(good, captures_wrong=("anna",)),
        "every webhook came at least once": replace(good, letters_lost=1),
    }
    assert broken.keys() == good.claims.keys()
    for claim, report in broken.items():
        assert [name for name, kept in report.claims.items() if not kept] == [claim]
        assert report.to_json()["kept"] is False


def test_books_are_read_as_they_stand(desk: Desk, gateway: FakeGateway) -> None:
    with desk.database.write() as session:
        session.add(Run(id="r1", source="x", model="light", seed=0, start_ns=0, at_ns=1, ended=False))
        visits.open_visit(session, desk, Opening("r1.anna", Origin.GATE, "door", desk.clock(), method=CARD, run="r1"))
    clerk = Clerk(desk, gateway)
    clerk.round()
    take(desk, "r1:t1-0", "r1.anna")
    assert not settled(desk)
    go(desk, "r1.anna")
    while clerk.round():
        pass
    assert not settled(desk)  # the run goes on
    with desk.database.write() as session:
        run = session.get(Run, "r1")
        assert run is not None
        run.ended = True
    assert settled(desk)
    found = read_books(desk, gateway)
    assert found.bills["anna"].final
    assert found.bills["anna"].lines[0][:2] == (shops.TEA, 1)
    assert found.ledger == Counter([TEA])
    assert not found.captures
    with gateway._connected() as connection:
        connection.execute("UPDATE payments SET captures = 2")
    assert read_books(desk, gateway).captures == ("r1.anna",)
    assert desk.clock() > NANOSECONDS
