"""A simulated store speaks like a real one, its truth agrees with its sensors, and one seed is one recording."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from openaisle.errors import RecordingError
from openaisle.messages import (
    NANOSECONDS,
    EventKind,
    GateEvent,
    Message,
    ScaleBatch,
    Truth,
    TruthEvent,
    TruthLane,
    TruthPixels,
    TruthReceipt,
    TruthTick,
    VideoFrame,
)
from openaisle.recording.reader import Recording, open_recording
from openaisle.recording.tools import verify
from openaisle.sim.record import simulate
from openaisle.sim.scenario import Faults, Scenario
from openaisle.sim.source import SimulatedStore
from openaisle.sim.stores import generate_store
from openaisle.store.store import Store

SEED = 4_711
SHORT = Scenario(name="short", duration_s=20.0, shoppers=(2, 2), arrival_s=(1.0, 2.0), picks=(2, 2))


@pytest.fixture(scope="module")
def store() -> Store:
    return generate_store("kiosk", SEED)


@pytest.fixture(scope="module")
def recording(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Recording:
    folder = tmp_path_factory.mktemp("sim") / "rec"
    manifest = simulate(store, SHORT, SEED, folder)
    assert manifest.origin.seed == SEED
    assert manifest.origin.split == "train"
    return open_recording(folder)


def _spoken(store: Store, scenario: Scenario, seed: int = SEED) -> tuple[list[Message], list[Truth]]:
    source = SimulatedStore(store, scenario, seed, video=False)
    messages = list(source)
    return messages, source.truth_until(source.time_ns)


def test_a_simulated_recording_is_whole_and_without_gaps(recording: Recording) -> None:
    checked = verify(recording.folder)
    assert checked.problems == ()
    assert checked.remarks == ()


def test_every_sensor_speaks_at_its_rate_in_time_order(recording: Recording, store: Store) -> None:
    messages = list(recording)
    times = [m.time_ns for m in messages]
    assert times == sorted(times)
    seconds = (recording.end_ns - recording.start_ns) / NANOSECONDS
    frames = Counter(m.camera for m in messages if isinstance(m, VideoFrame))
    assert set(frames) == {camera.id for camera in store.spec.cameras}
    for camera in store.spec.cameras:
        assert frames[camera.id] == pytest.approx(seconds * min(camera.fps, 20), abs=2)
    samples = Counter[str]()
    for batch in (m for m in messages if isinstance(m, ScaleBatch)):
        samples[batch.scale] += len(batch.grams)
        assert 0 < len(batch.grams) <= 10
    assert set(samples) == {scale.id for scale in store.spec.scales}
    for scale in store.spec.scales:
        assert samples[scale.id] == pytest.approx(seconds * min(scale.rate_hz, 20), abs=3)
    gates = [m for m in messages if isinstance(m, GateEvent)]
    assert sorted(g.kind for g in gates) == sorted(["entry", "exit"] * (len(gates) // 2))


def test_truth_lies_beside_the_sensors(recording: Recording, store: Store) -> None:
    truth = list(recording.truth())
    assert [t.time_ns for t in truth] == sorted(t.time_ns for t in truth)
    frame_times = {m.time_ns for m in recording.messages() if isinstance(m, VideoFrame)}
    assert {t.time_ns for t in truth if isinstance(t, TruthTick)} == frame_times
    lanes = [t.lane for t in truth if isinstance(t, TruthLane)]
    assert set(lanes[: len(store.lanes)]) == {lane.id for lane in store.lanes}, "all are told at the start"
    entries = {m.visit for m in recording.messages() if isinstance(m, GateEvent) and m.kind == "entry"}
    receipts = {t.visit: dict(t.lines) for t in truth if isinstance(t, TruthReceipt)}
    assert set(receipts) == entries
    assert all(baskets == receipts.get(visit, {}) for visit, baskets in _folded(truth).items())
    assert not any(isinstance(t, TruthPixels) for t in truth)


def _folded(truth: list[Truth]) -> dict[str, dict[str, int]]:
    """Receipts as the events tell them."""
    baskets: dict[str, Counter[str]] = {}
    for event in truth:
        if not isinstance(event, TruthEvent) or event.staff:
            continue
        basket = baskets.setdefault(event.visit, Counter())
        basket[event.gtin] += event.quantity if event.kind == EventKind.TAKE else -event.quantity
        if event.kind == EventKind.HAND_OVER:
            baskets.setdefault(event.to_visit, Counter())[event.gtin] += event.quantity
    return {visit: {g: n for g, n in basket.items() if n} for visit, basket in baskets.items()}


def test_one_seed_is_one_recording_byte_for_byte(recording: Recording, store: Store, tmp_path: Path) -> None:
    again = simulate(store, SHORT, SEED, tmp_path / "again")
    assert [f.sha256 for f in again.files] == [f.sha256 for f in recording.manifest.files]
    assert again == recording.manifest
    other = simulate(store, SHORT, SEED + 1, tmp_path / "other")
    assert [f.sha256 for f in other.files] != [f.sha256 for f in again.files]


def test_pixels_on_request_fit_the_pictures(store: Store, tmp_path: Path) -> None:
    brief = SHORT.model_copy(update={"duration_s": 6.0, "shoppers": (0, 0)})
    simulate(store, brief, SEED, tmp_path / "rec", pixels=True)
    recording = open_recording(tmp_path / "rec")
    pixels = [t for t in recording.truth() if isinstance(t, TruthPixels)]
    frames = [m for m in recording.messages() if isinstance(m, VideoFrame)]
    assert {(p.camera, p.time_ns) for p in pixels} == {(f.camera, f.time_ns) for f in frames}
    assert all(p.ids.shape == f.rgb.shape[:2] for p, f in zip(pixels, frames, strict=True))
    assert all(len(np.unique(p.ids)) > 3 for p in pixels[:4])


def test_progress_is_told_and_failure_leaves_nothing(store: Store, tmp_path: Path) -> None:
    told: list[float] = []

    def stop(seconds: float, total: float) -> None:
        told.append(seconds)
        assert total == SHORT.duration_s
        if seconds >= 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        simulate(store, SHORT, SEED, tmp_path / "rec", progress=stop)
    assert told == [1, 2, 3]
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "rec").mkdir()
    with pytest.raises(RecordingError, match="already exists"):
        simulate(store, SHORT, SEED, tmp_path / "rec")


# --- faults -------------------------------------------------------------------------------------------------


def test_without_scales_no_scale_sends_anything(store: Store) -> None:
    messages, truth = _spoken(store, SHORT.model_copy(update={"scales": False}))
    assert messages
    assert not any(isinstance(m, ScaleBatch) for m in messages)
    assert any(isinstance(t, TruthReceipt) for t in truth)


def test_skewed_clocks_shift_a_sensor_as_a_whole(store: Store) -> None:
    good, _ = _spoken(store, SHORT)
    skewed, _ = _spoken(store, SHORT.model_copy(update={"faults": Faults(clock_skew_ms=500)}))
    shifts = {}
    for scale in store.spec.scales:
        right, wrong = ([m for m in ms if isinstance(m, ScaleBatch) and m.scale == scale.id] for ms in (good, skewed))
        assert [b.seq for b in wrong] == [b.seq for b in right]
        shift = {b.time_ns - a.time_ns for a, b in zip(right, wrong, strict=True)}
        assert len(shift) == 1
        shifts[scale.id] = shift.pop()
    assert max(abs(s) for s in shifts.values()) <= NANOSECONDS // 2
    assert len(set(shifts.values())) > 1
    times = [m.time_ns for m in skewed]
    assert times == sorted(times), "half a second is within the reorder window"


def test_late_messages_come_out_of_turn_but_come(store: Store) -> None:
    good, _ = _spoken(store, SHORT)
    late, _ = _spoken(store, SHORT.model_copy(update={"faults": Faults(late=1.0, late_s=4.0)}))
    key = sorted((type(m).__name__, m.time_ns, getattr(m, "scale", "")) for m in good)
    assert sorted((type(m).__name__, m.time_ns, getattr(m, "scale", "")) for m in late) == key
    times = [m.time_ns for m in late]
    assert times != sorted(times)


def test_lost_cameras_and_dropped_frames(store: Store) -> None:
    scenario = Scenario(name="f", duration_s=12.0, shoppers=(0, 0), faults=Faults(camera_lost=1.0, frames_dropped=1.0))
    times: dict[str, list[int]] = {camera.id: [] for camera in store.spec.cameras}
    for message in SimulatedStore(store, scenario, SEED):
        if isinstance(message, VideoFrame):
            times[message.camera].append(message.time_ns)
    whole = max(len(list(t)) for t in times.values())
    assert whole < 14 * 5, "frames are dropped"
    assert any(max(np.diff(t)) > NANOSECONDS for t in times.values()), "a camera was dark for a while"
