"""Single-frame training data: simulated instants seen by all cameras, as patches with dense targets.

One shard is one simulation (one store, one scenario, one seed). Rendering streams straight into shards of
patches; no video is stored. Targets are in the camera's horizontal frame, relative to the patch's anchor.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from openaisle.messages import Activity, VideoFrame
from openaisle.recording.video import Decoder, Encoder
from openaisle.sim.engine import Simulation
from openaisle.sim.render import Rendered, Renderer
from openaisle.sim.scenario import load_scenario
from openaisle.sim.stores import open_store
from openaisle.sim.world import FIXTURE_ID, ITEM_ID, PERSON_ID, PERSON_STRIDE, Items, Part, Person, Snapshot
from openaisle.store.store import Store
from openaisle.tokens.journey import by_reach
from openaisle.tokens.patches import cut, select
from openaisle.tokens.rays import RayTable, ray_table

ACTIVITIES = tuple(Activity)
MIN_OWNER_PIXELS = 10  # of 256, for a patch to belong to a person
MAX_TOKENS = 160  # per frame: someone right below a camera fills the picture
REACH_M = 0.38  # hands at rest hang 0.2 to 0.35 m from the axis
REACH_BOOST = 8.0
UInt8 = NDArray[np.uint8]


@dataclass(frozen=True)
class ShardSpec:
    """What one shard simulates."""

    store: str  # random:kiosk | random:corner | ...
    scenario: str
    seed: int
    every_s: float = 4.0  # mean time between sampled instants; REACH_BOOST times as dense while somebody reaches


def sampled_snapshots(simulation: Simulation, every_s: float, rng: np.random.Generator) -> Iterator[Snapshot]:
    """Snapshots at random instants with people in the store, about one per `every_s`, more while somebody reaches.

    Receipts are made of the few seconds in which an arm is stretched out: drawn evenly in time, those were 4% of
    what the network saw, and it learnt them by heart (dev/LOG.md).
    """
    due_ns = {False: 0, True: 0}
    for snapshot in simulation.steps():
        reaching = any(person_reach(person) > REACH_M for person in snapshot.people)
        if snapshot.people and snapshot.time_ns >= due_ns[reaching]:
            mean_s = every_s / REACH_BOOST if reaching else every_s
            due_ns[reaching] = snapshot.time_ns + int(mean_s * rng.uniform(0.5, 1.5) * 1e9)
            yield snapshot


def person_reach(person: Person) -> float:
    """How far the farther hand is from the body's axis, in metres."""
    return float(np.linalg.norm(person.hands_m[:, :2] - person.floor_m[:2], axis=1).max())


def hand_order(person: Person) -> list[int]:
    """The person's hands (0 left, 1 right) as the network tells them apart: the farther one first."""
    return [int(side) for side in by_reach(np.asarray(person.floor_m[:2]), np.asarray(person.hands_m))]


class Compression:
    """Lossy video as a store's cameras send it: one H.264 stream each, or JPEG pictures, or nothing."""

    def __init__(self, cameras: int, rng: np.random.Generator) -> None:
        kind = rng.random()
        self.quality = int(rng.integers(30, 95)) if kind < 0.15 else 0
        crf = int(rng.integers(22, 33))
        coded = range(cameras) if kind < 0.9 else ()
        self.streams = [] if self.quality else [(Encoder(f"c{i}", crf=crf), Decoder()) for i in coded]
        self.time_ns = 0

    def __call__(self, camera: int, rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The picture as it arrives; the stream's previous picture is the one given before."""
        if self.quality:
            ok, data = cv2.imencode(".jpg", rgb, [cv2.IMWRITE_JPEG_QUALITY, self.quality])
            assert ok
            return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), dtype=np.uint8)
        if not self.streams:
            return rgb.copy()  # the renderer reuses its picture
        self.time_ns += 200_000_000
        encoder, decoder = self.streams[camera]
        frame = decoder.decode(encoder.encode(VideoFrame(encoder.camera, self.time_ns, rgb)))
        assert frame is not None, "nothing is lost between an encoder and its decoder"
        return frame.rgb[: rgb.shape[0], : rgb.shape[1]]


