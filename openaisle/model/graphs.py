"""The whole network as the nine calls that the pipeline makes, from pictures of the catalogue to events.

Each is a module of plain tensors in and out, so that PyTorch and its ONNX export are the same call.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor, nn

from openaisle.model.actor import ActorNetwork, ActorOutputs
from openaisle.model.config import NetworkConfig
from openaisle.model.glance import GlanceNetwork
from openaisle.model.heatmap import HeatmapNetwork, HeatmapOutputs
from openaisle.model.memory import Memory, ShopperMemory, Votes, memory_names, votes_from_tokens
from openaisle.model.network import VisionNetwork
from openaisle.model.receipt import Choice, EventLogits, TickBatch
from openaisle.model.shelf import ShelfNetwork
from openaisle.model.tasks.receipt import LANE_FIT, ReceiptNetwork
from openaisle.model.trunk import Gaussian, PatchOutputs
from openaisle.predictor import GLANCE_NAMES
from openaisle.tokens.padding import TICK_INPUTS

MAX_EVENTS = 6  # written per tick
VOTE_NAMES = tuple(field.name for field in fields(Votes) if field.name != "view")
EVENT_NAMES = ("kind", "lane", "shopper", "product", "quantity", "receiver", "confidence", "people")


@dataclass(frozen=True)
class Foundation:
    """All parts of the network together."""

    config: NetworkConfig
    vision: VisionNetwork
    memory: ShopperMemory
    heatmap: HeatmapNetwork
    glance: GlanceNetwork
    shelf: ShelfNetwork
    actor: ActorNetwork
    receipt: ReceiptNetwork

    def modules(self) -> dict[str, nn.Module]:
        """Parts by name; the memory shares the fusion with vision."""
        return {
            "vision": self.vision,
            "memory": self.memory,
            "heatmap": self.heatmap,
            "glance": self.glance,
            "shelf": self.shelf,
            "actor": self.actor,
            "receipt": self.receipt,
        }


def new_foundation(config: NetworkConfig) -> Foundation:
    """A fresh network."""
    vision = VisionNetwork(config)
    return Foundation(
        config, vision, ShopperMemory(vision), HeatmapNetwork(), GlanceNetwork(config), ShelfNetwork(config),
        ActorNetwork(), ReceiptNetwork(config),
    )  # fmt: skip


class PicturesGraph(nn.Module):
    """Catalogue pictures → vectors."""

    def __init__(self, network: Foundation) -> None:
        super().__init__()
        self.encoder = network.glance.pictures

    def forward(self, pictures: Tensor) -> Tensor:
        """[M, 2, 32, 32, 3] → [M, E]."""
        vectors: Tensor = self.encoder(pictures)
        return vectors


class LookGraph(nn.Module):
    """Patches → votes in the world frame."""

    def __init__(self, network: Foundation) -> None:
        super().__init__()
        self.trunk = network.vision.trunk

    def forward(
        self,
        pixels: Tensor,
        background: Tensor,
        rays: Tensor,
        cells: Tensor,
        mask: Tensor,
        anchor: Tensor,
        frame: Tensor,
    ) -> tuple[Tensor, ...]:
        """Images [I, N, ...] → votes [I * N, ...] in VOTE_NAMES order."""
        tokens = flat(self.trunk(pixels, background, rays, cells, mask))
        votes = votes_from_tokens(tokens, anchor.flatten(0, 1), frame.flatten(0, 1), tokens.person[:, None])
        return tuple(getattr(votes, name) for name in VOTE_NAMES)


def flat(tokens: PatchOutputs) -> PatchOutputs:
    """Images and tokens as one dimension."""
    values: dict[str, Tensor | Gaussian] = {}
    for field in fields(PatchOutputs):
        value = getattr(tokens, field.name)
        values[field.name] = (
            Gaussian(value.mean.flatten(0, 1), value.factor.flatten(0, 1))
            if isinstance(value, Gaussian)
            else value.flatten(0, 1)
        )
    return PatchOutputs(**values)  # type: ignore[arg-type]  # built from its own fields


class RememberGraph(nn.Module):
    """Votes of a slot and the memory → the memory after it, and the attention."""

    def __init__(self, network: Foundation) -> None:
        super().__init__()
        self.memory = network.memory

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """VOTE_NAMES, view, memory names, dt_s → memory names, attention."""
        votes = Votes(**dict(zip(VOTE_NAMES, inputs, strict=False)), view=inputs[len(VOTE_NAMES)])
        memory = Memory(*inputs[len(VOTE_NAMES) + 1 : -1])
        after, attention = self.memory(votes, memory, inputs[-1])
        return (*(getattr(after, name) for name in memory_names()), attention)


class HeatmapGraph(nn.Module):
    """Windows around bodies → where their hands are."""

    def __init__(self, network: Foundation) -> None:
        super().__init__()
        self.heatmap = network.heatmap

    def forward(self, now: Tensor, before: Tensor, features: Tensor) -> Tensor:
        """[W, 80, 80, 3] twice and [W, BODY_FEATURES] → log-probabilities [W, 2, 1601]."""
        out: HeatmapOutputs = self.heatmap(now, before, features)
        return out.heat.log_softmax(-1)


class GlanceGraph(nn.Module):
    """Windows around believed hands → what they say."""

    def __init__(self, network: Foundation) -> None:
        super().__init__()
        self.glance = network.glance

    def forward(self, now: Tensor, before: Tensor, features: Tensor) -> tuple[Tensor, ...]:
        """[W, 32, 32, 3] twice and [W, WINDOW_FEATURES] → GLANCE_NAMES."""
        out = self.glance(now, before, features)
        return tuple(getattr(out, name) for name in GLANCE_NAMES)


class ShelfPicturesGraph(nn.Module):
    """Catalogue pictures → vectors for the shelf look."""

    def __init__(self, network: Foundation) -> None:
        super().__init__()
        self.encoder = network.shelf.pictures

    def forward(self, pictures: Tensor) -> Tensor:
        """[M, 2, 32, 32, 3] → [M, E]."""
        vectors: Tensor = self.encoder(pictures)
        return vectors


class ShelfGraph(nn.Module):
    """Views of one lane before and after → what changed there."""

    def __init__(self, network: Foundation) -> None:
        super().__init__()
        self.shelf = network.shelf

    def forward(
        self, before: Tensor, after: Tensor, area: Tensor, features: Tensor, vectors: Tensor, product: Tensor
    ) -> tuple[Tensor, ...]:
        """Windows [W, 32, 32, 3] twice, areas [W, 32, 32], vectors [K, E], the lane's product [] → SHELF_NAMES."""
        own = vectors[product][None].expand(features.shape[0], -1)
        outputs = self.shelf(before, after, area, features, own)
        lane = self.shelf.of_one_lane(outputs)
        named = (lane.named[0] @ vectors.T).log_softmax(-1)
        return named, lane.changed[0], lane.net[0].log_softmax(-1)


