"""Promotions: which units of a basket cost less, and by how many cents.

Rules: a unit takes part in one promotion at most; the promotion that saves most on what is left goes first (ties by
id). n-for-a-price groups the dearest units of its products and never makes them dearer. A percentage is rounded per
line, half a cent up. Days are inclusive and local to the store. No discount exceeds the units it applies to.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from fractions import Fraction

from openaisle.store.schema import PromotionSpec


@dataclass(frozen=True, slots=True)
class Discount:
    """What one promotion takes off one product of a receipt."""

    promotion: str
    gtin: str
    quantity: int  # units that take part
    cents: int  # > 0


def active(promotion: PromotionSpec, day: date) -> bool:
    """Whether a promotion runs on a day."""
    started = promotion.first_day is None or promotion.first_day <= day
    return started and (promotion.last_day is None or day <= promotion.last_day)


def discounts(
    quantities: Mapping[str, int], prices_cents: Mapping[str, int], promotions: Sequence[PromotionSpec], day: date
) -> tuple[Discount, ...]:
    """All discounts of a basket {gtin: units} at list prices {gtin: cents}, in the order in which they were given."""
    left = {gtin: quantity for gtin, quantity in quantities.items() if prices_cents.get(gtin, 0) > 0}
    waiting = [promotion for promotion in promotions if active(promotion, day)]
    given: list[Discount] = []
    while waiting:
        offers = [(_offer(promotion, left, prices_cents), promotion) for promotion in waiting]
        best, chosen = min(offers, key=lambda offer: (-sum(d.cents for d in offer[0]), offer[1].id))
        if not best:
            break
        for discount in best:
            left[discount.gtin] -= discount.quantity
        given.extend(best)
        waiting.remove(chosen)
    return tuple(given)


def round_cents(amount: Fraction) -> int:
    """Cents, half a cent up; amounts are never negative here."""
    return int(amount + Fraction(1, 2))


def share(total_cents: int, weights: Sequence[int]) -> list[int]:
    """Split cents in proportion to weights, exactly: floors first, then a cent each to the largest remainders.

    No share exceeds its weight when the total does not exceed their sum.
    """
    whole = sum(weights)
    if whole == 0:
        return [0] * len(weights)
    parts = [divmod(total_cents * weight, whole) for weight in weights]
    shares = [floor for floor, _ in parts]
    by_remainder = sorted(range(len(weights)), key=lambda i: (-parts[i][1], i))
    for i in by_remainder[: total_cents - sum(shares)]:
        shares[i] += 1
    return shares


def _offer(promotion: PromotionSpec, left: Mapping[str, int], prices_cents: Mapping[str, int]) -> list[Discount]:
    """What a promotion would give on the units that are left."""
    units = {gtin: left[gtin] for gtin in sorted(set(promotion.gtins)) if left.get(gtin, 0) > 0}
    if promotion.kind == "percent_off":
        percent = Fraction(str(promotion.percent)) / 100
        offer = [
            Discount(promotion.id, gtin, n, round_cents(n * prices_cents[gtin] * percent)) for gtin, n in units.items()
        ]
    else:
        offer = _n_for_price(promotion, units, prices_cents)
    return [discount for discount in offer if discount.cents > 0]


def _n_for_price(promotion: PromotionSpec, units: Mapping[str, int], prices_cents: Mapping[str, int]) -> list[Discount]:
    """Full groups of n units, dearest first, as long as a group costs more than the promotion's price."""
    each = [gtin for gtin, n in units.items() for _ in range(n)]
    dearest = sorted(each, key=lambda gtin: (-prices_cents[gtin], gtin))
    grouped: dict[str, int] = {}
    saved = 0
    for start in range(0, len(dearest) - promotion.quantity + 1, promotion.quantity):
        group = dearest[start : start + promotion.quantity]
        saving = sum(prices_cents[gtin] for gtin in group) - promotion.price_cents
        if saving <= 0:
            break
        saved += saving
        for gtin in group:
            grouped[gtin] = grouped.get(gtin, 0) + 1
    cents = share(saved, [n * prices_cents[gtin] for gtin, n in grouped.items()])
    return [Discount(promotion.id, gtin, n, c) for (gtin, n), c in zip(grouped.items(), cents, strict=True)]
