"""Prices, promotions, taxes and review reasons: to the cent, and never negative."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openaisle.receipts.ledger import Basket, BasketLine, Ledger, fold
from openaisle.receipts.pricing import ReviewPolicy, Why, local_day, price
from openaisle.receipts.promotions import discounts, share
from openaisle.store.schema import ProductSpec, PromotionSpec
from tests.receipts.shops import MILK, PRICES, SOAP, TEA, basket, events, products, put_back, shop, take

DAY = date(2026, 11, 22)
THREE_FOR_250 = PromotionSpec(id="three", kind="n_for_price", gtins=(TEA, MILK), quantity=3, price_cents=250)
TENTH_OFF = PromotionSpec(id="tenth", kind="percent_off", gtins=(SOAP, MILK), percent=10)

promotion = st.builds(
    PromotionSpec,
    id=st.sampled_from(["a", "b", "c"]),
    kind=st.sampled_from(["n_for_price", "percent_off"]),
    gtins=st.lists(st.sampled_from([TEA, MILK, SOAP]), min_size=1, max_size=4).map(tuple),
    quantity=st.integers(1, 4),
    price_cents=st.integers(0, 1500),
    percent=st.floats(0, 100),
)


@settings(max_examples=300, deadline=None)
@given(
    st.dictionaries(st.sampled_from(["tea", "milk", "soap"]), st.integers(1, 9)),
    st.lists(promotion, max_size=3),
    st.booleans(),
)
def test_totals_are_the_sum_of_lines_and_no_line_is_negative(
    wanted: dict[str, int], promotions: list[PromotionSpec], inclusive: bool
) -> None:
    receipt = price(basket(**wanted), shop(*promotions, inclusive=inclusive), products(), DAY)
    assert receipt.total_cents == sum(line.total_cents for line in receipt.lines)
    assert receipt.total_cents == sum(tax.gross_cents for tax in receipt.taxes)
    assert sum(line.tax_cents for line in receipt.lines) == sum(tax.tax_cents for tax in receipt.taxes)
    assert sum(line.discount_cents for line in receipt.lines) == sum(d.cents for d in receipt.discounts)
    for line in receipt.lines:
        assert 0 <= line.discount_cents <= line.list_cents
        assert line.total_cents >= 0
        added = 0 if inclusive else line.tax_cents
        assert line.total_cents == line.list_cents - line.discount_cents + added


@settings(max_examples=200, deadline=None)
@given(events())
def test_every_ledger_can_be_priced_and_whatever_went_below_zero_is_reviewed(
    entries: list,  # type: ignore[type-arg]
) -> None:
    folded = fold(Ledger().extend(entries), "v1")
    receipt = price(folded, shop(), products(), DAY, ReviewPolicy(0.0, 0.0))
    assert receipt.needs_review == bool(folded.short or folded.conflicts)


@given(st.integers(0, 10_000), st.lists(st.integers(0, 500), min_size=1, max_size=6))
def test_shares_add_up_and_stay_below_their_weights(total: int, weights: list[int]) -> None:
    total = min(total, sum(weights))
    shares = share(total, weights)
    assert sum(shares) == total
    assert all(0 <= part <= weight for part, weight in zip(shares, weights, strict=True))


def test_inclusive_tax_by_hand() -> None:
    receipt = price(basket(tea=2, soap=1), shop(), products(), DAY)
    assert [line.total_cents for line in receipt.lines] == [450, 598]  # soap's GTIN sorts first
    assert receipt.total_cents == 1048
    food, standard = receipt.taxes
    assert (food.net_cents, food.tax_cents, food.gross_cents) == (559, 39, 598)  # 598 × 7/107 = 39.12
    assert (standard.net_cents, standard.tax_cents, standard.gross_cents) == (378, 72, 450)  # 450 × 19/119 = 71.85


def test_exclusive_tax_by_hand() -> None:
    receipt = price(basket(tea=1, milk=1), shop(inclusive=False), products(), DAY)
    # 7% of 408 = 28.56, so 29: 21.25 of it for tea, 7.75 for milk; the larger remainder gets the odd cent
    assert [(line.gtin, line.tax_cents) for line in receipt.lines] == [(TEA, 21), (MILK, 8)]
    assert receipt.total_cents == 299 + 109 + 29


def test_n_for_a_price_takes_the_dearest_units() -> None:
    receipt = price(basket(tea=2, milk=3), shop(THREE_FOR_250), products(), DAY)
    # tea + tea + milk = 707 for 250; the two milks left make no group
    assert sum(d.cents for d in receipt.discounts) == 457
    assert receipt.total_cents == 250 + 2 * 109


def test_n_for_a_price_never_makes_it_dearer() -> None:
    dear = THREE_FOR_250.model_copy(update={"price_cents": 400})
    assert discounts({MILK: 3}, PRICES, [dear], DAY) == ()
    pair = PromotionSpec(id="pair", kind="n_for_price", gtins=(SOAP, MILK), quantity=2, price_cents=300)
    # two soaps for 300 save 600; the two milks (218) stay as they are
    assert [(d.gtin, d.quantity, d.cents) for d in discounts({SOAP: 2, MILK: 2}, PRICES, [pair], DAY)] == [
        (SOAP, 2, 600)
    ]


def test_percent_off_rounds_half_a_cent_up() -> None:
    half = PromotionSpec(id="half", kind="percent_off", gtins=(MILK,), percent=50)
    assert [d.cents for d in discounts({MILK: 1}, PRICES, [half], DAY)] == [55]  # 54.5


def test_a_unit_takes_part_in_one_promotion_and_the_best_goes_first() -> None:
    given = discounts({MILK: 3, SOAP: 1}, PRICES, [TENTH_OFF, THREE_FOR_250], DAY)
    # 3 milk for 250 saves 77; 10% off three milks and a soap saves 33 + 45 = 78
    assert [(d.promotion, d.gtin, d.cents) for d in given] == [("tenth", SOAP, 45), ("tenth", MILK, 33)]


@pytest.mark.parametrize(
    ("day", "runs"), [(date(2026, 11, 20), False), (date(2026, 11, 21), True), (date(2026, 11, 22), True),
                      (date(2026, 11, 23), False)],
)  # fmt: skip
def test_promotions_keep_their_days(day: date, runs: bool) -> None:
    dated = TENTH_OFF.model_copy(update={"first_day": date(2026, 11, 21), "last_day": date(2026, 11, 22)})
    assert bool(discounts({SOAP: 1}, PRICES, [dated], day)) == runs


def test_the_day_is_local() -> None:
    eleven_at_night_utc = 1_795_388_400_000_000_000  # 2026-11-22T23:00:00Z
    assert local_day(eleven_at_night_utc, "UTC") == DAY
    assert local_day(eleven_at_night_utc, "Europe/Berlin") == date(2026, 11, 23)


def test_each_reason_for_review() -> None:
    stranger = BasketLine("09999999999990", 1, 1.0, (), 0)
    unpriced = (*products()[:2], products()[2].model_copy(update={"price_cents": 0}))
    whole = basket(tea=1, soap=1)
    thin = replace(whole, lines=(replace(whole.lines[0], confidence=0.1), *whole.lines[1:]))

    def why(odd: Basket, policy: ReviewPolicy, shelf: tuple[ProductSpec, ...] = products()) -> list[tuple[Why, str]]:
        return [(reason.why, reason.about) for reason in price(odd, shop(), shelf, DAY, policy).reasons]

    calm = ReviewPolicy()
    assert why(whole, calm) == []
    assert why(thin, calm) == [(Why.THIN_CONFIDENCE, SOAP)]
    assert why(replace(whole, confidence=0.01), calm) == [(Why.THIN_CONFIDENCE, "v1")]
    assert why(replace(whole, short=((TEA, 1),)), calm) == [(Why.NEGATIVE_BASKET, TEA)]
    assert why(replace(whole, conflicts=("e1",)), calm) == [(Why.CONFLICTING_EVIDENCE, "e1")]
    assert why(replace(whole, lines=(stranger,)), calm) == [(Why.UNKNOWN_PRODUCT, stranger.gtin)]
    assert why(whole, calm, unpriced) == [(Why.UNKNOWN_PRICE, SOAP)]
    assert why(whole, ReviewPolicy(blind=("cam2",))) == [(Why.BLIND_SENSOR, "cam2")]


def test_a_group_shares_one_receipt() -> None:
    book = Ledger().extend([take("a", 1), take("b", 1, MILK), put_back("c", 2, MILK), take("d", 3, visit="v2")])
    receipt = price(fold(book, "v1"), shop(), products(), DAY)
    assert [(line.gtin, line.quantity) for line in receipt.lines] == [(TEA, 1)]
