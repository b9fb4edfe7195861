"""Who may do what: every route of the app with every way in, with a link of one's own and of another, and with nothing.

The cells are made from the app's routes, so that a route which nobody has put into the table fails; so does the table
of docs/service.md when it says something else.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute

from openaisle.service import keys, signins
from openaisle.service.api.access import SESSION, Allow, FromPage
from openaisle.service.desk import Rules
from openaisle.service.fake_gateway import FakeGateway
from openaisle.service.keys import Role
from openaisle.service.limits import Limiter
from tests.receipts.shops import TEA
from tests.service import desks
from tests.service.shop import LiveShop, open_shop

Cell = tuple[str, str]
OPERATOR, REVIEWER, GATE, SHOPPER = Role.OPERATOR, Role.REVIEWER, Role.GATE, Role.SHOPPER
DESK, OWNER = (OPERATOR, REVIEWER), (OPERATOR, REVIEWER, SHOPPER)
# By key in the header, by capability link, and (GET only) by the cookie of somebody who signed in.
TABLE: dict[Cell, tuple[Role, ...]] = {
    ("POST", "/v1/entries"): (OPERATOR, GATE),
    ("POST", "/v1/exits"): (OPERATOR, GATE),
    ("GET", "/v1/visits"): DESK,
    ("GET", "/v1/labels"): DESK,
    ("GET", "/v1/visits/{visit}"): OWNER,
    ("GET", "/v1/visits/{visit}/receipt"): OWNER,
    ("GET", "/v1/visits/{visit}/stream"): OWNER,
    ("GET", "/v1/visits/{visit}/final"): OWNER,
    ("POST", "/v1/visits/{visit}/disputes"): OWNER,
    ("POST", "/v1/visits/{visit}/corrections"): DESK,
    ("POST", "/v1/visits/{visit}/acceptance"): DESK,
    ("POST", "/v1/visits/{visit}/disputes/{dispute}/answer"): DESK,
    ("POST", "/v1/visits/{visit}/refunds"): (OPERATOR,),
    ("GET", "/v1/day"): DESK,
    ("GET", "/v1/model"): DESK,
    ("GET", "/metrics"): DESK,
    ("POST", "/v1/keys"): (OPERATOR,),
    ("GET", "/v1/keys"): (OPERATOR,),
    ("DELETE", "/v1/keys/{key_id}"): (OPERATOR,),
    ("POST", "/v1/webhooks"): (OPERATOR,),
    ("GET", "/v1/webhooks"): (OPERATOR,),
    ("DELETE", "/v1/webhooks/{endpoint}"): (OPERATOR,),
    ("GET", "/"): DESK,
    ("GET", "/board"): DESK,
    ("GET", "/tiles/{camera}.jpg"): DESK,
    ("GET", "/review"): DESK,
    ("GET", "/products"): DESK,
    ("GET", "/visits/{visit}"): DESK,
    ("GET", "/visits/{visit}/evidence"): DESK,
    ("GET", "/visits/{visit}/stills/{camera}/{time_ns}.jpg"): DESK,
    ("GET", "/visits/{visit}/total"): DESK,
    ("GET", "/shelves"): DESK,
    ("GET", "/health"): DESK,
    ("GET", "/health/now"): DESK,
    ("GET", "/day"): DESK,
    ("GET", "/s/{visit}"): OWNER,
    ("GET", "/s/{visit}/lines"): OWNER,
    ("POST", "/s/{visit}/dispute"): (SHOPPER,),
}
# By the cookie and the page's own token, and by nothing else: not even by the operator's key.
FORMS: dict[Cell, tuple[Role, ...]] = {
    ("POST", "/visits/{visit}/decision"): DESK,
    ("POST", "/visits/{visit}/disputes/{dispute}"): DESK,
    ("POST", "/shelves/count"): DESK,
}
OPEN: set[Cell] = {
    ("GET", "/healthz"), ("GET", "/readyz"), ("GET", "/login"), ("POST", "/login"), ("POST", "/logout"),
    ("POST", "/language"), ("GET", "/static/{name}"), ("GET", "/products/{gtin}.png"),
}  # fmt: skip
OPENAPI: set[Cell] = {("GET", "/openapi.json"), ("HEAD", "/openapi.json")}
CELLS = sorted({*TABLE, *FORMS, *OPEN})
REFUSED = (401, 403)
WAYS = (
    "operator", "reviewer", "gate", "shopper", "another shopper", "operator's cookie", "reviewer's cookie",
    "operator's page", "reviewer's page", "operator's page elsewhere", "reviewer's page elsewhere",
    "old cookie", "nobody", "a liar",
)  # fmt: skip


@dataclass
class Way:
    """How somebody comes: what they send along."""

    headers: dict[str, str] = field(default_factory=dict)
    query: str = ""
    word: str = ""  # of the cookie
    token: str = ""


@dataclass
class Callers:
    """A shop with two visits, and everybody's way in."""

    shop: LiveShop
    visit: str
    ways: dict[str, Way]


