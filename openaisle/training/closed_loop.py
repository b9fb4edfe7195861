"""Stage 3 data: journey records whose tracks are what the vision half really makes of rendered video.

The receipt decoder is then tuned on its own eyes' mistakes: the same tick sampling, with real tracks in place of
noised truth.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace

import numpy as np

from openaisle.messages import NANOSECONDS
from openaisle.pipeline import finish, follow, set_up
from openaisle.predictor import Predictor
from openaisle.recording.video import through_h264
from openaisle.sim.engine import START_NS
from openaisle.sim.scenario import load_scenario
from openaisle.sim.source import SimulatedStore
from openaisle.sim.stores import open_store
from openaisle.state import State
from openaisle.tokens.journey import ACTIVITIES, FRAME_HZ, TrackWindow
from openaisle.tokens.tick import Tick, Ticker
from openaisle.training.frames import ShardSpec
from openaisle.training.journeys import JourneyRecord, make_record
from openaisle.writing import fill_slot

LOST_M = 0.5  # a track this far from a body does not follow it


def tracked_record(spec: ShardSpec, predictor: Predictor) -> JourneyRecord:
    """The record of a simulation with the predictor's tracks beside the truth."""
    record = make_record(spec)
    store = open_store(spec.store, spec.seed)
    setup, state = set_up(store, predictor, scales=False)
    people, frames = record.present.shape
    tracks = empty_tracks(people, frames, setup.embeddings.shape[-1])
    person_of: dict[int, int] = {}
    waiting = members(record)
    ticker = Ticker(store)
    shop = SimulatedStore(store, load_scenario(spec.scenario), spec.seed, truth=False)
    for tick in ticker.ticks(through_h264(shop, store)):
        state = follow(state, tick, predictor, setup)
        assign(state, record, person_of, waiting)
        keep(state, tick, tracks, person_of)
        state = finish(state, tick)
    return replace(record, tracked=rightful(record, tracks), embeddings=setup.embeddings)


def rightful(record: JourneyRecord, tracks: TrackWindow) -> TrackWindow:
    """Tracks [P, F, ...] given to whose body they follow, frame by frame; those that follow nobody are not valid.

    Shoppers who were exchanged stay so for minutes, and no decoder can know. One that is trained on their tracks learns
    to doubt the hand it sees in the lane (dev/LOG.md).
    """
    people, frames = record.present.shape
    source = np.full((people, frames), -1)
    for f in range(frames):
        here, seen = np.flatnonzero(record.present[:, f]), np.flatnonzero(tracks.valid[:, f] > 0)
        away = np.linalg.norm(record.floor[here, f][:, None] - tracks.floor_m[seen, f][None], axis=-1)
        for _ in range(min(away.shape)):  # the nearest pair first
            person, row = np.unravel_index(int(away.argmin()), away.shape)
            if away[person, row] >= LOST_M:
                break
            source[here[person], f] = seen[row]
            away[person], away[:, row] = np.inf, np.inf
    valid, at = source >= 0, np.arange(frames)[None]
    moved = {name: values[source.clip(0), at] for name, values in vars(tracks).items()}
    return TrackWindow(**{**moved, "valid": moved["valid"] * valid})


def empty_tracks(people: int, frames: int, width: int) -> TrackWindow:
    """Tracks of nobody over all frames of a record."""
    f32 = np.float32
    return TrackWindow(
        np.zeros((people, frames, 2), f32), np.full((people, frames), 1.5, f32), np.zeros((people, frames, 2, 3), f32),
        np.full((people, frames, 2), 1.5, f32), np.zeros((people, frames, 2), f32),
        np.zeros((people, frames, ACTIVITIES), f32), np.zeros((people, frames, 2, width), f32),
        np.zeros((people, frames), f32),
    )  # fmt: skip


def members(record: JourneyRecord) -> dict[int, list[int]]:
    """Visit number → its people in the order in which they came."""
    out: dict[int, list[int]] = defaultdict(list)
    first = np.argmax(record.present, axis=1)
    for person in np.argsort(first, kind="stable"):
        out[int(record.visit[person])].append(int(person))
    return out


def assign(state: State, record: JourneyRecord, person_of: dict[int, int], waiting: dict[int, list[int]]) -> None:
    """Which person of the record each shopper of the memory was opened for."""
    for shopper in state.shoppers:
        visit = record.visit_names.index(shopper.visit) if shopper.visit in record.visit_names else -1
        if shopper.number not in person_of and waiting.get(visit):
            person_of[shopper.number] = waiting[visit].pop(0)


def keep(state: State, tick: Tick, tracks: TrackWindow, person_of: dict[int, int]) -> None:
    """The tick's slots into the record's frames."""
    first = round((tick.time_ns + NANOSECONDS // 2 - START_NS) * FRAME_HZ / NANOSECONDS)
    for offset, slot in enumerate(state.window[-FRAME_HZ:]):
        frame = first + offset
        for i, number in enumerate(slot["number"].tolist()):
            person = person_of.get(number)
            if person is not None and 0 <= frame < tracks.valid.shape[1]:
                fill_slot(tracks, slot, (person, i, frame))
