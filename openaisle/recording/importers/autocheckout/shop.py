"""A case as a store: gondolas become fixtures, plates lanes with a scale each, facings the planogram."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from openaisle.errors import Problem
from openaisle.recording.importers.autocheckout.case import SPELLINGS, Case, Facing, Item, gtin_of
from openaisle.recording.importers.autocheckout.layout import Layout, Rack
from openaisle.store.check import check_store
from openaisle.store.check_geometry import footprint
from openaisle.store.geometry import Float
from openaisle.store.load import read_picture
from openaisle.store.schema import (
    CameraSpec,
    FixtureSpec,
    GateSpec,
    LaneSpec,
    PlanogramRow,
    ProductSpec,
    ScaleSpec,
    ShelfSpec,
    StoreSpec,
)
from openaisle.store.store import Store

PLATE_LIMIT_GRAMS = 20_000.0
IN_FRONT_M = 2.0  # floor that is there for shoppers before the fixtures, where nothing else tells
DOOR_M = 1.0
UNKNOWN_MM = (80.0, 160.0, 80.0)  # width, height, depth of a product whose facing has no size
_FIX = "mend the case's files, or build the store by hand and give it with --store"


@dataclass(slots=True)
class Shop:
    """The store, and what is needed to speak the case's language again."""

    store: Store
    barcodes: dict[str, str]  # GTIN-14 → the contest's spelling


@dataclass(slots=True)
class Surroundings:
    """What else lies in the store's world; where people were and came in as points on the floor [n, 2]."""

    cameras: Sequence[CameraSpec] = ()
    floor_m: tuple[float, float, float, float] | None = None  # left, top, right, bottom
    people_m: Float = field(default_factory=lambda: np.zeros((0, 2)))
    entrances_m: Float = field(default_factory=lambda: np.zeros((0, 2)))


def build_shop(case: Case, layout: Layout, around: Surroundings, folder: Path, rate_hz: float) -> Shop | None:
    """The store of a case; None, with problems, when the files give none that could be used."""
    placed = _facings(case, layout)
    gtins = _gtins(case)
    lanes: dict[tuple[int, int, int], list[str]] = {}  # plate → products on it, in order
    for facing in placed:
        for plate in facing.plates:
            on_plate = lanes.setdefault(plate, [])
            if facing.item in gtins and gtins[facing.item] not in on_plate:
                on_plate.append(gtins[facing.item])
    try:
        fixtures = [_fixture(number, rack, lanes) for number, rack in sorted(layout.racks.items())]
        if not fixtures:
            what = "there are neither plates nor a planogram: nothing to build a store from"
            case.problems.append(Problem(str(folder), "folder", what, "add plate samples, or the planogram"))
            return None
        rows = _planogram(layout, lanes)
        products, pictures = _products(case, gtins, placed, {row.gtin for row in rows}, folder)
        spec = _spec(case, layout, fixtures, around, rate_hz)
    except ValidationError as error:
        details = error.errors(include_url=False)[:3]
        case.problems += [
            Problem(str(folder), ".".join(str(part) for part in (error.title, *one["loc"])), one["msg"], _FIX)
            for one in details
        ]
        return None
    store = Store(spec, products, rows, pictures)
    case.problems += [Problem(str(folder), f"{p.file}, {p.place}", p.what, _FIX) for p in check_store(store)]
    barcodes = {gtins[key]: SPELLINGS.get(item.code, item.code) for key, item in case.items.items() if item.code}
    return Shop(store, barcodes)


def _gtins(case: Case) -> dict[str, str]:
    """GTIN-14 by key of the item; numbers made up here are remarked, and never given twice."""
    out: dict[str, str] = {}
    taken: dict[str, str] = {}
    invented = 0
    for key, item in case.items.items():
        gtin, own = gtin_of(item.code, item.name)
        if gtin in taken:  # two spellings of one code, or a collision of numbers
            case.remarks.append(f"{key!r} and {taken[gtin]!r} have the same bar code: taken for one product")
        taken.setdefault(gtin, key)
        invented += not own
        out[key] = gtin
    if invented:
        case.remarks.append(f"{invented} products have no GTIN: numbers for use within the store stand for them")
    return out


