"""Contest cases in every form become the same store and recording; traps of units are told; what lacks is remarked."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from openaisle.errors import RecordingError
from openaisle.messages import NANOSECONDS, GateEvent, ScaleBatch, VideoFrame
from openaisle.recording.importers.autocheckout.cameras import camera_spec, read_calibration
from openaisle.recording.importers.autocheckout.case import Case, gtin_of
from openaisle.recording.importers.autocheckout.run import import_autocheckout
from openaisle.recording.importers.autocheckout.samples import batches, joined
from openaisle.recording.reader import Recording, open_recording
from openaisle.recording.tools import verify
from openaisle.store.store import Store, camera_from_spec
from tests.recording import nano_store
from tests.recording.nano_store import BEGIN_S, INCH, Document

WATER, CHIPS = "00632565000012", "00012000000133"
BEGIN_NS = round(BEGIN_S * NANOSECONDS)


@pytest.fixture(scope="module")
def loose(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return nano_store.write_loose(tmp_path_factory.mktemp("cases") / "loose")


@pytest.fixture
def export(tmp_path: Path) -> Path:
    folder = nano_store.write_export(tmp_path / "BASELINE-1", nano_store.collections())
    nano_store.write_metadata(folder)
    return folder


def grams_of(recording: Recording, scale: str) -> tuple[list[float], np.ndarray[tuple[int, ...], np.dtype[np.float32]]]:
    """Begins of a scale's batches in seconds from the case's begin, and its samples."""
    found = [m for m in recording if isinstance(m, ScaleBatch) and m.scale == scale]
    return [(m.time_ns - BEGIN_NS) / 1e9 for m in found], np.concatenate([m.grams for m in found])


def told(src: Path, out: Path) -> tuple[Recording, str]:
    """The import as a recording that verifies, and its remarks as text."""
    done = import_autocheckout(src, out)
    assert verify(out).problems == ()
    return open_recording(out), "\n".join(done.remarks)


# --- forms --------------------------------------------------------------------------------------------------


def test_loose_files_become_a_store_and_a_recording(loose: Path, tmp_path: Path) -> None:
    recording, remarks = told(loose, tmp_path / "rec")
    store = recording.store
    assert len(store.spec.scales) == 6 * (12 + 9 + 9)
    assert {(row.lane, row.gtin) for row in store.planogram if row.gtin == WATER} == {
        ("g1.s2.p4", WATER), ("g1.s2.p5", WATER), ("g1.s2.p6-1", WATER),
    }  # fmt: skip
    shared = next(scale for scale in store.spec.scales if scale.id == "g1-s2-p6")
    assert shared.lanes == ("g1.s2.p6-1", "g1.s2.p6-2")
    water = next(product for product in store.products if product.gtin == WATER)
    assert (water.name, water.price_cents, water.weight_grams) == ("Water", 100, 538)
    chips = next(product for product in store.products if product.name == "Chips")
    assert chips.gtin.startswith("02"), "a number for use within the store"
    assert store.pictures[chips.gtin][0].shape == (40, 30, 3)
    times, grams = grams_of(recording, "g1-s2-p5")
    assert np.abs(grams - nano_store.grams(1, 2, 5, 6)).max() < 0.006
    assert times[0] == pytest.approx(0, abs=1e-6)
    frames = [m for m in recording if isinstance(m, VideoFrame)]
    assert {m.camera for m in frames} == {"cam1"}
    assert frames[0].rgb.shape == (320, 640, 3), "scaled to the widest"
    assert len(frames) == 30
    assert frames[0].time_ns == BEGIN_NS
    assert [line.split(":")[0] for line in remarks.splitlines()] == [
        "no pictures of camera 5", "1 products have no GTIN", "nobody is seen to come in", "no tracks",
    ]  # fmt: skip


def test_exports_tell_shelves_tracks_and_pictures(export: Path, tmp_path: Path) -> None:
    recording, remarks = told(export, tmp_path / "rec")
    assert recording.manifest.origin.scenario == "BASELINE-1"
    assert recording.manifest.origin.barcodes[CHIPS] == "01201303", "as the contest's answers spell it"
    store = recording.store
    assert next(p for p in store.products if p.gtin == WATER).weight_grams == 999
    assert len(store.spec.scales) == 6 * (12 + 9 + 9), "surplus columns are none"
    times, grams = grams_of(recording, "g1-s3-p2")
    assert np.isnan(grams[100:112]).all()
    assert np.isfinite(np.delete(grams, range(100, 112))).all()
    assert np.diff(times).max() == pytest.approx(0.5, abs=1e-6)
    gates = [m for m in recording if isinstance(m, GateEvent)]
    assert [(m.kind, m.visit) for m in gates] == [("entry", "3594178763236981970"), ("exit", "")]
    assert (gates[0].time_ns - BEGIN_NS) / 1e9 == pytest.approx(0.6, abs=1e-6)
    door = store.spec.gates[0]
    assert np.mean([door.a_m, door.b_m], axis=0) == pytest.approx([2.06, -1.5], abs=1e-3), "where the head was first"
    frames = [m for m in recording if isinstance(m, VideoFrame)]
    assert (len(frames), frames[0].camera, frames[0].rgb.shape) == (30, "cam5", (64, 96, 3))
    assert frames[-1].rgb.mean() == pytest.approx(40 + 58, abs=3)
    assert "no pictures of camera 1" in remarks


def test_every_form_of_dump_is_the_same_case(export: Path, tmp_path: Path) -> None:
    wanted = list(open_recording_of(export, tmp_path / "rec"))
    data = nano_store.collections()
    forms: dict[str, Callable[[Path], object]] = {
        "array": lambda folder: nano_store.write_export(folder, data, array=True),
        "archive": lambda folder: (folder / "dump.archive").write_bytes(nano_store.archive(data)),
        "gzip": lambda folder: (folder / "dump.gz").write_bytes(gzip.compress(nano_store.archive(data), 1)),
        "numbers": lambda folder: (
            nano_store.write_export(folder, data),
            (folder / "products.json").write_text(
                (folder / "products.json").read_text().replace('"weight": 999.0', '"weight": {"$numberDouble": "999"}')
            ),
        ),
    }
    for name, write in forms.items():
        folder = tmp_path / name
        folder.mkdir()
        nano_store.write_metadata(folder)
        write(folder)
        recording = open_recording_of(folder, tmp_path / f"{name}-rec")
        spec = recording.store.spec.model_copy(update={"name": "BASELINE-1"})
        assert spec == open_recording(tmp_path / "rec").store.spec, name
        got = list(recording)
        assert len(got) == len(wanted), name
        for a, b in zip(got, wanted, strict=True):
            assert (type(a), a.time_ns) == (type(b), b.time_ns)
            if isinstance(a, ScaleBatch) and isinstance(b, ScaleBatch):
                assert a.scale == b.scale
                assert np.array_equal(a.grams, b.grams, equal_nan=True)


def open_recording_of(src: Path, out: Path) -> Recording:
    import_autocheckout(src, out)
    return open_recording(out)


def test_a_dump_alone_takes_the_metadata_beside_it(tmp_path: Path) -> None:
    (tmp_path / "BASELINE-3.archive").write_bytes(nano_store.archive(nano_store.collections(2), "BASELINE-3"))
    (tmp_path / "store_meta").mkdir()
    nano_store.write_metadata(tmp_path / "store_meta")
    recording, remarks = told(tmp_path / "BASELINE-3.archive", tmp_path / "rec")
    assert recording.store.spec.name == "BASELINE-3"
    assert "no store metadata" not in remarks
    assert len(recording.store.spec.cameras) == 1


# --- geometry and units -------------------------------------------------------------------------------------


def lane_corner(store: Store, lane: str) -> list[float]:
    """A lane's front-left corner in the world."""
    found: list[float] = store.lanes[store.lane_index[lane]].world_from_lane[:3, 3].tolist()
    return found


