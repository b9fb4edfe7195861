"""Worker: the pipeline over a source, tick by tick into the ledger; one transaction a tick.

A run that is taken up again starts from its first message. The pipeline is pure, so it says the same things under the
same ids, which the ledger knows already; nothing is written twice and nothing is missed.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from openaisle.messages import NANOSECONDS
from openaisle.pipeline import step
from openaisle.predictor import Predictor
from openaisle.receipts.events import LedgerEvent
from openaisle.recording.journal import forget
from openaisle.service import book, till, visits
from openaisle.service.album import Album
from openaisle.service.database import locked_visit
from openaisle.service.desk import Desk
from openaisle.service.jobs import Job
from openaisle.service.pressure import Thinner
from openaisle.service.source import LIVE, SILENCE_NS, SIM, Pace, Passages, messages_of
from openaisle.service.states import HowLeft, Origin, VisitState
from openaisle.service.stock import LASTING
from openaisle.service.swap import Load, Models
from openaisle.service.tables import Passage, Run, Visit
from openaisle.service.tracks import PEOPLE, Trails
from openaisle.service.witness import Witness
from openaisle.state import State
from openaisle.tokens.tick import Tick, Ticker

CUT_AFTER_S, QUIET_S, LOOK_BACK_S = 600, 30, 20  # a run over a journal lasts so long, then ends when it is so quiet
LONGEST_NAME = 60  # characters of a visit's name in a stream


@dataclass
class Known:
    """What this worker has told the database, so that a tick without news writes one row."""

    api: set[str]  # names of visits that the API opened; they are the same in the stream
    trails: Trails
    open: dict[str, bool] = field(default_factory=dict)  # visit → guessed
    over: set[str] = field(default_factory=set)
    entries: int = 0  # of the pipeline's ledger
    blinded: Mapping[str, frozenset[str]] = field(default_factory=dict)


def take_up(desk: Desk, job: Job) -> Run:
    """The unfinished run of this job, or a new one; runs of other jobs end here."""
    now_ns = desk.clock()
    with desk.database.write() as session:
        mine: Run | None = None
        for run in session.scalars(select(Run).where(~Run.ended).order_by(Run.at_ns)).all():
            if mine is None and (run.source, run.model) == (job.source, job.model):
                mine = run
            else:
                end(session, desk, run)
        if mine is None:
            mine = _new_run(session, job, now_ns)
    return mine


def _new_run(session: Session, job: Job, now_ns: int) -> Run:
    seed = job.seed + _runs_of(session, job.source) if job.source.startswith(SIM + ":") else job.seed
    start_ns = now_ns
    if is_live(job):
        until_ns = session.scalar(select(func.max(Run.until_ns)).where(Run.source == job.source))
        start_ns = until_ns or now_ns - SILENCE_NS  # what the sensors told while the worker was starting
    run = Run(
        id=f"r{secrets.token_hex(4)}", source=job.source, model=job.model, seed=seed, start_ns=start_ns,
        time_ns=0, ticks=0, tracks="[]", ended=False, until_ns=0, at_ns=now_ns, beat_ns=now_ns,
    )  # fmt: skip
    session.add(run)
    return run


def is_live(job: Job) -> bool:
    """Whether it is over a journal that grows."""
    return job.source.startswith(LIVE + ":")


def work(
    desk: Desk, job: Job, predictor: Predictor, go_on: Callable[[], bool] = lambda: True, folder: Path | None = None,
    load: Load | None = None,
) -> bool:  # fmt: skip
    """One run to its end; False when it was told to stop before.

    `predictor` is the job's; what operators put in its place is kept in `folder`, as evidence is, and read by `load`
    (default: as names and folders are).
    Raises ModelError when a run that is taken up again needs a model that is not there any more.
    """
    run = take_up(desk, job)
    lasting = run.source.startswith(LASTING)
    rules = desk.rules
    witness = Witness(Album(folder), desk.store, run.id, rules.evidence_mb << 20, lasting, rules.low_disk_mb << 20)
    passages = Passages(desk, run.id, run.time_ns)
    pace = Pace(job.speed, run.time_ns, go_on)
    known = Known(passages.names, Trails(desk.store))
    models = Models(desk, job, run, predictor, folder, load)
    state, quiet, thinner = models.first, Quiet(), Thinner(desk, run)
    for whole in _ticks(desk, pace, passages, run):
        if not go_on():
            break
        tick = thinner.thin(whole, _lag_s(desk, job, pace, whole))
        state = models.step(state, tick, go_on, step)
        if models.stopped:
            break
        with desk.database.write() as session:
            told = tell(session, desk, run, known, state, tick)
            thinner.tell(session, tick)
            models.tell(session, tick)
            _leave_by_name(session, desk, passages, tick)
            cut = is_live(job) and quiet.lasts(state, tick) and _cut(session, desk, job, run)
        witness.see(tick, state, told)
        if cut:
            break
    if not go_on():
        return False
    with desk.database.write() as session:
        ended = session.get(Run, run.id)
        assert ended is not None, "runs are kept"
        if not ended.ended:
            end(session, desk, ended)
    if is_live(job):
        kept_ns = min(ended.until_ns, desk.clock()) - round(job.keep_hours * 3600 * NANOSECONDS)
        forget(Path(job.source.partition(":")[2]), kept_ns)
    return True


def _lag_s(desk: Desk, job: Job, pace: Pace, tick: Tick) -> float:
    """How far the run is behind its sensors, or behind the clock that it is held to; nothing hurries at speed 0."""
    return (desk.clock() - tick.sensed_ns) / NANOSECONDS if is_live(job) else pace.behind_s


@dataclass
class Quiet:
    """A run over a journal is taken up from its begin, so it should not be long: it is cut while nobody is there."""

    ticks: int = 0
    empty: int = 0

    def lasts(self, state: State, tick: Tick) -> bool:
        """Whether this is a moment to begin a new run."""
        self.ticks += 1
        self.empty = 0 if state.shoppers or tick.gates else self.empty + 1
        return self.ticks >= CUT_AFTER_S and self.empty >= QUIET_S


def _cut(session: Session, desk: Desk, job: Job, run: Run) -> bool:
    """End the run and begin the next one, which first looks back a little; not while somebody is inside by the API."""
    inside = select(Visit.id).where(Visit.run == run.id, Visit.state.in_([VisitState.INSIDE, VisitState.AWAITING]))
    waiting = select(Passage.id).where(Passage.run == run.id, Passage.time_ns == 0)
    if session.scalar(inside.limit(1)) is not None or session.scalar(waiting.limit(1)) is not None:
        return False
    row = session.get(Run, run.id)
    assert row is not None, "runs are kept"
    end(session, desk, row)
    row.until_ns = row.time_ns - LOOK_BACK_S * NANOSECONDS
    session.flush()
    _new_run(session, job, desk.clock())
    return True


def _ticks(desk: Desk, pace: Pace, passages: Passages, run: Run) -> Iterator[Tick]:
    return Ticker(desk.store).ticks(passages.join(pace.keep(messages_of(run, desk.store, pace.go_on))))


def tell(session: Session, desk: Desk, run: Run, known: Known, state: State, tick: Tick) -> list[LedgerEvent]:
    """What a tick brought: who came, what was taken, who left; the ledger's entries of it, known ones included."""
    names = _names(run, known, state)
    events = [translated(event, run.id, names) for event in state.ledger.events[known.entries :]]
    _open_visits(session, desk, run, known, state, names)
    touched = {visit for event in events for visit in book.touched(session, event)}
    for visit in sorted(touched):  # locks in order, before any of them is needed
        locked_visit(session, visit)
    for event in events:
        till.record(session, event, f"run {run.id}", desk.clock())
    known.entries = len(state.ledger.events)
    for name, sensors in state.blinded.items():
        if name in names and sensors != known.blinded.get(name):
            till.note_blind(session, names[name], sensors, desk.clock())
    known.blinded = dict(state.blinded)
    _close_visits(session, desk, run, known, state, names)
    row = session.get(Run, run.id)
    assert row is not None, "runs are kept"
    row.beat_ns, row.tracks = desk.clock(), PEOPLE.dump_json(known.trails.people(state, names)).decode()
    if tick.sensed_ns > row.time_ns:
        row.time_ns, row.ticks = tick.sensed_ns, tick.index + 1
    return events


