"""Timeline: where everybody was and what every receipt said, at any instant; filled live or from files.

The pictures, the report and the terminal all read a `Timeline`; they do not know whether a model, receipts.json or
the truth filled it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from openaisle.messages import NANOSECONDS, EventKind, Truth, TruthEvent, TruthReceipt, TruthTick
from openaisle.receipts.document import ReceiptRecord, ReceiptsDocument, Update, basket_of
from openaisle.receipts.ledger import Basket, BasketLine
from openaisle.receipts.pricing import Receipt, local_day, price
from openaisle.state import StepResult
from openaisle.store.store import Store
from openaisle.tokens.tick import SLOT_NS

GAP_NS = int(1.6 * NANOSECONDS)  # a track that is silent for longer is not drawn in between
LINGER_NS = NANOSECONDS // 5  # a body stays this long after its last sample
HEAD, LEFT, RIGHT = 1, 2, 3  # rows of Body.points_m beside FLOOR
FLOOR = 0


@dataclass(frozen=True, slots=True)
class Body:
    """One person at one instant; points_m [4, 3]: floor (z = 0), head, left hand, right hand, in metres."""

    track: str  # unique among the people present
    visit: str  # whose receipt; members of a group share it
    points_m: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Happening:
    """Units came onto a receipt (quantity > 0) or left it (< 0)."""

    time_ns: int
    visit: str
    gtin: str
    quantity: int
    lane: str = ""
    corrected: bool = False  # the receipt was wrong, nobody has moved anything

    def verb(self) -> str:
        """What the visit's shopper does with so many units."""
        if self.corrected:
            return "is charged for" if self.quantity > 0 else "is no longer charged for"
        return "takes" if self.quantity > 0 else "puts back"


@dataclass(slots=True)
class _Track:
    visit: str
    times_ns: list[int] = field(default_factory=list)
    points_m: list[NDArray[np.float64]] = field(default_factory=list)

    def at(self, time_ns: int) -> NDArray[np.float64] | None:
        """Points interpolated between samples, None when the track is silent then."""
        after = bisect_right(self.times_ns, time_ns)
        if after == 0:
            return None
        before_ns, before = self.times_ns[after - 1], self.points_m[after - 1]
        if after == len(self.times_ns):
            return before if time_ns - before_ns <= LINGER_NS else None
        span_ns = self.times_ns[after] - before_ns
        if span_ns > GAP_NS:
            return before if time_ns - before_ns <= LINGER_NS else None
        share = (time_ns - before_ns) / span_ns
        return before * (1 - share) + self.points_m[after] * share


@dataclass
class Timeline:
    """Bodies, receipts and happenings by time; samples of one track or visit are added in time order.

    order: visits that have their letters already, from another timeline of the same shop.
    """

    store: Store
    order: tuple[str, ...] = ()
    _tracks: dict[str, _Track] = field(default_factory=dict)
    _receipts: dict[str, list[tuple[int, Receipt | None]]] = field(default_factory=dict)
    _happenings: list[Happening] = field(default_factory=list)

    def add_body(self, time_ns: int, track: str, visit: str, points_m: ArrayLike) -> None:
        """Where somebody was: points_m [4, 3] as in Body. A track that changes its visit goes on under the new one."""
        key = f"{track}/{visit}"
        sample = self._tracks.setdefault(key, _Track(visit))
        sample.times_ns.append(time_ns)
        sample.points_m.append(np.asarray(points_m, dtype=np.float64))

    def add_receipt(self, time_ns: int, receipt: Receipt) -> None:
        """What a visit's receipt says from `time_ns` on."""
        history = self._receipts.setdefault(receipt.visit, [])
        if not history or history[-1][1] != receipt:
            history.append((time_ns, receipt))

    def drop_receipt(self, time_ns: int, visit: str) -> None:
        """From `time_ns` on there is no such receipt: the visit got another name."""
        self._receipts[visit].append((time_ns, None))

    def add_happening(self, happening: Happening) -> None:
        """Something to point at."""
        self._happenings.append(happening)

    def bodies_at(self, time_ns: int) -> tuple[Body, ...]:
        """Everybody in the shop at an instant."""
        found = ((key, track, track.at(time_ns)) for key, track in self._tracks.items())
        return tuple(Body(key, track.visit, points) for key, track, points in found if points is not None)

    def trail(self, track: str, time_ns: int, length_ns: int) -> NDArray[np.float64]:
        """Floor points [n, 3] of a track over the time before an instant, oldest first."""
        samples = self._tracks[track]
        first, last = bisect_right(samples.times_ns, time_ns - length_ns), bisect_right(samples.times_ns, time_ns)
        return np.array([points[FLOOR] for points in samples.points_m[first:last]]).reshape(-1, 3)

    def receipts_at(self, time_ns: int) -> tuple[Receipt, ...]:
        """The newest receipt of every visit that has begun, oldest visit first."""
        out: list[Receipt] = []
        for history in self._receipts.values():
            count = bisect_right(history, time_ns, key=lambda entry: entry[0])
            receipt = history[count - 1][1] if count else None
            if receipt is not None:
                out.append(receipt)
        return tuple(out)

    def happenings(self, start_ns: int, end_ns: int) -> Iterator[Happening]:
        """What happened in start < time <= end."""
        return (one for one in self._happenings if start_ns < one.time_ns <= end_ns)

    @property
    def tracks(self) -> Mapping[str, str]:
        """The visit of every track, by track."""
        return {key: track.visit for key, track in self._tracks.items()}

    @property
    def visits(self) -> tuple[str, ...]:
        """All visits: those with an order, then the others in order of appearance."""
        return tuple(
            dict.fromkeys(
                [*self.order, *self._receipts, *(track.visit for track in self._tracks.values() if track.visit)]
            )
        )

    def symbols(self) -> Mapping[str, str]:
        """A letter for every visit, in order of appearance: A to Z, then A2 to Z2, ..."""
        return {visit: symbol(i) for i, visit in enumerate(self.visits)}


