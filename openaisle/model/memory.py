"""The shopper memory: one query per live shopper, carried from frame to frame, updated by attention to the tokens.

Attention between queries and tokens is geometric: a token attends to the queries its vote for a floor point and
its looks fit, queries compete for tokens, and a token may belong to nobody. Attended votes are fused as
Gaussians with the query's own prediction, as in a Kalman filter whose measurements are learned.

T tokens of one video frame (all cameras), V views, Q queries, A appearance width.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from openaisle.model.gaussians import Fusion, inverse
from openaisle.model.network import VisionNetwork, to_world
from openaisle.model.trunk import Gaussian, PatchOutputs

UNLIKE = 0.5  # cosine of two strangers' looks
NOBODY_LOG_DENSITY = -2.5  # a vote fits nobody this well: about one person in 12 m²


@dataclass(frozen=True)
class Votes:
    """One frame's tokens as votes in the world frame."""

    person: Tensor  # [T] probability of belonging to a person
    floor_mean: Tensor  # [T, 2]
    floor_information: Tensor  # [T, 2, 2]
    hand_mean: Tensor  # [T, 2, 3] left, right
    hand_information: Tensor  # [T, 2, 3, 3]
    head_mean: Tensor  # [T, 3]
    head_information: Tensor  # [T, 3, 3]
    appearance: Tensor  # [T, A]
    hand_seen: Tensor  # [T, 2] probability that the patch shows the left / right hand
    activity: Tensor  # [T, 8] log-probabilities
    view: Tensor  # [T, V] one-hot


@dataclass(frozen=True)
class Memory:
    """The state of Q queries."""

    floor: Tensor  # [Q, 2] metres
    floor_variance: Tensor  # [Q, 2, 2]
    velocity: Tensor  # [Q, 2] metres per second
    hands: Tensor  # [Q, 2, 3]
    hand_variance: Tensor  # [Q, 2, 3, 3]
    head: Tensor  # [Q, 3]
    appearance: Tensor  # [Q, A] running sum of evidence, its length grows to at most 1
    activity: Tensor  # [Q, 8] probabilities
    mass: Tensor  # [Q] tokens attended in the last frame


def votes_from_tokens(tokens: PatchOutputs, anchor: Tensor, frame: Tensor, view: Tensor) -> Votes:
    """Trunk outputs of T tokens into the world frame; anchor [T, 3], frame [T, 3, 3], view one-hot [T, V]."""

    def moved(local: Gaussian) -> tuple[Tensor, Tensor]:
        world = to_world(local, anchor, frame)
        return world.mean, world.factor @ world.factor.transpose(-1, -2)

    floor, head = moved(tokens.floor), moved(tokens.head)
    left, right = moved(tokens.far_hand), moved(tokens.near_hand)
    return Votes(
        tokens.person.sigmoid(), *floor,
        torch.stack([left[0], right[0]], 1), torch.stack([left[1], right[1]], 1), *head,
        tokens.appearance, tokens.hand_seen.sigmoid(),
        tokens.activity.log_softmax(-1), view,
    )  # fmt: skip


