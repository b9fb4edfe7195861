"""Who: hands in the lane while it happened, all events of a time at once."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from openaisle.tokens.journey import lane_table
from openaisle.tokens.scales import RATE_HZ
from openaisle.weighing.associate import (
    TURN,
    TURNED,
    Done,
    Hands,
    assign,
    at_once,
    chances,
    cost_of_anybody,
    distance,
)
from openaisle.weighing.witness import ALONE_SEEN, ALONE_SHOWN, SEEN, Look
from tests.tokens.corner import corner_store

TABLE = lane_table(corner_store())
SLOTS = 200


def in_lane(lane: int, off_m: float = 0.0) -> NDArray[np.float64]:
    """A point in the middle of a lane, or so far before its opening."""
    inside = np.array([TABLE.size_m[lane, 0] / 2, 0.1 - (off_m + 0.1 if off_m else 0.0), 0.1])
    return np.asarray(TABLE.rotation[lane].T @ (inside - TABLE.translation[lane]))


def hands(*places: NDArray[np.float64], sd: float = 0.05) -> Hands:
    """People who hold both hands at one place all the time."""
    at = np.tile(np.array(places).reshape(1, -1, 1, 3), (SLOTS, 1, 2, 1))
    names = tuple(f"v{i}" for i in range(len(places)))
    return Hands(0, names, tuple(range(len(places))), at, np.full(at.shape[:3], sd))


def test_distance_is_nothing_inside_and_metres_outside() -> None:
    assert distance(TABLE, 0, in_lane(0)) == pytest.approx(0, abs=1e-6)
    assert distance(TABLE, 0, in_lane(0, 0.3)) == pytest.approx(0.3, abs=1e-5)


def test_the_hand_in_the_lane_is_the_one() -> None:
    close = hands(in_lane(0, 0.4), in_lane(0), in_lane(1)).closeness(TABLE, 0, 2 * RATE_HZ)
    share = chances(close, [True, True, True])
    assert share.argmax() == 1
    assert share[1] > 0.9
    assert cost_of_anybody(close, [True, True, True]) < cost_of_anybody(close, [True, False, True])


def test_hands_count_less_where_somebody_writes_and_wrote_nothing() -> None:
    look = Look(np.array([-3.0, -0.05]), {})
    both = replace(hands(in_lane(0), in_lane(0, 0.2)), looks=lambda scale, sample: look)
    close = both.closeness(TABLE, 0, 2 * RATE_HZ)
    for who, shown, seen in ((both, ALONE_SHOWN, ALONE_SEEN), (replace(both, heard=False), 1.0, SEEN)):
        found = who.belief(TABLE, ("take", 0, 0), 2 * RATE_HZ, ())
        assert found == pytest.approx(shown * close + seen * look.people[:, None])


def test_what_the_tracker_is_unsure_of_counts_less() -> None:
    sure = hands(in_lane(0, 0.15), in_lane(0, 0.4)).closeness(TABLE, 0, 2 * RATE_HZ)
    vague = hands(in_lane(0, 0.15), in_lane(0, 0.4), sd=0.6).closeness(TABLE, 0, 2 * RATE_HZ)
    assert chances(vague, [True, True])[0] < chances(sure, [True, True])[0]


def test_only_who_was_there_at_the_time_counts() -> None:
    both = hands(in_lane(0), in_lane(0))
    both.hands_m[:10, 0] = np.nan  # not in the shop yet
    assert chances(both.closeness(TABLE, 0, 1 * RATE_HZ), [True, True])[1] > 0.95
    late = both.closeness(TABLE, 0, 10_000)  # nothing is remembered of that time
    assert chances(late, [True, True]).tolist() == [0.5, 0.5]


def test_who_cannot_have_done_it_is_not_chosen() -> None:
    close = hands(in_lane(0), in_lane(0, 0.4)).closeness(TABLE, 0, 2 * RATE_HZ)
    assert assign([close], [[False, True]], [40]) == [1]
    assert assign([close], [[False, False]], [40]) == [0]  # nobody could: then the nearest


def test_events_of_one_time_get_different_hands() -> None:
    """Ann's right hand is nearest to three lanes at once: her other hand and Bob get the rest."""
    near, mid = np.array([[-0.1, -0.5], [-0.8, -4.0]]), np.array([[-0.1, -0.6], [-0.7, -4.0]])
    third = np.array([[-0.2, -3.0], [-0.4, -4.0]])
    assert sorted(assign([near, mid, third], [[True, True]] * 3, [40, 42, 45])) == [0, 0, 1]
    assert assign([near, mid, third], [[True, True]] * 3, [40, 80, 120]) == [0, 0, 0]
    assert len(assign([near] * 6, [[True, True]] * 6, [40] * 6)) == 6  # more events than hands


def test_events_are_grouped_by_time() -> None:
    assert at_once([50, 0, 8, 100]) == [[1, 2], [0], [3]]


def test_who_has_just_taken_does_not_put_back_at_once() -> None:
    """A hand that is on its way out with something does not come back within a second; another one's may."""
    both = hands(in_lane(0), in_lane(0))
    at = 2 * RATE_HZ
    taken = Done("take", 0, at - TURN // 2, (0.9, 0.1))
    for done, turned in (
        (taken, True),
        (replace(taken, sample=at - TURN), False),
        (replace(taken, scale=1), False),
        (replace(taken, kind="return"), False),
    ):
        who = replace(both, done=(done,)).belief(TABLE, ("return", 0, 0), at, ())
        plain = both.belief(TABLE, ("return", 0, 0), at, ())
        assert (who[0] < plain[0]).all() == turned
        assert who - plain == pytest.approx(
            np.log(1 - (1 - TURNED) * np.array([[0.9] * 2, [0.1] * 2])) if turned else np.zeros((2, 2))
        )
    twice = replace(both, visits=("v0", "v0"), done=(taken,))  # two columns of one visit are one person
    assert twice.unhurried("return", 0, at).tolist() == pytest.approx([np.log(TURNED)] * 2)
