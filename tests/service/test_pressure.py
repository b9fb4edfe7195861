"""Back-pressure: fewer pictures where a box cannot keep up, the same ones after a stop, and receipts that say so."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import select

from openaisle.blind import TOO_SLOW
from openaisle.messages import VideoFrame
from openaisle.pipeline import run, set_up, step
from openaisle.service import worker
from openaisle.service.album import Album
from openaisle.service.database import Database
from openaisle.service.desk import Desk
from openaisle.service.health import How, health
from openaisle.service.jobs import Job
from openaisle.service.pressure import CALM, HIGH_S, LEVELS, LOW_S, PATIENCE, Pressure, Thinner, slots_of
from openaisle.service.source import Pace
from openaisle.service.tables import BlindSpot, Thinning
from openaisle.service.worker import take_up, work
from openaisle.tokens.tick import LOOKED, Tick, Ticker, thinned
from tests.pipeline.scripted import Scripted, films, shopping, with_film
from tests.service import stream
from tests.service.test_worker import EAGER, ledger
from tests.tokens.corner import corner_store


def played(capacity: Callable[[int], float], ticks: int) -> tuple[list[int], list[float]]:
    """Levels and lags of a box that would take `capacity(tick)` seconds for a second of all pictures."""
    pressure, lag_s = Pressure(), 0.0
    levels, lags = [], []
    for tick in range(ticks):
        slots = pressure.decide(lag_s)
        lag_s = max(0.0, lag_s + capacity(tick) * (0.2 + 0.8 * slots / 5) - 1.0)
        levels.append(slots)
        lags.append(lag_s)
    return levels, lags


def test_a_box_that_keeps_up_looks_at_everything() -> None:
    assert set(played(lambda _: 0.95, 300)[0]) == {5}


def test_a_short_burst_is_waited_for() -> None:
    levels, lags = played(lambda tick: 2.0 if 50 <= tick < 54 else 0.5, 200)
    assert set(levels) == {5}
    assert max(lags) > 2.0


@pytest.mark.parametrize(("load", "level"), [(1.3, 3), (1.8, 2), (2.6, 1)])
def test_a_lasting_load_is_met_by_so_few_pictures_as_it_takes(load: float, level: int) -> None:
    levels, lags = played(lambda _: load, 600)
    assert min(levels) == level
    assert max(lags) < 60.0
    assert lags[-1] < HIGH_S + 2.0
    last = levels[300:]
    assert sum(last) / len(last) < level + 1.5  # seldom tries more


def test_pictures_come_back_when_the_crowd_has_gone() -> None:
    levels, _ = played(lambda tick: 2.0 if tick < 60 else 0.3, 300)
    assert min(levels) < 5
    assert levels[-1] == 5


def test_a_run_that_catches_up_drops_nothing() -> None:
    pressure = Pressure()
    assert {pressure.decide(max(0.0, 120.0 - 0.5 * tick)) for tick in range(300)} == {5}


def test_tries_that_fail_become_rare() -> None:
    levels, _ = played(lambda _: 1.3, 2000)
    tries = [i for i in range(1, len(levels)) if levels[i] > levels[i - 1]]
    assert len(tries) >= 3
    assert tries[-1] - tries[-2] > 2 * (tries[1] - tries[0])
    assert LOW_S < HIGH_S
    assert PATIENCE < CALM


def ticks() -> list[Tick]:
    """A film with two shoppers."""
    sent = shopping([(4.0, 0, -330.0)], [(0.5, "entry", "ann"), (3.6, "entry", "bob"), (5.2, "exit", "")], 6.0)
    return list(Ticker(corner_store()).ticks(with_film(sent, films(6.0))))


def test_slots_are_dropped_for_all_cameras_alike() -> None:
    whole = ticks()[2]
    for slots, kept in LOOKED.items():
        seen = thinned(whole, slots)
        assert len(kept) == slots == seen.looked
        assert [bool(frames) for frames in seen.frames] == [at in kept for at in range(5)]
        assert all(frames in ((), whole.frames[at]) for at, frames in enumerate(seen.frames))
        assert (seen.grams is whole.grams, seen.gates, seen.states) == (True, whole.gates, whole.states)


@pytest.mark.parametrize("slots", LEVELS)
def test_whoever_is_inside_while_nearly_nothing_is_looked_at_gets_a_receipt_for_review(slots: int) -> None:
    predictor = Scripted()
    setup, state = set_up(corner_store(), predictor)
    for tick in ticks():
        state, _ = step(state, thinned(tick, slots if tick.index == 2 else 5), predictor, setup)
    assert state.blinded == ({"ann": frozenset({TOO_SLOW})} if slots == 1 else {})


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """Three shoppers."""
    return stream.write(tmp_path / "rec", stream.shoppers(3))


@pytest.fixture
def corner(database: Database) -> Desk:
    """A desk in the corner."""
    return Desk(database, stream.store(), EAGER)


def test_a_run_taken_up_again_sees_the_same_pictures(
    corner: Desk, recording: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However loaded the box is the second time: it does not say other things under the same ids."""
    seen: list[dict[int, int]] = []

    def watched(state: object, tick: Tick, *rest: object) -> object:
        seen[-1][tick.index] = tick.looked
        return step(state, tick, *rest)  # type: ignore[arg-type]  # passed on as it came

    monkeypatch.setattr(worker, "step", watched)
    job = Job(str(recording), "scripted", speed=0.0)
    for lag_s, most in ((60.0, 22), (0.0, 99)):
        monkeypatch.setattr(worker, "_lag_s", lambda *_, lag_s=lag_s: lag_s)
        seen.append({})
        work(corner, job, stream.predictor(), lambda most=most: len(seen[-1]) < most)  # type: ignore[misc]
    first, second = seen
    with corner.database.read() as session:
        rows = [(row.tick, row.slots, row.lag_s) for row in session.scalars(select(Thinning).order_by(Thinning.tick))]
        blind = set(session.scalars(select(BlindSpot.sensor)))
    assert [row[1] for row in rows[:3]] == [3, 2, 1]
    assert rows[0][2] == 60.0
    assert len(first) > 3 * PATIENCE
    assert {tick: second[tick] for tick in first} == first
    assert blind == {TOO_SLOW}
    entries = ledger(corner)
    assert len(entries) == len(set(entries)) == 7


