"""Floor plans as IMDF (Indoor Mapping Data Format, OGC 20-094): a folder or zip of GeoJSON files, out and in.

Floor, gates and fixtures are standard features (level, opening, fixture), so map programs show and edit them;
the standard has no shelves, lanes, scales and cameras, so those ride along under the property "openaisle" and
in openaisle.geojson, and come back on import. Store metres become degrees on a plane that touches the earth
at an origin the caller names.
"""

from __future__ import annotations

import json
import uuid
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import ArrayLike
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from openaisle.errors import Problem, StoreError
from openaisle.store.check_geometry import footprint, signed_area
from openaisle.store.geometry import Float, apply
from openaisle.store.schema import FixtureSpec, GateSpec, Point, StoreSpec
from openaisle.store.store import Store

EXTENSION = "imdf:extension:openaisle:store#1.0.0"
NAMESPACE = uuid.UUID("6f1c1b6e-33f5-5d5e-9a55-0a15e0a15e00")  # ours, so that ids stay the same between exports
CATEGORIES = {"fridge": "equipment", "counter": "desk"}  # everything else is furniture
FOREIGN_HEIGHT_M = 1.4  # IMDF fixtures have no height


@dataclass(frozen=True)
class Projection:
    """Store metres to longitude and latitude in degrees, on a plane touching WGS 84 at the origin."""

    latitude: float
    longitude: float

    @property
    def metres_per_degree(self) -> Float:
        """East and north, [2]."""
        sine = np.sin(np.deg2rad(self.latitude))
        bend = 1 - 0.00669437999014 * sine * sine  # WGS 84 first eccentricity squared
        east = 6378137.0 / np.sqrt(bend) * np.cos(np.deg2rad(self.latitude))
        north = 6378137.0 * (1 - 0.00669437999014) / bend**1.5
        return np.asarray(np.deg2rad([east, north]))

    def degrees(self, points_m: ArrayLike) -> list[list[float]]:
        """Points [n, 2] in metres to [[longitude, latitude], ...]."""
        points = np.asarray(points_m, dtype=np.float64) / self.metres_per_degree + [self.longitude, self.latitude]
        return [[float(x), float(y)] for x, y in points]

    def metres(self, points_deg: ArrayLike) -> Float:
        """[[longitude, latitude], ...] to metres [n, 2], to a tenth of a millimetre."""
        points = np.asarray(points_deg, dtype=np.float64)[:, :2] - [self.longitude, self.latitude]
        return np.asarray(np.round(points * self.metres_per_degree, 4) + 0.0)  # no minus zeros


# --- out ---------------------------------------------------------------------------------------------


def export_imdf(store: Store, target: str | Path, latitude: float = 0.0, longitude: float = 0.0) -> None:
    """Write an IMDF archive into a folder, or into one file when `target` ends in .zip."""
    files = _archive(store, Projection(latitude, longitude))
    path = Path(target)
    if path.suffix.lower() == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in files.items():
                archive.writestr(name, json.dumps(content, indent=1))
        return
    path.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (path / name).write_text(json.dumps(content, indent=1), encoding="utf-8")


