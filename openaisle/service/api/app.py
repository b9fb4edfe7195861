"""App: all routes under one roof, with headers that keep a browser from doing more than a page needs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI, Request, Response
from prometheus_client import CollectorRegistry

from openaisle import __version__
from openaisle.service import keys
from openaisle.service.album import Album
from openaisle.service.api import gates, house, live, problems, receipts
from openaisle.service.api.access import Context
from openaisle.service.board import Board
from openaisle.service.desk import Desk
from openaisle.service.feed import Feed
from openaisle.service.gateway import Gateway
from openaisle.service.limits import Limiter
from openaisle.service.metrics import Requests, SensorCollector, StoreCollector
from openaisle.service.web import doors, house_pages, live_pages, shopper_pages, visit_pages

LARGEST_BODY = 64 * 1024  # bytes; the largest request is the form of a large basket
HEADERS = {
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",  # capability links are in addresses
    "cache-control": "no-store",
}
ABOUT = (
    "The live store: entries, live and final receipts, corrections, refunds, disputes. Errors are RFC 9457 problems."
)


def create_app(
    desk: Desk, gateway: Gateway, folder: Path | None = None, beat: Callable[[], None] = lambda: None
) -> FastAPI:
    """The API on a desk and a gateway; `folder` is where the processes' beats are."""
    app = FastAPI(
        title="OpenAisle", version=__version__, description=ABOUT, docs_url=None, redoc_url=None, lifespan=_lifespan,
        responses={"4XX": {"model": problems.ProblemDetails, "description": "A problem, with its fix"}},
    )  # fmt: skip
    limiter = Limiter(desk.rules.requests_per_s, desk.rules.request_burst)
    app.state.context = Context(desk, gateway, keys.link_secret(desk), limiter)
    app.state.folder = folder
    app.state.album = Album(folder)
    app.state.board = Board(desk, app.state.album)
    app.state.pictures = doors.Pictures(desk.store)
    app.state.feed = Feed(desk, beat)
    registry = CollectorRegistry()
    app.state.registry = registry
    registry.register(StoreCollector(desk))
    registry.register(SensorCollector(folder, desk.clock))
    problems.install(app)
    for part in (gates, receipts, live, house, doors, live_pages, visit_pages, house_pages, shopper_pages):
        app.include_router(part.router)
    app.middleware("http")(_guard)
    app.middleware("http")(Requests(registry))
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    feed: Feed = app.state.feed
    feed.start()
    yield
    await feed.stop()


async def _guard(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
    """No bodies that are too large, and the headers that every answer carries."""
    length = request.headers.get("content-length", "0")
    chunked = "transfer-encoding" in request.headers
    if "\0" in request.url.path or "%00" in request.url.query:  # no database takes it
        response: Response = problems.problem(400, "a zero byte in the address", "leave it out")
    elif chunked or not length.isdecimal() or int(length) > LARGEST_BODY:
        response = problems.problem(413, f"a body of more than {LARGEST_BODY} bytes", "send less, with a length")
    else:
        response = await call_next(request)
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    return response
