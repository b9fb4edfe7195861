"""Every parser of the importers, with broken input for it: out comes a result, or a problem with its fix."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import av
import cv2
import numpy as np
import yaml
from hypothesis import strategies as st

from openaisle.errors import Problem, ReceiptError, RecordingError
from openaisle.messages import NANOSECONDS
from openaisle.receipts.contest import contest_score, read_baskets
from openaisle.recording.importers import multiview, plain
from openaisle.recording.importers.autocheckout.cameras import camera_spec, read_calibration
from openaisle.recording.importers.autocheckout.case import MOST_PLATES, Case, gtin_of
from openaisle.recording.importers.autocheckout.databases import read_archive, read_bson, read_export
from openaisle.recording.importers.autocheckout.documents import READERS, add_document
from openaisle.recording.importers.autocheckout.layout import METADATA, read_layout
from openaisle.recording.importers.autocheckout.loose import is_planogram, read_planogram, read_plate
from openaisle.recording.importers.autocheckout.pictures import decoded
from openaisle.recording.importers.autocheckout.samples import batches, joined
from openaisle.recording.importers.autocheckout.videos import find_videos, read_mapping
from openaisle.recording.importers.films import Film, measure, read_film
from openaisle.recording.importers.tables import Clock, read_gates, read_scales
from tests.recording import nano_store
from tests.recording.mutations import ODD, as_document, damaged, mutated
from tests.recording.scenes import picture, small_store
from tests.recording.test_multiview import write_set

DATABASE = nano_store.collections(0.4)
DUMP = nano_store.archive({**DATABASE, "frame_message": DATABASE["frame_message"][:1]})
METADATA_JSON = nano_store.metadata()
NUMBERS = st.one_of(st.floats().map(str), st.integers(-5, 200).map(str), st.sampled_from(["4-6", "1;2"]))
TIMES = st.sampled_from(["0001-01-01T00:00:00Z", "9999-12-31T23:59:59+00:01", "9.5e9", "-9e9", "2026-03-01T12:00:00Z"])
NAMES = st.sampled_from(["scale-1", "door", "entry", "exit", "v1", ""])
CELL = st.one_of(st.text(max_size=6), NUMBERS, TIMES, NAMES)
ROWS = st.lists(st.lists(CELL, max_size=8).map(",".join), max_size=6).map("\n".join)
PLATE_HEAD = st.sampled_from(["", "unix_seconds,grams\n", "grams,unix_seconds\n"])
SCALES_HEAD = st.sampled_from(["", "time,scale,grams\n", "time, scale,grams,more\n"])
PLANOGRAM = "Name,Gondola,Shelf,Plate,Weight,Price,Image\nA,1,1,1,5,1,\n"
FILE_NAME = st.text(st.characters(codec="utf-8", exclude_characters="/\0"), max_size=30)
SHEET = {
    "start": "2026-03-01T12:00:00Z", "store": "shop", "films": [{"file": "a.mp4", "camera": "cam-a", "offset_s": 0.25}],
    "scales": {"file": "scales.csv", "offset_s": -0.1}, "gates": {"file": "gates.csv"},
}  # fmt: skip
ANSWERS: tuple[object, ...] = (
    {"testcase": "a", "receipts": [{"target_id": "1", "products": [{"barcode": "632565000012", "quantity": 2}]}]},
    {"lists": [{"dataset": "a", "events": [{"observation": {"target_id": "1", "products": [{"id": "120130"}]}}]}]},
)


@dataclass(frozen=True)
class Parser:
    """Input drawn by hypothesis, and what is done with it in an empty folder."""

    name: str
    broken: st.SearchStrategy[object]
    parse: Callable[[object, Path], None]


def _text(rows: object, raw: object) -> bytes:
    assert isinstance(rows, str)
    assert isinstance(raw, bytes)
    return rows.encode("utf-8", "surrogatepass") + raw


def _bytes(head: st.SearchStrategy[str], rows: st.SearchStrategy[str]) -> st.SearchStrategy[bytes]:
    """A table with a few bytes behind it that may be no text."""
    return st.builds(lambda h, r, raw: _text(h + r, raw), head, rows, st.binary(max_size=9))


def check(case: Case) -> None:
    """What was read is fit for use: problems say how to mend them, series hold finite times."""
    assert all(problem.fix and problem.what for problem in case.problems)
    for plate, chunks in case.series.items():
        assert plate.plate <= MOST_PLATES
        times, grams, _ = joined(chunks)
        assert (np.diff(times) >= 0).all()
        assert sum(len(batch.grams) for batch in batches(plate.scale, times, grams)) == len(grams)


def _file(folder: Path, name: str, content: object) -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    return path


def _case(parse: Callable[[object, Path, Case], object]) -> Callable[[object, Path], None]:
    """A parser of contest files: it fills a case."""

    def run(broken: object, folder: Path) -> None:
        case = Case("c")
        parse(broken, folder, case)
        check(case)

    return run


def _planogram(broken: object, folder: Path, case: Case) -> None:
    path = _file(folder, "planogram.csv", broken)
    if is_planogram(path):
        read_planogram(path, case)
    assert all(0 <= item.price_cents <= 1e8 for item in case.items.values())


def _documents(broken: object, folder: Path, case: Case) -> None:
    assert isinstance(broken, tuple)
    for document in broken[1]:
        add_document(case, broken[0], ("file", "document"), as_document(document))


@st.composite
def _collection(draw: st.DrawFn) -> object:
    name = draw(st.sampled_from(sorted(READERS)))
    valid = DATABASE["targets" if name == "full_targets" else name][-1]
    return name, draw(st.lists(mutated(valid), min_size=1, max_size=3))


def _export(broken: object, folder: Path, case: Case) -> None:
    read_export(_file(folder, "targets.json", broken), "targets", case)


def _lines(documents: list[object], raw: bytes, array: bool) -> bytes:
    lines = [json.dumps(document) for document in documents]
    return ("[" + ",".join(lines) + "]" if array else "\n".join(lines)).encode() + raw


def _calibration(broken: object, folder: Path, case: Case) -> None:
    assert isinstance(broken, tuple)
    found = read_calibration(_file(folder, "calibration.json", broken[0]), case)
    for name, camera in found.cameras.items():
        camera_spec(name, camera, broken[1], 5.0, case)


def _layout(broken: object, folder: Path, case: Case) -> None:
    assert isinstance(broken, tuple)
    documents = {name.lower(): document for name, document in METADATA_JSON.items()} | {broken[0]: broken[1]}
    read_layout({key: _file(folder, f"{key}.json", document) for key, document in documents.items()}, case)


def _names(broken: object, folder: Path, case: Case) -> None:
    assert isinstance(broken, tuple)
    mapping = read_mapping(_file(folder, "camera_mapping.json", broken[1]), case)
    names = (broken[0], f"{broken[0]}_2020-02-30_10-00-00", f"1.1.1.{broken[0]}_0001-01-01_10-00-00")
    assert find_videos([folder / f"{one}.mp4" for one in names], mapping, case) == []


def _samples(broken: object, folder: Path) -> None:
    """Chunks of times and grams, as a plate's files or messages give them."""
    assert isinstance(broken, list)
    chunks = [
        (np.array([t for t, _ in chunk], dtype=np.int64), np.array([g for _, g in chunk], dtype=np.float32))
        for chunk in broken
    ]
    times, grams, _ = joined(chunks)
    made = list(batches("s", times, grams))
    assert (np.diff(times) >= 0).all()
    assert sum(len(batch.grams) for batch in made) == len(grams)
    assert all(batch.rate_hz > 0 for batch in made)


