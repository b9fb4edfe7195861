"""The ledger in the database: what is read back folds as the whole ledger would, and nothing is ever rewritten."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given, settings
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from openaisle.errors import MissingExtraError, ServiceError
from openaisle.receipts.events import LedgerEvent
from openaisle.receipts.ledger import Ledger, fold
from openaisle.service import book, changes, till
from openaisle.service.database import Database, is_ready, open_database, upgrade
from openaisle.service.desk import Desk
from openaisle.service.tables import APPEND_ONLY, StockCount, Visit
from tests.receipts.shops import TEA, events, take
from tests.service import desks


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for many small databases."""
    return tmp_path_factory.mktemp("books")


@given(events(10))
@settings(max_examples=25)
def test_a_visit_read_back_folds_like_the_whole_ledger(folder: Path, sent: Sequence[LedgerEvent]) -> None:
    database = desks.fresh_sqlite(folder)
    with database.write() as session:
        for event in sent:
            book.append(session, event, "test", 0)
    whole = Ledger().extend(sent)
    with database.read() as session:
        for visit in ("v1", "v2"):
            assert fold(book.ledger_of(session, visit), visit) == fold(whole, visit)
            part = Ledger().extend(book.event_at(session, seq) for seq in range(1, min(3, book.through(session)) + 1))
            assert fold(book.ledger_of(session, visit, 3), visit) == fold(part, visit)
    database.close()


@given(events(8))
@settings(max_examples=40)
def test_everybody_whose_basket_an_event_changes_is_touched_by_it(folder: Path, sent: Sequence[LedgerEvent]) -> None:
    database = desks.fresh_sqlite(folder)
    ledger = Ledger()
    with database.write() as session:
        for event in sent:
            touched = book.touched(session, event)
            book.append(session, event, "test", 0)
            after = ledger.append(event)
            changed = {v for v in ("v1", "v2") if fold(after, v).lines != fold(ledger, v).lines}
            assert changed <= touched
            ledger = after
    database.close()


def test_who_got_a_take_by_an_earlier_correction_is_touched_by_the_next_one(desk: Desk) -> None:
    given_to = partial(replace, take("e1", 5), kind="correction", supersedes="e1")
    with desk.database.write() as session:
        book.append(session, take("e1", 5), "test", 0)
        assert book.touched(session, given_to(event_id="c1", visit="v2")) == {"v1", "v2"}
        book.append(session, given_to(event_id="c1", visit="v2"), "test", 0)
        assert book.touched(session, given_to(event_id="c2", visit="v3")) == {"v1", "v2", "v3"}
        assert book.touched(session, take("e2", 6)) == {"v1"}


def test_everybody_who_gets_or_loses_a_line_is_told(desk: Desk) -> None:
    for visit in ("v1", "v2", "v3"):
        desks.come_in(desk, visit)
    moved = partial(replace, take("e1", 5), kind="correction", supersedes="e1")
    told = []
    for event in (take("e1", 5), moved(event_id="c1", visit="v2"), moved(event_id="c2", visit="v3")):
        with desk.database.write() as session:
            seq = till.record(session, event, "test", 0)
        with desk.database.read() as session:
            lines = {v: [c.line_seq for c in changes.after(session, v, 0)] for v in ("v1", "v2", "v3")}
        told.append({visit for visit, seqs in lines.items() if seq in seqs})
    assert told == [{"v1"}, {"v1", "v2"}, {"v1", "v2", "v3"}]


def test_updates_of_a_receipt_add_up_however_often_an_event_was_corrected(desk: Desk) -> None:
    given_to = partial(replace, take("e1", 5, quantity=4), kind="correction", supersedes="e1")
    entries = (
        take("e1", 5, quantity=4), given_to(event_id="c1", quantity=3, time_ns=6),
        given_to(event_id="c2", visit="v2", quantity=3, time_ns=7), given_to(event_id="c3", quantity=1, time_ns=8),
    )  # fmt: skip
    told = []
    for visit in ("v1", "v2"):
        desks.come_in(desk, visit)
    with desk.database.write() as session:
        for event in entries:
            till.record(session, event, "test", 0)
        for visit in ("v1", "v2"):
            found = session.get(Visit, visit)
            assert found is not None
            record = till.record_of(session, desk, found)
            told.append(([u.quantity for u in record.updates], sum(line.quantity for line in record.lines)))
    assert told == [([4, -1, -3, 1], 1), ([3, -3], 0)]


def test_an_exact_duplicate_is_nothing_and_another_content_stands_beside(desk: Desk) -> None:
    with desk.database.write() as session:
        assert book.append(session, take("e1", 5), "a", 0) == 1
        assert book.append(session, take("e1", 5), "b", 9) == 0
        assert book.append(session, take("e1", 5, quantity=2), "a", 0) > 1
    with desk.database.read() as session:
        assert fold(book.ledger_of(session, "v1"), "v1").conflicts == ("e1",)


@pytest.mark.parametrize("table", APPEND_ONLY)
@pytest.mark.parametrize("words", ["UPDATE {} SET at_ns = 1", "DELETE FROM {}"])
def test_books_refuse_to_be_rewritten(desk: Desk, table: str, words: str) -> None:
    from openaisle.service import amends
    from openaisle.service.till import settle

    desks.come_in(desk, "v1")
    desks.take(desk, "e1", "v1")
    desks.go(desk, "v1")
    settle(desk, "v1")
    amends.dispute(desk, "v1", "I took nothing", "v1", "key-12345")
    amends.correct(desk, "v1", amends.Correction(TEA, -1, "took nothing"), "somebody", "key-12345")  # and its label
    with desk.database.write() as session:
        counted = StockCount(lane="f.s.l", gtin=TEA, units=3, through_seq=0, grams=None, author="somebody", at_ns=2)
        session.add(counted)
    with pytest.raises(DBAPIError, match="append-only"), desk.database.write() as session:
        session.execute(text(words.format(table)))


def test_migrations_make_what_the_models_say(database: Database) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    from openaisle.service.tables import Base

    with database.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []
    upgrade(database)  # a second time is nothing
    assert is_ready(database)


def test_sqlite_writes_what_it_says(tmp_path: Path) -> None:
    database = desks.fresh_sqlite(tmp_path)
    with database.read() as session:
        assert session.execute(text("PRAGMA journal_mode")).scalar() == "wal"
        assert session.execute(text("PRAGMA synchronous")).scalar() == 2  # FULL


@pytest.mark.parametrize("url", ["mysql://x/y", "nonsense", "sqlite:////no/such/folder/x.sqlite"])
def test_an_unusable_database_says_what_to_do(url: str) -> None:
    with pytest.raises((ServiceError, MissingExtraError), match=r"fix|install"):
        open_database(url)
