"""Live receipts over a real socket: soon after the take, and after a lost connection exactly where it stopped."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import uvicorn

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
    assert after[0].data["update"] is not None
    assert read(address, whole, 8) == before + after  # the same, whenever it is asked for


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