@pytest.mark.parametrize("unit", [1.0, INCH, 0.01, 0.001])
def test_metadata_nest_whatever_their_unit(tmp_path: Path, unit: float) -> None:
    folder = nano_store.write_export(tmp_path / "case", nano_store.collections(1))
    nano_store.write_metadata(folder, unit)
    recording, remarks = told(folder, tmp_path / "rec")
    store = recording.store
    assert ("converted" in remarks) == (unit != 1)
    # Gondola 1: 0.4921 - 0.4064 is the front edge; plates run to the right.
    assert lane_corner(store, "g1.s2.p5") == pytest.approx([0.0254 + 4 * 0.1016, 0.0857, 0.58], abs=1e-3)
    # Gondola 5 is turned by -90°: its front faces -x, its plates run towards -y.
    assert lane_corner(store, "g5.s1.p9") == pytest.approx([4.9149 - 0.4064, -0.3016 - 8 * 0.1016, 0.33], abs=1e-3)
    outward = store.lanes[store.lane_index["g5.s1.p9"]].outward_m
    assert outward == pytest.approx([-1, 0, 0], abs=1e-3)


@pytest.mark.parametrize("inverse", [False, True])
@pytest.mark.parametrize("aims", [True, False])
@pytest.mark.parametrize("size_px", [None, (96, 64)])
@pytest.mark.parametrize(("unit", "name"), [(INCH, ""), (1.0, "metres"), (0.01, "centimetres"), (0.001, "millimetres")])
def test_calibrations_are_told_by_what_cameras_look_like(
    tmp_path: Path, unit: float, name: str, size_px: tuple[int, int] | None, aims: bool, inverse: bool
) -> None:
    path = tmp_path / "calibration.json"
    path.write_text(json.dumps(nano_store.calibration(unit, size_px, inverse, aims)))
    case = Case("case")
    found = read_calibration(path, case)
    assert case.problems == []
    words = " ".join(case.remarks)
    assert (name in words) if name else ("converted" not in words)
    assert ("inverted" in words) == inverse
    assert found.floor_m == pytest.approx((-1.6, -2.8, 5.7, 1.4))
    for number, pose in nano_store.cameras().items():
        spec = camera_spec(number, found.cameras[number], (96, 64), 5.0, case)
        assert spec is not None
        camera = camera_from_spec(spec)
        assert np.allclose(camera.world_from_camera, pose, atol=1e-6)
        assert (spec.fx_px, spec.fy_px, spec.cx_px, spec.cy_px) == pytest.approx((76.8, 90.88, 48, 29.312))


