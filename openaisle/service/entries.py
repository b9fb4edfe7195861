"""Entries: somebody asks to come in; the answer stands when the hold on the card does, and is the same every time.

Two transactions around one call of the gateway. A kill in between leaves a visit that is AWAITING under a known key:
the caller's second try finds it and goes on; without one the clerk ends it (visits.sweep) and gives the hold back.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

from pydantic import TypeAdapter

from openaisle.errors import RequestError
from openaisle.service import cashier, changes, idempotency, visits
from openaisle.service.database import locked_visit
from openaisle.service.desk import Desk
from openaisle.service.gateway import Gateway
from openaisle.service.states import ChangeKind, Origin, StepKind, StepState, VisitState
from openaisle.service.tables import IdempotentRequest, Visit
from openaisle.service.visits import Opening

SCOPE = "entry"
PAYMENT_REQUIRED = 402


@dataclass(frozen=True, slots=True)
class EntryRequest:
    """What a gate, kiosk, app or card terminal says."""

    gate: str
    method: str = ""
    visit: str = ""  # of a group that is inside already
    staff: bool = False


@dataclass(frozen=True, slots=True)
class Entry:
    """The answer: the visit that somebody came in as."""

    visit: str
    state: str
    people: int
    hold_cents: int
    currency: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """The other answer."""

    what: str


_ENTRY, _REFUSAL = TypeAdapter(Entry), TypeAdapter(Refusal)


def enter(desk: Desk, gateway: Gateway, caller: str, key: str, request: EntryRequest) -> Entry:
    """Let somebody in; raises RequestError: 402 refused, 409 no such group, 422 key reused, 503 gateway down."""
    _check(desk, request)
    scope = f"{SCOPE}:{caller}"
    asked = _open(desk, scope, key, request)
    if asked.status == 0:
        with desk.database.read() as session:
            step = cashier.account_of(session, asked.subject).step(StepKind.AUTHORISE)
        if step is not None and cashier.work(desk, gateway, step.id) == StepState.PENDING:
            raise RequestError(503, "the payment network does not answer", "ask again with the same key in a moment")
        asked = _close(desk, scope, key, request)
    if asked.status == PAYMENT_REQUIRED:
        refusal = _REFUSAL.validate_json(asked.answer)
        raise RequestError(PAYMENT_REQUIRED, refusal.what, "try another card with a new key")
    return _ENTRY.validate_json(asked.answer)


def _check(desk: Desk, request: EntryRequest) -> None:
    gates = [gate.id for gate in desk.store.spec.gates if gate.kind != "exit"]
    if request.gate not in gates:
        raise RequestError(422, f"there is no entry gate {request.gate!r}", f"use one of {', '.join(gates)}")


def _open(desk: Desk, scope: str, key: str, request: EntryRequest) -> IdempotentRequest:
    """Name the visit under the key and open it (or join it), in one transaction."""
    now_ns = desk.clock()
    name = request.visit or visits.new_name()
    digest = idempotency.digest_of(asdict(request))
    with desk.database.write() as session:
        asked = idempotency.first(session, scope, key, digest, name, now_ns)
        if asked.status or asked.subject != name:
            return asked
        if request.visit:
            visit = visits.join(session, request.visit)
            visits.pass_gate(session, desk, request.gate, "entry", visit.id)
            _answer(asked, desk, visit)
            return asked
        entered_ns = visits.store_time(session, now_ns)
        opening = Opening(name, Origin.API, request.gate, entered_ns, request.staff, request.method)
        visits.open_visit(session, desk, opening)
    return asked


def _close(desk: Desk, scope: str, key: str, request: EntryRequest) -> IdempotentRequest:
    """Note the answer, and hand the passage to the pipeline."""
    now_ns = desk.clock()
    with desk.database.write() as session:
        asked = session.get(IdempotentRequest, (scope, key))
        assert asked is not None, "opened before"
        visit = locked_visit(session, asked.subject)
        assert visit is not None, "opened before"
        session.refresh(asked)
        if asked.status:
            return asked
        step = cashier.account_of(session, visit.id).step(StepKind.AUTHORISE)
        if step is not None and step.state == StepState.FAILED and visit.state == VisitState.AWAITING:
            visits.refuse(session, desk, visit)
        if visit.state == VisitState.REFUSED:
            error = step.error if step is not None and step.error else "the entry was given up before it was complete"
            asked.status, asked.answer = PAYMENT_REQUIRED, _REFUSAL.dump_json(Refusal(error)).decode()
            return asked
        if visit.state == VisitState.AWAITING:
            visit.state = VisitState.INSIDE
            changes.tell(session, visit, ChangeKind.ENTERED, now_ns)
        visits.pass_gate(session, desk, request.gate, "entry", visit.id)
        _answer(asked, desk, visit)
    return asked


def _answer(asked: IdempotentRequest, desk: Desk, visit: Visit) -> None:
    hold_cents = desk.rules.hold_cents if visit.method else 0
    entry = Entry(visit.id, visit.state, visit.people, hold_cents, desk.currency)
    asked.status, asked.answer = 201, _ENTRY.dump_json(entry).decode()
