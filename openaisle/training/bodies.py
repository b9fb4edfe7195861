"""Windows around whole bodies for training hand heat maps: simulated instants, dense while somebody reaches.

One shard is one simulation. Windows are aimed where a tracker would believe the body: the truth with noise.
"""

from __future__ import annotations

from collections.abc import Iterator
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
from openaisle.tokens.body import BODY_CELLS, BODY_PX, aim_bodies
from openaisle.tokens.glance import Aim, cut_windows
from openaisle.training.frames import Compression, ShardSpec, hand_order, person_reach, stillness, without_people
from openaisle.training.glances import Arrays

# Mean time between instants in which a hand is in a lane or stretched out, in which one holds something, and others:
# people reach into shelves for a twentieth of their visits, and receipts are made of those moments.
BETWEEN_S = (0.5, 4.0, 10.0)
REACHING_M = 0.42
KEPT_SHARE = (1.0, 0.3, 0.15)  # of the windows around people who do so
FLOOR_SD_M = 0.05
HAND_PIXELS = 3  # to be seen at all


def make_bodies(spec: ShardSpec, path: Path) -> int:
    """Simulate, render and write one shard of windows (npz, atomically); returns their number."""
    store = open_store(spec.store, spec.seed)
    simulation = Simulation(store, load_scenario(spec.scenario), spec.seed)
    renderer = Renderer(store, simulation.items.product, seed=spec.seed)
    rng = np.random.default_rng((spec.seed, 7))
    compression = Compression(len(store.cameras), rng)
    empties: dict[int, tuple[bytes, NDArray[np.uint8]]] = {}
    parts: list[Arrays] = []
    for snapshot in reaching_snapshots(simulation, rng):
        empty = without_people(snapshot)
        look = stillness(empty.items)
        for index, camera in enumerate(store.cameras):
            floor = np.array([p.floor_m[:2] for p in snapshot.people]).reshape(-1, 2)
            sd = FLOOR_SD_M * np.exp(rng.normal(0, 0.5, (len(floor), 1)))
            aimed = aim_bodies(camera, (floor + rng.normal(0, 1, floor.shape) * sd).astype(np.float32))
            kept = np.array([rng.random() < KEPT_SHARE[doing(snapshot.people[r])] for r in aimed.row], dtype=bool)
            if not kept.any():
                continue
            aimed = Aim(aimed.row[kept], aimed.centre_px[kept], aimed.side_px[kept], aimed.features[kept])
            if index not in empties or empties[index][0] != look:
                empties[index] = look, renderer.render(index, empty).rgb.copy()
            drawn = renderer.render(index, snapshot)
            before, now = compression(index, empties[index][1]), compression(index, drawn.rgb)
            cut = (aimed.centre_px, aimed.side_px, BODY_PX)
            parts.append(
                {
                    "now": cut_windows(now, *cut),
                    "before": cut_windows(before, *cut),
                    "features": aimed.features,
                    **body_targets(snapshot, (camera, aimed), drawn),
                }
            )
    if not parts:
        return 0
    arrays: Arrays = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    temporary = path.with_suffix(".tmp.npz")
    np.savez(temporary, **arrays)  # type: ignore[arg-type]  # numpy's stub has no keyword arrays of mixed types
    temporary.rename(path)
    return len(arrays["seen"])


def reaching_snapshots(simulation: Simulation, rng: np.random.Generator) -> Iterator[Snapshot]:
    """Snapshots with people, dense while somebody has a hand in a lane or stretched out."""
    due_ns = [0] * len(BETWEEN_S)
    for snapshot in simulation.steps():
        if snapshot.people:
            most = min(doing(person) for person in snapshot.people)
            if snapshot.time_ns >= due_ns[most]:
                due_ns[most] = snapshot.time_ns + int(BETWEEN_S[most] * rng.uniform(0.5, 1.5) * 1e9)
                yield snapshot


def doing(person: Person) -> int:
    """0 = has a hand in a lane or stretched out, 1 = holds something, 2 = neither."""
    if max(person.hand_lane) >= 0 or person_reach(person) > REACHING_M:
        return 0
    return 1 if person.held[0] or person.held[1] else 2


def body_targets(snapshot: Snapshot, seen: tuple[Camera, Aim], drawn: Rendered) -> Arrays:
    """Truth of the windows: far and near hand's place in half windows, whether it shows, its reach in m, masks."""
    camera, aimed = seen
    count, f32 = len(aimed.row), np.float32
    out: Arrays = {
        "offset": np.zeros((count, 2, 2), f32), "seen": np.zeros((count, 2), bool), "reach": np.zeros((count, 2), f32),
        "mask": np.zeros((count, BODY_CELLS, BODY_CELLS, 3), np.uint8),
    }  # fmt: skip
    for i, row in enumerate(aimed.row):
        person = snapshot.people[row]
        sides = hand_order(person)
        hands = np.asarray(person.hands_m)[sides]
        pixel, depth = camera.project(hands)
        offset = (pixel - aimed.centre_px[i]) / (aimed.side_px[i] / 2)
        offset[depth < 0.1] = 9.0
        ids = [PERSON_ID + PERSON_STRIDE * person.number + (Part.LEFT_HAND, Part.RIGHT_HAND)[side] for side in sides]
        items = [ITEM_ID + item for hand in person.held for item in hand]
        planes = [drawn.ids == ids[0], drawn.ids == ids[1], np.isin(drawn.ids, items)]
        stack = np.stack(planes, axis=-1).astype(np.uint8) * 255
        window = cut_windows(stack, aimed.centre_px[i : i + 1], aimed.side_px[i : i + 1], BODY_PX)[0]
        out["mask"][i] = cv2.resize(window, (BODY_CELLS, BODY_CELLS), interpolation=cv2.INTER_AREA)
        out["offset"][i] = offset.clip(-9, 9)
        out["seen"][i] = [int(plane.sum()) >= HAND_PIXELS for plane in planes[:2]]
        out["reach"][i] = np.linalg.norm(hands[:, :2] - person.floor_m[:2], axis=1)
    return out
