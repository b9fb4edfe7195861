"""The demo with a live store, its parts: days without end, hardware into a journal, the tally, ways, the screen."""

from __future__ import annotations

import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from rich.console import Console

from openaisle.demo import live, place
from openaisle.demo.days import BETWEEN_S, Days, Plan
from openaisle.demo.hardware import Began, Closed, Hardware
from openaisle.demo.live import scenario_of, way_of
from openaisle.demo.run import Demo
from openaisle.demo.show import Show
from openaisle.demo.tally import DUE_NS, Tally, moved
from openaisle.messages import NANOSECONDS, ScaleBatch, TruthReceipt
from openaisle.receipts.document import ReceiptRecord, Update
from openaisle.recording.journal import last_messages
from openaisle.recording.reader import open_recording
from openaisle.service.observer import News, Stay
from openaisle.service.tracks import Person
from openaisle.service.worker import CUT_AFTER_S, LOOK_BACK_S, QUIET_S
from openaisle.sim.scenario import Scenario
from openaisle.sim.stores import open_store
from openaisle.store.load import save_store
from openaisle.view.timeline import empty_receipt

STORE, SEED = "random:kiosk", 850_003
HURRY = Scenario(
    name="hurry", duration_s=8, shoppers=(1, 1), arrival_s=(0.5, 0.5), picks=(1, 1), linger_s=(0, 0), quiet_s=(1, 1)
)
DEMO = Demo(STORE, "demo", SEED, Path("data/demo"))
PATIENCE_S = 120.0


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    """One short day."""
    save_store(open_store(STORE, SEED), tmp_path / "store")
    return Plan(tmp_path / "store", STORE, HURRY, SEED, False, tmp_path / "recording", 4.0)


def test_days_follow_each_other_with_other_shoppers_on_one_clock(plan: Plan) -> None:
    told: list[TruthReceipt] = []
    days = Days(replace(plan, endless=True), told.append)
    batches: list[ScaleBatch] = []
    for logged in days.messages():
        if isinstance(logged.message, ScaleBatch) and logged.message.scale == "w1":
            batches.append(logged.message)
        if len(told) == 2:
            break
    days.close()
    assert len({truth.visit for truth in told}) == 2
    assert told[1].time_ns - told[0].time_ns > BETWEEN_S * NANOSECONDS
    assert all(a.time_ns < b.time_ns for a, b in pairwise(batches))
    assert {batch.boot_id for batch in batches} == {1, 2}  # it counts from 0 again
    recording = open_recording(plan.recording)  # complete, and no longer than it was to be
    assert 3.0 < (recording.end_ns - recording.start_ns) / NANOSECONDS <= 4.1


def test_hardware_writes_a_journal_as_it_happens_and_tells_the_truth(plan: Plan, tmp_path: Path) -> None:
    told: list[object] = []
    with Hardware(plan, None, tmp_path / "journal") as hardware:
        end_s = time.monotonic() + PATIENCE_S
        opened_ns = 0
        while not any(isinstance(one, Closed) for one in told):
            assert time.monotonic() < end_s, told
            if hardware.ready and hardware.ahead_s == float("inf") and not opened_ns:
                opened_ns = time.time_ns()
                hardware.open()
            told += hardware.told()
            time.sleep(0.05)
    (began,) = [one for one in told if isinstance(one, Began)]
    (truth,) = [one for one in told if isinstance(one, TruthReceipt)]
    logged = last_messages(tmp_path / "journal", 1 << 60)
    assert told[-1] == Closed()
    assert opened_ns < logged[0].log_ns < truth.time_ns + began.shift_ns <= logged[-1].log_ns <= time.time_ns()


def test_hardware_that_cannot_open_says_why(plan: Plan, tmp_path: Path) -> None:
    plan.recording.mkdir()
    with Hardware(plan, None, tmp_path / "journal") as hardware:
        end_s = time.monotonic() + PATIENCE_S
        while not (told := [one for one in hardware.told() if isinstance(one, Closed)]):
            assert time.monotonic() < end_s
            time.sleep(0.05)
    assert "already exists" in told[0].problem


