"""The pages: for those who may, with nothing inline, and with every word escaped."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from openaisle.service.fake_gateway import FakeGateway
from openaisle.service.tables import Run
from tests.receipts.shops import TEA
from tests.service import desks
from tests.service.shop import LiveShop, open_shop

EVIL = '<script>alert("tea")</script>'


@pytest.fixture
def shop(tmp_path: Path) -> LiveShop:
    """A shop that sells something with a name."""
    desk, clock = desks.desk_on(desks.fresh_sqlite(tmp_path))
    products = tuple(p.model_copy(update={"name": EVIL}) if p.gtin == TEA else p for p in desk.store.products)
    named = replace(desk, store=replace(desk.store, products=products))
    return open_shop(named, FakeGateway(tmp_path / "gateway.sqlite", clock))


def sign_in(shop: LiveShop, role: str) -> int:
    """Status of the login; the client keeps the cookie."""
    answer = shop.client.post("/login", data={"key": shop.secrets[role]}, follow_redirects=False)
    return int(answer.status_code)


def strict(html: str, policy: str) -> None:
    """No inline script, style or handler, and a policy that would stop them."""
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy
    assert re.findall(r"<script[^>]*>", html) in (['<script src="/static/live.js" defer>'], [])
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=", html)


def test_strangers_are_sent_to_sign_in(shop: LiveShop) -> None:
    answer = shop.client.get("/", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, "/login")
    assert shop.client.get("/board").status_code == 401
    assert shop.client.post("/login", data={"key": "oa_operator_guess"}).status_code == 401
    assert sign_in(shop, "gate") == 401
    assert "aisle_session" not in shop.client.cookies


def test_the_dashboard_shows_visits_people_and_the_day(shop: LiveShop) -> None:
    visit = str(shop.enter()["visit"])
    desks.take(shop.desk, "e1", visit)
    with shop.desk.database.write() as session:
        tracks = '[{"visit": "v", "x_m": 1.0, "y_m": 0.5}]'
        now_ns = shop.desk.clock()
        session.add(
            Run(id="r1", source="s", model="m", seed=0, start_ns=0, tracks=tracks, at_ns=now_ns, beat_ns=now_ns)
        )
    assert sign_in(shop, "reviewer") == 303
    page = shop.client.get("/")
    assert page.status_code == 200
    strict(page.text, page.headers["content-security-policy"])
    assert visit in page.text
    assert "2.99\N{NO-BREAK SPACE}EUR" in page.text
    assert page.text.count("<circle") == 1
    assert EVIL not in page.text
    assert "&lt;script&gt;" in page.text
    board = shop.client.get("/board").text
    assert board.strip() in page.text
    shop.client.post("/logout")
    assert shop.client.get("/board").status_code == 401


def test_a_shopper_sees_their_own_receipt_and_no_other(shop: LiveShop) -> None:
    mine, other = shop.enter(), shop.enter()
    visit = str(mine["visit"])
    desks.take(shop.desk, "e1", visit)
    page = shop.client.get(str(mine["link"]))
    strict(page.text, page.headers["content-security-policy"])
    assert "2.99" in page.text
    assert "You are in" in page.text
    assert page.headers["referrer-policy"] == "no-referrer"
    word = str(other["link"]).partition("capability=")[2]
    assert shop.client.get(f"/s/{visit}?capability={word}").status_code == 401
    shop.post("/v1/exits", {"visit": visit}, "gate")
    shop.clerk()
    lines = shop.client.get(str(mine["link"]).replace("?", "/lines?")).text
    assert "Thank you!" in lines
    printed = re.search(r'href="([^"]+)"', lines)
    assert printed is not None
    assert shop.client.get(printed.group(1).replace("&amp;", "&")).status_code == 200


@pytest.mark.parametrize("name", ["pages.css", "live.js"])
def test_script_and_style_are_files(shop: LiveShop, name: str) -> None:
    assert shop.client.get(f"/static/{name}").status_code == 200
    assert shop.client.get(f"/static/..%2F{name}").status_code == 404
