"""Who moved what: the last seconds are kept as film, and the actor look says whose an event on a scale was. Pure.

A scale tells what happened only when it rests, seconds later. So the pictures of all cameras are kept for as long as an
interaction may last, as JPEG: 17 MB for eight cameras of 320×240, however many scales move. Windows before the lanes
of the scale (tokens/actor.py) are cut when they are asked for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from openaisle.predictor import Predictor
from openaisle.store.store import Store
from openaisle.tokens.actor import ACTOR_SLOTS, ActorView, actor_views, fronts_seen, grasps, where, whose
from openaisle.tokens.journey import FRAME_HZ
from openaisle.tokens.scales import RATE_HZ
from openaisle.weighing.interactions import LONGEST
from openaisle.weighing.witness import MOST_SEEN, Look

KEPT = (LONGEST // RATE_HZ + 3) * FRAME_HZ  # slots: an interaction, and what it takes to see that it is over
QUALITY = 92  # of JPEG: cameras' own compression has taken more
FAR_SLOTS = 2  # a picture that is missing is replaced by one so near in time
LEAST_LOG = -9.0  # of a chance that a look leaves to anybody
UInt8 = NDArray[np.uint8]
Float = NDArray[np.float64]
Shot = Mapping[int, bytes]  # pictures by camera


@dataclass(frozen=True)
class Film:
    """The last slots' pictures."""

    slot: int = 0  # number of slots so far
    shots: tuple[Shot, ...] = ()


def filmed(film: Film, pictures: Sequence[Mapping[int, UInt8]]) -> Film:
    """The film with a tick's pictures, slot by slot and by camera."""
    shots = tuple({camera: packed(rgb) for camera, rgb in shown.items()} for shown in pictures)
    return Film(film.slot + len(shots), (*film.shots, *shots)[-KEPT:])


def packed(rgb: UInt8) -> bytes:
    """A picture as JPEG."""
    ok, data = cv2.imencode(".jpg", rgb[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    assert ok, "a picture of bytes can always be written"
    return data.tobytes()


def unpacked(data: bytes) -> UInt8:
    """The picture of `packed`."""
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None, "it was written here"
    return np.asarray(picture[..., ::-1], dtype=np.uint8)


def views_of(store: Store) -> dict[int, tuple[ActorView, ...]]:
    """The views of every scale's lanes."""
    lanes: dict[int, list[int]] = {}
    for lane in store.lanes:
        if lane.scale >= 0:
            lanes.setdefault(lane.scale, []).append(lane.index)
    sees = fronts_seen(store)
    return {scale: actor_views([store.lanes[i] for i in own], store.cameras, sees) for scale, own in lanes.items()}


@dataclass
class Looks:
    """Whose an event was, and in which lane, as far as pictures tell; each look is taken once."""

    film: Film
    backgrounds: Mapping[int, UInt8]  # by camera: without anybody
    views: Mapping[int, tuple[ActorView, ...]]  # by scale
    store: Store
    predictor: Predictor
    heads_m: Float  # [T, N, 3] of everybody, slot by slot, NaN = not in the shop
    first: int  # number of the first slot
    known: dict[tuple[int, int], Look | None] = field(default_factory=dict)
    pictures: dict[tuple[int, int], UInt8] = field(default_factory=dict)  # by slot and camera

    def __call__(self, scale: int, sample: int) -> Look | None:
        """What is seen of a move of what lies on a scale at a sample; None where nothing is."""
        slot = sample * FRAME_HZ // RATE_HZ
        if (scale, slot) not in self.known:
            self.known[scale, slot] = self.look(scale, slot)
        return self.known[scale, slot]

    def look(self, scale: int, slot: int) -> Look | None:
        """The same for a slot."""
        row = slot - self.first
        if not 0 <= row < len(self.heads_m):
            return None
        heads = self.heads_m[row]
        here = np.isfinite(heads).all(1)
        shown = [(view, self.frames(view, slot)) for view in self.views.get(scale, ())] if here.any() else []
        clear = [(view, frames) for view, frames in shown if frames is not None]
        if not clear:
            return None
        area, features = np.stack([view.area for view, _ in clear]), np.stack([view.features for view, _ in clear])
        told = self.predictor.actor(np.stack([frames for _, frames in clear]), area, features)
        if told is None:
            return None
        seen = [(view, self.store.cameras[view.camera]) for view, _ in clear]
        people = np.full(len(here), LEAST_LOG)
        odds = whose(told[:, 0], np.stack([view.place(camera, heads[here]) for view, camera in seen]))
        anybody = np.logaddexp.reduce(odds[:-1])
        people[here] = np.maximum(odds[:-1] - anybody, LEAST_LOG)
        lanes = [lane for lane in self.store.lanes if lane.scale == scale]
        points = np.stack([grasps(lane) for lane in lanes])
        odds = where(told[:, 1], np.stack([view.place(camera, points) for view, camera in seen]))
        chance = np.maximum(odds - np.logaddexp.reduce(odds), LEAST_LOG)
        by_lane = {lane.index: float(c) for lane, c in zip(lanes, chance, strict=True)}
        return Look(people, by_lane, float(np.clip(anybody - odds[-1], -MOST_SEEN, MOST_SEEN)))

    def frames(self, view: ActorView, slot: int) -> UInt8 | None:
        """A view's windows of an event [96, 96, 3 * frames], the background's first; None where too much is missing."""
        first = self.film.slot - len(self.film.shots)
        times = np.array([first + n for n, shot in enumerate(self.film.shots) if view.camera in shot])
        if view.camera not in self.backgrounds or not len(times):
            return None
        wanted = slot + np.array(ACTOR_SLOTS)
        nearest = times[np.abs(times[None] - wanted[:, None]).argmin(1)]
        if np.abs(nearest - wanted).max() > FAR_SLOTS:
            return None
        cut = [view.cut(self.picture(at, view.camera)) for at in nearest.tolist()]
        return np.concatenate([view.cut(self.backgrounds[view.camera]), *cut], axis=-1)

    def picture(self, slot: int, camera: int) -> UInt8:
        """A camera's picture in a slot that is on the film."""
        if (slot, camera) not in self.pictures:
            shot = self.film.shots[slot - self.film.slot + len(self.film.shots)]
            self.pictures[slot, camera] = unpacked(shot[camera])
        return self.pictures[slot, camera]
