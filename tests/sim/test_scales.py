"""Load cells: right steps under realistic noise, and every defect of the list is there."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from openaisle.sim.faults import Fault, FaultKind, FaultPlan
from openaisle.sim.scales import Scales
from tests.sim.tiny import tiny_store

STORE = tiny_store()
LANES = len(STORE.lanes)


def _rng(seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(seed))


def _run(
    scales: Scales, steps: int, load: NDArray[np.float64], push: NDArray[np.float64] | None = None, start: int = 0
) -> NDArray[np.float32]:
    none = np.zeros(LANES)
    return np.array([
        scales.read((start + k) * 50_000_000, load, none if push is None else push) for k in range(steps)
    ])  # fmt: skip


def _step(seed: int, lane: int, grams: float) -> NDArray[np.float64]:
    """Change of all readings when grams are put on a lane, averaged over two seconds, for quiet scales."""
    scales = Scales(STORE, _rng(seed), 0.05, FaultPlan())
    scales.noise_g[:], scales.walk_g[:] = 0.1, 0.0
    load = np.full(LANES, 500.0)
    before = np.nanmean(_run(scales, 40, load), axis=0)
    load[lane] += grams
    _run(scales, 20, load, start=40)
    return np.asarray(np.nanmean(_run(scales, 40, load, start=60), axis=0) - before)


def test_a_step_is_the_mass_and_neighbours_feel_a_little() -> None:
    own, leaked = [], []
    for seed in range(6):
        change = _step(seed, 10, 400.0)
        own.append(change[10])
        leaked.append(change[9] + change[11])
        assert np.abs(np.delete(change, [9, 10, 11])).max() < 3.0
    assert 340 < np.mean(own) < 400
    assert 4 < np.mean(leaked) < 60


def test_a_scale_of_three_lanes_sums_them() -> None:
    table = [lane.index for lane in STORE.lanes if lane.id.startswith("table")]
    index = next(n for n, scale in enumerate(STORE.spec.scales) if scale.id == "table-scale")
    for lane in table:
        assert abs(_step(1, lane, 300.0)[index] - 300.0) < 6.0


def test_lanes_without_a_scale_are_felt_by_nobody_far() -> None:
    lane = next(lane.index for lane in STORE.lanes if lane.id == "fridge.s3.l2")
    assert np.abs(_step(2, lane, 900.0)).max() < 3.0


def test_noise_and_drift_are_as_loud_as_in_a_real_store() -> None:
    noise, drift = [], []
    for seed in range(30):
        scales = Scales(STORE, _rng(seed), 0.05, FaultPlan())
        alone = np.array([len(scale.lanes) == 1 for scale in STORE.spec.scales])
        noise.append(scales.noise_g[alone])
        drift.append(scales.walk_g[alone] / np.sqrt(0.05) * np.sqrt(33.0) * 0.67)
    sd, walked = np.concatenate(noise), np.concatenate(drift)
    assert 0.7 < np.median(sd) < 1.0
    assert 4.0 < np.quantile(sd, 0.95) < 6.5
    assert 0.05 < np.median(walked) < 0.2


def test_it_rings_and_settles() -> None:
    scales = Scales(STORE, _rng(4), 0.05, FaultPlan())
    scales.noise_g[:], scales.walk_g[:], scales.quantum_g[:], scales.creep[:] = 0.0, 0.0, 0.01, 0.0
    load = np.zeros(LANES)
    rest = _run(scales, 3, load)[-1]
    load[:] = 1000.0
    trace = _run(scales, 40, load) - rest
    final = trace[-1]
    assert (np.nanmax(trace, axis=0) > final + 5).mean() > 0.3, "some overshoot"
    assert np.nanmax(np.abs(trace[20:] - final)) < 1.0, "a second later all is quiet"


def test_the_zero_is_unknown_and_the_load_is_limited() -> None:
    scales = Scales(STORE, _rng(5), 0.05, FaultPlan())
    load = np.zeros(LANES)
    assert np.nanstd(_run(scales, 1, load)[0]) > 100
    load[:] = 90_000.0
    reading = _run(scales, 60, load)[-1]
    assert np.nanmax(reading - scales.zero_g) < 20_000 * 1.02 + 100


def test_rows_get_lost_now_and_then() -> None:
    scales = Scales(STORE, _rng(6), 0.05, FaultPlan())
    lost = np.isnan(_run(scales, 2400, np.zeros(LANES))).mean()
    assert 0.0002 < lost < 0.01


def test_faults_of_cells() -> None:
    second = 1_000_000_000
    names = [scale.id for scale in STORE.spec.scales[:3]]
    plan = FaultPlan((
        Fault(FaultKind.SCALE_DEAD, names[0], second, 2 * second),
        Fault(FaultKind.SCALE_STUCK, names[1], second, 2 * second),
        Fault(FaultKind.SCALE_DRIFTING, names[2], second, 2 * second, 50.0),
    ))  # fmt: skip
    scales = Scales(STORE, _rng(7), 0.05, plan)
    scales.noise_g[:] = np.maximum(scales.noise_g, 2.0)
    trace = _run(scales, 60, np.zeros(LANES))[:, :3]
    assert np.isnan(trace[20:40, 0]).all()
    assert not np.isnan(trace[:20, 0]).all()
    stuck = trace[20:40, 1]
    assert len(np.unique(stuck[~np.isnan(stuck)])) == 1
    assert abs(np.nanmean(trace[45:, 2]) - np.nanmean(trace[:20, 2]) - 50.0) < 8.0


def test_a_push_is_felt_and_gone() -> None:
    scales = Scales(STORE, _rng(8), 0.05, FaultPlan())
    scales.noise_g[:] = 0.1
    load, push = np.zeros(LANES), np.zeros(LANES)
    before = np.nanmean(_run(scales, 10, load), axis=0)
    push[5] = 250.0
    during = np.nanmean(_run(scales, 12, load, push)[6:], axis=0)
    after = np.nanmean(_run(scales, 30, load)[20:], axis=0)
    assert during[5] - before[5] > 150
    assert abs(after[5] - before[5]) < 5
