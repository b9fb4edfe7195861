"""Clocks of sensors: right ones are believed, wrong ones corrected, jumps followed at once; queues fool nobody."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openaisle.messages import NANOSECONDS
from openaisle.sensors.clock import DRIFT, SLEW_NS, SensorClock

LENGTH_NS = NANOSECONDS // 2
START_NS = 1_700_000_000 * NANOSECONDS


def errors_s(
    clock_s: Callable[[float], float], delay_s: Callable[[float], float], count: int = 200, skip: int = 0
) -> list[float]:
    """Where messages of half a second are put, less where they belong; `skip` first ones are left out."""
    clock, expected_ns, out = SensorClock(), None, []
    for number in range(count):
        at_s = number / 2
        measured_ns = START_NS + number * LENGTH_NS + round(clock_s(at_s) * 1e9)
        sent_ns = START_NS + (number + 1) * LENGTH_NS + round(clock_s(at_s + 0.5) * 1e9)
        arrived_ns = START_NS + (number + 1) * LENGTH_NS + round(delay_s(at_s) * 1e9)
        placed_ns = clock.utc(measured_ns, sent_ns, arrived_ns, expected_ns)
        expected_ns = measured_ns + LENGTH_NS
        out.append((placed_ns - START_NS - number * LENGTH_NS) / 1e9)
    return out[skip:]


@given(st.floats(0, 0.2), st.floats(0, 0.29), st.integers(0, 1000))
def test_a_right_clock_is_believed_whatever_the_delays(shortest_s: float, jitter_s: float, seed: int) -> None:
    rng = np.random.Generator(np.random.PCG64(seed))
    assert set(errors_s(lambda _: 0.0, lambda _: shortest_s + jitter_s * rng.random())) == {0.0}


@given(st.floats(-1e9, 1e9).filter(lambda s: s > 1.0 or s < -1.0), st.integers(0, 1000))
def test_a_wrong_clock_is_right_but_for_the_shortest_delay(off_s: float, seed: int) -> None:
    rng = np.random.Generator(np.random.PCG64(seed))
    errors = errors_s(lambda _: off_s, lambda _: 0.02 + 0.03 * rng.random(), skip=20)
    assert max(errors) <= 0.02 + 0.03 + SLEW_NS / 1e9
    assert min(errors) >= 0.0


@pytest.mark.parametrize("by_s", [300.0, -300.0, 2.0, -1.0, 0.3])
def test_a_jump_is_followed_at_once(by_s: float) -> None:
    errors = errors_s(lambda at: by_s if at >= 30 else 0.0, lambda _: 0.01)
    assert max(map(abs, errors)) <= 0.01
    back = errors_s(lambda at: by_s if 30 <= at < 60 else 0.0, lambda _: 0.01)
    assert set(back[130:]) == {0.0}  # believed again


def test_messages_that_queued_are_where_they_belong() -> None:
    """A broker is away for eight seconds and then delivers all at once."""
    assert set(errors_s(lambda _: 0.0, lambda at: max(0.01, 38.0 - at) if 30 <= at < 38 else 0.01)) == {0.0}


def queue_s(at_s: float) -> float:
    """A delay that grows to 300 s in as long, stays there for 200 s, and goes back in a minute."""
    return max(0.01, min(300.0, at_s - 100.0, 5.0 * (660.0 - at_s)))


@pytest.mark.parametrize("off_s", [0.0, -1000.0])
def test_a_queue_of_minutes_is_no_error_of_the_clock(off_s: float) -> None:
    """It builds up slowly, stays for longer than errors are remembered, and is worked off."""
    errors = errors_s(lambda _: off_s, queue_s, count=1500, skip=20)
    assert off_s or set(errors) == {0.0}  # believed all the while
    assert max(map(abs, errors)) <= 0.01 + SLEW_NS / 1e9 + 1000.0 * DRIFT
    assert max(map(abs, errors[-100:])) <= 0.01 + SLEW_NS / 1e9


def test_a_clock_that_is_set_back_behind_a_queue_is_followed_when_errors_before_it_are_forgotten() -> None:
    """The step and the queue come together, so that it does not look like a jump."""
    errors = errors_s(lambda at: -300.0 if at >= 100 else 0.0, lambda at: 250.0 if 100 <= at < 102 else 0.01, count=500)
    assert max(map(abs, errors[2 * 170 :])) <= 0.01 + SLEW_NS / 1e9


def test_a_clock_that_is_slewed_is_followed() -> None:
    """Ten seconds ahead, it is held back by 15 thousandths until it is right, as small devices set theirs."""
    errors = errors_s(lambda at: max(0.0, 10.0 - 0.015 * max(0.0, at - 60.0)), lambda _: 0.01, count=2000, skip=20)
    assert max(map(abs, errors)) <= 60.0 * 0.015 + 0.1
    assert max(map(abs, errors[-100:])) <= 0.01 + SLEW_NS / 1e9


def test_a_first_message_that_was_slow_is_forgiven() -> None:
    errors = errors_s(lambda _: 0.0, lambda at: 2.0 if at < 1 else 0.3)
    assert errors[0] == 2.0
    assert set(errors[3:]) == {0.0}


def test_a_scale_that_paused_is_no_jump() -> None:
    clock = SensorClock()
    clock.utc(0, LENGTH_NS, LENGTH_NS)
    late_ns = 5 * NANOSECONDS
    assert clock.utc(late_ns, late_ns + LENGTH_NS, late_ns + LENGTH_NS, LENGTH_NS) == late_ns
    assert clock.jumps == 0


def test_a_drifting_clock_is_followed() -> None:
    errors = errors_s(lambda at: 10.0 + at * 1e-3, lambda _: 0.01, count=2000, skip=20)
    assert max(map(abs, errors)) < 0.13  # a millisecond a second is twenty times a bad quartz
