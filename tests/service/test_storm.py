"""`aisle bench storm`: a small one over the real service; and that its claims fail when something is wrong."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from openaisle.messages import NANOSECONDS, GateEvent, ScaleBatch
from openaisle.service import visits
from openaisle.service.clerk import Clerk
from openaisle.service.desk import Desk
from openaisle.service.fake_gateway import FakeGateway
from openaisle.service.states import Origin
from openaisle.service.tables import Run
from openaisle.service.visits import Opening
from openaisle.stress.storm import StormPlan, StormReport, orphans, storm
from openaisle.stress.storm_books import Bill, Books, Line, difference, read_books, settled
from openaisle.stress.storm_sensors import Kept, judged
from openaisle.stress.storm_shop import NAME
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
    assert report.killed["intake"] > 0
    assert report.messages is not None
    assert report.messages.acknowledged > 20


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
    good = StormReport(plan, {"api": 2}, same, 1, 3, (), (), (), 4, 0, 1, 9.0, Kept(9, 1, (), ()))
    assert good.kept
    assert replace(good, plan=replace(plan, intake=False), messages=None).kept
    for kept in (None, Kept(3, 3, (), ()), Kept(9, 0, (), ("scale w1 3",))):
        assert not replace(good, messages=kept).claims["acknowledged messages are kept"]
    broken = {
        "every kill was made": replace(good, killed={"api": 1}),
        "the day was played": replace(good, lines=0),
        "receipts are equal, or ask for a person": replace(good, difference=replace(same, different=("anna",))),
        "no line is lost": replace(good, difference=replace(same, lost=("t1",))),
        "no line is doubled": replace(good, difference=replace(same, doubled=("t1",))),
        "acknowledged entries are kept": replace(good, entries_lost=("entry-1",)),
        "acknowledged messages are kept": replace(good, messages=Kept(9, 0, ("scale w1 3",), ())),
        "no process is left running": replace(good, left_running=("worker",)),
        "nobody is captured twice or wrongly": replace(good, captures_wrong=("anna",)),
        "every webhook came at least once": replace(good, letters_lost=1),
    }
    assert broken.keys() == good.claims.keys()
    for claim, report in broken.items():
        assert [name for name, kept in report.claims.items() if not kept] == [claim]
        assert report.to_json()["kept"] is False


def test_messages_are_judged_by_number() -> None:
    batches = [ScaleBatch("w1", n, 20.0, np.zeros(2, np.float32), "d", 7, seq) for n, seq in enumerate((0, 1, 1, 3))]
    journal = [*batches, GateEvent("door", 5, "entry", "anna", "d", 7, 0), object()]
    told = {("scale w1", 0): False, ("scale w1", 2): False, ("scale w1", 4): True, ("gate door", 0): False}
    found = judged(told, journal)
    assert found == Kept(4, 1, ("scale w1 2",), ("scale w1 1",))


def test_processes_that_are_left_are_named_and_ended(tmp_path: Path) -> None:
    """One of this shop, one of another, and one that has its words in another place."""
    sleeps = "import time; time.sleep(600)"
    mine, others = tmp_path / "storm", tmp_path / "elsewhere"
    words = [[NAME, "worker", str(mine), "1"], [NAME, "clerk", str(others), "1"], ["other", "api", str(mine), "1"]]
    started = [subprocess.Popen([sys.executable, "-c", sleeps, *more]) for more in words]
    try:
        assert orphans((tmp_path / "calm", mine), 0.5) == ("worker",)
        assert started[0].wait(30) == -signal.SIGKILL
        assert [one.poll() for one in started[1:]] == [None, None]
        assert orphans((mine,), 0.5) == ()
    finally:
        for one in started:
            one.kill()
            one.wait()


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
