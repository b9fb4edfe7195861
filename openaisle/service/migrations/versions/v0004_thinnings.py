"""Thinnings: how many pictures a second a run looked at, from which tick on."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "thinnings",
        sa.Column("run", sa.String(length=40), nullable=False),
        sa.Column("tick", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("slots", sa.Integer(), nullable=False),
        sa.Column("lag_s", sa.Float(), nullable=False),
        sa.Column("at_ns", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.PrimaryKeyConstraint("run", "tick"),
    )
