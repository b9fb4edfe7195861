"""The modular peer's detector: a small fully convolutional network that finds heads and hands in one picture.

In the manner of CenterNet: heat maps of heads and hands at a quarter of the picture's side; at each place what is known
of whose head, or hand, is there. I canvases of H×W patches (tokens/canvas.py). No camera enters but by its rays.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from openaisle.model.heatmap import ConvBlock
from openaisle.tokens.canvas import PICTURE_CHANNELS, PLACE_CHANNELS

STRIDES = {"heat": 4, "hand": 4, "head": 8, "patch": 16}  # pixels per cell of each output
LOOKS = 16
HEAD_VALUES, HAND_VALUES, PATCH_VALUES = 16 + LOOKS, 7, 3
WIDTHS = (16, 32, 64, 96)
RARE = -4.0  # logit of a place that shows nothing


@dataclass(frozen=True)
class DetectorOutputs:
    """What I canvases say."""

    heat: Tensor  # [I, 2, 4 H, 4 W] logits: the middle of a head, of a hand
    # [I, 7, 4 H, 4 W] of the hand: offset (2, cells) and its log sd, log range / 3 m and its log sd, pixels / 32 to the
    # owner's head (2)
    hand: Tensor
    # [I, 32, 2 H, 2 W] of the person: head's offset (2, cells) and its log sd, log range / 3 m and its log sd, floor
    # point from the head (2, metres) and its log sd, far and near hand from the head (6, metres), their log sd (2), and
    # looks (16)
    head: Tensor
    patch: Tensor  # [I, 3, H, W] logit that a patch shows a person, pixels / 32 to its head (2)


def output_names() -> tuple[str, ...]:
    """Names of the outputs, in order."""
    return tuple(field.name for field in fields(DetectorOutputs))


Block = partial(ConvBlock, activation=F.relu)


class DetectorNetwork(nn.Module):
    """Canvases → DetectorOutputs."""

    def __init__(self) -> None:
        super().__init__()
        a, b, c, d = WIDTHS
        self.first = Block(PICTURE_CHANNELS, a, 2)
        self.quarter = nn.Sequential(Block(a, b, 2), Block(b, b))
        self.eighth = nn.Sequential(Block(b, c, 2), Block(c, c), Block(c, c))
        self.place = nn.Sequential(nn.Conv2d(PLACE_CHANNELS, 64, 1), nn.ReLU(), nn.Conv2d(64, d, 1))
        self.down, self.deep = Block(c, d, 2), nn.Sequential(Block(d, d), Block(d, d), Block(d, d))
        self.up_eighth, self.join_eighth = nn.Conv2d(d, c, 1), Block(c, c)
        self.up_quarter, self.join_quarter = nn.Conv2d(c, b, 1), Block(b, b)
        self.heat, self.hand = nn.Conv2d(b, 2, 1), nn.Conv2d(b, HAND_VALUES, 1)
        self.head = nn.Sequential(nn.Conv2d(c, c, 1), nn.ReLU(), nn.Conv2d(c, HEAD_VALUES, 1))
        self.patch = nn.Conv2d(d, PATCH_VALUES, 1)
        nn.init.constant_(_bias(self.heat), RARE)

    def forward(self, picture: Tensor, places: Tensor) -> DetectorOutputs:
        """picture [I, 6, 16 H, 16 W], places [I, RAY_FEATURES + 1, H, W]."""
        quarter = self.quarter(self.first(picture))
        eighth = self.eighth(quarter)
        deep = self.deep(self.down(eighth) + self.place(places))
        eighth = self.join_eighth(eighth + twice(self.up_eighth(deep)))
        quarter = self.join_quarter(quarter + twice(self.up_quarter(eighth)))
        return DetectorOutputs(self.heat(quarter), self.hand(quarter), self.head(eighth), self.patch(deep))


def _bias(layer: nn.Conv2d) -> Tensor:
    assert layer.bias is not None
    return layer.bias


def twice(x: Tensor) -> Tensor:
    """Twice as wide and high."""
    return F.interpolate(x, scale_factor=2.0, mode="nearest")


class DetectorGraph(nn.Module):
    """The network as plain tensors in and out, for its export."""

    def __init__(self, network: DetectorNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, picture: Tensor, places: Tensor) -> tuple[Tensor, ...]:
        """As DetectorNetwork, in the order of output_names()."""
        outputs = self.network(picture, places)
        heat, hand, head, patch = (getattr(outputs, name) for name in output_names())
        return torch.sigmoid(heat), hand, head, patch
