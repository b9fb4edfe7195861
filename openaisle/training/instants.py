"""Single instants of a shop as the trunk's own heads see them: cells, depth, boxes of what is held; beside the truth.

For the benchmark: the exported graphs leave these heads out, as no receipt needs them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from openaisle.model.network import VisionNetwork
from openaisle.model.tasks.depth import BELIEVABLE
from openaisle.model.trunk import SEGMENT_CLASSES
from openaisle.sim.engine import Simulation
from openaisle.sim.render import Rendered, Renderer
from openaisle.sim.world import ITEM_ID, Snapshot
from openaisle.store.store import Store
from openaisle.tokens.rays import PATCH_PX, RayTable, ray_table
from openaisle.training.frames import Compression, image_arrays, sampled_snapshots, stillness, without_people
from openaisle.training.weights import load_weights

EVERY_S = 4.0  # mean time between instants; eight times as dense while somebody reaches
CELL_PX, CELLS = 4, 4  # pixels of a cell, cells along a patch
LEAST_PIXELS = 4  # of an item, to be shown at all
HELD = SEGMENT_CLASSES.index("held")
Arrays = Mapping[str, NDArray[np.generic]]


def look_at_instants(store: Store, simulation: Simulation, weights: Path, instants: int, seed: int) -> Arrays:
    """What the trunk says of the first `instants` sampled instants of a fresh simulation, all cameras.

    true_cells, cells [_]: classes of 4×4-pixel cells of changed patches; true_depth_m, depth_m, anchor_m [_]: metres
    along the ray through a patch's centre; true_held_boxes [_, 6], held_boxes and patch_boxes [_, 7]: image, 0, left,
    top, width, height in pixels, and a score; images [1]. Raises ModelError when the weights cannot be read.
    """
    network = load_weights(weights).vision.eval()
    tables = [ray_table(camera) for camera in store.cameras]
    parts: dict[str, list[NDArray[np.generic]]] = {name: [] for name in ("true_cells", "cells", *DEPTHS, *BOXES)}
    count = 0
    for image, (camera, snapshot, seen) in enumerate(_images(store, simulation, instants, seed)):
        count = image + 1
        patches = image_arrays(store, camera, tables[camera], snapshot, seen)
        if patches is None:
            continue
        told = _looked(network, patches, tables[camera])
        for name, values in told.items():
            parts[name].append(values if name in DEPTHS or name.endswith("cells") else _numbered(values, image))
        parts["true_held_boxes"].append(_numbered(held_boxes(snapshot, seen[2]), image))
    columns = {"true_held_boxes": 6, "held_boxes": 7, "patch_boxes": 7}
    out: dict[str, NDArray[np.generic]] = {}
    for name, some in parts.items():
        kind = np.int64 if name.endswith("cells") else np.float32
        empty = np.zeros((0, columns[name]) if name in columns else 0, dtype=kind)
        out[name] = np.concatenate([empty, *some]).astype(kind)
    return {**out, "images": np.array([count], dtype=np.int64)}


DEPTHS = ("true_depth_m", "depth_m", "anchor_m")
BOXES = ("true_held_boxes", "held_boxes", "patch_boxes")


def _images(
    store: Store, simulation: Simulation, instants: int, seed: int
) -> Iterator[tuple[int, Snapshot, tuple[NDArray[np.uint8], NDArray[np.uint8], Rendered]]]:
    """Camera, snapshot, and the pictures without and with people, of every camera at every instant."""
    renderer = Renderer(store, simulation.items.product, seed=seed)
    rng = np.random.default_rng(seed)
    compression = Compression(len(store.cameras), rng)
    empties: dict[int, tuple[bytes, NDArray[np.uint8]]] = {}
    for snapshot in islice(sampled_snapshots(simulation, EVERY_S, rng), instants):
        empty = without_people(snapshot)
        look = stillness(empty.items)
        for camera in range(len(store.cameras)):
            if camera not in empties or empties[camera][0] != look:
                empties[camera] = look, renderer.render(camera, empty).rgb.copy()
            drawn = renderer.render(camera, snapshot)
            before = compression(camera, empties[camera][1])
            yield camera, snapshot, (before, compression(camera, drawn.rgb), drawn)


def _looked(network: VisionNetwork, patches: Arrays, table: RayTable) -> dict[str, NDArray[np.generic]]:
    """Cells, depths and boxes of one image's patches, as the network sees them, with the truth of cells and depths."""
    cells = np.asarray(patches["cells"], dtype=np.int64)
    with torch.no_grad():
        told = network.trunk(
            torch.from_numpy(patches["pixels"])[None], torch.from_numpy(patches["background"])[None],
            torch.from_numpy(patches["rays"].astype(np.float32))[None], torch.from_numpy(cells)[None],
            torch.ones((1, len(cells)), dtype=torch.bool),
        )  # fmt: skip
    chance = told.segments[0].softmax(-1).numpy()
    true_log = np.asarray(patches["log_range"], dtype=np.float32)
    real = np.abs(true_log) < BELIEVABLE
    anchor_m = np.linalg.norm(np.asarray(patches["anchor"], dtype=np.float32) - table.origin_m, axis=-1)
    corner = cells[:, ::-1] * PATCH_PX
    zeros, size = np.zeros(len(cells)), np.full(len(cells), PATCH_PX)
    return {
        "true_cells": np.asarray(patches["segments"]).reshape(-1), "cells": chance.argmax(-1).reshape(-1),
        "true_depth_m": (anchor_m * np.exp(true_log))[real],
        "depth_m": (anchor_m * np.exp(told.log_range[0].numpy()))[real], "anchor_m": anchor_m[real],
        "held_boxes": boxes_of_cells(cells, chance[..., HELD], chance.argmax(-1) == HELD),
        "patch_boxes": np.column_stack([zeros, corner, size, size, np.ones(len(cells))]),
    }  # fmt: skip


