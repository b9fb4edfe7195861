"""The API: entries that are the same however often they come, receipts in three forms, problems with their fix."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from sqlalchemy import func, select

from openaisle.service import cashier, visits
from openaisle.service.database import Database
from openaisle.service.fake_gateway import FakeGateway
from openaisle.service.tables import Visit
from tests.receipts.shops import MILK, PRICES, TEA
from tests.service import desks
from tests.service.shop import LiveShop, open_shop


@pytest.fixture
def shop(tmp_path: Path) -> LiveShop:
    """On SQLite; what differs between databases is tested below the API."""
    desk, clock = desks.desk_on(desks.fresh_sqlite(tmp_path))
    return open_shop(desk, FakeGateway(tmp_path / "gateway.sqlite", clock))


def visits_in(database: Database) -> int:
    """How many there are."""
    with database.read() as session:
        return session.scalar(select(func.count()).select_from(Visit)) or 0


def test_a_visit_from_entry_to_receipt(shop: LiveShop) -> None:
    entry = shop.enter()
    visit = str(entry["visit"])
    assert (entry["state"], entry["hold_cents"], entry["currency"]) == ("inside", 5000, "EUR")
    desks.take(shop.desk, "e1", visit)
    live = shop.get(f"/v1/visits/{visit}/receipt").json()
    assert live["total_cents"] == PRICES[TEA]
    assert shop.get(f"/v1/visits/{visit}/final").status_code == 404
    assert shop.post("/v1/exits", {"visit": visit}, "gate").json() == {"visit": visit, "how": "left"}
    shop.clerk()
    answer = shop.get(f"/v1/visits/{visit}").json()
    assert (answer["state"], answer["payment"], answer["captured_cents"]) == ("closed", "captured", PRICES[TEA])
    assert answer["final_cents"] == PRICES[TEA]
    assert [entry["event_id"] for entry in answer["entries"]] == ["e1"]


def test_an_entry_that_comes_twice_is_one(shop: LiveShop) -> None:
    form = {"gate": "door", "method": "pm_card_visa"}
    first = shop.post("/v1/entries", form, "gate", "key-11111111")
    again = shop.post("/v1/entries", form, "gate", "key-11111111")
    assert first.json() == again.json()
    assert visits_in(shop.desk.database) == 1
    assert len(shop.gateway.captures()) == 1
    other = shop.post("/v1/entries", {**form, "staff": True}, "gate", "key-11111111")
    assert other.status_code == 422
    assert "used for another request" in other.json()["detail"]


def test_a_declined_card_opens_no_gate_and_stays_declined(shop: LiveShop) -> None:
    form = {"gate": "door", "method": desks.DECLINED}
    for _ in range(2):
        answer = shop.post("/v1/entries", form, "gate", "key-11111111")
        assert answer.status_code == 402
        assert "declined" in answer.json()["detail"]
    assert shop.get("/v1/visits?state=refused").json()["visits"][0]["state"] == "refused"


def test_an_entry_killed_before_its_answer_goes_on_where_it_was(
    shop: LiveShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    form = {"gate": "door", "method": "pm_card_visa"}
    with monkeypatch.context() as patch:
        patch.setattr(cashier, "work", lambda *_: 1 / 0)
        assert shop.post("/v1/entries", form, "gate", "key-11111111").status_code == 500
    answer = shop.post("/v1/entries", form, "gate", "key-11111111")
    assert answer.status_code == 201
    assert visits_in(shop.desk.database) == 1


def test_an_entry_that_nobody_comes_back_for_is_given_up_with_its_hold(
    shop: LiveShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    form = {"gate": "door", "method": "pm_card_visa"}
    with monkeypatch.context() as patch:
        patch.setattr(cashier, "_note", lambda *_: 1 / 0)  # the gateway has been asked, nobody knows
        assert shop.post("/v1/entries", form, "gate", "key-11111111").status_code == 500
    shop.desk.clock.pass_s(121)  # type: ignore[attr-defined]  # a test's clock
    visits.sweep(shop.desk)
    shop.clerk()
    assert shop.post("/v1/entries", form, "gate", "key-11111111").status_code == 402
    visit = shop.get("/v1/visits").json()["visits"][0]["visit"]
    assert shop.get(f"/v1/visits/{visit}").json()["payment"] == "released"


def test_a_gateway_that_is_down_says_ask_again(shop: LiveShop) -> None:
    form = {"gate": "door", "method": "pm_card_visa"}
    shop.gateway.down = True
    answer = shop.post("/v1/entries", form, "gate", "key-11111111")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
    shop.gateway.down = False
    assert shop.post("/v1/entries", form, "gate", "key-11111111").status_code == 201


def test_a_group_shares_a_visit(shop: LiveShop) -> None:
    visit = shop.enter()["visit"]
    assert shop.enter(visit=visit, method="")["people"] == 2
    assert shop.post("/v1/entries", {"gate": "door", "visit": "nobody"}, "gate").status_code == 409
    assert len(shop.gateway.captures()) == 1


def test_exits_name_a_visit_or_need_a_pipeline(shop: LiveShop) -> None:
    assert shop.post("/v1/exits", {"gate": "door"}, "gate").status_code == 409
    assert shop.post("/v1/exits", {"gate": "window"}, "gate").status_code == 422
    assert shop.post("/v1/exits", {"visit": "nobody"}, "gate").status_code == 404


def test_a_final_receipt_in_three_forms(shop: LiveShop) -> None:
    visit = str(shop.enter()["visit"])
    desks.take(shop.desk, "e1", visit)
    shop.post("/v1/exits", {"visit": visit}, "gate")
    shop.clerk()
    path = f"/v1/visits/{visit}/final"
    assert shop.get(path).json()["lines"][0]["gtin"] == TEA
    page = shop.get(path, accept="text/html,application/xhtml+xml")
    assert page.headers["content-type"].startswith("text/html")
    assert "script-src" not in page.headers["content-security-policy"]
    assert "Green tea" in page.text
    linked = shop.get(path, accept="application/ld+json").json()
    assert linked["@type"] == "Invoice"
    assert shop.get(path + "?form=jsonld").json() == linked


def test_corrections_refunds_and_disputes(shop: LiveShop) -> None:
    entry = shop.enter()
    visit, link = str(entry["visit"]), str(entry["link"])
    desks.take(shop.desk, "e1", visit)
    desks.take(shop.desk, "e2", visit, MILK, 2)
    shop.post("/v1/exits", {"visit": visit}, "gate")
    shop.clerk()
    word = link.partition("capability=")[2]
    objection = {"words": "only one milk"}
    path = f"/v1/visits/{visit}/disputes?capability={word}"
    dispute = shop.client.post(path, json=objection, headers={"Idempotency-Key": "shopper-1"})
    assert dispute.status_code == 201
    mend = {"gtin": MILK, "quantity": 1, "supersedes": "e2", "reason": "the clip shows one"}
    assert shop.post(f"/v1/visits/{visit}/corrections", mend, "reviewer").status_code == 201
    answer = {"accepted": True, "words": "You are right."}
    answered = shop.post(f"/v1/visits/{visit}/disputes/{dispute.json()['id']}/answer", answer, "reviewer")
    assert answered.json()["state"] == "accepted"
    shop.post(f"/v1/visits/{visit}/refunds", {"amount_cents": 50, "reason": "goodwill"})
    shop.clerk()
    after = shop.get(f"/v1/visits/{visit}").json()
    assert (after["captured_cents"], after["refunded_cents"]) == (PRICES[TEA] + 2 * PRICES[MILK], PRICES[MILK] + 50)
    assert after["receipt"]["total_cents"] == PRICES[TEA] + PRICES[MILK]
    day = shop.get("/v1/day?day=2026-02-02").json()
    assert (day["visits"], day["final_receipts"], day["captured_cents"]) == (1, 1, after["captured_cents"])


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"gtin": "1", "quantity": 1, "reason": "x"}, 422),
        ({"gtin": TEA, "quantity": 1, "reason": ""}, 422),
        ({"gtin": TEA, "quantity": 0, "reason": "x", "supersedes": "nothing"}, 422),
        ({"gtin": TEA, "quantity": 10**9, "reason": "x"}, 422),
        ({"gtin": TEA, "quantity": 1, "reason": "x", "more": 1}, 422),
    ],
)
def test_corrections_that_mean_nothing_are_refused(shop: LiveShop, body: dict[str, object], status: int) -> None:
    visit = shop.enter()["visit"]
    answer = shop.post(f"/v1/visits/{visit}/corrections", body, "reviewer")
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"


def test_problems_are_as_rfc_9457_has_them(shop: LiveShop) -> None:
    for answer in (
        shop.get("/v1/nothing"),
        shop.get("/v1/visits/nobody"),
        shop.post("/v1/entries", {"gate": 5}),
        shop.client.delete("/v1/visits"),
        shop.client.post("/v1/entries", content=b"x" * 70_000, headers=shop.headers("gate")),
        shop.client.post("/v1/entries", content=b"{", headers=shop.headers("gate")),
    ):
        assert answer.headers["content-type"] == "application/problem+json", answer.text
        problem = answer.json()
        assert problem["status"] == answer.status_code
        assert problem["title"]
        assert problem["type"] == "about:blank"
        assert problem["fix"]


def test_pages_of_visits(shop: LiveShop) -> None:
    names = [str(shop.enter()["visit"]) for _ in range(5)]
    first = shop.get("/v1/visits?limit=3").json()
    rest = shop.get(f"/v1/visits?limit=3&after={first['next']}").json()
    assert rest["next"] == ""
    assert {visit["visit"] for visit in first["visits"] + rest["visits"]} == set(names)


def test_keys_are_shown_once_and_revoked(shop: LiveShop) -> None:
    made = shop.post("/v1/keys", {"name": "kiosk", "role": "gate"})
    assert made.status_code == 201
    assert shop.post("/v1/keys", {"name": "kiosk", "role": "gate"}).status_code == 409
    assert shop.post("/v1/keys", {"name": "me", "role": "shopper"}).status_code == 422
    shop.secrets["kiosk"] = made.json()["key"]
    assert shop.post("/v1/entries", {"gate": "door"}, "kiosk").status_code == 201
    listed = shop.get("/v1/keys").text
    assert made.json()["key"] not in listed
    card = next(card for card in json.loads(listed) if card["name"] == "kiosk")
    assert shop.client.delete(f"/v1/keys/{card['id']}", headers=shop.headers("operator")).status_code == 204
    assert shop.post("/v1/entries", {"gate": "door"}, "kiosk").status_code == 401
    assert made.json()["key"].encode() not in b"".join(p.read_bytes() for p in _files(shop))


def _files(shop: LiveShop) -> list[Path]:
    folder = Path(str(shop.desk.database.engine.url.database)).parent
    return [path for path in folder.iterdir() if path.is_file()]


def test_health_and_metrics(shop: LiveShop) -> None:
    assert shop.client.get("/healthz").json() == {"status": "ok"}
    assert shop.client.get("/readyz").json()["status"] == "ready"
    shop.enter()
    text = shop.get("/metrics", "reviewer").text
    assert 'openaisle_visits{state="inside"} 1.0' in text
    assert 'openaisle_requests_total{method="POST",route="/v1/entries",status="201"} 1.0' in text
    assert shop.client.get("/metrics").status_code == 401


def test_openapi_is_3_1_and_names_the_problem(shop: LiveShop) -> None:
    document = shop.client.get("/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    assert set(document["paths"]) >= {"/v1/entries", "/v1/visits/{visit}/stream", "/metrics"}
    assert "ProblemDetails" in document["components"]["schemas"]
