"""Database: SQLite that has written what it said it has (WAL, synchronous=FULL), or Postgres by URL; migrations.

A write transaction on SQLite begins IMMEDIATE, so that it waits for its turn at the start and never fails halfway.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.resources import as_file, files
from pathlib import Path

import alembic.command
from alembic.config import Config
from sqlalchemy import Connection, Engine, create_engine, event, inspect, select
from sqlalchemy.dialects.postgresql import insert as postgres_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.engine import make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError, OperationalError, SQLAlchemyError
from sqlalchemy.orm import Session
from sqlalchemy.pool import ConnectionPoolEntry

from openaisle.errors import MissingExtraError, Problem, ServiceError
from openaisle.service.tables import Base, Visit

BUSY_S = 30  # how long a writer waits for another one
CONNECT_S = 5  # for a server to answer a connection; well below supervisor.HANGS_S, so that who waits still beats
Value = str | int | bool | bytes


class Database:
    """Transactions on one database. Sessions give rows that stay readable after they are closed."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._writing = engine.execution_options(immediate=True)

    @property
    def sqlite(self) -> bool:
        """Whether this is SQLite."""
        return self.engine.dialect.name == "sqlite"

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A transaction that is on disk when the block has ended, or never was."""
        with Session(self._writing, expire_on_commit=False) as session, session.begin():
            yield session

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A consistent look."""
        with Session(self.engine, expire_on_commit=False) as session, session.begin():
            yield session

    def close(self) -> None:
        """Give all connections back."""
        self.engine.dispose()


def open_database(url: str, *, migrate: bool = True) -> Database:
    """Connect, and bring the tables up to date; raises ServiceError or MissingExtraError."""
    try:
        parsed = make_url(url)
        if parsed.drivername in ("postgresql", "postgres"):
            parsed = parsed.set(drivername="postgresql+psycopg")
        name = parsed.get_backend_name()
        if name == "sqlite":
            engine = create_engine(parsed, connect_args={"timeout": BUSY_S, "check_same_thread": False})
            event.listen(engine, "connect", _on_connect)
            event.listen(engine, "begin", _on_begin)
        elif name == "postgresql":
            if "connect_timeout" not in parsed.query:
                parsed = parsed.update_query_dict({"connect_timeout": str(CONNECT_S)})
            engine = create_engine(parsed, pool_pre_ping=True)
        else:
            raise _unusable(url, f"{name} is not supported", "use sqlite:///FILE or postgresql://USER@HOST/NAME")
        database = Database(engine)
        if migrate:
            upgrade(database)
    except ArgumentError as error:
        raise _unusable(url, str(error), "use sqlite:///FILE or postgresql://USER@HOST/NAME") from error
    except ModuleNotFoundError as error:
        raise MissingExtraError(error.name or "psycopg", "postgres") from error
    except OperationalError as error:
        raise _unusable(url, str(error.orig), "check that it runs and that you may write there") from error
    return database


def upgrade(database: Database) -> None:
    """Make or renew the tables; does nothing when they are up to date. Safe when several processes start at once."""
    with as_file(files("openaisle.service").joinpath("migrations")) as folder:
        config = Config()
        config.set_main_option("script_location", str(folder).replace("%", "%%"))
        with database._writing.begin() as connection:
            if not database.sqlite:
                connection.exec_driver_sql("SELECT pg_advisory_xact_lock(716253)")  # any number of our own
            config.attributes["connection"] = connection
            alembic.command.upgrade(config, "head")


def is_ready(database: Database) -> bool:
    """Whether the database answers and has its tables."""
    try:
        return inspect(database.engine).has_table("visits")
    except SQLAlchemyError:
        return False


def answers(url: str) -> bool:
    """Whether a database takes connections now, and has its tables."""
    database = open_database(url, migrate=False)
    try:
        return is_ready(database)
    finally:
        database.close()


def insert_once(session: Session, table: type[Base], values: Mapping[str, Value]) -> bool:
    """Insert a row unless one with the same key is there; says whether it is new."""
    insert = sqlite_insert if session.get_bind().dialect.name == "sqlite" else postgres_insert
    keys = list(inspect(table).primary_key)
    done = session.execute(insert(table).values(**values).on_conflict_do_nothing().returning(*keys))
    return done.first() is not None


def locked_visit(session: Session, visit: str) -> Visit | None:
    """A visit that nobody else changes until this transaction ends (on SQLite there is one writer anyway)."""
    found = session.scalars(select(Visit).where(Visit.id == visit).with_for_update())
    return found.one_or_none()


def sqlite_url(path: Path) -> str:
    """The URL of a SQLite file."""
    return f"sqlite:///{path}"


def _on_connect(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
    connection.isolation_level = None  # we say BEGIN ourselves
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", f"busy_timeout={BUSY_S * 1000}"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _on_begin(connection: Connection) -> None:
    immediate = connection.get_execution_options().get("immediate", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")


def _unusable(url: str, what: str, fix: str) -> ServiceError:
    shown = url.rpartition("@")[2]  # never a password
    return ServiceError([Problem("database", shown, what, fix)])
