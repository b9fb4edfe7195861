"""The peer's detector in the shop: changed patches of one picture → heads and hands in the world, with their spreads.

Runs whatever graph it is given (edge/runtime.py: ONNX). A head's pixel is a ray, its learned range a place on it; hands
that show are found by themselves and given to the head they point at.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from openaisle.predictor import Float32, VisualTokens
from openaisle.tokens.canvas import canvas, rays_at
from openaisle.tokens.rays import PATCH_PX

LOOKS = 16
LOOKS_LENGTH = 0.5  # of a detection's looks: identity.py's noise is that of other looks (docs/modular.md)
HEAD_STRIDE, HAND_STRIDE = 8, 4  # pixels per cell (model/detector.py); heat has that of hands
OWNER_PX, RANGE_M = 32.0, 3.0
LEAST_HEAD, LEAST_HAND = 0.15, 0.2  # scores
RANGE_DOUBT = 3.0  # a hand of somebody who bends is farther off than it claims; views that cross say where it is
SAME_HEAD_PX, SAME_HAND_PX = 6.0, 4.0
HAND_TO_HEAD_PX, PATCH_TO_HEAD_PX = 30.0, 45.0  # how far what points at a head may miss it
LEAST_SD = -4.5  # log; as in training
Graph = Callable[[Float32, Float32], tuple[Float32, Float32, Float32, Float32]]


@dataclass(frozen=True)
class Detections:
    """D heads and K hands of one slot, of all its cameras; metres, world frame."""

    camera: NDArray[np.int64]  # [D]
    score: Float32  # [D]
    head: Float32  # [D, 3]
    head_spread: Float32  # [D, 3, 3] covariance
    floor: Float32  # [D, 2]
    floor_spread: Float32  # [D, 2, 2]
    hands: Float32  # [D, 2, 3] far and near, as the body tells
    hand_sd: Float32  # [D, 2]
    looks: Float32  # [D, LOOKS]
    of_head: NDArray[np.int64]  # [K] whose hand
    hand_score: Float32  # [K]
    hand: Float32  # [K, 3] hands that are seen
    seen_spread: Float32  # [K, 3, 3]


@dataclass(frozen=True)
class Peaks:
    """Local maxima of a heat map: scores [N] and cells [N, 2] (u, v)."""

    score: Float32
    cell: NDArray[np.int64]


def detect(
    tokens: VisualTokens, rows: NDArray[np.int64], graph: Graph
) -> tuple[Detections, Float32, NDArray[np.int64]]:
    """One camera's detections, and of each of its patches [N]: chance to show a person, and which head (-1 = none).

    rows: the camera's patches among the tokens.
    """
    cells, rays = tokens.cells[rows], tokens.rays[rows]
    made = canvas((cells, tokens.pixels[rows], tokens.background[rows], rays))
    heat, hand, head, patch = graph(made.picture, made.places)
    corner = np.array(made.corner[::-1], dtype=np.float32) * PATCH_PX
    frame = tokens.frame[rows[0]]
    origin = tokens.anchor[rows[0]] - frame @ (rays[0, 4:7] * np.float32(4.0))
    view = View(cells, rays, corner, frame, origin, int(tokens.camera[rows[0]]))
    found, head_px = with_heads(peaks(heat[0], LEAST_HEAD), head, view)
    found = with_hands(found, peaks(heat[1], LEAST_HAND), hand, (head_px, view))
    local = cells - made.corner
    said = patch[:, local[:, 0], local[:, 1]].T
    person = 1.0 / (1.0 + np.exp(-said[:, 0].clip(-30, 30)))
    aim = (cells[:, ::-1] + np.float32(0.5)) * PATCH_PX + said[:, 1:] * OWNER_PX
    whose = nearest(aim.astype(np.float32), head_px, PATCH_TO_HEAD_PX)
    return found, person.astype(np.float32), np.where(person > 0.5, whose, -1)


@dataclass(frozen=True)
class View:
    """What is known of the camera whose picture was looked at."""

    cells: NDArray[np.int64]
    rays: Float32
    corner_px: Float32
    frame: Float32
    origin: Float32
    camera: int

    def place(self, pixels: Float32, log_range: Float32, log_sd: tuple[Float32, Float32]) -> tuple[Float32, Float32]:
        """World points [N, 3] and covariances [N, 3, 3] of pixels [N, 2]; log deviations: in pixels, of the range."""
        ray, angle, _ = rays_at(pixels, self.cells, self.rays)
        ahead = ray @ self.frame.T
        reach = RANGE_M * np.exp(log_range.clip(-3, 1.5))
        across, along = (reach * angle * np.exp(log_sd[0])) ** 2, (reach * np.exp(log_sd[1])) ** 2
        line = ahead[:, :, None] * ahead[:, None, :]
        spread = (np.eye(3) - line) * across[:, None, None] + line * along[:, None, None]
        return (self.origin + ahead * reach[:, None]).astype(np.float32), spread.astype(np.float32)


def peaks(heat: Float32, least: float) -> Peaks:
    """Local maxima over 3×3 cells of a map [rows, cols] that reach `least`, highest first."""
    v, u = np.nonzero((heat >= least) & (heat >= cv2.dilate(heat, np.ones((3, 3), dtype=np.uint8))))
    order = np.argsort(-heat[v, u], kind="stable")
    return Peaks(heat[v, u][order], np.stack([u, v], axis=1)[order].astype(np.int64))


def apart(pixels: Float32, least_px: float) -> NDArray[np.int64]:
    """Which of points [N, 2], best first, are no second sight of a better one."""
    gap = np.linalg.norm(pixels[:, None] - pixels[None], axis=-1)
    kept: list[int] = []
    for i in range(len(pixels)):
        if all(gap[i, k] >= least_px for k in kept):
            kept.append(i)
    return np.array(kept, dtype=np.int64)


def with_heads(found: Peaks, values: Float32, view: View) -> tuple[Detections, Float32]:
    """Detections of heads, as yet without hands that are seen, and the heads' pixels [D, 2]."""
    cell = found.cell * HAND_STRIDE // HEAD_STRIDE
    said = values[:, cell[:, 1], cell[:, 0]].T  # [D, 32]
    pixels = ((cell + np.float32(0.5) + said[:, :2]) * HEAD_STRIDE + view.corner_px).astype(np.float32)
    keep = apart(pixels, SAME_HEAD_PX)
    said, pixels, score = said[keep], pixels[keep], found.score[keep]
    sd = said.clip(LEAST_SD, 2.0)
    log_px = sd[:, 2] + np.log(np.float32(HEAD_STRIDE))
    head, spread = view.place(pixels, said[:, 3], (log_px, sd[:, 4]))
    floor = head[:, :2] + said[:, 5:7] @ view.frame[:2, :2].T
    floor_spread = spread[:, :2, :2] + np.eye(2, dtype=np.float32) * np.exp(2 * sd[:, 7])[:, None, None]
    arms = head[:, None] + said[:, 8:14].reshape(-1, 2, 3) @ view.frame.T
    looks = said[:, 16:]
    looks = LOOKS_LENGTH * looks / np.maximum(np.linalg.norm(looks, axis=1, keepdims=True), 1e-6)
    camera = np.full(len(keep), view.camera, dtype=np.int64)
    made = replace(
        nothing(), camera=camera, score=score, head=head, head_spread=spread, floor=floor, floor_spread=floor_spread,
        hands=arms, hand_sd=np.exp(sd[:, 14:16]), looks=looks,
    )  # fmt: skip
    return made, pixels


