"""What the pipeline asks of any model: the same calls for PyTorch, ONNX, int8, the rule and the modular peer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from openaisle.tokens.journey import ACTIVITIES, KINDS, LaneTable, TickFeatures, TrackWindow
from openaisle.tokens.padding import TICK_INPUTS, pad_ticks
from openaisle.tokens.patches import Patches
from openaisle.tokens.rays import RAY_FEATURES, RayTable
from openaisle.tokens.scales import ScaleWindow

MODEL_VERSION = 6  # of weights and exported models: files of another version do not fit this code
HAND_OVER = KINDS.index("hand_over")
LOOK_BATCHES = 4  # images are sorted by token count and padded in this many groups
VOTE_NAMES = (
    "person", "floor_mean", "floor_information", "hand_mean", "hand_information", "head_mean", "head_information",
    "appearance", "hand_seen", "activity",
)  # fmt: skip
MEMORY_NAMES = (
    "floor", "floor_variance", "velocity", "hands", "hand_variance", "head", "appearance", "activity",
    "mass",
)  # fmt: skip
SHELF_NAMES = ("named", "changed", "net")
GLANCE_NAMES = ("offset", "log_sd", "seen", "item", "holds", "product")
Float32 = NDArray[np.float32]
UInt8 = NDArray[np.uint8]
Value = TypeVar("Value", bound=np.generic)
Arrays = dict[str, NDArray[np.generic]]


def floats(values: NDArray[np.generic]) -> Float32:
    """One of a network's arrays as the float32 that it is; no copy."""
    return np.asarray(values, dtype=np.float32)


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
    people: tuple[float, ...] = ()  # chance of each row to be the shopper; () = not told
    ago_s: float = 0.0  # how long before the tick's middle it happened


@dataclass(frozen=True)
class ShelfWindows:
    """W clear views of one lane before and after something may have happened (tokens/shelf.py)."""

    before: UInt8  # [W, 32, 32, 3]
    after: UInt8  # [W, 32, 32, 3]
    area: UInt8  # [W, 32, 32]
    features: Float32  # [W, SHELF_FEATURES]
    product: int  # the lane's own


@dataclass(frozen=True)
class ShelfLook:
    """What left the lane and what came, by all views together; K products."""

    named: Float32  # [2, K] log-probability over the catalogue, of what left and of what came
    changed: Float32  # [2] log-odds that something left, came
    net: Float32  # [SHELF_CHANGES] log-probability of so many units more of the lane's own product


class Predictor(Protocol):
    """A model behind the pipeline."""

    name: str
    settles: bool  # whether settled scales and shelves correct what it writes (settle.py)
    writes: bool  # whether it writes events at all: then what it did not write of speaks against it

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

    def heatmaps(self, now: UInt8, before: UInt8, features: Float32) -> Float32:
        """Windows [W] around bodies → log-probabilities [W, 2, cells + 1] of both hands' places (model/heatmap.py)."""
        ...

    def glance(self, now: UInt8, before: UInt8, features: Float32) -> dict[str, Float32]:
        """Windows [W] around believed hands: GLANCE_NAMES → what each says (model/glance.py)."""
        ...

    def embed_shelves(self, pictures: NDArray[np.uint8]) -> Float32:
        """Picture vectors [products, E] for `look_at_shelf`."""
        ...

    def look_at_shelf(self, windows: ShelfWindows, vectors: Float32) -> ShelfLook:
        """What changed in a lane (model/shelf.py)."""
        ...

    def actor(self, frames: UInt8, area: UInt8, features: Float32) -> Float32 | None:
        """Windows [W] of one event → log-chances [W, 2, 2306] of where head and hand of whoever it was are.

        See model/actor.py. None = it cannot tell.
        """
        ...

    def write(self, view: TickView) -> list[WrittenEvent]:
        """The tick's events, in order."""
        ...


