"""The changed-patch gate: 16×16 patches that differ from the running background become visual tokens.

Static patches never enter the network, so cost follows activity. The background of a patch is renewed when
the patch has been still for a while and nobody stands there (the model's own person probability is fed back).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from openaisle.tokens.rays import PATCH_PX

PIXEL_THRESHOLD = 16  # grey levels after a 3×3 blur: five times the noise of a poor sensor
MIN_PIXELS = 10  # of 256: a hand 4 m away covers about 30
STILL_THRESHOLD = 10  # changed pixels against the previous frame below which a patch counts as still
ABSORB_S = 3.0  # still and empty this long: the change belongs to the shelf
GHOST_S = 45.0  # still this long although the model sees a person: a ghost; people sway
BOOT_FRAMES = 5  # median of the first frames starts the background
UInt8 = NDArray[np.uint8]
Value = TypeVar("Value", bound=np.generic)


@dataclass(frozen=True)
class GateState:
    """Memory of one camera's gate."""

    boot: tuple[UInt8, ...] = ()  # first frames, until the background exists
    background: UInt8 | None = None  # rgb [H, W, 3]
    previous_grey: UInt8 | None = None  # [H, W]
    still_s: NDArray[np.float32] | None = None  # [rows, cols] seconds without motion
    time_ns: int = 0


@dataclass(frozen=True)
class Patches:
    """Visual tokens of one frame of one camera."""

    camera: int
    time_ns: int
    cells: NDArray[np.int16]  # [N, 2] row, column
    pixels: UInt8  # [N, 16, 16, 3]
    background: UInt8  # [N, 16, 16, 3]


def gate(state: GateState, camera: int, time_ns: int, rgb: UInt8) -> tuple[GateState, Patches]:
    """One frame through the gate: the new state and the frame's tokens (none while the background is learnt)."""
    if state.background is None:
        boot = (*state.boot, rgb)
        if len(boot) < BOOT_FRAMES:
            return replace(state, boot=boot, time_ns=time_ns), no_patches(camera, time_ns)
        background = np.median(np.stack(boot), axis=0).astype(np.uint8)
        shape = (rgb.shape[0] // PATCH_PX, rgb.shape[1] // PATCH_PX)
        still = np.zeros(shape, dtype=np.float32)
        fresh = GateState((), background, _grey(rgb), still, time_ns)
        return fresh, no_patches(camera, time_ns)
    assert state.previous_grey is not None
    assert state.still_s is not None
    grey = _grey(rgb)
    moving = changed_pixels(grey, state.previous_grey) >= STILL_THRESHOLD
    elapsed_s = (time_ns - state.time_ns) / 1e9
    still = np.where(moving, 0.0, state.still_s + elapsed_s).astype(np.float32)
    patches = select(camera, time_ns, rgb, state.background)
    return GateState((), state.background, grey, still, time_ns), patches


def absorb(state: GateState, patches: Patches, person: NDArray[np.float32]) -> GateState:
    """Renew the background where patches are still and show nobody; person [N] is the model's probability."""
    if state.background is None or state.still_s is None or not len(patches.cells):
        return state
    rows, cols = patches.cells[:, 0], patches.cells[:, 1]
    still = state.still_s[rows, cols]
    done = ((still > ABSORB_S) & (person < 0.5)) | (still > GHOST_S)
    if not done.any():
        return state
    background = state.background.copy()
    for (row, col), pixels in zip(patches.cells[done], patches.pixels[done], strict=True):
        background[row * PATCH_PX : (row + 1) * PATCH_PX, col * PATCH_PX : (col + 1) * PATCH_PX] = pixels
    return replace(state, background=background)


def select(camera: int, time_ns: int, rgb: UInt8, background: UInt8) -> Patches:
    """Patches of a frame that differ from a background, both rgb [H, W, 3]."""
    count = changed_pixels(_grey(rgb), _grey(background))
    cells = np.argwhere(count >= MIN_PIXELS).astype(np.int16)
    return Patches(camera, time_ns, cells, cut(rgb, cells), cut(background, cells))


def cut(rgb: NDArray[Value], cells: NDArray[np.int16]) -> NDArray[Value]:
    """Patches [N, 16, 16, C] of a picture [H, W, C] at cells [N, 2]."""
    rows, cols = rgb.shape[0] // PATCH_PX, rgb.shape[1] // PATCH_PX
    grid = rgb[: rows * PATCH_PX, : cols * PATCH_PX].reshape(rows, PATCH_PX, cols, PATCH_PX, -1)
    return np.ascontiguousarray(grid.swapaxes(1, 2)[cells[:, 0], cells[:, 1]])


def changed_pixels(grey: UInt8, other: UInt8) -> NDArray[np.float32]:
    """Number of changed pixels per patch [rows, cols] between two blurred grey pictures."""
    rows, cols = grey.shape[0] // PATCH_PX, grey.shape[1] // PATCH_PX
    difference = cv2.absdiff(grey, other)[: rows * PATCH_PX, : cols * PATCH_PX]
    mask = (difference > PIXEL_THRESHOLD).astype(np.float32)
    mean = cv2.resize(mask, (cols, rows), interpolation=cv2.INTER_AREA)
    return np.asarray(mean * (PATCH_PX * PATCH_PX) + 1e-3, dtype=np.float32)


def no_patches(camera: int, time_ns: int) -> Patches:
    """A frame without tokens."""
    empty = np.zeros((0, PATCH_PX, PATCH_PX, 3), dtype=np.uint8)
    return Patches(camera, time_ns, np.zeros((0, 2), dtype=np.int16), empty, empty)


def _grey(rgb: UInt8) -> UInt8:
    return np.asarray(cv2.blur(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), (3, 3)), dtype=np.uint8)
