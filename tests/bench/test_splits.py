"""Nothing crosses the splits: seeds, product families, layouts; and nobody here uses the seeds that are reserved.

What can be proven: seeds and family seeds come from disjoint ranges, and a packaging's seed follows from its family's.
What can only be tried out: that no two layouts are the same. What is not claimed: brand names and GTINs are drawn by
chance and may meet by chance; no model reads either.
"""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

import openaisle.sim.stores_shelves as shelves
from openaisle.bench.splits import Name, read_splits
from openaisle.bench.suites import DEFAULT_SEEDS, full_plan
from openaisle.recording.manifest import split_of
from openaisle.sim import stores
from openaisle.sim.stores_examples import SEEDS
from openaisle.sim.stores_layout import PLANS, StoreKind
from openaisle.sim.stores_products import SPLIT_STARTS, draw_family, family_range, product_seed
from openaisle.store.store import Store
from openaisle.training import train
from openaisle.training.recipe import DataPlan, load_recipe
from tests.house.sources import ROOT, all_sources, kept_files

SPLITS = read_splits().splits
TRAIN, VALIDATION, TEST, OUTSIDE = (SPLITS[name] for name in ("train", "validation", "test", "outside"))
# The same distance from each split's start: a generator that folded its seeds would draw twins.
OFFSETS = (0, 1, 40_000, 49_999)
SMALL: tuple[StoreKind, ...] = ("kiosk", "corner")
MOST_VARIANTS = 5  # of a family, in stores_shelves.py
# Who may name a seed from 900,000 up: where the splits are told apart, and tests that hold them to it.
BORDERS = {
    "stores_products.py",
    "manifest.py",
    "splits.yaml",
    "test_splits.py",
    "test_random_stores.py",
    "test_bench.py",
}


@pytest.fixture(scope="module")
def drawn() -> dict[tuple[Name, StoreKind, int], tuple[Store, frozenset[int]]]:
    """Stores of every split with the seeds of their product families."""
    used: list[int] = []

    def spy(*args: object) -> object:
        used.append(int(str(args[2])))
        return draw_family(*args)  # type: ignore[arg-type]

    out: dict[tuple[Name, StoreKind, int], tuple[Store, frozenset[int]]] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shelves, "draw_family", spy)
        patch.setattr(stores, "_pictures", lambda products: {})  # slow, and not looked at here
        for name in ("train", "validation", "test"):
            for kind in SMALL:
                for offset in OFFSETS:
                    used.clear()
                    store = stores.draw_store(PLANS[kind], SPLITS[name].seeds[0] + offset)
                    out[name, kind, offset] = store, frozenset(used)
    return out


def test_seeds_and_families_are_whole_ranges_without_overlap() -> None:
    ordered = [TRAIN, VALIDATION, TEST, OUTSIDE]
    assert ordered[0].seeds[0] == 0
    assert ordered[-1].seeds[1] is None
    for before, after in pairwise(ordered):
        assert before.seeds[1] == after.seeds[0]
        assert before.families[1] == after.families[0]
    assert all(split.families[0] < split.families[1] for split in ordered)


def test_generator_and_recordings_hold_to_the_file() -> None:
    assert tuple(split.seeds[0] for split in SPLITS.values()) == SPLIT_STARTS
    for name, split in SPLITS.items():
        first, end = split.seeds
        for seed in (first, (end or first + 100_000) - 1):
            assert read_splits().of(seed) == name
            assert family_range(seed) == split.families
            assert split_of(seed) == ("" if name == "outside" else name)


def test_contributing_says_the_same() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert "0–799,999 train, 800,000–849,999 validate, 850,000–899,999 test" in text


def test_packaging_follows_from_families_so_it_crosses_no_split_either() -> None:
    for split in SPLITS.values():
        first, end = split.families
        assert product_seed(first, 0) == first * 16
        assert product_seed(end - 1, MOST_VARIANTS - 1) < product_seed(end, 0)


def test_families_of_drawn_stores_stay_in_their_split(
    drawn: dict[tuple[Name, StoreKind, int], tuple[Store, frozenset[int]]],
) -> None:
    by_split: dict[Name, set[int]] = {}
    for (name, _, _), (_, families) in drawn.items():
        first, end = SPLITS[name].families
        assert families
        assert all(first <= family < end for family in families)
        by_split.setdefault(name, set()).update(families)
    assert not by_split["train"] & by_split["test"]
    assert not by_split["validation"] & (by_split["train"] | by_split["test"])


