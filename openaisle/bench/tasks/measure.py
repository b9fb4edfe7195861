"""Measure: what was watched in all cases becomes one row per task and metric, beside its trivial baseline."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from openaisle.bench.tasks.detection import average_precision
from openaisle.bench.tasks.interactions import (
    LANE,
    SIGN,
    UNITS,
    VISIT,
    Spotted,
    accounts,
    lanes_by_hand,
    masses,
    misplaced,
    spotted,
    steps,
    stock_told,
    told_lanes,
)
from openaisle.bench.tasks.observed import Observed
from openaisle.bench.tasks.people import PCK_M, Followed, followed, holds
from openaisle.bench.tasks.tracking import Tracks, standing, track_score
from openaisle.messages import Activity

CLASSES = ("static", "fixture", "product", "person", "hand", "held")
MISPLACED_TICKS = 10  # lanes are looked through every ten seconds
TRACKEVAL, COCO, TORCHMETRICS, FORMULA = "trackeval", "faster-coco-eval", "torchmetrics", "formula"


@dataclass(frozen=True, slots=True)
class TaskRow:
    """One line of the table; None where there was nothing to measure."""

    task: str
    metric: str
    value: float | None
    baseline: float | None
    trivial: str  # what the baseline does
    n: int
    of: str  # what n counts
    unit: str = ""  # of value and baseline: "" for a share or score, "cm", "g", "units"
    higher: bool = True  # is better
    by: str = FORMULA  # whose metric it is


def measure(cases: Sequence[Observed], progress: Callable[[float], None] = lambda share: None) -> list[TaskRow]:
    """Every row over all cases together. Raises MissingExtraError where a metric's library is not installed."""
    pairs = [followed(o) for o in cases]
    parts: tuple[Callable[[], list[TaskRow]], ...] = (
        lambda: _detection(cases), lambda: _tracking(cases), lambda: _dense(cases), lambda: _places(pairs),
        lambda: _activity(cases, pairs), lambda: _products(cases, pairs), lambda: _events(cases),
        lambda: _stock(cases),
    )  # fmt: skip
    rows: list[TaskRow] = []
    for done, part in enumerate(parts, 1):
        rows += part()
        progress(done / len(parts))
    return rows


# --- seeing --------------------------------------------------------------------------------------------------


def _detection(cases: Sequence[Observed]) -> list[TaskRow]:
    people = [_pooled([getattr(o, name) for o in cases]) for name in ("true_boxes", "boxes", "moved_boxes")]
    held = [_pooled([getattr(o, name) for o in cases]) for name in ("true_held_boxes", "held_boxes", "patch_boxes")]
    rows = []
    for task, (truth, told, trivial), words in (
        ("people, boxes", people, "every blob of changed patches"),
        ("things in hands, boxes", held, "every changed patch"),
    ):
        value, base = average_precision(truth, told), average_precision(truth, trivial)
        for metric, name in (("AP", "ap"), ("AP at IoU 0.5", "ap50")):
            found, poor = (getattr(one, name) if one else None for one in (value, base))
            rows.append(TaskRow(task, metric, found, poor, words, len(truth), "boxes", by=COCO))
    return rows


def _pooled(boxes: Sequence[NDArray[np.floating]]) -> NDArray[np.float64]:
    """Boxes of all cases, the images of each numbered after those of the one before; numbers below a million."""
    wide = [rows.astype(np.float64) for rows in boxes]
    each = [np.column_stack([rows[:, 0] + 1e6 * i, rows[:, 1:]]) for i, rows in enumerate(wide)]
    return np.concatenate(each)


def _tracking(cases: Sequence[Observed]) -> list[TaskRow]:
    truth = [Tracks(o.true_slot, o.true_person, o.true_floor_m) for o in cases]
    told = [Tracks(o.slot, o.number, o.floor_m) for o in cases]
    value = track_score(list(zip(truth, told, strict=True)))
    base = track_score(list(zip(truth, map(standing, told), strict=True)))
    n, words, rows = sum(len(tracks.slot) for tracks in truth), "stands where first seen", []
    for name in ("hota", "idf1", "mota"):
        found, poor = (getattr(one, name) if one else None for one in (value, base))
        rows.append(TaskRow("tracks on the floor", name.upper(), found, poor, words, n, "sightings", by=TRACKEVAL))
    return rows


