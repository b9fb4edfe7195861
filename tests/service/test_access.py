"""Who may do what: every endpoint with every role, with a link of one's own and of another, and with nothing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from fastapi.routing import APIRoute

from openaisle.service import keys
from openaisle.service.api import gates, house, live, receipts
from openaisle.service.api.access import Allow
from openaisle.service.desk import Rules
from openaisle.service.fake_gateway import FakeGateway
from openaisle.service.keys import Role
from openaisle.service.limits import Limiter
from tests.receipts.shops import TEA
from tests.service import desks
from tests.service.shop import LiveShop, open_shop

OPERATOR, REVIEWER, GATE, SHOPPER = Role.OPERATOR, Role.REVIEWER, Role.GATE, Role.SHOPPER
# The table of docs/service.md: who may call what.
TABLE: dict[tuple[str, str], tuple[Role, ...]] = {
    ("POST", "/v1/entries"): (OPERATOR, GATE),
    ("POST", "/v1/exits"): (OPERATOR, GATE),
    ("GET", "/v1/visits"): (OPERATOR, REVIEWER),
    ("GET", "/v1/visits/{visit}"): (OPERATOR, REVIEWER, SHOPPER),
    ("GET", "/v1/visits/{visit}/receipt"): (OPERATOR, REVIEWER, SHOPPER),
    ("GET", "/v1/visits/{visit}/stream"): (OPERATOR, REVIEWER, SHOPPER),
    ("GET", "/v1/visits/{visit}/final"): (OPERATOR, REVIEWER, SHOPPER),
    ("POST", "/v1/visits/{visit}/disputes"): (OPERATOR, REVIEWER, SHOPPER),
    ("POST", "/v1/visits/{visit}/corrections"): (OPERATOR, REVIEWER),
    ("POST", "/v1/visits/{visit}/acceptance"): (OPERATOR, REVIEWER),
    ("POST", "/v1/visits/{visit}/disputes/{dispute}/answer"): (OPERATOR, REVIEWER),
    ("POST", "/v1/visits/{visit}/refunds"): (OPERATOR,),
    ("GET", "/v1/day"): (OPERATOR, REVIEWER),
    ("GET", "/metrics"): (OPERATOR, REVIEWER),
    ("POST", "/v1/keys"): (OPERATOR,),
    ("GET", "/v1/keys"): (OPERATOR,),
    ("DELETE", "/v1/keys/{key_id}"): (OPERATOR,),
    ("POST", "/v1/webhooks"): (OPERATOR,),
    ("GET", "/v1/webhooks"): (OPERATOR,),
    ("DELETE", "/v1/webhooks/{endpoint}"): (OPERATOR,),
}
OPEN = {("GET", "/healthz"), ("GET", "/readyz")}


@dataclass
class Callers:
    """A shop with two visits, and everybody's way in: (headers, query)."""

    shop: LiveShop
    visit: str
    ways: dict[str, tuple[dict[str, str], str]]


@pytest.fixture(scope="module")
def callers(tmp_path_factory: pytest.TempPathFactory) -> Callers:
    """One shop for all cells: a refused call changes nothing."""
    folder = tmp_path_factory.mktemp("access")
    desk, clock = desks.desk_on(desks.fresh_sqlite(folder))
    shop = open_shop(desk, FakeGateway(folder / "gateway.sqlite", clock))
    mine, others = shop.enter(), shop.enter()
    ways = {role.value: (shop.headers(role.value), "") for role in (OPERATOR, REVIEWER, GATE)}
    for name, entry in (("shopper", mine), ("another shopper", others)):
        ways[name] = ({"Idempotency-Key": "key-of-a-shopper"}, "?" + str(entry["link"]).partition("?")[2])
    ways["nobody"] = ({"Idempotency-Key": "key-of-nobody"}, "")
    ways["a liar"] = ({"Authorization": "Bearer oa_operator_x", "Idempotency-Key": "key-of-a-liar"}, "")
    return Callers(shop, str(mine["visit"]), ways)


def routes() -> set[tuple[str, str]]:
    """All routes of the API."""
    found = [r for router in (gates.router, receipts.router, live.router, house.router) for r in router.routes]
    return {(method, route.path) for route in found if isinstance(route, APIRoute) for method in route.methods or ()}


