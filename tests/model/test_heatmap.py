"""Hand heat maps: windows do not see each other, targets lie where hands are, the loss falls, metrics know right."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from openaisle.model import heatmap
from openaisle.model.heatmap import HeatmapNetwork, HeatmapOutputs
from openaisle.model.tasks.heatmap import EQUAL_M, STRETCHED_M, HeatmapTargets, loss, metric, place_targets
from openaisle.tokens.body import BODY_CELLS, BODY_FEATURES, BODY_PX
from openaisle.training.glances import Arrays
from openaisle.training.heatmap import BodyBank, BodyBatch

CELLS = BODY_CELLS**2
CELL = 2 / BODY_CELLS  # in half windows
FAR_RGB, NEAR_RGB, ITEM_RGB = (250, 240, 235), (20, 30, 90), (40, 200, 60)
ITEM_CELLS = 4  # right of the far hand
STEPS = 24


def made_up_bodies(windows: int = 40, seed: int = 5) -> Arrays:
    """A shard of windows on grey: the far hand a bright square above the middle, the near one a dark square below.

    Hands lie on a cell's middle; features 2, 5 and 6 repeat three of their coordinates, so that a mirror shows.
    """
    rng = np.random.Generator(np.random.PCG64(seed))
    before = rng.integers(90, 110, (windows, BODY_PX, BODY_PX, 3)).astype(np.uint8)
    now, shown = before.copy(), np.zeros((windows, BODY_CELLS, BODY_CELLS, 3), np.uint8)
    seen, holds = rng.random((windows, 2)) < 0.8, rng.random(windows) < 0.6
    column = rng.integers(3, 32, (windows, 2))
    row = np.stack([rng.integers(3, 18, windows), rng.integers(22, 36, windows)], axis=1)

    def draw(i: int, plane: int, rgb: tuple[int, int, int], at: tuple[int, int]) -> None:
        """A square of three cells."""
        rows, columns = slice(at[0] - 1, at[0] + 2), slice(at[1] - 1, at[1] + 2)
        shown[i, rows, columns, plane] = 255
        now[i, 2 * rows.start : 2 * rows.stop, 2 * columns.start : 2 * columns.stop] = rgb

    for i in range(windows):
        for hand, rgb in enumerate((FAR_RGB, NEAR_RGB)):
            if seen[i, hand]:
                draw(i, hand, rgb, (row[i, hand], column[i, hand]))
        if seen[i, 0] and holds[i]:
            draw(i, 2, ITEM_RGB, (row[i, 0], column[i, 0] + ITEM_CELLS))
    offset = ((np.stack([column, row], axis=-1) + 0.5) * CELL - 1).astype(np.float32)
    features = rng.normal(0, 0.3, (windows, BODY_FEATURES)).astype(np.float32)
    features[:, [2, 5, 6]] = np.stack([offset[:, 0, 0], offset[:, 1, 0], offset[:, 1, 1]], axis=1)
    reach = np.stack([rng.choice([0.3, 0.5], windows), np.full(windows, 0.05)], axis=1).astype(np.float32)
    return {
        "now": now, "before": before, "features": features, "offset": offset, "seen": seen, "reach": reach,
        "mask": shown,
    }  # fmt: skip


def fresh() -> HeatmapNetwork:
    torch.manual_seed(0)
    return HeatmapNetwork().eval()


def random_bodies(windows: int, seed: int = 2) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    now, before = torch.randint(0, 256, (2, windows, BODY_PX, BODY_PX, 3), generator=generator, dtype=torch.uint8)
    return now, before, torch.randn(windows, BODY_FEATURES, generator=generator)


def batch_of(windows: int = 48, seed: int = 0) -> BodyBatch:
    bank = BodyBank(40)
    assert bank.add(made_up_bodies())
    return bank.draw(windows, seed, augment=False)


def at_places(*offsets: tuple[float, float], reach: tuple[float, float] = (0.6, 0.1)) -> HeatmapTargets:
    """One window whose far and near hand are there."""
    return HeatmapTargets(
        torch.tensor([offsets]), torch.ones(1, 2, dtype=torch.bool), torch.tensor([reach]), torch.zeros(1, 2, CELLS)
    )


def cell_at(column: int, row: int) -> tuple[float, float]:
    return (column + 0.5) * CELL - 1, (row + 0.5) * CELL - 1


def right(targets: HeatmapTargets, columns: int = 0, rows: int = 0) -> HeatmapOutputs:
    """What a network that knows everything would say, but so many cells too far right and down."""
    away = replace(targets, offset=targets.offset + torch.tensor([columns * CELL, rows * CELL]))
    return HeatmapOutputs((place_targets(away) + 1e-9).log(), (targets.mask - 0.5) * 40)


def test_shapes() -> None:
    with torch.no_grad():
        told = fresh()(*random_bodies(5))
    assert told.heat.shape == (5, 2, CELLS + 1)
    assert told.mask.shape == (5, 2, CELLS)
    assert told.heat.dtype == told.mask.dtype == torch.float32


def test_windows_do_not_see_each_other() -> None:
    network, inputs = fresh(), random_bodies(4)
    with torch.no_grad():
        together, alone = network(*inputs), network(*(values[2:3] for values in inputs))
        crowd = network(*(values[[2, 0, 2, 2, 1]] for values in inputs))
    for name in ("heat", "mask"):
        assert torch.allclose(getattr(together, name)[2:3], getattr(alone, name), atol=1e-5), name
        assert torch.allclose(getattr(crowd, name)[:1], getattr(alone, name), atol=1e-5), name
        assert not torch.allclose(getattr(together, name)[1:2], getattr(alone, name), atol=1e-3), name


@pytest.mark.parametrize("which", range(3))
def test_everything_it_is_given_matters(which: int) -> None:
    network, inputs = fresh(), list(random_bodies(3))
    other = list(inputs)
    other[which] = random_bodies(3, seed=8)[which]
    with torch.no_grad():
        one, two = network(*inputs), network(*other)
    assert not torch.allclose(one.heat[..., :-1], two.heat[..., :-1], atol=1e-4)
    assert not torch.allclose(one.heat[..., -1], two.heat[..., -1], atol=1e-4)
    assert not torch.allclose(one.mask, two.mask, atol=1e-4)


def test_places_are_probabilities() -> None:
    generator = torch.Generator().manual_seed(4)
    offset = torch.rand(200, 2, 2, generator=generator) * 3 - 1.5  # many of them outside
    offset[0], offset[1], offset[2] = 9.0, -9.0, 1.0
    reach = torch.rand(200, 2, generator=generator)
    targets = HeatmapTargets(offset, torch.ones(200, 2, dtype=torch.bool), reach, torch.zeros(200, 2, CELLS))
    told = place_targets(targets)
    assert told.shape == (200, 2, CELLS + 1)
    assert float(told.min()) >= 0.0
    assert torch.allclose(told.sum(-1), torch.ones(200, 2), atol=1e-5)


@pytest.mark.parametrize(("column", "row"), [(0, 0), (39, 0), (0, 39), (7, 31), (20, 19)])
def test_the_likeliest_place_is_the_true_cell(column: int, row: int) -> None:
    told = place_targets(at_places(cell_at(column, row), cell_at(12, 3)))
    assert told[0].argmax(-1).tolist() == [row * BODY_CELLS + column, 3 * BODY_CELLS + 12]
    assert float(told[0, :, -1].max()) == 0.0


def test_places_between_cells_are_shared_among_them() -> None:
    target = at_places((0.213, -0.402), (-0.55, 0.71))
    cells = place_targets(target)[0, :, :-1].view(2, BODY_CELLS, BODY_CELLS)  # rows from top to bottom
    grid = (torch.arange(BODY_CELLS) + 0.5) * CELL - 1
    middle = torch.stack([cells.sum(1) @ grid, cells.sum(2) @ grid], dim=-1)
    assert torch.allclose(middle, target.offset[0], atol=1e-3)
    away = ((grid[None] - 0.213) ** 2 + (grid[:, None] + 0.402) ** 2).sqrt()
    assert float(cells[0][away < 4 * CELL].sum()) > 0.999  # and among them alone
    assert float(cells[0].max()) < 0.5


@pytest.mark.parametrize("far", [(1.02, 0.0), (0.0, -1.2), (-9.0, 9.0), (0.4, 1.0)])
def test_a_hand_outside_the_window_is_outside(far: tuple[float, float]) -> None:
    told = place_targets(at_places(far, cell_at(12, 3)))
    assert float(told[0, 0, -1]) == pytest.approx(1.0, abs=1e-4)
    assert float(told[0, 1, -1]) < 1e-4
    assert int(told[0, 1].argmax()) == 3 * BODY_CELLS + 12


def test_hands_that_reach_as_far_may_be_told_either_way() -> None:
    one, other = cell_at(30, 8), cell_at(6, 25)
    cells = [8 * BODY_CELLS + 30, 25 * BODY_CELLS + 6]
    peak = float(place_targets(at_places(one, other))[0].max())
    equal = place_targets(at_places(one, other, reach=(0.4, 0.4)))[0]
    assert torch.equal(equal[0], equal[1])
    assert equal[0, cells].tolist() == pytest.approx([peak / 2] * 2, rel=1e-3)
    nearly = place_targets(at_places(one, other, reach=(0.4, 0.4 - EQUAL_M)))[0]
    share = 1 / (1 + math.exp(-1))
    assert nearly[0, cells].tolist() == pytest.approx([peak * share, peak * (1 - share)], rel=1e-3)
    assert nearly[1, cells].tolist() == pytest.approx([peak * (1 - share), peak * share], rel=1e-3)
    clear = place_targets(at_places(one, other, reach=(0.7, 0.2)))[0]
    assert clear.argmax(-1).tolist() == cells
    assert float(clear[0, cells[1]]) < 1e-4 > float(clear[1, cells[0]])


def test_one_of_two_equal_hands_outside_is_half_outside() -> None:
    told = place_targets(at_places((1.4, 0.0), cell_at(6, 25), reach=(0.3, 0.3)))[0]
    assert told[:, -1].tolist() == pytest.approx([0.5, 0.5], abs=1e-4)


def test_places_and_masks_are_counted_alike() -> None:
    """Row by row from the top left: the true cell is the middle of the cells that show the hand."""
    targets = batch_of().targets
    cell = place_targets(targets).argmax(-1)
    shown = targets.mask[:, 0].gather(1, cell)
    assert torch.equal(shown > 0.5, targets.seen)


def test_the_loss_falls_on_a_batch_that_can_be_learnt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heatmap, "WIDTHS", (12, 12, 16, 16))
    torch.manual_seed(0)
    network, batch = HeatmapNetwork().train(), batch_of(32)
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-2)
    told: list[dict[str, float]] = []
    judged: list[dict[str, float]] = []
    totals: list[float] = []
    for _ in range(STEPS):
        outputs = network(batch.now, batch.before, batch.features)
        with torch.no_grad():
            judged.append(metric(outputs, batch.targets))
        total, parts = loss(outputs, batch.targets)
        told.append(parts)
        totals.append(float(total.detach()))
        optimiser.zero_grad()
        total.backward()  # type: ignore[no-untyped-call]  # torch's own
        optimiser.step()
    assert set(told[0]) == {"place", "mask"}
    assert totals[-1] < 0.5 * totals[0]
    assert told[-1]["mask"] < 0.3 * told[0]["mask"]
    assert told[-1]["place"] < 0.7 * told[0]["place"]
    assert judged[-1]["seen_p80"] < 0.3 * judged[-1]["seen_baseline"]
    assert judged[-1]["seen_nll"] < judged[0]["seen_nll"]


def test_every_weight_learns() -> None:
    network, batch = fresh(), batch_of(16)
    total, _ = loss(network(batch.now, batch.before, batch.features), batch.targets)
    total.backward()  # type: ignore[no-untyped-call]  # torch's own
    for name, weight in network.named_parameters():
        assert weight.grad is not None, name
        assert float(weight.grad.abs().max()) > 0, name


def test_right_answers_cost_only_what_is_blurred() -> None:
    targets = batch_of().targets
    told = place_targets(targets)
    blurred = -(told * (told + 1e-12).log()).sum(-1)
    _, parts = loss(right(targets), targets)
    assert parts["mask"] < 1e-3
    assert parts["place"] == pytest.approx(float(blurred.mean()), abs=0.1)
    _, worse = loss(right(targets, columns=3), targets)
    assert worse["place"] > parts["place"] + 1
    _, blind = loss(replace(right(targets), mask=-right(targets).mask), targets)
    assert blind["mask"] > 1
    assert blind["place"] == parts["place"]


def test_stretched_hands_and_cells_that_show_something_count_more() -> None:
    targets = batch_of().targets
    stretched = targets.reach[:, 0] > STRETCHED_M
    assert stretched.any()
    assert (~stretched).any()

    def cost(wrong: Tensor) -> float:
        """Of mistaking one far hand."""
        good, bad = right(targets).heat, right(targets, columns=6).heat
        first = int(torch.nonzero(wrong)[0, 0])
        heat = good.clone()
        heat[first, 0] = bad[first, 0]
        told = HeatmapOutputs(heat, right(targets).mask)
        return loss(told, targets)[1]["place"] - loss(right(targets), targets)[1]["place"]

    assert cost(stretched) == pytest.approx(3 * cost(~stretched), rel=0.05)

    def miss(shown: bool) -> float:
        """Of one cell that is told wrongly."""
        mask = right(targets).mask.clone()
        mask.view(-1)[int(torch.nonzero((targets.mask > 0.5).view(-1) == shown)[0, 0])] *= -1
        return loss(HeatmapOutputs(right(targets).heat, mask), targets)[1]["mask"]

    assert miss(True) == pytest.approx(9 * miss(False), rel=0.05)


def test_metrics_know_right_and_how_far_wrong() -> None:
    targets = batch_of().targets
    judged = metric(right(targets), targets)
    names = ("seen", "hidden", "reach", "reach_hidden")
    assert set(judged) == {"nll"} | {f"{name}{part}" for name in names for part in ("", "_p80", "_nll", "_baseline")}
    assert all(judged[name] == pytest.approx(0.0, abs=1e-5) for name in names)
    assert all(judged[f"{name}_p80"] == pytest.approx(0.0, abs=1e-5) for name in names)
    assert all(judged[f"{name}_baseline"] > 0.1 for name in names)
    wrong = metric(right(targets, columns=3, rows=-2), targets)
    assert all(wrong[name] == pytest.approx(CELL * math.hypot(3, 2), abs=1e-4) for name in names)
    assert all(wrong[f"{name}_nll"] > judged[f"{name}_nll"] + 1 for name in names)
    assert wrong["nll"] > judged["nll"] + 1


def test_metrics_tell_seen_from_hidden_hands_and_stretched_ones() -> None:
    targets = batch_of().targets
    good, bad = right(targets), right(targets, columns=2)
    for name, rows in (
        ("seen", targets.seen),
        ("hidden", ~targets.seen),
        ("reach", targets.seen & (targets.reach > STRETCHED_M)),
        ("reach_hidden", ~targets.seen & (targets.reach > STRETCHED_M)),
    ):
        told = metric(replace(good, heat=torch.where(rows[..., None], bad.heat, good.heat)), targets)
        assert told[name] == pytest.approx(2 * CELL, abs=1e-4), name
        other = "hidden" if rows is targets.seen or name == "reach" else "seen"
        assert told[other] == pytest.approx(0.0, abs=1e-5), name


def test_hands_outside_the_window_have_no_error() -> None:
    targets = batch_of().targets
    half = targets.offset.clone()
    half[::2] += 5.0
    some = metric(right(targets), replace(targets, offset=half))
    assert some["seen"] == pytest.approx(0.0, abs=1e-5)
    assert set(metric(right(targets), replace(targets, offset=targets.offset + 5.0))) == {"nll"}