def test_a_camera_sees_what_stands_where_it_looks(export: Path, tmp_path: Path) -> None:
    """The traps at once, end to end: inches, normalised K and camera-to-world must put the shopper into the picture."""
    recording, _ = told(export, tmp_path / "rec")
    (camera,) = recording.store.cameras
    aim = np.array([-1.4, -0.7, 0.0])  # on the camera's axis
    pixel, depth = camera.project(aim)
    assert pixel == pytest.approx([48, 29.312], abs=0.1)
    assert depth == pytest.approx(float(np.linalg.norm(aim - [2.9, 0.05, 2.4])), abs=1e-3)


def test_a_calibration_that_makes_no_sense_is_refused_or_left_out(tmp_path: Path) -> None:
    path = tmp_path / "calibration.json"
    data = nano_store.calibration()
    cameras: dict[str, Document] = data["cameras"]  # type: ignore[assignment]
    cameras["1"]["Tw"] = np.diag([2.0, 1, 1, 1]).tolist()
    path.write_text(json.dumps(data))
    case = Case("case")
    assert list(read_calibration(path, case).cameras) == ["5"]
    assert case.remarks == ["the calibration of camera 1 makes no sense: left out"]
    cameras["5"]["Tw"] = np.eye(4).tolist()
    path.write_text(json.dumps(data))
    case = Case("case")
    read_calibration(path, case)
    assert "do the cameras hang under a ceiling" in str(case.problems[0])


def test_a_lens_that_folds_is_replaced_by_one_that_does_not(tmp_path: Path) -> None:
    path = tmp_path / "calibration.json"
    data = nano_store.calibration()
    cameras: dict[str, Document] = data["cameras"]  # type: ignore[assignment]
    cameras["5"]["dist_coeffs"] = [-0.483463, 0.0766268, 0, 0, 0]
    path.write_text(json.dumps(data))
    case = Case("case")
    spec = camera_spec("5", read_calibration(path, case).cameras["5"], (640, 360), 5.0, case)
    assert spec is not None
    model = camera_from_spec(spec)
    corners = np.array([[0.0, 0.0], [639, 0], [639, 359], [0, 359]])
    _, rays = model.unproject(corners)
    back, _ = model.project(model.world_from_camera[:3, 3] + rays)
    assert back == pytest.approx(corners, abs=0.5)
    assert "its lens model folds over inside the picture" in case.remarks[0]
    r = np.linspace(0, 0.45, 20)
    old = r * (1 - 0.483463 * r**2 + 0.0766268 * r**4)
    new = model.distort(np.stack([r, np.zeros(20)], axis=1))[:, 0]
    assert np.abs(new - old).max() * spec.fx_px < 5


@pytest.mark.parametrize("unit", [INCH, 1.0, 0.01])
def test_tracks_are_told_by_the_height_of_heads(export: Path, tmp_path: Path, unit: float) -> None:
    nano_store.write_export(export, {"targets": list(nano_store.target_messages(6, unit))})
    recording, remarks = told(export, tmp_path / "rec")
    door = recording.store.spec.gates[0]
    assert np.mean([door.a_m, door.b_m], axis=0) == pytest.approx([2.06, -1.5], abs=1e-3)
    assert ("the tracks are in" in remarks) == (unit != INCH)


