"""The detector's losses and metrics: heat maps of heads and hands, and what is said at each.

P people in I canvases; a place is told by the cells around it, so that a peak that is off by one says nearly the same.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from openaisle.model.detector import LOOKS, STRIDES, DetectorOutputs

SD_CELLS = 1.0  # of the heat's target around a place, in its cells
HIDDEN_WEIGHT = 0.1  # of a hand that does not show: the arm tells where it went
HEAD_NEAR, HAND_NEAR, HEAT_NEAR = 1, 1, 3  # cells around a place that tell of it
OWNER_PX, RANGE_M = 32.0, 3.0
NOWHERE_PX = -1e3  # above it: no place in the picture
TEMPERATURE, TAILS_DOF = 0.1, 4.0
ARMS, LOOKS_SHARE = 3.0, 0.4  # weight of what bodies tell of hands, and of looks, beside the other losses
REACH_M, REACHING = 0.38, 3.0
CHANNELS = (1.0, 2.0)  # weight of heads and hands in the heat's loss
OWNER_SCALE = 0.25  # of its loss beside the others


@dataclass(frozen=True)
class DetectorTargets:
    """Truth of I canvases (training/detections.py): pixels of the canvas, vectors of the camera's horizontal frame."""

    picture: Tensor  # int64 [P] whose canvas
    identity: Tensor  # int64 [P] the same for the same person of a shop
    shop: Tensor  # int64 [P]
    head_px: Tensor  # [P, 2]
    head_inside: Tensor  # bool [P]
    head_range: Tensor  # [P] metres
    floor: Tensor  # [P, 2] from the head
    hands: Tensor  # [P, 2, 3] from the head, far and near
    hand_px: Tensor  # [P, 2, 2]
    hand_inside: Tensor  # bool [P, 2]
    hand_range: Tensor  # [P, 2]
    hand_seen: Tensor  # bool [P, 2]
    owner: Tensor  # int64 [I, H, W] place among the picture's people; -1 nobody, -2 somebody left out
    changed: Tensor  # bool [I, H, W]


def heat_targets(t: DetectorTargets, rows: int, cols: int) -> tuple[Tensor, Tensor]:
    """Heat [I, 2, rows, cols] of heads and hands, 1 at their places, and the weight of each cell."""
    images = len(t.changed)
    heat, weight = torch.zeros(images * 2 * rows * cols), torch.ones(images * 2 * rows * cols)
    pixels = torch.cat([t.head_px, t.hand_px[:, 0], t.hand_px[:, 1]])
    inside = torch.nonzero(torch.cat([t.head_inside, t.hand_inside[:, 0], t.hand_inside[:, 1]]))[:, 0]
    shown = torch.cat([torch.ones_like(t.head_inside), t.hand_seen[:, 0], t.hand_seen[:, 1]])
    channel = (torch.arange(len(pixels)) >= len(t.picture)).long()
    near = around(pixels, inside, t.picture.repeat(3), STRIDES["heat"], HEAT_NEAR, (rows, cols))
    steps = near.cell - torch.floor(pixels[near.owner] / STRIDES["heat"])
    at = ((near.picture * 2 + channel[near.owner]) * rows + near.cell[:, 1]) * cols + near.cell[:, 0]
    heat.scatter_reduce_(0, at, torch.exp(-0.5 * (steps**2).sum(1) / SD_CELLS**2), "amax")
    weight[at[~shown[near.owner]]] = HIDDEN_WEIGHT
    return heat.view(images, 2, rows, cols), weight.view(images, 2, rows, cols)


def heat_loss(logits: Tensor, heat: Tensor, weight: Tensor) -> Tensor:
    """CenterNet's focal loss, per place that shows; hands count more, as they are small."""
    p = torch.sigmoid(logits).clamp(1e-4, 1 - 1e-4)
    at = heat > 0.999
    right = -torch.log(p) * (1 - p) ** 2
    wrong = -torch.log(1 - p) * p**2 * (1 - heat) ** 4
    per_channel = (torch.where(at, right, wrong) * weight).sum((0, 2, 3)) / (at * weight).sum((0, 2, 3)).clamp_min(1)
    return per_channel @ torch.tensor(CHANNELS)


def around(pixels: Tensor, rows: Tensor, picture: Tensor, stride: int, near: int, size: tuple[int, int]) -> Around:
    """Cells within `near` of the places pixels[rows] [K, 2], of maps of a size (rows, columns)."""
    at = torch.floor(pixels[rows] / stride).long()
    steps = torch.arange(-near, near + 1)
    shift = torch.stack(torch.meshgrid(steps, steps, indexing="xy"), -1).view(-1, 2)
    cells = (at[:, None] + shift[None]).view(-1, 2)
    owner = rows.repeat_interleave(len(shift))
    keep = (cells >= 0).all(1) & (cells[:, 0] < size[1]) & (cells[:, 1] < size[0])
    cells, owner = cells[keep], owner[keep]
    offset = pixels[owner] / stride - cells - 0.5
    return Around(picture[owner], cells, owner, offset)


