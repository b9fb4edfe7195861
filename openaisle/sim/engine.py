"""The simulation: people, stock and scales of a store, 20 steps a second, with all truth.

In: a store, a scenario and a seed. Out: snapshots. The same three give the same snapshots, bit for bit.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from openaisle.messages import GateEvent, ShopperTruth, TruthLane, TruthReceipt
from openaisle.sim import walking
from openaisle.sim.behaviour import shop
from openaisle.sim.body import Carrier, draw_build
from openaisle.sim.choices import Mind
from openaisle.sim.faults import FaultPlan, draw_faults
from openaisle.sim.scales import Scales
from openaisle.sim.scenario import Scenario
from openaisle.sim.shopper import STEP_NS, STEP_S, Shopper, truth_of
from openaisle.sim.staff import Job, draw_jobs, restock
from openaisle.sim.state import World
from openaisle.sim.stock import Stock
from openaisle.sim.walking import Doorway
from openaisle.sim.world import Items, Snapshot
from openaisle.store.store import Store

Float = NDArray[np.float64]
START_NS = 1_767_600_000_000_000_000  # 2026-01-05 08:00 UTC, a Monday
LONGEST_S = 1800.0  # over its duration; a simulation that runs longer has a deadlock, which is our mistake
ACCELERATION_M_S2 = 2.5
CART_M = 0.18  # radius of a trolley


@dataclass(frozen=True, slots=True)
class Arrival:
    """Somebody who will come in: when, for which visit, with what body."""

    time_ns: int
    visit: str
    group: str
    child: bool
    jobs: tuple[Job, ...] = ()  # staff: what they bring

    @property
    def staff(self) -> bool:
        """Staff have no visit."""
        return not self.visit


class Simulation:
    """One store, one scenario, one seed: iterate over `steps` once."""

    def __init__(self, store: Store, scenario: Scenario, seed: int, start_ns: int = START_NS) -> None:
        self.store, self.scenario, self.seed, self.start_ns = store, scenario, seed, start_ns
        setup, stock_seed, scale_seed = np.random.SeedSequence([seed, *scenario.name.encode()]).spawn(3)
        self._rng = np.random.Generator(np.random.PCG64(setup))
        stock = Stock(store, np.random.Generator(np.random.PCG64(stock_seed)), scenario.fill)
        span = (start_ns, start_ns + int(scenario.duration_s * 1e9))
        self.faults: FaultPlan = draw_faults(store, scenario.faults, span, seed)
        self._scales = Scales(store, np.random.Generator(np.random.PCG64(scale_seed)), STEP_S, self.faults)
        self._world = World(store, scenario, stock, start_ns)
        self._misplace()
        self._mind = Mind.of(self._world)
        self._arrivals = self._draw_arrivals()
        self._coming = list(self._arrivals)
        self._people = 0
        for arrival in self._arrivals:
            if not arrival.staff:
                self._world.still_in[arrival.visit] = self._world.still_in.get(arrival.visit, 0) + 1
        stock.changed.clear()
        self._first_truth = stock.truth(range(len(store.lanes)), start_ns)
        self._changed: tuple[TruthLane, ...] = ()

    # --- before the first step -----------------------------------------------------------------------------

    def _misplace(self) -> None:
        """A few units lie in wrong lanes already."""
        stock, rng = self._world.stock, self._rng
        low, high = self.scenario.misplaced_at_start
        for _ in range(int(rng.integers(low, high + 1))):
            lane, other = (int(v) for v in rng.integers(len(stock.lanes), size=2))
            options = stock.takeable(lane)
            if lane == other or not options:
                continue
            item = options[0].item
            place = stock.place_for(other, item, rng, False, 0.0)
            if place is not None:
                stock.remove(lane, item)
                stock.put(other, place)

    def _draw_arrivals(self) -> list[Arrival]:
        rng, scenario = self._rng, self.scenario
        visits = int(rng.integers(scenario.shoppers[0], scenario.shoppers[1] + 1))
        time_s = scenario.quiet_s[0]  # cameras see the store without people first and last
        out: list[Arrival] = []
        for n in range(visits):
            time_s += float(rng.uniform(*scenario.arrival_s)) if n else float(rng.uniform(0.0, 2.0))
            size = 1
            if rng.random() < scenario.group:
                size = int(rng.integers(scenario.group_size[0], scenario.group_size[1] + 1))
            visit = f"v{self.seed:06d}-{n:03d}"
            for member in range(size):
                child = bool(rng.random() < scenario.child * (2.5 if member else 1.0))
                at = self.start_ns + int((time_s + 0.8 * member) * 1e9)
                out.append(Arrival(at, visit, visit if size > 1 else "", child))
        for _ in range(int(rng.integers(scenario.staff[0], scenario.staff[1] + 1))):
            at = self.start_ns + int(rng.uniform(scenario.quiet_s[0] + 1.0, 0.5 * scenario.duration_s) * 1e9)
            out.append(Arrival(at, "", "", False, tuple(draw_jobs(self._world.stock, rng))))
        return sorted(out, key=lambda arrival: arrival.time_ns)

    # --- stepping --------------------------------------------------------------------------------------------

    def steps(self) -> Iterator[Snapshot]:
        """Snapshots at 20 Hz from start_ns until the store has been empty for a while again. Call once."""
        world = self._world
        end_ns = self.start_ns + int(self.scenario.duration_s * 1e9)
        guard_ns = end_ns + int(LONGEST_S * 1e9)
        empty_since = self.start_ns
        while True:
            yield self._step()
            if world.shoppers or self._coming:
                empty_since = world.time_ns
            elif world.time_ns >= end_ns and world.time_ns - empty_since >= self.scenario.quiet_s[1] * 1e9:
                return
            world.time_ns += STEP_NS
            assert world.time_ns < guard_ns, "nobody may stay in the store for ever"

    def _step(self) -> Snapshot:
        world = self._world
        items = world.stock.items
        items.moved[:] = False
        world.events, world.gates, world.bumps = [], [], []
        world.push_grams[:] = 0.0
        self._let_in()
        for me in world.shoppers:
            assert me.script is not None
            next(me.script, None)
        if any(me.gone for me in world.shoppers):
            world.shoppers = [me for me in world.shoppers if not me.gone]
        self._walk()
        for me in world.shoppers:
            me.advance(items)
        world.step_doors()
        self._changed = world.stock.truth(world.stock.changed, world.time_ns)
        world.stock.changed.clear()
        people = tuple(me.person(world.time_ns, self._hand_lanes(me)) for me in world.shoppers)
        return Snapshot(
            world.time_ns, people, items, self._read_scales(), world.stock.true_grams.copy(), world.doors.copy(),
            tuple(world.events), tuple(world.gates),
        )  # fmt: skip

    def _read_scales(self) -> NDArray[np.float32]:
        world = self._world
        for fixture, grams in world.bumps:
            self._scales.bump(fixture, grams)
        readings = self._scales.read(world.time_ns, world.stock.load_grams, world.push_grams)
        if not self.scenario.scales:
            readings[:] = np.nan
        return readings

    def _let_in(self) -> None:
        """The next people appear before a free entry when their time has come."""
        world = self._world
        while self._coming and self._coming[0].time_ns <= world.time_ns:
            door = next((d for d in world.entries if self._is_clear(d)), None)
            if door is None:
                return
            arrival = self._coming.pop(0)
            me = self._person(arrival, door)
            door.user = me.number
            me.script = restock(self._mind, me, list(arrival.jobs)) if arrival.staff else shop(self._mind, me)
            world.shoppers.append(me)

    def _is_clear(self, door: Doorway) -> bool:
        if door.user != -1:
            return False
        for other in self._world.shoppers:
            if np.hypot(*(other.position - door.outside)) < 0.7 or np.hypot(*(other.position - door.inside)) < 0.55:
                return False
        return True

    def _person(self, arrival: Arrival, door: Doorway) -> Shopper:
        self._people += 1
        number = self._people
        rng = np.random.Generator(
            np.random.PCG64(np.random.SeedSequence([self.seed, number, *self.scenario.name.encode()]))
        )
        weights = np.array(list(self.scenario.carriers.model_dump().values())) + 1e-9
        carrier = Carrier(int(rng.choice(4, p=weights / weights.sum())))
        if arrival.child or arrival.staff:
            carrier = Carrier.TROLLEY if arrival.staff else Carrier.NOTHING
        build = draw_build(rng, arrival.child, arrival.staff, carrier)
        heading = float(np.arctan2(door.inward[1], door.inward[0]))
        tempo = float(np.clip(rng.lognormal(0.0, 0.18), 0.65, 1.5))
        place = door.outside + door.along * door.aside_m(rng, build.radius_m)
        return Shopper(
            number, f"s{self.seed:06d}-{number:03d}", arrival.visit, arrival.group, arrival.staff,
            build, rng, tempo, place, heading,
        )  # fmt: skip

    def _walk(self) -> None:
        """Everybody takes a step, one after the other, each seeing where the others now are."""
        world = self._world
        discs = np.empty((len(world.shoppers), 5))
        for n, me in enumerate(world.shoppers):
            discs[n, :2], discs[n, 2:4], discs[n, 4] = me.position, me.velocity, me.build.radius_m
        for n, me in enumerate(world.shoppers):
            if me.goal is None and not me.velocity.any():
                continue
            before = me.position
            self._walk_one(me, discs[n], np.concatenate([discs[:n], discs[n + 1 :]]))
            discs[n, :2], discs[n, 2:4] = me.position, me.velocity
            if me.in_door:
                self._gate(me, before)

    def _walk_one(self, me: Shopper, disc: Float, others: Float) -> None:
        ground, walls = self._world.ground, not me.in_door
        want = np.zeros(2)
        if me.goal is not None:
            gap = me.goal - me.position
            far = float(np.hypot(gap[0], gap[1]))
            aim = gap
            if me.way is not None and far > 0.3:
                aim = np.asarray(ground.next_point(me.way, me.position)) - me.position
                if not np.any(aim):
                    aim = gap
            me.stray()
            pace = min(me.build.pace_m_s * me.vigour, 2.2 * far + 0.05)
            turn = np.arctan2(aim[1], aim[0]) + me.swerve * min(1.0, far)
            want = pace * np.array([np.cos(turn), np.sin(turn)])
            around = self._with_trolleys(me, others)
            want = np.asarray(walking.steer(disc, want, around, ground.rects, ground.floor, walls))
        change = want - me.velocity
        size = float(np.hypot(change[0], change[1]))
        velocity = me.velocity + change * min(1.0, ACCELERATION_M_S2 * STEP_S / (size + 1e-9))
        if not (np.abs(velocity) > 1e-4).any():
            me.velocity = np.zeros(2)
            return
        x, y = me.position + velocity * STEP_S
        place = np.array(walking.settle(x, y, disc, others, ground.rects, ground.floor, walls))
        me.velocity = (place - me.position) / STEP_S
        me.position = place

    def _with_trolleys(self, me: Shopper, others: Float) -> Float:
        """People walk round other people's trolleys, too, where they can."""
        carts = [
            (*other.cart, 0.0, 0.0, CART_M) for other in self._world.shoppers
            if other is not me and other.build.carrier == Carrier.TROLLEY
        ]  # fmt: skip
        return np.concatenate([others, np.array(carts)]) if carts else others

    def _gate(self, me: Shopper, before: Float) -> None:
        """A gate sees everybody who crosses its line."""
        for door in dict.fromkeys(self._world.entries + self._world.exits):
            if door.user == me.number:
                was, now = door.depth(before), door.depth(me.position)
                if was < 0 <= now:
                    self._world.gates.append(GateEvent(door.gate.id, self._world.time_ns, "entry", me.visit))
                elif now < 0 <= was:
                    self._world.gates.append(GateEvent(door.gate.id, self._world.time_ns, "exit"))

    def _hand_lanes(self, me: Shopper) -> tuple[int, int]:
        """The lane each hand is really in: past its front edge, inside its opening."""
        out = [-1, -1]
        for hand in (0, 1):
            lane = me.hand_lane[hand]
            if lane < 0:
                continue
            local = self.store.lanes[lane].lane_from_world @ np.append(me.palm(hand), 1.0)
            width, depth, height = self.store.lanes[lane].size_m
            if -0.1 < local[0] < width + 0.1 and -0.03 < local[1] < depth and -0.05 < local[2] < height + 0.1:
                out[hand] = lane
        return out[0], out[1]

    # --- truth -----------------------------------------------------------------------------------------------

    @property
    def items(self) -> Items:
        """All units, changed in place by every step."""
        return self._world.stock.items

    @property
    def stock(self) -> Stock:
        """What lies where; whoever changes it takes the engine's place."""
        return self._world.stock

    def truth_shoppers(self, snapshot: Snapshot) -> tuple[ShopperTruth, ...]:
        """What is true of everybody in a snapshot."""
        return tuple(truth_of(person, self.store, snapshot.items) for person in snapshot.people)

    def lane_truth(self) -> tuple[TruthLane, ...]:
        """What lies in every lane before the first step."""
        return self._first_truth

    def changed_lanes(self) -> tuple[TruthLane, ...]:
        """What lies in the lanes that changed in the step of the last snapshot."""
        return self._changed

    def receipts(self) -> tuple[TruthReceipt, ...]:
        """Receipts of all visits that have ended so far, in the order of their ends."""
        return tuple(self._world.receipts)
