"""Training data without the simulator: a visit, a shard of single instants, windows around hands and of lanes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from openaisle.tokens.catalogue import picture_stack
from openaisle.tokens.glance import WINDOW_FEATURES, WINDOW_PX
from openaisle.tokens.journey import FRAME_HZ, lane_table
from openaisle.tokens.rays import RAY_FEATURES
from openaisle.tokens.scales import RATE_HZ
from openaisle.tokens.shelf import SHELF_FEATURES, SHELF_PX
from openaisle.training.dense_data import Arrays
from openaisle.training.journeys import JourneyRecord
from tests.tokens.corner import corner_store

SECONDS = 30
# second, kind (1 take, 2 return), person, lane: the lane's number is also its product's
EVENTS = ((6.0, 1, 0, 0), (11.0, 1, 1, 1), (16.0, 2, 0, 0), (21.0, 1, 0, 1), (26.0, 2, 1, 1))


def made_up_record() -> JourneyRecord:
    """Two people who take and return at two lanes with scales."""
    store = corner_store()
    frames, samples = SECONDS * FRAME_HZ, SECONDS * RATE_HZ
    table = lane_table(store)
    floor = np.zeros((2, frames, 2), np.float32)
    floor[:] = np.array([[2.7, 2.2], [3.2, 2.2]], np.float32)[:, None]
    hands = np.concatenate([np.repeat(floor[:, :, None], 2, 2), np.full((2, frames, 2, 1), 0.8, np.float32)], axis=-1)
    rng = np.random.Generator(np.random.PCG64(11))
    grams = (6000 + rng.normal(0, 0.5, (2, samples))).astype(np.float32)
    held = np.full((2, frames, 2), -1, np.int32)
    activity = np.zeros((2, frames), np.int8)
    for at, kind, person, lane in EVENTS:
        frame, sample = round(at * FRAME_HZ), round(at * RATE_HZ)
        hands[person, frame - 2 : frame + 2, 1] = store.lanes[lane].front_m
        activity[person, frame - 2 : frame + 2] = 3 if kind == 1 else 4
        grams[lane, sample:] += table.unit_grams[lane] * (-1 if kind == 1 else 1)
        held[person, frame:, 1] = lane if kind == 1 else -1
    events = np.array([[at * 1000, kind, person, lane, lane, 1, -1] for at, kind, person, lane in EVENTS], np.int64)
    return JourneyRecord(
        table, picture_stack(store), floor, hands, np.ones((2, frames), bool), held, activity,
        np.array([0, 1], np.int32), grams, events, ("ann", "bob"),
    )  # fmt: skip


def made_up_shard(path: Path, seed: int = 3, instants: int = 4) -> Path:
    """Random patches of two people in two cameras, with targets that follow from them (a bright patch is ann's)."""
    rng = np.random.Generator(np.random.PCG64(seed))
    images = 2 * instants
    count = rng.integers(4, 9, images).astype(np.int32)
    t = int(count.sum())
    owner = rng.integers(-1, 2, t).astype(np.int32)
    people_floor = np.repeat(np.array([[[1.0, 1.0], [2.5, 2.0]]], np.float32), instants, 0).reshape(-1, 2)
    level = 60 + 60 * owner[:, None]
    arrays: dict[str, NDArray[np.generic]] = {
        "count": count,
        "instant": np.repeat(np.arange(instants, dtype=np.int32), 2),
        "camera": np.tile(np.arange(2, dtype=np.int32), instants),
        "frame": np.tile(np.eye(3, dtype=np.float32), (images, 1, 1)),
        "pixels": (level + rng.integers(0, 20, (t, 768))).clip(0, 255).astype(np.uint8),
        "background": rng.integers(90, 110, (t, 768)).astype(np.uint8),
        "rays": rng.normal(size=(t, RAY_FEATURES)).astype(np.float16),
        "cells": rng.integers(0, 15, (t, 2)).astype(np.int16),
        "anchor": np.tile(np.array([1.5, 1.5, 1.0], np.float32), (t, 1)),
        "owner": owner,
        "target": np.zeros((t, 11), np.float16),
        "hand_seen": (rng.random((t, 2)) < 0.3).astype(np.uint8) * 9,
        "segments": rng.integers(0, 6, (t, 16)).astype(np.uint8),
        "log_range": rng.normal(0, 0.3, t).astype(np.float16),
        "activity": np.where(owner >= 0, owner, -1).astype(np.int8),
        "people_instant": np.repeat(np.arange(instants, dtype=np.int32), 2),
        "people_number": np.tile(np.arange(2, dtype=np.int32), instants),
        "people_floor": people_floor,
        "people_head": np.concatenate([people_floor, np.full((2 * instants, 1), 1.6, np.float32)], axis=1),
        "people_hands": np.repeat(
            np.concatenate([people_floor, np.full((2 * instants, 1), 0.9, np.float32)], axis=1)[:, None], 2, 1
        ),
        "people_activity": np.tile(np.arange(2, dtype=np.int8), instants),
        "people_held": np.full((2 * instants, 2), -1, np.int32),
    }
    floor = np.array([[1.0, 1.0], [2.5, 2.0]])[owner.clip(0)] - 1.5
    target = np.concatenate([floor] + [np.column_stack([floor, np.full(t, z)]) for z in (0.6, -0.1, -0.1)], axis=1)
    arrays["target"] = np.where(owner[:, None] >= 0, target, 0).astype(np.float16)
    np.savez(path, **arrays)  # type: ignore[arg-type]  # numpy's stub has no keyword arrays of mixed types
    return path


SKIN = (205, 165, 140)
COLOURS = ((220, 30, 30), (30, 200, 40), (40, 60, 220), (230, 220, 40), (40, 40, 40), (200, 60, 200))


def made_up_windows(windows: int = 60, seed: int = 5) -> Arrays:
    """A shard of windows on grey: a hand is a square of skin, what it holds one of its product's colour beside it."""
    rng = np.random.Generator(np.random.PCG64(seed))
    before = rng.integers(90, 110, (windows, WINDOW_PX, WINDOW_PX, 3)).astype(np.uint8)
    now = before.copy()
    seen, holds = rng.random(windows) < 0.8, rng.random(windows) < 0.6
    held = rng.integers(0, len(COLOURS), windows).astype(np.int32)
    offset = rng.uniform(-0.5, 0.5, (windows, 2)).astype(np.float32)
    shown = np.zeros((windows, WINDOW_PX, WINDOW_PX, 2), np.uint8)
    for i in np.flatnonzero(seen):
        column, row = (np.round((offset[i] + 1) * WINDOW_PX / 2)).astype(int)
        hand = slice(row - 2, row + 3), slice(column - 2, column + 3)
        now[i][hand], shown[i][(*hand, 0)] = SKIN, 255
        if holds[i]:
            item = slice(row - 2, row + 3), slice(column + 3, column + 8)
            now[i][item], shown[i][(*item, 1)] = COLOURS[held[i]], 255
    pictures = np.full((len(COLOURS), 2, 32, 32, 3), 255, np.uint8)
    pictures[:, :, 6:26, 8:24] = np.array(COLOURS, np.uint8)[:, None, None, None]
    mask = shown.reshape(windows, 16, 2, 16, 2, 2).mean((2, 4)).astype(np.uint8)
    return {
        "now": now, "before": before, "features": rng.normal(0, 0.3, (windows, WINDOW_FEATURES)).astype(np.float32),
        "seen": seen, "item_seen": seen & holds, "holds": holds, "units": holds.astype(np.int8),
        "product": np.where(seen & holds, held, -1).astype(np.int32), "offset": offset, "mask": mask,
        "pictures": pictures,
    }  # fmt: skip


SHELF_GRAMS = (330.0, 340.0, 420.0, 50.0, 500.0, 360.0)  # the first, the second and the last weigh about the same


def made_up_shelves(lanes: int = 40, seed: int = 5) -> Arrays:
    """A shard of lanes on grey, of one or two views each: squares of a product's colour that left or came.

    What left lay above the middle and what came lies below, both within the lane's area, a stripe that the third
    feature tells: where the lane is, in half windows right of the middle.
    """
    rng = np.random.Generator(np.random.PCG64(seed))
    lane = np.repeat(np.arange(lanes, dtype=np.int32), rng.integers(1, 3, lanes))
    own = rng.integers(0, len(COLOURS), lanes).astype(np.int32)
    stranger = rng.integers(0, len(COLOURS), (lanes, 2)).astype(np.int32)
    product = np.where(rng.random((lanes, 2)) < 0.7, own[:, None], stranger)
    product = np.where(rng.random((lanes, 2)) < 0.45, product, -1).astype(np.int32)
    w = len(lane)
    before = rng.integers(90, 110, (w, SHELF_PX, SHELF_PX, 3)).astype(np.uint8)
    after, area = before.copy(), np.zeros((w, SHELF_PX, SHELF_PX), np.uint8)
    shown = np.zeros((w, SHELF_PX, SHELF_PX, 2), np.uint8)
    left = rng.integers(2, 24, w)  # edge of a square; the lane reaches a cell further
    for i, l in enumerate(left):
        area[i, :, l - 2 : l + 8] = 255
        for side, picture in enumerate((before, after)):
            row = int(rng.integers(2, 8)) + 14 * side
            square = slice(row, row + 6), slice(l, l + 6)
            if product[lane[i], side] >= 0:
                picture[i][square], shown[i][(*square, side)] = COLOURS[product[lane[i], side]], 255
    features = rng.normal(0, 0.3, (w, SHELF_FEATURES)).astype(np.float32)
    features[:, 2] = (left + 2.5 - 15.5) / 16
    pictures = np.full((len(COLOURS), 2, 32, 32, 3), 255, np.uint8)
    pictures[:, :, 6:26, 8:24] = np.array(COLOURS, np.uint8)[:, None, None, None]
    is_own = product == own[:, None]
    return {
        "before": before, "after": after, "area": area, "features": features,
        "mask": shown.reshape(w, 16, 2, 16, 2, 2).mean((2, 4)).astype(np.uint8), "product": product[lane],
        "own": own[lane], "net": (is_own[:, 1].astype(np.int32) - is_own[:, 0])[lane], "lane": lane,
        "pictures": pictures, "grams": np.array(SHELF_GRAMS, np.float32),
    }  # fmt: skip
