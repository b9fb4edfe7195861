"""Rules of space: crossed floors, lanes outside shelves, fixtures in each other, cameras below the floor."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np

from openaisle.store.geometry import Camera, Float, apply
from openaisle.store.schema import CameraSpec, FixtureSpec, Point, ShelfSpec, StoreSpec
from openaisle.store.store import camera_from_spec, world_from_fixture
from openaisle.store.validate import Fault
from openaisle.store.yaml_file import Place

SLACK_M = 0.0015  # rounding in files
OVERLAP_M = 0.03  # fixtures are measured by hand: they may seem to overlap this much
CAMERA_MARGIN_M = 1.0  # cameras may hang a little outside the floor, on its walls
GATE_MARGIN_M = 0.5
MIN_GATE_M = 0.4


def footprint(fixture: FixtureSpec) -> Float:
    """World corners [4, 2] of a fixture, counter-clockwise from its origin."""
    w, d = fixture.width_m, fixture.depth_m
    corners: list[list[float]] = [[0, 0, 0], [w, 0, 0], [w, d, 0], [0, d, 0]]
    return apply(world_from_fixture(fixture), corners)[:, :2]


def signed_area(polygon: Sequence[Point]) -> float:
    """Area of a polygon in square metres, negative when it runs clockwise."""
    x, y = np.asarray(polygon).T
    return float((x * np.roll(y, -1) - y * np.roll(x, -1)).sum() / 2)


def outside_by(polygon: Sequence[Point], point: Sequence[float]) -> float:
    """Distance in metres from a point [2] to the polygon's border, negative inside."""
    corners = np.asarray(polygon)
    ahead = np.roll(corners, -1, axis=0)
    edge, to_point = ahead - corners, np.asarray(point, dtype=np.float64) - corners
    along = np.clip((edge * to_point).sum(1) / np.maximum((edge**2).sum(1), 1e-12), 0, 1)
    distance = float(np.linalg.norm(to_point - edge * along[:, None], axis=1).min())
    crosses = (corners[:, 1] > point[1]) != (ahead[:, 1] > point[1])
    rise = np.where(np.abs(edge[:, 1]) < 1e-9, 1.0, edge[:, 1])
    left = point[0] < corners[:, 0] + (point[1] - corners[:, 1]) / rise * edge[:, 0]
    return -distance if (crosses & left).sum() % 2 else distance


def check_floor(spec: StoreSpec) -> Iterator[Fault]:
    """A floor polygon must be simple, counter-clockwise and larger than nothing."""
    corners = spec.floor_m
    count = len(corners)
    for n in range(count):
        if corners[n] == corners[(n + 1) % count]:
            yield ("floor_m", n), "this corner is the same as the next one", "write each corner once"
    for a in range(count):
        for b in range(a + 2, count):
            if (b + 1) % count != a and _cross(corners[a], corners[a + 1], corners[b], corners[(b + 1) % count]):
                what = f"the floor crosses itself: edge {a} to {a + 1} meets edge {b} to {(b + 1) % count}"
                yield ("floor_m", a), what, "list the corners in order around the room"
                return
    area = signed_area(corners)
    if area <= -0.01:
        yield ("floor_m",), "the corners run clockwise", "list them counter-clockwise (reverse the list)"
    elif area < 0.01:
        yield ("floor_m",), "the floor has no area", "list at least three corners that are not in a line"


def _cross(a: Point, b: Point, c: Point, d: Point) -> bool:
    """Whether segment ab meets segment cd."""

    def side(p: Point, q: Point, r: Point) -> float:
        return (q[0] - p[0]) * (r[1] - p[1]) - (q[1] - p[1]) * (r[0] - p[0])

    def between(p: Point, q: Point, r: Point) -> bool:
        return min(p[0], q[0]) <= r[0] <= max(p[0], q[0]) and min(p[1], q[1]) <= r[1] <= max(p[1], q[1])

    s = side(a, b, c), side(a, b, d), side(c, d, a), side(c, d, b)
    if s[0] * s[1] < 0 and s[2] * s[3] < 0:
        return True
    ends = zip(s, ((a, b, c), (a, b, d), (c, d, a), (c, d, b)), strict=True)
    return any(turn == 0 and between(*three) for turn, three in ends)


