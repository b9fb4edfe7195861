"""Postgres restarted while shoppers are inside: the service waits for it, says so, goes on by itself, loses nothing."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from sqlalchemy import func, select

from openaisle.service import courier
from openaisle.service.database import Database
from openaisle.service.fake_gateway import FakeGateway
from openaisle.service.health import intake_of
from openaisle.service.intake import journal_folder
from openaisle.service.startup import Serve, open_desk
from openaisle.service.states import VisitState
from openaisle.service.tables import LedgerRow, Run, Visit
from openaisle.store.load import load_store
from openaisle.stress.storm_books import Books, read_books, settled
from openaisle.stress.storm_outside import Mailbox, Terminal
from openaisle.stress.storm_sensors import Sensors
from tests.service import stream
from tests.service.desks import PostgresServer, fresh_postgres
from tests.service.test_kill import SHOPPERS, free_port, gate_key, living, serve

__all__ = ["serve"]  # a fixture
AWAY_S = 20.0  # in so long a process that died at every try would be a crash loop (supervisor.CRASHES)
READY_S = 10.0  # the longest pause of a process that waits for its database is a second; the rest is a busy machine


def mid_visit(database: Database) -> bool:
    """Whether somebody of the stream is inside with something in the basket."""
    with database.read() as session:
        inside = select(Visit.id).where(Visit.state == VisitState.INSIDE, Visit.run != "")
        taken = select(LedgerRow.seq).where(LedgerRow.visit.in_(inside))
        return session.scalar(taken.limit(1)) is not None


def over(database: Database) -> bool:
    """Whether the recording has been played to its end."""
    with database.read() as session:
        return session.scalar(select(func.count()).select_from(Run).where(Run.ended)) == 1


def asked(client: httpx.Client) -> tuple[int, list[str]]:
    """/readyz: its status and what it says is wrong."""
    answer = client.get("/readyz")
    return answer.status_code, answer.json()["problems"]


def stay_away(server: PostgresServer, mode: str, client: httpx.Client, sensors: Sensors) -> None:
    """Postgres is stopped for a while; what a gate, a probe and the scales are told meanwhile."""
    server.stop(mode)
    end_s, stored, told = time.monotonic() + AWAY_S, len(sensors._acknowledged), Counter[int]()
    while time.monotonic() < end_s:
        assert asked(client) == (503, ["database"])
        answer = client.post("/v1/entries", json={"gate": "side"}, headers={"Authorization": "Bearer any"})
        told[answer.status_code] += 1
        assert answer.json()["detail"] == "the database does not answer"
        time.sleep(0.5)
    assert set(told) == {503}
    assert len(sensors._acknowledged) > stored  # they go into the journal, which is not in the database
    server.start()


def play(
    serve: Serve, server: PostgresServer, mode: str, sensors: Sensors, database: Database
) -> tuple[Terminal, Mailbox]:
    """A day, with Postgres away in the middle of it."""
    terminal = Terminal(f"http://127.0.0.1:{serve.port}", gate_key(serve), "side")
    with (
        Mailbox() as mailbox, living(serve) as live,
        httpx.Client(base_url=terminal.address, timeout=30) as client,
    ):  # fmt: skip
        with database.write() as session:
            courier.add_endpoint(session, mailbox.url, time.time_ns())
        live.wait(lambda: (known := intake_of(serve.path)) and known.broker and known.broker.up, "nobody hears scales")
        sensors.open()
        terminal.start()  # and the first of three comes
        try:
            live.wait(lambda: terminal.acknowledged and mid_visit(database), "nobody is inside")
            terminal.call()
            stay_away(server, mode, client, sensors)
            back_s = time.monotonic()
            live.wait(lambda: asked(client) == (200, []), "it does not recover")
            assert time.monotonic() - back_s < READY_S
            terminal.call()
            live.wait(lambda: over(database) and len(terminal.acknowledged) == 3, "the day does not end")
        finally:
            terminal.stop()
        terminal.close_all(lambda: True)
        live.wait(lambda: settled(open_desk(serve, database)), "not all is settled")
        sensors.stop()
        assert all(child.restarts == 0 for child in live.supervisor.children), live.said
        assert live.said == []
    return terminal, mailbox


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_a_restart_of_postgres_loses_and_doubles_nothing(serve: Serve, server: PostgresServer, mode: str) -> None:
    database = fresh_postgres(server.url)
    url = database.engine.url.render_as_string(hide_password=False)
    serve = replace(serve, database=url)
    assert serve.job is not None
    with Sensors(Path(serve.job.source), (free_port(), free_port())) as sensors:
        serve.path.mkdir()
        serve = replace(serve, sensors=str(sensors.settings(serve.path)))
        terminal, mailbox = play(serve, server, mode, sensors, database)
    desk = open_desk(serve, database)
    books = read_books(desk, FakeGateway(serve.path / "fake-gateway.sqlite"))
    database.close()
    check_books(books, terminal, mailbox)
    kept = sensors.judge(journal_folder(serve.path, load_store(serve.store)))
    assert (kept.lost, kept.doubled) == ((), ())
    assert kept.acknowledged > kept.late


def check_books(books: Books, terminal: Terminal, mailbox: Mailbox) -> None:
    """Receipts are those of the undisturbed stream, each final, captured once at most; entries and letters came."""
    expected = stream.undisturbed(stream.shoppers(SHOPPERS))
    found = {
        name: (tuple((gtin, quantity) for gtin, quantity, _ in bill.lines), bill.total_cents)
        for name, bill in books.bills.items()
    }
    assert found == expected
    assert all(bill.final for bill in books.bills.values())
    assert books.captures == ()  # captured twice, or not what the receipt says
    assert set(books.ledger.values()) == {1}
    assert [key for key, count in books.told.items() if count > 1] == []
    assert terminal.wrong == []
    assert sorted(terminal.acknowledged.values()) == sorted(books.entered)
    assert books.letters
    assert books.letters <= mailbox.came.keys()
    assert books.undelivered == 0
