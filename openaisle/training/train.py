"""A recipe from nothing to weights, stage by stage; every stage resumes where it was cut.

prepare frames, windows, shelves, events and journeys → vision → hand heat maps → glance → shelf look → actor look →
receipts on true geometry → follow rendered visits with the trained eyes → tune the receipts on those tracks → weights.
Apart from all that, from frames of its own: the modular peer's detector.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from openaisle.errors import ModelError, Problem
from openaisle.model.detector import DetectorNetwork
from openaisle.model.graphs import Foundation, new_foundation
from openaisle.training.actor import train_actor
from openaisle.training.detector import train_detector
from openaisle.training.frames import ShardSpec
from openaisle.training.glance import train_glance
from openaisle.training.heatmap import train_heatmap
from openaisle.training.prepare import prepare, specs
from openaisle.training.receipts import train_receipts
from openaisle.training.recipe import DataPlan, Recipe
from openaisle.training.shelf import train_shelf
from openaisle.training.vision import train_vision
from openaisle.training.weights import save_detector, save_weights

DETECTION_SCENARIOS = ("neighbours", "crowd", "group", "neighbours", "crowd", "indecisive", "return", "crowd")
CROWD_EVERY_S, DETECTION_EVERY_S = 12.0, 6.0  # between two sampled instants
TRACKED_SHARE = 0.2  # of the ticks in the tuning stage: a few tracked visits are soon known by heart


def train(recipe: Recipe, folder: Path) -> Foundation:
    """Run a recipe; data, checkpoints and weights.safetensors go to `folder`. `aisle export` makes a model of them."""
    check_device(recipe)
    torch.set_num_threads(1)  # two threads were slower than one at these sizes (dev/LOG.md); the data use all cores
    torch.manual_seed(0)
    network = new_foundation(recipe.network)
    data = recipe.data
    frames = prepare("frames", frame_specs(data), folder / "frames", recipe.threads)
    held_frames = prepare("frames", held_out_specs(data, 12, 100), folder / "frames", recipe.threads)
    glances = prepare("glances", glance_specs(data), folder / "glances", recipe.threads)
    held_glances = prepare("glances", held_out_specs(data, 12, 500), folder / "glances", recipe.threads)
    bodies = prepare("bodies", body_specs(data), folder / "bodies", recipe.threads)
    held_bodies = prepare("bodies", held_out_specs(data, 12, 700), folder / "bodies", recipe.threads)
    shelves = prepare("shelves", shelf_specs(data), folder / "shelves", recipe.threads)
    held_shelves = prepare("shelves", held_out_specs(data, 14, 450), folder / "shelves", recipe.threads)
    journeys = prepare("journeys", journey_specs(data), folder / "journeys", recipe.threads)
    held_journeys = prepare("journeys", held_out_specs(data, data.held_out, 0), folder / "journeys", recipe.threads)
    actors = prepare("actors", actor_specs(data), folder / "actors", recipe.threads)
    held_actors = prepare("actors", held_out_specs(data, 40, 500), folder / "actors", recipe.threads)
    runs = folder / "runs"
    train_vision(network.vision, recipe.vision, frames, held_frames, runs)
    train_heatmap(network.heatmap, recipe.heatmap, bodies, held_bodies, runs)
    train_glance(network.glance, recipe.glance, glances, held_glances, runs)
    train_shelf(network.shelf, recipe.shelf, shelves, held_shelves, runs)
    network.actor.start_from(network.heatmap)
    train_actor(network.actor, recipe.actor, actors, held_actors, runs)
    train_receipts(network.receipt, recipe.receipts, journeys, held_journeys, runs, encoder=network.glance.pictures)
    eyes = folder / "eyes.safetensors"
    if not eyes.exists():
        save_weights(network, eyes)
    tracked = prepare("tracked", tracked_specs(data), folder / "tracked", recipe.threads, eyes)
    held_tracked = prepare("tracked", held_out_specs(data, 12, 200), folder / "tracked", recipe.threads, eyes)
    tune(network, recipe, (tracked, held_tracked, journeys), runs)
    save_weights(network, folder / "weights.safetensors")
    train_peer(recipe, folder)
    return network


def train_peer(recipe: Recipe, folder: Path) -> DetectorNetwork:
    """The modular peer's detector, which shares nothing with the network; weights go to detector.safetensors."""
    data, made = recipe.data, folder / "detections"
    shots, held = detection_specs(data), held_out_specs(data, 10, 900)
    prepare("frames", [*shots, *held], made, recipe.threads)
    seen, held_seen = (
        [(path, spec) for spec in wanted if (path := made / f"frames-{spec.seed:06d}.npz").exists()]
        for wanted in (shots, held)
    )
    torch.manual_seed(recipe.detector.seed)  # whatever else was trained before
    detector = DetectorNetwork()
    train_detector(detector, recipe.detector, seen, held_seen, folder / "runs")
    save_detector(detector, folder / "detector.safetensors")
    return detector


