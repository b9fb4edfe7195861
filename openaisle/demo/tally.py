"""Tally: what the live store has against what is true, and the stream's times as those of the recording."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from openaisle.messages import NANOSECONDS, TruthReceipt
from openaisle.receipts.document import ReceiptRecord, ReceiptsDocument, Update

if TYPE_CHECKING:
    from openaisle.service.observer import Stay

DUE_NS = 6 * NANOSECONDS  # after somebody has gone, the live store must have noticed


@dataclass
class Tally:
    """Everybody's truth and stay, by the name of the visit in the stream."""

    truths: dict[str, TruthReceipt] = field(default_factory=dict)  # of visits that are over, at the stream's time
    stays: dict[str, Stay] = field(default_factory=dict)
    time_ns: int = 0  # of the stream, up to which the live store has come

    def due(self) -> list[TruthReceipt]:
        """Visits that were over long enough ago for the live store to know."""
        return [truth for truth in self.truths.values() if truth.time_ns + DUE_NS <= self.time_ns]

    def lost(self, truths: Iterable[TruthReceipt]) -> list[str]:
        """Those of which it has no receipt, or did not see the end."""
        stays = [(truth.visit, self.stays.get(truth.visit)) for truth in truths]
        return [visit for visit, stay in stays if stay is None or not stay.settled or not stay.seen_to_leave]

    @property
    def waiting(self) -> int:
        """Receipts that a person is to look at."""
        return sum(stay.state == "review" for stay in self.stays.values())


def document_of(stays: Mapping[str, Stay], visits: Iterable[str], model: str, shift_ns: int) -> ReceiptsDocument:
    """The live store's receipts of some visits, at the times of the recording."""
    records = [moved(stays[visit].record, -shift_ns) for visit in visits if visit in stays]
    return ReceiptsDocument(recording="recording", model=model, receipts=records)


def moved(record: ReceiptRecord, by_ns: int) -> ReceiptRecord:
    """A record at another time."""
    final_ns = None if record.final_ns is None else record.final_ns + by_ns
    return record.model_copy(
        update={"updates": [_update(update, by_ns) for update in record.updates], "final_ns": final_ns}
    )


def _update(update: Update, by_ns: int) -> Update:
    event_ns = None if update.event_time_ns is None else update.event_time_ns + by_ns
    return update.model_copy(update={"time_ns": update.time_ns + by_ns, "event_time_ns": event_ns})
