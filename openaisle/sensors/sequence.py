"""Sequence: which of a sensor's messages have come: duplicates are known, gaps are asked for and, in the end, given up.

A message is (boot, seq); seq counts from 0 at each boot of the device. What is asked for again is what lies between
messages that have come; what has not come half a minute later will not be used any more, and is counted as lost.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from openaisle.messages import NANOSECONDS

ASK_AFTER_NS = NANOSECONDS // 10  # messages that only changed places come by themselves
ASK_AGAIN_NS = NANOSECONDS
HOLD_NS = 3 * NANOSECONDS // 2  # the stream waits so long for what was asked for
GIVE_UP_NS = 30 * NANOSECONDS  # as late as a message may be
MOST_ASKED = 64  # messages in one request
FROM_ZERO = 600  # a first seq up to this after a new boot: those before it are missing; beyond, they are too old
KEPT_BOOTS = 2
DEAF = 5  # requests without any answer
GIVE_UP_MESSAGES = 10_000  # a leap by more is a device's mistake, not a gap


class Verdict(StrEnum):
    """What a message is to those before it."""

    NEXT = "next"  # follows the one before it
    NEW = "new"  # fills a gap, or opens one
    KNOWN = "known"  # a duplicate


@dataclass(frozen=True, slots=True)
class Span:
    """Messages of one boot, both ends included."""

    boot_id: int
    first: int
    last: int


@dataclass
class _Gap:
    since_ns: int
    asked_ns: int = 0


@dataclass
class _Boot:
    through: int  # all up to here have come, or were given up
    beyond: set[int] = field(default_factory=set)
    highest: int = -1
    gaps: dict[int, _Gap] = field(default_factory=dict)
    filled: int = 0

    def take(self, seq: int, now_ns: int) -> Verdict:
        if seq <= self.through or seq in self.beyond:
            return Verdict.KNOWN
        verdict = Verdict.NEXT if seq == self.highest + 1 else Verdict.NEW
        self.beyond.add(seq)
        self.filled += self.gaps.pop(seq, None) is not None
        self.expect(seq - 1, now_ns)
        self.highest = max(self.highest, seq)
        self._advance()
        return verdict

    def expect(self, seq: int, now_ns: int) -> None:
        for missing in range(max(self.highest + 1, seq - GIVE_UP_MESSAGES), seq + 1):
            self.gaps[missing] = _Gap(now_ns)
        self.highest = max(self.highest, seq)

    def give_up(self, now_ns: int) -> int:
        old = [seq for seq, gap in self.gaps.items() if now_ns - gap.since_ns > GIVE_UP_NS]
        for seq in old:
            del self.gaps[seq]
        if old:
            self._advance()
        return len(old)

    def _advance(self) -> None:
        end = min(self.gaps, default=self.highest + 1)
        self.through = max(self.through, end - 1)
        self.beyond = {seq for seq in self.beyond if seq > self.through}


@dataclass
class Sequence:
    """One device's messages."""

    lost: int = 0
    duplicates: int = 0
    asked: int = 0
    filled: int = 0  # messages that came when they were asked for, or later than those after them
    _boots: dict[int, _Boot] = field(default_factory=dict)

    def take(self, boot_id: int, seq: int, now_ns: int) -> Verdict:
        """Note a message."""
        boot = self._boot(boot_id, seq - 1)
        before = boot.filled
        verdict = boot.take(seq, now_ns)
        self.filled += boot.filled - before
        self.duplicates += verdict == Verdict.KNOWN
        return verdict

    def remember(self, boot_id: int, through: int) -> None:
        """All messages of a boot up to this one are stored already, or were given up."""
        self._boots[boot_id] = _Boot(through=through, highest=through)

    def recall(self, boot_id: int, seq: int, now_ns: int) -> None:
        """Note a message that is stored already: of a boot not known yet, so is all before it."""
        self._boots.setdefault(boot_id, _Boot(through=seq - 1, highest=seq - 1)).take(seq, now_ns)

    def expect(self, boot_id: int, seq: int, now_ns: int) -> None:
        """Somebody says that all up to this one have been sent."""
        self._boot(boot_id, seq).expect(seq, now_ns)

    def _boot(self, boot_id: int, before: int) -> _Boot:
        """What is known of a boot; of a new one all from 0 on is expected, unless that is long ago.

        Of the first one, too: who was not there when a device began to speak may not let it forget what it said.
        """
        if boot_id not in self._boots:
            first = -1 if before <= FROM_ZERO else before
            self._boots[boot_id] = _Boot(through=first, highest=first)
            while len(self._boots) > KEPT_BOOTS:
                self.lost += len(self._boots.pop(next(iter(self._boots))).gaps)
        return self._boots[boot_id]

    def ask(self, now_ns: int) -> list[Span]:
        """What to ask for now; remembers that it was asked for."""
        spans: list[Span] = []
        for boot_id, boot in self._boots.items():
            due = sorted(seq for seq, gap in boot.gaps.items() if _due(gap, now_ns))
            for seq in due:
                boot.gaps[seq].asked_ns = now_ns
                last = spans[-1] if spans else None
                if last and last.boot_id == boot_id and last.last == seq - 1 and seq - last.first < MOST_ASKED:
                    spans[-1] = Span(boot_id, last.first, seq)
                else:
                    spans.append(Span(boot_id, seq, seq))
        self.asked += len(spans)
        return spans

    def give_up(self, now_ns: int) -> int:
        """Stop waiting for what is too late; how many messages that were."""
        lost = sum(boot.give_up(now_ns) for boot in self._boots.values())
        self.lost += lost
        return lost

    def holds(self, now_ns: int) -> bool:
        """Whether something young is missing, for which the stream should wait; not for a device that never answers."""
        if self.asked >= DEAF and not self.filled:
            return False
        gaps = (gap for boot in self._boots.values() for gap in boot.gaps.values())
        return any(now_ns - gap.since_ns < HOLD_NS for gap in gaps)

    def missing(self) -> int:
        """Messages that are asked for."""
        return sum(len(boot.gaps) for boot in self._boots.values())

    def through(self) -> Span | None:
        """The newest boot and the message up to which all have come or were given up; None before the first."""
        if not self._boots:
            return None
        boot_id, boot = next(reversed(self._boots.items()))
        return Span(boot_id, 0, boot.through)


def _due(gap: _Gap, now_ns: int) -> bool:
    if not gap.asked_ns:
        return now_ns - gap.since_ns >= ASK_AFTER_NS
    return now_ns - gap.asked_ns >= ASK_AGAIN_NS
