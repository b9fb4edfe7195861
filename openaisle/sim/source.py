"""A simulated store as a `Source`: the messages a real one would send, in time order, with its faults; truth apart.

Cameras see the snapshot of their instant; scales send half-second batches, each at its own phase; gates send events
as they happen. Skewed clocks, lost frames and late messages come from the simulation's fault plan: a message that is
later than the reorder window of a second arrives out of its turn, as it would from a real store.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from openaisle.messages import (
    NANOSECONDS,
    GateEvent,
    Message,
    ScaleBatch,
    Truth,
    TruthPixels,
    TruthTick,
    VideoFrame,
)
from openaisle.sensors.source import Reorder
from openaisle.sim.engine import START_NS, Simulation
from openaisle.sim.faults import FaultPlan
from openaisle.sim.render import Renderer
from openaisle.sim.scenario import Scenario
from openaisle.sim.shopper import STEP_NS
from openaisle.sim.world import Snapshot
from openaisle.store.schema import ScaleSpec
from openaisle.store.store import Store

Quality = Literal["fast", "fine"]
STEPS_PER_S = NANOSECONDS // STEP_NS
BATCH_STEPS = STEPS_PER_S // 2
TRUTH_HZ = 5.0  # truth of people in a store without cameras


class SimulatedStore:
    """One store, one scenario, one seed: iterate once; the same three give the same messages, bit for bit.

    Truth is kept until `truth_until` fetches it, or never with `truth=False`.
    """

    def __init__(
        self,
        store: Store,
        scenario: Scenario,
        seed: int,
        *,
        quality: Quality = "fast",
        video: bool = True,
        pixels: bool = False,
        truth: bool = True,
        start_ns: int = START_NS,
    ) -> None:
        self.store = store
        self.simulation = Simulation(store, scenario, seed, start_ns)
        self.start_ns = start_ns
        self.time_ns = start_ns  # of the step that was simulated last
        self._pixels, self._keep_truth = pixels, truth
        self._renderer = Renderer(store, self.simulation.items.product, quality=quality, seed=seed) if video else None
        self._periods = [_Period(camera.fps) for camera in store.spec.cameras]
        self._weighs = scenario.scales  # false: no scale sends anything
        self._cells = _Cells(store.spec.scales if self._weighs else (), seed)
        self._post = _Post(self.simulation.faults)
        self._truth: deque[Truth] = deque()
        self._receipts = 0

    def __iter__(self) -> Iterator[Message]:
        """Sensor messages in time order until the store has closed and everybody is out."""
        self._tell(*self.simulation.lane_truth())
        for step, snapshot in enumerate(self.simulation.steps()):
            self.time_ns = snapshot.time_ns
            self._tell_step(step, snapshot)
            self._sense(step, snapshot)
            yield from self._post.deliver(snapshot.time_ns)
        for batch in self._cells.flush(self.start_ns):
            self._send(batch)
        yield from self._post.deliver_all()

    def truth_until(self, time_ns: int) -> list[Truth]:
        """Truth with time <= time_ns that was not fetched before, in time order."""
        out: list[Truth] = []
        while self._truth and self._truth[0].time_ns <= time_ns:
            out.append(self._truth.popleft())
        return out

    # --- sensing --------------------------------------------------------------------------------------------

    def _sense(self, step: int, snapshot: Snapshot) -> None:
        for gate in snapshot.gates:
            self._post.send(gate.gate, gate, snapshot.time_ns)
        if self._weighs:
            for batch in self._cells.read(snapshot.scale_grams, self.start_ns):
                self._send(batch)
        if self._renderer is None:
            return
        for index, camera in enumerate(self.store.spec.cameras):
            if self._periods[index].due(step) and not self.simulation.faults.frame_lost(camera.id, snapshot.time_ns):
                self._picture(self._renderer, index, snapshot)

    def _picture(self, renderer: Renderer, index: int, snapshot: Snapshot) -> None:
        camera = self.store.spec.cameras[index].id
        rendered = renderer.render(index, snapshot)
        skew_ns = self.simulation.faults.clock_skew_ns(camera, snapshot.time_ns)
        self._post.send(camera, VideoFrame(camera, snapshot.time_ns + skew_ns, rendered.rgb), snapshot.time_ns)
        if self._pixels:
            self._tell(TruthPixels(camera, snapshot.time_ns, rendered.ids, rendered.depth_m.astype(np.float16)))

    def _send(self, batch: ScaleBatch) -> None:
        skew_ns = self.simulation.faults.clock_skew_ns(batch.scale, batch.time_ns)
        skewed = replace(batch, time_ns=batch.time_ns + skew_ns) if skew_ns else batch
        self._post.send(batch.scale, skewed, self.time_ns)

    # --- truth ----------------------------------------------------------------------------------------------

    def _tell(self, *truths: Truth) -> None:
        if self._keep_truth:
            self._truth.extend(truths)

    def _tell_step(self, step: int, snapshot: Snapshot) -> None:
        if not self._keep_truth:
            return
        self._tell(*snapshot.events, *self.simulation.changed_lanes())
        periods = self._periods or [_Period(TRUTH_HZ)]
        if any(period.due(step) for period in periods):
            self._tell(TruthTick(snapshot.time_ns, self.simulation.truth_shoppers(snapshot)))
        receipts = self.simulation.receipts()
        self._tell(*receipts[self._receipts :])
        self._receipts = len(receipts)


@dataclass(frozen=True, slots=True)
class _Period:
    """When a camera takes a picture: at the first step at or after k / fps seconds; never faster than the steps."""

    fps: float

    def due(self, step: int) -> bool:
        return step == 0 or int(step * self.fps / STEPS_PER_S) != int((step - 1) * self.fps / STEPS_PER_S)


class _Cells:
    """The scales' own small computers: each samples at its rate (an integer division of the steps), sends batches."""

    def __init__(self, scales: Sequence[ScaleSpec], seed: int) -> None:
        rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, 0x5C])))
        self._ids = [scale.id for scale in scales]
        self._strides = [max(1, round(STEPS_PER_S / min(scale.rate_hz, STEPS_PER_S))) for scale in scales]
        phases = rng.integers(0, BATCH_STEPS, len(scales)).tolist()
        self._due = [[i for i, phase in enumerate(phases) if phase == p] for p in range(BATCH_STEPS)]
        self._seq = [0] * len(scales)
        self._ring = np.zeros((BATCH_STEPS, len(scales)), dtype=np.float32)
        self._sent = [0] * len(scales)  # the step up to which each has sent
        self._steps = 0

    def read(self, grams: NDArray[np.float32], start_ns: int) -> Iterator[ScaleBatch]:
        """Take one step's readings [scales] in; the batches that are full come out."""
        self._ring[self._steps % BATCH_STEPS] = grams
        self._steps += 1
        for index in self._due[self._steps % BATCH_STEPS]:
            yield from self._batch(index, start_ns)

    def flush(self, start_ns: int) -> Iterator[ScaleBatch]:
        """What was sampled since the last batches."""
        for index in range(len(self._ids)):
            yield from self._batch(index, start_ns)

    def _batch(self, index: int, start_ns: int) -> Iterator[ScaleBatch]:
        stride, name = self._strides[index], self._ids[index]
        steps = [step for step in range(self._sent[index], self._steps) if step % stride == 0]
        self._sent[index] = self._steps
        if not steps:
            return
        grams = self._ring[[step % BATCH_STEPS for step in steps], index]
        first_ns = start_ns + steps[0] * STEP_NS
        yield ScaleBatch(name, first_ns, STEPS_PER_S / stride, grams, name, 1, self._seq[index])
        self._seq[index] += 1


@dataclass(slots=True)
class _Post:
    """Brings messages from the sensors: late ones wait here, then all pass the reorder window."""

    faults: FaultPlan
    _late: list[tuple[int, int, Message]] = field(default_factory=list)
    _sent: int = 0
    _reorder: Reorder[Message] = field(default_factory=Reorder)

    def send(self, sensor: str, message: VideoFrame | ScaleBatch | GateEvent, now_ns: int) -> None:
        delay_ns = self.faults.delay_ns(sensor, now_ns)
        if delay_ns == 0:
            self._reorder.push(message)
            return
        heapq.heappush(self._late, (now_ns + delay_ns, self._sent, message))
        self._sent += 1

    def deliver(self, now_ns: int) -> Iterator[Message]:
        while self._late and self._late[0][0] <= now_ns:
            self._reorder.push(heapq.heappop(self._late)[2])
        return self._reorder.pop_until(now_ns)

    def deliver_all(self) -> Iterator[Message]:
        while self._late:
            self._reorder.push(heapq.heappop(self._late)[2])
        return self._reorder.drain()