def boxes_of_cells(
    patches: NDArray[np.int64], chance: NDArray[np.float32], shown: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Boxes [_, 6] of connected cells that show something: 0, left, top, width, height in pixels, mean chance.

    patches [N, 2] row and column; chance and shown [N, 16] of each patch's cells, row by row.
    """
    if not len(patches):
        return np.zeros((0, 6))
    rows, columns = ((patches.max(0) + 1) * CELLS).tolist()
    size = (rows, columns)
    mask, sure = np.zeros(size, dtype=np.uint8), np.zeros(size)
    for (row, column), here, chances in zip(patches.tolist(), shown, chance, strict=True):
        area = slice(row * CELLS, (row + 1) * CELLS), slice(column * CELLS, (column + 1) * CELLS)
        mask[area], sure[area] = here.reshape(CELLS, CELLS), chances.reshape(CELLS, CELLS)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    found = [(0.0, *(stats[i, :4] * CELL_PX).tolist(), float(sure[labels == i].mean())) for i in range(1, count)]
    return np.array(found, dtype=np.float64).reshape(-1, 6)


def held_boxes(snapshot: Snapshot, drawn: Rendered) -> NDArray[np.float64]:
    """Boxes [_, 5] around what shows of every item in a hand: 0, left, top, width, height in pixels."""
    rows = []
    for item in sorted({item for person in snapshot.people for hand in person.held for item in hand}):
        shown = np.argwhere(drawn.ids == ITEM_ID + item)
        if len(shown) >= LEAST_PIXELS:
            (top, left), (bottom, right) = shown.min(0).tolist(), (shown.max(0) + 1).tolist()
            rows.append((0.0, left, top, right - left, bottom - top))
    return np.array(rows, dtype=np.float64).reshape(-1, 5)


def _numbered(boxes: NDArray[np.generic], image: int) -> NDArray[np.generic]:
    """Boxes with the image's number before them."""
    return np.column_stack([np.full(len(boxes), image), boxes])
