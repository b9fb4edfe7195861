"""Events for tests of the actor look, without the simulator: squares on grey for heads and the acting hand."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from openaisle.model.actor import FRAMES
from openaisle.tokens.actor import ACTOR_CELLS, ACTOR_FEATURES, ACTOR_PX, GRASPS_M
from openaisle.training.glances import Arrays

CELL = 2 / ACTOR_CELLS  # in half windows
PEOPLE, LANES, GRASPS = 3, 3, len(GRASPS_M)
DARK, BRIGHT, GREEN = (30, 40, 60), (250, 240, 230), (20, 250, 40)
Float = NDArray[np.float32]
Drawn = tuple[NDArray[np.uint8], NDArray[np.uint8]]


def made_up_events(count: int = 12, seed: int = 5) -> list[Arrays]:
    """Events on grey, of one to three views each: heads are dark squares, and that of who moved something a bright one.

    Heads and grasps lie on cells' middles, in the first view always and in the others mostly inside the window; a third
    person is there in half of the events, a scale has one to three lanes, and the acting hand is a green square at one
    of them. In a quarter nobody moves anything. Features 2 and 5 repeat where the first two heads are to the right, so
    that a mirror shows.
    """
    rng = np.random.Generator(np.random.PCG64(seed))
    out: list[Arrays] = []
    for _ in range(count):
        views, there, shelf = (int(n) for n in rng.integers((1, 2, 1), (4, PEOPLE + 1, LANES + 1)))
        actor = int(rng.integers(there)) if rng.random() < 0.75 else -1
        lane = int(rng.integers(shelf)) if actor >= 0 else -1
        columns = np.stack([rng.permutation(np.arange(5, 44, 7))[:PEOPLE] for _ in range(views)])
        cells = np.stack([columns, rng.integers(5, 28, (views, PEOPLE))], axis=-1)
        deep = np.stack([rng.permutation(np.arange(6, 44, 12))[:LANES] for _ in range(views)])
        grasps = np.stack([np.repeat(deep[..., None], GRASPS, 2), np.full((views, LANES, GRASPS), 36)], axis=-1)
        grasps[..., 1] += np.array([3, 0, -2])
        heads, places = (((at + 0.5) * CELL - 1).astype(np.float32) for at in (cells, grasps))
        gone = rng.random(views) < 0.2
        gone[0] = False
        heads[gone] += np.array([0.0, -2.0], np.float32)
        heads[:, there:], places[:, shelf:] = 9.0, 9.0
        hand = places[:, lane, 1].copy() if lane >= 0 else np.full((views, 2), 9.0, np.float32)
        frames = np.repeat(rng.integers(100, 120, (views, ACTOR_PX, ACTOR_PX, 1, 3)).astype(np.uint8), FRAMES, axis=3)
        mask = np.zeros((views, ACTOR_CELLS, ACTOR_CELLS, 3), np.uint8)

        def draw(v: int, at: Float, rgb: tuple[int, int, int], plane: int, here: Drawn = (frames, mask)) -> None:
            """A square of three cells around a place that is in the window."""
            left, top = np.round((at + 1) / CELL - 1.5).astype(int).tolist()
            if (np.abs(at) < 1).all():
                here[0][v, 2 * top : 2 * top + 6, 2 * left : 2 * left + 6, 1:] = rgb
                here[1][v, top : top + 3, left : left + 3, plane] = 255

        for v in range(views):
            for p in range(there):
                draw(v, heads[v, p], BRIGHT if p == actor else DARK, 0 if p == actor else 2)
            draw(v, hand[v], GREEN, 1)
        features = rng.normal(0, 0.3, (views, ACTOR_FEATURES)).astype(np.float32)
        features[:, [2, 5]] = heads[:, :2, 0]
        out.append(
            {
                "frames": frames.reshape(views, ACTOR_PX, ACTOR_PX, 3 * FRAMES), "mask": mask, "features": features,
                "area": rng.integers(0, 2, (views, ACTOR_CELLS, ACTOR_CELLS)).astype(np.uint8) * np.uint8(255),
                "heads": heads, "present": np.tile(np.arange(PEOPLE) < there, (views, 1)),
                "acts": np.tile(np.arange(PEOPLE) == actor, (views, 1)), "hand": hand, "places": places,
                "lane": np.full(views, lane, np.int32),
            }
        )  # fmt: skip
    return out
