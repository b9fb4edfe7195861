"""Stock: lanes are packed within their bounds, units rest on something, mass is kept."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from openaisle.sim.stock import Stock
from tests.sim.tiny import tiny_store

STORE = tiny_store()


def _stock(seed: int = 1) -> tuple[Stock, np.random.Generator]:
    rng = np.random.Generator(np.random.PCG64(seed))
    return Stock(STORE, rng, (0.3, 1.0)), rng


def test_units_lie_in_their_lanes() -> None:
    stock, _ = _stock()
    for lane, here in enumerate(stock.lanes):
        width, depth, height = STORE.lanes[lane].size_m
        assert here
        for lying in here:
            local = STORE.lanes[lane].lane_from_world @ stock.items.world_from_item[lying.item]
            assert np.allclose(local[:3, 3], (lying.x, lying.y, lying.z), atol=1e-5)
            assert 0 < lying.y < depth
            assert lying.z + lying.size[2] < height
            assert 0 < lying.x < width


def test_masses_are_within_eight_percent_and_differ() -> None:
    stock, _ = _stock()
    grams = np.array([p.weight_grams for p in STORE.products])[stock.items.product]
    ratio = stock.items.mass_grams / grams
    assert (np.abs(ratio - 1) <= 0.08 + 1e-9).all()
    assert ratio.std() > 0.01


def test_the_front_unit_comes_first_and_hidden_ones_wait() -> None:
    stock, _ = _stock()
    for lane in range(len(stock.lanes)):
        front = min(lying.y for lying in stock.lanes[lane])
        assert stock.takeable(lane)[0].y <= front + 0.02


def test_choosing_several_looks_behind_the_first() -> None:
    stock, _ = _stock()
    lane = max(range(len(stock.lanes)), key=lambda n: len(stock.lanes[n]))
    chosen = stock.choose(lane, -1, 5, 0.1)
    assert len({lying.item for lying in chosen}) == min(5, len(stock.lanes[lane]))


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 46), st.integers(0, 46), st.booleans()), max_size=25), st.integers(0, 1000))
def test_any_moves_keep_mass_and_support(moves: list[tuple[int, int, bool]], seed: int) -> None:
    stock, rng = _stock(seed)
    total, units = stock.true_grams.sum(), sum(map(len, stock.lanes))
    out: list[int] = []
    for source, goal, neatly in moves:
        options = stock.takeable(source)
        if options:
            item = options[0].item
            stock.remove(source, item)
            assert stock.items.lane[item] == -1
            place = stock.place_for(goal, item, rng, neatly, 0.1)
            if place is None:
                out.append(item)
            else:
                stock.put(goal, place)
                assert stock.items.lane[item] == goal
    assert sum(map(len, stock.lanes)) + len(out) == units
    assert np.isclose(stock.true_grams.sum() + stock.items.mass_grams[out].sum(), total)
    assert np.isclose(stock.load_grams.sum(), stock.true_grams.sum())
    for here in stock.lanes:
        for lying in here:
            under = [o.z + o.size[2] for o in here if o is not lying and o.covers(lying.x, lying.y, *lying.size[:2])]
            assert lying.z < 1e-9 or any(abs(top - lying.z) < 1e-6 for top in under), "nothing hangs in the air"


def test_a_wide_unit_presses_on_its_neighbours() -> None:
    stock, rng = _stock()
    crisps = next(lying.item for here in stock.lanes for lying in here if stock.items.product[lying.item] == 6)
    stock.remove(int(stock.items.lane[crisps]), crisps)
    shelf = [lane.index for lane in STORE.lanes if lane.id.startswith("wall.s2.")]
    middle = shelf[3]
    place = None
    while place is None or abs(place.x - 0.125) > 0.1 or place.size[0] < 0.13:
        place = stock.place_for(middle, crisps, rng, False, 0.125)
    place.x, before = 0.01, stock.load_grams.copy()  # half of it over the left edge
    stock.put(middle, place)
    change = stock.load_grams - before
    mass = stock.items.mass_grams[crisps]
    assert np.isclose(change.sum(), mass)
    assert 0.3 * mass < change[middle - 1] < 0.6 * mass
    assert stock.true_grams[middle] > mass


def test_misplaced_units_are_found() -> None:
    stock, rng = _stock()
    item = stock.takeable(0)[0].item
    stock.remove(0, item)
    place = stock.place_for(4, item, rng, False, 0.1)
    assert place is not None
    stock.put(4, place)
    assert [(lane, lying.item) for lane, lying in stock.misplaced()] == [(4, item)]
    gtins = dict(stock.truth([4], 0)[0].stock)
    assert gtins[STORE.products[int(stock.items.product[item])].gtin] == 1
