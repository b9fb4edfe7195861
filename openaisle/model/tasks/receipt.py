"""Task: the receipt's events of a tick (take, return, hand-over): who, which lane, which product, how many."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from openaisle.model.config import NetworkConfig
from openaisle.model.receipt import Choice, EventLogits, Journey, JourneyEncoder, ReceiptDecoder, TickBatch, take_row

# where a lane's fit with its own product stands in its features (tokens/journey.py, lane_features)
LANE_FIT = slice(100, 106)


@dataclass(frozen=True)
class ReceiptTargets:
    """Events of B ticks."""

    rows: Tensor  # int64 [B, X, 6]
    mask: Tensor  # bool [B, X]
    product_ok: Tensor  # bool [B, X, C]


class ReceiptNetwork(nn.Module):
    """Encoder and decoder of the receipt's events."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder, self.decoder = JourneyEncoder(config), ReceiptDecoder(config)

    def forward(self, batch: TickBatch, targets: ReceiptTargets) -> EventLogits:
        """Teacher-forced scores for X + 1 positions (the last one can only be END)."""
        journey = self.encoder(batch)
        given = with_end(targets)
        masks = (batch.lane_mask, batch.shopper_mask)
        fits = batch.lanes[..., LANE_FIT]
        embedded = self.embed(given, journey)
        state = self.decoder.states(journey, embedded[:, :-1])
        logits: EventLogits = self.decoder(state, journey, fits, given, masks)[0]
        return logits

    def embed(self, choice: Choice, journey: Journey) -> Tensor:
        """What an event that was written tells the next position [B, X, D]."""
        d = self.decoder
        at_lane = ((choice.kind == 1) | (choice.kind == 2))[..., None]
        over = (choice.kind == 3)[..., None]
        total: Tensor = d.kind_in(choice.kind) + d.chosen["lane"](take_row(journey.lanes, choice.lane)) * at_lane
        total = total + d.chosen["shopper"](take_row(journey.shoppers, choice.shopper))
        total = (
            total + d.chosen["product"](take_row(journey.candidates, choice.product)) + d.quantity_in(choice.quantity)
        )
        told: Tensor = d.chosen["receiver"](take_row(journey.shoppers, choice.receiver))
        return total + told * over


def with_end(targets: ReceiptTargets) -> Choice:
    """Targets as choices with one more position, kind END where the sequence is over."""
    rows = F.pad(targets.rows * targets.mask[..., None], (0, 0, 0, 1))
    return Choice(*(rows[..., i] for i in range(6)))


def batch_from_arrays(arrays: Mapping[str, Tensor]) -> tuple[TickBatch, ReceiptTargets]:
    """TickBatch and targets out of collated arrays."""
    batch = TickBatch(**{field.name: arrays[field.name] for field in fields(TickBatch)})
    return batch, ReceiptTargets(arrays["target"], arrays["target_mask"], arrays["product_ok"])


def loss(logits: EventLogits, targets: ReceiptTargets) -> tuple[Tensor, dict[str, float]]:
    """Mean negative log-likelihood of a tick's sequence."""
    rows, real = targets.rows, targets.mask
    ticks = len(rows)
    given = with_end(targets)
    # events, then one END
    position = torch.arange(real.shape[1] + 1, device=real.device)[None, :] <= real.sum(-1, keepdim=True)
    kind = F.cross_entropy(logits.kind[position], given.kind[position], reduction="sum")
    parts = {"kind": kind}
    at_lane, over = real & (rows[..., 0] != 3), real & (rows[..., 0] == 3)
    inner = {field.name: getattr(logits, field.name)[:, :-1] for field in fields(EventLogits)}
    parts["lane"] = _nll(inner["lane"], rows[..., 1], at_lane)
    parts["shopper"] = _nll(inner["shopper"], rows[..., 2], real)
    known = real & targets.product_ok.any(-1)
    log_p = inner["product"].log_softmax(-1).masked_fill(~targets.product_ok, -1e4)
    parts["product"] = -log_p[known].logsumexp(-1).sum() if bool(known.any()) else kind * 0.0
    parts["quantity"] = _nll(inner["quantity"], rows[..., 4], real)
    parts["receiver"] = _nll(inner["receiver"], rows[..., 5], over)
    total = torch.stack(list(parts.values())).sum() / ticks
    return total, {name: float(value.detach()) / ticks for name, value in parts.items()}


def _nll(logits: Tensor, index: Tensor, mask: Tensor) -> Tensor:
    if not bool(mask.any()):
        return logits.sum() * 0.0
    return F.cross_entropy(logits[mask], index[mask], reduction="sum")


def accuracy(logits: EventLogits, targets: ReceiptTargets) -> dict[str, float]:
    """Teacher-forced: share of ticks whose whole sequence would be written right; baseline: never write anything."""
    rows, real = targets.rows, targets.mask
    given = with_end(targets)
    position = torch.arange(real.shape[1] + 1, device=real.device)[None, :] <= real.sum(-1, keepdim=True)
    wrong = ((logits.kind.argmax(-1) != given.kind) & position)[:, :-1].clone()
    last_wrong = ((logits.kind.argmax(-1) != given.kind) & position).any(-1)
    wrong |= real & (rows[..., 0] != 3) & (logits.lane[:, :-1].argmax(-1) != rows[..., 1])
    who = real & (logits.shopper[:, :-1].argmax(-1) != rows[..., 2])
    best = logits.product[:, :-1].argmax(-1, keepdim=True)
    what = real & ~torch.gather(targets.product_ok, -1, best)[..., 0] & targets.product_ok.any(-1)
    many = real & (logits.quantity[:, :-1].argmax(-1) != rows[..., 4])
    right = ~((wrong | who | what | many).any(-1) | last_wrong)
    busy = real.any(-1)
    events = real.sum().clamp_min(1)
    return {
        "tick_exact": float(right.float().mean()),
        "tick_exact_busy": float(right[busy].float().mean()) if bool(busy.any()) else 1.0,
        "tick_exact_baseline": float((~busy).float().mean()),
        "who_wrong": float(who.sum() / events),
        "what_wrong": float(what.sum() / events),
        "many_wrong": float(many.sum() / events),
    }
