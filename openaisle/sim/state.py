"""The simulated store at an instant: people, stock, doors and what has happened in the current step.

Scripts (acts.py, behaviour.py) read and change it; the engine steps it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from openaisle.messages import EventKind, GateEvent, TruthEvent, TruthReceipt
from openaisle.sim import body
from openaisle.sim.scenario import Scenario
from openaisle.sim.shopper import STEP_NS, Posture, Shopper
from openaisle.sim.stock import Stock
from openaisle.sim.walking import Doorway, Ground
from openaisle.store.store import Store

Float = NDArray[np.float64]
DOOR_OPEN_S, DOOR_SHUT_S = 0.7, 1.3
# where somebody may stand to reach a lane, metres: along the shelf from the unit; from the fixture, beyond the body
SIDESTEPS = (0.0, 0.13, -0.13, 0.26, -0.26, 0.39, -0.39, 0.5, -0.5)
STANDOFFS = (0.05, 0.14, 0.26)


@dataclass(frozen=True, slots=True)
class LaneFront:
    """What an arm must know of a lane."""

    inward_rad: float  # heading of somebody who faces it
    setback_m: float  # from the fixture's front plane to the lane's front edge
    opening: tuple[float, float]  # z of the surface and of the next thing above it
    top_m: float  # height of the fixture
    from_above: bool
    door: bool


class World:
    """Everything that exists in a simulation, and the events of the current step."""

    def __init__(self, store: Store, scenario: Scenario, stock: Stock, start_ns: int) -> None:
        self.store, self.scenario, self.stock = store, scenario, stock
        self.time_ns = start_ns
        self.start_ns = start_ns
        self.closing_ns = start_ns + int(scenario.duration_s * 1e9)
        self.ground = Ground(store)
        self.entries = [Doorway(g, self.ground) for g in store.spec.gates if g.kind in ("entry", "both")]
        self.exits = [d for d in self.entries if d.gate.kind == "both"]
        self.exits += [Doorway(g, self.ground) for g in store.spec.gates if g.kind == "exit"]
        self.fronts = _fronts(store)
        self.shoppers: list[Shopper] = []
        self.push_grams = np.zeros(len(store.lanes))
        self.doors = np.zeros(len(store.spec.fixtures), dtype=np.float32)
        self.door_users = np.zeros(len(store.spec.fixtures), dtype=np.int64)
        self.events: list[TruthEvent] = []
        self.gates: list[GateEvent] = []
        self.bumps: list[tuple[int, float]] = []
        self.receipts: list[TruthReceipt] = []
        self._taken_out: dict[str, list[int]] = {}  # items that left the store, by visit
        self.still_in: dict[str, int] = {}  # people of a visit who have not left

    # --- reaching ------------------------------------------------------------------------------------------

    def posture(self, me: Shopper, hand: int, lane: int, target: Float) -> Posture | None:
        """How a person who stands where he stands gets a hand to `target`; None = out of reach."""
        heading = me.heading if me.facing is None else me.facing
        return self._posture_at(me, me.position, heading, hand, lane, target)[0]

    def _posture_at(
        self, me: Shopper, at: Float, heading: float, hand: int, lane: int, target: Float
    ) -> tuple[Posture | None, float]:
        front = self.fronts[lane]
        stance = np.zeros(body.STANCE)
        stance[body.X], stance[body.Y], stance[body.HEADING] = at[0], at[1], heading
        inward = np.array([np.cos(front.inward_rad), np.sin(front.inward_rad)])
        edge = self.store.lanes[lane].world_from_lane[:2, 3] - front.setback_m * inward
        away = float((edge - at) @ inward) / max(0.5, float(np.cos(heading - front.inward_rad)))
        lean, twist, crouch, cost = body.solve_reach(
            me.build.dims, stance, hand, target, away, front.opening, front.top_m
        )
        return (Posture(lean, twist, crouch), cost) if np.isfinite(cost) else (None, np.inf)

    def heading_for(self, at: Float, lane: int, target: Float) -> float:
        """How somebody at `at` turns to reach `target`: towards it, but mostly square to the shelf."""
        inward = self.fronts[lane].inward_rad
        towards = np.arctan2(target[1] - at[1], target[0] - at[0])
        turn = (towards - inward + np.pi) % (2 * np.pi) - np.pi
        return float(inward + np.clip(0.5 * turn, -0.5, 0.5))

    def find_spot(self, me: Shopper, hand: int, lane: int, target: Float, alone: bool = False) -> Float | None:
        """The best free place [2] from which `target` in a lane can be reached; None = there is none.

        alone: as if nobody else were in the store.
        """
        front = self.fronts[lane]
        pose = self.store.lanes[lane].world_from_lane
        right, inward = pose[:2, 0], pose[:2, 1]
        depth = float((target[:2] - pose[:2, 3]) @ inward) + front.setback_m
        foot = target[:2] - depth * inward
        best, best_cost = None, np.inf
        for away in STANDOFFS:
            for side in SIDESTEPS:
                at = foot + right * side - inward * (me.build.radius_m + away)
                if not self.is_free(me, at, alone):
                    continue
                posture, cost = self._posture_at(me, at, self.heading_for(at, lane, target), hand, lane, target)
                cost += 0.5 * abs(side) + 0.3 * away
                if posture is not None and cost < best_cost:
                    best, best_cost = at, cost
        return best

    def is_free(self, me: Shopper, at: Float, alone: bool = False) -> bool:
        """Whether a person could stand there: no furniture, wall, standing person or claimed place in the way."""
        radius = me.build.radius_m
        if self.ground.clearance(float(at[0]), float(at[1])) < radius + 0.01:
            return False
        for other in self.shoppers:
            if other is me or alone:
                continue
            place = other.claim if other.claim is not None else other.position if other.goal is None else None
            need = radius + other.build.radius_m + 0.03
            if place is not None and np.hypot(*(place - at)) < need:
                return False
        return True

    # --- what happens ----------------------------------------------------------------------------------------

    def record(
        self, kind: EventKind, me: Shopper, items: Sequence[int], lane: int, hand: int, contact_ns: int,
        to: Shopper | None = None,
    ) -> None:  # fmt: skip
        """Write down that units changed place, one event per product."""
        products = self.stock.items.product
        for product in dict.fromkeys(int(products[item]) for item in items):
            count = sum(int(products[item]) == product for item in items)
            self.events.append(TruthEvent(
                self.time_ns, contact_ns, kind, me.name, me.visit, self.store.products[product].gtin, count,
                self.store.lanes[lane].id if lane >= 0 else "", ("left", "right")[hand],
                to.name if to else "", to.visit if to else "", me.staff,
            ))  # fmt: skip

    def step_doors(self) -> None:
        """Doors open while somebody uses them and shut slowly afterwards."""
        used = self.door_users > 0
        self.doors += np.where(used, STEP_NS * 1e-9 / DOOR_OPEN_S, -STEP_NS * 1e-9 / DOOR_SHUT_S).astype(np.float32)
        np.clip(self.doors, 0.0, 1.0, out=self.doors)

    def walk_out(self, me: Shopper) -> None:
        """A person has left; the last one of a visit closes its receipt."""
        me.gone = True
        items = self.stock.items
        for item in me.all_items():
            items.visible[item] = False
            items.moved[item] = True
        if me.staff:
            return
        self._taken_out.setdefault(me.visit, []).extend(me.all_items())
        self.still_in[me.visit] -= 1
        if self.still_in[me.visit] == 0:
            counts: dict[str, int] = {}
            for item in self._taken_out.pop(me.visit):
                gtin = self.store.products[int(items.product[item])].gtin
                counts[gtin] = counts.get(gtin, 0) + 1
            self.receipts.append(TruthReceipt(self.time_ns, me.visit, tuple(sorted(counts.items()))))


def _fronts(store: Store) -> tuple[LaneFront, ...]:
    out = []
    for fixture in store.spec.fixtures:
        for shelf in fixture.shelves:
            inward = np.deg2rad(fixture.yaw_deg + 90.0)
            open_top = fixture.kind in ("table", "counter")
            front = LaneFront(
                float(inward), shelf.y_m, (shelf.z_m, shelf.z_m + shelf.clearance_m), fixture.height_m,
                open_top and shelf.z_m > fixture.height_m - 0.35, fixture.doors,
            )  # fmt: skip
            out += [front] * len(shelf.lanes)
    return tuple(out)
