"""Stock: what should lie in every lane, by the ledger and by the scales, and what lies in a wrong one.

Nobody knows what lay in a lane until somebody has counted it; a lane that was not counted is taken as full when the
run (in a real shop: the day) began. From there the ledger tells what went and came, and the scale, whose zero is
unknown, by how many grams it has changed. Where both disagree by most of a unit, somebody should look.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import false, func, or_, select
from sqlalchemy.orm import Session

from openaisle.errors import RequestError
from openaisle.receipts.events import LedgerEvent
from openaisle.service import book, visits
from openaisle.service.album import Album, Levels
from openaisle.service.day import bounds_ns, today
from openaisle.service.desk import Desk
from openaisle.service.tables import LedgerRow, Run, StockCount
from openaisle.store.schema import PlanogramRow
from openaisle.store.store import Store

LOW_SHARE = 0.25  # of its capacity: fill up
LEAST_G, MOST_OFF = 12.0, 0.8  # grams by which scales drift, and share of a unit: beyond both they disagree
MOST_COUNTED = 10_000
MOST_RUNS = 300  # of a day
LASTING = "live:"  # sources whose runs follow each other before the same shelves
Moved = dict[tuple[str, str], int]  # (lane, gtin) → units that have gone; negative: came


@dataclass(frozen=True, slots=True)
class LaneStock:
    """One lane of the plan."""

    lane: str
    fixture: str
    gtin: str
    name: str
    capacity: int
    by_ledger: int
    by_scale: float | None  # None: no scale, or it carries several lanes
    counted_ns: int  # 0 = never counted, taken as full
    low: bool
    differs: bool


@dataclass(frozen=True, slots=True)
class Misplaced:
    """Units of a product in a lane that is another's."""

    lane: str
    gtin: str
    name: str
    units: int
    home: str  # a lane where it belongs, "" when it has none


@dataclass(frozen=True, slots=True)
class Shelves:
    """All lanes, and what lies wrong."""

    lanes: tuple[LaneStock, ...]
    misplaced: tuple[Misplaced, ...]
    run: str  # "" = no run has been
    levels_ns: int  # of the scales' levels, 0 = none


def shelves(session: Session, desk: Desk, album: Album) -> Shelves:
    """The stock as it stands in the latest run."""
    store, run = desk.store, _latest(session)
    levels = album.levels()
    if levels is not None and (run is None or levels.run != run.id):
        levels = None
    runs = _runs(session, desk, run)
    entries = _entries(session, runs)
    moved = _moved(entries, 0)
    counts = _counts(session)
    lanes = []
    for row in store.planogram:
        count = counts.get((row.lane, row.gtin))
        if count is not None and count.run in runs:
            gone = _moved(entries, count.through_seq).get((row.lane, row.gtin), 0)
            start = count.units
        else:
            gone, start = moved.get((row.lane, row.gtin), 0), (count.units if count else row.capacity)
        by_ledger = start - gone
        foreign_g = sum(
            -units * store.products[store.product_index[gtin]].weight_grams
            for (lane, gtin), units in moved.items()
            if lane == row.lane and gtin != row.gtin and gtin in store.product_index
        )
        by_scale = _by_scale(store, row, levels, count if count and count.run in runs else None, start, foreign_g)
        lanes.append(
            LaneStock(
                row.lane, row.lane.partition(".")[0], row.gtin, store.products[store.product_index[row.gtin]].name,
                row.capacity, by_ledger, by_scale, count.at_ns if count else 0, by_ledger <= LOW_SHARE * row.capacity,
                by_scale is not None and _differ(store, row.gtin, by_scale - by_ledger),
            )
        )  # fmt: skip
    return Shelves(tuple(lanes), _misplaced(store, moved), run.id if run else "", levels.time_ns if levels else 0)


def count_lane(session: Session, desk: Desk, album: Album, lane: str, units: int, author: str) -> None:
    """Somebody has counted a lane; raises RequestError 404, 422."""
    row = next((row for row in desk.store.planogram if row.lane == lane), None)
    if row is None:
        raise RequestError(404, f"the plan has no lane {lane!r}", "see the shelves")
    if not 0 <= units <= MOST_COUNTED:
        raise RequestError(422, f"{units} units in a lane", f"give a number from 0 to {MOST_COUNTED}")
    run, levels = _latest(session), album.levels()
    scale = next((scale.id for scale in desk.store.spec.scales if lane in scale.lanes), "")
    grams = levels.grams.get(scale) if levels is not None and run is not None and levels.run == run.id else None
    session.add(
        StockCount(
            lane=lane, gtin=row.gtin, units=units, run=run.id if run else "", through_seq=book.through(session),
            grams=grams, author=author, at_ns=desk.clock(),
        )
    )  # fmt: skip


def _latest(session: Session) -> Run | None:
    return visits.unfinished_run(session) or session.scalars(select(Run).order_by(Run.at_ns.desc())).first()