def _archive(store: Store, where: Projection) -> dict[str, object]:
    spec = store.spec
    floor = _polygon(where.degrees(spec.floor_m))
    building, level, address = (_id(spec, part) for part in ("building", "level", "address"))
    name = {"en": spec.name}
    plain = {"restriction": None, "name": name, "alt_name": None, "display_point": None}
    rest = spec.model_dump(mode="json", exclude={"floor_m", "gates", "fixtures", "cameras", "promotions"})
    features: dict[str, list[object]] = {
        "address": [_feature(address, "address", None, {
            "address": spec.name, "unit": None, "locality": "unknown", "province": None, "country": "ZZ",
            "postal_code": None, "postal_code_ext": None, "postal_code_vanity": None})],
        "venue": [_feature(_id(spec, "venue"), "venue", floor, {
            **plain, "category": "shoppingcenter", "hours": None, "phone": None, "website": None,
            "display_point": _point(where, np.mean(spec.floor_m, axis=0)), "address_id": address})],
        "building": [_feature(building, "building", None, {
            **plain, "category": "unspecified", "address_id": address})],
        "footprint": [_feature(_id(spec, "footprint"), "footprint", floor, {
            "category": "ground", "name": None, "building_ids": [building]})],
        "level": [_feature(level, "level", floor, {
            **plain, "category": "unspecified", "ordinal": 0, "outdoor": False, "short_name": {"en": "0"},
            "address_id": None, "building_ids": [building]})],
        "unit": [_feature(_id(spec, "unit"), "unit", floor, {
            **plain, "category": "room", "accessibility": None, "level_id": level})],
        "opening": [_opening(spec, gate, where, level) for gate in spec.gates],
        "fixture": [_fixture(spec, fixture, where, level) for fixture in spec.fixtures],
        "openaisle": _extension(store, where, level),
    }  # fmt: skip
    manifest = {
        "version": "1.0.0",
        "created": datetime.now(UTC).replace(microsecond=0).isoformat(),
        "generated_by": "openaisle",
        "language": "en",
        "extensions": [EXTENSION],
        "openaisle": {"origin": [where.longitude, where.latitude], "store": rest},
    }
    collections = {f"{kind}.geojson": {"type": "FeatureCollection", "name": kind, "features": rows}
                   for kind, rows in features.items()}  # fmt: skip
    return {"manifest.json": manifest, **collections}


def _id(spec: StoreSpec, part: str) -> str:
    return str(uuid.uuid5(NAMESPACE, f"{spec.name}/{part}"))


def _feature(name: str, kind: str, geometry: object, properties: Mapping[str, object]) -> dict[str, object]:
    return {"id": name, "type": "Feature", "feature_type": kind, "geometry": geometry, "properties": dict(properties)}


def _polygon(ring: Sequence[Sequence[float]]) -> dict[str, object]:
    return {"type": "Polygon", "coordinates": [[*ring, ring[0]]]}


def _point(where: Projection, point_m: ArrayLike) -> dict[str, object]:
    return {"type": "Point", "coordinates": where.degrees(np.asarray(point_m)[None, :2])[0]}


def _opening(spec: StoreSpec, gate: GateSpec, where: Projection, level: str) -> object:
    line = {"type": "LineString", "coordinates": where.degrees([gate.a_m, gate.b_m])}
    extra = {"id": gate.id, "kind": gate.kind}
    return _feature(_id(spec, f"gate/{gate.id}"), "opening", line, {
        "category": "pedestrian.principal", "accessibility": None, "access_control": None, "door": None,
        "name": {"en": gate.id}, "alt_name": None, "display_point": None, "level_id": level, "openaisle": extra,
    })  # fmt: skip


def _fixture(spec: StoreSpec, fixture: FixtureSpec, where: Projection, level: str) -> object:
    extra = fixture.model_dump(mode="json", exclude={"x_m", "y_m", "width_m", "depth_m"})
    return _feature(_id(spec, f"fixture/{fixture.id}"), "fixture", _polygon(where.degrees(footprint(fixture))), {
        "category": CATEGORIES.get(fixture.kind, "furniture"), "name": {"en": fixture.id}, "alt_name": None,
        "anchor_id": None, "level_id": level, "display_point": None, "openaisle": extra,
    })  # fmt: skip


def _extension(store: Store, where: Projection, level: str) -> list[object]:
    """Cameras as points and lanes as polygons, for map programs; only the cameras are read back from here."""
    out: list[object] = []
    for camera in store.spec.cameras:
        properties: dict[str, object] = {"level_id": level, "openaisle": camera.model_dump(mode="json")}
        name = _id(store.spec, f"camera/{camera.id}")
        out.append(_feature(name, f"{EXTENSION}/camera", _point(where, camera.position_m), properties))
    for lane in store.lanes:
        w, d, _ = lane.size_m
        corners: list[list[float]] = [[0, 0, 0], [w, 0, 0], [w, d, 0], [0, d, 0]]
        ring = where.degrees(apply(lane.world_from_lane, corners)[:, :2])
        scale = store.spec.scales[lane.scale].id if lane.scale >= 0 else None
        height = float(lane.world_from_lane[2, 3])
        properties = {"level_id": level, "name": lane.id, "height_m": height, "scale": scale}
        out.append(_feature(_id(store.spec, f"lane/{lane.id}"), f"{EXTENSION}/lane", _polygon(ring), properties))
    return out


