"""The ground-plane tracker on made-up detections: crossings, gaps, clutter, weak detections, looks."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from openaisle.modular import tracks
from openaisle.modular.tracks import Motion, Sights, assign, associate, begin, correct, follow, predict

DT_S = 0.2
Float = NDArray[np.float64]
ANN, BOB = np.eye(4)[0], np.eye(4)[1]
UNKNOWN = np.zeros((2, 4))


def sights(
    floor: list[tuple[float, float]], camera: list[int], *, score: float | list[float] = 0.9, sd_m: float = 0.08,
    looks: list[Float] | None = None,
) -> Sights:  # fmt: skip
    n = len(floor)
    return Sights(
        np.array(camera, dtype=np.int64), np.broadcast_to(np.array(score, dtype=np.float64), n),
        np.array(floor, dtype=np.float64).reshape(n, 2), np.tile(np.eye(2) * sd_m**2, (n, 1, 1)),
        np.array(looks, dtype=np.float64).reshape(n, 4) if looks else np.zeros((n, 4)),
    )  # fmt: skip


def people(*floor: tuple[float, float], sd_m: float = 0.2) -> Motion:
    return begin(np.array(floor, dtype=np.float64).reshape(-1, 2), np.tile(np.eye(2) * sd_m**2, (len(floor), 1, 1)))


def test_a_walker_is_followed_and_the_speed_is_learnt() -> None:
    rng = np.random.default_rng(0)
    motion = people((0.0, 0.0))
    for slot in range(1, 16):
        true = (slot * DT_S * 1.2, 1.0)
        seen = sights([tuple(np.array(true) + rng.normal(0, 0.08, 2)) for _ in range(3)], [0, 1, 2])
        motion, owner = follow(motion, seen, UNKNOWN[:1], DT_S)
        assert (owner == 0).sum() >= 2
    assert np.linalg.norm(motion.state[0, :2] - true) < 0.1
    assert 0.8 < motion.state[0, 2] < 1.4


def test_what_is_too_far_from_the_prediction_may_be_near_the_corrected_place() -> None:
    """Somebody darts off: one camera's detection is just near enough to be his, and vouches for the other's."""
    motion, seen = people((0.0, 0.0), sd_m=0.05), sights([(0.6, 0.0), (0.85, 0.0)], [0, 1])
    assert associate(predict(motion, DT_S), seen, UNKNOWN[:1]).tolist() == [0, -1]
    assert follow(motion, seen, UNKNOWN[:1], DT_S)[1].tolist() == [0, 0]


def test_two_who_cross_stay_themselves() -> None:
    rng = np.random.default_rng(1)
    motion = people((0.0, 0.0), (3.0, 0.0))
    looks = np.stack([ANN, BOB])
    for slot in range(1, 26):
        ann, bob = (slot * 0.12, 0.05), (3.0 - slot * 0.12, -0.05)
        both = [ann, bob, ann, bob]
        places = [(x + rng.normal(0, 0.05), y + rng.normal(0, 0.05)) for x, y in both]
        motion, _ = follow(motion, sights(places, [0, 0, 1, 1], looks=[ANN, BOB, ANN, BOB]), looks, DT_S)
    assert np.linalg.norm(motion.state[0, :2] - [3.0, 0.05]) < 0.15
    assert np.linalg.norm(motion.state[1, :2] - [0.0, -0.05]) < 0.15


def test_looks_decide_where_places_do_not() -> None:
    motion = people((1.0, 1.0), (1.0, 1.0))
    seen = sights([(1.0, 1.1), (1.0, 0.9)], [0, 0], looks=[BOB, ANN])
    assert associate(motion, seen, np.stack([ANN, BOB])).tolist() == [1, 0]


def test_unknown_looks_say_nothing() -> None:
    assert (tracks.unlike(np.stack([ANN, BOB]), UNKNOWN) == 0).all()


def test_unseen_people_walk_on_and_grow_uncertain() -> None:
    motion = Motion(np.array([[0.0, 0.0, 1.0, 0.0]]), people((0.0, 0.0)).spread)
    later = motion
    for _ in range(5):
        later, owner = follow(later, sights([], []), UNKNOWN[:1], DT_S)
        assert not len(owner)
    assert 0.7 < later.state[0, 0] < 1.0
    assert later.spread[0, 0, 0] > 2 * motion.spread[0, 0, 0]
    for _ in range(200):
        later = predict(later, DT_S)
    assert later.spread[0, 0, 0] <= tracks.MOST_SD_M**2 * 1.2


def test_found_again_after_a_gap() -> None:
    motion = people((0.0, 0.0))
    for slot in range(1, 11):
        seen = sights([] if 4 <= slot < 7 else [(slot * 0.2, 0.0)], [] if 4 <= slot < 7 else [0])
        motion, _ = follow(motion, seen, UNKNOWN[:1], DT_S)
    assert abs(motion.state[0, 0] - 2.0) < 0.1


def test_clutter_far_from_everybody_is_nobodys() -> None:
    motion = people((1.0, 1.0), (3.0, 1.0), sd_m=0.1)
    owner = associate(motion, sights([(1.0, 1.0), (2.0, 4.0), (3.1, 1.0)], [0, 0, 0]), UNKNOWN)
    assert owner.tolist() == [0, -1, 1]


def test_a_camera_sees_nobody_twice() -> None:
    motion = people((1.0, 1.0))
    owner = associate(motion, sights([(1.3, 1.0), (1.05, 1.0)], [0, 0]), UNKNOWN[:1])
    assert owner.tolist() == [-1, 0]
    assert associate(motion, sights([(1.3, 1.0), (1.05, 1.0)], [0, 1]), UNKNOWN[:1]).tolist() == [0, 0]


def test_weak_detections_are_used_but_choose_last() -> None:
    """Two stages: a weak one nearer to a person does not take it from a strong one; alone, it keeps the track."""
    motion = people((1.0, 1.0), sd_m=0.1)
    both = sights([(1.0, 1.0), (1.12, 1.0)], [0, 0], score=[0.2, 0.9])
    assert associate(motion, both, UNKNOWN[:1]).tolist() == [-1, 0]
    assert associate(motion, sights([(1.0, 1.0)], [0], score=0.2), UNKNOWN[:1]).tolist() == [0]


def test_a_weak_detection_must_be_nearer() -> None:
    motion = people((1.0, 1.0), sd_m=0.1)
    at = [(1.0 + 0.128 * 3.5, 1.0)]
    assert associate(motion, sights(at, [0]), UNKNOWN[:1]).tolist() == [0]
    assert associate(motion, sights(at, [0], score=0.2), UNKNOWN[:1]).tolist() == [-1]


def test_one_view_that_contradicts_the_others_weighs_little() -> None:
    motion = people((1.0, 1.0), sd_m=0.5)
    seen = sights([(1.0, 1.0), (1.02, 1.0), (0.98, 1.0), (1.8, 1.0)], [0, 1, 2, 3])
    after = correct(motion, seen, np.zeros(4, dtype=np.int64))
    assert abs(after.state[0, 0] - 1.0) < 0.08
    assert after.spread[0, 0, 0] < 0.1**2


@pytest.mark.parametrize(("most", "pairs"), [(10.0, [(0, 1), (1, 0)]), (2.0, [(0, 1)])])
def test_assignment_is_the_cheapest_within_the_limit(most: float, pairs: list[tuple[int, int]]) -> None:
    assert assign(np.array([[2.5, -1.0], [3.0, 1.0]]), most) == pairs


def test_nobody_and_nothing() -> None:
    nobody = people()
    motion, owner = follow(nobody, sights([(1.0, 1.0)], [0]), UNKNOWN[:0], DT_S)
    assert owner.tolist() == [-1]
    assert not len(motion.state)
