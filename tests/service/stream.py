"""A stream for tests of the worker: the tokens' corner, shoppers by the clock, a predictor of few words."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from openaisle.messages import GateEvent, ScaleBatch, VideoFrame
from openaisle.pipeline import run
from openaisle.predictor import TickView, WrittenEvent
from openaisle.recording.writer import whole_recording
from openaisle.store.schema import GateSpec
from openaisle.store.store import Store
from openaisle.tokens.tick import Sensed
from tests.pipeline.scripted import Scripted, shopping
from tests.tokens.corner import corner_store

COLA_G, BEANS_G = 330.0, 420.0
DOOR_M = (1.0, 0.0)  # middle of the corner's gate
Line = tuple[str, int]


def shoppers(count: int) -> list[Sensed]:
    """So many people one after the other, twelve seconds each: cola, beans, and every other one puts the cola back."""
    steps: list[tuple[float, int, float]] = []
    gates: list[tuple[float, str, str]] = []
    for number in range(count):
        at = 12.0 * number
        gates += [(at + 0.6, "entry", f"shopper{number}"), (at + 10.4, "exit", "")]
        steps += [(at + 3.2, 0, -COLA_G * (1 + number % 2)), (at + 5.3, 1, -BEANS_G)]
        if number % 2:
            steps.append((at + 7.2, 0, COLA_G))
    return shopping(steps, gates, 12.0 * count + 2.0)


class Doorman(Scripted):
    """Everything is taken by whoever came in by the door first; people by the side gate have no bodies here."""

    def write(self, view: TickView) -> list[WrittenEvent]:
        """What a scale's step spells out."""
        away_m = np.linalg.norm(view.tracks.floor_m[:, -1] - DOOR_M, axis=-1)
        self.taker = int(np.argmin(away_m.round(1)))
        return super().write(view)


def predictor() -> Scripted:
    """Stands for the network."""
    return Doorman()


def store() -> Store:
    """The corner with a gate more, for those who come in by the API."""
    corner = corner_store()
    side = GateSpec(id="side", kind="both", a_m=(0.0, 1.5), b_m=(0.0, 2.5))
    return replace(corner, spec=corner.spec.model_copy(update={"gates": (*corner.spec.gates, side)}))


def undisturbed(sent: list[Sensed]) -> dict[str, tuple[tuple[Line, ...], int]]:
    """{visit: (lines, total)} as the pipeline alone has them at the end."""
    *_, last = run(store(), sent, predictor())
    return {
        visit: (tuple((line.gtin, line.quantity) for line in receipt.lines), receipt.total_cents)
        for visit, receipt in last.receipts.items()
    }


def write(folder: Path, sent: list[Sensed]) -> Path:
    """A recording of a stream."""
    with whole_recording(folder, store()) as writer:
        for message in sent:
            assert isinstance(message, ScaleBatch | GateEvent | VideoFrame)
            writer.write(message)
    return folder
