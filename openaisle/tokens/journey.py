"""A tick of everybody's journey as arrays for the receipt decoder: shoppers, lanes, baskets, recent events, and pairs.

S shoppers, L lanes worth looking at (scale active or a hand near), B basket entries, E recent events,
FRAMES video frames (5 Hz) around the tick. Built the same way from true geometry (training) and from tracks.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from openaisle.store.store import Store
from openaisle.tokens.catalogue import unit_grams
from openaisle.tokens.scales import RATE_HZ, WINDOW, ScaleWindow

FRAME_HZ = 5
FRAMES = 12  # [tick - 1.0 s, tick + 1.4 s)
MAX_LANES = 14
NEAR_M = 0.40  # a hand this close to a lane's opening makes the lane worth looking at
ACTIVITIES = 8
LANE_FEATURES = 2 * WINDOW + 14
SHOPPER_FEATURES = FRAMES * (6 + 2 + 2 + 2 + ACTIVITIES) + 2
PAIR_FEATURES = FRAMES * (6 + 2 + 1 + 1 + 2 + 2) + 2
BASKET_FEATURES = 5
EVENT_FEATURES = 6
BASKET_LANE_FEATURES = 5  # fit_features, and whether the lane is planned for the product
KINDS = ("end", "take", "return", "hand_over")
GUESSES = 4  # products per lane that a step may be, when it does not fit the lane's own
GUESS_STEP_G = 6.0  # a smaller step tells nothing about a product
FITS_SD = 2.5
MASS_SPREAD = 0.025  # of a unit around its catalogue weight
Float32 = NDArray[np.float32]


@dataclass(frozen=True)
class LaneTable:
    """Constants of a store's lanes and products."""

    rotation: Float32  # [lanes, 3, 3] lane_from_world
    translation: Float32  # [lanes, 3]
    size_m: Float32  # [lanes, 3] width, depth, clearance
    height_m: Float32  # [lanes]
    scale: NDArray[np.int32]  # [lanes] -1 = none
    shared: Float32  # [lanes] lanes on the same scale
    product: NDArray[np.int32]  # [lanes] planogram, -1 = none
    unit_grams: Float32  # [products] 0 = unknown


def lane_table(store: Store) -> LaneTable:
    """The constants of a store."""
    poses = np.stack([lane.lane_from_world for lane in store.lanes]).astype(np.float32)
    scale = np.array([lane.scale for lane in store.lanes], dtype=np.int32)
    shared = np.array([(scale == s).sum() if s >= 0 else 0 for s in scale], dtype=np.float32)
    return LaneTable(
        poses[:, :3, :3], poses[:, :3, 3], np.array([lane.size_m for lane in store.lanes], dtype=np.float32),
        np.array([lane.world_from_lane[2, 3] for lane in store.lanes], dtype=np.float32),
        scale, shared, store.lane_product, unit_grams(store),
    )  # fmt: skip


def without_scales(table: LaneTable) -> LaneTable:
    """The same lanes with no scale anywhere."""
    return replace(table, scale=np.full_like(table.scale, -1), shared=np.zeros_like(table.shared))


@dataclass(frozen=True)
class TrackWindow:
    """Tracks of S shoppers over the FRAMES of a tick; frames without an estimate have valid = 0."""

    floor_m: Float32  # [S, FRAMES, 2]
    floor_sd_m: Float32  # [S, FRAMES]
    hands_m: Float32  # [S, FRAMES, 2, 3] the farther from the body's axis first
    hand_sd_m: Float32  # [S, FRAMES, 2]
    held: Float32  # [S, FRAMES, 2] probability that the hand holds merchandise
    activity: Float32  # [S, FRAMES, 8] probabilities
    product: Float32  # [S, FRAMES, 2, E] embedding of what the hand shows (unnormalised evidence)
    valid: Float32  # [S, FRAMES]


