"""States: the words of the database's columns, and how a visit, a step of money and a dispute go from one to the next.

visit     awaiting ──▶ inside ──▶ left ──▶ closed           awaiting: the gateway has not answered yet
             │            │         │  ▲                    left: everybody is out, the receipt is not final yet
             ▼            ▼         ▼  │ a person accepts    closed: the final receipt stands
          refused      merged     review                    merged: a guessed visit that a gate gave its name
money     pending ──▶ done | failed                         a step is written before the gateway is asked
dispute   opened ──▶ accepted | rejected
"""

from __future__ import annotations

from enum import StrEnum


class VisitState(StrEnum):
    """Where a visit stands."""

    AWAITING = "awaiting"
    REFUSED = "refused"
    INSIDE = "inside"
    LEFT = "left"
    REVIEW = "review"
    CLOSED = "closed"
    MERGED = "merged"


class HowLeft(StrEnum):
    """What told that a visit is over."""

    NOT_YET = ""
    TRACK = "track"  # the pipeline: its last member went through a gate
    GATE = "gate"  # somebody named the visit at an exit
    NEVER = "never"  # nobody saw it end; a person must look


class Origin(StrEnum):
    """Who opened a visit."""

    API = "api"  # POST /v1/entries
    GATE = "gate"  # a gate message in the sensors' stream
    SEEN = "seen"  # the pipeline saw somebody whom no gate named


class StepKind(StrEnum):
    """What is asked of the payment gateway."""

    AUTHORISE = "authorise"
    CAPTURE = "capture"
    CANCEL = "cancel"  # give the hold back
    REFUND = "refund"


class StepState(StrEnum):
    """How far a step of money is."""

    PENDING = "pending"
    DONE = "done"
    FAILED = "failed"


class ChangeKind(StrEnum):
    """What a change of a visit is about; the event names of the live stream."""

    ENTERED = "entered"
    REFUSED = "refused"
    LINE = "line"
    LEFT = "left"
    REVIEW = "review"
    FINAL = "final"
    PAYMENT = "payment"
    DISPUTE = "dispute"
    MERGED = "merged"


class DisputeKind(StrEnum):
    """One entry of a dispute."""

    OPENED = "opened"
    ACCEPTED = "accepted"
    REJECTED = "rejected"
