"""Walking: ways round the furniture (distance fields) and round other people (velocity choice, hard limits).

People are discs. The ground is the floor polygon minus the fixtures' rectangles. Every move is tested before
it is made, one person after the other, so two discs never overlap and nobody stands in a fixture.
"""

from __future__ import annotations

import heapq
from collections import OrderedDict

import numpy as np
from numba import njit
from numpy.typing import NDArray

from openaisle.store.schema import GateSpec
from openaisle.store.store import Store

Float = NDArray[np.float64]
FIELDS_KEPT = 96  # distance fields in the cache: a market's weigh 0.1 MB each
TURNS = np.deg2rad([0.0, -15, 15, -30, 30, -50, 50, -75, 75, -105, 105, -140, 140, 180])
PACES = np.array([1.0, 0.65, 0.3])


@njit(cache=True)
def rect_distance(x: float, y: float, rect: Float) -> float:
    """Signed distance in metres from a point to a turned rectangle (ox oy cos sin width depth), negative inside."""
    dx, dy = x - rect[0], y - rect[1]
    u = dx * rect[2] + dy * rect[3] - rect[4] / 2
    v = dy * rect[2] - dx * rect[3] - rect[5] / 2
    u, v = abs(u) - rect[4] / 2, abs(v) - rect[5] / 2
    if u > 0 and v > 0:
        return float(np.sqrt(u * u + v * v))
    return float(max(u, v))


@njit(cache=True)
def wall_distance(x: float, y: float, floor: Float) -> float:
    """Signed distance in metres from a point to the border of the floor polygon [n, 2], negative outside."""
    best = 1e9
    inside = False
    n = len(floor)
    for i in range(n):
        ax, ay = floor[i]
        bx, by = floor[(i + 1) % n]
        ex, ey = bx - ax, by - ay
        t = ((x - ax) * ex + (y - ay) * ey) / (ex * ex + ey * ey)
        t = min(1.0, max(0.0, t))
        best = min(best, np.hypot(x - ax - t * ex, y - ay - t * ey))
        if (ay > y) != (by > y) and x < ax + (y - ay) / (by - ay) * ex:
            inside = not inside
    return best if inside else -best


@njit(cache=True)
def clearance(x: float, y: float, rects: Float, floor: Float, walls: bool) -> float:
    """Distance in metres to the nearest fixture and, if `walls`, to the nearest wall; negative inside them."""
    best = wall_distance(x, y, floor) if walls else 1e9
    for i in range(len(rects)):
        best = min(best, rect_distance(x, y, rects[i]))
    return best


@njit(cache=True)
def _clearance_map(x0: float, y0: float, cell: float, shape: tuple[int, int], rects: Float, floor: Float) -> Float:
    out = np.empty(shape)
    for iy in range(shape[0]):
        for ix in range(shape[1]):
            out[iy, ix] = clearance(x0 + ix * cell, y0 + iy * cell, rects, floor, True)
    return out


@njit(cache=True)
def _distance_field(free: Float, radius: float, gy: int, gx: int, cell: float) -> Float:
    """Dijkstra from the goal cell over all cells a disc of `radius` fits in; close to things is dearer."""
    ny, nx = free.shape
    out = np.full((ny, nx), np.inf)
    out[gy, gx] = 0.0
    heap = [(0.0, gy * nx + gx)]
    while len(heap) > 0:
        d, at = heapq.heappop(heap)
        cy, cx = at // nx, at % nx
        if d > out[cy, cx]:
            continue
        for dy in range(-1, 2):
            for dx in range(-1, 2):
                y, x = cy + dy, cx + dx
                if (dy == 0 and dx == 0) or y < 0 or x < 0 or y >= ny or x >= nx:
                    continue
                room = free[y, x] - radius
                if room < -0.03:
                    continue
                step = cell * (1.4142135 if dy != 0 and dx != 0 else 1.0)
                step *= 1.0 + 2.5 * max(0.0, 0.25 - room)
                if d + step < out[y, x]:
                    out[y, x] = d + step
                    heapq.heappush(heap, (d + step, y * nx + x))
    return out


