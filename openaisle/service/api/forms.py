"""Forms: what requests and answers look like on the wire; OpenAPI is made of these."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import Header
from pydantic import BaseModel, ConfigDict, Field

from openaisle.receipts.document import Gtin, ReceiptRecord, Update
from openaisle.receipts.events import Kind
from openaisle.service.keys import Role

IdempotencyKey = Annotated[
    str,
    Header(alias="Idempotency-Key", min_length=8, max_length=255, pattern=r"^[\x21-\x7e]+$",
           title="Any text of the caller's; the same key has one effect"),
]  # fmt: skip
Name = Annotated[str, Field(max_length=120, pattern=r"^[^\x00-\x1f]*$")]
Words = Annotated[str, Field(min_length=1, max_length=2000, pattern=r"^[^\x00]*$")]


class Form(BaseModel):
    """Base of requests: unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class EntryForm(Form):
    """Somebody wants to come in."""

    gate: Name = Field(title="Id of an entry gate of the store")
    method: Annotated[str, Field(max_length=200, pattern=r"^[\x21-\x7e]*$")] = Field(
        default="", title="The gateway's token of a card; empty: not charged"
    )
    visit: Name = Field(default="", title="The visit of a group that is inside, to join it")
    staff: bool = Field(default=False, title="A staff badge: no receipt, no charge")


class EntryAnswer(BaseModel):
    """They are in."""

    visit: str
    state: str
    people: int
    hold_cents: int
    currency: str
    link: str = Field(title="Path of the shopper's own page, with its capability")


class ExitForm(Form):
    """Somebody leaves: a visit by name, or whoever stands at the gate."""

    gate: Name = ""
    visit: Name = ""


class ExitAnswer(BaseModel):
    """What was done with it."""

    visit: str
    how: Literal["left", "passed on"] = Field(title="left: the visit is over; passed on: the pipeline decides when")


class CorrectionForm(Form):
    """Units more or fewer, or what a ledger entry should have said."""

    gtin: Gtin
    quantity: int = Field(ge=-1000, le=1000, title="Signed; with supersedes it stands in place of that entry")
    reason: Words
    supersedes: Annotated[str, Field(max_length=300)] = ""


class RefundForm(Form):
    """Money back."""

    amount_cents: int = Field(ge=1, le=10_000_000)
    reason: Words


class DisputeForm(Form):
    """An objection."""

    words: Words


class AnswerForm(Form):
    """A person's answer to an objection; money goes back by a correction or a refund."""

    accepted: bool
    words: Words


class KeyForm(Form):
    """A new key."""

    name: Annotated[str, Field(min_length=1, max_length=80, pattern=r"^[^\x00-\x1f]+$")]
    role: Role


class KeyAnswer(BaseModel):
    """A new key, shown this once."""

    name: str
    role: Role
    key: str


class KeyLine(BaseModel):
    """A key in the list."""

    id: str
    name: str
    role: Role
    created_ns: int
    revoked: bool


class WebhookForm(Form):
    """A new receiver."""

    url: Annotated[str, Field(min_length=8, max_length=2000, pattern=r"^[\x21-\x7e]+$")]


class WebhookAnswer(BaseModel):
    """A receiver; the secret is shown when it is made, and never again."""

    id: str
    url: str
    secret: str = ""


class Made(BaseModel):
    """What a request made."""

    id: str


class EntryLine(BaseModel):
    """One entry of the ledger."""

    seq: int
    event_id: str
    time_ns: int
    kind: Kind
    visit: str
    to_visit: str
    gtin: str
    quantity: int
    confidence: float
    lane: str
    supersedes: str
    reason: str
    author: str


class PaymentLine(BaseModel):
    """One step of money."""

    key: str
    kind: str
    state: str
    amount_cents: int
    currency: str
    reference: str
    error: str
    reason: str
    author: str
    at_ns: int


class DisputeLine(BaseModel):
    """One dispute."""

    dispute: str
    state: str
    words: str
    answer: str
    opened_ns: int
    answered_ns: int


class VisitLine(BaseModel):
    """A visit in the list."""

    visit: str
    number: int = Field(title="Of its business day: the visit's name on pages; 0 for visits older than numbers")
    state: str
    origin: str
    staff: bool
    people: int
    gate: str
    entered_ns: int
    left_ns: int
    how_left: str
    at_ns: int


class VisitPage(BaseModel):
    """Visits, newest first; `next` goes on from here."""

    visits: list[VisitLine]
    next: str = ""


class VisitAnswer(VisitLine):
    """A visit with all that is known of it."""

    accepted_by: str
    payment: str = Field(title="none, pending, failed, held, released, captured, refunded")
    captured_cents: int
    refunded_cents: int
    models: list[str] = Field(title="That read the store while the visit was inside")
    receipt: ReceiptRecord
    final_cents: int | None = Field(title="Total of the final receipt; null until there is one")
    entries: list[EntryLine]
    payments: list[PaymentLine]
    disputes: list[DisputeLine]


class LiveChange(BaseModel):
    """One event of the live stream; its id is the event's."""

    id: int
    kind: str
    state: str
    at_ns: int
    updates: list[Update] = Field(title="What it changed of the lines, as in the receipt's own updates")
    receipt: ReceiptRecord


class OrderLine(BaseModel):
    """A model that an operator asked for (`aisle model swap`)."""

    id: int
    model: str
    digest: str
    state: str = Field(title="asked, trying, taken, refused")
    error: str
    asked_ns: int
    done_ns: int


class ModelAnswer(BaseModel):
    """Which model reads the store; empty where no run has been."""

    run: str
    model: str
    since_ns: int = Field(title="On the wall's clock")
    orders: list[OrderLine] = Field(title="Newest first, 20 at most")


class DayAnswer(BaseModel):
    """Figures of one day."""

    day: str
    visits: int
    inside: int
    waiting_for_review: int
    final_receipts: int
    takings_cents: int = Field(title="Totals of final receipts")
    captured_cents: int
    refunded_cents: int
    review_rate: float | None = Field(title="Share of visits that left which waited for a person")
    currency: str
    models: list[str] = Field(title="That read the store on this day, in order")
