"""The append-only ledger, and the fold that turns it into a basket.

The fold is pure and depends only on the set of events: not on the order in which they arrived, on duplicates, or on
lateness. Its rules, in full:

- Events are applied in order of (time, additions before subtractions, id).
- Two different events under one id: the smaller in canonical order counts, and the basket is marked as conflicting.
- A superseded event has no effect. Of several corrections of the same event the latest counts (conflicting unless
  they agree); it is applied at the time of the event that it replaces.
- A return (or gift) of more than the basket holds takes what is there; the shortfall is recorded, and such a basket
  always asks for review.
- A line's confidence is the product over the events that made it since its quantity was last zero.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from openaisle.receipts.events import Evidence, LedgerEvent


@dataclass(frozen=True, slots=True)
class Ledger:
    """An immutable list of events; `append` returns a new ledger. Start with `Ledger()`, grow by append or extend."""

    events: tuple[LedgerEvent, ...] = ()
    # Indices over `events`, kept so that a fold costs only its own visit, all day long.
    _variants: Mapping[str, tuple[LedgerEvent, ...]] = field(default_factory=dict, repr=False, compare=False)  # by id
    _by_visit: Mapping[str, tuple[str, ...]] = field(default_factory=dict, repr=False, compare=False)  # ids
    _by_target: Mapping[str, tuple[str, ...]] = field(default_factory=dict, repr=False, compare=False)  # ids

    def __post_init__(self) -> None:
        assert bool(self.events) == bool(self._variants), "grow a ledger by append or extend"

    def append(self, event: LedgerEvent) -> Ledger:
        """The ledger with one more event; an exact duplicate changes nothing."""
        known = self._variants.get(event.event_id, ())
        if event in known:
            return self
        by_visit = dict(self._by_visit)
        for visit in event.visits():
            by_visit[visit] = _with(by_visit.get(visit, ()), event.event_id)
        by_target = dict(self._by_target)
        if event.supersedes:
            by_target[event.supersedes] = _with(by_target.get(event.supersedes, ()), event.event_id)
        variants = {**self._variants, event.event_id: (*known, event)}
        return Ledger((*self.events, event), variants, by_visit, by_target)

    def extend(self, events: Iterable[LedgerEvent]) -> Ledger:
        """The ledger with more events, one by one."""
        ledger = self
        for event in events:
            ledger = ledger.append(event)
        return ledger

    def visits(self) -> tuple[str, ...]:
        """Every visit that an event touches, sorted."""
        return tuple(sorted(self._by_visit))

    def touching(self, visit: str) -> tuple[LedgerEvent, ...]:
        """The counted version of every event that names `visit`, superseded ones included."""
        events = (self.event(event_id) for event_id in self._by_visit.get(visit, ()))
        return tuple(event for event in events if visit in event.visits())

    def event(self, event_id: str) -> LedgerEvent:
        """The version of an event that counts; KeyError when there is none."""
        return min(self._variants[event_id], key=_canonical)

    def disputed(self, visit: str) -> tuple[str, ...]:
        """Ids that came with different contents, at least one of which touches `visit`."""
        return tuple(sorted(i for i in self._by_visit.get(visit, ()) if len(self._variants[i]) > 1))

    def corrections(self, event_id: str) -> tuple[LedgerEvent, ...]:
        """The corrections that supersede an event, latest last."""
        named = (self.event(i) for i in self._by_target.get(event_id, ()))
        return tuple(sorted((c for c in named if c.supersedes == event_id), key=_canonical))

    def standing(self, event_id: str) -> LedgerEvent:
        """What counts of an event today: itself, or its latest correction; KeyError when there is none."""
        corrections = self.corrections(event_id)
        return corrections[-1] if corrections else self.event(event_id)

    def counts(self, event: LedgerEvent) -> bool:
        """Whether an event has an effect: nothing supersedes it, and no later correction has the same target."""
        if self.corrections(event.event_id):
            return False
        return not event.supersedes or self.corrections(event.supersedes)[-1] == event

    def effective_ns(self, event: LedgerEvent) -> int:
        """When an event is applied: a superseding correction stands at the time of what it replaces, once known."""
        seen = {event.event_id}
        while event.supersedes in self._variants and event.supersedes not in seen:
            seen.add(event.supersedes)
            event = self.event(event.supersedes)
        return event.time_ns


def renamed(ledger: Ledger, visit: str, name: str) -> Ledger:
    """The ledger in which all that counts for `visit` counts for `name`; corrections do so, and no entry is lost.

    The other side of a hand-over keeps its units by a correction of its own.
    """
    for event in ledger.touching(visit):
        if not ledger.counts(event):
            continue
        moved = replace(
            event, event_id=f"{event.event_id}>{name}", kind="correction", visit=name, to_visit="",
            quantity=event.delta(visit), supersedes=event.event_id, reason=f"visit {visit} is {name}",
        )  # fmt: skip
        ledger = ledger.append(moved)
        for other in event.visits() - {visit}:
            kept = replace(
                moved, event_id=f"{event.event_id}>", visit=other, quantity=event.delta(other), supersedes=""
            )
            ledger = ledger.append(kept)
    return ledger


@dataclass(frozen=True, slots=True)
class BasketLine:
    """So many units of a product; `time_ns` is the instant of the last event that changed it."""

    gtin: str
    quantity: int
    confidence: float
    evidence: tuple[Evidence, ...]
    time_ns: int


@dataclass(frozen=True, slots=True)
class Basket:
    """What a visit holds. Lines are sorted by GTIN, with quantities above zero."""

    visit: str
    lines: tuple[BasketLine, ...] = ()
    confidence: float = 1.0  # product over all events that count: also of what was put back again
    short: tuple[tuple[str, int], ...] = ()  # (gtin, units) given back beyond what the basket held
    conflicts: tuple[str, ...] = ()  # ids of events or corrections that contradict each other

    @property
    def needs_review(self) -> bool:
        """Whether the ledger itself contradicts itself (thin confidence is judged when the receipt is priced)."""
        return bool(self.short or self.conflicts)

    def quantity(self, gtin: str) -> int:
        """Units of a product."""
        return sum(line.quantity for line in self.lines if line.gtin == gtin)


@dataclass(slots=True)
class _Run:
    """The running state of one product while events are applied in order."""

    quantity: int = 0
    short: int = 0
    since_zero: list[LedgerEvent] = field(default_factory=list)

    def apply(self, event: LedgerEvent, delta: int) -> None:
        self.short += max(0, -(self.quantity + delta))
        self.quantity = max(0, self.quantity + delta)
        self.since_zero = [*self.since_zero, event] if self.quantity else []


def fold(ledger: Ledger, visit: str) -> Basket:
    """The basket of a visit: a pure function of the set of events (see the module's rules)."""
    counted = [event for event in ledger.touching(visit) if ledger.counts(event)]
    counted.sort(key=lambda event: (ledger.effective_ns(event), event.delta(visit) < 0, event.event_id))
    runs: dict[str, _Run] = {}
    confidence = 1.0
    for event in counted:
        delta = event.delta(visit)
        if delta:
            runs.setdefault(event.gtin, _Run()).apply(event, delta)
        confidence *= event.confidence
    lines = tuple(_line(gtin, run) for gtin, run in sorted(runs.items()) if run.quantity)
    short = tuple((gtin, run.short) for gtin, run in sorted(runs.items()) if run.short)
    return Basket(visit, lines, confidence, short, _conflicts(ledger, visit))


def _line(gtin: str, run: _Run) -> BasketLine:
    confidence = 1.0
    for event in run.since_zero:
        confidence *= event.confidence
    evidence = tuple(event.evidence for event in run.since_zero if event.evidence is not None)
    return BasketLine(gtin, run.quantity, confidence, evidence, max(event.time_ns for event in run.since_zero))


def _conflicts(ledger: Ledger, visit: str) -> tuple[str, ...]:
    """Ids under which the ledger says two different things about a visit."""
    found = set(ledger.disputed(visit))
    for event in ledger.touching(visit):
        for target in {event.event_id, event.supersedes} - {""}:
            if len({(c.visit, c.gtin, c.quantity) for c in ledger.corrections(target)}) > 1:
                found.add(target)
    return tuple(sorted(found))


def _with(ids: tuple[str, ...], event_id: str) -> tuple[str, ...]:
    return ids if event_id in ids else (*ids, event_id)


def _canonical(event: LedgerEvent) -> tuple[int, str, str]:
    """A total order over events: time, id, then contents."""
    return event.time_ns, event.event_id, repr(event)
