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
LANE_FEATURES = 2 * WINDOW + 17
SHOPPER_FEATURES = FRAMES * (6 + 2 + 2 + 2 + ACTIVITIES) + 2
LOOK_FEATURES = 12  # 2 hands × (before, after) × (cosine, log-probability, strength)
PAIR_FEATURES = FRAMES * (6 + 2 + 1 + 1 + 2 + 2) + LOOK_FEATURES
BASKET_FEATURES = 5
EVENT_FEATURES = 6
BASKET_LANE_FEATURES = 7  # fit_features, and whether the lane is planned for the product
KINDS = ("end", "take", "return", "hand_over")
MAX_UNITS = 6  # of one event
GUESSES = 7  # products per lane that a step may be, when it does not fit the lane's own
FEWER_GUESSES = 3  # when it does: several units of the lane's own may weigh what one unit of another product weighs
BETWEEN_M = 0.15  # lanes of one shelf that are so near may carry one thing together
LOOK_SCALE = 12.0  # of cosines, to become log-odds over the catalogue
GUESS_STEP_G = 6.0  # a smaller step tells nothing about a product
FITS_SD = 2.5
MASS_SPREAD = 0.025  # of a unit around its catalogue weight
FELT, GUESS_SPREAD = 0.98, 0.04  # of a unit's mass that its scale feels: neighbours carry a few percent of it
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
    basket_looks: Float32  # [S, B, LOOK_FEATURES] do the shopper's hands show this product
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


def fit_features(
    step_grams: Float32, unit: Float32, noise_grams: Float32 | float = 0.0, whole_grams: Float32 | None = None
) -> Float32:
    """How a weight step fits units of a product: [..., 6].

    Count, misfit, known, log mass, misfit in deviations, and that of the whole step (whole_steps; the step's own
    where there is none).
    """
    known = unit > 0
    count = np.where(known, step_grams / np.maximum(unit, 1e-3), 0.0)
    near = np.clip(np.round(np.abs(count)), 1.0, MAX_UNITS)
    misfit = np.where(known, np.abs(np.abs(count) - near) / near, 1.0)
    away = np.abs(np.abs(step_grams) - near * unit) / mass_spread(unit, near, noise_grams)
    whole = np.asarray(step_grams if whole_grams is None else whole_grams, dtype=np.float32)
    units = np.clip(np.round(np.abs(whole) / np.maximum(unit, 1e-3)), 1.0, MAX_UNITS)
    far = np.abs(np.abs(whole) - units * unit) / mass_spread(unit, units, noise_grams)
    return np.stack(
        [
            np.clip(count, -7, 7), np.clip(misfit, 0, 1), known.astype(np.float32), np.log1p(unit) / 4.0,
            np.where(known, np.minimum(away, 8.0) / 4.0, 2.0), np.where(known, np.minimum(far, 8.0) / 4.0, 2.0),
        ],
        axis=-1,
    ).astype(np.float32)  # fmt: skip


def mass_spread(unit: Float32, count: NDArray[np.floating], noise_grams: Float32 | float) -> Float32:
    """Standard deviation in grams of a step of `count` units: the scale's noise and the units' own masses."""
    return np.asarray(np.hypot(1.5 + 0.6 * np.asarray(noise_grams), MASS_SPREAD * unit * count), dtype=np.float32)


def whole_steps(table: LaneTable, window: ScaleWindow) -> Float32:
    """Step in grams [lanes] of each lane's scale and of those beside it that moved less in the same direction.

    Something wide in a narrow lane, as misplaced things often are, stands on its neighbours' scales, too.
    """
    if not len(window.activity):
        return np.zeros(len(table.scale), dtype=np.float32)
    weighed = table.scale >= 0
    step = np.where(weighed, window.step_grams[table.scale], 0.0).astype(np.float32)
    least = np.where(weighed, np.maximum(3.0, 2.5 * window.noise_grams[table.scale]), np.inf)
    total = step.copy()
    beside = np.flatnonzero(adjacent(table) & (table.scale[:-1] != table.scale[1:]))
    for a, b in ((beside, beside + 1), (beside + 1, beside)):  # what lane a gets of lane b
        shared = (
            (np.sign(step[a]) == np.sign(step[b])) & (np.abs(step[b]) > least[b]) & (np.abs(step[b]) <= np.abs(step[a]))
        )
        np.add.at(total, a, np.where(shared, step[b], 0.0))
    return total


def adjacent(table: LaneTable) -> NDArray[np.bool_]:
    """Whether each lane and the next one [lanes - 1] lie beside each other on a shelf."""
    origin = -np.einsum("lji,lj->li", table.rotation, table.translation)
    gap = np.einsum("lij,lj->li", table.rotation[:-1], np.diff(origin, axis=0))
    turned = np.abs(table.rotation[1:] - table.rotation[:-1]).max((1, 2), initial=0.0) > 1e-3
    between = gap[:, 0] - table.size_m[:-1, 0]
    level = (np.abs(gap[:, 1:]) < 0.02).all(1)
    return np.asarray(~turned & level & (between > -0.02) & (between < BETWEEN_M), dtype=np.bool_)


