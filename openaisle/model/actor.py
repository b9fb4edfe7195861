"""The actor look: windows before a scale's lanes over two seconds say whose hand it was, and where it was.

W windows of 96×96 pixels, 7 frames beside the background; cells 48×48. The hourglass is that of the hand heat maps,
whose weights it starts from. Two last scores stand for "outside the window" and "nobody moved anything".
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from openaisle.model.heatmap import Hourglass
from openaisle.tokens.actor import ACTOR_FEATURES, ACTOR_SLOTS, MIDDLE_FRAME

FRAMES = 1 + len(ACTOR_SLOTS)  # the background, then the event's


@dataclass(frozen=True)
class ActorOutputs:
    """What each window [W, ...] says."""

    heat: Tensor  # [W, 2, 2306] logits of where the actor's head and acting hand are, outside the window, nobody
    mask: Tensor  # [W, 3, 2304] logits: cells that show an actor, an actor's hand or what it holds, somebody else


class ActorNetwork(Hourglass):
    """Windows of events → ActorOutputs."""

    def __init__(self) -> None:
        super().__init__(3 * FRAMES, ACTOR_FEATURES, 36)
        self.lanes = nn.Conv2d(1, self.widths[0], 3, padding=1)
        self.beyond = nn.Linear(self.widths[-1], 4)
        self.out = nn.Conv2d(self.widths[0], 5, 1)
        self.trust = nn.Parameter(torch.tensor([0.6, 0.6]))  # views err together: what each adds is shrunk

    def forward(self, frames: Tensor, area: Tensor, features: Tensor) -> ActorOutputs:
        """frames uint8 [W, 96, 96, 24], colours of the background first; area uint8 [W, 48, 48]; features [W, 9]."""
        mixed = torch.is_autocast_enabled(frames.device.type)
        dtype = torch.get_autocast_dtype(frames.device.type) if mixed else features.dtype
        pictures, lanes = (x.to(dtype) * (1 / 128) for x in (frames.permute(0, 3, 1, 2), area[:, None]))
        x, whole = self.cells(self.first(pictures) + self.lanes(lanes), features)
        maps = self.out(x).flatten(2).float()  # [W, 5, 2304]
        heat = torch.cat([maps[:, :2], self.beyond(whole).float().unflatten(1, (2, 2))], dim=-1)
        return ActorOutputs(heat, maps[:, 2:])

    def start_from(self, heatmap: nn.Module, seed: int = 0) -> None:
        """Take over what fits of a hand heat map's weights: its windows show the same arms at the same scale."""
        mine, other = self.state_dict(), heatmap.state_dict()
        for name, value in other.items():
            if name in mine and mine[name].shape == value.shape:
                mine[name] = value.clone()
        first = 0.02 * torch.randn(mine["first.conv.weight"].shape, generator=torch.Generator().manual_seed(seed))
        now, change = other["first.conv.weight"].split(3, dim=1)  # of the picture, and twice its difference
        middle = 3 * (1 + MIDDLE_FRAME)
        first[:, middle : middle + 3] += 0.5 * now + change
        first[:, :3] -= change
        mine["first.conv.weight"] = first
        self.load_state_dict(mine)