def make_shard(spec: ShardSpec, path: Path) -> int:
    """Simulate, render and write one shard (npz, atomically); returns its number of images."""
    store = open_store(spec.store, spec.seed)
    simulation = Simulation(store, load_scenario(spec.scenario), spec.seed)
    renderer = Renderer(store, simulation.items.product, seed=spec.seed)
    rng = np.random.default_rng(spec.seed)
    tables = [ray_table(camera) for camera in store.cameras]
    compression = Compression(len(tables), rng)
    empties: dict[int, tuple[bytes, NDArray[np.uint8]]] = {}
    images: list[dict[str, NDArray[np.generic]]] = []
    instants: list[dict[str, NDArray[np.generic]]] = []
    for instant, snapshot in enumerate(sampled_snapshots(simulation, spec.every_s, rng)):
        instants.append(people_arrays(snapshot.people, instant, simulation.items.product))
        empty = without_people(snapshot)
        look = stillness(empty.items)
        for camera, table in enumerate(tables):
            if camera not in empties or empties[camera][0] != look:
                empties[camera] = look, renderer.render(camera, empty).rgb.copy()
            drawn = renderer.render(camera, snapshot)
            before = compression(camera, empties[camera][1])
            now = compression(camera, drawn.rgb)
            image = image_arrays(store, camera, table, snapshot, (before, now, drawn))
            if image is not None:
                images.append({**image, "instant": one(instant), "camera": one(camera)})
    if not images:
        return 0
    arrays: dict[str, NDArray[np.generic]] = {k: np.concatenate([i[k] for i in images]) for k in images[0]}
    arrays["count"] = np.array([len(image["owner"]) for image in images], dtype=np.int32)
    arrays |= {f"people_{k}": np.concatenate([i[k] for i in instants]) for k in instants[0]}
    temporary = path.with_suffix(".tmp.npz")
    np.savez(temporary, **arrays)  # type: ignore[arg-type]  # numpy's stub has no keyword arrays of mixed types
    temporary.rename(path)
    return len(images)


def one(value: int) -> NDArray[np.int32]:
    """An array of a single number."""
    return np.array([value], dtype=np.int32)


def people_arrays(
    people: tuple[Person, ...], instant: int, product: NDArray[np.int32]
) -> dict[str, NDArray[np.generic]]:
    """Truth of all people at an instant: [P, ...] arrays."""
    order = [hand_order(person) for person in people]
    first = [
        [product[person.held[side][0]] if person.held[side] else -1 for side in sides]
        for person, sides in zip(people, order, strict=True)
    ]
    hands = [person.hands_m[sides] for person, sides in zip(people, order, strict=True)]
    return {
        "instant": np.full(len(people), instant, dtype=np.int32),
        "number": np.array([person.number for person in people], dtype=np.int32),
        "floor": np.array([person.floor_m for person in people], dtype=np.float32),
        "head": np.array([person.head_m for person in people], dtype=np.float32),
        "hands": np.array(hands, dtype=np.float32).reshape(-1, 2, 3),
        "activity": np.array([ACTIVITIES.index(person.activity) for person in people], dtype=np.int8),
        "held": np.array(first, dtype=np.int32),
    }


def without_people(snapshot: Snapshot) -> Snapshot:
    """The same shop some seconds ago, with nobody in it and nothing of what they hold: what a background shows."""
    held = {item for person in snapshot.people for hand in person.held for item in hand}
    hidden = np.isin(np.arange(len(snapshot.items.lane)), list(held))
    items = replace(snapshot.items, visible=snapshot.items.visible & ~hidden)
    return replace(snapshot, people=(), items=items, time_ns=snapshot.time_ns - 7_000_000_000)


def stillness(items: Items) -> bytes:
    """What the still picture depends on: which items lie where."""
    return items.visible.tobytes() + items.lane.tobytes()


