"""What a training run is: the network, the data it simulates and the stages, as one frozen value."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path

from openaisle.errors import ModelError, Problem
from openaisle.model.config import NetworkConfig
from openaisle.training.actor import ActorStage
from openaisle.training.detector import DetectorStage
from openaisle.training.glance import GlanceStage
from openaisle.training.heatmap import HeatmapStage
from openaisle.training.receipts import ReceiptStage
from openaisle.training.shelf import ShelfStage
from openaisle.training.vision import VisionStage


@dataclass(frozen=True)
class DataPlan:
    """Simulated data of a run; each count is a number of simulations with seeds from `first_seed` on."""

    scenarios: tuple[str, ...]
    first_seed: int
    frames: int  # rendered single instants for the vision half
    bodies: int  # rendered windows around bodies
    glances: int  # rendered windows around hands
    shelves: int  # rendered lanes before and after changes
    actors: int  # rendered events with company
    journeys: int  # true geometry without rendering
    tracked: int  # rendered and followed by the trained vision half
    detections: int  # rendered single instants for the modular peer's detector
    corner_share: float = 0.4  # of the stores; the rest are kiosks
    every_s: float = 4.0  # between two sampled instants, denser while somebody reaches (frames.py)
    held_out_seed: int = 800_000  # validation seeds
    held_out: int = 40


@dataclass(frozen=True)
class Recipe:
    """One training run from nothing to a shipped model folder."""

    name: str
    network: NetworkConfig
    data: DataPlan
    vision: VisionStage
    heatmap: HeatmapStage
    glance: GlanceStage
    shelf: ShelfStage
    actor: ActorStage
    receipts: ReceiptStage
    detector: DetectorStage  # of the modular peer
    tuning: ReceiptStage  # the receipt decoder on the tracks its own eyes make
    # Training draws ticks near events far more often than they come; log odds that undo it, chosen on validation's
    # receipts (dev/LOG.md).
    quiet: float = 2.2
    threads: int = 2


def load_recipe(path: Path) -> Recipe:
    """The recipe that a file's function `recipe()` returns; raises ModelError when there is none."""
    fix = "give a Python file with a function recipe() -> Recipe, such as recipes/small_cpu.py"
    spec = importlib.util.spec_from_file_location("openaisle_recipe", path)
    if not path.is_file() or spec is None or spec.loader is None:
        raise ModelError([Problem(str(path), "file", "is not a recipe", fix)])
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    function = getattr(module, "recipe", None)
    recipe = function() if callable(function) else None
    if not isinstance(recipe, Recipe):
        raise ModelError([Problem(str(path), "recipe()", "does not return a Recipe", fix)])
    return recipe
