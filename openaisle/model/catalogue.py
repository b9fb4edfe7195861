"""Catalogue pictures become product embeddings, so that a product never seen in training can be pointed at."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

WHITE = 0.97  # studio pictures stand on white
COLOURS = 64


class Tint(nn.Module):
    """Colours of a few pixels as a vector: the same layers for far-away items and for catalogue pictures.

    What is left of a product five pixels wide is which colours it has. Two encoders of their own took thousands of
    steps to find that out; one that they share starts there (dev/LOG.md).
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, COLOURS, 1), nn.Conv2d(COLOURS, COLOURS, 1)
        self.read = nn.Linear(COLOURS, width)

    def pixels(self, rgb: Tensor) -> Tensor:
        """rgb [N, 3, H, W] from 0 to 1 → [N, COLOURS, H, W]."""
        log = torch.log(rgb.clamp_min(0.0) + 0.05)
        chroma = log - log.mean(1, keepdim=True)
        value = log.mean(1, keepdim=True) * 0.3
        out: Tensor = self.second(F.gelu(self.first(3.0 * (chroma + value))))
        return out


class PictureEncoder(nn.Module):
    """uint8 pictures [M, sides, 32, 32, 3] → unit vectors [M, E] (mean over the sides)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.tint = Tint(width)
        self.layers = nn.Sequential(
            nn.Conv2d(3, 24, 3, stride=2, padding=1), nn.GELU(),
            nn.Conv2d(24, 48, 3, stride=2, padding=1), nn.GELU(),
            nn.Conv2d(48, 64, 3, stride=2, padding=1), nn.GELU(),
        )  # fmt: skip
        self.shape, self.last = nn.Linear(64 * 16 + 65, 192), nn.Linear(192, width)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def forward(self, pictures: Tensor) -> Tensor:
        """Embeddings [M, E]."""
        rows, sides = pictures.shape[:2]
        rgb = pictures.flatten(0, 1).permute(0, 3, 1, 2).to(self.last.weight.dtype) / 255.0
        shown = (rgb.amin(1, keepdim=True) < WHITE).to(rgb.dtype)
        area = F.avg_pool2d(shown, 4)
        blurred = F.avg_pool2d(rgb * shown, 4) / area.clamp_min(0.05)  # as from afar
        share = area / area.sum((2, 3), keepdim=True).clamp_min(0.05)
        colours = (self.tint.pixels(blurred) * share).sum((2, 3))
        x = self.layers(rgb - 0.5)
        shape = F.gelu(self.shape(torch.cat([x.flatten(1), x.mean((2, 3)), area.mean((2, 3))], dim=1)))
        each = self.tint.read(colours) + self.last(shape)
        return F.normalize(torch.mean(each.view(rows, sides, -1), dim=1).float(), dim=-1, eps=1e-6)
