"""Access: who may call what: a key's role, or a visit's capability link; and how often."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, cast

from fastapi import Depends, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from openaisle.errors import RequestError
from openaisle.service import keys
from openaisle.service.desk import Desk
from openaisle.service.gateway import Gateway
from openaisle.service.keys import Caller, Role
from openaisle.service.limits import Limiter

SESSION = "aisle_session"  # cookie of the dashboard; good for reading only
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

    def __init__(self, *roles: Role) -> None:
        self.roles = roles

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
        self._slow_down(here, f"key:{caller.name}")
        if caller.role not in self.roles:
            wanted = ", ".join(role for role in self.roles)
            raise RequestError(403, f"a {caller.role} may not do this", f"ask with the key of: {wanted}")
        return caller

    async def _by_key(self, request: Request, here: Context, key: HTTPAuthorizationCredentials | None) -> Caller:
        secret = key.credentials if key else ""
        if not secret and request.method == "GET":
            secret = request.cookies.get(SESSION, "")
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


def _lookup(desk: Desk, secret: str) -> Caller | None:
    with desk.database.read() as session:
        return keys.caller_of(session, secret)


AtGate = Annotated[Caller, Depends(Allow(Role.GATE, Role.OPERATOR))]
AsReviewer = Annotated[Caller, Depends(Allow(Role.REVIEWER, Role.OPERATOR))]
AsOperator = Annotated[Caller, Depends(Allow(Role.OPERATOR))]
AsReader = Annotated[Caller, Depends(Allow(Role.REVIEWER, Role.OPERATOR, Role.SHOPPER))]
