"""A run looks at hands twice: what windows of its pictures say moves shoppers' hands; without video nobody looks."""

from __future__ import annotations

import numpy as np

from openaisle.pipeline import run, set_up, step
from openaisle.predictor import Float32, UInt8
from openaisle.tokens.glance import WINDOW_PX
from openaisle.tokens.tick import Ticker
from tests.pipeline.scripted import Scripted, films, glanced, shopping, with_film
from tests.tokens.corner import corner_store

GATES = [(1.0, "entry", "ann")]
ASIDE = 0.15  # half windows to the right, in every picture


class Pointer(Scripted):
    """Eyes whose every window shows the hand to the right of its middle."""

    def __init__(self) -> None:
        super().__init__(person_at=(2.0, 1.5), hand_m=np.array([2.2, 1.6, 1.0], np.float32))
        self.windows: list[int] = []

    def glance(self, now: UInt8, before: UInt8, features: Float32) -> dict[str, Float32]:
        assert now.shape == before.shape == (len(features), WINDOW_PX, WINDOW_PX, 3)
        self.windows.append(len(features))
        said = glanced(len(features))
        said["offset"][:, 0], said["seen"][:], said["log_sd"][:] = ASIDE, 8.0, np.log(0.05)
        return said


def hands_after(eyes: Scripted, *, video: bool) -> Float32:
    """Ann's hands [2, 3] at the end of some seconds in which something flickers about."""
    sent = with_film(shopping([], GATES, 10.0), films(10.0, box_from_s=2.0))
    *_, last = run(corner_store(), sent, eyes, video=video)
    return last.tracks[0].hands_m


def test_a_run_moves_hands_to_where_windows_show_them() -> None:
    eyes = Pointer()
    moved = hands_after(eyes, video=True)
    assert max(eyes.windows) >= 2  # both hands in a picture
    stayed = hands_after(Scripted(person_at=(2.0, 1.5), hand_m=np.array([2.2, 1.6, 1.0], np.float32)), video=True)
    assert np.linalg.norm(moved - stayed, axis=-1).min() > 0.02


def test_without_video_nobody_glances() -> None:
    eyes = Pointer()
    hands_after(eyes, video=False)
    assert eyes.windows == []


def test_a_run_gets_to_know_who_stands_alone() -> None:
    store, eyes = corner_store(), Pointer()
    setup, state = set_up(store, eyes)
    sent = with_film(shopping([], GATES, 10.0), films(10.0, box_from_s=2.0))
    for tick in Ticker(store).ticks(sent):
        state, _ = step(state, tick, eyes, setup)
    ((_, slots),) = state.identities.gallery.values()
    assert slots > 10
