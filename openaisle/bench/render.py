"""Speed of the renderer: pictures a second of one core, with ids, depth, mips, shadows, noise and lens, people inside.

Times are of the processor, like those of `sim.py`. On a busy machine others empty the caches and share the core's
pipelines, so three figures are given: over all pictures, the median picture, and the fastest tenth.
"""

from __future__ import annotations

import time
from itertools import islice
from typing import Literal

import numpy as np

from openaisle.sim.engine import Simulation
from openaisle.sim.render import Renderer
from openaisle.sim.scenario import Scenario
from openaisle.sim.stores import open_store
from openaisle.sim.world import ITEM_ID, PERSON_ID

STORE, SEED = "random:corner", 850_000
PEOPLE = 6
STEPS_PER_PICTURE = 4  # of 20 a second: cameras at 5 pictures a second


def crowd() -> Scenario:
    """Enough people to have six inside most of the time."""
    return Scenario(name="render-speed", duration_s=120.0, shoppers=(12, 12), arrival_s=(1.0, 2.0))


def render_speed(pictures: int = 400, store: str = STORE, seed: int = SEED) -> dict[str, object]:
    """Figures of both qualities on instants with six people inside, all cameras in turn."""
    return {quality: _speed(quality, pictures, store, seed) for quality in ("fast", "fine")}


def _speed(quality: Literal["fast", "fine"], pictures: int, store_name: str, seed: int) -> dict[str, object]:
    store = open_store(store_name, seed)
    simulation = Simulation(store, crowd(), seed)
    cameras = len(store.cameras)
    renderer: Renderer | None = None
    seconds: list[float] = []
    people: list[int] = []
    shown: set[int] = set()
    person_share: list[float] = []
    for snapshot in islice(simulation.steps(), 0, None, STEPS_PER_PICTURE):
        if len(snapshot.people) != PEOPLE:
            continue
        if renderer is None:
            renderer = Renderer(store, snapshot.items.product, quality=quality, seed=seed)
            for camera in range(cameras):
                renderer.render(camera, snapshot)  # compiles and draws what lies still
        for camera in range(cameras):
            before = time.process_time()
            picture = renderer.render(camera, snapshot)
            seconds.append(time.process_time() - before)
            people.append(len(snapshot.people))
            person_share.append(float((picture.ids >= PERSON_ID).mean()))
            shown.update(np.unique(picture.ids[(picture.ids >= ITEM_ID) & (picture.ids < PERSON_ID)]).tolist())
        if len(seconds) >= pictures:
            break
    assert renderer is not None, "the crowd never reached six people"
    times = np.sort(seconds)
    first = store.cameras[0]
    return {
        "size": f"{first.width_px}x{first.height_px}",
        "pictures": len(times),
        "images_per_s_per_core": round(1 / float(times.mean())),
        "median_images_per_s_per_core": round(1 / float(np.median(times))),
        "best_images_per_s_per_core": round(1 / float(times[: max(1, len(times) // 10)].mean())),
        "people": round(float(np.mean(people)), 1),
        "share_of_pixels_people": round(float(np.mean(person_share)), 3),
        "units_in_store": len(renderer.scene.template) - renderer.scene.first_item,
        "units_seen": len(shown),
        "triangles": int(np.diff(renderer.scene.models.meshes.triangle_start)[renderer.scene.template].sum()),
    }