def translated(event: LedgerEvent, run: str, names: Mapping[str, str]) -> LedgerEvent:
    """An event of the pipeline under names that no other run has."""

    def visit(name: str) -> str:
        return names.get(name) or name_of(run, name)

    return replace(
        event, event_id=f"{run}:{event.event_id}", supersedes=f"{run}:{event.supersedes}" if event.supersedes else "",
        visit=visit(event.visit), to_visit=visit(event.to_visit) if event.to_visit else "",
    )  # fmt: skip


def name_of(run: str, name: str) -> str:
    """A visit of a stream, which may have been played before, by a name of its own."""
    return f"{run}.{name[:LONGEST_NAME]}"


def _names(run: Run, known: Known, state: State) -> dict[str, str]:
    names = {shopper.visit for shopper in state.shoppers} | state.finished.keys()
    return {name: name if name in known.api else name_of(run.id, name) for name in names}


def _open_visits(session: Session, desk: Desk, run: Run, known: Known, state: State, names: Mapping[str, str]) -> None:
    guessed = {shopper.visit: shopper.guessed for shopper in state.shoppers}
    entered = {shopper.visit: shopper.entered_ns for shopper in reversed(state.shoppers)}
    for name in [*guessed, *(name for name in state.finished if name not in known.open)]:
        visit = names[name]
        if name not in known.open and name not in known.api:  # those are open already
            origin = Origin.SEEN if guessed.get(name) else Origin.GATE
            method = desk.rules.walk_in_method if origin == Origin.GATE else ""
            entered_ns = entered.get(name, state.finished.get(name, 0))
            visits.open_visit(session, desk, visits.Opening(visit, origin, "", entered_ns, method=method, run=run.id))
        known.open[name] = guessed.get(name, False)
    members: dict[str, int] = {}
    for shopper in state.shoppers:
        members[shopper.visit] = members.get(shopper.visit, 0) + 1
    for name, count in members.items():
        if count > 1 and (row := session.get(Visit, names[name])) is not None and row.people < count:
            row.people = count


