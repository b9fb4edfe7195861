"""Which receipt update shows which true take or return: one-to-one in units, nearest in time first.

An update is credited to a true event of the same visit when the direction agrees (into or out of the basket), the
product or the lane agrees, and the times lie within MATCH_WINDOW_S.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from openaisle.messages import EventKind, TruthEvent
from openaisle.receipts.document import Update

MATCH_WINDOW_S = 5.0  # a pick-up spans 1-2 s and updates may lag a tick or two; visits rarely repeat a lane faster


def match_events(events: Sequence[TruthEvent], updates: Sequence[Update]) -> tuple[int, tuple[float, ...]]:
    """(events with an update, latency in seconds of the events whose product an update shows) within one visit."""
    wanted = [event.quantity for event in events]
    offered = [abs(update.quantity) for update in updates]
    credited: set[int] = set()
    shown_s: dict[int, float] = {}
    for _, i, j in sorted(_pairs(events, updates)):
        units = min(wanted[i], offered[j])
        if units == 0:
            continue
        wanted[i] -= units
        offered[j] -= units
        credited.add(i)
        if updates[j].gtin == events[i].gtin:
            latency_s = (updates[j].time_ns - events[i].time_ns) / 1e9 + updates[j].compute_s
            shown_s[i] = min(shown_s.get(i, latency_s), latency_s)
    return len(credited), tuple(shown_s[i] for i in sorted(shown_s))


def _pairs(events: Sequence[TruthEvent], updates: Sequence[Update]) -> Iterator[tuple[tuple[bool, float], int, int]]:
    """((product differs, seconds apart), event, update) of every pair that may match."""
    for i, event in enumerate(events):
        for j, update in enumerate(updates):
            time_ns = update.time_ns if update.event_time_ns is None else update.event_time_ns
            apart_s = abs(time_ns - event.time_ns) / 1e9
            same_place = update.gtin == event.gtin or (update.lane != "" and update.lane == event.lane)
            if _direction(update) == event.kind and same_place and apart_s <= MATCH_WINDOW_S:
                yield (update.gtin != event.gtin, apart_s), i, j


def _direction(update: Update) -> EventKind | None:
    """Whether an update puts something into the basket or takes it out; None for a hand-over."""
    if update.kind == "correction":
        return EventKind.TAKE if update.quantity > 0 else EventKind.RETURN
    return {"take": EventKind.TAKE, "return": EventKind.RETURN}.get(update.kind)
