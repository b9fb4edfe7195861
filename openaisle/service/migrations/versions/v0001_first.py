"""First: all tables of the first version, and the triggers that keep the books append-only."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

APPEND_ONLY = ("ledger", "receipts", "changes", "disputes")


def big() -> sa.types.TypeEngine[int]:
    """64 bits; on SQLite an INTEGER, which is the only type that numbers rows by itself."""
    return sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make everything."""
    for make in (_visits, _runs, _ledger, _receipts, _money, _doors, _post):
        make()
    if op.get_bind().dialect.name == "sqlite":
        _guard_sqlite()
    else:
        _guard_postgres()


def _visits() -> None:
    op.create_table(
        "price_lists",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("spec", sa.Text(), nullable=False),
        sa.Column("products", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("digest"),
    )
    op.create_table(
        "visits",
        sa.Column("id", sa.String(length=120), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("origin", sa.String(length=8), nullable=False),
        sa.Column("staff", sa.Boolean(), nullable=False),
        sa.Column("people", sa.Integer(), nullable=False),
        sa.Column("gate", sa.String(length=40), nullable=False),
        sa.Column("run", sa.String(length=40), nullable=False),
        sa.Column("method", sa.String(length=200), nullable=False),
        sa.Column("entered_ns", big(), nullable=False),
        sa.Column("left_ns", big(), nullable=False),
        sa.Column("how_left", sa.String(length=8), nullable=False),
        sa.Column("prices", sa.String(length=64), nullable=False),
        sa.Column("accepted_by", sa.String(length=80), nullable=False),
        sa.Column("at_ns", big(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_visits_run"), "visits", ["run"], unique=False)
    op.create_index(op.f("ix_visits_state"), "visits", ["state"], unique=False)


def _runs() -> None:
    op.create_table(
        "runs",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("seed", big(), nullable=False),
        sa.Column("start_ns", big(), nullable=False),
        sa.Column("time_ns", big(), nullable=False),
        sa.Column("ticks", big(), nullable=False),
        sa.Column("tracks", sa.Text(), nullable=False),
        sa.Column("ended", sa.Boolean(), nullable=False),
        sa.Column("at_ns", big(), nullable=False),
        sa.Column("beat_ns", big(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "passages",
        sa.Column("id", big(), autoincrement=True, nullable=False),
        sa.Column("visit", sa.String(length=120), nullable=False),
        sa.Column("gate", sa.String(length=40), nullable=False),
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("run", sa.String(length=40), nullable=False),
        sa.Column("time_ns", big(), nullable=False),
        sa.Column("at_ns", big(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_passages_run"), "passages", ["run"], unique=False)


def _ledger() -> None:
    op.create_table(
        "ledger",
        sa.Column("seq", big(), autoincrement=True, nullable=False),
        sa.Column("event_id", sa.String(length=300), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("visit", sa.String(length=120), nullable=False),
        sa.Column("to_visit", sa.String(length=120), nullable=False),
        sa.Column("supersedes", sa.String(length=300), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("author", sa.String(length=120), nullable=False),
        sa.Column("at_ns", big(), nullable=False),
        sa.PrimaryKeyConstraint("seq"),
        sa.UniqueConstraint("event_id", "digest"),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_ledger_supersedes"), "ledger", ["supersedes"], unique=False)
    op.create_index(op.f("ix_ledger_to_visit"), "ledger", ["to_visit"], unique=False)
    op.create_index(op.f("ix_ledger_visit"), "ledger", ["visit"], unique=False)
    op.create_table(
        "changes",
        sa.Column("id", big(), autoincrement=True, nullable=False),
        sa.Column("visit", sa.String(length=120), nullable=False),
        sa.Column("kind", sa.String(length=12), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("line_seq", big(), nullable=False),
        sa.Column("through_seq", big(), nullable=False),
        sa.Column("at_ns", big(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sqlite_autoincrement=True,
    )
    op.create_index("changes_by_visit", "changes", ["visit", "id"], unique=False)


def _receipts() -> None:
    op.create_table(
        "receipts",
        sa.Column("visit", sa.String(length=120), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("total_cents", big(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("through_seq", big(), nullable=False),
        sa.Column("time_ns", big(), nullable=False),
        sa.Column("at_ns", big(), nullable=False),
        sa.ForeignKeyConstraint(["visit"], ["visits.id"]),
        sa.PrimaryKeyConstraint("visit"),
    )
    op.create_index(op.f("ix_receipts_at_ns"), "receipts", ["at_ns"], unique=False)
    op.create_table(
        "disputes",
        sa.Column("id", big(), autoincrement=True, nullable=False),
        sa.Column("dispute", sa.String(length=40), nullable=False),
        sa.Column("visit", sa.String(length=120), nullable=False),
        sa.Column("kind", sa.String(length=10), nullable=False),
        sa.Column("words", sa.Text(), nullable=False),
        sa.Column("author", sa.String(length=120), nullable=False),
        sa.Column("at_ns", big(), nullable=False),
        sa.ForeignKeyConstraint(["visit"], ["visits.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("dispute", "kind"),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_disputes_dispute"), "disputes", ["dispute"], unique=False)
    op.create_index(op.f("ix_disputes_visit"), "disputes", ["visit"], unique=False)


def _money() -> None:
    op.create_table(
        "money",
        sa.Column("id", big(), autoincrement=True, nullable=False),
        sa.Column("key", sa.String(length=300), nullable=False),
        sa.Column("visit", sa.String(length=120), nullable=False),
        sa.Column("kind", sa.String(length=12), nullable=False),
        sa.Column("state", sa.String(length=8), nullable=False),
        sa.Column("amount_cents", big(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("reference", sa.String(length=120), nullable=False),
        sa.Column("error", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("author", sa.String(length=120), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_ns", big(), nullable=False),
        sa.Column("at_ns", big(), nullable=False),
        sa.ForeignKeyConstraint(["visit"], ["visits.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("key"),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_money_state"), "money", ["state"], unique=False)
    op.create_index(op.f("ix_money_visit"), "money", ["visit"], unique=False)


def _doors() -> None:
    op.create_table(
        "idempotency",
        sa.Column("scope", sa.String(length=160), nullable=False),
        sa.Column("key", sa.String(length=255), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("subject", sa.String(length=300), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("answer", sa.Text(), nullable=False),
        sa.Column("at_ns", big(), nullable=False),
        sa.PrimaryKeyConstraint("scope", "key"),
    )
    op.create_index(op.f("ix_idempotency_at_ns"), "idempotency", ["at_ns"], unique=False)
    op.create_table(
        "api_keys",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("role", sa.String(length=12), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("at_ns", big(), nullable=False),
        sa.Column("revoked_ns", big(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("digest"),
        sa.UniqueConstraint("name"),
    )
    op.create_table(
        "secrets",
        sa.Column("name", sa.String(length=40), nullable=False),
        sa.Column("value", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )


def _post() -> None:
    op.create_table(
        "endpoints",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("secret", sa.LargeBinary(), nullable=False),
        sa.Column("at_ns", big(), nullable=False),
        sa.Column("gone_ns", big(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "outbox",
        sa.Column("id", big(), autoincrement=True, nullable=False),
        sa.Column("endpoint", sa.String(length=40), nullable=False),
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_ns", big(), nullable=False),
        sa.Column("delivered_ns", big(), nullable=False),
        sa.Column("given_up_ns", big(), nullable=False),
        sa.Column("error", sa.Text(), nullable=False),
        sa.Column("at_ns", big(), nullable=False),
        sa.ForeignKeyConstraint(["endpoint"], ["endpoints.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("endpoint", "name"),
        sqlite_autoincrement=True,
    )
    op.create_index("outbox_due", "outbox", ["delivered_ns", "given_up_ns", "next_ns"], unique=False)


def _guard_sqlite() -> None:
    for table in APPEND_ONLY:
        for verb in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} "
                f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
            )
    op.execute(
        "CREATE TRIGGER money_no_update BEFORE UPDATE ON money WHEN OLD.state <> 'pending' "
        "BEGIN SELECT RAISE(ABORT, 'a step of money that is over never changes'); END"
    )
    op.execute("CREATE TRIGGER money_no_delete BEFORE DELETE ON money BEGIN SELECT RAISE(ABORT, 'money is kept'); END")


def _guard_postgres() -> None:
    op.execute(
        "CREATE FUNCTION openaisle_refuse() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION '% is append-only', TG_TABLE_NAME; END $$"
    )
    for table in APPEND_ONLY:
        op.execute(
            f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE ON {table} "
            "FOR EACH ROW EXECUTE FUNCTION openaisle_refuse()"
        )
    op.execute(
        "CREATE TRIGGER money_no_update BEFORE UPDATE ON money FOR EACH ROW WHEN (OLD.state <> 'pending') "
        "EXECUTE FUNCTION openaisle_refuse()"
    )
    op.execute("CREATE TRIGGER money_no_delete BEFORE DELETE ON money FOR EACH ROW EXECUTE FUNCTION openaisle_refuse()")