class Borrowed:
    """Eyes of another predictor, for those that only decide otherwise; what they write stands."""

    settles = False
    writes = True

    def __init__(self, eyes: Predictor, name: str) -> None:
        self.eyes = eyes
        self.name = name

    def embed_catalogue(self, pictures: NDArray[np.uint8]) -> Float32:
        """As the eyes do."""
        return self.eyes.embed_catalogue(pictures)

    def look(self, slots: list[VisualTokens]) -> list[Arrays]:
        """As the eyes do."""
        return self.eyes.look(slots)

    def place(self, floor_m: Float32, spread_m: float) -> Arrays:
        """As the eyes do."""
        return self.eyes.place(floor_m, spread_m)

    def remember(self, votes: Arrays, memory: Arrays, dt_s: float) -> tuple[Arrays, Float32]:
        """As the eyes do."""
        return self.eyes.remember(votes, memory, dt_s)

    def heatmaps(self, now: NDArray[np.uint8], before: NDArray[np.uint8], features: Float32) -> Float32:
        """As the eyes say."""
        return self.eyes.heatmaps(now, before, features)

    def glance(self, now: NDArray[np.uint8], before: NDArray[np.uint8], features: Float32) -> dict[str, Float32]:
        """As the eyes do."""
        return self.eyes.glance(now, before, features)

    def embed_shelves(self, pictures: NDArray[np.uint8]) -> Float32:
        """As the eyes do."""
        return self.eyes.embed_shelves(pictures)

    def look_at_shelf(self, windows: ShelfWindows, vectors: Float32) -> ShelfLook:
        """As the eyes say."""
        return self.eyes.look_at_shelf(windows, vectors)

    def actor(self, frames: UInt8, area: UInt8, features: Float32) -> Float32 | None:
        """Hands alone tell who it was."""
        return None


def visual_tokens(patches: list[Patches], tables: Sequence[RayTable]) -> VisualTokens:
    """Patches of one slot with their rays."""
    rays = [tables[p.camera] for p in patches]
    cells = [(p.cells[:, 0], p.cells[:, 1]) for p in patches]
    frames = [
        np.broadcast_to(r.world_from_horizontal, (len(p.cells), 3, 3)) for r, p in zip(rays, patches, strict=True)
    ]
    return VisualTokens(
        join([p.pixels.reshape(-1, 768) for p in patches], np.zeros((0, 768), np.uint8)),
        join([p.background.reshape(-1, 768) for p in patches], np.zeros((0, 768), np.uint8)),
        join([r.features[c] for r, c in zip(rays, cells, strict=True)], np.zeros((0, RAY_FEATURES), np.float32)),
        join([p.cells.astype(np.int64) for p in patches], np.zeros((0, 2), np.int64)),
        join([r.anchor_m[c] for r, c in zip(rays, cells, strict=True)], np.zeros((0, 3), np.float32)),
        join(frames, np.zeros((0, 3, 3), np.float32)),
        join([np.full(len(p.cells), p.camera, np.int64) for p in patches], np.zeros(0, np.int64)),
    )


def join(parts: list[NDArray[Value]], empty: NDArray[Value]) -> NDArray[Value]:
    """All parts in one array; `empty` when there are none."""
    return np.concatenate(parts) if parts else empty


