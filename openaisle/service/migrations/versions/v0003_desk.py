"""Desk: who is signed in, what reviewers answered, and what was counted on the shelves."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

APPEND_ONLY = ("reviews", "stock_counts")


def big() -> sa.types.TypeEngine[int]:
    """64 bits; on SQLite an INTEGER, which is the only type that numbers rows by itself."""
    return sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make the tables, and the triggers that keep two of them append-only."""
    op.create_table(
        "sign_ins",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("key", sa.String(length=40), nullable=False),
        sa.Column("until_ns", big(), nullable=False),
        sa.Column("at_ns", big(), nullable=False),
        sa.ForeignKeyConstraint(["key"], ["api_keys.id"]),
        sa.PrimaryKeyConstraint("digest"),
    )
    op.create_table(
        "reviews",
        sa.Column("id", big(), autoincrement=True, nullable=False),
        sa.Column("visit", sa.String(length=120), nullable=False),
        sa.Column("verdict", sa.String(length=10), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("author", sa.String(length=120), nullable=False),
        sa.Column("at_ns", big(), nullable=False),
        sa.ForeignKeyConstraint(["visit"], ["visits.id"]),
        sa.PrimaryKeyConstraint("id"),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_reviews_visit"), "reviews", ["visit"], unique=False)
    op.create_table(
        "stock_counts",
        sa.Column("id", big(), autoincrement=True, nullable=False),
        sa.Column("lane", sa.String(length=130), nullable=False),
        sa.Column("gtin", sa.String(length=14), nullable=False),
        sa.Column("units", sa.Integer(), nullable=False),
        sa.Column("run", sa.String(length=40), nullable=False),
        sa.Column("through_seq", big(), nullable=False),
        sa.Column("grams", sa.Float(), nullable=True),
        sa.Column("author", sa.String(length=120), nullable=False),
        sa.Column("at_ns", big(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_stock_counts_lane"), "stock_counts", ["lane"], unique=False)
    _guard(sqlite=op.get_bind().dialect.name == "sqlite")


def _guard(*, sqlite: bool) -> None:
    for table in APPEND_ONLY:
        if not sqlite:
            op.execute(
                f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE ON {table} "
                "FOR EACH ROW EXECUTE FUNCTION openaisle_refuse()"
            )
            continue
        for verb in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} "
                f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
            )