def check_device(recipe: Recipe) -> None:
    """Raise ModelError where a stage's device is not there: before anything is simulated, not hours later."""
    device = recipe.heatmap.device
    if torch.device(device).type == "cuda" and not torch.cuda.is_available():
        fix = 'train on a machine with a GPU, or with device="cpu" and a smaller capacity'
        raise ModelError([Problem(recipe.name, "heatmap.device", f"{device} is not there", fix)])


def tune(network: Foundation, recipe: Recipe, records: tuple[list[Path], list[Path], list[Path]], runs: Path) -> None:
    """The receipt decoder on its own eyes' tracks, and on many more true journeys with the errors of those tracks.

    records: tracked, held out, journeys.
    """
    tracked, held_out, journeys = records
    times = max(1, round(TRACKED_SHARE / (1 - TRACKED_SHARE) * len(journeys) / max(1, len(tracked))))
    encoder = network.glance.pictures
    train_receipts(network.receipt, recipe.tuning, tracked * times + journeys, held_out, runs, "tuning", encoder)
    network.receipt.decoder.quiet.fill_(recipe.quiet)


def frame_specs(data: DataPlan) -> list[ShardSpec]:
    """Rendered single instants."""
    wanted = specs(data.first_seed, data.frames, data.scenarios, data.corner_share)
    return [replace(spec, every_s=data.every_s) for spec in wanted]


def glance_specs(data: DataPlan) -> list[ShardSpec]:
    """Windows around hands; other stores than the frames."""
    return specs(data.first_seed + 60_000, data.glances, data.scenarios, data.corner_share)


def body_specs(data: DataPlan) -> list[ShardSpec]:
    """Windows around bodies; other stores again."""
    return specs(data.first_seed + 80_000, data.bodies, data.scenarios, data.corner_share)


def shelf_specs(data: DataPlan) -> list[ShardSpec]:
    """Lanes before and after changes; other stores again."""
    return specs(data.first_seed + 129_000, data.shelves, data.scenarios, data.corner_share)


def actor_specs(data: DataPlan) -> list[ShardSpec]:
    """Events with company; other stores again."""
    return specs(data.first_seed + 399_000, data.actors, data.scenarios, data.corner_share)


def journey_specs(data: DataPlan) -> list[ShardSpec]:
    """True geometry; other stores than the frames."""
    return specs(data.first_seed + 20_000, data.journeys, data.scenarios, data.corner_share)


def tracked_specs(data: DataPlan) -> list[ShardSpec]:
    """Closed loop; other stores again, so that the eyes have not seen them."""
    return specs(data.first_seed + 40_000, data.tracked, data.scenarios, data.corner_share)


def detection_specs(data: DataPlan) -> list[ShardSpec]:
    """Rendered single instants for the modular peer's detector, many of them of crowds; other stores again."""
    wanted = specs(data.first_seed + 300_000, data.detections, DETECTION_SCENARIOS, data.corner_share)
    return [replace(spec, every_s=CROWD_EVERY_S if spec.scenario == "crowd" else DETECTION_EVERY_S) for spec in wanted]


def held_out_specs(data: DataPlan, count: int, offset: int) -> list[ShardSpec]:
    """Validation stores."""
    suites = ("solo", "multiples", "return", "neighbours")
    return specs(data.held_out_seed + offset, count, suites, data.corner_share)