class ActorGraph(nn.Module):
    """Windows before a scale's lanes over time → where head and hand of whoever moved something are."""

    def __init__(self, network: Foundation) -> None:
        super().__init__()
        self.actor = network.actor

    def forward(self, frames: Tensor, area: Tensor, features: Tensor) -> Tensor:
        """[W, 96, 96, 24], [W, 48, 48] and [W, ACTOR_FEATURES] → log-chances [W, 2, 2306]."""
        out: ActorOutputs = self.actor(frames, area, features)
        return out.heat.log_softmax(-1)


class WriteGraph(nn.Module):
    """A tick's features → at most MAX_EVENTS events, greedily; kind 0 ends the sequence."""

    def __init__(self, network: Foundation) -> None:
        super().__init__()
        self.receipt = network.receipt

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """TICK_INPUTS with B = 1 → EVENT_NAMES, each [MAX_EVENTS]; people [MAX_EVENTS, S]: chances to be it."""
        batch = TickBatch(**dict(zip(TICK_INPUTS, inputs, strict=True)))
        journey = self.receipt.encoder(batch)
        masks = (batch.lane_mask, batch.shopper_mask)
        fits = batch.lanes[..., LANE_FIT]
        previous = journey.memory[:, :0]
        written: list[tuple[Choice, Tensor, Tensor]] = []
        for i in range(MAX_EVENTS):
            state = self.receipt.decoder.states(journey, previous)[:, -1:]
            logits, choice = self.receipt.decoder(state, journey, fits, None, masks, first=i == 0)
            previous = torch.cat([previous, self.receipt.embed(choice, journey)], dim=1)
            written.append((choice, confidence(logits, choice), logits.shopper.softmax(-1)))
        parts = [torch.cat([getattr(choice, name)[0] for choice, _, _ in written]) for name in EVENT_NAMES[:-2]]
        return (*parts, torch.cat([sure[0] for _, sure, _ in written]), torch.cat([who[0] for _, _, who in written]))


def confidence(logits: EventLogits, choice: Choice) -> Tensor:
    """Probability [B, X] of the whole chosen event: the product over its parts."""

    def chance(name: str) -> Tensor:
        scores: Tensor = getattr(logits, name)
        return scores.softmax(-1).gather(-1, getattr(choice, name)[..., None])[..., 0]

    at_lane, over = (choice.kind == 1) | (choice.kind == 2), choice.kind == 3
    one = torch.ones_like(chance("kind"))
    sure = chance("kind") * chance("shopper") * chance("product") * chance("quantity")
    return sure * torch.where(at_lane, chance("lane"), one) * torch.where(over, chance("receiver"), one)


def graphs_of(network: Foundation) -> dict[str, nn.Module]:
    """The nine calls by name, in evaluation mode."""
    made = {
        "pictures": PicturesGraph(network),
        "look": LookGraph(network),
        "remember": RememberGraph(network),
        "heatmap": HeatmapGraph(network),
        "glance": GlanceGraph(network),
        "shelf_pictures": ShelfPicturesGraph(network),
        "shelf": ShelfGraph(network),
        "actor": ActorGraph(network),
        "write": WriteGraph(network),
    }
    return {name: module.eval() for name, module in made.items()}
