"""Gates: entries and exits, each under an idempotency key."""

from __future__ import annotations

from fastapi import APIRouter

from openaisle.errors import RequestError
from openaisle.service import entries, idempotency, keys, visits
from openaisle.service.api.access import AtGate, Here
from openaisle.service.api.forms import EntryAnswer, EntryForm, ExitAnswer, ExitForm, IdempotencyKey
from openaisle.service.desk import Desk
from openaisle.service.entries import EntryRequest
from openaisle.service.keys import Caller
from openaisle.service.states import HowLeft, VisitState
from openaisle.service.tables import Visit

router = APIRouter(tags=["gates"])


@router.post("/v1/entries", status_code=201)
def enter(form: EntryForm, here: Here, caller: AtGate, key: IdempotencyKey) -> EntryAnswer:
    """Let somebody in: opens a visit with a hold on their card, or joins a group that is inside."""
    request = EntryRequest(form.gate, form.method, form.visit, form.staff)
    entry = entries.enter(here.desk, here.gateway, caller.name, key, request)
    word = keys.capability(here.secret, entry.visit)
    return EntryAnswer(
        visit=entry.visit, state=entry.state, people=entry.people, hold_cents=entry.hold_cents,
        currency=entry.currency, link=f"/s/{entry.visit}?capability={word}",
    )  # fmt: skip


@router.post("/v1/exits", status_code=202)
def leave(form: ExitForm, here: Here, caller: AtGate, key: IdempotencyKey) -> ExitAnswer:
    """Somebody left: by name, or (with a gate only) whoever the pipeline sees there."""
    return _leave(here.desk, form, caller, key)


def _leave(desk: Desk, form: ExitForm, caller: Caller, key: str) -> ExitAnswer:
    now_ns = desk.clock()
    if not form.visit and form.gate not in [gate.id for gate in desk.store.spec.gates if gate.kind != "entry"]:
        raise RequestError(422, f"there is no exit gate {form.gate!r}", "name an exit gate of the store, or the visit")
    with desk.database.write() as session:
        digest = idempotency.digest_of(form.model_dump())
        asked = idempotency.first(session, f"exit:{caller.name}", key, digest, form.visit, now_ns)
        if asked.status:
            return ExitAnswer.model_validate_json(asked.answer)
        visit = session.get(Visit, form.visit) if form.visit else None
        if form.visit and visit is None:
            raise RequestError(404, f"there is no visit {form.visit!r}", "name a visit, or only the gate")
        if visit is not None and visit.state == VisitState.AWAITING:
            raise RequestError(409, f"the visit {visit.id!r} has not come in yet", "wait for the answer of its entry")
        onward = visits.pass_gate(session, desk, form.gate, "exit", form.visit)
        if not onward:
            if not form.visit:
                raise RequestError(409, "no pipeline runs that could tell who left", "name the visit")
            visits.leave(session, desk, form.visit, HowLeft.GATE, visits.store_time(session, now_ns))
        answer = ExitAnswer(visit=form.visit, how="passed on" if onward else "left")
        asked.status, asked.answer = 202, answer.model_dump_json()
    return answer
