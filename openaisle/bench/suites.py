"""Which shops the benchmark plays: store kinds × scenarios × seeds, test seeds by default."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from openaisle.bench.axes import AXES, axis
from openaisle.errors import Problem, ScenarioError
from openaisle.sim.scenario import SUITES, load_scenario

TEST_SEED = 850_000  # first of the test split; validation starts at 800,000 and is the only one to tune on
DEFAULT_SEEDS = range(TEST_SEED, TEST_SEED + 10)
SLICE_SEEDS = DEFAULT_SEEDS[:2]  # of the first suite by two models: ten minutes on two cores


@dataclass(frozen=True, slots=True)
class Case:
    """One recording of the benchmark; store, products and behaviour follow from it alone."""

    store: str  # random:kiosk | random:corner | random:market | a folder
    scenario: str
    seed: int
    axis: str = ""  # what is harder than in any training (axes.py), "" = nothing

    @property
    def name(self) -> str:
        """A name fit for files, e.g. "random-kiosk-solo-850000"; unique within a plan."""
        parts = (self.store, self.scenario.removesuffix(".yaml"), str(self.seed), self.axis)
        return "-".join(re.sub(r"[^A-Za-z0-9.]+", "-", part).strip("-") for part in parts if part)


@dataclass(frozen=True, slots=True)
class Suite:
    """A named slice of the benchmark."""

    name: str
    stores: tuple[str, ...]
    scenarios: tuple[str, ...]

    def cases(self, seeds: Sequence[int]) -> tuple[Case, ...]:
        """All cases; seeds outermost so that a stopped run is a fair sample, a store's scenarios in a row."""
        return tuple(
            Case(store, scenario, seed) for seed in seeds for store in self.stores for scenario in self.scenarios
        )


KIOSK, CORNER, MARKET = "random:kiosk", "random:corner", "random:market"
FIRST = Suite("first", (KIOSK, CORNER), ("solo", "multiples", "return", "neighbours"))
ALL = Suite("all", FIRST.stores, SUITES)
# What --full plays: each suite with its seeds; markets are larger than any shop of the training.
FULL = ((ALL, DEFAULT_SEEDS[:10]), (Suite("markets", (MARKET,), FIRST.scenarios), DEFAULT_SEEDS[:2]))
FULL_AXES = Suite("axes", FIRST.stores, ("solo", "return", "neighbours")), DEFAULT_SEEDS[:4]
FULL_ABLATIONS = FIRST, DEFAULT_SEEDS[:5]

Plan = tuple[tuple[Case, str], ...]  # each case with the model that plays it


def suite(name: str, stores: tuple[str, ...] = FIRST.stores) -> Suite:
    """A slice by name (`first`, `all`), or a scenario's name or file in the given stores; ScenarioError if neither."""
    for known in (FIRST, ALL):
        if name == known.name:
            return Suite(name, stores, known.scenarios)
    load_scenario(name)  # raises, with the known names
    return Suite(name, stores, (name,))


def plan(cases: Sequence[Case], models: Sequence[str], axes: Sequence[str] = ()) -> Plan:
    """Every case, plain and under every axis, by every model; cases outermost."""
    asked = [axis(name).name for name in axes]
    every = [replace(case, axis=name) for case in cases for name in ("", *asked)]
    return tuple((case, model) for case in every for model in models)


def full_plan(models: Sequence[str], reduced: Sequence[str]) -> Plan:
    """Everything: all suites, markets, all axes by `models`; what `reduced` models lose on the first suite."""
    plain = [case for one, seeds in FULL for case in one.cases(seeds)]
    harder = [replace(case, axis=name) for case in FULL_AXES[0].cases(FULL_AXES[1]) for name in AXES if name]
    return (
        *plan(plain, models),
        *plan(FULL_ABLATIONS[0].cases(FULL_ABLATIONS[1]), reduced),
        *((case, model) for case in harder for model in models),
    )


def parse_seeds(text: str) -> range:
    """`A:B` (from A up to, without, B) or a single seed; ScenarioError otherwise."""
    first, _, last = text.partition(":")
    if first.isdecimal() and (last.isdecimal() or ":" not in text):
        seeds = range(int(first), int(last) if last else int(first) + 1)
        if seeds:
            return seeds
    fix = f"write first:last+1, e.g. {DEFAULT_SEEDS.start}:{DEFAULT_SEEDS.stop}"
    raise ScenarioError([Problem("--seeds", repr(text), "not a range of seeds", fix)])
