"""IMDF archives: ours come back exactly, other programs' come back as rectangles, broken ones are refused."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openaisle.errors import StoreError
from openaisle.sim.stores import KINDS, generate_store
from openaisle.sim.stores_layout import StoreKind
from openaisle.store.imdf import Projection, export_imdf, import_imdf
from openaisle.store.store import Store
from tests.store.tiny import tiny_store

BERLIN = (52.52, 13.4)


def collection(*features: dict[str, object]) -> str:
    """A GeoJSON file."""
    return json.dumps({"type": "FeatureCollection", "features": list(features)})


def feature(kind: str, geometry: object, **properties: object) -> dict[str, object]:
    """A GeoJSON feature."""
    return {"id": f"{kind}-1", "type": "Feature", "feature_type": kind, "geometry": geometry, "properties": properties}


def ring(*corners: tuple[float, float]) -> dict[str, object]:
    """A polygon some metres north and east of Berlin's origin, closed."""
    points = Projection(*BERLIN).degrees(corners)
    return {"type": "Polygon", "coordinates": [[*points, points[0]]]}


@pytest.mark.parametrize("kind", KINDS[:2])
@pytest.mark.parametrize("seed", [3, 5])
@pytest.mark.parametrize("name", ["archive", "archive.zip"])
def test_stores_come_back(kind: StoreKind, seed: int, name: str, tmp_path: Path) -> None:
    store = generate_store(kind, seed)
    export_imdf(store, tmp_path / name, *BERLIN)
    back = import_imdf(tmp_path / name)
    assert back.spec == store.spec.model_copy(update={"promotions": ()})
    assert len(back.lanes) == len(store.lanes)


def test_a_turned_table_comes_back(tmp_path: Path) -> None:
    store = tiny_store()
    turned = store.spec.fixtures[1].model_copy(update={"yaw_deg": -71.5})
    spec = store.spec.model_copy(update={"fixtures": (store.spec.fixtures[0], turned), "promotions": ()})
    export_imdf(Store(spec, (), ()), tmp_path / "a", *BERLIN)
    assert import_imdf(tmp_path / "a").spec == spec


