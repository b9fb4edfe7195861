"""The pages: for those who may, with nothing inline, with every word escaped and in the reader's language."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from openaisle.service import labels
from openaisle.service.fake_gateway import FakeGateway
from openaisle.service.states import HowLeft
from openaisle.service.tables import Run
from openaisle.service.tracks import PEOPLE, Person
from openaisle.service.web.frame import STATIC
from tests.receipts.shops import MILK, TEA
from tests.service import desks
from tests.service.shop import LiveShop, open_shop

EVIL = '<script>alert("tea")</script>'
PATHS = ("/", "/review", "/visits/v1", "/visits/v2", "/shelves", "/health", "/day", "/login", "/visits/x")


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[LiveShop]:
    """A shop that sells something with a name."""
    desk, clock = desks.desk_on(desks.fresh_sqlite(tmp_path))
    products = tuple(p.model_copy(update={"name": EVIL}) if p.gtin == TEA else p for p in desk.store.products)
    named = replace(desk, store=replace(desk.store, products=products))
    opened = open_shop(named, FakeGateway(tmp_path / "gateway.sqlite", clock), tmp_path)
    with opened.client:
        yield opened


def sign_in(shop: LiveShop, role: str) -> int:
    """Status of the login; the client keeps the cookie."""
    answer = shop.client.post("/login", data={"key": shop.secrets[role]}, follow_redirects=False)
    return int(answer.status_code)


def strict(html: str, policy: str) -> None:
    """No inline script, style or handler, and a policy that would stop them."""
    assert "script-src 'self'" in policy
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert all(re.fullmatch(r'<script src="/static/[^"]+" defer>', tag) for tag in re.findall(r"<script[^>]*>", html))
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=|(?:src|href)=\"(?!/|#)", html)


def fields(html: str) -> dict[str, str]:
    """The hidden fields of a page's first form that decides, and its units."""
    form = html[html.index('id="basket"') :]
    return dict(re.findall(r'name="([^"]+)"(?: type="[a-z]+")? value="([^"]*)"', form[: form.index("</form>")]))


def held(shop: LiveShop, visit: str = "v1") -> str:
    """A visit whose receipt waits for a person."""
    desks.come_in(shop.desk, visit, method=desks.CARD)
    shop.clerk()
    desks.take(shop.desk, f"{visit}-e1", visit)
    desks.go(shop.desk, visit, HowLeft.NEVER)
    shop.clerk()
    return visit


def test_strangers_are_sent_to_sign_in(shop: LiveShop) -> None:
    answer = shop.client.get("/review", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, "/login")
    part = shop.client.get("/board", headers={"HX-Request": "true"})
    assert (part.status_code, part.headers["hx-redirect"]) == (401, "/login")
    assert shop.client.post("/login", data={"key": "oa_operator_guess"}).status_code == 401
    assert sign_in(shop, "gate") == 401
    assert "aisle_session" not in shop.client.cookies


def test_the_dashboard_shows_visits_people_and_the_day(shop: LiveShop) -> None:
    visit = str(shop.enter()["visit"])
    desks.take(shop.desk, "e1", visit)
    with shop.desk.database.write() as session:
        person = Person(visit, 1.0, 0.5, ((0.5, 0.5), (1.0, 0.5)), ((1.2, 0.9),), ("f.s.l",))
        tracks, now_ns = PEOPLE.dump_json((person,)).decode(), shop.desk.clock()
        session.add(
            Run(id="r1", source="s", model="m", seed=0, start_ns=0, tracks=tracks, at_ns=now_ns, beat_ns=now_ns)
        )
    assert sign_in(shop, "reviewer") == 303
    page = shop.client.get("/")
    assert page.status_code == 200
    strict(page.text, page.headers["content-security-policy"])
    assert f'href="/visits/{visit}"' in page.text
    assert "€2.99" in page.text
    assert page.text.count('class="body"') == 1
    assert page.text.count('class="trail"') == 1
    assert "hand at f.s.l" in page.text
    assert EVIL not in page.text
    assert "&lt;script&gt;" in page.text
    board = shop.client.get("/board").text
    assert 'hx-swap-oob="innerMorph"' in board  # people are put into the plan that is there
    assert "No pipeline" not in board
    shop.client.post("/logout")
    assert shop.client.get("/board", follow_redirects=False).status_code == 303


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("language", ["en", "de"])
def test_every_page_is_strict_and_speaks_the_reader_s_language(shop: LiveShop, path: str, language: str) -> None:
    held(shop)
    desks.come_in(shop.desk, "v2")
    desks.take(shop.desk, "v2-e1", "v2")
    sign_in(shop, "operator")
    page = shop.client.get(path, headers={"Accept-Language": f"{language}-CH,en;q=0.5"})
    assert page.status_code == (404 if path == "/visits/x" else 200)
    strict(page.text, page.headers["content-security-policy"])
    assert f'<html lang="{language}">' in page.text
    assert EVIL not in page.text


