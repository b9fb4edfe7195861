"""The shelf look: views of a lane add up and others do not matter, its losses fall, metrics know what is right."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from openaisle.model.graphs import ShelfGraph, ShelfPicturesGraph
from openaisle.model.shelf import LaneOutputs, ShelfNetwork, ShelfOutputs
from openaisle.model.tasks.shelf import ShelfTargets, loss, metric, scores
from openaisle.tokens.shelf import MOST_UNITS, SHELF_CHANGES, SHELF_FEATURES, SHELF_PX
from openaisle.training.shelf import ShelfBatch, sample_shelves, speak
from tests.model.tiny import TINY, tiny_network
from tests.training.scenes import COLOURS, made_up_shelves

LANES, STEPS = 24, 30
E = TINY.product_width


def fresh() -> ShelfNetwork:
    torch.manual_seed(0)
    network = ShelfNetwork(TINY).eval()
    torch.nn.init.normal_(network.usual)
    torch.nn.init.normal_(network.name[2].weight, std=0.1)  # type: ignore[arg-type]  # of the last layer
    return network


def random_views(windows: int, seed: int = 2) -> tuple[Tensor, ...]:
    """before, after, area, features, own."""
    generator = torch.Generator().manual_seed(seed)
    shape = (2, windows, SHELF_PX, SHELF_PX, 3)
    before, after = torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)
    area = torch.randint(0, 2, shape[1:4], generator=generator, dtype=torch.uint8) * 255
    features = torch.randn(windows, SHELF_FEATURES, generator=generator)
    own = torch.nn.functional.normalize(torch.randn(windows, E, generator=generator), dim=-1)
    return before, after, area, features, own


def said_of(windows: int) -> ShelfOutputs:
    with torch.no_grad():
        told: ShelfOutputs = fresh()(*random_views(windows))
    return told


def agreed(which: list[int], lane: list[int]) -> tuple[Tensor, Tensor]:
    """What some of six views say one by one [W, ...], and what four lanes are told [4, ...] beyond the usual."""
    network = fresh()
    with torch.no_grad():
        said = network(*(values[which] for values in random_views(6)))
        told = network.agree(said, torch.tensor(lane), 4)
        beyond = torch.cat([told.changed, told.net], dim=1) - network.usual
    each = torch.cat([said.named.flatten(1), said.changed, said.net], dim=1)
    return each, torch.cat([told.named.flatten(1), beyond], dim=1)


def batch_of(seed: int = 0) -> ShelfBatch:
    return sample_shelves([made_up_shelves()], LANES, np.random.default_rng(seed), augment=False)


def right(targets: ShelfTargets) -> tuple[LaneOutputs, Tensor]:
    """What a network that knows everything would say of lanes, and its scores over the catalogue."""
    changed = ((targets.row >= 0).float() - 0.5) * 40
    net = torch.nn.functional.one_hot(targets.net, SHELF_CHANGES).float() * 40
    logits = torch.zeros(*targets.row.shape, targets.drawn.shape[1]).masked_fill(~targets.drawn[:, None], -1e4)
    logits.scatter_(2, targets.row.clamp_min(0)[..., None], 30.0)
    return LaneOutputs(torch.zeros(len(net), 2, E), changed, net), logits


def test_shapes_and_unit_vectors() -> None:
    network, told = fresh(), said_of(5)
    assert told.named.shape == (5, 2, E)
    assert told.changed.shape == (5, 2)
    assert told.net.shape == (5, SHELF_CHANGES)
    assert told.mask.shape == (5, 2, 256)
    assert float(told.named.norm(dim=-1).max()) <= float(network.scale.detach().exp()) + 1e-4  # fully sure
    assert float(told.named.norm(dim=-1).std()) > 1e-3  # they are not all as sure
    with torch.no_grad():
        vectors = network.pictures(torch.randint(0, 256, (4, 2, 32, 32, 3), dtype=torch.uint8))
    assert torch.allclose(vectors.norm(dim=-1), torch.ones(4), atol=1e-5)
    lanes = network.agree(told, torch.tensor([0, 2, 2, 0, 0]), 3)
    assert lanes.named.shape == (3, 2, E)
    assert lanes.changed.shape == (3, 2)
    assert lanes.net.shape == (3, SHELF_CHANGES)


@pytest.mark.parametrize("which", range(5))
def test_everything_it_is_given_matters(which: int) -> None:
    network, inputs = fresh(), list(random_views(3))
    other = list(inputs)
    other[which] = random_views(3, seed=8)[which]
    with torch.no_grad():
        assert not torch.allclose(network(*inputs).net, network(*other).net, atol=1e-4)


def test_a_lane_is_told_what_its_own_views_say_in_any_order() -> None:
    lane, order = [1, 0, 1, 2, 1, 0], [3, 5, 0, 4, 2, 1]
    each, together = agreed(list(range(6)), lane)
    for number in range(4):  # no view shows the last
        mine = [i for i, l in enumerate(lane) if l == number]
        assert torch.allclose(together[number], each[mine].sum(0), atol=1e-5)
    assert torch.allclose(agreed(order, [lane[i] for i in order])[1], together, atol=1e-5)
    assert torch.allclose(agreed([3], [2])[1][2], together[2], atol=1e-5)  # as if there were no others


def test_the_same_view_twice_is_twice_the_evidence() -> None:
    once, twice = agreed([0], [0])[1], agreed([0, 0], [0, 0])[1]
    assert torch.allclose(twice, 2 * once, atol=1e-5)
    assert (once[0].abs() > 1e-4).float().mean() > 0.9


def test_what_left_is_read_in_the_picture_before_by_the_layers_that_read_the_catalogue() -> None:
    torch.manual_seed(0)
    network, (_, _, area, features, own) = ShelfNetwork(TINY).eval(), random_views(1)
    left, came = (torch.tensor(colour, dtype=torch.uint8).expand(1, 32, 32, 3) for colour in COLOURS[:2])
    with torch.no_grad():
        named = network(left, came, area, features, own).named[0]
        vectors = network.pictures(torch.stack([left, came], dim=1).transpose(0, 1))
    assert torch.allclose(torch.nn.functional.normalize(named, dim=-1), vectors, atol=1e-4)
    assert float(vectors[0] @ vectors[1]) < 0.9


def test_the_graph_says_of_a_lane_what_the_network_does() -> None:
    network, (before, after, area, features, _) = tiny_network(), random_views(3)
    with torch.no_grad():
        vectors = ShelfPicturesGraph(network)(batch_of().pictures[: len(COLOURS)])
        named, changed, net = ShelfGraph(network)(before, after, area, features, vectors, torch.tensor(2))
        outputs = network.shelf(before, after, area, features, vectors[[2, 2, 2]])
        lane = network.shelf.agree(outputs, torch.zeros(3, dtype=torch.int64), 1)
    assert torch.allclose(named, (lane.named[0] @ vectors.T).log_softmax(-1), atol=1e-5)
    assert torch.allclose(changed, lane.changed[0], atol=1e-5)
    assert torch.allclose(net, lane.net[0].log_softmax(-1), atol=1e-5)


def test_losses_fall_on_a_batch_that_can_be_learnt() -> None:
    torch.manual_seed(0)
    network, batch = ShelfNetwork(TINY).eval(), batch_of()
    optimiser = torch.optim.Adam(network.parameters(), lr=3e-3)
    told: list[dict[str, float]] = []
    judged: dict[str, float] = {}
    for _ in range(STEPS):
        outputs, lanes, logits = speak(network, batch)
        judged = metric(lanes, logits, batch.targets)
        total, parts = loss(outputs, lanes, logits, batch.targets)
        told.append(parts)
        assert float(total.detach()) == pytest.approx(sum(parts.values()), rel=1e-4)
        optimiser.zero_grad()
        total.backward()  # type: ignore[no-untyped-call]  # torch's own
        optimiser.step()
    assert set(told[0]) == {"changed", "net", "mask", "product"}
    for name, value in told[0].items():
        assert told[-1][name] < 0.7 * value, name
    for name in ("changed", "net", "product_top1"):
        assert judged[name] > judged[f"{name}_baseline"] + 0.1, name


def test_right_answers_cost_little_and_metrics_know_them() -> None:
    targets = batch_of().targets
    lanes, logits = right(targets)
    judged = metric(lanes, logits, targets)
    for name in ("changed", "net", "net_moved", "product_top1", "sibling_top1"):
        assert judged[name] == 1.0, name
    for name in ("changed_baseline", "net_baseline", "product_top1_baseline", "sibling_baseline"):
        assert 0.1 < judged[name] < 0.9, name
    assert judged["product_top1_baseline"] == pytest.approx(1 / 6)  # six products a store
    assert judged["sibling_baseline"] == pytest.approx(1 / 3)
    assert judged["net_baseline"] == pytest.approx(float((targets.net == MOST_UNITS).float().mean()))
    outputs = replace(said_of(len(targets.mask)), mask=(targets.mask - 0.5) * 40)
    _, parts = loss(outputs, lanes, logits, targets)
    assert max(parts[name] for name in ("changed", "net", "product")) < 1e-3
    wrong = replace(lanes, changed=-lanes.changed, net=-lanes.net)
    against = -logits.masked_fill(~targets.drawn[:, None], 1e4)
    judged = metric(wrong, against, targets)
    for name in ("changed", "net", "net_moved", "product_top1", "sibling_top1"):
        assert judged[name] == 0.0, name
    _, worse = loss(replace(outputs, mask=-outputs.mask), wrong, against, targets)
    assert all(worse[name] > parts[name] + 1 for name in parts)


def test_siblings_are_told_apart_among_themselves() -> None:
    """Who takes everything for the same light product is wrong about products, and right about siblings."""
    targets = batch_of().targets
    lanes, logits = right(targets)
    light = (targets.grams == 50.0)[None, None] & targets.drawn[:, None]
    others = (targets.row >= 0) & ~light.expand_as(logits).gather(2, targets.row.clamp_min(0)[..., None])[..., 0]
    judged = metric(lanes, logits.masked_fill(light & others[..., None], 40.0), targets)
    assert judged["product_top1"] < 0.5
    assert judged["sibling_top1"] == 1.0


def test_what_there_is_nothing_to_judge_by_is_left_out() -> None:
    targets = batch_of().targets
    still = replace(targets, row=torch.full_like(targets.row, -1), net=torch.full_like(targets.net, MOST_UNITS))
    outputs, (lanes, logits) = said_of(len(targets.mask)), right(still)
    assert set(metric(lanes, logits, still)) == {"changed", "changed_baseline", "net", "net_baseline", "net_nll"}
    total, parts = loss(outputs, lanes, logits, still)
    assert set(parts) == {"changed", "net", "mask"}
    assert torch.isfinite(total)
    alone = replace(targets, grams=10.0 ** torch.arange(len(targets.grams)))
    judged = metric(*right(alone), alone)
    assert "product_top1" in judged
    assert not [name for name in judged if name.startswith("sibling")]


def test_products_of_other_stores_are_out_of_question() -> None:
    targets = batch_of().targets
    lanes, _ = right(targets)
    told = scores(replace(lanes, named=lanes.named + 1), torch.ones(targets.drawn.shape[1], E), targets)
    drawn = targets.drawn[:, None].expand_as(told)
    assert (told[~drawn] < -1e3).all()
    assert (told[drawn] == E).all()
    assert targets.drawn.sum(1).tolist() == [6] * LANES
    known = targets.row >= 0
    assert drawn[known].gather(1, targets.row[known][:, None]).all()
