"""Hands fused from what bodies tell and what is seen: depth from two views, arms that reach, hands that hide."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from openaisle.modular.arms import MOST_SD_M, Hands, Sighting, fuse, move

Float = NDArray[np.float64]
FAR, NEAR = np.array([1.6, 1.0, 1.1]), np.array([1.0, 1.2, 0.8])
BEFORE = Hands(np.array([[1.2, 1.0, 0.9], [1.0, 1.2, 0.8]]), np.tile(np.eye(3) * 0.1, (2, 1, 1)))


def view(seen: list[Float], along: Float, *, told: Float | None = None, score: float = 0.9) -> Sighting:
    """One camera that looks along an axis and is unsure of that."""
    spread = np.eye(3) * 0.03**2 + np.outer(along, along) * 0.4**2
    n = len(seen)
    return Sighting(
        np.stack([FAR, NEAR]) if told is None else told, np.full(2, 0.25), np.array(seen).reshape(n, 3),
        np.tile(spread, (n, 1, 1)), np.full(n, score),
    )  # fmt: skip


def test_two_views_place_a_hand_that_neither_does_alone() -> None:
    x, y = np.eye(3)[:2]
    views = [view([FAR + 0.3 * x], x), view([FAR - 0.3 * y], y)]
    both = fuse(BEFORE, views)
    one = fuse(BEFORE, views[:1])
    assert np.linalg.norm(both.place[0] - FAR) < 0.06
    assert np.linalg.norm(one.place[0] - FAR) > 2 * np.linalg.norm(both.place[0] - FAR)
    assert np.trace(both.spread[0]) < np.trace(one.spread[0])


def test_hands_that_are_not_seen_are_where_bodies_tell() -> None:
    none = fuse(BEFORE, [view([], np.eye(3)[0]), view([], np.eye(3)[1])])
    assert np.linalg.norm(none.place[0] - FAR) < np.linalg.norm(BEFORE.place[0] - FAR)
    assert fuse(BEFORE, []) is BEFORE


def test_far_and_near_follow_the_body_not_the_row() -> None:
    turned = Hands(BEFORE.place[::-1], BEFORE.spread[::-1])
    views = [view([], np.eye(3)[0])]
    np.testing.assert_allclose(fuse(turned, views).place, fuse(BEFORE, views).place)


def test_each_hand_has_its_own_sighting_and_clutter_none() -> None:
    views = [view([NEAR + np.array([0, 0, 0.05]), FAR, FAR + np.array([0, 0.4, 0.5])], axis) for axis in np.eye(3)[:2]]
    views[1] = view([FAR, NEAR + np.array([0, 0, 0.05]), NEAR + np.array([0.6, 0, 0.4])], np.eye(3)[1])
    found = fuse(BEFORE, views)
    assert np.linalg.norm(found.place[0] - FAR) < 0.06
    assert np.linalg.norm(found.place[1] - NEAR - np.array([0, 0, 0.05])) < 0.06


def test_one_hand_that_shows_is_not_both() -> None:
    """Bodies guess hands on either side of the one that shows: the other one hides, and is not put on top of it."""
    told = np.stack([FAR, FAR + np.array([0.0, 0.7, 0.0])])
    shows = FAR + np.array([0.0, 0.35, 0.0])
    found = fuse(Hands(told, BEFORE.spread), [view([shows], axis, told=told) for axis in np.eye(3)[:2]])
    away = np.sort(np.linalg.norm(found.place - shows, axis=1))
    assert away[0] < 0.06
    assert away[1] > 0.1


def test_a_hand_is_where_rays_cross_however_far_along_them_each_is_thought() -> None:
    x, y = np.eye(3)[:2]
    away = FAR + np.array([0.3, 0.3, 0.3])
    views = [view([away + 0.6 * x], x, told=BEFORE.place), view([away - 0.6 * y], y, told=BEFORE.place)]
    assert np.linalg.norm(fuse(BEFORE, views).place - away, axis=1).min() < 0.08


def test_an_arm_that_darts_out_is_found_where_views_agree() -> None:
    """Bodies tell nothing of it, and it was elsewhere: three views that agree are enough, one is not."""
    away, hanging = FAR + np.array([0.2, 0.2, 0.1]), BEFORE.place
    views = [view([away], axis, told=hanging) for axis in (*np.eye(3)[:2], np.array([0.6, 0.0, 0.8]))]
    assert np.linalg.norm(fuse(BEFORE, views).place - away, axis=1).min() < 0.06
    assert np.linalg.norm(fuse(BEFORE, views[:1]).place[0] - away) > 0.2


def test_doubtful_sightings_leave_a_hand_less_sure() -> None:
    x = np.eye(3)[0]
    sure, doubtful = (fuse(BEFORE, [view([FAR + np.array([0, 0.1, 0])], x, score=s)]) for s in (0.9, 0.02))
    assert np.trace(sure.spread[0]) < np.trace(doubtful.spread[0])


def test_hands_move_with_the_body_and_grow_uncertain_within_bounds() -> None:
    moved = move(BEFORE, np.array([0.3, -0.1]), 0.2)
    np.testing.assert_allclose(moved.place - BEFORE.place, np.tile([0.3, -0.1, 0.0], (2, 1)))
    assert (np.trace(moved.spread, axis1=1, axis2=2) > np.trace(BEFORE.spread, axis1=1, axis2=2)).all()
    for _ in range(100):
        moved = move(moved, np.zeros(2), 0.2)
    assert np.sqrt(np.trace(moved.spread[0]) / 3) <= MOST_SD_M + 1e-9