def symbol(index: int) -> str:
    """A, B, ... Z, A2, B2, ... for the index-th visit."""
    turn, letter = divmod(index, 26)
    return chr(ord("A") + letter) + (str(turn + 1) if turn else "")


def empty_receipt(visit: str, store: Store, time_ns: int) -> Receipt:
    """The receipt of a visit that has just begun."""
    return price(Basket(visit), store.spec, store.products, local_day(time_ns, store.spec.time_zone))


def add_step(timeline: Timeline, result: StepResult, *, receipts: bool = True) -> tuple[Happening, ...]:
    """Fill in what the pipeline found out in a tick; returns what happened in it."""
    for track in result.tracks:
        points = [(*track.floor_m.tolist(), 0.0), track.head_m, *track.hands_m]
        timeline.add_body(result.time_ns - SLOT_NS, str(track.number), track.visit, points)
    if not receipts:
        return ()
    for receipt in timeline.receipts_at(result.time_ns):
        if receipt.visit not in result.receipts:
            timeline.drop_receipt(result.time_ns, receipt.visit)
    for receipt in result.receipts.values():
        timeline.add_receipt(result.time_ns, receipt)
    happenings = tuple(happening_of(change.update, change.visit, result.time_ns) for change in result.updates)
    for happening in happenings:
        timeline.add_happening(happening)
    return happenings


def add_truth(timeline: Timeline, truth: Iterable[Truth], *, receipts: bool = True) -> Timeline:
    """Fill in the true bodies of customers and, on request, the true receipts; returns the same timeline."""
    baskets = _Baskets(timeline)
    for message in truth:
        if isinstance(message, TruthTick):
            _add_tick(timeline, message)
            if receipts:
                baskets.begin(message.time_ns, [person.visit for person in message.shoppers if not person.staff])
        elif receipts and isinstance(message, TruthEvent) and not message.staff:
            for visit, quantity in _moved(message):
                baskets.move(Happening(message.time_ns, visit, message.gtin, quantity, message.lane))
        elif receipts and isinstance(message, TruthReceipt):
            baskets.begin(message.time_ns, [message.visit])
    return timeline


def add_document(timeline: Timeline, document: ReceiptsDocument) -> Timeline:
    """Fill in the receipts of a receipts.json with the updates that led to them; returns the same timeline."""
    baskets = _Baskets(timeline)
    updates = [(update, record.visit) for record in document.receipts for update in record.updates]
    for update, visit in sorted(updates, key=lambda pair: pair[0].time_ns):
        quantity = signed(update)
        if quantity and update.gtin:
            baskets.move(happening_of(update, visit, update.time_ns))
    for record in document.receipts:
        last_ns = max((update.time_ns for update in record.updates), default=0)
        timeline.add_receipt(max(record.final_ns or 0, last_ns), _final(record, timeline.store))
    return timeline


def happening_of(update: Update, visit: str, time_ns: int) -> Happening:
    """An update in the timeline's terms."""
    return Happening(time_ns, visit, update.gtin, signed(update), update.lane, update.kind == "correction")


def signed(update: Update) -> int:
    """Units that an update adds to its receipt, negative for what it takes away."""
    return -update.quantity if update.kind == "return" else update.quantity


def _final(record: ReceiptRecord, store: Store) -> Receipt:
    day = local_day(record.final_ns or 0, store.spec.time_zone)
    return price(basket_of(record), store.spec, store.products, day)


def _add_tick(timeline: Timeline, tick: TruthTick) -> None:
    for person in tick.shoppers:
        if not person.staff:
            x, y = person.floor_m
            points = np.array([(x, y, 0.0), person.head_m, person.left_hand_m, person.right_hand_m])
            # Labels may know no more than where somebody stands: shown as an upright body.
            points = np.where(np.isnan(points), [(x, y, 0.0), (x, y, 1.7), (x, y, 0.8), (x, y, 0.8)], points)
            timeline.add_body(tick.time_ns, person.shopper, person.visit, points)


def _moved(event: TruthEvent) -> list[tuple[str, int]]:
    if event.kind is EventKind.HAND_OVER:
        return [(event.visit, -event.quantity), (event.to_visit, event.quantity)]
    return [(event.visit, event.quantity if event.kind is EventKind.TAKE else -event.quantity)]


@dataclass
class _Baskets:
    """Units per visit, turned into a new receipt on the timeline whenever they change."""

    timeline: Timeline
    units: dict[str, dict[str, int]] = field(default_factory=dict)

    def begin(self, time_ns: int, visits: Iterable[str]) -> None:
        for visit in visits:
            if visit and visit not in self.units:
                self.units[visit] = {}
                self.timeline.add_receipt(time_ns, empty_receipt(visit, self.timeline.store, time_ns))

    def move(self, happening: Happening) -> None:
        self.timeline.add_happening(happening)
        units = self.units.setdefault(happening.visit, {})
        units[happening.gtin] = max(0, units.get(happening.gtin, 0) + happening.quantity)
        lines = tuple(
            BasketLine(gtin, quantity, 1.0, (), happening.time_ns)
            for gtin, quantity in sorted(units.items())
            if quantity
        )
        spec = self.timeline.store.spec
        day = local_day(happening.time_ns, spec.time_zone)
        receipt = price(Basket(happening.visit, lines), spec, self.timeline.store.products, day)
        self.timeline.add_receipt(happening.time_ns, receipt)
