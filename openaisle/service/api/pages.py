"""Pages: the dashboard and the shopper's own page, rendered here; one small script renews them, nothing is inline."""

from __future__ import annotations

from functools import lru_cache, partial
from importlib.resources import files
from typing import cast
from urllib.parse import parse_qs

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from openaisle.errors import RequestError
from openaisle.receipts.render import money
from openaisle.service import board, keys
from openaisle.service.api.access import SESSION, Allow, AsReader, Context, Here, TooManyError
from openaisle.service.api.receipts import visit_of
from openaisle.service.board import Board
from openaisle.service.keys import Role
from openaisle.service.states import VisitState

router = APIRouter(include_in_schema=False)
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'"
)
STATIC = {"pages.css": "text/css", "live.js": "text/javascript"}
SESSION_S = 12 * 3600
READERS = (Role.OPERATOR, Role.REVIEWER)
WORDS = {
    VisitState.INSIDE: "You are in. This is your receipt so far.",
    VisitState.LEFT: "Thank you! Your receipt is being written.",
    VisitState.REVIEW: "Thank you! A person looks at your receipt before you are charged.",
    VisitState.CLOSED: "Thank you! This is your receipt.",
}


@lru_cache(maxsize=1)
def _templates() -> Environment:
    return Environment(
        loader=PackageLoader("openaisle.service", "pages"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )


def page(name: str, here: Context, **values: object) -> HTMLResponse:
    """A template as a response that may load its own script and style only."""
    text = _templates().get_template(name).render(money=partial(money, currency=here.desk.currency), **values)
    return HTMLResponse(text, headers={"content-security-policy": POLICY})


@router.get("/")
async def dashboard(request: Request, here: Here) -> Response:
    """Live visits, the floor, the day."""
    try:
        await Allow(*READERS)(request, here, None)
    except TooManyError:
        raise
    except RequestError:
        return RedirectResponse("/login", 303)
    return await _board(request, here, "dashboard.html")


@router.get("/board")
async def renewed(request: Request, here: Here) -> Response:
    """The part of the dashboard that changes."""
    await Allow(*READERS)(request, here, None)
    return await _board(request, here, "board.html")


async def _board(request: Request, here: Context, name: str) -> Response:
    seen = await run_in_threadpool(cast(Board, request.app.state.board).look)
    # The plan is our own drawing, with the store's words escaped where it is drawn.
    plan = Markup(seen.plan)
    return page(name, here, title=here.desk.store.spec.name, day=seen.day, cards=seen.cards, plan=plan)


@router.get("/login")
def login_form(here: Here) -> Response:
    """Where a key becomes a session."""
    return page("login.html", here, title="Sign in", problem="")


@router.post("/login")
async def login(request: Request, here: Here) -> Response:
    """Keep the key in a cookie that only this site's own pages send, and that is good for reading only."""
    form = parse_qs((await request.body()).decode("utf-8", "replace"), max_num_fields=4)
    secret = form.get("key", [""])[0].strip()
    host = request.client.host if request.client else "?"
    wait_s = here.limiter.wait_s(f"host:{host}", 5.0)
    if wait_s:
        raise TooManyError(wait_s)
    with here.desk.database.read() as session:
        caller = keys.caller_of(session, secret)
    if caller is None or caller.role not in READERS:
        answer = page("login.html", here, title="Sign in", problem="This is no key of an operator or a reviewer.")
        answer.status_code = 401
        return answer
    done = RedirectResponse("/", 303)
    secure = request.url.scheme == "https"
    done.set_cookie(SESSION, secret, SESSION_S, httponly=True, samesite="strict", secure=secure)
    return done


@router.post("/logout")
def logout() -> Response:
    """Forget the key."""
    done = RedirectResponse("/login", 303)
    done.delete_cookie(SESSION, httponly=True, samesite="strict")
    return done


@router.get("/s/{visit}")
def shopper(visit: str, here: Here, caller: AsReader, capability: str = "") -> Response:
    """A shopper's own receipt, live."""
    return _own(visit, here, capability, "shopper.html")


@router.get("/s/{visit}/lines")
def shopper_lines(visit: str, here: Here, caller: AsReader, capability: str = "") -> Response:
    """The part of it that changes."""
    return _own(visit, here, capability, "own.html")


def _own(visit: str, here: Context, word: str, name: str) -> Response:
    row = visit_of(here.desk, visit)
    with here.desk.database.read() as session:
        shown = board.card(session, here.desk, row)
    words = WORDS.get(VisitState(row.state), "This visit has no receipt.")
    return page(
        name, here, title=here.desk.store.spec.name, visit=visit, word=word, words=words, receipt=shown.receipt,
        final=row.state == VisitState.CLOSED and not row.staff,
    )  # fmt: skip


@router.get("/static/{name}")
def static(name: str) -> Response:
    """The script and the style sheet."""
    if name not in STATIC:
        raise RequestError(404, f"there is no file {name!r}", "see the pages")
    text = files("openaisle.service").joinpath("pages", name).read_text(encoding="utf-8")
    return Response(text, media_type=STATIC[name], headers={"cache-control": "max-age=300"})
