"""Desk: what every part of the service is handed: the database, the store, the house rules, and a clock."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256

from pydantic import TypeAdapter

from openaisle.service.database import Database
from openaisle.store.schema import ProductSpec
from openaisle.store.store import Store

PRODUCTS = TypeAdapter(tuple[ProductSpec, ...])

Clock = Callable[[], int]  # nanoseconds UTC


@dataclass(frozen=True, slots=True)
class Rules:
    """What a shop owner decides."""

    hold_cents: int = 5000  # authorised at entry; a capture never exceeds it
    hold_for_review: bool = True  # a receipt that asks for review waits for a person before anybody is charged
    walk_in_method: str = ""  # card of visits that a gate in the sensors' stream opens; "" = they are not charged
    visit_limit_s: float = 4 * 3600.0  # a visit this old has not been seen to end
    awaiting_limit_s: float = 120.0  # an entry whose caller never came back for the answer
    requests_per_s: float = 20.0  # of one caller, on average
    request_burst: int = 60
    evidence_mb: int = 500  # weights and stills around events (album.py)
    low_disk_mb: int = 300  # of free disk: with less, pictures are not kept any more


@dataclass(frozen=True)
class Desk:
    """One live store."""

    database: Database
    store: Store
    rules: Rules = field(default_factory=Rules)
    clock: Clock = time.time_ns

    @property
    def currency(self) -> str:
        """ISO 4217 code of all amounts."""
        return self.store.spec.currency

    @cached_property
    def prices(self) -> str:
        """Digest of the store with its catalogue, as the price list is kept under it (prices.py)."""
        text = self.store.spec.model_dump_json().encode() + b"\n" + PRODUCTS.dump_json(self.store.products)
        return sha256(text).hexdigest()
