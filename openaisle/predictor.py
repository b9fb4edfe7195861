"""What the pipeline asks of any model: the same calls for PyTorch, ONNX, int8, the rule and the modular peer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from openaisle.tokens.journey import LaneTable, TickFeatures, TrackWindow
from openaisle.tokens.scales import ScaleWindow

Float32 = NDArray[np.float32]
Arrays = dict[str, NDArray[np.generic]]


@dataclass(frozen=True)
class VisualTokens:
    """T patches of one slot (all cameras), ready for the trunk."""

    pixels: NDArray[np.uint8]  # [T, 768]
    background: NDArray[np.uint8]  # [T, 768]
    rays: Float32  # [T, R]
    cells: NDArray[np.int64]  # [T, 2]
    anchor: Float32  # [T, 3]
    frame: Float32  # [T, 3, 3]
    camera: NDArray[np.int64]  # [T]


@dataclass(frozen=True)
class TickView:
    """All there is to decide one tick."""

    table: LaneTable
    window: ScaleWindow
    tracks: TrackWindow
    features: TickFeatures


@dataclass(frozen=True)
class WrittenEvent:
    """One decoded event, as indices: kind into KINDS, lane and product of the store, shopper and receiver rows."""

    kind: int
    lane: int  # -1 for a hand-over
    shopper: int
    product: int
    quantity: int
    receiver: int  # -1 unless a hand-over
    confidence: float


class Predictor(Protocol):
    """A model behind the pipeline."""

    name: str

    def embed_catalogue(self, pictures: NDArray[np.uint8]) -> Float32:
        """Picture vectors [products, E]."""
        ...

    def look(self, slots: list[VisualTokens]) -> list[Arrays]:
        """Votes of each slot's tokens (the trunk)."""
        ...

    def place(self, floor_m: Float32, spread_m: float) -> Arrays:
        """Fresh memory rows for shoppers at floor points [Q, 2]."""
        ...

    def remember(self, votes: Arrays, memory: Arrays, dt_s: float) -> tuple[Arrays, Float32]:
        """Memory after one slot and the attention [T, Q + 1] of tokens to shoppers and to nobody."""
        ...

    def write(self, view: TickView) -> list[WrittenEvent]:
        """The tick's events, in order."""
        ...
