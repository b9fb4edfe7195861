"""An oracle in the pipeline's place: results as a perfect model would give them, from a second simulation's truth."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from openaisle.messages import Truth
from openaisle.receipts.document import Update
from openaisle.sim.scenario import Scenario
from openaisle.sim.source import SimulatedStore
from openaisle.state import ReceiptUpdate, StepResult, Track
from openaisle.store.store import Store
from openaisle.tokens.tick import SLOT_NS, Sensed, Tick, Ticker
from openaisle.view.timeline import FLOOR, HEAD, LEFT, Timeline, add_truth


class Oracle:
    """Knows the truth of a simulation."""

    def __init__(self, store: Store, scenario: Scenario, seed: int) -> None:
        source = SimulatedStore(store, scenario, seed, video=False)
        truth: list[Truth] = []
        for _ in source:
            truth += source.truth_until(source.time_ns)
        truth += source.truth_until(source.time_ns)
        self.timeline = add_truth(Timeline(store), truth)

    def follow(self, store: Store, messages: Iterator[Sensed]) -> Iterator[StepResult]:
        """One result per tick, as `openaisle.pipeline.run` gives them."""
        before_ns = 0
        for tick in Ticker(store).ticks(messages):
            yield self._result(tick, before_ns)
            before_ns = tick.sensed_ns

    def _result(self, tick: Tick, before_ns: int) -> StepResult:
        receipts = {receipt.visit: receipt for receipt in self.timeline.receipts_at(tick.sensed_ns)}
        bodies = self.timeline.bodies_at(tick.sensed_ns - SLOT_NS)
        tracks = tuple(
            Track(i, body.visit, f32(body.points_m[FLOOR, :2]), f32(body.points_m[HEAD]), f32(body.points_m[LEFT:]))
            for i, body in enumerate(bodies)
        )
        updates = tuple(
            ReceiptUpdate(
                one.visit,
                Update(
                    time_ns=one.time_ns,
                    kind="take" if one.quantity > 0 else "return",
                    gtin=one.gtin,
                    quantity=abs(one.quantity),
                    lane=one.lane,
                ),
                receipts[one.visit],
            )
            for one in self.timeline.happenings(before_ns, tick.sensed_ns)
        )
        return StepResult(tick.sensed_ns, tick, updates, tracks, receipts, {})


def f32(values: np.ndarray) -> np.ndarray:
    """As the network gives numbers."""
    return values.astype(np.float32)
