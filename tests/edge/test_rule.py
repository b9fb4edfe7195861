"""The rule: the nearest hand to a step takes the lane's product, as many units as fit."""

from __future__ import annotations

import numpy as np
import pytest

from openaisle.edge.rule import RulePredictor, strongest_step
from openaisle.predictor import TickView, WrittenEvent
from openaisle.tokens.journey import KINDS, lane_table, tick_features, without_scales
from openaisle.tokens.scales import scale_window
from tests.pipeline.scripted import Scripted
from tests.tokens.corner import E, corner_store, quiet_rows, reaching, standing, with_step

STORE = corner_store()
RULE = RulePredictor(Scripted())


def view_of(scale: int, grams: float, reach: int = 1, at_s: float = 0.5, scales: bool = True) -> TickView:
    """Two people; one of them reaches into the lane of a scale that steps."""
    table = lane_table(STORE) if scales else without_scales(lane_table(STORE))
    tracks = reaching(standing((3.0, 2.1), (2.6, 1.9)), reach, STORE.lanes[scale].front_m, slice(5, 9))
    window = scale_window(with_step(quiet_rows(), scale, grams, at_s)[: 2 if scales else 0])
    looks = np.zeros((3, E), np.float32)
    return TickView(table, window, tracks, tick_features(table, window, tracks, (), (), looks))


@pytest.mark.parametrize("reach", [0, 1])
@pytest.mark.parametrize(
    ("scale", "grams", "kind", "units"), [(0, -330.0, "take", 1), (1, -840.0, "take", 2), (0, 330.0, "return", 1)]
)
def test_a_step_is_explained(scale: int, grams: float, kind: str, units: int, reach: int) -> None:
    events = RULE.write(view_of(scale, grams, reach))
    assert events == [WrittenEvent(KINDS.index(kind), scale, reach, scale, units, -1, 0.9)]


@pytest.mark.parametrize("grams", [0.0, 2.0, -40.0])
def test_noise_drift_and_cross_talk_are_not(grams: float) -> None:
    assert RULE.write(view_of(0, grams)) == []


@pytest.mark.parametrize("at_s", [-0.4, 1.2])
def test_each_step_belongs_to_the_tick_of_its_instant(at_s: float) -> None:
    assert RULE.write(view_of(0, -330.0, at_s=at_s)) == []


def test_without_scales_the_rule_is_silent() -> None:
    assert RULE.write(view_of(0, -330.0, scales=False)) == []


def test_the_strongest_step_and_its_place() -> None:
    delta = np.zeros(50, np.float32)
    delta[30:] = -100.0
    delta[40:] = -80.0
    step, sample = strongest_step(delta)
    assert step == pytest.approx(-100.0)
    assert 25 <= sample <= 30
