"""Weights on disk: safetensors with the network's configuration in the header; no pickle."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from openaisle.errors import ModelError, Problem
from openaisle.model.config import config_from_dict
from openaisle.model.detector import DetectorNetwork
from openaisle.model.graphs import Foundation, new_foundation
from openaisle.predictor import MODEL_VERSION

DETECTOR_KIND = "detector"  # in the header
ROUNDED = ("heatmap", "glance", "shelf", "actor")


def save_weights(network: Foundation, path: Path) -> None:
    """All weights as safetensors with the configuration in the header; in half the space where that loses nothing."""
    tensors = {
        f"{name}.{key}": compact(value.detach().contiguous().clone())
        for name, module in network.modules().items()
        for key, value in module.state_dict().items()
        if not (name == "memory" and key.startswith("fusion."))
    }
    save_file(
        tensors, str(path), metadata={"config": json.dumps(network.config.as_dict()), "version": str(MODEL_VERSION)}
    )


def compact(value: Tensor) -> Tensor:
    """A tensor in 16 bits where it is the same, as that of a network that was `rounded`."""
    half = value.half() if value.dtype == torch.float32 else value
    return half if torch.equal(half.to(value.dtype), value) else value


def rounded(network: Foundation) -> None:
    """Weights of the convolutional parts to 11 bits, in place: far less than training moves them by in a step."""
    for name in ROUNDED:
        for value in network.modules()[name].state_dict().values():
            if value.dtype == torch.float32 and value.ndim > 1:
                value.copy_(value.half())


def save_detector(network: DetectorNetwork, path: Path) -> None:
    """The modular peer's detector as safetensors; in half the space where that loses nothing."""
    tensors = {key: compact(value.detach().contiguous().clone()) for key, value in network.state_dict().items()}
    save_file(tensors, str(path), metadata={"kind": DETECTOR_KIND, "version": str(MODEL_VERSION)})


def is_detector(path: Path) -> bool:
    """Whether a file holds a detector's weights, and not a network's; raises ModelError when it cannot be read."""
    return _header(path).get("kind") == DETECTOR_KIND


def load_detector(path: Path) -> DetectorNetwork:
    """Read a detector's weights; raises ModelError when the file is no detector of this version."""
    problem = Problem(str(path), "file", "holds no detector of this version", "train it, or fetch its weights again")
    if not is_detector(path):
        raise ModelError([problem])
    network = DetectorNetwork()
    try:
        network.load_state_dict(load_file(str(path)))
    except RuntimeError as error:  # names or shapes
        raise ModelError([problem]) from error
    return network


def _header(path: Path) -> dict[str, str]:
    try:
        with safe_open(str(path), framework="pt") as file:
            return dict(file.metadata() or {})
    except (OSError, SafetensorError) as error:
        raise ModelError(
            [Problem(str(path), "file", f"cannot be read: {error}", "train, or fetch the weights again")]
        ) from error


def load_weights(path: Path) -> Foundation:
    """Read weights; raises ModelError when the file is missing, corrupt or of another version."""
    header, tensors = _header(path), load_file(str(path))
    if header.get("version") != str(MODEL_VERSION):
        told = f"is of version {header.get('version', 'none')}, this code reads {MODEL_VERSION}"
        raise ModelError([Problem(str(path), "version", told, "train, or fetch the weights again")])
    network = new_foundation(config_from_dict(json.loads(header.get("config", "{}")), str(path)))
    for name, module in network.modules().items():
        own = {key[len(name) + 1 :]: value for key, value in tensors.items() if key.startswith(f"{name}.")}
        mine = module.state_dict()
        needed = {key for key in mine if not (name == "memory" and key.startswith("fusion."))}
        wrong = sorted(needed ^ own.keys()) + [key for key in own if key in mine and own[key].shape != mine[key].shape]
        if wrong:
            raise ModelError(
                [Problem(str(path), f"{name}.{wrong[0]}", "does not match the network", "use matching weights")]
            )
        module.load_state_dict(own, strict=False)
    return network
