"""A recipe from nothing to weights, stage by stage; every stage resumes where it was cut.

prepare frames and journeys → vision → receipts on true geometry → follow rendered visits with the trained eyes →
tune the receipts on those tracks → weights.safetensors.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from openaisle.model.graphs import Foundation, new_foundation
from openaisle.training.frames import ShardSpec
from openaisle.training.prepare import prepare, specs
from openaisle.training.receipts import train_receipts
from openaisle.training.recipe import DataPlan, Recipe
from openaisle.training.vision import train_vision
from openaisle.training.weights import save_weights

TRACKED_SHARE = 0.5  # of the ticks in the tuning stage


def train(recipe: Recipe, folder: Path) -> Foundation:
    """Run a recipe; data, checkpoints and weights.safetensors go to `folder`. `aisle export` makes a model of them."""
    torch.set_num_threads(1)  # two threads were slower than one at these sizes (dev/LOG.md); the data use all cores
    torch.manual_seed(0)
    network = new_foundation(recipe.network)
    data = recipe.data
    frames = prepare("frames", frame_specs(data), folder / "frames", recipe.threads)
    held_frames = prepare("frames", held_out_specs(data, 12, 100), folder / "frames", recipe.threads)
    journeys = prepare("journeys", journey_specs(data), folder / "journeys", recipe.threads)
    held_journeys = prepare("journeys", held_out_specs(data, data.held_out, 0), folder / "journeys", recipe.threads)
    runs = folder / "runs"
    train_vision(network.vision, recipe.vision, frames, held_frames, runs)
    train_receipts(network.receipt, recipe.receipts, journeys, held_journeys, runs)
    eyes = folder / "eyes.safetensors"
    if not eyes.exists():
        save_weights(network, eyes)
    tracked = prepare("tracked", tracked_specs(data), folder / "tracked", recipe.threads, eyes)
    held_tracked = prepare("tracked", held_out_specs(data, 12, 200), folder / "tracked", recipe.threads, eyes)
    tune(network, recipe, (tracked, held_tracked, journeys), runs)
    save_weights(network, folder / "weights.safetensors")
    return network


def tune(network: Foundation, recipe: Recipe, records: tuple[list[Path], list[Path], list[Path]], runs: Path) -> None:
    """The receipt decoder on its own eyes' tracks, mixed with a third of the true journeys so that it forgets nothing.

    records: tracked, held out, journeys.
    """
    tracked, held_out, journeys = records
    some = journeys[::3]
    times = max(1, round(TRACKED_SHARE / (1 - TRACKED_SHARE) * len(some) / max(1, len(tracked))))
    train_receipts(network.receipt, recipe.tuning, tracked * times + some, held_out, runs, name="tuning")
    network.receipt.decoder.quiet.fill_(recipe.quiet)


def frame_specs(data: DataPlan) -> list[ShardSpec]:
    """Rendered single instants."""
    wanted = specs(data.first_seed, data.frames, data.scenarios, data.corner_share)
    return [replace(spec, every_s=data.every_s) for spec in wanted]


def journey_specs(data: DataPlan) -> list[ShardSpec]:
    """True geometry; other stores than the frames."""
    return specs(data.first_seed + 20_000, data.journeys, data.scenarios, data.corner_share)


def tracked_specs(data: DataPlan) -> list[ShardSpec]:
    """Closed loop; other stores again, so that the eyes have not seen them."""
    return specs(data.first_seed + 40_000, data.tracked, data.scenarios, data.corner_share)


def held_out_specs(data: DataPlan, count: int, offset: int) -> list[ShardSpec]:
    """Validation stores."""
    suites = ("solo", "multiples", "return", "neighbours")
    return specs(data.held_out_seed + offset, count, suites, data.corner_share)
