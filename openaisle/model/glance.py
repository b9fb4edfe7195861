"""The glance: windows around believed hands say where the hand really is, whether it holds something, and what.

W windows; E product width. Masks over the window (16×16 cells) find the hand and the item; the product's vector is
read where the item is: from its colours, by the same layers as the catalogue's pictures, and from its shape. The
catalogue's pictures are encoded into the same space.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from openaisle.model.catalogue import PictureEncoder
from openaisle.model.config import NetworkConfig
from openaisle.tokens.glance import WINDOW_FEATURES

GRID = 16  # masks are 16×16 cells of a window
WIDTH = 64


@dataclass(frozen=True)
class GlanceOutputs:
    """What each window [W, ...] says."""

    offset: Tensor  # [W, 2] hand's place from the window's centre, in half windows (right, down)
    log_sd: Tensor  # [W] of either component of the offset
    seen: Tensor  # [W] logit: the hand shows
    item: Tensor  # [W] logit: something that the hand holds shows
    holds: Tensor  # [W] logit: the hand holds something
    product: Tensor  # [W, E] unit vector in the catalogue's space
    mask: Tensor  # [W, 2, 256] logits: cells that show the hand, the item


class GlanceNetwork(nn.Module):
    """Windows → GlanceOutputs, and catalogue pictures → vectors."""

    grid: Tensor

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.aim = nn.Sequential(nn.Linear(WINDOW_FEATURES, 64), nn.GELU(), nn.Linear(64, 2 * WIDTH))
        self.first, self.second = nn.Conv2d(6, 32, 3, stride=2, padding=1), nn.Conv2d(32, WIDTH, 3, stride=2, padding=1)
        self.third, self.fourth = nn.Conv2d(WIDTH, WIDTH, 3, padding=1), nn.Conv2d(WIDTH, WIDTH, 3, padding=1)
        self.fifth = nn.Conv2d(WIDTH, 2 * WIDTH, 3, stride=2, padding=1)
        self.fine, self.coarse = nn.Conv2d(32, 32, 3, padding=1), nn.Conv2d(WIDTH, 32, 1)
        self.mask = nn.Conv2d(32, 2, 1)
        self.light = nn.Linear(192, 3)  # log gain of each colour: what the window as a whole tells of the light
        self.shape = nn.Conv2d(32, WIDTH, 1)
        self.whole = nn.Linear(2 * WIDTH * 16, 192)
        self.say = nn.Sequential(nn.Linear(192 + 2 * WIDTH + 2, 128), nn.GELU(), nn.Linear(128, 6))
        self.pictures = PictureEncoder(config.product_width)
        self.name = nn.Sequential(nn.Linear(2 * WIDTH + 2, 192), nn.GELU(), nn.Linear(192, config.product_width))
        for last in (self.light, self.name[2]):  # colours alone to begin with
            assert isinstance(last, nn.Linear)
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)
        self.scale = nn.Parameter(torch.tensor(2.3))  # log of the softmax scale over the catalogue
        centre = (torch.arange(GRID) + 0.5) * 2 / GRID - 1
        cells = torch.stack(torch.meshgrid(centre, centre, indexing="xy"), dim=-1).view(-1, 2)
        self.register_buffer("grid", cells, persistent=False)  # [256, 2] right, down

    def forward(self, now: Tensor, before: Tensor, features: Tensor) -> GlanceOutputs:
        """now, before uint8 [W, 32, 32, 3]; features [W, WINDOW_FEATURES]."""
        a, b = (x.permute(0, 3, 1, 2).to(features.dtype) / 255.0 for x in (now, before))
        scale, shift = self.aim(features)[..., None, None].chunk(2, dim=1)
        early = F.gelu(self.first(torch.cat([a - 0.5, (a - b) * 2.0], dim=1)))  # [W, 32, 16, 16]
        x = F.gelu(self.second(early) * (1 + scale) + shift)  # [W, 64, 8, 8]
        x = x + F.gelu(self.third(x))
        x = x + F.gelu(self.fourth(x))
        near = F.gelu(self.fine(early) + F.interpolate(self.coarse(x), scale_factor=2.0, mode="nearest"))
        mask = self.mask(near).flatten(2).float()  # [W, 2, 256]
        where = mask.softmax(-1)
        whole = F.gelu(self.whole(F.gelu(self.fifth(x)).flatten(1)))
        gain = self.light(whole).exp()[..., None, None]
        colours = self.pictures.tint.pixels(F.avg_pool2d(a, 2) * gain)
        cells = torch.cat([self.shape(near), colours], dim=1).flatten(2)
        hand, item = (torch.einsum("wn,wcn->wc", where[:, i].to(cells.dtype), cells) for i in range(2))
        size = torch.log1p(mask.sigmoid().sum(-1)).to(whole.dtype)  # [W, 2] cells
        said = self.say(torch.cat([whole, hand[:, :WIDTH], item[:, :WIDTH], size], dim=1)).float()
        named = self.pictures.tint.read(item[:, WIDTH:]) + self.name(torch.cat([item, size], dim=1))
        offset = where[:, 0] @ self.grid + 0.25 * said[:, :2]
        return GlanceOutputs(
            offset, said[:, 2].clamp(-4.0, 1.0), said[:, 3], said[:, 4], said[:, 5],
            F.normalize(named.float(), dim=-1, eps=1e-6), mask,
        )  # fmt: skip
