"""Whatever is sent to whichever endpoint, by whom it may be: an answer that is no mistake of ours."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openaisle.service.api import forms
from openaisle.service.fake_gateway import FakeGateway
from tests.service import desks
from tests.service.shop import LiveShop, open_shop
from tests.service.test_access import TABLE

CELLS = sorted(cell for cell in TABLE if not cell[1].endswith("/stream"))
PLACES = ("visit", "dispute", "key_id", "endpoint", "event", "camera", "time_ns", "gtin", "name", "lane")  # in paths
FORMS = (
    forms.EntryForm, forms.ExitForm, forms.CorrectionForm, forms.RefundForm, forms.DisputeForm, forms.AnswerForm,
    forms.KeyForm, forms.WebhookForm,
)  # fmt: skip
FIELDS = sorted({name for form in FORMS for name in form.model_fields})
SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=40)
)
LIKELY = st.sampled_from(["door", "pm_card_visa", "v1", "04006381333931", "gate", "http://127.0.0.1:9/x", 1, -1, True])
VALUES = st.recursive(SCALARS | LIKELY, lambda inner: st.lists(inner, max_size=3), max_leaves=5)
BODIES = st.dictionaries(st.sampled_from(FIELDS) | st.text(max_size=8), VALUES, max_size=6)
WORDS = st.text(st.characters(exclude_characters="/?#", exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20)
NAMES = st.just("v1") | WORDS


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> LiveShop:
    """One shop that bears it all."""
    folder = tmp_path_factory.mktemp("fuzz")
    desk, clock = desks.desk_on(desks.fresh_sqlite(folder))
    desks.come_in(desk, "v1", method=desks.CARD)
    return open_shop(desk, FakeGateway(folder / "gateway.sqlite", clock))


@given(cell=st.sampled_from(CELLS), name=NAMES, body=BODIES | VALUES, query=st.dictionaries(WORDS, WORDS, max_size=2))
@settings(max_examples=150)
def test_no_request_is_our_mistake(
    shop: LiveShop, cell: tuple[str, str], name: str, body: object, query: dict[str, str]
) -> None:
    method, path = cell
    filled = path.format_map(dict.fromkeys(PLACES, name))
    answer = shop.client.request(
        method, filled, json=body if method == "POST" else None, params=query, headers=shop.headers("operator")
    )
    assert answer.status_code < 500, f"{method} {filled} {body!r}: {answer.text}"
    if answer.status_code >= 400:
        kind = answer.headers["content-type"]
        assert kind == "application/problem+json" if path.startswith("/v1") else kind.startswith(("text/html", "appl"))


@given(
    st.sampled_from(["/v1/visits", "/v1/day"]),
    st.dictionaries(st.sampled_from(["state", "limit", "after", "day"]), WORDS | st.integers().map(str), max_size=4),
)
@settings(max_examples=60)
def test_no_query_is_our_mistake(shop: LiveShop, path: str, query: dict[str, str]) -> None:
    answer = shop.client.get(path, params=query, headers=shop.headers("operator"))
    assert answer.status_code < 500, answer.text


@given(
    st.binary(max_size=200), st.sampled_from(["application/json", "text/plain", "application/x-www-form-urlencoded"])
)
@settings(max_examples=60)
def test_no_bytes_are_our_mistake(shop: LiveShop, body: bytes, kind: str) -> None:
    for path in ("/v1/entries", "/login"):  # as they come
        headers = {**shop.headers("operator"), "content-type": kind}
        assert shop.client.post(path, content=body, headers=headers).status_code < 500


@pytest.mark.parametrize(
    "body", [b'{"gate": "\\ud800"}', b'{"gate": "\\u0000"}', b'{"gate": "door", "visit": "\\u0000"}']
)
def test_letters_that_no_database_takes_are_refused(shop: LiveShop, body: bytes) -> None:
    headers = {**shop.headers("operator"), "content-type": "application/json"}
    assert shop.client.post("/v1/entries", content=body, headers=headers).status_code == 422
    for address in ("/v1/visits/a%00b", "/v1/visits?after=%00"):
        assert shop.client.get(address, headers=headers).status_code == 400
