"""The actor look: views of an event add up, targets lie at heads and hands, the loss falls, metrics know right."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from openaisle.model import heatmap
from openaisle.model.actor import FRAMES, ActorNetwork, ActorOutputs
from openaisle.model.graphs import ActorGraph
from openaisle.model.heatmap import HeatmapNetwork
from openaisle.model.tasks.actor import (
    LANE_SHARE,
    MASK_SHARE,
    PLACE_SHARE,
    ActorTargets,
    blurred,
    lanes,
    loss,
    metric,
    people,
    place_targets,
    scores,
)
from openaisle.tokens.actor import (
    ACTOR_CELLS,
    ACTOR_FEATURES,
    ACTOR_PX,
    BEYOND_CELLS,
    DOUBT,
    MIDDLE_FRAME,
    NOBODY,
    OUTSIDE,
    where,
    whose,
)
from openaisle.training.actor import ActorBatch, batch_of
from tests.model.events import CELL, GRASPS, LANES, PEOPLE, made_up_events
from tests.model.tiny import tiny_network

MIDDLE = 3 * (1 + MIDDLE_FRAME)  # first channel of the frame at the instant
NARROW = (12, 12, 16, 16)
STEPS = 24
T = torch.tensor
Points = list[tuple[float, float]]


def batch(count: int = 12, seed: int = 5) -> ActorBatch:
    return batch_of(made_up_events(count, seed))


def fresh() -> ActorNetwork:
    torch.manual_seed(0)
    return ActorNetwork().eval()


def random_events(windows: int, seed: int = 2) -> tuple[Tensor, Tensor, Tensor]:
    """frames, area, features."""
    generator = torch.Generator().manual_seed(seed)
    shape = (windows, ACTOR_PX, ACTOR_PX, 3 * FRAMES)
    frames = torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)
    area = torch.randint(0, 2, (windows, ACTOR_CELLS, ACTOR_CELLS), generator=generator, dtype=torch.uint8) * 255
    return frames, area, torch.randn(windows, ACTOR_FEATURES, generator=generator)


def said_at_random(windows: int, seed: int = 3) -> ActorOutputs:
    generator = torch.Generator().manual_seed(seed)
    heat = 2 * torch.randn(windows, 2, OUTSIDE + 2, generator=generator)
    return ActorOutputs(heat, torch.randn(windows, 3, OUTSIDE, generator=generator))


def right(targets: ActorTargets) -> ActorOutputs:
    """What a network that knows everything would say."""
    return ActorOutputs((place_targets(targets) + 1e-9).log(), (targets.mask - 0.5) * 40)


def of_one(heads: Points, acts: list[bool], present: list[bool] | None = None, lane: int = -1) -> ActorTargets:
    """One window of a scale with two lanes; the hand is in one of them, or nowhere."""
    there = present or [True] * len(heads)
    places = T([[[cell_at(10 + 20 * n, 40 - 2 * g) for g in range(GRASPS)] for n in range(2)]])
    hand = places[:, lane, 1] if lane >= 0 else T([[9.0, 9.0]])
    return ActorTargets(
        T([0]), T([heads]), T([there]), T([acts]), hand, places, T([lane]), torch.zeros(1, 3, OUTSIDE)
    )  # fmt: skip


def joined(*parts: ActorTargets) -> ActorTargets:
    return ActorTargets(*(torch.cat([getattr(part, name) for part in parts]) for name in vars(parts[0])))


def cell_at(column: int, row: int) -> tuple[float, float]:
    return (column + 0.5) * CELL - 1, (row + 0.5) * CELL - 1


def test_shapes() -> None:
    with torch.no_grad():
        told = fresh()(*random_events(3))
    assert told.heat.shape == (3, 2, OUTSIDE + 2)
    assert told.mask.shape == (3, 3, OUTSIDE)
    assert told.heat.dtype == told.mask.dtype == torch.float32
    assert (FRAMES, OUTSIDE + 1) == (8, NOBODY)


def test_windows_do_not_see_each_other() -> None:
    network, inputs = fresh(), random_events(3)
    with torch.no_grad():
        together, crowd = network(*inputs), network(*(values[[2, 0, 2]] for values in inputs))
    for name in ("heat", "mask"):
        assert torch.allclose(getattr(together, name)[2], getattr(crowd, name)[0], atol=1e-5), name
        assert torch.allclose(getattr(together, name)[0], getattr(crowd, name)[1], atol=1e-5), name
        assert not torch.allclose(getattr(together, name)[0], getattr(together, name)[2], atol=1e-3), name


@pytest.mark.parametrize("which", range(3))
def test_everything_it_is_given_matters(which: int) -> None:
    network, inputs = fresh(), list(random_events(2))
    other = list(inputs)
    other[which] = random_events(2, seed=8)[which]
    with torch.no_grad():
        one, two = network(*inputs), network(*other)
    for part in (slice(OUTSIDE), slice(OUTSIDE, OUTSIDE + 1), slice(NOBODY, None)):
        for said in range(2):
            assert not torch.allclose(one.heat[:, said, part], two.heat[:, said, part], atol=1e-4)
    assert not torch.allclose(one.mask, two.mask, atol=1e-4)


def test_every_frame_matters() -> None:
    network, (frames, area, features) = fresh(), random_events(1)
    many = frames.repeat(1 + FRAMES, 1, 1, 1)
    for n in range(FRAMES):
        many[1 + n, ..., 3 * n : 3 * n + 3] = 255 - frames[0, ..., 3 * n : 3 * n + 3]
    with torch.no_grad():
        told = network(many, area.repeat(1 + FRAMES, 1, 1), features.repeat(1 + FRAMES, 1)).heat
    away = (told[1:] - told[0]).abs().amax(-1)
    assert float(away.min()) > 1e-3, away


def test_it_starts_from_what_fits_of_a_heat_map() -> None:
    torch.manual_seed(1)
    network, source = ActorNetwork(), HeatmapNetwork()
    for value in source.state_dict().values():
        if value.dtype.is_floating_point:
            value += torch.rand_like(value)  # norms, too, differ from a fresh one's
    old = {name: value.clone() for name, value in network.state_dict().items()}
    given = {name: value.clone() for name, value in source.state_dict().items()}
    network.start_from(source)
    taken, kept = set[str](), set[str]()
    for name, value in network.state_dict().items():
        if name != "first.conv.weight":
            fits = name in given and given[name].shape == value.shape
            assert torch.equal(value, given[name] if fits else old[name]), name
            (taken if fits else kept).add(name)
    assert {"second.0.conv.weight", "fourth.1.norm.running_var", "join_first.conv.weight", "first.norm.bias"} <= taken
    assert {"trust", "lanes.weight", "beyond.weight", "aim.0.weight", "whole.0.weight", "out.weight"} <= kept
    for name, value in source.state_dict().items():
        assert torch.equal(value, given[name]), name  # nothing is shared, nothing changed


def test_its_first_convolution_sees_the_same_picture_and_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    """But for a constant and a 256th: pictures are counted in 128ths of full light, and not in 255ths."""
    network, source = fresh(), HeatmapNetwork()
    with monkeypatch.context() as patch:
        patch.setattr(torch, "randn", lambda shape, generator: torch.zeros(shape))  # what lets other frames in
        network.start_from(source)
    frames = random_events(2)[0].permute(0, 3, 1, 2).float()
    before, now = frames[:, :3] / 255, frames[:, MIDDLE : MIDDLE + 3] / 255
    with torch.no_grad():
        ours = network.first.conv(frames / 128)
        theirs = source.first.conv(torch.cat([now - 0.5, 2 * (now - before)], dim=1))
    inside = (slice(None), slice(None), slice(1, -1), slice(1, -1))  # at the edge less than the whole constant is seen
    away = (ours * 256 / 255 - theirs)[inside]
    assert float(away.std(dim=(0, 2, 3)).max()) < 1e-4
    assert float(theirs[inside].std(dim=(0, 2, 3)).min()) > 0.05


def test_other_frames_are_hardly_seen_at_first() -> None:
    network, source = fresh(), HeatmapNetwork()
    network.start_from(source)
    weight = network.first.conv.weight.detach()
    rest = [c for c in range(3, 3 * FRAMES) if not MIDDLE <= c < MIDDLE + 3]
    assert 0.015 < float(weight[:, rest].std()) < 0.025  # but seen
    assert float(weight[:, MIDDLE : MIDDLE + 3].std()) > 3 * float(weight[:, rest].std())


def test_places_are_probabilities() -> None:
    generator = torch.Generator().manual_seed(4)
    heads = torch.rand(300, 4, 2, generator=generator) * 3 - 1.5  # many of them outside
    heads[:3] = T([9.0, -9.0, 1.0])[:, None, None]
    hand = torch.rand(300, 2, generator=generator) * 3 - 1.5
    acts = torch.rand(300, 4, generator=generator) < 0.3
    acts[:4] = T([[True] * 4, [False] * 4, [True, False, True, False], [False, True, True, True]])
    none = torch.zeros(300, 1)
    told = place_targets(ActorTargets(torch.arange(300), heads, acts, acts, hand, none, none, none))
    assert told.shape == (300, 2, OUTSIDE + 2)
    assert float(told.min()) >= 0.0
    assert torch.allclose(told.sum(-1), torch.ones(300, 2), atol=1e-5)
    assert torch.equal(told[..., NOBODY], (~acts.any(1)).float()[:, None].expand(-1, 2))
    outside = (heads.abs() >= 1).any(-1)
    assert torch.allclose(told[:, 0, OUTSIDE], (outside & acts).sum(1) / acts.sum(1).clamp_min(1), atol=1e-6)
    away = (hand.abs() >= 1).any(-1) & acts.any(1)
    assert torch.equal(told[:, 1, OUTSIDE], away.float())


@pytest.mark.parametrize(("column", "row"), [(0, 0), (47, 0), (0, 47), (7, 31), (24, 23)])
def test_the_likeliest_place_is_the_actors_head_and_that_of_the_hand(column: int, row: int) -> None:
    told = place_targets(of_one([cell_at(12, 3), cell_at(column, row)], [False, True], lane=1))[0]
    assert told.argmax(-1).tolist() == [row * ACTOR_CELLS + column, 38 * ACTOR_CELLS + 30]
    assert float(told[:, OUTSIDE:].max()) == 0.0
    assert float(told[0, 3 * ACTOR_CELLS + 12]) < 1e-6  # only theirs


def test_places_between_cells_are_shared_among_them() -> None:
    cells = blurred(T([[0.213, -0.402]]))[0, :OUTSIDE].view(ACTOR_CELLS, ACTOR_CELLS)
    grid = (torch.arange(ACTOR_CELLS) + 0.5) * CELL - 1
    middle = [float(cells.sum(0) @ grid), float(cells.sum(1) @ grid)]  # rows from top to bottom
    assert middle == pytest.approx([0.213, -0.402], abs=1e-3)
    away = ((grid[None] - 0.213) ** 2 + (grid[:, None] + 0.402) ** 2).sqrt()
    assert float(cells[away < 4 * CELL].sum()) > 0.999
    assert blurred(T([[1.0, 0.0]]))[0, [OUTSIDE, NOBODY]].tolist() == [1.0, 0.0]


def test_two_actors_share_and_nobody_is_nobody() -> None:
    one, other = cell_at(30, 8), cell_at(6, 25)
    cells = [8 * ACTOR_CELLS + 30, 25 * ACTOR_CELLS + 6]
    alone = place_targets(of_one([one, other], [True, False]))[0, 0]
    both = place_targets(of_one([one, other], [True, True]))[0, 0]
    assert both[cells].tolist() == pytest.approx([float(alone[cells[0]]) / 2] * 2, rel=1e-4)
    half = place_targets(of_one([one, (1.3, 0.0)], [True, True]))[0, 0]
    assert float(half[OUTSIDE]) == pytest.approx(0.5)
    assert float(half[:OUTSIDE].sum()) == pytest.approx(0.5, abs=1e-5)
    assert float(place_targets(of_one([one, (-9.0, 9.0)], [False, True]))[0, 0, OUTSIDE]) == 1.0
    none = place_targets(of_one([one, other], [False, False]))[0]
    assert none[:, NOBODY].tolist() == [1.0, 1.0]
    assert float(none[:, :NOBODY].max()) == 0.0


def test_places_and_masks_are_counted_alike() -> None:
    """Row by row from the top left: the actor's cell is among those that show the actor, and so is the hand's."""
    targets = batch().targets
    inside = (targets.acts & (targets.heads.abs() < 1).all(-1)).any(1)
    told = place_targets(targets).argmax(-1)
    for plane, rows in enumerate((inside, (targets.hand.abs() < 1).all(-1))):
        cell = told[rows, plane]
        assert len(cell) > 8
        assert bool((targets.mask[rows, plane].gather(1, cell[:, None]) > 0.5).all())


def test_views_of_an_event_add_up() -> None:
    targets, outputs = batch().targets, said_at_random(len(batch().frames))
    found, truth = people(outputs, targets, T(0.6))
    told = outputs.heat[:, 0].log_softmax(-1)
    each = torch.cat([scores(told, targets.heads), told[:, NOBODY, None]], dim=1)
    events = int(targets.event[-1]) + 1
    assert found.shape == truth.shape == (events, PEOPLE + 1)
    for event in range(events):
        mine = (targets.event == event).nonzero()[:, 0]
        here = [*targets.present[mine[0]].tolist(), True]
        views = (each[mine][:, here].softmax(-1) + DOUBT).log()
        assert torch.allclose(found[event][here], (0.6 * views.sum(0)).log_softmax(-1), atol=1e-4)
        assert bool((found[event][[not h for h in here]] < -20).all())
        acts = targets.acts[mine[0]].float()
        expected = [*(acts / acts.sum()).tolist(), 0.0] if acts.any() else [*([0.0] * PEOPLE), 1.0]
        assert truth[event].tolist() == pytest.approx(expected)
    assert torch.allclose(found.exp().sum(1), torch.ones(events), atol=1e-5)
    assert len(set(torch.bincount(targets.event).tolist())) > 1  # not all are seen as often


def test_lanes_are_told_apart_by_the_hand_where_a_scale_has_several() -> None:
    targets, outputs = batch(24).targets, said_at_random(len(batch(24).frames))
    found, truth = lanes(outputs, targets, T(0.6))
    told = outputs.heat[:, 1].log_softmax(-1)
    rows: list[int] = []
    for event in range(int(targets.event[-1]) + 1):
        mine = (targets.event == event).nonzero()[:, 0]
        here = (targets.places[mine[0], :, 0, 0] < 5).tolist()
        if sum(here) > 1 and targets.lane[mine[0]] >= 0:
            each = scores(told[mine], targets.places[mine].flatten(1, 2)).view(-1, LANES, GRASPS).logsumexp(-1)
            views = (each[:, here].softmax(-1) + DOUBT).log()
            row = found[len(rows)]
            assert torch.allclose(row[here], (0.6 * views.sum(0)).log_softmax(-1), atol=1e-4)
            assert bool((row[[not h for h in here]] < -20).all())
            rows.append(int(targets.lane[mine[0]]))
    assert truth.tolist() == rows
    assert 5 < len(rows) < 24  # idle instants and lanes with scales of their own are left out
    assert len(set(rows)) == LANES


def test_heads_tell_of_people_and_hands_of_lanes() -> None:
    targets, ours = batch().targets, said_at_random(len(batch().frames))
    theirs = said_at_random(len(targets.event), seed=9)
    heads = ActorOutputs(torch.stack([theirs.heat[:, 0], ours.heat[:, 1]], dim=1), ours.mask)
    assert torch.equal(lanes(ours, targets, T(0.5))[0], lanes(heads, targets, T(0.5))[0])
    assert not torch.allclose(people(ours, targets, T(0.5))[0], people(heads, targets, T(0.5))[0], atol=0.1)
    hands = ActorOutputs(torch.stack([ours.heat[:, 0], theirs.heat[:, 1]], dim=1), ours.mask)
    assert torch.equal(people(ours, targets, T(0.5))[0], people(hands, targets, T(0.5))[0])
    assert not torch.allclose(lanes(ours, targets, T(0.5))[0], lanes(hands, targets, T(0.5))[0], atol=0.1)


def test_the_same_view_twice_is_twice_the_evidence_as_far_as_it_is_trusted() -> None:
    one = of_one([cell_at(3, 4), cell_at(40, 20)], [True, False], lane=0)
    outputs = said_at_random(1)
    twice = ActorOutputs(outputs.heat.repeat(2, 1, 1), outputs.mask.repeat(2, 1, 1))
    for told in (people, lanes):
        (once,), (double,) = (told(o, t, T(0.3))[0] for o, t in ((outputs, one), (twice, joined(one, one))))
        trusted = told(outputs, one, T(0.6))[0][0]
        assert torch.allclose(double, trusted, atol=1e-5)
        assert not torch.allclose(double, once, atol=0.05)


def test_an_events_views_never_change_another_event() -> None:
    targets = batch().targets
    ours, theirs = said_at_random(len(targets.event)), said_at_random(len(targets.event), seed=9)
    mine = targets.event == 2
    mixed = ActorOutputs(torch.where(mine[:, None, None], theirs.heat, ours.heat), ours.mask)
    one, two = people(ours, targets, T(0.5))[0], people(mixed, targets, T(0.5))[0]
    others = torch.arange(len(one)) != 2
    assert torch.equal(one[others], two[others])
    assert not torch.allclose(one[2], two[2], atol=1e-2)
    changed = (lanes(ours, targets, T(0.5))[0] - lanes(mixed, targets, T(0.5))[0]).abs().amax(1) > 1e-4
    assert int(changed.sum()) <= 1


def test_who_is_not_there_was_not_it() -> None:
    heads = [cell_at(3, 4), cell_at(40, 20), cell_at(3, 4)]
    here = of_one(heads, [True, False, False], present=[True, True, False])
    told = people(right(of_one(heads, [True, False, False])), here, T(1.0))[0][0]
    assert float(told[0]) > math.log(0.95)
    assert float(told[2]) < -20


def test_the_loss_falls_on_a_batch_that_can_be_learnt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heatmap, "WIDTHS", NARROW)
    torch.manual_seed(0)
    network, known = ActorNetwork().train(), batch(6)
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-2)
    told: list[dict[str, float]] = []
    totals: list[float] = []
    judged: list[dict[str, float]] = []
    for _ in range(STEPS):
        outputs = network(known.frames, known.area, known.features)
        with torch.no_grad():
            judged.append(metric(outputs, known.targets, network.trust))
        total, parts = loss(outputs, known.targets, network.trust)
        told.append(parts)
        totals.append(float(total.detach()))
        optimiser.zero_grad()
        total.backward()  # type: ignore[no-untyped-call]  # torch's own
        optimiser.step()
    assert set(told[0]) == {"place", "who", "lane", "mask"}
    assert totals[-1] < 0.5 * totals[0]
    assert told[-1]["mask"] < 0.3 * told[0]["mask"]
    assert told[-1]["place"] < 0.6 * told[0]["place"]
    assert told[-1]["who"] < 0.5 * told[0]["who"]
    assert told[-1]["lane"] < 0.6 * told[0]["lane"]
    assert judged[-1]["right"] > judged[0]["right_baseline"] + 0.2


def test_every_weight_learns() -> None:
    network, known = fresh(), batch(6)
    total, _ = loss(network(known.frames, known.area, known.features), known.targets, network.trust)
    total.backward()  # type: ignore[no-untyped-call]  # torch's own
    for name, weight in network.named_parameters():
        assert weight.grad is not None, name
        assert float(weight.grad.abs().max()) > 0, name


def test_right_answers_cost_little_and_wrong_ones_much() -> None:
    targets = batch().targets
    truth = place_targets(targets)
    spread = -(truth * (truth + 1e-12).log()).sum(-1)
    total, parts = loss(right(targets), targets, T([1.0, 1.0]))
    assert parts["mask"] < 1e-3
    assert parts["who"] < 0.2
    assert parts["lane"] < 0.2
    assert parts["place"] == pytest.approx(float(spread.mean()), abs=0.05)
    expected = PLACE_SHARE * parts["place"] + parts["who"] + LANE_SHARE * parts["lane"] + MASK_SHARE * parts["mask"]
    assert float(total) == pytest.approx(expected, rel=1e-4)
    others = wrong(targets)
    _, worse = loss(replace(right(others), mask=-right(targets).mask), targets, T([1.0, 1.0]))
    assert all(worse[name] > parts[name] + 0.5 for name in parts)


def wrong(targets: ActorTargets) -> ActorTargets:
    """Everybody else acted, and in another lane."""
    there = (targets.places[:, :, 0, 0] < 5).sum(1)
    lane = torch.where(targets.lane >= 0, (targets.lane + 1) % there, targets.lane)
    hand = targets.places[torch.arange(len(lane)), lane.clamp_min(0), 1]
    return replace(targets, acts=targets.present & ~targets.acts, lane=lane, hand=hand)


def test_what_has_no_lane_to_tell_costs_nothing() -> None:
    alone = of_one([cell_at(3, 4)], [True])
    total, parts = loss(said_at_random(1), alone, T([0.6, 0.6]))
    assert parts["lane"] == 0.0
    assert torch.isfinite(total)
    assert len(lanes(said_at_random(1), alone, T(0.6))[0]) == 0


def test_metrics_know_right_and_their_baselines() -> None:
    targets = batch(40).targets
    judged = metric(right(targets), targets, T([1.0, 1.0]))
    assert set(judged) == {"right", "right_baseline", "nats", "nobody", "lane", "lane_baseline", "lane_nats"}
    assert judged["right"] == judged["nobody"] == judged["lane"] == 1.0
    assert max(judged["nats"], judged["lane_nats"]) < 0.15
    hits, first_lanes = [], []
    for event in range(int(targets.event[-1]) + 1):
        first = int((targets.event == event).nonzero()[0, 0])
        if targets.acts[first].any():
            away = [
                math.hypot(*head) if here else 99.0
                for head, here in zip(targets.heads[first].tolist(), targets.present[first].tolist(), strict=True)
            ]
            hits.append(bool(targets.acts[first, int(np.argmin(away))]))
            if (targets.places[first, :, 0, 0] < 5).sum() > 1:
                first_lanes.append(int(targets.lane[first]) == 0)
    assert judged["right_baseline"] == pytest.approx(np.mean(hits))
    assert judged["lane_baseline"] == pytest.approx(np.mean(first_lanes))
    assert 0.1 < judged["right_baseline"] < 0.9
    assert 0.1 < judged["lane_baseline"] < 0.9
    other = metric(right(wrong(targets)), targets, T([1.0, 1.0]))
    assert other["right"] == other["nobody"] == other["lane"] == 0.0
    assert min(other["nats"], other["lane_nats"]) > 1


def test_what_there_is_nothing_to_judge_by_is_left_out() -> None:
    """Who is alone was it, whatever is seen; and without idle instants nobody can be missed."""
    alone = of_one([cell_at(3, 4), (9.0, 9.0)], [True, False], present=[True, False])
    idle = of_one([cell_at(3, 4), cell_at(20, 4)], [False, False])
    trust = T([1.0, 1.0])
    assert metric(said_at_random(1), alone, trust) == {}
    assert set(metric(said_at_random(1), idle, trust)) == {"nobody"}
    assert set(metric(said_at_random(2), replace(joined(alone, idle), event=T([0, 1])), trust)) == {"nobody"}
    in_lane = of_one([cell_at(3, 4), (9.0, 9.0)], [True, False], present=[True, False], lane=1)
    assert set(metric(said_at_random(1), in_lane, trust)) == {"lane", "lane_baseline", "lane_nats"}


def test_two_actors_are_both_right() -> None:
    heads = [cell_at(3, 4), cell_at(20, 4), cell_at(40, 40)]
    both, trust = of_one(heads, [True, True, False]), T([1.0, 1.0])
    for acts in ([True, False, False], [False, True, False]):
        assert metric(right(of_one(heads, acts)), both, trust)["right"] == 1.0
    assert metric(right(of_one(heads, [False, False, True])), both, trust)["right"] == 0.0


def test_the_graph_says_what_the_network_does() -> None:
    network, inputs = tiny_network(), random_events(2)
    with torch.no_grad():
        told, outputs = ActorGraph(network)(*inputs), network.actor(*inputs)
    assert told.shape == (2, 2, OUTSIDE + 2)
    assert torch.allclose(told, outputs.heat.log_softmax(-1), atol=1e-5)


def test_a_shop_is_told_what_was_trained() -> None:
    """Chances of people and lanes, from the graph's word, are those of the loss but for the trust; outside, too."""
    targets, outputs = batch(24).targets, said_at_random(len(batch(24).frames))
    told = outputs.heat.log_softmax(-1).numpy()
    expected, (named, _) = people(outputs, targets, T(1.0))[0], lanes(outputs, targets, T(1.0))
    assert ((targets.heads.abs() >= 1).any(-1) & targets.present).any()
    several = 0
    for event in range(len(expected)):
        mine = (targets.event == event).numpy()
        first = int(np.flatnonzero(mine)[0])
        here, shelf = targets.present[first].tolist(), (targets.places[first, :, 0, 0] < 5).tolist()
        found = whose(told[mine, 0], targets.heads.numpy()[mine][:, here])
        assert torch.allclose(T(found).log_softmax(-1), expected[event][[*here, True]], atol=1e-3), event
        if sum(shelf) > 1 and targets.lane[first] >= 0:
            found = where(told[mine, 1], targets.places.numpy()[mine][:, shelf])
            assert torch.allclose(T(found).log_softmax(-1), named[several][shelf], atol=1e-3), event
            several += 1
    assert several == len(named)


def test_a_place_outside_is_as_likely_as_one_of_many() -> None:
    told = said_at_random(1).heat[:, 0].log_softmax(-1)
    found = scores(told, T([[cell_at(5, 9), (1.2, 0.0)]]))[0]
    beyond = float(told[0, OUTSIDE]) - math.log(BEYOND_CELLS)
    assert found.tolist() == pytest.approx([float(told[0, 9 * ACTOR_CELLS + 5]), beyond], abs=1e-4)
