"""The network in the shop: ONNX Runtime behind the Predictor protocol, without torch."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from openaisle.errors import ModelError, Problem
from openaisle.predictor import Arrays, Float32, Predictor, TickView, VisualTokens, WrittenEvent
from openaisle.tokens.padding import TICK_INPUTS, pad_ticks

WEIGHTS = Path(__file__).parent / "weights"
GRAPHS = ("pictures", "look", "remember", "write")
LOOK_BATCHES = 4  # images are sorted by token count and padded in this many groups
MIN_CONFIDENCE = 0.0


class OnnxPredictor:
    """A model folder on ONNX Runtime."""

    def __init__(self, folder: Path, threads: int = 1) -> None:
        document = read_model(folder)
        config = document["config"]
        assert isinstance(config, dict)
        self.name = str(config["name"])
        self.widths = (int(config["appearance_width"]), int(config["product_width"]))
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self.graphs = {
            name: ort.InferenceSession(str(folder / f"{name}.onnx"), options, providers=["CPUExecutionProvider"])
            for name in GRAPHS
        }
        self.vote_names = [output.name for output in self.graphs["look"].get_outputs()]
        self.memory_names = [o.name.removeprefix("after_") for o in self.graphs["remember"].get_outputs()][:-1]

    def embed_catalogue(self, pictures: NDArray[np.uint8]) -> Float32:
        """Picture vectors [products, E]."""
        if not len(pictures):
            return np.zeros((0, self.widths[1]), dtype=np.float32)
        vectors: Float32 = self.graphs["pictures"].run(None, {"pictures": pictures})[0]
        return vectors

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
            for name in self.vote_names:
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
        values = self.graphs["look"].run(None, feed)
        named = {n: v.reshape(len(images), longest, *v.shape[1:]) for n, v in zip(self.vote_names, values, strict=True)}
        return [(s, rows, {n: v[i, : len(rows)] for n, v in named.items()}) for i, (s, rows) in enumerate(images)]

    def _no_votes(self, name: str) -> Float32:
        shape = next(o.shape for o in self.graphs["look"].get_outputs() if o.name == name)
        return np.zeros((0, *(d if isinstance(d, int) else 1 for d in shape[1:])), dtype=np.float32)

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
            "appearance": np.zeros((q, appearance), f32), "held": np.zeros((q, 2), f32), "product": np.zeros((q, 2, product), f32),
            "activity": np.full((q, 8), 0.125, f32), "mass": np.zeros(q, f32),
        }  # fmt: skip

    def remember(self, votes: Arrays, memory: Arrays, dt_s: float) -> tuple[Arrays, Float32]:
        """Memory after one slot and the attention of its tokens."""
        feed = {
            **{n: votes[n] for n in (*self.vote_names, "view")},
            **{f"memory_{n}": memory[n] for n in self.memory_names},
        }
        feed["dt_s"] = np.array(dt_s, dtype=np.float32)
        wanted = {i.name for i in self.graphs["remember"].get_inputs()}  # unused inputs are pruned from the graph
        values = self.graphs["remember"].run(None, {k: v for k, v in feed.items() if k in wanted})
        return dict(zip(self.memory_names, values[:-1], strict=True)), values[-1]

    def write(self, view: TickView) -> list[WrittenEvent]:
        """The tick's events, greedily decoded."""
        arrays = pad_ticks([view.features])
        kind, lane, shopper, product, quantity, receiver, sure = self.graphs["write"].run(
            None, {n: arrays[n] for n in TICK_INPUTS}
        )
        events: list[WrittenEvent] = []
        lanes = arrays["lanes"].shape[1]
        for x in range(len(kind)):
            if kind[x] == 0:
                break
            at = int(view.features.lane[lane[x]]) if kind[x] != 3 else -1
            named = int(
                view.features.lane_product[product[x]]
                if product[x] < lanes
                else view.features.basket_product[product[x] - lanes]
            )
            if named >= 0 and sure[x] >= MIN_CONFIDENCE:
                to = int(receiver[x]) if kind[x] == 3 else -1
                events.append(
                    WrittenEvent(int(kind[x]), at, int(shopper[x]), named, int(quantity[x]) + 1, to, float(sure[x]))
                )
        return events


def read_model(folder: Path) -> dict[str, object]:
    """model.json of a model folder; raises ModelError naming what is missing or of another version."""
    path = folder / "model.json"
    fix = "name a shipped model (small, rule) or a folder written by `aisle export`"
    try:
        document: dict[str, object] = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise ModelError([Problem(str(path), "file", f"cannot be read ({error})", fix)]) from error
    missing = [f"{name}.onnx" for name in GRAPHS if not (folder / f"{name}.onnx").exists()]
    if document.get("version") != 1 or missing:
        raise ModelError(
            [Problem(str(folder), ", ".join(missing) or "version", "is not a complete model of this version", fix)]
        )
    return document


def load_predictor(name_or_path: str, threads: int = 1) -> Predictor:
    """A model by name (small, rule) or folder; raises ModelError when there is none."""
    from openaisle.edge.rule import RulePredictor

    if name_or_path == "rule" or name_or_path.startswith("rule:"):
        folder = name_or_path.partition(":")[2]
        return RulePredictor(OnnxPredictor(Path(folder) if folder else WEIGHTS / "small", threads))
    folder_path = WEIGHTS / name_or_path if (WEIGHTS / name_or_path).is_dir() else Path(name_or_path)
    return OnnxPredictor(folder_path, threads)