def _close_visits(session: Session, desk: Desk, run: Run, known: Known, state: State, names: Mapping[str, str]) -> None:
    for name, time_ns in state.finished.items():
        if name not in known.over:
            visits.leave(session, desk, names[name], HowLeft.TRACK, time_ns)
            known.over.add(name)
    inside = {shopper.visit for shopper in state.shoppers}
    for name, guessed in list(known.open.items()):
        if guessed and name not in inside and name not in state.finished:  # a gate has named it since
            visits.merge(session, desk, name_of(run.id, name))
            del known.open[name]


def _leave_by_name(session: Session, desk: Desk, passages: Passages, tick: Tick) -> None:
    """Exits by name whose last second has been decided."""
    end_ns = tick.time_ns + NANOSECONDS
    for time_ns, visit in [one for one in passages.leaving if one[0] < end_ns]:
        visits.leave(session, desk, visit, HowLeft.GATE, time_ns)
        passages.leaving.remove((time_ns, visit))


def end(session: Session, desk: Desk, run: Run) -> None:
    """The run is over. Whoever left by name after its last tick has left; who is still inside was not seen to leave."""
    passages = session.scalars(select(Passage).where(Passage.run == run.id)).all()
    end_ns = run.time_ns or desk.clock()
    for passage in passages:
        if passage.kind == "exit" and passage.visit:
            visits.leave(session, desk, passage.visit, HowLeft.GATE, end_ns)
    mine = session.scalars(select(Visit.id).where(Visit.run == run.id, Visit.state == VisitState.INSIDE))
    for visit in sorted(mine):  # who came by the API may still go by it
        visits.leave(session, desk, visit, HowLeft.NEVER, end_ns)
    run.ended, run.tracks, run.until_ns = True, "[]", run.time_ns


def end_all(desk: Desk) -> None:
    """No run goes on: a live store without a pipeline must not hand anything to one that was killed."""
    with desk.database.write() as session:
        for run in session.scalars(select(Run).where(~Run.ended)).all():
            end(session, desk, run)


def _runs_of(session: Session, source: str) -> int:
    """How often a source has been run: every simulated day has its own shoppers."""
    return len(session.scalars(select(Run.id).where(Run.source == source)).all())