# --- in ----------------------------------------------------------------------------------------------


class _Geometry(BaseModel):
    type: str
    coordinates: list[object] = Field(default=[])


class _Feature(BaseModel):
    """The parts of a GeoJSON feature that are read; others are ignored."""

    model_config = ConfigDict(extra="ignore")
    id: str | int = ""
    feature_type: str = ""
    geometry: _Geometry | None = None
    properties: dict[str, object] = Field(default={})

    @property
    def extra(self) -> Mapping[str, object]:
        """What we wrote under "openaisle" when this came from us."""
        extra = self.properties.get("openaisle")
        return extra if isinstance(extra, dict) else {}


class _Collection(BaseModel):
    features: list[_Feature]


def import_imdf(source: str | Path, currency: str = "EUR", time_zone: str = "UTC") -> Store:
    """Read an IMDF folder or zip as a store without products; raises StoreError.

    From an archive of ours all of store.yaml comes back, but for the promotions, which need products. From another
    program's come the floor of the lowest level not below ground, its pedestrian openings as gates and its
    fixtures as rectangles without shelves, 1.4 m high.
    """
    read = _reader(Path(source))
    ours = read("manifest.json").get("openaisle")
    head = ours if isinstance(ours, dict) else {}
    levels = _features(source, "level", read)
    level = min(levels, key=_ordinal, default=None)
    if level is None or level.geometry is None:
        raise _refuse(source, "level.geojson", "there is no level with an outline", "export at least one level")
    ring = _ring(source, level)
    origin = head.get("origin")
    corner = origin if isinstance(origin, list) and len(origin) == 2 else np.asarray(ring).min(axis=0)[:2]
    where = Projection(float(corner[1]), float(corner[0]))
    openings, furniture, extras = (_features(source, kind, read, level) for kind in ("opening", "fixture", "openaisle"))
    rest = head.get("store")
    base: dict[str, object] = dict(rest) if isinstance(rest, dict) else {
        "name": _label(level, "store"), "currency": currency, "time_zone": time_zone}  # fmt: skip
    gates = [gate for n, opening in enumerate(openings) if (gate := _gate(source, opening, n, where)) is not None]
    fixtures = [_fixture_back(source, feature, n, where) for n, feature in enumerate(furniture)]
    cameras = [feature.extra for feature in extras if feature.feature_type.endswith("/camera")]
    floor = _counter_clockwise([(float(x), float(y)) for x, y in where.metres(ring)])
    here = {"floor_m": floor, "gates": gates, "fixtures": fixtures, "cameras": cameras}
    try:
        return Store(StoreSpec.model_validate({**base, **here}), (), ())
    except ValidationError as error:
        problems = [Problem(str(source), ".".join(map(str, e["loc"])), e["msg"], "correct the archive")
                    for e in error.errors()]  # fmt: skip
        raise StoreError(problems) from error


def _refuse(source: str | Path, place: str, what: str, fix: str) -> StoreError:
    return StoreError([Problem(str(source), place, what, fix)])


def _reader(path: Path) -> Callable[[str], dict[str, object]]:
    """A function from a file's name to its JSON object, {} when the archive lacks the file."""

    def text_of(name: str) -> str | None:
        if path.is_dir():
            return (path / name).read_text(encoding="utf-8") if (path / name).is_file() else None
        with zipfile.ZipFile(path) as archive:
            inside = next((entry for entry in archive.namelist() if Path(entry).name == name), None)
            return archive.read(inside).decode("utf-8") if inside is not None else None

    def read(name: str) -> dict[str, object]:
        try:
            text = text_of(name)
            data = json.loads(text) if text is not None else {}
        except (OSError, ValueError, zipfile.BadZipFile) as error:
            raise _refuse(path, name, f"cannot be read: {error}", "name an IMDF folder or zip file") from error
        if not isinstance(data, dict):
            raise _refuse(path, name, "the file holds no JSON object", "export the archive again")
        return data

    return read


def _features(
    source: str | Path, kind: str, read: Callable[[str], dict[str, object]], level: _Feature | None = None
) -> list[_Feature]:
    data = read(f"{kind}.geojson")
    try:
        found = _Collection.model_validate(data).features if data else []
    except ValidationError as error:
        what = f"this is not a GeoJSON feature collection: {error.errors()[0]['msg']}"
        raise _refuse(source, f"{kind}.geojson", what, "export the archive again") from error
    on_level = [f for f in found if level is None or f.properties.get("level_id") in (None, level.id)]
    return [feature for feature in on_level if feature.geometry is not None]


