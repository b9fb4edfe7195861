"""Sign-ins: a key becomes a browser's cookie, which ends by itself, with the key, or when somebody signs out.

The cookie is a word of its own, so a stolen one never is the key. What pages write must carry a second word that only
pages of this site can know (`token`): a form on another site can make a browser send the cookie, but not that.
A link (`invite`) stands for a key once: whoever opens it signs in, and it opens nothing any more.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from typing import cast

from sqlalchemy import CursorResult, delete, select
from sqlalchemy.orm import Session

from openaisle.messages import NANOSECONDS
from openaisle.service.keys import Caller, Role, key_of
from openaisle.service.tables import ApiKey, SignIn

LASTS_S = 12 * 3600
LINK_S = 3600


def sign_in(session: Session, secret: str, roles: tuple[Role, ...], now_ns: int) -> str | None:
    """A cookie's word for a key that is known and of one of the roles."""
    key = key_of(session, secret)
    return None if key is None else _signed_in(session, key, roles, now_ns)


def invite(session: Session, secret: str, now_ns: int) -> str | None:
    """The word of a link that signs in once, within the hour, as the key would; None when the key is not known."""
    key = key_of(session, secret)
    if key is None:
        return None
    word = secrets.token_urlsafe(16)  # short enough for a line of a terminal, and nobody finds it by trying
    until_ns = now_ns + LINK_S * NANOSECONDS
    session.add(SignIn(digest=_link_digest(word), key=key.id, until_ns=until_ns, at_ns=now_ns))
    return word


def invited(session: Session, word: str, now_ns: int) -> bool:
    """Whether a link's word still opens."""
    row = session.get(SignIn, _link_digest(word))
    return row is not None and row.until_ns > now_ns


def sign_in_by_link(session: Session, word: str, roles: tuple[Role, ...], now_ns: int) -> str | None:
    """A cookie's word for a link's, which is used up by it; of two who open one link at once, one gets in."""
    query = select(ApiKey).join(SignIn, SignIn.key == ApiKey.id).where(ApiKey.revoked_ns == 0)
    mine = SignIn.digest == _link_digest(word)
    key = session.scalars(query.where(mine, SignIn.until_ns > now_ns)).first()
    used = cast("CursorResult[object]", session.execute(delete(SignIn).where(mine)))
    return None if key is None or used.rowcount != 1 else _signed_in(session, key, roles, now_ns)


def _signed_in(session: Session, key: ApiKey, roles: tuple[Role, ...], now_ns: int) -> str | None:
    if key.role not in roles:
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


def _link_digest(word: str) -> str:
    return hmac.digest(b"link", word.encode(), "sha256").hex()  # no cookie's word has this digest
