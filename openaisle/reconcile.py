"""Scales have the last word once they rest: what moved them is explained anew, with what was written as testimony.

While somebody rummages in a lane its scale swings by kilograms, and the decoder, which decides within a second, now and
then writes a take or a return that never was, misses one, or miscounts. Two seconds later all levels in between are
known. Where they tell it otherwise (weighing/), the ledger gets an entry with its reason; history is never rewritten.
Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from openaisle.actors import Looks
from openaisle.booking import book
from openaisle.messages import NANOSECONDS
from openaisle.owners import owned
from openaisle.predictor import Predictor, floats
from openaisle.receipts.events import Evidence, LedgerEvent
from openaisle.receipts.ledger import fold
from openaisle.second_look import Doubtful, added
from openaisle.state import ReceiptUpdate, Setup, State
from openaisle.tokens.journey import FRAME_HZ
from openaisle.tokens.scales import AHEAD_S, RATE_HZ, TICK_S
from openaisle.tokens.tick import Tick
from openaisle.weighing.identify import Scene
from openaisle.weighing.interactions import Interaction, watch
from openaisle.weighing.learnt import SURE, Learnt
from openaisle.weighing.memory import KEPT_SLOTS, Slot, Weighing
from openaisle.weighing.split import Event, Lost, Part, Way, split
from openaisle.weighing.witness import NEAR, Told

LEAST_CONFIDENCE, MOST_CONFIDENCE = 0.05, 0.97
UNNAMED_CONFIDENCE = 0.1  # of a receipt from which something is missing
LATE = RATE_HZ // 2  # samples after an interaction's last rest whose testimony is still about it
WEIGHING_G = 3.0  # deviation of what a step says of a unit's mass
MIDDLE = round((AHEAD_S + TICK_S / 2) * RATE_HZ)  # samples from the middle of a tick to the end of its data


@dataclass(frozen=True)
class _Rest:
    """What has come to rest at a tick, and where in the ledger's time it lies."""

    tick: Tick
    setup: Setup
    end: int  # number of samples so far

    def time_ns(self, sample: int) -> int:
        """When a sample was taken."""
        return self.tick.time_ns + NANOSECONDS // 2 - (self.end - MIDDLE - sample) * NANOSECONDS // RATE_HZ

    def evidence(self, lane: int, sample: int) -> Evidence:
        """Where to look for what happened in a lane (store index, on a scale)."""
        at, store = self.setup.store.lanes[lane], self.setup.store
        seen = tuple(camera.id for camera in store.cameras if camera.sees(at.front_m))
        middle_ns = self.time_ns(sample)
        scales = (store.spec.scales[at.scale].id,)
        return Evidence(seen, scales, middle_ns - NANOSECONDS, middle_ns + NANOSECONDS, at.id)


def weigh(
    state: State, tick: Tick, known: int, predictor: Predictor, setup: Setup
) -> tuple[State, tuple[ReceiptUpdate, ...]]:
    """What scales that have come to rest say of the ledger's entries, of which the first `known` are not new."""
    if not setup.settles or not setup.scales:
        return state, ()
    memory = state.weighing
    learnt = memory.learnt if memory.learnt.unit_grams else Learnt(tuple(setup.table.unit_grams.tolist()))
    end = memory.watch.end + (tick.grams.shape[1] if len(tick.grams) else RATE_HZ)
    told = (*memory.told, *heard(state, known, end - MIDDLE, setup))
    slots = (*memory.slots, *slots_of(state))[-KEPT_SLOTS:]
    opened = memory.watch.open | {t.scale for t in told}
    seen, over = watch(replace(memory.watch, open=opened), tick.grams, state.grams, setup.goods, heard=setup.writes)
    state = replace(state, weighing=Weighing(seen, slots, told, learnt))
    updates: list[ReceiptUpdate] = []
    for found in over if state.shoppers else []:
        state, changed = explained(state, found, predictor, _Rest(tick, setup, seen.end))
        updates += changed
    return let_go(state, tick, setup), tuple(updates)


