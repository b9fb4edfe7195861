"""Scenarios: what people do in a simulated store, as small YAML files (one per benchmark suite).

A scenario says how many visits come, how fast, and how likely every behaviour is. The shipped ones lie in
scenarios/; anybody can write another file with the same keys and pass its path.
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from openaisle.errors import Problem, ScenarioError

Chance = Annotated[float, Field(ge=0, le=1)]
Seconds = Annotated[float, Field(ge=0, le=86_400)]
Weight = Annotated[float, Field(ge=0, le=1000)]
Count = Annotated[int, Field(ge=0, le=1000)]

SUITES = (
    "solo", "multiples", "return", "misplace", "neighbours", "crowd", "hand-over", "look-alikes", "same-weight",
    "tiny", "group", "indecisive", "restock", "concealment", "no-scales", "faults", "everything",
)  # fmt: skip


class Part(BaseModel):
    """Base: unknown keys are refused, values are frozen."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Stow(Part):
    """Where a taken item goes: relative weights. Bag and basket count only for people who carry one."""

    bag: Weight = 4.0
    pocket: Weight = 0.5
    hand: Weight = 1.5


class Carriers(Part):
    """What people carry things in: relative weights."""

    nothing: Weight = 3.0
    bag: Weight = 3.0
    basket: Weight = 3.0
    trolley: Weight = 1.0


class Bias(Part):
    """How much likelier products of a difficult kind are chosen: the share of all picks steered to them."""

    look_alike: Chance = 0.0
    same_weight: Chance = 0.0
    tiny: Chance = 0.0


class Faults(Part):
    """How many of the sensors misbehave, and how badly."""

    camera_lost: Chance = Field(default=0.0, title="Share of cameras that go dark for a while")
    frames_dropped: Chance = Field(default=0.0, title="Share of cameras that drop frames")
    scale_drifting: Chance = Field(default=0.0, title="Share of scales that drift by grams per second")
    scale_dead: Chance = Field(default=0.0, title="Share of scales that send no number")
    scale_stuck: Chance = Field(default=0.0, title="Share of scales that repeat their last reading")
    clock_skew_ms: float = Field(default=0.0, ge=0, le=10_000, title="Largest clock error of a sensor")
    late: Chance = Field(default=0.0, title="Share of sensors whose messages arrive late")
    late_s: Seconds = Field(default=1.5, title="Largest delay of a late message")


