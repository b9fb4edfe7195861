"""Budget: what the shipped model may cost, in milliseconds a tick and a call, MB, seconds to start; and its measuring.

Times are processor time on one core of the machine that they were written down on. Another machine is as much slower
as a loop of plain matrix products is there, measured in the same run; so a test can hold slow machines to it.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import numpy as np

from openaisle.messages import NANOSECONDS, GateEvent, VideoFrame
from openaisle.pipeline import set_up, step
from openaisle.predictor import Arrays, GraphPredictor, Predictor
from openaisle.state import State
from openaisle.store.store import Store
from openaisle.tokens.actor import ACTOR_CELLS, ACTOR_FEATURES, ACTOR_PX, ACTOR_SLOTS
from openaisle.tokens.body import BODY_FEATURES, BODY_PX
from openaisle.tokens.glance import WINDOW_FEATURES, WINDOW_PX
from openaisle.tokens.journey import FRAME_HZ
from openaisle.tokens.rays import RAY_FEATURES
from openaisle.tokens.scales import RATE_HZ
from openaisle.tokens.tick import AHEAD_NS, SLOT_NS, Tick

LOOP_SIZE, LOOP_ROUNDS = 256, 60  # matrix products of one loop: 2 GFLOP
WIDE = 4.0  # a budget is exceeded beyond this: caches, turbo and neighbours make as much of half of it
SHOP, SHOPPERS = ("random:kiosk", 800_390), 2
START_NS = 1_700_000_000 * NANOSECONDS


@dataclass(frozen=True, slots=True)
class Cost:
    """What a model costs, on a machine whose loop takes so long."""

    loop_ms: float
    tick_ms: float  # of a kiosk with two shoppers before four cameras
    graph_ms: Mapping[str, float]  # by call (CALLS)
    start_s: float  # imports included
    memory_mb: float  # of the process, its graphs in use


BUDGET = Cost(
    loop_ms=25.0,
    tick_ms=290.0,
    graph_ms={"heatmap": 21.0, "glance": 5.7, "look": 12.0, "actor": 17.0},
    start_s=1.8,
    memory_mb=230.0,
)  # measured 2026-11-28 and 29 on an EPYC of the fourth generation; docs/model.md


def over(cost: Cost, budget: Cost = BUDGET, wide: float = WIDE) -> list[str]:
    """What exceeds the budget by more than `wide` times, the machine's speed allowed for; memory by a half."""
    slower = max(1.0, cost.loop_ms / budget.loop_ms)
    pairs = [("a tick", "ms", cost.tick_ms, budget.tick_ms), ("the start", "s", cost.start_s, budget.start_s)]
    pairs += [(name, "ms", cost.graph_ms[name], least) for name, least in budget.graph_ms.items()]
    said = [
        f"{what} takes {is_:.3g} {unit}, {is_ / (may * slower):.1f} times its budget of {may:g} {unit} on this machine"
        for what, unit, is_, may in pairs if is_ > may * slower * wide
    ]  # fmt: skip
    if cost.memory_mb > 1.5 * budget.memory_mb:
        said.append(f"memory is {cost.memory_mb:.0f} MB, the budget {budget.memory_mb:g} MB")
    return said


def loop_ms() -> float:
    """Processor time of the loop: how fast this machine is, just now."""
    values = np.ones((LOOP_SIZE, LOOP_SIZE), np.float32)
    return timed_ms(lambda: [values @ values for _ in range(LOOP_ROUNDS)], 3)


def timed_ms(call: Callable[[], object], rounds: int) -> float:
    """Median of processor time over rounds, after one that does not count."""
    call()
    spent = []
    for _ in range(rounds):
        began = time.process_time()
        call()
        spent.append(time.process_time() - began)
    return median(spent) * 1e3


