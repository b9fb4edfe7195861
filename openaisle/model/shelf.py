"""The shelf look: a lane before and after a change says what left, what came, and how many of its own product.

W windows (views of lanes); E product width. Masks over the window (16×16 cells) find what left in the picture before
and what came in the picture after; each is read by its colours, with the same layers as catalogue pictures, and by its
shape. Views of one lane add up (tokens/shelf.py); the catalogue's pictures are encoded into the same space.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from openaisle.model.catalogue import COLOURS, PictureEncoder
from openaisle.model.config import NetworkConfig
from openaisle.tokens.shelf import SHELF_CHANGES, SHELF_FEATURES

WIDTH = 64


@dataclass(frozen=True)
class ShelfOutputs:
    """What each window [W, ...] says; left first, then come."""

    named: Tensor  # [W, 2, E] evidence for products: its length says how sure, its direction which
    changed: Tensor  # [W, 2] logit: something left, something came
    net: Tensor  # [W, SHELF_CHANGES] evidence for how many units of the lane's own product there are more
    mask: Tensor  # [W, 2, 256] logits: cells that show what left, what came

    def flat(self) -> Tensor:
        """All that adds up over views [W, ...]."""
        return torch.cat([self.named.flatten(1), self.changed, self.net], dim=1)


@dataclass(frozen=True)
class LaneOutputs:
    """What all views of each lane [L, ...] say together."""

    named: Tensor  # [L, 2, E] times a product's vector: log-odds over the catalogue
    changed: Tensor  # [L, 2] logits
    net: Tensor  # [L, SHELF_CHANGES] logits


class ShelfNetwork(nn.Module):
    """Windows → ShelfOutputs, and catalogue pictures → vectors."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.aim = nn.Sequential(nn.Linear(SHELF_FEATURES, 64), nn.GELU(), nn.Linear(64, 2 * WIDTH))
        self.first = nn.Conv2d(10, 32, 3, padding=1)
        self.second, self.third = (
            nn.Conv2d(32, 48, 3, stride=2, padding=1),
            nn.Conv2d(48, WIDTH, 3, stride=2, padding=1),
        )
        self.fourth, self.fifth = nn.Conv2d(WIDTH, WIDTH, 3, padding=1), nn.Conv2d(WIDTH, WIDTH, 3, padding=1)
        self.whole = nn.Conv2d(WIDTH, 2 * WIDTH, 3, stride=2, padding=1)
        self.fine, self.coarse = nn.Conv2d(48, 48, 3, padding=1), nn.Conv2d(WIDTH, 48, 1)
        self.mask = nn.Conv2d(48, 2, 1)
        self.shape = nn.Conv2d(48, WIDTH, 1)
        self.sum_up = nn.Linear(2 * WIDTH * 16, 192)
        self.light = nn.Linear(192, 3)  # log gain of each colour: what the window as a whole tells of the light
        self.count = nn.Sequential(
            nn.Linear(192 + 2 * WIDTH + 2 * config.product_width + 4, 128), nn.GELU(), nn.Linear(128, SHELF_CHANGES + 2)
        )
        self.pictures = PictureEncoder(config.product_width)
        self.name = nn.Sequential(
            nn.Linear(WIDTH + COLOURS + 193, 192), nn.GELU(), nn.Linear(192, config.product_width + 1)
        )
        for last in (self.light, self.name[2]):  # colours alone to begin with
            assert isinstance(last, nn.Linear)
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)
        self.scale = nn.Parameter(torch.tensor(2.0))  # log of the length of fully sure evidence
        self.usual = nn.Parameter(torch.zeros(2 + SHELF_CHANGES))  # what holds before any view has spoken

    def forward(self, before: Tensor, after: Tensor, area: Tensor, features: Tensor, own: Tensor) -> ShelfOutputs:
        """before, after uint8 [W, 32, 32, 3], area [W, 32, 32]; features [W, F]; own [W, E] the lane's product."""
        a, b = (x.permute(0, 3, 1, 2).to(features.dtype) / 255.0 for x in (before, after))
        inside = area[:, None].to(features.dtype) / 255.0
        scale, shift = self.aim(features)[..., None, None].chunk(2, dim=1)
        x = torch.cat([a - 0.5, b - 0.5, (b - a) * 2.0, inside], dim=1)
        early = F.gelu(self.second(F.gelu(self.first(x))))  # [W, 48, 16, 16]
        x = F.gelu(self.third(early) * (1 + scale) + shift)  # [W, 64, 8, 8]
        x = x + F.gelu(self.fourth(x))
        x = x + F.gelu(self.fifth(x))
        near = F.gelu(self.fine(early) + F.interpolate(self.coarse(x), scale_factor=2.0, mode="nearest"))
        mask = self.mask(near).flatten(2).float()  # [W, 2, 256]
        whole = F.gelu(self.sum_up(F.gelu(self.whole(x)).flatten(1)))
        gain = self.light(whole).exp()[..., None, None]
        where = mask.softmax(-1)
        size = torch.log1p(mask.sigmoid().sum(-1, keepdim=True)).to(whole.dtype)  # [W, 2, 1] cells
        shapes = torch.einsum("wsn,wcn->wsc", where.to(whole.dtype), self.shape(near).flatten(2))
        colours = torch.stack(
            [
                torch.einsum("wn,wcn->wc", where[:, side].to(whole.dtype), self.tints(picture, gain))
                for side, picture in enumerate((a, b))
            ],
            dim=1,
        )
        context = whole[:, None].expand(-1, 2, -1)
        said = self.name(torch.cat([shapes, colours, size, context], dim=-1)).float()
        named = F.normalize(self.pictures.tint.read(colours).float() + said[..., :-1], dim=-1, eps=1e-6)
        sure = torch.sigmoid(said[..., -1:]) * self.scale.exp()
        like = named * own[:, None]
        counted = self.count(
            torch.cat(
                [
                    whole,
                    shapes.flatten(1),
                    like.flatten(1).to(whole.dtype),
                    size.flatten(1),
                    like.sum(-1).to(whole.dtype),
                ],
                dim=1,
            )
        ).float()
        return ShelfOutputs(named * sure, counted[:, :2], counted[:, 2:], mask)

    def tints(self, picture: Tensor, gain: Tensor) -> Tensor:
        """Colours of each cell of a window: [W, COLOURS, 256]."""
        tinted: Tensor = self.pictures.tint.pixels(F.avg_pool2d(picture, 2) * gain).flatten(2)
        return tinted

    def agree(self, outputs: ShelfOutputs, lane: Tensor, lanes: int) -> LaneOutputs:
        """All views of each lane together; lane int64 [W] is each window's, of `lanes` L."""
        said = outputs.flat()
        return self.told(said.new_zeros(lanes, said.shape[1]).index_add(0, lane, said))

    def of_one_lane(self, outputs: ShelfOutputs) -> LaneOutputs:
        """All views together where they are of one lane; ONNX adds nothing up under one index (dev/LOG.md)."""
        return self.told(outputs.flat().sum(0, keepdim=True))

    def told(self, total: Tensor) -> LaneOutputs:
        """Sums [L, ...] of views as what they say together."""
        wide = total.shape[1] - self.usual.shape[0]
        named, rest = total[:, :wide], total[:, wide:] + self.usual
        return LaneOutputs(named.view(named.shape[0], 2, -1), rest[:, :2], rest[:, 2:])
