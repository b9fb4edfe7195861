"""Tables: what the database holds, as SQLAlchemy models; the migrations make them (migrations/versions).

Append-only by trigger: APPEND_ONLY. Amounts are integer minor units, times integer nanoseconds: `time_ns` in the store
(stream time, which a replay repeats), `at_ns` on the wall when the row was written.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Text,
    UniqueConstraint,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

Big = BigInteger().with_variant(Integer, "sqlite")  # SQLite numbers rows by themselves in an INTEGER key only
APPEND_ONLY = ("ledger", "receipts", "changes", "disputes", "reviews", "stock_counts")


class Base(DeclarativeBase):
    """All tables."""


class Visit(Base):
    """One shopper's or group's stay."""

    __tablename__ = "visits"
    id: Mapped[str] = mapped_column(String(120), primary_key=True)
    state: Mapped[str] = mapped_column(String(16), index=True)
    origin: Mapped[str] = mapped_column(String(8))
    staff: Mapped[bool] = mapped_column(Boolean, default=False)
    people: Mapped[int] = mapped_column(Integer, default=1)
    gate: Mapped[str] = mapped_column(String(40), default="")
    run: Mapped[str] = mapped_column(String(40), default="", index=True)
    method: Mapped[str] = mapped_column(String(200), default="")  # the gateway's token of a card; "" = none
    entered_ns: Mapped[int] = mapped_column(Big)
    left_ns: Mapped[int] = mapped_column(Big, default=0)
    how_left: Mapped[str] = mapped_column(String(8), default="")
    prices: Mapped[str] = mapped_column(String(64))  # the price list of its entry; it keeps that
    accepted_by: Mapped[str] = mapped_column(String(80), default="")  # who let a held receipt pass
    number: Mapped[int] = mapped_column(Integer, default=0)  # of its business day, for people; 0 = older than numbers
    at_ns: Mapped[int] = mapped_column(Big)


class DayCount(Base):
    """How many visits have been opened on a business day: the last number given."""

    __tablename__ = "day_counts"
    day: Mapped[str] = mapped_column(String(10), primary_key=True)  # ISO, in the store's time zone
    visits: Mapped[int] = mapped_column(Integer)


class PriceList(Base):
    """What things cost: a store and its catalogue as they were; visits keep the prices of their entry."""

    __tablename__ = "price_lists"
    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    spec: Mapped[str] = mapped_column(Text)
    products: Mapped[str] = mapped_column(Text)


class LedgerRow(Base):
    """A LedgerEvent, for good. Two contents under one id may both stand: the fold flags them."""

    __tablename__ = "ledger"
    seq: Mapped[int] = mapped_column(Big, primary_key=True, autoincrement=True)
    event_id: Mapped[str] = mapped_column(String(300))
    digest: Mapped[str] = mapped_column(String(64))
    visit: Mapped[str] = mapped_column(String(120), index=True)
    to_visit: Mapped[str] = mapped_column(String(120), default="", index=True)
    supersedes: Mapped[str] = mapped_column(String(300), default="", index=True)
    body: Mapped[str] = mapped_column(Text)  # the event as JSON
    author: Mapped[str] = mapped_column(String(120))  # a run of the pipeline, or a person's key
    at_ns: Mapped[int] = mapped_column(Big)
    __table_args__ = (UniqueConstraint("event_id", "digest"), {"sqlite_autoincrement": True})


class FinalReceipt(Base):
    """The one final receipt of a visit; later corrections are ledger entries, this row stays as it was."""

    __tablename__ = "receipts"
    visit: Mapped[str] = mapped_column(ForeignKey("visits.id"), primary_key=True)
    body: Mapped[str] = mapped_column(Text)  # the priced Receipt as JSON
    total_cents: Mapped[int] = mapped_column(Big)
    currency: Mapped[str] = mapped_column(String(3))
    through_seq: Mapped[int] = mapped_column(Big)  # last ledger entry that it can know
    time_ns: Mapped[int] = mapped_column(Big)
    at_ns: Mapped[int] = mapped_column(Big, index=True)


class Change(Base):
    """Something about a visit that its readers want to know; the id is the live stream's Last-Event-ID."""

    __tablename__ = "changes"
    id: Mapped[int] = mapped_column(Big, primary_key=True, autoincrement=True)
    visit: Mapped[str] = mapped_column(String(120))
    kind: Mapped[str] = mapped_column(String(12))
    state: Mapped[str] = mapped_column(String(16))  # the visit's, after it
    line_seq: Mapped[int] = mapped_column(Big, default=0)  # the ledger entry it tells of
    through_seq: Mapped[int] = mapped_column(Big, default=0)  # last ledger entry at that time
    at_ns: Mapped[int] = mapped_column(Big)
    __table_args__ = (Index("changes_by_visit", "visit", "id"), {"sqlite_autoincrement": True})


