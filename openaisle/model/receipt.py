"""The receipt decoder: a tick of everybody's journey in, a sequence of events out, until END.

Shapes: B ticks, L lanes, S shoppers, K candidates (baskets, misplaced items), E recent events, N = L + S + K + E
memory tokens, X events in the sequence, D width. One sequence for all shoppers: an item taken once is charged
once, whoever reached. The product is a copy pointer over lanes' planogram products and candidates (C = L + K).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from openaisle.model.config import NetworkConfig
from openaisle.model.trunk import attention
from openaisle.tokens.journey import (
    BASKET_FEATURES,
    BASKET_LANE_FEATURES,
    EVENT_FEATURES,
    KINDS,
    LANE_FEATURES,
    LOOK_FEATURES,
    PAIR_FEATURES,
    SHOPPER_FEATURES,
)

MAX_QUANTITY = 6
PAIR_WIDTH = 48
FAR = -1e4  # logit of what cannot be
LEAST_LOOK = -2.0  # no look is less (tokens/journey.py, looks)


@dataclass(frozen=True)
class TickBatch:
    """Padded TickFeatures of B ticks; masks are True for real rows, row indices are -1 for none."""

    lanes: Tensor  # [B, L, LANE_FEATURES]
    lane_mask: Tensor  # bool [B, L]
    shoppers: Tensor  # [B, S, SHOPPER_FEATURES]
    shopper_mask: Tensor  # bool [B, S]
    pairs: Tensor  # [B, S, L, PAIR_FEATURES]
    baskets: Tensor  # [B, K, BASKET_FEATURES]
    basket_mask: Tensor  # bool [B, K]
    basket_shopper: Tensor  # int64 [B, K]
    basket_lane: Tensor  # int64 [B, K]
    basket_pairs: Tensor  # [B, K, L, BASKET_LANE_FEATURES]
    basket_looks: Tensor  # [B, S, K, LOOK_FEATURES]
    events: Tensor  # [B, E, EVENT_FEATURES]
    event_mask: Tensor  # bool [B, E]
    event_shopper: Tensor  # int64 [B, E]
    event_lane: Tensor  # int64 [B, E]


@dataclass(frozen=True)
class Choice:
    """Events as indices, int64 [B, X]; lane / product / receiver are 0 where the kind has none."""

    kind: Tensor
    lane: Tensor
    shopper: Tensor
    product: Tensor  # into C = lanes, then candidates
    quantity: Tensor  # 0 = one unit
    receiver: Tensor  # shopper row who receives a hand-over


@dataclass(frozen=True)
class EventLogits:
    """Scores of each part of each event, given the earlier parts."""

    kind: Tensor  # [B, X, 4]
    lane: Tensor  # [B, X, L]
    shopper: Tensor  # [B, X, S]
    product: Tensor  # [B, X, C]
    quantity: Tensor  # [B, X, MAX_QUANTITY]
    receiver: Tensor  # [B, X, S]


@dataclass(frozen=True)
class Journey:
    """The encoded tick: what the decoder points at."""

    memory: Tensor  # [B, N, D]
    mask: Tensor  # bool [B, N]
    lanes: Tensor  # [B, L, D]
    shoppers: Tensor  # [B, S, D]
    candidates: Tensor  # [B, C, D]
    candidate_mask: Tensor  # bool [B, C]
    candidate_owner: Tensor  # int64 [B, C] shopper row, -1 = lies on a shelf
    pairs: Tensor  # [B, S, L, PAIR_WIDTH]
    fits: Tensor  # [B, C, L, BASKET_LANE_FEATURES]
    looks: Tensor  # [B, S, C, LOOK_FEATURES]


def mlp(inputs: int, width: int, outputs: int) -> nn.Sequential:
    """Two linear layers with a GELU between."""
    return nn.Sequential(nn.Linear(inputs, width), nn.GELU(), nn.Linear(width, outputs))


def take_row(table: Tensor, index: Tensor) -> Tensor:
    """Rows [B, X, D] of table [B, R, D] at index [B, X]; zeros where the index is negative."""
    rows = torch.gather(table, 1, index.clamp_min(0)[..., None].expand(-1, -1, table.shape[-1]))
    return rows * (index >= 0).to(table.dtype)[..., None]


class Attention(nn.Module):
    """Multi-head attention with an additive bias per head."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key_value = nn.Linear(width, width), nn.Linear(width, 2 * width)
        self.project = nn.Linear(width, width)

    def forward(self, x: Tensor, memory: Tensor, bias: Tensor) -> Tensor:
        """x [B, X, D] attends to memory [B, N, D]; bias broadcasts to [B, H, X, N]."""
        batch, length, width = x.shape
        q = self.query(x).view(batch, length, self.heads, -1).transpose(1, 2)
        k, v = self.key_value(memory).view(batch, memory.shape[1], 2, self.heads, -1).permute(2, 0, 3, 1, 4).unbind(0)
        mixed = attention(q, k, v, bias)
        out: Tensor = self.project(mixed.transpose(1, 2).reshape(batch, length, width))
        return out


