"""Fixtures of the service's tests: what asks for `desk` runs on SQLite, and on Postgres where there is one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from openaisle.service.database import Database
from openaisle.service.desk import Desk
from openaisle.service.fake_gateway import FakeGateway
from tests.service.desks import (
    Clock,
    PostgresServer,
    desk_on,
    fresh_postgres,
    fresh_sqlite,
    postgres_bin,
    postgres_server,
)


@pytest.fixture(scope="session")
def postgres_programs() -> Path:
    """Where the programs of a Postgres server are."""
    bin_folder = postgres_bin()
    if bin_folder is None:
        assert "CI" not in os.environ, "no Postgres server is installed; .ci/run should have done so"
        pytest.skip("no Postgres server is installed")
    return bin_folder


@pytest.fixture(scope="session")
def postgres(postgres_programs: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of a Postgres server."""
    with postgres_server(postgres_programs, tmp_path_factory.mktemp("postgres")) as server:
        yield server.url


@pytest.fixture
def server(postgres_programs: Path, tmp_path: Path) -> Iterator[PostgresServer]:
    """A Postgres for one test alone, which may stop it."""
    folder = tmp_path / "postgres"
    folder.mkdir()
    with postgres_server(postgres_programs, folder) as one:
        yield one


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """An empty database."""
    if request.param == "sqlite":
        opened = fresh_sqlite(tmp_path)
    else:
        opened = fresh_postgres(request.getfixturevalue("postgres"))
    yield opened
    opened.close()


@pytest.fixture
def desk_and_clock(database: Database) -> tuple[Desk, Clock]:
    """A desk whose clock is set by hand."""
    return desk_on(database)


@pytest.fixture
def desk(desk_and_clock: tuple[Desk, Clock]) -> Desk:
    """A desk."""
    return desk_and_clock[0]


@pytest.fixture
def clock(desk_and_clock: tuple[Desk, Clock]) -> Clock:
    """The desk's clock."""
    return desk_and_clock[1]


@pytest.fixture
def gateway(tmp_path: Path, clock: Clock) -> FakeGateway:
    """A payment network of our own."""
    return FakeGateway(tmp_path / "gateway.sqlite", clock)
