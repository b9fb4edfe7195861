"""Axes of generalisation: a case again with one thing made harder than in any training, everything else the same.

An axis changes the shop that is simulated, what the system is told of it, the scenario, or the messages on their way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from openaisle.bench.rigs import fewer_cameras, knocked, more_cameras, slower, strong_lenses
from openaisle.errors import Problem, ScenarioError
from openaisle.messages import Message, ScaleBatch, VideoFrame
from openaisle.sim.scenario import Scenario
from openaisle.store.schema import PlanogramRow, ScaleSpec
from openaisle.store.store import Store

StoreChange = Callable[[Store, int], Store]  # of a store and the case's seed
DARK = 0.4  # of the light
NOISE_SD, DARK_SD = 14.0, 5.0  # grey levels; pictures of the training have 1 to 4
# Quiet noise of a real shop's plates: median 0.84 g, one in twenty above 5.1 g.
PLATE_NOISE_GRAMS, PLATE_NOISE_SPREAD = 0.84, 1.1
WRONG_LANES = 0.1
WRONG_WEIGHT = 0.12
LANES_PER_SCALE = 3
CLOCK_SKEW_MS = 300.0


@dataclass(frozen=True, slots=True)
class Axis:
    """One change; it depends on the case's seed alone."""

    name: str
    what: str
    store: StoreChange = lambda store, seed: store  # another shop, and everybody knows
    real: StoreChange = lambda store, seed: store  # ... what is there, and the system is not told
    told: StoreChange = lambda store, seed: store  # ... what the system is told, and it is not so
    scenario: Callable[[Scenario], Scenario] = lambda scenario: scenario
    sense: Callable[[Message, np.random.Generator], Message] | None = None


def axis(name: str) -> Axis:
    """An axis by name, "" = none; ScenarioError with the known names."""
    if name in AXES:
        return AXES[name]
    raise ScenarioError([Problem("--axis", repr(name), "no such axis", f"use one of {', '.join(AXES)}")])


def sensed(changed: Axis, messages: Iterable[Message], seed: int) -> Iterator[Message]:
    """The messages as they arrive under an axis."""
    if changed.sense is None:
        yield from messages
        return
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, 0xA7])))
    for message in messages:
        yield changed.sense(message, rng)


def _grain(sd: float, light: float = 1.0) -> Callable[[Message, np.random.Generator], Message]:
    def sense(message: Message, rng: np.random.Generator) -> Message:
        if not isinstance(message, VideoFrame):
            return message
        grain = rng.standard_normal(message.rgb.shape, dtype=np.float32) * np.float32(sd)
        rgb = np.clip(message.rgb * np.float32(light) + grain, 0, 255).astype(np.uint8)
        return replace(message, rgb=rgb)

    return sense


def _unquiet(message: Message, rng: np.random.Generator) -> Message:
    """Each scale has its own noise, the same for all its batches."""
    if not isinstance(message, ScaleBatch):
        return message
    own = np.random.Generator(np.random.PCG64(np.random.SeedSequence(list(message.scale.encode()))))
    sd = PLATE_NOISE_GRAMS * float(np.exp(PLATE_NOISE_SPREAD * own.standard_normal()))
    noise = rng.standard_normal(len(message.grams), dtype=np.float32) * np.float32(sd)
    return replace(message, grams=message.grams + noise)


# --- scales and catalogue -----------------------------------------------------------------------------------


def _shared_scales(store: Store, seed: int) -> Store:
    """One scale under every LANES_PER_SCALE neighbouring lanes of a shelf, where a shelf has scales at all."""
    weighed = {lane for scale in store.spec.scales for lane in scale.lanes}
    rate = store.spec.scales[0].rate_hz if store.spec.scales else 20.0
    scales: list[ScaleSpec] = []
    for fixture in store.spec.fixtures:
        for shelf in fixture.shelves:
            names = [name for lane in shelf.lanes if (name := f"{fixture.id}.{shelf.id}.{lane.id}") in weighed]
            for first in range(0, len(names), LANES_PER_SCALE):
                lanes = tuple(names[first : first + LANES_PER_SCALE])
                scales.append(ScaleSpec(id=f"w{len(scales) + 1}", lanes=lanes, rate_hz=rate))
    return _with_scales(store, scales)


def _half_scales(store: Store, seed: int) -> Store:
    """Every second fixture has no scales."""
    bare = {fixture.id for fixture in store.spec.fixtures[seed % 2 :: 2]}
    kept = [scale for scale in store.spec.scales if scale.lanes[0].partition(".")[0] not in bare]
    return _with_scales(store, kept)


def _with_scales(store: Store, scales: list[ScaleSpec]) -> Store:
    return replace(store, spec=store.spec.model_copy(update={"scales": tuple(scales)}))


def _wrong_planogram(store: Store, seed: int) -> Store:
    """Pairs of lanes with each other's product written down: a tenth of all lanes."""
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, 0xA8])))
    rows = list(store.planogram)
    chosen = rng.permutation(len(rows))[: 2 * max(1, round(len(rows) * WRONG_LANES / 2))]
    for a, b in chosen.reshape(-1, 2).tolist():
        rows[a], rows[b] = _holding(rows[a], rows[b]), _holding(rows[b], rows[a])
    return replace(store, planogram=tuple(rows))


def _holding(lane: PlanogramRow, other: PlanogramRow) -> PlanogramRow:
    return lane.model_copy(update={"gtin": other.gtin})


def _wrong_weights(store: Store, seed: int) -> Store:
    """The catalogue's masses are off by up to WRONG_WEIGHT, each by its own."""
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, 0xA9])))
    factors = 1 + rng.uniform(-WRONG_WEIGHT, WRONG_WEIGHT, len(store.products))
    products = tuple(
        product.model_copy(update={"weight_grams": max(1.0, round(product.weight_grams * factor))})
        for product, factor in zip(store.products, factors.tolist(), strict=True)
    )
    return replace(store, products=products)


def _skewed(scenario: Scenario) -> Scenario:
    faults = scenario.faults.model_copy(update={"clock_skew_ms": CLOCK_SKEW_MS, "late": 0.3})
    return scenario.model_copy(update={"faults": faults})


AXES: dict[str, Axis] = {
    one.name: one
    for one in (
        Axis("", "as trained: only shop, products, cameras and people are new"),
        Axis("fewer-cameras", "every second camera is missing", store=fewer_cameras),
        Axis("more-cameras", "half as many cameras again", store=more_cameras),
        Axis("strong-lenses", "barrel distortion twice that of any training camera", store=strong_lenses),
        Axis("knocked-cameras", "every camera was turned by 1.5 degrees since its calibration", real=knocked),
        Axis("slow-cameras", "2 pictures a second instead of 5", store=slower),
        Axis("dark", "two fifths of the light, and more noise", sense=_grain(DARK_SD, DARK)),
        Axis("noisy-pictures", "several times the noise of any training picture", sense=_grain(NOISE_SD)),
        Axis("shared-scales", "one scale under three lanes everywhere", store=_shared_scales),
        Axis("half-scales", "every second fixture has no scales", store=_half_scales),
        Axis("noisy-scales", "the noise of a real shop's plates on top", sense=_unquiet),
        Axis("skewed-clocks", "clocks up to 300 ms wrong, a third of the sensors late",
             scenario=_skewed),
        Axis("wrong-planogram", "a tenth of the lanes hold another product than the planogram says",
             told=_wrong_planogram),
        Axis("wrong-weights", "catalogue masses up to 12% wrong", told=_wrong_weights),
    )
}  # fmt: skip