def _code(broken: object, folder: Path) -> None:
    assert isinstance(broken, str)
    gtin, _ = gtin_of(broken, "x")
    assert len(gtin) == 14
    assert gtin.isdecimal()


def _jpeg(broken: object, folder: Path) -> None:
    assert isinstance(broken, bytes)
    rgb = decoded(broken)
    assert rgb is None or rgb.ndim == 3


def _scales(broken: object, folder: Path) -> None:
    problems: list[Problem] = []
    found = read_scales(_file(folder, "scales.csv", broken), Clock(0, 0), small_store(), problems)
    assert all(problem.fix for problem in problems)
    assert all(len(batch.grams) and batch.rate_hz > 0 for batch in found)


def _gates(broken: object, folder: Path) -> None:
    problems: list[Problem] = []
    found = read_gates(_file(folder, "gates.csv", broken), Clock(0, 0), small_store(), problems)
    assert all(problem.fix for problem in problems)
    assert all(abs(event.time_ns) < 2**63 for event in found)


def _sheet(broken: object, folder: Path) -> None:
    assert isinstance(broken, bytes)
    _file(folder, "import.yaml", broken)
    with suppress(RecordingError):
        plain.import_plain(folder, folder / "out", small_store())
    assert not (folder / "out").exists()


def _film(broken: object, folder: Path) -> None:
    path = _file(folder, "film.mp4", broken)
    problems: list[Problem] = []
    measured = measure(path, "camera", problems)
    if measured is not None:
        camera = small_store().spec.cameras[0]
        for frame in read_film(Film(path, camera, 0, NANOSECONDS, measured.pictures, scaled=True), problems):
            assert frame.rgb.shape == (camera.height_px, camera.width_px, 3)
    assert all(problem.fix for problem in problems)