@pytest.fixture(scope="module")
def callers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callers]:
    """One shop for all cells: a refused call changes nothing."""
    folder = tmp_path_factory.mktemp("access")
    desk, clock = desks.desk_on(desks.fresh_sqlite(folder))
    shop = open_shop(desk, FakeGateway(folder / "gateway.sqlite", clock))
    mine, others = shop.enter(), shop.enter()
    ways = {role.value: Way(shop.headers(role.value)) for role in (OPERATOR, REVIEWER, GATE)}
    for name, entry in (("shopper", mine), ("another shopper", others)):
        query = "?" + str(entry["link"]).partition("?")[2]
        ways[name] = Way({"Idempotency-Key": "key-of-a-shopper"}, query)
    for role in DESK:
        word = cookie(shop, role)
        ways[f"{role}'s cookie"] = Way({"Idempotency-Key": "key-of-a-cookie"}, word=word)
        ways[f"{role}'s page"] = Way({"Sec-Fetch-Site": "same-origin"}, word=word, token=signins.token(word))
        ways[f"{role}'s page elsewhere"] = Way({"Sec-Fetch-Site": "cross-site"}, word=word, token=signins.token(word))
    old = cookie(shop, OPERATOR)
    with desk.database.write() as session:
        signins.sign_out(session, old)
    ways["old cookie"] = Way(word=old, token=signins.token(old))
    ways["nobody"] = Way({"Idempotency-Key": "key-of-nobody"})
    ways["a liar"] = Way({"Authorization": "Bearer oa_operator_x", "Idempotency-Key": "key-of-a-liar"}, word="x")
    with shop.client:  # one event loop for all
        yield Callers(shop, str(mine["visit"]), ways)


def cookie(shop: LiveShop, role: Role) -> str:
    """A session's word."""
    with shop.desk.database.write() as session:
        word = signins.sign_in(session, shop.secrets[role], (role,), shop.desk.clock())
    assert word is not None
    return word


def allowed(cell: Cell, way: str) -> bool:
    """What the table says."""
    if cell in OPEN:
        return True
    role, _, how = way.partition("'s ")
    if cell in FORMS:
        return how == "page" and role in FORMS[cell]
    if how:
        return cell[0] == "GET" and role in TABLE[cell]
    return role in TABLE[cell]


def routes(app: FastAPI) -> Iterator[APIRoute]:
    """All routes of an app, however deep its routers are."""

    def walk(found: Sequence[object]) -> Iterator[APIRoute]:
        for route in found:
            if isinstance(route, APIRoute):
                yield route
            else:
                inner = getattr(route, "original_router", None)
                yield from walk(list(inner.routes) if inner is not None else [])

    return walk(list(app.routes))


def test_every_route_is_in_the_table_once(callers: Callers) -> None:
    found = [(method, route.path) for route in routes(callers.shop.app) for method in route.methods or ()]
    assert sorted(set(found) - OPENAPI) == CELLS
    assert len(found) == len(set(found))
    assert not set(TABLE) & set(FORMS)


@pytest.mark.parametrize("cell", CELLS, ids=" ".join)
def test_every_cell(callers: Callers, cell: Cell) -> None:
    assert set(WAYS) == set(callers.ways)
    for way in WAYS:
        ask(callers, cell, way)


