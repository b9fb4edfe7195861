"""Streams join by time; late sensors still fall into their place."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from openaisle.messages import GateEvent, Message
from openaisle.sensors.source import Reorder, Source, merge


def _stream(name: str, times: list[int]) -> list[GateEvent]:
    return [GateEvent(name, t, "entry") for t in sorted(times)]


@given(st.lists(st.lists(st.integers(0, 50), max_size=20), min_size=1, max_size=4))
def test_merge_is_ordered_complete_and_stable(lists: list[list[int]]) -> None:
    streams = [_stream(str(i), times) for i, times in enumerate(lists)]
    merged = list(merge(*streams))
    expected = sorted((m for s in streams for m in s), key=lambda m: m.time_ns)  # sorted is stable
    assert merged == expected


@given(st.lists(st.tuples(st.integers(0, 100), st.integers(0, 9)), max_size=60))
def test_reorder_mends_every_delay_within_its_window(sent: list[tuple[int, int]]) -> None:
    arrivals = sorted(((time + delay, i, time) for i, (time, delay) in enumerate(sent)))
    buffer: Reorder[Message] = Reorder(window_ns=10)
    out: list[Message] = []
    for now, i, time in arrivals:
        buffer.push(GateEvent(str(i), time, "exit"))
        out.extend(buffer.pop_until(now))
    out.extend(buffer.drain())
    assert [m.time_ns for m in out] == sorted(time for time, _ in sent)


def test_what_comes_later_than_the_window_comes_late_but_comes() -> None:
    buffer: Reorder[Message] = Reorder(window_ns=10)
    buffer.push(GateEvent("a", 100, "exit"))
    first = list(buffer.pop_until(120))
    buffer.push(GateEvent("b", 50, "exit"))
    assert [m.time_ns for m in [*first, *buffer.pop_until(120)]] == [100, 50]


def test_anything_iterable_is_a_source() -> None:
    assert isinstance([GateEvent("a", 1, "entry")], Source)
