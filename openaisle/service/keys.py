"""Keys: who may ask: API keys with roles (only hashes are kept), and links that show one visit its own receipt."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import select
from sqlalchemy.orm import Session

from openaisle.errors import RequestError
from openaisle.service.database import insert_once
from openaisle.service.desk import Desk
from openaisle.service.tables import ApiKey, Secret

LINKS = "links"  # name of the secret behind all capability links


class Role(StrEnum):
    """What somebody may do; the table is access.py and docs/service.md."""

    OPERATOR = "operator"
    REVIEWER = "reviewer"
    GATE = "gate"
    SHOPPER = "shopper"  # by capability link, for one visit


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks; `name` signs what they write."""

    name: str
    role: Role


@dataclass(frozen=True, slots=True)
class KeyCard:
    """A key as it is listed."""

    id: str
    name: str
    role: Role
    created_ns: int
    revoked: bool


def create_key(session: Session, name: str, role: Role, now_ns: int) -> str:
    """A new key; it is shown this once. Raises RequestError when the name is taken or the role has no keys."""
    if role == Role.SHOPPER:
        raise RequestError(422, "shoppers have no keys", "send them the `link` of their entry")
    secret = f"oa_{role}_{secrets.token_urlsafe(32)}"
    values: dict[str, str | int | bool | bytes] = {
        "id": f"k-{secrets.token_hex(6)}", "name": name, "role": role, "digest": _digest(secret), "at_ns": now_ns,
    }  # fmt: skip
    if not insert_once(session, ApiKey, values):
        raise RequestError(409, f"there is a key named {name!r}", "choose another name")
    return secret


def revoke_key(session: Session, key_id: str, now_ns: int) -> None:
    """Nobody gets in by this key any more; raises RequestError 404."""
    row = session.get(ApiKey, key_id)
    if row is None:
        raise RequestError(404, f"there is no key {key_id!r}", "see GET /v1/keys")
    row.revoked_ns = row.revoked_ns or now_ns


def list_keys(session: Session) -> list[KeyCard]:
    """All keys, without what opens doors."""
    rows = session.scalars(select(ApiKey).order_by(ApiKey.at_ns, ApiKey.id))
    return [KeyCard(row.id, row.name, Role(row.role), row.at_ns, bool(row.revoked_ns)) for row in rows]


def key_of(session: Session, secret: str) -> ApiKey | None:
    """A key that is known and not revoked."""
    return session.scalars(select(ApiKey).where(ApiKey.digest == _digest(secret), ApiKey.revoked_ns == 0)).first()


def caller_of(session: Session, secret: str) -> Caller | None:
    """Who holds a key."""
    row = key_of(session, secret)
    return None if row is None else Caller(row.name, Role(row.role))


def link_secret(desk: Desk) -> bytes:
    """The secret behind capability links: made once, the same for every process on this database."""
    with desk.database.write() as session:
        insert_once(session, Secret, {"name": LINKS, "value": secrets.token_bytes(32)})
        row = session.get(Secret, LINKS)
        assert row is not None, "just inserted, or there before"
        return row.value


def capability(secret: bytes, visit: str) -> str:
    """The word that opens one visit's receipt; it can be derived again, so it is never stored."""
    mac = hmac.digest(secret, f"visit:{visit}".encode(), "sha256")
    return base64.urlsafe_b64encode(mac[:24]).decode()


def opens(secret: bytes, visit: str, word: str) -> bool:
    """Whether a word is this visit's capability."""
    return hmac.compare_digest(capability(secret, visit).encode(), word.encode())


def _digest(secret: str) -> str:
    # A fast hash is right: keys have 256 random bits, so nobody finds one by trying.
    return hashlib.sha256(secret.encode()).hexdigest()
