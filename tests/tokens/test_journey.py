"""A tick as arrays: shapes for any number of anything, the right lanes, and padding that changes nothing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from openaisle.tokens.catalogue import PICTURE_PX, picture_stack, unit_grams
from openaisle.tokens.journey import (
    BASKET_FEATURES,
    BASKET_LANE_FEATURES,
    EVENT_FEATURES,
    FEWER_GUESSES,
    FRAMES,
    GUESSES,
    KINDS,
    LANE_FEATURES,
    LOOK_FEATURES,
    MASS_SPREAD,
    MAX_LANES,
    MAX_UNITS,
    PAIR_FEATURES,
    SHOPPER_FEATURES,
    Candidate,
    LaneTable,
    RecentEvent,
    TickFeatures,
    TrackWindow,
    by_reach,
    choose_lanes,
    fit_features,
    hands_in_lanes,
    lane_table,
    looks,
    opening_distance,
    tick_features,
    weight_guesses,
    without_scales,
)
from openaisle.tokens.padding import TICK_INPUTS, pad_ticks
from openaisle.tokens.scales import scale_window
from tests.tokens.corner import COLA, GRAMS, E, corner_store, quiet_rows, reaching, showing, standing, with_step

STORE = corner_store()
TABLE = lane_table(STORE)
LOOKS = np.eye(len(GRAMS), E, dtype=np.float32)
CATALOGUE = np.random.Generator(np.random.PCG64(6)).normal(size=(8, E)).astype(np.float32)
CATALOGUE /= np.linalg.norm(CATALOGUE, axis=1, keepdims=True)
AFTER = slice(FRAMES // 2, None)  # of a tick's frames: the later half
AFTER_FRAMES = range(FRAMES)[AFTER]
FLOORS = ((3.0, 2.2), (1.0, 1.0), (2.6, 1.2))


def features(shoppers: int = 2, step: float = -330.0, baskets: int = 1, events: int = 1) -> TickFeatures:
    tracks = standing(*FLOORS[:shoppers])
    if shoppers:
        tracks = reaching(tracks, 0, STORE.lanes[0].front_m, slice(5, 9))
        tracks = showing(tracks, 0, 0.8 * LOOKS[0], slice(7, None))
    candidates = tuple(Candidate(i % 3, 1, 4.0, shopper=0 if shoppers else -1) for i in range(baskets))
    recent = tuple(RecentEvent(1, 0, 0, 0, 1, 1.0 + i) for i in range(events))
    window = scale_window(with_step(quiet_rows(), 0, step))
    return tick_features(TABLE, window, tracks, candidates, recent, LOOKS)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 3), st.sampled_from([0.0, -330.0, 660.0]), st.integers(0, 4), st.integers(0, 3))
def test_shapes_for_any_number_of_anything(shoppers: int, step: float, baskets: int, events: int) -> None:
    f = features(shoppers, step, baskets, events)
    lanes = len(f.lane)
    assert lanes == (1 if step else 0)
    assert f.lanes.shape == (lanes, LANE_FEATURES)
    assert f.shoppers.shape == (shoppers, SHOPPER_FEATURES)
    assert f.pairs.shape == (shoppers, lanes, PAIR_FEATURES)
    assert f.baskets.shape == (baskets, BASKET_FEATURES)
    assert f.basket_pairs.shape == (baskets, lanes, BASKET_LANE_FEATURES)
    assert f.basket_looks.shape == (shoppers, baskets, LOOK_FEATURES)
    assert f.events.shape == (events, EVENT_FEATURES)
    for values in vars(f).values():
        assert values.dtype in (np.float32, np.int32)
        assert np.isfinite(values).all()


def test_lanes_whose_scale_steps_are_chosen() -> None:
    window = scale_window(with_step(quiet_rows(), 1, 420.0))
    assert choose_lanes(TABLE, window, distances_of(standing((1.0, 1.0)))).tolist() == [1]


def test_a_quiet_scale_speaks_for_itself_and_a_bare_lane_needs_a_hand() -> None:
    quiet = scale_window(quiet_rows())
    for lane in STORE.lanes:
        near = distances_of(reaching(standing((3.0, 2.0)), 0, lane.front_m, slice(5, 7)))
        wanted = [lane.index] if lane.scale < 0 else []
        assert choose_lanes(TABLE, quiet, near).tolist() == wanted
        assert lane.index in choose_lanes(without_scales(TABLE), quiet, near)


def test_no_more_lanes_than_fit_and_the_most_active_first() -> None:
    many = 3 * MAX_LANES
    table = LaneTable(
        np.repeat(TABLE.rotation[:1], many, 0), np.repeat(TABLE.translation[:1], many, 0),
        np.repeat(TABLE.size_m[:1], many, 0), np.repeat(TABLE.height_m[:1], many, 0), np.arange(many, dtype=np.int32),
        np.ones(many, np.float32), np.zeros(many, np.int32), TABLE.unit_grams,
    )  # fmt: skip
    rows = quiet_rows(many)
    for lane in range(many):
        rows[lane] = with_step(rows[lane : lane + 1], 0, 20.0 + 5.0 * lane)[0]
    distance = np.full((0, many, 12, 2), 0.0, np.float32)
    chosen = choose_lanes(table, scale_window(rows), distance)
    assert chosen.tolist() == list(range(many - MAX_LANES, many))


def distances_of(tracks: object) -> np.ndarray:
    return opening_distance(TABLE, hands_in_lanes(TABLE, tracks))  # type: ignore[arg-type]


def test_a_hand_at_the_opening_is_at_no_distance() -> None:
    for lane in STORE.lanes:
        tracks = reaching(standing((1.0, 1.0)), 0, lane.front_m, slice(None))
        distance = distances_of(tracks)[0, lane.index, :, 1]
        assert distance == pytest.approx(0.0, abs=1e-5)
        away = reaching(standing((1.0, 1.0)), 0, lane.front_m + 0.3 * lane.outward_m, slice(None))
        assert distances_of(away)[0, lane.index, :, 1] == pytest.approx(0.3, abs=1e-5)


def test_weight_fits_count_units() -> None:
    steps = np.array([-330.0, 660.0, 100.0, -330.0], dtype=np.float32)
    units = np.array([330.0, 330.0, 330.0, 0.0], dtype=np.float32)
    count, misfit, known, _, away = fit_features(steps, units).T[:5]
    assert count == pytest.approx([-1, 2, 100 / 330, 0], abs=1e-5)
    assert misfit == pytest.approx([0, 0, 1 - 100 / 330, 1], abs=1e-5)
    assert known.tolist() == [1, 1, 1, 0]
    assert away == pytest.approx([0, 0, 2, 2], abs=1e-5)  # four times it is eight deviations, and no more


def test_a_misfit_is_told_in_deviations_of_scale_and_goods() -> None:
    """8 g are much for a can of 330 g on a quiet scale, less for two of them, little on a scale that trembles."""
    one, two, trembling = (
        float(fit_features(np.array([grams + 8.0], np.float32), np.array([330.0], np.float32), noise)[0, 4])
        for grams, noise in ((330.0, 0.3), (660.0, 0.3), (330.0, 10.0))
    )
    assert one == pytest.approx(8.0 / np.hypot(1.5 + 0.6 * 0.3, MASS_SPREAD * 330.0) / 4.0, abs=1e-4)
    assert one > max(two, trembling) > min(two, trembling) > 0


def test_ten_light_units_do_not_explain_one_heavy_item() -> None:
    step = np.array([-500.0, -500.0, -50.0 * MAX_UNITS], np.float32)
    _, misfit, _, _, away = fit_features(step, np.array([50.0, 500.0, 50.0], np.float32)).T[:5]
    assert misfit[0] > 0.5
    assert away[0] == 2.0
    assert misfit[1:] == pytest.approx([0, 0], abs=1e-6)
    assert away[1:] == pytest.approx([0, 0], abs=1e-6)


def test_what_lies_in_a_lane_nobody_looks_at_is_left_out() -> None:
    window = scale_window(with_step(quiet_rows(), 0, -330.0))
    lying = (Candidate(1, 1, 4.0, lane=0), Candidate(1, 1, 4.0, lane=1), Candidate(2, 1, 4.0, shopper=0))
    f = tick_features(TABLE, window, standing((1.0, 1.0)), lying, (), LOOKS)
    assert f.basket_lane.tolist() == [0, -1]
    assert f.basket_shopper.tolist() == [-1, 0]


def test_padding_leaves_every_tick_as_it_was() -> None:
    small, large = features(1, 0.0, 0, 0), features(3, -330.0, 4, 3)
    both, alone = pad_ticks([small, large]), pad_ticks([large])
    assert tuple(both) == TICK_INPUTS
    for name in TICK_INPUTS:
        assert np.array_equal(both[name][1:], alone[name]), name
    assert both["shopper_mask"].tolist() == [[True, False, False], [True] * 3]
    for name in ("lane", "basket", "event"):
        assert not both[f"{name}_mask"][0].any()
    assert (both["basket_shopper"][0] == -1).all()
    assert np.array_equal(both["shoppers"][0, :1], small.shoppers)


def test_kinds_start_with_end() -> None:
    assert KINDS[0] == "end"


def test_the_catalogue_as_arrays() -> None:
    stack = picture_stack(STORE)
    assert stack.shape == (3, 2, PICTURE_PX, PICTURE_PX, 3)
    assert (stack[1, 0] == 100).all()
    assert (stack[1, 1] == 120).all()
    assert unit_grams(STORE).tolist() == list(GRAMS.values())
    front_only = {COLA: STORE.pictures[COLA][:1]}
    fewer = picture_stack(type(STORE)(STORE.spec, STORE.products, STORE.planogram, front_only))
    assert np.array_equal(fewer[0, 1], fewer[0, 0])  # a missing side repeats the front
    assert (fewer[1:] == 255).all()


def test_the_hand_that_reaches_comes_first() -> None:
    floor = np.array([[1.0, 2.0], [1.0, 2.0]])
    hands = np.array([[[1.2, 2.0, 0.9], [1.0, 2.6, 1.1]], [[1.5, 2.0, 0.9], [1.0, 2.2, 0.9]]])
    assert by_reach(floor, hands).tolist() == [[1, 0], [0, 1]]


@pytest.mark.parametrize(("step", "guessed"), [(-330.0, []), (-660.0, []), (-420.0, [1]), (-52.0, [2]), (-3.0, [])])
def test_a_step_that_does_not_fit_its_lane_is_guessed_from_the_catalogue(step: float, guessed: list[int]) -> None:
    window = scale_window(with_step(quiet_rows(), 0, step))
    lane = np.array([0], dtype=np.int32)
    found = weight_guesses(TABLE, window, lane, window.step_grams[TABLE.scale[lane]], set())
    assert [(c.product, c.lane, c.quantity, c.shopper) for c in found] == [(p, 0, 0, -1) for p in guessed]
    named = {(0, product) for product in guessed}
    assert weight_guesses(TABLE, window, lane, window.step_grams[TABLE.scale[lane]], named) == ()


@pytest.mark.parametrize(
    ("own", "step", "guessed"),
    [
        (0, -330.0, [2, 1, 5, 3][:FEWER_GUESSES]),  # the own product fits: the nearest others, one unit before three
        (4, -330.0, [0, 2, 1, 5, 3][:GUESSES]),  # 50 g do not
        (0, -50.0, [4]),
    ],
)
def test_guesses_come_also_where_the_own_product_fits_but_fewer(own: int, step: float, guessed: list[int]) -> None:
    grams = np.array([330.0, 325.0, 327.0, 110.0, 50.0, 322.0], dtype=np.float32)
    product = TABLE.product.copy()
    product[0] = own
    table = replace(TABLE, product=product, unit_grams=grams)
    window = scale_window(with_step(quiet_rows(), 0, step))
    lane = np.array([0], dtype=np.int32)
    found = weight_guesses(table, window, lane, window.step_grams[table.scale[lane]], set())
    assert [c.product for c in found] == guessed


def shown(tracks: TrackWindow) -> NDArray[np.float32]:
    """`looks` as [shoppers, products, hands, (before, after), (cosine, log-probability, strength)]."""
    return looks(tracks, CATALOGUE).reshape(len(tracks.floor_m), len(CATALOGUE), 2, 2, 3)


@pytest.mark.parametrize("product", range(8))
def test_what_a_hand_shows_is_the_products_that_looks_like_it(product: int) -> None:
    noise = np.random.Generator(np.random.PCG64(product)).normal(0, 0.12, (len(AFTER_FRAMES), E))
    vectors = (0.7 * (CATALOGUE[product] + noise)).astype(np.float32)
    told = shown(showing(standing(*FLOORS[:2]), 0, vectors, AFTER))
    cosine, sure, strength = np.moveaxis(told[0, :, 1, 1], -1, 0)
    assert int(sure.argmax()) == int(cosine.argmax()) == product
    assert (strength == strength[0]).all()
    assert strength[0] > 0.5
    odds = np.exp(6.0 * sure[product] / strength[0])
    assert 0.5 < odds <= 1.0
    assert not told[1].any()  # the other shopper's hands show nothing
    assert not told[0, :, 0].any()  # nor does the other hand
    assert not told[0, :, :, 0].any()  # nor did this one before


def test_what_was_put_back_shows_before() -> None:
    told = shown(showing(standing((1.0, 1.0)), 0, CATALOGUE[3], slice(0, 4), hand=0))
    assert int(told[0, :, 0, 0, 1].argmax()) == 3
    assert not told[0, :, 0, 1].any()


def test_probabilities_over_the_catalogue_add_up() -> None:
    told = shown(showing(standing((1.0, 1.0)), 0, CATALOGUE[2], AFTER))
    assert np.exp(6.0 * told[0, :, 1, 1, 1]).sum() == pytest.approx(1.0, abs=1e-3)


def test_little_evidence_says_little() -> None:
    """The same product in one weak window, and in all frames: the same direction, less strength."""
    weak = shown(showing(standing((1.0, 1.0)), 0, 0.3 * CATALOGUE[5], slice(8, 9)))[0, :, 1, 1]
    strong = shown(showing(standing((1.0, 1.0)), 0, CATALOGUE[5], AFTER))[0, :, 1, 1]
    assert weak[5, 2] == pytest.approx(0.15, abs=1e-5)
    assert strong[5, 2] == 1.0
    assert np.allclose(weak / weak[0, 2], strong, atol=1e-4)


def test_frames_without_an_estimate_show_nothing() -> None:
    tracks = showing(standing((1.0, 1.0)), 0, CATALOGUE[5], slice(None))
    assert not shown(replace(tracks, valid=np.zeros_like(tracks.valid))).any()


@pytest.mark.parametrize(("people", "products"), [(0, 8), (2, 0), (0, 0)])
def test_nobody_shows_nothing_of_an_empty_catalogue(people: int, products: int) -> None:
    assert looks(standing(*FLOORS[:people]), CATALOGUE[:products]).shape == (people, products, LOOK_FEATURES)


def test_a_tick_tells_of_lanes_and_baskets_what_the_hands_show() -> None:
    window = scale_window(with_step(quiet_rows(), 0, -330.0))
    tracks = showing(standing(*FLOORS[:2]), 1, LOOKS[0], AFTER)
    baskets = (Candidate(2, 1, 4.0, shopper=0), Candidate(0, 1, 4.0, shopper=1))
    f = tick_features(TABLE, window, tracks, baskets, (), LOOKS)
    everything = looks(tracks, LOOKS)
    assert f.lane_product.tolist() == [0]
    assert np.array_equal(f.pairs[:, 0, -LOOK_FEATURES:], everything[:, 0])
    assert f.basket_product.tolist() == [2, 0]
    assert np.array_equal(f.basket_looks, everything[:, [2, 0]])
    assert np.array_equal(f.basket_looks[1, 1], f.pairs[1, 0, -LOOK_FEATURES:])
