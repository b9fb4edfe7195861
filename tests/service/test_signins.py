"""Signing in: the cookie is not the key, ends in time and with the key, and other sites cannot use it."""

from __future__ import annotations

import secrets
from pathlib import Path

import pytest

from openaisle.service import keys, signins
from openaisle.service.api.access import SESSION
from openaisle.service.desk import Desk
from openaisle.service.fake_gateway import FakeGateway
from openaisle.service.keys import Role
from tests.service import desks
from tests.service.desks import Clock
from tests.service.shop import open_shop

READERS = (Role.OPERATOR, Role.REVIEWER)


def signed_in(desk: Desk, role: Role) -> tuple[str, str]:
    """A cookie's word and the key that it stands for."""
    with desk.database.write() as session:
        secret = keys.create_key(session, f"a {role}", role, desk.clock())
        word = signins.sign_in(session, secret, READERS, desk.clock())
    return word or "", secret


def who(desk: Desk, word: str) -> str:
    """Name of who holds a cookie, "" for nobody."""
    with desk.database.read() as session:
        caller = signins.caller_by_cookie(session, word, desk.clock())
    return caller.name if caller else ""


def test_a_cookie_lasts_for_its_hours(desk: Desk, clock: Clock) -> None:
    word, secret = signed_in(desk, Role.REVIEWER)
    assert word != secret
    assert who(desk, word) == "a reviewer"
    clock.pass_s(signins.LASTS_S - 1)
    assert who(desk, word)
    clock.pass_s(1)
    assert not who(desk, word)


def test_it_ends_with_its_key_and_when_somebody_signs_out(desk: Desk) -> None:
    word, _ = signed_in(desk, Role.OPERATOR)
    other, _ = signed_in(desk, Role.REVIEWER)
    with desk.database.write() as session:
        (card,) = [card for card in keys.list_keys(session) if card.role == Role.OPERATOR]
        keys.revoke_key(session, card.id, desk.clock())
        signins.sign_out(session, other)
    assert not who(desk, word)
    assert not who(desk, other)


def test_gates_and_guesses_do_not_sign_in(desk: Desk) -> None:
    assert signed_in(desk, Role.GATE)[0] == ""
    with desk.database.write() as session:
        assert signins.sign_in(session, "oa_operator_guess", READERS, desk.clock()) is None
    assert not who(desk, "guess")


def test_tokens_are_of_one_cookie() -> None:
    assert signins.right_token("word", signins.token("word"))
    assert not signins.right_token("other", signins.token("word"))
    assert not signins.right_token("word", "ä")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Sec-Fetch-Site": "same-origin"}, 303),
        ({"Sec-Fetch-Site": "same-site"}, 403),  # another host under one domain
        ({"Sec-Fetch-Site": "cross-site", "Origin": "http://testserver"}, 403),
        ({"Origin": "http://testserver"}, 303),
        ({"Origin": "https://testserver"}, 303),  # TLS ended at a proxy
        ({"Origin": "http://testserver.evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({}, 303),  # an old browser: the token alone must do
    ],
)
def test_forms_come_from_this_site(tmp_path: Path, headers: dict[str, str], status: int) -> None:
    desk, clock = desks.desk_on(desks.fresh_sqlite(tmp_path))
    shop = open_shop(desk, FakeGateway(tmp_path / "gateway.sqlite", clock))
    desks.come_in(desk, "v1")
    desks.take(desk, "e1", "v1")
    desks.go(desk, "v1")
    shop.clerk()
    with desk.database.write() as session:
        word = signins.sign_in(session, shop.secrets["operator"], READERS, clock())
    assert word is not None
    shop.client.cookies.set(SESSION, word)
    seen = shop.client.get("/v1/visits/v1").json()["entries"][-1]["seq"]
    form = {"token": signins.token(word), "seen": str(seen), "once": "form-1"}
    answer = shop.client.post("/visits/v1/decision", data=form, headers=headers, follow_redirects=False)
    assert answer.status_code == status, answer.text


def linked(desk: Desk, role: Role = Role.OPERATOR) -> str:
    """The word of a new link."""
    with desk.database.write() as session:
        secret = keys.create_key(session, f"the {role} {secrets.token_hex(3)}", role, desk.clock())
        return signins.invite(session, secret, desk.clock()) or ""


def opened(desk: Desk, link: str) -> str:
    """The cookie's word for a link's, "" for none."""
    with desk.database.write() as session:
        return signins.sign_in_by_link(session, link, READERS, desk.clock()) or ""


def test_a_link_signs_in_once_and_is_no_cookie(desk: Desk) -> None:
    link = linked(desk)
    assert not who(desk, link)
    with desk.database.read() as session:
        assert signins.invited(session, link, desk.clock())
    assert who(desk, opened(desk, link)).startswith("the operator")
    assert not opened(desk, link)
    with desk.database.read() as session:
        assert not signins.invited(session, link, desk.clock())


def test_a_link_is_over_after_an_hour_and_with_its_key_and_opens_no_more_than_that(desk: Desk, clock: Clock) -> None:
    old, of_revoked, of_gate = linked(desk), linked(desk, Role.REVIEWER), linked(desk, Role.GATE)
    with desk.database.write() as session:
        (card,) = [card for card in keys.list_keys(session) if card.role == Role.REVIEWER]
        keys.revoke_key(session, card.id, desk.clock())
        assert signins.invite(session, "oa_operator_guess", desk.clock()) is None
    assert not opened(desk, of_revoked)
    assert not opened(desk, of_gate)
    clock.pass_s(signins.LINK_S)
    assert not opened(desk, old)
    assert not opened(desk, "guess")


def test_a_link_is_opened_by_a_form_of_its_page_and_not_by_a_preview(
    desk: Desk, gateway: FakeGateway, tmp_path: Path
) -> None:
    shop, link = open_shop(desk, gateway, tmp_path), linked(desk)
    for _ in range(2):  # a preview reads the page, and nothing is used up
        page = shop.client.get(f"/login?link={link}")
        assert page.status_code == 200
        assert f'name="link" value="{link}"' in page.text
    other = {"sec-fetch-site": "cross-site"}
    assert shop.client.post("/login", data={"link": link}, headers=other).status_code == 403
    answer = shop.client.post("/login", data={"link": link}, follow_redirects=False)
    assert answer.status_code == 303
    assert who(desk, answer.cookies[SESSION])
    again = shop.client.post("/login", data={"link": link}, follow_redirects=False)
    assert again.status_code == 401
    assert "has been used" in again.text