def heard(state: State, known: int, sample: int, setup: Setup) -> Iterator[Told]:
    """What was written of lanes with scales in this tick, whose middle is a sample."""
    for entry in state.ledger.events[known:]:
        if entry.kind in ("take", "return") and entry.lane:
            lane, product = setup.store.lane_index[entry.lane], setup.store.product_index[entry.gtin]
            scale = int(setup.table.scale[lane])
            people = dict(state.doubts.get(entry.event_id, {})) or {entry.visit: 1.0}  # not every model tells chances
            if scale >= 0:
                what = entry.kind, product, entry.quantity, people, entry.confidence
                yield Told(entry.event_id, lane, scale, sample, *what)


def slots_of(state: State) -> list[Slot]:
    """Everybody's hands and heads in the tick's slots, but of those who are followed in another's body."""
    out = []
    for rows in state.window[-FRAME_HZ:]:
        spread = np.sqrt(np.trace(floats(rows["hand_variance"]), axis1=-2, axis2=-1) / 3)
        numbers = rows["number"].tolist()
        hands, heads = floats(rows["hands"]), floats(rows["head"])
        everybody = {i: n for i, n in enumerate(numbers) if not rows["ghost"][i]}
        out.append(
            Slot({n: (hands[i], spread[i]) for i, n in everybody.items()}, {n: heads[i] for i, n in everybody.items()})
        )
    return [Slot({})] * (FRAME_HZ - len(out)) + out


def explained(state: State, found: Interaction, predictor: Predictor, rest: _Rest) -> tuple[State, list[ReceiptUpdate]]:
    """An interaction that is over: entries for what was written otherwise, and what it teaches."""
    memory, tick, setup = state.weighing, rest.tick, rest.setup
    about = concerning(memory.told, found)
    since = found.rests[0].begin - RATE_HZ // 2  # what is older moved a scale without a level (mute.py), and stands
    mine = tuple(t for t in about if t.sample >= since)
    people = state.shoppers
    numbers = tuple(s.number for s in people)
    heads = memory.heads(numbers)
    backgrounds = {c: gate.background for c, gate in enumerate(state.gates) if gate.background is not None}
    looks = Looks(state.film, backgrounds, setup.actor_views, setup.store, predictor, heads, memory.first)
    hands = replace(memory.hands(tuple(s.visit for s in people), numbers, mine), looks=looks, heard=setup.writes)
    standing = [(t, state.ledger.standing(t.event_id)) for t in mine]
    parts = split(found, scene_before(state, standing, setup), hands, setup.table)
    events = [event for part in parts for event in part.events]
    updates: list[ReceiptUpdate] = []
    pairs = paired(standing, events, hands.visits, setup)
    names = {j: standing[i][0].event_id for i, j in pairs.items()}
    names |= {j: late_name(event, rest, j) for j, event in enumerate(events) if j not in names}
    known = {name: chances_of(events[j], hands.visits) for j, name in names.items()}
    state = replace(state, doubts={**state.doubts, **known})
    for entry in entries(standing, events, pairs, (hands.visits, rest)):
        state, changed = book(state, tick, [entry], setup)
        updates += changed
    cause = tick.time_ns + NANOSECONDS + 1, f"t{tick.index:06d}-w{found.scales[0]}"  # after the corrections above
    for gtin in sorted({setup.store.products[event.move.product].gtin for event in events}):
        given = owned(gtin, state.ledger, state.doubts, state.finished, cause)
        state, changed = book(state, tick, given, setup)
        updates += changed
    lost = [(part.lost, hands.visits[part.lost.person]) for part in parts if part.lost is not None]
    state, changed = book(state, tick, [remark(what, visit, rest) for what, visit in lost], setup)
    learnt = memory.learnt
    for part in parts:
        learnt = weighed(learnt, part)
    told = tuple(t for t in memory.told if t not in about)
    second = state.second
    for scale in found.scales:
        doubts = [
            Doubtful(names[j], event.move.kind, way_of(event), event.ways)
            for j, event in enumerate(events) if event.move.scale == scale
        ]  # fmt: skip
        second = added(second, scale, doubts, tick.index)
    state = replace(state, weighing=replace(memory, told=told, learnt=learnt), second=second)
    return state, [*updates, *changed]