# --- what is not there ----------------------------------------------------------------------------------------


def test_scales_alone_are_one_shopper(tmp_path: Path) -> None:
    data = {name: docs for name, docs in nano_store.collections(2).items() if name in ("plate_data", "planogram")}
    folder = nano_store.write_export(tmp_path / "case", data)
    recording, remarks = told(folder, tmp_path / "rec")
    gates = [m for m in recording if isinstance(m, GateEvent)]
    assert [(m.kind, m.visit) for m in gates] == [("entry", "visit-1"), ("exit", "")]
    assert recording.store.spec.cameras == ()
    for words in ("taken for one shopper", "no store metadata", "2 products of the planogram have no name"):
        assert words in remarks


def test_pictures_without_calibration_are_left_out(export: Path, tmp_path: Path) -> None:
    (export / "calibration.json").unlink()
    recording, remarks = told(export, tmp_path / "rec")
    assert recording.store.spec.cameras == ()
    assert "no calibration of camera 5: its pictures are left out" in remarks
    assert [m.visit for m in recording if isinstance(m, GateEvent)] == ["3594178763236981970", ""]


def test_films_and_tracks_without_plates_still_import(export: Path, tmp_path: Path) -> None:
    (export / "plate_data.json").unlink()
    recording, remarks = told(export, tmp_path / "rec")
    assert not [m for m in recording if isinstance(m, ScaleBatch)]
    assert "no samples of g1-s1-p1" in remarks


def test_films_of_another_time_zone_are_moved_to_the_plates(loose: Path, tmp_path: Path) -> None:
    folder = tmp_path / "case"
    folder.mkdir()
    for name in ("planogram.csv", "calibration.json", "Gondolas.json", "Shelves.json", "Plates.json"):
        (folder / name).write_bytes((loose / name).read_bytes())
    for plate in (loose / "weights").glob("gondola_1_shelf_1_plate_*.csv"):
        (folder / plate.name).write_bytes(plate.read_bytes())
    video = (loose / "192.168.1.100_2020-04-20_05-33-36.mp4").read_bytes()
    (folder / "192.168.1.100_2020-04-20_07-33-36.mp4").write_bytes(video)
    recording, remarks = told(folder, tmp_path / "rec")
    assert "the films' names are +2 h from the plates' clock: moved" in remarks
    assert min(m.time_ns for m in recording if isinstance(m, VideoFrame)) == BEGIN_NS


def test_late_doubled_and_jittering_samples() -> None:
    ms = NANOSECONDS // 1000
    values = np.arange(24, dtype=np.float32)
    times = (np.arange(24) * 50 * ms).astype(np.int64)
    late = [(times[12:], values[12:]), (times[:12], values[:12])]
    got, grams, count = joined(late)
    assert count == 1
    assert got.tolist() == times.tolist()
    assert grams.tolist() == values.tolist()
    stamped = np.repeat(times[::6], 6)  # six samples bear the time of their message
    spread, _, _ = joined([(stamped, values)])
    assert spread.tolist() == pytest.approx(times.tolist(), abs=2)
    rounded = np.round(np.arange(60) / 60, 2)  # 60 Hz with two digits
    rates = [b.rate_hz for b in batches("s", np.round(rounded * 1e9).astype(np.int64), np.zeros(60, dtype=np.float32))]
    assert len(rates) == 3
    assert rates == pytest.approx([60] * len(rates), rel=0.03)
    gap = np.concatenate([times, times + 10 * NANOSECONDS])
    found = list(batches("s", gap, np.zeros(48, dtype=np.float32)))
    assert [len(b.grams) for b in found] == [10, 10, 4, 10, 10, 4]
    assert [b.seq for b in found] == list(range(6))


# --- codes --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "gtin"),
    [
        ("632565000012", "00632565000012"), ("90162909", "00000090162909"), ("01201303", "00012000000133"),
        ("120130", "00012000000133"), ("120850", "00012000000850"), ("496580", "00049000006582"),
    ],
)  # fmt: skip
def test_bar_codes_as_gtins(code: str, gtin: str) -> None:
    assert gtin_of(code, "x") == (gtin, True)


def test_products_without_a_code_get_a_number_of_their_own() -> None:
    first, own = gtin_of("", "Chips")
    assert not own
    assert first.startswith("02")
    assert gtin_of("", "Chips") == (first, False)
    assert gtin_of("UNKNOWN", "Chips")[0] != first


# --- what is wrong --------------------------------------------------------------------------------------------


