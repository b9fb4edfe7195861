"""The dense half of the network as one module: trunk and fusion of views, from chunks to outputs."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from openaisle.model.batch import DenseBatch, flatten
from openaisle.model.config import NetworkConfig
from openaisle.model.gaussians import Fusion, rotate
from openaisle.model.trunk import Gaussian, PatchOutputs, Trunk

POINTS = ("floor", "head", "far_hand", "near_hand")
PRIOR_INFORMATION = 0.05  # 1/m²: people are somewhere within metres, so that a group with one weak vote can be solved


@dataclass(frozen=True)
class FusedPoint:
    """One point of each person fused over all views: mean [P, K] and information matrix [P, K, K], world frame."""

    mean: Tensor
    information: Tensor


@dataclass(frozen=True)
class DenseOutputs:
    """Outputs for one batch: per token and per person."""

    tokens: PatchOutputs  # leading dimension T
    fused: dict[str, FusedPoint]  # by POINTS, from tokens that truly belong to the person


class VisionNetwork(nn.Module):
    """Trunk + fusion: everything that is trained on single instants."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        self.mixed_precision = False  # bfloat16 matrix products in the trunk; the geometry stays in float32
        self.trunk = Trunk(config)
        self.fusion = nn.ModuleDict({point: Fusion() for point in POINTS})

    def forward(self, batch: DenseBatch) -> DenseOutputs:
        """All dense outputs; views are fused by true owner, as training on single instants knows it."""
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=self.mixed_precision):
            outputs = [self.trunk(c.pixels, c.background, c.rays, c.cells, c.mask) for c in batch.chunks]
        tokens = flatten(outputs, batch.chunks)
        targets = batch.targets
        fused = {point: self.fuse(point, tokens, batch) for point in POINTS} if len(targets.people_floor) else {}
        return DenseOutputs(tokens, fused)

    def fuse(self, point: str, tokens: PatchOutputs, batch: DenseBatch) -> FusedPoint:
        """Add the votes for one point of everybody over all views."""
        targets = batch.targets
        people = len(targets.people_floor)
        mine = targets.person >= 0
        person, view = targets.person[mine], targets.view[mine]
        votes = to_world(getattr(tokens, point), targets.anchor, targets.frame)
        votes = Gaussian(votes.mean[mine], votes.factor[mine])
        pair = view * people + person
        cast = torch.zeros(int(pair.max()) + 1 if len(pair) else 1).index_add(0, pair, torch.ones(len(pair)))[pair]
        fusion = self.fusion[point]
        assert isinstance(fusion, Fusion)
        matrix, vector = fusion(votes, fusion.discount(torch.ones_like(cast), cast), person, people)
        size = vector.shape[-1]
        matrix = matrix + torch.eye(size) * PRIOR_INFORMATION
        vector = vector + votes.mean.new_zeros(people, size)
        return FusedPoint(torch.linalg.solve(matrix, vector), matrix)


def to_world(local: Gaussian, anchor: Tensor, frame: Tensor) -> Gaussian:
    """Votes in the camera's horizontal frame to the world; floor votes (K = 2) stay in the plane."""
    size = local.mean.shape[-1]
    turned = rotate(local, frame[..., :size, :size])
    return Gaussian(turned.mean + anchor[..., :size], turned.factor)
