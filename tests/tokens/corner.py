"""A corner of a shop for tests: a wall shelf with two lanes on scales of their own, a table without, two cameras."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from openaisle.store.schema import PlanogramRow, ProductSpec, StoreSpec
from openaisle.store.store import Store
from openaisle.tokens.journey import ACTIVITIES, FRAMES, TrackWindow
from openaisle.tokens.scales import HISTORY, HISTORY_S, RATE_HZ

COLA, BEANS, CRISPS = "04006381333931", "00012345678905", "00000040170725"
LANES = ("wall.s1.l1", "wall.s1.l2", "table.top.l1")
GRAMS = {COLA: 330.0, BEANS: 420.0, CRISPS: 50.0}
WIDTH_PX, HEIGHT_PX = 160, 128
E = 32  # width of the small network's product vectors


def corner_store() -> Store:
    """Four by three metres, three lanes, three products, cameras in two corners."""
    products = tuple(
        ProductSpec(
            gtin=gtin, name=gtin[-4:], price_cents=100 * (n + 1), weight_grams=grams, width_mm=60, height_mm=100,
            depth_mm=60, shape="box",
        )
        for n, (gtin, grams) in enumerate(GRAMS.items())
    )  # fmt: skip
    rows = tuple(PlanogramRow(lane=lane, gtin=gtin) for lane, gtin in zip(LANES, GRAMS, strict=True))
    pictures = {
        gtin: tuple(np.full((40, 30, 3), 40 + 60 * n + 20 * side, dtype=np.uint8) for side in range(2))
        for n, gtin in enumerate(GRAMS)
    }
    return Store(_spec(), products, rows, pictures)


def _spec() -> StoreSpec:
    lanes = [{"id": "l1", "x_m": 0.0, "width_m": 0.4}, {"id": "l2", "x_m": 0.5, "width_m": 0.4}]
    wall = {"id": "s1", "z_m": 1.0, "width_m": 1.0, "depth_m": 0.3, "lanes": lanes}
    top = {"id": "top", "z_m": 0.8, "width_m": 0.8, "depth_m": 0.5, "lanes": [{"id": "l1", "x_m": 0.1, "width_m": 0.5}]}
    lens = {"width_px": WIDTH_PX, "height_px": HEIGHT_PX, "fx_px": 100, "fy_px": 100, "cx_px": 79.5, "cy_px": 63.5}
    return StoreSpec.model_validate({
        "name": "Corner", "currency": "EUR", "time_zone": "Europe/Berlin",
        "tax_classes": {"standard": 0.19, "reduced": 0.07},
        "floor_m": [[0, 0], [4, 0], [4, 3], [0, 3]],
        "gates": [{"id": "door", "kind": "both", "a_m": [0.5, 0], "b_m": [1.5, 0]}],
        "fixtures": [
            {"id": "wall", "kind": "wall", "x_m": 2.5, "y_m": 2.6, "width_m": 1.0, "depth_m": 0.4, "height_m": 1.6,
             "shelves": [wall]},
            {"id": "table", "kind": "table", "x_m": 3.2, "y_m": 1.2, "yaw_deg": -90.0, "width_m": 0.8, "depth_m": 0.5,
             "height_m": 0.8, "shelves": [top]},
        ],
        "scales": [{"id": "w1", "lanes": [LANES[0]]}, {"id": "w2", "lanes": [LANES[1]]}],
        "cameras": [
            {"id": "a", **lens, "position_m": [0.3, 0.3, 2.6], "look_at_m": [2.0, 1.6, 0.6]},
            {"id": "b", **lens, "position_m": [3.7, 0.3, 2.7], "look_at_m": [2.0, 1.6, 0.6]},
        ],
    })  # fmt: skip


def quiet_rows(scales: int = 2, level: float = 5000.0, noise: float = 0.5, seed: int = 0) -> NDArray[np.float32]:
    """History [scales, HISTORY] of scales on which nothing happens."""
    rng = np.random.Generator(np.random.PCG64(seed))
    return (level + rng.normal(0, noise, (scales, HISTORY))).astype(np.float32)


def with_step(rows: NDArray[np.float32], scale: int, grams: float, at_s: float = 0.5) -> NDArray[np.float32]:
    """The rows with a step on one scale, `at_s` seconds after the tick's start."""
    out = rows.copy()
    out[scale, int((HISTORY_S + at_s) * RATE_HZ) :] += grams
    return out


def standing(*floor_m: tuple[float, float]) -> TrackWindow:
    """People who stand at floor points, their hands hanging beside them."""
    s, f32 = len(floor_m), np.float32
    floor = np.broadcast_to(np.array(floor_m, f32).reshape(s, 1, 2), (s, FRAMES, 2)).copy()
    hands = np.zeros((s, FRAMES, 2, 3), f32)
    hands[..., :2], hands[..., 2] = floor[:, :, None], 0.8
    hands[..., 0] += np.array([-0.2, 0.2], f32)
    return TrackWindow(
        floor_m=floor,
        floor_sd_m=np.full((s, FRAMES), 0.05, f32),
        hands_m=hands,
        hand_sd_m=np.full((s, FRAMES, 2), 0.05, f32),
        held=np.zeros((s, FRAMES, 2), f32),
        activity=np.full((s, FRAMES, ACTIVITIES), 1 / ACTIVITIES, f32),
        product=np.zeros((s, FRAMES, 2, E), f32),
        valid=np.ones((s, FRAMES), f32),
    )


def reaching(tracks: TrackWindow, shopper: int, point_m: NDArray[np.float64], frames: slice) -> TrackWindow:
    """The tracks with a shopper's right hand at a point during some frames."""
    hands = tracks.hands_m.copy()
    hands[shopper, frames, 1] = point_m
    return replace(tracks, hands_m=hands)


def showing(
    tracks: TrackWindow, shopper: int, vector: NDArray[np.float32], frames: slice, hand: int = 1
) -> TrackWindow:
    """The tracks with a shopper's hand (1: the right one) that shows something during some frames."""
    product = tracks.product.copy()
    product[shopper, frames, hand] = vector
    return replace(tracks, product=product)
