"""Evidence: what speaks for a line of a receipt: its ledger entries, each with time, lane, stills and weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from sqlalchemy.orm import Session

from openaisle.messages import NANOSECONDS
from openaisle.receipts.events import LedgerEvent
from openaisle.receipts.ledger import Ledger
from openaisle.service import book
from openaisle.service.album import Album, Shot, Trace
from openaisle.service.book import Entry
from openaisle.service.labels import BY_RUN
from openaisle.store.store import Store

QUIET_SAMPLES = 10  # at both ends of a trace, from which its step is told
LEAST_G = 3.0  # a smaller step is none
Standing = Literal["counts", "replaced", "no effect"]


@dataclass(frozen=True, slots=True)
class Weighed:
    """What a scale felt, against what the catalogue expects."""

    trace: Trace
    step_g: float | None  # after minus before; None = it cannot be told
    unit_g: float  # of the product; 0 = unknown
    at_s: float  # of the event, from the trace's start
    several: bool  # the scale carries other lanes, too

    @property
    def told(self) -> str:
        """The samples for a drawing: grams to a tenth, nan where there is no reading."""
        return " ".join(f"{grams:.1f}" for grams in self.trace.grams.tolist())

    @property
    def units(self) -> float | None:
        """Units that the step weighs; positive when something went."""
        return -self.step_g / self.unit_g if self.step_g is not None and self.unit_g > 0 else None


@dataclass(frozen=True, slots=True)
class Witnessed:
    """One entry of the ledger with all there is to look at."""

    entry: Entry
    delta: int  # signed units for this visit
    standing: Standing
    name: str  # of the product
    shots: dict[str, list[Shot]]  # by camera
    weights: tuple[Weighed, ...]

    @property
    def event(self) -> LedgerEvent:
        """The entry's event."""
        return self.entry.event

    @property
    def by_person(self) -> bool:
        """Whether a person wrote it."""
        return not self.entry.author.startswith(BY_RUN)


def evidence_of(session: Session, store: Store, album: Album, visit: str, gtin: str = "") -> list[Witnessed]:
    """What there is about a product of a visit (or about all), oldest first; replaced entries included."""
    entries = book.entries_of(session, visit)
    ledger = Ledger().extend(entry.event for entry in entries)
    about = [entry for entry in entries if visit in entry.event.visits() and gtin in ("", entry.event.gtin)]
    return [_witnessed(entry, ledger, store, album, visit) for entry in sorted(about, key=_when)]


def _when(entry: Entry) -> tuple[int, int]:
    return entry.event.time_ns, entry.seq


def _witnessed(entry: Entry, ledger: Ledger, store: Store, album: Album, visit: str) -> Witnessed:
    event = entry.event
    shots: dict[str, list[Shot]] = {}
    for shot in album.shots(event.event_id):
        shots.setdefault(shot.camera, []).append(shot)
    row = store.product_index.get(event.gtin)
    product = store.products[row] if row is not None else None
    counts = ledger.counts(event) and ledger.event(event.event_id) == event
    standing: Standing = "counts" if counts and event.quantity else ("no effect" if counts else "replaced")
    weights = tuple(
        _weighed(t, event, product.weight_grams if product else 0.0, store) for t in album.traces(event.event_id)
    )
    return Witnessed(entry, event.delta(visit), standing, product.name if product else event.gtin, shots, weights)


def _weighed(trace: Trace, event: LedgerEvent, unit_g: float, store: Store) -> Weighed:
    lanes = next((len(scale.lanes) for scale in store.spec.scales if scale.id == trace.scale), 1)
    at_s = (event.time_ns - trace.start_ns) / NANOSECONDS
    return Weighed(trace, step_of(trace), unit_g, at_s, lanes > 1)


def step_of(trace: Trace) -> float | None:
    """How much a scale's level has changed from the trace's start to its end; None without readings."""
    known = trace.grams[~np.isnan(trace.grams)]
    if len(known) < 2 * QUIET_SAMPLES:
        return None
    step = float(np.median(known[-QUIET_SAMPLES:]) - np.median(known[:QUIET_SAMPLES]))
    return step if abs(step) >= LEAST_G else 0.0
