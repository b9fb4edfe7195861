"""Task of the actor look: whose head belongs to the one who moved something, and which cells show that person."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from openaisle.model.actor import ActorOutputs
from openaisle.tokens.actor import ACTOR_CELLS, BEYOND_CELLS, DOUBT, NOBODY, OUTSIDE

BLUR_CELLS = 1.0  # of the target around an actor's head
PLACE_SHARE, LANE_SHARE, MASK_SHARE = 0.3, 0.7, 10.0
NOWHERE = 8.5  # half windows
ABSENT = -60.0  # log-score of who or what is not there


@dataclass(frozen=True)
class ActorTargets:
    """Truth of W windows of E events with at most P people before a scale with at most L lanes.

    Places are half windows from the middle.
    """

    event: Tensor  # [W] ascending from 0
    heads: Tensor  # [W, P, 2] as believed
    present: Tensor  # bool [W, P]
    acts: Tensor  # bool [W, P]; none = nobody moved anything
    hand: Tensor  # [W, 2] of the acting hand
    places: Tensor  # [W, L, G, 2] where a hand is that reaches into each lane; 9 = there is no such lane
    lane: Tensor  # [W] of those, -1 = none of them
    mask: Tensor  # [W, 3, 2304] share of each cell: an actor, its hands, somebody else


def blurred(points: Tensor) -> Tensor:
    """Probabilities [..., 2306] over cells, outside, and nobody (none) around points [..., 2]."""
    centre = (torch.arange(ACTOR_CELLS, device=points.device) + 0.5) * 2 / ACTOR_CELLS - 1
    along = torch.exp(-0.5 * ((points[..., None] - centre) / (BLUR_CELLS * 2 / ACTOR_CELLS)) ** 2) + 1e-12
    along = along / along.sum(-1, keepdim=True)  # [..., 2, 48]
    inside = (points.abs() < 1.0).all(-1, keepdim=True)
    cells = (along[..., 1, :, None] * along[..., 0, None, :]).flatten(-2) * inside
    return torch.cat([cells, (~inside).to(cells.dtype), torch.zeros_like(cells[..., :1])], dim=-1)


def place_targets(targets: ActorTargets) -> Tensor:
    """Probabilities [W, 2, 2306] of an actor's head and of the acting hand."""
    share = targets.acts.to(targets.heads.dtype)
    count = share.sum(1)[:, None]
    head = (share[..., None] * blurred(targets.heads)).sum(1) / count.clamp_min(1.0)
    total = torch.stack([head, blurred(targets.hand) * (count > 0)], dim=1)
    total[..., NOBODY] = (count == 0).to(total.dtype)
    return total


def scores(told: Tensor, points: Tensor) -> Tensor:
    """Log-probabilities [W, K] of points [W, K, 2], told [W, 2306] of cells, outside and nobody."""
    maps = told[:, :OUTSIDE].reshape(-1, 1, ACTOR_CELLS, ACTOR_CELLS)
    found = F.grid_sample(maps, points[:, None], padding_mode="border", align_corners=False)[:, 0, 0]
    beyond = told[:, OUTSIDE, None] - math.log(BEYOND_CELLS)
    return torch.where((points.abs() < 1.0).all(-1), found, beyond)


def added(each: Tensor, event: Tensor) -> Tensor:
    """What all views of each event [E, K] say together: log-scores of each view [W, K], none of them quite believed."""
    each = torch.logaddexp(each.log_softmax(-1), torch.full_like(each, math.log(DOUBT)))
    total = torch.zeros((int(event.max()) + 1, each.shape[1]), dtype=each.dtype, device=each.device)
    return total.index_add(0, event, each)


def firsts(event: Tensor) -> Tensor:
    """The first window of each event."""
    return torch.searchsorted(event, torch.arange(int(event.max()) + 1, device=event.device))


