"""Event splitting: which rests of an interaction were true levels, and what happened between each two of them.

A hand that presses makes rests that come and go; two takes in a row make one that stays. Every way of joining an
interaction's steps competes with the others, and each part is explained in the light of the parts before it, and of
what the decoder wrote of it.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from openaisle.tokens.journey import LaneTable
from openaisle.weighing.associate import Done, Hands, assign, chances, cost_of_anybody, visits_allowed
from openaisle.weighing.identify import (
    Explanation,
    Law,
    Move,
    Scene,
    candidates,
    explain,
    spent,
)
from openaisle.weighing.interactions import Interaction
from openaisle.weighing.levels import (
    LEAST_G,
    LEAST_NOISES,
    LOST_G,
    LOST_NOISES,
    divided,
    exchanged,
    noise_of,
    passing,
    shortened,
)
from openaisle.weighing.witness import (
    ALONE_SEEN,
    ALONE_SHOWN,
    HANDS_SHARE,
    LOOK_SHARE,
    MOST_SEEN,
    NEAR,
    PLACED,
    UNTOLD_COST,
    Look,
    Told,
    likeliest,
    teller,
    testimony,
)

NO_HAND = -40.0  # log-odds
LEAST_SURE = 0.5  # of an event that nobody told of: a less likely one is not charged
SHARED_SURE = 0.6  # that two hands in one lane took one unit each, and not one of them two
APART = 5  # samples between two grasps: units of one leave at once
SEVERAL = 2.0  # log-odds: 11 of 12 steps of two grasps before which two people stood were two people's (dev/LOG.md)
NEARBY = -3.5  # least log-odds of each of those
IN_LANE = -1.3  # log density of a hand (associate.py) that was in the lane all the time
BESIDE = -4.0  # and of one that was near by
FAR_COST = 13.0  # of another way that is not worth a look
NAMING = 0.5  # share of the testimony for a move that is not counted against what else it may have been
TOLD_NOISES = 0.5  # so little is a change (levels.py: LEAST_NOISES) where something was written of it
HEAVY_G = 80.0  # a scale seldom changes by so much unless something was taken or put there
SURELY_SOMEBODY = Look(np.zeros(0), {}, MOST_SEEN)
Float = NDArray[np.float64]


@dataclass(frozen=True)
class Way:
    """What else a move may have been: so many units of a product of a lane, and the log-odds against it."""

    lane: int
    product: int
    units: int
    cost: float


@dataclass(frozen=True)
class Event:
    """A move with its people."""

    move: Move
    sample: int
    person: int  # column of the hands
    people: tuple[float, ...]  # chance of each column
    confidence: float
    grams: float | None  # that the scales say it weighed, where it was the only one of its step
    ways: tuple[Way, ...] = ()  # other ones, by masses and people; () = it was shared


@dataclass(frozen=True)
class Lost:
    """Grams that left a lane while somebody's hand was near, and that are no product there."""

    lane: int
    sample: int
    person: int
    grams: float


@dataclass(frozen=True)
class Part:
    """What happened between two rests."""

    first: int
    last: int
    explanation: Explanation
    events: tuple[Event, ...]
    lost: Lost | None = None


@dataclass(frozen=True)
class Share:
    """What one person may have done of a move, with what was told of it; apart = the others told of were others."""

    move: Move
    sample: int
    said: tuple[Told, ...]
    apart: bool = False

    def belief(self, hands: Hands, table: LaneTable) -> Float:
        """Log-odds [N, 2], but for a constant, that each hand did it."""
        move = self.move
        found = hands.belief(table, (move.kind, move.lane, move.scale), self.sample, self.said)
        if self.apart:  # one hand each, so that at one time nobody has two shares
            found = np.stack([found.max(1), np.full(len(found), NO_HAND)], axis=1)
        return found


@dataclass(frozen=True)
class _Path:
    cost: float
    parts: tuple[Part, ...]
    scene: Scene


