"""200 kills: real ones and cuts at random bytes; what was flushed comes back, the rest is at most a second."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from mcap.reader import make_reader

from openaisle.bench.recorder import kill_test
from openaisle.errors import RecordingError
from openaisle.messages import VideoPacket
from openaisle.recording.reader import open_recording
from openaisle.recording.recover import recover, salvage
from openaisle.recording.writer import RecordingWriter
from tests.recording.scenes import messages, same, small_store, truths

CUTS = 160
KILLS = 40


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole") / "rec"
    with RecordingWriter(folder, small_store(), live=False) as writer:
        for message in messages(20):
            writer.write(message)
        for truth in truths(20):
            writer.write(truth)
    return folder


def _chunk_ends(path: Path) -> list[tuple[int, int]]:
    """(byte behind a chunk, messages up to it) of a whole file, in order."""
    with path.open("rb") as stream:
        summary = make_reader(stream).get_summary()
        assert summary is not None
        chunks = sorted(summary.chunk_indexes, key=lambda c: c.chunk_start_offset)
        logs = [logged.log_ns for logged in salvage(path)]
        return [(c.chunk_start_offset + c.chunk_length, sum(log <= c.message_end_time for log in logs)) for c in chunks]


def test_real_kills_lose_at_most_a_second(tmp_path: Path) -> None:
    report = kill_test(small_store(), tmp_path, kills=KILLS, seed=4)
    assert report.kills == KILLS
    assert report.recovered_messages > 0
    assert report.lost_messages > 0, "the kills did hit writers at work"
    if report.worst_stall_s > 0.5:
        pytest.skip(f"the machine gave a writer nothing for {report.worst_stall_s:.1f} s: no second can be timed")
    assert report.worst_loss_s <= 1.0


def test_cuts_at_random_bytes_keep_every_whole_chunk(whole: Path, tmp_path: Path) -> None:
    name = "sensors-00000.mcap"
    data = (whole / name).read_bytes()
    ends = _chunk_ends(whole / name)
    original = [logged.message for logged in salvage(whole / name)]
    cuts = np.random.Generator(np.random.PCG64(5)).integers(0, len(data), CUTS)
    for number, cut in enumerate(int(c) for c in cuts):
        path = tmp_path / f"cut-{number}.mcap"
        path.write_bytes(data[:cut])
        got = [logged.message for logged in salvage(path)]
        # A file that lost only its footer has all chunks; one cut in a chunk has those before it.
        assert len(got) == max((messages for end, messages in ends if end <= cut), default=0), cut
        assert all(same(a, b) for a, b in zip(got, original, strict=False))


@pytest.mark.parametrize("share", [0.3, 0.7, 0.99])
def test_a_cut_recording_becomes_a_whole_one(whole: Path, tmp_path: Path, share: float) -> None:
    folder = tmp_path / "rec"
    shutil.copytree(whole, folder)
    path = folder / "sensors-00000.mcap"
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(RecordingError, match="was cut short"):
        open_recording(folder)
    report = recover(folder)
    recording = open_recording(folder)
    assert recording.manifest.recovered is (share < 0.99), "a lost footer loses no message: the file is the same again"
    assert [file.rewritten for file in report.files] == [True, False]
    assert report.files[0].damage
    before = list(open_recording(whole).messages(decode=False))
    after = list(recording.messages(decode=False))
    assert 0 < len(after) == report.files[0].messages <= len(before)
    assert all(same(a, b) for a, b in zip(after, before, strict=False))
    assert any(isinstance(m, VideoPacket) for m in after)
    assert len(list(recording.truth())) == len(list(open_recording(whole).truth()))


def test_damage_inside_costs_one_chunk(whole: Path, tmp_path: Path) -> None:
    folder = tmp_path / "rec"
    shutil.copytree(whole, folder)
    path = folder / "sensors-00000.mcap"
    data = bytearray(path.read_bytes())
    end_of_third = _chunk_ends(path)[2][0]
    data[end_of_third - 300] ^= 0xFF
    path.write_bytes(data)
    recover(folder)
    before, after = (list(open_recording(f).messages(decode=False)) for f in (whole, folder))
    chunk = _chunk_ends(whole / path.name)
    assert len(after) == len(before) - (chunk[2][1] - chunk[1][1])


def test_recovering_a_whole_recording_changes_nothing(whole: Path, tmp_path: Path) -> None:
    folder = tmp_path / "rec"
    shutil.copytree(whole, folder)
    before = (folder / "manifest.json").read_bytes()
    report = recover(folder)
    assert not report.manifest.recovered
    assert not any(file.rewritten for file in report.files)
    assert (folder / "manifest.json").read_bytes() == before


def test_a_lost_manifest_is_written_anew(whole: Path, tmp_path: Path) -> None:
    folder = tmp_path / "rec"
    shutil.copytree(whole, folder)
    (folder / "manifest.json").unlink()
    recover(folder)
    left, right = open_recording(folder), open_recording(whole)
    assert left.manifest.recovered
    assert all(same(a, b) for a, b in zip(left.messages(decode=False), right.messages(decode=False), strict=True))


def test_nothing_to_save_is_said(whole: Path, tmp_path: Path) -> None:
    folder = tmp_path / "rec"
    shutil.copytree(whole, folder)
    (folder / "sensors-00000.mcap").write_bytes(b"")
    with pytest.raises(RecordingError, match="holds no sensor message"):
        recover(folder)
    with pytest.raises(RecordingError, match=r"manifest\.json"):
        recover(tmp_path)