@njit(cache=True)
def _descend(field: Float, x0: float, y0: float, cell: float, x: float, y: float, steps: int) -> tuple[float, float]:
    """The point `steps` cells further down the field from (x, y); (x, y) itself where the field knows no way."""
    ny, nx = field.shape
    cx = min(nx - 1, max(0, round((x - x0) / cell)))
    cy = min(ny - 1, max(0, round((y - y0) / cell)))
    reach = 1
    while not np.isfinite(field[cy, cx]) and reach <= 4:  # pushed into a cell that is too tight: nearest good one
        best = np.inf
        ty, tx = cy, cx
        for iy in range(max(0, cy - reach), min(ny, cy + reach + 1)):
            for ix in range(max(0, cx - reach), min(nx, cx + reach + 1)):
                if field[iy, ix] < best:
                    best = field[iy, ix]
                    ty, tx = iy, ix
        cy, cx = ty, tx
        reach += 1
    for _ in range(steps):
        best = field[cy, cx]
        ty, tx = cy, cx
        for iy in range(max(0, cy - 1), min(ny, cy + 2)):
            for ix in range(max(0, cx - 1), min(nx, cx + 2)):
                if field[iy, ix] < best:
                    best = field[iy, ix]
                    ty, tx = iy, ix
        if ty == cy and tx == cx:
            break
        cy, cx = ty, tx
    if not np.isfinite(field[cy, cx]):
        return x, y
    return x0 + cx * cell, y0 + cy * cell


@njit(cache=True)
def steer(me: Float, want: Float, discs: Float, rects: Float, floor: Float, walls: bool) -> tuple[float, float]:
    """The velocity closest to `want` [2] that hits nobody soon.

    me [5] = x y vx vy r; discs [n, 5] the same for the others. Source: sampled velocity obstacles (van den Berg).
    """
    speed = np.hypot(want[0], want[1])
    best, out_x, out_y = 1e9, 0.0, 0.0
    for turn in range(len(TURNS) + 1):
        for pace in range(len(PACES)):
            if turn == len(TURNS):
                vx, vy, cost = 0.0, 0.0, 0.9 * speed
            else:
                c, s = np.cos(TURNS[turn]), np.sin(TURNS[turn])
                vx = (want[0] * c - want[1] * s) * PACES[pace]
                vy = (want[0] * s + want[1] * c) * PACES[pace]
                cost = np.hypot(vx - want[0], vy - want[1])
                cost += 0.02 if TURNS[turn] > 0 else 0.0  # people give way to the right
            for k in range(len(discs)):
                cost += _danger(me, vx, vy, discs[k])
                if cost > best:
                    break
            if cost < best:
                room = clearance(me[0] + 0.35 * vx, me[1] + 0.35 * vy, rects, floor, walls) - me[4]
                if room < 0.0:
                    cost += 0.5 - 4.0 * room
            if cost < best:
                best, out_x, out_y = cost, vx, vy
    return out_x, out_y


@njit(cache=True)
def _danger(me: Float, vx: float, vy: float, other: Float) -> float:
    """Cost of meeting another disc within 2 s at relative velocity (vx, vy) - its own."""
    px, py = other[0] - me[0], other[1] - me[1]
    reach = me[4] + other[4] + 0.06
    gap2 = px * px + py * py
    if gap2 > 16.0:
        return 0.0
    wx, wy = vx - other[2], vy - other[3]
    towards = px * wx + py * wy
    if gap2 < reach * reach:
        return float(3.0 * max(0.0, towards / np.sqrt(gap2 + 1e-9)))
    if towards <= 0:
        return 0.0
    w2 = wx * wx + wy * wy + 1e-12
    root = towards * towards - w2 * (gap2 - reach * reach)
    if root <= 0:
        return 0.0
    time = (towards - np.sqrt(root)) / w2
    return 0.0 if time > 2.0 else 0.35 * (1.0 / (time + 0.15) - 0.46)


@njit(cache=True)
def _fits(x: float, y: float, r: float, discs: Float, rects: Float, floor: Float, walls: bool) -> bool:
    for k in range(len(discs)):
        if np.hypot(discs[k, 0] - x, discs[k, 1] - y) < r + discs[k, 4]:
            return False
    return bool(clearance(x, y, rects, floor, walls) >= r)


@njit(cache=True)
def settle(x: float, y: float, me: Float, discs: Float, rects: Float, floor: Float, walls: bool) -> tuple[float, float]:
    """Where a disc that wants to move to (x, y) may really stand; it stays where it is when nothing fits."""
    r = me[4]
    if _fits(x, y, r, discs, rects, floor, walls):
        return x, y
    for _ in range(3):  # push out of whatever is in the way: slides along it
        for k in range(len(discs)):
            dx, dy = x - discs[k, 0], y - discs[k, 1]
            gap = np.hypot(dx, dy)
            need = r + discs[k, 4] + 1e-4
            if gap < need:
                x += dx / (gap + 1e-9) * (need - gap)
                y += dy / (gap + 1e-9) * (need - gap)
        room = clearance(x, y, rects, floor, walls)
        if room < r:
            gx = clearance(x + 1e-3, y, rects, floor, walls) - clearance(x - 1e-3, y, rects, floor, walls)
            gy = clearance(x, y + 1e-3, rects, floor, walls) - clearance(x, y - 1e-3, rects, floor, walls)
            size = np.hypot(gx, gy) + 1e-12
            x += gx / size * (r - room + 1e-4)
            y += gy / size * (r - room + 1e-4)
        if _fits(x, y, r, discs, rects, floor, walls):
            if np.hypot(x - me[0], y - me[1]) < 0.12:  # no leaps
                return x, y
            break
    return me[0], me[1]


