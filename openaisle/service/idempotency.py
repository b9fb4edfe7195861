"""Idempotency: a request that comes twice under one key has one effect and one answer.

As Stripe and the IETF draft have it: the same key with other words is refused (422), the same words get the first
answer again. A request that was killed before its answer is taken up where it was: its subject is already named.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from pydantic import TypeAdapter
from sqlalchemy import delete
from sqlalchemy.orm import Session

from openaisle.errors import RequestError
from openaisle.messages import NANOSECONDS
from openaisle.service.database import insert_once
from openaisle.service.tables import IdempotentRequest

KEPT_NS = 48 * 3600 * NANOSECONDS
_WORDS: TypeAdapter[Mapping[str, object]] = TypeAdapter(Mapping[str, object])


def digest_of(words: Mapping[str, object]) -> str:
    """A request in 64 characters."""
    return hashlib.sha256(_WORDS.dump_json(dict(sorted(words.items())))).hexdigest()


def first(session: Session, scope: str, key: str, digest: str, subject: str, now_ns: int) -> IdempotentRequest:
    """The request under this key: a new one with this subject, or the one that came before; raises RequestError 422."""
    values: dict[str, str | int | bool | bytes] = {
        "scope": scope, "key": key, "digest": digest, "subject": subject, "at_ns": now_ns,
    }  # fmt: skip
    insert_once(session, IdempotentRequest, values)
    row = session.get(IdempotentRequest, (scope, key), with_for_update=True)
    assert row is not None, "just inserted, or there before"
    if row.digest != digest:
        what = f"the idempotency key {key!r} was used for another request"
        raise RequestError(422, what, "use a new key for a new request")
    return row


def forget_old(session: Session, now_ns: int) -> None:
    """Drop keys that nobody will repeat any more."""
    session.execute(delete(IdempotentRequest).where(IdempotentRequest.at_ns < now_ns - KEPT_NS))
