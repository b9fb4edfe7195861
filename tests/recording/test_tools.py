"""Info, verify, cut, film and contact sheet tell the truth about a recording."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from openaisle.errors import RecordingError
from openaisle.messages import NANOSECONDS, GateEvent, ScaleBatch, TruthLane, VideoFrame, VideoPacket
from openaisle.recording.reader import open_recording
from openaisle.recording.tools import contact_sheet, cut, export_mp4, info, verify
from openaisle.recording.writer import RecordingWriter, whole_recording
from tests.recording.scenes import LANE, START_NS, messages, same, small_store, truths


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tools") / "rec"
    with RecordingWriter(path, small_store(), live=False) as writer:
        for message in messages(20):
            writer.write(message)
        for truth in truths(20):
            writer.write(truth)
    return path


def test_info_counts_every_stream(folder: Path) -> None:
    told = info(folder)
    by_topic = {stream.topic: stream for stream in told.streams}
    assert set(by_topic) == {
        "/camera/cam-a/video", "/camera/cam-b/video", "/scale/scale-1", "/gate",
        "/truth/shoppers", "/truth/events", "/truth/lanes", "/truth/receipts",
    }  # fmt: skip
    assert by_topic["/camera/cam-a/video"].messages == 100
    assert by_topic["/camera/cam-a/video"].rate_hz == pytest.approx(5.0)
    assert by_topic["/scale/scale-1"].amount == 400
    assert told.seconds == pytest.approx(19.8)
    assert told.bytes == sum(path.stat().st_size for path in folder.glob("*.mcap"))


def test_verify_finds_nothing_wrong_with_a_good_one(folder: Path) -> None:
    assert verify(folder).problems == ()
    assert verify(folder).remarks == ()


def test_verify_tells_gaps_strangers_and_late_messages(tmp_path: Path) -> None:
    with RecordingWriter(tmp_path / "rec", small_store(), live=False) as writer:
        for message in messages(10):
            if isinstance(message, VideoFrame) and 30 <= (message.time_ns - START_NS) / NANOSECONDS * 10 < 60:
                continue
            if isinstance(message, ScaleBatch) and message.seq == 7:
                continue
            writer.write(message)
        writer.write(ScaleBatch("stranger", START_NS, 20.0, np.zeros(2, np.float32)))
        writer.write(GateEvent("door", START_NS, "exit"))
    checked = verify(tmp_path / "rec")
    assert [(p.place, p.what) for p in checked.problems] == [
        ("/scale/stranger", "its sensor is not in the recording's store")
    ]
    assert "/camera/cam-a/video: silent for 3.200 s" in checked.remarks
    assert "/scale/scale-1: 1 batches missing" in checked.remarks
    assert any(remark.startswith("/gate: a message came 9.000 s late") for remark in checked.remarks)


def test_verify_reports_damage(folder: Path, tmp_path: Path) -> None:
    assert "is not a folder" in str(verify(tmp_path / "none").problems[0])


def test_a_cut_has_the_same_messages_and_starts_with_key_frames(folder: Path, tmp_path: Path) -> None:
    start, end = START_NS + 5 * NANOSECONDS + 1, START_NS + 12 * NANOSECONDS
    manifest = cut(folder, tmp_path / "part", start, end)
    assert manifest.start_ns == start, "what lies in the lanes is said at the start"
    source, part = open_recording(folder), open_recording(tmp_path / "part")
    expected, got = list(source.messages(start, end)), list(part)
    assert [(type(m), m.time_ns) for m in got] == [(type(m), m.time_ns) for m in expected]
    for a, b in zip(expected, got, strict=True):
        if isinstance(a, VideoFrame):
            assert isinstance(b, VideoFrame)
            assert np.abs(a.rgb.astype(int) - b.rgb).mean() < 5
        else:
            assert same(a, b)
    packets = [m for m in part.messages(decode=False) if isinstance(m, VideoPacket)]
    assert packets[0].keyframe
    assert packets[1].keyframe
    # From the next key frame on, packets are copied, not coded again.
    later = [m for m in source.messages(start + NANOSECONDS, end, decode=False) if isinstance(m, VideoPacket)]
    assert packets[-len(later) :] == later
    first = next(iter(part.truth()))
    assert isinstance(first, TruthLane)
    assert first == replace(first, time_ns=start, lane=LANE)
    assert verify(tmp_path / "part").problems == ()


def test_a_cut_beside_the_recording_is_refused_and_leaves_nothing(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="nothing lies in this span"):
        cut(folder, tmp_path / "part", 0, 1)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("camera", [None, "cam-b"])
def test_films_have_every_moment_at_its_time(folder: Path, tmp_path: Path, camera: str | None) -> None:
    out = tmp_path / "film.mp4"
    done = export_mp4(open_recording(folder), out, camera)
    with av.open(str(out)) as film:
        pictures = [(frame.time, frame.width, frame.height) for frame in film.decode(video=0)]
    assert len(pictures) == done.pictures == 100
    assert done.first_ns == START_NS
    assert [time for time, _, _ in pictures] == pytest.approx([i / 5 for i in range(100)], abs=1e-3)
    if camera:  # as the plain importer wants them
        assert pictures[0][1:] == (64, 48)
    else:
        assert pictures[0][1] == 128


def test_a_film_of_nothing_leaves_no_file(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="no such camera"):
        export_mp4(open_recording(folder), tmp_path / "a.mp4", "cam-z")
    with pytest.raises(RecordingError, match="no picture lies"):
        export_mp4(open_recording(folder), tmp_path / "a.mp4", None, 0, 1)
    assert list(tmp_path.iterdir()) == []


def test_a_contact_sheet_shows_all_cameras_over_time(folder: Path, tmp_path: Path) -> None:
    sheet = contact_sheet(open_recording(folder), tmp_path / "sheet.png", moments=4)
    back = cv2.imread(str(tmp_path / "sheet.png"))
    assert back is not None
    assert back.shape == sheet.shape
    assert sheet.shape[1] == 4 * 64
    tiles = [sheet[40:80, i * 64 : i * 64 + 64, 0].mean() for i in range(4)]
    assert len({round(t) for t in tiles}) == 4, "the brightness of the made-up pictures tells their time"


def test_a_whole_recording_appears_at_the_end_or_not_at_all(tmp_path: Path) -> None:
    def interrupted() -> None:
        with whole_recording(tmp_path / "rec", small_store()) as writer:
            for message in messages(2):
                writer.write(message)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(tmp_path.iterdir()) == []
    with whole_recording(tmp_path / "rec", small_store()) as writer:
        writer.write(GateEvent("door", START_NS, "entry", "v"))
        assert not (tmp_path / "rec").exists()
    assert [p.name for p in tmp_path.iterdir()] == ["rec"]
    with pytest.raises(RecordingError, match="already exists"), whole_recording(tmp_path / "rec", small_store()):
        raise AssertionError("not reached")
