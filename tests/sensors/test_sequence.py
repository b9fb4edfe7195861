"""Sequences: every message is taken once, gaps are asked for until they are filled or too old."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from openaisle.messages import NANOSECONDS
from openaisle.sensors.sequence import (
    ASK_AFTER_NS,
    ASK_AGAIN_NS,
    DEAF,
    FROM_ZERO,
    GIVE_UP_NS,
    HOLD_NS,
    Sequence,
    Span,
    Verdict,
)

SECOND = NANOSECONDS


@given(st.lists(st.integers(0, 60), min_size=1, max_size=200))
def test_each_message_is_new_once_and_the_rest_is_known_to_be_missing(seqs: list[int]) -> None:
    sequence, taken = Sequence(), set[int]()
    for seq in seqs:
        known = sequence.take(1, seq, SECOND) == Verdict.KNOWN
        assert known == (seq in taken)
        taken.add(seq)
    missing = set(range(max(seqs) + 1)) - taken
    asked = {seq for span in sequence.ask(2 * SECOND) for seq in range(span.first, span.last + 1)}
    assert asked == missing
    through = sequence.through()
    assert through is not None
    assert through.last == min(missing, default=max(seqs) + 1) - 1


def test_a_gap_is_asked_for_soon_again_and_in_the_end_given_up() -> None:
    sequence = Sequence()
    sequence.take(1, 0, 0)
    sequence.take(1, 4, 1)
    assert sequence.ask(ASK_AFTER_NS - 10) == []
    assert sequence.ask(ASK_AFTER_NS + 10) == [Span(1, 1, 3)]
    assert sequence.ask(ASK_AFTER_NS + 20) == []
    assert sequence.ask(ASK_AFTER_NS + ASK_AGAIN_NS + 10) == [Span(1, 1, 3)]
    assert sequence.take(1, 2, SECOND) == Verdict.NEW
    assert sequence.ask(5 * SECOND) == [Span(1, 1, 1), Span(1, 3, 3)]
    assert sequence.give_up(GIVE_UP_NS) == 0
    assert sequence.give_up(GIVE_UP_NS + 2) == 2
    assert (sequence.lost, sequence.missing(), sequence.through()) == (2, 0, Span(1, 0, 4))
    assert sequence.take(1, 1, GIVE_UP_NS + 3) == Verdict.KNOWN  # too late: it was counted as lost


def test_the_stream_waits_for_a_young_gap_unless_the_device_never_answers() -> None:
    sequence = Sequence()
    sequence.take(1, 0, 0)
    sequence.take(1, 2, 10)
    assert sequence.holds(11)
    assert not sequence.holds(10 + HOLD_NS)
    for number in range(DEAF):
        sequence.take(1, 4 + 2 * number, 100 + number)
        sequence.ask(SECOND * (1 + number))
    assert not sequence.holds(101 + DEAF)
    sequence.take(1, 3, 200)  # it does answer
    sequence.take(1, 40, 201)
    assert sequence.holds(202)


def test_after_a_boot_all_from_zero_on_is_expected_unless_that_is_long_ago() -> None:
    sequence = Sequence()
    sequence.take(1, FROM_ZERO + 2, 0)
    assert sequence.missing() == 0  # nothing of what was before us will be of use
    sequence.take(2, 3, SECOND)
    assert sequence.ask(2 * SECOND) == [Span(2, 0, 2)]
    assert sequence.take(1, FROM_ZERO + 3, 2 * SECOND) == Verdict.NEXT  # one that was still on its way


def test_who_was_not_there_when_a_device_began_to_speak_does_not_let_it_forget_what_it_said() -> None:
    sequence = Sequence()
    sequence.take(1, 33, 0)
    assert sequence.through() == Span(1, 0, -1)
    assert sequence.ask(SECOND) == [Span(1, 0, 32)]


def test_what_a_journal_holds_is_stored_with_all_before_it() -> None:
    sequence = Sequence()
    for seq in (33, 34, 36):
        sequence.recall(1, seq, 0)
    assert sequence.through() == Span(1, 0, 34)
    assert sequence.take(1, 20, SECOND) == Verdict.KNOWN
    assert sequence.ask(SECOND) == [Span(1, 35, 35)]


def test_a_heartbeat_tells_of_a_message_that_never_came() -> None:
    sequence = Sequence()
    sequence.take(1, 0, 0)
    sequence.expect(1, 0, 1)
    assert sequence.missing() == 0
    sequence.expect(1, 1, 2)
    assert sequence.ask(SECOND) == [Span(1, 1, 1)]
    fresh = Sequence()
    fresh.expect(1, -1, 0)  # it has not sent anything
    assert fresh.take(1, 0, 1) == Verdict.NEXT
