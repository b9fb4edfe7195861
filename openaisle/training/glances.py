"""Windows around hands for training the glance: simulated instants in which somebody reaches or holds something.

One shard is one simulation. Windows are aimed where a tracker would believe the hand: the truth with noise.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from openaisle.sim.engine import Simulation
from openaisle.sim.render import Rendered, Renderer
from openaisle.sim.scenario import load_scenario
from openaisle.sim.stores import open_store
from openaisle.sim.world import ITEM_ID, PERSON_ID, PERSON_STRIDE, Part, Person, Snapshot
from openaisle.store.geometry import Camera
from openaisle.tokens.catalogue import picture_stack
from openaisle.tokens.glance import Aim, aim, cut_windows
from openaisle.training.frames import (
    REACH_M,
    Compression,
    ShardSpec,
    hand_order,
    person_reach,
    stillness,
    without_people,
)

BUSY_S, IDLE_S = 0.45, 6.0  # mean time between instants with and without a hand that holds or reaches
BELIEF_M, BELIEF_MOST_M = 0.06, 0.22  # deviation of a believed hand along each axis: median and most
HAND_PIXELS, ITEM_PIXELS = 3, 4  # to be seen at all
MASK_CELLS = 16
EXCHANGED_SHARE = 0.7  # of the instants: other products in the hands than the shoppers chose, so that all are seen
UNSEEN_SHARE = 0.4  # of the windows that show neither hand nor item that are kept
Arrays = dict[str, NDArray[np.generic]]


def make_glances(spec: ShardSpec, path: Path) -> int:
    """Simulate, render and write one shard of windows (npz, atomically); returns their number."""
    store = open_store(spec.store, spec.seed)
    simulation = Simulation(store, load_scenario(spec.scenario), spec.seed)
    renderer = Renderer(store, simulation.items.product, seed=spec.seed)
    rng = np.random.default_rng(spec.seed)
    compression = Compression(len(store.cameras), rng)
    empties: dict[int, tuple[bytes, NDArray[np.uint8]]] = {}
    parts: list[Arrays] = []
    for told in busy_snapshots(simulation, rng):
        snapshot = exchanged(told, rng) if rng.random() < EXCHANGED_SHARE else told
        empty = without_people(snapshot)
        look = stillness(empty.items)
        for index, camera in enumerate(store.cameras):
            believed, whose = believed_hands(snapshot.people, rng)
            hand, body, sd, far = believed
            aimed = aim(camera, hand, body, sd, far)
            if not len(aimed.row):
                continue
            if index not in empties or empties[index][0] != look:
                empties[index] = look, renderer.render(index, empty).rgb.copy()
            drawn = renderer.render(index, snapshot)
            before = compression(index, empties[index][1])
            now = compression(index, drawn.rgb)
            targets = window_targets(snapshot, (camera, aimed, [whose[r] for r in aimed.row]), drawn, rng)
            keep = targets.pop("keep").astype(bool)
            if keep.any():
                centre, side = aimed.centre_px[keep], aimed.side_px[keep]
                parts.append(
                    {
                        "now": cut_windows(now, centre, side),
                        "before": cut_windows(before, centre, side),
                        "features": aimed.features[keep],
                        **{name: values[keep] for name, values in targets.items()},
                    }
                )
    if not parts:
        return 0
    arrays: Arrays = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    arrays["pictures"] = picture_stack(store)
    temporary = path.with_suffix(".tmp.npz")
    np.savez(temporary, **arrays)  # type: ignore[arg-type]  # numpy's stub has no keyword arrays of mixed types
    temporary.rename(path)
    return len(arrays["seen"])


def busy_snapshots(simulation: Simulation, rng: np.random.Generator) -> Iterator[Snapshot]:
    """Snapshots with people, dense while somebody reaches or holds something."""
    due_ns = {False: 0, True: 0}
    for snapshot in simulation.steps():
        busy = any(person_reach(p) > REACH_M or p.held[0] or p.held[1] for p in snapshot.people)
        if snapshot.people and snapshot.time_ns >= due_ns[busy]:
            due_ns[busy] = snapshot.time_ns + int((BUSY_S if busy else IDLE_S) * rng.uniform(0.5, 1.5) * 1e9)
            yield snapshot


def exchanged(snapshot: Snapshot, rng: np.random.Generator) -> Snapshot:
    """The same instant with other products in the hands, in the same places; their own lanes lack them.

    A shop's shoppers hold some twenty products; a network that sees no others learns those by heart (dev/LOG.md).
    """
    items = snapshot.items
    lane, visible, pose = items.lane.copy(), items.visible.copy(), items.world_from_item.copy()
    people = []
    for person in snapshot.people:
        hands: list[tuple[int, ...]] = []
        for hand in person.held:
            on_shelf = np.flatnonzero((lane >= 0) & visible)
            product = items.product[rng.choice(on_shelf)] if hand and len(on_shelf) else -1
            others = on_shelf[items.product[on_shelf] == product][: len(hand)]
            if not hand or len(others) < len(hand):
                hands.append(hand)
                continue
            pose[others], lane[others] = pose[list(hand)], -1
            visible[list(hand)] = False
            hands.append(tuple(int(other) for other in others))
        people.append(replace(person, held=(hands[0], hands[1])))
    changed = replace(items, lane=lane, visible=visible, world_from_item=pose)
    return replace(snapshot, people=tuple(people), items=changed)


def believed_hands(
    people: tuple[Person, ...], rng: np.random.Generator
) -> tuple[tuple[NDArray[np.float32], ...], list[tuple[Person, int]]]:
    """Arguments of `aim` for all hands as a tracker would believe them, and whose hand (person, side) each is."""
    whose = [(person, side) for person in people for side in hand_order(person)]
    truth = np.array([person.hands_m[side] for person, side in whose], dtype=np.float32).reshape(-1, 3)
    body = np.array([person.floor_m[:2] for person, _ in whose], dtype=np.float32).reshape(-1, 2)
    sd = (BELIEF_M * np.exp(rng.normal(0, 0.7, len(whose)))).clip(0.01, BELIEF_MOST_M)
    hand = truth + rng.normal(0, 1, truth.shape) * sd[:, None]
    told = sd * np.exp(rng.normal(0, 0.3, len(whose)))
    far = np.array([place == 0 for _ in people for place in range(2)], dtype=np.float32)
    f32 = np.float32
    return (hand.astype(f32), (body + rng.normal(0, 0.02, body.shape)).astype(f32), told.astype(f32), far), whose


def window_targets(
    snapshot: Snapshot, seen: tuple[Camera, Aim, list[tuple[Person, int]]], drawn: Rendered, rng: np.random.Generator
) -> Arrays:
    """Truth of the windows: hand seen, holds something, product (-1), where it all is (half windows, masks)."""
    camera, aimed, whose = seen
    count = len(whose)
    out: Arrays = {
        "seen": np.zeros(count, bool), "item_seen": np.zeros(count, bool), "holds": np.zeros(count, bool),
        "product": np.full(count, -1, np.int32),
        "offset": np.zeros((count, 2), np.float32), "keep": np.zeros(count, bool),
        "mask": np.zeros((count, MASK_CELLS, MASK_CELLS, 2), np.uint8),
    }  # fmt: skip
    height, width = drawn.ids.shape
    for i, (person, side) in enumerate(whose):
        (u, v), half = aimed.centre_px[i], aimed.side_px[i] / 2
        true_px, _ = camera.project(person.hands_m[side])
        rows = slice(int(np.clip(v - half, 0, height)), int(np.clip(v + half + 1, 0, height)))
        cols = slice(int(np.clip(u - half, 0, width)), int(np.clip(u + half + 1, 0, width)))
        ids = drawn.ids[rows, cols]
        part = (Part.LEFT_HAND, Part.RIGHT_HAND)[side]
        hand_id = PERSON_ID + PERSON_STRIDE * person.number + part
        hand_px = int((ids == hand_id).sum())
        items = person.held[side]
        item_px = int(np.isin(ids, [ITEM_ID + item for item in items]).sum()) if items else 0
        out["seen"][i] = hand_px >= HAND_PIXELS
        out["item_seen"][i] = item_px >= ITEM_PIXELS
        out["holds"][i] = bool(items)
        if item_px >= ITEM_PIXELS:
            out["product"][i] = snapshot.items.product[items[0]]
        out["offset"][i] = (true_px - np.array([u, v])) / half
        out["mask"][i] = shown_mask(ids, (hand_id, items), (u - cols.start, v - rows.start), 2 * half)
        out["keep"][i] = hand_px + item_px >= HAND_PIXELS or rng.random() < UNSEEN_SHARE
    return out


def shown_mask(
    ids: NDArray[np.int32], wanted: tuple[int, tuple[int, ...]], centre: tuple[float, float], side: float
) -> NDArray[np.uint8]:
    """Share (of 255) of each cell [16, 16] of a window that shows the hand and what it holds; centre in these ids."""
    hand, items = wanted
    held = np.isin(ids, [ITEM_ID + item for item in items]) if items else np.zeros(ids.shape, bool)
    if not held.any() and not (ids == hand).any():
        return np.zeros((MASK_CELLS, MASK_CELLS, 2), np.uint8)
    planes = np.stack([ids == hand, held, np.zeros(ids.shape, bool)], axis=-1).astype(np.uint8) * 255
    f32 = np.float32
    window = cut_windows(planes, np.array([centre], f32), np.array([side], f32))[0]
    cells = cv2.resize(window, (MASK_CELLS, MASK_CELLS), interpolation=cv2.INTER_AREA)
    return np.asarray(cells[..., :2], dtype=np.uint8)
