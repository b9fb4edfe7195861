"""Receipts: visits and what they hold, the final receipt in three forms, and what people mend."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from fastapi import APIRouter, Header, Query
from fastapi.responses import HTMLResponse, JSONResponse, Response
from sqlalchemy import select
from sqlalchemy.orm import Session

from openaisle.errors import RequestError
from openaisle.receipts.document import ReceiptRecord, receipt_record
from openaisle.receipts.render import json_ld, receipts_html
from openaisle.service import amends, labels, prices, reviews, till
from openaisle.service.amends import Correction, Refund
from openaisle.service.api.access import AsOperator, AsReader, AsReviewer, Here
from openaisle.service.api.forms import (
    AnswerForm,
    CorrectionForm,
    DisputeForm,
    DisputeLine,
    IdempotencyKey,
    Made,
    RefundForm,
    VisitAnswer,
    VisitPage,
)
from openaisle.service.api.views import visit_answer, visit_line
from openaisle.service.desk import Desk
from openaisle.service.states import VisitState
from openaisle.service.tables import Visit

router = APIRouter(tags=["receipts"])
# A receipt page runs no script and fetches nothing; its one style sheet is inside it.
PAGE_POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'"


class Form(StrEnum):
    """How a final receipt is written."""

    json = "json"
    html = "html"
    jsonld = "jsonld"


@router.get("/v1/visits")
def list_visits(
    here: Here,
    caller: AsReviewer,
    state: VisitState | None = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    after: Annotated[str, Query(max_length=120, description="`next` of the page before")] = "",
) -> VisitPage:
    """Visits, newest first."""
    with here.desk.database.read() as session:
        query = select(Visit).order_by(Visit.at_ns.desc(), Visit.id.desc()).limit(limit + 1)
        if state is not None:
            query = query.where(Visit.state == state)
        if after:
            at = _visit(session, after)
            query = query.where((Visit.at_ns < at.at_ns) | ((Visit.at_ns == at.at_ns) & (Visit.id < at.id)))
        found = session.scalars(query).all()
    more = found[limit - 1].id if len(found) > limit else ""
    return VisitPage(visits=[visit_line(visit) for visit in found[:limit]], next=more)


@router.get("/v1/labels", responses={200: {"content": {"application/x-ndjson": {}}}})
def read_labels(
    here: Here,
    caller: AsReviewer,
    after: Annotated[int, Query(ge=0, le=2**62, description="`id` of the last one that is known")] = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 1000,
) -> Response:
    """What reviewers answered, as JSON lines for training: {"id", …`Label`}, oldest first."""
    with here.desk.database.read() as session:
        rows = labels.labels_after(session, after, limit)
    lines = "".join(f'{{"id":{row.id},{row.body[1:]}\n' for row in rows)
    return Response(lines, media_type="application/x-ndjson")


@router.get("/v1/visits/{visit}")
def read_visit(visit: str, here: Here, caller: AsReader) -> VisitAnswer:
    """A visit with all that is known of it."""
    with here.desk.database.read() as session:
        return visit_answer(session, here.desk, _visit(session, visit))


@router.get("/v1/visits/{visit}/receipt")
def read_receipt(visit: str, here: Here, caller: AsReader) -> ReceiptRecord:
    """The receipt as the ledger stands now, corrections included."""
    with here.desk.database.read() as session:
        return till.record_of(session, here.desk, _visit(session, visit))


@router.get(
    "/v1/visits/{visit}/final",
    response_model=ReceiptRecord,
    responses={200: {"content": {"text/html": {}, "application/ld+json": {}}}},
)
def read_final(
    visit: str, here: Here, caller: AsReader, accept: Annotated[str, Header()] = "", form: Form | None = None
) -> Response:
    """The final receipt as it was issued: JSON, a printable page, or schema.org JSON-LD (by `form` or Accept)."""
    desk = here.desk
    with desk.database.read() as session:
        row = _visit(session, visit)
        final = till.final(session, visit)
        spec = prices.prices_of(session, desk, row.prices).spec
    if final is None:
        raise RequestError(404, f"the receipt of {visit!r} is not final (the visit is {row.state})", "read /receipt")
    chosen = form or _accepted(accept)
    if chosen == Form.html:
        page = receipts_html([final.receipt], spec, final.time_ns)
        return HTMLResponse(page, headers={"content-security-policy": PAGE_POLICY})
    if chosen == Form.jsonld:
        return JSONResponse(json_ld(final.receipt, spec, final.time_ns), media_type="application/ld+json")
    record = receipt_record(final.receipt, [], final.time_ns)
    return JSONResponse(record.model_dump(mode="json", exclude_none=True))


@router.post("/v1/visits/{visit}/corrections", status_code=201)
def correct(visit: str, form: CorrectionForm, here: Here, caller: AsReviewer, key: IdempotencyKey) -> Made:
    """Mend a receipt by a ledger entry; what was captured beyond the mended receipt is given back."""
    correction = Correction(form.gtin, form.quantity, form.reason, form.supersedes)
    return Made(id=amends.correct(here.desk, visit, correction, caller.name, key))


@router.post("/v1/visits/{visit}/acceptance", status_code=204)
def accept(visit: str, here: Here, caller: AsReviewer) -> None:
    """A person has looked at a held receipt: it becomes final as it stands."""
    reviews.accept(here.desk, visit, caller.name)


@router.post("/v1/visits/{visit}/refunds", status_code=201)
def refund(visit: str, form: RefundForm, here: Here, caller: AsOperator, key: IdempotencyKey) -> Made:
    """Give money back that no correction explains."""
    return Made(id=amends.refund(here.desk, visit, Refund(form.amount_cents, form.reason), caller.name, key))


@router.post("/v1/visits/{visit}/disputes", status_code=201)
def dispute(visit: str, form: DisputeForm, here: Here, caller: AsReader, key: IdempotencyKey) -> Made:
    """Object to a receipt."""
    return Made(id=amends.dispute(here.desk, visit, form.words, caller.name, key))


@router.post("/v1/visits/{visit}/disputes/{dispute}/answer")
def answer(visit: str, dispute: str, form: AnswerForm, here: Here, caller: AsReviewer) -> DisputeLine:
    """Answer an objection."""
    done = amends.answer(here.desk, visit, dispute, form.accepted, form.words, caller.name)
    return DisputeLine(
        dispute=done.dispute, state=done.state, words=done.words, answer=done.answer, opened_ns=done.opened_ns,
        answered_ns=done.answered_ns,
    )  # fmt: skip


def _accepted(accept: str) -> Form:
    """The first form that an Accept header names; JSON when it names none."""
    for part in accept.split(","):
        media = part.partition(";")[0].strip()
        if media in ("text/html", "application/xhtml+xml"):
            return Form.html
        if media == "application/ld+json":
            return Form.jsonld
        if media == "application/json":
            return Form.json
    return Form.json


def _visit(session: Session, visit: str) -> Visit:
    row = session.get(Visit, visit)
    if row is None:
        raise RequestError(404, f"there is no visit {visit!r}", "see GET /v1/visits")
    return row


def visit_of(desk: Desk, visit: str) -> Visit:
    """A visit; raises RequestError 404."""
    with desk.database.read() as session:
        return _visit(session, visit)