class MoneyStep(Base):
    """One thing asked of the gateway: written before it is asked, under a key that makes repeating it harmless."""

    __tablename__ = "money"
    id: Mapped[int] = mapped_column(Big, primary_key=True, autoincrement=True)
    key: Mapped[str] = mapped_column(String(300), unique=True)  # also the gateway's idempotency key
    visit: Mapped[str] = mapped_column(ForeignKey("visits.id"), index=True)
    kind: Mapped[str] = mapped_column(String(12))
    state: Mapped[str] = mapped_column(String(8), index=True)
    amount_cents: Mapped[int] = mapped_column(Big)
    currency: Mapped[str] = mapped_column(String(3))
    reference: Mapped[str] = mapped_column(String(120), default="")  # the gateway's name of the payment or refund
    error: Mapped[str] = mapped_column(Text, default="")
    reason: Mapped[str] = mapped_column(Text, default="")
    author: Mapped[str] = mapped_column(String(120), default="")
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    next_ns: Mapped[int] = mapped_column(Big, default=0)
    at_ns: Mapped[int] = mapped_column(Big)
    __table_args__ = ({"sqlite_autoincrement": True},)


class DisputeEntry(Base):
    """A shopper's objection, or a person's answer to it."""

    __tablename__ = "disputes"
    id: Mapped[int] = mapped_column(Big, primary_key=True, autoincrement=True)
    dispute: Mapped[str] = mapped_column(String(40), index=True)
    visit: Mapped[str] = mapped_column(ForeignKey("visits.id"), index=True)
    kind: Mapped[str] = mapped_column(String(10))
    words: Mapped[str] = mapped_column(Text)
    author: Mapped[str] = mapped_column(String(120))
    at_ns: Mapped[int] = mapped_column(Big)
    __table_args__ = (UniqueConstraint("dispute", "kind"), {"sqlite_autoincrement": True})


class IdempotentRequest(Base):
    """A request that must have one effect however often it comes."""

    __tablename__ = "idempotency"
    scope: Mapped[str] = mapped_column(String(160), primary_key=True)  # who asks, and for what
    key: Mapped[str] = mapped_column(String(255), primary_key=True)
    digest: Mapped[str] = mapped_column(String(64))  # of the request
    subject: Mapped[str] = mapped_column(String(300))  # what it made: a visit, an event, a step
    status: Mapped[int] = mapped_column(Integer, default=0)  # 0 = not answered yet
    answer: Mapped[str] = mapped_column(Text, default="")
    at_ns: Mapped[int] = mapped_column(Big, index=True)


class Endpoint(Base):
    """Where webhooks go."""

    __tablename__ = "endpoints"
    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    url: Mapped[str] = mapped_column(Text)
    secret: Mapped[bytes] = mapped_column(LargeBinary)
    at_ns: Mapped[int] = mapped_column(Big)
    gone_ns: Mapped[int] = mapped_column(Big, default=0)


class Letter(Base):
    """A webhook to be delivered: written with what it tells of, kept until somebody took it."""

    __tablename__ = "outbox"
    id: Mapped[int] = mapped_column(Big, primary_key=True, autoincrement=True)
    endpoint: Mapped[str] = mapped_column(ForeignKey("endpoints.id"))
    name: Mapped[str] = mapped_column(String(80))  # the receiver's key against duplicates
    body: Mapped[str] = mapped_column(Text)
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    next_ns: Mapped[int] = mapped_column(Big, default=0)
    delivered_ns: Mapped[int] = mapped_column(Big, default=0)
    given_up_ns: Mapped[int] = mapped_column(Big, default=0)
    error: Mapped[str] = mapped_column(Text, default="")
    at_ns: Mapped[int] = mapped_column(Big)
    __table_args__ = (
        UniqueConstraint("endpoint", "name"),
        Index("outbox_due", "delivered_ns", "given_up_ns", "next_ns"),
        {"sqlite_autoincrement": True},
    )


class ApiKey(Base):
    """Who may ask; only a hash of the key is kept."""

    __tablename__ = "api_keys"
    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    name: Mapped[str] = mapped_column(String(80), unique=True)
    role: Mapped[str] = mapped_column(String(12))
    digest: Mapped[str] = mapped_column(String(64), unique=True)
    at_ns: Mapped[int] = mapped_column(Big)
    revoked_ns: Mapped[int] = mapped_column(Big, default=0)


class Run(Base):
    """One pass of the pipeline over a source; a killed worker takes it up again from its start, and says the same."""

    __tablename__ = "runs"
    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    source: Mapped[str] = mapped_column(Text)
    model: Mapped[str] = mapped_column(Text)
    seed: Mapped[int] = mapped_column(Big)
    start_ns: Mapped[int] = mapped_column(Big)  # stream time at which a simulation begins
    time_ns: Mapped[int] = mapped_column(Big, default=0)  # stream time that is in the ledger
    ticks: Mapped[int] = mapped_column(Big, default=0)
    tracks: Mapped[str] = mapped_column(Text, default="[]")  # where everybody is, for those who draw
    ended: Mapped[bool] = mapped_column(Boolean, default=False)
    until_ns: Mapped[int] = mapped_column(Big, default=0)  # of a journal: where the run after it begins
    at_ns: Mapped[int] = mapped_column(Big)
    beat_ns: Mapped[int] = mapped_column(Big, default=0)