def check_gates(spec: StoreSpec) -> Iterator[Fault]:
    """Gates must be wide enough, lie at the floor's edge or inside it, and let people in and out."""
    for n, gate in enumerate(spec.gates):
        width = float(np.hypot(gate.b_m[0] - gate.a_m[0], gate.b_m[1] - gate.a_m[1]))
        if width < MIN_GATE_M:
            what = f"the gate is {width:.2f} m wide"
            yield ("gates", n), what, f"place a_m and b_m at least {MIN_GATE_M} m apart"
        far = max(outside_by(spec.floor_m, gate.a_m), outside_by(spec.floor_m, gate.b_m))
        if far > GATE_MARGIN_M:
            yield ("gates", n), f"the gate lies {far:.2f} m outside the floor", "move it to the floor's edge"
    kinds = {gate.kind for gate in spec.gates}
    if "both" not in kinds:
        for need in ("entry", "exit"):
            if need not in kinds:
                yield ("gates",), f"no gate is an {need}", f"add a gate of kind {need} or both"


def check_fixtures(spec: StoreSpec) -> Iterator[Fault]:
    """Fixtures must stand on the floor, not in each other; shelves lie in fixtures, lanes in shelves."""
    prints = [footprint(fixture) for fixture in spec.fixtures]
    for n, fixture in enumerate(spec.fixtures):
        place: Place = ("fixtures", n)
        far = max(outside_by(spec.floor_m, corner) for corner in prints[n].tolist())
        if far > OVERLAP_M:
            what = f"the fixture {fixture.id!r} stands {far:.2f} m outside the floor"
            yield place, what, "correct x_m, y_m or yaw_deg"
        if fixture.height_m > spec.ceiling_m:
            what = f"{fixture.height_m} m is higher than the ceiling ({spec.ceiling_m} m)"
            yield (*place, "height_m"), what, "correct height_m, or ceiling_m of the store"
        for m in range(n):
            depth = _overlap(prints[m], prints[n])
            if depth > OVERLAP_M:
                what = f"the fixtures {spec.fixtures[m].id!r} and {fixture.id!r} stand {depth:.2f} m in each other"
                yield place, what, "move one of them"
        for s, shelf in enumerate(fixture.shelves):
            yield from _shelf((*place, "shelves", s), fixture, shelf)
        yield from _stacking(place, fixture)


def _overlap(one: Float, other: Float) -> float:
    """How deep two convex footprints [4, 2] reach into each other, 0 when apart (separating axes)."""
    depth = np.inf
    for polygon in (one, other):
        for edge in (polygon[1] - polygon[0], polygon[3] - polygon[0]):
            axis = edge / max(float(np.linalg.norm(edge)), 1e-9)
            a, b = one @ axis, other @ axis
            depth = min(depth, float(min(a.max(), b.max()) - max(a.min(), b.min())))
    return max(depth, 0.0)


def _shelf(place: Place, fixture: FixtureSpec, shelf: ShelfSpec) -> Iterator[Fault]:
    sides = (
        ("width_m", shelf.x_m + shelf.width_m, fixture.width_m, "x_m or width_m"),
        ("depth_m", shelf.y_m + shelf.depth_m, fixture.depth_m, "y_m or depth_m"),
        ("z_m", shelf.z_m, fixture.height_m, "z_m"),
    )
    for key, end, limit, fields in sides:
        if end > limit + SLACK_M:
            what = f"the shelf {shelf.id!r} reaches to {end:.3f} m, outside its fixture {fixture.id!r} ({limit:.3f} m)"
            yield (*place, key), what, f"reduce {fields}"
    by_start = sorted(enumerate(shelf.lanes), key=lambda pair: pair[1].x_m)
    for n, lane in by_start:
        end = lane.x_m + lane.width_m
        if end > shelf.width_m + SLACK_M:
            what = f"the lane {lane.id!r} ends at {end:.3f} m, outside its shelf {shelf.id!r} ({shelf.width_m:.3f} m)"
            yield (*place, "lanes", n), what, "reduce x_m or width_m"
    for (_, left), (n, right) in pairwise(by_start):
        over = left.x_m + left.width_m - right.x_m
        if over > SLACK_M:
            what = f"the lanes {left.id!r} and {right.id!r} overlap by {over:.3f} m"
            yield (*place, "lanes", n), what, "correct x_m or width_m"


