"""StripeGateway: the Gateway on Stripe's SDK; the one door through which `stripe` comes in (extra: stripe).

A hold is a PaymentIntent with manual capture. Stripe forgets idempotency keys after a day, so a refund, which could
happen twice, is looked for among the payment's refunds by its key before it is made.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from openaisle.errors import GatewayDownError, MissingExtraError, PaymentRefusedError, Problem, ServiceError

if TYPE_CHECKING:
    from stripe import StripeClient

VARIABLE = "STRIPE_API_KEY"
KEY = "openaisle_key"  # in the metadata of everything we make
PATIENCE_S = 20


class StripeGateway:
    """See the module."""

    name = "stripe"

    def __init__(self, client: StripeClient) -> None:
        self._client = client

    @classmethod
    def from_environment(cls) -> StripeGateway:
        """A client with the key of the environment; raises ServiceError, MissingExtraError."""
        try:
            from stripe import RequestsClient, StripeClient
        except ImportError as error:
            raise MissingExtraError("stripe", "stripe") from error
        key = os.environ.get(VARIABLE, "")
        if not key:
            what = f"the variable {VARIABLE} is not set"
            raise ServiceError(
                [Problem("environment", VARIABLE, what, f"export {VARIABLE}=sk_... before `aisle serve`")]
            )
        return cls(StripeClient(key, http_client=RequestsClient(timeout=PATIENCE_S)))

    def authorise(self, key: str, amount_cents: int, currency: str, method: str) -> str:
        """A confirmed PaymentIntent that waits for its capture."""
        with _translated():
            intent = self._client.v1.payment_intents.create(
                {
                    "amount": amount_cents,
                    "currency": currency.lower(),
                    "payment_method": method,
                    "capture_method": "manual",
                    "confirm": True,
                    "automatic_payment_methods": {"enabled": True, "allow_redirects": "never"},
                    "metadata": {KEY: key},
                },
                {"idempotency_key": key},
            )
        if intent.status != "requires_capture":
            raise PaymentRefusedError("not_held", f"the payment is {intent.status}, not held")
        return intent.id

    def capture(self, key: str, reference: str, amount_cents: int) -> None:
        """Capture; an intent that has been captured with this amount already is as good."""
        with _translated():
            before = self._client.v1.payment_intents.retrieve(reference)
            if before.status == "succeeded" and before.amount_received == amount_cents:
                return
            self._client.v1.payment_intents.capture(
                reference, {"amount_to_capture": amount_cents}, {"idempotency_key": key}
            )

    def cancel(self, key: str, reference: str) -> None:
        """Cancel; an intent that is cancelled already is as good."""
        with _translated():
            if self._client.v1.payment_intents.retrieve(reference).status == "canceled":
                return
            self._client.v1.payment_intents.cancel(reference, {}, {"idempotency_key": key})

    def refund(self, key: str, reference: str, amount_cents: int) -> str:
        """The refund that was made under this key, or a new one."""
        with _translated():
            made = self._client.v1.refunds.list({"payment_intent": reference, "limit": 100})
            for refund in made.auto_paging_iter():
                if refund.metadata and KEY in refund.metadata and refund.metadata[KEY] == key:
                    return refund.id
            refund = self._client.v1.refunds.create(
                {"payment_intent": reference, "amount": amount_cents, "metadata": {KEY: key}}, {"idempotency_key": key}
            )
        return refund.id


@contextmanager
def _translated() -> Iterator[None]:
    """Stripe's errors as ours: what is final, and what to ask again."""
    try:
        import stripe
    except ImportError as error:
        raise MissingExtraError("stripe", "stripe") from error
    try:
        yield
    except (stripe.CardError, stripe.InvalidRequestError, stripe.IdempotencyError) as error:
        if error.http_status == 409:  # the first request under this key is still at work
            raise GatewayDownError(f"stripe: {error.user_message or error}") from error
        raise PaymentRefusedError(error.code or "refused", error.user_message or str(error)) from error
    except stripe.StripeError as error:  # connection, rate limit, a wrong key: nothing is known
        raise GatewayDownError(f"stripe: {error.user_message or error}") from error