@cache
def film_bytes() -> bytes:
    """A film of three small pictures."""
    out = io.BytesIO()
    with av.open(out, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=5)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for i in range(3):
            frame = av.VideoFrame.from_ndarray(picture(i * NANOSECONDS, 64, 48), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return out.getvalue()


@cache
def _set() -> dict[str, bytes]:
    """The files of a tiny multi-view data set."""
    with TemporaryDirectory() as name:
        src = write_set(Path(name) / "set", wildtrack=False, count=1)
        return {path.relative_to(src).as_posix(): path.read_bytes() for path in src.rglob("*") if path.is_file()}


@st.composite
def _data_set(draw: st.DrawFn) -> object:
    """One file of the set, damaged; JSON also within its values."""
    name = draw(st.sampled_from([*sorted(one for one in _set() if not one.endswith(".png")), "grid.json"]))
    grid = {"columns": 1000, "rows": 640, "cell_m": 0.025, "origin_m": [0, 0]}
    content = _set().get(name, json.dumps(grid).encode())
    if name.endswith(".json") and draw(st.booleans()):
        return name, json.dumps(draw(mutated(json.loads(content)))).encode()
    return name, draw(damaged(content))


def _multiview(broken: object, folder: Path) -> None:
    assert isinstance(broken, tuple)
    for name, content in {**_set(), broken[0]: broken[1]}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    problems: list[Problem] = []
    labels = multiview._labels(folder, multiview._grid(folder, problems), problems)
    multiview._views(folder, set(labels), 2.0, problems, [])
    assert all(problem.fix for problem in problems)


def _answers(broken: object, folder: Path) -> None:
    path = _file(folder, "answer.json", broken)
    with suppress(ReceiptError):
        found = read_baskets(path)
        assert all(0 <= case.f1 <= 1 for case in contest_score(found, found).cases)


JPEG = cv2.imencode(".jpg", np.full((64, 96, 3), 90, dtype=np.uint8))[1].tobytes()
TIME_NS = st.integers(-(2**60), 2**60)
CHUNK = st.lists(st.tuples(TIME_NS, st.floats(width=32)), min_size=1, max_size=20)
YAML = st.one_of(
    mutated(SHEET).map(lambda sheet: yaml.safe_dump(sheet).encode()), damaged(yaml.safe_dump(SHEET).encode())
)
SIZES = st.tuples(st.integers(1, 3000), st.integers(1, 3000))
KEYS = st.sampled_from(sorted(METADATA))

PARSERS: tuple[Parser, ...] = (
    Parser("plate tables", _bytes(PLATE_HEAD, ROWS), _case(
        lambda b, folder, case: read_plate(_file(folder, "gondola_1_shelf_1_plate_1.csv", b), case))),
    Parser("planograms", _bytes(st.just(PLANOGRAM), ROWS), _case(_planogram)),
    Parser("documents", _collection(), _case(_documents)),
    Parser("exports", st.builds(
        _lines, st.lists(mutated(DATABASE["targets"][-1]), max_size=2), st.binary(max_size=9), st.booleans()),
        _case(_export)),
    Parser("archives", damaged(DUMP), _case(
        lambda b, folder, case: read_archive(_file(folder, "dump.archive", b), case))),
    Parser("bson", damaged(DUMP[200:]), _case(
        lambda b, folder, case: read_bson(_file(folder, "plate_data.bson", b), "plate_data", case))),
    Parser("calibrations", st.tuples(mutated(nano_store.calibration()), SIZES), _case(_calibration)),
    Parser("metadata", KEYS.flatmap(lambda key: st.tuples(st.just(key), mutated(
        next(d for n, d in METADATA_JSON.items() if n.lower() == key)))), _case(_layout)),
    Parser("names and mappings", st.tuples(
        FILE_NAME, st.dictionaries(st.text(max_size=5), ODD, max_size=3)), _case(_names)),
    Parser("samples", st.lists(CHUNK, min_size=1, max_size=4), _samples),
    Parser("bar codes", st.one_of(st.text(max_size=20), st.text("0123456789", max_size=15)), _code),
    Parser("jpeg", damaged(JPEG), _jpeg),
    Parser("scale tables", _bytes(SCALES_HEAD, ROWS), _scales),
    Parser("gate tables", _bytes(st.sampled_from(["", "time,gate,kind,visit\n"]), ROWS), _gates),
    Parser("sheets", YAML, _sheet),
    Parser("films", st.deferred(lambda: damaged(film_bytes())), _film),
    Parser("multi-view sets", _data_set(), _multiview),
    Parser("contest answers", st.sampled_from(ANSWERS).flatmap(mutated), _answers),
)  # fmt: skip