def _runs(session: Session, desk: Desk, run: Run | None) -> list[str]:
    """The runs over the same shelves: in a real shop those of today, elsewhere every run is a day of its own."""
    if run is None or not run.source.startswith(LASTING):
        return [run.id] if run is not None else []
    morning_ns, _ = bounds_ns(today(desk), desk.store.spec.time_zone)
    query = select(Run.id).where(Run.source == run.source, Run.at_ns >= morning_ns).order_by(Run.at_ns.desc())
    return list({run.id: None, **dict.fromkeys(session.scalars(query.limit(MOST_RUNS)))})


def _counts(session: Session) -> dict[tuple[str, str], StockCount]:
    """The last count of every lane."""
    newest = select(func.max(StockCount.id)).group_by(StockCount.lane, StockCount.gtin)
    return {(row.lane, row.gtin): row for row in session.scalars(select(StockCount).where(StockCount.id.in_(newest)))}


def _entries(session: Session, runs: list[str]) -> list[tuple[int, LedgerEvent]]:
    """What runs wrote, and what people corrected of it, with places in the book."""
    ours = [LedgerRow.event_id.startswith(f"{run}:", autoescape=True) for run in runs]
    about = [LedgerRow.supersedes.startswith(f"{run}:", autoescape=True) for run in runs]
    query = select(LedgerRow.seq, LedgerRow.body).where(or_(false(), *ours, *about)).order_by(LedgerRow.seq)
    return [(seq, book.EVENT.validate_json(body)) for seq, body in session.execute(query)]


def _moved(rows: list[tuple[int, LedgerEvent]], after_seq: int) -> Moved:
    """What entries after a place in the book took out of lanes; replaced entries count as what replaced them."""
    events = {event.event_id: event for _, event in rows}
    places = {event.event_id: seq for seq, event in rows}
    last: dict[str, tuple[int, str]] = {}  # target → (time, id) of the correction that counts
    for _, event in rows:
        if event.supersedes:
            last[event.supersedes] = max(last.get(event.supersedes, (0, "")), (event.time_ns, event.event_id))
    moved: Moved = {}
    for seq, event in rows:
        if event.event_id in last:
            continue
        # What a count has seen is not changed by a later word about what was before it.
        if places.get(_first_told(event, events).event_id, seq) <= after_seq:
            continue
        if event.supersedes and last[event.supersedes][1] != event.event_id:
            continue
        lane = event.lane or _lane_of(event, events)
        if lane and event.kind != "hand_over":
            gone = event.quantity if event.kind in ("take", "correction") else -event.quantity
            moved[lane, event.gtin] = moved.get((lane, event.gtin), 0) + gone
    return moved


def _lane_of(event: LedgerEvent, events: Mapping[str, LedgerEvent]) -> str:
    """Where a correction that names no lane has its effect: where what it replaces had it."""
    return next((one.lane for one in _chain(event, events) if one.lane), "")


def _first_told(event: LedgerEvent, events: Mapping[str, LedgerEvent]) -> LedgerEvent:
    """What a correction of a correction of ... is about."""
    return _chain(event, events)[-1]


def _chain(event: LedgerEvent, events: Mapping[str, LedgerEvent]) -> list[LedgerEvent]:
    """An entry, what it replaces, what that replaces, ..."""
    out = [event]
    while event.supersedes in events and events[event.supersedes] not in out:
        event = events[event.supersedes]
        out.append(event)
    return out


def _by_scale(
    store: Store, row: PlanogramRow, levels: Levels | None, count: StockCount | None, start: int, foreign_g: float
) -> float | None:
    """Units by weight: those at the start, and what the scale has changed by since, less what lies wrong there."""
    scale = next((scale for scale in store.spec.scales if row.lane in scale.lanes), None)
    unit_g = store.products[store.product_index[row.gtin]].weight_grams
    if scale is None or len(scale.lanes) > 1 or levels is None or not unit_g or scale.id not in levels.grams:
        return None
    before = count.grams if count is not None and count.grams is not None else levels.first.get(scale.id)
    return None if before is None else round(start + (levels.grams[scale.id] - before - foreign_g) / unit_g, 1)


def _differ(store: Store, gtin: str, units: float) -> bool:
    """Whether so many units are more than a scale may err."""
    unit_g = store.products[store.product_index[gtin]].weight_grams
    return abs(units) * unit_g >= max(LEAST_G, MOST_OFF * unit_g)


def _misplaced(store: Store, moved: Moved) -> tuple[Misplaced, ...]:
    planned = {row.lane: row.gtin for row in store.planogram}
    homes = {row.gtin: row.lane for row in reversed(store.planogram)}
    names = {product.gtin: product.name for product in store.products}
    wrong = [(lane, gtin, -gone) for (lane, gtin), gone in moved.items() if gone < 0 and planned.get(lane) != gtin]
    return tuple(
        Misplaced(lane, gtin, names.get(gtin, gtin), units, homes.get(gtin, "")) for lane, gtin, units in sorted(wrong)
    )
