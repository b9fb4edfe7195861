"""Prices: a visit pays what things cost when it came in, whatever the catalogue says later."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import TypeAdapter
from sqlalchemy import select
from sqlalchemy.orm import Session

from openaisle.service.database import insert_once
from openaisle.service.desk import PRODUCTS, Desk
from openaisle.service.tables import PriceList
from openaisle.store.schema import ProductSpec, StoreSpec

SPEC = TypeAdapter(StoreSpec)


@dataclass(frozen=True, slots=True)
class Prices:
    """Catalogue, promotions and taxes of one time."""

    spec: StoreSpec
    products: Sequence[ProductSpec]


def keep(session: Session, desk: Desk) -> str:
    """Keep today's prices for good; their digest."""
    if session.scalar(select(PriceList.digest).where(PriceList.digest == desk.prices)) is None:
        spec, products = desk.store.spec.model_dump_json(), PRODUCTS.dump_json(desk.store.products).decode()
        insert_once(session, PriceList, {"digest": desk.prices, "spec": spec, "products": products})
    return desk.prices


def prices_of(session: Session, desk: Desk, digest: str) -> Prices:
    """The prices under a digest; those of today need no look into the database."""
    if digest == desk.prices:
        return Prices(desk.store.spec, desk.store.products)
    row = session.get(PriceList, digest)
    assert row is not None, "price lists are kept"
    return Prices(SPEC.validate_json(row.spec), PRODUCTS.validate_json(row.products))
