"""kill -9 at any time: no acknowledged entry is lost, no receipt line lost or doubled, nobody is captured twice."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import httpx
import numpy as np
import pytest
from sqlalchemy import func, select

from openaisle.errors import ServiceError
from openaisle.service import beats, keys, till
from openaisle.service.beats import STATUS
from openaisle.service.database import open_database
from openaisle.service.desk import Desk, Rules
from openaisle.service.fake_gateway import FakeGateway
from openaisle.service.jobs import Job
from openaisle.service.keys import Role
from openaisle.service.processes import run_api
from openaisle.service.startup import Serve, open_desk, read_startup
from openaisle.service.states import VisitState
from openaisle.service.supervisor import Supervisor
from openaisle.service.tables import LedgerRow, MoneyStep, Visit
from openaisle.store.load import save_store
from tests.service import scripted_process, stream
from tests.service.desks import CARD

SHOPPERS = 6
PATIENCE_S = 150.0  # a busy machine starts a process in many seconds


@dataclass
class Terminal:
    """A card terminal that tries until it has an answer, as they do."""

    address: str
    secret: str
    acknowledged: dict[str, str] = field(default_factory=dict)  # idempotency key → visit
    stopped: bool = False

    def run(self) -> None:
        """Entries, and the exit of each, until told to stop."""
        number = 0
        with httpx.Client(base_url=self.address, timeout=5) as client:
            while not self.stopped:
                number += 1
                entry = self._ask(client, "/v1/entries", {"gate": "side", "method": CARD}, f"entry-{number:05d}")
                if entry:
                    self.acknowledged[f"entry-{number:05d}"] = entry["visit"]
                    self._ask(client, "/v1/exits", {"visit": entry["visit"]}, f"leave-{number:05d}")
                time.sleep(0.3)

    def _ask(self, client: httpx.Client, path: str, form: dict[str, str], key: str) -> dict[str, str]:
        headers = {"Authorization": f"Bearer {self.secret}", "Idempotency-Key": key}
        while not self.stopped:
            try:
                answer = client.post(path, json=form, headers=headers)
            except httpx.HTTPError:
                time.sleep(0.1)
                continue
            if answer.status_code in (201, 202):
                return dict(answer.json())
            assert answer.status_code in (429, 500, 503), answer.text
            time.sleep(0.1)
        return {}


@dataclass
class Live:
    """A live store under its supervisor."""

    serve: Serve
    supervisor: Supervisor
    said: list[str]

    def pid(self, name: str) -> int:
        """Of a process, 0 while it is not running."""
        status = json.loads((self.serve.path / STATUS).read_text())
        return int(status[name]["pid"]) if name in status else 0

    def ended(self, name: str) -> bool:
        """Whether a process has done its work."""
        return bool(json.loads((self.serve.path / STATUS).read_text())[name]["state"] == "ended")

    def wait(self, until: object, what: str) -> None:
        """Until something is so."""
        assert callable(until)
        end_s = time.monotonic() + PATIENCE_S
        while not until():
            assert time.monotonic() < end_s, f"{what}; {self.said}"
            time.sleep(0.1)

    def kill(self, name: str) -> None:
        """kill -9, when it runs."""
        self.wait(lambda: self.pid(name) or self.ended(name), f"{name} does not run")
        if self.ended(name):
            return
        pid = self.pid(name)
        os.kill(pid, signal.SIGKILL)
        self.wait(lambda: self.pid(name) not in (0, pid), f"{name} was not started again")
        self.wait(lambda: name in beats.ages_s(self.serve.path), f"{name} does not work")


@contextmanager
def living(serve: Serve) -> Iterator[Live]:
    """A supervisor in a thread, with the scripted worker."""
    said: list[str] = []
    supervisor = Supervisor(serve, said.append, scripted_process.__name__)
    stop: list[bool] = []
    thread = threading.Thread(target=lambda: supervisor.run(lambda: not stop))
    thread.start()
    try:
        yield Live(serve, supervisor, said)
    finally:
        stop.append(True)
        thread.join()


def free_port() -> int:
    """A port nobody has."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@pytest.fixture
def serve(tmp_path: Path) -> Serve:
    """A live store over a recording of a few shoppers, at four times its pace."""
    save_store(stream.store(), tmp_path / "store")
    recording = stream.write(tmp_path / "rec", stream.shoppers(SHOPPERS))
    rules = Rules(hold_for_review=False, walk_in_method=CARD, requests_per_s=1e6, request_burst=10**6)
    job = Job(str(recording), "scripted", speed=1.5)
    data, store = tmp_path / "data", tmp_path / "store"
    return Serve(str(data), str(store), port=free_port(), job=job, rules=rules)


def gate_key(serve: Serve) -> str:
    """A gate's key, made before the API runs."""
    serve.path.mkdir(parents=True, exist_ok=True)
    database = open_database(serve.url)
    with database.write() as session:
        secret = keys.create_key(session, "terminal", Role.GATE, 0)
    database.close()
    return secret