def image_arrays(
    store: Store, camera: int, table: RayTable, snapshot: Snapshot, seen: tuple[UInt8, UInt8, Rendered]
) -> dict[str, NDArray[np.generic]] | None:
    """Tokens and targets of one camera at one instant; None when nothing moved in its view.

    seen: the picture without people and with them, as they arrive, and what was rendered with its truth.
    """
    before, now, drawn = seen
    patches = select(camera, snapshot.time_ns, now, before)
    if not len(patches.cells):
        return None
    keep = slice(None, MAX_TOKENS)
    cells = patches.cells[keep]
    ids, depth = cut(drawn.ids[..., None], cells)[..., 0], cut(drawn.depth_m[..., None], cells)[..., 0]
    rows, cols = cells[:, 0], cells[:, 1]
    owner, place = owners(ids, snapshot.people)
    hand_seen = hands_in(ids, snapshot.people, owner)
    anchor = table.anchor_m[rows, cols]
    forward = store.cameras[camera].world_from_camera[:3, 2]
    reach = depth[:, 8, 8] / np.maximum(table.direction[rows, cols] @ forward, 0.05)
    anchor_reach = np.linalg.norm(anchor - table.origin_m, axis=-1)
    log_range = np.log(np.clip(np.nan_to_num(reach, posinf=0.0), 0.05, 50) / anchor_reach)
    return {
        "pixels": patches.pixels[keep].reshape(len(cells), -1),
        "background": patches.background[keep].reshape(len(cells), -1),
        "cells": cells,
        "rays": table.features[rows, cols].astype(np.float16),
        "anchor": anchor,
        "owner": owner,
        "target": owner_targets(owner, anchor, table.world_from_horizontal, snapshot.people),
        "place": place,
        "activity": np.array(
            [-1 if p < 0 else ACTIVITIES.index(snapshot.people[p].activity) for p in place], dtype=np.int8
        ),
        "hand_seen": hand_seen,
        "segments": segment_classes(ids, held_items(snapshot.people)),
        "log_range": log_range.astype(np.float16),
        "frame": table.world_from_horizontal[None],
    }


def held_items(people: tuple[Person, ...]) -> NDArray[np.int64]:
    """Indices of all items in anybody's hands."""
    return np.array([item for person in people for hand in person.held for item in hand], dtype=np.int64)


def owners(ids: NDArray[np.int32], people: tuple[Person, ...]) -> tuple[NDArray[np.int32], NDArray[np.int8]]:
    """Person number that owns each patch [N] (-1 nobody) and that person's place in `people` [N]."""
    number = np.where(ids >= PERSON_ID, (ids - PERSON_ID) // PERSON_STRIDE, -1)
    count = np.stack([(number == person.number).sum((1, 2)) for person in people], axis=1)
    for i, person in enumerate(people):  # what a hand holds belongs to the person, too
        mine = [ITEM_ID + item for hand in person.held for item in hand]
        if mine:
            count[:, i] += np.isin(ids, mine).sum((1, 2))
    best = count.argmax(1)
    owned = count[np.arange(len(ids)), best] >= MIN_OWNER_PIXELS
    numbers = np.array([person.number for person in people], dtype=np.int32)
    return np.where(owned, numbers[best], -1).astype(np.int32), np.where(owned, best, -1).astype(np.int8)


def hands_in(ids: NDArray[np.int32], people: tuple[Person, ...], owner: NDArray[np.int32]) -> NDArray[np.uint8]:
    """Pixels [N, 2] of the owner's far and near hand in each patch."""
    seen = np.zeros((len(ids), 2), dtype=np.uint8)
    for person in people:
        mine = owner == person.number
        base = PERSON_ID + PERSON_STRIDE * person.number
        for place, side in enumerate(hand_order(person)):
            part = (Part.LEFT_HAND, Part.RIGHT_HAND)[side]
            seen[mine, place] = np.minimum((ids[mine] == base + part).sum((1, 2)), 255)
    return seen


def owner_targets(
    owner: NDArray[np.int32], anchor: NDArray[np.float32], frame: NDArray[np.float32], people: tuple[Person, ...]
) -> NDArray[np.float16]:
    """Offsets [N, 11] from the anchor: owner's floor point (2), head (3), far hand (3), near hand (3)."""
    out = np.zeros((len(owner), 11), dtype=np.float16)
    for person in people:
        mine = owner == person.number
        points = np.stack([[*person.floor_m, 0.0], person.head_m, *person.hands_m[hand_order(person)]])
        local = ((points[None] - anchor[mine][:, None]) @ frame).astype(np.float16)
        out[mine] = np.concatenate([local[:, 0, :2], local[:, 1:].reshape(-1, 9)], axis=1)
    return out


def segment_classes(ids: NDArray[np.int32], held: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Class of each 4×4-pixel cell [N, 16]: static, fixture, product, person, hand, held (SEGMENT_CLASSES)."""
    cells = ids[:, 2::4, 2::4].reshape(len(ids), -1)
    out = np.zeros(cells.shape, dtype=np.uint8)
    out[(cells >= FIXTURE_ID) & (cells < ITEM_ID)] = 1
    out[(cells >= ITEM_ID) & (cells < PERSON_ID)] = 2
    person = cells >= PERSON_ID
    out[person] = 3
    out[person & np.isin((cells - PERSON_ID) % PERSON_STRIDE, (Part.LEFT_HAND, Part.RIGHT_HAND))] = 4
    out[np.isin(cells, held + ITEM_ID)] = 5
    return out
