"""The worker: a stream becomes visits and ledger entries, the same ones however often it is stopped and taken up."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count, islice
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import select

from openaisle.messages import ScaleBatch
from openaisle.service import till, visits
from openaisle.service.clerk import Clerk
from openaisle.service.database import Database
from openaisle.service.desk import Desk, Rules
from openaisle.service.fake_gateway import FakeGateway
from openaisle.service.jobs import Job
from openaisle.service.source import messages_of
from openaisle.service.states import HowLeft, Origin, VisitState
from openaisle.service.tables import Change, LedgerRow, Run, Visit
from openaisle.service.visits import Opening
from openaisle.service.worker import take_up, work
from openaisle.sim.stores import open_store
from openaisle.tokens.tick import Sensed
from tests.service import stream
from tests.service.desks import CARD

EAGER = Rules(hold_for_review=False, walk_in_method=CARD)


@pytest.fixture(scope="module")
def sent() -> list[Sensed]:
    """Three shoppers."""
    return stream.shoppers(3)


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory, sent: list[Sensed]) -> Path:
    """Their recording."""
    return stream.write(tmp_path_factory.mktemp("recording") / "rec", sent)


@pytest.fixture
def corner(database: Database) -> Desk:
    """A desk in the corner."""
    return Desk(database, stream.store(), EAGER)


def job(recording: Path) -> Job:
    """As fast as it goes."""
    return Job(str(recording), "scripted", speed=0.0)


def ledger(desk: Desk) -> list[tuple[str, str]]:
    """(event id less its run, visit less its run) in order."""
    with desk.database.read() as session:
        rows = session.scalars(select(LedgerRow).order_by(LedgerRow.seq)).all()
    return [(row.event_id.partition(":")[2], row.visit.rpartition(".")[2]) for row in rows]


def receipts(desk: Desk) -> dict[str, tuple[tuple[stream.Line, ...], int]]:
    """{visit: (lines, total)} of all final receipts."""
    out = {}
    with desk.database.read() as session:
        for visit in session.scalars(select(Visit.id)).all():
            final = till.final(session, visit)
            if final is not None:
                lines = tuple((line.gtin, line.quantity) for line in final.receipt.lines)
                out[visit.rpartition(".")[2]] = lines, final.receipt.total_cents
    return out


def settle(desk: Desk, folder: Path) -> FakeGateway:
    """The clerk has nothing left to do."""
    gateway = FakeGateway(folder / "gateway.sqlite")
    clerk = Clerk(desk, gateway)
    while clerk.round():
        pass
    return gateway


def after(ticks: int) -> Callable[[], bool]:
    """Tells a worker to stop after so many looks."""
    looks = count()
    return lambda: next(looks) < ticks


def test_receipts_are_those_of_the_pipeline(corner: Desk, recording: Path, sent: list[Sensed], tmp_path: Path) -> None:
    assert work(corner, job(recording), stream.predictor())
    gateway = settle(corner, tmp_path)
    expected = stream.undisturbed(sent)
    assert len(expected) == 3
    assert receipts(corner) == expected
    assert sorted(gateway.captures().values()) == sorted((1, total, 0) for _, total in expected.values())
    with corner.database.read() as session:
        rows = session.scalars(select(Visit)).all()
    assert {(row.state, row.how_left, row.origin) for row in rows} == {("closed", "track", "gate")}


@pytest.mark.parametrize("looks", [60, 120, 161])
def test_a_run_taken_up_again_writes_nothing_twice_and_misses_nothing(
    corner: Desk, recording: Path, sent: list[Sensed], tmp_path: Path, looks: int
) -> None:
    stops = 0
    while not work(corner, job(recording), stream.predictor(), after(looks * (1 + stops))):
        stops += 1
        settle(corner, tmp_path)  # the clerk goes on meanwhile
    assert stops
    settle(corner, tmp_path)
    entries = ledger(corner)
    assert len(entries) == len(set(entries)) == 7
    assert receipts(corner) == stream.undisturbed(sent)
    with corner.database.read() as session:
        assert len(session.scalars(select(Run)).all()) == 1
        lines = session.scalars(select(Change.line_seq).where(Change.kind == "line")).all()
    assert sorted(lines) == list(range(1, 8))


def test_the_same_recording_twice_is_two_days(corner: Desk, recording: Path, tmp_path: Path) -> None:
    for _ in range(2):
        assert work(corner, job(recording), stream.predictor())
    settle(corner, tmp_path)
    entries = ledger(corner)
    assert entries[:7] == entries[7:]
    with corner.database.read() as session:
        assert len(session.scalars(select(Visit)).all()) == 6


def test_another_job_ends_the_run_before_it(corner: Desk, recording: Path) -> None:
    assert not work(corner, job(recording), stream.predictor(), after(140))
    with corner.database.read() as session:
        assert visits.counts(session)[VisitState.INSIDE] == 1
    take_up(corner, Job(str(recording), "other"))
    with corner.database.read() as session:
        left = session.scalars(select(Visit)).all()
    how = sorted((row.state, row.how_left) for row in left)
    assert how == [("left", "never"), ("left", "track"), ("left", "track")]


def test_who_comes_and_goes_by_the_api_is_in_the_stream(corner: Desk, tmp_path: Path) -> None:
    quiet = [message for message in stream.shoppers(1) if isinstance(message, ScaleBatch)]
    recorded = stream.write(tmp_path / "rec", list(quiet))
    run = take_up(corner, job(recorded))
    with corner.database.write() as session:
        visits.open_visit(session, corner, Opening("v-app", Origin.API, "door", quiet[0].time_ns))
        assert visits.pass_gate(session, corner, "door", "entry", "v-app")
    # It is killed a while after it has seen the entry; the passage is at the same instant the second time.
    assert not work(corner, job(recorded), stream.predictor(), after(40))
    with corner.database.write() as session:
        assert visits.pass_gate(session, corner, "door", "exit", "v-app")
    assert work(corner, job(recorded), stream.predictor())
    with corner.database.read() as session:
        visit = session.get(Visit, "v-app")
        assert visit is not None
        assert (visit.state, visit.how_left) == (VisitState.LEFT, HowLeft.GATE)
        assert {line.gtin for line in till.current(session, corner, visit).lines}
        assert session.get(Run, run.id) is not None
        assert session.scalars(select(Visit.id)).all() == ["v-app"]


def test_who_is_inside_when_a_run_ends_was_not_seen_to_leave(corner: Desk, tmp_path: Path) -> None:
    stay = [message for message in stream.shoppers(1) if not (hasattr(message, "kind") and message.kind == "exit")]
    assert work(corner, job(stream.write(tmp_path / "rec", stay)), stream.predictor())
    settle(corner, tmp_path)
    with corner.database.read() as session:
        assert visits.counts(session) == {VisitState.REVIEW: 1}


def test_a_simulated_day_is_the_same_when_it_is_taken_up() -> None:
    store = open_store("random:kiosk", 850_003)
    run = Run(id="r1", source="sim:solo", seed=850_003, start_ns=1_770_000_000_000_000_000)
    first, again = (list(islice(messages_of(run, store), 60)) for _ in range(2))
    assert [message.time_ns for message in first] == [message.time_ns for message in again]
    for one, two in zip(first, again, strict=True):
        if isinstance(one, ScaleBatch):
            assert isinstance(two, ScaleBatch)
            np.testing.assert_array_equal(one.grams, two.grams)
    assert first[0].time_ns >= run.start_ns
