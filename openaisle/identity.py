"""Who is who after a close pass: looks learnt while people were apart tell whether two shoppers have changed places.

Where two people bend over one shelf their queries may slide into each other's bodies, and what the memory learns of
their looks meanwhile is mixed. A gallery that learns only from shoppers who stand alone stays clean. In: the memory
after a slot, and the slot's votes. Out: the memory with exchanged shoppers back in their own bodies. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from openaisle.predictor import Arrays, Float32, floats

CLOSE_M = 0.7  # nearer, two queries may slide into each other
APART_M = 0.35  # nearer, tokens of both are mixed and tell nothing
ALONE_M = 0.9  # farther from everybody, tokens are the shopper's own
LEAST_MASS = 5.0  # tokens of a person, for its looks to be seen in a slot
LEAST_SLOTS = 5  # a gallery of fewer decides nothing
MOST_SLOTS = 100.0  # a gallery's running mean forgets after so many
NOISE = 0.13  # of a slot's mean looks along any direction, neighbouring slots being alike (dev/LOG.md)
MOST_A_SLOT = 4.0  # log-odds: no slot alone decides
SURE = 20.0  # log-odds at which a doubt is decided either way
BODY_M = 0.15  # two people are never so near one another: they are two queries in one body
GHOST_SURE = 8.0  # log-odds of looks at which one of the two is taken to be elsewhere
BODY = ("floor", "floor_variance", "velocity", "hands", "hand_variance", "head", "activity", "mass", "held", "product")


@dataclass(frozen=True)
class Identities:
    """What is known of shoppers' looks, by shopper number, and which pairs may have changed places."""

    gallery: Mapping[int, tuple[Float32, float]] = field(default_factory=dict)  # mean looks [A], from so many slots
    doubts: Mapping[tuple[int, int], float] = field(default_factory=dict)  # log-odds that the pair has changed places
    sharing: Mapping[tuple[int, int], float] = field(default_factory=dict)  # log-odds that one body is the first's

    @property
    def ghosts(self) -> frozenset[int]:
        """Shoppers (numbers) who are followed in the body of another one: where they are is not known."""
        return frozenset(
            other if odds > 0 else one for (one, other), odds in self.sharing.items() if abs(odds) >= GHOST_SURE
        )


def confirm(
    known: Identities, numbers: Sequence[int], memory: Arrays, votes: Arrays, attention: Float32
) -> tuple[Identities, Arrays]:
    """After a slot: galleries and doubts renewed; shoppers (numbers [Q]) who have changed places are put back."""
    looks, mass = slot_looks(votes, attention)
    seen = mass >= LEAST_MASS
    gap = distances(floats(memory["floor"]))
    row_of = {number: row for row, number in enumerate(numbers)}
    doubts = {pair: odds for pair, odds in known.doubts.items() if pair[0] in row_of and pair[1] in row_of}
    for a, b in zip(*np.nonzero(np.triu(gap < CLOSE_M, 1)), strict=True):
        doubts.setdefault((numbers[a], numbers[b]), 0.0)
    gallery = {number: value for number, value in known.gallery.items() if number in row_of}
    exchanged: list[tuple[int, int]] = []
    for (one, other), odds in list(doubts.items()):
        a, b = row_of[one], row_of[other]
        if seen[a] and seen[b] and gap[a, b] > APART_M and decides(gallery, one) and decides(gallery, other):
            odds += log_odds((looks[a], looks[b]), (gallery[one][0], gallery[other][0]))
        doubts[one, other] = odds
        if abs(odds) >= SURE:
            exchanged += [(a, b)] if odds > 0 else []
            doubts.pop((one, other))
            if odds > 0:  # what was said of either body is said of the other one now: begin anew
                doubts = {pair: 0.0 if {one, other} & set(pair) else value for pair, value in doubts.items()}
                break
    doubtful = {number for pair in doubts for number in pair}
    for number, row in row_of.items():
        alone = seen[row] and gap[row].min(initial=np.inf) > ALONE_M
        if alone and number not in doubtful and not exchanged:
            gallery[number] = learnt(gallery.get(number), looks[row])
    for a, b in exchanged:
        memory = put_back(memory, (a, b), (gallery[numbers[a]][0], gallery[numbers[b]][0]))
    sharing = shared_bodies(known.sharing, gallery, (numbers, gap, mass), looks)
    return Identities(gallery, doubts, sharing), memory


