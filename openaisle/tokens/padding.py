"""Ticks side by side: TickFeatures padded to one set of arrays, the receipt decoder's input in training and in ONNX."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from openaisle.tokens.journey import (
    BASKET_FEATURES,
    BASKET_LANE_FEATURES,
    EVENT_FEATURES,
    LANE_FEATURES,
    LOOK_FEATURES,
    PAIR_FEATURES,
    SHOPPER_FEATURES,
    TickFeatures,
)

TICK_INPUTS = (
    "lanes", "lane_mask", "shoppers", "shopper_mask", "pairs", "baskets", "basket_mask", "basket_shopper",
    "basket_lane", "basket_pairs", "basket_looks", "events", "event_mask", "event_shopper", "event_lane",
)  # fmt: skip


def pad_ticks(ticks: Sequence[TickFeatures]) -> dict[str, NDArray[np.generic]]:
    """Arrays named as TICK_INPUTS, [B, longest, ...]; at least one row each, masked when empty."""
    b = len(ticks)
    n_lanes = max(1, *(len(t.lanes) for t in ticks))
    n_shoppers = max(1, *(len(t.shoppers) for t in ticks))
    n_baskets = max(1, *(len(t.baskets) for t in ticks))
    n_events = max(1, *(len(t.events) for t in ticks))
    f32, i64 = np.float32, np.int64
    out: dict[str, NDArray[np.generic]] = {
        "lanes": np.zeros((b, n_lanes, LANE_FEATURES), f32),
        "shoppers": np.zeros((b, n_shoppers, SHOPPER_FEATURES), f32),
        "pairs": np.zeros((b, n_shoppers, n_lanes, PAIR_FEATURES), f32),
        "baskets": np.zeros((b, n_baskets, BASKET_FEATURES), f32),
        "basket_shopper": np.full((b, n_baskets), -1, i64),
        "basket_lane": np.full((b, n_baskets), -1, i64),
        "basket_pairs": np.zeros((b, n_baskets, n_lanes, BASKET_LANE_FEATURES), f32),
        "basket_looks": np.zeros((b, n_shoppers, n_baskets, LOOK_FEATURES), f32),
        "events": np.zeros((b, n_events, EVENT_FEATURES), f32),
        "event_shopper": np.full((b, n_events), -1, i64),
        "event_lane": np.full((b, n_events), -1, i64),
    }
    for name, size in (("lane", n_lanes), ("shopper", n_shoppers), ("basket", n_baskets), ("event", n_events)):
        out[f"{name}_mask"] = np.zeros((b, size), bool)
    for i, t in enumerate(ticks):
        lanes, shoppers, baskets, events = len(t.lanes), len(t.shoppers), len(t.baskets), len(t.events)
        out["lanes"][i, :lanes], out["lane_mask"][i, :lanes] = t.lanes, True
        out["shoppers"][i, :shoppers], out["shopper_mask"][i, :shoppers] = t.shoppers, True
        out["pairs"][i, :shoppers, :lanes] = t.pairs
        out["baskets"][i, :baskets], out["basket_mask"][i, :baskets] = t.baskets, True
        out["basket_shopper"][i, :baskets], out["basket_lane"][i, :baskets] = t.basket_shopper, t.basket_lane
        out["basket_pairs"][i, :baskets, :lanes] = t.basket_pairs
        out["basket_looks"][i, :shoppers, :baskets] = t.basket_looks
        out["events"][i, :events], out["event_mask"][i, :events] = t.events, True
        out["event_shopper"][i, :events], out["event_lane"][i, :events] = t.event_shopper, t.event_lane
    return {name: out[name] for name in TICK_INPUTS}
