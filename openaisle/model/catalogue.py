"""Catalogue pictures become product embeddings, so that a product never seen in training can be pointed at."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class PictureEncoder(nn.Module):
    """uint8 pictures [M, sides, 32, 32, 3] → unit vectors [M, E] (mean over the sides)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 24, 3, stride=2, padding=1), nn.GELU(),
            nn.Conv2d(24, 48, 3, stride=2, padding=1), nn.GELU(),
            nn.Conv2d(48, 64, 3, stride=2, padding=1), nn.GELU(),
        )  # fmt: skip
        self.out = nn.Linear(64 * 16, width)

    def forward(self, pictures: Tensor) -> Tensor:
        """Embeddings [M, E]."""
        rows, sides = pictures.shape[:2]
        x = pictures.flatten(0, 1).permute(0, 3, 1, 2).to(self.out.weight.dtype) / 255.0 - 0.5
        each = self.out(self.layers(x).flatten(1)).view(rows, sides, -1)
        return F.normalize(torch.mean(each, dim=1).float(), dim=-1, eps=1e-6)
