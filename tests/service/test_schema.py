"""Schemathesis: whatever OpenAPI allows or forbids, sent to every operation: never a mistake of ours."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.schemas import BaseSchema

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


@pytest.fixture(scope="module")
def quick_schema(address: str) -> BaseSchema:
    """A few requests for every operation."""
    schema = schemathesis.openapi.from_url(f"{address}/openapi.json")
    schema.config.phases.update(phases=["examples", "fuzzing"])
    return schema


@pytest.fixture(scope="module")
def full_schema(address: str) -> BaseSchema:
    """Many, and all that lies at the borders of every parameter."""
    return schemathesis.openapi.from_url(f"{address}/openapi.json")


quick, full = schemathesis.pytest.from_fixture("quick_schema"), schemathesis.pytest.from_fixture("full_schema")


@quick.parametrize()
@settings(max_examples=QUICK, deadline=None, suppress_health_check=CHECKS)
def test_no_operation_fails(case: schemathesis.Case[Any], shop: LiveShop) -> None:
    check(case, shop)


@pytest.mark.slow
@full.parametrize()
@settings(max_examples=LONG, deadline=None, suppress_health_check=CHECKS)
def test_no_operation_fails_at_any_border(case: schemathesis.Case[Any], shop: LiveShop) -> None:
    check(case, shop)


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