def _facings(case: Case, layout: Layout) -> list[Facing]:
    """The facings whose plates and products are known."""
    known = layout.plates()
    strange = Counter(plate.scale for facing in case.facings for plate in facing.plates if plate not in known)
    if strange:
        case.remarks.append(f"the planogram names {len(strange)} plates that the store lacks, e.g. {min(strange)}")
    nameless = {facing.item for facing in case.facings if facing.item and facing.item not in case.items}
    for code in sorted(nameless):
        case.items[code] = Item(code, f"product {code}"[:200], 0, 0.0)
    if nameless:
        case.remarks.append(f"{len(nameless)} products of the planogram have no name, price or weight")
    return [
        Facing(facing.item, tuple(plate for plate in facing.plates if plate in known), facing.size_m)
        for facing in case.facings
    ]


def _fixture(number: int, rack: Rack, lanes: dict[tuple[int, int, int], list[str]]) -> FixtureSpec:
    shelves = []
    for shelf, board in sorted(rack.shelves.items(), key=lambda pair: pair[1].z_m):
        strips = []
        for plate, x_m, width_m in board.plates:
            names = _lane_names(plate, len(lanes.get((number, shelf, plate), ())))
            share = width_m / len(names)
            strips += [
                LaneSpec(id=name, x_m=round(max(0.0, x_m) + i * share, 4), width_m=round(share, 4))
                for i, name in enumerate(names)
            ]
        width = max(board.width_m, *(lane.x_m + lane.width_m for lane in strips))
        shelves.append(
            ShelfSpec(
                id=f"s{shelf}",
                z_m=round(board.z_m, 4),
                x_m=round(max(0.0, board.x_m), 4),
                y_m=round(max(0.0, board.y_m), 4),
                width_m=round(width, 4),
                depth_m=round(board.depth_m, 4),
                clearance_m=round(board.clearance_m, 4),
                lanes=tuple(strips),
            )
        )
    return FixtureSpec(
        id=f"g{number}", kind="gondola", x_m=round(rack.x_m, 4), y_m=round(rack.y_m, 4),
        yaw_deg=round(math.degrees(rack.yaw_rad), 3), width_m=round(rack.width_m, 4), depth_m=round(rack.depth_m, 4),
        height_m=round(rack.height_m, 4), shelves=tuple(shelves),
    )  # fmt: skip


def _lane_names(plate: int, products: int) -> list[str]:
    """One lane a plate, or one for each of its products side by side."""
    return [f"p{plate}"] if products < 2 else [f"p{plate}-{i + 1}" for i in range(products)]


def _planogram(layout: Layout, lanes: dict[tuple[int, int, int], list[str]]) -> tuple[PlanogramRow, ...]:
    rows = []
    for plate in sorted(layout.plates()):
        gtins = lanes.get(plate, [])
        for name, gtin in zip(_lane_names(plate.plate, len(gtins)), gtins, strict=False):
            rows.append(PlanogramRow(lane=f"g{plate.gondola}.s{plate.shelf}.{name}", gtin=gtin))
    return tuple(rows)


def _products(
    case: Case, gtins: dict[str, str], facings: Sequence[Facing], placed: set[str], folder: Path
) -> tuple[tuple[ProductSpec, ...], dict[str, tuple[NDArray[np.uint8], ...]]]:
    """Catalogue and pictures of the products that lie somewhere."""
    sizes = {facing.item: facing.size_m for facing in facings if facing.size_m is not None}
    specs: dict[str, ProductSpec] = {}
    pictures: dict[str, tuple[NDArray[np.uint8], ...]] = {}
    missing = 0
    for key, item in case.items.items():
        gtin = gtins[key]
        if gtin not in placed or gtin in specs:
            missing += gtin not in placed
            continue
        width, height, depth = _size_mm(sizes.get(key))
        picture = read_picture(folder / item.image) if item.image and "://" not in item.image else None
        if picture is not None:
            pictures[gtin] = (picture,)
        specs[gtin] = ProductSpec(
            gtin=gtin, name=item.name or key[:200], price_cents=item.price_cents, weight_grams=item.weight_grams,
            width_mm=width, height_mm=height, depth_mm=depth,
        )  # fmt: skip
    if missing:
        case.remarks.append(f"{missing} products lie on no plate: left out of the catalogue")
    unknown = sum(spec.weight_grams == 0 for spec in specs.values())
    if unknown:
        case.remarks.append(f"{unknown} products have no weight")
    return tuple(specs.values()), pictures


