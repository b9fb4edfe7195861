"""Evidence: the worker keeps weights and stills of every event, the ring stays small, and nobody's face is in it."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from openaisle.messages import NANOSECONDS, VideoFrame
from openaisle.predictor import Arrays
from openaisle.service import evidence
from openaisle.service.album import FILE, Album, Levels, Shot, Still, Trace
from openaisle.service.desk import Desk, Rules
from openaisle.service.jobs import Job
from openaisle.service.stills import CUT_PX, TILE_PX, jpeg, masked, mosaic, tile
from openaisle.service.tables import Run
from openaisle.service.tracks import PEOPLE
from openaisle.service.witness import Witness, best_cameras, level, thinned
from openaisle.service.worker import work
from openaisle.state import State
from openaisle.tokens.tick import Tick
from tests.pipeline.scripted import films, with_film
from tests.service import desks, stream
from tests.tokens.corner import BEANS, COLA, LANES, corner_store

NOBODY = np.zeros((0, 3))
HOUR_NS = 3600 * NANOSECONDS


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Desk, Path]:
    """A worker's run over one shopper with cameras: cola, then beans."""
    folder = tmp_path_factory.mktemp("evidence")
    sent = with_film(stream.shoppers(1), films(14.0))
    recording = stream.write(folder / "rec", sent)
    desk = Desk(desks.fresh_sqlite(folder), stream.store(), Rules(hold_for_review=False))
    assert work(desk, Job(str(recording), "scripted", speed=0.0), stream.predictor(), folder=folder)
    return desk, folder


def seen_of(run: tuple[Desk, Path], gtin: str = "") -> list[evidence.Witnessed]:
    """What there is about the shopper's receipt."""
    desk, folder = run
    with desk.database.read() as session:
        row = session.query(Run).one()
        return evidence.evidence_of(session, desk.store, Album(folder), f"{row.id}.shopper0", gtin)


def test_every_event_has_its_weights_and_stills(run: tuple[Desk, Path]) -> None:
    found = seen_of(run)
    assert [(one.event.gtin, one.standing, one.by_person) for one in found] == [
        (COLA, "counts", False), (BEANS, "counts", False),
    ]  # fmt: skip
    for one, grams in zip(found, (stream.COLA_G, stream.BEANS_G), strict=True):
        (weighed,) = one.weights
        assert weighed.step_g == pytest.approx(-grams, abs=2.0)
        assert weighed.units == pytest.approx(1.0, abs=0.02)
        assert 0.0 < weighed.at_s < len(weighed.trace.grams) / weighed.trace.rate_hz
        # The drawing's mark is where the weight falls.
        fall = int(np.argmin(np.diff(weighed.trace.grams)))
        assert abs(fall / weighed.trace.rate_hz - weighed.at_s) < 1.0
        lane = run[0].store.lanes[run[0].store.lane_index[one.event.lane]]
        assert set(one.shots) == {camera.id for camera in best_cameras(lane, run[0].store.cameras)} != set()
        for shots in one.shots.values():
            assert 2 <= len(shots) <= 8
            assert all(abs(shot.time_ns - one.event.time_ns) < 3 * NANOSECONDS for shot in shots)
    assert len(seen_of(run, BEANS)) == 1


def test_a_run_that_is_taken_up_again_keeps_the_same(run: tuple[Desk, Path], tmp_path: Path) -> None:
    desk, folder = run
    other = Desk(desks.fresh_sqlite(tmp_path), desk.store, desk.rules)
    job = Job(str(folder / "rec"), "scripted", speed=0.0)
    left = iter([True] * 120)
    assert not work(other, job, stream.predictor(), lambda: next(left, False), tmp_path)  # stopped on the way
    assert work(other, job, stream.predictor(), folder=tmp_path)
    again, first = seen_of((other, tmp_path)), seen_of(run)
    for one, two in zip(again, first, strict=True):
        assert one.shots == two.shots
        assert np.array_equal(one.weights[0].trace.grams, two.weights[0].trace.grams)


def test_what_is_now_is_told(run: tuple[Desk, Path]) -> None:
    desk, folder = run
    album = Album(folder)
    levels = album.levels()
    assert levels is not None
    assert levels.first["w1"] - levels.grams["w1"] == pytest.approx(stream.COLA_G, abs=2.0)
    assert [shot.camera for shot in album.tiles()] == ["a", "b"]
    assert album.tile("a")
    with desk.database.read() as session:
        assert PEOPLE.validate_json(session.query(Run).one().tracks) == ()  # the run is over


