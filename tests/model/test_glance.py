"""The glance: windows do not see each other, its losses fall where there is something to learn, metrics know right."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from torch import Tensor

from openaisle.model.glance import GRID, GlanceNetwork, GlanceOutputs
from openaisle.model.tasks.glance import GlanceTargets, loss, metric, scores
from openaisle.tokens.glance import WINDOW_FEATURES, WINDOW_PX
from openaisle.training.glance import WindowBatch, sample_windows
from tests.model.tiny import TINY
from tests.training.scenes import made_up_windows

WINDOWS, STEPS = 48, 40


def fresh() -> GlanceNetwork:
    torch.manual_seed(0)
    return GlanceNetwork(TINY).eval()


def random_windows(windows: int, seed: int = 2) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    shape = (2, windows, WINDOW_PX, WINDOW_PX, 3)
    now, before = torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)
    return now, before, torch.randn(windows, WINDOW_FEATURES, generator=generator)


def batch_of(seed: int = 0) -> WindowBatch:
    return sample_windows([made_up_windows()], WINDOWS, np.random.default_rng(seed), augment=False)


def right(targets: GlanceTargets) -> tuple[GlanceOutputs, Tensor]:
    """What a network that knows everything would say, and its scores over the catalogue."""
    seen, item, holds = ((flag.float() - 0.5) * 40 for flag in (targets.seen, targets.item_seen, targets.holds))
    log_sd, product = torch.full_like(seen, -4.0), torch.zeros(len(seen), TINY.product_width)
    outputs = GlanceOutputs(targets.offset, log_sd, seen, item, holds, product, (targets.mask - 0.5) * 40)
    logits = torch.zeros(targets.own.shape).masked_fill(~targets.own, -1e4)
    logits.scatter_(1, targets.row.clamp_min(0)[:, None], 30.0)
    return outputs, logits


def test_shapes_and_unit_vectors() -> None:
    network = fresh()
    with torch.no_grad():
        told = network(*random_windows(5))
        vectors = network.pictures(torch.randint(0, 256, (4, 2, 32, 32, 3), dtype=torch.uint8))
    assert told.offset.shape == (5, 2)
    assert told.mask.shape == (5, 2, GRID * GRID)
    for logits in (told.log_sd, told.seen, told.item, told.holds):
        assert logits.shape == (5,)
    assert -4.0 <= float(told.log_sd.min()) <= float(told.log_sd.max()) <= 1.0
    assert told.product.shape == (5, TINY.product_width)
    assert torch.allclose(told.product.norm(dim=-1), torch.ones(5), atol=1e-5)
    assert torch.allclose(vectors.norm(dim=-1), torch.ones(4), atol=1e-5)


def test_windows_do_not_see_each_other() -> None:
    network, inputs = fresh(), random_windows(4)
    with torch.no_grad():
        together, alone = network(*inputs), network(*(values[2:3] for values in inputs))
    for field in fields(GlanceOutputs):
        assert torch.allclose(getattr(together, field.name)[2:3], getattr(alone, field.name), atol=1e-5), field.name


@pytest.mark.parametrize("which", range(3))
def test_everything_it_is_given_matters(which: int) -> None:
    network, inputs = fresh(), list(random_windows(3))
    other = list(inputs)
    other[which] = random_windows(3, seed=8)[which]
    with torch.no_grad():
        assert not torch.allclose(network(*inputs).offset, network(*other).offset, atol=1e-4)


def test_a_hand_is_right_and_down_of_the_middle_where_its_mask_is() -> None:
    network = fresh()
    cells = network.grid.view(GRID, GRID, 2)  # rows from top to bottom, columns from left to right
    assert cells[0, 0].tolist() == pytest.approx([-1 + 1 / GRID] * 2)
    assert cells[0, -1].tolist() == pytest.approx([1 - 1 / GRID, -1 + 1 / GRID])
    targets = batch_of().targets
    shown = targets.mask[:, 0]
    middle = (shown @ network.grid)[targets.seen] / shown.sum(1)[targets.seen, None]
    assert torch.allclose(middle, targets.offset[targets.seen], atol=0.1)


def test_losses_fall_on_a_batch_that_can_be_learnt() -> None:
    network, batch = fresh(), batch_of()
    optimiser = torch.optim.Adam(network.parameters(), lr=3e-3)
    told: list[dict[str, float]] = []
    judged: list[dict[str, float]] = []
    for _ in range(STEPS):
        outputs = network(batch.now, batch.before, batch.features)
        logits = scores(outputs, network.pictures(batch.pictures), network.scale, batch.targets)
        judged.append(metric(outputs, logits, batch.targets))
        total, parts = loss(outputs, logits, batch.targets)
        told.append(parts)
        assert float(total.detach()) == pytest.approx(sum(parts.values()), rel=1e-4)
        optimiser.zero_grad()
        total.backward()  # type: ignore[no-untyped-call]  # torch's own
        optimiser.step()
    assert set(told[0]) == {"seen", "item", "mask", "holds", "place", "product"}
    for name, value in told[0].items():
        assert told[-1][name] < (value if name == "place" else 0.8 * value), name
    assert sum(told[-1].values()) < 0.5 * sum(told[0].values())
    assert judged[-1]["place"] < 0.5 * judged[-1]["place_baseline"]
    assert judged[-1]["product_top1"] > 3 * judged[-1]["product_top1_baseline"]


def test_right_answers_cost_little_and_metrics_know_them() -> None:
    targets = batch_of().targets
    outputs, logits = right(targets)
    judged = metric(outputs, logits, targets)
    assert {name for name in judged if name.endswith("_baseline")} == {
        f"{name}_baseline" for name in ("place", "seen", "holds", "product_top1")
    }
    assert judged["place"] == judged["place_p90"] == 0.0
    assert judged["seen"] == judged["holds"] == judged["product_top1"] == judged["product_top3"] == 1.0
    assert judged["product_top1_baseline"] == pytest.approx(1 / 6)  # six products a store
    for name in ("seen", "holds"):
        assert 0.5 <= judged[f"{name}_baseline"] < 1.0
    _, parts = loss(outputs, logits, targets)
    assert max(parts[name] for name in ("seen", "item", "holds", "product")) < 1e-3
    wrong = replace(outputs, offset=outputs.offset + 0.3, seen=-outputs.seen, holds=-outputs.holds)
    judged = metric(wrong, -logits.masked_fill(~targets.own, 1e4), targets)
    assert judged["place"] == pytest.approx(0.3 * 2**0.5, abs=1e-3)
    assert judged["seen"] == judged["holds"] == judged["product_top1"] == 0.0
    _, worse = loss(wrong, logits, targets)
    assert all(worse[name] > parts[name] + 1 for name in ("seen", "holds", "place"))


def test_products_of_other_stores_are_out_of_question() -> None:
    targets = batch_of().targets
    outputs, _ = right(targets)
    vectors = torch.ones(targets.own.shape[1], TINY.product_width)
    told = scores(outputs, vectors, torch.tensor(2.3), targets)
    assert (told[~targets.own] < -1e3).all()
    assert (told[targets.own] > -1e3).all()
    assert targets.own.sum(1).tolist() == [6] * len(targets.own)
    assert targets.own[targets.row >= 0].gather(1, targets.row[targets.row >= 0][:, None]).all()


def test_a_batch_that_shows_nothing_teaches_only_that() -> None:
    targets = batch_of().targets
    nothing = torch.zeros_like(targets.seen)
    blind = replace(
        targets, seen=nothing, item_seen=nothing, mask=torch.zeros_like(targets.mask),
        row=torch.full_like(targets.row, -1),
    )  # fmt: skip
    outputs, logits = right(targets)
    total, parts = loss(outputs, logits, blind)
    assert set(parts) == {"seen", "item", "mask"}
    assert torch.isfinite(total)
    assert set(metric(outputs, logits, blind)) == {"seen", "seen_baseline"}
    far = replace(targets, offset=targets.offset + 5.0)  # hands seen only beyond the window
    assert "place" not in loss(outputs, logits, far)[1]
