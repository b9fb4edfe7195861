"""Contenders with the same network watch a case together: what one asked it in a second, it tells the others again.

`rule` and `modular` see with the eyes of `small`, and eyes are most of what a second costs. Nothing else is shared, and
each contender is charged for every answer that it used, whoever had to wait for it: times are about those of playing
alone.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from openaisle.bench.models import DECIDERS, Contender, predictor_of
from openaisle.edge.runtime import OnnxPredictor, folder_of
from openaisle.predictor import Arrays, GraphPredictor, Predictor
from openaisle.state import StepResult

ALONE = ("openvino", "modular-own")  # see with something else than a folder's network


SET_UP = ("pictures", "shelf_pictures")  # asked before the first second, which steps are not timed for


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds on the clock, and of the processor."""

    wall_s: float = 0.0
    cpu_s: float = 0.0

    def __add__(self, other: Cost) -> Cost:
        """Both together."""
        return Cost(self.wall_s + other.wall_s, self.cpu_s + other.cpu_s)

    def __sub__(self, other: Cost) -> Cost:
        """The difference."""
        return Cost(self.wall_s - other.wall_s, self.cpu_s - other.cpu_s)


def now() -> Cost:
    """What the clocks show."""
    return Cost(time.perf_counter(), time.process_time())


@dataclass(frozen=True, slots=True)
class Answer:
    """What a graph said, and what it cost."""

    values: list[NDArray[np.generic]]
    cost: Cost


@dataclass(slots=True)
class Network:
    """A loaded network and its answers since they were last forgotten."""

    graphs: GraphPredictor
    answers: dict[bytes, Answer] = field(default_factory=dict)


class SharedNetwork(GraphPredictor):
    """One contender's access to a network: `owed` is what its answers would have cost beyond what they took."""

    def __init__(self, network: Network) -> None:
        super().__init__(network.graphs.name, network.graphs.widths)
        self.network = network
        self.owed = Cost()

    def call(self, graph: str, feed: Arrays) -> list[NDArray[np.generic]]:
        """The graph's answer; not to be written into, as others read it, too."""
        began = now()
        key = _question(graph, feed)
        answer = self.network.answers.get(key)
        if answer is None:
            asked = now()
            values = self.network.graphs.call(graph, feed)
            answer = Answer(values, now() - asked)
            for value in values:
                value.flags.writeable = False
            self.network.answers[key] = answer
        owed = answer.cost - (now() - began)
        self.owed += replace(owed, wall_s=0.0) if graph in SET_UP else owed
        return answer.values

    def settle(self, result: StepResult) -> tuple[StepResult, Cost]:
        """The result with the time that it would have taken alone, and what was owed since the last one."""
        owed, self.owed = self.owed, Cost()
        seconds = max(0.0, result.compute_s + owed.wall_s)
        updates = tuple(
            replace(one, update=one.update.model_copy(update={"compute_s": seconds})) for one in result.updates
        )
        return replace(result, updates=updates, compute_s=seconds), owed


def _question(graph: str, feed: Mapping[str, NDArray[np.generic]]) -> bytes:
    digest = hashlib.blake2b(graph.encode(), digest_size=16)
    for name, value in sorted(feed.items()):
        digest.update(f"{name}{value.dtype}{value.shape}".encode())
        digest.update(np.ascontiguousarray(value).data)
    return digest.digest()


def eyes_of(found: Contender) -> str:
    """The folder of the network that a contender watches with; "" where it cannot watch together with others."""
    kind, _, folder = found.base.partition(":")
    if found.answers is not None or found.oracle or kind in ALONE:
        return ""
    return str(folder_of((folder or "small") if kind in DECIDERS else found.base))


def predictors_of(
    contenders: Sequence[Contender], load: Callable[[Path], GraphPredictor] = OnnxPredictor
) -> tuple[list[Predictor], list[SharedNetwork | None], list[Network]]:
    """What plays for each contender, its access to a network that it shares, and the networks.

    Raises ModelError for a model that is not there.
    """
    networks = {folder: Network(load(Path(folder))) for folder in dict.fromkeys(map(eyes_of, contenders)) if folder}
    players: list[Predictor] = []
    accesses: list[SharedNetwork | None] = []
    for found in contenders:
        network = networks.get(eyes_of(found))
        access = SharedNetwork(network) if network else None
        decider = DECIDERS.get(found.base.partition(":")[0])
        players.append(predictor_of(found) if access is None else decider(access) if decider else access)
        accesses.append(access)
    return players, accesses, list(networks.values())
