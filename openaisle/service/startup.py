"""Startup: all that a live store was started with, as the supervisor hands it to its processes (serve.json)."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from openaisle.errors import Problem, ServiceError
from openaisle.service.database import Database, open_database, sqlite_url
from openaisle.service.desk import Desk, Rules
from openaisle.service.jobs import Job
from openaisle.store.load import load_store

FILE = "serve.json"
DATABASE = "service.sqlite"


@dataclass(frozen=True, slots=True)
class Serve:
    """One live store: where everything is, and its rules."""

    folder: str  # data of this live store
    store: str  # a store folder
    database: str = ""  # URL; "" = SQLite in the folder
    gateway: str = "fake"
    host: str = "127.0.0.1"
    port: int = 8080  # 0 = no HTTP at all
    job: Job | None = None  # None = no pipeline: the API alone
    sensors: str = ""  # sensors.yaml; "" = no cameras and scales of our own
    rules: Rules = field(default_factory=Rules)

    @property
    def path(self) -> Path:
        """The data folder."""
        return Path(self.folder)

    @property
    def url(self) -> str:
        """The database's URL."""
        return self.database or sqlite_url(self.path / DATABASE)


_SERVE = TypeAdapter(Serve)


def write_startup(serve: Serve) -> None:
    """Leave it in its folder, for this user's eyes only: the database's URL may hold a password."""
    serve.path.mkdir(parents=True, exist_ok=True)
    partial = serve.path / (FILE + ".partial")
    try:
        partial.touch(mode=0o600)
        partial.write_bytes(_SERVE.dump_json(serve, indent=1))
        os.replace(partial, serve.path / FILE)
    except OSError:  # the disk is full
        partial.unlink(missing_ok=True)
        raise


def read_startup(folder: Path) -> Serve:
    """What a data folder was started with; raises ServiceError."""
    try:
        return _SERVE.validate_json((folder / FILE).read_bytes())
    except (OSError, ValidationError) as error:
        what = f"cannot be read: {error}"
        raise ServiceError([Problem(str(folder / FILE), "file", what, "start it by `aisle serve`")]) from error


def open_desk(serve: Serve, database: Database | None = None) -> Desk:
    """The desk of a live store; raises StoreError, ServiceError, MissingExtraError."""
    return Desk(database or open_database(serve.url), load_store(serve.store), serve.rules)