def concerning(told: Sequence[Told], found: Interaction) -> tuple[Told, ...]:
    """What was told of an interaction; what was told long after its last rest began is about what comes next."""
    last = found.rests[-1]
    until = min(last.end + LATE, last.begin + NEAR)
    return tuple(t for t in told if t.scale in found.scales and t.sample <= until)


def scene_before(state: State, standing: Sequence[tuple[Told, LedgerEvent]], setup: Setup) -> Scene:
    """What may move, as if nothing of what is to be explained had been written."""
    lanes_of = {scale: names for scale, names in setup.goods.places.items() if scale >= 0}
    lanes = {scale: tuple(setup.store.lane_index[lane] for lane in names) for scale, names in lanes_of.items()}
    baskets: dict[str, dict[int, int]] = {}
    for visit in sorted({shopper.visit for shopper in state.shoppers}):
        lines = fold(state.ledger, visit).lines
        baskets[visit] = {setup.store.product_index[line.gtin]: line.quantity for line in lines}
    learnt = replace(state.weighing.learnt, lying={key: units for key, (units, _) in state.lying.items()})
    for told, event in standing:
        product, units = setup.store.product_index[event.gtin], event.delta(event.visit)
        basket = baskets.get(event.visit, {})
        basket[product] = basket.get(product, 0) - units
        if basket[product] <= 0:
            del basket[product]
        if setup.table.product[told.lane] != product:
            learnt = learnt.moved(told.lane, product, units)
    learnt = replace(learnt, lying={key: units for key, units in learnt.lying.items() if units > 0})
    return Scene(lanes, setup.table.product.tolist(), setup.goods.beside, learnt, baskets)


def entries(
    standing: Sequence[tuple[Told, LedgerEvent]],
    events: Sequence[Event],
    pairs: Mapping[int, int],
    around: tuple[Sequence[str], _Rest],
) -> Iterator[LedgerEvent]:
    """Entries that turn what stands into what the scales say; none where they agree."""
    visits, rest = around
    for i, (told, event) in enumerate(standing):
        if i in pairs:
            found = events[pairs[i]]
            if likeness(event, found, visits[found.person], rest.setup) < ALIKE:
                yield correction(told, event, rest, (found, visits[found.person]))
        elif event.delta(event.visit):
            yield correction(told, event, rest)
    for j in sorted(set(range(len(events))) - set(pairs.values())):
        yield late(events[j], visits[events[j].person], rest, j)


PRODUCT, VISIT, UNITS = 4, 2, 1  # what two tellings of one event may share, by weight
ALIKE = PRODUCT + VISIT + UNITS


def likeness(event: LedgerEvent, found: Event, visit: str, setup: Setup) -> int:
    """How much of an entry of the ledger and an event that the scales show is the same."""
    units, product = event.delta(event.visit), setup.store.product_index[event.gtin]
    if units == 0 or (units > 0) != (found.move.kind == "take"):
        return 0
    same_units = abs(units) == found.move.units
    return PRODUCT * (product == found.move.product) + VISIT * (event.visit == visit) + UNITS * same_units


def paired(
    standing: Sequence[tuple[Told, LedgerEvent]], events: Sequence[Event], visits: Sequence[str], setup: Setup
) -> dict[int, int]:
    """Which entry is about which event: the likest first, then the nearest in time."""
    ways = []
    for i, (told, event) in enumerate(standing):
        for j, found in enumerate(events):
            if told.scale == found.move.scale and told.kind == found.move.kind:
                like = likeness(event, found, visits[found.person], setup)
                ways.append((-like, abs(told.sample - found.sample), i, j))
    out: dict[int, int] = {}
    for _, _, i, j in sorted(ways):
        if i not in out and j not in out.values():
            out[i] = j
    return out


