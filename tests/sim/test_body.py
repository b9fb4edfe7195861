"""Bodies: links keep their lengths, solved postures reach, children are small."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openaisle.sim import body
from openaisle.sim.body import BODY_CAPSULES, Build, Carrier, HandPose, draw_build, pose_body, solve_reach, two_link
from openaisle.sim.world import Part


def _build(seed: int, child: bool = False, carrier: Carrier = Carrier.NOTHING) -> Build:
    return draw_build(np.random.Generator(np.random.PCG64(seed)), child, False, carrier)


def _posed(build: Build, stance: np.ndarray, hands: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    capsules, points = np.zeros((len(build.part), 7), np.float32), np.zeros((5, 3))
    pose_body(build.dims, stance, hands, int(build.carrier), capsules, points)
    return capsules, points


@given(st.tuples(*[st.floats(-2, 2)] * 3), st.floats(0.1, 0.5), st.floats(0.1, 0.5))
@settings(max_examples=100, deadline=None)
def test_two_links_keep_their_lengths(target: tuple[float, float, float], a: float, b: float) -> None:
    root, joint, end = np.zeros(3), np.zeros(3), np.zeros(3)
    goal = np.array(target)
    two_link(root, goal, a, b, np.array([0.1, 0.2, -1.0]), joint, end)
    assert np.isclose(np.linalg.norm(joint), a, atol=1e-3)
    assert np.isclose(np.linalg.norm(end - joint), b, atol=1e-3)
    if abs(a - b) + 0.03 < np.linalg.norm(goal) < 0.99 * (a + b):
        assert np.allclose(end, goal, atol=1e-6)


@pytest.mark.parametrize("seed", range(8))
def test_solved_postures_bring_the_hand_there(seed: int) -> None:
    build = _build(seed)
    reached = 0
    for height in (0.2, 0.5, 0.9, 1.3, 1.7):
        for hand in (0, 1):
            stance = np.zeros(body.STANCE)
            target = np.array([build.radius_m + 0.18, 0.1, height])
            front = build.radius_m + 0.08
            lean, twist, crouch, cost = solve_reach(
                build.dims, stance, hand, target, front, (height - 0.1, height + 0.3), 1.8
            )
            if np.isfinite(cost):
                reached += 1
                stance[body.LEAN], stance[body.TWIST], stance[body.CROUCH] = lean, twist, crouch
                hands = np.zeros((2, 8))
                hands[:, body.H_PROGRESS] = 1.0
                hands[hand, body.H_POSE], hands[hand, body.H_TARGET :] = -1, target
                _, points = _posed(build, stance, hands)
                assert np.linalg.norm(points[1 + hand] - target) < 1e-6
                assert points[0, 0] < front, "the head stays before the shelf"
    assert reached >= 8


def test_out_of_reach_is_said() -> None:
    build = _build(0, child=True)
    high = np.array([0.6, 0.0, 2.1])
    assert not np.isfinite(solve_reach(build.dims, np.zeros(body.STANCE), 1, high, 0.3, (2.0, 2.3), 2.3)[3])


def test_sizes_of_people() -> None:
    adults = [_build(seed).dims[body.HEIGHT] for seed in range(60)]
    children = [_build(seed, child=True).dims[body.HEIGHT] for seed in range(60)]
    assert 1.45 <= min(adults) < 1.6 < 1.8 < max(adults) <= 1.98
    assert 1.15 <= min(children) < max(children) <= 1.5


@pytest.mark.parametrize("carrier", list(Carrier))
def test_capsules_and_their_parts(carrier: Carrier) -> None:
    build = _build(3, carrier=carrier)
    hands = np.zeros((2, 8))
    hands[:, body.H_POSE], hands[:, body.H_PROGRESS] = HandPose.CARRY, 1.0
    capsules, points = _posed(build, np.zeros(body.STANCE), hands)
    assert len(capsules) == BODY_CAPSULES + body.carried_capsules(carrier)
    assert (build.part == Part.CARRIED).sum() == body.carried_capsules(carrier)
    assert np.isfinite(capsules).all()
    assert (capsules[:, 6] > 0).all()
    top = (np.maximum(capsules[:BODY_CAPSULES, 2], capsules[:BODY_CAPSULES, 5]) + capsules[:BODY_CAPSULES, 6]).max()
    assert abs(top - build.dims[body.HEIGHT]) < 0.05
    assert points[1, 1] > 0 > points[2, 1], "the left hand is on the left of somebody who faces +x"
