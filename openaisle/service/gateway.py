"""Gateway: what the service asks of any payment network: hold an amount, capture it once, give it back.

Every call carries an idempotency key: the same key with the same words has one effect and one answer. A gateway
raises PaymentRefusedError for a final no, and GatewayDownError when nothing is known; then the same call is made again.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from openaisle.errors import Problem, ServiceError


class Gateway(Protocol):
    """A payment network."""

    name: str

    def authorise(self, key: str, amount_cents: int, currency: str, method: str) -> str:
        """Hold an amount on a card (`method` is the gateway's own token of it); the payment's reference."""
        ...

    def capture(self, key: str, reference: str, amount_cents: int) -> None:
        """Take at most the held amount, once; the rest of the hold is released."""
        ...

    def cancel(self, key: str, reference: str) -> None:
        """Release a hold that was not captured."""
        ...

    def refund(self, key: str, reference: str, amount_cents: int) -> str:
        """Give back part of what was captured; the refund's reference."""
        ...


def open_gateway(name: str, folder: Path) -> Gateway:
    """`fake` (in the data folder) or `stripe` (key in STRIPE_API_KEY); raises ServiceError, MissingExtraError."""
    from openaisle.service.fake_gateway import FakeGateway
    from openaisle.service.stripe_gateway import StripeGateway

    if name == "fake":
        return FakeGateway(folder / "fake-gateway.sqlite")
    if name == "stripe":
        return StripeGateway.from_environment()
    raise ServiceError([Problem("settings", "gateway", f"there is no gateway {name!r}", "use fake or stripe")])
