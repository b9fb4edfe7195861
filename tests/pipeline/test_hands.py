"""Hands looked at once more: rays through them pull them where they are, and what no window shows stays as it was."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from openaisle.hands import HELD_FADE, MOST_MOVE_M, glance
from openaisle.predictor import Arrays, Float32, UInt8, floats
from openaisle.store.geometry import Camera, look_at
from openaisle.tokens.glance import WINDOW_PX
from openaisle.tokens.journey import by_reach
from openaisle.volume import Picture
from tests.pipeline.scripted import Scripted, glanced
from tests.tokens.corner import E

POSITIONS = ((0.5, 0.5, 2.6), (3.5, 0.6, 2.5), (2.1, 3.6, 2.7))
CAMERAS = tuple(
    Camera(f"c{i}", 240, 180, 5.0, 150.0, 150.0, 119.5, 89.5, (0.0,) * 5, look_at(at, (2.0, 1.8, 1.0)))
    for i, at in enumerate(POSITIONS)
)  # fmt: skip
FLOOR = np.array([[1.5, 1.6], [2.4, 2.3]], np.float32)
# far, near of each: the arm that reaches, the hand that hangs
TRUE = np.array([[[1.6, 2.2, 1.2], [1.3, 1.6, 0.8]], [[2.4, 1.8, 1.1], [2.6, 2.3, 0.8]]], np.float32)
AWAY = np.array([0.04, -0.04, 0.035], np.float32)  # 7 cm
ELBOW = np.array([0.25, 0.1, -0.2], np.float32)


class Seer(Scripted):
    """Eyes that know where hands are, and say it of every window: pictures tell camera and pixel in their colours."""

    def __init__(
        self,
        hands: Float32 = TRUE,
        *,
        mistaken: Mapping[int, Float32] | None = None,  # what a camera takes for the hands
        hidden: Sequence[tuple[int, int]] = (),  # shopper, hand
        holding: Mapping[tuple[int, int], int] | None = None,  # shopper, hand → which product's vector
        sharp: Sequence[float] = (3.0, 3.0, 3.0),  # by camera: logit of an item that is there
        mixed_up: Mapping[int, int] | None = None,  # the product that a camera takes everything for
    ) -> None:
        super().__init__()
        self.hands, self.mistaken, self.hidden = hands, mistaken or {}, hidden
        self.holding, self.sharp, self.mixed_up = holding or {}, sharp, mixed_up or {}
        self.calls: list[tuple[int, ...]] = []

    def glance(self, now: UInt8, before: UInt8, features: Float32) -> dict[str, Float32]:
        self.calls.append(now.shape)
        said = glanced(len(now))
        for i, (camera, centre) in enumerate(shown_at(now)):
            hand = 0 if features[i, -1] > 0.5 else 1
            pixels = CAMERAS[camera].project(self.mistaken.get(camera, self.hands)[:, hand])[0]
            who = int(np.linalg.norm(pixels - centre, axis=1).argmin())
            said["offset"][i] = (pixels[who] - centre) / (features[i, 0] * 64.0 / 2)
            said["seen"][i] = -20.0 if (who, hand) in self.hidden else 6.0
            product = self.holding.get((who, hand), -1)
            said["holds"][i] = 8.0 if product >= 0 else -8.0
            said["item"][i] = self.sharp[camera] if product >= 0 else -20.0
            said["product"][i] = np.eye(E, dtype=np.float32)[self.mixed_up.get(camera, max(product, 0))]
        said["log_sd"][:] = np.log(0.05)  # of half a window
        return said


def shown_at(windows: UInt8) -> list[tuple[int, NDArray[np.floating]]]:
    """Camera and pixel (u, v) at the middle of each window, as the pictures' colours tell."""
    half = windows.shape[1] // 2
    middle = windows[:, half - 4 : half + 4, half - 4 : half + 4].astype(np.float64).mean((1, 2))
    return [(round(blue / 50.0), np.array([red, green])) for red, green, blue in middle.tolist()]


