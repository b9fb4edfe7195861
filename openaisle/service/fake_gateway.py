"""FakeGateway: a payment network in a file, with Stripe's rules for idempotency keys, holds, captures and refunds.

It lives in a SQLite file of its own, as the outside world that it stands for: a service that is killed does not take it
along. Rules, as Stripe documents them:

- The first answer under a key is kept and repeated, refusals included; other words under the same key are an error.
  Keys are forgotten after a day.
- A hold lasts seven days. It is captured once, for at most its amount; what is left of it is released. Refunds
  together never exceed what was captured. Only a hold that is not captured can be cancelled.
- Test cards: pm_card_visa pays; pm_card_visa_chargeDeclined and pm_card_chargeDeclinedInsufficientFunds do not.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from openaisle.errors import GatewayDownError, PaymentRefusedError

DAY_NS = 86_400 * 1_000_000_000
DECLINED = {
    "pm_card_visa_chargeDeclined": ("card_declined", "Your card was declined."),
    "pm_card_chargeDeclinedInsufficientFunds": ("card_declined", "Your card has insufficient funds."),
}
KNOWN = ("pm_card_visa", "pm_card_mastercard", "pm_card_amex", *DECLINED)
TABLES = """
CREATE TABLE IF NOT EXISTS keys (key TEXT PRIMARY KEY, words TEXT, answer TEXT, at_ns INTEGER);
CREATE TABLE IF NOT EXISTS payments (id INTEGER PRIMARY KEY AUTOINCREMENT, reference TEXT UNIQUE, currency TEXT,
    amount INTEGER, captured INTEGER DEFAULT 0, captures INTEGER DEFAULT 0, refunded INTEGER DEFAULT 0, state TEXT,
    at_ns INTEGER);
