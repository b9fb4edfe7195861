"""Small rules that decide receipts: who left through a gate, and that a tick names each event once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from openaisle.messages import NANOSECONDS, GateEvent
from openaisle.predictor import Arrays, GraphPredictor, TickView
from openaisle.tokens.journey import lane_table, tick_features
from openaisle.tokens.scales import scale_window
from openaisle.tracking import claim_exits, gate_middle
from tests.tokens.corner import corner_store, quiet_rows, standing, with_step


def test_an_exit_takes_who_was_inside_not_who_just_came() -> None:
    store = corner_store()
    gate = store.spec.gates[0]
    middle = gate_middle(store, gate.id)
    now = 100 * NANOSECONDS
    event = GateEvent(gate.id, now, "exit")
    places = {1: middle, 2: middle + np.float32(0.4)}
    newcomer_is_nearer = {1: now - NANOSECONDS, 2: now - 60 * NANOSECONDS}
    assert claim_exits(store, [(event, places)], newcomer_is_nearer) == {2: now}
    both_long_inside = {1: now - 50 * NANOSECONDS, 2: now - 60 * NANOSECONDS}
    assert claim_exits(store, [(event, places)], both_long_inside) == {1: now}


class Stammer(GraphPredictor):
    """A decoder that writes the same take again and again."""

    def call(self, graph: str, feed: Arrays) -> list[NDArray[np.generic]]:
        """Six takes of one unit from the first lane by the first shopper."""
        assert graph == "write"
        zeros = np.zeros(6, dtype=np.int64)
        return [zeros + 1, zeros, zeros, zeros, zeros, zeros, np.full(6, 0.9, dtype=np.float32), np.ones((6, 1))]


def test_a_tick_names_each_event_once() -> None:
    store = corner_store()
    table = lane_table(store)
    scale = int(table.scale[0])
    window = scale_window(with_step(quiet_rows(len(store.spec.scales)), scale, -500.0))
    tracks = standing((1.0, 1.0))
    width = tracks.product.shape[-1]
    features = tick_features(table, window, tracks, (), (), np.zeros((len(store.products), width), dtype=np.float32))
    assert len(features.lane)
    events = Stammer("stammer", (4, 4)).write(TickView(table, window, tracks, features))
    assert len(events) == 1
    assert events[0].quantity == 1