class Scenario(Part):
    """What happens in a simulated store; all chances are per pick unless said otherwise."""

    name: str = Field(min_length=1, max_length=60)
    description: str = ""
    duration_s: float = Field(default=90.0, gt=5, le=86_400, title="Length; extended until the last shopper is out")
    shoppers: tuple[Count, Count] = Field(default=(1, 1), title="Fewest and most visits")
    arrival_s: tuple[Seconds, Seconds] = Field(default=(1.0, 12.0), title="Time between two arrivals")
    quiet_s: tuple[Seconds, Seconds] = Field(default=(3.0, 2.0), title="How long nobody is there first, and at the end")
    picks: tuple[Count, Count] = Field(default=(2, 6), title="Shelf visits per shopper")
    child: Chance = Field(default=0.08, title="Chance that a shopper is a child")
    linger_s: tuple[Seconds, Seconds] = Field(default=(0.0, 2.5), title="Pause before a reach")
    quantity: tuple[Weight, ...] = Field(default=(12.0, 2.0, 0.7, 0.3, 0.2), min_length=1, max_length=5,
                                         title="Weights of taking 1, 2, .. units")  # fmt: skip
    at_once: Chance = Field(default=0.6, title="Several units are grabbed at once, not one after another")
    both_hands: Chance = Field(default=0.1, title="Uses both hands for several units")
    browse: Chance = Field(default=0.12, title="Looks at a shelf without reaching for it")
    hold: Chance = Field(default=0.08, title="Holds an item on the shelf for seconds before taking it")
    touch: Chance = Field(default=0.06, title="Touches an item without taking it")
    inspect: Chance = Field(default=0.4, title="Looks at the item before stowing it")
    inspect_s: tuple[Seconds, Seconds] = (0.4, 3.0)
    put_back: Chance = Field(default=0.05, title="Puts an item straight back where it was")
    cycles: tuple[Count, Count] = Field(default=(1, 2), title="Takes and put-backs in a row")
    return_right: Chance = Field(default=0.06, title="Brings an earlier item back to its lane")
    return_wrong: Chance = Field(default=0.04, title="Leaves an earlier item in another product's lane")
    take_misplaced: Chance = Field(default=0.1, title="Takes a misplaced item when there is one")
    misplaced_at_start: tuple[Count, Count] = (0, 1)
    hand_over: Chance = Field(default=0.0, title="Hands a taken item to another shopper")
    together: Chance = Field(default=0.15, title="Goes to the shelf where another shopper is, and reaches with him")
    same_lane: Chance = Field(default=0.2, title="... and to the very same lane")
    group: Chance = Field(default=0.05, title="A visit is a group on one receipt (chance per visit)")
    group_size: tuple[Count, Count] = (2, 3)
    staff: tuple[Count, Count] = Field(default=(0, 0), title="Restocking rounds of staff")
    fill: tuple[Chance, Chance] = Field(default=(0.4, 1.0), title="How full lanes are at the start")
    stow: Stow = Stow()
    carriers: Carriers = Carriers()
    bias: Bias = Bias()
    scales: bool = Field(default=True, title="The store's scales work; false: no scale sends anything")
    faults: Faults = Faults()

    @model_validator(mode="after")
    def _ranges_in_order(self) -> Scenario:
        for field in ("shoppers", "arrival_s", "picks", "linger_s", "inspect_s", "cycles", "misplaced_at_start",
                      "group_size", "staff", "fill"):  # fmt: skip
            low, high = getattr(self, field)
            if low > high:
                raise ValueError(f"{field}: the smaller number comes first, not {low} before {high}")
        if not sum(self.quantity) > 0:
            raise ValueError("quantity: at least one weight must be above zero")
        return self


def load_scenario(name_or_path: str) -> Scenario:
    """The scenario of a suite, or of a YAML file given by its path.

    Raises ScenarioError that names every wrong key and the known names.
    """
    if name_or_path in SUITES:
        text = (resources.files("openaisle.sim") / "scenarios" / f"{name_or_path}.yaml").read_text()
        return parse_scenario(text, f"{name_or_path}.yaml")
    path = Path(name_or_path)
    if path.suffix not in (".yaml", ".yml") or not path.is_file():
        fix = f"use one of {', '.join(SUITES)}, or the path of a .yaml file"
        raise ScenarioError([Problem(name_or_path, "name", "no such scenario", fix)])
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise ScenarioError([Problem(str(path), "file", str(error), "give a readable text file")]) from error
    return parse_scenario(text, str(path))


def parse_scenario(text: str, file: str) -> Scenario:
    """A scenario from YAML text; `file` names it in errors. Raises ScenarioError with all problems."""
    try:
        raw = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"line {mark.line + 1}" if mark else "file"
        raise ScenarioError([Problem(file, place, "not valid YAML", "mend the syntax")]) from error
    if not isinstance(raw, dict):
        raise ScenarioError([Problem(file, "file", "no keys in it", "write `name: ...` and the other keys")])
    try:
        return Scenario.model_validate(raw)
    except ValidationError as error:
        raise ScenarioError([_problem(file, detail["loc"], detail["msg"]) for detail in error.errors()]) from error


def _problem(file: str, location: tuple[int | str, ...], message: str) -> Problem:
    known: type[BaseModel] = Scenario
    for key in location[:-1]:
        inner = known.model_fields[str(key)].annotation if str(key) in known.model_fields else None
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            known = inner
    if message.startswith("Extra inputs"):
        message = "unknown key"
        fix = "known keys: " + ", ".join(known.model_fields)
    else:
        fix = "see the fields of openaisle.sim.scenario.Scenario"
    return Problem(file, ".".join(map(str, location)) or "file", message, fix)