@dataclass(frozen=True)
class Candidate:
    """A product that may be named although it is not the lane's own: in a basket, or known to lie in a wrong lane."""

    product: int
    quantity: int
    age_s: float
    shopper: int = -1  # row of the owner, -1 = lies in a lane
    lane: int = -1  # store lane index where it is known (or, with quantity 0, guessed) to lie, -1 = in a basket


@dataclass(frozen=True)
class RecentEvent:
    """An event written in the last ticks, so that it is explained once."""

    kind: int  # index into KINDS
    shopper: int  # row, -1 = has left
    lane: int  # store lane index, -1 = none
    product: int
    quantity: int
    age_s: float


@dataclass(frozen=True)
class TickFeatures:
    """What the receipt decoder reads for one tick."""

    lane: NDArray[np.int32]  # [L] store lane indices
    lanes: Float32  # [L, LANE_FEATURES]
    lane_product: NDArray[np.int32]  # [L]
    shoppers: Float32  # [S, SHOPPER_FEATURES]
    pairs: Float32  # [S, L, PAIR_FEATURES]
    baskets: Float32  # [B, BASKET_FEATURES]
    basket_product: NDArray[np.int32]  # [B]
    basket_shopper: NDArray[np.int32]  # [B] row of the owner, -1 = lies in a lane
    basket_lane: NDArray[np.int32]  # [B] row into `lane`, -1
    basket_pairs: Float32  # [B, L, BASKET_LANE_FEATURES] does the lane's step fit this product
    events: Float32  # [E, EVENT_FEATURES]
    event_shopper: NDArray[np.int32]  # [E]
    event_lane: NDArray[np.int32]  # [E] row into `lane`, -1


def by_reach(floor_m: NDArray[np.floating], hands_m: NDArray[np.floating]) -> NDArray[np.intp]:
    """Order [..., 2] that puts the hand farther from the body's axis first; floor_m [..., 2], hands_m [..., 2, 3].

    From above, left and right look alike until the face is found; which hand reaches is plain to see.
    """
    away = np.linalg.norm(hands_m[..., :2] - floor_m[..., None, :], axis=-1)
    return np.argsort(-away, axis=-1, kind="stable")


def hands_in_lanes(table: LaneTable, tracks: TrackWindow) -> Float32:
    """Hands in lane frames relative to the middle of the front opening: [S, lanes, FRAMES, 2, 3] metres."""
    local = np.einsum("lij,sfhj->slfhi", table.rotation, tracks.hands_m, optimize=True)
    local += table.translation[None, :, None, None]
    middle = np.stack(
        [table.size_m[:, 0] / 2, np.zeros(len(table.size_m)), np.minimum(table.size_m[:, 2] / 2, 0.15)], axis=1
    ).astype(np.float32)
    return np.asarray(local - middle[None, :, None, None], dtype=np.float32)


def opening_distance(table: LaneTable, local: Float32) -> Float32:
    """Distance in metres of each hand from each lane's box: [S, lanes, FRAMES, 2]."""
    half = table.size_m[:, 0] / 2
    across = np.maximum(np.abs(local[..., 0]) - half[None, :, None, None], 0)
    depth = np.maximum(np.maximum(-local[..., 1], local[..., 1] - table.size_m[None, :, None, None, 1]), 0)
    up = np.maximum(np.abs(local[..., 2]) - 0.15, 0)
    return np.asarray(np.sqrt(across**2 + depth**2 + up**2), dtype=np.float32)


def choose_lanes(table: LaneTable, window: ScaleWindow, distance: Float32) -> NDArray[np.int32]:
    """Lanes worth looking at, most active first, then nearest to a hand: at most MAX_LANES store indices."""
    activity = np.where(table.scale >= 0, window.activity[table.scale] if len(window.activity) else 0.0, 0.0)
    near = distance.min((0, 2, 3)) if distance.size else np.full(len(table.scale), np.inf, dtype=np.float32)
    # without a scale a hand in reach is the only sign; with one, the quiet scale speaks for itself
    score = np.where(activity > 1.0, 10.0 + np.minimum(activity, 100.0) - near.clip(0, 5), 0.0)
    bare = (table.scale < 0) & (near < NEAR_M)
    score = np.where(bare, 1.0 - near, score)
    order = np.argsort(-score, kind="stable")[:MAX_LANES]
    return np.sort(order[score[order] > 0]).astype(np.int32)


