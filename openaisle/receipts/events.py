"""What the ledger is made of: takes, returns, hand-overs and corrections, each with its evidence and confidence.

An event is never changed or deleted. Its id makes duplicates harmless; a mistake is mended by a later correction,
which either adds a signed quantity or supersedes (replaces the effect of) an earlier event.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from openaisle.errors import Problem, ReceiptError

Kind = Literal["take", "return", "hand_over", "correction"]
KINDS: tuple[Kind, ...] = ("take", "return", "hand_over", "correction")


@dataclass(frozen=True, slots=True)
class Evidence:
    """Where to look to check a line: the cameras and scales that saw it, from when to when, at which lane."""

    cameras: tuple[str, ...]
    scales: tuple[str, ...]
    start_ns: int
    end_ns: int
    lane: str


@dataclass(frozen=True, slots=True)
class LedgerEvent:
    """One entry of the ledger; raises ReceiptError when it cannot mean anything.

    `quantity` is positive for a take, a return and a hand-over (from `visit` to `to_visit`). A correction carries a
    signed quantity for `visit`; with `supersedes` it stands in place of that event (quantity 0 = it never happened).
    """

    event_id: str
    time_ns: int
    kind: Kind
    visit: str
    gtin: str
    quantity: int
    confidence: float
    lane: str = ""
    to_visit: str = ""
    evidence: Evidence | None = None
    supersedes: str = ""
    reason: str = ""

    def __post_init__(self) -> None:
        problems = [Problem("ledger", f"event {self.event_id!r}", what, fix) for what, fix in _faults(self)]
        if problems:
            raise ReceiptError(problems)

    def delta(self, visit: str) -> int:
        """Signed units that this event, taken alone, adds to the basket of `visit`."""
        given = self.quantity if self.kind == "take" or self.kind == "correction" else -self.quantity
        received = self.quantity if self.kind == "hand_over" and self.to_visit == visit else 0
        return (given if self.visit == visit else 0) + received

    def visits(self) -> frozenset[str]:
        """The visits whose baskets it touches (before any supersession)."""
        return frozenset({self.visit, self.to_visit} if self.kind == "hand_over" else {self.visit})


def _faults(event: LedgerEvent) -> list[tuple[str, str]]:
    """(what is wrong, how to mend it) for each fault of an event."""
    corrects, hands_over = event.kind == "correction", event.kind == "hand_over"
    checks = (
        (not event.event_id, "it has no id", "give every event a unique event_id"),
        (event.kind not in KINDS, f"unknown kind {event.kind!r}", "use one of " + ", ".join(KINDS)),
        (not event.visit, "it belongs to no visit", "name the visit"),
        (not event.gtin, "it names no product", "name the GTIN-14"),
        (not corrects and event.quantity <= 0, f"quantity {event.quantity} of a {event.kind}", "use a positive number"),
        (not 0.0 <= event.confidence <= 1.0, f"confidence {event.confidence}", "use a probability from 0 to 1"),
        (hands_over and not event.to_visit, "a hand-over to nobody", "name the receiving visit in to_visit"),
        (not hands_over and bool(event.to_visit), f"a {event.kind} with to_visit", "use kind hand_over"),
        (not corrects and bool(event.supersedes), f"a {event.kind} that supersedes", "use kind correction"),
        (event.supersedes == event.event_id != "", "it supersedes itself", "name the event that was wrong"),
    )
    return [(what, fix) for wrong, what, fix in checks if wrong]
