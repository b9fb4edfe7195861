"""The shelf look: views of a lane add up and others do not matter, its losses fall, metrics know what is right."""

from __future__ import annotations

from dataclasses import fields, replace

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

LANES, STEPS = 48, 40
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


def rows(outputs: ShelfOutputs, which: list[int]) -> ShelfOutputs:
    return ShelfOutputs(*(getattr(outputs, field.name)[which] for field in fields(ShelfOutputs)))


def agreed(outputs: ShelfOutputs, lane: list[int], lanes: int) -> LaneOutputs:
    with torch.no_grad():
        return fresh().agree(outputs, torch.tensor(lane), lanes)


def close(one: LaneOutputs, two: LaneOutputs) -> bool:
    return all(torch.allclose(getattr(one, f.name), getattr(two, f.name), atol=1e-5) for f in fields(LaneOutputs))


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
    assert float(told.named.norm(dim=-1).max()) <= float(network.scale.exp()) + 1e-4  # fully sure
    with torch.no_grad():
        vectors = network.pictures(torch.randint(0, 256, (4, 2, 32, 32, 3), dtype=torch.uint8))
    assert torch.allclose(vectors.norm(dim=-1), torch.ones(4), atol=1e-5)
    lanes = agreed(told, [0, 2, 2, 0, 0], 3)
    assert (lanes.named.shape, lanes.changed.shape, lanes.net.shape) == ((3, 2, E), (3, 2), (3, SHELF_CHANGES))


def test_windows_do_not_see_each_other() -> None:
    network, inputs = fresh(), random_views(4)
    with torch.no_grad():
        together, alone = network(*inputs), network(*(values[2:3] for values in inputs))
    for field in fields(ShelfOutputs):
        assert torch.allclose(getattr(together, field.name)[2:3], getattr(alone, field.name), atol=1e-5), field.name


@pytest.mark.parametrize("which", range(5))
def test_everything_it_is_given_matters(which: int) -> None:
    network, inputs = fresh(), list(random_views(3))
    other = list(inputs)
    other[which] = random_views(3, seed=8)[which]
    with torch.no_grad():
        assert not torch.allclose(network(*inputs).net, network(*other).net, atol=1e-4)


def test_a_lane_is_what_its_own_views_say_in_any_order() -> None:
    told, lane = said_of(6), [1, 0, 1, 2, 1, 0]
    together = agreed(told, lane, 4)
    for number in range(3):
        mine = [i for i, l in enumerate(lane) if l == number]
        alone = agreed(rows(told, mine), [0] * len(mine), 1)
        assert close(alone, LaneOutputs(together.named[[number]], together.changed[[number]], together.net[[number]]))
    order = [3, 5, 0, 4, 2, 1]
    assert close(agreed(rows(told, order), [lane[i] for i in order], 4), together)
    usual = fresh().usual.detach()
    assert not together.named[3].any()  # no view has spoken
    assert torch.equal(torch.cat([together.changed[3], together.net[3]]), usual)


def test_the_same_view_twice_is_twice_the_evidence() -> None:
    told = said_of(1)
    once, twice = agreed(told, [0], 1), agreed(rows(told, [0, 0]), [0, 0], 1)
    nothing = agreed(rows(told, []), [], 1)
    for field in fields(LaneOutputs):
        first, second, usual = (getattr(lanes, field.name) for lanes in (once, twice, nothing))
        assert torch.allclose(second - usual, 2 * (first - usual), atol=1e-5), field.name
        assert (first - usual).abs().max() > 1e-3


def test_the_graph_says_of_a_lane_what_the_network_does() -> None:
    network, (before, after, area, features, _) = tiny_network(), random_views(3)
    with torch.no_grad():
        vectors = ShelfPicturesGraph(network)(batch_of().pictures[: len(COLOURS)])
        named, changed, net = ShelfGraph(network)(before, after, area, features, vectors, torch.tensor(2))
        outputs = network.shelf(before, after, area, features, vectors[[2, 2, 2]])
        lane = network.shelf.agree(outputs, torch.zeros(3, dtype=torch.int64), 1)
    assert named.shape == (2, len(COLOURS))
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
    print(told[0], told[-1], judged)
    for name, value in told[0].items():
        assert told[-1][name] < 0.7 * value, name
    for name in ("changed", "net", "product_top1"):
        assert judged[name] > judged[f"{name}_baseline"] + 0.1, name
