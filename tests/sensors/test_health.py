"""States of sensors: silence and uselessness are noticed within five seconds, and what is well is online again."""

from __future__ import annotations

import numpy as np
import pytest

from openaisle.messages import NANOSECONDS
from openaisle.sensors.camera import Stillness
from openaisle.sensors.health import Health, Repeats, State

SECOND = NANOSECONDS


def states(health: Health, times_s: list[float]) -> list[str]:
    """What is told at these times."""
    told = [health.look(round(at * SECOND)) for at in times_s]
    return [one.state for one in told if one is not None]


def test_silence_is_late_then_offline_and_a_message_ends_it() -> None:
    health = Health("camera", "a")
    assert states(health, [1.0, 30.0]) == []  # still waiting
    health.heard(30 * SECOND, 30 * SECOND)
    assert states(health, [30.0, 31.0, 31.4, 31.6, 33.9]) == ["online", "late"]
    told = health.look(round(34.1 * SECOND))
    assert told is not None
    assert (told.state, told.since_ns) == ("offline", 30 * SECOND)  # blind from its last picture on
    health.heard(36 * SECOND, 36 * SECOND)
    assert states(health, [36.1, 37.0]) == ["online"]


def test_trouble_is_a_state_until_it_is_over_and_silence_goes_before_it() -> None:
    health = Health("scale", "w1")
    health.heard(SECOND, SECOND)
    health.trouble, health.trouble_ns = State.STUCK, SECOND // 2
    assert states(health, [1.0]) == ["stuck"]
    assert health.since_ns == SECOND // 2
    assert states(health, [6.0]) == ["offline"]
    health.heard(7 * SECOND, 7 * SECOND)
    assert states(health, [7.0]) == ["stuck"]
    health.trouble = None
    assert states(health, [7.1]) == ["online"]


def seen(repeats: Repeats, grams: np.ndarray, from_s: float = 0.0) -> list[float]:
    """Seconds at which a scale at 20 Hz is said to repeat itself."""
    out = []
    for first in range(0, len(grams) - 9, 10):
        at_ns = round((from_s + first / 20) * SECOND)
        if repeats.see(grams[first : first + 10].astype(np.float32), at_ns, SECOND // 2):
            out.append(from_s + first / 20 + 0.5)
    return out


@pytest.mark.parametrize("quantum", [0.1, 1.0])
def test_a_scale_that_repeats_one_value_is_found_within_five_seconds(quantum: float) -> None:
    rng = np.random.Generator(np.random.PCG64(1))
    grams = np.round(rng.normal(8000, 0.8, 1200) / quantum) * quantum
    grams[800:1000] = grams[799]
    found = seen(Repeats(), grams)
    assert 43.5 <= found[0] <= 45.0
    assert max(found) <= 50.5


def test_a_scale_too_coarse_to_flicker_is_not_suspected() -> None:
    rng = np.random.Generator(np.random.PCG64(1))
    coarse = np.round(rng.normal(8000.6, 0.2, 4000) / 2) * 2
    assert seen(Repeats(), coarse) == []
    assert seen(Repeats(), np.full(4000, 8000.0)) == []


def test_missing_readings_are_no_repetition() -> None:
    rng = np.random.Generator(np.random.PCG64(1))
    grams = rng.normal(8000, 0.8, 1200)
    grams[700:] = np.nan
    assert seen(Repeats(), grams) == []


def looks(stillness: Stillness, pictures: list[np.ndarray]) -> list[int]:
    """Which looks, two seconds apart, find the picture frozen."""
    out = []
    for number, picture in enumerate(pictures):
        stillness.see(picture, 10**18 + number * 2 * SECOND)
        if stillness.frozen_ns:
            out.append(number)
    return out


def test_a_frozen_picture_is_found_at_the_second_look_and_a_live_one_never() -> None:
    rng = np.random.Generator(np.random.PCG64(2))
    live = [rng.normal(90, 4, (120, 160)).clip(0, 255).astype(np.uint8) for _ in range(40)]
    assert looks(Stillness(), live) == []
    frozen = [*live[:10], *[live[9]] * 5, *live[10:15]]
    assert looks(Stillness(), frozen) == [10, 11, 12, 13, 14]
    # an encoder that is still settling: the change is smaller than any live one, and not nothing
    settling = [live[9] + (rng.random((120, 160)) < 0.3 / (1 + n)).astype(np.uint8) for n in range(5)]
    assert looks(Stillness(), [*live[:10], *settling]) == [10, 11, 12, 13, 14]


def test_a_light_that_goes_out_is_forgiven_after_half_a_minute() -> None:
    rng = np.random.Generator(np.random.PCG64(2))
    bright = [rng.normal(90, 4, (120, 160)).clip(0, 255).astype(np.uint8) for _ in range(12)]
    dark = [rng.normal(20, 1, (120, 160)).clip(0, 255).astype(np.uint8) for _ in range(40)]
    found = looks(Stillness(), [*bright, *dark])
    assert found
    assert found[0] >= 12
    assert found[-1] <= 12 + 17