class Ground:
    """The walkable floor of a store: clearance and ways to any goal."""

    def __init__(self, store: Store) -> None:
        self.rects = np.array([
            (f.x_m, f.y_m, np.cos(np.deg2rad(f.yaw_deg)), np.sin(np.deg2rad(f.yaw_deg)), f.width_m, f.depth_m)
            for f in store.spec.fixtures
        ])  # fmt: skip
        self.floor = np.array(store.spec.floor_m, dtype=np.float64)
        low, high = self.floor.min(axis=0), self.floor.max(axis=0)
        area = float(np.prod(high - low))
        self.cell_m = 0.05 if area < 40 else 0.08 if area < 120 else 0.1
        self.x0, self.y0 = float(low[0]), float(low[1])
        shape = (int((high[1] - low[1]) / self.cell_m) + 1, int((high[0] - low[0]) / self.cell_m) + 1)
        self.free = _clearance_map(self.x0, self.y0, self.cell_m, shape, self.rects, self.floor)
        self._fields: OrderedDict[tuple[int, int, int], Float] = OrderedDict()

    def clearance(self, x: float, y: float) -> float:
        """Metres to the nearest fixture or wall; negative inside them."""
        return float(clearance(x, y, self.rects, self.floor, True))

    def field(self, goal: Float, radius_m: float) -> Float:
        """Walking distance in metres to `goal` from every cell, for a disc of `radius_m`; inf = no way."""
        gx, gy = self._cell(goal)
        key = (gx, gy, int(np.ceil(radius_m * 50)))
        if key in self._fields:
            self._fields.move_to_end(key)
            return self._fields[key]
        field = _distance_field(self.free, key[2] / 50, gy, gx, self.cell_m)
        self._fields[key] = field
        if len(self._fields) > FIELDS_KEPT:
            self._fields.popitem(last=False)
        return field

    def distance(self, field: Float, at: Float) -> float:
        """Walking distance in metres from `at` to the goal of `field`."""
        gx, gy = self._cell(at)
        return float(field[gy, gx])

    def next_point(self, field: Float, at: Float, look_m: float = 0.4) -> tuple[float, float]:
        """A point about `look_m` further on the way from `at` down `field`."""
        steps = max(2, round(look_m / self.cell_m))
        return _descend(field, self.x0, self.y0, self.cell_m, float(at[0]), float(at[1]), steps)

    def random_point(self, rng: np.random.Generator, radius_m: float, near: Float, within_m: float) -> Float:
        """A free place within `within_m` of `near`; `near` itself when twenty tries find none."""
        for _ in range(20):
            point = near + rng.uniform(-within_m, within_m, 2)
            if self.clearance(point[0], point[1]) > radius_m + 0.05:
                return np.asarray(point)
        return near.copy()

    def _cell(self, point: Float) -> tuple[int, int]:
        ny, nx = self.free.shape
        x = min(nx - 1, max(0, round((point[0] - self.x0) / self.cell_m)))
        y = min(ny - 1, max(0, round((point[1] - self.y0) / self.cell_m)))
        return int(x), int(y)


class Doorway:
    """A gate as people use it: a point outside, a point inside and one passage at a time."""

    def __init__(self, gate: GateSpec, ground: Ground) -> None:
        self.gate = gate
        a, b = np.array(gate.a_m), np.array(gate.b_m)
        self.middle = (a + b) / 2
        along = (b - a) / np.linalg.norm(b - a)
        self.along = along
        normal = np.array([-along[1], along[0]])
        ahead, behind = self.middle + 0.3 * normal, self.middle - 0.3 * normal
        inward = wall_distance(ahead[0], ahead[1], ground.floor) >= wall_distance(behind[0], behind[1], ground.floor)
        self.inward = normal if inward else -normal
        self.width_m = float(np.linalg.norm(b - a))
        self.outside = self.middle - 0.55 * self.inward
        self.inside = self.middle + 0.6 * self.inward
        self.user = -1  # number of the person who is passing, -1 = free

    def aside_m(self, rng: np.random.Generator, radius_m: float) -> float:
        """How far from the middle of the gate somebody walks through it."""
        room = max(0.0, self.width_m / 2 - radius_m - 0.05)
        return float(rng.uniform(-room, room))

    def depth(self, point: Float) -> float:
        """Signed distance in metres past the gate's line, positive inside."""
        return float((point - self.middle) @ self.inward)
