"""Shards of single frames in memory, and random batches of whole instants from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from openaisle.model.batch import DenseBatch, DenseTargets, ImageChunk

CHUNKS = 4  # images are sorted by token count and padded in this many groups
Arrays = dict[str, NDArray[np.generic]]


@dataclass(frozen=True)
class Shard:
    """One simulation's images, with offsets."""

    number: int
    arrays: Arrays
    first: NDArray[np.int64]  # [images + 1] first token of each image
    instants: NDArray[np.int32]  # instants that have images


def load_shard(path: Path, number: int) -> Shard:
    """Read one shard into memory."""
    with np.load(path) as file:
        arrays: Arrays = {name: file[name] for name in file.files}
    first = np.concatenate([[0], np.cumsum(arrays["count"])]).astype(np.int64)
    instants = np.unique(arrays["instant"]).astype(np.int32)
    return Shard(number, arrays, first, instants)


def sample_batch(
    shards: Sequence[Shard], instants: int, rng: np.random.Generator, *, augment: bool = False
) -> DenseBatch:
    """A batch of pairs of instants: two from each of instants / 2 shards, all their cameras.

    augment: half of the shards mirrored, each image in another light.
    """
    chosen = rng.choice(len(shards), max(1, instants // 2), replace=len(shards) < instants // 2)
    picks = [(shards[i], draw(shards[i], rng)) for i in chosen]
    return build_batch(picks, rng, augment=augment)


def draw(shard: Shard, rng: np.random.Generator) -> NDArray[np.int32]:
    """Two instants of a shard."""
    return rng.choice(shard.instants, min(2, len(shard.instants)), replace=False)


# In the camera's horizontal frame (forward, left, up) a mirrored world is a world: left changes its sign. Signs of
# the ray features (tokens/rays.py): a mirrored picture's right neighbour is what was the left one.
_VECTOR, _RIGHT = (1.0, -1.0, 1.0), (-1.0, 1.0, -1.0)
MIRRORED_RAYS = np.array(
    [*_VECTOR, 1.0, *_VECTOR, 1.0, -1.0, *_RIGHT, *_VECTOR, 1.0, 1.0, *(_VECTOR * 4), *(1.0,) * 12], dtype=np.float16
)
MIRRORED_TARGET = np.array([1.0, -1.0, *(_VECTOR * 3)], dtype=np.float16)
MIRRORED_WORLD = np.array([1.0, -1.0, 1.0], dtype=np.float32)


def mirrored(image: Arrays) -> Arrays:
    """One image of the mirrored world: pixels, cells, rays and targets of its tokens."""
    out = dict(image)
    for name in ("pixels", "background"):
        out[name] = image[name].reshape(-1, 16, 16, 3)[:, :, ::-1].reshape(-1, 768)
    # columns count down instead of up: tokens see each other's cells by difference only
    out["cells"] = np.multiply(image["cells"], np.array([1, -1], dtype=np.int16))
    out["segments"] = image["segments"].reshape(-1, 4, 4)[:, :, ::-1].reshape(-1, 16)
    out["rays"] = np.multiply(image["rays"], MIRRORED_RAYS)
    out["target"] = np.multiply(image["target"], MIRRORED_TARGET)
    out["anchor"] = np.multiply(image["anchor"], MIRRORED_WORLD)
    out["frame"] = np.multiply(image["frame"], np.outer(MIRRORED_WORLD, MIRRORED_WORLD))
    return out


def relit(image: Arrays, rng: np.random.Generator) -> Arrays:
    """The same image with another exposure and white balance, now and before alike."""
    gain = np.exp(rng.normal(0.0, 0.12)) * np.exp(rng.normal(0.0, 0.04, 3))
    table = np.clip(np.arange(256)[:, None] * gain + rng.normal(0.0, 4.0), 0, 255).astype(np.uint8)
    out = dict(image)
    for name in ("pixels", "background"):
        planes = image[name].reshape(-1, 256, 3)
        out[name] = np.stack([table[planes[..., c], c] for c in range(3)], axis=-1).reshape(-1, 768)
    return out


@dataclass
class _Parts:
    """Lists that become one batch."""

    images: list[Arrays]
    people: list[Arrays]


def build_batch(
    picks: Sequence[tuple[Shard, NDArray[np.int32]]], rng: np.random.Generator, *, augment: bool = False
) -> DenseBatch:
    """Batch from explicit (shard, instants)."""
    parts = _Parts([], [])
    for shop, (shard, instants) in enumerate(picks):
        known = len(parts.images), len(parts.people)
        _add_shard(parts, shard, instants, shop)
        if augment:
            _augment(parts, known, rng)
    order = np.argsort([len(image["owner"]) for image in parts.images], kind="stable")
    groups = [group for group in np.array_split(order, min(CHUNKS, len(order))) if len(group)]
    chunks = tuple(_chunk([parts.images[i] for i in group]) for group in groups)
    images = [parts.images[i] for group in groups for i in group]
    return DenseBatch(chunks, _targets(images, parts))


def _augment(parts: _Parts, known: tuple[int, int], rng: np.random.Generator) -> None:
    """Mirror the world of the images and people added since `known`, or leave it; relight its images."""
    images, people = known
    if rng.random() < 0.5:
        parts.images[images:] = [mirrored(image) for image in parts.images[images:]]
        for each in parts.people[people:]:
            for name in ("head", "hands"):
                each[name] = np.multiply(each[name], MIRRORED_WORLD)
            each["floor"] = np.multiply(each["floor"], MIRRORED_WORLD[:2])
    parts.images[images:] = [relit(image, rng) for image in parts.images[images:]]


def _add_shard(parts: _Parts, shard: Shard, instants: NDArray[np.int32], shop: int) -> None:
    a = shard.arrays
    base = sum(len(people["number"]) for people in parts.people)
    rows = np.flatnonzero(np.isin(a["people_instant"], instants))
    row_of = {(int(a["people_instant"][r]), int(a["people_number"][r])): base + i for i, r in enumerate(rows)}
    people = {k[7:]: v[rows] for k, v in a.items() if k.startswith("people_")}
    people["identity"] = people["number"].astype(np.int64) + 1000 * shop
    parts.people.append(people)
    images = np.flatnonzero(np.isin(a["instant"], instants))
    tokens = [np.arange(shard.first[i], shard.first[i + 1]) for i in images]
    for image, span in zip(images, tokens, strict=True):
        part = {k: a[k][span] for k in TOKEN_ARRAYS}
        instant = int(a["instant"][image])
        part["person"] = np.array([row_of.get((instant, int(o)), -1) for o in part["owner"]], dtype=np.int64)
        part["frame"] = np.repeat(a["frame"][image][None], len(span), axis=0)
        part["shop"] = np.full(len(span), shop, dtype=np.int64)
        parts.images.append(part)


TOKEN_ARRAYS = (
    "pixels", "background", "rays", "cells", "anchor", "owner", "target", "hand_seen", "segments", "log_range",
    "activity",
)  # fmt: skip


def _chunk(images: list[Arrays]) -> ImageChunk:
    longest = max(len(image["owner"]) for image in images)

    def pad(name: str, dtype: torch.dtype) -> torch.Tensor:
        out = np.zeros((len(images), longest, *images[0][name].shape[1:]), dtype=images[0][name].dtype)
        for row, image in zip(out, images, strict=True):
            row[: len(image[name])] = image[name]
        return torch.from_numpy(out).to(dtype)

    counts = torch.tensor([len(image["owner"]) for image in images])
    mask = torch.arange(longest)[None, :] < counts[:, None]
    return ImageChunk(
        pad("pixels", torch.uint8),
        pad("background", torch.uint8),
        pad("rays", torch.float32),
        pad("cells", torch.int64),
        mask,
    )


def _targets(images: list[Arrays], parts: _Parts) -> DenseTargets:
    def tokens(name: str, dtype: torch.dtype) -> torch.Tensor:
        return torch.from_numpy(np.concatenate([image[name] for image in images])).to(dtype)

    def people(name: str, dtype: torch.dtype) -> torch.Tensor:
        return torch.from_numpy(np.concatenate([each[name] for each in parts.people])).to(dtype)

    f, i = torch.float32, torch.int64
    view = torch.repeat_interleave(torch.arange(len(images)), torch.tensor([len(image["owner"]) for image in images]))
    activity = tokens("activity", i)
    return DenseTargets(
        person=tokens("person", i), anchor=tokens("anchor", f), frame=tokens("frame", f), view=view,
        offsets=tokens("target", f), hand_seen=tokens("hand_seen", f), segments=tokens("segments", i),
        log_range=tokens("log_range", f), activity=activity, shop=tokens("shop", i),
        people_floor=people("floor", f), people_head=people("head", f), people_hands=people("hands", f),
        people_identity=people("identity", i),
    )  # fmt: skip
