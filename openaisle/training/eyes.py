"""The network in training as a Predictor: the same pipeline runs it before there is any export."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from openaisle.model.graphs import VOTE_NAMES, Foundation, graphs_of
from openaisle.model.memory import memory_names
from openaisle.predictor import Arrays, GraphPredictor
from openaisle.tokens.padding import TICK_INPUTS

INPUTS = {
    "pictures": ("pictures",),
    "look": ("pixels", "background", "rays", "cells", "mask", "anchor", "frame"),
    "remember": (*VOTE_NAMES, "view", *(f"memory_{name}" for name in memory_names()), "dt_s"),
    "heatmap": ("now", "before", "features"),
    "glance": ("now", "before", "features"),
    "shelf_pictures": ("pictures",),
    "shelf": ("before", "after", "area", "features", "vectors", "product"),
    "actor": ("frames", "area", "features"),
    "write": TICK_INPUTS,
}


class TorchPredictor(GraphPredictor):
    """Weights in memory behind the pipeline."""

    def __init__(self, network: Foundation) -> None:
        config = network.config
        super().__init__(config.name, (config.appearance_width, config.product_width))
        self.graphs = graphs_of(network)

    def call(self, graph: str, feed: Arrays) -> list[NDArray[np.generic]]:
        """Run one graph."""
        with torch.no_grad():
            out = self.graphs[graph](*(torch.from_numpy(np.asarray(feed[name], order="C")) for name in INPUTS[graph]))
        return [value.numpy() for value in (out if isinstance(out, tuple) else (out,))]
