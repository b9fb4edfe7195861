"""Live receipts over a real socket: soon after the take, and after a lost connection exactly where it stopped."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import uvicorn

from openaisle.receipts.events import LedgerEvent
from openaisle.service import till
from openaisle.service.fake_gateway import FakeGateway
from openaisle.service.states import HowLeft
from tests.receipts.shops import MILK, PRICES, TEA
from tests.service import desks
from tests.service.shop import LiveShop, open_shop


@dataclass(frozen=True)
class Event:
    """One server-sent event."""

    id: int
    kind: str
    data: dict[str, object]

    @property
    def total_cents(self) -> object:
        """Of the receipt in it."""
        receipt = self.data["receipt"]
        assert isinstance(receipt, dict)
        return receipt["total_cents"]


def updates_of(event: Event) -> list[dict[str, object]]:
    """What it changed of the lines."""
    updates = event.data["updates"]
    assert isinstance(updates, list)
    return updates


@pytest.fixture
def listening(tmp_path: Path) -> Iterator[tuple[LiveShop, str]]:
    """A shop behind uvicorn, and its address."""
    desk, clock = desks.desk_on(desks.fresh_sqlite(tmp_path))
    shop = open_shop(desk, FakeGateway(tmp_path / "gateway.sqlite", clock))
    server = uvicorn.Server(uvicorn.Config(shop.app, port=0, log_level="error", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield shop, f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join(10)


def events(lines: Iterator[str]) -> Iterator[Event]:
    """Events of a stream of lines."""
    fields: dict[str, str] = {}
    for line in lines:
        if line:
            name, _, value = line.partition(": ")
            fields[name] = value
        elif "data" in fields:
            yield Event(int(fields["id"]), fields["event"], json.loads(fields["data"]))
            fields = {}


def read(address: str, path: str, count: int, last: int | None = None) -> list[Event]:
    """The next few events."""
    headers = {} if last is None else {"Last-Event-ID": str(last)}
    with httpx.stream("GET", address + path, headers=headers, timeout=10) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        found = events(response.iter_lines())
        return [next(found) for _ in range(count)]


def whole_stream(address: str, path: str) -> list[Event]:
    """All events up to now."""
    newest = read(address, path, 1)[0].id  # the first is the newest one there is
    found = read(address, path + "&from_start=true", 1)
    while found[-1].id < newest:
        found += read(address, path, 1, found[-1].id)
    return found


def test_a_take_is_on_the_live_receipt_within_a_second_and_a_half(listening: tuple[LiveShop, str]) -> None:
    shop, address = listening
    entry = shop.enter()
    visit, path = str(entry["visit"]), str(entry["link"]).replace("/s/", "/v1/visits/").replace("?", "/stream?")
    with httpx.stream("GET", address + path, timeout=10) as response:
        found = events(response.iter_lines())
        first = next(found)  # where it stands: the hold that was made
        assert first.total_cents == 0
        waits = []
        for number, total in enumerate((PRICES[TEA], PRICES[TEA] + PRICES[MILK]), 1):
            began = time.monotonic()
            desks.take(shop.desk, f"e{number}", visit, (TEA, MILK)[number - 1])
            event = next(found)
            waits.append(time.monotonic() - began)
            assert (event.kind, event.total_cents) == ("line", total)
    assert min(waits) < 1.5  # of two: a busy machine may hold one of them up


def test_a_lost_connection_goes_on_where_it_stopped(listening: tuple[LiveShop, str]) -> None:
    shop, address = listening
    entry = shop.enter()
    visit, path = str(entry["visit"]), str(entry["link"]).replace("/s/", "/v1/visits/").replace("?", "/stream?")
    whole = path + "&from_start=true"
    desks.take(shop.desk, "e1", visit)
    before = read(address, whole, 3)
    assert [event.kind for event in before] == ["payment", "entered", "line"]
    desks.take(shop.desk, "e2", visit, MILK)
    desks.take(shop.desk, "e3", visit, MILK)
    desks.go(shop.desk, visit, HowLeft.GATE)
    shop.clerk()
    after = read(address, path, 5, before[-1].id)
    assert [event.kind for event in after] == ["line", "line", "left", "final", "payment"]
    tea, milk = PRICES[TEA], PRICES[MILK]
    assert [event.total_cents for event in after[:2]] == [tea + milk, tea + 2 * milk]  # as it was then
    assert [len(updates_of(event)) for event in after] == [1, 1, 0, 0, 0]
    assert read(address, whole, 8) == before + after  # the same, whenever it is asked for


def test_a_correction_is_told_as_the_change_that_it_makes_in_stream_and_record(
    listening: tuple[LiveShop, str],
) -> None:
    """Lines removed, added, made another product, and moved to another visit and back: both tell the same words."""
    shop, address = listening
    clock = shop.desk.clock
    assert isinstance(clock, desks.Clock)
    links = [str(shop.enter()["link"]).replace("/s/", "/v1/visits/").replace("?", "/stream?") for _ in range(2)]
    anna, bob = (link.split("/")[3] for link in links)
    desks.take(shop.desk, "e1", anna, TEA, 2)
    desks.take(shop.desk, "e2", anna, MILK)
    steps = [  # of one and the same entry where an id is given: units that stand instead of what stood before
        ("c1", anna, TEA, 1, "e1"), ("c2", anna, MILK, 3, "e1"), ("c3", bob, MILK, 3, "e1"), ("c4", anna, TEA, 1, "e1"),
        ("c5", anna, MILK, 0, "e2"), ("c6", bob, TEA, 1, ""),
    ]  # fmt: skip
    for event_id, visit, gtin, quantity, supersedes in steps:
        clock.pass_s(1.0)
        now_ns = clock()
        entry = LedgerEvent(event_id, now_ns, "correction", visit, gtin, quantity, 1.0, supersedes=supersedes)
        with shop.desk.database.write() as session:
            till.record(session, entry, "test", now_ns)
    expected = {
        anna: [
            [(TEA, 2)], [(MILK, 1)], [(TEA, -1)], [(TEA, -1), (MILK, 3)], [(MILK, -3)], [(TEA, 1)], [(MILK, -1)],
        ],
        bob: [[(MILK, 3)], [(MILK, -3)], [(TEA, 1)]],
    }  # fmt: skip
    for link, visit in zip(links, (anna, bob), strict=True):
        last = shop.get(f"/v1/visits/{visit}/receipt").json()
        lines = [event for event in whole_stream(address, link) if event.kind == "line"]
        told = [[(one["gtin"], one["quantity"]) for one in updates_of(event)] for event in lines]
        assert [one for one in told if one] == expected[visit]
        flat = [update for event in lines for update in updates_of(event)]
        assert flat == [{k: v for k, v in one.items() if v is not None} for one in last["updates"]]
        sums: Counter[str] = Counter()
        for one in flat:
            sums[str(one["gtin"])] += int(str(one["quantity"]))
        assert {gtin: units for gtin, units in sums.items() if units} == {
            line["gtin"]: line["quantity"] for line in last["lines"]
        }
        for event in lines:  # every receipt of the stream ends with the words of its event
            receipt = event.data["receipt"]
            assert isinstance(receipt, dict)
            assert receipt["updates"][len(receipt["updates"]) - len(updates_of(event)) :] == updates_of(event)


def test_streams_end_with_the_server_and_are_counted(listening: tuple[LiveShop, str]) -> None:
    shop, address = listening
    entry = shop.enter()
    path = str(entry["link"]).replace("/s/", "/v1/visits/").replace("?", "/stream?")
    read(address, path, 1)
    deadline = time.monotonic() + 10
    while shop.app.state.feed.open and time.monotonic() < deadline:
        time.sleep(0.05)
    assert shop.app.state.feed.open == 0
    assert httpx.get(address + path.replace(str(entry["visit"]), "nobody")).status_code == 401
    missing = httpx.get(f"{address}/v1/visits/nobody/stream", headers=shop.headers("operator"))
    assert missing.status_code == 404
