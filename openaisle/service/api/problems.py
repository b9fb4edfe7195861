"""Problems: every error as application/problem+json (RFC 9457), with what to do about it in `fix`."""

from __future__ import annotations

import logging
import sqlite3
from http import HTTPStatus
from pathlib import Path
from typing import cast

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.exc import OperationalError
from starlette.exceptions import HTTPException

from openaisle.errors import OpenAisleError, RequestError
from openaisle.service.api.access import TooManyError
from openaisle.service.room import found_none

LOG = logging.getLogger(__name__)
MEDIA = "application/problem+json"


class Fault(BaseModel):
    """One thing wrong in a request."""

    pointer: str = Field(title="Where, e.g. body/gate")
    detail: str


class ProblemDetails(BaseModel):
    """RFC 9457."""

    model_config = ConfigDict(extra="allow")
    type: str = "about:blank"
    title: str
    status: int
    detail: str = ""
    fix: str = ""
    errors: list[Fault] = []


def problem(
    status: int, detail: str, fix: str = "", headers: dict[str, str] | None = None, errors: list[Fault] | None = None
) -> JSONResponse:
    """A response."""
    title = HTTPStatus(status).phrase
    body = ProblemDetails(title=title, status=status, detail=detail, fix=fix, errors=errors or [])
    return JSONResponse(body.model_dump(exclude_defaults=True) | {"type": body.type}, status, headers, MEDIA)


def install(app: FastAPI) -> None:
    """Every error of this app becomes a problem."""
    app.add_exception_handler(RequestError, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(OperationalError, _busy)
    app.add_exception_handler(sqlite3.OperationalError, _busy)  # of the fake gateway's file
    app.add_exception_handler(OpenAisleError, _refused)
    app.add_exception_handler(Exception, _ours)


def _refused(request: Request, error: Exception) -> JSONResponse:
    if isinstance(error, TooManyError):
        return problem(429, error.what, error.fix, {"retry-after": str(max(1, round(error.wait_s + 0.5)))})
    if not isinstance(error, RequestError):
        return problem(422, str(error))
    headers = {401: {"www-authenticate": "Bearer"}, 503: {"retry-after": "2"}}.get(error.status)
    return problem(error.status, error.what, error.fix, headers)


def _invalid(request: Request, error: Exception) -> JSONResponse:
    found = cast(RequestValidationError, error).errors()
    faults = [Fault(pointer="/".join(str(part) for part in one["loc"]), detail=one["msg"]) for one in found]
    return problem(422, "the request is not valid", "see `errors` and /openapi.json", errors=faults)


def _http(request: Request, error: Exception) -> JSONResponse:
    known = cast(HTTPException, error)
    headers = dict(known.headers) if known.headers else None
    return problem(known.status_code, str(known.detail), "see /openapi.json", headers)


def _busy(request: Request, error: Exception) -> JSONResponse:
    LOG.error("the database does not answer: %s", error)
    folder = cast(Path | None, request.app.state.folder)
    if folder is not None and found_none(error, folder):
        return problem(503, "the disk is full", "free disk space, and ask again", {"retry-after": "10"})
    return problem(503, "the database does not answer", "ask again in a moment", {"retry-after": "2"})


def _ours(request: Request, error: Exception) -> JSONResponse:
    LOG.error("%s %s", request.method, request.url.path, exc_info=error)
    return problem(500, "our mistake; it is in the log")
