"""Which shops the benchmark plays: store kinds × scenarios × seeds, test seeds by default."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from openaisle.errors import Problem, ScenarioError
from openaisle.sim.scenario import load_scenario

TEST_SEED = 850_000  # first of the test split; validation starts at 800,000 and is the only one to tune on
DEFAULT_SEEDS = range(TEST_SEED, TEST_SEED + 10)


@dataclass(frozen=True, slots=True)
class Case:
    """One recording of the benchmark; store, products and behaviour follow from it alone."""

    store: str  # random:kiosk | random:corner | random:market | a folder
    scenario: str
    seed: int


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


FIRST = Suite("first", ("random:kiosk", "random:corner"), ("solo", "multiples", "return", "neighbours"))


def suite(name: str, stores: tuple[str, ...] = FIRST.stores) -> Suite:
    """A slice by name (`first`), or one scenario's name or file in the given stores; ScenarioError if neither."""
    if name == FIRST.name:
        return Suite(name, stores, FIRST.scenarios)
    load_scenario(name)  # raises, with the known names
    return Suite(name, stores, (name,))


def parse_seeds(text: str) -> range:
    """`A:B` (from A up to, without, B) or a single seed; ScenarioError otherwise."""
    first, _, last = text.partition(":")
    if first.isdecimal() and (last.isdecimal() or ":" not in text):
        seeds = range(int(first), int(last) if last else int(first) + 1)
        if seeds:
            return seeds
    fix = f"write first:last+1, e.g. {DEFAULT_SEEDS.start}:{DEFAULT_SEEDS.stop}"
    raise ScenarioError([Problem("--seeds", repr(text), "not a range of seeds", fix)])