def pictures(cameras: Sequence[int]) -> list[Picture]:
    """Red tells the column, green the row, blue the camera."""
    out = []
    for number in cameras:
        rows, columns = np.mgrid[0:180, 0:240]
        rgb = np.stack([columns, rows, np.full_like(rows, 50 * number)], axis=-1).astype(np.uint8)
        out.append(Picture(CAMERAS[number], rgb, rgb))
    return out


def memory_at(hands: Float32, spread_m: float = 0.3) -> Arrays:
    """Rows of the two shoppers with believed hands [2, 2, 3]."""
    memory = Scripted().place(FLOOR, 0.1)
    memory["hands"] = hands.astype(np.float32)
    memory["hand_variance"] = np.tile(np.eye(3, dtype=np.float32) * spread_m**2, (2, 2, 1, 1))
    return memory


def error_m(memory: Arrays, truth: Float32 = TRUE) -> NDArray[np.floating]:
    return np.asarray(np.linalg.norm(floats(memory["hands"]) - truth, axis=-1))


@pytest.mark.parametrize("spread_m", [0.1, 0.2, 0.4])
def test_rays_of_two_cameras_pull_a_hand_where_it_is(spread_m: float) -> None:
    memory = memory_at(TRUE + AWAY, spread_m)
    assert error_m(memory) == pytest.approx(np.full((2, 2), 0.066), abs=1e-3)
    after = glance(memory, pictures([0, 1]), Seer())
    assert error_m(after).max() < 0.02
    assert np.array_equal(after["hand_variance"], memory["hand_variance"])  # windows are surer than they should be


def test_what_windows_say_is_taken_for_a_correction_only() -> None:
    """A hidden hand's windows show something else: farther off than a correction, it is not followed."""
    after = glance(memory_at(TRUE + 3 * AWAY), pictures([0, 1]), Seer())
    assert error_m(after) == pytest.approx(np.full((2, 2), 0.199), abs=1e-3)
    assert 0.066 < MOST_MOVE_M < 0.199


def test_one_camera_moves_a_hand_across_its_ray_only() -> None:
    after = floats(glance(memory_at(TRUE + AWAY), pictures([0]), Seer())["hands"])
    ray = TRUE - np.array(POSITIONS[0], np.float32)
    ray = ray / np.linalg.norm(ray, axis=-1, keepdims=True)
    gap = after - TRUE
    along = (gap * ray).sum(-1)
    assert along == pytest.approx((AWAY * ray).sum(-1), abs=0.03)
    assert np.linalg.norm(gap - along[..., None] * ray, axis=-1).max() < 0.02


@pytest.mark.parametrize("wrong", [0, 2])
def test_a_view_that_contradicts_the_others_changes_little(wrong: int) -> None:
    memory, right = memory_at(TRUE + AWAY), [camera for camera in range(3) if camera != wrong]
    two = glance(memory, pictures(right), Seer())
    three = glance(memory, pictures([0, 1, 2]), Seer(mistaken={wrong: TRUE + ELBOW}))
    assert np.linalg.norm(floats(three["hands"]) - floats(two["hands"]), axis=-1).max() < 0.04  # of 34 cm
    assert error_m(three).max() < 0.03
    assert error_m(glance(memory, pictures([0, 1, 2]), Seer())).max() < 0.02


def test_windows_that_show_nothing_change_nothing() -> None:
    memory = memory_at(TRUE + AWAY)
    memory["held"] = np.full((2, 2), 0.8, np.float32)
    after = glance(memory, pictures([0, 1, 2]), Scripted())
    assert set(after) == set(memory)
    for name in memory:
        if name not in ("held", "product"):
            assert np.array_equal(after[name], memory[name]), name
    assert after["held"] == pytest.approx(np.full((2, 2), 0.8 * HELD_FADE))  # one forgets
    assert np.abs(floats(after["product"])).max() < 1e-6


@pytest.mark.parametrize(("cameras", "seer"), [([0, 1], Scripted()), ([0], Seer())])
def test_what_is_known_stays_finite(cameras: list[int], seer: Scripted) -> None:
    """Half a minute without a vote of any patch."""
    memory = memory_at(TRUE)
    shown = pictures(cameras)
    for _ in range(150):
        memory = glance(memory, shown, seer)
    assert all(np.isfinite(values).all() for values in memory.values())
    if not isinstance(seer, Seer):
        assert error_m(memory).max() == 0.0


