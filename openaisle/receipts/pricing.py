"""From a basket to a receipt: integer cents, promotions, taxes, and the reasons why a person should look at it.

Rounding rule: list price × quantity is exact; discounts as in promotions.py; tax is computed once per tax class on the
class's sum, rounded half a cent up, and spread over its lines by largest remainder. So a receipt's total is the sum of
its lines to the cent, its tax table is the sum of its lines' taxes, and each class is rounded only once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from enum import StrEnum
from fractions import Fraction
from zoneinfo import ZoneInfo

from openaisle.messages import NANOSECONDS
from openaisle.receipts.events import Evidence
from openaisle.receipts.ledger import Basket, BasketLine
from openaisle.receipts.promotions import Discount, discounts, round_cents, share
from openaisle.store.schema import ProductSpec, StoreSpec


class Why(StrEnum):
    """Why a person should look at a receipt."""

    THIN_CONFIDENCE = "thin_confidence"
    NEGATIVE_BASKET = "negative_basket"
    CONFLICTING_EVIDENCE = "conflicting_evidence"
    UNKNOWN_PRODUCT = "unknown_product"
    UNKNOWN_PRICE = "unknown_price"
    BLIND_SENSOR = "blind_sensor"


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason for review: what kind, and about what (a GTIN, an event id, a sensor)."""

    why: Why
    about: str

    def __str__(self) -> str:
        return f"{self.why}: {self.about}"


@dataclass(frozen=True, slots=True)
class ReceiptLine:
    """One product of a receipt. total = list - discount, plus the tax where prices come without it."""

    gtin: str
    name: str
    quantity: int
    unit_price_cents: int
    discount_cents: int
    tax_cents: int  # contained in total_cents
    total_cents: int
    tax_class: str
    confidence: float
    evidence: tuple[Evidence, ...] = ()
    time_ns: int = 0

    @property
    def list_cents(self) -> int:
        """Price before promotions (and before tax where prices come without it)."""
        return self.quantity * self.unit_price_cents


@dataclass(frozen=True, slots=True)
class TaxLine:
    """One row of the tax table; net + tax = gross."""

    tax_class: str
    rate: float  # 0.19 = 19%
    net_cents: int
    tax_cents: int
    gross_cents: int


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a visit (a shopper or a group) is charged."""

    visit: str
    currency: str
    lines: tuple[ReceiptLine, ...]
    taxes: tuple[TaxLine, ...]
    discounts: tuple[Discount, ...]
    confidence: float
    reasons: tuple[Reason, ...] = ()

    @property
    def total_cents(self) -> int:
        """What is charged: the sum of the lines."""
        return sum(line.total_cents for line in self.lines)

    @property
    def needs_review(self) -> bool:
        """Whether a person should look before anyone is charged."""
        return bool(self.reasons)


@dataclass(frozen=True, slots=True)
class ReviewPolicy:
    """When confidence is too thin. Thresholds are set on validation seeds only."""

    line_confidence: float = 0.5
    receipt_confidence: float = 0.2  # product over all events, so long visits get lower
    blind: tuple[str, ...] = ()  # sensors that were blind during the visit


DEFAULT_POLICY = ReviewPolicy()


def price(
    basket: Basket, spec: StoreSpec, products: Sequence[ProductSpec], day: date, policy: ReviewPolicy = DEFAULT_POLICY
) -> Receipt:
    """The receipt of a basket on a day (local to the store, see `local_day`); pure, and never raises on odd baskets."""
    quantities = {line.gtin: line.quantity for line in basket.lines}
    known = {product.gtin: product for product in products if product.gtin in quantities}
    prices = {gtin: product.price_cents for gtin, product in known.items()}
    given = discounts(quantities, prices, spec.promotions, day)
    off = {gtin: sum(d.cents for d in given if d.gtin == gtin) for gtin in quantities}
    lines = [_line(line, known.get(line.gtin), off[line.gtin]) for line in basket.lines]
    taxed, taxes = _tax(lines, spec.tax_classes, spec.prices_include_tax)
    reasons = _reasons(basket, known, policy)
    return Receipt(basket.visit, spec.currency, taxed, taxes, given, basket.confidence, reasons)


def local_day(time_ns: int, time_zone: str) -> date:
    """The date in the store when it is `time_ns` (UTC)."""
    return datetime.fromtimestamp(time_ns // NANOSECONDS, UTC).astimezone(ZoneInfo(time_zone)).date()


def _line(line: BasketLine, product: ProductSpec | None, discount_cents: int) -> ReceiptLine:
    """A line before tax; an unknown product costs nothing until a person has looked."""
    name, cents, tax_class = ("Unknown product", 0, "") if product is None else (
        product.name, product.price_cents, product.tax_class,
    )  # fmt: skip
    total = line.quantity * cents - discount_cents
    return ReceiptLine(
        line.gtin, name, line.quantity, cents, discount_cents, 0, total, tax_class, line.confidence, line.evidence,
        line.time_ns,
    )  # fmt: skip


def _tax(
    lines: Sequence[ReceiptLine], rates: Mapping[str, float], inclusive: bool
) -> tuple[tuple[ReceiptLine, ...], tuple[TaxLine, ...]]:
    """Lines with their tax, and the tax table; a class without a rate is taxed at 0."""
    taxed = list(lines)
    table: list[TaxLine] = []
    for tax_class in sorted({line.tax_class for line in lines if line.tax_class}):
        members = [i for i, line in enumerate(lines) if line.tax_class == tax_class]
        rate = Fraction(str(rates.get(tax_class, 0.0)))
        base = sum(lines[i].total_cents for i in members)
        tax = round_cents(base * rate / (1 + rate) if inclusive else base * rate)
        gross = base if inclusive else base + tax
        table.append(TaxLine(tax_class, float(rate), gross - tax, tax, gross))
        for i, cents in zip(members, share(tax, [lines[i].total_cents for i in members]), strict=True):
            total = lines[i].total_cents + (0 if inclusive else cents)
            taxed[i] = replace(lines[i], tax_cents=cents, total_cents=total)
    return tuple(taxed), tuple(table)


def _reasons(basket: Basket, known: Mapping[str, ProductSpec], policy: ReviewPolicy) -> tuple[Reason, ...]:
    """Everything about a basket that asks for a person, in a fixed order."""
    unpriced = [gtin for gtin, product in known.items() if product.price_cents == 0]
    thin = [line.gtin for line in basket.lines if line.confidence < policy.line_confidence]
    if not thin and basket.confidence < policy.receipt_confidence:
        thin = [basket.visit]
    found: list[tuple[Why, Sequence[str]]] = [
        (Why.THIN_CONFIDENCE, thin),
        (Why.NEGATIVE_BASKET, [gtin for gtin, _ in basket.short]),
        (Why.CONFLICTING_EVIDENCE, basket.conflicts),
        (Why.UNKNOWN_PRODUCT, [line.gtin for line in basket.lines if line.gtin not in known]),
        (Why.UNKNOWN_PRICE, sorted(unpriced)),
        (Why.BLIND_SENSOR, sorted(policy.blind)),
    ]
    return tuple(Reason(why, about) for why, abouts in found for about in abouts)
