"""Random and example stores: sound, walkable, seen, varied, the same for the same seed, families within splits."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from openaisle.errors import StoreError
from openaisle.sim.stores import generate_store, open_store
from openaisle.sim.stores_examples import EXAMPLES, unweighed
from openaisle.sim.stores_layout import PLANS, StoreKind
from openaisle.sim.stores_products import (
    CATEGORIES,
    FAMILIES_PER_SPLIT,
    SPLIT_STARTS,
    draw_family,
    family_range,
    product_seed,
)
from openaisle.store.check import check_store
from openaisle.store.coverage import coverage
from openaisle.store.load import load_store, save_store, store_hash
from openaisle.store.notes import store_notes
from openaisle.store.store import Store
from openaisle.store.walk import reachable_lanes

STORES = Path(__file__).parents[2] / "stores"
CASES: list[tuple[StoreKind, int]] = [("kiosk", seed) for seed in range(100, 106)] + [
    ("corner", seed) for seed in range(100, 103)] + [("market", 100)]  # fmt: skip


@cache
def drawn(kind: StoreKind, seed: int) -> Store:
    """Generated once for all tests."""
    return generate_store(kind, seed)


@pytest.mark.parametrize(("kind", "seed"), CASES)
def test_random_stores_are_sound_walkable_and_seen(kind: StoreKind, seed: int) -> None:
    store, plan = drawn(kind, seed), PLANS[kind]
    assert check_store(store) == []
    assert reachable_lanes(store, 0.45).all()
    for count, (low, high) in (
        (len(store.spec.fixtures), plan.fixtures),
        (len(store.cameras), plan.cameras),
        (len(store.products), plan.products),
    ):
        assert low <= count <= high
    seen = coverage(store)
    assert (seen.lane_cameras >= 1).all()
    assert (seen.lane_cameras >= 2).mean() > 0.85
    assert seen.floor_one > 0.97
    assert seen.floor_two > 0.9
    assert all("no scale carries" in note.what for note in store_notes(store))


@pytest.mark.parametrize(("kind", "seed"), CASES[:7])
def test_goods_fit_and_every_product_has_a_lane(kind: StoreKind, seed: int) -> None:
    store = drawn(kind, seed)
    assert set(store.lane_product) == set(range(len(store.products)))
    for row in store.planogram:
        product, lane = store.products[store.product_index[row.gtin]], store.lanes[store.lane_index[row.lane]]
        width, depth, clearance = lane.size_m
        assert product.width_mm / 1000 * row.facings < width
        assert product.depth_mm / 1000 < depth
        assert product.height_mm / 1000 < clearance
        columns = int(depth / (product.depth_mm / 1000))
        assert row.facings <= row.capacity <= row.facings * columns


@pytest.mark.parametrize(("kind", "seed"), CASES[:3])
def test_pictures_are_there(kind: StoreKind, seed: int) -> None:
    store = drawn(kind, seed)
    assert set(store.pictures) == {product.gtin for product in store.products}
    for pictures in store.pictures.values():
        assert [picture.shape for picture in pictures] == [(64, 64, 3)] * 3
        assert all(picture.dtype == np.uint8 for picture in pictures)
    fronts = {pictures[0].tobytes() for pictures in store.pictures.values()}
    assert len(fronts) > 0.9 * len(store.products)


def test_the_same_seed_gives_the_same_store_in_another_process() -> None:
    code = "from openaisle.sim.stores import generate_store as g; from openaisle.store.load import store_hash as h;"
    other = subprocess.run(
        [sys.executable, "-c", code + "print(h(g('kiosk', 101)))"], capture_output=True, text=True, check=True
    )
    assert other.stdout.strip() == store_hash(drawn("kiosk", 101))
    assert store_hash(drawn("kiosk", 101)) != store_hash(drawn("kiosk", 102))


def test_random_stores_survive_being_saved(tmp_path: Path) -> None:
    for kind, seed in (CASES[0], CASES[6]):
        save_store(drawn(kind, seed), tmp_path / kind)
        assert load_store(tmp_path / kind) == drawn(kind, seed)


def test_stores_vary_as_promised() -> None:
    """Every kind of fixture, doors, shared and missing scales, one door and two, L-shapes, shelf counts, lenses."""
    stores = [drawn(kind, seed) for kind, seed in CASES]
    specs = [store.spec for store in stores]
    fixtures = [fixture for spec in specs for fixture in spec.fixtures]
    assert {fixture.kind for fixture in fixtures} == {"gondola", "wall", "fridge", "table", "pegs", "counter"}
    assert any(fixture.doors for fixture in fixtures)
    assert len({len(fixture.shelves) for fixture in fixtures}) >= 4
    assert {len(scale.lanes) > 1 for spec in specs for scale in spec.scales} == {True, False}
    assert any(unweighed(spec) for spec in specs)
    assert {len(spec.gates) for spec in specs} == {1, 2}
    assert {len(spec.floor_m) for spec in specs} == {4, 6}
    fov = [np.rad2deg(2 * np.arctan(c.width_px / 2 / c.fx_px)) for spec in specs for c in spec.cameras]
    assert max(fov) - min(fov) > 25
    weights = [product.weight_grams for store in stores for product in store.products]
    assert min(weights) >= 5
    assert max(weights) <= 1500
    assert np.percentile(weights, 2) < 20
    assert np.percentile(weights, 98) > 900
    assert {product.shape for store in stores for product in store.products} == {
        "box", "cylinder", "bottle", "can", "bag", "tub"}  # fmt: skip
    for store in stores[:7]:
        same = Counter(product.weight_grams for product in store.products)
        assert sum(count for count in same.values() if count > 1) > 0.2 * len(store.products)


def test_families_never_cross_splits() -> None:
    ends = (*SPLIT_STARTS[1:], None)
    ranges = []
    for start, end in zip(SPLIT_STARTS, ends, strict=True):
        first = family_range(start)
        assert end is None or family_range(end - 1) == first  # one range from a split's first seed to its last
        ranges.append(first)
    for (_, stop), (start, _) in pairwise(ranges):
        assert stop == start
    assert all(stop - start == FAMILIES_PER_SPLIT for start, stop in ranges)


def test_families_of_stores_come_from_their_splits_range(monkeypatch: pytest.MonkeyPatch) -> None:
    import openaisle.sim.stores_shelves as shelves

    used: list[int] = []

    def spy(*args: object) -> object:
        used.append(int(str(args[2])))
        return draw_family(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(shelves, "draw_family", spy)
    for seed in (7, 799_999, 800_000, 849_999, 850_000, 899_999):
        used.clear()
        generate_store("kiosk", seed)
        low, high = family_range(seed)
        assert used
        assert all(low <= family < high for family in used)


def test_a_family_is_one_design_in_several_variants() -> None:
    family = draw_family(CATEGORIES[0], 4, 12_345)
    assert [drawn.variant for drawn in family] == [0, 1, 2, 3]
    assert len({drawn.spec.gtin for drawn in family}) == 4
    assert len({" ".join(drawn.spec.name.split()[:2]) for drawn in family}) == 1
    assert len({product_seed(drawn.family_seed, drawn.variant) for drawn in family}) == 4
    assert draw_family(CATEGORIES[0], 4, 12_345) == family
    assert {drawn.spec.weight_grams for drawn in draw_family(CATEGORIES[0], 2, 99, 321.0)} >= {321.0}


def test_open_store_says_what_is_possible(tmp_path: Path) -> None:
    assert open_store("random:kiosk", 101) == drawn("kiosk", 101)
    with pytest.raises(StoreError, match="random:kiosk, random:corner, random:market"):
        open_store("random:mall", 1)
    with pytest.raises(StoreError, match="no such folder"):
        open_store(str(tmp_path / "nowhere"), 1)


@pytest.mark.parametrize("kind", EXAMPLES)
def test_example_stores_are_as_described(kind: StoreKind) -> None:
    store, want = load_store(STORES / kind), EXAMPLES[kind]
    assert store.spec.name == want.name
    assert want.fixtures[0] <= len(store.spec.fixtures) <= want.fixtures[1]
    assert len(store.cameras) == want.cameras
    assert len(store.products) == want.products
    assert sum(fixture.doors for fixture in store.spec.fixtures if fixture.kind == "fridge") >= want.fridges
    assert len(unweighed(store.spec)) == want.without_scales
    assert bool(store.spec.promotions) == want.promotions
    assert reachable_lanes(store, 0.45).all()
    assert (coverage(store).lane_cameras >= 1).all()


def test_example_stores_are_small() -> None:
    assert sum(path.stat().st_size for path in STORES.rglob("*") if path.is_file()) < 6e6
