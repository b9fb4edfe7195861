"""Whatever a whole case holds, the importer gives a recording or names what is wrong; nothing is half-written."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from openaisle.errors import RecordingError
from openaisle.recording.importers.autocheckout.cameras import read_calibration
from openaisle.recording.importers.autocheckout.case import Case
from openaisle.recording.importers.autocheckout.databases import read_export
from openaisle.recording.importers.autocheckout.run import import_autocheckout
from openaisle.recording.importers.autocheckout.videos import read_mapping
from openaisle.recording.tools import verify
from tests.recording import nano_store
from tests.recording.mutations import as_document, mutated

DATABASE = nano_store.collections(0.4)


def test_json_that_nests_too_deep(tmp_path: Path) -> None:
    for name in ("targets.json", "calibration.json", "camera_mapping.json"):
        (tmp_path / name).write_text('{"cameras":' * 100_000)
    case = Case("c")
    read_export(tmp_path / "targets.json", "targets", case)
    read_calibration(tmp_path / "calibration.json", case)
    read_mapping(tmp_path / "camera_mapping.json", case)
    assert len(case.problems) == 3


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
