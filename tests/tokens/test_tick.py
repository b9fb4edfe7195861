"""The ticker: a stream of messages becomes whole seconds, in order, with nothing lost or told twice."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openaisle.messages import NANOSECONDS, GateEvent, ScaleBatch, VideoFrame
from openaisle.tokens.journey import FRAME_HZ
from openaisle.tokens.tick import AHEAD_NS, SLOT_NS, Sensed, Tick, Ticker
from tests.tokens.corner import corner_store

STORE = corner_store()
START = 1_700_000_000 * NANOSECONDS
PICTURE = np.zeros((16, 16, 3), dtype=np.uint8)


def frame(camera: str, at_s: float) -> VideoFrame:
    return VideoFrame(camera, START + round(at_s * NANOSECONDS), PICTURE)


def batch(scale: str, at_s: float, rate_hz: float, grams: list[float]) -> ScaleBatch:
    return ScaleBatch(scale, START + round(at_s * NANOSECONDS), rate_hz, np.array(grams, dtype=np.float32))


def ticks_of(messages: list[Sensed], lateness_s: float = 0.0) -> tuple[list[Tick], Ticker]:
    ticker = Ticker(STORE, lateness_s)
    return list(ticker.ticks(messages)), ticker


def test_frames_fall_into_slots_ordered_by_camera() -> None:
    sent = [frame(camera, i / FRAME_HZ) for i in range(10) for camera in ("b", "a")]
    ticks, ticker = ticks_of(list(sent))
    assert [tick.index for tick in ticks] == list(range(len(ticks)))
    for tick in ticks[:2]:
        assert [[f.camera for f in slot] for slot in tick.frames] == [["a", "b"]] * FRAME_HZ
        for k, slot in enumerate(tick.frames):
            assert all(f.time_ns == tick.time_ns + AHEAD_NS + k * SLOT_NS for f in slot)
    assert ticker.late == 0


def test_a_lost_frame_leaves_its_slot_empty_and_a_faster_camera_its_last_picture() -> None:
    sent = [frame("a", 0.0), frame("a", 0.45), frame("a", 0.55), frame("a", 1.0)]
    ticks, _ = ticks_of(list(sent))
    assert [[f.time_ns - START for f in slot] for slot in ticks[0].frames] == [[0], [], [550_000_000], [], []]


def test_a_tick_decides_the_second_before_what_it_sees() -> None:
    ticks, _ = ticks_of([frame("a", i / 5) for i in range(20)])
    assert [tick.time_ns for tick in ticks[:3]] == [START - AHEAD_NS + k * NANOSECONDS for k in range(3)]
    assert all(tick.sensed_ns == tick.time_ns + AHEAD_NS + NANOSECONDS for tick in ticks)
    assert ticks[0].slot(START) == 0
    assert ticks[0].slot(START + NANOSECONDS - 1) == FRAME_HZ - 1
    assert ticks[0].slot(START + 5 * NANOSECONDS) == FRAME_HZ - 1


def test_the_last_events_are_decided_too() -> None:
    sent: list[Sensed] = [frame("a", 0.0), GateEvent("door", START + 2_900_000_000, "exit")]
    ticks, _ = ticks_of(sent)
    assert ticks[-1].time_ns >= sent[-1].time_ns  # seconds that end after it have been decided
    assert sum(len(tick.gates) for tick in ticks) == 1


@pytest.mark.parametrize(("rate", "missing"), [(10.0, 10), (20.0, 0), (40.0, 0)])
def test_scales_of_any_rate_fall_on_the_grid(rate: float, missing: int) -> None:
    n = int(rate)
    sent = [batch("w1", second, rate, [second * n + i for i in range(n)]) for second in range(3)]
    ticks, _ = ticks_of([frame("a", 0.0), *sent])
    for second in range(2):
        row = ticks[second].grams[0]
        assert int(np.isnan(row).sum()) == missing
        samples = np.arange(second * n, second * n + n, dtype=np.float64)
        each = samples.reshape(20, -1).mean(1) if rate >= 20 else samples  # faster scales: means
        assert row[~np.isnan(row)] == pytest.approx(each)
        assert np.isnan(ticks[second].grams[1]).all()


def test_gaps_stay_gaps_and_unknown_scales_are_ignored() -> None:
    sent = [batch("w2", 0.0, 20, [7.0] * 10), batch("nobody", 0.0, 20, [1.0] * 10), batch("w2", 2.0, 20, [9.0] * 20)]
    ticks, ticker = ticks_of([frame("a", 0.0), *sent])
    assert ticks[0].grams[1, :10] == pytest.approx(7.0)
    assert np.isnan(ticks[0].grams[1, 10:]).all()
    assert np.isnan(ticks[1].grams).all()
    assert ticks[2].grams[1] == pytest.approx(9.0)
    assert ticker.late == 0


def test_late_messages_are_counted_and_dropped() -> None:
    sent: list[Sensed] = [frame("a", 0.0), frame("a", 2.1), frame("a", 0.9), GateEvent("door", START, "entry")]
    sent.append(batch("w1", 0.5, 20, [5.0] * 10))
    ticks, ticker = ticks_of(sent)
    assert ticker.late == 2 + 10  # a frame, a gate event, ten samples
    assert np.isnan(ticks[0].grams).all()
    _, patient = ticks_of(sent, lateness_s=1.5)
    assert patient.late == 0


def test_a_stream_of_nothing() -> None:
    assert ticks_of([])[0] == []


Kinds = st.sampled_from(["frame a", "frame b", "entry", "exit", "w1", "w2"])
Streams = st.lists(st.tuples(Kinds, st.integers(0, 6_000), st.integers(0, 900)), min_size=1, max_size=60)


def message(kind: str, ms: int) -> Sensed:
    if kind.startswith("frame"):
        return frame(kind[-1], ms / 1000)
    if kind in ("entry", "exit"):
        return GateEvent("door", START + ms * 1_000_000, kind)
    return batch(kind, ms / 1000, 20, [float(ms)] * 10)


@settings(max_examples=60, deadline=None)
@given(Streams)
def test_every_message_is_told_once_in_its_own_second(drawn: list[tuple[str, int, int]]) -> None:
    sent = [message(kind, ms) for kind, ms, _ in sorted(drawn, key=lambda d: d[1])]
    ticks, ticker = ticks_of(sent)
    assert ticker.late == 0
    assert all(b.time_ns - a.time_ns == NANOSECONDS for a, b in itertools.pairwise(ticks))
    gates = [event for tick in ticks for event in tick.gates]
    assert gates == [m for m in sent if isinstance(m, GateEvent)]
    for tick in ticks:
        for event in tick.gates:
            assert tick.time_ns + AHEAD_NS <= event.time_ns < tick.sensed_ns
    origin = ticks[0].time_ns + AHEAD_NS
    told = {(f.camera, f.time_ns) for tick in ticks for slot in tick.frames for f in slot}
    slots = {(m.camera, (m.time_ns - origin) // SLOT_NS) for m in sent if isinstance(m, VideoFrame)}
    assert len(told) == len(slots)
    weighed = sum(int((~np.isnan(tick.grams)).sum()) for tick in ticks)
    cells = {
        (m.scale, (m.time_ns - origin + i * 50_000_000) // 50_000_000)
        for m in sent
        if isinstance(m, ScaleBatch)
        for i in range(10)
    }
    assert weighed == len(cells)


@settings(max_examples=40, deadline=None)
@given(Streams)
def test_delays_within_the_lateness_change_nothing(drawn: list[tuple[str, int, int]]) -> None:
    """Arrival up to 0.9 s late gives the same ticks as arrival in order (frames of one slot apart)."""
    unique = {(kind, ms // 200): (kind, ms, delay) for kind, ms, delay in drawn if not kind.startswith("w")}.values()
    first = frame("a", 0.0)
    in_order = [first, *(message(kind, ms + 200) for kind, ms, _ in sorted(unique, key=lambda d: d[1]))]
    arrived = [first, *(message(kind, ms + 200) for kind, ms, _ in sorted(unique, key=lambda d: d[1] + d[2]))]
    before, _ = ticks_of(list(in_order), lateness_s=1.0)
    after, ticker = ticks_of(list(arrived), lateness_s=1.0)
    assert ticker.late == 0
    for a, b in zip(before, after, strict=True):
        assert (a.time_ns, set(a.gates), a.frames) == (b.time_ns, set(b.gates), b.frames)
