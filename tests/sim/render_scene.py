"""A stocked store with people for the renderer's tests, built without the engine."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from openaisle.messages import Activity
from openaisle.sim.stores import generate_store
from openaisle.sim.world import Items, Part, Person, Snapshot
from openaisle.store.geometry import yaw_transform
from openaisle.store.store import Store

SHIRT, SKIN, TROUSERS = (180, 40, 40), (224, 180, 150), (40, 40, 90)


def stock(store: Store, seed: int = 0) -> Items:
    """One row of products in every lane, slightly turned."""
    rng = np.random.Generator(np.random.PCG64(seed))
    products, poses, lanes = [], [], []
    for lane in store.lanes:
        index = int(store.lane_product[lane.index])
        if index < 0:
            continue
        depth = store.products[index].depth_mm / 1000
        for row in range(max(1, min(4, int(lane.size_m[1] / (depth + 0.01))))):
            y = depth / 2 + 0.01 + row * (depth + 0.01)
            inside = yaw_transform(lane.size_m[0] / 2, y, 0.001, float(rng.normal(0, 0.05)))
            products.append(index)
            poses.append(lane.world_from_lane @ inside)
            lanes.append(lane.index)
    count = len(products)
    return Items(
        np.array(products, np.int32), np.ones(count), np.array(poses, np.float32), np.ones(count, np.bool_),
        np.array(lanes, np.int32), np.zeros(count, np.bool_),
    )  # fmt: skip


def person(number: int, x: float, y: float, heading: float, height: float = 1.75) -> Person:
    """Somebody who stands and holds out the right hand."""
    ahead = np.array([np.cos(heading), np.sin(heading), 0.0])
    left = np.array([-ahead[1], ahead[0], 0.0])

    def at(forward: float, side: float, up: float) -> NDArray[np.float64]:
        place = np.array([x, y, 0.0]) + ahead * forward + left * side + np.array([0, 0, up * height / 1.75])
        return np.asarray(place, np.float64)

    rows = [
        (at(0, 0.1, 0.08), at(0, 0.1, 0.85), 0.075, Part.LEGS, TROUSERS, 0),
        (at(0, -0.1, 0.08), at(0, -0.1, 0.85), 0.075, Part.LEGS, TROUSERS, 0),
        (at(0, 0, 0.95), at(0, 0, 1.3), 0.14, Part.BODY, SHIRT, 1),
        (at(0, 0.16, 1.38), at(0, -0.16, 1.38), 0.08, Part.BODY, SHIRT, 2),
        (at(0.02, 0, 1.62), at(0.02, 0, 1.62), 0.1, Part.HEAD, SKIN, 0),
        (at(0, 0.2, 1.38), at(0.02, 0.25, 0.9), 0.05, Part.LEFT_ARM, SHIRT, 3),
        (at(0, -0.2, 1.38), at(0.45, -0.2, 1.15), 0.05, Part.RIGHT_ARM, SHIRT, 3),
        (at(0.02, 0.25, 0.85), at(0.02, 0.25, 0.8), 0.04, Part.LEFT_HAND, SKIN, 0),
        (at(0.48, -0.2, 1.15), at(0.54, -0.2, 1.15), 0.04, Part.RIGHT_HAND, SKIN, 0),
    ]
    capsules = np.array([(*a, *b, r) for a, b, r, _, _, _ in rows], np.float32)
    hands = np.array([at(0.02, 0.25, 0.8), at(0.54, -0.2, 1.15)])
    return Person(
        number=number, shopper=f"s{number}", visit=f"v{number}", group="", staff=False, floor_m=np.array([x, y]),
        heading_rad=heading, head_m=at(0.02, 0, 1.62), hands_m=hands, activity=Activity.STAND, hand_lane=(-1, -1),
        held=((), ()), bag=(), capsules=capsules, capsule_part=np.array([r[3] for r in rows], np.uint8),
        capsule_rgb=np.array([r[4] for r in rows], np.uint8), capsule_pattern=np.array([r[5] for r in rows], np.uint8),
    )  # fmt: skip


def snapshot(
    store: Store, items: Items, people: tuple[Person, ...] = (), time_ns: int = 0, doors: float = 0.0
) -> Snapshot:
    """The store at an instant; all doors equally open."""
    opening = np.full(len(store.spec.fixtures), doors, np.float32)
    return Snapshot(time_ns, people, items, np.zeros(0, np.float32), np.zeros(len(store.lanes)), opening, (), ())


def shop(seed: int = 7, people: int = 3) -> tuple[Store, Items, tuple[Person, ...]]:
    """A kiosk, its goods, and people in the middle of it; the first two hold an item."""
    store = generate_store("kiosk", seed)
    items = stock(store)
    middle = np.array(store.spec.floor_m).mean(axis=0)
    crowd = tuple(
        person(i, middle[0] - 0.6 + 0.6 * i, middle[1] + 0.2 * i, 0.7 + 2.1 * i, 1.8 - 0.2 * i) for i in range(people)
    )
    for who in crowd[:2]:
        item = 5 + who.number
        items.world_from_item[item, :3, 3] = who.hands_m[1]
        items.lane[item] = -1
    return store, items, crowd
