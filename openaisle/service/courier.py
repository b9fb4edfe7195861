"""Courier: webhooks out, at least once: signed, repeated with back-off for three days, in no promised order.

Signed as Standard Webhooks has it: `webhook-signature: v1,BASE64(HMAC-SHA256(secret, "id.timestamp.body"))`. Receivers
drop what they know by `webhook-id`, and answer 2xx within ten seconds; 410 ends the endpoint.
"""

from __future__ import annotations

import base64
import hmac
import http.client
import random
import secrets
import urllib.error
import urllib.request
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from email.message import Message
from typing import IO
from urllib.parse import urlsplit

from sqlalchemy import select
from sqlalchemy.orm import Session

from openaisle.errors import RequestError
from openaisle.messages import NANOSECONDS
from openaisle.service.desk import Desk
from openaisle.service.tables import Endpoint, Letter

PATIENCE_S = 10
FIRST_WAIT_S, LONGEST_WAIT_S = 5.0, 3600.0
GIVE_UP_NS = 3 * 86_400 * NANOSECONDS
GONE = 410
AT_ONCE = 4  # letters under way at the same time


@dataclass(frozen=True, slots=True)
class Parcel:
    """A letter with its address."""

    letter: int
    url: str
    secret: bytes
    name: str
    body: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a delivery."""

    letter: int
    delivered: bool
    gone: bool = False
    error: str = ""


def add_endpoint(session: Session, url: str, now_ns: int) -> tuple[str, str]:
    """(id, secret) of a new receiver of all webhooks; the secret is shown this once. Raises RequestError 422."""
    if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
        raise RequestError(422, f"{url!r} is no web address", "give https://HOST/PATH")
    secret = secrets.token_bytes(32)
    endpoint = f"e-{secrets.token_hex(6)}"
    session.add(Endpoint(id=endpoint, url=url, secret=secret, at_ns=now_ns))
    return endpoint, "whsec_" + base64.b64encode(secret).decode()


def remove_endpoint(session: Session, endpoint: str, now_ns: int) -> None:
    """No more webhooks there, those under way included; raises RequestError 404."""
    row = session.get(Endpoint, endpoint)
    if row is None or row.gone_ns:
        raise RequestError(404, f"there is no endpoint {endpoint!r}", "see GET /v1/webhooks")
    row.gone_ns = now_ns


def endpoints(session: Session) -> list[Endpoint]:
    """All receivers."""
    return list(session.scalars(select(Endpoint).where(Endpoint.gone_ns == 0).order_by(Endpoint.at_ns)))


def deliver_due(desk: Desk, limit: int = 40) -> int:
    """Try what is due, and note what became of it; how many were tried."""
    now_ns = desk.clock()
    with desk.database.read() as session:
        rows = session.execute(
            select(Letter, Endpoint)
            .join(Endpoint, Endpoint.id == Letter.endpoint)
            .where(Letter.delivered_ns == 0, Letter.given_up_ns == 0, Letter.next_ns <= now_ns, Endpoint.gone_ns == 0)
            .order_by(Letter.next_ns, Letter.id)
            .limit(limit)
        )
        parcels = [Parcel(row.id, to.url, to.secret, row.name, row.body) for row, to in rows]
    if parcels:
        with ThreadPoolExecutor(AT_ONCE) as pool:
            _note(desk, list(pool.map(lambda parcel: deliver(parcel, now_ns), parcels)))
    return len(parcels)


def deliver(parcel: Parcel, now_ns: int) -> Outcome:
    """One attempt; never raises."""
    stamp = str(now_ns // NANOSECONDS)
    headers = {
        "content-type": "application/json",
        "user-agent": "openaisle",
        "webhook-id": parcel.name,
        "webhook-timestamp": stamp,
        "webhook-signature": signature(parcel.secret, parcel.name, stamp, parcel.body),
    }
    request = urllib.request.Request(parcel.url, parcel.body.encode(), headers, method="POST")
    try:
        with _OPENER.open(request, timeout=PATIENCE_S) as response:
            status = int(response.status)
    except urllib.error.HTTPError as error:
        status = error.code
        error.close()
    except (OSError, http.client.HTTPException, ValueError) as error:
        return Outcome(parcel.letter, False, error=f"{type(error).__name__}: {error}")
    if 200 <= status < 300:
        return Outcome(parcel.letter, True)
    return Outcome(parcel.letter, False, status == GONE, f"answered {status}")


def signature(secret: bytes, name: str, stamp: str, body: str) -> str:
    """The signature of Standard Webhooks."""
    mac = hmac.digest(secret, f"{name}.{stamp}.{body}".encode(), "sha256")
    return "v1," + base64.b64encode(mac).decode()


def wait_s(attempts: int) -> float:
    """Seconds before the next attempt, with a fifth of chance so that many do not come at once."""
    return float(min(LONGEST_WAIT_S, FIRST_WAIT_S * 2 ** min(attempts - 1, 20)) * random.uniform(0.8, 1.2))


def _note(desk: Desk, outcomes: Sequence[Outcome]) -> None:
    now_ns = desk.clock()
    with desk.database.write() as session:
        for outcome in outcomes:
            letter = session.get(Letter, outcome.letter)
            assert letter is not None, "letters are kept"
            letter.attempts += 1
            letter.error = outcome.error[:500]
            if outcome.delivered:
                letter.delivered_ns = letter.delivered_ns or now_ns
                continue
            letter.next_ns = now_ns + int(wait_s(letter.attempts) * NANOSECONDS)
            endpoint = session.get(Endpoint, letter.endpoint)
            if outcome.gone and endpoint is not None:
                endpoint.gone_ns = now_ns
            if outcome.gone or now_ns - letter.at_ns > GIVE_UP_NS:
                letter.given_up_ns = now_ns


class _Stay(urllib.request.HTTPRedirectHandler):
    """A redirect is no delivery: a signed body goes to the address that was given, nowhere else."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Message, newurl: str
    ) -> None:
        return None


_OPENER = urllib.request.build_opener(_Stay)