def problems(src: Path, out: Path) -> list[str]:
    with pytest.raises(RecordingError) as caught:
        import_autocheckout(src, out)
    assert not out.exists()
    return [str(problem) for problem in caught.value.problems]


def test_wrong_documents_are_named(export: Path, tmp_path: Path) -> None:
    (good,) = list(nano_store.plate_messages(0.2))[:1]

    def values(document: Document) -> Document:
        inner: Document = document["document"]["plate_data"]["values"]  # type: ignore[index]
        return inner

    wrong = [
        nano_store.changed(good, lambda d: d.update(timestamp="noon")),
        nano_store.changed(good, lambda d: d.update(timestamp=BEGIN_S * 1000)),
        nano_store.changed(good, lambda d: values(d).update(shape=[12, 7, 99])),
        nano_store.changed(good, lambda d: values(d).update(data="!")),
        nano_store.changed(good, lambda d: values(d).update(type="DATATYPE_BOOL")),
        nano_store.changed(good, lambda d: values(d).pop("data")),
    ]
    nano_store.write_export(export, {"plate_data": wrong})
    texts = problems(export, tmp_path / "out")
    for text, what in zip(
        texts,
        ("timestamp", "timestamp", "not the shape [12, 7, 99]", "not base64", "DATATYPE_BOOL", "data"),
        strict=True,
    ):
        assert "plate_data.json: line" in text
        assert what in text
    (export / "plate_data.json").write_text("{not json\n")
    assert "cannot be read as an export" in problems(export, tmp_path / "out")[0]


def test_wrong_files_are_all_named_at_once(loose: Path, tmp_path: Path) -> None:
    folder = tmp_path / "case"
    folder.mkdir()
    plate = "gondola_1_shelf_1_plate_1.csv"
    (folder / plate).write_text(
        f"unix_seconds,grams\n{BEGIN_S},1\nnoon,2\n{BEGIN_S * 1000},3\n{BEGIN_S},heavy\n1,2,3\n"
    )
    (folder / "gondola_200_shelf_1_plate_1.csv").write_text("unix_seconds,grams\n")
    (folder / "planogram.csv").write_text(
        "Name,Gondola,Shelf,Plate,Weight,Price,Image\nA,1,1,x,1,1,\nB,one,1,1,1,1,\nC,1,1,1,-3,1,\nD,1\n"
    )
    (folder / "calibration.json").write_text("[]")
    (folder / "holiday.mp4").write_bytes(b"")
    (folder / "192.168.1.100_2020-13-20_05-33-36.mp4").write_bytes(b"")
    (folder / "192.168.1.101_2020-12-20_05-33-36.mp4").write_bytes(b"")
    texts = "\n".join(problems(folder, tmp_path / "out"))
    for what in (
        "plate_1.csv: line 3: 'noon'", "plate_1.csv: line 4: the time", "line 5:", "line 6: has 3 columns",
        "gondola 200, shelf 1, plate 1 is out of range", "planogram.csv: line 2: plate 'x'", "line 3: gondola 'one'",
        "line 4: weight '-3'", "line 5: has 2 cells", "calibration.json: cameras", "holiday.mp4: name",
        "its date or time does not exist", "101_2020-12-20_05-33-36.mp4: camera 2: cannot be opened",
    ):  # fmt: skip
        assert what in texts
    assert all("(fix: " in line for line in texts.splitlines())


def test_nothing_to_import(tmp_path: Path) -> None:
    assert "no such file or folder" in problems(tmp_path / "nowhere", tmp_path / "out")[0]
    (tmp_path / "empty").mkdir()
    assert "neither plates nor a planogram" in problems(tmp_path / "empty", tmp_path / "out")[0]
    (tmp_path / "notes.txt").write_text("hello")
    assert "neither a dump nor an export" in problems(tmp_path / "notes.txt", tmp_path / "out")[0]


def test_a_clock_that_is_years_off_is_refused(export: Path, tmp_path: Path) -> None:
    with (export / "plate_data.json").open("a") as stream:
        stream.write(json.dumps({**next(nano_store.plate_messages(0.2)), "timestamp": 12.0}) + "\n")
    assert "its times span" in problems(export, tmp_path / "out")[0]


def test_a_damaged_archive_is_refused(tmp_path: Path) -> None:
    data = nano_store.archive({"plate_data": list(nano_store.plate_messages(0.4))})
    for cut in (b"not an archive", data[:60], data[:-30], data[:400] + b"\xff\xff\xff\x7f" + data[404:]):
        (tmp_path / "a.archive").write_bytes(cut)
        assert "a.archive: file: cannot be read as an archive" in problems(tmp_path / "a.archive", tmp_path / "out")[0]