def split(found: Interaction, scene: Scene, hands: Hands, table: LaneTable) -> tuple[Part, ...]:
    """The likeliest parts of an interaction, in order of time."""
    found = shortened(exchanged(divided(found, hands.told, scene), hands.told))
    steps = [step_of(t, found) for t in hands.told]
    best = [_Path(0.0, (), scene)]
    for last in range(1, len(found.rests)):
        ways = []
        for first in range(last):
            said = tuple(t for t, step in zip(hands.told, steps, strict=True) if first <= step < last)
            around = replace(hands, told=said, done=done_in(best[first].parts))
            part = between(found, (first, last), best[first].scene, around, table)
            cost = best[first].cost + part.explanation.cost + passing(found, first, last)
            ways.append((cost, first, part))
        cost, first, part = min(ways, key=lambda way: way[0])
        best.append(_Path(cost, (*best[first].parts, part), after(best[first].scene, part, hands)))
    return best[-1].parts


def done_in(parts: Sequence[Part]) -> tuple[Done, ...]:
    """What the parts so far hold."""
    return tuple(Done(e.move.kind, e.move.scale, e.sample, e.people) for part in parts for e in part.events)


def step_of(told: Told, found: Interaction) -> int:
    """The step between two rests of which something was written: the nearest in time; -1 where none is near."""
    row = found.scales.index(told.scale) if told.scale in found.scales else -1
    ways = []
    for step, (one, other) in enumerate(itertools.pairwise(found.rests)):
        away = max(one.end - told.sample, told.sample - other.begin, 0)
        ways.append((away, abs(found.instants[step][row] - told.sample), step))
    away, _, step = min(ways)
    return step if away <= NEAR and row >= 0 else -1


def between(found: Interaction, span: tuple[int, int], scene: Scene, hands: Hands, table: LaneTable) -> Part:
    """What explains the change between two rests, and who did it."""
    first, last = span
    change = (found.rests[last].grams - found.rests[first].grams).astype(np.float64)
    law = Law(found.scales, change, noise_of(found, *span), scene)
    instant = {scale: instant_of(found, span, i) for i, scale in enumerate(found.scales)}
    moved = [s for s, row in law.row.items() if abs(float(change[row])) >= least_change(law, s, hands.told)]
    shared = {s for s in moved if len(scene.lanes[s]) > 1}
    looks = {s: hands.looks(s, instant[s]) if s in shared else SURELY_SOMEBODY for s in moved}
    options = options_of(law, looks, instant, hands, table)
    told = explain(law, options)
    heavy = {s for s in moved if abs(float(change[law.row[s]])) >= HEAVY_G}
    unlooked = {move.scale for move in told.moves if move.scale in heavy - shared and not move.spoken}
    if unlooked:  # pictures are looked at only where they may matter: that takes its time
        looks |= {s: hands.looks(s, instant[s]) for s in sorted(unlooked)}
        options = options_of(law, looks, instant, hands, table)
        told = explain(law, options)
    passed = {scale: partial(found.passed, i, span) for i, scale in enumerate(found.scales)}
    events = tuple(
        replace(event, ways=other_ways(law, told.moves, event.move, options[event.move.scale]))
        for event in attributed(told, (change, instant, passed), hands, table)
    )  # fmt: skip
    lost = None if events else missing(found, (change, instant), (scene, hands), table)
    return Part(first, last, told, events, lost)


def least_change(law: Law, scale: int, said: Sequence[Told]) -> float:
    """Grams from which a scale has moves of its own."""
    noises = TOLD_NOISES if any(t.scale == scale for t in said) else LEAST_NOISES
    return max(LEAST_G, noises * float(law.noise[law.row[scale]]))


def options_of(
    law: Law, looks: Mapping[int, Look | None], instant: Mapping[int, int], hands: Hands, table: LaneTable
) -> dict[int, list[Move]]:
    """By scale every move that its change may hold, with all that speaks against it.

    looks: of scales that have changed. instant: when each did.
    """
    seen = dict[int, Float]()
    out: dict[int, list[Move]] = {}
    for scale, look in looks.items():
        change = float(law.change[law.row[scale]])
        for move in candidates(scale, change, law.scene):
            if move.lane not in seen:
                seen[move.lane] = hands.closeness(table, move.lane, instant[scale])
            what = move.kind, scale, move.product, move.units
            spoken, of = testimony(hands.told, what), teller(hands.told, what)
            who = cost_of_anybody(seen[move.lane], visits_allowed(hands.visits, move.owners))
            if spoken or spoken_of(hands.told, move.kind, scale):
                who *= HANDS_SHARE
            elif hands.heard and abs(change) >= HEAVY_G:  # that seldom goes by itself, and a hand may be hidden
                who = UNTOLD_COST + HANDS_SHARE * who - (LOOK_SHARE * look.somebody if look is not None else 0.0)
            where = PLACED * look.against(move.lane) if look is not None else 0.0
            out.setdefault(scale, []).append(replace(move, cost=move.cost + who - spoken + where, spoken=spoken, of=of))
    return out


