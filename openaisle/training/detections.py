"""What the detector learns from: shards of single frames (frames.py), with everybody's head and hands in each picture.

Truth is told as the detector tells it: pixels of heads and hands, their ranges, everything else from the head on in the
camera's horizontal frame. People of whom a picture shows hardly anything are left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from openaisle.model.tasks.detector import DetectorTargets
from openaisle.sim.stores import open_store
from openaisle.store.geometry import Camera
from openaisle.tokens.canvas import canvas
from openaisle.tokens.rays import PATCH_PX
from openaisle.training.dense_data import MIRRORED_RAYS, Arrays, load_shard, relit
from openaisle.training.frames import MAX_TOKENS, ShardSpec

CROP = 12  # patches: a batch's canvases are of one size
NOBODY = -1  # a shard's owner of a patch
LEAST_TOKENS = 3  # patches that a picture shows of somebody
SHOPS, INSTANTS, VIEWS = 4, 2, 4  # of a batch: looks are learnt from others of the same shop, seen otherwise
MIRRORED, MIRRORED_PX = np.array([1.0, -1.0, 1.0], dtype=np.float32), np.array([-1.0, 1.0], dtype=np.float32)


@dataclass(frozen=True)
class Seen:
    """One picture: its tokens and the P people in it."""

    instant: int
    tokens: Arrays  # cells, pixels, background, rays
    owner: NDArray[np.int64]  # [N] place in the people, -1 = nobody, -2 = somebody left out
    identity: NDArray[np.int64]  # [P]
    head_px: NDArray[np.float32]  # [P, 2]
    head_range_m: NDArray[np.float32]  # [P]
    floor_m: NDArray[np.float32]  # [P, 2] from the head
    hands_m: NDArray[np.float32]  # [P, 2, 3] from the head
    hand_px: NDArray[np.float32]  # [P, 2, 2]
    hand_range_m: NDArray[np.float32]  # [P, 2]
    hand_seen: NDArray[np.bool_]  # [P, 2]


def read_seen(path: Path, spec: ShardSpec) -> list[Seen]:
    """All pictures of a shard."""
    shard = load_shard(path, spec.seed)
    cameras = open_store(spec.store, spec.seed).cameras
    out = []
    for image in range(len(shard.first) - 1):
        span = slice(int(shard.first[image]), int(shard.first[image + 1]))
        if span.stop - span.start < MAX_TOKENS:  # others are cut off
            out.append(_seen(shard.arrays, image, span, cameras[int(shard.arrays["camera"][image])]))
    return out


def _seen(a: Arrays, image: int, span: slice, camera: Camera) -> Seen:
    instant, frame = int(a["instant"][image]), a["frame"][image].astype(np.float64)
    tokens: Arrays = {name: a[name][span] for name in ("cells", "pixels", "background", "rays")}
    number, hand_pixels = a["owner"][span], a["hand_seen"][span]
    people = np.flatnonzero(a["people_instant"] == instant)
    counts = np.array([(number == n).sum() for n in a["people_number"][people]], dtype=np.int64)
    people = people[counts >= LEAST_TOKENS]
    owner = np.where(number == NOBODY, -1, -2)
    for place, row in enumerate(people):
        owner[number == a["people_number"][row]] = place
    heads, hands = a["people_head"][people].astype(np.float64), a["people_hands"][people].astype(np.float64)
    floors = np.concatenate([a["people_floor"][people], np.zeros((len(people), 1))], axis=1)
    origin = camera.world_from_camera[:3, 3]
    head_px, hand_px = (np.where(camera.sees(p)[..., None], camera.project(p)[0], -1e4) for p in (heads, hands))
    shown = [hand_pixels[owner == place].sum(0) > 0 for place in range(len(people))]
    f32 = np.float32
    return Seen(
        instant, tokens, owner, a["people_number"][people].astype(np.int64), head_px.astype(f32),
        np.linalg.norm(heads - origin, axis=-1).astype(f32), ((floors - heads) @ frame)[:, :2].astype(f32),
        ((hands - heads[:, None]) @ frame).astype(f32), hand_px.astype(f32),
        np.linalg.norm(hands - origin, axis=-1).astype(f32), np.array(shown, dtype=np.bool_).reshape(-1, 2),
    )  # fmt: skip


def sample(
    shards: Sequence[Sequence[Seen]], rng: np.random.Generator, *, augment: bool
) -> tuple[torch.Tensor, torch.Tensor, DetectorTargets]:
    """Canvases [I, 6, 192, 192], places [I, R + 1, 12, 12] and the truth: instants of SHOPS shards by VIEWS cameras."""
    pictures, places = [], []
    parts: list[Arrays] = []
    for shop, index in enumerate(rng.choice(len(shards), SHOPS, replace=len(shards) < SHOPS)):
        images = shards[index]
        instants = np.unique([image.instant for image in images])
        mirror = augment and rng.random() < 0.5
        for instant in rng.choice(instants, min(INSTANTS, len(instants)), replace=False):
            views = [image for image in images if image.instant == instant]
            for view in rng.permutation(len(views))[:VIEWS]:
                image = views[view]
                tokens = relit(image.tokens, rng) if augment else image.tokens
                box = crop(tokens["cells"].astype(np.int64), rng)
                patches = (tokens["cells"].astype(np.int64), tokens["pixels"], tokens["background"])
                made = canvas((*patches, tokens["rays"].astype(np.float32)), box)  # type: ignore[arg-type]
                picture, place = made.picture, made.places
                if mirror:
                    picture = picture[:, :, ::-1].copy()
                    place = place[:, :, ::-1].copy()
                    place[:-1] *= MIRRORED_RAYS.astype(np.float32)[:, None, None]
                pictures.append(picture)
                places.append(place)
                parts.append(truth(image, box, (len(parts), shop), mirror=mirror))
    joined = {name: torch.from_numpy(np.concatenate([part[name] for part in parts])) for name in parts[0]}
    return torch.from_numpy(np.stack(pictures)), torch.from_numpy(np.stack(places)), DetectorTargets(**joined)


def crop(cells: NDArray[np.int64], rng: np.random.Generator) -> tuple[int, int, int, int]:
    """A box of CROP×CROP patches around a changed one; where all fit into it, one that holds them all."""
    low, high = cells.min(0) - 1, cells.max(0) + 2  # with a margin
    some = cells[rng.integers(len(cells))]
    first = []
    for axis in range(2):
        if high[axis] - low[axis] <= CROP:
            first.append(int(rng.integers(high[axis] - CROP, low[axis] + 1)))
        else:
            first.append(int(np.clip(some[axis] - rng.integers(CROP), low[axis], high[axis] - CROP)))
    return first[0], first[1], CROP, CROP


def truth(image: Seen, box: tuple[int, int, int, int], number: tuple[int, int], *, mirror: bool) -> Arrays:
    """A picture's truth on a canvas (number: of the picture, of the shop), in the canvas's pixels."""
    top, left, rows, cols = box
    corner, f32 = np.array([left, top], dtype=np.float32) * PATCH_PX, np.float32
    head, hand = image.head_px - corner, image.hand_px - corner
    floor, hands = image.floor_m, image.hands_m
    owner = np.full((rows, cols), -1, dtype=np.int64)
    cells = image.tokens["cells"].astype(np.int64) - [top, left]
    inside = ((cells >= 0) & (cells < [rows, cols])).all(1)
    owner[cells[inside, 0], cells[inside, 1]] = image.owner[inside]
    changed = np.zeros((rows, cols), dtype=np.bool_)
    changed[cells[inside, 0], cells[inside, 1]] = True
    if mirror:
        wide = np.array([cols * PATCH_PX - 1, 0], dtype=np.float32)
        head, hand = (wide + p * MIRRORED_PX for p in (head, hand))
        floor, hands = floor * MIRRORED[:2], hands * MIRRORED
        owner, changed = owner[:, ::-1], changed[:, ::-1]
    side = np.array([cols, rows]) * PATCH_PX - 1
    picture, shop = number
    return {
        "picture": np.full(len(head), picture), "identity": image.identity + 1000 * shop,
        "shop": np.full(len(head), shop),
        "head_px": head.astype(f32), "head_inside": inside_of(head, side),
        "head_range": image.head_range_m, "floor": floor.astype(f32), "hands": hands.astype(f32),
        "hand_px": hand.astype(f32), "hand_inside": inside_of(hand, side),
        "hand_range": image.hand_range_m, "hand_seen": image.hand_seen,
        "owner": owner[None].copy(), "changed": changed[None].copy(),
    }  # fmt: skip


def inside_of(pixels: NDArray[np.floating], last: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which pixels [..., 2] lie on a canvas up to its last one."""
    return np.asarray(((pixels >= 0) & (pixels <= last)).all(-1), dtype=np.bool_)
