"""Weights to ONNX: the network as nine graphs that run without torch (GRAPHS in edge/runtime.py).

Files of a model folder: weights.safetensors, pictures.onnx, look.onnx, remember.onnx, heatmap.onnx,
glance.onnx, shelf_pictures.onnx, shelf.onnx, actor.onnx, write.onnx, model.json (sizes, version, training record,
sha256 of every other file).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from openaisle.model.detector import DetectorGraph, DetectorNetwork, output_names
from openaisle.model.graphs import EVENT_NAMES, VOTE_NAMES, Foundation, flat, graphs_of
from openaisle.model.memory import memory_names, new_memory, votes_from_tokens
from openaisle.predictor import GLANCE_NAMES, MODEL_VERSION, SHELF_NAMES
from openaisle.tokens.actor import ACTOR_CELLS, ACTOR_FEATURES, ACTOR_PX, ACTOR_SLOTS
from openaisle.tokens.body import BODY_FEATURES, BODY_PX
from openaisle.tokens.canvas import PICTURE_CHANNELS, PLACE_CHANNELS
from openaisle.tokens.catalogue import PICTURE_PX, PICTURE_SIDES
from openaisle.tokens.glance import WINDOW_FEATURES, WINDOW_PX
from openaisle.tokens.journey import (
    BASKET_FEATURES,
    BASKET_LANE_FEATURES,
    EVENT_FEATURES,
    LANE_FEATURES,
    LOOK_FEATURES,
    PAIR_FEATURES,
    SHOPPER_FEATURES,
)
from openaisle.tokens.padding import TICK_INPUTS
from openaisle.tokens.rays import RAY_FEATURES
from openaisle.tokens.shelf import SHELF_FEATURES, SHELF_PX
from openaisle.training.weights import rounded, save_detector, save_weights


def export(network: Foundation, folder: Path, record: dict[str, str | float]) -> None:
    """Write a model folder; `record` says how the weights came about (recipe, steps, figures). Weights get rounded."""
    folder.mkdir(parents=True, exist_ok=True)
    for module in network.modules().values():
        module.eval()
    rounded(network)  # before both, so that they agree
    save_weights(network, folder / "weights.safetensors")
    with torch.no_grad():
        _export_pictures(network, folder)
        _export_look(network, folder)
        _export_remember(network, folder)
        _export_heatmap(network, folder)
        _export_glance(network, folder)
        _export_shelf(network, folder)
        _export_actor(network, folder)
        _export_write(network, folder)
    files = sorted(path for path in folder.iterdir() if path.suffix in (".onnx", ".safetensors"))
    hashes = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
    document = {"version": MODEL_VERSION, "config": network.config.as_dict(), "record": record, "sha256": hashes}
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
        graphs_of(network)["pictures"],
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
    _save(graphs_of(network)["look"], inputs, folder / "look.onnx", (names, VOTE_NAMES), axes)


def _export_remember(network: Foundation, folder: Path) -> None:
    t, q, views = 7, 3, 2
    tokens = flat(network.vision.trunk(
        torch.zeros(1, t, 768, dtype=torch.uint8), torch.zeros(1, t, 768, dtype=torch.uint8),
        torch.randn(1, t, RAY_FEATURES),
        torch.zeros(1, t, 2, dtype=torch.int64), torch.ones(1, t, dtype=torch.bool),
    ))  # fmt: skip
    votes = votes_from_tokens(
        tokens, torch.randn(t, 3), torch.eye(3).expand(t, 3, 3), torch.eye(views)[torch.arange(t) % views]
    )
    memory = new_memory(torch.randn(q, 2), 0.4, network.config.appearance_width)
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
    axes |= {f"memory_{name}": {0: "q"} for name in memory_names()} | {
        f"after_{name}": {0: "q"} for name in memory_names()
    }
    _save(graphs_of(network)["remember"], inputs, folder / "remember.onnx", (names, outputs), axes)


def _export_heatmap(network: Foundation, folder: Path) -> None:
    windows = torch.zeros(3, BODY_PX, BODY_PX, 3, dtype=torch.uint8)
    names = ("now", "before", "features")
    axes = {name: {0: "w"} for name in (*names, "heat")}
    inputs = [windows, windows, torch.randn(3, BODY_FEATURES)]
    _save(graphs_of(network)["heatmap"], inputs, folder / "heatmap.onnx", (names, ["heat"]), axes)


def _export_glance(network: Foundation, folder: Path) -> None:
    windows = torch.zeros(3, WINDOW_PX, WINDOW_PX, 3, dtype=torch.uint8)
    names = ("now", "before", "features")
    axes = {name: {0: "w"} for name in (*names, *GLANCE_NAMES)}
    inputs = [windows, windows, torch.randn(3, WINDOW_FEATURES)]
    _save(graphs_of(network)["glance"], inputs, folder / "glance.onnx", (names, GLANCE_NAMES), axes)


def _export_shelf(network: Foundation, folder: Path) -> None:
    pictures = torch.zeros(3, PICTURE_SIDES, PICTURE_PX, PICTURE_PX, 3, dtype=torch.uint8)
    axes = {"pictures": {0: "m"}, "vectors": {0: "m"}}
    names = (["pictures"], ["vectors"])
    _save(graphs_of(network)["shelf_pictures"], [pictures], folder / "shelf_pictures.onnx", names, axes)
    windows = torch.zeros(3, SHELF_PX, SHELF_PX, 3, dtype=torch.uint8)
    inputs = [
        windows, windows, windows[..., 0], torch.randn(3, SHELF_FEATURES), torch.randn(4, network.config.product_width),
        torch.tensor(1),
    ]  # fmt: skip
    told = ("before", "after", "area", "features", "vectors", "product")
    axes = {name: {0: "w"} for name in told[:4]} | {"vectors": {0: "k"}, "named": {1: "k"}}
    _save(graphs_of(network)["shelf"], inputs, folder / "shelf.onnx", (told, SHELF_NAMES), axes)


def _export_actor(network: Foundation, folder: Path) -> None:
    frames = torch.zeros(3, ACTOR_PX, ACTOR_PX, 3 * (1 + len(ACTOR_SLOTS)), dtype=torch.uint8)
    area = torch.zeros(3, ACTOR_CELLS, ACTOR_CELLS, dtype=torch.uint8)
    names = ("frames", "area", "features")
    axes = {name: {0: "w"} for name in (*names, "heat")}
    inputs = [frames, area, torch.randn(3, ACTOR_FEATURES)]
    _save(graphs_of(network)["actor"], inputs, folder / "actor.onnx", (names, ["heat"]), axes)


def _export_write(network: Foundation, folder: Path) -> None:
    lanes, shoppers, baskets, events = 4, 3, 5, 2
    sizes = {
        "lanes": (lanes, LANE_FEATURES), "shoppers": (shoppers, SHOPPER_FEATURES),
        "pairs": (shoppers, lanes, PAIR_FEATURES), "baskets": (baskets, BASKET_FEATURES),
        "basket_pairs": (baskets, lanes, BASKET_LANE_FEATURES),
        "basket_looks": (shoppers, baskets, LOOK_FEATURES), "events": (events, EVENT_FEATURES),
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
        name: {1: axis[name.split("_")[0].rstrip("s")]}
        for name in TICK_INPUTS
        if name not in ("pairs", "basket_pairs", "basket_looks")
    }
    axes |= {"pairs": {1: "s", 2: "l"}, "basket_pairs": {1: "k", 2: "l"}, "basket_looks": {1: "s", 2: "k"}}
    _save(
        graphs_of(network)["write"],
        [inputs[name] for name in TICK_INPUTS],
        folder / "write.onnx",
        (TICK_INPUTS, EVENT_NAMES),
        axes,
    )


def export_detector(network: DetectorNetwork, folder: Path, record: dict[str, str | float]) -> None:
    """Write the modular peer's detector: weights.safetensors, detector.onnx and detector.json. Weights get rounded."""
    folder.mkdir(parents=True, exist_ok=True)
    network.eval()
    for value in network.state_dict().values():
        if value.dtype == torch.float32 and value.ndim > 1:
            value.copy_(value.half())
    save_detector(network, folder / "weights.safetensors")
    inputs = [torch.zeros(1, PICTURE_CHANNELS, 96, 64), torch.zeros(1, PLACE_CHANNELS, 6, 4)]
    axes = {"picture": {2: "h", 3: "w"}, "places": {2: "rows", 3: "cols"}} | {
        name: {2: f"{name}_rows", 3: f"{name}_cols"} for name in output_names()
    }
    with torch.no_grad():
        names = (["picture", "places"], output_names())
        _save(DetectorGraph(network), inputs, folder / "detector.onnx", names, axes)
    files = ("detector.onnx", "weights.safetensors")
    hashes = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in files}
    document = {"record": record, "sha256": hashes}
    (folder / "detector.json").write_text(json.dumps(document, indent=1, sort_keys=True) + "\n")