def ask(callers: Callers, cell: Cell, way: str) -> None:
    """One cell, one way in: the answer is what the table says."""
    method, path = cell
    may = allowed(cell, way)
    if may and path.endswith("/stream"):
        return  # it would never end; test_live.py reads it
    come = callers.ways[way]
    filled = path.format(
        visit=callers.visit, dispute="none", key_id="none", endpoint="none", camera="cam1", time_ns=1, gtin=TEA,
        name="pages.css",
    )  # fmt: skip
    client = callers.shop.client
    client.cookies.clear()
    if come.word and path != "/logout":  # the others need it still
        client.cookies.set(SESSION, come.word)
    api = path.startswith("/v1")
    answer = client.request(
        method, filled + come.query, headers=come.headers, follow_redirects=False,
        json={} if method == "POST" and api else None,
        data={"token": come.token, "words": "w"} if method == "POST" and not api else None,
    )  # fmt: skip
    client.cookies.clear()
    sent_away = answer.status_code == 303 and answer.headers["location"] == "/login"
    refused = answer.status_code in REFUSED or (sent_away and path != "/logout")
    if cell == ("POST", "/login"):
        return  # a door for all; who gets in is in test_signins.py
    if way.endswith("elsewhere") and path == "/logout":
        assert refused  # a form of another site signs nobody out
    elif may:
        assert not refused, f"{way}: {answer.status_code} {answer.text}"
        assert answer.status_code < 500
    else:
        # A body that is wrong as well must not tell a stranger anything about what would be right.
        assert refused, f"{way}: {answer.status_code} {answer.text}"


def test_guards_are_what_the_table_says(callers: Callers) -> None:
    """The dependencies' own words, so that a cell cannot pass by chance."""
    for route in routes(callers.shop.app):
        guards = [d.call for d in route.dependant.dependencies if isinstance(d.call, Allow | FromPage)]
        for method in route.methods or ():
            cell = (method, route.path)
            if cell in OPENAPI:
                continue
            table = FORMS if any(isinstance(guard, FromPage) for guard in guards) else TABLE
            expected = set(table.get(cell, ()))
            # AsReader beside a stricter guard would be two answers to one question.
            assert len(guards) <= 1, cell
            assert {role for guard in guards for role in guard.roles} == expected, cell


def test_the_docs_say_the_same() -> None:
    text = (Path(__file__).parents[2] / "docs" / "service.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`[^|]+) \|([^|]*)\|([^|]*)\|([^|]*)\|([^|]*)\|$", text, re.MULTILINE)
    told: dict[Cell, tuple[str, ...]] = {}
    for names, *cells in rows:
        previous = ""
        for name in re.findall(r"`([^`]+)`", names):
            method, _, path = name.partition(" ") if " " in name else (previous, "", name)
            previous = method
            told[method, path.replace("…", "/v1/visits/{visit}")] = tuple(cell.strip() for cell in cells)
    want = {cell: roles for cell, roles in TABLE.items() if cell[1].startswith("/v1") or cell[1] == "/metrics"}
    for cell, roles in want.items():
        if cell[1].startswith(("/v1/keys", "/v1/webhooks")):
            cell = ("", "/v1/keys" if "keys" in cell[1] else "/v1/webhooks")
        marks = told[cell]
        assert [bool(mark) for mark in marks] == [role in roles for role in (OPERATOR, REVIEWER, GATE, SHOPPER)], cell


def test_a_cookie_is_not_the_key(callers: Callers) -> None:
    shop = callers.shop
    answer = shop.client.post("/login", data={"key": shop.secrets["operator"]}, follow_redirects=False)
    set_cookie = answer.headers["set-cookie"]
    assert shop.secrets["operator"] not in set_cookie
    assert "HttpOnly" in set_cookie
    assert "samesite=strict" in set_cookie.lower()
    shop.client.cookies.clear()
    shop.client.cookies.set(SESSION, shop.secrets["operator"])  # the key itself opens nothing as a cookie
    assert shop.client.get("/v1/visits").status_code == 401
    shop.client.cookies.clear()


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


def test_nothing_of_a_visit_is_in_a_stranger_s_answer(callers: Callers) -> None:
    desks.take(callers.shop.desk, "secret-event", callers.visit)
    come = callers.ways["another shopper"]
    answer = callers.shop.client.get(f"/v1/visits/{callers.visit}{come.query}", headers=come.headers)
    assert TEA not in answer.text
