"""Who finds the database away waits in its place, and beats; any other error is raised at once."""

from __future__ import annotations

import socket
import time
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError

from openaisle.errors import ServiceError
from openaisle.service import database as databases
from openaisle.service import patience
from openaisle.service.database import answers, open_database
from openaisle.service.patience import is_away, once_there, patiently
from openaisle.service.serve import Wish, prepared
from tests.service.desks import PostgresServer, fresh_postgres, fresh_sqlite

CONNECT_S = 2  # the least that libpq takes


def url_of(server_url: str) -> str:
    """A fresh database's."""
    database = fresh_postgres(server_url)
    database.close()
    return database.engine.url.render_as_string(hide_password=False)


def test_work_whose_database_stops_begins_anew_when_it_answers(tmp_path: Path, server: PostgresServer) -> None:
    url, tries, beats = url_of(server.url), list[str](), list[bool]()
    desk_database = open_database(url)

    def work() -> None:
        tries.append("opened anew" if tries else "open since before")
        database = open_database(url) if len(tries) > 1 else desk_database
        with database.write() as session:
            if len(tries) == 1:
                server.stop()
            session.execute(text("UPDATE visits SET people = people"))
        database.close()

    def go_on() -> bool:
        beats.append(answers(url))
        if len(beats) == 3:
            server.start()
        return True

    patiently(work, tmp_path, url, go_on)
    assert tries == ["open since before", "opened anew"]
    assert beats[:3] == [False] * 3


def test_work_that_begins_without_its_database_waits_until_it_is_told_to_stop(
    tmp_path: Path, server: PostgresServer
) -> None:
    url, beats = url_of(server.url), list[int]()
    server.stop()

    def go_on() -> bool:
        beats.append(1)
        return len(beats) < 3

    patiently(lambda: open_database(url).close(), tmp_path, url, go_on)
    assert len(beats) == 4  # three while it waited, and once more to tell why the wait is over


def test_a_start_waits_for_its_database_and_says_so_once(server: PostgresServer) -> None:
    url, said = url_of(server.url), list[str]()
    server.stop()
    tries: list[bool] = []

    def start() -> str:
        tries.append(True)
        if len(tries) == 3:
            server.start()
        open_database(url).close()
        return "started"

    assert once_there(start, said.append) == "started"
    assert len(tries) == 3
    (words,) = said
    assert "waiting up to 90 s for the database" in words
    assert "check that it runs" in words


def test_a_live_store_may_be_started_before_its_database(tmp_path: Path, server: PostgresServer) -> None:
    url, said = url_of(server.url), list[str]()
    server.stop()

    def say(words: str) -> None:
        said.append(words)
        if words.startswith("waiting"):
            server.start()

    prepared(Wish(tmp_path / "shop", store="random:kiosk", database=url), say).stop()
    assert said[0].startswith("waiting")
    assert "http://" in said[-1]


def test_a_start_gives_up_in_the_end_and_does_not_wait_for_what_is_wrong(
    server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, said = url_of(server.url), list[str]()
    server.stop()
    monkeypatch.setattr(patience, "START_S", 1.0)
    began = time.monotonic()
    with pytest.raises(ServiceError, match="check that it runs"):
        once_there(lambda: open_database(url), said.append)
    assert 1.0 <= time.monotonic() - began < 30
    assert len(said) == 1
    with pytest.raises(ServiceError, match="is not supported"):
        once_there(lambda: open_database("oracle://x"), said.append)
    assert len(said) == 1


def test_our_own_mistakes_are_not_waited_for(tmp_path: Path, postgres: str) -> None:
    url = url_of(postgres)

    def wrong() -> None:
        with open_database(url).write() as session:
            session.execute(text("SELECT * FROM no_such_table"))

    with pytest.raises(ProgrammingError):
        patiently(wrong, tmp_path, url, lambda: True)


def test_a_file_is_never_away(tmp_path: Path) -> None:
    database = fresh_sqlite(tmp_path)
    with pytest.raises(ServiceError) as caught:
        open_database(f"sqlite:///{tmp_path}/nowhere/at-all.sqlite")
    assert not is_away(caught.value)
    database.close()


def test_a_server_that_takes_a_connection_and_says_nothing_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(databases, "CONNECT_S", CONNECT_S)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        began_s = time.monotonic()
        with pytest.raises(ServiceError, match="timeout") as caught:
            open_database(f"postgresql://aisle@127.0.0.1:{silent.getsockname()[1]}/postgres")
        assert time.monotonic() - began_s < 5 * CONNECT_S
    assert is_away(caught.value)
