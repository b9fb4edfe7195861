"""step(): the one place where tokens, predictor and receipts meet; pure, and the same for live, replay and tests.

In: a tick of synchronised inputs and a state. Out: the next state and the receipt updates. No clock, socket or
disk inside; the predictor is an argument. `run` folds step over a stream of messages.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from openaisle.accounts import NAMELESS
from openaisle.actors import filmed, views_of
from openaisle.blind import note_blindness
from openaisle.booking import book, charge, charged, updates_since
from openaisle.correcting import found_late, look_twice, surroundings
from openaisle.errors import ModelError, Problem
from openaisle.hands import glance
from openaisle.identity import Identities, confirm, known_looks
from openaisle.messages import NANOSECONDS, GateEvent, VideoFrame
from openaisle.mute import without_mute
from openaisle.predictor import Arrays, Predictor, VisualTokens, floats, visual_tokens
from openaisle.receipts.document import ReceiptRecord, ReceiptsDocument, Update, receipt_record
from openaisle.receipts.ledger import renamed
from openaisle.receipts.pricing import Receipt
from openaisle.reconcile import weigh
from openaisle.settle import Stills, settle
from openaisle.shelves import keep_still
from openaisle.state import ReceiptUpdate, Setup, Shopper, State, StepResult, Track
from openaisle.store.store import Store
from openaisle.tokens.catalogue import picture_stack
from openaisle.tokens.journey import (
    FRAME_HZ,
    FRAMES,
    lane_table,
    without_scales,
)
from openaisle.tokens.patches import GateState, Patches, absorb, gate
from openaisle.tokens.rays import ray_table
from openaisle.tokens.scales import HISTORY, RATE_HZ
from openaisle.tokens.shelf import shelf_views
from openaisle.tokens.tick import Sensed, Tick, Ticker
from openaisle.tracking import BIRTH_SLOTS, claim_exits, enter, find_doubled, find_unclaimed
from openaisle.volume import Picture
from openaisle.weighing.goods import goods_of
from openaisle.writing import write

ADOPT_NS = 6 * NANOSECONDS  # a guessed visit this young is the one a gate names
Float32 = NDArray[np.float32]


def set_up(store: Store, predictor: Predictor, *, video: bool = True, scales: bool = True) -> tuple[Setup, State]:
    """Constants and the empty state of a run."""
    table = lane_table(store)
    rays = tuple(ray_table(camera) for camera in store.cameras)
    names = {camera.id: i for i, camera in enumerate(store.cameras)}
    pictures = picture_stack(store)
    views = {lane.id: shelf_views(lane, store.cameras) for lane in store.lanes}
    unweighed = frozenset() if scales else frozenset(range(len(store.spec.scales)))
    setup = Setup(
        store, table if scales else without_scales(table), rays, names, predictor.embed_catalogue(pictures),
        predictor.embed_shelves(pictures), views, goods_of(store, unweighed), views_of(store), video, scales,
        predictor.settles, predictor.writes,
    )  # fmt: skip
    rows = np.full((len(store.spec.scales) if scales else 0, HISTORY), np.nan, dtype=np.float32)
    nobody = predictor.place(np.zeros((0, 2), dtype=np.float32), 0.4)
    return setup, State(tuple(GateState() for _ in rays), nobody, grams=rows)


def refitted(setup: Setup, predictor: Predictor) -> Setup:
    """The same store in another model's vectors."""
    pictures = picture_stack(setup.store)
    return replace(
        setup, embeddings=predictor.embed_catalogue(pictures), shelf_vectors=predictor.embed_shelves(pictures),
        settles=predictor.settles, writes=predictor.writes,
    )  # fmt: skip


def handed_over(state: State, setup: Setup, fitted: Setup, predictor: Predictor) -> State:
    """The state for another model to go on from, `fitted` being its setup; raises ModelError where widths differ.

    Who is inside, where they and their hands are, baskets and scales stay. What is a vector of the old network (looks,
    products shown) means nothing to the new one: it begins anew, lest two shoppers seem to have changed places.
    """
    nobody = predictor.place(np.zeros((0, 2), dtype=np.float32), 0.4)
    pairs = {name: (rows.shape[1:], nobody[name].shape[1:]) for name, rows in state.memory.items()}
    pairs["catalogue"] = setup.embeddings.shape[1:], fitted.embeddings.shape[1:]
    pairs["shelves"] = setup.shelf_vectors.shape[1:], fitted.shelf_vectors.shape[1:]
    problems = [
        Problem(predictor.name, name, f"vectors of {list(new)} where the run has {list(old)}", "end the run first")
        for name, (old, new) in pairs.items() if old != new
    ]  # fmt: skip
    if problems:
        raise ModelError(problems)
    window = tuple(_without_looks(rows) for rows in state.window)
    return replace(state, memory=_without_looks(state.memory), window=window, identities=Identities())


