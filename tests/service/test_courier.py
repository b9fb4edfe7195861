"""Webhooks: signed, repeated until somebody took them, given up in the end; none is lost with what it tells of."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from sqlalchemy import select

from openaisle.errors import RequestError
from openaisle.service import courier
from openaisle.service.desk import Desk
from openaisle.service.states import Origin
from openaisle.service.tables import Endpoint, Letter
from openaisle.service.visits import Opening, open_visit
from tests.service import desks
from tests.service.desks import Clock


class Receiver(BaseHTTPRequestHandler):
    """Notes what comes and answers as told."""

    got: list[tuple[dict[str, str], str]]
    statuses: list[int]

    def do_POST(self) -> None:
        """One webhook."""
        body = self.rfile.read(int(self.headers["content-length"])).decode()
        self.got.append(({name.lower(): value for name, value in self.headers.items()}, body))
        self.send_response(self.statuses.pop(0) if self.statuses else 204)
        self.send_header("location", self.path)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


@pytest.fixture
def receiver() -> Iterator[tuple[type[Receiver], str]]:
    """A receiver and its address."""
    kind = type("One", (Receiver,), {"got": [], "statuses": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), kind)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield kind, f"http://127.0.0.1:{server.server_port}/hook"
    server.shutdown()
    server.server_close()


def subscribe(desk: Desk, url: str) -> bytes:
    """A receiver's secret."""
    with desk.database.write() as session:
        _, secret = courier.add_endpoint(session, url, desk.clock())
    assert secret.startswith("whsec_")
    return base64.b64decode(secret.removeprefix("whsec_"))


def letters(desk: Desk) -> list[Letter]:
    """The whole outbox."""
    with desk.database.read() as session:
        return list(session.scalars(select(Letter).order_by(Letter.id)))


def test_a_webhook_is_signed_and_delivered_once_taken(desk: Desk, receiver: tuple[type[Receiver], str]) -> None:
    kind, url = receiver
    secret = subscribe(desk, url)
    desks.come_in(desk, "v1")
    assert courier.deliver_due(desk) == 1
    assert courier.deliver_due(desk) == 0
    ((headers, body),) = kind.got
    assert json.loads(body)["type"] == "visit.entered"
    assert json.loads(body)["data"]["visit"] == "v1"
    signed = courier.signature(secret, headers["webhook-id"], headers["webhook-timestamp"], body)
    assert headers["webhook-signature"] == signed


@pytest.mark.parametrize("status", [500, 404, 302])
def test_what_is_not_taken_comes_again_later_and_less_often(
    desk: Desk, clock: Clock, receiver: tuple[type[Receiver], str], status: int
) -> None:
    kind, url = receiver
    subscribe(desk, url)
    kind.statuses += [status, status]
    desks.come_in(desk, "v1")
    assert courier.deliver_due(desk) == 1
    assert courier.deliver_due(desk) == 0  # not yet
    clock.pass_s(6.1)
    assert courier.deliver_due(desk) == 1
    clock.pass_s(6.1)
    assert courier.deliver_due(desk) == 0  # the second wait is longer
    clock.pass_s(6.1)
    assert courier.deliver_due(desk) == 1
    assert len({headers["webhook-id"] for headers, _ in kind.got}) == 1
    (letter,) = letters(desk)
    assert (letter.attempts, letter.delivered_ns > 0) == (3, True)


def test_a_receiver_that_is_not_there_is_tried_for_three_days(desk: Desk, clock: Clock) -> None:
    subscribe(desk, "http://127.0.0.1:9/hook")  # the discard port, where nobody listens
    desks.come_in(desk, "v1")
    courier.deliver_due(desk)
    (letter,) = letters(desk)
    assert "refused" in letter.error.lower()
    clock.pass_s(3 * 86_400 + 1)
    courier.deliver_due(desk)
    (letter,) = letters(desk)
    assert letter.given_up_ns > 0
    clock.pass_s(86_400)
    assert courier.deliver_due(desk) == 0


def test_a_receiver_that_is_gone_is_left_alone(desk: Desk, receiver: tuple[type[Receiver], str]) -> None:
    kind, url = receiver
    subscribe(desk, url)
    kind.statuses += [410]
    desks.come_in(desk, "v1")
    courier.deliver_due(desk)
    desks.come_in(desk, "v2")
    assert courier.deliver_due(desk) == 0
    with desk.database.read() as session:
        assert [one.gone_ns > 0 for one in session.scalars(select(Endpoint))] == [True]


def test_a_letter_is_written_with_what_it_tells_of_or_not_at_all(desk: Desk) -> None:
    subscribe(desk, "https://example.org/hook")
    with pytest.raises(ZeroDivisionError):
        _come_in_and_crash(desk)
    assert letters(desk) == []


def _come_in_and_crash(desk: Desk) -> float:
    with desk.database.write() as session:
        open_visit(session, desk, Opening("v1", Origin.GATE, "door", 1))
        assert session.scalars(select(Letter)).all()
        return 1 / 0


@pytest.mark.parametrize("url", ["ftp://example.org/x", "https:///x", "nothing"])
def test_addresses_that_are_none_are_refused(desk: Desk, url: str) -> None:
    with pytest.raises(RequestError, match="no web address"), desk.database.write() as session:
        courier.add_endpoint(session, url, 0)
