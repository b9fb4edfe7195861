"""Access: who may call what: a key's role, or a visit's capability link; and how often."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, cast
from urllib.parse import parse_qs, urlsplit

from fastapi import Depends, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from openaisle.errors import RequestError
from openaisle.service import keys, signins
from openaisle.service.desk import Desk
from openaisle.service.gateway import Gateway
from openaisle.service.keys import Caller, Role
from openaisle.service.limits import Limiter

SESSION = "aisle_session"  # cookie of the dashboard; the API takes it for reading only
FORM_LIMIT = 2100  # fields of a form: as many products as a large basket has
FAILURE_COST = 5.0  # a wrong key costs as much as so many requests
BEARER = HTTPBearer(auto_error=False, description="An API key: Authorization: Bearer oa_...")


@dataclass(frozen=True)
class Context:
    """What the endpoints work with; app.state holds it."""

    desk: Desk
    gateway: Gateway
    secret: bytes  # behind capability links
    limiter: Limiter


class TooManyError(RequestError):
    """A caller who must wait."""

    def __init__(self, wait_s: float) -> None:
        self.wait_s = wait_s
        super().__init__(429, "too many requests", f"wait {wait_s:.1f} s")


def context_of(request: Request) -> Context:
    """The app's context."""
    return cast(Context, request.app.state.context)


Here = Annotated[Context, Depends(context_of)]
Key = Annotated[HTTPAuthorizationCredentials | None, Depends(BEARER)]


class Allow:
    """A dependency that lets these roles pass; SHOPPER means the capability link of the visit in the path."""

    def __init__(self, *roles: Role, counted: bool = True) -> None:
        self.roles, self.counted = roles, counted  # a page's many small pictures are not counted one by one

    async def __call__(
        self, request: Request, here: Here, key: Key, capability: Annotated[str, Query(max_length=64)] = ""
    ) -> Caller:
        """The caller; raises RequestError 401, 403, 429."""
        visit = request.path_params.get("visit", "")
        if capability and visit and Role.SHOPPER in self.roles:
            if not keys.opens(here.secret, visit, capability):
                raise self._failed(here, request, "this link is not that of the visit", "use the link of your entry")
            caller = Caller(f"shopper of {visit}", Role.SHOPPER)
        else:
            caller = await self._by_key(request, here, key)
        if self.counted:
            self._slow_down(here, f"key:{caller.name}")
        if caller.role not in self.roles:
            wanted = ", ".join(role for role in self.roles)
            raise RequestError(403, f"a {caller.role} may not do this", f"ask with the key of: {wanted}")
        return caller

    async def _by_key(self, request: Request, here: Context, key: HTTPAuthorizationCredentials | None) -> Caller:
        secret = key.credentials if key else ""
        word = request.cookies.get(SESSION, "") if not secret and request.method == "GET" else ""
        if word and (signed_in := await run_in_threadpool(_by_cookie, here.desk, word)) is not None:
            return signed_in
        if not secret:
            raise self._failed(here, request, "there is no key", "send Authorization: Bearer KEY", cost=1.0)
        caller = await run_in_threadpool(_lookup, here.desk, secret)
        if caller is None:
            raise self._failed(here, request, "the key is not known", "ask the operator for a key")
        return caller

    @staticmethod
    def _failed(here: Context, request: Request, what: str, fix: str, cost: float = FAILURE_COST) -> RequestError:
        host = request.client.host if request.client else "?"
        wait_s = here.limiter.wait_s(f"host:{host}", cost)
        return TooManyError(wait_s) if wait_s else RequestError(401, what, fix)

    @staticmethod
    def _slow_down(here: Context, caller: str) -> None:
        wait_s = here.limiter.wait_s(caller)
        if wait_s:
            raise TooManyError(wait_s)


@dataclass(frozen=True)
class Sent:
    """A form that somebody sent from one of their pages."""

    caller: Caller
    fields: Mapping[str, list[str]]

    def one(self, name: str) -> str:
        """A field's text, "" when it is not there."""
        return self.fields.get(name, [""])[0]

    def number(self, name: str, least: int, most: int) -> int:
        """A field that must be a number; raises RequestError 422."""
        return whole(self.one(name), name, least, most)


class FromPage:
    """A dependency that lets forms of the dashboard's own pages pass, by these roles.

    Three things must agree: the cookie, which browsers send from this site only (SameSite=Strict); where the browser
    says the form comes from (Sec-Fetch-Site, or else Origin); and the token that only our own pages contain.
    """

    def __init__(self, *roles: Role) -> None:
        self.roles = roles

    async def __call__(self, request: Request, here: Here) -> Sent:
        """The caller with the form's fields; raises RequestError 401, 403, 422, 429."""
        word = request.cookies.get(SESSION, "")
        caller = await run_in_threadpool(_by_cookie, here.desk, word) if word else None
        if caller is None:
            raise Allow._failed(here, request, "nobody is signed in", "sign in at /login", cost=1.0)
        Allow._slow_down(here, f"key:{caller.name}")
        if caller.role not in self.roles:
            raise RequestError(403, f"a {caller.role} may not do this", f"sign in as: {', '.join(self.roles)}")
        fields = await form_of(request)
        own = own_site(request) and signins.right_token(word, fields.get("token", [""])[0])
        if not own:
            raise RequestError(403, "this form does not come from a page of this site", "open the page again")
        return Sent(caller, fields)


async def form_of(request: Request) -> dict[str, list[str]]:
    """A form's fields as browsers send them; raises RequestError 422."""
    try:
        text = (await request.body()).decode("utf-8")
        return parse_qs(text, keep_blank_values=True, max_num_fields=FORM_LIMIT, errors="strict")
    except ValueError as error:
        raise RequestError(422, "this is no form", "send application/x-www-form-urlencoded") from error


def own_site(request: Request) -> bool:
    """Whether the browser says, if it says anything, that one of our own pages asks."""
    site, origin = request.headers.get("sec-fetch-site", ""), request.headers.get("origin", "")
    if site:
        return site == "same-origin"
    return not origin or urlsplit(origin).netloc == request.headers.get("host", "")


def whole(text: str, name: str, least: int, most: int) -> int:
    """A whole number within bounds; raises RequestError 422."""
    if not text.isascii() or not text.isdecimal() or len(text) > 18 or not least <= int(text) <= most:
        raise RequestError(422, f"{name}: {text[:40]!r} is no number from {least} to {most}", "see the page")
    return int(text)


def _by_cookie(desk: Desk, word: str) -> Caller | None:
    with desk.database.read() as session:
        return signins.caller_by_cookie(session, word, desk.clock())


def _lookup(desk: Desk, secret: str) -> Caller | None:
    with desk.database.read() as session:
        return keys.caller_of(session, secret)


AtGate = Annotated[Caller, Depends(Allow(Role.GATE, Role.OPERATOR))]
AsReviewer = Annotated[Caller, Depends(Allow(Role.REVIEWER, Role.OPERATOR))]
AsOperator = Annotated[Caller, Depends(Allow(Role.OPERATOR))]
AsViewer = Annotated[Caller, Depends(Allow(Role.REVIEWER, Role.OPERATOR, counted=False))]
ByReviewer = Annotated[Sent, Depends(FromPage(Role.REVIEWER, Role.OPERATOR))]
AsReader = Annotated[Caller, Depends(Allow(Role.REVIEWER, Role.OPERATOR, Role.SHOPPER))]
