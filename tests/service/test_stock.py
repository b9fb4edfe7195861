"""Stock: by the ledger and by the scales, from a count on; what lies wrong; health and the day in figures."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from sqlalchemy.orm import Session

from openaisle.errors import RequestError
from openaisle.messages import NANOSECONDS
from openaisle.receipts.events import Kind, LedgerEvent
from openaisle.service import beats, stock, till
from openaisle.service.album import Album, Levels
from openaisle.service.day import day_story, today, waits
from openaisle.service.desk import Desk
from openaisle.service.health import SENSORS, How, health
from openaisle.service.states import HowLeft
from openaisle.service.tables import Run
from tests.service import desks, stream
from tests.service.desks import Clock, fresh_sqlite
from tests.tokens.corner import BEANS, COLA, LANES

FULL = 10  # the planogram's capacity
COLA_G = stream.COLA_G


@pytest.fixture
def clock() -> Clock:
    """Stands still."""
    return Clock()


@pytest.fixture
def corner(tmp_path: Path, clock: Clock) -> Desk:
    """A corner with a run."""
    desk = Desk(fresh_sqlite(tmp_path), stream.store(), clock=clock)
    with desk.database.write() as session:
        now_ns = clock()
        session.add(
            Run(id="r1", source="sim:solo", model="small", seed=0, start_ns=now_ns, at_ns=now_ns, beat_ns=now_ns)
        )
    return desk


def tell(desk: Desk, event_id: str, kind: Kind, gtin: str, lane: str, units: int = 1, supersedes: str = "") -> None:
    """An entry of the run."""
    event = LedgerEvent(
        f"r1:{event_id}", desk.clock(), kind, "v1", gtin, units, 0.9, lane, supersedes=supersedes and f"r1:{supersedes}"
    )
    with desk.database.write() as session:
        till.record(session, event, "run r1", desk.clock())


def levels(folder: Path, desk: Desk, **grams: float) -> None:
    """What the scales show, after 8,000 g each at the beginning."""
    with Album(folder).pen() as pen:
        pen.levels(Levels("r1", desk.clock(), desk.clock(), grams, {}, dict.fromkeys(grams, 8000.0)))


def lanes(desk: Desk, folder: Path) -> dict[str, stock.LaneStock]:
    """By lane."""
    with desk.database.read() as session:
        return {lane.lane: lane for lane in stock.shelves(session, desk, Album(folder)).lanes}


def test_takes_and_returns_count_from_a_full_lane(corner: Desk, tmp_path: Path) -> None:
    tell(corner, "e1", "take", COLA, LANES[0], 3)
    tell(corner, "e2", "return", COLA, LANES[0])
    levels(tmp_path, corner, w1=8000 - 2 * COLA_G, w2=8000.0)
    seen = lanes(corner, tmp_path)
    assert (seen[LANES[0]].by_ledger, seen[LANES[0]].by_scale, seen[LANES[0]].differs) == (FULL - 2, FULL - 2.0, False)
    assert (seen[LANES[1]].by_ledger, seen[LANES[1]].by_scale) == (FULL, FULL)
    assert seen[LANES[2]].by_scale is None  # no scale


def test_replaced_entries_count_as_what_replaced_them(corner: Desk, tmp_path: Path) -> None:
    tell(corner, "e1", "take", COLA, LANES[0], 3)
    tell(corner, "e2", "correction", COLA, "", 1, supersedes="e1")  # it was one, in the same lane
    assert lanes(corner, tmp_path)[LANES[0]].by_ledger == FULL - 1
    tell(corner, "e3", "correction", BEANS, LANES[1], 2, supersedes="e2")  # no: two beans
    seen = lanes(corner, tmp_path)
    assert (seen[LANES[0]].by_ledger, seen[LANES[1]].by_ledger) == (FULL, FULL - 2)


def test_a_scale_that_knows_better_says_so(corner: Desk, tmp_path: Path) -> None:
    levels(tmp_path, corner, w1=8000 - COLA_G, w2=8005.0)
    seen = lanes(corner, tmp_path)
    assert seen[LANES[0]].differs
    assert not seen[LANES[1]].differs  # five grams of drift


def test_a_count_is_a_new_beginning(corner: Desk, tmp_path: Path, clock: Clock) -> None:
    tell(corner, "e1", "take", COLA, LANES[0], 8)
    assert lanes(corner, tmp_path)[LANES[0]].low
    levels(tmp_path, corner, w1=8000 - 8 * COLA_G)
    with corner.database.write() as session:
        stock.count_lane(session, corner, Album(tmp_path), LANES[0], 7, "somebody")
    clock.pass_s(5)
    tell(corner, "e2", "take", COLA, LANES[0], 2)
    levels(tmp_path, corner, w1=8000 - 10 * COLA_G)
    lane = lanes(corner, tmp_path)[LANES[0]]
    assert (lane.by_ledger, lane.by_scale, lane.low, lane.differs) == (5, 5.0, False, False)
    assert lane.counted_ns == desks.START_NS
    tell(corner, "e3", "correction", COLA, LANES[0], 1, supersedes="e1")  # about what was before the count
    assert lanes(corner, tmp_path)[LANES[0]].by_ledger == 5
    for wrong, units, status in (("nowhere", 1, 404), (LANES[0], -1, 422)):
        with pytest.raises(RequestError) as caught, corner.database.write() as session:
            stock.count_lane(session, corner, Album(tmp_path), wrong, units, "somebody")
        assert caught.value.status == status


def test_what_lies_wrong_is_named_with_its_home(corner: Desk, tmp_path: Path) -> None:
    tell(corner, "e1", "take", COLA, LANES[0])
    tell(corner, "e2", "return", COLA, LANES[1])
    levels(tmp_path, corner, w1=8000 - COLA_G, w2=8000 + COLA_G)
    with corner.database.read() as session:
        seen = stock.shelves(session, corner, Album(tmp_path))
    assert [(one.lane, one.gtin, one.units, one.home) for one in seen.misplaced] == [(LANES[1], COLA, 1, LANES[0])]
    assert not any(lane.differs for lane in seen.lanes)  # the scale feels what lies wrong, and it is known
    tell(corner, "e3", "take", COLA, LANES[1])
    with corner.database.read() as session:
        assert stock.shelves(session, corner, Album(tmp_path)).misplaced == ()


def test_health_names_what_is_not_well(corner: Desk, tmp_path: Path, clock: Clock) -> None:
    rows = {
        "api": {"state": "running", "pid": 1, "restarts": 0}, "clerk": {"state": "crash loop", "pid": 0, "restarts": 5},
        "worker": {"state": "ended", "pid": 0, "restarts": 0}, "courier": {"state": "running", "pid": 2, "restarts": 0},
    }  # fmt: skip
    (tmp_path / beats.STATUS).write_text(json.dumps(rows))
    beats.beat_of(tmp_path, "api")()
    states = [{"sensor": name, "kind": "camera", "state": name} for name in ("online", "late", "frozen")]
    (tmp_path / SENSORS).write_text(json.dumps({"sensors": states, "lag_s": 0.25, "later": 1}))

    def look(session: Session) -> tuple[dict[str, How], list[How]]:
        seen = health(session, corner, tmp_path, Album(tmp_path))
        assert seen.pipeline is not None
        return {one.name: one.how for one in seen.processes}, [
            one.how for one in seen.intake.sensors
        ] if seen.intake else []

    with corner.database.read() as session:
        processes, sensors = look(session)
        assert processes == {"api": How.WELL, "clerk": How.BAD, "worker": How.WELL, "courier": How.POOR}
        assert sensors == [How.WELL, How.POOR, How.BAD]
        clock.pass_s(16)
        pipeline = health(session, corner, None, Album(None)).pipeline
        assert pipeline is not None
        assert pipeline.how == How.BAD
        (tmp_path / SENSORS).write_text("{")
        assert health(session, corner, tmp_path, Album(None)).intake is None


def test_a_day_tells_hours_and_speed(corner: Desk, clock: Clock) -> None:
    desks.come_in(corner, "v1")
    tell(corner, "e1", "take", COLA, LANES[0])
    clock.pass_s(3600)
    desks.go(corner, "v1", HowLeft.TRACK)
    clock.pass_s(0.5)
    till.settle(corner, "v1")
    with corner.database.read() as session:
        story = day_story(session, corner, today(corner))
    assert [hour.visits for hour in story.hours if hour.visits] == [1]
    assert story.finals.count == 1
    assert story.finals.p50_s == pytest.approx(0.5)
    assert (story.lines.count, story.lines.p95_s) == (1, 0.0)
    assert story.reviews.count == 0
    at_ns = desks.START_NS // NANOSECONDS
    assert sum(hour.takings_cents for hour in story.hours) == 100
    assert at_ns == 1_770_000_000


def test_percentiles_are_by_rank() -> None:
    told = waits([float(n) for n in range(1, 101)])
    assert (told.count, told.p50_s, told.p95_s) == (100, 50.0, 95.0)
    assert waits([]).p50_s is None


def test_shelves_of_a_real_shop_outlast_its_runs(corner: Desk, tmp_path: Path, clock: Clock) -> None:
    tell(corner, "e1", "take", COLA, LANES[0], 3)
    for source, left in (("sim:solo", FULL), ("live:journal", FULL - 3)):
        with corner.database.write() as session:
            first = session.get(Run, "r1")
            assert first is not None
            first.source = source
            clock.pass_s(1)
            now_ns = clock()
            session.add(
                Run(id=source[:4], source=source, model="m", seed=0, start_ns=now_ns, at_ns=now_ns, beat_ns=now_ns)
            )
        assert lanes(corner, tmp_path)[LANES[0]].by_ledger == left