def test_a_chosen_language_stays_and_leads_back_to_this_site_only(shop: LiveShop) -> None:
    answer = shop.client.post("/language", data={"language": "de", "back": "/login"}, follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, "/login")
    assert "Anmelden" in shop.client.get("/login", headers={"Accept-Language": "en"}).text
    for back in ("//evil.example", "https://evil.example", "/\\evil.example", "evil"):
        answer = shop.client.post("/language", data={"language": "de", "back": back}, follow_redirects=False)
        assert answer.headers["location"] == "/"
    assert shop.client.post("/language", data={"language": "xx"}).status_code == 422


def test_a_reviewer_corrects_and_goes_on_to_the_next(shop: LiveShop) -> None:
    first, second = held(shop, "v1"), held(shop, "v2")
    sign_in(shop, "reviewer")
    queue = shop.client.get("/review").text
    assert queue.index(first) < queue.index(second)
    assert "Nobody saw this visit end." in queue
    found = shop.client.get("/products?q=OAT").text
    assert f'data-gtin="{MILK}"' in found
    form = fields(shop.client.get(f"/visits/{first}").text)
    assert form[f"units-{TEA}"] == "1"
    assert shop.client.get(f"/visits/{first}/total?units-{TEA}=1").text.strip() == "Total €2.99"
    told = shop.client.get(f"/visits/{first}/total?units-{TEA}=1&units-{MILK}=2").text
    assert f"€2.99 → €{2.99 + 2 * 1.09:.2f}" in told
    sent = {**form, f"units-{MILK}": "2", "words": "saw two cartons", "next": "1"}
    answer = shop.client.post(f"/visits/{first}/decision", data=sent, follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, f"/visits/{second}")
    again = shop.client.post(f"/visits/{first}/decision", data=sent, follow_redirects=False)
    assert again.status_code == 303  # a double click is one decision
    shop.clerk()
    final = shop.get(f"/v1/visits/{first}/final").json()
    assert {line["gtin"]: line["quantity"] for line in final["lines"]} == {TEA: 1, MILK: 2}
    with shop.desk.database.read() as session:
        (label,) = labels.labels_of(session, first)
    assert (label.verdict, label.author, label.words) == ("corrected", "the reviewer", "saw two cartons")


def test_who_decides_on_an_old_page_is_told_so(shop: LiveShop) -> None:
    visit = held(shop)
    sign_in(shop, "reviewer")
    form = fields(shop.client.get(f"/visits/{visit}").text)
    desks.take(shop.desk, "late", visit)
    answer = shop.client.post(f"/visits/{visit}/decision", data=form)
    assert answer.status_code == 409
    assert "Nothing was saved" in answer.text
    assert fields(answer.text)[f"units-{TEA}"] == "2"  # the page shows what is now
    assert shop.get(f"/v1/visits/{visit}").json()["state"] == "review"


@pytest.mark.parametrize(
    ("field", "value"),
    [("token", "0" * 64), ("token", ""), ("units-1", "1"), ("units-99999999999999", "1"), (f"units-{TEA}", "-1"),
     (f"units-{TEA}", "1e3"), ("seen", "x")],
)  # fmt: skip
def test_forms_that_are_not_ours_change_nothing(shop: LiveShop, field: str, value: str) -> None:
    visit = held(shop)
    sign_in(shop, "reviewer")
    form = fields(shop.client.get(f"/visits/{visit}").text)
    answer = shop.client.post(f"/visits/{visit}/decision", data={**form, field: value})
    assert answer.status_code in (403, 422)
    assert shop.get(f"/v1/visits/{visit}").json()["state"] == "review"


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
    printed = re.search(r'href="(/v1[^"]+)"', lines)
    assert printed is not None
    assert shop.client.get(printed.group(1).replace("&amp;", "&")).status_code == 200


def test_a_shopper_objects_and_a_person_answers(shop: LiveShop) -> None:
    mine = shop.enter()
    visit, link = str(mine["visit"]), str(mine["link"])
    sent = {"words": EVIL, "once": "form-123456789"}
    for _ in range(2):  # twice is one objection
        assert shop.client.post(link.replace("?", "/dispute?"), data=sent).status_code == 200
    sign_in(shop, "reviewer")
    queue = shop.client.get("/review").text
    assert EVIL not in queue
    assert queue.count("&lt;script&gt;") == 1
    page = shop.client.get(f"/visits/{visit}").text
    action = re.search(rf'action="(/visits/{visit}/disputes/[^"]+)"', page)
    token = re.search(r'name="token" value="([0-9a-f]+)"', page)
    assert action is not None
    assert token is not None
    answer = {"token": token.group(1), "words": "You are right.", "verdict": "accepted"}
    assert shop.client.post(action.group(1), data=answer).status_code == 200
    assert "You are right." in shop.client.get(link).text
    assert shop.client.post(link.replace("?", "/dispute?"), data={"words": " "}).status_code == 422


@pytest.mark.parametrize("name", sorted(STATIC))
def test_scripts_and_styles_are_files(shop: LiveShop, name: str) -> None:
    assert shop.client.get(f"/static/{name}").status_code == 200
    assert shop.client.get(f"/static/..%2F{name}").status_code == 404
    assert "://" not in shop.client.get("/static/pages.js").text