def with_hands(made: Detections, found: Peaks, values: Float32, heads: tuple[Float32, View]) -> Detections:
    """The detections with hands that are seen, as far as they point at one of the heads [D, 2]."""
    head_px, view = heads
    cell = found.cell
    said = values[:, cell[:, 1], cell[:, 0]].T  # [K, 7]
    pixels = ((cell + np.float32(0.5) + said[:, :2]) * HAND_STRIDE + view.corner_px).astype(np.float32)
    aim = (cell + np.float32(0.5)) * HAND_STRIDE + view.corner_px + said[:, 5:7] * OWNER_PX
    whose = nearest(aim.astype(np.float32), head_px, HAND_TO_HEAD_PX)
    keep = apart(pixels, SAME_HAND_PX)
    keep = keep[whose[keep] >= 0]
    said, sd = said[keep], said[keep].clip(LEAST_SD, 2.0)
    log_px = sd[:, 2] + np.log(np.float32(HAND_STRIDE))
    log_along = sd[:, 4] + np.log(np.float32(RANGE_DOUBT))
    point, spread = view.place(pixels[keep], said[:, 3], (log_px, log_along))
    return replace(made, of_head=whose[keep], hand_score=found.score[keep], hand=point, seen_spread=spread)


def nearest(points: Float32, head_px: Float32, most_px: float) -> NDArray[np.int64]:
    """Which head is nearest to each point [N, 2], -1 where none is near."""
    if not len(head_px):
        return np.full(len(points), -1, dtype=np.int64)
    gap = np.linalg.norm(points[:, None] - head_px[None], axis=-1)
    best = gap.argmin(1)
    return np.where(gap[np.arange(len(points)), best] < most_px, best, -1).astype(np.int64)


def nothing() -> Detections:
    """No detections."""
    f32, i64 = np.float32, np.int64
    return Detections(
        np.zeros(0, i64), np.zeros(0, f32), np.zeros((0, 3), f32), np.zeros((0, 3, 3), f32), np.zeros((0, 2), f32),
        np.zeros((0, 2, 2), f32), np.zeros((0, 2, 3), f32), np.zeros((0, 2), f32), np.zeros((0, LOOKS), f32),
        np.zeros(0, i64), np.zeros(0, f32), np.zeros((0, 3), f32), np.zeros((0, 3, 3), f32),
    )  # fmt: skip


def joined(parts: list[Detections]) -> Detections:
    """Detections of several cameras as one slot's."""
    if not parts:
        return nothing()
    first = np.cumsum([0, *(len(part.camera) for part in parts)])
    values = {f.name: np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(Detections)}
    values["of_head"] = np.concatenate([part.of_head + at for part, at in zip(parts, first[:-1], strict=True)])
    return Detections(**values)
