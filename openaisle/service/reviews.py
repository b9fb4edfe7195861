"""Reviews: receipts that wait for a person, and what the person decides; one transaction from screen to ledger.

A decision says what the basket should hold. The ledger gets a correction for every product in which that differs, the
receipt is let pass (or, when it was final before, what was taken too much is given back), and the answer is kept as a
label. Whoever decided on an older state of the receipt than the ledger's is told so, and nothing is written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from openaisle.errors import RequestError
from openaisle.receipts.ledger import fold
from openaisle.service import amends, book, labels, visits
from openaisle.service.amends import Correction
from openaisle.service.desk import Desk
from openaisle.service.states import VisitState
from openaisle.service.tables import Visit

MOST_UNITS = 1000  # of one product in a basket
DEFAULT_WORDS = "review"


@dataclass(frozen=True, slots=True)
class Decision:
    """What a basket should hold (GTIN → units, 0 = none), and the place in the ledger up to which it was read."""

    wanted: Mapping[str, int]
    seen_seq: int
    words: str = ""


def queue(session: Session) -> Sequence[Visit]:
    """Visits whose receipts wait for a person, longest first."""
    query = select(Visit).where(Visit.state == VisitState.REVIEW)
    return session.scalars(query.order_by(Visit.left_ns, Visit.id)).all()


def after(session: Session, visit: str) -> str:
    """The visit of the queue to look at next: the one behind this, and from the end the first; "" for none."""
    waiting = [row.id for row in queue(session)]
    place = waiting.index(visit) if visit in waiting else -1
    others = waiting[place + 1 :] + waiting[: max(place, 0)]
    return others[0] if others else ""


def last_seq(session: Session, visit: str) -> int:
    """Place of the last ledger entry that a visit's basket depends on."""
    return max((entry.seq for entry in book.entries_of(session, visit)), default=0)


def accept(desk: Desk, visit_id: str, author: str) -> None:
    """Let a held receipt pass as it stands; raises RequestError 404, 409."""
    with desk.database.write() as session:
        visit = amends.with_receipt(session, visit_id)
        visits.accept(session, desk, visit_id, author)
        labels.note(session, desk, visit, author)


def decide(desk: Desk, visit_id: str, decision: Decision, author: str, key: str) -> int:
    """Write what differs, let the receipt pass, keep the label; how many products differed.

    Once per key. Raises RequestError: 404, 409 (nothing to decide, or the ledger has gone on), 422.
    """
    now_ns = desk.clock()
    wanted = _checked(decision.wanted)
    reason = decision.words.strip() or DEFAULT_WORDS
    with desk.database.write() as session:
        visit = amends.with_receipt(session, visit_id)
        words: dict[str, object] = {"wanted": wanted, "seen": decision.seen_seq, "words": reason}
        asked = amends.first(session, f"review:{visit_id}:{author}", key, words, now_ns)
        if asked.status:
            return int(asked.answer)
        if visit.state not in (VisitState.REVIEW, VisitState.CLOSED):
            raise RequestError(409, f"the visit {visit_id!r} is {visit.state}", "wait until it has ended")
        if last_seq(session, visit_id) != decision.seen_seq:
            what = f"the receipt of {visit_id!r} has changed since it was read"
            raise RequestError(409, what, "read it again and decide on what it says now")
        differing = _differing(session, desk, visit_id, wanted)
        for number, (gtin, quantity) in enumerate(differing.items()):
            correction = Correction(gtin, quantity, reason)
            amends.enter(session, desk, visit, correction, author, f"{asked.subject}-{number}")
        if visit.state == VisitState.REVIEW:
            visits.accept(session, desk, visit_id, author)
        else:
            amends.give_back(session, desk, visit, asked.subject, author, reason)
        labels.note(session, desk, visit, author, decision.words.strip())
        asked.status, asked.answer = 201, str(len(differing))
    return len(differing)


def _checked(wanted: Mapping[str, int]) -> dict[str, int]:
    """Possible numbers, by product; raises RequestError 422."""
    for gtin, units in wanted.items():
        if not 0 <= units <= MOST_UNITS:
            raise RequestError(422, f"{units} units of {gtin}", f"give a number from 0 to {MOST_UNITS}")
    return dict(sorted(wanted.items()))


def _differing(session: Session, desk: Desk, visit: str, wanted: Mapping[str, int]) -> dict[str, int]:
    """Signed units by product, which make the basket what is wanted; products that nobody named stay.

    Raises RequestError 422 for more of what the catalogue does not have; what the receipt holds of it may stay.
    """
    basket = fold(book.ledger_of(session, visit), visit)
    have = {line.gtin: line.quantity for line in basket.lines}
    changed = {gtin: units - have.get(gtin, 0) for gtin, units in wanted.items()}
    known = {product.gtin for product in desk.store.products}
    for gtin, units in changed.items():
        if units > 0 and gtin not in known:
            what = f"the catalogue has no product {gtin!r}"
            raise RequestError(422, what, "set it to 0 and add the right product")
    return {gtin: units for gtin, units in changed.items() if units}
