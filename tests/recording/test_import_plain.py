"""Films and tables become a recording; whatever is wrong with them is said, all at once, and nothing is left."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import yaml

from openaisle.errors import RecordingError
from openaisle.messages import NANOSECONDS, GateEvent, ScaleBatch, VideoFrame
from openaisle.recording.importers.plain import import_plain
from openaisle.recording.importers.tables import batches_of
from openaisle.recording.reader import open_recording
from openaisle.recording.tools import verify
from openaisle.recording.writer import RecordingWriter
from openaisle.store.load import save_store
from tests.recording.plain_folder import write_plain
from tests.recording.scenes import messages, picture, small_store

SHEET = {
    "start": "2026-03-01T12:00:00Z",
    "store": "shop",
    "films": [
        {"file": "left.mp4", "camera": "cam-a", "offset_s": 0.25},
        {"file": "right.mp4", "camera": "cam-b"},
    ],
    "scales": {"file": "scales.csv", "offset_s": -0.1},
    "gates": {"file": "gates.csv"},
}
START = 1_772_366_400 * NANOSECONDS


def film(path: Path, seconds: float = 4, fps: int = 10, size: tuple[int, int] = (64, 48)) -> None:
    """An MP4 of the made-up pictures."""
    with av.open(str(path), "w", options={"movflags": "+faststart"}) as container:  # the index first
        stream = container.add_stream("libx264", rate=fps)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        for i in range(round(seconds * fps)):
            rgb = picture(1_790_000_000 * NANOSECONDS + i * NANOSECONDS // fps, *size)
            frame = av.VideoFrame.from_ndarray(rgb, format="rgb24")
            frame.pts, frame.time_base = i, Fraction(1, fps)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


@pytest.fixture
def src(tmp_path: Path) -> Path:
    folder = tmp_path / "src"
    folder.mkdir()
    film(folder / "left.mp4")
    film(folder / "right.mp4", fps=5)
    rows = [f"{i / 20:.2f},scale-1,{500 + i if i != 7 else ''}" for i in range(80)]
    (folder / "scales.csv").write_text("time,scale,grams\n" + "\n".join(rows) + "\n")
    (folder / "gates.csv").write_text(
        "time,gate,kind,visit\n0.5,door,entry,v1\n2026-03-01T13:00:03.5+01:00,door,exit,\n"
    )
    save_store(small_store(), folder / "shop")
    write_sheet(folder, lambda sheet: None)
    return folder


def write_sheet(folder: Path, change: Callable[[dict[str, object]], object]) -> None:
    sheet = yaml.safe_load(yaml.safe_dump(SHEET))
    change(sheet)
    (folder / "import.yaml").write_text(yaml.safe_dump(sheet))


def _fails(src: Path, *whats: str) -> list[str]:
    out = src.parent / "out"
    with pytest.raises(RecordingError) as caught:
        import_plain(src, out)
    texts = [str(problem) for problem in caught.value.problems]
    assert len(texts) == len(whats), texts
    for text, what in zip(texts, whats, strict=True):
        assert what in text
    assert [path.name for path in src.parent.iterdir()] == ["src"], "nothing half-written"
    return texts


def test_films_tables_and_store_become_a_recording(src: Path, tmp_path: Path) -> None:
    done = import_plain(src, tmp_path / "rec")
    assert done.manifest.origin.source == "imported"
    assert done.remarks == ()
    recording = open_recording(tmp_path / "rec")
    assert verify(tmp_path / "rec").problems == ()
    assert not recording.has_truth
    got = list(recording)
    assert [m.time_ns for m in got] == sorted(m.time_ns for m in got)
    for camera, offset in (("cam-a", 0.25), ("cam-b", 0.0)):
        frames = [m for m in got if isinstance(m, VideoFrame) and m.camera == camera]
        expected = [START + round((offset + i / 5) * NANOSECONDS) for i in range(20)]
        assert [f.time_ns for f in frames] == pytest.approx(expected, abs=1_000_000)
        assert all(f.rgb.shape == (48, 64, 3) for f in frames)
        assert frames[-1].rgb[:, :, 0].mean() > frames[0].rgb[:, :, 0].mean() + 20
    batches = [m for m in got if isinstance(m, ScaleBatch)]
    assert batches[0].time_ns == START - NANOSECONDS // 10
    grams = np.concatenate([b.grams for b in batches])
    assert len(grams) == 80
    assert np.isnan(grams[7])
    assert grams[79] == 579
    assert {round(b.rate_hz, 6) for b in batches} == {20.0}
    gates = [m for m in got if isinstance(m, GateEvent)]
    assert [(g.kind, g.visit, (g.time_ns - START) / NANOSECONDS) for g in gates] == [
        ("entry", "v1", 0.5),
        ("exit", "", 3.5),
    ]


def test_a_recording_survives_films_and_tables(tmp_path: Path) -> None:
    with RecordingWriter(tmp_path / "rec", small_store(), live=False) as writer:
        for message in messages(12):
            writer.write(message)
    before = open_recording(tmp_path / "rec")
    write_plain(before, tmp_path / "plain")
    import_plain(tmp_path / "plain", tmp_path / "back")
    after = open_recording(tmp_path / "back")
    assert verify(tmp_path / "back").problems == ()
    for camera in ("cam-a", "cam-b"):
        left, right = ([m for m in r if isinstance(m, VideoFrame) and m.camera == camera] for r in (before, after))
        assert [f.time_ns for f in right] == pytest.approx([f.time_ns for f in left], abs=100_000)
        assert max(np.abs(a.rgb.astype(int) - b.rgb).mean() for a, b in zip(left, right, strict=True)) < 8
    grams = [np.concatenate([m.grams for m in r if isinstance(m, ScaleBatch)]) for r in (before, after)]
    assert np.array_equal(grams[0], grams[1], equal_nan=True)
    assert [m for m in after if isinstance(m, GateEvent)] == [m for m in before if isinstance(m, GateEvent)]


def test_a_store_given_apart_needs_none_in_the_sheet(src: Path, tmp_path: Path) -> None:
    write_sheet(src, lambda sheet: sheet.pop("store"))
    import_plain(src, tmp_path / "rec", small_store())
    assert open_recording(tmp_path / "rec").store.spec.name == "Tiny"


def test_what_the_import_does_not_bring_is_remarked(src: Path, tmp_path: Path) -> None:
    write_sheet(src, lambda sheet: sheet.update(films=SHEET["films"][:1], scales=None, gates=None))  # type: ignore[index]
    remarks = import_plain(src, tmp_path / "rec").remarks
    assert [remark.split(":")[0] for remark in remarks] == [
        "no film of cam-b", "no samples of scale-1", "no entries", "no exits",
    ]  # fmt: skip


def test_spaces_in_tables_do_not_matter(src: Path, tmp_path: Path) -> None:
    (src / "scales.csv").write_text("time, scale, grams\n0, scale-1 , 500 \n0.05, scale-1, \n")
    import_plain(src, tmp_path / "rec")
    grams = np.concatenate([m.grams for m in open_recording(tmp_path / "rec") if isinstance(m, ScaleBatch)])
    assert grams.tolist() == pytest.approx([500.0, np.nan], nan_ok=True)


def test_a_film_of_an_odd_camera_is_a_pixel_larger(src: Path, tmp_path: Path) -> None:
    store = small_store()
    odd = store.spec.cameras[0].model_copy(update={"width_px": 63, "height_px": 47})
    spec = store.spec.model_copy(update={"cameras": (odd, *store.spec.cameras[1:])})
    import_plain(src, tmp_path / "rec", replace(store, spec=spec))
    shapes = {m.camera: m.rgb.shape for m in open_recording(tmp_path / "rec") if isinstance(m, VideoFrame)}
    assert shapes == {"cam-a": (47, 63, 3), "cam-b": (48, 64, 3)}


def test_batches_break_where_samples_are_missing_or_off() -> None:
    ms = NANOSECONDS // 1000
    times = [i * 50 * ms for i in range(6)] + [1000 * ms, 1050 * ms, 1120 * ms]
    batches = list(batches_of("s", [(t, float(i)) for i, t in enumerate(times)]))
    assert [(b.time_ns // ms, len(b.grams)) for b in batches] == [(0, 6), (1000, 2), (1120, 1)]


# --- what is wrong --------------------------------------------------------------------------------------------


def test_a_missing_or_broken_sheet(src: Path) -> None:
    (src / "import.yaml").write_text("start: [unclosed")
    _fails(src, "import.yaml: line 2, column 1: this is not YAML")
    (src / "import.yaml").unlink()
    _fails(src, "import.yaml: file: the file is missing")
    write_sheet(src, lambda sheet: sheet.update(start="2026-03-01T12:00:00", scale="scales.csv", gates="gates.csv"))
    texts = _fails(src, "import.yaml: start (line", "import.yaml: gates (line", "import.yaml: scale (line")
    assert "add the zone: 2026-12-31T12:00:00Z" in texts[0]
    assert "keys and values belong here, not 'gates.csv'" in texts[1]
    assert "did you mean 'scales'?" in texts[2]


def test_everything_wrong_is_said_at_once(src: Path) -> None:
    (src / "left.mp4").write_bytes(b"not a film at all")
    film(src / "right.mp4", size=(96, 64))
    (src / "scales.csv").write_text(
        "time,scale,grams\n0,scale-9,1\nnoon,scale-1,2\n1,scale-1,heavy\n0.5,scale-1\n1772366400000,scale-1,1\n"
    )
    (src / "gates.csv").write_text("time,gate,kind,visit\n1,door,jump,v\n1,window,exit,\n1,door,entry,\n")
    texts = _fails(
        src,
        "cannot be opened as a film",
        "is 96x64, but the store says 64x48",
        "line 2: scale 'scale-9' is not in the store",
        "line 3: the time 'noon' is neither seconds from start nor an instant",
        "line 4: grams 'heavy' is not a number",
        "line 5: has too few",
        "line 6: the time '1772366400000' is not in seconds",
        "line 2: kind is 'jump'",
        "line 3: gate 'window'",
        "line 4: an entry needs the visit",
    )
    assert all("(fix: " in text for text in texts)


def test_an_empty_or_missing_film_and_table(src: Path) -> None:
    (src / "left.mp4").write_bytes(b"")
    (src / "right.mp4").unlink()
    (src / "scales.csv").write_text("")
    (src / "gates.csv").write_text("time,gate\n")
    _fails(src, "cannot be opened", "is missing", "is empty", "lacks the column(s) kind, visit")
    film(src / "left.mp4")
    film(src / "right.mp4")
    (src / "scales.csv").write_text("time;scale;grams\n0;scale-1;500\n")
    (src / "gates.csv").unlink()
    texts = _fails(src, "lacks the column(s) time, scale, grams", "gates.csv: file: is missing")
    assert "with commas between the columns" in texts[0]


def test_a_film_without_its_end_or_with_a_hole(src: Path) -> None:
    data = (src / "left.mp4").read_bytes()
    (src / "left.mp4").write_bytes(data[:600])
    _fails(src, "left.mp4: camera cam-a: cannot be opened as a film")
    # With its index in front, a film can be opened although its end is missing: the pictures are counted.
    (src / "left.mp4").write_bytes(data[:-400])
    _fails(src, "left.mp4: picture")
    (src / "left.mp4").write_bytes(data[:-2500] + bytes(2500))
    _fails(src, "left.mp4: picture")


def test_a_table_of_garbage_is_told_in_a_few_lines(src: Path) -> None:
    (src / "scales.csv").write_text("time,scale,grams\n" + "x,y,z\n" * 500)
    texts = _fails(src, *["the time 'x' is neither"] * 20, "480 more rows are wrong")
    assert len(texts) == 21
    (src / "scales.csv").write_bytes(bytes(range(256)) * 10)
    _fails(src, "")


def test_times_that_do_not_meet_and_strangers(src: Path) -> None:
    write_sheet(src, lambda sheet: sheet.update(scales={"file": "scales.csv", "offset_s": 3600}, gates=None))
    (problem,) = _fails(src, "import.yaml: scales (line")
    assert "do not meet: 3595.8 s lie between right.mp4, left.mp4 (2026-03-01T12:00:00.000Z" in problem
    both = {"scales": {"file": "scales.csv", "offset_s": 3600}, "gates": {"file": "gates.csv"}}
    write_sheet(src, lambda sheet: sheet.update(both))
    (problem,) = _fails(src, "import.yaml: scales (line")
    assert "right.mp4, left.mp4, gates.csv (" in problem
    late = [{"file": "left.mp4", "camera": "cam-a"}, {"file": "right.mp4", "camera": "cam-b", "offset_s": -60}]
    write_sheet(src, lambda sheet: sheet.update(films=late))
    assert "films[1]" in _fails(src, "55.9 s lie between right.mp4")[0]
    strangers = [{"file": "left.mp4", "camera": c} for c in ("cam-a", "cam-a", "cam-z")]
    write_sheet(src, lambda sheet: sheet.update(films=strangers))
    _fails(src, "'cam-a' has two films", "'cam-z' is not in the store")


def test_time_that_runs_backwards(src: Path) -> None:
    (src / "scales.csv").write_text("time,scale,grams\n1,scale-1,1\n0.5,scale-1,2\n")
    _fails(src, "line 3: the time of scale 'scale-1' does not grow")


def test_a_broken_store_is_told_as_the_store_tells_it(src: Path) -> None:
    (src / "shop" / "store.yaml").write_text("version: 2\n")
    with pytest.raises(RecordingError, match=r"store\.yaml"):
        import_plain(src, src.parent / "out")
    write_sheet(src, lambda sheet: sheet.pop("store"))
    _fails(src, "import.yaml: store: is missing")
