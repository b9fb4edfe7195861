"""Events with company for training the actor look: simulated takes and returns, seen by all cameras over two seconds.

One shard is one simulation. Kept are mostly events with somebody else near the lane, as only those are doubtful, and
some instants in which people stand before a lane and nobody moves anything there.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import ceil
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from openaisle.sim.engine import Simulation
from openaisle.sim.render import Rendered, Renderer
from openaisle.sim.scenario import load_scenario
from openaisle.sim.stores import open_store
from openaisle.sim.world import ITEM_ID, PERSON_ID, PERSON_STRIDE, Items, Part, Person, Snapshot
from openaisle.store.store import Lane, Store
from openaisle.tokens.actor import (
    ACTOR_CELLS,
    ACTOR_PX,
    ACTOR_SLOTS,
    MIDDLE_FRAME,
    ActorView,
    actor_views,
    fronts_seen,
    grasps,
)
from openaisle.tokens.glance import cut_windows
from openaisle.training.frames import Compression, ShardSpec, without_people
from openaisle.training.glances import Arrays

SLOT_STEPS = 4  # of the simulation in one frame of the cameras
SLOTS_HZ = 5
COMPANY_M = 1.3  # from the lane's front to the body of somebody who may have been it
HAND_NEAR_M = 0.5  # company with a hand that near is kept always
KEPT_FAR, KEPT_SHARED, KEPT_ALONE, KEPT_STAFF = 0.4, 0.3, 0.06, 0.15  # shared: other lanes lie on the same scale
IDLE_EVERY_S = 8.0  # mean time between instants in which nothing happens
IDLE_QUIET_S = 1.5
MOST_PEOPLE = 8
MOST_LANES = 4  # of one scale
MOST_EVENTS = 24  # of a simulation: other shops teach more
MISSED_SD_SLOTS = 0.4  # how far the instant that scales tell is off
UNION_S = 0.25  # two who move something in one scale so close together are both right


@dataclass(frozen=True)
class Happening:
    """Somebody moved something on a scale (or in a lane without one), or nobody did."""

    slot: int  # the frame that is nearest in time
    lane: int
    actors: tuple[str, ...]  # shoppers; () = nobody
    taker: str = ""  # of the actors, the one whose hand is meant
    hand: int = -1  # that did it: 0 left, 1 right


def make_actors(spec: ShardSpec, path: Path) -> int:
    """Simulate, render and write one shard of events (npz, atomically); returns their number."""
    store = open_store(spec.store, spec.seed)
    simulation = Simulation(store, load_scenario(spec.scenario), spec.seed)
    rng = np.random.default_rng((spec.seed, 13))
    shop = _Shop(store, simulation, rng)
    parts: list[Arrays] = []
    for happening, snapshots in happenings(simulation, rng):
        part = shop.event(happening, snapshots)
        if part is not None:
            part["event"] = np.full(len(part["features"]), len(parts), np.int32)
            parts.append(part)
        if len(parts) >= MOST_EVENTS:
            break
    if not parts:
        return 0
    arrays: Arrays = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    temporary = path.with_suffix(".tmp.npz")
    np.savez(temporary, **arrays)  # type: ignore[arg-type]  # numpy's stub has no keyword arrays of mixed types
    temporary.rename(path)
    return len(parts)


def happenings(simulation: Simulation, rng: np.random.Generator) -> Iterator[tuple[Happening, list[Snapshot]]]:
    """What is worth learning, each with the snapshots of its frames (ACTOR_SLOTS)."""
    store = simulation.store
    calm = ceil(IDLE_QUIET_S * SLOTS_HZ)  # slots after an idle instant in which nothing may happen either
    ring: deque[Snapshot] = deque(maxlen=max(calm, ACTOR_SLOTS[-1]) - ACTOR_SLOTS[0] + 1)
    events: list[tuple[float, int, str]] = []  # instant in slots, lane, shopper
    waiting: list[Happening] = []
    phase, slot, quiet = int(rng.integers(SLOT_STEPS)), 0, IDLE_QUIET_S * 5
    next_idle = rng.exponential(IDLE_EVERY_S) * 5
    for step, snapshot in enumerate(simulation.steps()):
        for told in snapshot.events:
            if told.lane:
                at = (step - phase) / SLOT_STEPS
                events.append((at, store.lane_index[told.lane], told.shopper))
                seen = max(round(at + rng.normal(0, MISSED_SD_SLOTS)), slot - 2)
                waiting.append(Happening(seen, events[-1][1], (told.shopper,), hand=int(told.hand == "right")))
        if (step - phase) % SLOT_STEPS or step < phase:
            continue
        slot = (step - phase) // SLOT_STEPS
        ring.append(frozen(snapshot))
        if slot > next_idle:
            next_idle = slot + rng.exponential(IDLE_EVERY_S) * 5
            lane = idle_lane(store, snapshot, rng)
            if lane >= 0:
                waiting.append(Happening(slot - 2, lane, ()))
        last = ACTOR_SLOTS[-1]
        for one in [w for w in waiting if w.slot + (last if w.actors else max(last, calm)) <= slot]:
            waiting.remove(one)
            first = slot - len(ring) + 1
            frames = [one.slot + s - first for s in ACTOR_SLOTS]
            if frames[0] < 0:
                continue
            beside = {e for e in events if same_scale(store, e[1], one.lane)}
            if not one.actors:
                if any(abs(at - one.slot) < quiet for at, _, _ in beside):
                    continue
            else:
                here = min(abs(at - one.slot) for at, _, who in beside if who == one.actors[0])
                near = {who for at, _, who in beside if abs(abs(at - one.slot) - here) < UNION_S * 5}
                one = replace(one, actors=tuple(sorted(near | set(one.actors))), taker=one.actors[0])
            middle = ring[frames[MIDDLE_FRAME]]
            if rng.random() < worth(store, middle, one):
                yield one, [ring[f] for f in frames]


def same_scale(store: Store, one: int, other: int) -> bool:
    """Whether what is taken from two lanes moves one scale."""
    return one == other or store.lanes[one].scale == store.lanes[other].scale >= 0


def frozen(snapshot: Snapshot) -> Snapshot:
    """A snapshot that outlasts the next step."""
    items = snapshot.items
    kept = Items(
        items.product, items.mass_grams, items.world_from_item.copy(), items.visible.copy(), items.lane.copy(),
        items.moved.copy(),
    )  # fmt: skip
    return replace(snapshot, items=kept)


def idle_lane(store: Store, snapshot: Snapshot, rng: np.random.Generator) -> int:
    """A lane before which somebody stands; -1 where nobody does."""
    if not snapshot.people:
        return -1
    person = snapshot.people[int(rng.integers(len(snapshot.people)))]
    hand = person.hands_m[int(rng.integers(2))]
    away = [float(np.linalg.norm(lane.front_m - hand)) for lane in store.lanes]
    near = np.flatnonzero(np.array(away) < 0.8)
    return int(rng.choice(near)) if len(near) else -1


def near_lane(person: Person, lane: Lane) -> tuple[float, float]:
    """Metres from a lane's front to a person's body over the floor, and to the nearer hand."""
    body = float(np.linalg.norm(person.floor_m[:2] - lane.front_m[:2]))
    return body, float(np.linalg.norm(person.hands_m - lane.front_m, axis=1).min())


def worth(store: Store, snapshot: Snapshot, what: Happening) -> float:
    """Chance that an event is kept."""
    lane = store.lanes[what.lane]
    shared = sum(same_scale(store, other.index, what.lane) for other in store.lanes) > 1
    others = [near_lane(p, lane) for p in snapshot.people if p.shopper not in what.actors]
    if any(p.staff and p.shopper in what.actors for p in snapshot.people):
        return KEPT_STAFF
    if not what.actors:
        return 1.0 if len(others) > 1 else 0.3
    if any(hand < HAND_NEAR_M for _, hand in others):
        return 1.0
    least = KEPT_SHARED if shared else KEPT_ALONE
    return KEPT_FAR if any(body < COMPANY_M for body, _ in others) else least


class _Shop:
    """A simulation with its cameras."""

    def __init__(self, store: Store, simulation: Simulation, rng: np.random.Generator) -> None:
        self.store = store
        self.renderer = Renderer(store, simulation.items.product, seed=simulation.seed)
        self.compression = Compression(len(store.cameras), rng)
        self.sees = fronts_seen(store)
        self.views: dict[int, tuple[ActorView, ...]] = {}

    def event(self, what: Happening, snapshots: list[Snapshot]) -> Arrays | None:
        """The windows of an event with its truth; None where no camera sees it."""
        if what.lane not in self.views:
            lanes = [lane for lane in self.store.lanes if same_scale(self.store, lane.index, what.lane)]
            self.views[what.lane] = actor_views(lanes, self.store.cameras, self.sees)
        views = self.views[what.lane]
        middle = snapshots[MIDDLE_FRAME]
        people = sorted(middle.people, key=lambda p: near_lane(p, self.store.lanes[what.lane])[0])[:MOST_PEOPLE]
        if not views or not people or (what.actors and not any(p.shopper in what.actors for p in people)):
            return None
        heads = np.full((len(views), MOST_PEOPLE, 2), 9.0, np.float32)
        acts = np.zeros((len(views), MOST_PEOPLE), bool)
        lanes = [lane for lane in self.store.lanes if same_scale(self.store, lane.index, what.lane)][:MOST_LANES]
        ours = next((i for i, lane in enumerate(lanes) if lane.index == what.lane), -1) if what.actors else -1
        hand, places = (
            np.full((len(views), 2), 9.0, np.float32),
            np.full((len(views), MOST_LANES, 3, 2), 9.0, np.float32),
        )
        present = np.zeros((len(views), MOST_PEOPLE), bool)
        frames, masks = [], []
        for v, view in enumerate(views):
            windows, drawn = self.windows(view, snapshots)
            frames.append(windows)
            masks.append(masked(view, drawn, people, what.actors))
            camera = self.store.cameras[view.camera]
            heads[v, : len(people)] = view.place(camera, np.array([p.head_m for p in people]))
            present[v, : len(people)] = True
            acts[v, : len(people)] = [p.shopper in what.actors for p in people]
            places[v, : len(lanes)] = [view.place(camera, grasps(lane)) for lane in lanes]
            for person in people:
                if person.shopper == what.taker:
                    hand[v] = view.place(camera, person.hands_m[what.hand])
        return {
            "frames": np.stack(frames), "area": np.stack([view.area for view in views]),
            "features": np.stack([view.features for view in views]), "mask": np.stack(masks),
            "heads": heads, "present": present, "acts": acts, "hand": hand, "places": places,
            "lane": np.full(len(views), ours, np.int32),
        }  # fmt: skip

    def windows(self, view: ActorView, snapshots: list[Snapshot]) -> tuple[NDArray[np.uint8], Rendered]:
        """Windows [96, 96, 3 * (frames + 1)], the background's first, and the truth of the middle frame."""
        empty = self.renderer.render(view.camera, without_people(snapshots[MIDDLE_FRAME])).rgb
        out = [view.cut(self.compression(view.camera, empty))]
        truth = None
        for number, snapshot in enumerate(snapshots):
            drawn = self.renderer.render(view.camera, snapshot)
            out.append(view.cut(self.compression(view.camera, drawn.rgb)))
            if number == MIDDLE_FRAME:
                truth = Rendered(drawn.rgb, drawn.ids.copy(), drawn.depth_m)
        assert truth is not None
        return np.concatenate(out, axis=-1), truth


def masked(view: ActorView, drawn: Rendered, people: list[Person], actors: tuple[str, ...]) -> NDArray[np.uint8]:
    """Share of each cell [48, 48, 3] that shows an actor, an actor's hand or what it holds, somebody else."""
    ids = drawn.ids
    number = np.where(ids >= PERSON_ID, (ids - PERSON_ID) // PERSON_STRIDE, -1)
    part = np.where(ids >= PERSON_ID, (ids - PERSON_ID) % PERSON_STRIDE, -1)
    who = [p.number for p in people if p.shopper in actors]
    held = [ITEM_ID + i for p in people if p.shopper in actors for hand in p.held for i in hand]
    mine = np.isin(number, who)
    hands = (mine & np.isin(part, (Part.LEFT_HAND, Part.RIGHT_HAND))) | np.isin(ids, held)
    stack = np.stack([mine, hands, (number >= 0) & ~mine], axis=-1).astype(np.uint8) * 255
    window = cut_windows(stack, view.centre_px[None], np.array([view.side_px], np.float32), ACTOR_PX)[0]
    shrunk: NDArray[np.uint8] = cv2.resize(window, (ACTOR_CELLS, ACTOR_CELLS), interpolation=cv2.INTER_AREA)
    return shrunk
