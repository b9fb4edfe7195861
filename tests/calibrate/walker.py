"""Somebody made of capsules who walks through a drawn shop, as its cameras see them; furniture hides what is behind.

Exact up to the lens: each capsule is the hull of the tangent circles of balls at its ends. Cheap: no simulator.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from openaisle.calibrate.ground import Ground
from openaisle.calibrate.silhouettes import Picture
from openaisle.store.geometry import Camera, Float, apply, invert
from openaisle.store.schema import FixtureSpec
from openaisle.store.store import world_from_fixture

FPS = 5.0
ROOMS = 5  # pictures of the empty shop
Capsule = tuple[Float, Float, float]  # ends [3], radius


def path(ground: Ground, gate_m: Float, seconds: float, rng: np.random.Generator) -> Float:
    """Places [n, 2] at FPS, from the gate through free floor and back; 0.9 m/s, and a moment at each turn."""
    low, high = ground.low_m, ground.high_m
    legs, here, spent = [gate_m[None].repeat(3, 0)], gate_m, 0.0
    for _ in range(5000):
        there = gate_m if spent > seconds else rng.uniform(low, high)
        way = here + np.linspace(0, 1, max(2, round(np.hypot(*(there - here)) / 0.9 * FPS)))[:, None] * (there - here)
        if ground.clearance(way[-1:])[0] < 0.3 or ground.clearance(way).min() < 0.22:
            if spent > seconds:
                spent -= 0.3
            continue
        legs += [way[1:], there[None].repeat(int(rng.integers(1, 5)), 0)]
        here, spent = there, spent + (len(way) + 3) / FPS
        if there is gate_m:
            break
    steps = np.concatenate(legs)
    smooth = np.stack([np.convolve(np.pad(steps[:, axis], 1, "edge"), [0.25, 0.5, 0.25], "valid") for axis in (0, 1)])
    return np.asarray(smooth.T)


def capsules(place: Float, heading: float, phase: float, stride: float, height_m: float) -> list[Capsule]:
    """A body: head, neck, trunk, arms, legs and shoes."""
    ahead, left = np.array([np.cos(heading), np.sin(heading), 0]), np.array([-np.sin(heading), np.cos(heading), 0])
    at, up = np.append(place, 0.0), np.array([0.0, 0.0, height_m])
    head = at + up - [0, 0, 0.11] + 0.03 * ahead
    out = [(head, head, 0.11), (at + 0.84 * up, at + 0.88 * up, 0.06)]
    for side, sway in ((1, np.sin(phase)), (-1, -np.sin(phase))):
        hip, ankle = at + 0.5 * up + side * 0.09 * left, at + [0, 0, 0.06] + side * 0.09 * left
        ankle = ankle + 0.5 * stride * sway * ahead
        shoulder, hand = at + 0.8 * up + side * 0.17 * left, at + 0.45 * up + side * 0.24 * left
        out += [
            (hip, ankle, 0.07), (ankle - 0.04 * ahead, ankle + 0.14 * ahead, 0.05), (hip, shoulder - [0, 0, 0.02], 0.1),
            (shoulder, hand - 0.4 * stride * sway * ahead, 0.045),
        ]  # fmt: skip
    return out


def outline(camera: Camera, one: Capsule) -> NDArray[np.float32]:
    """Convex hull [n, 1, 2] of a capsule's picture in pixels; empty where any of it is behind the camera."""
    points = []
    turns = np.linspace(0, 2 * np.pi, 14, endpoint=False)
    for centre in one[:2]:
        view = centre - camera.world_from_camera[:3, 3]
        far = float(np.linalg.norm(view))
        side = np.cross(view, [0.0, 1.0, 0.3])
        side /= np.linalg.norm(side)
        rest = np.cross(view / far, side)
        ratio = min(one[2] / far, 0.9)
        middle, radius = centre - view * ratio**2, one[2] * np.sqrt(1 - ratio**2)
        points.append(middle + radius * (np.cos(turns)[:, None] * side + np.sin(turns)[:, None] * rest))
    pixels, depth = camera.project(np.concatenate(points))
    if depth.min() < 0.05:
        return np.zeros((0, 1, 2), np.float32)
    return np.asarray(cv2.convexHull(np.clip(pixels, -2000, 2000).astype(np.float32)), np.float32)