def _without_looks(rows: Arrays) -> Arrays:
    return {**rows, **{name: np.zeros_like(rows[name]) for name in ("appearance", "product")}}


def step(state: State, tick: Tick, predictor: Predictor, setup: Setup) -> tuple[State, tuple[ReceiptUpdate, ...]]:
    """One tick: see, follow, weigh, write, charge."""
    state = replace(state, grams=roll(state.grams, tick) if setup.scales else state.grams)
    known = len(state.ledger.events)
    state = film(note_blindness(follow(state, tick, predictor, setup), tick, setup), tick, setup)
    named = updates_since(state, known, tick, setup)
    state, updates = decide(state, tick, predictor, setup)
    return finish(state, tick), (*named, *updates)


def decide(state: State, tick: Tick, predictor: Predictor, setup: Setup) -> tuple[State, tuple[ReceiptUpdate, ...]]:
    """What happened, of all that is known of people and scales: written, charged, and corrected where scales settle."""
    setup = without_mute(setup, state.grams)
    known = len(state.ledger.events)
    events, state = write(state, tick, predictor, setup)
    state, updates = charge(state, tick, events, setup)
    state, weighed = weigh(state, tick, known, predictor, setup)
    state, seen = correct(state, tick, known, predictor, setup)
    state, mended = look_twice(state, tick, predictor, setup)
    state, again = book(state, tick, mended, setup)
    return state, (*updates, *weighed, *seen, *again)


def film(state: State, tick: Tick, setup: Setup) -> State:
    """The tick's pictures kept for looks at who it was, while there is anybody."""
    if not (setup.video and setup.scales and setup.settles):
        return state
    known = setup.camera_index
    shown: list[dict[int, NDArray[np.uint8]]] = [
        {known[f.camera]: f.rgb for f in frames if f.camera in known and state.shoppers} for frames in tick.frames
    ]
    return replace(state, film=filmed(state.film, shown))


def roll(grams: Float32, tick: Tick) -> Float32:
    """Scale history [scales, HISTORY] with the tick's second appended."""
    return np.concatenate([grams[:, RATE_HZ:], tick.grams], axis=1)


def follow(state: State, tick: Tick, predictor: Predictor, setup: Setup) -> State:
    """Video: gate, look, and carry the memory over the tick's slots; gates open and close visits."""
    gates, slots, patches = see(state.gates, tick, setup)
    votes = predictor.look(slots)
    gates, stills = renew(gates, state.stills, last_seen(patches, votes), tick, setup)
    state = replace(state, gates=gates, stills=stills)
    arrivals = [(tick.slot(event.time_ns), event) for event in tick.gates if event.kind == "entry"]
    for slot in range(FRAME_HZ):
        coming = [event for at, event in arrivals if at == slot]
        state = arrive(state, coming, predictor, setup)
        if len(state.shoppers) and len(slots[slot].camera):
            memory, attention = predictor.remember(votes[slot], state.memory, 1.0 / FRAME_HZ)
            numbers = [shopper.number for shopper in state.shoppers]
            identities, memory = confirm(state.identities, numbers, memory, votes[slot], attention)
            memory = glance(memory, pictures(state.gates, tick.frames[slot], setup), predictor)
            state = replace(state, memory=memory, identities=identities)
        else:
            attention = np.ones((len(slots[slot].camera), 1), dtype=np.float32)
        state = find_lost(state, votes[slot], attention, tick, predictor, setup)
        numbers = [shopper.number for shopper in state.shoppers]
        ghost = np.array([number in state.identities.ghosts for number in numbers], dtype=np.bool_)
        rows = {**state.memory, "number": np.array(numbers, dtype=np.int64), "ghost": ghost}
        state = replace(state, window=(*state.window, rows)[-FRAMES:])
    return replace(state, shoppers=leave(state, tick, setup))


def pictures(gates: tuple[GateState, ...], frames: tuple[VideoFrame, ...], setup: Setup) -> list[Picture]:
    """A slot's frames beside their backgrounds, of cameras whose background is known."""
    out = []
    for frame in frames:
        camera = setup.camera_index.get(frame.camera)
        background = gates[camera].background if camera is not None else None
        if camera is not None and background is not None:
            out.append(Picture(setup.store.cameras[camera], frame.rgb, background))
    return out


