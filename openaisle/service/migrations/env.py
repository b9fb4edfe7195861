"""Environment of the migrations: Alembic runs this file; the connection comes from database.py, in a transaction."""

from __future__ import annotations

from alembic import context
from sqlalchemy import Connection

from openaisle.service.tables import Base


def run() -> None:
    """Run what is asked for on the connection that database.py opened."""
    connection = context.config.attributes["connection"]
    assert isinstance(connection, Connection), "migrations run by openaisle.service.database.upgrade"
    context.configure(connection=connection, target_metadata=Base.metadata, render_as_batch=True)
    context.run_migrations()


run()
