"""Sensors: which visits blind sensors touched, and where in a journal the next run begins."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add a table and a column."""
    op.create_table(
        "blind_spots",
        sa.Column("visit", sa.String(length=120), nullable=False),
        sa.Column("sensor", sa.String(length=60), nullable=False),
        sa.Column("at_ns", _big(), nullable=False),
        sa.PrimaryKeyConstraint("visit", "sensor"),
    )
    op.add_column("runs", sa.Column("until_ns", _big(), nullable=False, server_default="0"))


def downgrade() -> None:
    """Take them away."""
    op.drop_column("runs", "until_ns")
    op.drop_table("blind_spots")


def _big() -> sa.types.TypeEngine[int]:
    return sa.BigInteger().with_variant(sa.Integer(), "sqlite")
