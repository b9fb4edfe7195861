"""Report: what a live store under load is asked for, what came of it, and what is claimed (stress/live.py runs it)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace

import numpy as np

from openaisle.bench.live_watch import Reading, growth_mb

LATENCY_S = 2.0  # 99 of 100 updates come within it
GROWTH_MB = 10.0  # of any process's memory, after its warm-up
DROPPED = 0.01  # of all pictures
BEHIND_S = 10.0  # a pipeline that is farther behind at the end does not keep up
HARDWARE = "hardware"  # this process: what stands for cameras, scales and broker


@dataclass(frozen=True, slots=True)
class Load:
    """How much there is."""

    cameras: int = 16
    scales: int = 200
    shoppers: int = 10  # in the shop at once, about

    def share(self, cameras: int) -> Load:
        """The same with fewer cameras, and fewer shoppers in proportion."""
        return replace(self, cameras=cameras, shoppers=max(1, round(self.shoppers * cameras / self.cameras)))


@dataclass(frozen=True, slots=True)
class LivePlan:
    """What is asked for."""

    load: Load = Load()
    minutes: float = 30.0
    seed: int = 850_000
    store: str = "random:market"
    model: str = "small"


@dataclass(frozen=True)
class LiveReport:
    """What came of it."""

    plan: LivePlan
    machine: str
    events: int  # true takes and returns
    latency_s: tuple[float, ...]  # of those that an update shows
    sent: Mapping[str, int]  # messages by kind
    lost: Mapping[str, int]
    behind_s: tuple[tuple[float, float], ...]  # (second, how far the pipeline is behind the clock)
    readings: tuple[Reading, ...] = field(repr=False)

    def percentile(self, share: float) -> float | None:
        """Of the latency, seconds; None where nothing was shown."""
        return float(np.percentile(self.latency_s, share)) if self.latency_s else None

    @property
    def dropped(self) -> float:
        """Share of pictures that did not get into the journal."""
        return self.lost["pictures"] / max(1, self.sent["pictures"])

    @property
    def growth_mb(self) -> dict[str, float]:
        """By process, after its warm-up."""
        return {name: round(growth_mb(self.readings, name), 1) for name in self.processes}

    @property
    def processes(self) -> list[str]:
        """All that were watched."""
        return sorted({one.process for one in self.readings})

    @property
    def cores(self) -> dict[str, float]:
        """Cores busy with each process, on average."""
        by = {name: [one.cores for one in self.readings if one.process == name] for name in self.processes}
        return {name: round(float(np.mean(values)), 3) for name, values in by.items()}

    @property
    def claims(self) -> dict[str, bool]:
        """What is promised, and whether it was kept."""
        latest, behind_s = self.percentile(99), self.behind_s[-1][1] if self.behind_s else math.inf
        others = {name: grown for name, grown in self.growth_mb.items() if name != HARDWARE}
        return {
            f"99% of updates within {LATENCY_S:g} s": latest is not None and latest <= LATENCY_S,
            "no message of a scale or gate is lost": not self.lost["scales"] and not self.lost["gates"],
            f"at most {DROPPED:.0%} of pictures are dropped": self.dropped <= DROPPED,
            f"the pipeline is at most {BEHIND_S:g} s behind at the end": behind_s <= BEHIND_S,
            f"memory grows by less than {GROWTH_MB:g} MB": bool(others) and max(others.values()) < GROWTH_MB,
        }

    @property
    def sustained(self) -> bool:
        """Whether the machine keeps up."""
        return all(self.claims.values())

    def to_json(self) -> dict[str, object]:
        """Everything, for programs."""
        shown = {f"p{share}": self.percentile(share) for share in (50, 95, 99)}
        whole = asdict(replace(self, sent=dict(self.sent), lost=dict(self.lost)))
        return {
            **whole, "sustained": self.sustained, "claims": self.claims, "latency_percentiles_s": shown,
            "shown": len(self.latency_s), "pictures_dropped": self.dropped, "growth_mb": self.growth_mb,
            "cores": self.cores,
        }  # fmt: skip
