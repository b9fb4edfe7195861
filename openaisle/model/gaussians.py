"""Views meet as Gaussians: each token votes for a place with a precision, and votes are fused by adding information.

G is the number of groups (people at an instant), T the number of votes, K the dimension (2 or 3).
Votes of one camera are not independent: learned discounts shrink them by how many there are.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from openaisle.model.trunk import Gaussian, square

STUDENT_DOF = 4.0  # heavy tails: an occluded hand must not dominate the loss


def negative_log_likelihood(gaussian: Gaussian, target: Tensor) -> Tensor:
    """Student-t negative log-likelihood [...] of targets [..., K] (up to a constant)."""
    error = ((target - gaussian.mean)[..., None, :] @ gaussian.factor).squeeze(-2)
    size = target.shape[-1]
    log_det = torch.diagonal(gaussian.factor, dim1=-2, dim2=-1).log().sum(-1)
    tails = (STUDENT_DOF + size) / 2 * torch.log1p(error.square().sum(-1) / STUDENT_DOF)
    return tails - log_det


def precision(gaussian: Gaussian) -> Tensor:
    """Precision matrices [..., K, K]."""
    return gaussian.factor @ gaussian.factor.transpose(-1, -2)


def rotate(gaussian: Gaussian, rotation: Tensor) -> Gaussian:
    """Turn a Gaussian by rotation matrices [..., K, K]."""
    return Gaussian((rotation @ gaussian.mean[..., None]).squeeze(-1), rotation @ gaussian.factor)


def inverse(matrix: Tensor) -> Tensor:
    """Inverse of symmetric positive definite 2×2 or 3×3 matrices in closed form (exports to ONNX)."""
    if matrix.shape[-1] == 2:
        a, b, d = matrix[..., 0, 0], matrix[..., 0, 1], matrix[..., 1, 1]
        det = (a * d - b * b).clamp_min(1e-9)
        return square(torch.stack([d, -b, -b, a], dim=-1), 2) / det[..., None, None]
    a, b, c = matrix[..., 0, 0], matrix[..., 0, 1], matrix[..., 0, 2]
    e, f, i = matrix[..., 1, 1], matrix[..., 1, 2], matrix[..., 2, 2]
    x, y, z = e * i - f * f, c * f - b * i, b * f - c * e
    det = (a * x + b * y + c * z).clamp_min(1e-9)
    u, v, w = a * i - c * c, b * c - a * f, a * e - b * b
    return square(torch.stack([x, y, z, y, u, v, z, v, w], dim=-1), 3) / det[..., None, None]


class Fusion(nn.Module):
    """Adds the votes of all tokens of a group, discounted by the votes its camera casts."""

    def __init__(self) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.tensor(-1.0))
        self.exponent = nn.Parameter(torch.tensor(0.5))

    def discount(self, weight: Tensor, votes: Tensor) -> Tensor:
        """weight [...] of each vote times the discount for `votes` [...] cast by its camera for this group."""
        return weight * torch.exp(self.log_scale - self.exponent * torch.log(votes.clamp_min(0.1)))

    def forward(self, votes: Gaussian, weight: Tensor, group: Tensor, groups: int) -> tuple[Tensor, Tensor]:
        """Fused information (matrix [G, K, K], vector [G, K]) of votes [T] with weights [T] into groups [T]."""
        information = precision(votes) * weight[:, None, None]
        vector = (information @ votes.mean[..., None]).squeeze(-1)
        size = vector.shape[-1]
        matrix = vector.new_zeros(groups, size, size).index_add(0, group, information)
        return matrix, vector.new_zeros(groups, size).index_add(0, group, vector)
