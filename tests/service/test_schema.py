"""Schemathesis: whatever OpenAPI allows or forbids, sent to every operation: never a mistake of ours."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok

from openaisle.service.fake_gateway import FakeGateway
from tests.service import desks
from tests.service.serving import serving
from tests.service.shop import LiveShop, open_shop

QUICK, LONG = 6, 100  # examples for each operation
CHECKS = tuple(HealthCheck)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> LiveShop:
    """One shop that bears it all."""
    folder = tmp_path_factory.mktemp("schema")
    desk, clock = desks.desk_on(desks.fresh_sqlite(folder))
    desks.come_in(desk, "v1", method=desks.CARD)
    return open_shop(desk, FakeGateway(folder / "gateway.sqlite", clock))


@pytest.fixture(scope="module")
def address(shop: LiveShop) -> Iterator[str]:
    """Where it listens; its live streams end at once."""
    with serving(shop.app) as url:
        shop.app.state.feed.stopped = True
        yield url


@pytest.mark.parametrize("examples", [QUICK, pytest.param(LONG, marks=pytest.mark.slow)])
def test_no_operation_fails(address: str, shop: LiveShop, examples: int) -> None:
    # Not by schemathesis' own fixtures, which do not know this pytest.
    schema = schemathesis.openapi.from_url(f"{address}/openapi.json")
    asked = 0
    for found in schema.get_all_operations():
        assert isinstance(found, Ok), found

        @given(case=found.ok().as_strategy())
        @settings(max_examples=examples, deadline=None, suppress_health_check=CHECKS)
        def ask(case: schemathesis.Case[Any]) -> None:
            check(case, shop)

        ask()
        asked += 1
    assert asked >= 23


def check(case: schemathesis.Case[Any], shop: LiveShop) -> None:
    """By the operator, to whom every door is open."""
    headers = {"Authorization": f"Bearer {shop.secrets['operator']}"}
    answer = case.call_and_validate(headers=headers, checks=[not_a_server_error], timeout=30)
    if answer.status_code >= 400:
        (kind,) = answer.headers["content-type"]
        assert kind == "application/problem+json"


def test_every_operation_of_the_api_is_in_the_schema(shop: LiveShop) -> None:
    paths = shop.app.openapi()["paths"]
    asked = {(method.upper(), path) for path, operations in paths.items() for method in operations}
    assert len(asked) >= 23
    assert not any(path.startswith(("/visits", "/s/", "/shelves", "/login")) for _, path in asked)  # pages are no API
