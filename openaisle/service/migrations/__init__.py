"""Migrations: every change of the tables, in order, for Alembic; `openaisle.service.database.upgrade` runs them."""
