"""Weights to ONNX: the network as four graphs (pictures, look, remember, write) that run without torch.

Files of a model folder: weights.safetensors, pictures.onnx, look.onnx, remember.onnx, write.onnx, model.json
(sizes, version, training record, sha256 of every other file).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from openaisle.errors import ModelError, Problem
from openaisle.model.config import NetworkConfig, config_from_dict
from openaisle.model.memory import Memory, ShopperMemory, Votes, memory_names, new_memory, votes_from_tokens
from openaisle.model.network import VisionNetwork
from openaisle.model.receipt import Choice, EventLogits, TickBatch
from openaisle.model.tasks.receipt import LANE_FIT, ReceiptNetwork
from openaisle.model.trunk import Gaussian, PatchOutputs
from openaisle.tokens.journey import (
    BASKET_FEATURES,
    BASKET_LANE_FEATURES,
    EVENT_FEATURES,
    LANE_FEATURES,
    PAIR_FEATURES,
    SHOPPER_FEATURES,
)
from openaisle.tokens.padding import TICK_INPUTS
from openaisle.tokens.rays import RAY_FEATURES

VERSION = 1
MAX_EVENTS = 6  # written per tick
VOTE_NAMES = tuple(field.name for field in fields(Votes) if field.name != "view")
EVENT_NAMES = ("kind", "lane", "shopper", "product", "quantity", "receiver", "confidence")


@dataclass(frozen=True)
class Foundation:
    """All parts of the network together."""

    config: NetworkConfig
    vision: VisionNetwork
    memory: ShopperMemory
    receipt: ReceiptNetwork

    def modules(self) -> dict[str, nn.Module]:
        """Parts by name; the memory shares the fusion with vision."""
        return {"vision": self.vision, "memory": self.memory, "receipt": self.receipt}


def new_foundation(config: NetworkConfig) -> Foundation:
    """A fresh network."""
    vision = VisionNetwork(config)
    return Foundation(config, vision, ShopperMemory(vision), ReceiptNetwork(config))


def save_weights(network: Foundation, path: Path) -> None:
    """All weights as safetensors with the configuration in the header."""
    tensors = {
        f"{name}.{key}": value.detach().contiguous().clone()
        for name, module in network.modules().items()
        for key, value in module.state_dict().items()
        if not (name == "memory" and key.startswith("fusion."))
    }
    save_file(tensors, str(path), metadata={"config": json.dumps(network.config.as_dict()), "version": str(VERSION)})


def load_weights(path: Path) -> Foundation:
    """Read weights; raises ModelError when the file is missing, corrupt or of another version."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework="pt") as file:
            header = file.metadata() or {}
        tensors = load_file(str(path))
    except (OSError, SafetensorError) as error:
        raise ModelError(
            [Problem(str(path), "file", f"cannot be read: {error}", "train, or fetch the weights again")]
        ) from error
    network = new_foundation(config_from_dict(json.loads(header.get("config", "{}")), str(path)))
    for name, module in network.modules().items():
        own = {key[len(name) + 1 :]: value for key, value in tensors.items() if key.startswith(f"{name}.")}
        missing, unexpected = module.load_state_dict(own, strict=False)
        wrong = [key for key in missing if not (name == "memory" and key.startswith("fusion."))] + list(unexpected)
        if wrong:
            raise ModelError(
                [Problem(str(path), f"{name}.{wrong[0]}", "does not match the network", "use matching weights")]
            )
    return network


class PicturesGraph(nn.Module):
    """Catalogue pictures → vectors."""

    def __init__(self, network: Foundation) -> None:
        super().__init__()
        self.encoder = network.vision.pictures

    def forward(self, pictures: Tensor) -> Tensor:
        """[M, 2, 32, 32, 3] → [M, E]."""
        return torch.as_tensor(self.encoder(pictures))


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
    values = {}
    for field in fields(PatchOutputs):
        value = getattr(tokens, field.name)
        values[field.name] = (
            Gaussian(value.mean.flatten(0, 1), value.factor.flatten(0, 1))
            if isinstance(value, Gaussian)
            else value.flatten(0, 1)
        )
    return PatchOutputs(**values)


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