def correction(told: Told, event: LedgerEvent, rest: _Rest, found: tuple[Event, str] | None = None) -> LedgerEvent:
    """An entry in place of one that stands: another event, and whose; None = it never was."""
    now_ns = rest.tick.time_ns + NANOSECONDS  # the latest correction counts
    mended = replace(
        event, event_id=f"{told.event_id}~{rest.tick.index}", kind="correction", supersedes=told.event_id, quantity=0,
        time_ns=now_ns, reason="the settled scales say otherwise", to_visit="",
    )  # fmt: skip
    if found is None:
        return replace(mended, confidence=0.5)
    (what, visit), store = found, rest.setup.store
    return replace(
        mended, visit=visit, gtin=store.products[what.move.product].gtin, quantity=-what.move.signed,
        lane=store.lanes[what.move.lane].id, confidence=sure(what),
    )  # fmt: skip


def late(found: Event, visit: str, rest: _Rest, number: int) -> LedgerEvent:
    """The entry for an event that nobody wrote."""
    move, store = found.move, rest.setup.store
    return LedgerEvent(
        late_name(found, rest, number), rest.time_ns(found.sample), "take" if move.kind == "take" else "return", visit,
        store.products[move.product].gtin, move.units, sure(found), store.lanes[move.lane].id,
        evidence=rest.evidence(move.lane, found.sample), reason="the settled scales show it",
    )  # fmt: skip


def late_name(found: Event, rest: _Rest, number: int) -> str:
    """The name of such an entry."""
    return f"t{rest.tick.index:06d}-w{found.move.scale}.{number}"


def way_of(found: Event) -> Way:
    """What an event was taken for."""
    return Way(found.move.lane, found.move.product, found.move.units, 0.0)


def remark(lost: Lost, visit: str, rest: _Rest) -> LedgerEvent:
    """No unit, but doubt: the receipt of whose hand was nearest asks for a person."""
    store = rest.setup.store
    gtin = store.products[rest.setup.table.product[lost.lane]].gtin
    lane = store.lanes[lost.lane].id
    return LedgerEvent(
        f"t{rest.tick.index:06d}-u{lost.lane}", rest.time_ns(lost.sample), "correction", visit, gtin, 0,
        UNNAMED_CONFIDENCE, lane, evidence=rest.evidence(lost.lane, lost.sample),
        reason=f"{lost.grams:.0f} g left {lane}",
    )  # fmt: skip


def sure(found: Event) -> float:
    """An event's confidence, as a receipt tells it."""
    return float(np.clip(found.confidence, LEAST_CONFIDENCE, MOST_CONFIDENCE))


def chances_of(found: Event, visits: Sequence[str]) -> dict[str, float]:
    """Each visit's chance to have been the one."""
    out: dict[str, float] = {}
    for visit, chance in zip(visits, found.people, strict=True):
        out[visit] = out.get(visit, 0.0) + chance
    return out


def weighed(learnt: Learnt, part: Part) -> Learnt:
    """What a sure step teaches of a product's mass."""
    for event in part.events:
        if event.grams is not None and part.explanation.confidence > SURE:
            learnt = learnt.weighed(event.move.product, abs(event.grams), event.move.units, WEIGHING_G)
    return learnt


def let_go(state: State, tick: Tick, setup: Setup) -> State:
    """What was written for those who leave now stays as it is: no later explanation may give it to somebody else."""
    end_ns = tick.time_ns + NANOSECONDS
    inside = {s.visit for s in state.shoppers if not s.left_ns or s.left_ns >= end_ns}
    memory = state.weighing
    gone = [t for t in memory.told if state.ledger.standing(t.event_id).visit not in inside]
    if not gone:
        return state
    level = dict(memory.watch.level)
    for told in gone:
        if told.scale in level:
            sample, grams = level[told.scale]
            units: Mapping[str, int] = {"take": -told.units, "return": told.units}
            level[told.scale] = sample, grams + units[told.kind] * memory.learnt.unit_grams[told.product]
    kept = tuple(t for t in memory.told if t not in gone)
    return replace(state, weighing=replace(memory, told=kept, watch=replace(memory.watch, level=level)))
