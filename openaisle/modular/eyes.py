"""The peer's own eyes as a predictor: detector, ground-plane tracker and hands; products are another network's looks.

Pictures of the catalogue and looks at shelves are borrowed: they tell products, not people. Windows around bodies and
hands are not looked at: hands are the detector's.
"""

from __future__ import annotations

from dataclasses import fields

import numpy as np
from numpy.typing import NDArray

from openaisle.modular.arms import Hands, Sighting, fuse, move
from openaisle.modular.detector import LOOKS, LOOKS_LENGTH, Detections, Graph, detect, joined
from openaisle.modular.peer import ModularPredictor
from openaisle.modular.tracks import Motion, Sights, begin, follow
from openaisle.predictor import Arrays, Float32, Predictor, UInt8, VisualTokens, floats
from openaisle.tokens.body import BODY_CELLS
from openaisle.tokens.journey import ACTIVITIES

ORPHAN_M = 0.6  # patches of a body whose head is not seen are theirs who stands so near
ALONE_M = 0.8  # looks are learnt of people who stand alone
LEARN, FIRST_LEARN = 0.04, 0.3  # share of looks learnt per slot: once they are known, and at first
Float = NDArray[np.float64]
# Hands claim so many times the deviation that they have: whoever weighs them believes half of what is claimed
# (weighing/associate.py, CLAIMED), as the network's claim too much, and these are now and then off by far more.
CAUTION = 2.5
UNSEEN = -30.0  # log-odds
SAME = 1e-6  # m²: a spread that is the filter's own
PLACE_SD_M, HAND_SD_M, HAND_HEIGHT_M, HEAD_HEIGHT_M = 0.4, 0.75, 0.9, 1.6  # of somebody who has just come


class OwnEyes(ModularPredictor):
    """The peer that sees and follows for itself."""

    def __init__(self, detector: Graph, shelves: Predictor, name: str = "modular-own") -> None:
        """`shelves` tells products."""
        super().__init__(shelves, name)
        self.detector = detector
        self.width = int(shelves.place(np.zeros((0, 2), dtype=np.float32), PLACE_SD_M)["product"].shape[-1])

    def look(self, slots: list[VisualTokens]) -> list[Arrays]:
        """Votes of each slot's tokens: those of the head they belong to; and the detections themselves."""
        return [self._look(slot) for slot in slots]

    def _look(self, slot: VisualTokens) -> Arrays:
        person = np.zeros(len(slot.camera), dtype=np.float32)
        whose = np.full(len(slot.camera), -1, dtype=np.int64)
        parts: list[Detections] = []
        known = 0
        for camera in np.unique(slot.camera):
            rows = np.flatnonzero(slot.camera == camera)
            found, person[rows], mine = detect(slot, rows, self.detector)
            whose[rows] = np.where(mine >= 0, mine + known, -1)
            parts.append(found)
            known += len(found.camera)
        all_found = joined(parts)
        own = whose >= 0
        floor, looks = slot.anchor[:, :2].copy(), np.zeros((len(person), LOOKS), dtype=np.float32)
        floor[own], looks[own] = all_found.floor[whose[own]], all_found.looks[whose[own]]
        votes: Arrays = {"person": person, "floor_mean": floor, "appearance": looks, "whose": whose}
        return votes | {f"found_{f.name}": getattr(all_found, f.name) for f in fields(Detections)}

    def place(self, floor_m: Float32, spread_m: float) -> Arrays:
        """Fresh memory rows at floor points [Q, 2]."""
        q, f32 = len(floor_m), np.float32
        spread = np.tile(np.eye(2, dtype=f32) * f32(spread_m**2), (q, 1, 1))
        low = np.concatenate([floor_m, np.full((q, 1), HAND_HEIGHT_M)], axis=1).astype(f32)
        return {
            "floor": floor_m.astype(f32), "floor_variance": spread, "velocity": np.zeros((q, 2), f32),
            "filter": begin(floor_m.astype(np.float64), spread.astype(np.float64)).spread.astype(f32),
            "hands": np.repeat(low[:, None], 2, axis=1),
            "hand_variance": np.tile(np.eye(3, dtype=f32) * f32(HAND_SD_M**2), (q, 2, 1, 1)),
            "head": np.concatenate([floor_m, np.full((q, 1), HEAD_HEIGHT_M)], axis=1).astype(f32),
            "appearance": np.zeros((q, LOOKS), f32), "held": np.zeros((q, 2), f32),
            "product": np.zeros((q, 2, self.width), f32),
            "activity": np.full((q, ACTIVITIES), 1.0 / ACTIVITIES, f32), "mass": np.zeros(q, f32),
        }  # fmt: skip

    def remember(self, votes: Arrays, memory: Arrays, dt_s: float) -> tuple[Arrays, Float32]:
        """Memory after one slot and the attention of its tokens: each is one person's or nobody's."""
        found = Detections(**{f.name: votes[f"found_{f.name}"] for f in fields(Detections)})  # type: ignore[arg-type]
        f64 = np.float64
        sights = Sights(
            found.camera, found.score.astype(f64), found.floor.astype(f64), found.floor_spread.astype(f64),
            found.looks.astype(f64) / LOOKS_LENGTH,
        )  # fmt: skip
        looks = floats(memory["appearance"]).astype(f64) / LOOKS_LENGTH
        motion, owner = follow(motion_of(memory), sights, looks, dt_s)
        attention = attend(votes, owner, motion)
        after = {
            "floor": motion.state[:, :2], "velocity": motion.state[:, 2:], "floor_variance": motion.spread[:, :2, :2],
            "filter": motion.spread, "mass": (floats(votes["person"])[:, None] * attention[:, :-1]).sum(0),
            "appearance": learnt(looks, sights, owner, motion) * LOOKS_LENGTH,
        } | bodies(memory, motion, found, owner, dt_s)  # fmt: skip
        return {**memory, **{name: values.astype(np.float32) for name, values in after.items()}}, attention

    def heatmaps(self, now: UInt8, before: UInt8, features: Float32) -> Float32:
        """Says nothing of any place: hands are the detector's."""
        cells = BODY_CELLS**2 + 1
        return np.full((len(now), 2, cells), -np.log(cells), dtype=np.float32)

    def glance(self, now: UInt8, before: UInt8, features: Float32) -> dict[str, Float32]:
        """Sees nothing."""
        count, f32 = len(now), np.float32
        unseen = np.full(count, UNSEEN, dtype=f32)
        return {
            "offset": np.zeros((count, 2), f32), "log_sd": np.zeros(count, f32), "seen": unseen, "item": unseen,
            "holds": unseen, "product": np.zeros((count, self.width), f32),
        }  # fmt: skip


