"""Sign-ins: a key becomes a browser's cookie, which ends by itself, with the key, or when somebody signs out.

The cookie is a word of its own, so a stolen one never is the key. What pages write must carry a second word that only
pages of this site can know (`token`): a form on another site can make a browser send the cookie, but not that.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from openaisle.messages import NANOSECONDS
from openaisle.service.keys import Caller, Role, key_of
from openaisle.service.tables import ApiKey, SignIn

LASTS_S = 12 * 3600


def sign_in(session: Session, secret: str, roles: tuple[Role, ...], now_ns: int) -> str | None:
    """A cookie's word for a key that is known and of one of the roles."""
    key = key_of(session, secret)
    if key is None or key.role not in roles:
        return None
    session.execute(delete(SignIn).where(SignIn.until_ns <= now_ns))
    word = secrets.token_urlsafe(32)
    until_ns = now_ns + LASTS_S * NANOSECONDS
    session.add(SignIn(digest=_digest(word), key=key.id, until_ns=until_ns, at_ns=now_ns))
    return word


def sign_out(session: Session, word: str) -> None:
    """The cookie opens nothing any more."""
    session.execute(delete(SignIn).where(SignIn.digest == _digest(word)))


def caller_by_cookie(session: Session, word: str, now_ns: int) -> Caller | None:
    """Who signed in with this word, while it lasts and the key is not revoked."""
    query = select(ApiKey).join(SignIn, SignIn.key == ApiKey.id)
    row = session.scalars(
        query.where(SignIn.digest == _digest(word), SignIn.until_ns > now_ns, ApiKey.revoked_ns == 0)
    ).first()
    return None if row is None else Caller(row.name, Role(row.role))


def token(word: str) -> str:
    """What every form of somebody's pages carries; it can be derived again, and tells nothing about the cookie."""
    return hmac.digest(word.encode(), b"form", "sha256").hex()


def right_token(word: str, given: str) -> bool:
    """Whether a form came from one of their own pages."""
    return hmac.compare_digest(token(word).encode(), given.encode())


def _digest(word: str) -> str:
    return hashlib.sha256(word.encode()).hexdigest()
