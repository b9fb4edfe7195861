"""One person in the simulated store: where the body is, what the hands do and hold, drawn anew at each step.

Scripts (acts.py) set goals: a place to walk to, a way to face, motions of hands and posture. `advance` turns them
into a pose.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field

import numpy as np
from numba import njit
from numpy.typing import NDArray

from openaisle.messages import Activity, ShopperTruth
from openaisle.sim import body
from openaisle.sim.body import Build, Carrier, HandPose
from openaisle.sim.world import Items, Person
from openaisle.store.store import Store

Float = NDArray[np.float64]
Script = Generator[None, None, None]
STEP_S = 0.05
STEP_NS = 50_000_000


@dataclass(slots=True)
class Grip:
    """A unit in a hand: its place relative to the palm, in a frame that turns with the body; goes from `a` to `b`."""

    item: int
    a: Float  # [6] x y z of the middle of the base (metres), turn, tip over x, tip over y (rad)
    b: Float
    progress: float = 1.0
    rate: float = 0.0  # progress per step


@dataclass(frozen=True, slots=True)
class Posture:
    """How the trunk is held: lean forwards and twist (rad), how much lower the hips are (metres)."""

    lean: float
    twist: float
    crouch: float


UPRIGHT = Posture(0.0, 0.0, 0.0)


@njit(cache=True)
def held_pose(palm: Float, heading: float, a: Float, b: Float, progress: float, out: NDArray[np.float32]) -> None:
    """world_from_item [4, 4] of a gripped unit."""
    u = progress * progress * (3 - 2 * progress)
    g = a + (b - a) * u
    c, s = np.cos(heading), np.sin(heading)
    out[0, 3] = palm[0] + c * g[0] - s * g[1]
    out[1, 3] = palm[1] + s * g[0] + c * g[1]
    out[2, 3] = palm[2] + g[2]
    cz, sz = np.cos(heading + g[3]), np.sin(heading + g[3])
    cx, sx, cy, sy = np.cos(g[4]), np.sin(g[4]), np.cos(g[5]), np.sin(g[5])
    # Rz · Rx · Ry
    out[0, 0], out[0, 1], out[0, 2] = cz * cy - sz * sx * sy, -sz * cx, cz * sy + sz * sx * cy
    out[1, 0], out[1, 1], out[1, 2] = sz * cy + cz * sx * sy, cz * cx, sz * sy - cz * sx * cy
    out[2, 0], out[2, 1], out[2, 2] = -cx * sy, sx, cx * cy


@dataclass(eq=False)
class Shopper:
    """One person; positions in world metres, hands are 0 = left, 1 = right."""

    number: int
    name: str
    visit: str
    group: str
    staff: bool
    build: Build
    rng: np.random.Generator
    tempo: float  # 1 = average; how quickly the hands move
    position: Float
    heading: float
    script: Script | None = None
    velocity: Float = field(default_factory=lambda: np.zeros(2))
    goal: Float | None = None  # where to walk
    way: Float | None = None  # distance field to the goal; None = straight on
    facing: float | None = None  # where to turn when standing
    swerve: float = 0.0  # rad, how far from the straight way this person strays just now
    vigour: float = 1.0  # share of the usual pace
    in_door: bool = False  # walls do not hold people who are in a doorway
    claim: Float | None = None  # the place at a shelf this person is going to stand on
    doing: Activity = Activity.STAND
    marks: list[tuple[Activity, int, int]] = field(default_factory=list)  # take or return, from .. to (ns); above all
    holds: tuple[list[Grip], list[Grip]] = field(default_factory=lambda: ([], []))
    bag: list[int] = field(default_factory=list)
    busy: list[bool] = field(default_factory=lambda: [False, False])  # hands that are reaching
    hand_lane: list[int] = field(default_factory=lambda: [-1, -1])  # lane a hand is sent to
    shelf: tuple[int, int] = (-1, -1)  # fixture and lane this person is busy with
    free_hands: bool = False  # lets go of the trolley
    gave_up: set[int] = field(default_factory=set)  # lanes this person cannot reach
    follows: Shopper | None = None  # whose shelf this person is on his way to
    arrived: bool = False  # stands before the shelf
    asked_by: Shopper | None = None  # who wants to hand something to this person
    ready: bool = False  # stands and waits for `asked_by`
    leaving: bool = False
    gone: bool = False

    def __post_init__(self) -> None:
        self.stance = np.zeros(body.STANCE)
        self.hands = np.zeros((2, 8))
        self._hand_rate = [1.0, 1.0]
        self._posture = np.zeros((2, 3))  # from, to: lean twist crouch
        self._posture_progress, self._posture_rate = 1.0, 0.0
        self._drift = np.zeros(4)  # sway x y, head yaw pitch
        self._look = np.zeros(2)
        self._speed = 0.0
        self.points = np.zeros((5, 3))
        self.capsules = np.zeros((len(self.build.part), 7), dtype=np.float32)
        self.cart = self.position - 0.55 * np.array([np.cos(self.heading), np.sin(self.heading)])
        self.stance[body.X : body.Y + 1] = self.position
        self.stance[body.HEADING] = self.heading
        self.stance[body.PHASE] = self.rng.uniform(0, 2 * np.pi)
        for hand in (0, 1):
            self.hands[hand, body.H_POSE] = self.rest(hand)
            self.hands[hand, body.H_PROGRESS] = 1.0
        self._draw()

    # --- hands and posture ---------------------------------------------------------------------------------

    def stray(self) -> None:
        """Nobody walks on rails: direction and pace wander slowly."""
        noise = self.rng.standard_normal(2)
        self.swerve = 0.97 * self.swerve + 0.05 * float(noise[0])  # about 0.2 rad, over 1.5 s
        self.vigour = float(np.clip(1.0 + 0.98 * (self.vigour - 1.0) + 0.03 * float(noise[1]), 0.6, 1.3))

    def rest(self, hand: int) -> HandPose:
        """Where a hand goes that has nothing to do."""
        if self.build.carrier == Carrier.BASKET and hand == 0:
            return HandPose.BASKET_GRIP
        if self.build.carrier == Carrier.TROLLEY and hand == 1 and not self.free_hands and not self.holds[1]:
            return HandPose.TROLLEY_GRIP
        return HandPose.CARRY if self.holds[hand] else HandPose.HANG

    def can_use(self, hand: int) -> bool:
        """Whether a hand can reach out (the left one may hold a basket)."""
        return not (hand == 0 and self.build.carrier == Carrier.BASKET)

    def move_hand(self, hand: int, target: HandPose | Float, seconds: float) -> int:
        """Start a motion of a hand; returns its length in steps."""
        steps = max(2, round(seconds / self.tempo / STEP_S))
        row = self.hands[hand]
        row[body.H_START : body.H_START + 3] = self.points[1 + hand]
        row[body.H_PROGRESS] = 0.0
        if isinstance(target, HandPose):
            row[body.H_POSE] = target
        else:
            row[body.H_POSE] = -1
            row[body.H_TARGET : body.H_TARGET + 3] = target
        self._hand_rate[hand] = 1.0 / steps
        return steps

    def bend(self, posture: Posture, count: int) -> None:
        """Start a change of posture that takes `count` steps."""
        self._posture[0] = self.stance[body.LEAN : body.CROUCH + 1]
        self._posture[1] = posture.lean, posture.twist, posture.crouch
        self._posture_progress, self._posture_rate = 0.0, 1.0 / max(count, 1)

    @property
    def posture_ahead(self) -> Posture:
        """The posture the body has or is about to have."""
        lean, twist, crouch = self._posture[1]
        return Posture(float(lean), float(twist), float(crouch))

    def could_reach(self, hand: int, target: Float) -> bool:
        """Whether a hand gets to a world point in the posture the body is taking already."""
        stance, hands, points = self.stance.copy(), self.hands.copy(), np.zeros((5, 3))
        stance[body.LEAN : body.CROUCH + 1] = self._posture[1]
        hands[hand, body.H_POSE], hands[hand, body.H_PROGRESS], hands[hand, body.H_TARGET :] = -1, 1.0, target
        body.pose_body(self.build.dims, stance, hands, int(self.build.carrier), self.capsules.copy(), points)
        return bool(np.linalg.norm(points[1 + hand] - target) < 0.01)

    def look(self, yaw: float, pitch: float) -> None:
        """Turn the head relative to the chest."""
        self._look[:] = np.clip(yaw, -1.2, 1.2), np.clip(pitch, -0.4, 1.0)

    def palm(self, hand: int) -> Float:
        """World point [3] of a palm."""
        return np.asarray(self.points[1 + hand])

    def all_items(self) -> list[int]:
        """Everything this person has: hands first, then bag."""
        return [grip.item for side in self.holds for grip in side] + self.bag

    # --- one step ------------------------------------------------------------------------------------------

    def advance(self, items: Items) -> None:
        """Turn, gait, posture and hands of one step; moves held units with the hands."""
        self._walk_cycle()
        noise = self.rng.standard_normal(4)
        self._drift = 0.96 * self._drift + noise * (0.0016, 0.0016, 0.012, 0.008)
        stance = self.stance
        stance[body.SWAY_X], stance[body.SWAY_Y] = self._drift[0], self._drift[1]
        stance[body.LOOK_YAW] += 0.2 * (self._look[0] + self._drift[2] - stance[body.LOOK_YAW])
        stance[body.LOOK_PITCH] += 0.2 * (self._look[1] + self._drift[3] - stance[body.LOOK_PITCH])
        if self._posture_progress < 1.0:
            self._posture_progress = min(1.0, self._posture_progress + self._posture_rate)
            u = self._posture_progress
            u = u * u * (3 - 2 * u)
            stance[body.LEAN : body.CROUCH + 1] = self._posture[0] + (self._posture[1] - self._posture[0]) * u
        for hand in (0, 1):
            if self.hands[hand, body.H_PROGRESS] < 1.0:
                self.hands[hand, body.H_PROGRESS] += self._hand_rate[hand]
        self._draw()
        for hand in (0, 1):
            for grip in self.holds[hand]:
                grip.progress = min(1.0, grip.progress + grip.rate)
                pose = items.world_from_item[grip.item]
                held_pose(self.points[1 + hand], self.heading, grip.a, grip.b, grip.progress, pose)
                items.moved[grip.item] = True

    def _walk_cycle(self) -> None:
        speed = float(np.hypot(self.velocity[0], self.velocity[1]))
        want = self.facing
        if speed > 0.12:
            want = float(np.arctan2(self.velocity[1], self.velocity[0]))
        if want is not None:
            turn = (want - self.heading + np.pi) % (2 * np.pi) - np.pi
            self.heading += float(np.clip(turn * 0.35, -0.22, 0.22))
        stance = self.stance
        stance[body.X], stance[body.Y], stance[body.HEADING] = self.position[0], self.position[1], self.heading
        stride = min(1.0, speed / 1.1)
        stance[body.STRIDE] += 0.25 * (stride - stance[body.STRIDE])
        stance[body.PHASE] += 2 * np.pi * STEP_S * speed / (0.72 * self.build.dims[body.HEIGHT]) * 0.9
        if self.build.carrier == Carrier.TROLLEY:
            self._pull_cart()

    def _pull_cart(self) -> None:
        gap = self.cart - self.position
        size = float(np.hypot(gap[0], gap[1])) + 1e-9
        if size > 0.55 or size < 0.36:
            self.cart = self.position + gap / size * min(max(size, 0.36), 0.55)
        self.stance[body.CART_X], self.stance[body.CART_Y] = self.cart

    def _draw(self) -> None:
        body.pose_body(self.build.dims, self.stance, self.hands, int(self.build.carrier), self.capsules, self.points)

    # --- what others see -----------------------------------------------------------------------------------

    def activity(self, time_ns: int) -> Activity:
        """The activity at an instant."""
        self.marks = [mark for mark in self.marks if mark[2] >= time_ns]
        for activity, start_ns, _ in self.marks:
            if start_ns <= time_ns:
                return activity
        if self.doing == Activity.STAND and np.hypot(self.velocity[0], self.velocity[1]) > 0.12:
            return Activity.WALK
        return self.doing

    def person(self, time_ns: int, hand_lane: tuple[int, int]) -> Person:
        """An immutable picture of this person."""
        points = self.points.copy()
        return Person(
            self.number, self.name, self.visit, self.group, self.staff, self.position.copy(), self.heading, points[0],
            points[1:3], self.activity(time_ns), hand_lane,
            (tuple(g.item for g in self.holds[0]), tuple(g.item for g in self.holds[1])), tuple(self.bag),
            self.capsules.copy(), self.build.part, self.build.rgb, self.build.pattern,
        )  # fmt: skip


def _point(vector: Float) -> tuple[float, float, float]:
    return float(vector[0]), float(vector[1]), float(vector[2])


def truth_of(person: Person, store: Store, items: Items) -> ShopperTruth:
    """What is true of a person, as it is recorded."""

    def gtins(units: tuple[int, ...]) -> tuple[str, ...]:
        return tuple(store.products[int(items.product[unit])].gtin for unit in units)

    lanes = tuple(store.lanes[lane].id if lane >= 0 else "" for lane in person.hand_lane)
    return ShopperTruth(
        person.shopper, person.visit, person.group, person.staff,
        (float(person.floor_m[0]), float(person.floor_m[1])), float(person.heading_rad),
        _point(person.head_m), _point(person.hands_m[0]), _point(person.hands_m[1]), person.activity,
        lanes[0], lanes[1], gtins(person.held[0]), gtins(person.held[1]), gtins(person.bag),
    )  # fmt: skip
