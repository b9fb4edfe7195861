"""From sensors to receipts through the journal: bad networks, clocks and kills change no receipt, blindness is told."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from openaisle.messages import NANOSECONDS, GateEvent, ScaleBatch, VideoFrame
from openaisle.predictor import Float32
from openaisle.receipts.pricing import Reason, Why
from openaisle.recording import journal
from openaisle.recording.journal import last_messages
from openaisle.sensors.link import Arrival
from openaisle.service import intake, till
from openaisle.service.desk import Desk
from openaisle.service.intake import HEALTH
from openaisle.service.jobs import Job
from openaisle.service.tables import Visit
from openaisle.service.worker import work
from openaisle.tokens.tick import Sensed
from tests.pipeline.scripted import START
from tests.service import stream
from tests.service.desks import fresh_sqlite
from tests.service.sensing import VirtualShop, Weather, noisy_film
from tests.service.test_worker import EAGER, after, receipts, settle

SHOPPERS = 3
LENGTH_S = 12.0 * SHOPPERS + 2.0


class NearTheShelf(stream.Doorman):
    """Everybody stands before the wall from the moment they come in."""

    def place(self, floor_m: Float32, spread_m: float) -> dict[str, np.ndarray]:
        """At the two lanes on scales."""
        return super().place(np.tile(np.array([2.9, 2.0], np.float32), (len(floor_m), 1)), spread_m)


@pytest.fixture(scope="module")
def sent() -> list[Sensed]:
    """Shoppers, and what cameras see."""
    both: list[Sensed] = [*stream.shoppers(SHOPPERS), *noisy_film(LENGTH_S, START)]
    return sorted(both, key=lambda message: message.time_ns)


def desk_at(folder: Path, shop: VirtualShop) -> Desk:
    """A desk whose day is that of the stream."""
    return Desk(fresh_sqlite(folder), stream.store(), EAGER, lambda: shop.start_ns)


def job(shop: VirtualShop) -> Job:
    """The worker's."""
    return Job(f"live:{shop.journal}", "scripted", speed=0.0)


def told(folder: Path) -> dict[str, dict[str, object]]:
    """sensors.json by sensor."""
    rows = json.loads((folder / HEALTH).read_text())["sensors"]
    return {row["sensor"]: row for row in rows}


def reasons(desk: Desk) -> dict[str, tuple[Reason, ...]]:
    """{visit: reasons for a review}."""
    with desk.database.read() as session:
        finals = {visit.id: till.final(session, visit.id) for visit in session.query(Visit)}
    return {name.rpartition(".")[2]: final.receipt.reasons for name, final in finals.items() if final is not None}


def jumping(sensor: str, at_s: float, by_s: float) -> Callable[[str, int], int]:
    """A clock that is right, and from some second on is not."""
    return lambda name, now_ns: (
        round(by_s * NANOSECONDS) if name == sensor and now_ns >= START + at_s * NANOSECONDS else 0
    )


WEATHERS = {
    "fair": Weather(),
    "duplicated and reordered": Weather(duplicated=0.3, reordered=0.2),
    "lossy": Weather(duplicated=0.1, reordered=0.1, lost=0.08),
    "broker restarted": Weather(outage=(14.2, 20.0)),
    "clock five minutes ahead": Weather(clock_error_ns=jumping("w1", 14.9, 300.0)),
    "clock five minutes back": Weather(clock_error_ns=jumping("w2", 16.1, -300.0)),
    "clock never set": Weather(clock_error_ns=lambda name, _: -START + 10**12 if name == "w1" else 0),
}


@pytest.mark.parametrize("weather", WEATHERS.values(), ids=WEATHERS.keys())
def test_receipts_are_those_of_the_undisturbed_stream(tmp_path: Path, sent: list[Sensed], weather: Weather) -> None:
    shop = VirtualShop(stream.store(), tmp_path, sent, weather)
    shop.close_the_day()
    counted = Counter(shop.journalled())
    batches = sum(isinstance(message, ScaleBatch) for message in sent)
    assert len(counted) == batches
    assert set(counted.values()) == {1}
    desk = desk_at(tmp_path, shop)
    assert work(desk, job(shop), stream.predictor())
    settle(desk, tmp_path)
    assert receipts(desk) == stream.undisturbed(sent)
    known = told(tmp_path)
    assert known["w1"]["lost"] == known["w2"]["lost"] == 0
    assert shop.stored["w1"] == batches // 2 - 1  # and nothing was acknowledged that is not on disk, see above
    if weather.duplicated:
        assert known["w1"]["duplicates"]
    jumps = [known[name]["clock_jumps"] for name in ("w1", "w2")]
    assert jumps == [
        int(weather is WEATHERS["clock five minutes ahead"]),
        int(weather is WEATHERS["clock five minutes back"]),
    ]
    desk.database.close()


