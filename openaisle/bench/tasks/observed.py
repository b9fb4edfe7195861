"""Observed: what the pipeline believed while it played one case, beside the truth, as arrays; kept as one file.

A slot is a fifth of a second (the number of its start since the epoch), a tick a second. Rows of people, boxes and
events are flat: their first columns say to which slot, camera or tick they belong. Places are metres, store frame.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, fields
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]
Int64 = NDArray[np.int64]
EVENT_COLUMNS = ("time_ns", "sign", "visit", "lane", "product", "units")  # sign: 1 taken, -1 returned


@dataclass(frozen=True)
class Observed:
    """One case, N rows of true people, M of believed ones, H hands each, P products, L lanes, S scales, T ticks."""

    true_slot: Int64  # [N]
    true_person: Int64  # [N]
    true_floor_m: Float32  # [N, 2]
    true_head_m: Float32  # [N, 3]
    true_hands_m: Float32  # [N, 2, 3]
    true_activity: Int64  # [N]
    true_held: Int64  # [N, 2] product in each hand, -1 = none
    slot: Int64  # [M]
    number: Int64  # [M] of the shopper whom the pipeline follows
    visit: Int64  # [M] ... and whose receipt that is, -1 = of none that took or returned anything
    floor_m: Float32  # [M, 2]
    head_m: Float32  # [M, 3]
    hands_m: Float32  # [M, 2, 3]
    activity: Float32  # [M, 8] probabilities
    product: Float32  # [M, 2, E] what each hand shows, 0 = nothing
    embeddings: Float32  # [P, E] catalogue
    true_boxes: Float32  # [_, 6] slot counted from `first_slot`, camera, left, top, width, height in pixels
    boxes: Float32  # [_, 7] ... and a score
    moved_boxes: Float32  # [_, 7] connected changed patches, scored by their number
    true_events: Int64  # [_, 6] EVENT_COLUMNS
    events: Int64  # [_, 6] the ledger's entries that count at the end
    tick_ns: Int64  # [T]
    grams: Float32  # [T, S] median reading of each second, NaN = none
    lane_product: Int64  # [L] planogram, -1 = none
    lane_scale: Int64  # [L] -1 = none
    lane_front_m: Float32  # [L, 3] middle of the lane's opening
    unit_grams: Float32  # [P]
    true_lying: Int64  # [_, 3] tick, lane, product that is not the lane's own
    lying: Int64  # [_, 3] what the pipeline knows of that
    stock_first: Int64  # [L, P] true units when the shop opens
    stock_last: Int64  # [L, P] ... when it closes
    true_cells: Int64  # [_] class of 4×4-pixel cells of changed patches at single instants
    cells: Int64  # [_] as the network sees them
    true_depth_m: Float32  # [_] along the ray at the centre of a patch
    depth_m: Float32  # [_]
    anchor_m: Float32  # [_] ... where it passes 1 m above the floor
    true_held_boxes: Float32  # [_, 6] image, 0, left, top, width, height of items in hands, in pixels
    held_boxes: Float32  # [_, 7] ... and a score
    patch_boxes: Float32  # [_, 7] every changed patch
    images: Int64  # [1] how many were looked at

    def save(self, path: Path) -> None:
        """Write one file, whole or not at all."""
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.{os.getpid()}.npz")
        arrays = {field.name: getattr(self, field.name) for field in fields(self)}
        np.savez_compressed(partial, **arrays)
        partial.replace(path)


def load(path: Path) -> Observed | None:
    """What `save` wrote; None where it is missing, broken or of another version."""
    try:
        with np.load(path) as file:
            return Observed(**{field.name: file[field.name] for field in fields(Observed)})
    except (OSError, KeyError, ValueError, BadZipFile):
        return None