@dataclass(frozen=True)
class Around:
    """K cells near places: the picture, the cell (u, v), whose place, and its way from the cell's middle in cells."""

    picture: Tensor
    cell: Tensor
    owner: Tensor
    offset: Tensor

    def read(self, values: Tensor) -> Tensor:
        """What a map [I, C, rows, cols] says there: [K, C]."""
        return values[self.picture, :, self.cell[:, 1], self.cell[:, 0]].float()


def stretched(hands: Tensor) -> Tensor:
    """Weight [K] of hands [K, 3] from the head: receipts are made of those few that reach."""
    weight: Tensor = 1.0 + REACHING * (torch.linalg.vector_norm(hands[:, :2], dim=1) > REACH_M).float()
    return weight


def gaussian(mean: Tensor, log_sd: Tensor, true: Tensor, weight: Tensor | None = None) -> Tensor:
    """Mean negative log likelihood of points [K, D] under one deviation [K] for all D, with heavier tails.

    Weighted by the deviation itself (beta-NLL): what is told to the centimetre must not drown all else.
    """
    log_sd = log_sd.clamp(-4.5, 2.0)
    dims = mean.shape[-1]
    error = ((mean - true) ** 2).sum(-1) / torch.exp(2 * log_sd)
    each = 0.5 * (TAILS_DOF + dims) * torch.log1p(error / TAILS_DOF) + dims * log_sd
    return (each * log_sd.detach().exp() * (1.0 if weight is None else weight)).sum() / max(1, len(mean))