def test_a_long_demo_has_days_in_which_runs_of_the_pipeline_can_end() -> None:
    for demo in (DEMO, replace(DEMO, scenario="neighbours")):
        endless = scenario_of(demo)
        assert endless.duration_s >= CUT_AFTER_S
        # The shelves are filled before what a new run looks back to, and it begins before the next shopper.
        assert 3 < endless.quiet_s[1] < QUIET_S - LOOK_BACK_S < QUIET_S + 5 < endless.quiet_s[1] + BETWEEN_S
        assert endless.shoppers[0] > 20
    brief = scenario_of(replace(DEMO, headless=True))
    assert brief.duration_s < 90
    assert brief.shoppers == (4, 4)


def test_the_way_of_the_sensors(monkeypatch: pytest.MonkeyPatch) -> None:
    found = way_of(DEMO)
    assert found is not None
    assert found.wired
    assert len({found.http, found.rtsp, found.mqtt}) == 3
    inside = way_of(DEMO, in_process=True)
    assert inside is not None
    assert (inside.wired, inside.http > 0) == (False, True)
    monkeypatch.setattr(live, "find_spec", lambda name: None if name == "amqtt" else object())
    without = way_of(DEMO)
    assert without is not None
    assert not without.wired
    assert "openaisle[live]" in without.remark
    monkeypatch.setattr(place, "free_port", lambda wanted: 0)
    refused = way_of(DEMO)
    assert refused is not None
    assert (refused.http, refused.wired) == (0, False)
    assert "ports are refused" in refused.remark
    monkeypatch.setattr(live, "find_spec", lambda name: None if name == "fastapi" else object())
    assert way_of(DEMO) is None


def stay(name: str, state: str = "review", *, seen: bool = True, updates: tuple[Update, ...] = ()) -> Stay:
    """A visit in some state."""
    store = open_store(STORE, SEED)
    receipt = empty_receipt(name, store, NANOSECONDS)
    record = ReceiptRecord(
        visit=name, lines=[], total_cents=0, currency="EUR", needs_review=True, updates=list(updates), final_ns=5
    )
    return Stay(name, f"r1.{name}", state, 0 if state == "inside" else 1, seen, receipt, record)


def test_a_visit_is_lost_without_a_receipt_or_an_end() -> None:
    truths = [TruthReceipt(NANOSECONDS, name, ()) for name in ("a", "b", "c", "d", "e")]
    tally = Tally({truth.visit: truth for truth in truths}, time_ns=NANOSECONDS + DUE_NS)
    tally.stays = {
        "a": stay("a"), "b": stay("b", "closed"), "c": stay("c", "inside"), "d": stay("d", "review", seen=False),
    }  # fmt: skip
    assert tally.lost(tally.due()) == ["c", "d", "e"]
    assert tally.waiting == 2
    tally.time_ns -= 1
    assert tally.due() == []


def test_a_record_is_moved_with_all_its_times() -> None:
    update = Update(time_ns=10, event_time_ns=8, kind="take", gtin="1", quantity=1)
    record = moved(stay("a", updates=(update,)).record, -3)
    assert (record.final_ns, record.updates[0].time_ns, record.updates[0].event_time_ns) == (2, 7, 5)


def test_lines_tell_where_everything_is_and_what_happens(tmp_path: Path) -> None:
    store = open_store(STORE, SEED)
    console = Console(record=True, width=200, file=(tmp_path / "out").open("w"))
    show = Show(replace(DEMO, headless=True), store, console)
    show.where(True, "http://127.0.0.1:1/login?link=one")
    gtin = store.products[0].gtin
    take = Update(time_ns=20 * NANOSECONDS, kind="take", gtin=gtin, quantity=2, lane=store.lanes[0].id)
    back = take.model_copy(update={"time_ns": 22 * NANOSECONDS, "kind": "return", "quantity": 1})
    person = Person("r1.a", 1.0, 1.0, ((1.0, 1.0),))
    tally = Tally()
    for time_s, stays in (
        (20, [stay("a", "inside", updates=(take,))]),
        (22, [stay("a", "closed", updates=(take, back))]),
    ):
        tally.stays |= {one.name: one for one in stays}
        show.tell(News(time_s * NANOSECONDS, (person,), tuple(stays), ()), tally, "http://127.0.0.1:1/login?link=two")
    said = console.export_text()
    name = store.products[0].name
    assert "real RTSP and MQTT" in said
    assert "link=one" in said
    assert said.count("link=two") == 1
    assert said.count(f"A takes 2 × {name}") == 1
    assert said.count(f"A puts back 1 × {name}") == 1
    assert said.count("A has left") == 1
    assert [body.visit for body in show.timeline.bodies_at(22 * NANOSECONDS - NANOSECONDS // 5)] == ["a"]