class Block(nn.Module):
    """Pre-norm block: self-attention, optional cross-attention, MLP."""

    def __init__(self, width: int, heads: int, cross: bool) -> None:
        super().__init__()
        self.norm_self, self.attend_self = nn.LayerNorm(width), Attention(width, heads)
        self.norm_cross = nn.LayerNorm(width) if cross else None
        self.attend_cross = Attention(width, heads) if cross else None
        self.norm_mlp, self.mlp = nn.LayerNorm(width), mlp(width, 3 * width, width)

    def forward(
        self, x: Tensor, bias: Tensor, memory: Tensor | None = None, memory_bias: Tensor | None = None
    ) -> Tensor:
        """One block."""
        normed = self.norm_self(x)
        x = x + self.attend_self(normed, normed, bias)
        if self.attend_cross is not None and self.norm_cross is not None:
            assert memory is not None
            assert memory_bias is not None
            x = x + self.attend_cross(self.norm_cross(x), memory, memory_bias)
        changed: Tensor = x + self.mlp(self.norm_mlp(x))
        return changed


class JourneyEncoder(nn.Module):
    """TickBatch → Journey."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        width, self.heads = config.journey_width, config.journey_heads
        self.lane, self.shopper = mlp(LANE_FEATURES, width, width), mlp(SHOPPER_FEATURES, width, width)
        self.pair = mlp(PAIR_FEATURES, 128, PAIR_WIDTH)
        self.basket, self.event = mlp(BASKET_FEATURES, width, width), mlp(EVENT_FEATURES, width, width)
        self.fit = mlp(BASKET_LANE_FEATURES, 32, self.heads)
        self.look = nn.Linear(LOOK_FEATURES, width)
        self.pair_to_lane, self.pair_to_shopper = nn.Linear(PAIR_WIDTH, width), nn.Linear(PAIR_WIDTH, width)
        self.pair_bias = nn.Linear(PAIR_WIDTH, self.heads)
        self.owner, self.place = nn.Linear(width, width), nn.Linear(width, width)
        self.kind = nn.Parameter(torch.randn(4, width) * 0.02)
        self.blocks = nn.ModuleList(Block(width, self.heads, cross=False) for _ in range(config.journey_layers))
        self.norm = nn.LayerNorm(width)

    def forward(self, batch: TickBatch) -> Journey:
        """Encode everything there is to know about a tick."""
        both = (batch.shopper_mask[:, :, None] & batch.lane_mask[:, None, :]).to(batch.lanes.dtype)[..., None]
        pairs: Tensor = self.pair(batch.pairs) * both
        lanes = self.lane(batch.lanes) + self.pair_to_lane(pairs.amax(1).clamp_min(0))
        shoppers = self.shopper(batch.shoppers) + self.pair_to_shopper(pairs.amax(2).clamp_min(0))
        baskets = self.basket(batch.baskets) + self.owner(take_row(shoppers, batch.basket_shopper))
        baskets = baskets + self.place(take_row(lanes, batch.basket_lane))
        nobody = ~batch.shopper_mask[:, :, None, None]
        baskets = baskets + self.look(batch.basket_looks.masked_fill(nobody, LEAST_LOOK).amax(1))
        events = self.event(batch.events) + self.owner(take_row(shoppers, batch.event_shopper))
        events = events + self.place(take_row(lanes, batch.event_lane))
        sizes = [lanes.shape[1], shoppers.shape[1], baskets.shape[1], events.shape[1]]
        parts = [part + self.kind[i] for i, part in enumerate((lanes, shoppers, baskets, events))]
        x = torch.cat(parts, dim=1)
        mask = torch.cat([batch.lane_mask, batch.shopper_mask, batch.basket_mask, batch.event_mask], dim=1)
        bias = self.bias(pairs, self.fit(batch.basket_pairs), sizes)
        bias = bias + (~mask).to(x.dtype)[:, None, None, :] * FAR
        for block in self.blocks:
            x = block(x, bias)
        x = self.norm(x)
        lanes, shoppers, baskets, _ = x.split(sizes, dim=1)
        own = batch.lanes.new_zeros(*batch.lane_mask.shape, sizes[0], BASKET_LANE_FEATURES)
        return Journey(
            x, mask, lanes, shoppers, torch.cat([lanes, baskets], dim=1),
            torch.cat([batch.lane_mask, batch.basket_mask], dim=1),
            torch.cat([torch.full_like(batch.lane_mask, -1, dtype=torch.int64), batch.basket_shopper], dim=1),
            pairs, torch.cat([own, batch.basket_pairs], dim=1),
            torch.cat([batch.pairs[..., -LOOK_FEATURES:], batch.basket_looks], dim=2),
        )  # fmt: skip

    def bias(self, pairs: Tensor, fits: Tensor, sizes: list[int]) -> Tensor:
        """Attention bias [B, H, N, N]: hands at lanes (shopper and lane), weight fits (basket and lane)."""
        lanes, shoppers, baskets, events = sizes
        sl = self.pair_bias(pairs).permute(0, 3, 1, 2)  # [B, H, S, L]
        kl = fits.permute(0, 3, 1, 2)  # [B, H, K, L]
        top = torch.cat([sl.transpose(2, 3), kl.transpose(2, 3)], dim=3)  # [B, H, L, S + K]
        left = torch.cat([sl, kl], dim=2)  # [B, H, S + K, L]
        upper = F.pad(top, (lanes, events))  # [B, H, L, N]
        lower = F.pad(left, (0, shoppers + baskets + events))  # [B, H, S + K, N]
        return F.pad(torch.cat([upper, lower], dim=2), (0, 0, 0, events))


class ReceiptDecoder(nn.Module):
    """Journey + events so far → the next event, part by part: kind, lane, shopper, product, quantity, receiver."""

    quiet: Tensor  # added to END's score before the first event: how much rarer events are than in training's draw

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        width, self.heads = config.journey_width, config.journey_heads
        self.start = nn.Parameter(torch.randn(width) * 0.02)
        self.blocks = nn.ModuleList(Block(width, self.heads, cross=True) for _ in range(config.decoder_layers))
        self.norm = nn.LayerNorm(width)
        self.kind_out = nn.Linear(width, len(KINDS))
        self.kind_in = nn.Embedding(len(KINDS), width)
        self.quantity_in = nn.Embedding(MAX_QUANTITY, width)
        names = ("lane", "shopper", "product", "receiver")
        self.query = nn.ModuleDict({name: mlp(width, width, width) for name in names})
        self.key = nn.ModuleDict({name: nn.Linear(width, width) for name in names})
        self.chosen = nn.ModuleDict({name: nn.Linear(width, width) for name in names})
        self.pair_score = mlp(PAIR_WIDTH, 32, 1)
        self.fit_score = mlp(BASKET_LANE_FEATURES + 2, 32, 1)
        self.look_score = mlp(LOOK_FEATURES, 32, 1)
        self.quantity_out = mlp(2 * width + BASKET_LANE_FEATURES, width, MAX_QUANTITY)
        self.register_buffer("quiet", torch.zeros(()))
        self.trust_scale = nn.Linear(width, 1)  # how far to believe the step's own count of units
        nn.init.zeros_(self.trust_scale.weight)

    def states(self, journey: Journey, previous: Tensor) -> Tensor:
        """Decoder states [B, X, D] for positions whose previous events are embedded as [B, X - 1, D]."""
        batch, length = previous.shape[0], previous.shape[1] + 1
        x = torch.cat([self.start.expand(batch, 1, -1).to(previous.dtype), previous], dim=1)
        future = torch.ones(length, length, dtype=torch.bool, device=x.device).triu(1)
        bias = future.to(x.dtype)[None, None] * FAR
        memory_bias = (~journey.mask).to(x.dtype)[:, None, None, :] * FAR
        for block in self.blocks:
            x = block(x, bias, journey.memory, memory_bias)
        states: Tensor = self.norm(x)
        return states

    def point(self, name: str, state: Tensor, keys: Tensor, mask: Tensor) -> Tensor:
        """Scaled dot-product pointer scores [B, X, R] over keys [B, R, D]."""
        query = self.query[name](state)
        scores: Tensor = query @ self.key[name](keys).transpose(1, 2) * state.shape[-1] ** -0.5
        return scores.float().masked_fill(~mask[:, None, :], FAR)

    def forward(
        self,
        state: Tensor,
        journey: Journey,
        lane_fits: Tensor,
        given: Choice | None,
        masks: tuple[Tensor, Tensor],
        *,
        first: bool = False,
    ) -> tuple[EventLogits, Choice]:
        """Scores and the choice (given, or greedy; `first` when nothing is written yet in a tick as it comes).

        lane_fits [B, L, BASKET_LANE_FEATURES] tells how each lane's step fits its own product; masks: lanes, shoppers.
        """
        lane_mask, shopper_mask = masks
        kind_logits = self.kind_out(state).float()
        if first:
            kind_logits = kind_logits + F.pad(self.quiet.view(1, 1, 1), (0, len(KINDS) - 1))
        kind = given.kind if given is not None else kind_logits.argmax(-1)
        state = state + self.kind_in(kind)
        at_lane = ((kind == 1) | (kind == 2)).to(state.dtype)[..., None]
        lane_logits = self.point("lane", state, journey.lanes, lane_mask)
        lane = given.lane if given is not None else lane_logits.argmax(-1)
        state = state + self.chosen["lane"](take_row(journey.lanes, lane)) * at_lane
        shopper_logits = self.point("shopper", state, journey.shoppers, shopper_mask)
        near: Tensor = self.pair_score(journey.pairs)[..., 0].transpose(1, 2)  # [B, L, S]
        shopper_logits = shopper_logits + take_row(near, lane).float() * at_lane.float()
        shopper = given.shopper if given is not None else shopper_logits.argmax(-1)
        state = state + self.chosen["shopper"](take_row(journey.shoppers, shopper))
        product_logits = self.point("product", state, journey.candidates, journey.candidate_mask)
        fits = fits_at(journey.fits, lane_fits, lane)  # [B, X, C, 4]
        product_logits = product_logits + self.fit_of(fits, journey.candidate_owner, shopper)
        product_logits = product_logits + self.look_of(journey.looks, shopper)
        if given is None:
            product_logits = merge_planned(product_logits, fits, lane, at_lane)
        product = given.product if given is not None else product_logits.argmax(-1)
        chosen = take_row(journey.candidates, product)
        fit = torch.gather(fits, 2, product[..., None, None].expand(-1, -1, 1, fits.shape[-1])).squeeze(2)
        quantity_logits = self.quantity_out(torch.cat([state, chosen, fit.to(state.dtype)], dim=-1)).float()
        quantity_logits = quantity_logits + self.count_of(fit, state) * at_lane.float()
        quantity = given.quantity if given is not None else quantity_logits.argmax(-1)
        state = state + self.chosen["product"](chosen) + self.quantity_in(quantity)
        receiver_logits = self.point("receiver", state, journey.shoppers, shopper_mask)
        receiver = given.receiver if given is not None else receiver_logits.argmax(-1)
        logits = EventLogits(kind_logits, lane_logits, shopper_logits, product_logits, quantity_logits, receiver_logits)
        return logits, Choice(kind, lane, shopper, product, quantity, receiver)

    def count_of(self, fit: Tensor, state: Tensor) -> Tensor:
        """Score [B, X, MAX_QUANTITY] of quantities by how near they are to the units the step weighs.

        Counting need not be learnt for each quantity: four units put back are rare, and weigh what they weigh.
        """
        units = torch.arange(1, MAX_QUANTITY + 1, dtype=torch.float32, device=state.device)
        away = (fit[..., :1].float().abs() - units).abs()  # fit: count, misfit, known, log mass
        trust: Tensor = F.softplus(self.trust_scale(state).float() + 1.0) * fit[..., 2:3].float()
        return -trust * away * 3.0

    def look_of(self, looks: Tensor, shopper: Tensor) -> Tensor:
        """Score [B, X, C] of candidates by how much the chosen shopper's hands show them; looks [B, S, C, F]."""
        scores: Tensor = self.look_score(rows_at(looks, shopper))
        return scores[..., 0].float()

    def fit_of(self, fits: Tensor, owner: Tensor, shopper: Tensor) -> Tensor:
        """Score [B, X, C] of candidates by weight fit and by whether they are the chosen shopper's own."""
        own = (owner[:, None, :] == shopper[..., None]).to(fits.dtype)
        foreign = ((owner[:, None, :] != shopper[..., None]) & (owner[:, None, :] >= 0)).to(fits.dtype)
        scores: Tensor = self.fit_score(torch.cat([fits, own[..., None], foreign[..., None]], dim=-1))
        return scores[..., 0].float()


