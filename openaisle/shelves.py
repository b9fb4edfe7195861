"""The shelves as they were last seen with nobody before them: what the shelf look compares. Pure.

Each camera keeps one still picture, patch by patch the last clear sight of it, and when that was. A lane's windows
before and after a change come out of such pictures; a view that nobody's back has left free since says nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from openaisle.predictor import ShelfWindows, UInt8
from openaisle.tokens.patches import GateState, Patches
from openaisle.tokens.rays import PATCH_PX
from openaisle.tokens.shelf import SHELF_PX, ShelfView, cut_shelf

NEVER = -(10**9)  # the tick in which what was never clear was last clear
CLEAR_S = 1.0  # a changed patch that is still for so long, and shows nobody, is shelf
Float32 = NDArray[np.float32]


@dataclass(frozen=True)
class Still:
    """A camera's picture of the empty shop [H, W, 3], and the last tick in which each patch [rows, cols] was clear."""

    picture: UInt8
    seen: NDArray[np.int32]


def keep_still(still: Still | None, gate: GateState, rgb: UInt8, told: tuple[Patches, Float32], tick: int) -> Still:
    """A camera's still picture after a frame; told: the frame's changed patches and their chances to show a person.

    The first one is the gate's background, and nothing of it has been seen clear: somebody may stand there.
    """
    patches, person = told
    assert gate.still_s is not None
    if still is None:
        assert gate.background is not None
        return Still(gate.background, np.full(gate.still_s.shape, NEVER, dtype=np.int32))
    clear = np.ones_like(gate.still_s, dtype=np.bool_)
    rows, cols = patches.cells[:, 0], patches.cells[:, 1]
    clear[rows, cols] = (gate.still_s[rows, cols] >= CLEAR_S) & (person < 0.5)
    shown = np.repeat(np.repeat(clear, PATCH_PX, axis=0), PATCH_PX, axis=1)
    beyond = [(0, max(0, size - known)) for size, known in zip(rgb.shape[:2], shown.shape, strict=True)]
    shown = np.pad(shown, beyond, mode="edge")[: rgb.shape[0], : rgb.shape[1]]  # a strip narrower than a patch
    picture = still.picture.copy()
    np.copyto(picture, rgb, where=shown[..., None])
    return Still(picture, np.where(clear, tick, still.seen).astype(np.int32))


def clear_since(still: Still, view: ShelfView) -> int:
    """The last tick in which all patches that show a view's lane had been clear."""
    u, v = view.centre_px.tolist()
    rows, cols = np.nonzero(view.area)
    scale = view.side_px / SHELF_PX
    x = (u + (cols + 0.5) * scale - view.side_px / 2) // PATCH_PX
    y = (v + (rows + 0.5) * scale - view.side_px / 2) // PATCH_PX
    count = np.array(still.seen.shape)
    return int(still.seen[y.clip(0, count[0] - 1).astype(np.int64), x.clip(0, count[1] - 1).astype(np.int64)].min())


def fresh_views(views: Sequence[ShelfView], stills: Sequence[Still | None], since: int) -> list[ShelfView]:
    """Those of a lane's views in which it has been clear since a tick."""
    shown = [(view, stills[view.camera]) for view in views if view.camera < len(stills)]
    return [view for view, still in shown if still is not None and clear_since(still, view) >= since]


def clear_windows(
    views: Sequence[ShelfView],
    stills: tuple[Sequence[Still | None], Sequence[Still | None]],
    since: int,
    product: int,
) -> ShelfWindows | None:
    """A lane's windows, before and after, in which it has been clear since; None where no view has."""
    before, after = stills
    shown = []
    for view in fresh_views(views, after, since):
        a, b = before[view.camera], after[view.camera]
        if a is not None and b is not None:
            shown.append((cut_shelf(a.picture, view), cut_shelf(b.picture, view), view))
    if not shown:
        return None
    return ShelfWindows(
        np.stack([a for a, _, _ in shown]), np.stack([b for _, b, _ in shown]),
        np.stack([view.area for _, _, view in shown]), np.stack([view.features for _, _, view in shown]), product,
    )  # fmt: skip