def spoken_of(said: Sequence[Told], kind: str, scale: int) -> bool:
    """Whether anything of the kind was told of a scale."""
    return any((t.kind, t.scale) == (kind, scale) for t in said)


def other_ways(law: Law, moves: Sequence[Move], move: Move, options: Sequence[Move]) -> tuple[Way, ...]:
    """What one of the moves that explain a step may have been instead, if the others were as they are."""
    if move not in moves:
        return ()
    others = [other for other in moves if other is not move]
    kept = law.misfit(moves) + spent(moves)
    out: dict[tuple[int, int, int], Way] = {}
    for option in options:
        tried = [*others, option]
        deaf = NAMING if law.scene.own[option.lane] == option.product else 1.0  # the decoder cannot name strangers
        cost = law.misfit(tried) + spent(tried) - kept - deaf * (move.spoken - option.spoken)
        key = option.lane, option.product, option.units
        if option.kind == move.kind and cost < FAR_COST and key != (move.lane, move.product, move.units):
            out[key] = Way(*key, cost)
    return tuple(sorted(out.values(), key=lambda way: way.cost))


def missing(
    found: Interaction, what: tuple[Float, Mapping[int, int]], around: tuple[Scene, Hands], table: LaneTable
) -> Lost | None:
    """What went without a name, if that is more than noise and a hand was near."""
    (change, instant), (scene, hands) = what, around
    row = int(np.argmin(change))
    scale, grams = found.scales[row], -float(change.sum())
    if grams < max(LOST_G, LOST_NOISES * float(found.noise[row])) or not hands.visits:
        return None
    best = Lost(-1, instant[scale], -1, grams)
    score = BESIDE
    for lane in scene.lanes[scale]:
        close = hands.closeness(table, lane, instant[scale]).max(1)
        if close.max() > score and scene.own[lane] >= 0:
            best, score = replace(best, lane=lane, person=int(close.argmax())), float(close.max())
    return best if best.person >= 0 else None


Passed = Callable[[int], list[int]]  # of so many units: when each left


def attributed(
    told: Explanation, what: tuple[Float, Mapping[int, int], Mapping[int, Passed]], hands: Hands, table: LaneTable
) -> list[Event]:
    """An explanation's moves with the people who did them."""
    change, instant, passed = what
    if not hands.visits:
        return []
    shares: list[Share] = []
    for move in told.moves:
        alone = sum(other.scale == move.scale for other in told.moves) == 1
        times = passed[move.scale](move.units) if alone and move.kind == "take" and move.units > 1 else []
        shares += shared(move, (instant[move.scale], times), hands, table)
    beliefs = [share.belief(hands, table) for share in shares]
    allowed = [visits_allowed(hands.visits, share.move.owners) for share in shares]
    who = assign(beliefs, allowed, [share.sample for share in shares])
    grams = float(change.sum()) if len(told.moves) == 1 else None
    out = []
    for share, belief, free, person in zip(shares, beliefs, allowed, who, strict=True):
        move, sample = share.move, share.sample
        able = chances(belief, free if move.kind == "return" else [True] * len(free))
        theirs = [visit == hands.visits[person] for visit in hands.visits]  # of a group, whoever it was
        sure = told.confidence * (SHARED_SURE if move.owners and move.kind == "take" else float(able[theirs].sum()))
        if sure < LEAST_SURE and not any(t.scale == move.scale for t in hands.told):
            continue
        weighed = grams if move in told.moves else None
        everybody = chances(belief, [True] * len(free))
        out.append(Event(move, sample, person, tuple(everybody.tolist()), sure, weighed))
    return out


