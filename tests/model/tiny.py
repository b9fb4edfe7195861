"""A network of the shipped shape and hardly any width, and random inputs for it."""

from __future__ import annotations

import torch
from torch import Tensor

from openaisle.model.config import NetworkConfig
from openaisle.model.graphs import Foundation, new_foundation
from openaisle.tokens.rays import RAY_FEATURES

TINY = NetworkConfig(
    name="tiny", trunk_width=48, trunk_layers=2, trunk_heads=2, journey_width=40, journey_layers=1, decoder_layers=1,
    journey_heads=2,
)  # fmt: skip


def tiny_network(seed: int = 0) -> Foundation:
    """The same weights for the same seed, in evaluation mode."""
    torch.manual_seed(seed)
    network = new_foundation(TINY)
    for module in network.modules().values():
        module.eval()
    return network


def random_patches(images: int, tokens: int, seed: int = 1) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """The trunk's inputs: pixels, background, rays, cells, mask."""
    generator = torch.Generator().manual_seed(seed)

    def values() -> Tensor:
        return torch.randint(0, 256, (images, tokens, 768), generator=generator, dtype=torch.uint8)

    cells = torch.randint(0, 20, (images, tokens, 2), generator=generator)
    rays = torch.randn(images, tokens, RAY_FEATURES, generator=generator)
    return values(), values(), rays, cells, torch.ones(images, tokens, dtype=torch.bool)
