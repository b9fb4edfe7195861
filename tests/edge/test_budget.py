"""The shipped model keeps its budget of time, memory and start-up; one that does not is named."""

from __future__ import annotations

from dataclasses import replace

import pytest

from openaisle.edge.budget import BUDGET, SHOPPERS, Cost, calls, measure, over, ticks, timed_ms
from openaisle.edge.runtime import WEIGHTS, OnnxPredictor
from openaisle.sim.stores import open_store

SHIPPED = WEIGHTS / "small"


@pytest.mark.skipif(not (SHIPPED / "model.json").exists(), reason="no weights in this checkout")
def test_the_shipped_model_keeps_its_budget() -> None:
    cost = measure("small")
    assert over(cost) == []
    assert min(cost.loop_ms, cost.tick_ms, cost.start_s, *cost.graph_ms.values()) > 0
    assert cost.memory_mb > 50  # weights alone take as much
    assert set(cost.graph_ms) == set(BUDGET.graph_ms)
    assert cost.tick_ms > 5 * (cost.graph_ms["heatmap"] + cost.graph_ms["glance"]) / 4  # all were looked at


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"tick_ms": 5 * BUDGET.tick_ms}, "a tick"),
        ({"start_s": 5 * BUDGET.start_s}, "the start"),
        ({"memory_mb": 1.6 * BUDGET.memory_mb}, "memory"),
        ({"graph_ms": {**BUDGET.graph_ms, "glance": 5 * BUDGET.graph_ms["glance"]}}, "glance"),
    ],
)
def test_what_exceeds_the_budget_is_named(change: dict[str, float], named: str) -> None:
    told = over(replace(BUDGET, **change))  # type: ignore[arg-type]  # one field of either type
    assert len(told) == 1
    assert named in told[0]


def test_a_slow_machine_is_allowed_for_and_a_fast_one_is_not_held_to_more() -> None:
    slow = Cost(6 * BUDGET.loop_ms, 12 * BUDGET.tick_ms, dict(BUDGET.graph_ms), BUDGET.start_s, BUDGET.memory_mb)
    assert over(slow) == []
    assert over(replace(slow, loop_ms=BUDGET.loop_ms))
    assert over(replace(BUDGET, loop_ms=BUDGET.loop_ms / 10)) == []


def test_the_shop_of_the_budget_is_the_same_every_time() -> None:
    store = open_store("random:kiosk", 800_390)
    first, second = (ticks(store, 3) for _ in range(2))
    shown = [[f.rgb for tick in made for frames in tick.frames for f in frames] for made in (first, second)]
    assert all((a == b).all() for a, b in zip(*shown, strict=True))
    assert [len(tick.gates) for tick in first] == [0, SHOPPERS, 0]
    assert first[1].frames[0][0].rgb.std() > first[0].frames[0][0].rgb.std()


def test_times_are_medians_of_what_is_called() -> None:
    called = []
    assert timed_ms(lambda: called.append(0), 3) >= 0
    assert len(called) == 4


@pytest.mark.skipif(not (SHIPPED / "model.json").exists(), reason="no weights in this checkout")
def test_calls_are_such_as_the_graphs_take() -> None:
    predictor = OnnxPredictor(SHIPPED)
    for graph, feed in calls().items():
        assert predictor.inputs[graph] == set(feed)
        assert predictor.call(graph, feed)