def asinh(grams: Float32) -> Float32:
    """Grams on a scale that keeps 2 g visible and 2 kg finite."""
    return np.asarray(np.arcsinh(grams / 5.0) / 3.0, dtype=np.float32)


def fit_features(step_grams: Float32, unit: Float32) -> Float32:
    """How a weight step fits a number of units of a product: [..., 4] (count, misfit, known, log mass)."""
    known = unit > 0
    count = np.where(known, step_grams / np.maximum(unit, 1e-3), 0.0)
    near = np.maximum(np.round(np.abs(count)), 1.0)
    misfit = np.where(known, np.abs(np.abs(count) - near) / near, 1.0)
    return np.stack(
        [np.clip(count, -7, 7), np.clip(misfit, 0, 1), known.astype(np.float32), np.log1p(unit) / 4.0], axis=-1
    ).astype(np.float32)


def lane_features(table: LaneTable, window: ScaleWindow, lane: NDArray[np.int32]) -> Float32:
    """[L, LANE_FEATURES] for the chosen lanes."""
    scale, product = table.scale[lane], table.product[lane]
    unit = np.where(product >= 0, table.unit_grams[product], 0.0).astype(np.float32)
    weighed = (scale >= 0)[:, None].astype(np.float32)
    if len(window.activity) == 0:
        delta = np.zeros((len(lane), WINDOW), dtype=np.float32)
        step = start = noise = missing = np.zeros(len(lane), dtype=np.float32)
    else:
        delta = window.delta_grams[scale] * weighed
        step, start = window.step_grams[scale] * weighed[:, 0], window.start_grams[scale] * weighed[:, 0]
        noise, missing = window.noise_grams[scale], window.missing[scale]
    end = delta[:, -7:].mean(1)
    ratio = np.clip(delta / np.maximum(unit, 2.0)[:, None], -6, 6) * (unit > 0)[:, None]
    return np.concatenate(
        [
            asinh(delta), ratio, fit_features(step, unit), fit_features(end, unit)[:, :2],
            asinh(step)[:, None], asinh(start)[:, None], np.log(noise + 0.3)[:, None] * weighed, missing[:, None],
            weighed, table.shared[lane][:, None] / 4.0, table.size_m[lane, :1] * 4.0, table.height_m[lane][:, None],
        ],
        axis=1,
    ).astype(np.float32)  # fmt: skip


def shopper_features(tracks: TrackWindow, items: NDArray[np.int32]) -> Float32:
    """[S, SHOPPER_FEATURES]; items [S] is the number of units in each shopper's basket."""
    floor3 = np.concatenate([tracks.floor_m, np.full_like(tracks.floor_m[..., :1], 1.0)], axis=-1)
    hands = (tracks.hands_m - floor3[:, :, None, :]).clip(-1.5, 1.5)
    velocity = np.diff(tracks.floor_m, axis=1, prepend=tracks.floor_m[:, :1]).clip(-0.6, 0.6) * FRAME_HZ
    spread = np.stack([tracks.floor_sd_m, tracks.hand_sd_m.max(-1)], axis=-1).clip(0, 1.5)
    parts = [hands.reshape(*hands.shape[:2], 6), velocity, spread, tracks.held, tracks.activity]
    frames = np.concatenate(parts, axis=-1) * tracks.valid[..., None]
    count = len(frames)
    extra = np.stack([np.log1p(items), tracks.valid.mean(1)], axis=-1) if count else np.zeros((0, 2))
    return np.concatenate([frames.reshape(count, SHOPPER_FEATURES - 2), extra], axis=1).astype(np.float32)


