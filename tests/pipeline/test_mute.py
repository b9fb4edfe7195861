"""Scales that tell nothing are none: hands speak for their lanes, and their return charges nobody."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from openaisle.messages import ScaleBatch
from openaisle.mute import mute_scales, without_mute
from openaisle.pipeline import run, set_up
from openaisle.tokens.scales import HISTORY, WINDOW
from openaisle.tokens.tick import Sensed
from tests.pipeline.scripted import START, Scripted, shopping
from tests.tokens.corner import LANES, corner_store

STORE = corner_store()
LIMIT = np.array([10_000.0, 10_000.0], np.float32)
INSIDE = [(1.0, "entry", "ann"), (27.0, "exit", "")]


def rows(first: float, second: float) -> NDArray[np.float32]:
    wobble = np.random.Generator(np.random.PCG64(1)).normal(0, 0.5, (2, HISTORY))
    return (np.array([[first], [second]]) + wobble).astype(np.float32)


def dead(sent: list[Sensed], scale: str, from_s: float, to_s: float) -> list[Sensed]:
    """The stream with nothing from a scale between two seconds."""
    return [
        m for m in sent
        if not isinstance(m, ScaleBatch) or m.scale != scale or not from_s <= (m.time_ns - START) / 1e9 < to_s
    ]  # fmt: skip


def test_dead_and_full_scales_are_blind_and_others_are_not() -> None:
    assert mute_scales(rows(4000, 6000), LIMIT) == frozenset()
    assert mute_scales(rows(4000, 9900), LIMIT) == {1}
    gone = rows(4000, 6000)
    gone[0, -WINDOW:] = np.nan
    assert mute_scales(gone, LIMIT) == {0}
    assert mute_scales(np.zeros((0, HISTORY), np.float32), LIMIT[:0]) == frozenset()


def test_a_slow_scale_and_one_that_was_full_are_not_blind() -> None:
    slow = rows(4000, 6000)
    slow[0, np.arange(HISTORY) % 20 != 0] = np.nan
    assert mute_scales(slow, LIMIT) == frozenset()
    emptied = rows(4000, 9900)
    emptied[1, -10:] -= 700
    assert mute_scales(emptied, LIMIT) == frozenset()


def test_lanes_of_mute_scales_are_lanes_without_one() -> None:
    setup, _ = set_up(STORE, Scripted())
    limit = STORE.spec.scales[0].limit_grams
    assert without_mute(setup, rows(4000, 6000)) is setup
    partly = without_mute(setup, rows(limit, 6000))
    assert partly.table.scale.tolist() == [-1, 1, -1]
    assert partly.table.shared.tolist() == [0.0, 1.0, 0.0]
    assert partly.goods.scale[LANES[0]] < 0 <= partly.goods.scale[LANES[1]]
    assert partly.goods.beside == {}
    assert setup.table.scale.tolist() == [0, 1, -1]


@pytest.mark.parametrize("from_s", [4.0, 7.5])
def test_what_left_while_a_scale_was_dead_is_not_charged_when_it_is_back(from_s: float) -> None:
    near = STORE.lanes[0].front_m.astype(np.float32)  # ann's hand is there all the time, and could have taken it
    sent = shopping([(8.0, 0, -330.0)], INSIDE, 32.0)
    seen = list(run(STORE, sent, Scripted(hand_m=near)))[-1]
    assert [line.quantity for line in seen.receipts["ann"].lines] == [1]
    result = list(run(STORE, dead(sent, "w1", from_s, 14.0), Scripted(hand_m=near)))[-1]
    assert result.receipts["ann"].lines == ()


def test_a_lane_whose_scale_is_dead_is_looked_at_for_a_hand_alone() -> None:
    near = STORE.lanes[0].front_m.astype(np.float32)
    eyes = Scripted(hand_m=near)
    list(run(STORE, dead(shopping([], INSIDE[:1], 16.0), "w1", 6.0, 99.0), eyes))
    last = eyes.views[-1]
    assert 0 in last.features.lane
    assert last.table.scale.tolist() == [-1, 1, -1]
