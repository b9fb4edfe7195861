"""Mosaic: one picture of an instant: all cameras with overlays, the receipts beside them, the plan below."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from openaisle.messages import NANOSECONDS
from openaisle.receipts.pricing import Receipt
from openaisle.receipts.render import money
from openaisle.view import ink
from openaisle.view.plan import draw_plan, fit
from openaisle.view.scene import FLASH_NS, Stage, draw_scene
from openaisle.view.timeline import Timeline

WIDTH, HEIGHT = 1600, 900  # even, as H.264 asks
PANEL = 440  # width of the receipts' column
PLAN_SHARE = 0.36  # of the column's height
GAP = 4
HEADER = 44


@dataclass(frozen=True)
class Mosaic:
    """Draws pictures of one timeline; `start_ns` is the zero of the clock it shows."""

    timeline: Timeline
    title: str
    start_ns: int

    def draw(self, frames: Mapping[str, NDArray[np.uint8]], time_ns: int) -> ink.Canvas:
        """The picture [900, 1600, 3] of an instant; `frames` has the newest rgb [H, W, 3] of each camera."""
        canvas = np.empty((HEIGHT, WIDTH, 3), dtype=np.uint8)
        canvas[:] = ink.PAPER
        self._cameras(canvas, frames, time_ns)
        self._column(canvas, time_ns)
        return canvas

    def _cameras(self, canvas: ink.Canvas, frames: Mapping[str, NDArray[np.uint8]], time_ns: int) -> None:
        cameras = self.timeline.store.cameras
        if not cameras:
            return
        width, height = WIDTH - PANEL, HEIGHT
        columns = _columns(len(cameras), width, height, cameras[0].width_px / cameras[0].height_px)
        rows = math.ceil(len(cameras) / columns)
        cell = (width // columns, height // rows)
        for i, camera in enumerate(cameras):
            scale = min((cell[0] - GAP) / camera.width_px, (cell[1] - GAP) / camera.height_px)
            size = (round(camera.width_px * scale), round(camera.height_px * scale))
            left = (i % columns) * cell[0] + (cell[0] - size[0]) // 2
            top = (i // columns) * cell[1] + (cell[1] - size[1]) // 2
            tile = canvas[top : top + size[1], left : left + size[0]]
            picture = frames.get(camera.id)
            if picture is None:
                tile[:] = ink.CARD
                ink.write(tile, f"{camera.id}: no picture", (12, size[1] // 2), 16, ink.FAINT)
                continue
            tile[:] = cv2.resize(picture, size, interpolation=cv2.INTER_LINEAR)
            draw_scene(Stage(tile, camera, scale), self.timeline, time_ns)
            ink.write(tile, camera.id, (8, size[1] - 8), 13, ink.TEXT)

    def _column(self, canvas: ink.Canvas, time_ns: int) -> None:
        left = WIDTH - PANEL
        plan_top = round(HEIGHT * (1 - PLAN_SHARE))
        ink.write(canvas, self.title, (left + 14, 30), 18, bold=True)
        ink.write_right(canvas, clock(time_ns - self.start_ns), (WIDTH - 14, 30), 18, ink.FAINT)
        self._receipts(canvas[HEADER:plan_top, left:], time_ns)
        frame = fit(self.timeline.store, left, plan_top, PANEL, HEIGHT - plan_top)
        draw_plan(canvas, frame, self.timeline, time_ns)

    def _receipts(self, panel: ink.Canvas, time_ns: int) -> None:
        receipts = _shown(self.timeline, time_ns, panel.shape[0])
        visits, symbols = self.timeline.visits, self.timeline.symbols()
        fresh = {(one.visit, one.gtin) for one in self.timeline.happenings(time_ns - FLASH_NS, time_ns)}
        top = 0
        for receipt in receipts:
            height = _card_height(receipt)
            if top + height > panel.shape[0]:
                break
            colour = ink.visit_colour(visits.index(receipt.visit))
            _card(panel[top : top + height - 6, 8:-8], receipt, symbols[receipt.visit], colour, fresh)
            top += height


def clock(elapsed_ns: int) -> str:
    """Minutes and seconds since the start, e.g. "1:07"."""
    seconds = max(0, elapsed_ns) // NANOSECONDS
    return f"{seconds // 60}:{seconds % 60:02d}"


def _columns(count: int, width: int, height: int, aspect: float) -> int:
    """Number of columns with the largest tiles."""
    return max(
        range(1, count + 1), key=lambda columns: min(width / columns, height / math.ceil(count / columns) * aspect)
    )


def _shown(timeline: Timeline, time_ns: int, room_px: int) -> list[Receipt]:
    """Receipts of those present first, then of those who left, newest first, as many as fit."""
    present = {body.visit for body in timeline.bodies_at(time_ns)}
    receipts = timeline.receipts_at(time_ns)
    here = [receipt for receipt in receipts if receipt.visit in present]
    gone = [receipt for receipt in reversed(receipts) if receipt.visit not in present]
    kept: list[Receipt] = []
    for receipt in [*here, *gone]:
        room_px -= _card_height(receipt)
        if room_px < 0:
            break
        kept.append(receipt)
    return sorted(kept, key=lambda receipt: timeline.visits.index(receipt.visit))


def _card_height(receipt: Receipt) -> int:
    return 40 + 22 * min(len(receipt.lines), 12)


def _card(card: ink.Canvas, receipt: Receipt, symbol: str, colour: ink.Rgb, fresh: set[tuple[str, str]]) -> None:
    card[:] = ink.CARD
    card[:, :5] = colour
    right = card.shape[1] - 12
    ink.tag(card, symbol, (14, 27), 15, colour)
    ink.write(card, ink.shortened(receipt.visit, 15, right - 180), (44, 23), 15, ink.FAINT)
    ink.write_right(card, money(receipt.total_cents, receipt.currency), (right, 24), 17)
    for row, line in enumerate(receipt.lines[:12]):
        y = 46 + 22 * row
        ink_colour = ink.TAKE if (receipt.visit, line.gtin) in fresh else ink.TEXT
        ink.write(card, f"{line.quantity} ×", (14, y), 14, ink_colour)
        ink.write(card, ink.shortened(line.name or line.gtin, 14, right - 130), (50, y), 14, ink_colour)
        ink.write_right(card, money(line.total_cents, receipt.currency).split()[0], (right, y), 14, ink_colour)