def pair_features(
    table: LaneTable, window: ScaleWindow, tracks: TrackWindow, lane: NDArray[np.int32], local: Float32, match: Float32
) -> Float32:
    """[S, L, PAIR_FEATURES]: hands in the lane's frame over time beside what its scale did; match [S, L, 2] looks."""
    shoppers, lanes = local.shape[0], len(lane)
    distance = opening_distance(_rows(table, lane), local)
    body = (
        np.einsum("lij,sfj->slfi", table.rotation[lane][:, :2, :2], tracks.floor_m)
        + table.translation[lane, :2][None, :, None]
    )
    body[..., 0] -= table.size_m[lane, 0][None, :, None] / 2
    away = np.linalg.norm(body, axis=-1).clip(0, 3)
    if len(window.activity):
        shown = window.delta_grams[table.scale[lane]] * (table.scale[lane] >= 0)[:, None]
    else:
        shown = np.zeros((lanes, WINDOW), dtype=np.float32)
    per_frame = asinh(shown[:, : FRAMES * (RATE_HZ // FRAME_HZ)].reshape(lanes, FRAMES, RATE_HZ // FRAME_HZ).mean(-1))
    valid = tracks.valid[:, None, :, None]
    frames = np.concatenate(
        [
            local.reshape(shoppers, lanes, FRAMES, 6).clip(-1.2, 1.2) * 2.0,
            np.exp(-distance / 0.08),
            away[..., None],
            np.broadcast_to(per_frame[None, :, :, None], (shoppers, lanes, FRAMES, 1)),
            np.broadcast_to(tracks.hand_sd_m[:, None].clip(0, 1.5), (shoppers, lanes, FRAMES, 2)),
            body.clip(-1.5, 1.5),
        ],
        axis=-1,
    )
    return np.concatenate([(frames * valid).reshape(shoppers, lanes, PAIR_FEATURES - 2), match], axis=-1).astype(
        np.float32
    )


def _rows(table: LaneTable, lane: NDArray[np.int32]) -> LaneTable:
    return LaneTable(
        table.rotation[lane], table.translation[lane], table.size_m[lane], table.height_m[lane], table.scale[lane],
        table.shared[lane], table.product[lane], table.unit_grams,
    )  # fmt: skip


def product_match(tracks: TrackWindow, embeddings: Float32, product: NDArray[np.int32]) -> Float32:
    """How much what a hand shows looks like each lane's product: [S, L, 2] best cosine × holding over the frames."""
    if not len(product) or not len(tracks.held):
        return np.zeros((len(tracks.held), len(product), 2), dtype=np.float32)
    norm = np.linalg.norm(tracks.product, axis=-1, keepdims=True)
    shown = tracks.product / np.maximum(norm, 1e-6) * np.minimum(norm, 1.0)
    vectors = np.where((product >= 0)[:, None], embeddings[product], 0.0)
    return np.asarray(np.einsum("sfhe,le->slfh", shown, vectors).max(2), dtype=np.float32)


def tick_features(
    table: LaneTable,
    window: ScaleWindow,
    tracks: TrackWindow,
    candidates: tuple[Candidate, ...],
    recent: tuple[RecentEvent, ...],
    embeddings: Float32,
) -> TickFeatures:
    """All arrays of one tick; embeddings [products, E] are the catalogue's picture vectors."""
    local = hands_in_lanes(table, tracks)
    lane = choose_lanes(table, window, opening_distance(table, local))
    product = table.product[lane]
    items = np.zeros(len(tracks.floor_m), dtype=np.int32)
    for candidate in candidates:
        if candidate.shopper >= 0:
            items[candidate.shopper] += candidate.quantity
    row = {int(index): i for i, index in enumerate(lane)}
    step = np.where(table.scale[lane] >= 0, window.step_grams[table.scale[lane]] if len(window.activity) else 0.0, 0.0)
    kept = tuple(c for c in candidates if c.lane < 0 or c.lane in row)
    kept += weight_guesses(table, window, lane, step, {(c.lane, c.product) for c in kept})
    basket_product = np.array([c.product for c in kept], dtype=np.int32)
    basket_unit = table.unit_grams[basket_product] if kept else np.zeros(0, dtype=np.float32)
    fits = fit_features(
        np.broadcast_to(step, (len(kept), len(lane))), np.broadcast_to(basket_unit[:, None], (len(kept), len(lane)))
    )
    planned = (basket_product[:, None] == product[None, :]).astype(np.float32)
    fits = np.concatenate([fits, planned[..., None]], axis=-1)
    match = product_match(tracks, embeddings, product)
    return TickFeatures(
        lane, lane_features(table, window, lane), product, shopper_features(tracks, items),
        pair_features(table, window, tracks, lane, local[:, lane], match),
        np.array([_basket_row(c, table) for c in kept], dtype=np.float32).reshape(-1, BASKET_FEATURES), basket_product,
        np.array([c.shopper for c in kept], dtype=np.int32),
        np.array([row.get(c.lane, -1) for c in kept], dtype=np.int32), fits,
        np.array([_event_row(e, table) for e in recent], dtype=np.float32).reshape(-1, EVENT_FEATURES),
        np.array([e.shopper for e in recent], dtype=np.int32),
        np.array([row.get(e.lane, -1) for e in recent], dtype=np.int32),
    )  # fmt: skip


def weight_guesses(
    table: LaneTable, window: ScaleWindow, lane: NDArray[np.int32], step: Float32, known: set[tuple[int, int]]
) -> tuple[Candidate, ...]:
    """Products of the whole catalogue that a lane's step fits when none that belongs there does: misplaced items.

    step [L] grams. At most GUESSES a lane, best first; those in `known` (lane, product) are named already.
    """
    out: list[Candidate] = []
    unit = table.unit_grams
    weighed = np.flatnonzero((table.scale[lane] >= 0) & (np.abs(step) > GUESS_STEP_G))
    done: set[int] = set()
    for i in weighed:
        scale = int(table.scale[lane[i]])
        if scale in done:  # lanes on one scale see the same step
            continue
        done.add(scale)
        grams, noise = abs(float(step[i])), float(window.noise_grams[scale])
        count = np.clip(np.round(grams / np.maximum(unit, 1e-3)), 1, 3)
        spread = np.hypot(1.5 + 0.6 * noise, MASS_SPREAD * unit * count)
        misfit = np.where(unit > 0, np.abs(grams - count * unit) / spread, np.inf)
        own = table.product[(table.scale == scale) & (table.product >= 0)]
        if len(own) and misfit[own].min() < FITS_SD:
            continue
        score = misfit**2 / 2 + np.log(spread) + 1.2 * (count - 1)
        score[misfit > FITS_SD] = np.inf
        for product in np.argsort(score, kind="stable")[:GUESSES]:
            if np.isfinite(score[product]) and (int(lane[i]), int(product)) not in known:
                out.append(Candidate(int(product), 0, 60.0, lane=int(lane[i])))
    return tuple(out)


def _basket_row(candidate: Candidate, table: LaneTable) -> tuple[float, ...]:
    grams = float(table.unit_grams[candidate.product])
    return (
        np.log1p(grams) / 4.0,
        float(grams > 0),
        candidate.quantity / 3.0,
        min(candidate.age_s, 60.0) / 20.0,
        float(candidate.shopper < 0),
    )


def _event_row(event: RecentEvent, table: LaneTable) -> tuple[float, ...]:
    grams = float(table.unit_grams[event.product]) if event.product >= 0 else 0.0
    one_hot = tuple(float(event.kind == k) for k in (1, 2, 3))
    return *one_hot, event.quantity / 3.0, event.age_s, np.log1p(grams) / 4.0
