"""The visual trunk: patches that changed, with their rays, become tokens that know whose they are and where in 3D.

Shapes: I images, N tokens per image (padded), D trunk width. Tokens attend within their image only; views
meet later as Gaussians (gaussians.py), so any number of cameras works.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from openaisle.model.config import NetworkConfig
from openaisle.tokens.rays import RAY_FEATURES

SEGMENT_CLASSES = ("static", "fixture", "product", "person", "hand", "held")
SEGMENT_CELLS = 16  # 4×4 cells of 4×4 pixels per patch


@dataclass(frozen=True)
class Gaussian:
    """Mean [..., K] and the lower-triangular factor [..., K, K] of its precision (L Lᵀ)."""

    mean: Tensor
    factor: Tensor


@dataclass(frozen=True)
class PatchOutputs:
    """What the trunk says about each token [I, N, ...]; positions: camera's horizontal frame, from the anchor."""

    person: Tensor  # logit: belongs to a person
    floor: Gaussian  # K = 2, where its owner stands
    head: Gaussian  # K = 3
    far_hand: Gaussian  # K = 3, the hand farther from the body's axis (tokens/journey.py, by_reach)
    near_hand: Gaussian  # K = 3
    hand_seen: Tensor  # [.., 2] logits: this patch shows the owner's far / near hand
    appearance: Tensor  # [.., A] unit vector, alike for the same person
    segments: Tensor  # [.., 16, classes] logits
    log_range: Tensor  # log(depth along the ray / anchor range)
    activity: Tensor  # [.., 8] logits of the owner's activity


class TrunkLayer(nn.Module):
    """Pre-norm self-attention with 2-D rotary positions (patch column and row) and an MLP."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm_attention = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.project = nn.Linear(width, width)
        self.norm_mlp = nn.LayerNorm(width)
        self.up = nn.Linear(width, 2 * width)
        self.down = nn.Linear(2 * width, width)

    def forward(self, x_IND: Tensor, mask_IN: Tensor, cos_IN1C: Tensor, sin_IN1C: Tensor) -> Tensor:
        """One layer; mask is 0 for real tokens and a large negative number for padding."""
        images, tokens, width = x_IND.shape
        q, k, v = (
            self.qkv(self.norm_attention(x_IND)).view(images, tokens, 3, self.heads, width // self.heads).unbind(2)
        )
        q, k = rotate(q, cos_IN1C, sin_IN1C), rotate(k, cos_IN1C, sin_IN1C)
        mixed = attention(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2), mask_IN[:, None, None, :])
        x_IND = x_IND + self.project(mixed.transpose(1, 2).reshape(images, tokens, width))
        return x_IND + torch.as_tensor(self.down(F.gelu(self.up(self.norm_mlp(x_IND)))))


def attention(q: Tensor, k: Tensor, v: Tensor, bias: Tensor) -> Tensor:
    """Softmax attention, q [.., X, C], k and v [.., N, C], bias broadcast to [.., X, N].

    Written out: on a CPU the fused kernel's backward pass took a third of the whole training step (dev/LOG.md).
    """
    scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2) + bias
    mixed: Tensor = scores.float().softmax(-1).to(v.dtype) @ v
    return mixed


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary embedding of x [I, N, H, C] by cos/sin [I, N, 1, C / 2]."""
    a, b = x.chunk(2, dim=-1)
    return torch.cat([a * cos - b * sin, a * sin + b * cos], dim=-1)


