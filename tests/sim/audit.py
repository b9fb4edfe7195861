"""An auditor that watches a simulation step by step and keeps the books a second time."""

from __future__ import annotations

from collections import Counter

import numpy as np

from openaisle.messages import Activity, EventKind, GateEvent, TruthEvent, TruthLane
from openaisle.sim.engine import Simulation
from openaisle.sim.stock import Lying
from openaisle.sim.walking import rect_distance, wall_distance
from openaisle.sim.world import Person, Snapshot

HAND_M = 0.03  # a hand that takes is at most this far from the surface of what it takes


class Audit:
    """Runs a whole simulation; the check methods then assert what must hold."""

    def __init__(self, sim: Simulation) -> None:
        self.sim, self.store = sim, sim.store
        self.events: list[TruthEvent] = []
        self.gates: list[GateEvent] = []
        self.changes: list[TruthLane] = []
        self.owned: dict[str, Counter[str]] = {}
        self.radius: dict[str, float] = {}
        self.took_from = self._positions()
        self.people_seen: list[int] = []
        for snapshot in sim.steps():
            self._watch(snapshot)

    def _positions(self) -> dict[int, tuple[int, Lying]]:
        return {lying.item: (lane, lying) for lane, here in enumerate(self.sim._world.stock.lanes) for lying in here}

    def _watch(self, snapshot: Snapshot) -> None:
        self.events += snapshot.events
        self.gates += snapshot.gates
        self.changes += self.sim.changed_lanes()
        self.people_seen.append(len(snapshot.people))
        self.radius |= {me.name: me.build.radius_m for me in self.sim._world.shoppers}
        inside = {me.name for me in self.sim._world.shoppers if not me.in_door}
        for person in snapshot.people:
            self._keeps_clear(person, snapshot.people, person.shopper in inside)
        for event in snapshot.events:
            self._book(event)
            if event.kind == EventKind.TAKE:
                self._hand_is_there(event, snapshot)
        for person in snapshot.people:
            self._holds_what_it_should(person)
        held = [item for person in snapshot.people for side in person.held for item in side]
        assert all(snapshot.items.visible[item] and snapshot.items.lane[item] == -1 for item in held)
        self.took_from = self._positions()

    def _keeps_clear(self, person: Person, everybody: tuple[Person, ...], inside: bool) -> None:
        x, y = person.floor_m
        radius = self.radius[person.shopper]
        for rect in self.sim._world.ground.rects:
            assert rect_distance(x, y, rect) >= radius - 1e-6, f"{person.shopper} stands in a fixture"
        if inside:
            assert wall_distance(x, y, self.sim._world.ground.floor) >= radius - 1e-6, f"{person.shopper} is in a wall"
        for other in everybody:
            if other.number > person.number:
                gap = float(np.hypot(*(other.floor_m - person.floor_m)))
                assert gap >= radius + self.radius[other.shopper] - 1e-6, f"{person.shopper} is in {other.shopper}"

    def _book(self, event: TruthEvent) -> None:
        mine = self.owned.setdefault(event.shopper, Counter())
        mine[event.gtin] += event.quantity if event.kind == EventKind.TAKE else -event.quantity
        if event.kind == EventKind.HAND_OVER:
            self.owned.setdefault(event.to_shopper, Counter())[event.gtin] += event.quantity
        assert event.contact_ns <= event.time_ns

    def _hand_is_there(self, event: TruthEvent, snapshot: Snapshot) -> None:
        person = next(p for p in snapshot.people if p.shopper == event.shopper)
        hand = 0 if event.hand == "left" else 1
        taken = [item for item in person.held[hand] if item in self.took_from]
        assert len(taken) == event.quantity
        gaps = []
        for item in taken:
            lane, lying = self.took_from[item]
            assert self.store.lanes[lane].id == event.lane
            palm = self.store.lanes[lane].lane_from_world @ np.append(person.hands_m[hand], 1.0)
            middle = np.array([lying.x, lying.y, lying.z + lying.size[2] / 2])
            gaps.append(float(np.linalg.norm(np.maximum(np.abs(palm[:3] - middle) - np.array(lying.size) / 2, 0.0))))
        assert min(gaps) < HAND_M, f"the hand is {min(gaps):.3f} m from what it takes"
        assert person.activity == Activity.TAKE

    def _holds_what_it_should(self, person: Person) -> None:
        if person.staff:
            return
        products = self.sim.items.product
        items = person.held[0] + person.held[1] + person.bag
        has = Counter(self.store.products[int(products[item])].gtin for item in items)
        assert has == +self.owned.get(person.shopper, Counter()), f"{person.shopper} holds something else"

    # --- afterwards ------------------------------------------------------------------------------------------

    def check_books(self) -> None:
        """Units and grams balance, receipts are what was carried out."""
        stock = self.sim._world.stock
        before, after = _units(self.sim.lane_truth()), _units(stock.truth(range(len(self.store.lanes)), 0))
        net, staff = Counter[str](), Counter[str]()
        for event in self.events:
            if event.kind != EventKind.HAND_OVER:
                sign = 1 if event.kind == EventKind.TAKE else -1
                (staff if event.staff else net)[event.gtin] += sign * event.quantity
        charged = Counter[str]()
        for receipt in self.sim.receipts():
            assert receipt.lines == tuple(sorted(receipt.lines))
            charged.update(dict(receipt.lines))
        for product in self.store.products:
            gtin = product.gtin
            assert before[gtin] - after[gtin] == net[gtin] + staff[gtin]
            assert charged[gtin] == net[gtin]
        lanes = self.sim.items.lane
        grams = np.bincount(lanes[lanes >= 0], self.sim.items.mass_grams[lanes >= 0], len(self.store.lanes))
        assert np.allclose(grams, stock.true_grams, atol=1e-6)
        assert np.isclose(stock.load_grams.sum(), grams.sum(), atol=1e-6)
        last = {change.lane: change for change in [*self.sim.lane_truth(), *self.changes]}
        assert {lane.lane: lane.stock for lane in stock.truth(range(len(self.store.lanes)), 0)} == {
            lane: change.stock for lane, change in last.items()
        }
        assert not stock.reserved
        assert not self.sim._world.door_users.any()

    def check_visits(self) -> None:
        """Everybody came in, went out, and every visit has one receipt; the store is empty first and last."""
        assert self.people_seen[:60] == [0] * 60
        assert self.people_seen[-40:] == [0] * 40
        entries = [gate for gate in self.gates if gate.kind == "entry"]
        assert len(entries) == len(self.gates) - len(entries) == len(self.radius)
        visits = {gate.visit for gate in entries if gate.visit}
        assert sorted(receipt.visit for receipt in self.sim.receipts()) == sorted(visits)
        assert all(gate.visit == "" for gate in self.gates if gate.kind == "exit")


def _units(lanes: tuple[TruthLane, ...]) -> Counter[str]:
    out = Counter[str]()
    for lane in lanes:
        out.update(dict(lane.stock))
    return out