def furniture_m(camera: Camera, fixtures: Sequence[FixtureSpec]) -> Float:
    """Metres [H, W] along each pixel's ray to the nearest furniture."""
    columns, rows = np.meshgrid(np.arange(camera.width_px), np.arange(camera.height_px))
    eye, rays = camera.unproject(np.stack([columns, rows], axis=-1).reshape(-1, 2))
    nearest = np.full(len(rays), np.inf)
    for fixture in fixtures:
        local = invert(world_from_fixture(fixture))
        start, step = apply(local, eye), rays @ local[:3, :3].T
        step = np.where(np.abs(step) < 1e-9, 1e-9, step)
        one, other = -start / step, ([fixture.width_m, fixture.depth_m, fixture.height_m] - start) / step
        enter, leave = np.minimum(one, other).max(axis=1), np.maximum(one, other).min(axis=1)
        nearest = np.where((enter < leave) & (enter > 0), np.minimum(nearest, enter), nearest)
    return nearest.reshape(camera.height_px, camera.width_px)


def film(
    cameras: Sequence[Camera],
    fixtures: Sequence[FixtureSpec],
    paths: Sequence[Float],
    height_m: float,
    rng: np.random.Generator,
) -> Iterator[Picture]:
    """Pictures of all cameras, all at the same instants: noise, a patterned room, and who walks (all at once)."""
    rooms = {camera.id: _room(camera, rng) for camera in cameras}
    hidden = {camera.id: furniture_m(camera, fixtures) for camera in cameras}
    for step in range(max(map(len, paths))):
        bodies = [_body(way, step, height_m) for way in paths if step < len(way)]
        for camera in cameras:
            picture = rooms[camera.id][int(rng.integers(ROOMS))].copy()
            for body in bodies:
                for n, one in enumerate(body):
                    _draw(picture, camera, one, hidden[camera.id], (60 + 25 * (n % 3), 30, 40 + 20 * (n % 4)))
            yield Picture(camera.id, step / FPS, picture)


def _body(way: Float, step: int, height_m: float) -> list[Capsule]:
    before, after = way[max(step - 1, 0)], way[min(step + 1, len(way) - 1)]
    move = after - before
    heading = float(np.arctan2(move[1], move[0])) if np.hypot(*move) > 0.02 else 1.0
    return capsules(way[step], heading, 1.7 * step, min(0.6, 1.6 * float(np.hypot(*move))), height_m)


def _room(camera: Camera, rng: np.random.Generator) -> NDArray[np.uint8]:
    """The empty shop [ROOMS, H, W, 3], each with its own noise."""
    coarse = rng.uniform(110, 210, (12, 16, 3)).astype(np.float32)
    room = cv2.resize(coarse, (camera.width_px, camera.height_px))
    return np.asarray(np.clip(room + rng.normal(0, 2.0, (ROOMS, *room.shape)), 0, 255), np.uint8)


def _draw(
    picture: NDArray[np.uint8], camera: Camera, one: Capsule, hidden: Float, colour: tuple[int, int, int]
) -> None:
    hull = outline(camera, one)
    if not len(hull) or not camera.sees(np.stack(one[:2]), -60.0).any():
        return
    (left, top), (right, bottom) = np.clip(hull.min(axis=(0, 1)) - 1, 0, 1e4), hull.max(axis=(0, 1)) + 2
    window = (slice(int(top), max(int(bottom), 0)), slice(int(left), max(int(right), 0)))
    mask = np.zeros(picture[window].shape[:2], np.uint8)
    if not mask.size:
        return
    shifted = np.round((hull - [int(left), int(top)]) * 16).astype(np.int32)
    cv2.fillConvexPoly(mask, shifted, 1, cv2.LINE_8, 4)
    far = float(np.linalg.norm((one[0] + one[1]) / 2 - camera.world_from_camera[:3, 3]))
    picture[window][(mask > 0) & (far < hidden[window])] = colour