def test_receipts_go_on_when_nothing_can_be_kept(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    recording = stream.write(tmp_path / "rec", stream.shoppers(1))
    desk = Desk(desks.fresh_sqlite(tmp_path), stream.store(), Rules())
    (tmp_path / FILE).mkdir()  # a folder where the file should be
    with caplog.at_level(logging.WARNING):
        assert work(desk, Job(str(recording), "scripted", speed=0.0), stream.predictor(), folder=tmp_path)
    assert sum("no evidence is kept" in record.message for record in caplog.records) == 1  # and not every second
    found = seen_of((desk, tmp_path))
    assert [one.event.gtin for one in found] == [COLA, BEANS]
    assert all(not one.shots and not one.weights for one in found)


def test_the_ring_is_bounded_by_age_and_size(tmp_path: Path) -> None:
    album = Album(tmp_path)
    picture = bytes(20_000)
    for n in range(300):
        with album.pen() as pen:
            pen.event(f"e{n}", [Still("a", n, picture)], n * HOUR_NS)
            pen.trace(f"e{n}", Trace("w1", n, 20.0, np.zeros(240, dtype=np.float32)))
            pen.forget(0, 2_000_000)
    assert album.size_bytes() < 4_000_000  # of 6 MB written
    assert album.still("e299", "a", 299) == picture
    assert album.shots("e0") == []
    assert album.traces("e0") == []
    with album.pen() as pen:
        pen.forget(300 * HOUR_NS, 2_000_000)
    assert album.shots("e299") == []


def test_a_broken_album_shows_nothing(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"no database" * 500)
    album = Album(tmp_path)
    assert (album.shots("e"), album.traces("e"), album.levels(), album.tiles()) == ([], [], None, [])
    assert Album(None).shots("e") == []


def test_levels_come_back(tmp_path: Path) -> None:
    levels = Levels("r1", 5, 6, {"w1": 1.5}, {"w1": 0.0}, {"w1": 2.0})
    with Album(tmp_path).pen() as pen:
        pen.levels(levels)
        pen.tile(Still("a", 1, b"old"))
        pen.tile(Still("a", 2, b"new"))
    assert Album(tmp_path).levels() == levels
    assert Album(tmp_path).tiles() == [Shot("a", 2)]
    assert Album(tmp_path).tile("a") == b"new"


def test_only_the_lane_is_sharp() -> None:
    store = corner_store()
    camera, lane = store.cameras[0], store.lanes[0]
    rng = np.random.default_rng(0)
    rgb = rng.integers(0, 255, (camera.height_px, camera.width_px, 3), dtype=np.uint8)
    still = masked(camera, rgb, lane.front_m, NOBODY)
    assert still.shape == (CUT_PX * 3 // 4, CUT_PX, 3)
    hidden = masked(camera, rgb, lane.front_m, lane.front_m[None])  # a head right before the lane
    assert detail(hidden) < 0.95 * detail(still)
    far = masked(camera, mosaic(rgb), lane.front_m, NOBODY)
    assert detail(far) < detail(still)
    behind = masked(camera, rgb, camera.world_from_camera[:3, 3] * [1, 1, 1] + [-1.0, -1.0, 0.0], NOBODY)
    assert detail(behind) < 0.3 * detail(rgb)  # nothing to be sharp about: all of it is mosaic


def detail(rgb: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> float:
    """Mean difference of neighbours."""
    return float(np.abs(np.diff(rgb.astype(np.int16), axis=1)).mean())


def test_heads_are_mosaic_on_the_pictures_of_now() -> None:
    camera = corner_store().cameras[0]
    rgb = np.random.default_rng(1).integers(0, 255, (camera.height_px, camera.width_px, 3), dtype=np.uint8)
    head = np.array([[2.0, 1.6, 1.6]])
    open_, hidden = tile(camera, rgb, NOBODY), tile(camera, rgb, head)
    assert open_.shape[1] == TILE_PX
    pixel, depth = camera.project(head[0])
    radius = int(0.5 * 0.22 / float(depth) * camera.fx_px)
    x, y = (round(float(value)) for value in pixel)
    inside = slice(y - radius, y + radius), slice(x - radius, x + radius)
    assert detail(hidden[inside]) < 0.3 * detail(open_[inside])
    assert len(jpeg(hidden)) > 100
    unknown = tile(camera, rgb, np.full((1, 3), np.nan))
    assert np.array_equal(unknown, open_)


def test_the_best_cameras_see_the_lane_largest() -> None:
    store = corner_store()
    lane = store.lanes[store.lane_index[LANES[2]]]
    near = replace(store.cameras[1], id="near", fx_px=110.0)
    seeing = [camera for camera in (*store.cameras, near) if camera.sees(lane.front_m)]
    best = best_cameras(lane, [*store.cameras, near])
    assert len(best) == min(2, len(seeing)) > 0
    sizes = [camera.fx_px / float(camera.project(lane.front_m)[1]) for camera in best]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] == max(camera.fx_px / float(camera.project(lane.front_m)[1]) for camera in seeing)


def test_levels_are_the_later_half_and_gaps_are_gaps() -> None:
    grams = np.full((3, 20), 100.0, dtype=np.float32)
    grams[0, 10:] = 50.0
    grams[1, :] = np.nan
    grams[2, ::2] = np.nan
    told = level(grams)
    assert told[0] == 50.0
    assert np.isnan(told[1])
    assert told[2] == 100.0
    assert thinned([]) == []


@pytest.mark.parametrize(("grams", "step"), [([0.0] * 30, 0.0), ([5.0] * 15 + [-95.0] * 15, -100.0), ([1.0] * 8, None)])
def test_a_step_is_told_from_both_ends(grams: list[float], step: float | None) -> None:
    assert evidence.step_of(Trace("w1", 0, 20.0, np.array(grams, dtype=np.float32))) == step


def test_heads_are_where_they_were_when_the_picture_was_taken(tmp_path: Path) -> None:
    """Somebody walks a metre in the tick's second: every frame has the head of its own slot."""
    store = corner_store()
    witness = Witness(Album(tmp_path), store, "r1", 10**9)
    frames = tuple(
        (VideoFrame("a", NANOSECONDS + n * NANOSECONDS // 5, np.zeros((128, 160, 3), np.uint8)),) for n in range(5)
    )
    heads = [np.array([[1.0 + 0.2 * n, 1.5, 1.7]], dtype=np.float32) for n in range(5)]
    window: tuple[Arrays, ...] = tuple({"head": head, "number": np.zeros(1, dtype=np.int64)} for head in heads)
    tick = Tick(0, NANOSECONDS // 2, frames, np.zeros((2, 20), dtype=np.float32), ())
    witness.see(tick, State(gates=(), memory={}, window=window), ())
    assert [float(one[1][0, 0]) for one in witness._frames] == pytest.approx([1.0, 1.2, 1.4, 1.6, 1.8])
    assert Album(tmp_path).tile("a")
