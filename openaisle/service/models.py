"""Models: which model reads which ticks of a run, and what an operator asks to take its place.

An order is a folder that was checked and copied into DATA/models, because a run that is taken up again needs it at the
same ticks. The worker takes orders (swap.py); everybody else reads here who ran when.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from openaisle.errors import Problem, ServiceError
from openaisle.service.desk import Desk
from openaisle.service.jobs import Job
from openaisle.service.tables import ModelChange, ModelOrder, Passage, Run, Visit

FOLDER = "models"  # of a live store's data folder
KINDS = ("rule", "modular", "openvino")
SHORT = 12  # characters of a digest that people read
LOOK_S = 0.2


class OrderState(StrEnum):
    """How far an order is."""

    ASKED = "asked"
    TRYING = "trying"  # it is being loaded: whoever finds it so at a start knows that it ended the worker
    TAKEN = "taken"
    REFUSED = "refused"


OPEN = (OrderState.ASKED, OrderState.TRYING)


@dataclass(frozen=True, slots=True)
class Spell:
    """A model from some moment on: the store's time and that of the wall."""

    model: str  # as people named it; with the beginning of its digest where it was put in by an operator
    time_ns: int
    at_ns: int


def name_of(order: ModelOrder) -> str:
    """An order's model for people."""
    return f"{order.words} ({order.digest[:SHORT]})"


def kept(folder: Path, order: ModelOrder) -> str:
    """An order's model as load_predictor takes it."""
    path = str(folder / FOLDER / order.digest)
    return f"{order.kind}:{path}" if order.kind else path


def gone(order: ModelOrder, path: str, why: str) -> Problem:
    """A run needs a kept model again that is not there; going on without it would write other lines."""
    fix = f"put {order.words} with digest {order.digest} back there, or end the run by serving another --model"
    return Problem(path, "model", f"a run that is taken up again needs it, and it cannot be loaded ({why})", fix)


def spells(session: Session, run: Run) -> list[Spell]:
    """All models of a run, in order."""
    query = select(ModelChange).where(ModelChange.run == run.id).order_by(ModelChange.tick)
    out = [Spell(run.model, 0, run.at_ns)]
    for change in session.scalars(query):
        order = session.get(ModelOrder, change.order) if change.order else None
        spell = Spell(name_of(order) if order else run.model, change.time_ns, change.at_ns)
        out = [spell] if change.tick == 0 else [*out, spell]  # at its first tick it took the place at once
    return out


def running(session: Session, run: Run) -> Spell:
    """The model that reads the run now."""
    return spells(session, run)[-1]


def of_visit(session: Session, visit: Visit) -> tuple[str, ...]:
    """Models that read the store while a visit was inside; () where no pipeline saw it."""
    by_api = select(Passage.run).where(Passage.visit == visit.id).order_by(Passage.id).limit(1)
    run = session.get(Run, visit.run or session.scalar(by_api) or "")
    if run is None:
        return ()
    found = spells(session, run)
    ends = [*(spell.time_ns for spell in found[1:]), 2**63]
    return tuple(
        spell.model
        for spell, end_ns in zip(found, ends, strict=True)
        if end_ns > visit.entered_ns and (not visit.left_ns or spell.time_ns <= visit.left_ns)
    )


def of_time(session: Session, begin_ns: int, end_ns: int) -> list[Spell]:
    """Models that ran between two moments of the wall, in order, each with when it began."""
    runs = select(Run).where(Run.at_ns < end_ns, Run.beat_ns >= begin_ns).order_by(Run.at_ns, Run.id)
    out: list[Spell] = []
    for run in session.scalars(runs):
        found = spells(session, run)
        ends = [*(spell.at_ns for spell in found[1:]), end_ns]
        for spell, over_ns in zip(found, ends, strict=True):
            if spell.at_ns < end_ns and over_ns >= begin_ns and (not out or out[-1].model != spell.model):
                out.append(spell)
    return out


def standing(session: Session, base: str) -> ModelOrder | None:
    """What was put in the place of a job's model last, and did not fail."""
    query = select(ModelOrder).where(ModelOrder.base == base, ModelOrder.state == OrderState.TAKEN)
    return session.scalars(query.order_by(ModelOrder.id.desc()).limit(1)).first()


def latest(session: Session, limit: int = 20) -> list[ModelOrder]:
    """Orders, newest first."""
    return list(session.scalars(select(ModelOrder).order_by(ModelOrder.id.desc()).limit(limit)))


def hand_in(desk: Desk, folder: Path, job: Job | None, model: str) -> int:
    """Check a model as far as that can be done without the run, keep a copy, and ask for it; the order's id.

    `model` is a name or folder as `aisle serve --model` takes it. Raises ModelError, ServiceError; then nothing is
    asked for.
    """
    from openaisle.edge.runtime import folder_of, load_predictor, read_sizes, verify_files

    if job is None:
        fix = "start `aisle serve` with --source"
        raise ServiceError([Problem(str(folder), "model", "this live store has no pipeline", fix)])
    kind, _, rest = model.partition(":")
    if kind not in KINDS:
        kind, rest = "", model
    source = folder_of(rest or "small")
    read_sizes(source)  # complaints name the operator's folder
    verify_files(source)
    load_predictor(f"{kind}:{source}" if kind else str(source))
    digest = _keep(source, folder / FOLDER)
    with desk.database.write() as session:
        order = ModelOrder(
            base=job.model, kind=kind, digest=digest, words=model, state=OrderState.ASKED, at_ns=desk.clock()
        )
        session.add(order)
        session.flush()
        return order.id


def wait(desk: Desk, order_id: int, patience_s: float, go_on: Callable[[], bool] = lambda: True) -> ModelOrder:
    """The order when the worker has answered, or as it is after so long."""
    end_s = time.monotonic() + patience_s
    while True:
        with desk.database.read() as session:
            order = session.get(ModelOrder, order_id)
        assert order is not None, "orders are kept"
        if order.state not in OPEN or time.monotonic() > end_s or not go_on():
            return order
        time.sleep(LOOK_S)


def _keep(source: Path, folder: Path) -> str:
    """Copy what a model runs on into a folder named by its contents; that name."""
    from openaisle.edge.runtime import GRAPHS

    files = ["model.json", *(f"{name}.onnx" for name in GRAPHS)]
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / f"partial-{os.getpid()}"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    digest = hashlib.sha256()
    for name in files:
        data = (source / name).read_bytes()
        digest.update(name.encode() + b"\0" + len(data).to_bytes(8, "big") + data)
        (partial / name).write_bytes(data)
    kept_as = folder / digest.hexdigest()
    if kept_as.is_dir():
        shutil.rmtree(partial)
    else:
        partial.rename(kept_as)
    return kept_as.name
