"""What settled scales are told of the state, and what their entries change in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from openaisle.accounts import bare
from openaisle.messages import NANOSECONDS
from openaisle.predictor import Predictor
from openaisle.receipts.events import Evidence, LedgerEvent
from openaisle.receipts.ledger import fold
from openaisle.settle import QUIET_S, Around, Sight, Stills
from openaisle.shelves import clear_windows
from openaisle.state import Setup, State
from openaisle.tokens.journey import FRAME_HZ, hands_in_lanes, opening_distance
from openaisle.tokens.tick import Tick
from openaisle.writing import track_window

CLOSE_M, LEAST_CLOSE = 0.1, 0.05  # a hand this far from a lane is a third as close; less is not remembered


def surroundings(state: State, tick: Tick, predictor: Predictor, setup: Setup) -> Around:
    """What there is to know beside scales and events."""
    since = tick.index - int(QUIET_S) + 1  # the last frames of that tick came when all was quiet

    def look(lane: str, before: Stills) -> Sight | None:
        product = int(setup.table.product[setup.store.lane_index[lane]])
        if not before or product < 0:
            return None
        views = setup.shelf_views[lane]
        windows = clear_windows(views, (before, state.stills), since, product)
        if windows is None:
            return None
        return predictor.look_at_shelf(windows, setup.shelf_vectors), len(windows.before) / len(views)

    end_ns = tick.time_ns + NANOSECONDS
    leaving = frozenset(s.visit for s in state.shoppers if s.left_ns and s.left_ns < end_ns)
    return Around(reach_of(state, setup), baskets_of(state), lying_of(state, setup), leaving, state.stills, look)


def found_late(event: LedgerEvent, number: int, tick: Tick, setup: Setup) -> LedgerEvent:
    """An event that a settled scale showed, as an entry of the ledger."""
    lane = setup.store.lanes[setup.store.lane_index[event.lane]]
    seen = tuple(camera.id for camera in setup.store.cameras if camera.sees(lane.front_m))
    began_ns = tick.time_ns - int(2 * QUIET_S * NANOSECONDS)
    scales = (setup.store.spec.scales[lane.scale].id,) if setup.table.scale[lane.index] >= 0 else ()
    evidence = Evidence(seen, scales, began_ns, tick.time_ns, lane.id)
    name = f"t{tick.index:06d}-s{number}"
    return replace(event, event_id=name, time_ns=tick.time_ns - int(QUIET_S * NANOSECONDS), evidence=evidence)


def reach_of(state: State, setup: Setup) -> dict[str, dict[int, float]]:
    """Closeness from 0 to 1 of each visit's hands to scales in the tick's slots, where it is worth mentioning."""
    table = setup.table
    out: dict[str, dict[int, float]] = {}
    if not state.shoppers:
        return out
    tracks = track_window(state)
    close = np.exp(-opening_distance(table, hands_in_lanes(table, tracks))[:, :, -FRAME_HZ:].min((2, 3)) / CLOSE_M)
    for shopper, row in zip(state.shoppers, close, strict=True):
        mine = out.setdefault(shopper.visit, {})
        for lane in np.flatnonzero(row > LEAST_CLOSE).tolist():
            scale = int(table.scale[lane]) if table.scale[lane] >= 0 else bare(lane)
            mine[scale] = max(mine.get(scale, 0.0), float(row[lane]))
    return out


def baskets_of(state: State) -> dict[str, dict[str, int]]:
    """Units by GTIN of everybody in the store."""
    visits = {shopper.visit for shopper in state.shoppers}
    return {v: {line.gtin: line.quantity for line in fold(state.ledger, v).lines} for v in sorted(visits)}


def lying_of(state: State, setup: Setup) -> frozenset[tuple[str, str]]:
    """Lane and GTIN of what is known to lie in wrong lanes."""
    store = setup.store
    return frozenset((store.lanes[lane].id, store.products[product].gtin) for lane, product in state.lying)


def lie(
    lying: Mapping[tuple[int, int], tuple[int, int]], entry: LedgerEvent, replaced: LedgerEvent | None, setup: Setup
) -> Mapping[tuple[int, int], tuple[int, int]]:
    """What lies in a wrong lane after an entry of the ledger."""
    out = dict(lying)
    second = entry.time_ns // NANOSECONDS
    for event, sign in ((replaced, 1), (entry, -1)):
        if event is None or not event.lane:
            continue
        lane, product = setup.store.lane_index[event.lane], setup.store.product_index[event.gtin]
        if setup.table.product[lane] == product:
            continue
        units = out.pop((lane, product), (0, 0))[0] + sign * event.delta(event.visit)
        if units > 0:
            out[lane, product] = (units, second)
    return out
