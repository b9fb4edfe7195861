"""Batches of simulated instants for the dense tasks: padded images for the trunk, flat tokens for the losses.

T is the number of real tokens in the batch, P the number of people (one row per person and instant),
M the number of catalogue rows drawn in.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor

from openaisle.model.trunk import Gaussian, PatchOutputs


@dataclass(frozen=True)
class ImageChunk:
    """Images of similar token count, padded: the trunk's input."""

    pixels: Tensor  # uint8 [I, N, 768]
    background: Tensor  # uint8 [I, N, 768]
    rays: Tensor  # float32 [I, N, R]
    cells: Tensor  # int64 [I, N, 2]
    mask: Tensor  # bool [I, N]


@dataclass(frozen=True)
class DenseTargets:
    """Truth of the flat tokens [T, ...] and of the people [P, ...]."""

    person: Tensor  # int64 [T] row into people, -1 = nobody's
    anchor: Tensor  # [T, 3]
    frame: Tensor  # [T, 3, 3] world from the camera's horizontal frame
    view: Tensor  # int64 [T] image of the token, unique in the batch
    offsets: Tensor  # [T, 11] floor 2, head 3, left hand 3, right hand 3
    hand_seen: Tensor  # [T, 2] pixels of the owner's hands in the patch
    segments: Tensor  # int64 [T, 16]
    log_range: Tensor  # [T]
    activity: Tensor  # int64 [T] -1 = nobody's
    shop: Tensor  # int64 [T] which shard the token comes from
    people_floor: Tensor  # [P, 2]
    people_head: Tensor  # [P, 3]
    people_hands: Tensor  # [P, 2, 3]
    people_identity: Tensor  # int64 [P] the same number for the same person at other instants


@dataclass(frozen=True)
class DenseBatch:
    """One training batch."""

    chunks: tuple[ImageChunk, ...]
    targets: DenseTargets


def flatten(outputs: list[PatchOutputs], chunks: tuple[ImageChunk, ...]) -> PatchOutputs:
    """Real tokens of all chunks, one after the other: PatchOutputs with leading dimension T."""
    values: dict[str, Tensor | Gaussian] = {}
    for field in fields(PatchOutputs):
        parts = [getattr(output, field.name) for output in outputs]
        if isinstance(parts[0], Gaussian):
            mean = torch.cat([part.mean[chunk.mask] for part, chunk in zip(parts, chunks, strict=True)])
            factor = torch.cat([part.factor[chunk.mask] for part, chunk in zip(parts, chunks, strict=True)])
            values[field.name] = Gaussian(mean, factor)
        else:
            values[field.name] = torch.cat([part[chunk.mask] for part, chunk in zip(parts, chunks, strict=True)])
    return PatchOutputs(**values)  # type: ignore[arg-type]  # built from its own fields