def loss(out: DetectorOutputs, t: DetectorTargets) -> tuple[Tensor, dict[str, float]]:
    """The whole loss and its parts."""
    size = (out.heat.shape[2], out.heat.shape[3])
    parts = {"heat": heat_loss(out.heat.float(), *heat_targets(t, *size))}
    head_rows = torch.nonzero(t.head_inside)[:, 0]
    near = around(t.head_px, head_rows, t.picture, STRIDES["head"], HEAD_NEAR, (size[0] // 2, size[1] // 2))
    said = near.read(out.head)
    parts["head"] = gaussian(said[:, :2], said[:, 2], near.offset)
    log_range = torch.log(t.head_range / RANGE_M)[near.owner][:, None]
    parts["range"] = gaussian(said[:, 3:4], said[:, 4], log_range)
    parts["floor"] = gaussian(said[:, 5:7], said[:, 7], t.floor[near.owner])
    for hand, name in enumerate(("far", "near")):
        mean, true = said[:, 8 + 3 * hand : 11 + 3 * hand], t.hands[near.owner, hand]
        parts[name] = ARMS * gaussian(mean, said[:, 14 + hand], true, stretched(true))
    parts["looks"] = LOOKS_SHARE * looks_loss(F.normalize(said[:, 16 : 16 + LOOKS], dim=-1), near.owner, t)
    every = torch.nonzero(t.hand_inside.flatten())[:, 0]
    seen = around(t.hand_px.flatten(0, 1), every, t.picture.repeat_interleave(2), STRIDES["hand"], HAND_NEAR, size)
    told = seen.read(out.hand)
    parts["hand"] = gaussian(told[:, :2], told[:, 2], seen.offset)
    hand_range = torch.log(t.hand_range.flatten() / RANGE_M)[seen.owner]
    parts["hand_range"] = gaussian(told[:, 3:4], told[:, 4], hand_range[:, None])
    centre = (seen.cell + 0.5) * STRIDES["hand"]
    owner_px = (t.head_px[seen.owner // 2] - centre) / OWNER_PX
    known = t.head_px[seen.owner // 2, 1] > NOWHERE_PX
    parts["owner"] = OWNER_SCALE * F.smooth_l1_loss(told[known, 5:7], owner_px[known], beta=0.2) * 10
    parts["patch"] = patch_loss(out.patch.float(), t)
    total = torch.stack(list(parts.values())).sum()
    return total, {name: float(value.detach()) for name, value in parts.items()}


def patch_loss(said: Tensor, t: DetectorTargets) -> Tensor:
    """Which changed patches show a person, and where its head is."""
    person = (t.owner != -1).float()
    each = F.binary_cross_entropy_with_logits(said[:, 0], person, reduction="none")
    total = each[t.changed].mean()
    first = torch.searchsorted(t.picture.contiguous(), torch.arange(len(t.owner)))
    image, row, col = torch.nonzero((t.owner >= 0) & t.changed, as_tuple=True)
    whose = first[image] + t.owner[image, row, col]
    known = t.head_px[whose, 1] > NOWHERE_PX
    image, row, col, whose = image[known], row[known], col[known], whose[known]
    centre = (torch.stack([col, row], -1) + 0.5) * STRIDES["patch"]
    true = (t.head_px[whose] - centre) / OWNER_PX
    far = F.smooth_l1_loss(said[image, 1:, row, col], true, beta=0.2) if len(whose) else said.sum() * 0
    return total + OWNER_SCALE * 10 * far


def looks_loss(looks: Tensor, owner: Tensor, t: DetectorTargets) -> Tensor:
    """Supervised contrastive: the same person elsewhere is likelier than everybody else of the shop."""
    identity, shop, picture = t.identity[owner], t.shop[owner], t.picture[owner]
    scores = looks @ looks.T / TEMPERATURE
    other = picture[:, None] != picture[None]
    same_shop = shop[:, None] == shop[None]
    scores = scores.masked_fill(~(same_shop & (other | (owner[:, None] != owner[None]))), -1e9)
    same = (identity[:, None] == identity[None]) & other & same_shop
    rows = same.any(1)
    if not rows.any():
        return looks.sum() * 0
    log_p = scores.log_softmax(1)[rows]
    chosen = same[rows]
    return -((log_p * chosen).sum(1) / chosen.sum(1)).mean()


def metric(out: DetectorOutputs, t: DetectorTargets) -> dict[str, float]:
    """Errors at true places: head in cells, range in per cent, floor and hands in metres, looks, patches.

    What a batch has none of is not told.
    """
    size = (out.heat.shape[2], out.heat.shape[3])
    rows = torch.nonzero(t.head_inside)[:, 0]
    near = around(t.head_px, rows, t.picture, STRIDES["head"], 0, (size[0] // 2, size[1] // 2))
    said = near.read(out.head)
    heat = torch.sigmoid(out.heat.detach().float())
    at = torch.floor(t.head_px[rows] / STRIDES["heat"]).long()
    shown = t.hand_seen & t.hand_inside
    hand_rows = torch.nonzero(shown.flatten())[:, 0]
    seen = around(t.hand_px.flatten(0, 1), hand_rows, t.picture.repeat_interleave(2), STRIDES["hand"], 0, size)
    told = seen.read(out.hand)
    true_heat, _ = heat_targets(t, *size)
    far = t.hands[near.owner, 0]
    hand_range = torch.log(t.hand_range.flatten() / RANGE_M)[seen.owner]
    person = t.owner != -1
    looks = F.normalize(said[:, 16 : 16 + LOOKS], dim=-1)
    told_of = {
        "head_heat": float(heat[t.picture[rows], 0, at[:, 1], at[:, 0]].mean()),
        "head_elsewhere": float((heat[:, 0] * (true_heat[:, 0] < 0.01)).amax((1, 2)).mean()),
        "head_cells": float((said[:, :2] - near.offset).norm(dim=-1).median()),
        "range_percent": 100 * float((said[:, 3] - torch.log(t.head_range / RANGE_M)[near.owner]).abs().median()),
        "floor_m": float((said[:, 5:7] - t.floor[near.owner]).norm(dim=-1).median()),
        "reaching_m": float((said[:, 8:11] - far)[stretched(far) > 1].norm(dim=-1).median()),
        "far_mean_m": float((said[:, 8:11] - far).norm(dim=-1).mean()),
        "hand_heat": float(seen.read(heat)[:, 1].mean()),
        "hand_cells": float((told[:, :2] - seen.offset).norm(dim=-1).median()),
        "hand_range_percent": 100 * float((told[:, 3] - hand_range).abs().median()),
        "patch_right": float(((out.patch[:, 0] > 0) == person)[t.changed].float().mean()),
        "same_looks": same_looks(looks, near.owner, t),
    }  # fmt: skip
    return {name: value for name, value in told_of.items() if not math.isnan(value)}


def same_looks(looks: Tensor, owner: Tensor, t: DetectorTargets) -> float:
    """Share of people whose most alike one in the shop's other pictures is the same person, of those who are there."""
    identity, shop, picture = t.identity[owner], t.shop[owner], t.picture[owner]
    free = (picture[:, None] != picture[None]) & (shop[:, None] == shop[None])
    same = (identity[:, None] == identity[None]) & free
    best = (looks @ looks.T).masked_fill(~free, -9.0).argmax(1)
    right = same[torch.arange(len(best)), best]
    return float(right[same.any(1)].float().mean())