def test_the_table_has_every_endpoint() -> None:
    assert routes() == set(TABLE) | OPEN


@pytest.mark.parametrize("way", ["operator", "reviewer", "gate", "shopper", "another shopper", "nobody", "a liar"])
@pytest.mark.parametrize("cell", sorted(TABLE), ids=" ".join)
def test_every_cell(callers: Callers, cell: tuple[str, str], way: str) -> None:
    method, path = cell
    allowed = way in TABLE[cell]
    if allowed and path.endswith("/stream"):
        return  # it would never end; test_live.py reads it
    headers, query = callers.ways[way]
    filled = path.format(visit=callers.visit, dispute="none", key_id="none", endpoint="none") + query
    answer = callers.shop.client.request(method, filled, headers=headers, json={} if method == "POST" else None)
    if allowed:
        assert answer.status_code not in (401, 403), answer.text
        assert answer.status_code < 500
    else:
        # A body that is wrong as well must not tell a stranger anything about what would be right.
        assert answer.status_code in (401, 403), f"{way}: {answer.status_code} {answer.text}"


def test_a_session_cookie_reads_and_never_writes(callers: Callers) -> None:
    secret = callers.shop.secrets["operator"]
    callers.shop.client.cookies.set("aisle_session", secret)
    try:
        assert callers.shop.client.get("/v1/visits").status_code == 200
        form = {"gate": "door"}
        answer = callers.shop.client.post("/v1/entries", json=form, headers={"Idempotency-Key": "key-by-cookie"})
        assert answer.status_code == 401
    finally:
        callers.shop.client.cookies.clear()


def test_capabilities_are_of_one_visit_and_cannot_be_made_up() -> None:
    secret = b"s" * 32
    word = keys.capability(secret, "v1")
    assert keys.opens(secret, "v1", word)
    assert not keys.opens(secret, "v2", word)
    assert not keys.opens(b"t" * 32, "v1", word)
    assert not keys.opens(secret, "v1", "ä")


def test_a_bucket_empties_and_fills() -> None:
    now = [0.0]
    limiter = Limiter(2.0, 3, lambda: now[0])
    assert [limiter.wait_s("a") for _ in range(3)] == [0.0, 0.0, 0.0]
    assert limiter.wait_s("a") == pytest.approx(0.5)
    assert limiter.wait_s("b") == 0.0
    now[0] = 0.5
    assert limiter.wait_s("a") == 0.0


def test_who_asks_too_often_waits_and_guesses_are_dear(tmp_path: Path) -> None:
    desk, clock = desks.desk_on(desks.fresh_sqlite(tmp_path), Rules(requests_per_s=0.01, request_burst=12))
    shop = open_shop(desk, FakeGateway(tmp_path / "gateway.sqlite", clock))
    statuses = [shop.get("/v1/keys").status_code for _ in range(14)]
    assert statuses == [200] * 12 + [429] * 2
    last = shop.get("/v1/keys")
    assert int(last.headers["retry-after"]) >= 1
    wrong = {"Authorization": "Bearer guess"}
    assert [shop.client.get("/v1/keys", headers=wrong).status_code for _ in range(4)] == [401, 401, 429, 429]


def test_guards_are_what_the_table_says() -> None:
    """The dependency's own words, so that a cell cannot pass by chance."""
    for router in (gates.router, receipts.router, live.router, house.router):
        for route in router.routes:
            assert isinstance(route, APIRoute)
            guards = [d.call for d in route.dependant.dependencies if isinstance(d.call, Allow)]
            for method in route.methods or ():
                expected = set(TABLE.get((method, route.path), ()))
                assert {role for guard in guards for role in guard.roles} == expected


def test_nothing_of_a_visit_is_in_a_stranger_s_answer(callers: Callers) -> None:
    desks.take(callers.shop.desk, "secret-event", callers.visit)
    headers, query = callers.ways["another shopper"]
    answer = callers.shop.client.get(f"/v1/visits/{callers.visit}{query}", headers=headers)
    assert TEA not in answer.text
