"""Load cells: what the scales read, step by step, with everything that makes real ones hard.

In: grams that press on each lane and the push of hands. Out: readings at 20 Hz with damped ringing, drift,
creep, noise, cross-talk, quantisation, saturation, lost rows and faults. The zero is unknown.
Figures: a real store's 306 plates (noise median 0.84 g, 95th percentile 5.1 g; drift 0.1 g in 33 s, up to 5.6 g).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from openaisle.sim.faults import FaultKind, FaultPlan
from openaisle.store.store import Store

Float = NDArray[np.float64]
NOISE_MEDIAN_G, NOISE_SPREAD = 0.84, 1.1  # log-normal; its 95th percentile is 5.1 g
DRIFT_MEDIAN_G, DRIFT_SPREAD = 0.026, 1.3  # random walk, grams per root second
LOST_PER_S = 0.004  # rows lost per scale and second, in short bursts


class Scales:
    """All load cells of a store; `read` advances them by one step."""

    def __init__(self, store: Store, rng: np.random.Generator, step_s: float, faults: FaultPlan) -> None:
        self.rng, self.step_s = rng, step_s
        spec = store.spec.scales
        count = len(spec)
        self.limit = np.array([scale.limit_grams for scale in spec])
        lanes_on = np.array([len(scale.lanes) for scale in spec], dtype=np.float64)
        self.mix = _mix(store, rng)
        self.noise_g = NOISE_MEDIAN_G * np.exp(NOISE_SPREAD * rng.normal(size=count)) * lanes_on**0.85
        self.noise_g = np.minimum(self.noise_g, 30.0)
        self.walk_g = DRIFT_MEDIAN_G * np.exp(DRIFT_SPREAD * rng.normal(size=count)) * np.sqrt(step_s)
        self.walk_g = np.minimum(self.walk_g, 0.6 * np.sqrt(step_s))
        self.zero_g = rng.normal(0.0, 400.0, count)
        self.quantum_g = rng.choice([0.1, 0.5, 1.0, 2.0], count, p=[0.35, 0.3, 0.25, 0.1])
        self.creep = rng.uniform(0.0002, 0.004, count)
        self.creep_rate = step_s / rng.uniform(8.0, 60.0, count)
        self.ring = _ring(rng, count, step_s)
        self.fixture = np.array([_fixture_of(store, scale.lanes[0]) for scale in spec], dtype=np.int64)
        self._position = np.zeros(count)
        self._speed = np.zeros(count)
        self._crept = np.zeros(count)
        self._drift = np.zeros(count)
        self._lost = np.zeros(count, dtype=np.int64)  # steps for which a scale still sends nothing
        self._started = False
        self._bump = np.zeros(count)
        self._faults = _ScaleFaults(store, faults)

    def bump(self, fixture: int, grams: float) -> None:
        """Somebody knocks against a fixture: all its cells feel a part of it for a moment."""
        hit = self.fixture == fixture
        self._bump[hit] += grams * self.rng.normal(0.0, 1.0, int(hit.sum()))

    def read(self, time_ns: int, load_grams: Float, push_grams: Float) -> NDArray[np.float32]:
        """Readings float32 [scales] in grams; load and push [lanes]. NaN = no reading."""
        force = self.mix @ (load_grams + push_grams) + self._bump
        self._bump *= 0.5
        if not self._started:
            self._position, self._crept, self._started = force.copy(), self.creep * force, True
        a, b = self.ring
        offset = self._position - force
        self._position = force + a[:, 0] * offset + a[:, 1] * self._speed
        self._speed = b[:, 0] * offset + b[:, 1] * self._speed
        self._crept += self.creep_rate * (self.creep * force - self._crept)
        noise = self.rng.standard_normal((2, len(force)))
        self._drift += self.walk_g * noise[0]
        cell = np.clip(self._position + self._crept, -self.limit, self.limit)
        reading = cell + self.zero_g + self._drift + self.noise_g * noise[1]
        reading = np.round(reading / self.quantum_g) * self.quantum_g
        self._lose_rows()
        out: NDArray[np.float32] = reading.astype(np.float32)
        out[self._lost > 0] = np.nan
        self._faults.apply(time_ns, out)
        return out

    def _lose_rows(self) -> None:
        self._lost = np.maximum(self._lost - 1, 0)
        count = len(self._lost)
        if count and self.rng.random() < count * LOST_PER_S * self.step_s:
            self._lost[self.rng.integers(count)] = self.rng.integers(1, 13)


class _ScaleFaults:
    """Drifting, dead and stuck cells, as the fault plan says."""

    def __init__(self, store: Store, plan: FaultPlan) -> None:
        index = {scale.id: i for i, scale in enumerate(store.spec.scales)}
        kinds = (FaultKind.SCALE_DRIFTING, FaultKind.SCALE_DEAD, FaultKind.SCALE_STUCK)
        self.faults = [(index[f.sensor], f) for f in plan.faults if f.kind in kinds]
        self._held: dict[int, float] = {}

    def apply(self, time_ns: int, readings: NDArray[np.float32]) -> None:
        for scale, fault in self.faults:
            if time_ns < fault.start_ns:
                continue
            over = time_ns >= fault.end_ns
            if fault.kind == FaultKind.SCALE_DRIFTING:  # what has drifted away stays away
                readings[scale] += fault.value * (min(time_ns, fault.end_ns) - fault.start_ns) * 1e-9
            elif not over and fault.kind == FaultKind.SCALE_DEAD:
                readings[scale] = np.nan
            elif not over:
                held = self._held.setdefault(scale, float(readings[scale]))
                readings[scale] = held


def _fixture_of(store: Store, lane: str) -> int:
    return store.lanes[store.lane_index[lane]].fixture


def _ring(rng: np.random.Generator, count: int, step_s: float) -> tuple[Float, Float]:
    """Exact one-step transition of a damped oscillator per scale: rows for position and speed, [count, 2] each."""
    omega = 2 * np.pi * rng.uniform(3.5, 9.0, count)
    decay = 1.0 / rng.uniform(0.05, 0.16, count)  # rings off in about 0.1 s
    decay = np.minimum(decay, 0.95 * omega)
    omega_d = np.sqrt(omega**2 - decay**2)
    fade, c, s = np.exp(-decay * step_s), np.cos(omega_d * step_s), np.sin(omega_d * step_s)
    position = np.stack([fade * (c + decay / omega_d * s), fade * s / omega_d], axis=1)
    speed = np.stack([-fade * omega**2 / omega_d * s, fade * (c - decay / omega_d * s)], axis=1)
    return position, speed


def _mix(store: Store, rng: np.random.Generator) -> Float:
    """[scales, lanes]: share of each lane's load that each cell feels; neighbours on a shelf feel a few percent."""
    mix = np.zeros((len(store.spec.scales), len(store.lanes)))
    start = 0
    for fixture in store.spec.fixtures:
        for shelf in fixture.shelves:
            count = len(shelf.lanes)
            scales = [store.lanes[start + n].scale for n in range(count)]
            leak = np.minimum(0.02 * np.exp(0.8 * rng.normal(size=(count, 2))), 0.12)
            for n in range(count):
                own = 1.0
                for step, side in ((-1, 0), (1, 1)):
                    if 0 <= n + step < count:
                        own -= leak[n, side]
                        if scales[n + step] >= 0:
                            mix[scales[n + step], start + n] += leak[n, side]
                if scales[n] >= 0:
                    mix[scales[n], start + n] += own
            start += count
    return mix * (1.0 + rng.normal(0.0, 0.004, (len(mix), 1)))  # calibrated to half a percent