def calls() -> dict[str, Arrays]:
    """A slot's calls of the graphs that cost the most, two shoppers before four cameras, and an event's."""
    rng = np.random.Generator(np.random.PCG64(0))
    f32 = np.float32

    def windows(count: int, px: int, features: int) -> Arrays:
        now, before = rng.integers(0, 256, (2, count, px, px, 3), dtype=np.uint8)
        return {"now": now, "before": before, "features": rng.normal(size=(count, features)).astype(f32)}

    i, n = 5, 40
    pixels, background = rng.integers(0, 256, (2, i, n, 768), dtype=np.uint8)
    patches: Arrays = {
        "pixels": pixels, "background": background, "rays": rng.normal(size=(i, n, RAY_FEATURES)).astype(f32),
        "cells": rng.integers(0, 15, (i, n, 2)), "mask": np.ones((i, n), bool),
        "anchor": rng.uniform(0, 4, (i, n, 3)).astype(f32), "frame": np.tile(np.eye(3, dtype=f32), (i, n, 1, 1)),
    }  # fmt: skip
    return {
        "heatmap": windows(8, BODY_PX, BODY_FEATURES), "glance": windows(16, WINDOW_PX, WINDOW_FEATURES),
        "actor": {
            "frames": rng.integers(0, 256, (4, ACTOR_PX, ACTOR_PX, 3 * (1 + len(ACTOR_SLOTS))), dtype=np.uint8),
            "area": np.full((4, ACTOR_CELLS, ACTOR_CELLS), 255, np.uint8),
            "features": rng.normal(size=(4, ACTOR_FEATURES)).astype(f32),
        },
        "look": patches,
    }  # fmt: skip


def ticks(store: Store, seconds: int) -> list[Tick]:
    """A still shop into which shoppers come at once, and a patch of noise in every picture where they stand."""
    rng = np.random.Generator(np.random.PCG64(1))
    gate = store.spec.gates[0].id
    out = []
    for index in range(seconds):
        begin_ns = START_NS + index * NANOSECONDS + AHEAD_NS
        slots = []
        for slot in range(FRAME_HZ):
            frames = []
            for camera in store.cameras:
                rgb = np.full((camera.height_px, camera.width_px, 3), 100, np.uint8)
                if index:  # the background is learnt from the first second
                    rgb[60:160, 100:180] = rng.integers(0, 256, (100, 80, 3), dtype=np.uint8)
                frames.append(VideoFrame(camera.id, begin_ns + slot * SLOT_NS, rgb))
            slots.append(tuple(frames))
        grams = np.full((len(store.spec.scales), RATE_HZ), 1000.0, np.float32)
        coming = tuple(GateEvent(gate, begin_ns, "entry", f"visit-{n}") for n in range(SHOPPERS)) if index == 1 else ()
        out.append(Tick(index, START_NS + index * NANOSECONDS, tuple(slots), grams, coming))
    return out


def tick_ms(predictor: Predictor) -> float:
    """Median processor time of a tick of a kiosk with two shoppers."""
    from openaisle.sim.stores import open_store

    store = open_store(*SHOP)
    setup, state = set_up(store, predictor)
    spent = []
    for tick in ticks(store, 7):
        began = time.process_time()
        state, _ = step(state, tick, predictor, setup)
        spent.append(time.process_time() - began)
    _busy(state)
    return median(spent[2:]) * 1e3


def _busy(state: State) -> None:
    assert len(state.shoppers) == SHOPPERS, "a budget measured on an empty shop would always be kept"


def measure(model: str = "small") -> Cost:
    """What a model costs here, in a process of its own."""
    words = [sys.executable, "-m", "openaisle.edge.budget", model]
    told = subprocess.run(words, capture_output=True, text=True, check=True)
    return Cost(**json.loads(told.stdout))


def _measured(model: str) -> Cost:
    """In this process, which has done nothing else: starting comes first, the simulator's shop last."""
    from openaisle.edge.runtime import load_predictor

    predictor = load_predictor(model)
    start_s = time.process_time()
    assert isinstance(predictor, GraphPredictor), "a rule has no graphs"
    asked = calls()
    graph_ms = {name: timed_ms(lambda name=name: predictor.call(name, asked[name]), 7) for name in asked}  # type: ignore[misc]
    memory_mb = _memory_mb()
    return Cost(loop_ms(), tick_ms(predictor), graph_ms, start_s, memory_mb)


def _memory_mb() -> float:
    """Most resident memory of this process so far; where Linux does not tell, an earlier one's under its number too."""
    with suppress(OSError, StopIteration):
        lines = Path("/proc/self/status").read_text().splitlines()
        return float(next(line for line in lines if line.startswith("VmHWM")).split()[1]) * 1024 / 1e6
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


if __name__ == "__main__":
    print(json.dumps(asdict(_measured(sys.argv[1]))))