class WriteGraph(nn.Module):
    """A tick's features → at most MAX_EVENTS events, greedily; kind 0 ends the sequence."""

    def __init__(self, network: Foundation) -> None:
        super().__init__()
        self.receipt = network.receipt

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """TICK_INPUTS with B = 1 → EVENT_NAMES, each [MAX_EVENTS]."""
        batch = TickBatch(**dict(zip(TICK_INPUTS, inputs, strict=True)))
        journey = self.receipt.encoder(batch)
        masks = (batch.lane_mask, batch.shopper_mask)
        fits = batch.lanes[..., LANE_FIT]
        previous = journey.memory[:, :0]
        written: list[tuple[Choice, Tensor]] = []
        for _ in range(MAX_EVENTS):
            state = self.receipt.decoder.states(journey, previous)[:, -1:]
            logits, choice = self.receipt.decoder(state, journey, fits, None, masks)
            previous = torch.cat([previous, self.receipt.embed(choice, journey)], dim=1)
            written.append((choice, confidence(logits, choice)))
        parts = [torch.cat([getattr(choice, name)[0] for choice, _ in written]) for name in EVENT_NAMES[:-1]]
        return (*parts, torch.cat([sure[0] for _, sure in written]))


def confidence(logits: EventLogits, choice: Choice) -> Tensor:
    """Probability [B, X] of the whole chosen event: the product over its parts."""

    def chance(name: str) -> Tensor:
        return getattr(logits, name).softmax(-1).gather(-1, getattr(choice, name)[..., None])[..., 0]

    at_lane, over = (choice.kind == 1) | (choice.kind == 2), choice.kind == 3
    one = torch.ones_like(chance("kind"))
    sure = chance("kind") * chance("shopper") * chance("product") * chance("quantity")
    return sure * torch.where(at_lane, chance("lane"), one) * torch.where(over, chance("receiver"), one)


def export(network: Foundation, folder: Path, record: dict[str, str | float]) -> None:
    """Write a model folder; `record` says how the weights came about (recipe, steps, figures)."""
    folder.mkdir(parents=True, exist_ok=True)
    for module in network.modules().values():
        module.eval()
    save_weights(network, folder / "weights.safetensors")
    with torch.no_grad():
        _export_pictures(network, folder)
        _export_look(network, folder)
        _export_remember(network, folder)
        _export_write(network, folder)
    files = sorted(path for path in folder.iterdir() if path.suffix in (".onnx", ".safetensors"))
    hashes = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
    document = {"version": VERSION, "config": network.config.as_dict(), "record": record, "sha256": hashes}
    (folder / "model.json").write_text(json.dumps(document, indent=1, sort_keys=True) + "\n")


def _save(
    module: nn.Module,
    inputs: Sequence[Tensor],
    path: Path,
    names: tuple[Sequence[str], Sequence[str]],
    axes: dict[str, dict[int, str]],
) -> None:
    torch.onnx.export(
        module, tuple(inputs), str(path), input_names=list(names[0]), output_names=list(names[1]),
        dynamic_axes=axes, opset_version=17, dynamo=False,
    )  # fmt: skip


def _export_pictures(network: Foundation, folder: Path) -> None:
    pictures = torch.zeros(3, 2, 32, 32, 3, dtype=torch.uint8)
    _save(
        PicturesGraph(network),
        [pictures],
        folder / "pictures.onnx",
        (["pictures"], ["vectors"]),
        {"pictures": {0: "m"}, "vectors": {0: "m"}},
    )