class Passage(Base):
    """Somebody came or went by word of the API; the worker puts it into its stream at `time_ns`, always the same."""

    __tablename__ = "passages"
    id: Mapped[int] = mapped_column(Big, primary_key=True, autoincrement=True)
    visit: Mapped[str] = mapped_column(String(120))  # "" for an exit whose visit the pipeline must find
    gate: Mapped[str] = mapped_column(String(40))
    kind: Mapped[str] = mapped_column(String(8))  # entry | exit
    run: Mapped[str] = mapped_column(String(40), default="", index=True)
    time_ns: Mapped[int] = mapped_column(Big, default=0)
    at_ns: Mapped[int] = mapped_column(Big)
    __table_args__ = ({"sqlite_autoincrement": True},)


class Thinning(Base):
    """From this tick of a run on, pictures of so many slots a second were looked at; taken up again, they are again."""

    __tablename__ = "thinnings"
    run: Mapped[str] = mapped_column(String(40), primary_key=True)
    tick: Mapped[int] = mapped_column(Big, primary_key=True)
    slots: Mapped[int] = mapped_column(Integer)
    lag_s: Mapped[float] = mapped_column(Float)  # how far behind the run was
    at_ns: Mapped[int] = mapped_column(Big)


class ModelOrder(Base):
    """An operator wants another model to go on with the run: asked, then taken by the worker, or refused."""

    __tablename__ = "model_orders"
    id: Mapped[int] = mapped_column(Big, primary_key=True, autoincrement=True)
    base: Mapped[str] = mapped_column(Text)  # the job's model, whose place it takes
    kind: Mapped[str] = mapped_column(String(12), default="")  # rule, modular, openvino; "" = the network itself
    digest: Mapped[str] = mapped_column(String(64))  # of the kept copy: DATA/models/DIGEST
    words: Mapped[str] = mapped_column(Text)  # as the operator named it
    state: Mapped[str] = mapped_column(String(8), index=True)
    error: Mapped[str] = mapped_column(Text, default="")  # why it was refused
    at_ns: Mapped[int] = mapped_column(Big)
    done_ns: Mapped[int] = mapped_column(Big, default=0)
    __table_args__ = ({"sqlite_autoincrement": True},)


class ModelChange(Base):
    """From this tick of a run on, another model reads it; taken up again, it does so again."""

    __tablename__ = "model_changes"
    run: Mapped[str] = mapped_column(String(40), primary_key=True)
    tick: Mapped[int] = mapped_column(Big, primary_key=True)
    order: Mapped[int] = mapped_column("order_id", Big)  # 0 = the model that the job names
    time_ns: Mapped[int] = mapped_column(Big)  # in the store
    at_ns: Mapped[int] = mapped_column(Big)


class BlindSpot(Base):
    """A sensor that was blind where a visit could have taken something: its receipt asks for a person."""

    __tablename__ = "blind_spots"
    visit: Mapped[str] = mapped_column(String(120), primary_key=True)
    sensor: Mapped[str] = mapped_column(String(60), primary_key=True)  # kind and id
    at_ns: Mapped[int] = mapped_column(Big)


class Secret(Base):
    """Keys that this service made for itself."""

    __tablename__ = "secrets"
    name: Mapped[str] = mapped_column(String(40), primary_key=True)
    value: Mapped[bytes] = mapped_column(LargeBinary)


class SignIn(Base):
    """A browser that somebody signed in with; its cookie holds a word of which only a hash is kept, never the key."""

    __tablename__ = "sign_ins"
    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    key: Mapped[str] = mapped_column(ForeignKey("api_keys.id"))
    until_ns: Mapped[int] = mapped_column(Big)
    at_ns: Mapped[int] = mapped_column(Big)


class Review(Base):
    """What a person answered about a receipt, as a label for training: before, after, and what the model had said."""

    __tablename__ = "reviews"
    id: Mapped[int] = mapped_column(Big, primary_key=True, autoincrement=True)
    visit: Mapped[str] = mapped_column(ForeignKey("visits.id"), index=True)
    verdict: Mapped[str] = mapped_column(String(10))
    body: Mapped[str] = mapped_column(Text)  # reviews.Label as JSON
    author: Mapped[str] = mapped_column(String(120))
    at_ns: Mapped[int] = mapped_column(Big)
    __table_args__ = ({"sqlite_autoincrement": True},)


class StockCount(Base):
    """Somebody counted a lane; stock since then is this, less what the ledger or the scale says has gone."""

    __tablename__ = "stock_counts"
    id: Mapped[int] = mapped_column(Big, primary_key=True, autoincrement=True)
    lane: Mapped[str] = mapped_column(String(130), index=True)
    gtin: Mapped[str] = mapped_column(String(14))
    units: Mapped[int] = mapped_column(Integer)
    run: Mapped[str] = mapped_column(String(40), default="")
    through_seq: Mapped[int] = mapped_column(Big)  # last ledger entry that it knows
    grams: Mapped[float | None] = mapped_column(Float)  # of its scale at that time; none = nobody knows
    author: Mapped[str] = mapped_column(String(120))
    at_ns: Mapped[int] = mapped_column(Big)
    __table_args__ = ({"sqlite_autoincrement": True},)