def test_health_says_so(corner: Desk, recording: Path) -> None:
    taken = take_up(corner, Job(str(recording), "scripted"))
    thinner, tick = Thinner(corner, taken), ticks()[0]
    for _ in range(PATIENCE + 2):
        seen = thinner.thin(tick, 9.0)
        with corner.database.write() as session:
            thinner.tell(session, seen)
            if seen.looked < 5:
                break
    with corner.database.read() as session:
        pipeline = health(session, corner, None, Album(None)).pipeline
        assert slots_of(session, taken.id) == 3
    assert pipeline is not None
    assert (pipeline.slots, pipeline.how) == (3, How.POOR)


def test_the_pace_knows_how_late_a_message_is(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = [100.0]
    monkeypatch.setattr("openaisle.service.source.time.monotonic", lambda: now_s[0])
    frames = [message for message in films(3.0) if isinstance(message, VideoFrame)]
    pace = Pace(1.0, 0, lambda: True)
    stream_of = pace.keep(iter(frames))
    next(stream_of)
    now_s[0] += 5.0
    next(stream_of)
    assert pace.behind_s == pytest.approx(5.0, abs=0.3)


def test_few_pictures_still_make_receipts() -> None:
    """At two pictures a second the scripted shop charges what it charges at five."""
    predictor, store = Scripted(), corner_store()
    *_, last = run(store, with_film(shopping([(4.0, 0, -330.0)], [(0.5, "entry", "ann")], 6.0), films(6.0)), predictor)
    setup, state = set_up(store, predictor)
    for tick in ticks():
        state, _ = step(state, thinned(tick, 2), predictor, setup)
    assert len(last.receipts["ann"].lines) == len(state.ledger.events) == 1
