"""A live store for API tests: the app on a desk, a clerk beside it, and a key of every role."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from fastapi import FastAPI
from fastapi.testclient import TestClient
from httpx import Response

from openaisle.service import keys
from openaisle.service.api.app import create_app
from openaisle.service.clerk import Clerk
from openaisle.service.desk import Desk
from openaisle.service.fake_gateway import FakeGateway
from openaisle.service.keys import Role

Json = dict[str, object]


@dataclass
class LiveShop:
    """Requests by role."""

    desk: Desk
    gateway: FakeGateway
    app: FastAPI
    client: TestClient
    secrets: dict[str, str]
    asked: int = 0

    def headers(self, role: str, key: str = "") -> dict[str, str]:
        """A key, and an idempotency key of its own unless one is given."""
        self.asked += 1
        own = {"Authorization": f"Bearer {self.secrets[role]}"} if role in self.secrets else {}
        return {**own, "Idempotency-Key": key or f"key-{self.asked:08d}"}

    def get(self, path: str, role: str = "operator", **headers: str) -> Response:
        """GET as a role."""
        return cast(Response, self.client.get(path, headers={**self.headers(role), **headers}))

    def post(self, path: str, body: Mapping[str, object], role: str = "operator", key: str = "") -> Response:
        """POST as a role."""
        return cast(Response, self.client.post(path, json=body, headers=self.headers(role, key)))

    def enter(self, **form: object) -> Json:
        """Somebody comes in by the API; the answer."""
        answer = self.post("/v1/entries", {"gate": "door", "method": "pm_card_visa", **form}, "gate")
        assert answer.status_code == 201, answer.text
        return cast(Json, answer.json())

    def clerk(self) -> None:
        """The clerk does what there is to do."""
        clerk = Clerk(self.desk, self.gateway)
        while clerk.round():
            pass


def open_shop(desk: Desk, gateway: FakeGateway, folder: Path | None = None) -> LiveShop:
    """A live store with a key of every role."""
    app = create_app(desk, gateway, folder)
    with desk.database.write() as session:
        roles = (Role.OPERATOR, Role.REVIEWER, Role.GATE)
        secrets = {role.value: keys.create_key(session, f"the {role}", role, desk.clock()) for role in roles}
    return LiveShop(desk, gateway, app, TestClient(app, raise_server_exceptions=False), secrets)
