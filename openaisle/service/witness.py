"""Witness: keeps weights and a few stills of every event in the album, for people who check, and what is now.

It looks at what every tick brought and at what the ledger got from it. Nothing here can hold up or break a receipt:
when the album cannot be written, it is left out, and said once a minute.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from openaisle.messages import NANOSECONDS, VideoFrame
from openaisle.predictor import Arrays, floats
from openaisle.receipts.events import LedgerEvent
from openaisle.receipts.pricing import local_day
from openaisle.service.album import Album, Levels, Pen, Still, Trace
from openaisle.service.room import free_bytes
from openaisle.service.stills import jpeg, masked, tile
from openaisle.state import State
from openaisle.store.geometry import Camera
from openaisle.store.store import Lane, Store
from openaisle.tokens.journey import FRAME_HZ
from openaisle.tokens.scales import RATE_HZ
from openaisle.tokens.tick import Tick

LOG = logging.getLogger(__name__)
FRAMES_S = 3  # of pictures held in memory, so that a moment before an event can be kept
BEFORE_NS = NANOSECONDS  # of an event's evidence, from which stills are kept as well
MOST_CAMERAS, MOST_STILLS = 2, 8  # of an event, and of a camera of it
TRACE_BEFORE_S, TRACE_AFTER_S = 8, 4
MOVED_S = 3  # a lane flashes for so long
FORGET_EVERY = 60  # ticks
KEEP_NS = 31 * 24 * 3600 * NANOSECONDS
Float32 = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class _Due:
    """Weights that are not there yet."""

    event: str
    scale: int
    time_ns: int


@dataclass
class Witness:
    """One run's."""

    album: Album
    store: Store
    run: str
    most_bytes: int
    lasting: bool = False  # the run before it was over the same shelves
    least_bytes: int = 0  # of free disk, with less nothing is kept
    _frames: deque[tuple[VideoFrame, Float32]] = field(default_factory=deque)  # with the heads of its tick
    _grams: deque[Float32] = field(default_factory=lambda: deque(maxlen=TRACE_BEFORE_S + TRACE_AFTER_S + 1))
    _first: Float32 | None = None  # what each scale showed first
    _last: Float32 | None = None  # and showed last, while it does not speak
    _due: list[_Due] = field(default_factory=list)
    _quiet_until_s: float = 0.0

    def __post_init__(self) -> None:
        known, zone = self.album.levels() if self.lasting else None, self.store.spec.time_zone
        if known is not None and local_day(known.at_ns, zone) == local_day(time.time_ns(), zone):
            names = [scale.id for scale in self.store.spec.scales]
            self._first = np.array([known.first.get(name, np.nan) for name in names], dtype=np.float32)
            self._last = np.array([known.grams.get(name, np.nan) for name in names], dtype=np.float32)

    def see(self, tick: Tick, state: State, events: Sequence[LedgerEvent]) -> None:
        """After a tick: `events` are the ledger's new entries, under the names that it has them by."""
        if self.album.path is None:
            return
        try:
            self._remember(tick, state)
            if free_bytes(self.album.path.parent) < self.least_bytes:
                self._due.clear()  # pictures go first where there is little room
                return
            with self.album.pen() as pen:
                for event in events:
                    if event.evidence is not None and event.lane:
                        self._keep(pen, event)
                self._traces(pen, tick)
                self._now(pen, tick)
                if tick.index % FORGET_EVERY == 0:
                    pen.forget(time.time_ns() - KEEP_NS, self.most_bytes)
        except Exception as error:  # whatever it is: receipts matter more
            if time.monotonic() >= self._quiet_until_s:
                self._quiet_until_s = time.monotonic() + 60.0
                LOG.warning("no evidence is kept: %s: %s", self.album.path, error)

    def _remember(self, tick: Tick, state: State) -> None:
        slots = state.window[-FRAME_HZ:]  # where heads were when each frame was taken; who has left since is there, too
        for frames, rows in zip(tick.frames[-len(slots) :], slots, strict=True):
            self._frames.extend((frame, heads_of(rows)) for frame in frames)
        first_ns = tick.sensed_ns - FRAMES_S * NANOSECONDS
        while self._frames and self._frames[0][0].time_ns < first_ns:
            self._frames.popleft()
        self._grams.append(tick.grams)
        if len(tick.grams):
            levels = level(tick.grams)
            self._first = levels if self._first is None else np.where(np.isnan(self._first), levels, self._first)
            self._last = levels if self._last is None else np.where(np.isnan(levels), self._last, levels)

    def _keep(self, pen: Pen, event: LedgerEvent) -> None:
        lane = self.store.lanes[self.store.lane_index[event.lane]]
        assert event.evidence is not None, "asked before"
        start_ns, end_ns = event.evidence.start_ns - BEFORE_NS, event.evidence.end_ns + BEFORE_NS
        stills = []
        known = pen.knows(event.event_id)  # by a run that was killed and is taken up again
        for camera in () if known else best_cameras(lane, self.store.cameras):
            seen = [one for one in self._frames if one[0].camera == camera.id and start_ns <= one[0].time_ns <= end_ns]
            for frame, heads in thinned(seen):
                stills.append(Still(camera.id, frame.time_ns, jpeg(masked(camera, frame.rgb, lane.front_m, heads))))
        pen.event(event.event_id, stills, time.time_ns())
        if lane.scale >= 0:
            self._due.append(_Due(event.event_id, lane.scale, event.time_ns))

    def _traces(self, pen: Pen, tick: Tick) -> None:
        """Weights of events, anew with every tick until what came after is there."""
        grams = np.concatenate(list(self._grams), axis=1)
        end_ns = tick.sensed_ns
        start_ns = end_ns - grams.shape[1] // RATE_HZ * NANOSECONDS
        for due in self._due:
            first = max(0, (due.time_ns - TRACE_BEFORE_S * NANOSECONDS - start_ns) * RATE_HZ // NANOSECONDS)
            at_ns = start_ns + first * NANOSECONDS // RATE_HZ
            name = self.store.spec.scales[due.scale].id
            pen.trace(due.event, Trace(name, at_ns, float(RATE_HZ), grams[due.scale, first:]))
        self._due = [due for due in self._due if due.time_ns + TRACE_AFTER_S * NANOSECONDS > end_ns]

    def _now(self, pen: Pen, tick: Tick) -> None:
        names = [scale.id for scale in self.store.spec.scales]
        if self._first is not None and self._last is not None:
            now = level(tick.grams)
            before = level(list(self._grams)[-min(MOVED_S, len(self._grams))])
            spread = np.nan_to_num(np.abs(now - before))
            pen.levels(
                Levels(self.run, tick.sensed_ns, time.time_ns(), _named(names, self._last), _named(names, spread),
                       _named(names, self._first))
            )  # fmt: skip
        newest = {frame.camera: (frame, heads) for frame, heads in self._frames if frame.time_ns >= tick.time_ns}
        for camera in self.store.cameras:
            if camera.id in newest:
                frame, heads = newest[camera.id]
                pen.tile(Still(camera.id, frame.time_ns, jpeg(tile(camera, frame.rgb, heads))))


def heads_of(rows: Arrays) -> Float32:
    """Centres of all tracked heads of a slot [n, 3], metres."""
    return floats(rows["head"]).reshape(-1, 3)


def level(grams: Float32) -> Float32:
    """What each scale shows in a second [C, RATE_HZ]: the median of its later half; NaN = no reading."""
    late = grams[:, RATE_HZ // 2 :]
    none: NDArray[np.bool_] = np.asarray(np.isnan(late).all(axis=1))
    return np.where(none, np.nan, np.nanmedian(np.where(none[:, None], 0.0, late), axis=1)).astype(np.float32)


def best_cameras(lane: Lane, cameras: Sequence[Camera]) -> list[Camera]:
    """Those that see the lane largest."""
    seeing = [camera for camera in cameras if bool(camera.sees(lane.front_m))]
    size = {camera.id: camera.fx_px / camera.width_px / float(camera.project(lane.front_m)[1]) for camera in seeing}
    return sorted(seeing, key=lambda camera: (-size[camera.id], camera.id))[:MOST_CAMERAS]


def thinned(seen: Sequence[tuple[VideoFrame, Float32]]) -> list[tuple[VideoFrame, Float32]]:
    """At most MOST_STILLS of them, evenly."""
    every = max(1, -(-len(seen) // MOST_STILLS))
    return list(seen[::every])


def _named(names: Sequence[str], values: Float32) -> dict[str, float]:
    """By scale, those that are known."""
    return {name: round(value, 1) for name, value in zip(names, values.tolist(), strict=True) if value == value}