class ShopperMemory(nn.Module):
    """One step of the memory; a handful of learned scalars, everything else is geometry and the trunk's votes."""

    def __init__(self, vision: VisionNetwork) -> None:
        super().__init__()
        self.fusion = vision.fusion
        self.log_walk = nn.Parameter(torch.tensor(0.1))  # m/s of unexplained motion
        self.log_reach = nn.Parameter(torch.tensor(0.7))  # m/s of unexplained hand motion
        self.looks = nn.Parameter(torch.tensor(8.0))  # weight of the cosine of appearances
        self.nobody = nn.Parameter(torch.tensor(NOBODY_LOG_DENSITY))
        self.gain = nn.Parameter(torch.tensor(-0.4))  # share of a correction that becomes velocity, before the sigmoid
        self.learn = nn.Parameter(torch.tensor(-3.0))  # appearance learnt per frame, before the sigmoid

    def forward(self, votes: Votes, memory: Memory, dt_s: Tensor) -> tuple[Memory, Tensor]:
        """Memory after one frame, and the attention [T, Q + 1] of tokens to queries and to nobody (last)."""
        predicted, variance = self.predict(memory, dt_s)
        attention = self.attend(votes, predicted, variance, memory)
        # once more from the corrected place: a fast walker's first prediction is late
        floor, posterior = self.fuse_floor(votes, attention, predicted, variance)
        attention = self.attend(votes, floor, posterior, memory)
        floor, posterior = self.fuse_floor(votes, attention, predicted, variance)
        weight = attention[:, :-1] * votes.person[:, None]
        mass = weight.sum(0)
        correction = (floor - predicted) / dt_s
        velocity = (memory.velocity + self.gain.sigmoid() * correction) * 0.92
        hands, hand_variance = self.fuse_hands(votes, weight, memory, floor, dt_s)
        head, _ = self.fuse_point("head", votes, weight, (floor, memory))
        after = Memory(
            floor, posterior, velocity, hands, hand_variance, head, *self.looks_after(votes, weight, memory), mass
        )
        return after, attention

    def predict(self, memory: Memory, dt_s: Tensor) -> tuple[Tensor, Tensor]:
        """Floor points and variances one step ahead."""
        eye = torch.eye(2, dtype=memory.floor.dtype)
        return memory.floor + memory.velocity * dt_s, memory.floor_variance + eye * (self.log_walk.exp() * dt_s) ** 2

    def attend(self, votes: Votes, floor: Tensor, variance: Tensor, memory: Memory) -> Tensor:
        """Attention [T, Q + 1]: softmax over queries (and nobody) of geometric and appearance fit."""
        error = votes.floor_mean[:, None] - floor[None]  # [T, Q, 2]
        spread = inverse(votes.floor_information)[:, None] + variance[None]
        information = inverse(spread)
        far = (error[..., None, :] @ information @ error[..., :, None])[..., 0, 0]
        det = (spread[..., 0, 0] * spread[..., 1, 1] - spread[..., 0, 1] ** 2).clamp_min(1e-9)
        fit = -3.0 * torch.log1p(far / 4.0) - 0.5 * det.log()
        # against what any two people have in common: a query that knows its looks must not gain by knowing them
        alike = votes.appearance @ memory.appearance.T - UNLIKE * memory.appearance.norm(dim=-1)
        scores = fit + self.looks * alike
        nobody = torch.zeros_like(scores[:, :1]) + self.nobody  # not expand(len(..)): that would be baked into ONNX
        return torch.cat([scores, nobody], dim=1).softmax(-1)

    def discounted(self, point: str, votes: Votes, weight: Tensor) -> Tensor:
        """Weights [T, Q] shrunk by how many votes each camera casts for each query."""
        cast = votes.view.T @ weight  # [V, Q]
        fusion = self.fusion[point]
        assert isinstance(fusion, Fusion)
        return fusion.discount(weight, votes.view @ cast)

    def fuse_floor(self, votes: Votes, attention: Tensor, predicted: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
        """Posterior floor points [Q, 2] and variances [Q, 2, 2]."""
        weight = self.discounted("floor", votes, attention[:, :-1] * votes.person[:, None])
        prior = inverse(variance)
        information = prior + torch.einsum("tq,tij->qij", weight, votes.floor_information)
        vector = (prior @ predicted[..., None])[..., 0]
        vector = vector + torch.einsum("tq,tij,tj->qi", weight, votes.floor_information, votes.floor_mean)
        posterior = inverse(information)
        return (posterior @ vector[..., None])[..., 0], posterior

    def fuse_hands(
        self, votes: Votes, weight: Tensor, memory: Memory, floor: Tensor, dt_s: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Posterior hands [Q, 2, 3] and variances: the previous hands move with the body, then votes are added."""
        moved = memory.hands + F.pad(floor - memory.floor, (0, 1))[:, None]
        eye = torch.eye(3, dtype=floor.dtype)
        prior = inverse(memory.hand_variance + eye * (self.log_reach.exp() * dt_s) ** 2)
        each = torch.stack([self.discounted(name, votes, weight) for name in ("far_hand", "near_hand")], dim=-1)
        information = prior + torch.einsum("tqh,thij->qhij", each, votes.hand_information)
        vector = (prior @ moved[..., None])[..., 0]
        vector = vector + torch.einsum("tqh,thij,thj->qhi", each, votes.hand_information, votes.hand_mean)
        posterior = inverse(information)
        return (posterior @ vector[..., None])[..., 0], posterior

    def fuse_point(
        self, point: str, votes: Votes, weight: Tensor, prior: tuple[Tensor, Memory]
    ) -> tuple[Tensor, Tensor]:
        """Heads [Q, 3]: votes plus a weak pull to the previous height above the floor point."""
        floor, memory = prior
        guess = torch.cat([floor, memory.head[:, 2:]], dim=-1)
        each = self.discounted(point, votes, weight)
        information = torch.eye(3) * 10.0 + torch.einsum("tq,tij->qij", each, votes.head_information)
        vector = guess * 10.0 + torch.einsum("tq,tij,tj->qi", each, votes.head_information, votes.head_mean)
        posterior = inverse(information)
        return (posterior @ vector[..., None])[..., 0], posterior

    def looks_after(self, votes: Votes, weight: Tensor, memory: Memory) -> tuple[Tensor, Tensor]:
        """Appearance and activity after the frame."""
        mass = weight.sum(0)[:, None]
        mean = (weight.T @ votes.appearance) / mass.clamp_min(0.5)
        # quick while little is known, slow later; learn only from tokens nobody else claims
        rate = self.learn.sigmoid() * (mass / (mass + 3.0)) + 0.3 * (
            1 - memory.appearance.norm(dim=-1, keepdim=True)
        ).clamp_min(0) * (mass / (mass + 3.0))
        appearance = memory.appearance * (1 - rate) + mean * rate
        activity = ((weight.T @ votes.activity) / mass.clamp_min(0.5)).softmax(-1)
        return appearance, activity


def new_memory(floor: Tensor, spread_m: float, appearance_width: int) -> Memory:
    """Queries [Q, 2] freshly placed, for example at the gate somebody came through."""
    q = len(floor)
    hands = torch.cat([floor, torch.full((q, 1), 0.9)], dim=-1)[:, None].expand(q, 2, 3).contiguous()
    return Memory(
        floor, torch.eye(2).expand(q, 2, 2) * spread_m**2, torch.zeros(q, 2),
        hands, torch.eye(3).expand(q, 2, 3, 3) * 0.3**2,
        torch.cat([floor, torch.full((q, 1), 1.6)], dim=-1), torch.zeros(q, appearance_width),
        torch.full((q, 8), 1 / 8), torch.zeros(q),
    )  # fmt: skip


def memory_names() -> tuple[str, ...]:
    """Names of the memory's arrays, in order."""
    return tuple(field.name for field in fields(Memory))