def _dense(cases: Sequence[Observed]) -> list[TaskRow]:
    from openaisle.model.scores import absolute_relative_error, jaccard_per_class, within_ratio

    truth, told = (np.concatenate([getattr(o, name) for o in cases]) for name in ("true_cells", "cells"))
    depth, near, anchor = (
        np.concatenate([getattr(o, name) for o in cases]) for name in ("true_depth_m", "depth_m", "anchor_m")
    )
    segmentation, along = ("segmentation of changed cells", "depth of changed patches")
    if not len(truth) or not len(depth):
        return [TaskRow(segmentation, "mIoU", None, None, "", 0, "cells", by=TORCHMETRICS)]
    common = np.full(len(truth), np.bincount(truth).argmax())
    value, base = jaccard_per_class(told, truth, len(CLASSES)), jaccard_per_class(common, truth, len(CLASSES))
    words, flat = "the commonest class", "1 m above the floor"
    rows = [_mean(segmentation, "mIoU", (value, base), words, len(truth), "cells")]
    for label in (CLASSES.index("hand"), CLASSES.index("held")):
        rows.append(_one(segmentation, f"IoU, {CLASSES[label]}", (value, base), label, words, truth, "cells"))
    n = len(depth)
    rel = absolute_relative_error(near, depth), absolute_relative_error(anchor, depth)
    within = within_ratio(near, depth), within_ratio(anchor, depth)
    rows.append(TaskRow(along, "AbsRel", *rel, flat, n, "patches", higher=False, by=TORCHMETRICS))
    rows.append(TaskRow(along, "δ < 1.25", *within, flat, n, "patches"))
    return rows


# --- people --------------------------------------------------------------------------------------------------


def _places(pairs: Sequence[Followed]) -> list[TaskRow]:
    hand, hanging = (np.concatenate([getattr(f, name).ravel() for f in pairs]) for name in ("hand_m", "hanging_m"))
    far = np.concatenate([f.stretched.ravel() for f in pairs])
    head, standing_m = (np.concatenate([getattr(f, name) for f in pairs]) for name in ("head_m", "standing_m"))
    rows, words = [], "hang beside the body"
    for task, rows_of in (("hands in 3D", np.ones(len(hand), dtype=bool)), ("hands in 3D, stretched out", far)):
        error, base, n = hand[rows_of], hanging[rows_of], int(rows_of.sum())
        means = (_centimetres(error), _centimetres(base))
        rows.append(TaskRow(task, "mean error", *means, words, n, "hands", "cm", higher=False))
        found, poor = (float((one < PCK_M).mean()) if n else None for one in (error, base))
        rows.append(TaskRow(task, "PCK at 10 cm", found, poor, words, n, "hands"))
    means = (_centimetres(head), _centimetres(standing_m))
    return [*rows, TaskRow("heads in 3D", "mean error", *means, "1.6 m up", len(head), "heads", "cm", higher=False)]


def _centimetres(error_m: NDArray[np.floating]) -> float | None:
    return 100 * float(error_m.mean()) if len(error_m) else None


def _activity(cases: Sequence[Observed], pairs: Sequence[Followed]) -> list[TaskRow]:
    from openaisle.model.scores import average_precision_per_class, f1_per_class

    truth = np.concatenate([o.true_activity[f.true] for o, f in zip(cases, pairs, strict=True)])
    chance = np.concatenate([o.activity[f.told] for o, f in zip(cases, pairs, strict=True)])
    n, classes = len(truth), len(Activity)
    words = "the commonest activity"
    if not n:
        return [TaskRow("activity", "mAP", None, None, words, 0, "people", by=TORCHMETRICS)]
    common = np.full(n, np.bincount(truth).argmax())
    f1 = f1_per_class(chance.argmax(-1), truth, classes), f1_per_class(common, truth, classes)
    even = average_precision_per_class(np.full_like(chance, 1 / classes), truth, classes)
    precision = average_precision_per_class(chance, truth, classes), even
    rows = [
        _mean("activity", "mAP", precision, "all equally likely", n, "people"),
        _mean("activity", "F1, mean of classes", f1, words, n, "people"),
    ]
    for label, activity in enumerate(Activity):
        rows.append(_one("activity", f"F1, {activity.value.replace('_', ' ')}", f1, label, words, truth, "people"))
    return rows


def _products(cases: Sequence[Observed], pairs: Sequence[Followed]) -> list[TaskRow]:
    from openaisle.model.scores import top_k

    all_holds = [holds(o, f) for o, f in zip(cases, pairs, strict=True)]
    n, rows = sum(len(h.product) for h in all_holds), []
    words = "guess"
    for k in (1, 5):
        hits = sum(top_k(h.scores[h.shown], h.product[h.shown], k) * h.shown.sum() for h in all_holds if h.shown.any())
        chance = sum(len(h.product) * min(1.0, k / h.scores.shape[1]) for h in all_holds)
        value, base = (float(one) / n if n else None for one in (hits, chance))
        task = "product in hand, whole catalogue"
        rows.append(TaskRow(task, f"top-{k}", value, base, words, n, "holds", by=TORCHMETRICS))
    return rows


# --- what happened -------------------------------------------------------------------------------------------