def _stacking(place: Place, fixture: FixtureSpec) -> Iterator[Fault]:
    """Shelves one above the other need the free height they claim."""
    for n, low in enumerate(fixture.shelves):
        for high in fixture.shelves:
            side_by_side = min(low.x_m + low.width_m, high.x_m + high.width_m) - max(low.x_m, high.x_m) < SLACK_M
            one_behind = min(low.y_m + low.depth_m, high.y_m + high.depth_m) - max(low.y_m, high.y_m) < SLACK_M
            if high is low or high.z_m < low.z_m or side_by_side or one_behind:
                continue
            if high.z_m == low.z_m or low.z_m + low.clearance_m > high.z_m + SLACK_M:
                what = f"the shelf {low.id!r} and its clearance reach into the shelf {high.id!r} above"
                yield (*place, "shelves", n, "clearance_m"), what, "reduce clearance_m or correct z_m"


def check_cameras(spec: StoreSpec) -> Iterator[Fault]:
    """Cameras must hang between floor and ceiling, in or at the room, with exactly one rotation."""
    for n, camera in enumerate(spec.cameras):
        place: Place = ("cameras", n)
        x, y, z = camera.position_m
        if z <= 0:
            what = f"the camera {camera.id!r} is below the floor ({z} m)"
            yield (*place, "position_m"), what, "give the height in metres above the floor (z up)"
        elif z > spec.ceiling_m + SLACK_M:
            what = f"the camera {camera.id!r} is above the ceiling ({z} m, ceiling {spec.ceiling_m} m)"
            yield (*place, "position_m"), what, "correct the height, or ceiling_m of the store"
        far = outside_by(spec.floor_m, (x, y))
        if far > CAMERA_MARGIN_M:
            what = f"the camera {camera.id!r} hangs {far:.2f} m outside the floor"
            yield (*place, "position_m"), what, "correct x and y; metres in the store's frame"
        if (camera.look_at_m is None) == (camera.rotation_rodrigues is None):
            count = "no rotation" if camera.look_at_m is None else "two rotations"
            what = f"the camera {camera.id!r} has {count}"
            yield place, what, "give either look_at_m or rotation_rodrigues"
        elif camera.look_at_m == camera.position_m:
            yield (*place, "look_at_m"), f"the camera {camera.id!r} looks at itself", "give another point"
        else:
            yield from _lens(place, camera)


def _lens(place: Place, camera: CameraSpec) -> Iterator[Fault]:
    if camera.rotation_rodrigues is not None and camera.roll_deg != 0:
        yield (*place, "roll_deg"), "roll_deg goes with look_at_m only", "remove it; the rotation holds the roll"
    if not (0 <= camera.cx_px <= camera.width_px and 0 <= camera.cy_px <= camera.height_px):
        what = f"the principal point ({camera.cx_px}, {camera.cy_px}) lies outside the picture"
        yield (*place, "cx_px"), what, "correct cx_px and cy_px, or width_px and height_px"
    if folds(camera_from_spec(camera)):
        what = "the distortion folds over before it reaches the picture's corners"
        yield (*place, "distortion"), what, "calibrate again, or use fewer coefficients (k1 k2 p1 p2 k3)"


def folds(model: Camera) -> bool:
    """Whether the distortion turns back over itself before it reaches the picture's corners."""
    w, h = model.width_px - 1.0, model.height_px - 1.0
    corners = np.array([[0.0, 0.0], [w, 0.0], [w, h], [0.0, h]])
    _, rays = model.unproject(corners)
    back, depth = model.project(model.world_from_camera[:3, 3] + rays)
    return bool(depth.min() <= 0 or np.abs(back - corners).max() > 0.5)
