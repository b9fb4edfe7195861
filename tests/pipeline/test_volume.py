"""Heat maps of all views, fused in space: hands are found wherever they are believed, and two hands are two."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from openaisle.predictor import Float32, UInt8, floats
from openaisle.tokens.body import BODY_CELLS, BODY_PX
from openaisle.volume import MAX_VIEWS, finalists, find_hands
from tests.pipeline.scripted import Scripted
from tests.pipeline.test_hands import CAMERAS, ELBOW, FLOOR, TRUE, error_m, memory_at, pictures, shown_at

FAR_OFF = np.array([0.35, -0.3, 0.3], np.float32)  # more than half a metre
AWAY = np.array([0.12, -0.12, 0.11], np.float32)  # 20 cm
BLUR = 0.03  # of half a window


class Mapper(Scripted):
    """Eyes that know where hands are, and draw heat maps of it: pictures tell camera and pixel in their colours."""

    def __init__(
        self,
        hands: Float32 = TRUE,
        *,
        mistaken: Mapping[int, Float32] | None = None,  # what a camera takes for the hands
        hidden: Sequence[tuple[int, int]] = (),  # shopper, hand: the map is drawn to the other hand
        either: bool = False,  # which hand is the far one cannot be told
    ) -> None:
        super().__init__()
        self.hands, self.mistaken, self.hidden, self.either = hands, mistaken or {}, hidden, either
        self.calls: list[tuple[int, ...]] = []

    def heatmaps(self, now: UInt8, before: UInt8, features: Float32) -> Float32:
        self.calls.append(now.shape)
        cell = (np.arange(BODY_CELLS) + 0.5) * 2 / BODY_CELLS - 1
        p = np.zeros((len(now), 2, BODY_CELLS, BODY_CELLS))
        chest = np.concatenate([FLOOR, np.full((2, 1), 1.25, np.float32)], axis=1)
        for i, (camera, centre) in enumerate(shown_at(now)):
            hands = self.mistaken.get(camera, self.hands)
            who = int(np.linalg.norm(CAMERAS[camera].project(chest)[0] - centre, axis=1).argmin())
            for hand in range(2):
                shown = [0, 1] if self.either else [1 - hand if (who, hand) in self.hidden else hand]
                for h in shown:
                    offset = (CAMERAS[camera].project(hands[who, h])[0] - centre) / (features[i, 0] * 128.0 / 2)
                    near = np.exp(-0.5 * ((cell - offset[0])[None] ** 2 + (cell - offset[1])[:, None] ** 2) / BLUR**2)
                    p[i, hand] += near / near.sum() / len(shown)
        flat = np.concatenate([p.reshape(len(now), 2, -1), np.full((len(now), 2, 1), 1e-6)], axis=-1) + 1e-9
        return np.asarray(np.log(flat / flat.sum(-1, keepdims=True)), dtype=np.float32)


@pytest.mark.parametrize("away", [0.0, 0.4, 1.0])
def test_hands_are_found_however_far_from_where_they_were_believed(away: float) -> None:
    after = find_hands(memory_at(TRUE + away * FAR_OFF), pictures([0, 1, 2]), Mapper())
    assert error_m(after).max() < 0.035
    spread = np.sqrt(np.trace(floats(after["hand_variance"]), axis1=-2, axis2=-1) / 3)
    assert spread.max() < 0.14


def test_two_views_are_enough_and_one_is_told_to_be_unsure() -> None:
    memory = memory_at(TRUE + 0.5 * FAR_OFF)
    two = find_hands(memory, pictures([0, 1]), Mapper())
    assert error_m(two).max() < 0.08
    one = find_hands(memory, pictures([0]), Mapper())
    assert floats(one["hand_variance"])[..., 0, 0].min() > 1.5 * floats(two["hand_variance"])[..., 0, 0].max()


@pytest.mark.parametrize("wrong", [0, 1, 2])
def test_a_view_that_contradicts_the_others_changes_little(wrong: int) -> None:
    after = find_hands(memory_at(TRUE + AWAY), pictures([0, 1, 2]), Mapper(mistaken={wrong: TRUE + ELBOW}))
    assert error_m(after).max() < 0.1


def test_hands_that_reach_as_far_are_both_found_although_views_cannot_tell_which_is_which() -> None:
    truth = TRUE.copy()
    truth[0] = [[1.6, 2.05, 1.1], [1.25, 2.0, 1.1]]
    after = find_hands(memory_at(TRUE + 0.5 * FAR_OFF), pictures([0, 1, 2]), Mapper(truth, either=True))
    hands = floats(after["hands"])[0]
    best = min(np.linalg.norm(hands - truth[0][order], axis=-1).max() for order in ([0, 1], [1, 0]))
    assert best < 0.05


def test_views_that_tell_nothing_change_nothing() -> None:
    memory = memory_at(TRUE + FAR_OFF)
    after = find_hands(memory, pictures([0, 1, 2]), Scripted())
    assert all(np.array_equal(after[name], memory[name]) for name in memory)


def test_who_stands_in_no_picture_stays_while_others_move() -> None:
    memory = memory_at(TRUE + FAR_OFF)
    for name in ("floor", "hands"):
        memory[name] = memory[name].copy()
        floats(memory[name])[1, ..., :2] += 40.0
    after = find_hands(memory, pictures([0, 1, 2]), Mapper())
    assert np.array_equal(floats(after["hands"])[1], floats(memory["hands"])[1])
    assert error_m(after)[0].max() < 0.035


def test_an_empty_memory_and_no_cameras_ask_nobody() -> None:
    seer = Mapper()
    nobody: Scripted = Scripted()
    empty = nobody.place(np.zeros((0, 2), np.float32), 0.4)
    for cameras in ([], [0, 1]):
        after = find_hands(empty, pictures(cameras), seer)
        assert all(np.array_equal(after[name], empty[name]) for name in empty)
    memory = memory_at(TRUE)
    assert np.array_equal(find_hands(memory, [], seer)["hands"], memory["hands"])
    assert seer.calls == []


def test_each_body_has_one_window_in_each_picture_and_what_was_given_is_not_touched() -> None:
    memory, seer = memory_at(TRUE + FAR_OFF), Mapper()
    kept: dict[str, NDArray[np.generic]] = {name: values.copy() for name, values in memory.items()}
    find_hands(memory, pictures([0, 1, 2]), seer)
    assert MAX_VIEWS >= 3
    assert seer.calls == [(6, BODY_PX, BODY_PX, 3)]
    assert all(np.array_equal(memory[name], kept[name]) for name in kept)


def test_the_likeliest_place_does_not_fill_the_list_alone() -> None:
    rng = np.random.Generator(np.random.PCG64(1))
    crowd = np.array([1.0, 1.0, 1.0]) + rng.normal(0, 0.01, (1000, 3))
    points = np.concatenate([crowd, [[1.5, 1.0, 0.4]]]).astype(np.float32)
    score = np.append(rng.normal(9.0, 0.1, 1000), 3.0).astype(np.float32)
    chosen = finalists(points, score)
    assert chosen[0] == int(np.argmax(score))
    assert 1000 in chosen
    assert len(chosen) < 20