def motion_of(memory: Arrays) -> Motion:
    """The filter of the memory's rows; begun anew where somebody was moved, or has changed places, since."""
    floor, variance = floats(memory["floor"]).astype(np.float64), floats(memory["floor_variance"]).astype(np.float64)
    fresh, spread = begin(floor, variance), floats(memory["filter"]).astype(np.float64)
    kept = np.abs(spread[:, :2, :2] - variance).max((1, 2), initial=0.0) < SAME
    state = np.concatenate([floor, floats(memory["velocity"]).astype(np.float64)], axis=1)
    return Motion(state, np.where(kept[:, None, None], spread, fresh.spread))


def attend(votes: Arrays, owner: NDArray[np.int64], motion: Motion) -> Float32:
    """Attention [T, Q + 1] of tokens to people and to nobody."""
    people = len(motion.state)
    whose = votes["whose"].astype(np.int64)
    at = np.full(len(whose), people, dtype=np.int64)
    own = whose >= 0
    at[own] = np.where(owner[whose[own]] >= 0, owner[whose[own]], people)
    orphans = np.flatnonzero(~own)
    if people and len(orphans):
        away = np.linalg.norm(floats(votes["floor_mean"])[orphans][:, None] - motion.state[None, :, :2], axis=-1)
        at[orphans] = np.where(away.min(1) < ORPHAN_M, away.argmin(1), people)
    return np.eye(people + 1, dtype=np.float32)[at]


def learnt(looks: Float, seen: Sights, owner: NDArray[np.int64], motion: Motion) -> Float:
    """Looks [Q, A] after a slot: a running mean, learnt of those who stand alone."""
    out = looks.copy()
    gap = np.linalg.norm(motion.state[:, None, :2] - motion.state[None, :, :2], axis=-1)
    np.fill_diagonal(gap, np.inf)
    for person in np.unique(owner[owner >= 0]):
        if gap[person].min(initial=np.inf) > ALONE_M:
            mine = owner == person
            mean = (seen.score[mine, None] * seen.looks[mine]).sum(0) / seen.score[mine].sum()
            rate = max(LEARN, FIRST_LEARN * (1.0 - float(np.linalg.norm(out[person]))))
            out[person] += rate * (mean - out[person])
    return out


def bodies(
    memory: Arrays, motion: Motion, found: Detections, owner: NDArray[np.int64], dt_s: float
) -> dict[str, Float]:
    """Heads [Q, 3] and hands [Q, 2, 3] with their covariances after a slot."""
    f64 = np.float64
    head, place = floats(memory["head"]).astype(f64), floats(memory["hands"]).astype(f64)
    spread = floats(memory["hand_variance"]).astype(f64) / CAUTION**2
    shift = motion.state[:, :2] - floats(memory["floor"])
    head[:, :2] += shift
    for person in range(len(head)):
        rows = np.flatnonzero(owner == person)
        sightings = []
        for row in rows:
            k = np.flatnonzero(found.of_head == row)
            sightings.append(Sighting(
                found.hands[row].astype(f64), found.hand_sd[row].astype(f64), found.hand[k].astype(f64),
                found.seen_spread[k].astype(f64), found.hand_score[k].astype(f64),
            ))  # fmt: skip
        if len(rows):
            information = np.linalg.inv(found.head_spread[rows].astype(f64) + np.eye(3) * 1e-3)
            mean = np.linalg.solve(information.sum(0), np.einsum("nij,nj->i", information, found.head[rows]))
            head[person] += 0.7 * (mean - head[person])
        hands = fuse(move(Hands(place[person], spread[person]), shift[person], dt_s), sightings)
        place[person], spread[person] = hands.place, hands.spread
    return {"head": head, "hands": place, "hand_variance": spread * CAUTION**2}
