"""Names of visits for people: counted by business day, stable, and the same on every page; ids stay in the API."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from openaisle.messages import NANOSECONDS
from openaisle.service import amends, till, visits
from openaisle.service.database import Database
from openaisle.service.desk import Desk
from openaisle.service.fake_gateway import FakeGateway
from openaisle.service.floor import tints
from openaisle.service.states import HowLeft, Origin
from openaisle.service.tables import Run, Visit
from openaisle.service.visits import Opening
from openaisle.service.words import Words
from openaisle.service.worker import work
from tests.receipts.shops import TEA, take
from tests.service import desks, stream
from tests.service.desks import Clock
from tests.service.shop import LiveShop, open_shop
from tests.service.test_worker import EAGER, after, job

IDS = ("r9e98a31f.v850007-003", "r9e98a31f.v850007-004", "r9e98a31f.v850007-005")
DAY_NS = 86_400 * NANOSECONDS


def numbers(desk: Desk) -> dict[str, int]:
    """{id: number} of all visits."""
    with desk.database.read() as session:
        return {row.id: row.number for row in session.query(Visit)}


def test_visits_are_counted_by_the_business_day(desk_and_clock: tuple[Desk, Clock]) -> None:
    desk, clock = desk_and_clock
    clock.now_ns = desks.START_NS - desks.START_NS % DAY_NS + DAY_NS * 22 // 24  # 23:00 in Berlin
    for name in ("a", "b"):
        desks.come_in(desk, name)
    desks.come_in(desk, "b")  # the same one again is no new one
    clock.pass_s(1.5 * 3600)  # half past midnight in Berlin, still the same day in London
    desks.come_in(desk, "c")
    assert numbers(desk) == {"a": 1, "b": 2, "c": 1}


def test_who_comes_at_the_same_time_has_a_number_of_their_own(database: Database) -> None:
    desk, _ = desks.desk_on(database)
    threads = [threading.Thread(target=desks.come_in, args=(desk, f"v{n}")) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(numbers(desk).values()) == list(range(1, 9))


def test_a_restart_keeps_them(tmp_path: Path) -> None:
    corner = Desk(desks.fresh_sqlite(tmp_path), stream.store(), EAGER)
    recorded = job(stream.write(tmp_path / "rec", stream.shoppers(3)))
    assert not work(corner, recorded, stream.predictor(), after(140))
    before = numbers(corner)
    assert work(corner, recorded, stream.predictor())
    assert before.items() <= numbers(corner).items()
    assert sorted(numbers(corner).values()) == [1, 2, 3]


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[LiveShop]:
    """A shop in which one is inside, one waits for a person, one has paid and objects, and one is of the staff."""
    desk, clock = desks.desk_on(desks.fresh_sqlite(tmp_path))
    opened = open_shop(desk, FakeGateway(tmp_path / "gateway.sqlite", clock), tmp_path)
    with desk.database.write() as session:
        now_ns = clock()
        session.add(Run(id="r9e98a31f", source="s", model="m", seed=0, start_ns=0, at_ns=now_ns, beat_ns=now_ns))
        for name in IDS:
            visits.open_visit(session, desk, Opening(name, Origin.GATE, "door", clock(), run="r9e98a31f"))
    for number, name in enumerate(IDS):
        desks.take(desk, f"e{number}", name)
    with desk.database.write() as session:
        gift = replace(take("gift", clock(), TEA, 1, IDS[1]), kind="hand_over", to_visit=IDS[2])
        till.record(session, gift, "test", clock())
    desks.go(desk, IDS[1], HowLeft.NEVER)
    desks.go(desk, IDS[2])
    opened.clerk()
    desks.come_in(desk, "staff-1", staff=True)
    amends.dispute(desk, IDS[2], "I put it back", "shopper", "key-of-a-dispute")
    with opened.client:
        opened.client.post("/login", data={"key": opened.secrets["reviewer"]})
        yield opened


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/", {IDS[0]: "Shopper 1", IDS[1]: "Shopper 2", IDS[2]: "Shopper 3", "staff-1": "Staff 4"}),
        ("/review", {IDS[1]: "Shopper 2", IDS[2]: "Shopper 3"}),
        ("/day", {IDS[0]: "Shopper 1", IDS[1]: "Shopper 2", IDS[2]: "Shopper 3", "staff-1": "Staff 4"}),
        (f"/visits/{IDS[0]}", {IDS[0]: "Shopper 1"}),
        (f"/visits/{IDS[1]}?gtin={TEA}", {IDS[1]: "Shopper 2", IDS[2]: "Shopper 3"}),
        (f"/visits/{IDS[2]}/evidence?gtin={TEA}", {IDS[1]: "Shopper 2", IDS[2]: "Shopper 3"}),
    ],
)
def test_pages_call_visits_by_name_and_keep_the_id_as_title(shop: LiveShop, path: str, said: dict[str, str]) -> None:
    page = shop.client.get(path)
    assert page.status_code == 200
    for visit, name in said.items():
        assert f'title="{visit}">{name}<' in page.text
    assert not [visit for visit in IDS if f">{visit}<" in page.text]


def test_the_shopper_reads_the_same_name_and_the_api_both(shop: LiveShop) -> None:
    entry = shop.enter()
    told = shop.get(f"/v1/visits/{entry['visit']}").json()
    assert (told["visit"], told["number"]) == (entry["visit"], 5)
    page = shop.client.get(str(entry["link"]))
    assert f'title="{entry["visit"]}">Shopper 5<' in page.text
    german = shop.client.get("/day", headers={"Accept-Language": "de"}).text
    assert f'title="{entry["visit"]}">Kunde 5<' in german


def test_visits_from_before_numbers_keep_their_ids() -> None:
    words = Words("en", "UTC", "EUR")
    assert words.shopper(0, "r1.v1") == "r1.v1"
    assert words.shopper(12, "r1.v1", staff=True) == "Staff 12"


def test_the_mark_on_the_plan_has_the_number_of_the_name() -> None:
    marks = tints([("a", 12), ("b", 0)])
    assert [(marks[name].number, marks[name].colour) for name in ("a", "b")] == [(12, 0), (2, 1)]