def lane_features(table: LaneTable, window: ScaleWindow, lane: NDArray[np.int32], whole: Float32) -> Float32:
    """[L, LANE_FEATURES] for the chosen lanes; whole [L] grams (whole_steps)."""
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
            asinh(delta), ratio, fit_features(step, unit, noise, whole), fit_features(end, unit)[:, :2],
            asinh(step)[:, None], asinh(start)[:, None], asinh(whole - step)[:, None],
            np.log(noise + 0.3)[:, None] * weighed, missing[:, None], weighed,
            table.shared[lane][:, None] / 4.0, table.size_m[lane, :1] * 4.0, table.height_m[lane][:, None],
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
    """[S, L, PAIR_FEATURES]: hands in the lane's frame over time beside what its scale did, and `match`.

    match [S, L, LOOK_FEATURES] tells whether the hands show the lane's product.
    """
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
    return np.concatenate(
        [(frames * valid).reshape(shoppers, lanes, PAIR_FEATURES - LOOK_FEATURES), match], axis=-1
    ).astype(np.float32)


def _rows(table: LaneTable, lane: NDArray[np.int32]) -> LaneTable:
    return LaneTable(
        table.rotation[lane], table.translation[lane], table.size_m[lane], table.height_m[lane], table.scale[lane],
        table.shared[lane], table.product[lane], table.unit_grams,
    )  # fmt: skip


def looks(tracks: TrackWindow, embeddings: Float32) -> Float32:
    """How much what each hand shows looks like every product: [S, products, LOOK_FEATURES].

    Evidence is added up over the frames before and after the tick's middle, as what is taken shows after and what is
    put back shows before. Per hand and half: cosine, log-probability over the whole catalogue, strength.
    """
    people, products = len(tracks.floor_m), len(embeddings)
    if not people or not products:
        return np.zeros((people, products, LOOK_FEATURES), dtype=np.float32)
    half = (FRAMES + 1) // 2
    shown = tracks.product * tracks.valid[:, :, None, None]
    total = np.stack([shown[:, :half].sum(1), shown[:, half:].sum(1)], axis=2)  # [S, 2 hands, 2 halves, E]
    norm = np.linalg.norm(total, axis=-1, keepdims=True)
    cosine = (total / np.maximum(norm, 1e-6)) @ embeddings.T  # [S, 2, 2, products]
    scores = cosine * LOOK_SCALE
    peak = scores.max(-1, keepdims=True)
    sure = scores - peak - np.log(np.exp(scores - peak).sum(-1, keepdims=True))
    strength = np.minimum(norm, 2.0) / 2.0
    told = np.stack([cosine, np.maximum(sure, -12.0) / 6.0, np.ones_like(cosine)], axis=-1) * strength[..., None]
    return np.asarray(np.moveaxis(told, 3, 1).reshape(people, products, LOOK_FEATURES), dtype=np.float32)


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
    whole = whole_steps(table, window)[lane]
    named = {(c.lane, c.product) for c in kept}
    kept += weight_guesses(table, window, lane, step, named)
    spread = np.where(np.abs(whole - step) > GUESS_STEP_G, whole, 0.0)
    kept += weight_guesses(table, window, lane, spread, {(c.lane, c.product) for c in kept})
    basket_product = np.array([c.product for c in kept], dtype=np.int32)
    basket_unit = table.unit_grams[basket_product] if kept else np.zeros(0, dtype=np.float32)
    shape = (len(kept), len(lane))
    noise = np.where(
        table.scale[lane] >= 0, window.noise_grams[table.scale[lane]] if len(window.activity) else 0.0, 0.0
    )
    fits = fit_features(
        np.broadcast_to(step, shape),
        np.broadcast_to(basket_unit[:, None], shape),
        np.broadcast_to(noise, shape),
        np.broadcast_to(whole, shape),
    )
    planned = (basket_product[:, None] == product[None, :]).astype(np.float32)
    fits = np.concatenate([fits, planned[..., None]], axis=-1)
    shown = looks(tracks, embeddings)
    match = np.where((product >= 0)[None, :, None], shown[:, product], 0.0).astype(np.float32)
    return TickFeatures(
        lane, lane_features(table, window, lane, whole), product, shopper_features(tracks, items),
        pair_features(table, window, tracks, lane, local[:, lane], match),
        np.array([_basket_row(c, table) for c in kept], dtype=np.float32).reshape(-1, BASKET_FEATURES), basket_product,
        np.array([c.shopper for c in kept], dtype=np.int32),
        np.array([row.get(c.lane, -1) for c in kept], dtype=np.int32), fits, shown[:, basket_product],
        np.array([_event_row(e, table) for e in recent], dtype=np.float32).reshape(-1, EVENT_FEATURES),
        np.array([e.shopper for e in recent], dtype=np.int32),
        np.array([row.get(e.lane, -1) for e in recent], dtype=np.int32),
    )  # fmt: skip


def weight_guesses(
    table: LaneTable, window: ScaleWindow, lane: NDArray[np.int32], step: Float32, known: set[tuple[int, int]]
) -> tuple[Candidate, ...]:
    """Products of the whole catalogue that a lane's step fits, beside those that belong there: misplaced items.

    step [L] grams. At most GUESSES a lane (FEWER_GUESSES where its own product fits), best first; those in `known`
    (lane, product) are named already.
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
        spread = np.hypot(1.5 + 0.6 * noise, GUESS_SPREAD * unit * count)
        misfit = np.where(unit > 0, np.abs(grams - FELT * count * unit) / spread, np.inf)
        own = table.product[(table.scale == scale) & (table.product >= 0)]
        limit = FEWER_GUESSES if len(own) and misfit[own].min() < FITS_SD else GUESSES
        score = misfit**2 / 2 + np.log(spread) + 1.2 * (count - 1)
        score[misfit > FITS_SD] = np.inf
        score[own] = np.inf
        for product in np.argsort(score, kind="stable")[:limit]:
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