def rows_at(table: Tensor, index: Tensor) -> Tensor:
    """Rows [B, X, C, F] of table [B, R, C, F] at index [B, X]."""
    return torch.gather(table, 1, index[..., None, None].expand(-1, -1, *table.shape[2:]))


def merge_planned(logits: Tensor, fits: Tensor, lane: Tensor, at_lane: Tensor) -> Tensor:
    """Scores [B, X, C] in which everything planned for the chosen lane counts as that lane's own candidate.

    A unit put back where it belongs is named by the lane and by the basket alike. Training goes on from the lane's
    candidate then; greedy writing has to do the same, or it counts units in a state that it has never been in.
    """
    same = (fits[..., -1] > 0.5) & (at_lane > 0.5)
    total = logits.masked_fill(~same, FAR).logsumexp(-1, keepdim=True)
    here = (torch.arange(logits.shape[-1], device=lane.device) == lane[..., None]) & (at_lane > 0.5)
    return torch.where(here, total, logits.masked_fill(same, FAR))


def fits_at(fits: Tensor, lane_fits: Tensor, lane: Tensor) -> Tensor:
    """How the chosen lanes' steps fit every candidate: [B, X, C, F] from fits [B, C, L, F] and lane [B, X].

    Lane candidates (rows of lanes) carry the fit of their own product with their own step; the last feature tells
    the products that are planned for the chosen lane.
    """
    _, candidates, lanes, width = fits.shape
    at = torch.gather(
        fits.transpose(1, 2), 1, lane.clamp_min(0)[..., None, None].expand(-1, -1, candidates, width)
    )  # [B, X, C, F]
    own = F.pad(lane_fits, (0, 1, 0, candidates - lanes))
    here = (torch.arange(candidates, device=lane.device) == lane[..., None]).to(at.dtype)
    return at + own[:, None] + F.pad(here[..., None], (width - 1, 0))
