"""Collects the templates, textures and objects of a scene while it is put together."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from openaisle.sim.packaging import Image, as_uint8
from openaisle.sim.render.meshes import MeshBuilder, product_meshes


class SceneBuilder:
    """Templates (the product shapes come first), textures and objects so far."""

    def __init__(self) -> None:
        self.meshes: list[MeshBuilder] = product_meshes()
        self.textures: list[Image] = []
        self.template: list[int] = []
        self.id: list[int] = []
        self.pose: list[NDArray[np.float64]] = []

    def add_texture(self, image: Image) -> int:
        """Index of a new texture."""
        self.textures.append(np.ascontiguousarray(image))
        return len(self.textures) - 1

    def add_object(self, mesh: MeshBuilder, identity: int, pose: NDArray[np.float64]) -> int:
        """Index of a new object with its own template, an instance id and a world pose [4, 4]."""
        self.meshes.append(mesh)
        self.template.append(len(self.meshes) - 1)
        self.id.append(identity)
        self.pose.append(pose)
        return len(self.template) - 1


def noise_texture(rng: np.random.Generator, colour: tuple[int, ...], strength: float) -> Image:
    """Nearly plain 32x32 texture."""
    return as_uint8(np.array(colour) + rng.normal(0, strength, (32, 32, 1)))