CREATE TABLE IF NOT EXISTS refunds (id INTEGER PRIMARY KEY AUTOINCREMENT, payment TEXT, amount INTEGER);
"""


class FakeGateway:
    """See the module. `down` makes every call fail before anything happens, for tests."""

    name = "fake"

    def __init__(self, path: Path, clock: Callable[[], int] = time.time_ns) -> None:
        self.path, self._clock = path, clock
        self.down = False
        with self._connected() as connection:
            connection.executescript(TABLES)

    def authorise(self, key: str, amount_cents: int, currency: str, method: str) -> str:
        """Hold an amount on one of the test cards."""

        def work(connection: sqlite3.Connection) -> str:
            if amount_cents <= 0:
                raise PaymentRefusedError("parameter_invalid_integer", "An amount must be greater than 0.")
            if method not in KNOWN:
                raise PaymentRefusedError("resource_missing", f"No such PaymentMethod: {method!r}")
            if method in DECLINED:
                raise PaymentRefusedError(*DECLINED[method])
            row = connection.execute(
                "INSERT INTO payments (currency, amount, state, at_ns) VALUES (?, ?, 'requires_capture', ?)",
                (currency, amount_cents, self._clock()),
            )
            reference = f"pi_fake_{row.lastrowid}"
            connection.execute("UPDATE payments SET reference = ? WHERE id = ?", (reference, row.lastrowid))
            return reference

        return self._once(key, ["authorise", amount_cents, currency, method], work)

    def capture(self, key: str, reference: str, amount_cents: int) -> None:
        """Take at most the hold, once."""

        def work(connection: sqlite3.Connection) -> str:
            amount, _, state = self._payment(connection, reference)
            if state != "requires_capture":
                raise PaymentRefusedError("payment_intent_unexpected_state", f"The payment is {state}.")
            if not 0 < amount_cents <= amount:
                raise PaymentRefusedError("amount_too_large", f"{amount_cents} is not within the hold of {amount}.")
            connection.execute(
                "UPDATE payments SET state = 'succeeded', captured = ?, captures = captures + 1 WHERE reference = ?",
                (amount_cents, reference),
            )
            return reference

        self._once(key, ["capture", reference, amount_cents], work)

    def cancel(self, key: str, reference: str) -> None:
        """Release a hold."""

        def work(connection: sqlite3.Connection) -> str:
            _, _, state = self._payment(connection, reference)
            if state != "requires_capture":
                raise PaymentRefusedError("payment_intent_unexpected_state", f"The payment is {state}.")
            connection.execute("UPDATE payments SET state = 'canceled' WHERE reference = ?", (reference,))
            return reference

        self._once(key, ["cancel", reference], work)

    def refund(self, key: str, reference: str, amount_cents: int) -> str:
        """Give back part of what was captured."""

        def work(connection: sqlite3.Connection) -> str:
            _, left, state = self._payment(connection, reference)
            if state != "succeeded":
                raise PaymentRefusedError("charge_not_captured", f"The payment is {state}.")
            if not 0 < amount_cents <= left:
                raise PaymentRefusedError("charge_already_refunded", f"{amount_cents} is not within {left}.")
            connection.execute(
                "UPDATE payments SET refunded = refunded + ? WHERE reference = ?", (amount_cents, reference)
            )
            row = connection.execute("INSERT INTO refunds (payment, amount) VALUES (?, ?)", (reference, amount_cents))
            return f"re_fake_{row.lastrowid}"

        return self._once(key, ["refund", reference, amount_cents], work)

    def captures(self) -> dict[str, tuple[int, int, int]]:
        """{reference: (captures, captured cents, refunded cents)}, for tests and the demo."""
        with self._connected() as connection:
            rows = connection.execute("SELECT reference, captures, captured, refunded FROM payments").fetchall()
        return {reference: (captures, captured, refunded) for reference, captures, captured, refunded in rows}

    def _payment(self, connection: sqlite3.Connection, reference: str) -> tuple[int, int, str]:
        """(held amount, captured and not refunded, state); holds that are too old are over."""
        connection.execute(
            "UPDATE payments SET state = 'canceled' WHERE state = 'requires_capture' AND at_ns < ?",
            (self._clock() - 7 * DAY_NS,),
        )
        row = connection.execute(
            "SELECT amount, captured - refunded, state FROM payments WHERE reference = ?", (reference,)
        ).fetchone()
        if row is None:
            raise PaymentRefusedError("resource_missing", f"No such PaymentIntent: {reference!r}")
        return int(row[0]), int(row[1]), str(row[2])

    def _once(self, key: str, words: list[str | int], work: Callable[[sqlite3.Connection], str]) -> str:
        """The answer kept under a key, or that of `work`; effect and answer are one transaction."""
        if self.down:
            raise GatewayDownError("fake gateway: down")
        asked = json.dumps(words)
        with self._connected() as connection:
            connection.execute("DELETE FROM keys WHERE at_ns < ?", (self._clock() - DAY_NS,))
            row = connection.execute("SELECT words, answer FROM keys WHERE key = ?", (key,)).fetchone()
            if row is not None and row[0] != asked:
                raise PaymentRefusedError(
                    "idempotency_error", f"Keys for idempotent requests belong to the same words: {key!r}."
                )
            answer = json.loads(row[1]) if row is not None else self._answer(connection, work)
            if row is None:
                connection.execute(
                    "INSERT INTO keys VALUES (?, ?, ?, ?)", (key, asked, json.dumps(answer), self._clock())
                )
        if "code" in answer:
            raise PaymentRefusedError(answer["code"], answer["what"])
        return str(answer["reference"])

    @staticmethod
    def _answer(connection: sqlite3.Connection, work: Callable[[sqlite3.Connection], str]) -> dict[str, str]:
        try:
            return {"reference": work(connection)}
        except PaymentRefusedError as error:
            return {"code": error.code, "what": str(error).partition(": ")[2]}

    @contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self.path, timeout=30, isolation_level=None)) as connection:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                connection.rollback()
                raise
            if connection.in_transaction:  # executescript commits by itself
                connection.execute("COMMIT")
