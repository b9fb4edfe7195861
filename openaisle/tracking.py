"""Beginnings and ends of journeys: who came through a gate, who left, and people whom no query claims."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from openaisle.identity import distances
from openaisle.messages import NANOSECONDS, GateEvent
from openaisle.predictor import Arrays, floats
from openaisle.store.store import Store

JUST_ENTERED_NS = 5 * NANOSECONDS
NEW_PENALTY_M = 3.0
CLUSTER_M = 0.5
UNCLAIMED_MASS = 5.0  # tokens of a person that nobody claims
UNCLAIMED_SLOTS = 4  # for so many slots in a row
BIRTH_SLOTS = 15  # without a gate's word somebody must be unclaimed for so long to be a new visit
LOST_MASS = 0.7  # a query with fewer tokens is lost
SHARED_M = 0.3  # of two queries so near one another one may have slipped into the other's body
Float32 = NDArray[np.float32]


@dataclass(frozen=True)
class Births:
    """Memory of unclaimed people."""

    gates_speak: bool = False  # this store's gates send messages
    slots: int = 0  # for how many slots somebody has been unclaimed
    floor_m: tuple[float, float] = (0.0, 0.0)
    lost: tuple[int, ...] = ()  # slots each query has been lost for, or has shared a body


@dataclass(frozen=True)
class Found:
    """A person nobody claims, for so many slots: at a place, to be followed by a lost query (or -1)."""

    floor_m: Float32
    query: int
    slots: int


def gate_middle(store: Store, gate: str) -> Float32:
    """Middle [2] of a gate; the first gate when the name is unknown."""
    spec = next((g for g in store.spec.gates if g.id == gate), store.spec.gates[0])
    return np.asarray((np.array(spec.a_m, dtype=np.float32) + np.array(spec.b_m, dtype=np.float32)) / 2, np.float32)


def enter(store: Store, gate: str) -> Float32:
    """Where somebody stands who just triggered an entry gate."""
    return gate_middle(store, gate)


def claim_exits(
    store: Store, passages: list[tuple[GateEvent, Mapping[int, Float32]]], entered_ns: Mapping[int, int]
) -> dict[int, int]:
    """Shopper number → time for people who left: each exit takes the nearest person who is still inside.

    A passage is an exit with everybody's floor point [2] at that instant; `entered_ns` lists who is inside. Whoever has
    only just come in stands at the gate, too, and is the last to be taken.
    """
    out: dict[int, int] = {}
    for event, floor_m in passages:
        gate = gate_middle(store, event.gate)

        def score(
            number: int, event: GateEvent = event, floor_m: Mapping[int, Float32] = floor_m, gate: Float32 = gate
        ) -> float:
            new = event.time_ns - entered_ns[number] < JUST_ENTERED_NS
            return float(np.linalg.norm(floor_m[number] - gate)) + (NEW_PENALTY_M if new else 0.0)

        free = [number for number in floor_m if number in entered_ns and number not in out]
        if free:
            out[min(free, key=score)] = event.time_ns
    return out


def find_unclaimed(
    births: Births, votes: Arrays, attention: Float32, memory: Arrays, known_looks: Float32
) -> tuple[Births, Found | None]:
    """Watch tokens that belong to a person but to no query; after some slots, say where and which query is lost.

    Lost are queries without tokens and, as there is a body that nobody has, those that share one. known_looks [Q, A].
    """
    mass = floats(memory["mass"])
    before = births.lost if len(births.lost) == len(mass) else (0,) * len(mass)
    shared = distances(floats(memory["floor"])).min(1, initial=np.inf) < SHARED_M
    astray = (mass < LOST_MASS) | shared
    lost = tuple(n + 1 if a else 0 for n, a in zip(before, astray.tolist(), strict=True))
    births = replace(births, lost=lost)
    weight = floats(votes["person"]) * attention[:, -1]
    if weight.sum() < UNCLAIMED_MASS:
        return replace(births, slots=0), None
    place, looks = floats(votes["floor_mean"]), floats(votes["appearance"])
    seed = place[int(np.argmax(weight))]
    for _ in range(3):  # mean shift to the middle of the strongest cluster
        near = weight * (np.linalg.norm(place - seed, axis=-1) < CLUSTER_M)
        if near.sum() <= 0:
            return replace(births, slots=0), None
        seed = (near[:, None] * place).sum(0) / near.sum()
    if near.sum() < UNCLAIMED_MASS:
        return replace(births, slots=0), None
    moved = np.linalg.norm(seed - np.array(births.floor_m)) > 2 * CLUSTER_M
    births = replace(births, slots=1 if moved else births.slots + 1, floor_m=(float(seed[0]), float(seed[1])))
    if births.slots < UNCLAIMED_SLOTS:
        return births, None
    missing = [i for i, n in enumerate(lost) if n >= UNCLAIMED_SLOTS]
    wanted = (near[:, None] * looks).sum(0)
    alike = known_looks @ wanted
    best = max(missing, key=lambda i: float(alike[i]), default=-1)
    found = Found(seed.astype(np.float32), best, births.slots)
    return (replace(births, slots=0) if best >= 0 or births.slots >= BIRTH_SLOTS else births), found