def _events(cases: Sequence[Observed]) -> list[TaskRow]:
    from openaisle.model.scores import mean_absolute_error

    n, rows = sum(len(o.true_events) for o in cases), []
    for task, columns, words in (
        ("takes and returns, right lane", (SIGN, LANE), "every jump of a scale"),
        ("takes and returns, right lane and visit", (SIGN, LANE, VISIT), "every jump, the nearest hand"),
    ):
        told = _added([spotted(o.true_events, o.events, columns) for o in cases])
        poor = _added([spotted(o.true_events, steps(o), columns) for o in cases])
        value, base = (one.f1 if n else None for one in (told, poor))
        rows.append(TaskRow(task, "F1 at ±1 s", value, base, words, n, "events"))
    if not n:
        return rows
    lane = np.concatenate([told_lanes(o.true_events, o.events) == o.true_events[:, LANE] for o in cases])
    near = np.concatenate([lanes_by_hand(o) == o.true_events[:, LANE] for o in cases])
    rows.append(TaskRow("lane of a product that moved", "top-1", float(lane.mean()), float(near.mean()),
                        "the lane nearest to a hand", n, "events"))  # fmt: skip
    each = [accounts(o.true_events, o.events, o.unit_grams) for o in cases]
    units, grams = (np.concatenate([one[i] for one in each]) for i in (0, 1))
    true_grams = np.concatenate([masses(o.true_events, o.unit_grams) for o in cases])
    mass = mean_absolute_error(grams, true_grams), mean_absolute_error(np.zeros(n), true_grams)
    found = units > 0
    true_units = np.concatenate([o.true_events[:, UNITS] for o in cases])
    rows += _units(units[found], true_units[found])
    task = "weight change of a lane"
    return [*rows, TaskRow(task, "MAE", *mass, "no change", n, "events", "g", higher=False, by=TORCHMETRICS)]


def _units(units: NDArray[np.int64], truth: NDArray[np.int64]) -> list[TaskRow]:
    from openaisle.model.scores import mean_absolute_error

    n, task, words = len(units), "units of a take or return that was found", "always one"
    if not n:
        return [TaskRow(task, "exact", None, None, words, 0, "events")]
    ones = np.ones(n)
    error = mean_absolute_error(units, truth), mean_absolute_error(ones, truth)
    return [
        TaskRow(task, "exact", float((units == truth).mean()), float((ones == truth).mean()), words, n, "events"),
        TaskRow(task, "MAE", *error, words, n, "events", "units", higher=False, by=TORCHMETRICS),
    ]


def _added(parts: Sequence[Spotted]) -> Spotted:
    return Spotted(sum(p.hits for p in parts), sum(p.told for p in parts), sum(p.true for p in parts))


def _stock(cases: Sequence[Observed]) -> list[TaskRow]:
    from openaisle.model.scores import binary_average_precision, mean_absolute_error

    told = [stock_told(o) for o in cases]
    kept = [(o.stock_first > 0) | (o.stock_last > 0) | (now > 0) for o, now in zip(cases, told, strict=True)]
    last, first = (
        np.concatenate([getattr(o, name)[k] for o, k in zip(cases, kept, strict=True)])
        for name in ("stock_last", "stock_first")
    )
    now = np.concatenate([one[k] for one, k in zip(told, kept, strict=True)])
    value, base = (mean_absolute_error(one, last) if len(last) else None for one in (now, first))
    rows = [TaskRow("stock at closing, counted at opening", "MAE", value, base, "as at opening", len(last),
                    "products in lanes", "units", higher=False, by=TORCHMETRICS)]  # fmt: skip
    looked = [misplaced(o, MISPLACED_TICKS) for o in cases]
    truth, known = (np.concatenate([one[i] for one in looked]) for i in (0, 1))
    n = int(truth.sum())
    pair: tuple[float | None, float | None] = None, None
    if n:
        pair = binary_average_precision(known, truth), binary_average_precision(np.zeros_like(known), truth)
    task = "things in wrong lanes"
    return [*rows, TaskRow(task, "AP", *pair, "nothing is", n, "things, every 10 s", by=TORCHMETRICS)]


def _mean(
    task: str, metric: str, values: tuple[NDArray[np.float64], NDArray[np.float64]], words: str, n: int, of: str
) -> TaskRow:
    """The mean over the classes that the truth has."""
    value, base = (float(np.nanmean(one)) for one in values)
    return TaskRow(task, metric, value, base, words, n, of, by=TORCHMETRICS)


def _one(
    task: str, metric: str, values: tuple[NDArray[np.float64], NDArray[np.float64]], label: int, words: str,
    truth: NDArray[np.int64], of: str,
) -> TaskRow:  # fmt: skip
    """One class; None where the truth has none of it."""
    n = int((truth == label).sum())
    value, base = (float(one[label]) if n else None for one in values)
    return TaskRow(task, metric, value, base, words, n, of, by=TORCHMETRICS)