def people(outputs: ActorOutputs, targets: ActorTargets, trust: Tensor) -> tuple[Tensor, Tensor]:
    """Log-chances [E, P + 1] of everybody and of nobody, and the truth's shares."""
    told, first = outputs.heat[:, 0].log_softmax(-1), firsts(targets.event)
    present = F.pad(targets.present, (0, 1), value=True)
    each = torch.cat([scores(told, targets.heads), told[:, NOBODY, None]], dim=1).masked_fill(~present, ABSENT)
    total = added(each, targets.event) * trust
    acts = targets.acts[first]
    truth = torch.cat([acts, ~acts.any(1, keepdim=True)], dim=1).to(each.dtype)
    return total.masked_fill(~present[first], ABSENT).log_softmax(-1), truth / truth.sum(1, keepdim=True)


def lanes(outputs: ActorOutputs, targets: ActorTargets, trust: Tensor) -> tuple[Tensor, Tensor]:
    """Log-chances [R, L] of each lane of a scale that several share, and which it was [R]; R events of E."""
    told, first = outputs.heat[:, 1].log_softmax(-1), firsts(targets.event)
    points = targets.places
    here = (points.abs() < NOWHERE).all(-1).any(-1)  # [W, L]
    each = scores(told, points.flatten(1, 2)).reshape(points.shape[:3]).logsumexp(-1).masked_fill(~here, ABSENT)
    total = (added(each, targets.event) * trust).masked_fill(~here[first], ABSENT).log_softmax(-1)
    rows = ((targets.lane[first] >= 0) & (here[first].sum(1) > 1)).nonzero()[:, 0]
    return total[rows], targets.lane[first][rows]


def loss(outputs: ActorOutputs, targets: ActorTargets, trust: Tensor) -> tuple[Tensor, dict[str, float]]:
    """Cross-entropy of places in every view, of the person and the lane in every event, and of the cells."""
    place = -(place_targets(targets) * outputs.heat.log_softmax(-1)).sum(-1).mean()
    told, truth = people(outputs, targets, trust[0])
    who = -(truth * told).sum(-1).mean()
    named, lane = lanes(outputs, targets, trust[1])
    where = F.nll_loss(named, lane) if len(lane) else torch.zeros_like(who)
    mask = F.binary_cross_entropy_with_logits(outputs.mask, targets.mask)
    total = PLACE_SHARE * place + who + LANE_SHARE * where + MASK_SHARE * mask
    each = {"place": place, "who": who, "lane": where, "mask": mask}
    return total, {name: float(value.detach()) for name, value in each.items()}


def metric(outputs: ActorOutputs, targets: ActorTargets, trust: Tensor) -> dict[str, float]:
    """Events with company: right person, nats; of nobody; lanes of shared scales.

    Baselines: whose head is nearest to the window's middle; the first lane.
    """
    told, truth = people(outputs, targets, trust[0])
    first = firsts(targets.event)
    count, busy = targets.present[first].sum(1), targets.acts[first].any(1)
    rows = (busy & (count > 1)).nonzero()[:, 0]
    out: dict[str, float] = {}
    if len(rows):
        best = told[:, :-1].argmax(1)
        away = targets.heads[first].norm(dim=-1).masked_fill(~targets.present[first], 99.0).argmin(1)
        known = told[:, :-1].log_softmax(-1)
        out |= {
            "right": float((truth[rows, best[rows]] > 0).float().mean()),
            "right_baseline": float((truth[rows, away[rows]] > 0).float().mean()),
            "nats": float(-(truth[rows, :-1] * known[rows]).sum(-1).mean()),
        }
    if bool((~busy).any()):
        out["nobody"] = float((told[~busy].argmax(1) == told.shape[1] - 1).float().mean())
    named, lane = lanes(outputs, targets, trust[1])
    if len(lane):
        out |= {
            "lane": float((named.argmax(1) == lane).float().mean()),
            "lane_baseline": float((lane == 0).float().mean()),
            "lane_nats": float(F.nll_loss(named, lane)),
        }
    return out
