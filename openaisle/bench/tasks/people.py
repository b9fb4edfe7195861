"""People: whose body each track follows, how far off heads and hands are, and what was held in one go."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from openaisle.bench.tasks.observed import Observed

SAME_M = 1.0  # a track this near follows a body: what counts as the same place in tracking, too
STRETCHED_M = 0.38  # from the body's axis: hands at rest hang 0.2 to 0.35 m from it
PCK_M = 0.10
HANGING_M, HEAD_M = 0.9, 1.6  # where a hand and a head are, who knows nothing but the floor point
GAP_SLOTS = 2  # an item that is held again this soon was held all the time
Float = NDArray[np.float64]
Int64 = NDArray[np.int64]


@dataclass(frozen=True)
class Followed:
    """K pairs of a true person and the track that follows them, and how far off it is."""

    true: Int64  # [K] rows of Observed's truth
    told: Int64  # [K] rows of its beliefs
    hand: Int64  # [K, 2] which believed hand is taken for the true left, right one: the order that fits better
    hand_m: Float  # [K, 2] error of left, right hand
    hanging_m: Float  # [K, 2] ... of hands that hang at the believed floor point, 0.9 m up
    stretched: NDArray[np.bool_]  # [K, 2]
    head_m: Float  # [K] error of the head
    standing_m: Float  # [K] ... of a head 1.6 m above the believed floor point


def followed(o: Observed) -> Followed:
    """True people and the tracks that follow them, slot by slot: the nearest pair first, none farther than 1 m."""
    pairs = np.array(list(_pairs(o)), dtype=np.int64).reshape(-1, 2)
    true, told = pairs[:, 0], pairs[:, 1]
    truth, belief = o.true_hands_m[true].astype(np.float64), o.hands_m[told].astype(np.float64)
    both = np.stack([belief, belief[:, ::-1]], axis=1)  # [K, order, hand, 3]
    error = np.linalg.norm(both - truth[:, None], axis=-1)
    order = error.sum(-1).argmin(1)
    floor = o.floor_m[told].astype(np.float64)
    hanging = np.column_stack([floor, np.full(len(floor), HANGING_M)])
    standing = np.column_stack([floor, np.full(len(floor), HEAD_M)])
    away = np.linalg.norm(truth[..., :2] - o.true_floor_m[true][:, None], axis=-1)
    return Followed(
        true, told, np.stack([order, 1 - order], axis=1), error[np.arange(len(order)), order],
        np.linalg.norm(hanging[:, None] - truth, axis=-1), away > STRETCHED_M,
        np.linalg.norm(o.head_m[told] - o.true_head_m[true].astype(np.float64), axis=-1),
        np.linalg.norm(standing - o.true_head_m[true], axis=-1),
    )  # fmt: skip


def _pairs(o: Observed) -> Iterator[tuple[int, int]]:
    for slot in np.intersect1d(o.true_slot, o.slot).tolist():
        here, seen = np.flatnonzero(o.true_slot == slot), np.flatnonzero(o.slot == slot)
        away = np.linalg.norm(o.true_floor_m[here][:, None] - o.floor_m[seen][None], axis=-1)
        for _ in range(min(away.shape)):
            a, b = np.unravel_index(int(away.argmin()), away.shape)
            if away[a, b] > SAME_M:
                break
            yield int(here[a]), int(seen[b])
            away[a], away[:, b] = np.inf, np.inf


@dataclass(frozen=True)
class Holds:
    """K times that a hand held one product, from when it was gripped to when it was let go."""

    product: Int64  # [K] true
    scores: Float  # [K, P] likeness of all that the hand showed meanwhile to every product of the catalogue
    shown: NDArray[np.bool_]  # [K] it showed anything


def holds(o: Observed, pairs: Followed) -> Holds:
    """What hands held, and what the network saw of it, added up over each hold."""
    truth: list[int] = []
    vectors: list[Float] = []
    for person in np.unique(o.true_person[pairs.true]).tolist():
        for side in (0, 1):
            k = np.flatnonzero(o.true_person[pairs.true] == person)
            k = k[np.argsort(o.true_slot[pairs.true[k]], kind="stable")]
            held, slot = o.true_held[pairs.true[k], side], o.true_slot[pairs.true[k]]
            seen = o.product[pairs.told[k], pairs.hand[k, side]].astype(np.float64)
            begins = np.flatnonzero((np.diff(held, prepend=-2) != 0) | (np.diff(slot, prepend=slot[:1]) > GAP_SLOTS))
            for first, end in zip(begins, [*begins[1:], len(held)], strict=True):
                if held[first] >= 0:
                    truth.append(int(held[first]))
                    vectors.append(seen[first:end].sum(0))
    total = np.array(vectors).reshape(-1, o.embeddings.shape[-1])
    norm = np.linalg.norm(total, axis=-1)
    scores = total / np.maximum(norm, 1e-9)[:, None] @ o.embeddings.T.astype(np.float64)
    return Holds(np.array(truth, dtype=np.int64), scores, norm > 0)