def _size_mm(size_m: tuple[float, float, float] | None) -> tuple[float, float, float]:
    """Width, height and depth of a product: of its facing, or a guess."""
    if size_m is None:
        return UNKNOWN_MM
    width, depth, height = (min(2000.0, max(5.0, round(one * 1000, 1))) for one in size_m)
    return width, height, depth


def _spec(
    case: Case, layout: Layout, fixtures: Sequence[FixtureSpec], around: Surroundings, rate_hz: float
) -> StoreSpec:
    prints = np.concatenate([footprint(fixture) for fixture in fixtures])
    fronts = [_before(fixture) for fixture in fixtures]
    points = [prints, np.array([camera.position_m[:2] for camera in around.cameras]).reshape(-1, 2)]
    points += [around.people_m, around.entrances_m, np.array(fronts)]
    if around.floor_m is not None and layout.known:
        points.append(np.array(around.floor_m).reshape(2, 2))
    low = np.floor(np.concatenate(points).min(0) * 10) / 10
    high = np.ceil(np.concatenate(points).max(0) * 10) / 10
    top = max(fixture.height_m for fixture in fixtures)
    ceiling = max([2.5, top + 0.1, *(camera.position_m[2] + 0.05 for camera in around.cameras)])
    shelves = {(int(f.id[1:]), int(s.id[1:])): s for f in fixtures for s in f.shelves}
    scales = []
    for plate in sorted(layout.plates()):
        own = [
            lane.id
            for lane in shelves[plate.gondola, plate.shelf].lanes
            if lane.id == f"p{plate.plate}" or lane.id.startswith(f"p{plate.plate}-")
        ]
        lanes = tuple(f"g{plate.gondola}.s{plate.shelf}.{lane}" for lane in own)
        scales.append(ScaleSpec(id=plate.scale, lanes=lanes, rate_hz=rate_hz, limit_grams=PLATE_LIMIT_GRAMS))
    (x0, y0), (x1, y1) = low.tolist(), high.tolist()
    return StoreSpec(
        name=(case.name or "AutoCheckout")[:200], currency="USD", time_zone="UTC", ceiling_m=round(ceiling, 3),
        floor_m=((x0, y0), (x1, y0), (x1, y1), (x0, y1)), gates=(_gate(case, around, (x0, y0, x1)),),
        fixtures=tuple(fixtures), scales=tuple(scales), cameras=tuple(around.cameras),
    )  # fmt: skip


def _before(fixture: FixtureSpec) -> list[float]:
    """A point on the floor before the middle of a fixture's front."""
    a, b, _, _ = footprint(fixture)
    yaw = math.radians(fixture.yaw_deg)
    middle = (a + b) / 2
    return [float(middle[0] + math.sin(yaw) * IN_FRONT_M), float(middle[1] - math.cos(yaw) * IN_FRONT_M)]


def _gate(case: Case, around: Surroundings, floor: tuple[float, float, float]) -> GateSpec:
    """Where people were seen first, or else in the middle of the floor's near edge."""
    x0, y0, x1 = floor
    if len(around.entrances_m):
        x, y = (float(value) for value in np.median(around.entrances_m, axis=0))
    else:
        x, y = (x0 + x1) / 2, y0
        case.remarks.append("nobody is seen to come in: the door is taken to be in the middle of the floor's near edge")
    ends = (round(x - DOOR_M / 2, 3), round(y, 3)), (round(x + DOOR_M / 2, 3), round(y, 3))
    return GateSpec(id="door", kind="both", a_m=ends[0], b_m=ends[1])
