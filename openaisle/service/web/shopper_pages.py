"""Shopper: their own receipt on their own phone, live and then final, by the link of their entry."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Depends, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse, Response

from openaisle.errors import RequestError
from openaisle.service import amends, board
from openaisle.service.api.access import Allow, AsReader, Here, form_of
from openaisle.service.api.receipts import visit_of
from openaisle.service.keys import Caller, Role
from openaisle.service.states import VisitState
from openaisle.service.web.frame import PageRoute, once, page, to

router = APIRouter(include_in_schema=False, route_class=PageRoute)
AsShopper = Annotated[Caller, Depends(Allow(Role.SHOPPER))]
TOLD = (VisitState.INSIDE, VisitState.LEFT, VisitState.REVIEW, VisitState.CLOSED)


@router.get("/s/{visit}")
def shopper(visit: str, request: Request, here: Here, caller: AsReader, capability: str = "") -> Response:
    """A shopper's own receipt."""
    return _own(request, here, visit, capability, "shopper.html")


@router.get("/s/{visit}/lines")
def shopper_lines(visit: str, request: Request, here: Here, caller: AsReader, capability: str = "") -> Response:
    """The part of it that changes."""
    return _own(request, here, visit, capability, "own.html")


@router.post("/s/{visit}/dispute")
async def object_to(visit: str, request: Request, here: Here, caller: AsShopper, capability: str = "") -> Response:
    """Something is wrong; the link in the address, which no other site knows, is what makes this form safe."""
    fields = await form_of(request)
    words = fields.get("words", [""])[0].replace("\0", "").strip()[:2000]
    if not words:
        raise RequestError(422, "the message is empty", "say what is wrong")
    key = fields.get("once", [""])[0][:200] or once()
    await run_in_threadpool(amends.dispute, here.desk, visit, words, caller.name, key)
    return to(f"/s/{quote(visit)}?capability={quote(capability)}")


def _own(request: Request, here: Here, visit: str, word: str, name: str) -> HTMLResponse:
    row = visit_of(here.desk, visit)
    with here.desk.database.read() as session:
        shown = board.card(session, here.desk, row)
        disputes = amends.disputes_of(session, visit)
    state = VisitState(row.state)
    return page(
        request, name, visit=row, word=word, told=f"own.{state}" if state in TOLD else "own.none", card=shown,
        final=state == VisitState.CLOSED and not row.staff, disputes=disputes, once=once(),
        may_object=state in TOLD and not row.staff,
    )  # fmt: skip