def test_no_two_layouts_are_the_same(
    drawn: dict[tuple[Name, StoreKind, int], tuple[Store, frozenset[int]]],
) -> None:
    seen: dict[object, object] = {}
    for key, (store, _) in drawn.items():
        for layout in (outline(store), outline(store, mirrored=True)):
            assert seen.setdefault(layout, key) == key, f"{key} has the layout of {seen[layout]}"
    assert len(seen) == 2 * len(drawn)


def outline(store: Store, *, mirrored: bool = False) -> object:
    """Room and furniture to five centimetres, whatever stands on it; left and right exchanged if wanted."""
    width = max(x for x, _ in store.spec.floor_m)

    def rough(x: float, y: float) -> tuple[int, int]:
        return round((width - x if mirrored else x) * 20), round(y * 20)

    furniture = []
    for fixture in store.spec.fixtures:
        along = math.radians(fixture.yaw_deg)
        half = fixture.width_m / 2
        middle = rough(fixture.x_m + half * math.cos(along), fixture.y_m + half * math.sin(along))
        furniture.append((fixture.kind, middle, round(fixture.width_m * 20), round(fixture.depth_m * 20)))
    return frozenset(rough(*corner) for corner in store.spec.floor_m), frozenset(furniture)


@pytest.mark.parametrize("path", sorted((ROOT / "recipes").glob("*.py")), ids=lambda path: path.stem)
def test_recipes_train_on_training_seeds_and_judge_on_validation_seeds(path: Path) -> None:
    data = load_recipe(path).data
    seeds = [spec.seed for plan in PREPARED for spec in plan(data)]
    assert len(set(seeds)) > 1000
    assert all(TRAIN.holds(seed) for seed in seeds)
    held = [spec.seed for count, offset in held_out(data) for spec in train.held_out_specs(data, count, offset)]
    assert len(held) >= 50
    assert all(VALIDATION.holds(seed) for seed in held)


PREPARED = (
    train.frame_specs, train.glance_specs, train.body_specs, train.shelf_specs, train.actor_specs, train.journey_specs,
    train.tracked_specs, train.detection_specs,
)  # fmt: skip


def held_out(data: DataPlan) -> list[tuple[int, int]]:
    """Count and offset of every call of held_out_specs; and all calls of *_specs are known here."""
    text = Path(train.__file__).read_text(encoding="utf-8")
    assert set(re.findall(r"def (\w+_specs)\(", text)) == {plan.__name__ for plan in PREPARED} | {"held_out_specs"}
    calls = re.findall(r"held_out_specs\(data, ([\w.]+), (\d+)\)", text)
    assert len(calls) == text.count("held_out_specs(") - 1
    return [(data.held_out if count == "data.held_out" else int(count), int(offset)) for count, offset in calls]


def test_the_benchmark_plays_test_seeds_and_the_example_stores_come_from_validation() -> None:
    assert all(TEST.holds(seed) for seed in DEFAULT_SEEDS)
    assert all(TEST.holds(case.seed) for case, _ in full_plan(["small"], []))
    assert all(VALIDATION.holds(seed) for seed in SEEDS.values())
    assert set(VALIDATION.stores) == {f"stores/{kind}" for kind in SEEDS}
    assert all((ROOT / folder / "store.yaml").is_file() for folder in VALIDATION.stores)


def test_nobody_here_names_a_reserved_seed() -> None:
    found = [f"{source.path}: {number}" for source in all_sources() for number in reserved(source.tree)
             if source.path.name not in BORDERS]  # fmt: skip
    for path in kept_files():
        if path.suffix in (".yaml", ".yml", ".md", ".toml") or path.name == "Makefile":
            text = (ROOT / path).read_text(encoding="utf-8")
            seeds = re.findall(r"--seeds?[ =]+(\d[\d_]*)(?::(\d[\d_]*))?", text)
            found += [f"{path}: {first}:{end}" for first, end in seeds if int(end or first) > OUTSIDE.seeds[0]]
    assert not found


def reserved(tree: ast.Module) -> Iterator[int]:
    """Whole numbers that could be reserved seeds."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and type(node.value) is int and 900_000 <= node.value < 1_000_000:
            yield node.value
