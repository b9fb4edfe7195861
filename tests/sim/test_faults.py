"""Fault plans: drawn as asked for, and the same whatever the order of questions."""

from __future__ import annotations

from openaisle.sim.faults import Fault, FaultKind, FaultPlan, draw_faults
from openaisle.sim.scenario import Faults, load_scenario
from tests.sim.tiny import tiny_store

SECOND = 1_000_000_000


def test_no_faults_unless_asked() -> None:
    assert draw_faults(tiny_store(), Faults(), (0, 60 * SECOND), 1).faults == ()


def test_the_faults_suite_has_every_kind_of_scale_fault() -> None:
    seen = set()
    for seed in range(5):
        plan = draw_faults(tiny_store(), load_scenario("faults").faults, (0, 60 * SECOND), seed)
        seen |= {fault.kind for fault in plan.faults}
        for fault in plan.faults:
            assert 0 <= fault.start_ns < fault.end_ns
            if fault.kind == FaultKind.CLOCK_SKEW:
                assert abs(fault.value) <= 0.5 * SECOND
    assert {FaultKind.SCALE_DEAD, FaultKind.SCALE_STUCK, FaultKind.SCALE_DRIFTING, FaultKind.CLOCK_SKEW} <= seen
    assert FaultKind.LATE in seen


def test_what_faults_mean_for_messages() -> None:
    plan = FaultPlan((
        Fault(FaultKind.CAMERA_LOST, "a", 10, 20),
        Fault(FaultKind.FRAMES_DROPPED, "b", 0, 10**12, 0.3),
        Fault(FaultKind.CLOCK_SKEW, "b", 0, 10**12, -4e8),
        Fault(FaultKind.LATE, "c", 0, 10**12, 1e9),
    ), seed=3)  # fmt: skip
    assert [plan.frame_lost("a", t) for t in (9, 10, 19, 20)] == [False, True, True, False]
    times = range(0, 10**11, 2 * 10**8)
    lost = [plan.frame_lost("b", t) for t in times]
    assert 0.2 < sum(lost) / len(lost) < 0.4
    assert lost[::-1] == [plan.frame_lost("b", t) for t in reversed(times)]
    assert plan.clock_skew_ns("b", 5) == -400_000_000
    assert plan.clock_skew_ns("a", 5) == 0
    delays = [plan.delay_ns("c", t) for t in times]
    assert 0 <= min(delays) < max(delays) < SECOND
    assert plan.delay_ns("b", 5) == 0
