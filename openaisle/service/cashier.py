"""Cashier: money as steps: written down under a key, then asked of the gateway until it answers, then never changed.

A crash between asking and noting the answer is harmless: the step is still pending, the same key is asked again, and
the gateway repeats its answer. A visit has one authorise and one capture key, so it can be captured once at most.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import and_, or_, select
from sqlalchemy.orm import Session, aliased

from openaisle.errors import GatewayDownError, PaymentRefusedError, RequestError
from openaisle.messages import NANOSECONDS
from openaisle.service import changes
from openaisle.service.database import insert_once, locked_visit
from openaisle.service.desk import Desk
from openaisle.service.gateway import Gateway
from openaisle.service.states import ChangeKind, StepKind, StepState, VisitState
from openaisle.service.tables import MoneyStep, Visit

FIRST_WAIT_S, LONGEST_WAIT_S = 1.0, 600.0


@dataclass(frozen=True, slots=True)
class Account:
    """What a visit's steps add up to."""

    steps: tuple[MoneyStep, ...] = ()

    def step(self, kind: StepKind) -> MoneyStep | None:
        """The one step of a kind that happens once."""
        return next((step for step in self.steps if step.kind == kind), None)

    def cents(self, kind: StepKind, *states: StepState) -> int:
        """Sum of the steps of a kind in these states."""
        return sum(step.amount_cents for step in self.steps if step.kind == kind and step.state in states)

    @property
    def captured_cents(self) -> int:
        """What the gateway has taken."""
        return self.cents(StepKind.CAPTURE, StepState.DONE)

    @property
    def taken_cents(self) -> int:
        """What the gateway has taken, or is about to take."""
        return self.cents(StepKind.CAPTURE, StepState.DONE, StepState.PENDING)

    @property
    def refunded_cents(self) -> int:
        """What was given back, or is about to be."""
        return self.cents(StepKind.REFUND, StepState.DONE, StepState.PENDING)

    @property
    def state(self) -> str:
        """In one word, for people: none, pending, failed, held, released, captured, refunded."""
        if not self.steps:
            return "none"
        last = self.steps[-1]
        if last.state == StepState.PENDING:
            return "pending"
        if last.state == StepState.FAILED:
            return "failed"
        words = {StepKind.AUTHORISE: "held", StepKind.CANCEL: "released", StepKind.CAPTURE: "captured"}
        return words.get(StepKind(last.kind), "refunded")


def account_of(session: Session, visit: str) -> Account:
    """All steps of a visit, oldest first."""
    return Account(tuple(session.scalars(select(MoneyStep).where(MoneyStep.visit == visit).order_by(MoneyStep.id))))


def ask(
    session: Session, visit: Visit, kind: StepKind, amount_cents: int, currency: str, now_ns: int, *,
    suffix: str = "", author: str = "", reason: str = "",
) -> str:  # fmt: skip
    """Write a step down, once; its key."""
    key = f"{visit.id}:{kind}{suffix}"
    values: dict[str, str | int | bool | bytes] = {
        "key": key, "visit": visit.id, "kind": kind, "state": StepState.PENDING, "amount_cents": amount_cents,
        "currency": currency, "at_ns": now_ns, "author": author, "reason": reason,
    }  # fmt: skip
    insert_once(session, MoneyStep, values)
    return key


def charge(session: Session, visit: Visit, total_cents: int, now_ns: int) -> None:
    """What a final receipt asks for: a capture within the hold, or the hold back when nothing was bought."""
    held = account_of(session, visit.id).step(StepKind.AUTHORISE)
    if held is None:
        return
    if total_cents > 0:
        amount = min(total_cents, held.amount_cents)
        ask(session, visit, StepKind.CAPTURE, amount, held.currency, now_ns)
    else:
        ask(session, visit, StepKind.CANCEL, held.amount_cents, held.currency, now_ns)


