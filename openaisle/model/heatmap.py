"""Hand heat maps: a window around a whole body says how likely each cell shows the place of either hand, seen or not.

W windows of 80×80 pixels, cells 40×40. An hourglass of convolutions; a last score stands for "outside the window".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from openaisle.tokens.body import BODY_FEATURES

WIDTHS = (32, 64, 128, 160)
WHOLE_WIDTH = 48  # of each place before the whole window is looked at at once


@dataclass(frozen=True)
class HeatmapOutputs:
    """What each window [W, ...] says."""

    heat: Tensor  # [W, 2, 1601] logits of the far and the near hand's place over cells, and outside of the window
    mask: Tensor  # [W, 2, 1600] logits: cells that show one of the hands, something held


class ConvBlock(nn.Module):
    """3×3 convolution, batch norm, activation; with a residual where nothing changes its size."""

    def __init__(
        self, inputs: int, outputs: int, stride: int = 1, activation: Callable[[Tensor], Tensor] = F.gelu
    ) -> None:
        super().__init__()
        self.activation = activation
        self.conv = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(outputs)
        self.residual = inputs == outputs and stride == 1

    def forward(self, x: Tensor) -> Tensor:
        """One block."""
        y = self.activation(self.norm(self.conv(x)))
        return x + y if self.residual else y


class Hourglass(nn.Module):
    """A window's convolutions down to a sixteenth of its side, once over the whole, and up to half again."""

    def __init__(self, channels: int, features: int, places: int) -> None:
        """Channels of the pictures, numbers told of a window, and places (of a sixteenth) in it."""
        super().__init__()
        a, b, c, d = self.widths = WIDTHS
        self.aim = nn.Sequential(nn.Linear(features, 64), nn.GELU(), nn.Linear(64, c))
        self.first = ConvBlock(channels, a, 2)  # half the side
        self.second = nn.Sequential(ConvBlock(a, b, 2), ConvBlock(b, b))
        self.third, self.third_on = ConvBlock(b, c, 2), nn.Sequential(ConvBlock(c, c), ConvBlock(c, c))
        self.fourth = nn.Sequential(ConvBlock(c, d, 2), ConvBlock(d, d), ConvBlock(d, d))
        self.squeeze = nn.Conv2d(d, WHOLE_WIDTH, 1)
        self.whole = nn.Sequential(nn.Linear(WHOLE_WIDTH * places, 128), nn.GELU(), nn.Linear(128, d))
        self.up_third, self.join_third = nn.Conv2d(d, c, 1), ConvBlock(c, c)
        self.up_second, self.join_second = nn.Conv2d(c, b, 1), ConvBlock(b, b)
        self.up_first, self.join_first = nn.Conv2d(b, a, 1), ConvBlock(a, a)

    def cells(self, first: Tensor, features: Tensor) -> tuple[Tensor, Tensor]:
        """From what the first layer made of windows: cells [W, a, side / 2, side / 2], and the whole [W, d]."""
        second = self.second(first)
        third = self.third_on(self.third(second) + self.aim(features)[..., None, None])
        fourth = self.fourth(third)
        whole = self.whole(self.squeeze(fourth).flatten(1))
        x = fourth + whole[..., None, None]
        x = self.join_third(third + twice(self.up_third(x)))
        x = self.join_second(second + twice(self.up_second(x)))
        return self.join_first(first + twice(self.up_first(x))), whole


class HeatmapNetwork(Hourglass):
    """Windows around bodies → HeatmapOutputs."""

    def __init__(self) -> None:
        super().__init__(6, BODY_FEATURES, 25)
        self.outside = nn.Linear(self.widths[-1], 2)
        self.out = nn.Conv2d(self.widths[0], 4, 1)

    def forward(self, now: Tensor, before: Tensor, features: Tensor) -> HeatmapOutputs:
        """now, before uint8 [W, 80, 80, 3]; features [W, BODY_FEATURES]."""
        n, o = (x.permute(0, 3, 1, 2).to(features.dtype) / 255.0 for x in (now, before))
        x, whole = self.cells(self.first(torch.cat([n - 0.5, (n - o) * 2.0], dim=1)), features)
        maps = self.out(x).flatten(2).float()  # [W, 4, 1600]
        heat = torch.cat([maps[:, :2], self.outside(whole).float()[..., None]], dim=-1)
        return HeatmapOutputs(heat, maps[:, 2:])


def twice(x: Tensor) -> Tensor:
    """Twice as wide and high."""
    return F.interpolate(x, scale_factor=2.0, mode="nearest")