def _export_look(network: Foundation, folder: Path) -> None:
    i, n = 2, 5
    pixels = torch.zeros(i, n, 768, dtype=torch.uint8)
    inputs = [
        pixels, pixels, torch.randn(i, n, RAY_FEATURES), torch.zeros(i, n, 2, dtype=torch.int64),
        torch.ones(i, n, dtype=torch.bool), torch.zeros(i, n, 3), torch.eye(3).expand(i, n, 3, 3),
    ]  # fmt: skip
    names = ("pixels", "background", "rays", "cells", "mask", "anchor", "frame")
    axes = {name: {0: "i", 1: "n"} for name in names} | {name: {0: "t"} for name in VOTE_NAMES}
    _save(LookGraph(network), inputs, folder / "look.onnx", (names, VOTE_NAMES), axes)


def _export_remember(network: Foundation, folder: Path) -> None:
    t, q, views = 7, 3, 2
    tokens = flat(network.vision.trunk(
        torch.zeros(1, t, 768, dtype=torch.uint8), torch.zeros(1, t, 768, dtype=torch.uint8), torch.randn(1, t, RAY_FEATURES),
        torch.zeros(1, t, 2, dtype=torch.int64), torch.ones(1, t, dtype=torch.bool),
    ))  # fmt: skip
    votes = votes_from_tokens(
        tokens, torch.randn(t, 3), torch.eye(3).expand(t, 3, 3), torch.eye(views)[torch.arange(t) % views]
    )
    memory = new_memory(torch.randn(q, 2), 0.4, network.config.appearance_width, network.config.product_width)
    names = (*VOTE_NAMES, "view", *(f"memory_{name}" for name in memory_names()), "dt_s")
    outputs = (*(f"after_{name}" for name in memory_names()), "attention")
    inputs = [
        *(getattr(votes, name) for name in VOTE_NAMES),
        votes.view,
        *(getattr(memory, n) for n in memory_names()),
        torch.tensor(0.2),
    ]
    axes: dict[str, dict[int, str]] = {name: {0: "t"} for name in VOTE_NAMES} | {
        "view": {0: "t", 1: "v"},
        "attention": {0: "t", 1: "q1"},
    }
    axes |= {f"memory_{name}": {0: "q"} for name in memory_names()} | {f"after_{name}": {0: "q"} for name in memory_names()}
    _save(RememberGraph(network), inputs, folder / "remember.onnx", (names, outputs), axes)


def _export_write(network: Foundation, folder: Path) -> None:
    lanes, shoppers, baskets, events = 4, 3, 5, 2
    sizes = {
        "lanes": (lanes, LANE_FEATURES), "shoppers": (shoppers, SHOPPER_FEATURES), "pairs": (shoppers, lanes, PAIR_FEATURES),
        "baskets": (baskets, BASKET_FEATURES), "basket_pairs": (baskets, lanes, BASKET_LANE_FEATURES), "events": (events, EVENT_FEATURES),
    }  # fmt: skip
    inputs = {name: torch.randn(1, *shape) for name, shape in sizes.items()}
    inputs |= {
        f"{n}_mask": torch.ones(1, k, dtype=torch.bool)
        for n, k in (("lane", lanes), ("shopper", shoppers), ("basket", baskets), ("event", events))
    }
    inputs |= {
        name: torch.zeros(1, k, dtype=torch.int64)
        for name, k in (
            ("basket_shopper", baskets),
            ("basket_lane", baskets),
            ("event_shopper", events),
            ("event_lane", events),
        )
    }
    axis = {"lane": "l", "shopper": "s", "basket": "k", "event": "e"}
    axes = {
        name: {1: axis[name.split("_")[0].rstrip("s")]} for name in TICK_INPUTS if name not in ("pairs", "basket_pairs")
    }
    axes |= {"pairs": {1: "s", 2: "l"}, "basket_pairs": {1: "k", 2: "l"}}
    _save(
        WriteGraph(network),
        [inputs[name] for name in TICK_INPUTS],
        folder / "write.onnx",
        (TICK_INPUTS, EVENT_NAMES),
        axes,
    )