def leave(state: State, tick: Tick, setup: Setup) -> tuple[Shopper, ...]:
    """Shoppers with the time at which they left, where a gate told so in this tick."""
    passages: list[tuple[GateEvent, Mapping[int, Float32]]] = []
    for event in tick.gates:
        if event.kind == "exit":
            slot = state.window[tick.slot(event.time_ns) - FRAME_HZ :][0]
            passages.append((event, dict(zip(slot["number"].tolist(), floats(slot["floor"]), strict=True))))
    inside = {shopper.number: shopper.entered_ns for shopper in state.shoppers if not shopper.left_ns}
    left = claim_exits(setup.store, passages, inside)
    return tuple(replace(s, left_ns=left.get(s.number, s.left_ns)) for s in state.shoppers)


def see(
    gates: tuple[GateState, ...], tick: Tick, setup: Setup
) -> tuple[tuple[GateState, ...], list[VisualTokens], list[list[Patches]]]:
    """Frames through the changed-patch gates; tokens by slot."""
    states = list(gates)
    patches: list[list[Patches]] = []
    for frames in tick.frames:
        found = []
        for frame in frames if setup.video else ():
            camera = setup.camera_index.get(frame.camera)
            if camera is not None:
                states[camera], seen = gate(states[camera], camera, frame.time_ns, frame.rgb)
                found.append(seen)
        patches.append(found)
    return tuple(states), [visual_tokens(found, setup.rays) for found in patches], patches


def last_seen(patches: list[list[Patches]], votes: list[Arrays]) -> dict[int, tuple[Patches, Float32]]:
    """Each camera's last frame of a tick: its changed patches, and their chances to show a person."""
    out: dict[int, tuple[Patches, Float32]] = {}
    for found, vote in zip(patches, votes, strict=True):
        first = 0
        for p in found:
            out[p.camera] = (p, vote["person"][first : first + len(p.cells)].astype(np.float32))
            first += len(p.cells)
    return out


def renew(
    gates: tuple[GateState, ...], stills: Stills, seen: Mapping[int, tuple[Patches, Float32]], tick: Tick, setup: Setup
) -> tuple[tuple[GateState, ...], Stills]:
    """Backgrounds renewed where the last frames show stillness and nobody, and shelves where they show them."""
    backgrounds, shelves = list(gates), list(stills or (None,) * len(gates))
    rgb = {setup.camera_index.get(frame.camera): frame.rgb for frames in tick.frames for frame in frames}
    for camera, told in seen.items():
        backgrounds[camera] = absorb(gates[camera], *told)
        if gates[camera].background is not None:
            shelves[camera] = keep_still(shelves[camera], gates[camera], rgb[camera], told, tick.index)
    return tuple(backgrounds), tuple(shelves)


def arrive(state: State, coming: list[GateEvent], predictor: Predictor, setup: Setup) -> State:
    """New memory rows for people who just came through a gate."""
    for event in coming:
        guessed = [i for i, s in enumerate(state.shoppers) if s.guessed and event.time_ns - s.entered_ns < ADOPT_NS]
        if guessed:  # somebody was seen at the door before the gate spoke; what was taken since counts for the name
            old = state.shoppers[guessed[0]]
            shoppers = tuple(replace(s, visit=event.visit, guessed=False) if s is old else s for s in state.shoppers)
            blinded = {event.visit if visit == old.visit else visit: what for visit, what in state.blinded.items()}
            ledger = renamed(state.ledger, old.visit, event.visit)
            state = replace(state, shoppers=shoppers, ledger=ledger, blinded=blinded)
            continue
        state = add_shopper(state, enter(setup.store, event.gate), event.visit, event.time_ns, predictor)
    return state


def add_shopper(state: State, floor_m: Float32, visit: str, time_ns: int, predictor: Predictor) -> State:
    """The state with one more shopper."""
    fresh = predictor.place(floor_m[None].astype(np.float32), 0.4)
    memory = {k: np.concatenate([state.memory[k], fresh[k]]) for k in fresh}
    shopper = Shopper(state.entered, visit or f"visit-{state.entered + 1}", time_ns, guessed=not visit)
    return replace(state, memory=memory, shoppers=(*state.shoppers, shopper), entered=state.entered + 1)


def find_lost(state: State, votes: Arrays, attention: Float32, tick: Tick, predictor: Predictor, setup: Setup) -> State:
    """People whom no query claims: a lost query moves there, or (in a store without gate messages) a visit begins."""
    looks = known_looks(state.identities, [shopper.number for shopper in state.shoppers], state.memory)
    births, found = find_unclaimed(state.births, votes, attention, state.memory, looks)
    if found is None:
        astray = state.identities.ghosts
        ghosts = [row for row, shopper in enumerate(state.shoppers) if shopper.number in astray]
        births, found = find_doubled(births, votes, attention, ghosts, looks)
    if not births.gates_speak and any(event.kind == "entry" for event in tick.gates):
        births = replace(births, gates_speak=True)
    state = replace(state, births=births)
    if found is None:
        return state
    if found.query >= 0:
        memory = dict(state.memory)
        fresh = predictor.place(found.floor_m[None], 0.3)
        for name in ("floor", "floor_variance", "velocity", "hands", "hand_variance", "head"):
            memory[name] = memory[name].copy()
            memory[name][found.query] = fresh[name][0]
        memory["appearance"] = looks
        return replace(state, memory=memory)
    if not births.gates_speak and found.slots >= BIRTH_SLOTS:
        return add_shopper(state, found.floor_m, "", tick.time_ns, predictor)
    return state