def test_a_hand_that_no_window_shows_stays_while_others_move() -> None:
    memory = memory_at(TRUE + AWAY)
    after = glance(memory, pictures([0, 1]), Seer(hidden=[(1, 0)]))
    assert np.array_equal(floats(after["hands"])[1, 0], floats(memory["hands"])[1, 0])
    assert np.array_equal(floats(after["hand_variance"])[1, 0], floats(memory["hand_variance"])[1, 0])
    assert error_m(after)[[0, 0, 1], [0, 1, 1]].max() < 0.02


def test_who_stands_in_no_picture_stays_while_others_move() -> None:
    memory = memory_at(TRUE + AWAY)
    for name in ("floor", "head", "hands"):
        memory[name] = memory[name].copy()
        floats(memory[name])[1, ..., :2] += 40.0
    after = glance(memory, pictures([0, 1]), Seer())
    assert np.array_equal(floats(after["hands"])[1], floats(memory["hands"])[1])
    assert np.array_equal(floats(after["hand_variance"])[1], floats(memory["hand_variance"])[1])
    assert error_m(after)[0].max() < 0.02


def test_the_hand_that_reaches_comes_first_with_all_that_is_its_own() -> None:
    """The near hand turns out to be the one that reaches: hands, variances, holding and product change places."""
    truth = TRUE.copy()
    truth[0] = [[1.56, 1.76, 0.9], [1.44, 1.82, 1.0]]
    believed = TRUE.copy()
    believed[0] = [[1.56, 1.8, 0.92], [1.44, 1.77, 1.0]]
    assert by_reach(FLOOR, believed).tolist() == [[0, 1], [0, 1]]
    after = glance(memory_at(believed), pictures([0, 1]), Seer(truth, holding={(0, 1): 7}))
    assert by_reach(FLOOR, floats(after["hands"])).tolist() == [[0, 1], [0, 1]]
    assert floats(after["hands"])[0] == pytest.approx(truth[0, ::-1], abs=0.02)
    assert floats(after["held"]) == pytest.approx(np.array([[1.0, 0.0], [0.0, 0.0]]), abs=0.01)
    assert int(floats(after["product"])[0, 0].argmax()) == 7
    length = np.linalg.norm(floats(after["product"]), axis=-1)
    assert length == pytest.approx(np.array([[1.0, 0.0], [0.0, 0.0]]), abs=0.01)
    assert np.array_equal(after["floor"], FLOOR)


def test_views_that_show_the_item_better_say_more_about_it() -> None:
    seer = Seer(holding={(0, 0): 7}, sharp=(3.0, -1.0, -1.0), mixed_up={1: 8})
    shown = floats(glance(memory_at(TRUE), pictures([0, 1]), seer)["product"])[0, 0]
    assert int(shown.argmax()) == 7
    assert shown[7] > 2 * shown[8] > 0


def test_an_empty_memory_and_no_cameras_ask_nobody() -> None:
    nobody = Scripted().place(np.zeros((0, 2), np.float32), 0.4)
    seer = Seer()
    for cameras in ([], [0, 1]):
        after = glance(nobody, pictures(cameras), seer)
        assert all(np.array_equal(after[name], nobody[name]) for name in nobody)
    memory = memory_at(TRUE)
    memory["held"], memory["product"] = np.full((2, 2), 0.5, np.float32), np.ones((2, 2, E), np.float32)
    after = glance(memory, [], seer)
    assert np.array_equal(after["hands"], memory["hands"])
    assert floats(after["held"]) == pytest.approx(np.full((2, 2), 0.5 * HELD_FADE))
    assert not after["product"].any()
    assert memory["product"].all()  # what was given is not touched
    assert seer.calls == []


def test_each_hand_has_one_window_in_each_picture() -> None:
    memory, seer = memory_at(TRUE), Seer()
    kept = {name: values.copy() for name, values in memory.items()}
    glance(memory, pictures([0, 1, 2]), seer)
    assert seer.calls == [(12, WINDOW_PX, WINDOW_PX, 3)]
    assert all(np.array_equal(memory[name], kept[name]) for name in kept)