class PatchStem(nn.Module):
    """Small convolutions within each patch: a hand is four pixels wide, which a linear embedding hardly learns."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(6, 32, 3, stride=2, padding=1), nn.Conv2d(32, 64, 3, stride=2, padding=1)
        self.out = nn.Linear(64 * 16, width)

    def forward(self, values: Tensor) -> Tensor:
        """values [I, N, 2 * 768] (now, change; pixels of 16×16×3) → [I, N, D]."""
        images, tokens = values.shape[:2]
        planes = values.reshape(images * tokens, 2, 16, 16, 3).permute(0, 1, 4, 2, 3).reshape(-1, 6, 16, 16)
        x = F.gelu(self.second(F.gelu(self.first(planes))))
        out: Tensor = self.out(x.reshape(images, tokens, -1))
        return out


class Trunk(nn.Module):
    """Patches → PatchOutputs."""

    frequencies: Tensor

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        width, self.head_width = config.trunk_width, config.trunk_width // config.trunk_heads
        self.stem = PatchStem(width)
        self.embed_rays = nn.Sequential(nn.Linear(RAY_FEATURES, width), nn.GELU(), nn.Linear(width, width))
        self.layers = nn.ModuleList(TrunkLayer(width, config.trunk_heads) for _ in range(config.trunk_layers))
        self.norm = nn.LayerNorm(width)
        self.hidden = nn.Linear(width, width)
        self.sizes = {
            "person": 1, "floor": 5, "head": 9, "far_hand": 9, "near_hand": 9, "hand_seen": 2,
            "appearance": config.appearance_width,
            "segments": SEGMENT_CELLS * len(SEGMENT_CLASSES), "log_range": 1, "activity": 8,
        }  # fmt: skip
        self.out = nn.Linear(width, sum(self.sizes.values()))
        frequencies = 2.0 ** -torch.linspace(0, 4, self.head_width // 4)  # periods from 6 to 100 patches
        self.register_buffer("frequencies", frequencies, persistent=False)

    def forward(self, pixels: Tensor, background: Tensor, rays: Tensor, cells: Tensor, mask: Tensor) -> PatchOutputs:
        """pixels, background uint8 [I, N, 768]; rays [I, N, R]; cells [I, N, 2] row, column; mask bool [I, N] real."""
        now = pixels.to(rays.dtype) / 255.0
        before = background.to(rays.dtype) / 255.0
        values = torch.cat([now - 0.5, (now - before) * 2.0], dim=-1)
        x = self.stem(values) + self.embed_rays(rays)
        angle = (cells.to(rays.dtype)[..., None] * self.frequencies).flatten(-2)[..., None, :]
        cos, sin = angle.cos(), angle.sin()
        bias = (~mask).to(rays.dtype) * -1e4
        for layer in self.layers:
            x = layer(x, bias, cos, sin)
        return self.heads(F.gelu(self.hidden(self.norm(x))))

    def heads(self, x: Tensor) -> PatchOutputs:
        """Split the last linear layer's values into their meanings."""
        parts = dict(zip(self.sizes, self.out(x).float().split(list(self.sizes.values()), dim=-1), strict=True))
        return PatchOutputs(
            person=parts["person"][..., 0],
            floor=gaussian(parts["floor"], 2),
            head=gaussian(parts["head"], 3),
            far_hand=gaussian(parts["far_hand"], 3),
            near_hand=gaussian(parts["near_hand"], 3),
            hand_seen=parts["hand_seen"],
            appearance=F.normalize(parts["appearance"], dim=-1, eps=1e-6),
            segments=parts["segments"].unflatten(-1, (SEGMENT_CELLS, len(SEGMENT_CLASSES))),
            log_range=parts["log_range"][..., 0],
            activity=parts["activity"],
        )


def gaussian(values: Tensor, size: int) -> Gaussian:
    """Mean and precision factor from size + size (size + 1) / 2 raw values; standard deviations 2 cm .. 4 m."""
    mean, diagonal, rest = values[..., :size], values[..., size : 2 * size], values[..., 2 * size :]
    diagonal = torch.exp(1.0 + 1.4 * torch.tanh(diagonal / 2.0) * 1.8)
    zero = torch.zeros_like(mean[..., 0])
    if size == 2:
        rows = [diagonal[..., 0], zero, rest[..., 0], diagonal[..., 1]]
    else:
        rows = [
            diagonal[..., 0], zero, zero,
            rest[..., 0], diagonal[..., 1], zero,
            rest[..., 1], rest[..., 2], diagonal[..., 2],
        ]  # fmt: skip
    return Gaussian(mean, square(torch.stack(rows, dim=-1), size))


def square(values: Tensor, size: int) -> Tensor:
    """Values [..., size * size] as matrices [..., size, size]."""
    matrices: Tensor = values.unflatten(-1, (size, size))  # type: ignore[no-untyped-call]  # torch's gap
    return matrices
