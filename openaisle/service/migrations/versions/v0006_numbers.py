"""Numbers: visits are counted by business day, so that people can call them by a short name."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the counter; visits from before keep number 0, and are called by their ids."""
    op.add_column("visits", sa.Column("number", sa.Integer(), nullable=False, server_default="0"))
    op.create_table(
        "day_counts",
        sa.Column("day", sa.String(length=10), nullable=False),
        sa.Column("visits", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("day"),
    )
