"""Bodies: articulated people as capsules, with two-link arms and legs solved in closed form.

In: a build (sizes, clothes), a stance (where, facing, lean, gait) and what each hand wants. Out: 16 body
capsules and up to 3 carried ones, head and palm positions, in world metres. Jitted: a few microseconds a person.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numba import njit
from numpy.typing import NDArray

from openaisle.sim.world import Part

Float = NDArray[np.float64]

# dims, metres: one row per body, indices into it
HEIGHT, HIP_Z, TORSO, SHOULDER, HIP, UPPER, FORE, THIGH, SHIN, HEAD_R, NECK, GIRTH, RADIUS = range(13)
# stance: where and facing, gait phase and stride, lean, twist, crouch, sway, head yaw and pitch, where the trolley is
X, Y, HEADING, PHASE, STRIDE, LEAN, TWIST, CROUCH, SWAY_X, SWAY_Y, LOOK_YAW, LOOK_PITCH, CART_X, CART_Y = range(14)
STANCE = 14
# hand: pose it moves to (-1 = the world point), progress 0..1, start xyz, world target xyz
H_POSE, H_PROGRESS, H_START, H_TARGET = 0, 1, 2, 5

BODY_CAPSULES = 16


class Carrier(IntEnum):
    """What somebody carries purchases in."""

    NOTHING = 0
    BAG = 1
    BASKET = 2
    TROLLEY = 3


class HandPose(IntEnum):
    """Places of a hand relative to the body (row of HAND_POSES)."""

    HANG = 0
    CARRY = 1
    INSPECT = 2
    BAG = 3
    POCKET = 4
    BASKET_GRIP = 5
    BASKET_IN = 6
    TROLLEY_GRIP = 7
    TROLLEY_IN = 8
    OFFER = 9
    READY = 10  # lifted in front of the chest, on the way to a shelf
    BAG_ACROSS = 11  # the right hand in the bag that hangs on the left hip


# forward, outward (both in body heights), up (in body heights); see hand_place
HAND_POSES = np.array([
    [0.02, 0.150, 0.430],
    [0.19, 0.075, 0.600],
    [0.22, 0.035, 0.740],
    [-0.02, 0.150, 0.540],
    [0.07, 0.110, 0.500],
    [-0.05, 0.165, 0.425],
    [0.10, -0.100, 0.480],  # across the body, into the basket that hangs from the other hand
    [-0.12, 0.130, 0.460],
    [-0.20, 0.080, 0.480],
    [0.29, 0.030, 0.660],
    [0.15, 0.110, 0.640],
    [0.10, -0.090, 0.540],
])  # fmt: skip


@dataclass(frozen=True)
class Build:
    """One body: sizes, colours and what it carries."""

    dims: Float  # [13] metres
    carrier: Carrier
    part: NDArray[np.uint8]  # [C] Part
    rgb: NDArray[np.uint8]  # [C, 3]
    pattern: NDArray[np.uint8]  # [C]
    pace_m_s: float
    right_handed: bool

    @property
    def radius_m(self) -> float:
        """Radius of the disc nobody else may enter."""
        return float(self.dims[RADIUS])

    @property
    def arm_m(self) -> float:
        """Shoulder to palm, stretched."""
        return float(self.dims[UPPER] + self.dims[FORE])


SKIN = ((245, 214, 190), (231, 190, 160), (206, 152, 116), (165, 112, 78), (120, 78, 52), (84, 54, 38))
HAIR = ((30, 24, 22), (64, 44, 30), (112, 78, 46), (184, 148, 92), (150, 150, 152), (214, 210, 204), (120, 52, 30))


def draw_build(rng: np.random.Generator, child: bool, staff: bool, carrier: Carrier) -> Build:
    """A random body: 1.45-1.95 m, children 1.15-1.5 m; clothes of any colour, plain or patterned."""
    height = float(rng.uniform(1.15, 1.5)) if child else float(np.clip(rng.normal(1.70, 0.1), 1.45, 1.98))
    wide = float(rng.normal(1.0, 0.07))
    dims = height * np.array([1.0, 0.52, 0.295, 0.118, 0.055, 0.172, 0.215, 0.248, 0.248, 0.0, 0.0, 0.062, 0.0])
    dims[[SHOULDER, HIP, GIRTH]] *= np.clip(wide, 0.85, 1.2)
    dims[[UPPER, FORE]] *= float(np.clip(rng.normal(1.0, 0.03), 0.93, 1.08))
    dims[HEAD_R] = 0.082 + 0.013 * height
    dims[NECK] = height - dims[HIP_Z] - dims[TORSO] - dims[HEAD_R]
    dims[RADIUS] = dims[SHOULDER] + 0.012 + (0.03 if carrier == Carrier.BASKET else 0.0)
    part, rgb, pattern = _clothes(rng, carrier, staff)
    pace = float(np.clip(rng.normal(1.05, 0.2), 0.6, 1.6)) * (0.9 if child else 1.0)
    return Build(dims, carrier, part, rgb, pattern, pace, bool(rng.random() < 0.85))


def _colour(rng: np.random.Generator) -> NDArray[np.uint8]:
    """Clothes: half of them muted (grey, navy, black, white), half of any hue."""
    if rng.random() < 0.5:
        colour = rng.integers(15, 235) + rng.integers(-18, 19, 3)
    else:
        colour = rng.integers(10, 245, 3)
    return np.array(np.clip(colour, 5, 250), dtype=np.uint8)


def _clothes(
    rng: np.random.Generator, carrier: Carrier, staff: bool
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]:
    skin = np.array(SKIN[rng.integers(len(SKIN))], dtype=np.uint8)
    hair = np.array(HAIR[rng.integers(len(HAIR))], dtype=np.uint8)
    if rng.random() < 0.15:
        hair = _colour(rng)  # a hat
    shirt, trousers, shoes = _colour(rng), _colour(rng), _colour(rng)
    if staff:
        shirt = np.array((24, 110, 70), dtype=np.uint8)
    fore = skin if rng.random() < 0.5 else shirt
    print_ = int(rng.choice(4, p=[0.55, 0.2, 0.15, 0.1])) if not staff else 0
    rows = [
        (Part.LEGS, trousers, 0), (Part.BODY, shirt, print_), (Part.BODY, shirt, print_), (Part.BODY, shirt, print_),
        (Part.HEAD, skin, 0), (Part.HEAD, hair, 0),
        (Part.LEFT_ARM, shirt, print_), (Part.RIGHT_ARM, shirt, print_),
        (Part.LEFT_ARM, fore, 0), (Part.RIGHT_ARM, fore, 0), (Part.LEFT_HAND, skin, 0), (Part.RIGHT_HAND, skin, 0),
        (Part.LEGS, trousers, 0), (Part.LEGS, trousers, 0), (Part.LEGS, shoes, 0), (Part.LEGS, shoes, 0),
    ]  # fmt: skip
    carried = _colour(rng)
    rows += [(Part.CARRIED, carried, int(rng.choice(4, p=[0.7, 0.1, 0.1, 0.1])))] * carried_capsules(carrier)
    return (
        np.array([row[0] for row in rows], dtype=np.uint8),
        np.array([row[1] for row in rows], dtype=np.uint8),
        np.array([row[2] for row in rows], dtype=np.uint8),
    )


def carried_capsules(carrier: Carrier) -> int:
    """How many capsules a bag, basket or trolley is drawn with."""
    return {Carrier.NOTHING: 0, Carrier.BAG: 2, Carrier.BASKET: 3, Carrier.TROLLEY: 3}[carrier]


@njit(cache=True)
def hand_place(dims: Float, stance: Float, side: float, pose: int, out: Float) -> None:
    """World point of a hand pose; side +1 = left, -1 = right. Arms swing with the gait when they hang."""
    h = dims[HEIGHT]
    forward, outward, up = HAND_POSES[pose, 0] * h, HAND_POSES[pose, 1] * h, HAND_POSES[pose, 2] * h
    if pose == 0 or pose == 5:
        swing = np.sin(stance[PHASE]) * stance[STRIDE] * side * (0.16 if pose == 0 else 0.05)
        forward += swing * h
        up += 0.25 * abs(swing) * h
    tilt = 0.8 * dims[TORSO] * np.sin(stance[LEAN])
    forward += tilt
    up -= stance[CROUCH] + 0.5 * dims[TORSO] * (1 - np.cos(stance[LEAN]))
    turn = stance[HEADING] + 0.6 * stance[TWIST]
    c, s = np.cos(turn), np.sin(turn)
    out[0] = stance[X] + stance[SWAY_X] + c * forward - s * side * outward
    out[1] = stance[Y] + stance[SWAY_Y] + s * forward + c * side * outward
    out[2] = max(up, 0.1)


@njit(cache=True)
def _spine(dims: Float, stance: Float, out: Float) -> None:
    """Pelvis, neck base, left and right shoulder: out [4, 3]. The hips go back as the chest goes forward."""
    c, s = np.cos(stance[HEADING]), np.sin(stance[HEADING])
    lean_f, lean_u = np.sin(stance[LEAN]) * dims[TORSO], np.cos(stance[LEAN]) * dims[TORSO]
    back = -0.35 * lean_f - 0.4 * stance[CROUCH]
    out[0, 0] = stance[X] + c * back + 0.5 * stance[SWAY_X]
    out[0, 1] = stance[Y] + s * back + 0.5 * stance[SWAY_Y]
    bob = 0.012 * stance[STRIDE] * np.cos(2 * stance[PHASE])
    out[0, 2] = dims[HIP_Z] - stance[CROUCH] + bob
    out[1, 0] = out[0, 0] + c * lean_f + 0.5 * stance[SWAY_X]
    out[1, 1] = out[0, 1] + s * lean_f + 0.5 * stance[SWAY_Y]
    out[1, 2] = out[0, 2] + lean_u
    turn = stance[HEADING] + stance[TWIST]
    for i in range(2):
        side = 1.0 - 2.0 * i
        out[2 + i, 0] = out[1, 0] - np.sin(turn) * side * dims[SHOULDER]
        out[2 + i, 1] = out[1, 1] + np.cos(turn) * side * dims[SHOULDER]
        out[2 + i, 2] = out[1, 2] - 0.03


@njit(cache=True)
def two_link(root: Float, target: Float, a: float, b: float, hint: Float, joint: Float, end: Float) -> None:
    """Two-link inverse kinematics: fills joint and end; a target out of reach is approached as far as links go."""
    dx, dy, dz = target[0] - root[0], target[1] - root[1], target[2] - root[2]
    d = np.sqrt(dx * dx + dy * dy + dz * dz)
    if d < 1e-6:  # no direction: any will do
        dx, dy, dz, d = 0.6, 0.0, 0.8, 1.0
    dx, dy, dz = dx / d, dy / d, dz / d
    d = min(max(d, abs(a - b) + 0.02), 0.999 * (a + b))
    along = (a * a + d * d - b * b) / (2 * d)
    off = np.sqrt(max(a * a - along * along, 0.0))
    dot = hint[0] * dx + hint[1] * dy + hint[2] * dz
    hx, hy, hz = hint[0] - dot * dx, hint[1] - dot * dy, hint[2] - dot * dz
    size = np.sqrt(hx * hx + hy * hy + hz * hz) + 1e-9
    joint[0] = root[0] + dx * along + hx / size * off
    joint[1] = root[1] + dy * along + hy / size * off
    joint[2] = root[2] + dz * along + hz / size * off
    end[0], end[1], end[2] = root[0] + dx * d, root[1] + dy * d, root[2] + dz * d


@njit(cache=True)
def _put(out: NDArray[np.float32], row: int, a: Float, b: Float, radius: float) -> None:
    for k in range(3):
        out[row, k] = a[k]
        out[row, 3 + k] = b[k]
    out[row, 6] = radius


@njit(cache=True)
def pose_body(
    dims: Float, stance: Float, hands: Float, carrier: int, capsules: NDArray[np.float32], points: Float
) -> None:
    """Fill capsules [C, 7] and points [5, 3] (head, left palm, right palm, left shoulder, right shoulder).

    hands [2, 8]: H_POSE, H_PROGRESS, H_START xyz, H_TARGET xyz.
    """
    spine = np.empty((4, 3))
    _spine(dims, stance, spine)
    c, s = np.cos(stance[HEADING]), np.sin(stance[HEADING])
    girth = dims[GIRTH]
    _trunk(dims, stance, spine, capsules, points)
    want, elbow, palm, hint = np.empty(3), np.empty(3), np.empty(3), np.empty(3)
    for i in range(2):
        side = 1.0 - 2.0 * i
        if hands[i, H_POSE] < 0:
            want[:] = hands[i, H_TARGET : H_TARGET + 3]
        else:
            hand_place(dims, stance, side, int(hands[i, H_POSE]), want)
        u = min(1.0, max(0.0, hands[i, H_PROGRESS]))
        u = u * u * u * (10 + u * (6 * u - 15))  # minimum jerk
        for k in range(3):
            want[k] = hands[i, H_START + k] * (1 - u) + want[k] * u
        hint[0] = -0.5 * c - s * side * 0.6
        hint[1] = -0.5 * s + c * side * 0.6
        hint[2] = -0.8
        two_link(spine[2 + i], want, dims[UPPER], dims[FORE], hint, elbow, palm)
        points[1 + i] = palm
        points[3 + i] = spine[2 + i]
        _put(capsules, 6 + i, spine[2 + i], elbow, 0.58 * girth)
        wrist = elbow + (palm - elbow) * 0.72
        tip = elbow + (palm - elbow) * 1.12
        _put(capsules, 8 + i, elbow, wrist, 0.42 * girth)
        _put(capsules, 10 + i, wrist + (tip - wrist) * 0.35, tip, 0.36 * girth)
        _leg(dims, stance, spine[0], side, i, capsules)
    _carried(dims, stance, carrier, spine, points, capsules)


@njit(cache=True)
def _trunk(dims: Float, stance: Float, spine: Float, capsules: NDArray[np.float32], points: Float) -> None:
    c, s = np.cos(stance[HEADING]), np.sin(stance[HEADING])
    girth = dims[GIRTH]
    across = np.array([-s, c, 0.0])
    _put(capsules, 0, spine[0] + across * dims[HIP], spine[0] - across * dims[HIP], 1.25 * girth)
    _put(capsules, 1, spine[0] + np.array([0.0, 0.0, 0.02]), spine[1] * 0.75 + spine[0] * 0.25, 1.35 * girth)
    turn = stance[HEADING] + stance[TWIST]
    wide = np.array([-np.sin(turn), np.cos(turn), 0.0])
    chest = spine[1] * 0.78 + spine[0] * 0.22
    inner = dims[SHOULDER] * 0.5
    _put(capsules, 2, chest + wide * inner, chest - wide * inner, 1.25 * girth)
    inner = dims[SHOULDER] * 0.8
    low = spine[1] - np.array([0.0, 0.0, 0.03])
    _put(capsules, 3, low + wide * inner, low - wide * inner, 0.78 * girth)
    gaze = stance[HEADING] + 0.5 * stance[TWIST] + stance[LOOK_YAW]
    ahead = np.array([np.cos(gaze), np.sin(gaze), 0.0])
    nod = np.sin(0.6 * stance[LEAN]) * dims[NECK]
    head = spine[1] + np.array([c * nod, s * nod, dims[NECK] * np.cos(0.6 * stance[LEAN])])
    points[0] = head
    r = dims[HEAD_R]
    pitch = stance[LOOK_PITCH] + 0.5 * stance[LEAN]
    face = ahead * np.cos(pitch) - np.array([0.0, 0.0, np.sin(pitch)])
    up = ahead * np.sin(pitch) + np.array([0.0, 0.0, np.cos(pitch)])
    _put(capsules, 4, head - up * 0.35 * r + face * 0.12 * r, head + up * 0.15 * r + face * 0.12 * r, 0.86 * r)
    _put(capsules, 5, head + up * 0.2 * r - face * 0.14 * r, head - face * 0.2 * r, 0.9 * r)


@njit(cache=True)
def _leg(dims: Float, stance: Float, pelvis: Float, side: float, i: int, capsules: NDArray[np.float32]) -> None:
    c, s = np.cos(stance[HEADING]), np.sin(stance[HEADING])
    hip, foot, knee, end = np.empty(3), np.empty(3), np.empty(3), np.empty(3)
    hip[0] = pelvis[0] - s * side * dims[HIP]
    hip[1] = pelvis[1] + c * side * dims[HIP]
    hip[2] = pelvis[2]
    swing = np.sin(stance[PHASE]) * stance[STRIDE] * -side
    step = swing * 0.17 * dims[HEIGHT]
    lift = max(0.0, np.cos(stance[PHASE]) * -side) * stance[STRIDE] * 0.05 * dims[HEIGHT]
    foot[0] = stance[X] + c * step - s * side * (dims[HIP] + 0.02)
    foot[1] = stance[Y] + s * step + c * side * (dims[HIP] + 0.02)
    foot[2] = 0.06 + lift
    spread = side * min(1.4, 4.0 * stance[CROUCH] / dims[HEIGHT])  # who squats opens the knees
    hint = np.array([c - s * spread, s + c * spread, 0.1])
    two_link(hip, foot, dims[THIGH], dims[SHIN], hint, knee, end)
    _put(capsules, 12 + i, hip, knee, 0.85 * dims[GIRTH])
    _put(capsules, 14 + i, knee, end, 0.6 * dims[GIRTH])


@njit(cache=True)
def _carried(
    dims: Float, stance: Float, carrier: int, spine: Float, points: Float, capsules: NDArray[np.float32]
) -> None:
    c, s = np.cos(stance[HEADING]), np.sin(stance[HEADING])
    ahead, left = np.array([c, s, 0.0]), np.array([-s, c, 0.0])
    if carrier == 1:  # a bag on the left hip, its strap over the right shoulder
        bag = spine[0] + left * (dims[HIP] + 1.6 * dims[GIRTH] + 0.02) - ahead * 0.03
        _put(capsules, 16, bag + ahead * 0.09, bag - ahead * 0.09 - np.array([0.0, 0.0, 0.05]), 0.075)
        _put(capsules, 17, spine[3] + np.array([0.0, 0.0, 0.05]), bag, 0.025)
    elif carrier == 2:  # a basket that hangs from the left hand
        grip = points[1]
        for k in range(2):
            base = grip + left * (0.055 - 0.11 * k) - np.array([0.0, 0.0, 0.24])
            _put(capsules, 16 + k, base + ahead * 0.14, base - ahead * 0.14, 0.085)
        _put(capsules, 18, grip, grip - np.array([0.0, 0.0, 0.16]), 0.012)
    elif carrier == 3:  # a two-wheeled trolley that follows
        cart = np.array([stance[CART_X], stance[CART_Y], 0.0])
        _put(capsules, 16, cart + np.array([0.0, 0.0, 0.2]), cart + np.array([0.0, 0.0, 0.55]), 0.16)
        _put(capsules, 17, cart + np.array([0.0, 0.0, 0.6]), points[2], 0.018)
        axle = cart + np.array([0.0, 0.0, 0.06])
        _put(capsules, 18, axle + left * 0.15, axle - left * 0.15, 0.06)


@njit(cache=True)
def solve_reach(
    dims: Float, stance: Float, hand: int, target: Float, front: float, opening: tuple[float, float], top: float
) -> tuple[float, float, float, float]:
    """The easiest lean, twist and crouch with which a hand gets to `target`, and their cost (inf = out of reach).

    front: metres from the body's middle to the fixture's front plane along the heading; opening: lowest and highest
    z of the gap the arm passes; top: height of the fixture, above which the head may hang over it.
    """
    best, lean_, twist_, crouch_ = np.inf, 0.0, 0.0, 0.0
    trial = stance.copy()
    spine = np.empty((4, 3))
    arm = 0.97 * (dims[UPPER] + dims[FORE])
    side = 1.0 - 2.0 * hand
    c, s = np.cos(stance[HEADING]), np.sin(stance[HEADING])
    for i in range(9):
        trial[CROUCH] = i * 0.045 * dims[HEIGHT]
        for j in range(9):
            trial[LEAN] = j * 0.14
            for k in range(3):
                trial[TWIST] = -side * k * 0.3
                cost = 1.6 * trial[CROUCH] / dims[HEIGHT] + 0.5 * trial[LEAN] + 0.25 * trial[LEAN] ** 2 + 0.12 * k
                if cost >= best:
                    continue
                _spine(dims, trial, spine)
                shoulder = spine[2 + hand]
                gap = np.sqrt(np.sum((target - shoulder) ** 2))
                if gap > arm:
                    continue
                head_f = (spine[1, 0] - stance[X]) * c + (spine[1, 1] - stance[Y]) * s
                head_f += np.sin(0.6 * trial[LEAN]) * dims[NECK] + dims[HEAD_R]
                head_z = spine[1, 2] + dims[NECK] * 0.8 - dims[HEAD_R]
                if head_f > front - 0.01 and head_z < top + 0.02:
                    continue
                ahead = (target[0] - shoulder[0]) * c + (target[1] - shoulder[1]) * s
                before = front - ((shoulder[0] - stance[X]) * c + (shoulder[1] - stance[Y]) * s)
                if ahead > before > 0:
                    z = shoulder[2] + (target[2] - shoulder[2]) * before / ahead
                    cost += 1.5 * max(0.0, z - opening[1]) + 1.5 * max(0.0, opening[0] - z)
                cost += 2.0 * max(0.0, 0.3 * arm - gap)
                if cost < best:
                    best, lean_, twist_, crouch_ = cost, trial[LEAN], trial[TWIST], trial[CROUCH]
    return lean_, twist_, crouch_, best
