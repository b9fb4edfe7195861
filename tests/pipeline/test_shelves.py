"""Still pictures of the shelves: people leave no trace in them, and a lane's windows are of what was clear since."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
from numpy.typing import NDArray

from openaisle.predictor import UInt8
from openaisle.shelves import CLEAR_S, NEVER, Still, clear_since, clear_windows, fresh_views, keep_still
from openaisle.tokens.patches import BOOT_FRAMES, GateState, Patches, cut, gate
from openaisle.tokens.rays import PATCH_PX
from openaisle.tokens.shelf import SHELF_FEATURES, SHELF_PX, ShelfView

ROWS, COLS = 4, 5
SLOT_NS = 200_000_000
OLD, NEW, EMPTY = 40, 90, 200  # grey levels: the still so far, the frame, the gate's background
WHOLE = np.full((SHELF_PX, SHELF_PX), 255, np.uint8)


def picture_of(level: int | NDArray[np.int32]) -> UInt8:
    """A picture whose patches are of those grey levels."""
    each = np.broadcast_to(level, (ROWS, COLS))
    return np.kron(each[..., None], np.ones((PATCH_PX, PATCH_PX, 3), np.uint8)).astype(np.uint8)


def still_of(level: int | NDArray[np.int32], seen: int | NDArray[np.int32] = 3) -> Still:
    return Still(picture_of(level), np.broadcast_to(np.asarray(seen, np.int32), (ROWS, COLS)).copy())


def after(still: Still | None, changed: Mapping[tuple[int, int], float], still_s: float = 9.0) -> Still:
    """The still after a frame of level NEW in tick 8: changed patches and their chances to show a person."""
    frame, empty, cells = picture_of(NEW), picture_of(EMPTY), np.array(list(changed), np.int16)
    state = GateState((), empty, frame[..., 0], np.full((ROWS, COLS), still_s, np.float32), 0)
    patches = Patches(0, 0, cells, cut(frame, cells), cut(empty, cells))
    return keep_still(still, state, frame, (patches, np.array(list(changed.values()), np.float32)), 8)


def view(
    camera: int, centre_px: tuple[float, float] = (31.5, 31.5), side_px: float = 32.0, area: UInt8 = WHOLE
) -> ShelfView:
    features = np.full(SHELF_FEATURES, camera, np.float32)
    return ShelfView(camera, np.array(centre_px, np.float32), side_px, area, features)


def test_patches_that_show_a_person_keep_what_was_behind() -> None:
    still = still_of(OLD)
    kept = after(still, {(1, 2): 0.9, (3, 4): 0.5, (0, 0): 0.4})
    hidden = np.zeros((ROWS, COLS), np.int32)
    hidden[1, 2] = hidden[3, 4] = 1
    assert np.array_equal(kept.picture, picture_of(np.where(hidden, OLD, NEW).astype(np.int32)))
    assert np.array_equal(kept.seen, np.where(hidden, 3, 8))
    assert (still.picture == OLD).all()  # what was given is not touched
    assert (still.seen == 3).all()


@pytest.mark.parametrize(("still_s", "taken"), [(0.0, False), (CLEAR_S - 0.2, False), (CLEAR_S, True)])
def test_changed_patches_must_hold_still_for_a_while_and_others_need_not(still_s: float, taken: bool) -> None:
    kept = after(still_of(OLD), {(1, 2): 0.1}, still_s)
    level, seen = np.full((ROWS, COLS), NEW, np.int32), np.full((ROWS, COLS), 8)
    level[1, 2], seen[1, 2] = (NEW, 8) if taken else (OLD, 3)
    assert np.array_equal(kept.picture, picture_of(level))
    assert np.array_equal(kept.seen, seen)


def test_the_first_still_is_the_gates_background_and_nothing_of_it_was_seen() -> None:
    first = after(None, {(1, 2): 0.9, (2, 2): 0.1})
    assert np.array_equal(first.picture, picture_of(EMPTY))
    assert clear_since(first, view(0)) == NEVER
    second = after(first, {(1, 2): 0.9})
    assert (second.seen == NEVER).sum() == 1
    assert second.seen[1, 2] == NEVER


def test_who_stands_there_when_a_gate_has_learnt_its_background_is_not_shelf() -> None:
    state, person = GateState(), picture_of(EMPTY)
    person[16:48, 16:32] = 10
    for n in range(BOOT_FRAMES):
        rgb = person if n == BOOT_FRAMES - 1 else picture_of(EMPTY)
        state, patches = gate(state, 0, n * SLOT_NS, rgb)
    still = keep_still(None, state, rgb, (patches, np.zeros(len(patches.cells), np.float32)), 0)
    assert np.array_equal(still.picture, picture_of(EMPTY))


def test_a_strip_beyond_the_last_patches_follows_them() -> None:
    tall = np.pad(picture_of(NEW), [(0, 7), (0, 3), (0, 0)], mode="edge")
    before = Still(np.full_like(tall, OLD), np.zeros((ROWS, COLS), np.int32))
    state = GateState((), np.full_like(tall, EMPTY), tall[..., 0], np.full((ROWS, COLS), 9.0, np.float32), 0)
    cells = np.array([(ROWS - 1, 1)], np.int16)
    patches = Patches(0, 0, cells, cut(tall, cells), cut(before.picture, cells))
    kept = keep_still(before, state, tall, (patches, np.array([0.9], np.float32)), 8)
    last = kept.picture[ROWS * PATCH_PX :, :, 0]
    assert (last[:, PATCH_PX : 2 * PATCH_PX] == OLD).all()
    assert (last[:, 2 * PATCH_PX :] == NEW).all()
    assert (last[:, :PATCH_PX] == NEW).all()


def test_a_unit_that_left_is_seen_to_have_left_soon_and_not_at_once() -> None:
    """As the gate tells it, which itself waits longer before it takes the change for its background."""
    shelf, state, still = picture_of(EMPTY), GateState(), None
    shelf[18:30, 34:46] = 20
    gone = []
    for i, rgb in enumerate([shelf] * (BOOT_FRAMES + 2) + [picture_of(EMPTY)] * 7):
        state, patches = gate(state, 0, i * SLOT_NS, rgb)
        if state.background is not None:
            still = keep_still(still, state, rgb, (patches, np.zeros(len(patches.cells), np.float32)), i)
            gone.append(bool((still.picture == EMPTY).all()))
    assert gone == [False] * 8 + [True] * 2


@pytest.mark.parametrize("side_px", [32.0, 64.0])
@pytest.mark.parametrize("centre_px", [(39.5, 31.5), (17.5, 23.5), (3.5, 61.5), (77.5, 1.5)])
def test_a_lane_is_clear_since_the_oldest_patch_that_shows_it(centre_px: tuple[float, float], side_px: float) -> None:
    """A picture whose patches tell their ticks shows in the cut which those are (no sample lies between two)."""
    rng = np.random.Generator(np.random.PCG64(2))
    for _ in range(20):
        seen = rng.permutation(ROWS * COLS).astype(np.int32).reshape(ROWS, COLS) + 100
        area, (top, left) = np.zeros((SHELF_PX, SHELF_PX), np.uint8), rng.integers(0, 24, 2)
        area[top : top + 8, left : left + 6] = 255
        still, shown = still_of(seen, seen), view(0, centre_px, side_px, area)
        windows = clear_windows([shown], ([still], [still]), 0, 0)
        assert windows is not None
        assert clear_since(still, shown) == windows.before[0, area > 0].min()


def test_windows_are_of_views_that_were_clear_since() -> None:
    late = np.full((ROWS, COLS), 7, np.int32)
    late[0, 0] = 5  # shows in the last view only
    views = [view(0), view(1), view(2), view(1, (20.5, 20.5))]
    before, now = [still_of(10), still_of(11), None], [still_of(20, 8), still_of(21, late), still_of(22, 9)]
    for since, shown in ((8, [0]), (7, [0, 1]), (5, [0, 1, 1])):
        windows = clear_windows(views, (before, now), since, 4)
        assert windows is not None
        assert windows.product == 4
        assert windows.before[:, 5, 5, 0].tolist() == [10 + camera for camera in shown]
        assert windows.after[:, 5, 5, 0].tolist() == [20 + camera for camera in shown]
        assert windows.features[:, 0].tolist() == shown
        assert windows.before.shape == windows.after.shape == (len(shown), SHELF_PX, SHELF_PX, 3)
        assert windows.area.shape == (len(shown), SHELF_PX, SHELF_PX)
    assert clear_windows(views, (before, now), 9, 4) is None  # the third was not seen before
    assert clear_windows(views, (now, [None, None, None]), 5, 4) is None
    assert clear_windows([], (now, now), 5, 4) is None


def test_views_are_fresh_where_all_of_a_lane_has_been_clear_since() -> None:
    late = np.full((ROWS, COLS), 7, np.int32)
    late[0, 0] = 5  # shows in the last view only
    views = [view(0), view(1), view(2), view(1, (20.5, 20.5))]
    stills = [still_of(10, 6), still_of(11, late), None]
    for since, shown in ((NEVER, [0, 1, 3]), (5, [0, 1, 3]), (6, [0, 1]), (7, [1]), (8, [])):
        assert fresh_views(views, stills, since) == [views[i] for i in shown]
    assert fresh_views(views, (), NEVER) == []
