"""Something wide in a narrow lane stands on its neighbours' scales: their steps are added up, strangers' are not."""

from __future__ import annotations

import numpy as np
import pytest

from openaisle.tokens.journey import FELT, adjacent, lane_table, weight_guesses, whole_steps
from openaisle.tokens.scales import scale_window
from tests.tokens.corner import corner_store, quiet_rows, with_step

TABLE = lane_table(corner_store())  # two lanes of a wall shelf 0.1 m apart, one of a table


def test_lanes_of_one_shelf_lie_beside_each_other() -> None:
    assert adjacent(TABLE).tolist() == [True, False]


@pytest.mark.parametrize(
    ("own", "beside", "whole"),
    [
        (-280.0, -140.0, (-420.0, -140.0)),  # two thirds and one third of one thing: the larger share is the place
        (-280.0, 140.0, (-280.0, 140.0)),  # one thing taken, another put back
        (-280.0, -1.0, (-280.0, 0.0)),  # noise
    ],
)
def test_smaller_steps_in_the_same_direction_are_added(own: float, beside: float, whole: tuple[float, float]) -> None:
    window = scale_window(with_step(with_step(quiet_rows(), 0, own), 1, beside))
    assert whole_steps(TABLE, window) == pytest.approx([*whole, 0.0], abs=3.0)


def test_without_scales_there_are_no_steps() -> None:
    assert whole_steps(TABLE, scale_window(quiet_rows()[:0])).tolist() == [0.0, 0.0, 0.0]


def test_what_stands_on_two_scales_is_guessed_by_their_sum() -> None:
    window = scale_window(with_step(with_step(quiet_rows(), 0, -270.0), 1, -420.0 * FELT + 270.0))
    lane = np.array([0], dtype=np.int32)
    alone = weight_guesses(TABLE, window, lane, window.step_grams[:1], set())
    assert 1 not in [c.product for c in alone]
    together = weight_guesses(TABLE, window, lane, whole_steps(TABLE, window)[:1], set())
    assert [c.product for c in together] == [1]
