"""What the looks at shelves are told of the state, and the entries that come of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from openaisle.accounts import MOST_SURE
from openaisle.messages import NANOSECONDS
from openaisle.predictor import Predictor, ShelfLook, ShelfWindows
from openaisle.receipts.events import Evidence, LedgerEvent
from openaisle.receipts.ledger import fold
from openaisle.second_look import Decided, Pending, Shelves, Windows, decide, opened
from openaisle.settle import ALONE_TICKS, Around, Sight, Stills
from openaisle.shelves import clear_windows, fresh_views
from openaisle.state import Setup, State
from openaisle.tokens.journey import FRAME_HZ, hands_in_lanes, opening_distance
from openaisle.tokens.shelf import ShelfView
from openaisle.tokens.tick import Tick
from openaisle.writing import track_window

CLOSE_M, LEAST_CLOSE = 0.1, 0.05  # a hand this far from a lane is a third as close; less is not remembered


def surroundings(state: State, tick: Tick, predictor: Predictor, setup: Setup) -> Around:
    """What there is to know beside events."""
    since = tick.index - ALONE_TICKS + 1  # the last frames of that tick came when nobody was there any more

    def look(lane: str, before: Stills, fresh: int) -> Sight | None:
        product = int(setup.table.product[setup.store.lane_index[lane]])
        if not before or product < 0:
            return None
        views = fresh_views(setup.shelf_views[lane], before, fresh)
        windows = clear_windows(views, (before, state.stills), since, product)
        if windows is None:
            return None
        return predictor.look_at_shelf(windows, setup.shelf_vectors), len(windows.before) / len(views)

    end_ns = tick.time_ns + NANOSECONDS
    leaving = frozenset(s.visit for s in state.shoppers if s.left_ns and s.left_ns < end_ns)
    return Around(reach_of(state, setup), baskets_of(state), lying_of(state, setup), leaving, state.stills, look, since)


def look_twice(state: State, tick: Tick, predictor: Predictor, setup: Setup) -> tuple[State, list[LedgerEvent]]:
    """What the shelves say now of events on scales that could have been something else: corrections."""
    if not (setup.settles and setup.scales):
        return state, []
    moving = state.weighing.watch.open
    known = opened(state.second, moving, state.stills)
    end_ns = tick.time_ns + NANOSECONDS
    inside = {s.visit for s in state.shoppers if not s.left_ns or s.left_ns >= end_ns}
    waiting = [e.event_id for p in known.pending.values() for e in p.events]
    hurried = frozenset(name for name in waiting if state.ledger.standing(name).visit not in inside)

    def windows(lane: str, waiting: Pending) -> Windows:
        product = int(setup.table.product[setup.store.lane_index[lane]])
        views = setup.shelf_views[lane]
        told = fresh_views(views, waiting.before, waiting.fresh)
        found = clear_windows(told, (waiting.before, state.stills), waiting.since, product) if product >= 0 else None
        possible = told or [view for view in views if product >= 0]
        clear = fresh_views(possible, state.stills, waiting.since)
        return found, sum(size_of(view) for view in clear) / max(sum(size_of(view) for view in possible), 1e-9)

    def look(shown: ShelfWindows) -> ShelfLook:
        return predictor.look_at_shelf(shown, setup.shelf_vectors)

    shelves = Shelves(windows, look, setup.goods, [lane.id for lane in setup.store.lanes])
    known, decided = decide(known, tick.index, hurried, moving, shelves)
    entries = [entry for found in decided for entry in mended(found, state, tick, setup)]
    open_scales = known.pending.keys() | moving | {scale_of(found.event.chosen.lane, setup) for found in decided}
    lying = {key: here for key, here in state.lying.items() if here[0] > 0 or scale_of(key[0], setup) in open_scales}
    return replace(state, second=known, lying=lying), entries


def size_of(view: ShelfView) -> float:
    """How much of a view a lane fills, beside others."""
    return float(view.features[0] ** 2)


def scale_of(lane: int, setup: Setup) -> int:
    """The scale under a lane (store index), -1 = none."""
    return int(setup.table.scale[lane])


def mended(found: Decided, state: State, tick: Tick, setup: Setup) -> Iterator[LedgerEvent]:
    """The correction for an event that was something else, or is not sure, where it stands as it was decided on."""
    event, way, store = found.event, found.way, setup.store
    old, chosen = state.ledger.standing(event.event_id), found.event.chosen
    units = -event.sign * chosen.units
    stands = (old.gtin, old.delta(old.visit)) == (store.products[chosen.product].gtin, units)
    if stands and (way is not chosen or old.confidence > found.sure):
        yield replace(
            old, event_id=f"{event.event_id}~{tick.index}s", kind="correction", supersedes=event.event_id, to_visit="",
            gtin=store.products[way.product].gtin, quantity=-event.sign * way.units, lane=store.lanes[way.lane].id,
            time_ns=tick.time_ns + NANOSECONDS + 2,  # after what reconcile.py wrote in this tick
            confidence=min(MOST_SURE, found.sure),
            reason="the shelf leaves it open" if way is chosen else "the shelf shows it",
        )  # fmt: skip


def found_late(event: LedgerEvent, number: int, tick: Tick, setup: Setup) -> LedgerEvent:
    """An event that a shelf showed, as an entry of the ledger."""
    lane = setup.store.lanes[setup.store.lane_index[event.lane]]
    seen = tuple(camera.id for camera in setup.store.cameras if camera.sees(lane.front_m))
    began_ns = tick.time_ns - 2 * ALONE_TICKS * NANOSECONDS
    evidence = Evidence(seen, (), began_ns, tick.time_ns, lane.id)
    name = f"t{tick.index:06d}-s{number}"
    return replace(event, event_id=name, time_ns=tick.time_ns - ALONE_TICKS * NANOSECONDS, evidence=evidence)


def reach_of(state: State, setup: Setup) -> dict[str, dict[str, float]]:
    """Closeness from 0 to 1 of each visit's hands to lanes without a scale in the tick's slots, where it is any."""
    table, out = setup.table, dict[str, dict[str, float]]()
    lanes = np.flatnonzero(table.scale < 0)
    if not state.shoppers or not len(lanes):
        return out
    tracks = track_window(state)
    far = opening_distance(table, hands_in_lanes(table, tracks))[:, lanes, -FRAME_HZ:].min((2, 3))
    for shopper, row in zip(state.shoppers, np.exp(-far / CLOSE_M), strict=True):
        mine = out.setdefault(shopper.visit, {})
        for at in np.flatnonzero(row > LEAST_CLOSE).tolist():
            lane = setup.store.lanes[lanes[at]].id
            mine[lane] = max(mine.get(lane, 0.0), float(row[at]))
    return out


def baskets_of(state: State) -> dict[str, dict[str, int]]:
    """Units by GTIN of everybody in the store."""
    visits = {shopper.visit for shopper in state.shoppers}
    return {v: {line.gtin: line.quantity for line in fold(state.ledger, v).lines} for v in sorted(visits)}


def lying_of(state: State, setup: Setup) -> frozenset[tuple[str, str]]:
    """Lane and GTIN of what is known to lie in wrong lanes."""
    store, known = setup.store, [key for key, (units, _) in state.lying.items() if units > 0]
    return frozenset((store.lanes[lane].id, store.products[product].gtin) for lane, product in known)
