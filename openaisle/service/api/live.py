"""Live: a visit's receipt as server-sent events; Last-Event-ID goes on exactly where a lost connection stopped."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Annotated, cast

from fastapi import APIRouter, Header, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse

from openaisle.errors import RequestError
from openaisle.service import changes
from openaisle.service.api.access import AsReader, Here
from openaisle.service.api.forms import LiveChange
from openaisle.service.api.views import live_change
from openaisle.service.desk import Desk
from openaisle.service.feed import Feed
from openaisle.service.tables import Visit

KEEP_ALIVE_S = 15.0
MOST_STREAMS = 500
router = APIRouter(tags=["receipts"])


@router.get("/v1/visits/{visit}/stream", responses={200: {"content": {"text/event-stream": {}}}})
async def stream_receipt(
    visit: str,
    request: Request,
    here: Here,
    caller: AsReader,
    last_event_id: Annotated[str, Header(alias="Last-Event-ID", max_length=18)] = "",
    from_start: bool = False,
) -> StreamingResponse:
    """The live receipt: an event per change (`LiveChange` as data); first the newest, or all after Last-Event-ID."""
    feed = cast(Feed, request.app.state.feed)
    if feed.open >= MOST_STREAMS:
        raise RequestError(503, "too many live streams", "ask again in a moment")
    known = int(last_event_id) if last_event_id.isdecimal() else None
    first = await run_in_threadpool(_first, here.desk, visit, 0 if from_start else known)
    headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
    return StreamingResponse(_events(here.desk, feed, visit, first, request), 200, headers, "text/event-stream")


async def _events(desk: Desk, feed: Feed, visit: str, after_id: int, request: Request) -> AsyncIterator[str]:
    feed.open += 1
    try:
        yield "retry: 1000\n\n"
        spoke_s = time.monotonic()
        while not feed.stopped and not await request.is_disconnected():
            found = await run_in_threadpool(changes_after, desk, visit, after_id)
            for change in found:
                after_id = change.id
                yield f"id: {change.id}\nevent: {change.kind}\ndata: {change.model_dump_json(exclude_none=True)}\n\n"
            now_s = time.monotonic()
            if found:
                spoke_s = now_s
            elif now_s - spoke_s > KEEP_ALIVE_S:
                spoke_s = now_s
                yield ": still here\n\n"
            await feed.wait()
    finally:
        feed.open -= 1


def changes_after(desk: Desk, visit_id: str, after_id: int) -> list[LiveChange]:
    """A visit's changes after a given one, each with the receipt of its time."""
    with desk.database.read() as session:
        visit = session.get(Visit, visit_id)
        if visit is None:
            return []
        return [live_change(session, desk, visit, change) for change in changes.after(session, visit_id, after_id)]


def _first(desk: Desk, visit_id: str, known: int | None) -> int:
    """After which change to begin: what the reader knows, or the one before the newest. Raises RequestError 404."""
    with desk.database.read() as session:
        if session.get(Visit, visit_id) is None:
            raise RequestError(404, f"there is no visit {visit_id!r}", "see GET /v1/visits")
        return max(0, changes.last_id(session, visit_id) - 1) if known is None else known