class GraphPredictor(ABC):
    """A network as nine calls (model/graphs.py), whatever runs them; batches, pads."""

    settles = True
    writes = True

    def __init__(self, name: str, widths: tuple[int, int]) -> None:
        self.name = name
        self.widths = widths  # of appearance and product vectors

    @abstractmethod
    def call(self, graph: str, feed: Arrays) -> list[NDArray[np.generic]]:
        """Run one graph: named arrays in, arrays out in the graph's order."""

    def embed_catalogue(self, pictures: NDArray[np.uint8]) -> Float32:
        """Picture vectors [products, E]."""
        if not len(pictures):
            return np.zeros((0, self.widths[1]), dtype=np.float32)
        return floats(self.call("pictures", {"pictures": pictures})[0])

    def look(self, slots: list[VisualTokens]) -> list[Arrays]:
        """Votes of each slot's tokens, all images of the tick in a few padded batches."""
        images = [(s, np.flatnonzero(slot.camera == c)) for s, slot in enumerate(slots) for c in np.unique(slot.camera)]
        out: list[Arrays] = [{} for _ in slots]
        parts: list[tuple[int, NDArray[np.int64], Arrays]] = []
        order = sorted(range(len(images)), key=lambda i: len(images[i][1]))
        for group in np.array_split(np.array(order, dtype=np.int64), LOOK_BATCHES):
            if len(group):
                chosen = [images[i] for i in group]
                parts += self._look(slots, chosen)
        for s, slot in enumerate(slots):
            mine = [(rows, votes) for index, rows, votes in parts if index == s]
            rows = np.concatenate([r for r, _ in mine]) if mine else np.zeros(0, dtype=np.int64)
            back = np.argsort(rows, kind="stable")
            for name in VOTE_NAMES:
                joined = np.concatenate([votes[name] for _, votes in mine]) if mine else self._no_votes(name)
                out[s][name] = joined[back]
            cameras = np.unique(slot.camera)
            out[s]["view"] = (slot.camera[:, None] == cameras[None, :]).astype(np.float32)
        return out

    def _look(
        self, slots: list[VisualTokens], images: Sequence[tuple[int, NDArray[np.int64]]]
    ) -> list[tuple[int, NDArray[np.int64], Arrays]]:
        longest = max(len(rows) for _, rows in images)
        feed: dict[str, NDArray[np.generic]] = {}
        for name in ("pixels", "background", "rays", "cells", "anchor", "frame"):
            first = getattr(slots[images[0][0]], name)
            padded = np.zeros((len(images), longest, *first.shape[1:]), dtype=first.dtype)
            for i, (s, rows) in enumerate(images):
                padded[i, : len(rows)] = getattr(slots[s], name)[rows]
            feed[name] = padded
        counts = np.array([len(rows) for _, rows in images])
        feed["mask"] = np.arange(longest)[None] < counts[:, None]
        values = self.call("look", feed)
        named = {n: v.reshape(len(images), longest, *v.shape[1:]) for n, v in zip(VOTE_NAMES, values, strict=True)}
        return [(s, rows, {n: v[i, : len(rows)] for n, v in named.items()}) for i, (s, rows) in enumerate(images)]

    def _no_votes(self, name: str) -> Float32:
        return np.zeros((0, *vote_shapes(self.widths[0])[name]), dtype=np.float32)

    def place(self, floor_m: Float32, spread_m: float) -> Arrays:
        """Fresh memory rows at floor points [Q, 2]."""
        q, f32 = len(floor_m), np.float32
        at = np.concatenate([floor_m, np.full((q, 1), 0.9)], axis=1).astype(f32)
        appearance, product = self.widths
        return {
            "floor": floor_m.astype(f32), "floor_variance": np.tile(np.eye(2, dtype=f32) * spread_m**2, (q, 1, 1)),
            "velocity": np.zeros((q, 2), f32), "hands": np.repeat(at[:, None], 2, axis=1),
            "hand_variance": np.tile(np.eye(3, dtype=f32) * 0.09, (q, 2, 1, 1)),
            "head": np.concatenate([floor_m, np.full((q, 1), 1.6)], axis=1).astype(f32),
            "appearance": np.zeros((q, appearance), f32), "held": np.zeros((q, 2), f32),
            "product": np.zeros((q, 2, product), f32),
            "activity": np.full((q, 8), 0.125, f32), "mass": np.zeros(q, f32),
        }  # fmt: skip

    def remember(self, votes: Arrays, memory: Arrays, dt_s: float) -> tuple[Arrays, Float32]:
        """Memory after one slot and the attention of its tokens."""
        feed = {
            **{n: votes[n] for n in (*VOTE_NAMES, "view")},
            **{f"memory_{n}": memory[n] for n in MEMORY_NAMES},
        }
        feed["dt_s"] = np.array(dt_s, dtype=np.float32)
        values = self.call("remember", feed)
        return {**memory, **dict(zip(MEMORY_NAMES, values[:-1], strict=True))}, floats(values[-1])

    def heatmaps(self, now: UInt8, before: UInt8, features: Float32) -> Float32:
        """Where the hands of windows' owners are."""
        return floats(self.call("heatmap", {"now": now, "before": before, "features": features})[0])

    def glance(self, now: UInt8, before: UInt8, features: Float32) -> dict[str, Float32]:
        """What windows around believed hands say."""
        values = self.call("glance", {"now": now, "before": before, "features": features})
        return {name: floats(value) for name, value in zip(GLANCE_NAMES, values, strict=True)}

    def embed_shelves(self, pictures: NDArray[np.uint8]) -> Float32:
        """Picture vectors for the shelf look."""
        if not len(pictures):
            return np.zeros((0, self.widths[1]), dtype=np.float32)
        return floats(self.call("shelf_pictures", {"pictures": pictures})[0])

    def look_at_shelf(self, windows: ShelfWindows, vectors: Float32) -> ShelfLook:
        """What changed in a lane."""
        feed: Arrays = {
            "before": windows.before, "after": windows.after, "area": windows.area, "features": windows.features,
            "vectors": vectors, "product": np.array(windows.product, dtype=np.int64),
        }  # fmt: skip
        named, changed, net = self.call("shelf", feed)
        return ShelfLook(floats(named), floats(changed), floats(net))

    def actor(self, frames: UInt8, area: UInt8, features: Float32) -> Float32 | None:
        """Where head and hand of whoever moved something are."""
        return floats(self.call("actor", {"frames": frames, "area": area, "features": features})[0])

    def write(self, view: TickView) -> list[WrittenEvent]:
        """The tick's events, greedily decoded."""
        arrays = pad_ticks([view.features])
        said = self.call("write", {n: arrays[n] for n in TICK_INPUTS})
        kind, lane, shopper, product, quantity, receiver, sure, people = said
        events: list[WrittenEvent] = []
        told: set[tuple[int, int, int, int]] = set()  # a tick names each event once, with all its units
        places, products = pointed_at(view.features, (arrays["lanes"].shape[1], arrays["baskets"].shape[1]))
        for x in range(len(kind)):
            if kind[x] == 0:
                break
            over = int(kind[x]) == HAND_OVER
            at, named = -1 if over else int(places[lane[x]]), int(products[product[x]])
            key = (int(kind[x]), at, int(shopper[x]), named)
            if named < 0 or (at < 0 and not over) or key in told:
                continue  # where nothing is to point at, the pointer still points
            told.add(key)
            to, chance = int(receiver[x]) if over else -1, min(1.0, float(sure[x]))
            who = tuple(floats(people[x])[: len(view.features.shoppers)].tolist())
            events.append(WrittenEvent(int(kind[x]), at, int(shopper[x]), named, int(quantity[x]) + 1, to, chance, who))
        return events


def pointed_at(features: TickFeatures, padded: tuple[int, int]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """What the decoder's pointers mean, -1 = nothing: store lanes [L], products [L + K], for padded sizes L and K."""
    lanes, baskets = padded
    places, products = np.full(lanes, -1, dtype=np.int32), np.full(lanes + baskets, -1, dtype=np.int32)
    places[: len(features.lane)], products[: len(features.lane)] = features.lane, features.lane_product
    products[lanes : lanes + len(features.basket_product)] = features.basket_product
    return places, products


def vote_shapes(appearance: int) -> dict[str, tuple[int, ...]]:
    """Shape of one token's votes by name."""
    return {
        "person": (), "floor_mean": (2,), "floor_information": (2, 2),
        "hand_mean": (2, 3), "hand_information": (2, 3, 3), "head_mean": (3,), "head_information": (3, 3),
        "appearance": (appearance,), "hand_seen": (2,), "activity": (ACTIVITIES,),
    }  # fmt: skip