def refund(
    session: Session, visit: Visit, amount_cents: int, suffix: str, author: str, reason: str, now_ns: int
) -> str:
    """Ask for money back; raises RequestError beyond what was captured. The caller holds the visit's lock."""
    account = account_of(session, visit.id)
    left = account.taken_cents - account.refunded_cents
    if not 0 < amount_cents <= left:
        what = f"{amount_cents} is not within the {left} that were captured and not given back"
        raise RequestError(409, what, "ask for an amount from 1 to what is left, after the capture")
    captured = account.step(StepKind.CAPTURE)
    assert captured is not None, "something was captured"
    return ask(
        session, visit, StepKind.REFUND, amount_cents, captured.currency, now_ns, suffix=f":{suffix}", author=author,
        reason=reason,
    )  # fmt: skip


def due(session: Session, now_ns: int, limit: int = 50) -> list[int]:
    """Steps to work on now: the first pending one of each visit. An entry being answered is left to the API."""
    earlier = aliased(MoneyStep)
    query = (
        select(MoneyStep.id)
        .join(Visit, Visit.id == MoneyStep.visit)
        .where(MoneyStep.state == StepState.PENDING, MoneyStep.next_ns <= now_ns)
        .where(or_(MoneyStep.kind != StepKind.AUTHORISE, Visit.state != VisitState.AWAITING))
        .where(
            ~select(earlier.id)
            .where(
                and_(earlier.visit == MoneyStep.visit, earlier.state == StepState.PENDING, earlier.id < MoneyStep.id)
            )
            .exists()
        )
        .order_by(MoneyStep.id)
        .limit(limit)
    )
    return list(session.scalars(query))


def work(desk: Desk, gateway: Gateway, step_id: int) -> StepState:
    """Ask the gateway for one step and note the answer; PENDING when it did not answer."""
    with desk.database.read() as session:
        step = session.get(MoneyStep, step_id)
        assert step is not None, "steps are kept"
        held = account_of(session, step.visit).step(StepKind.AUTHORISE)
    if step.state != StepState.PENDING:
        return StepState(step.state)
    try:
        reference = _ask_gateway(desk, gateway, step, held)
    except PaymentRefusedError as error:
        return _note(desk, step_id, StepState.FAILED, "", str(error))
    except GatewayDownError as error:
        return _note(desk, step_id, StepState.PENDING, "", str(error))
    return _note(desk, step_id, StepState.DONE, reference, "")


def step_id(session: Session, key: str) -> int:
    """The step under a key."""
    return session.scalars(select(MoneyStep.id).where(MoneyStep.key == key)).one()


def _ask_gateway(desk: Desk, gateway: Gateway, step: MoneyStep, held: MoneyStep | None) -> str:
    if step.kind == StepKind.AUTHORISE:
        with desk.database.read() as session:
            visit = session.get(Visit, step.visit)
            assert visit is not None, "a step belongs to a visit"
        return gateway.authorise(step.key, step.amount_cents, step.currency, visit.method)
    if held is None or held.state != StepState.DONE:
        raise PaymentRefusedError("not_authorised", "nothing was authorised for this visit")
    if step.kind == StepKind.CAPTURE:
        gateway.capture(step.key, held.reference, step.amount_cents)
    elif step.kind == StepKind.CANCEL:
        gateway.cancel(step.key, held.reference)
    else:
        return gateway.refund(step.key, held.reference, step.amount_cents)
    return held.reference


def _note(desk: Desk, step_id: int, state: StepState, reference: str, error: str) -> StepState:
    """The gateway's answer, unless another process has noted it before."""
    now_ns = desk.clock()
    with desk.database.write() as session:
        step = session.get(MoneyStep, step_id)
        assert step is not None, "steps are kept"
        visit = locked_visit(session, step.visit)
        session.refresh(step)
        if step.state != StepState.PENDING:
            return StepState(step.state)
        step.attempts += 1
        step.error = error
        if state == StepState.PENDING:
            wait_s = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2 ** min(step.attempts - 1, 20))
            step.next_ns = now_ns + int(wait_s * NANOSECONDS)
            return state
        step.state, step.reference = state, reference
        session.flush()
        if visit is not None:
            changes.tell(session, visit, ChangeKind.PAYMENT, now_ns)
    return state
