"""Desks for tests: a small shop without a floor to speak of, on SQLite and on Postgres, with a clock that is set."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from sqlalchemy import text

from openaisle.messages import NANOSECONDS
from openaisle.service import till, visits
from openaisle.service.database import Database, open_database, sqlite_url
from openaisle.service.desk import Desk, Rules
from openaisle.service.states import HowLeft, Origin
from openaisle.service.visits import Opening
from openaisle.store.store import Store
from tests.receipts import shops

START_NS = 1_770_000_000 * NANOSECONDS
POSTGRES = Path("/usr/lib/postgresql")
CARD, DECLINED = "pm_card_visa", "pm_card_visa_chargeDeclined"


@dataclass
class Clock:
    """Stands still until it is moved."""

    now_ns: int = START_NS

    def __call__(self) -> int:
        return self.now_ns

    def pass_s(self, seconds: float) -> None:
        """Time goes by."""
        self.now_ns += int(seconds * NANOSECONDS)


def shop_store() -> Store:
    """The receipt tests' shop as a store."""
    spec = shops.shop()
    gates = (spec.gates[0].model_copy(update={"id": "door"}),)
    return Store(spec.model_copy(update={"gates": gates}), shops.products(), ())


def desk_on(database: Database, rules: Rules | None = None) -> tuple[Desk, Clock]:
    """A desk with a clock."""
    clock = Clock()
    return Desk(database, shop_store(), rules or Rules(request_burst=100_000, requests_per_s=1e6), clock), clock


def fresh_sqlite(folder: Path) -> Database:
    """An empty database in a folder."""
    return open_database(sqlite_url(folder / f"{secrets.token_hex(4)}.sqlite"))


def with_rules(desk: Desk, **changes: object) -> Desk:
    """The desk under other rules."""
    return replace(desk, rules=replace(desk.rules, **changes))  # type: ignore[arg-type]  # fields of Rules


def come_in(desk: Desk, visit: str, *, method: str = "", staff: bool = False, origin: Origin = Origin.GATE) -> None:
    """Somebody is inside."""
    with desk.database.write() as session:
        visits.open_visit(session, desk, Opening(visit, origin, "door", desk.clock(), staff, method))


def take(desk: Desk, event_id: str, visit: str, gtin: str = shops.TEA, quantity: int = 1) -> int:
    """Something goes into their basket."""
    with desk.database.write() as session:
        return till.record(session, shops.take(event_id, desk.clock(), gtin, quantity, visit), "test", desk.clock())


def go(desk: Desk, visit: str, how: HowLeft = HowLeft.TRACK) -> bool:
    """They leave."""
    with desk.database.write() as session:
        return visits.leave(session, desk, visit, how, desk.clock())


def postgres_bin() -> Path | None:
    """Where the newest Postgres server is, if any."""
    found = sorted(POSTGRES.glob("*/bin/postgres"), key=lambda path: int(path.parts[-3]))
    on_path = shutil.which("postgres")
    return found[-1].parent if found else (Path(on_path).parent if on_path else None)


@dataclass(frozen=True)
class PostgresServer:
    """A Postgres of our own on a Unix socket, which may be stopped and started again."""

    bin_folder: Path
    folder: Path
    user: str | None

    @property
    def url(self) -> str:
        """Up to the database's name."""
        return f"postgresql://aisle@/postgres?host={self.folder}"

    def run(self, program: str, *words: str) -> None:
        """One of its programs, to its end."""
        command = [str(self.bin_folder / program), "-D", str(self.folder / "data"), *words]
        subprocess.run(command, check=True, user=self.user, cwd=self.folder, capture_output=True)

    def start(self) -> None:
        """Start it, and wait until it answers."""
        options = f"-k {self.folder} -c listen_addresses= -c fsync=off"
        self.run("pg_ctl", "-w", "-l", str(self.folder / "log"), "-o", options, "start")

    def stop(self, mode: str = "immediate") -> None:
        """Stop it: `fast` as an administrator does, `immediate` as a crash does."""
        self.run("pg_ctl", "-w", "-m", mode, "stop")


@contextmanager
def postgres_server(bin_folder: Path, folder: Path) -> Iterator[PostgresServer]:
    """A server that runs; stopped at the end."""
    user = "postgres" if os.getuid() == 0 else None  # it refuses to run as root
    if user:
        shutil.chown(folder, user)
        folder.chmod(0o755)
        for parent in folder.parents:
            if parent.stat().st_mode & 0o005 != 0o005:
                parent.chmod(parent.stat().st_mode | 0o011)
    server = PostgresServer(bin_folder, folder, user)
    server.run("initdb", "-U", "aisle", "--auth=trust", "-E", "UTF8")
    server.start()
    try:
        yield server
    finally:
        if (folder / "data" / "postmaster.pid").exists():
            server.stop()


def fresh_postgres(url: str) -> Database:
    """An empty database on a server."""
    name = f"t{secrets.token_hex(4)}"
    server = open_database(url, migrate=False)
    with server.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    server.close()
    return open_database(url.replace("/postgres?", f"/{name}?"))