def correct(
    state: State, tick: Tick, known: int, predictor: Predictor, setup: Setup
) -> tuple[State, tuple[ReceiptUpdate, ...]]:
    """What shelves say of the ledger's entries in lanes without scales, of which the first `known` are not new."""
    if not setup.settles:
        return state, ()
    around = surroundings(state, tick, predictor, setup)
    settled, entries = settle(state.settled, state.ledger.events[known:], around, setup.goods)
    state = replace(state, settled=settled)
    told = [
        e if e.event_id != NAMELESS else found_late(e, n, tick, setup)
        for n, e in enumerate(entries) if not e.supersedes or state.ledger.counts(state.ledger.event(e.supersedes))
    ]  # fmt: skip
    return book(state, tick, told, setup)


def finish(state: State, tick: Tick) -> State:
    """Visits whose last member left before the tick's end become final; their queries are dropped."""
    end = tick.time_ns + NANOSECONDS
    gone = [bool(s.left_ns) and s.left_ns < end for s in state.shoppers]
    if not any(gone):
        return state
    keep = np.array([not g for g in gone])
    memory = {k: v[keep] for k, v in state.memory.items()}
    shoppers = tuple(s for s, k in zip(state.shoppers, keep, strict=True) if k)
    inside = {s.visit for s in shoppers}
    doubts = {name: who for name, who in state.doubts.items() if who.keys() & inside}
    over = {
        s.visit: tick.sensed_ns for s, k in zip(state.shoppers, keep, strict=True) if not k and s.visit not in inside
    }
    return replace(state, memory=memory, shoppers=shoppers, doubts=doubts, finished={**state.finished, **over})


def run(
    store: Store, messages: Iterable[Sensed], predictor: Predictor, *, video: bool = True, scales: bool = True
) -> Iterator[StepResult]:
    """Fold `step` over a stream of messages: one result per tick."""
    setup, state = set_up(store, predictor, video=video, scales=scales)
    receipts: dict[str, Receipt] = {}
    blinded: Mapping[str, frozenset[str]] = {}
    for tick in Ticker(store).ticks(messages):
        began = time.perf_counter()
        state, updates = step(state, tick, predictor, setup)
        compute_s = time.perf_counter() - began
        for shopper in state.shoppers:
            if shopper.visit not in receipts:
                receipts[shopper.visit] = charged(state, shopper.visit, tick.time_ns, store)
        receipts |= {update.visit: update.receipt for update in updates}
        for visit in [visit for visit in receipts if state.blinded.get(visit) != blinded.get(visit)]:
            receipts[visit] = charged(state, visit, tick.time_ns, store)
        blinded = state.blinded
        visits = {shopper.visit for shopper in state.shoppers} | state.finished.keys()
        receipts = {visit: receipt for visit, receipt in receipts.items() if visit in visits}  # less what was renamed
        m = state.memory
        tracks = tuple(
            Track(s.number, s.visit, m["floor"][i], m["head"][i], m["hands"][i]) for i, s in enumerate(state.shoppers)
        )
        timed = tuple(replace(u, update=u.update.model_copy(update={"compute_s": compute_s})) for u in updates)
        yield StepResult(tick.sensed_ns, tick, timed, tracks, dict(receipts), state.finished, compute_s)


def receipts_document(results: Iterable[StepResult], recording: str, model: str) -> ReceiptsDocument:
    """The document of a whole run: final receipts with the updates that led to them."""
    updates: dict[str, list[Update]] = {}
    last: StepResult | None = None
    final_s: dict[str, float] = {}
    for result in results:
        for change in result.updates:
            updates.setdefault(change.visit, []).append(change.update)
        for visit in result.finished:
            final_s.setdefault(visit, result.compute_s)
        last = result
    records: list[ReceiptRecord] = []
    for visit, receipt in sorted((last.receipts if last else {}).items()):
        final_ns = last.finished.get(visit) if last else None
        records.append(receipt_record(receipt, updates.get(visit, []), final_ns, final_s.get(visit, 0.0)))
    return ReceiptsDocument(recording=recording, model=model, receipts=records)
