"""Scale windows: a step is seen at its size, noise is not, gaps and absent scales do no harm."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openaisle.tokens.scales import HISTORY, WINDOW, fill_gaps, scale_window
from tests.tokens.corner import quiet_rows, with_step


@pytest.mark.parametrize("grams", [-50.0, 50.0, -420.0])
@pytest.mark.parametrize("rate", [20, 10])
def test_a_step_is_seen_at_its_size(grams: float, rate: int) -> None:
    rows = with_step(quiet_rows(), 1, grams)
    if rate == 10:
        rows[:, 1::2] = np.nan
    window = scale_window(rows)
    assert window.step_grams[1] == pytest.approx(grams, abs=2.0)
    assert window.delta_grams[1, :20] == pytest.approx(0.0, abs=3.0)
    assert window.delta_grams[1, -7:] == pytest.approx(grams, abs=3.0)
    assert window.activity[1] > 5
    assert window.activity[0] < 1
    assert window.missing == pytest.approx(0.5 if rate == 10 else 0.0)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), noise=st.floats(0.0, 2.0), level=st.floats(-1e4, 3e4))
def test_noise_alone_stays_quiet(seed: int, noise: float, level: float) -> None:
    window = scale_window(quiet_rows(4, level, noise, seed))
    assert (window.activity < 2.0).all()
    assert np.abs(window.step_grams).max() < 8.0 * max(noise, 0.3)
    assert (window.noise_grams >= 0.3).all()


def test_only_differences_matter() -> None:
    rows = with_step(quiet_rows(), 0, -100.0)
    here, there = scale_window(rows), scale_window(rows + np.float32(4096.0))
    for name in ("delta_grams", "step_grams", "start_grams", "noise_grams"):
        assert getattr(there, name) == pytest.approx(getattr(here, name), abs=0.01)


def test_the_step_counts_from_the_last_quiet_level() -> None:
    """An event half a second before the window is told by start_grams, and step_grams holds both."""
    rows = with_step(with_step(quiet_rows(), 0, -100.0, at_s=-1.1), 0, -100.0, at_s=0.5)
    window = scale_window(rows)
    assert window.step_grams[0] == pytest.approx(window.start_grams[0] - 100.0, abs=2.0)


def test_gaps_are_filled_with_the_last_reading() -> None:
    rows = np.array([[np.nan, 1.0, np.nan, np.nan, 4.0, np.nan], [np.nan] * 6, [1, 2, 3, 4, 5, 6]], dtype=np.float32)
    filled, missing = fill_gaps(rows)
    assert filled.tolist() == [[1, 1, 1, 1, 4, 4], [0] * 6, [1, 2, 3, 4, 5, 6]]
    assert missing == pytest.approx([4 / 6, 1.0, 0.0])


def test_a_silent_scale_is_still() -> None:
    window = scale_window(np.full((1, HISTORY), np.nan, dtype=np.float32))
    assert window.activity[0] == 0
    assert window.missing[0] == 1
    assert np.isfinite(window.delta_grams).all()


def test_a_store_without_scales() -> None:
    window = scale_window(np.zeros((0, HISTORY), dtype=np.float32))
    assert window.delta_grams.shape == (0, WINDOW)
    assert window.activity.shape == (0,)
