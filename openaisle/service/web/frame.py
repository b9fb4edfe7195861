"""Frame: what all pages share: templates, language, headers, and errors that a person can read."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Coroutine
from functools import lru_cache
from hashlib import sha256
from http import HTTPStatus
from importlib.resources import files

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from fastapi.routing import APIRoute
from jinja2 import Environment, PackageLoader, StrictUndefined

from openaisle.errors import RequestError
from openaisle.service import reviews, signins
from openaisle.service.api.access import SESSION, Context, TooManyError, context_of
from openaisle.service.keys import Caller, Role
from openaisle.service.words import LANGUAGES, Words, language_of

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'"
)
LANGUAGE = "aisle_language"  # cookie of who has chosen one
STATIC = {
    "pages.css": "text/css", "pages.js": "text/javascript", "icon.svg": "image/svg+xml",
    "htmx.min.js": "text/javascript", "uPlot.iife.min.js": "text/javascript", "uPlot.min.css": "text/css",
}  # fmt: skip
VENDOR = ("htmx.min.js", "uPlot.iife.min.js", "uPlot.min.css")
READERS = (Role.OPERATOR, Role.REVIEWER)


class PageRoute(APIRoute):
    """A route whose errors are pages: who is not signed in is sent there, everybody else reads what to do."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[None, None, Response]]:
        """The handler around the route's own."""
        inner = super().get_route_handler()

        async def handle(request: Request) -> Response:
            try:
                return await inner(request)
            except RequestError as error:
                return problem_page(request, error)
            except RequestValidationError as error:
                what = "; ".join(
                    f"{'/'.join(str(part) for part in one['loc'])}: {one['msg']}" for one in error.errors()
                )
                return problem_page(request, RequestError(422, what, "see the page that led here"))

        return handle


def problem_page(request: Request, error: RequestError) -> Response:
    """What went wrong as a page; a fragment gets a line that fits where the fragment would have been."""
    fragment = "hx-request" in request.headers
    shopper = request.url.path.startswith("/s/")
    if error.status == 401 and not shopper:
        # htmx follows HX-Redirect with the whole window; a plain redirect would put the form into the fragment.
        return Response(status_code=401, headers={"hx-redirect": "/login"}) if fragment else to("/login")
    name = "problem_line.html" if fragment else "problem.html"
    title = HTTPStatus(error.status).phrase
    answer = page(request, name, title=title, what=error.what, fix=error.fix, status=error.status)
    answer.status_code = error.status
    if isinstance(error, TooManyError):
        answer.headers["retry-after"] = str(max(1, round(error.wait_s + 0.5)))
    return answer


def to(path: str) -> RedirectResponse:
    """After a form: the page to read next."""
    return RedirectResponse(path, 303)


def words_of(request: Request) -> Words:
    """The reader's words."""
    spec = context_of(request).desk.store.spec
    language = language_of(request.cookies.get(LANGUAGE, ""), request.headers.get("accept-language", ""))
    return Words(language, spec.time_zone, spec.currency)


def page(request: Request, name: str, caller: Caller | None = None, **values: object) -> HTMLResponse:
    """A template as a response that may load this site's own scripts, styles and pictures, and nothing else."""
    here, words = context_of(request), words_of(request)
    html = _templates().get_template(name).render(
        t=words, store=here.desk.store.spec.name, languages=LANGUAGES, path=_here(request), caller=caller,
        token=signins.token(request.cookies.get(SESSION, "")) if caller is not None else "",
        waiting=_waiting(here) if caller is not None and "hx-request" not in request.headers else 0, **values,
    )  # fmt: skip
    return HTMLResponse(html, headers={"content-security-policy": POLICY, "content-language": words.language})


def once() -> str:
    """A word under which a form has one effect, however often it is sent."""
    return f"form-{secrets.token_hex(12)}"


def static_text(name: str) -> bytes:
    """A file that pages load; KeyError for others."""
    if name not in STATIC:
        raise KeyError(name)
    folder = files("openaisle.service").joinpath("pages")
    return (folder.joinpath("vendor", name) if name in VENDOR else folder.joinpath(name)).read_bytes()


@lru_cache(maxsize=len(STATIC))
def address(name: str) -> str:
    """Where a static file is; another one when it has changed, so that browsers may keep it."""
    return f"/static/{name}?v={sha256(static_text(name)).hexdigest()[:12]}"


def _here(request: Request) -> str:
    query = f"?{request.url.query}" if request.url.query else ""
    return request.url.path + query


def _waiting(here: Context) -> int:
    with here.desk.database.read() as session:
        return len(reviews.queue(session))


@lru_cache(maxsize=1)
def _templates() -> Environment:
    environment = Environment(
        loader=PackageLoader("openaisle.service", "pages"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.globals["file"] = address
    return environment
