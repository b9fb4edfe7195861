"""Beginnings and ends of journeys: who came through a gate, who left, and people whom no query claims."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
TWO_BODIES_M, TWO_BODIES_SDS, TWO_BODIES_SHARE = 0.45, 3.0, 0.3  # apart, in metres and deviations; least part of tokens
TWO_BODIES_SLOTS = 2  # for so many slots in a row
OWN_TOKEN = 0.2  # a token is a query's from this weight on
CUTS_M = np.linspace(-0.4, 0.4, 17)
Float32 = NDArray[np.float32]


@dataclass(frozen=True)
class Births:
    """Memory of unclaimed people."""

    gates_speak: bool = False  # this store's gates send messages
    slots: int = 0  # for how many slots somebody has been unclaimed
    floor_m: tuple[float, float] = (0.0, 0.0)
    lost: tuple[int, ...] = ()  # slots each query has been lost for, or has shared a body
    doubled: tuple[int, int] = (-1, 0)  # the query that seems to follow two bodies, and for how many slots


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


def find_doubled(
    births: Births, votes: Arrays, attention: Float32, ghosts: Sequence[int], known_looks: Float32
) -> tuple[Births, Found | None]:
    """Where a ghost is after all (identity.py): one of two bodies that a single query follows, whichever looks like it.

    ghosts: their rows of the memory; known_looks [Q, A].
    """
    place, looks, person = (floats(votes[name]) for name in ("floor_mean", "appearance", "person"))
    before, births = births.doubled, replace(births, doubled=(-1, 0))
    if not ghosts:
        return births, None
    for query in sorted(set(range(attention.shape[1] - 1)) - set(ghosts)):
        weight = person * attention[:, query]
        bodies = two_bodies(place, weight)
        if bodies is None:
            continue
        slots = before[1] + 1 if before[0] == query else 1
        births = replace(births, doubled=(query, slots))
        if slots < TWO_BODIES_SLOTS:
            break
        middles, mine = bodies
        seen = [(w[:, None] * looks).sum(0) / w.sum() for w in (weight * mine, weight * ~mine)]
        more = [float((seen[0] - seen[1]) @ (known_looks[ghost] - known_looks[query])) for ghost in ghosts]
        best = int(np.abs(more).argmax())
        return births, Found(middles[0 if more[best] > 0 else 1], ghosts[best], slots)
    return births, None


def two_bodies(place: Float32, weight: Float32) -> tuple[Float32, NDArray[np.bool_]] | None:
    """Middles [2, 2] of two bodies for which tokens [T, 2] vote, and which are of the first; None where it is one."""
    own = weight > OWN_TOKEN
    mass = float(weight[own].sum())
    if mass * TWO_BODIES_SHARE < UNCLAIMED_MASS:
        return None
    share = weight[own] / mass
    middle = share @ place[own]
    away = place[own] - middle
    _, axes = np.linalg.eigh((share[:, None] * away).T @ away)
    along = (place - middle) @ axes[:, -1]  # where they spread most
    best: tuple[float, float] | None = None
    for cut in CUTS_M:
        parts = np.where(along[own] < cut, share, 0), np.where(along[own] < cut, 0, share)
        if min(part.sum() for part in parts) < TWO_BODIES_SHARE:
            continue
        low, high = (float(part @ along[own] / part.sum()) for part in parts)
        spread = sum(float(part @ (along[own] - at) ** 2) for part, at in zip(parts, (low, high), strict=True))
        apart = (high - low) / np.sqrt(spread + 1e-6)
        if high - low >= TWO_BODIES_M and apart >= TWO_BODIES_SDS and (best is None or apart > best[0]):
            best = float(apart), float(cut)
    if best is None:
        return None
    first = along < best[1]
    middles = [(weight * own * of) @ place / (weight * own * of).sum() for of in (first, ~first)]
    return np.array(middles, dtype=np.float32), first


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
