"""Models: what operators put in the place of a run's model, and from which tick on."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    big = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "model_orders",
        sa.Column("id", big, autoincrement=True, nullable=False),
        sa.Column("base", sa.Text(), nullable=False),
        sa.Column("kind", sa.String(length=12), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("words", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=8), nullable=False),
        sa.Column("error", sa.Text(), nullable=False),
        sa.Column("at_ns", big, nullable=False),
        sa.Column("done_ns", big, nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_model_orders_state", "model_orders", ["state"])
    op.create_table(
        "model_changes",
        sa.Column("run", sa.String(length=40), nullable=False),
        sa.Column("tick", big, nullable=False),
        sa.Column("order_id", big, nullable=False),
        sa.Column("time_ns", big, nullable=False),
        sa.Column("at_ns", big, nullable=False),
        sa.PrimaryKeyConstraint("run", "tick"),
    )