def shared(move: Move, when: tuple[int, list[int]], hands: Hands, table: LaneTable) -> list[Share]:
    """A take of several units as the several that were told of, or as those of several people.

    when: the sample of its steepest change, and the samples at which each unit left. Several people: hands and pictures
    say so of units that left one after the other, or two hands were in the lane.
    """
    sample, times = when
    whole = Share(move, sample, hands.told)
    if move.kind != "take" or move.units < 2:
        return [whole]
    said = [t for t in hands.told if (t.kind, t.lane, t.product) == ("take", move.lane, move.product)]
    if len(said) > 1 and sum(t.units for t in said) == move.units:
        apart = len({likeliest(t) for t in said if t.people}) == len(said)
        return [Share(replace(move, units=t.units), t.sample, (t,), apart) for t in said]
    several = one_by_one(move, times, hands, table)
    if several:
        return several
    best: dict[str, float] = {}
    close = hands.closeness(table, move.lane, sample).max(1)
    for visit, score in zip(hands.visits, close.tolist(), strict=True):
        best[visit] = max(score, best.get(visit, -np.inf))
    both = [visit for visit, score in best.items() if score > IN_LANE]
    if move.units == len(both) == 2 and not move.of:
        return [Share(replace(move, units=1, owners=(visit,)), sample, ()) for visit in both]
    return [whole]


def one_by_one(move: Move, times: list[int], hands: Hands, table: LaneTable) -> list[Share]:
    """Units that left one after the other, each with whose hand was there then; none where that was one person's.

    One grasp takes its units at once: steps that are apart speak for several people where several are near.
    """
    grasps = grasps_of(times)
    visits = list(dict.fromkeys(hands.visits))
    if len(grasps) < 2 or len(visits) < 2:
        return []
    score = np.array([nearness(move, grasp[0], visits, hands, table) for grasp in grasps])  # [grasps, visits]
    first = score.argmax(1)
    if len(set(first.tolist())) == 1:  # the grasp that is the least surely that person's may be another one's
        others = score.copy()
        others[:, first[0]] = -np.inf
        row = int((others.max(1) - score[:, first[0]]).argmax())
        first[row] = others[row].argmax()
    chosen = score[np.arange(len(grasps)), first]
    if chosen.min() < NEARBY or chosen.sum() + SEVERAL <= score.sum(0).max():
        return []
    units: dict[str, list[int]] = {}
    for person, grasp in zip(first.tolist(), grasps, strict=True):
        units.setdefault(visits[person], []).extend(grasp)
    return [Share(replace(move, units=len(at), owners=(visit,)), at[0], ()) for visit, at in units.items()]


def grasps_of(times: Sequence[int]) -> list[list[int]]:
    """Samples at which units left, by grasp: those of one follow each other at once."""
    out: list[list[int]] = []
    for sample in sorted(times):
        if out and sample - out[-1][-1] < APART:
            out[-1].append(sample)
        else:
            out.append([sample])
    return out


def nearness(move: Move, sample: int, visits: Sequence[str], hands: Hands, table: LaneTable) -> Float:
    """Log-odds [V], but for a constant, that each visit took from the move's lane then, by hands and pictures."""
    score = ALONE_SHOWN * hands.closeness(table, move.lane, sample).max(1)
    look = hands.looks(move.scale, sample)
    score = score if look is None else score + ALONE_SEEN * look.people
    return np.array([score[[of == visit for of in hands.visits]].max() for visit in visits])


def instant_of(found: Interaction, span: tuple[int, int], row: int) -> int:
    """The sample at which a scale made the largest of its steps between two rests, in the direction of them all."""
    first, last = span
    levels = [float(rest.grams[row]) for rest in found.rests[first : last + 1]]
    sign = -1.0 if levels[-1] < levels[0] else 1.0
    steps = [sign * (b - a) for a, b in itertools.pairwise(levels)]
    return found.instants[first + int(np.argmax(steps))][row]


def after(scene: Scene, part: Part, hands: Hands) -> Scene:
    """Baskets and lanes after a part."""
    baskets = {visit: dict(basket) for visit, basket in scene.baskets.items()}
    learnt = scene.learnt
    for event in part.events:
        move, basket = event.move, baskets.setdefault(hands.visits[event.person], {})
        left = basket.get(move.product, 0) - move.signed
        basket[move.product] = left
        if left <= 0:
            del basket[move.product]
        if scene.own[move.lane] != move.product:
            learnt = learnt.moved(move.lane, move.product, move.signed)
    return replace(scene, baskets=baskets, learnt=learnt)