def shared_bodies(
    before: Mapping[tuple[int, int], float],
    gallery: Mapping[int, tuple[Float32, float]],
    people: tuple[Sequence[int], Float32, Float32],
    looks: Float32,
) -> dict[tuple[int, int], float]:
    """Pairs in one body after a slot, with the log-odds that it is the first's.

    people: their numbers, distances [Q, Q] and tokens [Q]; looks [Q, A] in this slot.
    """
    numbers, gap, mass = people
    out: dict[tuple[int, int], float] = {}
    for a, b in zip(*np.nonzero(np.triu(gap < APART_M, 1)), strict=True):
        pair = numbers[a], numbers[b]
        if gap[a, b] >= BODY_M and pair not in before:
            continue
        odds = before.get(pair, 0.0)
        if mass[a] + mass[b] >= LEAST_MASS and decides(gallery, pair[0]) and decides(gallery, pair[1]):
            seen = (mass[a] * looks[a] + mass[b] * looks[b]) / (mass[a] + mass[b])
            one, other = gallery[pair[0]][0], gallery[pair[1]][0]
            more = float((seen - (one + other) / 2) @ (one - other)) / NOISE**2
            odds = float(np.clip(odds + np.clip(more, -MOST_A_SLOT, MOST_A_SLOT), -SURE, SURE))
        out[pair] = odds
    return out


def known_looks(known: Identities, numbers: Sequence[int], memory: Arrays) -> Float32:
    """Looks [Q, A] of shoppers: of their galleries, or of the memory where there is none yet."""
    rows = [
        known.gallery[number][0] if decides(known.gallery, number) else floats(memory["appearance"])[row]
        for row, number in enumerate(numbers)
    ]
    return np.array(rows, dtype=np.float32).reshape(floats(memory["appearance"]).shape)


def slot_looks(votes: Arrays, attention: Float32) -> tuple[Float32, Float32]:
    """Mean looks [Q, A] of each shopper's tokens in a slot, and how many there were [Q]."""
    weight = floats(votes["person"])[:, None] * attention[:, :-1]
    mass = weight.sum(0)
    looks = (weight.T @ floats(votes["appearance"])) / np.maximum(mass, 1e-6)[:, None]
    return np.asarray(looks, dtype=np.float32), np.asarray(mass, dtype=np.float32)


def distances(floor_m: Float32) -> Float32:
    """Distances [Q, Q] between shoppers; infinite from oneself."""
    gap = np.linalg.norm(floor_m[:, None] - floor_m[None], axis=-1)
    np.fill_diagonal(gap, np.inf)
    return np.asarray(gap, dtype=np.float32)


def decides(gallery: Mapping[int, tuple[Float32, float]], number: int) -> bool:
    """Whether a shopper's looks are known well enough."""
    return number in gallery and gallery[number][1] >= LEAST_SLOTS


def log_odds(seen: tuple[Float32, Float32], known: tuple[Float32, Float32]) -> float:
    """Log-odds of one slot that two shoppers have changed places.

    seen: looks in their bodies; known: those they are known by. Where one of the two looks like itself and only the
    other one does not, somebody stands before it: no exchange.
    """
    (a, b), (one, other) = seen, known
    change, middle = (other - one) / NOISE**2, (one + other) / 2
    each = float((a - middle) @ change), float((middle - b) @ change)
    if min(each) < 0 < sum(each):
        return 0.0
    return float(np.clip(sum(each), -MOST_A_SLOT, MOST_A_SLOT))


def learnt(old: tuple[Float32, float] | None, looks: Float32) -> tuple[Float32, float]:
    """A gallery's running mean with one more slot."""
    mean, slots = old if old is not None else (np.zeros_like(looks), 0.0)
    slots = min(slots + 1.0, MOST_SLOTS)
    return (mean + (looks - mean) / np.float32(slots)).astype(np.float32), slots


def put_back(memory: Arrays, rows: tuple[int, int], looks: tuple[Float32, Float32]) -> Arrays:
    """The memory with two shoppers' bodies exchanged, and their looks as the gallery has them."""
    a, b = rows
    order = np.arange(len(memory["floor"]))
    order[[a, b]] = b, a
    appearance = memory["appearance"].copy()
    appearance[a], appearance[b] = looks
    return {**memory, **{name: memory[name][order] for name in BODY if name in memory}, "appearance": appearance}
