"""House: the shelves, the health of everything, and a day in figures."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import cast

from fastapi import APIRouter, Request
from fastapi.responses import Response

from openaisle.service import board, stock
from openaisle.service.album import Album
from openaisle.service.api.access import AsReviewer, ByReviewer, Here
from openaisle.service.day import FIRST_DAY, LAST_DAY, day_figures, day_story, today, visits_of
from openaisle.service.feed import Feed
from openaisle.service.health import health
from openaisle.service.stock import MOST_COUNTED
from openaisle.service.web.frame import PageRoute, page, to

router = APIRouter(include_in_schema=False, route_class=PageRoute)


@router.get("/shelves")
def shelves(request: Request, here: Here, caller: AsReviewer, low: bool = False) -> Response:
    """What lies where: by the ledger, by the scales, in wrong lanes; what runs low."""
    with here.desk.database.read() as session:
        seen = stock.shelves(session, here.desk, _album(request))
    by_fixture: dict[str, list[stock.LaneStock]] = {}
    for lane in seen.lanes:
        if lane.low or lane.differs or not low:
            by_fixture.setdefault(lane.fixture, []).append(lane)
    kinds = {fixture.id: fixture.kind for fixture in here.desk.store.spec.fixtures}
    return page(
        request, "shelves.html", caller, seen=seen, by_fixture=by_fixture, kinds=kinds, low=low, most=MOST_COUNTED
    )


@router.post("/shelves/count")
def count(request: Request, here: Here, sent: ByReviewer) -> Response:
    """Somebody has counted a lane."""
    units = sent.number("units", 0, MOST_COUNTED)
    lane = sent.one("lane")[:130]
    with here.desk.database.write() as session:
        stock.count_lane(session, here.desk, _album(request), lane, units, sent.caller.name)
    return to(f"/shelves#{lane}")


@router.get("/health")
def health_page(request: Request, here: Here, caller: AsReviewer) -> Response:
    """Processes, pipeline, sensors, disk."""
    return _health(request, here, caller, "health.html")


@router.get("/health/now")
def health_now(request: Request, here: Here, caller: AsReviewer) -> Response:
    """The part of it that changes."""
    return _health(request, here, caller, "health_now.html")


@router.get("/day")
def day_page(request: Request, here: Here, caller: AsReviewer, day: date | None = None) -> Response:
    """A day: figures, hour by hour, how fast receipts were, and its visits."""
    now = today(here.desk)
    # Days at both ends of what a computer counts have no neighbours.
    chosen = day if day is not None and FIRST_DAY < day < LAST_DAY else now
    with here.desk.database.read() as session:
        figures, story = day_figures(session, here.desk, chosen), day_story(session, here.desk, chosen)
        rows = [(visit, board.card(session, here.desk, visit)) for visit in visits_of(session, here.desk, chosen)]
    before, after = chosen - timedelta(days=1), chosen + timedelta(days=1)
    most = max([1, *(hour.visits for hour in story.hours)])
    most_cents = max([1, *(hour.takings_cents for hour in story.hours)])
    return page(
        request, "day.html", caller, figures=figures, story=story, rows=rows, day=chosen, before=before,
        after=after if after <= now else None, most=most, most_cents=most_cents,
    )  # fmt: skip


def _health(request: Request, here: Here, caller: AsReviewer, name: str) -> Response:
    folder = cast(Path | None, request.app.state.folder)
    with here.desk.database.read() as session:
        seen = health(session, here.desk, folder, _album(request))
    return page(request, name, caller, seen=seen, streams=cast(Feed, request.app.state.feed).open)


def _album(request: Request) -> Album:
    return cast(Album, request.app.state.album)
