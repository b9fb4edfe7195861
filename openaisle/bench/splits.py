"""Splits: which generator seeds and product families train, validate and test, as splits.yaml says."""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field

Name = Literal["train", "validation", "test", "outside"]


class Split(BaseModel):
    """One split: half-open ranges of generator seeds and of product families, and the store folders drawn from it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    seeds: tuple[int, int | None]
    families: tuple[int, int]
    stores: tuple[str, ...] = ()

    def holds(self, seed: int) -> bool:
        """Whether a generator seed belongs to it."""
        first, end = self.seeds
        return first <= seed and (end is None or seed < end)


class SplitFile(BaseModel):
    """splits.yaml."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: int = Field(ge=1)
    splits: dict[Name, Split]

    def of(self, seed: int) -> Name:
        """The split of a generator seed."""
        return next(name for name, split in self.splits.items() if split.holds(seed))


@cache
def read_splits() -> SplitFile:
    """The shipped file."""
    text = resources.files("openaisle.bench").joinpath("splits.yaml").read_text(encoding="utf-8")
    return SplitFile.model_validate(yaml.safe_load(text))
