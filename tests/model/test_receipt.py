"""The receipt decoder: padded rows are not there, pointers point at what is, and the order of shoppers is theirs."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import torch
from torch import Tensor

from openaisle.model.receipt import FAR, EventLogits, TickBatch, merge_planned
from openaisle.model.tasks.receipt import LANE_FIT, ReceiptTargets, accuracy, loss
from openaisle.tokens.journey import (
    BASKET_LANE_FEATURES,
    TickFeatures,
    fit_features,
    lane_features,
    lane_table,
    whole_steps,
)
from openaisle.tokens.padding import pad_ticks
from openaisle.tokens.scales import scale_window
from tests.model.tiny import tiny_network
from tests.tokens.corner import corner_store, quiet_rows, with_step
from tests.tokens.test_journey import features


def batch_of(ticks: list[TickFeatures]) -> TickBatch:
    return TickBatch(**{name: torch.from_numpy(values) for name, values in pad_ticks(ticks).items()})


def targets_of(rows: list[list[int]], candidates: int, ticks: int = 1) -> ReceiptTargets:
    """The same events for every tick."""
    events = torch.tensor(rows, dtype=torch.int64).reshape(1, -1, 6).expand(ticks, -1, -1)
    ok = torch.zeros(ticks, events.shape[1], candidates, dtype=torch.bool)
    ok.scatter_(2, events[..., 3:4], torch.ones_like(events[..., 3:4], dtype=torch.bool))
    return ReceiptTargets(events, torch.ones(ticks, events.shape[1], dtype=torch.bool), ok)


def widened(batch: TickBatch, more: int) -> TickBatch:
    """The batch with `more` padded rows of every kind, full of junk."""
    grown: dict[str, Tensor] = {}
    for field in fields(TickBatch):
        values = getattr(batch, field.name)
        for axis in (1, 2) if field.name in ("pairs", "basket_pairs", "basket_looks") else (1,):
            shape = list(values.shape)
            shape[axis] = more
            junk = torch.full(shape, 3).to(values.dtype) if values.is_floating_point() else torch.zeros(shape)
            empty = junk.bool() if values.dtype == torch.bool else junk.to(values.dtype)
            values = torch.cat([values, empty], dim=axis)
        grown[field.name] = values
    return TickBatch(**grown)


def scores(batch: TickBatch, targets: ReceiptTargets) -> EventLogits:
    with torch.no_grad():
        logits: EventLogits = tiny_network().receipt(batch, targets)
    return logits


def test_padded_rows_are_ignored() -> None:
    batch = batch_of([features(2, -330.0, 2, 1)])
    lanes, baskets = batch.lanes.shape[1], batch.baskets.shape[1]
    events = [[1, 0, 1, 0, 0, 0], [3, 0, 0, lanes + 1, 0, 1]]
    moved = [[1, 0, 1, 0, 0, 0], [3, 0, 0, lanes + 4 + 1, 0, 1]]  # candidates start after the lanes
    plain = scores(batch, targets_of(events, lanes + baskets))
    padded = scores(widened(batch, 4), targets_of(moved, lanes + baskets + 8))
    for name in ("kind", "quantity"):
        assert torch.allclose(getattr(plain, name), getattr(padded, name), atol=1e-4), name
    for name, size in (("lane", lanes), ("shopper", 2), ("receiver", 2)):
        wide = getattr(padded, name)
        assert torch.allclose(getattr(plain, name), wide[..., :size], atol=1e-4), name
        assert (wide[..., size:] < FAR / 2).all(), name
    own, others = padded.product[..., :lanes], padded.product[..., lanes + 4 : lanes + 4 + baskets]
    assert torch.allclose(plain.product, torch.cat([own, others], dim=-1), atol=1e-4)


def test_ticks_of_a_batch_do_not_see_each_other() -> None:
    first, second = features(3, -330.0, 3, 2), features(1, 420.0, 1, 0)
    both, alone = batch_of([first, second]), batch_of([first])
    candidates = both.lanes.shape[1] + both.baskets.shape[1]
    together = scores(both, targets_of([[1, 0, 0, 0, 0, 0]], candidates, ticks=2))
    single = scores(alone, targets_of([[1, 0, 0, 0, 0, 0]], candidates))
    for field in fields(EventLogits):
        assert torch.allclose(getattr(together, field.name)[:1], getattr(single, field.name), atol=1e-4), field.name


def test_the_order_of_shoppers_only_orders_their_scores() -> None:
    batch = batch_of([features(3, -330.0, 0, 0)])
    order = [2, 0, 1]
    turned = replace(
        batch, shoppers=batch.shoppers[:, order], pairs=batch.pairs[:, order], basket_looks=batch.basket_looks[:, order]
    )
    candidates = batch.lanes.shape[1] + batch.baskets.shape[1]
    plain = scores(batch, targets_of([[1, 0, order[0], 0, 0, order[0]]], candidates))
    found = scores(turned, targets_of([[1, 0, 0, 0, 0, 0]], candidates))
    assert torch.allclose(plain.kind, found.kind, atol=1e-4)
    assert torch.allclose(plain.product[:, 0], found.product[:, 0], atol=1e-4)
    assert torch.allclose(plain.shopper[:, 0, order], found.shopper[:, 0], atol=1e-4)


def test_a_lanes_fit_stands_where_the_decoder_reads_it() -> None:
    table = lane_table(corner_store())
    window = scale_window(with_step(quiet_rows(), 0, -660.0))
    lane = np.array([0, 1], dtype=np.int32)
    scale = table.scale[lane]
    unit, whole = table.unit_grams[table.product[lane]], whole_steps(table, window)[lane]
    expected = fit_features(window.step_grams[scale], unit, window.noise_grams[scale], whole)
    assert np.allclose(lane_features(table, window, lane, whole)[:, LANE_FIT], expected)
    assert abs(expected[0, 0] + 2) < 0.02


def test_the_loss_falls_with_the_right_answer_and_accuracy_knows_it() -> None:
    batch = batch_of([features(2, -330.0, 1, 0)])
    candidates = batch.lanes.shape[1] + batch.baskets.shape[1]
    targets = targets_of([[1, 0, 1, 0, 0, 0]], candidates)
    logits = scores(batch, targets)
    rows = targets.rows
    kind = torch.cat([rows[..., 0], torch.zeros(1, 1, dtype=torch.int64)], dim=1)
    right = EventLogits(
        *(
            torch.nn.functional.one_hot(index, values.shape[-1]).float() * 30
            for values, index in (
                (logits.kind, kind), (logits.lane, torch.zeros_like(kind)), (logits.shopper, torch.ones_like(kind)),
                (logits.product, torch.zeros_like(kind)), (logits.quantity, torch.zeros_like(kind)),
                (logits.receiver, torch.zeros_like(kind)),
            )
        )
    )  # fmt: skip
    assert float(loss(right, targets)[0]) < 1e-3 < float(loss(logits, targets)[0])
    assert accuracy(right, targets)["tick_exact"] == 1.0
    wrong = replace(right, shopper=-right.shopper)
    assert accuracy(wrong, targets)["tick_exact"] == 0.0
    assert accuracy(wrong, targets)["who_wrong"] == 1.0
    assert accuracy(right, targets)["tick_exact_baseline"] == 0.0


def test_what_is_planned_for_a_lane_is_named_by_the_lane() -> None:
    """Three candidates, the chosen lane's, another lane's and a basket's entry of the chosen lane's product."""
    logits, lane = torch.tensor([[[1.0, 2.0, 3.0]]]), torch.zeros(1, 1, dtype=torch.int64)
    fits = torch.zeros(1, 1, 3, BASKET_LANE_FEATURES)
    fits[..., 0, -1] = fits[..., 2, -1] = 1.0
    merged = merge_planned(logits, fits, lane, torch.ones(1, 1, 1))[0, 0]
    plain = logits[0, 0].softmax(-1)
    assert torch.allclose(merged.softmax(-1), torch.stack([plain[0] + plain[2], plain[1], torch.tensor(0.0)]))
    assert torch.equal(merge_planned(logits, fits, lane, torch.zeros(1, 1, 1)), logits)  # a hand-over has no lane
