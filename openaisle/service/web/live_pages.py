"""Live: the floor with people, a card per visit, and the cameras' small pictures; renewed once a second."""

from __future__ import annotations

from pathlib import Path
from typing import cast

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response
from markupsafe import Markup

from openaisle.errors import RequestError
from openaisle.service import room
from openaisle.service.album import Album
from openaisle.service.api.access import AsReviewer, AsViewer, context_of
from openaisle.service.board import Board
from openaisle.service.keys import Caller
from openaisle.service.web.frame import PageRoute, page, words_of

router = APIRouter(include_in_schema=False, route_class=PageRoute)


@router.get("/")
def dashboard(request: Request, caller: AsReviewer) -> Response:
    """What happens now."""
    return _board(request, caller, "live.html")


@router.get("/board")
def renewed(request: Request, caller: AsReviewer) -> Response:
    """The part of it that changes."""
    return _board(request, caller, "board.html")


@router.get("/tiles/{camera}.jpg")
def tile(camera: str, request: Request, caller: AsViewer) -> Response:
    """A camera's picture of now."""
    data = cast(Album, request.app.state.album).tile(camera)
    if data is None:
        raise RequestError(404, f"there is no picture of {camera!r}", "see the live page")
    return Response(data, media_type="image/jpeg", headers={"cache-control": "private, max-age=60"})


def _board(request: Request, caller: Caller, name: str) -> HTMLResponse:
    board = cast(Board, request.app.state.board)
    seen = board.look()
    words = words_of(request)
    told = words("floor.people", count=len(seen.people))
    # Both layers are our own drawing, with the store's words escaped where they are drawn.
    moving = Markup(board.floor.moving(seen.people, seen.marks, seen.flashing, told))
    folder, low_mb = cast(Path | None, request.app.state.folder), context_of(request).desk.rules.low_disk_mb
    low = folder is not None and room.is_low(folder, low_mb)
    overlays = {shot.camera: Markup(board.overlays.draw(shot.camera, seen.people, seen.marks)) for shot in seen.cameras}
    sizes = {shot.camera: board.overlays.size(shot.camera) for shot in seen.cameras}
    return page(
        request, name, caller, seen=seen, plan=Markup(board.floor.plan), moving=moving, low_disk=low,
        overlays=overlays, sizes=sizes,
    )  # fmt: skip