@pytest.mark.parametrize("kills", [(5.0,), (15.35, 15.6, 29.0)])
def test_kills_of_intake_and_worker_change_no_receipt(
    tmp_path: Path, sent: list[Sensed], kills: tuple[float, ...]
) -> None:
    pictureless: list[Sensed] = [message for message in sent if not isinstance(message, VideoFrame)]
    shop = VirtualShop(stream.store(), tmp_path, pictureless, Weather(duplicated=0.1, lost=0.05))
    for at_s in kills:
        shop.play(at_s)
        acknowledged = dict(shop.stored)
        shop.kill()
        on_disk = set(shop.journalled())
        assert all((name, seq) in on_disk for name in ("w1", "w2") for seq in range(acknowledged.get(name, -1) + 1))
    shop.close_the_day()
    counted = Counter(shop.journalled())
    assert set(counted.values()) == {1}
    assert len(counted) == sum(isinstance(message, ScaleBatch) for message in pictureless)
    assert shop.requests
    desk = desk_at(tmp_path, shop)
    stops = 0
    while not work(desk, job(shop), stream.predictor(), after(90 * (1 + stops))):
        stops += 1
    assert stops
    settle(desk, tmp_path)
    assert receipts(desk) == stream.undisturbed(pictureless)
    desk.database.close()


def test_an_entry_that_is_late_comes_in_late_but_comes(tmp_path: Path) -> None:
    entry = GateEvent("door", START + NANOSECONDS, "entry", "anna")
    quiet = [message for message in stream.shoppers(1) if not isinstance(message, GateEvent)]
    shop = VirtualShop(stream.store(), tmp_path, [*quiet, entry])
    held = [row for row in shop._coming if b"events" in getattr(row[2], "data", b"")]
    shop._coming = [row for row in shop._coming if row not in held]
    shop.play(6.0)
    shop._push(shop.now_ns + 1, held[0][2])
    shop.close_the_day()
    desk = desk_at(tmp_path, shop)
    assert work(desk, job(shop), stream.predictor())
    with desk.database.read() as session:
        assert [visit.id.rpartition(".")[2] for visit in session.query(Visit)] == ["anna"]
    assert told(tmp_path)["door"]["late"] == 1
    desk.database.close()


def test_a_stuck_scale_is_told_on_the_receipts_that_it_could_touch(tmp_path: Path) -> None:
    both: list[Sensed] = [*stream.shoppers(4), *noisy_film(50.0, START)]
    since_ns = START + round(24.9 * NANOSECONDS)  # before the third shopper
    stuck = [
        ScaleBatch(m.scale, m.time_ns, m.rate_hz, np.full_like(m.grams, 8000.0))
        if isinstance(m, ScaleBatch) and m.scale == "w1" and m.time_ns >= since_ns else m
        for m in both
    ]  # fmt: skip
    shop = VirtualShop(stream.store(), tmp_path, stuck)
    shop.play(34.0)
    state = told(tmp_path)["w1"]
    assert state["state"] == "stuck"
    assert "repeats 8000 g" in str(state["words"])
    shop.close_the_day()
    desk = desk_at(tmp_path, shop)
    assert work(desk, job(shop), NearTheShelf())
    settle(desk, tmp_path)
    blind = (Reason(Why.BLIND_SENSOR, "scale w1"),)
    found = {name: tuple(r for r in told if r.why == Why.BLIND_SENSOR) for name, told in reasons(desk).items()}
    assert found == {"shopper0": (), "shopper1": (), "shopper2": blind, "shopper3": blind}
    desk.database.close()