def storm(live: Live, kills: int, seed: int) -> None:
    """Kills at random, of any process."""
    rng = np.random.Generator(np.random.PCG64(seed))
    names = ["worker", "api", "clerk", "worker", "courier", "api"]
    for number in range(kills):
        live.kill(names[number % len(names)])
        time.sleep(float(rng.uniform(0.1, 2.0)))
        for child in live.supervisor.children:
            child.deaths.clear()  # this is weather, not a crash loop


def run_ended(desk: Desk) -> bool:
    """The recording is over and everything is settled."""
    with desk.database.read() as session:
        waiting = session.scalar(select(func.count()).select_from(MoneyStep).where(MoneyStep.state == "pending"))
        closed = select(func.count()).select_from(Visit).where(Visit.state == VisitState.CLOSED)
        of_stream = session.scalar(closed.where(Visit.id.like("r%")))
        left = select(func.count()).select_from(Visit).where(Visit.state.in_(["inside", "awaiting", "left"]))
        return of_stream == SHOPPERS and not waiting and not session.scalar(left)


def test_an_api_whose_supervisor_died_while_it_started_ends(serve: Serve) -> None:
    """SIGTERM came before the server could take it: nothing but `go_on` knows, and the port must not stay taken."""
    serve.path.mkdir(parents=True, exist_ok=True)
    open_desk(serve)
    thread = threading.Thread(target=lambda: run_api(serve, lambda: False), daemon=True)
    thread.start()
    thread.join(30.0)
    assert not thread.is_alive()


@pytest.mark.parametrize("kills", [6, pytest.param(200, marks=pytest.mark.slow)])
def test_a_storm_of_kills_changes_no_receipt(serve: Serve, kills: int) -> None:
    terminal = Terminal(f"http://127.0.0.1:{serve.port}", gate_key(serve))
    with living(serve) as live:
        thread = threading.Thread(target=terminal.run)
        thread.start()
        live.wait(lambda: terminal.acknowledged, "no entry was acknowledged")
        storm(live, kills, 7)
        terminal.stopped = True
        thread.join()
        desk = open_desk(serve)
        for visit in sorted(terminal.acknowledged.values()):  # exits whose answer the terminal did not wait for
            _leave(live, terminal, visit)
        live.wait(lambda: run_ended(desk), "not everything was settled")
    _check(desk, serve, terminal)
    desk.database.close()


def _leave(live: Live, terminal: Terminal, visit: str) -> None:
    headers = {"Authorization": f"Bearer {terminal.secret}", "Idempotency-Key": f"last-{visit}"}

    def told() -> bool:
        try:
            return httpx.post(f"{terminal.address}/v1/exits", json={"visit": visit}, headers=headers).status_code == 202
        except httpx.HTTPError:
            return False

    live.wait(told, f"the exit of {visit} was not taken")


def _check(desk: Desk, serve: Serve, terminal: Terminal) -> None:
    expected = stream.undisturbed(stream.shoppers(SHOPPERS))
    with desk.database.read() as session:
        visits = {visit.id: visit for visit in session.scalars(select(Visit))}
        finals = {name: till.final(session, name) for name in visits}
        events = session.scalars(select(LedgerRow.event_id)).all()
    assert set(terminal.acknowledged.values()) <= visits.keys()
    assert len(set(terminal.acknowledged.values())) == len(terminal.acknowledged)
    of_stream = {name.rpartition(".")[2]: final for name, final in finals.items() if name.startswith("r")}
    told = {
        name: (tuple((line.gtin, line.quantity) for line in final.receipt.lines), final.receipt.total_cents)
        for name, final in of_stream.items()
        if final is not None
    }
    assert told == expected
    assert len(events) == len(set(events))
    assert len(terminal.acknowledged) > 3
    captures = FakeGateway(serve.path / "fake-gateway.sqlite").captures()
    assert all(count <= 1 for count, _, _ in captures.values())
    assert sum(cents for _, cents, _ in captures.values()) == sum(total for _, total in expected.values())


def test_a_second_supervisor_in_the_same_folder_is_refused(serve: Serve) -> None:
    first = Supervisor(serve)
    try:
        with pytest.raises(ServiceError, match="another `aisle serve`"):
            Supervisor(replace(serve, port=serve.port + 1))
        assert read_startup(serve.path) == serve  # and has changed nothing
    finally:
        first.stop()
    Supervisor(serve).stop()  # the lock is free again


def test_what_keeps_dying_is_not_started_for_ever(serve: Serve) -> None:
    said: list[str] = []
    supervisor = Supervisor(replace(serve, job=None), said.append, "tests.service.no_such_module")
    end_s = time.monotonic() + PATIENCE_S
    while not any("crash loop" in words for words in said):
        assert time.monotonic() < end_s, said
        supervisor.look()
        time.sleep(0.05)
    supervisor.stop()
    assert any("ended with" in words and "started again" in words for words in said)