def test_the_archive_is_what_the_standard_asks_for(tmp_path: Path) -> None:
    store = tiny_store()
    export_imdf(store, tmp_path, *BERLIN)
    manifest = json.loads((tmp_path / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["version"] == "1.0.0"
    assert {"created", "generated_by", "language", "extensions"} <= set(manifest)
    ids = set()
    for kind in ("address", "venue", "building", "footprint", "level", "unit", "opening", "fixture"):
        data = json.loads((tmp_path / f"{kind}.geojson").read_text(encoding="utf-8"))
        assert data["type"] == "FeatureCollection"
        for each in data["features"]:
            assert each["type"] == "Feature"
            assert each["feature_type"] == kind
            assert len(each["id"]) == 36
            ids.add(each["id"])
            if kind in ("venue", "level", "fixture"):
                points = np.array(each["geometry"]["coordinates"][0])
                assert (points[0] == points[-1]).all()
                x, y = points.T
                assert (x[:-1] * y[1:] - x[1:] * y[:-1]).sum() > 0  # RFC 7946: outer rings counter-clockwise
    assert len(ids) == 6 + 1 + 2
    extra = json.loads((tmp_path / "openaisle.geojson").read_text(encoding="utf-8"))["features"]
    assert len(extra) == 1 + 3  # a camera, three lanes


@given(st.floats(-80, 80), st.floats(-179, 179), st.floats(-50, 50), st.floats(-50, 50))
@settings(deadline=None)
def test_projection_keeps_tenths_of_millimetres(latitude: float, longitude: float, x: float, y: float) -> None:
    where = Projection(latitude, longitude)
    np.testing.assert_allclose(where.metres(where.degrees([[x, y]])), [[x, y]], atol=6e-5)


def test_projection_measures_the_earth() -> None:
    """One degree of latitude at 45° is 111,132 m, of longitude 78,847 m (WGS 84)."""
    east, north = Projection(45.0, 0.0).metres_per_degree
    assert north == pytest.approx(111_132, abs=5)
    assert east == pytest.approx(78_847, abs=5)


def foreign(path: Path) -> None:
    """An archive as another program would write it: clockwise, moved, no extensions, an upper floor."""
    level = feature("level", ring((5, 5), (5, 9), (11, 9), (11, 5)), ordinal=0, name={"de": "Laden"})
    upper = {**feature("level", ring((0, 0), (1, 0), (1, 1)), ordinal=1), "id": "level-2"}
    door = Projection(*BERLIN).degrees([(7, 5), (8, 5)])
    line = {"type": "LineString", "coordinates": door}
    shelf = feature("fixture", ring((6, 8.5), (6, 8.0), (8, 8.0), (8, 8.5)), level_id="level-1", category="furniture")
    hexagon = ring((9, 6), (9.5, 6), (9.7, 6.4), (9.5, 6.8), (9, 6.8), (8.8, 6.4))
    round_ = feature("fixture", hexagon, level_id="level-1")
    elsewhere = feature("fixture", ring((0, 0), (1, 0), (1, 1), (0, 1)), level_id="level-2")
    path.mkdir()
    (path / "level.geojson").write_text(collection(upper, level))
    (path / "opening.geojson").write_text(
        collection(feature("opening", line, level_id="level-1", category="pedestrian"),
                   feature("opening", line, level_id="level-1", category="automobile"))
    )  # fmt: skip
    (path / "fixture.geojson").write_text(collection(shelf, round_, elsewhere))


def test_other_programs_archives(tmp_path: Path) -> None:
    foreign(tmp_path / "mall")
    spec = import_imdf(tmp_path / "mall", currency="CHF", time_zone="Europe/Zurich").spec
    assert spec.name == "Laden"
    assert spec.currency == "CHF"
    assert sorted(spec.floor_m) == [(0, 0), (0, 4), (6, 0), (6, 4)]  # the corner became the origin
    assert [(gate.kind, gate.a_m, gate.b_m) for gate in spec.gates] == [("both", (2, 0), (3, 0))]
    shelf, polygon = spec.fixtures
    assert {shelf.width_m, shelf.depth_m} == {2.0, 0.5}
    assert shelf.width_m == 2.0  # the long side is the front
    assert polygon.width_m * polygon.depth_m == pytest.approx(0.9 * 0.8, rel=0.02)


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("level.geojson", "{", "cannot be read"),
        ("level.geojson", "[]", "no JSON object"),
        ("level.geojson", '{"features": 3}', "not a GeoJSON"),
        ("level.geojson", '{"features": []}', "no level"),
        ("level.geojson", collection(feature("level", {"type": "Polygon", "coordinates": [["a"]]})), "no polygon"),
        ("opening.geojson", collection(feature("opening", {"type": "LineString", "coordinates": []})), "no coordin"),
        ("opening.geojson", collection(), "gates"),
    ],
)
def test_broken_archives_are_refused(file: str, content: str, said: str, tmp_path: Path) -> None:
    foreign(tmp_path / "mall")
    (tmp_path / "mall" / file).write_text(content)
    with pytest.raises(StoreError) as caught:
        import_imdf(tmp_path / "mall")
    assert said in str(caught.value)


def test_what_is_no_archive_is_refused(tmp_path: Path) -> None:
    (tmp_path / "no.zip").write_bytes(b"no zip")
    for name in ("no.zip", "nothing.zip"):
        with pytest.raises(StoreError, match="cannot be read"):
            import_imdf(tmp_path / name)
    with zipfile.ZipFile(tmp_path / "empty.zip", "w"):
        pass
    with pytest.raises(StoreError, match="no level"):
        import_imdf(tmp_path / "empty.zip")
