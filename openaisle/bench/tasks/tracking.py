"""Tracking on the floor: HOTA, IDF1, MOTA by trackeval; places are alike as 1 - distance / 2 m, as in MOT15-3D."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from io import StringIO

import numpy as np
from numpy.typing import NDArray

from openaisle.errors import MissingExtraError

ZERO_M = 2.0  # apart, and nothing alike; half as far counts as the same place for IDF1 and MOTA


@dataclass(frozen=True)
class Tracks:
    """N sightings: slot [N], identity [N], floor point in metres [N, 2]; an identity is at one place in a slot."""

    slot: NDArray[np.int64]
    identity: NDArray[np.int64]
    floor_m: NDArray[np.floating]


@dataclass(frozen=True, slots=True)
class TrackScore:
    """Of all sequences together; 1 is best, MOTA can be negative."""

    hota: float
    idf1: float
    mota: float


def standing(tracks: Tracks) -> Tracks:
    """The trivial tracker: everybody stands where they were first seen, as long as they are followed."""
    floor = np.array(tracks.floor_m, copy=True)
    for identity in np.unique(tracks.identity):
        mine = np.flatnonzero(tracks.identity == identity)
        floor[mine] = tracks.floor_m[mine[tracks.slot[mine].argmin()]]
    return Tracks(tracks.slot, tracks.identity, floor)


def track_score(sequences: Sequence[tuple[Tracks, Tracks]]) -> TrackScore | None:
    """Scores of (true, believed) tracks, sequences pooled as trackeval pools them; None where nobody ever was.

    Raises MissingExtraError without trackeval.
    """
    try:
        with redirect_stdout(StringIO()):  # it talks while it is imported, of what these metrics do not need
            from trackeval.metrics import CLEAR, HOTA, Identity
    except ImportError as error:
        raise MissingExtraError("trackeval", "tasks,tracking") from error
    if not any(len(truth.slot) for truth, _ in sequences):
        return None
    pooled: dict[str, NDArray[np.float64]] = {}
    for metric in (HOTA(), CLEAR({"PRINT_CONFIG": False}), Identity({"PRINT_CONFIG": False})):
        each = {str(i): metric.eval_sequence(_data(*pair)) for i, pair in enumerate(sequences)}
        pooled |= metric.combine_sequences(each)
    return TrackScore(float(np.mean(pooled["HOTA"])), float(pooled["IDF1"]), float(pooled["MOTA"]))


def _data(truth: Tracks, told: Tracks) -> dict[str, object]:
    """One sequence as trackeval's metrics read it."""
    slots = np.unique(np.concatenate([truth.slot, told.slot]))
    true_names, true_ids = np.unique(truth.identity, return_inverse=True)
    told_names, told_ids = np.unique(told.identity, return_inverse=True)
    rows = [(np.flatnonzero(truth.slot == slot), np.flatnonzero(told.slot == slot)) for slot in slots]
    return {
        "num_timesteps": len(slots), "num_gt_dets": len(truth.slot), "num_tracker_dets": len(told.slot),
        "num_gt_ids": len(true_names), "num_tracker_ids": len(told_names),
        "gt_ids": [true_ids[a] for a, _ in rows], "tracker_ids": [told_ids[b] for _, b in rows],
        "similarity_scores": [_alike(truth.floor_m[a], told.floor_m[b]) for a, b in rows],
    }  # fmt: skip


def _alike(a_m: NDArray[np.floating], b_m: NDArray[np.floating]) -> NDArray[np.float64]:
    apart = np.linalg.norm(a_m[:, None].astype(np.float64) - b_m[None], axis=-1)
    return np.asarray(np.maximum(0.0, 1.0 - apart / ZERO_M))
