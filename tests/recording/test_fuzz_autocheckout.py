"""Whatever a case's files hold, the importer gives a recording or names what is wrong: no traceback, no hang."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from openaisle.errors import RecordingError
from openaisle.recording.importers.autocheckout.cameras import camera_spec, read_calibration
from openaisle.recording.importers.autocheckout.case import MOST_PLATES, Case
from openaisle.recording.importers.autocheckout.databases import read_archive, read_bson, read_export
from openaisle.recording.importers.autocheckout.documents import READERS, add_document
from openaisle.recording.importers.autocheckout.layout import METADATA, read_layout
from openaisle.recording.importers.autocheckout.loose import is_planogram, read_planogram, read_plate
from openaisle.recording.importers.autocheckout.run import import_autocheckout
from openaisle.recording.importers.autocheckout.samples import batches, joined
from openaisle.recording.importers.autocheckout.videos import find_videos, read_mapping
from openaisle.recording.tools import verify
from tests.recording import nano_store
from tests.recording.mutations import ODD, as_document, damaged, mutated

DATABASE = nano_store.collections(0.4)
DUMP = nano_store.archive({**DATABASE, "frame_message": DATABASE["frame_message"][:1]})
METADATA_JSON = nano_store.metadata()
NUMBERS = st.one_of(st.floats().map(str), st.integers(-5, 200).map(str), st.sampled_from(["4-6", "1;2"]))
CELL = st.one_of(st.text(max_size=6), NUMBERS)
HEADERS = st.sampled_from(["", "unix_seconds,grams\n", "grams,unix_seconds\n"])
ROWS = st.lists(st.lists(CELL, max_size=8).map(",".join), max_size=6).map("\n".join)


def check(case: Case) -> None:
    """What was read is fit for use: problems say how to mend them, series hold finite times."""
    assert all(problem.fix and problem.what for problem in case.problems)
    for plate, chunks in case.series.items():
        assert plate.plate <= MOST_PLATES
        times, grams, _ = joined(chunks)
        assert (np.diff(times) >= 0).all()
        assert sum(len(batch.grams) for batch in batches(plate.scale, times, grams)) == len(grams)


@given(rows=ROWS, header=HEADERS, raw=st.binary(max_size=9))
def test_plate_tables(tmp_path: Path, rows: str, header: str, raw: bytes) -> None:
    path = tmp_path / "gondola_1_shelf_1_plate_1.csv"
    path.write_bytes((header + rows).encode("utf-8", "surrogatepass") + raw)
    case = Case("c")
    read_plate(path, case)
    check(case)


@given(rows=ROWS, raw=st.binary(max_size=9))
def test_planograms(tmp_path: Path, rows: str, raw: bytes) -> None:
    path = tmp_path / "planogram.csv"
    text = "Name,Gondola,Shelf,Plate,Weight,Price,Image\nA,1,1,1,5,1,\n" + rows
    path.write_bytes(text.encode("utf-8", "surrogatepass") + raw)
    case = Case("c")
    if is_planogram(path):
        read_planogram(path, case)
    check(case)
    assert all(0 <= item.price_cents <= 1e8 for item in case.items.values())


@given(data=st.data(), collection=st.sampled_from(sorted(READERS)))
def test_documents(data: st.DataObject, collection: str) -> None:
    valid = DATABASE["targets" if collection == "full_targets" else collection][-1]
    case = Case("c")
    for _ in range(3):
        document = as_document(data.draw(mutated(valid)))
        add_document(case, collection, ("file", "document"), document)
    check(case)


@given(data=st.data(), raw=st.binary(max_size=9))
def test_exports(tmp_path: Path, data: st.DataObject, raw: bytes) -> None:
    path = tmp_path / "targets.json"
    lines = [json.dumps(data.draw(mutated(document))) for document in DATABASE["targets"][-2:]]
    path.write_bytes("\n".join(lines).encode() + raw)
    case = Case("c")
    read_export(path, "targets", case)
    check(case)


def test_json_that_nests_too_deep(tmp_path: Path) -> None:
    for name in ("targets.json", "calibration.json", "camera_mapping.json"):
        (tmp_path / name).write_text('{"cameras":' * 100_000)
    case = Case("c")
    read_export(tmp_path / "targets.json", "targets", case)
    read_calibration(tmp_path / "calibration.json", case)
    read_mapping(tmp_path / "camera_mapping.json", case)
    assert len(case.problems) == 3


@given(data=damaged(DUMP))
def test_archives(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "dump.archive"
    path.write_bytes(data)
    case = Case("c")
    read_archive(path, case)
    check(case)


@given(data=damaged(DUMP[200:]))
def test_bson(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "plate_data.bson"
    path.write_bytes(data)
    case = Case("c")
    read_bson(path, "plate_data", case)
    check(case)


@given(data=st.data())
def test_calibrations(tmp_path: Path, data: st.DataObject) -> None:
    path = tmp_path / "calibration.json"
    path.write_text(json.dumps(data.draw(mutated(nano_store.calibration()))))
    case = Case("c")
    found = read_calibration(path, case)
    for name, camera in found.cameras.items():
        camera_spec(name, camera, data.draw(st.tuples(st.integers(1, 3000), st.integers(1, 3000))), 5.0, case)
    check(case)


@given(data=st.data(), key=st.sampled_from(sorted(METADATA)))
def test_metadata(tmp_path: Path, data: st.DataObject, key: str) -> None:
    files = {}
    for name, document in METADATA_JSON.items():
        files[name.lower()] = tmp_path / f"{name}.json"
        broken = data.draw(mutated(document)) if name.lower() == key else document
        files[name.lower()].write_text(json.dumps(broken))
    case = Case("c")
    read_layout(files, case)
    check(case)


@given(name=st.text(st.characters(codec="utf-8", exclude_characters="/\0"), max_size=30), data=st.data())
def test_names_of_films_and_mappings(tmp_path: Path, name: str, data: st.DataObject) -> None:
    path = tmp_path / "camera_mapping.json"
    path.write_text(json.dumps(data.draw(st.dictionaries(st.text(max_size=5), ODD, max_size=3))))
    case = Case("c")
    mapping = read_mapping(path, case)
    names = (name, f"{name}_2020-02-30_10-00-00", f"1.1.1.{name}_0001-01-01_10-00-00")
    paths = [Path(f"{one}.mp4") for one in names]
    assert find_videos(paths, mapping, case) == []
    check(case)


@settings(max_examples=settings().max_examples // 10)  # a hundred times slower than a parser
@given(data=st.data(), collection=st.sampled_from(sorted(set(DATABASE) - {"frame_message"})))
def test_whole_cases(data: st.DataObject, collection: str) -> None:
    with TemporaryDirectory() as name:
        folder = Path(name) / "case"
        documents = [as_document(data.draw(mutated(document))) for document in DATABASE[collection][:4]]
        nano_store.write_export(folder, {**DATABASE, collection: documents})
        if data.draw(st.booleans()):
            nano_store.write_metadata(folder)
        out = Path(name) / "rec"
        with suppress(RecordingError):
            import_autocheckout(folder, out)
        assert not out.exists() or verify(out).problems == ()
        assert {path.name for path in Path(name).iterdir()} <= {"case", "rec"}, "nothing half-written"
