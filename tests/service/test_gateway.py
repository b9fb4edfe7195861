"""The fake payment network keeps Stripe's rules; Stripe's SDK is spoken to as Stripe's API is documented."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs

import pytest

from openaisle.errors import GatewayDownError, PaymentRefusedError, ServiceError
from openaisle.service.fake_gateway import FakeGateway
from openaisle.service.gateway import open_gateway
from openaisle.service.stripe_gateway import StripeGateway
from tests.service.desks import CARD, DECLINED, Clock


@pytest.fixture
def clock() -> Clock:
    """A clock without a desk."""
    return Clock()


@pytest.fixture
def fake(tmp_path: Path, clock: Clock) -> FakeGateway:
    """A fresh network."""
    return FakeGateway(tmp_path / "gateway.sqlite", clock)


def refused(code: str, call: Callable[[], object]) -> None:
    """The call is refused for good, for this reason."""
    with pytest.raises(PaymentRefusedError) as caught:
        call()
    assert caught.value.code == code


def test_the_same_key_has_one_effect_and_one_answer(fake: FakeGateway, tmp_path: Path, clock: Clock) -> None:
    first = fake.authorise("k1", 500, "EUR", CARD)
    other_process = FakeGateway(tmp_path / "gateway.sqlite", clock)
    assert other_process.authorise("k1", 500, "EUR", CARD) == first
    assert len(fake.captures()) == 1
    refused("idempotency_error", lambda: fake.authorise("k1", 501, "EUR", CARD))
    clock.pass_s(86_401)  # the key is forgotten
    assert fake.authorise("k1", 500, "EUR", CARD) != first


def test_a_refusal_is_kept_as_well(fake: FakeGateway) -> None:
    refused("card_declined", lambda: fake.authorise("k1", 500, "EUR", DECLINED))
    refused("card_declined", lambda: fake.authorise("k1", 500, "EUR", DECLINED))
    refused("idempotency_error", lambda: fake.authorise("k1", 500, "EUR", CARD))


def test_a_hold_is_captured_once_and_within_its_amount(fake: FakeGateway) -> None:
    payment = fake.authorise("a", 500, "EUR", CARD)
    refused("amount_too_large", lambda: fake.capture("c1", payment, 501))
    fake.capture("c2", payment, 300)
    fake.capture("c2", payment, 300)  # repeated
    refused("payment_intent_unexpected_state", lambda: fake.capture("c3", payment, 300))
    refused("payment_intent_unexpected_state", lambda: fake.cancel("x", payment))
    assert fake.captures()[payment] == (1, 300, 0)


def test_refunds_never_exceed_what_was_captured(fake: FakeGateway) -> None:
    payment = fake.authorise("a", 500, "EUR", CARD)
    refused("charge_not_captured", lambda: fake.refund("r0", payment, 1))
    fake.capture("c", payment, 300)
    assert fake.refund("r1", payment, 200) == fake.refund("r1", payment, 200)
    refused("charge_already_refunded", lambda: fake.refund("r2", payment, 101))
    fake.refund("r3", payment, 100)
    assert fake.captures()[payment] == (1, 300, 300)


def test_a_hold_ends_after_a_week_or_by_cancel(fake: FakeGateway, clock: Clock) -> None:
    old, given_back = fake.authorise("a", 500, "EUR", CARD), fake.authorise("b", 500, "EUR", CARD)
    fake.cancel("x", given_back)
    refused("payment_intent_unexpected_state", lambda: fake.capture("c1", given_back, 5))
    clock.pass_s(7 * 86_400 + 1)
    refused("payment_intent_unexpected_state", lambda: fake.capture("c2", old, 5))
    refused("resource_missing", lambda: fake.capture("c3", "pi_fake_99", 5))


def test_unknown_gateways_and_missing_keys_say_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ServiceError, match="use fake or stripe"):
        open_gateway("paypal", tmp_path)
    monkeypatch.delenv("STRIPE_API_KEY", raising=False)
    with pytest.raises(ServiceError, match="export STRIPE_API_KEY"):
        open_gateway("stripe", tmp_path)


class StripeStub(BaseHTTPRequestHandler):
    """As much of api.stripe.com as the gateway uses; `log` has (method, path, key, form)."""

    log: list[tuple[str, str, str, dict[str, list[str]]]]
    answers: list[tuple[int, object]]

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0))).decode()
        path = self.path.partition("?")[0]
        self.log.append((self.command, path, self.headers.get("idempotency-key", ""), parse_qs(body)))
        status, answer = self.answers.pop(0)
        data = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = _answer

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


@pytest.fixture
def stripe() -> Iterator[tuple[StripeGateway, type[StripeStub]]]:
    """The gateway on a stub of Stripe."""
    sdk = pytest.importorskip("stripe")
    stub = type("Stub", (StripeStub,), {"log": [], "answers": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), stub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    base = f"http://127.0.0.1:{server.server_port}"
    client = sdk.StripeClient("sk_test_1", base_addresses={"api": base}, max_network_retries=0)
    yield StripeGateway(client), stub
    server.shutdown()
    server.server_close()


def intent(status: str, received: int = 0) -> dict[str, object]:
    """A PaymentIntent as Stripe sends it."""
    return {"id": "pi_1", "object": "payment_intent", "status": status, "amount_received": received}


def test_stripe_holds_and_captures(stripe: tuple[StripeGateway, type[StripeStub]]) -> None:
    gateway, stub = stripe
    stub.answers += [(200, intent("requires_capture"))] * 2 + [(200, intent("succeeded", 300))] * 2
    assert gateway.authorise("v1:authorise", 5000, "EUR", CARD) == "pi_1"
    gateway.capture("v1:capture", "pi_1", 300)
    gateway.capture("v1:capture", "pi_1", 300)  # long after: Stripe has forgotten the key, but not the payment
    method, path, key, form = stub.log[0]
    assert (method, path, key) == ("POST", "/v1/payment_intents", "v1:authorise")
    assert form["capture_method"] == ["manual"]
    assert form["currency"] == ["eur"]
    assert form["amount"] == ["5000"]
    assert [entry[1:3] for entry in stub.log if entry[0] == "POST"][1:] == [
        ("/v1/payment_intents/pi_1/capture", "v1:capture")
    ]


def test_stripe_refunds_are_looked_for_before_they_are_made(stripe: tuple[StripeGateway, type[StripeStub]]) -> None:
    gateway, stub = stripe
    made = {"id": "re_1", "object": "refund", "metadata": {"openaisle_key": "v1:refund:1"}}
    none: dict[str, object] = {"object": "list", "data": [], "has_more": False, "url": "/v1/refunds"}
    stub.answers += [(200, none), (200, made), (200, {**none, "data": [made]})]
    assert gateway.refund("v1:refund:1", "pi_1", 100) == "re_1"
    assert gateway.refund("v1:refund:1", "pi_1", 100) == "re_1"
    assert [entry[0] for entry in stub.log] == ["GET", "POST", "GET"]


def test_stripe_errors_are_final_or_worth_another_try(stripe: tuple[StripeGateway, type[StripeStub]]) -> None:
    gateway, stub = stripe
    card = {"error": {"type": "card_error", "code": "card_declined", "message": "Your card was declined."}}
    busy = {"error": {"type": "idempotency_error", "message": "in use"}}
    stub.answers += [(402, card), (409, busy), (500, {"error": {"type": "api_error", "message": "?"}}), (429, busy)]
    refused("card_declined", lambda: gateway.authorise("a", 5, "EUR", CARD))
    for _ in range(3):
        with pytest.raises(GatewayDownError):
            gateway.authorise("a", 5, "EUR", CARD)
    stub.answers += [(200, intent("requires_action"))]
    refused("not_held", lambda: gateway.authorise("a", 5, "EUR", CARD))
