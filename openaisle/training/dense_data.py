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
PRODUCTS_DRAWN = 16  # catalogue rows per store in a batch, the held ones included
REACH_M = 0.38
REACH_BOOST = 8.0
Arrays = dict[str, NDArray[np.generic]]


@dataclass(frozen=True)
class Shard:
    """One simulation's images, with offsets."""

    number: int
    arrays: Arrays
    first: NDArray[np.int64]  # [images + 1] first token of each image
    instants: NDArray[np.int32]  # instants that have images
    weight: NDArray[np.float64]  # [instants] how often to draw each: moments of reaching are what matters


def load_shard(path: Path, number: int) -> Shard:
    """Read one shard into memory."""
    with np.load(path) as file:
        arrays: Arrays = {name: file[name] for name in file.files}
    first = np.concatenate([[0], np.cumsum(arrays["count"])]).astype(np.int64)
    instants = np.unique(arrays["instant"]).astype(np.int32)
    hands, floor = (np.asarray(arrays[f"people_{name}"], dtype=np.float32) for name in ("hands", "floor"))
    away = np.linalg.norm(hands[..., :2] - floor[:, None], axis=-1).max(1)
    reaching = np.unique(arrays["people_instant"][away > REACH_M])
    weight = 1.0 + REACH_BOOST * np.isin(instants, reaching)
    return Shard(number, arrays, first, instants, weight / weight.sum())


def sample_batch(shards: Sequence[Shard], instants: int, rng: np.random.Generator) -> DenseBatch:
    """A batch of pairs of instants: two from each of instants / 2 shards, all their cameras."""
    chosen = rng.choice(len(shards), max(1, instants // 2), replace=len(shards) < instants // 2)
    picks = [(shards[i], draw(shards[i], rng)) for i in chosen]
    return build_batch(picks, rng)


def draw(shard: Shard, rng: np.random.Generator) -> NDArray[np.int32]:
    """Two instants of a shard, rather ones in which somebody reaches."""
    return rng.choice(shard.instants, min(2, len(shard.instants)), replace=False, p=shard.weight)


@dataclass
class _Parts:
    """Lists that become one batch."""

    images: list[Arrays]
    people: list[Arrays]
    pictures: list[NDArray[np.uint8]]
    picture_shop: list[NDArray[np.int64]]


def build_batch(picks: Sequence[tuple[Shard, NDArray[np.int32]]], rng: np.random.Generator) -> DenseBatch:
    """Batch from explicit (shard, instants)."""
    parts = _Parts([], [], [], [])
    for shop, (shard, instants) in enumerate(picks):
        _add_shard(parts, shard, instants, shop, rng)
    order = np.argsort([len(image["owner"]) for image in parts.images], kind="stable")
    groups = [group for group in np.array_split(order, min(CHUNKS, len(order))) if len(group)]
    chunks = tuple(_chunk([parts.images[i] for i in group]) for group in groups)
    images = [parts.images[i] for group in groups for i in group]
    return DenseBatch(chunks, _targets(images, parts))


def _add_shard(parts: _Parts, shard: Shard, instants: NDArray[np.int32], shop: int, rng: np.random.Generator) -> None:
    a = shard.arrays
    base = sum(len(people["number"]) for people in parts.people)
    rows = np.flatnonzero(np.isin(a["people_instant"], instants))
    row_of = {(int(a["people_instant"][r]), int(a["people_number"][r])): base + i for i, r in enumerate(rows)}
    people = {k[7:]: v[rows] for k, v in a.items() if k.startswith("people_")}
    people["identity"] = people["number"].astype(np.int64) + 1000 * shop
    parts.people.append(people)
    images = np.flatnonzero(np.isin(a["instant"], instants))
    tokens = [np.arange(shard.first[i], shard.first[i + 1]) for i in images]
    held = np.unique(np.concatenate([a["held_product"][t] for t in tokens] or [np.zeros(0, dtype=np.int64)]))
    held = held[held >= 0].astype(np.int64)
    others = rng.permutation(len(a["pictures"]))[:PRODUCTS_DRAWN]
    drawn = np.concatenate([held, others[~np.isin(others, held)]])[: max(PRODUCTS_DRAWN, len(held))]
    start = sum(len(p) for p in parts.pictures)
    column = {int(product): start + i for i, product in enumerate(drawn)}
    parts.pictures.append(np.asarray(a["pictures"][drawn], dtype=np.uint8))
    parts.picture_shop.append(np.full(len(drawn), shop, dtype=np.int64))
    for image, span in zip(images, tokens, strict=True):
        part = {k: a[k][span] for k in TOKEN_ARRAYS}
        instant = int(a["instant"][image])
        part["person"] = np.array([row_of.get((instant, int(o)), -1) for o in part["owner"]], dtype=np.int64)
        part["held_row"] = np.array([column.get(int(p), -1) for p in part["held_product"]], dtype=np.int64)
        part["frame"] = np.repeat(a["frame"][image][None], len(span), axis=0)
        part["shop"] = np.full(len(span), shop, dtype=np.int64)
        parts.images.append(part)


TOKEN_ARRAYS = (
    "pixels", "background", "rays", "cells", "anchor", "owner", "target", "hand_seen", "held_product", "held_hand",
    "segments", "log_range", "activity",
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
        offsets=tokens("target", f), hand_seen=tokens("hand_seen", f), held_row=tokens("held_row", i),
        held_hand=tokens("held_hand", i), segments=tokens("segments", i), log_range=tokens("log_range", f),
        activity=activity, shop=tokens("shop", i), people_floor=people("floor", f), people_head=people("head", f),
        people_hands=people("hands", f), people_identity=people("identity", i),
        pictures=torch.from_numpy(np.concatenate(parts.pictures)),
        picture_shop=torch.from_numpy(np.concatenate(parts.picture_shop)),
    )  # fmt: skip
