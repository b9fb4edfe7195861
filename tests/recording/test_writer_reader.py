"""What goes into a recording comes out of it, in order, from any point, at any speed; what is wrong is said."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from threading import Event

import numpy as np
import pytest
from mcap.reader import make_reader

from openaisle.errors import RecordingError
from openaisle.messages import (
    NANOSECONDS,
    GateEvent,
    Message,
    ScaleBatch,
    Truth,
    TruthPixels,
    VideoFrame,
    VideoPacket,
)
from openaisle.recording import writer as writer_module
from openaisle.recording.manifest import Origin, split_of
from openaisle.recording.reader import open_recording
from openaisle.recording.writer import RecordingWriter
from openaisle.sensors.source import Source
from tests.recording.scenes import START_NS, messages, same, small_store, truths


def _record(folder: Path, seconds: float = 8, *, live: bool = False, pixels: bool = True) -> Path:
    origin = Origin(source="simulated", scenario="solo", seed=7, split=split_of(7))
    with RecordingWriter(folder, small_store(), origin=origin, live=live, pixels=pixels) as writer:
        for message in messages(seconds):
            writer.write(message)
        for truth in truths(seconds):
            writer.write(truth)
    return folder


@pytest.fixture(scope="module")
def long_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """130 s: three files."""
    return _record(tmp_path_factory.mktemp("long") / "rec", 130)


def test_all_comes_back_in_order(tmp_path: Path) -> None:
    recording = open_recording(_record(tmp_path / "rec"))
    assert isinstance(recording, Source)
    sent, got = list(messages(8)), list(recording)
    assert len(sent) == len(got)
    for left, right in zip(sent, got, strict=True):
        if isinstance(left, VideoFrame):
            assert isinstance(right, VideoFrame)
            assert (left.camera, left.time_ns) == (right.camera, right.time_ns)
            assert np.abs(left.rgb.astype(int) - right.rgb).mean() < 6
        else:
            assert same(left, right)
    # Truth was sent second by second, which is its order of time.
    assert all(same(a, b) for a, b in zip(truths(8), recording.truth(), strict=True))
    assert recording.has_truth
    assert recording.manifest.origin.split == "train"
    assert recording.store.spec == small_store().spec


def test_pixels_only_on_request(tmp_path: Path) -> None:
    kinds = {type(t) for t in open_recording(_record(tmp_path / "rec", pixels=False)).truth()}
    assert TruthPixels not in kinds
    assert len(kinds) == 4


def test_rotation_and_reading_from_the_middle(long_folder: Path) -> None:
    recording = open_recording(long_folder)
    names = [entry.name for entry in recording.manifest.of_kind("sensors")]
    assert names == ["sensors-00000.mcap", "sensors-00001.mcap", "sensors-00002.mcap"]
    whole = list(recording.messages())
    for second in (0.0, 59.8, 60.0, 61.3, 128.9):
        start = START_NS + round(second * NANOSECONDS)
        end = start + 2 * NANOSECONDS
        part = list(recording.messages(start, end))
        expected = [m for m in whole if start <= m.time_ns < end]
        assert len(part) == len(expected) > 0
        assert all(same(a, b) for a, b in zip(part, expected, strict=True)), "the same pictures as from the start"
        times = [t.time_ns for t in recording.truth(start, end)]
        assert times == [t.time_ns for t in truths(130) if start <= t.time_ns < end]
    assert list(recording.messages(recording.end_ns + 1)) == []


def test_packets_are_foxglove_video_and_key_frames_open_every_file(long_folder: Path) -> None:
    recording = open_recording(long_folder)
    for entry in recording.manifest.of_kind("sensors"):
        with (long_folder / entry.name).open("rb") as stream:
            reader = make_reader(stream, validate_crcs=True)
            summary = reader.get_summary()
            assert summary is not None
            assert summary.statistics is not None
            assert summary.statistics.message_count == entry.messages
            names = {s.name: s.encoding for s in summary.schemas.values()}
            assert names["foxglove.CompressedVideo"] == "protobuf"
            assert names["openaisle.ScaleBatch"] == "jsonschema"
            first = next(iter(reader.iter_messages(topics=["/camera/cam-a/video"])))
            assert first[2].log_time == entry.start_ns
    packets = [m for m in recording.messages(decode=False) if isinstance(m, VideoPacket)]
    assert [p.keyframe for p in packets if p.camera == "cam-b"][:301:300] == [True, True]


def test_chunks_hold_at_most_a_second(long_folder: Path) -> None:
    for path in long_folder.glob("*.mcap"):
        with path.open("rb") as stream:
            summary = make_reader(stream).get_summary()
            assert summary is not None
            spans = [c.message_end_time - c.message_start_time for c in summary.chunk_indexes]
            assert max(spans) < NANOSECONDS


def test_the_same_messages_give_the_same_files(tmp_path: Path) -> None:
    _record(tmp_path / "a", 5)
    _record(tmp_path / "b", 5)
    files = sorted(p.relative_to(tmp_path / "a") for p in (tmp_path / "a").rglob("*") if p.is_file())
    assert len(files) >= 6
    for name in files:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name


def test_late_messages_keep_their_place_in_the_log(tmp_path: Path) -> None:
    late = ScaleBatch("scale-1", START_NS - NANOSECONDS, 20.0, np.ones(3, np.float32))
    sent: list[Message] = [GateEvent("door", START_NS, "entry", "v"), late, GateEvent("door", START_NS + 1, "exit")]
    with RecordingWriter(tmp_path / "rec", small_store()) as writer:
        for message in sent:
            assert writer.write(message)
    got = list(open_recording(tmp_path / "rec"))
    assert all(same(a, b) for a, b in zip(sent, got, strict=True))


def test_replay_keeps_the_pace(tmp_path: Path) -> None:
    recording = open_recording(_record(tmp_path / "rec", 4))
    slept: list[float] = []
    assert len(list(recording.replay(2.0, sleep=slept.append))) == len(list(messages(4)))
    # Nothing really sleeps here, so each message is as far ahead as the stream time at double speed.
    assert max(slept) == pytest.approx(3.9 / 2, abs=0.3)
    began = time.monotonic()
    list(recording.replay(float("inf")))
    assert time.monotonic() - began < 1.5


# --- never blocks -----------------------------------------------------------------------------------------


def _stuck_writer(folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[RecordingWriter, Event]:
    """A live writer whose disk hangs until the event is set, with a queue of 20 kB."""
    go = Event()
    monkeypatch.setattr(writer_module, "CAPACITY_BYTES", 20_000)
    original = writer_module._Output.write

    def hang(self: writer_module._Output, message: GateEvent | Truth, log_ns: int) -> None:
        go.wait(10)
        original(self, message, log_ns)

    monkeypatch.setattr(writer_module._Output, "write", hang)
    return RecordingWriter(folder, small_store()), go


def test_a_slow_disk_costs_pictures_first_and_never_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer, go = _stuck_writer(tmp_path / "rec", monkeypatch)
    sent = list(messages(10))
    began = time.monotonic()
    taken = [writer.write(message) for message in sent]
    assert time.monotonic() - began < 1.0
    kinds = {kind: [ok for m, ok in zip(sent, taken, strict=True) if type(m) is kind] for kind in map(type, sent)}
    assert not all(kinds[VideoFrame])
    assert sum(kinds[ScaleBatch]) > len(kinds[ScaleBatch]) * 0.3
    go.set()
    manifest = writer.close()
    assert sum(manifest.dropped.values()) == taken.count(False)
    assert len(list(open_recording(tmp_path / "rec"))) == taken.count(True)


def test_after_a_refused_packet_the_camera_waits_for_a_key_frame(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer, go = _stuck_writer(tmp_path / "rec", monkeypatch)
    packet = VideoPacket("cam-a", START_NS, b"\0\0\0\1\x65" + bytes(8500), True)
    small = VideoPacket("cam-a", START_NS, b"\0\0\0\1\x61" + bytes(10), False)
    taken = [writer.write(p) for p in (packet, packet, packet, small, replace(small, keyframe=True), small)]
    assert taken == [True, True, False, False, True, True]
    go.set()
    writer.close()


def test_a_failing_disk_is_told_to_the_caller(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(writer_module._Output, "write", fail)
    writer = RecordingWriter(tmp_path / "rec", small_store())
    writer.write(GateEvent("door", START_NS, "entry", "v"))
    with pytest.raises(RecordingError, match="No space left"):
        writer.close()


def test_a_live_writer_flushes_by_the_clock(tmp_path: Path) -> None:
    writer = RecordingWriter(tmp_path / "rec", small_store(), flush_s=0.1)
    writer.write(GateEvent("door", START_NS, "entry", "v"))
    path = tmp_path / "rec" / "sensors-00000.mcap"
    deadline = time.monotonic() + 5
    while (not path.exists() or b"door" not in path.read_bytes()[-2000:]) and time.monotonic() < deadline:
        if path.exists() and path.stat().st_size > 400:
            break
        time.sleep(0.02)
    assert path.stat().st_size > 400, "the chunk is on disk although nobody wrote more"
    writer.close()


# --- what is wrong is said ----------------------------------------------------------------------------------


def test_problems_of_a_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="is not a folder"):
        open_recording(tmp_path / "nowhere")
    with pytest.raises(RecordingError, match=r"manifest\.json.*is missing"):
        open_recording(tmp_path)
    folder = _record(tmp_path / "rec", 3)
    with pytest.raises(RecordingError, match="already exists and is not empty"):
        RecordingWriter(folder, small_store())


def test_an_unfinished_recording_says_recover(tmp_path: Path) -> None:
    writer = RecordingWriter(tmp_path / "rec", small_store())
    with pytest.raises(RecordingError, match="aisle recording recover"):
        open_recording(tmp_path / "rec")
    writer.close()
    with pytest.raises(RecordingError, match="is empty"):
        open_recording(tmp_path / "rec")


def test_all_damage_is_listed_at_once(tmp_path: Path) -> None:
    folder = _record(tmp_path / "rec", 5)
    sensors, truth = folder / "sensors-00000.mcap", folder / "truth-00000.mcap"
    data = bytearray(sensors.read_bytes())
    data[len(data) // 2] ^= 0x55
    sensors.write_bytes(data)
    truth.write_bytes(truth.read_bytes()[:-100])
    (folder / "store" / "catalog.csv").write_text("changed")
    with pytest.raises(RecordingError) as caught:
        open_recording(folder)
    texts = [str(p) for p in caught.value.problems]
    assert len(texts) == 3
    assert "the store is not the one" in texts[0]
    assert "was changed or damaged" in texts[1]
    assert "was cut short" in texts[2]


def test_unchecked_damage_shows_when_it_is_read(tmp_path: Path) -> None:
    folder = _record(tmp_path / "rec", 5)
    sensors = folder / "sensors-00000.mcap"
    data = bytearray(sensors.read_bytes())
    data[len(data) // 2] ^= 0x55
    sensors.write_bytes(data)
    recording = open_recording(folder, check=False)
    with pytest.raises(RecordingError, match=r"sensors-00000.mcap: byte \d+: is damaged"):
        list(recording)


def test_a_broken_manifest_is_placed(tmp_path: Path) -> None:
    folder = _record(tmp_path / "rec", 2)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"][0]["sha256"] = "zz"
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(RecordingError, match=r"manifest.json: files.0.sha256"):
        open_recording(folder)