def _ordinal(level: _Feature) -> tuple[bool, float]:
    ordinal = level.properties.get("ordinal")
    number = float(ordinal) if isinstance(ordinal, int | float) else 0.0
    return (number < 0, abs(number))


def _ring(source: str | Path, feature: _Feature) -> list[list[float]]:
    """Outer ring of a feature's largest polygon, [[longitude, latitude], ...], without the repeated last point."""
    assert feature.geometry is not None, "features without geometry are left out"
    shape = feature.geometry
    rings = [shape.coordinates] if shape.type == "Polygon" else shape.coordinates
    try:
        outer = [np.asarray(ring[0], dtype=np.float64)[:, :2] for ring in rings if isinstance(ring, list)]
        best = max(outer, key=lambda ring: abs(signed_area([(x, y) for x, y in ring.tolist()])))
    except (ValueError, IndexError, TypeError) as error:
        place = f"{feature.feature_type} {feature.id}"
        raise _refuse(source, place, "the outline is no polygon", "export the archive again") from error
    closed = len(best) > 1 and bool((best[0] == best[-1]).all())
    return [[float(x), float(y)] for x, y in (best[:-1] if closed else best)]


def _counter_clockwise(corners: list[Point]) -> list[Point]:
    return corners if signed_area(corners) > 0 else corners[::-1]


def _label(feature: _Feature, otherwise: str) -> str:
    name = feature.properties.get("name")
    words = next(iter(name.values()), otherwise) if isinstance(name, dict) else otherwise
    return str(words)


def _gate(source: str | Path, feature: _Feature, number: int, where: Projection) -> dict[str, object] | None:
    if feature.geometry is None or feature.geometry.type != "LineString":
        return None
    if not str(feature.properties.get("category", "pedestrian")).startswith("pedestrian"):
        return None
    try:
        ends = where.metres(np.asarray(feature.geometry.coordinates, dtype=np.float64))
    except (ValueError, IndexError, TypeError) as error:
        place = f"opening {feature.id}"
        raise _refuse(source, place, "the line has no coordinates", "export the archive again") from error
    return {
        "id": feature.extra.get("id", f"gate{number + 1}"),
        "kind": feature.extra.get("kind", "both"),
        "a_m": ends[0].tolist(),
        "b_m": ends[-1].tolist(),
    }


def _fixture_back(source: str | Path, feature: _Feature, number: int, where: Projection) -> dict[str, object]:
    """A rectangle with the feature's outline, and what we had written beside it."""
    corners = where.metres(_ring(source, feature))
    if len(corners) != 4:
        corners = np.asarray(cv2.boxPoints(cv2.minAreaRect(corners.astype(np.float32))), dtype=np.float64)
    if signed_area([(x, y) for x, y in corners.tolist()]) < 0:
        corners = corners[::-1]
    yaws = np.rad2deg(np.arctan2(*(np.roll(corners, -1, axis=0) - corners).T[::-1]))
    wanted = feature.extra.get("yaw_deg")
    # Which corner is front left is known for our own fixtures; others get their longest side as the front.
    if isinstance(wanted, int | float):
        start = int(np.argmin(np.abs((yaws - wanted + 180) % 360 - 180)))
        yaw = wanted + round((float(yaws[start]) - wanted + 180) % 360 - 180, 2)
    else:
        start = int(np.argmax(np.linalg.norm(np.roll(corners, -1, axis=0) - corners, axis=1)))
        yaw = round(float(yaws[start]), 2)
    turned = np.roll(corners, -start, axis=0)
    width, depth = (round(float(np.linalg.norm(turned[n] - turned[0])), 3) for n in (1, 3))
    base: dict[str, object] = {"id": f"f{number + 1}", "kind": "wall", "height_m": FOREIGN_HEIGHT_M}
    x, y = (round(float(value), 3) for value in turned[0])
    return {**base, **feature.extra, "x_m": x, "y_m": y, "yaw_deg": yaw, "width_m": width, "depth_m": depth}