def test_a_camera_that_goes_and_comes_back_is_told_only_where_no_other_one_looks(tmp_path: Path) -> None:
    def film(away: tuple[str, ...]) -> list[Sensed]:
        gone = range(13 * NANOSECONDS, 22 * NANOSECONDS)
        kept = [m for m in noisy_film(LENGTH_S, START) if m.camera not in away or m.time_ns - START not in gone]
        return [*stream.shoppers(SHOPPERS), *kept]

    for number, (away, visits) in enumerate([(("a",), set()), (("a", "b"), {"shopper1"})]):
        shop = VirtualShop(stream.store(), tmp_path / str(number), film(away))
        shop.play(19.0)
        states = told(shop.folder)
        assert [states[name]["state"] for name in ("a", "b")] == ["offline", "offline" if "b" in away else "online"]
        shop.close_the_day()
        desk = desk_at(shop.folder, shop)
        assert work(desk, job(shop), NearTheShelf())
        settle(desk, shop.folder)
        found = {name for name, told in reasons(desk).items() if any(r.why == Why.BLIND_SENSOR for r in told)}
        assert found == visits
        desk.database.close()


def lying_still(sensor: str, seconds: list[tuple[float, float]]) -> list[Sensed]:
    """A scale that says the same, half a second at a time, in these spans of the stream."""
    return [
        ScaleBatch(sensor, START + number * NANOSECONDS // 2, 20.0, np.full(10, 500.0 + number % 2, np.float32))
        for first, last in seconds
        for number in range(round(2 * first), round(2 * last))
    ]


def queued(shop: VirtualShop, after_s: float) -> list[Arrival]:
    """What w1 sends from a second of the stream on: taken off its way."""
    held = [
        row for row in shop._coming
        if isinstance(row[2], Arrival) and "/w1/" in row[2].topic and row[0] >= shop.start_ns + after_s * NANOSECONDS
    ]  # fmt: skip
    shop._coming = [row for row in shop._coming if row not in held]
    return [row[2] for row in sorted(held, key=lambda row: row[:2]) if isinstance(row[2], Arrival)]


def deliver(shop: VirtualShop, arrivals: list[Arrival]) -> None:
    """All of it arrives now."""
    for arrival in arrivals:
        shop.intake.take(replace(arrival, arrived_ns=shop.now_ns))
    shop.intake.settle()


def times(shop: VirtualShop) -> list[float]:
    """Where w1's messages are in the journal: seconds of the stream."""
    kept = [one.message for one in last_messages(shop.journal, 1 << 60)]
    return sorted((m.time_ns - START) / NANOSECONDS for m in kept if isinstance(m, ScaleBatch) and m.scale == "w1")


def test_what_was_journalled_long_before_a_restart_does_not_come_in_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """w1 says nothing for longer than is recalled, the intake is killed, and copies of what w1 said leave a queue."""
    monkeypatch.setattr(intake, "RECALL_NS", 4 * NANOSECONDS)
    monkeypatch.setattr(journal, "ROTATE_NS", 2 * NANOSECONDS)  # a file is recalled as a whole
    sent = [*lying_still("w1", [(0, 5)]), *lying_still("w2", [(0, 14)])]
    shop = VirtualShop(stream.store(), tmp_path, sent)
    copies = [row[2] for row in shop._coming if isinstance(row[2], Arrival) and "/w1/" in row[2].topic]
    shop.play(13.0)
    shop.kill()
    recent = [one.message for one in last_messages(shop.journal, intake.RECALL_NS)]
    assert not any(isinstance(message, ScaleBatch) and message.scale == "w1" for message in recent)
    deliver(shop, copies)
    shop.close_the_day()
    assert times(shop) == [number / 2 for number in range(10)]
    assert told(tmp_path)["w1"]["duplicates"] == len(copies) == 10
    assert shop.requests == 0  # nor is any of it asked for


@pytest.mark.parametrize("killed", [False, True])
@pytest.mark.parametrize(("late_s", "placed"), [(20.0, True), (40.0, False)])
def test_what_was_queued_on_its_way_is_where_it_belongs_or_is_dropped(
    tmp_path: Path, killed: bool, late_s: float, placed: bool
) -> None:
    """A clock that is right is believed: a queue is no error of it, also for an intake that has just begun."""
    sent = [*lying_still("w1", [(0, 5), (6, 10)]), *lying_still("w2", [(0, 8 + late_s)])]
    shop = VirtualShop(stream.store(), tmp_path, sent)
    late = queued(shop, 5.6)
    shop.play(10.0 + late_s - 4.0)
    if killed:
        shop.kill()
    deliver(shop, late)
    shop.close_the_day()
    before, after = [number / 2 for number in range(10)], [6 + number / 2 for number in range(8)]
    assert times(shop) == (before + after if placed else before)
    row = told(tmp_path)["w1"]
    assert (row["late"], row["dropped"]) == ((8, 0) if placed else (0, 8))
    assert row["clock_jumps"] == 0
