"""The gate of changed patches: nothing from a still scene, everything that moves, and a background that learns."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from openaisle.tokens.patches import ABSORB_S, BOOT_FRAMES, GHOST_S, GateState, Patches, absorb, gate, select
from openaisle.tokens.rays import PATCH_PX

SLOT_NS = 200_000_000
UInt8 = NDArray[np.uint8]


def scene(seed: int = 0) -> UInt8:
    rng = np.random.Generator(np.random.PCG64(seed))
    return np.kron(rng.integers(60, 180, (8, 10, 3)), np.ones((16, 16, 1))).astype(np.uint8)


def noisy(picture: UInt8, rng: np.random.Generator) -> UInt8:
    return np.clip(picture + rng.normal(0, 3, picture.shape), 0, 255).astype(np.uint8)


def with_box(picture: UInt8, x: int, y: int, size: int = 24) -> UInt8:
    out = picture.copy()
    out[y : y + size, x : x + size] = (250, 250, 40)  # the gate looks at brightness
    return out


def booted(rng: np.random.Generator) -> GateState:
    state = GateState()
    for i in range(BOOT_FRAMES):
        state, patches = gate(state, 0, i * SLOT_NS, noisy(scene(), rng))
        assert not len(patches.cells)
    return state


def watch(state: GateState, picture: UInt8, seconds: float, person: float) -> tuple[GateState, Patches]:
    """The same picture for so long, told each time with what probability a patch shows a person."""
    patches = None
    for _ in range(round(seconds * 5)):
        state, patches = gate(state, 0, state.time_ns + SLOT_NS, picture)
        state = absorb(state, patches, np.full(len(patches.cells), person, dtype=np.float32))
    assert patches is not None
    return state, patches


def test_a_still_scene_gives_no_tokens() -> None:
    rng = np.random.Generator(np.random.PCG64(1))
    state = booted(rng)
    for i in range(20):
        state, patches = gate(state, 3, (BOOT_FRAMES + i) * SLOT_NS, noisy(scene(), rng))
        assert patches.camera == 3
        assert patches.pixels.shape == (0, PATCH_PX, PATCH_PX, 3)


def test_a_moving_box_gives_the_patches_it_covers() -> None:
    rng = np.random.Generator(np.random.PCG64(2))
    state = booted(rng)
    for i, x in enumerate(range(0, 120, 8)):
        picture = with_box(scene(), x, 36)
        state, patches = gate(state, 0, (BOOT_FRAMES + i) * SLOT_NS, picture)
        covered = {(row, col) for row in (2, 3) for col in range((x - 1) // 16, (x + 24) // 16 + 1)}  # blurred
        found = {(int(row), int(col)) for row, col in patches.cells}
        assert found <= covered
        full = {(row, col) for row, col in covered if x <= col * 16 and col * 16 + 16 <= x + 24}
        assert full <= found
        for (row, col), now, before in zip(patches.cells, patches.pixels, patches.background, strict=True):
            part = np.s_[row * 16 : row * 16 + 16, col * 16 : col * 16 + 16]
            assert np.array_equal(now, picture[part])
            assert np.abs(before.astype(int) - scene()[part]).max() < 16  # a median of noise


@pytest.mark.parametrize("size", [8, 24])
def test_select_finds_a_box_of_a_hands_size(size: int) -> None:
    patches = select(1, 5, with_box(scene(), 68, 36, size), scene())
    assert len(patches.cells) >= 1
    assert (patches.camera, patches.time_ns) == (1, 5)


def test_what_stays_is_absorbed_but_not_people() -> None:
    state = booted(np.random.Generator(np.random.PCG64(3)))
    picture = with_box(scene(), 64, 32)
    after, patches = watch(state, picture, ABSORB_S + 1.0, person=0.1)
    assert not len(patches.cells)
    assert after.background is not None
    assert np.array_equal(after.background[40:48, 72:80], picture[40:48, 72:80])
    after, patches = watch(state, picture, ABSORB_S + 5.0, person=0.9)
    assert len(patches.cells) >= 4
    _, patches = watch(after, picture, GHOST_S, person=0.9)
    assert not len(patches.cells)  # nobody stands so still for so long


def test_what_is_taken_away_again_appears_again() -> None:
    state, _ = watch(booted(np.random.Generator(np.random.PCG64(4))), with_box(scene(), 64, 32), ABSORB_S + 1.0, 0.0)
    _, patches = gate(state, 0, state.time_ns + SLOT_NS, scene())
    assert len(patches.cells) >= 4


def test_gate_and_absorb_leave_their_state_alone() -> None:
    state, patches = gate(booted(np.random.Generator(np.random.PCG64(5))), 0, 10**9, with_box(scene(), 64, 32))
    assert state.background is not None
    assert state.still_s is not None
    background = state.background
    state = replace(state, still_s=state.still_s + 100)
    before = background.copy()
    first = absorb(state, patches, np.zeros(len(patches.cells), dtype=np.float32))
    second = absorb(state, patches, np.zeros(len(patches.cells), dtype=np.float32))
    assert np.array_equal(background, before)
    assert first.background is not None
    assert second.background is not None
    assert np.array_equal(first.background, second.background)
    assert not np.array_equal(first.background, before)
    again = [gate(state, 0, 2 * 10**9, with_box(scene(), 70, 30))[1] for _ in range(2)]
    assert np.array_equal(again[0].cells, again[1].cells)
