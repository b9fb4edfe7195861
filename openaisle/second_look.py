"""What scales could not tell apart, which product it was and from which lane, is looked at once more.

Several products weigh about the same, a stranger may lie in a lane, and lanes share scales. Once the shelf shows again
without anybody before it, its pictures from before and after say what left and what came (`Predictor.look_at_shelf`).
Masses, people and pictures decide together; where it was another thing, the ledger gets an entry with its reason. Pure.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from openaisle.accounts import against
from openaisle.predictor import ShelfLook, ShelfWindows
from openaisle.settle import Stills
from openaisle.shelves import NEVER
from openaisle.weighing.goods import Goods
from openaisle.weighing.split import Way

MOST_EVENTS, MOST_WAYS = 3, 16  # of the latest doubtful events of a scale, and of each
MARGIN = 0.7  # log-odds by which another way must beat the one that is written
UNCLEAR_MARGIN = 2.5  # the same where no clear view came in time
SEEN_SHARE = 0.5  # of a lane's pixels in all views that must be clear
WAIT_TICKS = 60  # for clear views: then those that there are must do
NEAR_COST = 6.0  # of what a lane is waited for; others are looked at if they show
LOOKED = 1.0  # exponent of what pictures say
OPEN = 0.6  # an event that stands as it is with less than this chance is not sure any more
Windows = tuple[ShelfWindows | None, float]  # clear views, and their share of the lane's pixels in all that could be


@dataclass(frozen=True)
class Doubtful:
    """An event of the ledger (its first entry) in a lane (store index), and what else it may have been."""

    event_id: str
    kind: str  # "take" | "return"
    chosen: Way
    ways: tuple[Way, ...] = ()

    @property
    def sign(self) -> int:
        """Of the units that the lane gets."""
        return 1 if self.kind == "return" else -1


@dataclass(frozen=True)
class Pending:
    """A scale's events since its shelf was last seen clear: how it looked then, and the tick of the last of them."""

    before: Stills
    events: tuple[Doubtful, ...] = ()
    since: int = 0
    fresh: int = NEVER  # what was not clear since this tick, at the latest, shows how it looked before other events


@dataclass(frozen=True)
class SecondLooks:
    """By scale what is waited for, and the shelves in the last tick."""

    pending: Mapping[int, Pending] = field(default_factory=dict)
    stills: Stills = ()
    decided: Mapping[int, int] = field(default_factory=dict)  # by scale the tick of the last event decided on


@dataclass(frozen=True)
class Decided:
    """What an event was after all, and how sure that is."""

    event: Doubtful
    way: Way
    sure: float


@dataclass(frozen=True)
class Shelves:
    """What can be seen: a lane's (id) clear windows since the events that wait, and what they say."""

    windows: Callable[[str, Pending], Windows]
    look: Callable[[ShelfWindows], ShelfLook]
    goods: Goods
    lanes: Sequence[str]  # ids by store index


def opened(known: SecondLooks, moving: frozenset[int], stills: Stills) -> SecondLooks:
    """After a tick: how the shelves of scales that begin to move looked before."""
    pending = {scale: waiting for scale, waiting in known.pending.items() if waiting.events or scale in moving}
    for scale in sorted(moving - pending.keys()):
        pending[scale] = Pending(known.stills, fresh=known.decided.get(scale, NEVER))
    return SecondLooks(pending, stills, known.decided)


def added(known: SecondLooks, scale: int, events: Sequence[Doubtful], tick: int) -> SecondLooks:
    """With events that a scale has told in a tick."""
    old = known.pending.get(scale, Pending(known.stills, fresh=known.decided.get(scale, NEVER)))
    now = replace(old, events=(*old.events, *events), since=tick)
    return replace(known, pending={**known.pending, scale: now})


def decide(
    known: SecondLooks, tick: int, hurried: frozenset[str], moving: frozenset[int], shelves: Shelves
) -> tuple[SecondLooks, list[Decided]]:
    """What can be decided in a tick; hurried: events (ids) of those who leave now, which no longer wait."""
    pending, last, out = dict(known.pending), dict(known.decided), list[Decided]()
    for scale, waiting in known.pending.items():
        hurry = any(event.event_id in hurried and event.ways for event in waiting.events)
        if not waiting.events or (scale in moving and not hurry):
            continue
        names = concerned(waiting, shelves.lanes)
        seen = {name: shelves.windows(name, waiting) for name in names}
        shown = {name for name, (_, share) in seen.items() if share >= SEEN_SHARE}
        clear = all(name in shown for name, cost in names.items() if cost <= NEAR_COST)
        if not (clear or hurry or tick - waiting.since >= WAIT_TICKS):
            continue
        found: list[Decided] = []
        if any(event.ways for event in waiting.events):
            looks = {name: shelves.look(windows) for name, (windows, _) in seen.items() if windows is not None}
            found = likeliest(waiting.events, looks, shelves, MARGIN if clear else UNCLEAR_MARGIN)
            out += found
        if clear:
            del pending[scale]
            last[scale] = waiting.since
        else:  # what comes next is seen together with these
            fixed = {d.event.event_id: d.way for d in found}
            events = [replace(e, chosen=fixed.get(e.event_id, e.chosen), ways=()) for e in waiting.events]
            pending[scale] = replace(waiting, events=tuple(events))
    return replace(known, pending=pending, decided=last), out


def concerned(waiting: Pending, lanes: Sequence[str]) -> dict[str, float]:
    """The lanes from which something may have gone, or to which it may have come, and the least that it costs."""
    out: dict[str, float] = {}
    for event in waiting.events:
        for way in (event.chosen, *event.ways):
            out[lanes[way.lane]] = min(way.cost, out.get(lanes[way.lane], way.cost))
    return out


def likeliest(
    events: Sequence[Doubtful], looks: Mapping[str, ShelfLook], shelves: Shelves, margin: float
) -> list[Decided]:
    """Which of the events were something else by masses and looks together, and which may well have been.

    margin: log-odds by which something else must beat what is written.
    """
    doubtful = [event for event in events if event.ways][-MOST_EVENTS:]
    fixed = [(event, event.chosen) for event in events if event not in doubtful]
    ways = list(itertools.product(*([event.chosen, *event.ways[: MOST_WAYS - 1]] for event in doubtful)))
    costs = np.array([cost_of([*fixed, *zip(doubtful, way, strict=True)], looks, shelves) for way in ways])
    if not looks:
        return []
    best = int(costs.argmin())
    best = best if costs[0] - costs[best] >= margin else 0
    weight = np.exp(costs.min() - costs)
    out = []
    for i, (event, way) in enumerate(zip(doubtful, ways[best], strict=True)):
        same = np.array([(w[i].product, w[i].units) == (way.product, way.units) for w in ways])
        sure = float(weight[same].sum() / weight.sum())
        if way is not event.chosen or sure < OPEN:
            out.append(Decided(event, way, sure))
    return out


def cost_of(told: Sequence[tuple[Doubtful, Way]], looks: Mapping[str, ShelfLook], shelves: Shelves) -> float:
    """What speaks against that events were in such ways."""
    moves: dict[str, list[tuple[str, int]]] = {lane: [] for lane in looks}
    for event, way in told:
        here = moves.get(shelves.lanes[way.lane])
        if here is not None:
            here.append((shelves.goods.gtins[way.product], event.sign * way.units))
    seen = sum(against(lane, moves[lane], look, shelves.goods) for lane, look in looks.items())
    return sum(way.cost for _, way in told) + LOOKED * seen
