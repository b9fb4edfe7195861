"""One shopper among 306 plates: every pick and put-back is found, and nothing else; what is doubtful says so."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from openaisle.messages import NANOSECONDS, ScaleBatch
from openaisle.modular.masses import Change, fit, law_of, load_of
from openaisle.modular.plates import see
from openaisle.modular.series import read_series, stuck
from openaisle.modular.shelves import shelves
from openaisle.tokens.catalogue import unit_grams
from tests.modular.measure import basket, counted, true_basket
from tests.modular.nano_plates import BEGIN_NS, Hard, Plates, Product, gtin, shopped, store_of

QUIET = Hard(dead=False, touches=0, lost_rows=0.01)
BAG = Product(gtin(1), 42.0, 1.6, ((1, 2, 5),), 1.0)
BOTTLE = Product(gtin(2), 538.0, 0.8, ((3, 4, 7),), 1.0)
OTHER = Product(gtin(3), 60.0, 0.8, ((1, 2, 3),), 1.0)
BESIDE = Product(gtin(4), 250.0, 0.8, ((3, 4, 8),), 1.0)
PRODUCTS = [BAG, BOTTLE, OTHER, BESIDE]


def made(hard: Hard = QUIET, seconds: float = 20.0, seed: int = 7) -> Plates:
    return Plates(np.random.default_rng(seed), seconds, hard, PRODUCTS)


def seen_in(shop: Plates) -> list[tuple[str, str, int]]:
    """What is seen, as (kind, GTIN, units)."""
    store = shop.store()
    series = read_series((scale.id for scale in store.spec.scales), shop.batches())
    found = see(series, shelves(store), unit_grams(store).tolist())
    return [(one.kind, store.products[one.product].gtin if one.product >= 0 else "", one.units) for one in found]


@pytest.mark.parametrize(
    ("hard", "most"),
    [
        (Hard(), 2), (Hard(noise=2.0), 2), (Hard(lost_rows=0.25, drift=3.0, jitter_s=0.03), 2),
        (Hard(bumps=3, leans=3), 2), (Hard(), 5),
    ],
    ids=["as-real", "noise", "lost-rows-drift-jitter", "bumps-and-leans", "up-to-five-at-once"],
)  # fmt: skip
def test_every_move_is_found_and_nothing_else(hard: Hard, most: int) -> None:
    for seed in (800_000, 800_001):
        shop = shopped(seed, hard, most=most)
        count = counted(shop)
        assert (count.missed, count.invented, count.right) == ((), (), True), seed
        assert count.found == sum(one.units for one in shop.happened)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(801_000, 801_200))
def test_two_hundred_shops(seed: int) -> None:
    """Rarely a move is misread; a wrong receipt must then ask for a person."""
    count = counted(shopped(seed))
    assert count.right or count.doubtful


def test_a_bag_over_three_plates_as_it_was_seen() -> None:
    shop = made()
    for plate, share in ((4, 0.18), (5, 0.59), (6, 0.27)):
        shop.step(shop.index[1, 2, plate], 8.0, -42 * share)
    assert seen_in(shop) == [("take", BAG.gtin, 1)]


@pytest.mark.parametrize("off", [-0.1, -0.07, 0.095, 0.1])
def test_a_bottle_that_weighs_something_else(off: float) -> None:
    shop = made()
    shop.move(8.0, BOTTLE, [538 * (1 + off)], 0.0, -1.0)
    shop.hand(7.2, 8.0, BOTTLE, 0.0)
    assert seen_in(shop) == [("take", BOTTLE.gtin, 1)]


def test_nothing_happens_in_an_empty_shop() -> None:
    shop = made(Hard(noise=2.0, drift=3.0, touches=0), seconds=30)
    for time_s in (5.0, 12.0):
        shop.bump(time_s, 3, 400.0)
    shop.lean(16.0, 3.0, 3, 4, 9_000.0)
    shop.hand(24.0, 25.5, BOTTLE, 0.0)
    assert seen_in(shop) == []


def test_a_pick_while_somebody_leans() -> None:
    shop = made()
    shop.lean(6.0, 4.0, 3, 4, 6_000.0)
    shop.move(8.0, BOTTLE, [530.0], 0.0, -1.0)
    assert seen_in(shop) == [("take", BOTTLE.gtin, 1)]


def test_a_steady_push_is_not_a_product() -> None:
    shop = made()
    i = shop.index[3, 4, 7]
    shop.step(i, 6.0, 700.0)
    shop.step(i, 9.0, -700.0)
    assert seen_in(shop) == []


def test_a_thing_put_there_and_fetched_later_is_nothing() -> None:
    shop = made(seconds=40)
    i = shop.index[3, 4, 7]
    shop.step(i, 6.0, 390.0)
    shop.step(i, 33.0, -390.0)
    assert seen_in(shop) == []


def test_taken_put_back_and_put_elsewhere() -> None:
    shop = made(seconds=40)
    shop.move(5.0, BOTTLE, [550.0], 0.0, -1.0)
    shop.move(9.0, BOTTLE, [550.0], 0.1, 1.0)
    shop.move(14.0, BOTTLE, [500.0], 0.0, -1.0)
    shop.step(shop.index[5, 1, 4], 22.0, 500.0)
    shop.step(shop.index[5, 1, 4], 33.0, -500.0)
    take, back = ("take", BOTTLE.gtin, 1), ("return", BOTTLE.gtin, 1)
    assert seen_in(shop) == [take, back, take, back, take]


def test_two_within_a_second_on_neighbouring_plates() -> None:
    shop = made()
    shop.move(8.0, BOTTLE, [540.0], 0.0, -1.0)
    shop.move(8.6, BESIDE, [245.0], 0.0, -1.0)
    assert Counter(seen_in(shop)) == Counter([("take", BOTTLE.gtin, 1), ("take", BESIDE.gtin, 1)])


def test_what_no_product_explains_is_told_as_lost() -> None:
    shop = made()
    shop.step(shop.index[3, 4, 7], 8.0, -150.0)
    assert seen_in(shop) == [("lost", "", 0)]


def test_what_fits_badly_is_doubtful() -> None:
    shop = made()
    shop.step(shop.index[3, 4, 7], 8.0, -440.0)
    store = shop.store()
    series = read_series((scale.id for scale in store.spec.scales), shop.batches())
    (one,) = see(series, shelves(store), unit_grams(store).tolist())
    assert store.products[one.product].gtin == BOTTLE.gtin
    assert one.confidence < 0.5


def test_a_product_of_unknown_mass_is_doubtful() -> None:
    shop = Plates(np.random.default_rng(1), 20.0, QUIET, [Product(gtin(5), 0.0, 0.8, ((2, 2, 2),), 1.0)])
    shop.step(shop.index[2, 2, 2], 8.0, -75.0)
    store = shop.store()
    series = read_series((scale.id for scale in store.spec.scales), shop.batches())
    (one,) = see(series, shelves(store), [0.0])
    assert (one.kind, one.units) == ("take", 1)
    assert one.confidence < 0.5


def test_late_and_doubled_messages_change_nothing() -> None:
    shop = shopped(800_003, Hard(touches=4), picks=3, seconds=25)
    store = shop.store()
    batches = list(shop.batches())
    rng = np.random.default_rng(3)
    shuffled = [batches[i] for i in rng.permutation(len(batches))] + batches[::7]
    series = read_series((scale.id for scale in store.spec.scales), shuffled)
    assert basket(see(series, shelves(store), unit_grams(store).tolist()), store) == true_basket(shop)


# --- parts ------------------------------------------------------------------------------------------------------


def test_stuck_samples_are_no_readings() -> None:
    times = np.arange(600) * (NANOSECONDS // 60)
    lively = np.random.default_rng(0).normal(0, 1, 600)
    lively[200:400] = 5.0
    assert np.flatnonzero(stuck(times, lively)).tolist() == list(range(200, 400))
    rounded = np.round(np.random.default_rng(0).normal(0, 0.2, 600))  # a coarse plate often repeats itself
    assert not stuck(times, rounded).any()
    assert not stuck(times, np.full(600, 7.0)).any(), "there is nothing to compare it with"


def test_series_are_medians_of_tenths_of_a_second() -> None:
    grams = np.full(60, 100.0, dtype=np.float32)
    grams[[3, 20]] = 1e9, np.nan
    grams[30:] = 60.0
    series = read_series(["a", "b"], [ScaleBatch("a", BEGIN_NS, 60.0, grams), ScaleBatch("x", 0, 60.0, grams)])
    assert series.grams.shape == (2, 10)
    assert series.grams[0].tolist() == [100.0] * 5 + [60.0] * 5
    assert np.isnan(series.grams[1]).all()


def test_no_samples_are_no_series() -> None:
    series = read_series(["a"], [])
    assert series.grams.shape == (1, 0)
    assert see(series, shelves(store_of(PRODUCTS))[:0], []) == []


def test_a_law_shares_a_unit_out() -> None:
    law = law_of((2,), 5)
    assert law.share.sum() == pytest.approx(1)
    assert law.share[2] == pytest.approx(0.8)
    between = law_of((1.5,), 4)
    assert between.share.tolist() == pytest.approx([0.05, 0.45, 0.45, 0.05])
    change = Change(np.array([0.0, -7.6, -24.8, -11.3, 0.0]), np.full(5, 0.5))
    density, misfit = fit(change, (load_of(law, -1, 42.0, (0.05, 0.05)),))
    assert misfit < 1
    assert density > fit(change, (load_of(law_of((3,), 5), -1, 42.0, (0.05, 0.05)),))[0]
